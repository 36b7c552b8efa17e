"""Constrain one argument, by the namespace `must`.

    grant("send_email",
        to=must.email("acme.com"),
        body=must.max_length(2000),
        cc=must.optional("boss@acme.com"))

Nothing is coerced: a number is not a string, ``True`` is not an integer, and a value that is not canonical (a
path with ``..``, a URL with user info) is refused, not repaired. In `typing.Annotated`, a constraint is a
tool's own bound and holds for every capability.
"""

from __future__ import annotations

from ..call import formats
from ..call.canonical import Json, MalformedError, encode, to_json
from ..call.facts import INT64, fact
from .clauses import SOURCED, Clause, Source, Test
from .constraints import Alternatives, Constraint, Place, combine

__all__ = ["as_constraint", "must"]


def as_constraint(value: object) -> Constraint:
    """Return the constraint itself, or one that requires exactly this value."""
    return value if isinstance(value, Constraint) else must.exact(value)


def _one(words: str, *clauses: tuple[str, object]) -> Constraint:
    """Return a constraint with one alternative; each clause is a predicate, and a literal or tests."""

    def alternatives(at: Place) -> Alternatives:
        return (tuple(_clause(fact, at.key, what) for fact, what in clauses),)

    return Constraint(words, alternatives)


def _clause(fact: str, key: str, what: object) -> Clause:
    if isinstance(what, tuple):
        return Clause(fact, key, None, what)
    return Clause(fact, key, what)  # type: ignore[arg-type]


def _plain(value: object) -> Json:
    try:
        return to_json(value)
    except MalformedError as error:
        raise ValueError(f"a constraint cannot hold this value: {error}") from error


def _integer(value: object, name: str) -> int:
    if type(value) is not int or not -INT64 <= value < INT64:
        raise ValueError(f"{name} must be a 64-bit integer; only must.exact accepts other numbers")
    return value


def _string(value: object, name: str) -> str:
    string = _plain(value)
    if not isinstance(string, str) or not string:
        raise ValueError(f"{name} must be a string of at least one character")
    return string


def _shown(value: Json) -> str:
    text = repr(value) if isinstance(value, str) else encode(value).decode()
    return text if len(text) <= 80 else text[:77] + "..."


def _list_of(words: list[str]) -> str:
    return ", ".join(words[:8]) + (f" or {len(words) - 8} more" if len(words) > 8 else "")


def _scalars(values: tuple[object, ...], name: str) -> list[Json]:
    scalars = [_plain(value) for value in values]
    if not scalars or any(isinstance(value, (list, dict)) for value in scalars):
        raise ValueError(f"{name} takes at least one value, each a string, a number, a boolean or None")
    return scalars


_EACH = {
    "arg_str": "arg_strs",
    "arg_int": "arg_ints",
    "arg_path": "arg_paths",
    "arg_url": "arg_urls",
    "arg_email": "arg_emails",
    "arg_len": "arg_lens",
    "arg_operand": "arg_operands",
    "result_of": "results_of",
}


def _for_each(clause: Clause, key: str) -> Clause:
    """Return the clause that requires of every element of the list at ``key`` what this one does of one."""
    fact = _EACH.get(clause.fact)
    if fact is None or type(clause.equal) is bool:
        raise ValueError("must.each takes strings, integers, paths, URLs, email addresses and lengths")
    if isinstance(clause.equal, Source):
        return Clause(fact, key, clause.equal)
    if clause.equal is not None:
        only = frozenset({clause.equal})
        return Clause(fact, key, None, (Test("in", only),))  # type: ignore[arg-type]
    tests = tuple(t if t.op == "in" else Test(t.op, t.operand, t.index, each=True) for t in clause.tests)
    return Clause(fact, key, None, tests)


def _filled(key: str) -> Clause:
    return Clause("arg_len", key, None, (Test("at_least", 1),))


class must:  # noqa: N801 -- read as a word: to=must.one_of(...)
    """Constraints on one argument. Every method returns a `Constraint`; join them with ``&``."""

    @staticmethod
    def exact(value: object) -> Constraint:
        """Require exactly this value, of any JSON type. A plain value in a grant means the same.

        Lists and objects are compared by the sha256 of their canonical JSON.
        """
        json = _plain(value)
        words = f"exactly {_shown(json)}"
        if isinstance(json, str):
            return _one(words, ("arg_str", json))
        if isinstance(json, bool):
            return _one(words, ("arg_bool", json))
        if json is None:
            return _one(words, ("arg_null", True))
        if isinstance(json, int) and -INT64 <= json < INT64:
            return _one(words, ("arg_int", json))
        if isinstance(json, (int, float)):
            return _one(words, ("arg_scalar", encode(json).decode()))
        return _one(words, ("arg_json", (fact(json, "arg_json") or ())[0]))

    @staticmethod
    def one_of(*values: object) -> Constraint:
        """Require one of these strings, numbers, booleans or None; the types may be mixed."""
        scalars = _scalars(values, "must.one_of")
        words = f"one of {_list_of([_shown(value) for value in scalars])}"
        if all(type(value) is str for value in scalars):
            return _one(words, ("arg_str", (Test("in", frozenset(scalars)),)))  # type: ignore[arg-type]
        if all(type(value) is int and -INT64 <= value < INT64 for value in scalars):
            return _one(words, ("arg_int", (Test("in", frozenset(scalars)),)))  # type: ignore[arg-type]
        texts = frozenset(encode(value).decode() for value in scalars)
        return _one(words, ("arg_scalar", (Test("in", texts),)))

    @staticmethod
    def anything() -> Constraint:
        """Require the argument, with any value."""
        return Constraint("anything", lambda at: ((at.names(Test("has", at.name)),),))

    @staticmethod
    def optional(constraint: object = None) -> Constraint:
        """Allow that the argument is omitted; if it is present, require this constraint or exact value.

        Each optional argument with a constraint doubles the branches of its grant: at most 6 in one grant.

        Args:
            constraint: what the argument must be if it is present; if omitted, anything.
        """
        inner = must.anything() if constraint is None else as_constraint(constraint)
        if not inner.wants_value:
            raise ValueError("must.optional cannot stand inside must.optional")
        if constraint is None:
            return Constraint("anything, or omitted", lambda _: ((),), wants_value=False)
        return Constraint(
            f"omitted, or {inner.words}",
            lambda at: ((at.names(Test("lacks", at.name)),), *inner.alternatives(at)),
            wants_value=False,
        )

    @staticmethod
    def starts_with(prefix: str) -> Constraint:
        """Require a string with this beginning.

        Not for paths and URLs, whose components this does not see: use `under` and `url`.
        """
        prefix = _string(prefix, "the prefix")
        return _one(f"a string that starts with {_shown(prefix)}", ("arg_str", (Test("starts", prefix),)))

    @staticmethod
    def ends_with(suffix: str) -> Constraint:
        """Require a string with this end.

        Not for email addresses, because the string may hold several: use `email`.
        """
        suffix = _string(suffix, "the suffix")
        return _one(f"a string that ends with {_shown(suffix)}", ("arg_str", (Test("ends", suffix),)))

    @staticmethod
    def under(root: str) -> Constraint:
        """Require a canonical absolute path: this path or one below it, by whole components.

        Refused: relative paths, ``..``, ``//``, a final slash, encoded separators, control and invisible
        characters. Not protected: symbolic links and case-insensitive file systems; where they matter, the
        tool must resolve the path itself (`os.path.realpath`) and check again.
        """
        root = str(_plain(root))
        path = formats.path(root)
        if path is None:
            raise ValueError("must.under takes a canonical absolute path, such as '/srv/data'")
        return _one(f"a path under {_shown(root)}", ("arg_path", (Test("starts", path),)))

    @staticmethod
    def between(low: int, high: int) -> Constraint:
        """Require an integer in this range, both ends included."""
        if _integer(low, "low") > _integer(high, "high"):
            raise ValueError("must.between: low is above high")
        tests = (Test("at_least", low), Test("at_most", high))
        return _one(f"an integer from {low} to {high}", ("arg_int", tests))

    @staticmethod
    def at_least(low: int) -> Constraint:
        """Require an integer of at least this."""
        tests = (Test("at_least", _integer(low, "low")),)
        return _one(f"an integer of at least {low}", ("arg_int", tests))

    @staticmethod
    def at_most(high: int) -> Constraint:
        """Require an integer of at most this."""
        tests = (Test("at_most", _integer(high, "high")),)
        return _one(f"an integer of at most {high}", ("arg_int", tests))

    @staticmethod
    def max_length(length: int) -> Constraint:
        """Require a string of at most ``length`` characters (code points), or a list of so many elements."""
        if _integer(length, "length") < 0:
            raise ValueError("must.max_length does not take a negative length")
        return _one(f"length at most {length}", ("arg_len", (Test("at_most", length),)))

    @staticmethod
    def url(*hosts: str, scheme: str = "https", port: int | None = None, under: str = "/") -> Constraint:
        """Require a canonical URL at one of these hosts, at this path or below it. The query is free.

        Refused: user info, fragments, final dots, numeric, IPv6 and punycode hosts, control and non-ASCII
        characters, dot segments plain or encoded, needless percent-encoding. Not protected: what the host
        name resolves to, and redirects.

        Args:
            hosts: host names in lower case.
            scheme: ``https`` or ``http``.
            port: the port; if None, the scheme's own.
            under: the path, by whole components.
        """
        at = "" if port is None else f":{_integer(port, 'port')}"
        read = {host: formats.url(f"{scheme}://{_string(host, 'a host')}{at}{under}") for host in hosts}
        bad = [host for host, url in read.items() if url is None or "/" in host or "?" in host or ":" in host]
        if bad or not hosts or not under.startswith("/") or "?" in under:
            raise ValueError("must.url takes lower-case host names, http or https, and a canonical path")
        origins = frozenset(url[0] for url in read.values() if url)
        path = next(url[1] for url in read.values() if url)
        tests = [Test("in", origins), *([Test("starts", path, 1)] if path != "/" else [])]
        words = f"a URL at {_list_of(sorted(origins))}" + (f" under {under}" if path != "/" else "")
        return _one(words, ("arg_url", tuple(tests)))

    @staticmethod
    def email(*allowed: str) -> Constraint:
        """Require exactly one email address: one of these, or at one of these domains (without ``@``).

        Refused: lists, display names, quoting, comments, line breaks, IP and punycode domains.
        """
        addresses = frozenset(a for a in allowed if "@" in a)
        domains = frozenset(allowed) - addresses
        read = [formats.email(a) for a in addresses] + [formats.email(f"a@{d}") for d in domains]
        if not read or None in read:
            raise ValueError("must.email takes addresses and lower-case domains")
        words = f"one email address: {_list_of(sorted(addresses) + [f'any at {d}' for d in sorted(domains)])}"
        tests = [(Test("in", addresses, 0),)] if addresses else []
        tests += [(Test("in", domains, 1),)] if domains else []
        return Constraint(words, lambda at: tuple((Clause("arg_email", at.key, None, t),) for t in tests))

    @staticmethod
    def subset_of(*values: object, empty: bool = False) -> Constraint:
        """Require a list in which every element is one of these strings, or one of these integers.

        Args:
            values: all strings, or all integers.
            empty: allow the empty list.
        """
        return must.each(must.one_of(*_scalars(values, "must.subset_of")), empty=empty)

    @staticmethod
    def each(constraint: object, *, empty: bool = False) -> Constraint:
        """Require a list of at most 512 elements, each of which satisfies this constraint or exact value.

        Args:
            constraint: what every element must be.
            empty: allow the empty list.
        """
        inner = as_constraint(constraint)
        if not inner.wants_value or len(inner.alternatives(Place.argument("element"))) != 1:
            raise ValueError("must.each takes a constraint that is neither optional nor a choice")

        def alternatives(at: Place) -> Alternatives:
            clauses = tuple(_for_each(clause, at.key) for clause in inner.alternatives(at)[0])
            return (clauses if empty else (_filled(at.key), *clauses),)

        alternatives(Place.argument("element"))
        return Constraint(f"a list, each {inner.words}", alternatives)

    @staticmethod
    def fields(fields: dict[str, object] | None = None, /, **named: object) -> Constraint:
        """Require an object with these fields and no others, each with a constraint or an exact value."""
        inner = {name: as_constraint(value) for name, value in {**(fields or {}), **named}.items()}
        words = ", ".join(f"{name}: {constraint.words}" for name, constraint in inner.items())

        def alternatives(at: Place) -> Alternatives:
            closed = at.member("").names(Test("in", frozenset(inner)))
            parts = [constraint.alternatives(at.member(name)) for name, constraint in inner.items()]
            return combine(((closed,),), *parts)

        return Constraint(f"an object with {words}" if words else "an object without fields", alternatives)

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
        parts = [as_constraint(word) for word in words]
        tail = None if rest is None else must.each(rest, empty=True)
        shown = " ".join([program, *(str(w) for w in parts), *([f"then {rest}"] if rest else [])])

        def alternatives(at: Place) -> Alternatives:
            count = len(parts) + 1
            tests = [Test("at_least", count), *([Test("at_most", count)] if tail is None else [])]
            argv = (Clause("arg_argv", at.key, program), Clause("arg_len", at.key, None, tuple(tests)))
            placed = [_word(part, at.member(str(i))) for i, part in enumerate(parts, 1)]
            if tail is not None:
                placed.append(_word(tail, at.member(f"{count}:"), many=True))
            return combine((argv,), *placed)

        alternatives(Place.argument("argv"))
        return Constraint(f"the command {shown}", alternatives)


def _word(constraint: Constraint, at: Place, *, many: bool = False) -> Alternatives:
    """Return what a word of a command must be: spelled out by the grant, or not an option."""
    if not constraint.wants_value:
        raise ValueError("a word of must.command cannot be optional: use rest")
    operand = Clause("arg_operands" if many else "arg_operand", at.key)
    alternatives = []
    for clauses in constraint.alternatives(at):
        on_value = tuple(c for c in clauses if c.fact not in ("arg_names", "arg_fields"))
        spelled_out = any(
            (c.equal is not None and c.fact not in SOURCED) or any(t.op == "in" for t in c.tests)
            for c in on_value
        )
        alternatives.append(on_value if spelled_out else (operand, *on_value))
    return tuple(alternatives)
