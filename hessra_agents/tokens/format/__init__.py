"""Turn the bytes of a token into blocks, strictly: anything unknown is refused."""
