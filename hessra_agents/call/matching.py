r"""Match a string against a bounded pattern, in one pass.

A pattern is a row of items about the whole string, each a character or a class of ASCII characters, with a
count ``?``, ``{n}`` or ``{m,n}`` (at most 4096) or without one:

    [A-Z]{2}-[0-9]{1,6}      ranges within a-z, A-Z and 0-9; in a class also _ . : / @ + = , and a final -
    v[0-9]\.[0-9]            punctuation that has a meaning in regular expressions behind a backslash

Where an item may stop, what may follow begins with another character. So only the longest run of each item
can lead to a match, and nothing is tried twice. There are no groups, alternatives, ``*``, ``+``, ``.``,
negated classes and ``\d``: what is left means the same in every syntax of regular expressions, if it is
anchored at both ends, also in ECMA-262 with ``u``.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

__all__ = ["is_pattern", "matches_pattern"]

MAX_PATTERN = 256
"""Characters of a pattern."""

MAX_COUNT = 4096
"""How often an item may be repeated."""

_PLAIN = r"[A-Za-z0-9 _:/@=,!\"#%&';<>`~-]"
_CLASS = r"\[(?:[a-z]-[a-z]|[A-Z]-[A-Z]|[0-9]-[0-9]|[A-Za-z0-9_.:/@+=,])*+-?\]"
_COUNT = r"\{[0-9]{1,4}(?:,[0-9]{1,4})?\}|\?"
_ITEM = rf"(?:{_PLAIN}(?![{{?]))++|(?:{_PLAIN}|\\[\[\]{{}}()*+?.^$|\\/]|{_CLASS})(?:{_COUNT})?"
_ITEMS, _PATTERN = re.compile(_ITEM), re.compile(f"(?:{_ITEM})*+")
_PARTS = re.compile(rf"({_CLASS}|\\?.)(?:\{{([0-9]+)(?:,([0-9]+))?\}}|(\?))?")
_RANGE = re.compile(r"(.)-(.)")
_ASCII = "".join(map(chr, range(128)))

_ROW = 0


def is_pattern(text: object) -> bool:
    """Return whether this is a pattern that one pass decides."""
    return type(text) is str and _read(text) is not None


def matches_pattern(text: str, pattern: str) -> bool:
    """Return whether a string matches a pattern as a whole."""
    at = 0
    for item in _read(pattern) or ():
        if item.most == _ROW:
            if not text.startswith(item.characters, at):
                return False
            at += len(item.characters)
        else:
            run = text[at : at + item.most]
            length = len(run) - len(run.lstrip(item.characters))
            if length < item.least:
                return False
            at += length
    return at == len(text)


class _Item(NamedTuple):
    """Characters, and how often one of them occurs; `_ROW`: all of them, in this order."""

    characters: str
    least: int
    most: int
    first: int
    """The characters with which it can begin, as a set of bits."""


@lru_cache(maxsize=256)
def _read(pattern: str) -> tuple[_Item, ...] | None:
    """Return the items of a pattern; None if it is not a pattern."""
    if not 0 < len(pattern) <= MAX_PATTERN or not _PATTERN.fullmatch(pattern):
        return None
    found = [_item(text) for text in _ITEMS.findall(pattern)]
    items = [item for item in found if item is not None]
    if len(items) < len(found):
        return None
    follows = 0
    for _, least, most, first in reversed(items):
        if least != most and first & follows:
            return None
        follows = first if least or most == _ROW else first | follows
    return tuple(items)


@lru_cache(maxsize=1024)
def _item(text: str) -> _Item | None:
    parts = _PARTS.fullmatch(text)
    if parts is None:
        return _Item(text, _ROW, _ROW, 1 << ord(text[0]))
    characters, least, most, maybe = parts.groups()
    if characters[0] == "[":
        characters = _RANGE.sub(_written_out, characters[1:-1])
    elif characters[0] == "\\":
        characters = characters[1:]
    low, high = 0 if maybe else int(least or 1), int(most or least or 1)
    if not characters or "-" in characters[:-1] or not low <= high <= MAX_COUNT or not high:
        return None
    return _Item(characters, low, high, sum({1 << ord(character) for character in characters}))


def _written_out(found: re.Match[str]) -> str:
    """Return all characters of a range; a range that ends before it begins stays as it is."""
    return _ASCII[ord(found[1]) : ord(found[2]) + 1] or found[0]
