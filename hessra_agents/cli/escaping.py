"""Show a call's arguments so that a person who decides by reading them sees everything.

A value is shown as JSON, in full. Invisible characters are escaped: control characters, bidirectional
controls, zero-width characters, spaces other than the ordinary space, and letters and marks that are drawn
as nothing. A backslash in the value is doubled, so no value can spell out an escape.

Not protected: letters that look alike are not changed; nor are right-to-left letters, beside which a
terminal may show other characters in another order.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from ..call.call import Call
from ..call.canonical import Json

__all__ = ["argument_lines", "visible"]

_BLANK = frozenset(
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
"""Default ignorable characters of Unicode, and other blanks, that Python calls printable."""


def visible(value: Json) -> str:
    """Return a value as JSON on one line, with every invisible character escaped."""
    return "".join(map(_visible, json.dumps(value, ensure_ascii=False)))


def argument_lines(call: Call) -> Iterator[str]:
    """Yield each argument of a call as one line; none is omitted or shortened."""
    for name, value in call.arguments.items():
        yield f"{visible(name)}: {visible(value)}"


def _visible(character: str) -> str:
    if character.isprintable() and character not in _BLANK:
        return character
    point = ord(character)
    return f"\\u{point:04x}" if point < 0x10000 else f"\\U{point:08x}"
