"""Constrain lists and objects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from ..clauses import Clause, Test
from .arguments import integer, scalars
from .constraints import Constraint, Parts, Place, gathered, merged
from .elements import of_each
from .values import AnyValue, as_constraint

__all__ = ["Structures"]


def _of_many(inner: Constraint, at: Place) -> tuple[Clause, ...]:
    """Return what requires this of every value at a place of many."""
    parts = inner.parts(at)
    if not inner.wants_value or any(len(part) != 1 for part in parts):
        raise ValueError("what every element must be is neither optional nor a choice")
    clauses = gathered([more for part in parts for clause in part[0] for more in of_each(clause)])
    if any(not clause.well_formed() for clause in clauses):
        raise ValueError("a list inside a list is the most that one constraint can tell of every element")
    return clauses


def _length(at: Place, *tests: Test) -> Clause:
    return Clause("arg_len", at.key, None, tests)


class Structures:
    """Constraints on lists and objects."""

    @staticmethod
    def subset_of(*values: object, empty: bool = False) -> Constraint:
        """Require a list in which every element is one of these strings, numbers, booleans or None.

        Args:
            values: what an element can be.
            empty: allow the empty list.
        """
        return Structures.each(AnyValue.one_of(*scalars(values, "must.subset_of")), empty=empty)

    @staticmethod
    def each(constraint: object, *, empty: bool = False, unique: bool = False) -> Constraint:
        """Require a list of at most 512 elements, each of which satisfies this constraint or exact value.

        ``must.each(must.fields(sku=..., quantity=must.between(1, 5), note=must.optional(...)))`` is a list of
        objects.

        Args:
            constraint: what every element must be.
            empty: allow the empty list.
            unique: require that no two elements are equal.
        """
        inner = as_constraint(constraint)

        def parts(at: Place) -> Parts:
            elements = at.spread("~*")
            clauses = list(_of_many(inner, elements))
            if not at.many:  # a list has the same facts as its elements, under a shorter key
                same = [c.key == elements.key and c.fact not in ("arg_fields", "arg_count") for c in clauses]
                clauses = [replace(c, key=at.key) if s else c for c, s in zip(clauses, same, strict=True)]
            clauses += [] if empty else [_length(at, Test("at_least", 1))]
            clauses += [Clause("arg_distinct", at.key, True)] if unique else []
            return (((*clauses,),),)

        parts(Place.argument("list"))
        words = f"a list{' without duplicates' if unique else ''}, each {inner.words}"
        return Constraint(words, parts)

    @staticmethod
    def fields(fields: Mapping[str, object] | None = None, /, **named: object) -> Constraint:
        """Require an object with these fields and no others, each with a constraint or an exact value."""
        inner = {name: as_constraint(value) for name, value in {**(fields or {}), **named}.items()}
        words = ", ".join(f"{name}: {constraint.words}" for name, constraint in inner.items())

        def parts(at: Place) -> Parts:
            closed = at.member("").names(Test("in", frozenset(inner)))
            own = [part for name, constraint in inner.items() for part in constraint.parts(at.member(name))]
            return merged([((closed,),), *own])

        return Constraint(f"an object with {words}" if words else "an object without fields", parts)

    @staticmethod
    def mapping(*, keys: object = None, values: object = None, at_most: int | None = None) -> Constraint:
        """Require an object of any names: at most 512 of them if they or the values are constrained.

        Args:
            keys: what every name must be: a constraint on strings.
            values: what every value must be: a constraint or an exact value.
            at_most: how many names there may be.
        """
        if at_most is not None and integer(at_most, "at_most") < 0:
            raise ValueError("must.mapping does not take a negative number")
        each = {step: as_constraint(c) for step, c in (("~k", keys), ("~v", values)) if c is not None}

        def parts(at: Place) -> Parts:
            tests = () if at_most is None else (Test("at_most", at_most),)
            inner = [clause for step, c in each.items() for clause in _of_many(c, at.spread(step))]
            return (((Clause("arg_size", at.key, None, tests), *inner),),)

        parts(Place.argument("mapping"))
        words = [f"at most {at_most} names"] if at_most is not None else []
        words += [f"each {'name' if step == '~k' else 'value'} {c.words}" for step, c in each.items()]
        return Constraint(f"an object with {', '.join(words)}" if words else "an object", parts)
