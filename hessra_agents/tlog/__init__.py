"""A transparency log (C2SP): Merkle tree, checkpoints, proofs and exports. It knows of no guard."""

from .export import ExportError, check, check_proof, entry, prove
from .notes import Checkpoint, NoteError, cosign, verifier_key

__all__ = [
    "Checkpoint", "ExportError", "NoteError", "check", "check_proof", "cosign", "entry", "prove",
    "verifier_key",
]  # fmt: skip
