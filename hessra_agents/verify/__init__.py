"""Decide a call: pure, no I/O, nothing asynchronous, and time is an argument."""
