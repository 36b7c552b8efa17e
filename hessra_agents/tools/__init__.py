"""Represent a Python function, or a tool described by JSON Schema, so that a guard can run or check it."""
