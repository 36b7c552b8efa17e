"""A strict reader of protobuf messages: one reading of any bytes, or a refusal.

Protobuf readers resolve some things in silence (unknown fields, a singular field given twice, several
members of a oneof, long varints), and a gap between two readers is a hole. Here every field is known, in
ascending order, as often as its shape allows, and every varint is minimal. A budget bounds how many fields
are read in all, whatever the bytes say.
"""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

from ..errors import Denied, Reason

__all__ = ["BYTES", "VARINT", "Field", "Reader", "Shape", "Span", "outside"]

VARINT, BYTES = 0, 2


class Field(NamedTuple):
    """What is known of a field: its wire type, how often it may occur, whether it must, and a name."""

    wire: int
    most: int = 1
    required: bool = False
    name: str = ""


Shape: TypeAlias = "dict[int, Field]"
"""The fields of a message by number; all numbers are below 16. What is not listed is refused."""

Span: TypeAlias = "tuple[int, int]"


def outside(detail: str) -> Denied:
    """The refusal of what is not in the profile."""
    return Denied(Reason.OUTSIDE_PROFILE, detail=detail)


def _too_often(field: Field) -> Denied:
    if field.most == 1:
        return outside("a field is repeated")
    return Denied(Reason.TOO_LARGE, detail=f"more than {field.most} {field.name}")


class Reader:
    """Bytes, and how many fields of them may still be read."""

    __slots__ = ("data", "left")

    def __init__(self, data: bytes, budget: int) -> None:
        self.data = data
        self.left = budget

    def fields(self, span: Span, shape: Shape) -> list[tuple[int, int, int]]:
        """The fields of one message: (number, value, 0), or (number, start, end) of bytes.

        Raises:
            Denied: ``outside_profile``, or ``too_large`` where the budget is spent.
        """
        at, end = span
        data = self.data
        found, last, times = [], 0, 0
        while at < end:
            tag = data[at]
            number = tag >> 3
            rule = shape.get(number)  # a tag of two bytes is 16 or more, and no known field
            if rule is None or rule[0] != tag & 7:
                raise outside(f"field {number} is not in the profile")
            times = times + 1 if number == last else 1
            if number < last or times > rule[1]:
                raise _too_often(rule) if number == last else outside("fields out of order")
            last = number
            self.left -= 1
            if self.left < 0:
                raise Denied(Reason.TOO_LARGE, detail="too many fields")
            value, at = self._varint(at + 1, end)
            if rule[0] == VARINT:
                found.append((number, value, 0))
            elif at + value > end:
                raise outside("a field is cut off")
            else:
                found.append((number, at, at + value))
                at += value
        return found

    def message(self, span: Span, shape: Shape) -> dict[int, list[Span]]:
        """The fields of one message by number."""
        found: dict[int, list[Span]] = {}
        for number, start, end in self.fields(span, shape):
            found.setdefault(number, []).append((start, end))
        for number, rule in shape.items():
            if rule.required and number not in found:
                raise outside(f"field {number} is missing")
        return found

    def only(self, span: Span, shape: Shape) -> tuple[int, int, int]:
        """The one field of a oneof."""
        found = self.fields(span, shape)
        if len(found) != 1:
            raise outside("a choice has none or several members")
        return found[0]

    def text(self, span: Span) -> str:
        """The text of a field."""
        try:
            return self.data[span[0] : span[1]].decode()
        except UnicodeDecodeError:
            raise outside("a text is not UTF-8") from None

    def _varint(self, at: int, end: int) -> Span:
        data = self.data
        if at >= end:
            raise outside("a number is cut off")
        byte = data[at]
        at += 1
        if byte < 0x80:
            return byte, at
        value, shift = byte & 0x7F, 7
        while True:
            if at >= end or shift > 63:
                raise outside("a number is cut off or too long")
            byte = data[at]
            at += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                if byte == 0 or value >> 64:
                    raise outside("a number is not minimal")
                return value, at
            shift += 7
