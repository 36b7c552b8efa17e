"""The log of every decision: append to it, read it, search it, verify it, recover it."""
