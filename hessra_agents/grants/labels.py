"""Name what a session has seen by labels, such as ``PII:email``.

A *plain* label names one thing. A *compound* label, ``PII:SSN&financial:account``, names several things that
were seen together. The keeper of the context adds it beside its members, so that a rule can be about all of
them at once. Its members are plain, different and sorted, so that one conjunction has one name.

A *pattern* in a rule is a label in which ``*`` stands for any characters, or none. It crosses ``:``,
``&``, ``/`` and every other character, and nothing else is special: a rule about ``data:*`` also matches
``data:https://host/path``. The case of letters matters.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from ..call.call import MAX_NAME

__all__ = [
    "compound_label",
    "is_label",
    "is_name",
    "is_text",
    "label_matches",
    "label_means",
    "label_members",
    "normalize_labels",
    "plain_label",
]

_AND = "&"

_LONGEST_NAME = 64
_NAME = re.compile(r"[A-Za-z0-9._@+-]+(:[A-Za-z0-9._@+-]+){0,3}")


def plain_label(label: str) -> str:
    """Return the label, if a tool, a policy file or a data source may declare it.

    A declared compound label would claim a conjunction that was not checked, so it is refused here.

    Raises:
        ValueError: the label is empty, longer than 256 characters, or has ``&``, ``*`` or an unprintable
            character.
    """
    if not _is_plain(label):
        raise ValueError("a label has 1 to 256 printable characters, none of them '&' or '*'")
    return label


def compound_label(*members: str) -> str:
    """Return the one name for seeing all these plain labels: sorted, without repetition, joined by ``&``.

    Raises:
        ValueError: a member is not a plain label, or fewer than two are different.
    """
    different = sorted({plain_label(member) for member in members})
    if len(different) < 2:
        raise ValueError("a compound label has at least two different members")
    return _AND.join(different)


def label_members(label: str) -> tuple[str, ...]:
    """Return the plain labels of a compound label; for a plain label, the label alone."""
    return tuple(label.split(_AND))


def is_label(label: object) -> bool:
    """Return whether this is a plain label, or a compound label in its one form."""
    members = label_members(label) if isinstance(label, str) else ("",)
    return all(map(_is_plain, members)) and [*members] == sorted({*members})


def _is_plain(label: str) -> bool:
    return is_text(label) and _AND not in label and "*" not in label


def is_text(value: object) -> bool:
    """Return whether this is a string of 1 to 256 printable characters: no control, format or surrogate."""
    return isinstance(value, str) and 0 < len(value) <= MAX_NAME and value.isprintable()


def is_name(text: str) -> bool:
    """Return whether this is a name that no other looks like: ``mailer``, ``team:mailer``.

    It has 1 to 64 ASCII letters, digits and ``. _ @ + -``, in at most four parts with ``:`` between.
    """
    return len(text) <= _LONGEST_NAME and bool(_NAME.fullmatch(text))


def label_matches(pattern: str, label: str) -> bool:
    """Return whether the pattern matches this label: ``PII:*`` matches ``PII:email``."""
    first, *rest = pattern.split("*")
    if not rest:
        return pattern == label
    *middle, last = rest
    if len(label) < len(first) + len(last) or not (label.startswith(first) and label.endswith(last)):
        return False
    at, end = len(first), len(label) - len(last)
    for part in middle:  # the leftmost place for each part leaves the most room for the next
        at = label.find(part, at, end)
        if at < 0:
            return False
        at += len(part)
    return True


def label_means(pattern: str, label: str) -> bool:
    """Return whether the pattern matches this label, or a member of it if the label is compound."""
    return any(label_matches(pattern, one) for one in (label, *label_members(label)))


def normalize_labels(values: Iterable[str], what: str) -> list[str]:
    """Return the values sorted, each once.

    Args:
        values: strings of 1 to 256 printable characters.
        what: what the values are, for messages.

    Raises:
        TypeError: ``values`` is one string, whose letters would be taken for the values.
        ValueError: a value is not a string of 1 to 256 printable characters.
    """
    if isinstance(values, str):
        raise TypeError(f"{what} must be a list of strings, not one string")
    different = set(values)
    if not all(map(is_text, different)):
        raise ValueError(f"{what} must be strings of 1 to {MAX_NAME} printable characters")
    return sorted(different)
