"""Read the Datalog in a Biscuit's block as plain data: predicates, terms and the steps of expressions.

Source: Biscuit specification 3.3, ``schema.proto``. Dates, nulls, arrays, maps and foreign functions are
refused; so are sets of anything but strings or integers, and closures of more than one comparison.
"""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

from .protobuf import BYTES, Reader, Shape, number, outside_profile, submessage

__all__ = ["CHOICE", "CLOSURE", "Op", "Predicate", "Term", "TermReader", "Var", "expression", "predicate"]


class Var(int):
    """A variable, by the number of its symbol."""

    __slots__ = ()


Term: TypeAlias = "str | int | bool | bytes | frozenset[str] | frozenset[int] | Var"
Predicate: TypeAlias = "tuple[str, tuple[Term, ...]]"


class Op(NamedTuple):
    """One step of a postfix expression: a value, a unary or binary operator, or a closure."""

    kind: str
    value: Term | None = None
    code: int = -1
    body: tuple[Op, ...] = ()


class TermReader(Reader):
    """Reads Datalog with the symbols of the current block and the permitted shape of closures."""

    __slots__ = ("closure", "symbols")

    def __init__(self, data: bytes, budget: int, closure: Shape) -> None:
        super().__init__(data, budget)
        self.closure = closure
        self.symbols: dict[int, str] = {}


def predicate(reader: TermReader, at: int, end: int) -> Predicate:
    """Read a predicate: its name and its terms."""
    data = reader.data
    if at >= end or data[at] != _NAME:
        raise outside_profile("a predicate without a name")
    name, at = data[at + 1], at + 2
    if name > 0x7F:
        name, at = reader.read_varint_tail(name, at)
    if name not in reader.symbols:
        raise outside_profile("a predicate with an unknown name")
    reader.left -= 1
    return reader.symbols[name], tuple(reader.parts(at, end, _TERMS))


_VARIABLE, _INTEGER, _STRING, _BOOLEAN = 1 << 3, 2 << 3, 3 << 3, 6 << 3
_BYTES, _SET = 5 << 3 | BYTES, 7 << 3 | BYTES


def _term(reader: TermReader, at: int, end: int) -> Term:
    # `Reader.choice`, written out: no other message is read as often
    data = reader.data
    tag, value, at = data[at], data[at + 1], at + 2
    if value > 0x7F:
        second = data[at]
        if 0 < second <= 0x7F:  # true of every symbol's number but the first
            value, at = value - 0x80 + (second << 7), at + 1
        else:
            value, at = reader.read_varint_tail(value, at)
    if (at + value if tag & BYTES else at) != end:
        raise outside_profile("a term has no member or several, or is cut off")
    reader.left -= 1
    if tag == _STRING and value in reader.symbols:
        return reader.symbols[value]
    if tag == _VARIABLE:
        return Var(value)
    if tag == _INTEGER:
        return value - (1 << 64) if value >> 63 else value
    if tag == _SET:
        return _set(reader, at, end)
    if tag == _BYTES:
        return data[at:end]
    if tag == _BOOLEAN and value <= 1:
        return value == 1
    raise outside_profile("a term of an unsupported type, or an unknown string")


def _set(reader: TermReader, at: int, end: int) -> frozenset[str] | frozenset[int]:
    terms = reader.parts(at, end, _ELEMENTS)
    kinds = {type(term) for term in terms}
    values = frozenset(terms)
    if len(kinds) > 1 or not kinds <= {str, int} or len(values) != len(terms):
        raise outside_profile("a set of anything but distinct strings or integers")
    return values


def _element(reader: TermReader, at: int, end: int) -> Term:
    if reader.data[at] == _SET:
        raise outside_profile("a set of sets")
    return _term(reader, at, end)


_NAME = 1 << 3
_TERMS = submessage(2, _term, max_count=8, name="terms")
_ELEMENTS = submessage(1, _element, max_count=1024, name="elements of a set")


def expression(reader: TermReader, at: int, end: int) -> tuple[Op, ...]:
    """Read an expression and return its steps."""
    return tuple(reader.parts(at, end, _EXPRESSION))


_VALUE, _CLOSURE = 1 << 3 | BYTES, 4 << 3 | BYTES
_OPERATORS = {
    bytes([field << 3 | BYTES, 2, 1 << 3, code]): Op(kind, code=code)
    for field, kind in ((2, "unary"), (3, "binary"))
    for code in range(32)
}
"""Every operator, by its only encoding."""
_OPERATOR_BYTES = 4


def _step(reader: TermReader, at: int, end: int) -> Op:
    operator = _OPERATORS.get(reader.data[at:end]) if end - at == _OPERATOR_BYTES else None
    if operator is not None:
        reader.left -= 2
        return operator
    tag, _, start = reader.choice(at, end)
    if tag == _VALUE:
        return Op("value", _term(reader, start, end))
    if tag == _CLOSURE:
        return _closure(reader, start, end)
    raise outside_profile("an unsupported step")


def _closure(reader: TermReader, at: int, end: int) -> Op:
    parameter, body = reader.message(at, end, reader.closure)
    if not {op.kind for op in body} <= {"value", "binary"}:
        raise outside_profile("a closure that holds more than one comparison")
    return Op("closure", Var(parameter[0]) if parameter else None, body=tuple(body))


def _inner_step(reader: TermReader, at: int, end: int) -> Op:
    if reader.data[at] == _CLOSURE:
        raise outside_profile("a closure in a closure")
    return _step(reader, at, end)


_EXPRESSION = submessage(1, _step, min_count=1, max_count=32, name="steps of a test")
CLOSURE: Shape = (
    number(1, least=1),
    submessage(2, _inner_step, min_count=1, max_count=8, name="steps of a closure"),
)
CHOICE: Shape = (number(1), CLOSURE[1])
"""A closure whose parameter may be omitted, as the right side of ``a || b``."""
