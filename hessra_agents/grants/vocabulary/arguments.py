"""Read what a caller passes to a method of `must`, and make the constraint of one alternative."""

from __future__ import annotations

from ...call.canonical import Json, MalformedError, encode, to_json
from ...call.facts import INT64
from ..clauses import Clause
from .constraints import Constraint, Parts, Place

__all__ = ["integer", "list_of", "plain", "scalars", "shown", "single", "string"]


def single(words: str, *clauses: tuple[str, object]) -> Constraint:
    """Return a constraint with one alternative; each clause is a predicate, and a literal or tests."""

    def parts(at: Place) -> Parts:
        return ((tuple(_clause(fact, at.key, what) for fact, what in clauses),),)

    return Constraint(words, parts)


def _clause(fact: str, key: str, what: object) -> Clause:
    if isinstance(what, tuple):
        return Clause(fact, key, None, what)
    return Clause(fact, key, what)  # type: ignore[arg-type]


def plain(value: object) -> Json:
    """Return a value in canonical form.

    Raises:
        ValueError: it has none.
    """
    try:
        return to_json(value)
    except MalformedError as error:
        raise ValueError(f"a constraint cannot hold this value: {error}") from error


def integer(value: object, name: str) -> int:
    """Return a value that must be a 64-bit integer.

    Raises:
        ValueError: it is not; ``name`` says what it is for.
    """
    if type(value) is not int or not -INT64 <= value < INT64:
        raise ValueError(f"{name} must be an integer of at most 64 bits")
    return value


def string(value: object, name: str) -> str:
    """Return a value that must be a string of at least one character.

    Raises:
        ValueError: it is not; ``name`` says what it is for.
    """
    found = plain(value)
    if not isinstance(found, str) or not found:
        raise ValueError(f"{name} must be a string of at least one character")
    return found


def shown(value: Json) -> str:
    """Return a value as a description shows it, in at most 80 characters."""
    text = repr(value) if isinstance(value, str) else encode(value).decode()
    return text if len(text) <= 80 else text[:77] + "..."


def list_of(words: list[str]) -> str:
    """Return words as a list of at most 8, and how many more there are."""
    return ", ".join(words[:8]) + (f" or {len(words) - 8} more" if len(words) > 8 else "")


def scalars(values: tuple[object, ...], name: str) -> list[Json]:
    """Return values that must be scalars, and at least one.

    Raises:
        ValueError: they are not; ``name`` says what they are for.
    """
    found = [plain(value) for value in values]
    if not found or any(isinstance(value, (list, dict)) for value in found):
        raise ValueError(f"{name} takes at least one value, each a string, a number, a boolean or None")
    return found
