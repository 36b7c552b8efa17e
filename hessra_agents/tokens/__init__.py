"""Tokens on Biscuit: the only package that imports ``biscuit_auth``. Pure: no I/O, time is an argument."""
