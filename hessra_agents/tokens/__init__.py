"""Tokens on Biscuit: the only package that imports ``biscuit_auth``.

Time is an argument. Nothing here reads or writes, but for files of keys (`keyfile`, `trust`).
"""
