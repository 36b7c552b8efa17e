"""The issuing side: root keys, their rotation, and new capabilities."""

from .authority import Authority

__all__ = ["Authority"]
