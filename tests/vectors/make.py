"""Freezes test vectors: ``python -m tests.vectors.make``, run by hand in the root of the repository.

A vector that is in a file stays as it is, for other implementations rely on it: this only adds those that
are new. To make one again, delete it from its file first. Every verdict is written by hand beside its
case and checked while the vector is made; none is copied from what the code happens to say.
"""

from __future__ import annotations

from tests.vectors import asked, calls, capabilities, facts, sessions

if __name__ == "__main__":
    calls.freeze()
    facts.freeze()
    asked.freeze()
    capabilities.freeze()
    sessions.freeze()
