"""Constrain strings and lengths."""

from __future__ import annotations

from ...call.facts import fact
from ...call.matching import is_pattern
from ..clauses import Clause, Test
from .arguments import integer, list_of, shown, single, string
from .constraints import Constraint

__all__ = ["Strings"]


class Strings:
    """Constraints on strings."""

    @staticmethod
    def starts_with(prefix: str) -> Constraint:
        """Require a string with this beginning.

        Not for paths and URLs, whose components this does not see: use `under` and `url`.
        """
        prefix = string(prefix, "the prefix")
        return single(f"a string that starts with {shown(prefix)}", ("arg_str", (Test("starts", prefix),)))

    @staticmethod
    def ends_with(suffix: str) -> Constraint:
        """Require a string with this end.

        Not for email addresses, because the string may hold several: use `email`.
        """
        suffix = string(suffix, "the suffix")
        return single(f"a string that ends with {shown(suffix)}", ("arg_str", (Test("ends", suffix),)))

    @staticmethod
    def contains(text: str) -> Constraint:
        """Require a string in which this text occurs."""
        text = string(text, "the text")
        return single(f"a string that contains {shown(text)}", ("arg_str", (Test("has", text),)))

    @staticmethod
    def matches(pattern: str) -> Constraint:
        r"""Require a string that matches this pattern from its beginning to its end.

        A pattern has characters, classes and counts: ``must.matches("[A-Z]{2}-[0-9]{1,6}")``. It means what
        it means as a regular expression, but one pass decides it: no string costs more than its length.

        Args:
            pattern: 1 to 256 ASCII characters: letters, digits and punctuation, ``\`` before what has a
                meaning in regular expressions; classes of them, such as ``[a-z0-9_-]``; behind each ``?``,
                ``{n}`` or ``{m,n}`` up to 4096. Where an item may stop, what may follow begins with another
                character.

        Raises:
            ValueError: it is not such a pattern.
        """
        if not is_pattern(pattern):
            raise ValueError(
                "must.matches takes at most 256 characters, classes such as [A-Z0-9_-] and counts ?, {n} and"
                " {m,n}; what follows an item that may stop must begin with another character, and there are"
                " no groups, alternatives, '*', '+', '.', negated classes and '\\d'"
            )
        words = f"a string that matches {pattern}"
        return Constraint(words, lambda at: (((Clause("arg_matches", at.key, None, (), pattern),),),))

    @staticmethod
    def hex(*values: str) -> Constraint:
        """Require one of these strings of hexadecimal digits; their letters may be of either case."""
        read = [fact(string(value, "a value"), "arg_hex") for value in values]
        if not read or None in read:
            raise ValueError("must.hex takes strings of hexadecimal digits, such as 'ab12'")
        digits = frozenset(str(found[0]) for found in read if found)
        words = f"one of {list_of([shown(one) for one in sorted(digits)])}, in either case"
        return single(words, ("arg_hex", (Test("in", digits),)))

    @staticmethod
    def length(low: int, high: int) -> Constraint:
        """Require a string of so many characters (code points), or a list of so many elements.

        Args:
            low: the least length.
            high: the greatest length, included.
        """
        if _size(low, "low") >= _size(high, "high"):
            if low > high:
                raise ValueError("must.length: low is above high")
            return single(f"length {low}", ("arg_len", low))
        words = f"length from {low} to {high}"
        return single(words, ("arg_len", (Test("at_least", low), Test("at_most", high))))

    @staticmethod
    def max_length(length: int) -> Constraint:
        """Require a string of at most ``length`` characters (code points), or a list of so many elements."""
        return single(f"length at most {length}", ("arg_len", (Test("at_most", _size(length, "length")),)))

    @staticmethod
    def min_length(length: int) -> Constraint:
        """Require a string of at least ``length`` characters (code points), or a list of so many elements."""
        return single(f"length at least {length}", ("arg_len", (Test("at_least", _size(length, "length")),)))

    @staticmethod
    def non_empty() -> Constraint:
        """Require a string of at least one character, which may be a blank, or a list that is not empty."""
        return Strings.min_length(1)


def _size(value: object, name: str) -> int:
    size = integer(value, name)
    if size < 0:
        raise ValueError(f"{name} cannot be negative")
    return size
