"""Who signs: Ed25519 keys, the files they are kept in, and the root keys that a verifier trusts."""
