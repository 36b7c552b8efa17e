"""The decision: pure, no I/O, nothing asynchronous, time is an argument."""
