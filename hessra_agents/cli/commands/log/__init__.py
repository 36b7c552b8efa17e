"""The commands ``log``: read the record of every call, prove it, verify it, and let go of what is old."""
