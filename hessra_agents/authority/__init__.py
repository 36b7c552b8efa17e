"""Keep root keys, rotate them, and issue capabilities."""

from .authority import Authority

__all__ = ["Authority"]
