"""Issue, read and narrow tokens: the only package, with ``keys/biscuit.py``, that imports ``biscuit_auth``.

Nothing here reads or writes files. Where a function takes ``now``, None means the clock of this process.
"""
