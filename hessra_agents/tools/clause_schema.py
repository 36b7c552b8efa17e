"""Write what clauses require of a value as JSON Schema.

The *ways* of a pattern become one schema for each argument. Two tables hold what the facts about a value and
their tests are in keywords. What has no keyword (a fact that is not in the tables, a digest, the source of a
value) is told in words, in ``description``.

Regular expressions are in the syntax that ECMA-262 with ``u``, RE2 and Python read alike.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, TypeAlias

from ..call.canonical import parse
from ..call.facts import OF_MANY
from ..call.places import MAX_ELEMENTS, SPREADS, escape, unescape
from ..grants.clauses import Clause, Test
from ..grants.describe import describe_clauses
from ..grants.vocabulary.elements import of_one
from ..grants.vocabulary.measures import MEASURES, edge, write_measure
from .schema_join import Schema, joined

__all__ = ["Way", "schema_of"]


@dataclass(slots=True)
class Way:
    """What one way to match a pattern requires of a place, and of the places inside it."""

    clauses: list[Clause] = field(default_factory=list)
    told: list[Clause] = field(default_factory=list)
    """Clauses that are told in words only."""
    names: list[Test] = field(default_factory=list)
    members: dict[str, Way] = field(default_factory=dict)
    """By the step of a pointer, still escaped."""
    is_object: bool = False
    required: bool = False
    omitted: bool = False

    @classmethod
    def of(cls, clauses: Sequence[Clause]) -> Way:
        """Return the place of all arguments."""
        root = cls()
        for clause in clauses:
            many = any(step in SPREADS for step in clause.key.split("/"))
            single = of_one(clause, clause.key) if many else clause
            above, is_line, _ = clause.key.partition("/~w")
            place = root._at(above)
            if clause.fact in ("arg_names", "arg_fields"):
                place._add_names(clause.tests, many=many)
            elif is_line or single is None:
                place.told += (
                    [clause] if clause.fact != "arg_count" else []
                )  # it says that the values are there
            else:
                place.clauses.append(single)
        return root

    def _at(self, key: str) -> Way:
        """Return the place of a key; what leads there must be there, but for optional fields (``~?``)."""
        place = self
        for step in key[1:].split("/") if key[:1] == "/" else [escape(key)] if key else []:
            place = place._member(step.removesuffix("~?"))
            place.required |= not step.endswith("~?")
        return place

    def _add_names(self, tests: Sequence[Test], *, many: bool) -> None:
        self.is_object = True
        for test in tests:
            if test.op in ("has", "lacks"):
                member = self._member(escape(str(test.operand)))
                member.required |= test.op == "has" and not many
                member.omitted |= test.op == "lacks"
            else:
                self.names.append(test)

    def _member(self, step: str) -> Way:
        return self.members.setdefault(step, Way())

    @property
    def listed(self) -> frozenset[str] | None:
        """The names that may occur inside, or None if any name may."""
        sets = [frozenset(map(str, t.operand)) for t in self.names if isinstance(t.operand, frozenset)]
        return frozenset.intersection(*sets) if sets else None

    def words(self) -> str:
        """Return what keywords do not say, or not as plainly as words."""
        own = [describe_clauses(self.clauses)] if any(map(_needs_words, self.clauses)) else []
        return " and ".join([*own, *([describe_clauses(self.told)] if self.told else [])])

    def only_member(self) -> str | None:
        """Return the step of the one member that this way is about, if it is about nothing else."""
        return (
            next(iter(self.members))
            if len(self.members) == 1 and not (self.clauses or self.told or self.names)
            else None
        )


def schema_of(ways: Sequence[Way | None]) -> Schema:
    """Return the schema of a value that meets one of these ways; None stands for a way that omits it."""
    present = [way for way in ways if way is not None and not way.omitted]
    steps = {way.only_member() for way in present}
    step = steps.pop() if len(present) > 1 and len(steps) == 1 else None
    if step is not None:  # all are about one and the same place inside
        inner = [way.members[step] for way in present]
        whole = Way(is_object=any(way.is_object for way in present))
        whole.members[step] = Way(required=all(one.required and not one.omitted for one in inner))
        return _schema(whole, {step: schema_of(inner)})
    options: list[Schema] = []
    for way in present:
        option = _schema(way)
        if option not in options:
            options.append(option)
    if len(options) == 1:
        return options[0]
    if not options or {} in options:
        return {}
    told = any(way.words() for way in present)
    described = [way.words() or describe_clauses(way.clauses) for way in present if way.clauses or way.told]
    words = {"description": " or ".join(dict.fromkeys(described))} if told else {}
    return {"anyOf": [{k: v for k, v in one.items() if k != "description"} for one in options], **words}


def _schema(place: Way, inner: dict[str, Schema] | None = None) -> Schema:
    """Return the schema of what one way requires of a value.

    Args:
        place: the way.
        inner: the schemas of its members, if they are known.
    """
    found: Schema = {}
    for clause in place.clauses:
        found = _both(found, _keywords(clause))
    inner = {step: schema_of([one]) for step, one in place.members.items()} if inner is None else inner
    for step, one in inner.items():
        found = _both(found, _inside(step, one, place.members[step]))
    if place.is_object:
        listed = place.listed
        closed: Schema = {"type": "object"}
        if listed is not None:
            closed["properties"] = {name: {} for name in sorted(listed)}
            closed["additionalProperties"] = False
        found = _both(found, closed)
    words = place.words()
    return {**found, "description": words} if words else found


def _both(one: Schema, other: Schema) -> Schema:
    both = joined(one, other)
    return {"not": {}} if both is None else both


def _inside(step: str, inner: Schema, place: Way) -> Schema:
    """Return the schema of a value of which this is the schema at one step inside."""
    if step in SPREADS:
        bound = {"maxItems" if step == "~*" else "maxProperties": MAX_ELEMENTS}
        return {"type": "array" if step == "~*" else "object", _SPREADS[step]: inner, **bound}
    name = unescape(step)
    required = place.required and not place.omitted
    member: Schema = {"type": "object", "properties": {name: False if place.omitted else inner}}
    member |= {"required": [name]} if required else {}
    index = step.removesuffix(":")
    if not index.isdecimal():
        return member
    before: list[Any] = [{}] * int(index)
    if step != index:  # the rest of a list
        rest = {"items": inner["items"]} if "items" in inner else {}
        return {"type": "array", "prefixItems": before, "minItems": len(before), **rest}
    found = {"prefixItems": [*before, inner], "minItems": (len(before) + 1) * required}
    return {**member, **found, "type": ["array", "object"]}


_SPREADS = {"~*": "items", "~k": "propertyNames", "~v": "additionalProperties"}


def _keywords(clause: Clause) -> Schema:
    """Return the schema of a value about which a clause holds."""
    if clause.fact in OF_MANY:
        element = of_one(clause, clause.key)
        return {"type": "array", "items": _keywords(element) if element else {}, "maxItems": MAX_ELEMENTS}
    found = dict(_FACTS.get(clause.fact, {}))
    if clause.fact == "arg_matches":
        return found | {"pattern": f"^{clause.parameter}$"}
    if clause.equal is not None:
        equal = _written(clause, clause.equal) if clause.fact in MEASURES else clause.equal
        return _both(found, _EQUAL[clause.fact](equal)) if clause.fact in _EQUAL else found
    for test in clause.tests:
        found = _both(found, _test(clause, test))
    form = _url(clause) if clause.fact in _HOSTS else _FORMS.get(clause.fact)
    # what a test says of the form is more
    return found if form is None or found.keys() & {"pattern", "enum"} else _both(found, {"pattern": form})


def _needs_words(clause: Clause) -> bool:
    """Return whether keywords do not tell all that a clause requires, or not as plainly as words."""
    if clause.fact in OF_MANY:
        element = of_one(clause, clause.key)
        return element is None or _needs_words(element)
    if clause.equal is not None:
        return clause.fact not in _PLAIN
    return clause.fact not in _PLAIN or not all(_test(clause, test) for test in clause.tests)


_ANY_NAME = r"([^/.][^/]*|\.[^/.][^/]*|\.\.[^/]+)"
"""A component of a path that is neither empty, nor one or two dots."""

_LOCAL = r"[A-Za-z0-9#$&'*+/=?^_`{|}~.-]+"

_FACTS: dict[str, Schema] = {
    "arg_str": {"type": "string"},
    "arg_int": {"type": "integer"},
    "arg_bool": {"type": "boolean"},
    "arg_null": {"type": "null"},
    "arg_scalar": {"type": ["string", "number", "boolean", "null"]},
    "arg_json": {"type": ["array", "object", "number"]},
    "arg_len": {"type": ["string", "array"]},
    **{key: {"type": "string"} for key in ("arg_path", "arg_parent", "arg_relpath", "arg_url", "arg_ip_url")},
    "arg_email": {"type": "string"},
    "arg_argv": {"type": "array", "items": {"type": "string"}, "minItems": 1},
    **{key: {"type": "string"} for key in ("arg_operand", "arg_matches", "arg_host", "arg_hex")},
    "arg_number": {"type": "number"},
    "arg_fixed": {"type": "number"},
    "arg_date": {"type": "string", "format": "date"},
    "arg_instant": {"type": "string", "format": "date-time"},
    "arg_size": {"type": "object"},
    "arg_distinct": {"type": "array", "uniqueItems": True, "maxItems": MAX_ELEMENTS},
}
"""What every value of a fact is."""

_FORMS = {
    "arg_path": rf"^/({_ANY_NAME}(/{_ANY_NAME})*)?$",
    "arg_parent": f"^/{_ANY_NAME}(/{_ANY_NAME})*$",
    "arg_relpath": f"^{_ANY_NAME}(/{_ANY_NAME})*$",
    "arg_email": f"^{_LOCAL}@[a-z0-9.-]+$",
    "arg_operand": "^[^-]",
    "arg_host": "^[A-Za-z0-9.-]+$",
    "arg_hex": "^[0-9A-Fa-f]+$",
}
"""The form of the strings that have a fact."""

_PLAIN = frozenset(
    {"arg_str", "arg_int", "arg_bool", "arg_null", "arg_scalar", "arg_len", "arg_path", "arg_number"}
    | {"arg_matches"}
    | {"arg_size", "arg_distinct"}
)
"""The facts whose keywords a model reads as well as words."""

_EQUAL: dict[str, Callable[[Any], Schema]] = {
    **dict.fromkeys(("arg_str", "arg_int", "arg_bool"), lambda value: {"const": value}),
    "arg_null": lambda value: {} if value is True else {"not": {}},
    "arg_scalar": lambda text: {"const": parse(text)} if _is_json(text) else {"not": {}},
    "arg_len": lambda size: _sized(size, "minLength", "minItems", "maxLength", "maxItems"),
    "arg_path": lambda path: {"const": path.rstrip("/") or "/"},
    "arg_parent": lambda path: {"pattern": f"^{_escaped(path)}{_ANY_NAME}$"} if path[-1:] == "/" else {},
    "arg_relpath": lambda path: {"const": path.rstrip("/")},
    "arg_email": lambda address: {"const": address},
    **dict.fromkeys(("arg_operand", "arg_fixed", "arg_date"), lambda value: {"const": value}),
    **dict.fromkeys(("arg_host", "arg_hex"), lambda text: {"pattern": f"^{_in_either_case({text})}$"}),
    "arg_size": lambda size: _sized(size, "minProperties", "maxProperties"),
    "arg_distinct": lambda value: {} if value is True else {"not": {}},
    "arg_argv": lambda program: {"prefixItems": [{"const": program}]},
}
"""What equals the value of a fact."""

_Tested: TypeAlias = "Callable[[Any, int], Schema]"

_TESTS: dict[tuple[str, str], _Tested] = {
    ("arg_int", "in"): lambda values, _: {"enum": sorted(values)},
    ("arg_int", "at_least"): lambda bound, _: {"minimum": bound},
    ("arg_int", "at_most"): lambda bound, _: {"maximum": bound},
    ("arg_int", "not_in"): lambda values, _: {"not": {"enum": sorted(values)}},
    ("arg_str", "in"): lambda values, _: {"enum": sorted(values)},
    ("arg_str", "not_in"): lambda values, _: {"not": {"enum": sorted(values)}},
    ("arg_str", "has"): lambda text, _: {"pattern": _escaped(text)},
    ("arg_str", "starts"): lambda text, _: {"pattern": f"^{_escaped(text)}"},
    ("arg_str", "ends"): lambda text, _: {"pattern": f"{_escaped(text)}$"},
    ("arg_scalar", "in"): lambda texts, _: {"enum": [parse(one) for one in sorted(texts) if _is_json(one)]},
    ("arg_len", "at_least"): lambda size, _: {"minLength": max(size, 0), "minItems": max(size, 0)},
    ("arg_len", "at_most"): lambda size, _: _sized(size, "maxLength", "maxItems"),
    ("arg_size", "at_least"): lambda size, _: {"minProperties": max(size, 0)},
    ("arg_size", "at_most"): lambda size, _: _sized(size, "maxProperties"),
    ("arg_path", "starts"): lambda root, _: _under(root),
    ("arg_path", "in"): lambda paths, _: {"enum": sorted(one.rstrip("/") or "/" for one in paths)},
    ("arg_email", "in"): lambda values, index: (
        {"pattern": f"^{_LOCAL}@{_one_of(values)}$"} if index else {"enum": sorted(values)}
    ),
    ("arg_email", "ends"): lambda text, index: {
        "pattern": f"^{_LOCAL}@[a-z0-9.-]*{_escaped(text)}$" if index else f"{_escaped(text)}$"
    },
    ("arg_relpath", "starts"): lambda root, _: _below(root) if root[:1] != "/" else {},
    ("arg_path", "ends"): lambda text, _: _ending("^/", text),
    ("arg_relpath", "ends"): lambda text, _: _ending("^", text),
    **dict.fromkeys(
        [("arg_host", "in"), ("arg_hex", "in")],
        lambda texts, _: {"pattern": f"^{_in_either_case(texts)}$"},
    ),
    ("arg_operand", "in"): lambda values, _: {"enum": sorted(values)},
    ("arg_operand", "starts"): lambda text, _: {"pattern": f"^{_escaped(text)}"},
    ("arg_operand", "ends"): lambda text, _: {"pattern": f"{_escaped(text)}$"},
}
"""What passes a test on a fact: a function of the operand, and of which value the test is about."""


def _sized(size: int, *keywords: str) -> Schema:
    return dict.fromkeys(keywords, size) if size >= 0 else {"not": {}}


def _test(clause: Clause, test: Test) -> Schema:
    if clause.fact in ("arg_number", "arg_fixed"):
        return _edge(clause, test)
    write = _TESTS.get((clause.fact, test.op))
    return {} if write is None or test.each else write(test.operand, test.index)


def _edge(clause: Clause, test: Test) -> Schema:
    """Return a bound on a number, exact for every double: not all bounds are doubles."""
    if test.op in ("in", "not_in"):
        return {}
    count, excluded = edge(clause, test)
    text, end = write_measure(clause, count), "Minimum" if test.op == "at_least" else "Maximum"
    bound = _number(text)
    error = Decimal(repr(bound)) - Decimal(text)
    if error:
        excluded = error < 0 if end == "Minimum" else error > 0
    return {f"exclusive{end}" if excluded else end.lower(): bound}


def _written(clause: Clause, count: Any) -> str | int | float:
    """Return the value of which a measure is exactly this."""
    text = write_measure(clause, count)
    return _number(text) if clause.fact in ("arg_number", "arg_fixed") else text


def _number(text: str) -> int | float:
    return float(text) if "." in text else int(text)


def _under(root: str) -> Schema:
    return _below(root) if root[:1] == "/" and root != "/" else {}


def _below(root: str) -> Schema:
    return {"pattern": f"^{_escaped(root[:-1])}(/{_ANY_NAME})*$"} if root[-1:] == "/" else {}


def _ending(head: str, text: str) -> Schema:
    plain = text.find("/") == len(text) - 1
    return {"pattern": f"{head}({_ANY_NAME}/)*[^/]*{_escaped(text[:-1])}$"} if plain else {}


_HOSTS = {"arg_url": "[a-z0-9.-]+", "arg_ip_url": r"([0-9.]+|\[[0-9a-f:]+\])"}


def _url(clause: Clause) -> str:
    """Return the form of URLs at the origins and below the path that the tests of a clause name."""
    told: dict[Any, Any] = {(test.op, test.index): test.operand for test in clause.tests}
    path, begin = told.get(("starts", 1), "/"), told.get(("starts", 0))
    origins = "|".join(map(_origin, sorted(told.get(("in", 0), ()))))
    if begin in ("https://", "http://") and ("ends", 0) in told:  # every host below a domain
        origins = begin + "[a-z0-9.-]*" + _origin(begin + told["ends", 0]).removeprefix(begin)
    origins = origins or rf"https?://{_HOSTS[clause.fact]}(:\d+)?"
    inside = _escaped(path[:-1]) if path[:1] == "/" and path[-1:] == "/" else ""
    return f"^{f'({origins})' if '|' in origins else origins}{inside}([/?][^#\\s]*)?$"


def _origin(origin: str) -> str:
    """Return the expression of an origin, which is written with its port: the usual port may be omitted."""
    usual = ":443" if origin.startswith("https:") else ":80"
    short = origin.removesuffix(usual)
    text = _escaped(short).replace(r"://\*", "://[a-z0-9.-]+")
    return text + (f"({usual})?" if short != origin else "")


def _one_of(texts: frozenset[str]) -> str:
    found = [_escaped(one) for one in sorted(texts)]
    return found[0] if len(found) == 1 else f"({'|'.join(found)})"


def _in_either_case(texts: Iterable[str]) -> str:
    found = [re.sub("[a-z]", lambda c: f"[{c[0].upper()}{c[0]}]", _escaped(one)) for one in sorted(texts)]
    return found[0] if len(found) == 1 else f"({'|'.join(found)})"


def _escaped(text: str) -> str:
    """Return the expression of this text; with ``u`` only these characters may be escaped."""
    return re.sub(r"[\^$\\.*+?()\[\]{}|]", r"\\\g<0>", text)


def _is_json(text: str) -> bool:
    try:
        return not isinstance(parse(text), (list, dict))
    except ValueError:
        return False
