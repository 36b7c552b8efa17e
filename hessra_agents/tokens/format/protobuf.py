"""A strict reader of protobuf messages: one reading of any bytes, or a refusal.

Protobuf readers resolve some things in silence (unknown fields, a singular field given twice, several
members of a oneof, long varints), and a gap between two readers is a hole. Here every field is known, in
ascending order, as often as its shape allows, and every varint is minimal. A budget bounds how many fields
are read in all, whatever the bytes say.

A message is written down as its `Shape`: each field in order, with the function that reads its parts. So a
shape is the grammar, and what comes out of `Reader.message` is what the fields mean.
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
"""The wire type of everything with a length; that of a number is 0."""

Span: TypeAlias = "tuple[int, int]"
"""Where something begins and ends."""

Read: TypeAlias = "Callable[[Any, int, int], Any]"
"""What reads a part: given the reader, and where the part begins and ends."""

Field: TypeAlias = "tuple[int, int, int, str, Read | None]"
"""A field's tag, how often it must and may occur, its name, and what reads its parts. A plain tuple, since
one with names takes six times as long to take apart."""

Shape: TypeAlias = "tuple[Field, ...]"
"""The fields of a message in ascending order. What is not listed is refused."""


def number(field: int, *, least: int = 0) -> Field:
    """A field, by its number (below 16, as all of them), that holds one number."""
    return field << 3, least, 1, "", None


def submessage(field: int, read: Read, *, min_count: int = 0, max_count: int = 1, name: str = "") -> Field:
    """A field that holds anything else; ``name`` is for the refusal of too many."""
    return field << 3 | BYTES, min_count, max_count, name, read


def outside_profile(detail: str) -> Denied:
    """The refusal of what is not in the profile."""
    return Denied(Reason.OUTSIDE_PROFILE, detail=detail)


def _wrong_count(count: int, tag: int, most: int, name: str) -> Denied:
    if count > most > 1:
        return Denied(Reason.TOO_LARGE, detail=f"more than {most} {name}")
    return outside_profile(f"field {tag >> 3} is missing or repeated")


class Reader:
    """Bytes, and how many fields of them may still be read.

    While a message is read nothing is compared with its end but where its parts end. Behind the last byte
    there are zeros, so a number that is cut off is read all the same; then its message does not end where
    it should, and is refused.
    """

    __slots__ = ("data", "left")

    def __init__(self, data: bytes, budget: int) -> None:
        self.data = data + bytes(11)  # a tag and the longest number
        self.left = budget

    def message(self, at: int, end: int, shape: Shape) -> list[Sequence[Any]]:
        """What was read of one message: the values of each field of its shape, in order.

        Raises:
            Denied: ``outside_profile``, or ``too_large`` where a bound or the budget is passed.
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
        """As `message`, of one whose only field, or only one left, is a part: the same rules in less time."""
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
        """The one field of a oneof: its tag, its number or length, and where what follows begins."""
        data = self.data
        tag, value, at = data[at], data[at + 1], at + 2
        if value > 0x7F:
            value, at = self.read_varint_tail(value, at)
        if (at + value if tag & BYTES else at) != end:
            raise outside_profile("a choice has none or several members, or is cut off")
        self.left -= 1
        return tag, value, at

    def read_varint_tail(self, value: int, at: int) -> tuple[int, int]:
        """A number of several bytes: ``value`` is the first, the second is at ``at``; and where it ends."""
        value, shift, byte = value - 0x80, 7, self.data[at]
        while byte > 0x7F and shift < 63:
            value += (byte - 0x80) << shift
            at, shift = at + 1, shift + 7
            byte = self.data[at]
        if byte == 0 or (byte > 1 and shift == 63):
            raise outside_profile("a number is not minimal, or has more than 64 bits")
        return value + (byte << shift), at + 1


def span(reader: Reader, at: int, end: int) -> Span:
    """Where the part is, to be read later."""
    return at, end


def raw_bytes(reader: Reader, at: int, end: int) -> bytes:
    """The part's bytes."""
    return reader.data[at:end]


def text(reader: Reader, at: int, end: int) -> str:
    """The part as text."""
    try:
        return reader.data[at:end].decode()
    except UnicodeDecodeError:
        raise outside_profile("a text is not UTF-8") from None
