"""The issuing side: root keys, their rotation, and new capabilities."""

from .issuing import Authority

__all__ = ["Authority"]
