"""Read protobuf messages strictly: any bytes have one reading, or are refused.

Protobuf readers resolve some input silently (unknown fields, a singular field given twice, several members
of a oneof, long varints), and where two readers differ there is a hole. Here every field must be known, in
ascending order and as frequent as its shape allows, and every varint must be minimal. A budget bounds the
number of fields read in all, whatever the bytes say.

A `Shape` describes a message: each field in order, with the function that reads it. The shape is the
grammar, and `Reader.message` returns what the fields mean.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from ...errors import Denied, Reason

__all__ = [
    "BYTES",
    "Reader",
    "Shape",
    "Span",
    "number",
    "outside_profile",
    "raw_bytes",
    "span",
    "submessage",
    "text",
]

BYTES = 2
"""The wire type of a field with a length; the wire type of a number is 0."""

Span: TypeAlias = "tuple[int, int]"
"""The offsets at which something begins and ends."""

Read: TypeAlias = "Callable[[Any, int, int], Any]"
"""A function that reads one value of a field, given the reader and the offsets of the value."""

Field: TypeAlias = "tuple[int, int, int, str, Read | None]"
"""A field's tag, its least and greatest count, its name, and the function that reads its values. A plain
tuple, since a named tuple takes six times as long to unpack."""

Shape: TypeAlias = "tuple[Field, ...]"
"""The fields of a message in ascending order; every other field is refused."""


def number(field: int, *, least: int = 0) -> Field:
    """Describe a field that holds one number; ``field`` is below 16, as in all our shapes."""
    return field << 3, least, 1, "", None


def submessage(field: int, read: Read, *, min_count: int = 0, max_count: int = 1, name: str = "") -> Field:
    """Describe a field that has a length; ``name`` appears in the refusal of too many values."""
    return field << 3 | BYTES, min_count, max_count, name, read


def outside_profile(detail: str) -> Denied:
    """Return the refusal of content that the profile does not include."""
    return Denied(Reason.OUTSIDE_PROFILE, detail=detail)


def _wrong_count(count: int, tag: int, most: int, name: str) -> Denied:
    if count > most > 1:
        return Denied(Reason.TOO_LARGE, detail=f"more than {most} {name}")
    return outside_profile(f"field {tag >> 3} is missing or repeated")


class Reader:
    """Reads messages from bytes, and counts down how many more fields may be read.

    Numbers are read without checking for the end of the message. Zeros follow the last byte, so a number
    that is cut off can still be read; its message then ends in the wrong place, and is refused.
    """

    __slots__ = ("data", "left")

    def __init__(self, data: bytes, budget: int) -> None:
        self.data = data + bytes(11)  # a tag and the longest number
        self.left = budget

    def message(self, at: int, end: int, shape: Shape) -> list[Sequence[Any]]:
        """Read one message and return the values of each field of its shape, in order.

        Raises:
            Denied: ``outside_profile``; ``too_large`` if a count or the budget is exceeded.
        """
        data = self.data
        found: list[Sequence[Any]] = []
        fields = 0
        for tag, least, most, name, read in shape:
            if at >= end or data[at] != tag:
                if least:
                    raise _wrong_count(0, tag, most, name)
                found.append(())
                continue
            values: list[Any] = []
            while at < end and data[at] == tag:
                value, at = data[at + 1], at + 2
                if value > 0x7F:
                    value, at = self.read_varint_tail(value, at)
                if read is None:
                    values.append(value)
                else:
                    start, at = at, at + value
                    if at > end:
                        raise outside_profile("a field is cut off")
                    values.append(read(self, start, at))
            count = len(values)
            if not least <= count <= most:
                raise _wrong_count(count, tag, most, name)
            fields += count
            found.append(values)
        if at != end:
            raise outside_profile("a field is unknown, out of order or cut off")
        self.left -= fields
        if self.left < 0:
            raise Denied(Reason.TOO_LARGE, detail="too many fields")
        return found

    def parts(self, at: int, end: int, field: Field) -> list[Any]:
        """Read a message, or the rest of one, that has a single field with a length.

        The rules are those of `message`; this takes less time.
        """
        data, (tag, least, most, name, read) = self.data, field
        values: list[Any] = []
        while at < end:
            if data[at] != tag or read is None:
                raise outside_profile("a field is unknown or out of order")
            value, at = data[at + 1], at + 2
            if value > 0x7F:
                value, at = self.read_varint_tail(value, at)
            start, at = at, at + value
            if at > end:
                raise outside_profile("a field is cut off")
            values.append(read(self, start, at))
        count = len(values)
        if at != end or not least <= count <= most:
            raise _wrong_count(count, tag, most, name)
        self.left -= count
        if self.left < 0:
            raise Denied(Reason.TOO_LARGE, detail="too many fields")
        return values

    def choice(self, at: int, end: int) -> tuple[int, int, int]:
        """Return the one field of a oneof: its tag, its number or length, and the offset after that."""
        data = self.data
        tag, value, at = data[at], data[at + 1], at + 2
        if value > 0x7F:
            value, at = self.read_varint_tail(value, at)
        if (at + value if tag & BYTES else at) != end:
            raise outside_profile("a oneof has no member or several, or is cut off")
        self.left -= 1
        return tag, value, at

    def read_varint_tail(self, value: int, at: int) -> tuple[int, int]:
        """Return a number of several bytes and the offset after it.

        ``value`` is the first byte; the second is at ``at``.
        """
        value, shift, byte = value - 0x80, 7, self.data[at]
        while byte > 0x7F and shift < 63:
            value += (byte - 0x80) << shift
            at, shift = at + 1, shift + 7
            byte = self.data[at]
        if byte == 0 or (byte > 1 and shift == 63):
            raise outside_profile("an integer is not minimally encoded, or has more than 64 bits")
        return value + (byte << shift), at + 1


def span(reader: Reader, at: int, end: int) -> Span:
    """Return the offsets of the value, to be read later."""
    return at, end


def raw_bytes(reader: Reader, at: int, end: int) -> bytes:
    """Return the value as bytes."""
    return reader.data[at:end]


def text(reader: Reader, at: int, end: int) -> str:
    """Return the value as a string."""
    try:
        return reader.data[at:end].decode()
    except UnicodeDecodeError:
        raise outside_profile("a string is not UTF-8") from None
