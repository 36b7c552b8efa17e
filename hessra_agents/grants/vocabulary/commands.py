"""Constrain commands, which are lists of words."""

from __future__ import annotations

from ...call import formats
from ...call.places import find
from ..clauses import SOURCED, Clause, Test
from .constraints import Alternatives, Constraint, Parts, Place, merged
from .structures import Structures
from .values import as_constraint

__all__ = ["Commands"]


class Commands:
    """Constraints on commands."""

    @staticmethod
    def command(program: str, *words: object, rest: object = None) -> Constraint:
        """Require a command as a list of words, never a shell line: a program, then its words in order.

        Not protected: what the program does with its words, and a tool that hands them to a shell.

        Args:
            program: the full path of the program.
            words: a string or a constraint for each word. A word that the grant does not spell out cannot be
                an option: it cannot start with ``-``.
            rest: what every further word must be; if omitted, there are no further words.
        """
        if formats.argv([program]) is None:
            raise ValueError("must.command takes the canonical absolute path of a program")
        inner = [as_constraint(word) for word in words]
        tail = None if rest is None else Structures.each(rest, empty=True)
        shown = " ".join([program, *(str(w) for w in inner), *([f"then {rest}"] if rest else [])])

        def parts(at: Place) -> Parts:
            count = len(inner) + 1
            tests = [Test("at_least", count), *([Test("at_most", count)] if tail is None else [])]
            argv = (Clause("arg_argv", at.key, program), Clause("arg_len", at.key, None, tuple(tests)))
            placed = [_word(part, at.member(str(i))) for i, part in enumerate(inner, 1)]
            if tail is not None:
                placed.append(_word(tail, at.member(f"{count}:"), many=True))
            return merged([(argv,), *placed])

        parts(Place.argument("argv"))
        return Constraint(f"the command {shown}", parts)

    @staticmethod
    def command_line(program: str, *words: object, rest: object = None) -> Constraint:
        """Require a command as one plain line, for a tool that takes lines; the rest as for `command`.

        A plain line has words of ASCII letters, digits and ``_./:@+,=-``, with single blanks between them:
        every shell splits it alike, and nothing in it means anything to a shell. It cannot hold any other
        word, in quotes or not.
        """
        inner = Commands.command(program, *words, rest=rest)
        exact = [c.equal for part in inner.parts(Place.argument("line")) for way in part for c in way]
        for word in exact:
            if isinstance(word, str) and find({"line": word}, "/line/~w")[0] != [word]:
                raise ValueError("must.command_line takes words without blanks, quotes or signs of a shell")
        described = f"a plain line with {inner.words}"
        return Constraint(described, lambda at: inner.parts(at.spread("~w")))


def _word(constraint: Constraint, at: Place, *, many: bool = False) -> Alternatives:
    """Return what a word of a command must be: spelled out by the grant, or not an option."""
    if not constraint.wants_value:
        raise ValueError("a word of must.command cannot be optional: use rest")
    operand = Clause("arg_operands" if many else "arg_operand", at.key)
    alternatives = []
    for clauses in constraint.alternatives(at):
        on_value = tuple(c for c in clauses if c.fact not in ("arg_names", "arg_fields", "arg_count"))
        spelled_out = any(
            (c.equal is not None and c.fact not in SOURCED) or any(t.op == "in" for t in c.tests)
            for c in on_value
        )
        alternatives.append(on_value if spelled_out else (operand, *on_value))
    return tuple(alternatives)
