"""What one argument must be: the namespace `must`.

    grant("send_email",
        to=must.email("acme.com"),
        body=must.max_length(2000),
        cc=must.optional("boss@acme.com"))

Nothing is coerced: a number is no text, ``True`` is no integer, and a value that is not canonical (a path
with ``..``, a URL with user info) is refused, not repaired. In `typing.Annotated`, a constraint is a tool's
own bound, whatever a capability says.
"""

from __future__ import annotations

from ..call import formats as shapes
from ..call.canonical import Json, MalformedError, encode, to_json
from ..call.facts import INT64, fact
from .clauses import SOURCED, Clause, Source, Test
from .constraints import Alternatives, Constraint, Place, combine

__all__ = ["as_constraint", "must"]


def as_constraint(value: object) -> Constraint:
    """The constraint itself, or exactly this value."""
    return value if isinstance(value, Constraint) else must.exact(value)


def _one(words: str, *clauses: tuple[str, object]) -> Constraint:
    """A constraint of one alternative: (predicate, literal or tests) at the place's key."""

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


def _whole(value: object, name: str) -> int:
    if type(value) is not int or not -INT64 <= value < INT64:
        raise ValueError(
            f"{name} is a whole number of 64 bits; other numbers are compared by must.exact only"
        )
    return value


def _text(value: object, name: str) -> str:
    text = _plain(value)
    if not isinstance(text, str) or not text:
        raise ValueError(f"{name} is a text of at least one character")
    return text


def _shown(value: Json) -> str:
    text = repr(value) if isinstance(value, str) else encode(value).decode()
    return text if len(text) <= 80 else text[:77] + "..."


def _list_of(words: list[str]) -> str:
    return ", ".join(words[:8]) + (f" or {len(words) - 8} more" if len(words) > 8 else "")


def _scalars(values: tuple[object, ...], name: str) -> list[Json]:
    scalars = [_plain(value) for value in values]
    if not scalars or any(isinstance(value, (list, dict)) for value in scalars):
        raise ValueError(f"{name} takes at least one value, each a text, a number, a truth value or None")
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
    """The clause about one element, asked of every element of the list at ``key``."""
    fact = _EACH.get(clause.fact)
    if fact is None or type(clause.equal) is bool:
        raise ValueError("must.each takes texts, whole numbers, paths, URLs, addresses and lengths")
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
    """What one argument must be."""

    @staticmethod
    def exact(value: object) -> Constraint:
        """Exactly this value, of any JSON type. A plain value in a grant means the same.

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
        return _one(words, ("arg_json", (fact({"value": json}, "arg_json", "value") or ())[0]))

    @staticmethod
    def one_of(*values: object) -> Constraint:
        """One of these texts, numbers, truth values or None; of mixed types as you like."""
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
        """Any value at all, but it must be there."""
        return Constraint("anything", lambda at: ((at.names(Test("has", at.name)),),))

    @staticmethod
    def optional(constraint: object = None) -> Constraint:
        """May be left out; if it is there, this holds (a constraint, or exactly a value; default: anything).

        Each optional argument with a bound doubles the branches of its grant: at most 6 in one grant.
        """
        inner = must.anything() if constraint is None else as_constraint(constraint)
        if not inner.wants_value:
            raise ValueError("must.optional inside of must.optional")
        if constraint is None:
            return Constraint("anything, or left out", lambda _: ((),), wants_value=False)
        return Constraint(
            f"left out, or {inner.words}",
            lambda at: ((at.names(Test("lacks", at.name)),), *inner.alternatives(at)),
            wants_value=False,
        )

    @staticmethod
    def starts_with(prefix: str) -> Constraint:
        """A text that begins so. For paths and URLs use `under` and `url`: a text knows no components."""
        prefix = _text(prefix, "the prefix")
        return _one(f"a text that starts with {_shown(prefix)}", ("arg_str", (Test("starts", prefix),)))

    @staticmethod
    def ends_with(suffix: str) -> Constraint:
        """A text that ends so. For mail addresses use `email`: a text may hold more than one address."""
        suffix = _text(suffix, "the suffix")
        return _one(f"a text that ends with {_shown(suffix)}", ("arg_str", (Test("ends", suffix),)))

    @staticmethod
    def under(root: str) -> Constraint:
        """A canonical absolute path: this one or below it, by whole components.

        Refused: relative paths, ``..``, ``//``, a closing slash, encoded separators, control and
        invisible characters. Not protected: symbolic links and case-insensitive file systems; where they
        matter the tool resolves the path itself (`os.path.realpath`) and checks again.
        """
        root = str(_plain(root))
        path = shapes.path(root)
        if path is None:
            raise ValueError("must.under takes a canonical absolute path, such as '/srv/data'")
        return _one(f"a path under {_shown(root)}", ("arg_path", (Test("starts", path),)))

    @staticmethod
    def between(low: int, high: int) -> Constraint:
        """A whole number, both ends included."""
        if _whole(low, "low") > _whole(high, "high"):
            raise ValueError("must.between: low is above high")
        tests = (Test("at_least", low), Test("at_most", high))
        return _one(f"a whole number from {low} to {high}", ("arg_int", tests))

    @staticmethod
    def at_least(low: int) -> Constraint:
        """A whole number of at least this."""
        tests = (Test("at_least", _whole(low, "low")),)
        return _one(f"a whole number of at least {low}", ("arg_int", tests))

    @staticmethod
    def at_most(high: int) -> Constraint:
        """A whole number of at most this."""
        tests = (Test("at_most", _whole(high, "high")),)
        return _one(f"a whole number of at most {high}", ("arg_int", tests))

    @staticmethod
    def max_length(length: int) -> Constraint:
        """A text of at most so many code points, or a list of at most so many elements."""
        if _whole(length, "length") < 0:
            raise ValueError("must.max_length takes no negative length")
        return _one(f"at most {length} long", ("arg_len", (Test("at_most", length),)))

    @staticmethod
    def url(*hosts: str, scheme: str = "https", port: int | None = None, under: str = "/") -> Constraint:
        """A canonical URL of one of these hosts, at this path or below it. The query is free.

        Refused: user info, fragments, trailing dots, numeric, IPv6 and punycode hosts, control and
        non-ASCII characters, dot segments plain or encoded, needless percent-encoding. ``port`` is the
        scheme's own if None. Not protected: where the name resolves to, and redirects.
        """
        at = "" if port is None else f":{_whole(port, 'port')}"
        read = {host: shapes.url(f"{scheme}://{_text(host, 'a host')}{at}{under}") for host in hosts}
        bad = [host for host, url in read.items() if url is None or "/" in host or "?" in host or ":" in host]
        if bad or not hosts or not under.startswith("/") or "?" in under:
            raise ValueError("must.url takes lower-case host names, http or https, and a canonical path")
        origins = frozenset(url[0] for url in read.values() if url)
        path = next(url[1] for url in read.values() if url)
        tests = [Test("in", origins), *([Test("starts", path, 1)] if path != "/" else [])]
        words = f"a URL of {_list_of(sorted(origins))}" + (f" under {under}" if path != "/" else "")
        return _one(words, ("arg_url", tuple(tests)))

    @staticmethod
    def email(*allowed: str) -> Constraint:
        """Exactly one mail address: one of these, or at one of these domains (written without ``@``).

        Refused: lists, display names, quoting, comments, line breaks, IP and punycode domains.
        """
        addresses = frozenset(a for a in allowed if "@" in a)
        domains = frozenset(allowed) - addresses
        read = [shapes.email(a) for a in addresses] + [shapes.email(f"a@{d}") for d in domains]
        if not read or None in read:
            raise ValueError("must.email takes addresses and lower-case domains")
        words = f"one mail address: {_list_of(sorted(addresses) + [f'any at {d}' for d in sorted(domains)])}"
        tests = [(Test("in", addresses, 0),)] if addresses else []
        tests += [(Test("in", domains, 1),)] if domains else []
        return Constraint(words, lambda at: tuple((Clause("arg_email", at.key, None, t),) for t in tests))

    @staticmethod
    def subset_of(*values: object, empty: bool = False) -> Constraint:
        """A list of which every element is one of these: all texts, or all whole numbers."""
        inner = must.one_of(*_scalars(values, "must.subset_of"))
        each = must.each(inner, empty=empty)
        return Constraint(f"a list out of {inner.words.removeprefix('one of ')}", each.alternatives)

    @staticmethod
    def each(constraint: object, *, empty: bool = False) -> Constraint:
        """A list (at most 512 elements) of which every element satisfies this. An empty one only if said."""
        inner = as_constraint(constraint)
        if not inner.wants_value or len(inner.alternatives(Place.argument("element"))) != 1:
            raise ValueError("must.each takes one constraint that is neither optional nor a choice")

        def alternatives(at: Place) -> Alternatives:
            clauses = tuple(_for_each(clause, at.key) for clause in inner.alternatives(at)[0])
            return (clauses if empty else (_filled(at.key), *clauses),)

        alternatives(Place.argument("element"))
        return Constraint(f"a list, each {inner.words}", alternatives)

    @staticmethod
    def fields(fields: dict[str, object] | None = None, /, **named: object) -> Constraint:
        """An object with these fields and no others, each with a constraint or exactly a value."""
        inner = {name: as_constraint(value) for name, value in {**(fields or {}), **named}.items()}
        words = ", ".join(f"{name}: {constraint.words}" for name, constraint in inner.items())

        def alternatives(at: Place) -> Alternatives:
            closed = at.member("").names(Test("in", frozenset(inner)))
            parts = [constraint.alternatives(at.member(name)) for name, constraint in inner.items()]
            return combine(((closed,),), *parts)

        return Constraint(f"an object of {words or 'no fields'}", alternatives)

    @staticmethod
    def command(program: str, *words: object, rest: object = None) -> Constraint:
        """An argument list (never a shell line): the full path of a program, then its words in order.

        Each word is a text or a constraint; a word that is not spelled out must be no option (it cannot
        start with ``-``). ``rest`` is what every further word must be; without it there are no more.
        """
        if shapes.argv([program]) is None:
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
    """What a word of a command must be; spelled out, or no option."""
    if not constraint.wants_value:
        raise ValueError("a word of must.command cannot be optional: use rest")
    operand = Clause("arg_operands" if many else "arg_operand", at.key)
    found = []
    for clauses in constraint.alternatives(at):
        told = tuple(c for c in clauses if c.fact not in ("arg_names", "arg_fields"))
        spelled = any(
            (c.equal is not None and c.fact not in SOURCED) or any(t.op == "in" for t in c.tests)
            for c in told
        )
        found.append(told if spelled else (operand, *told))
    return tuple(found)
