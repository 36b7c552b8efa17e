"""Constrain any value: exactly this, one of these, anything, or omitted."""

from __future__ import annotations

from ...call.canonical import encode
from ...call.facts import INT64, PARAMETERS, fact
from ..clauses import Clause, Test
from .arguments import list_of, plain, scalars, shown, single
from .constraints import Constraint, Parts, Place, either, merged

__all__ = ["AnyValue", "as_constraint"]


def as_constraint(value: object) -> Constraint:
    """Return the constraint itself, or one that requires exactly this value."""
    return value if isinstance(value, Constraint) else AnyValue.exact(value)


class AnyValue:
    """Constraints on a value of any type."""

    @staticmethod
    def exact(value: object) -> Constraint:
        """Require exactly this value, of any JSON type. A plain value in a grant means the same.

        Lists and objects are compared by the sha256 of their canonical JSON.
        """
        json = plain(value)
        words = f"exactly {shown(json)}"
        if isinstance(json, str):
            return single(words, ("arg_str", json))
        if isinstance(json, bool):
            return single(words, ("arg_bool", json))
        if json is None:
            return single(words, ("arg_null", True))
        if isinstance(json, int) and -INT64 <= json < INT64:
            return single(words, ("arg_int", json))
        if isinstance(json, (int, float)):
            return single(words, ("arg_scalar", encode(json).decode()))
        return single(words, ("arg_json", (fact(json, "arg_json") or ())[0]))

    @staticmethod
    def one_of(*values: object) -> Constraint:
        """Require one of these strings, numbers, booleans or None; the types may be mixed."""
        listed = scalars(values, "must.one_of")
        words = f"one of {list_of([shown(value) for value in listed])}"
        if all(type(value) is str for value in listed):
            return single(words, ("arg_str", (Test("in", frozenset(listed)),)))  # type: ignore[arg-type]
        if all(type(value) is int and -INT64 <= value < INT64 for value in listed):
            return single(words, ("arg_int", (Test("in", frozenset(listed)),)))  # type: ignore[arg-type]
        texts = frozenset(encode(value).decode() for value in listed)
        return single(words, ("arg_scalar", (Test("in", texts),)))

    @staticmethod
    def not_one_of(*values: object, free_text: bool = False) -> Constraint:
        """Require an integer other than these, or a string other than these where the others are known.

        They are known in an argument that a `Literal` or an `Enum` lists, if the tool is granted by its
        function, and in a narrower capability. Of free text a list of what is refused protects nothing: a
        blank or a letter that looks alike passes.

        Args:
            values: all strings, all integers, or one boolean.
            free_text: allow every other string, where the others are not known.

        Raises:
            ValueError: these are other values; or, when the grant is issued, the argument is free text.
        """
        listed = scalars(values, "must.not_one_of")
        kinds = set(map(type, listed))
        if kinds == {bool} and len(set(listed)) == 1:
            return AnyValue.exact(not listed[0])
        if kinds not in ({str}, {int}):
            raise ValueError("must.not_one_of takes strings, or integers, or one boolean")
        predicate, noun = ("arg_str", "a string") if kinds == {str} else ("arg_int", "an integer")
        test = Test("not_in", frozenset(listed))  # type: ignore[arg-type]

        def parts(at: Place) -> Parts:
            if at.free and not free_text and kinds == {str}:
                raise ValueError(
                    f"must.not_one_of protects nothing where {at.name} is free text: say what it may be, by"
                    " must.one_of; or grant a function in which a Literal or an Enum lists the values; or"
                    " write free_text=True"
                )
            return (((Clause(predicate, at.key, None, (test,)),),),)

        return Constraint(f"{noun} other than {list_of([shown(value) for value in listed])}", parts)

    @staticmethod
    def same_as(other: str) -> Constraint:
        """Require a value that equals another argument of the same call; both must be there.

        Args:
            other: the argument's name, or a pointer to a place inside of one, such as ``/order/owner``.
        """
        if not PARAMETERS["arg_same"](other) or (other[0] == "/" and other.count("/") == 1):
            raise ValueError("must.same_as takes an argument's name, or a pointer such as '/order/owner'")
        words = f"the same as {other}"
        return Constraint(words, lambda at: (((Clause("arg_same", at.key, None, (), other),),),))

    @staticmethod
    def anything() -> Constraint:
        """Require the argument, with any value."""
        return Constraint("anything", lambda at: (((at.present(),),),))

    @staticmethod
    def optional(constraint: object = None) -> Constraint:
        """Allow that the argument is omitted; if it is present, require this constraint or exact value.

        Args:
            constraint: what the argument must be if it is present; if omitted, anything.
        """
        inner = AnyValue.anything() if constraint is None else as_constraint(constraint)
        if not inner.wants_value:
            raise ValueError("must.optional takes what a value must be, and no argument that may be omitted")
        if constraint is None:
            return Constraint("anything, or omitted", lambda _: (), wants_value=False)

        def parts(at: Place) -> Parts:
            if at.many:  # there is no choice: what is said is said of those that are there
                return inner.parts(at.if_present())
            return either((((at.names(Test("lacks", at.name)),),),), merged(inner.parts(at)))

        return Constraint(f"omitted, or {inner.words}", parts, wants_value=False)

    @staticmethod
    def omitted() -> Constraint:
        """Require that the argument is omitted, not even null: for a narrowing or a delegation.

        A first grant need not say it, because an argument that it does not name must be omitted.
        """
        return Constraint("omitted", lambda at: (((at.names(Test("lacks", at.name)),),),), wants_value=False)

    @staticmethod
    def nullable(constraint: object) -> Constraint:
        """Allow null; any other value must satisfy this constraint or be this exact value.

        The argument must be there: write ``must.optional(must.nullable(...))`` if it may also be omitted.
        """
        inner, null = as_constraint(constraint), AnyValue.exact(None)
        return Constraint(
            f"null, or {inner.words}",
            lambda at: either(null.parts(at), merged(inner.parts(at))),
            inner.wants_value,
        )
