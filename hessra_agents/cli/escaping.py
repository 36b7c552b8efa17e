"""What a call carries, made visible: for whoever decides by looking at it.

A value is shown as JSON, whole. What has no shape of its own is escaped: control characters, directions of
writing, what has no width, spaces other than the space, and letters and marks that are drawn as nothing. A
backslash in the value is doubled, so an escape cannot be spelled out. Letters that look alike stay; so do
those of scripts that run from right to left, beside which a terminal may show signs in another order.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from ..call.call import Call
from ..call.canonical import Json

__all__ = ["argument_lines", "visible"]

_DRAWN_AS_NOTHING = frozenset(
    chr(point)
    for first, last in (
        (0x034F, 0x034F),  # combining grapheme joiner
        (0x115F, 0x1160),  # Hangul fillers
        (0x17B4, 0x17B5),  # Khmer inherent vowels
        (0x180B, 0x180F),  # Mongolian variation selectors
        (0x2800, 0x2800),  # blank Braille pattern
        (0x3164, 0x3164),  # Hangul filler
        (0xFE00, 0xFE0F),  # variation selectors
        (0xFFA0, 0xFFA0),  # halfwidth Hangul filler
        (0x13441, 0x13442),  # Egyptian blanks
        (0x1D159, 0x1D159),  # musical null notehead
        (0xE0100, 0xE01EF),  # more variation selectors
    )
    for point in range(first, last + 1)
)
"""Unicode's default ignorable characters, and other blanks, that Python takes for printable."""


def visible(value: Json) -> str:
    """A value as JSON in one line, in which everything can be seen."""
    return "".join(map(_seen, json.dumps(value, ensure_ascii=False)))


def argument_lines(call: Call) -> Iterator[str]:
    """Each argument of a call in a line of its own, none left out and none shortened."""
    for name, value in call.arguments.items():
        yield f"{visible(name)}: {visible(value)}"


def _seen(character: str) -> str:
    if character.isprintable() and character not in _DRAWN_AS_NOTHING:
        return character
    point = ord(character)
    return f"\\u{point:04x}" if point < 0x10000 else f"\\U{point:08x}"
