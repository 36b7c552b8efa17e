"""Define a twin: the package with one check removed."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["FINDING", "Edit", "Twin", "unless"]

FINDING = "a finding"
"""What the check of a log tells, where a call would be refused for a reason."""


@dataclass(frozen=True)
class Edit:
    """A piece of source text that occurs in its file exactly once, and what stands there in the twin."""

    file: str
    old: str
    new: str = ""

    def made(self, text: str) -> str:
        """Return the file's text with this edit.

        Raises:
            ValueError: the text does not have the piece exactly once.
        """
        if text.count(self.old) != 1:
            raise ValueError(f"{self.file} has this {text.count(self.old)} times: {self.old}")
        return text.replace(self.old, self.new)


def unless(file: str, condition: str) -> Edit:
    """Return the edit that makes the condition of a refusal never hold."""
    return Edit(file, f"if {condition}:", f"if False and ({condition}):")


class Twin:
    """One weakening.

    Args:
        name: what is true of the twin.
        reason: the code of the refusal that is gone, or `FINDING`.
        test: a test that must fail against the twin.
        edits: what is other in its source text.
    """

    def __init__(self, name: str, reason: str, test: str, *edits: Edit) -> None:
        self.name, self.reason, self.test, self.edits = name, reason, test, edits
