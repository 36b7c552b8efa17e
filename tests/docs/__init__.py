"""The README and the documents: their programs run, and what they name exists."""
