"""Labels: names for what a session has seen, such as ``PII:email``.

A *plain* label names one thing. A *compound* label, ``PII:SSN&financial:account``, names several seen
together; it is given beside its members, by whoever keeps the context, so that a rule can ask for all of
them at once. Its members are plain, different and sorted, so that one conjunction has one name.

A *pattern* in a rule is a label in which ``*`` stands for any characters, or none. It crosses ``:``,
``&``, ``/`` and everything else, and no other character is special: a rule about ``data:*`` also means
``data:https://host/path``. Letters are compared as they are, with their case.
"""

from __future__ import annotations

from collections.abc import Iterable

from ..call.call import MAX_NAME

__all__ = [
    "compound_label",
    "is_label",
    "is_text",
    "label_matches",
    "label_means",
    "label_members",
    "normalize_labels",
    "plain_label",
]

_AND = "&"


def plain_label(label: str) -> str:
    """The label itself, if it may be declared: by a tool, a policy file, a data source.

    A declared compound label would claim a conjunction that nobody checked, so it is refused here.

    Raises:
        ValueError: it is empty, longer than 256 characters, or has ``&``, ``*`` or an unprintable character.
    """
    if not is_text(label) or _AND in label or "*" in label:
        raise ValueError("a label is 1 to 256 printable characters, none of them '&' or '*'")
    return label


def compound_label(*members: str) -> str:
    """The one name of seeing all these plain labels: sorted, without repetition, joined by ``&``.

    Raises:
        ValueError: a member is no plain label, or fewer than two are different.
    """
    found = sorted({plain_label(member) for member in members})
    if len(found) < 2:
        raise ValueError("a compound label has at least two different members")
    return _AND.join(found)


def label_members(label: str) -> tuple[str, ...]:
    """The plain labels of a compound label; of a plain one, itself alone."""
    return tuple(label.split(_AND))


def is_label(label: object) -> bool:
    """Whether this is a plain label, or a compound label in its one form."""
    if not isinstance(label, str):
        return False
    members = label_members(label)
    try:
        return label == (compound_label(*members) if len(members) > 1 else plain_label(label))
    except ValueError:
        return False


def is_text(value: object) -> bool:
    """Whether this is a text of 1 to 256 printable characters: no control, format or surrogate characters."""
    return isinstance(value, str) and 0 < len(value) <= MAX_NAME and value.isprintable()


def label_matches(pattern: str, label: str) -> bool:
    """Whether the pattern means this label: ``PII:*`` means ``PII:email``, ``data:*`` means ``data:a/b``."""
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
    """Whether the pattern means this label, or any member of it where it is compound."""
    return any(label_matches(pattern, one) for one in (label, *label_members(label)))


def normalize_labels(values: Iterable[str], what: str) -> list[str]:
    """Each of these once, sorted.

    Raises:
        TypeError: it is one text, whose letters would be taken for the values.
        ValueError: one of them is no printable text of 1 to 256 characters.
    """
    if isinstance(values, str):
        raise TypeError(f"{what} are several texts, not one")
    found = set(values)
    if not all(map(is_text, found)):
        raise ValueError(f"{what} are texts of 1 to {MAX_NAME} printable characters")
    return sorted(found)
