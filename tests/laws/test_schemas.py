"""The schema that a model sees is true: what it admits is permitted, as far as JSON Schema can say it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from contextlib import suppress
from random import Random
from typing import Any

import pytest
from jsonschema import Draft202012Validator, ValidationError  # type: ignore[import-untyped]
from jsonschema.validators import extend  # type: ignore[import-untyped]

from hessra_agents.call.call import Call
from hessra_agents.call.places import MISSING, find
from hessra_agents.grants.clauses import Clause, Pattern
from hessra_agents.grants.grants import Grant
from hessra_agents.grants.grants import grant as granted
from hessra_agents.grants.joining import join
from hessra_agents.tools.json_schema import narrowed
from tests.laws.test_choices import chain
from tests.support.plain_law import constraint, plain_grant
from tests.support.random_authority import bound

GRANTS, CALLS = 600, 24
NAMES = ("a", "b", "c")

SCALARS: tuple[dict[str, Any], ...] = (
    {},
    {"type": "string"},
    {"type": "integer"},
    {"type": "number"},
    {"type": "boolean"},
)
OBJECT = {"type": "object", "properties": {"f": {"type": "string"}, "g": {"$ref": "#/$defs/G"}, "a/b": {}}}
OWN: tuple[dict[str, Any], ...] = (
    *SCALARS,
    {"anyOf": [{"type": "string"}, {"type": "null"}], "default": None},
    {"anyOf": [{"type": "integer"}, {"type": "string", "maxLength": 3}, {"$ref": "#/$defs/O"}]},
    {"enum": ["x", "b", 1, None]},
    {"type": "array", "items": {"type": "string"}},
    {"type": "array", "items": {}, "maxItems": 2},
    {"$ref": "#/$defs/O"},
    {"$ref": "#/$defs/O", "description": "An object."},
    {**OBJECT, "additionalProperties": False},
    {"allOf": [{"type": ["string", "integer", "object"]}]},
)
"""What a tool of its own says of an argument."""

DEFINITIONS = {
    "O": {**OBJECT, "additionalProperties": {"type": ["integer", "string"]}},
    "G": {"type": ["integer", "object"]},
}


def _ecma(validator: Any, pattern: str, instance: Any, schema: Any) -> Iterable[ValidationError]:
    """Read a pattern as ECMA-262 with ``u`` does: `$` is the end alone, and only some escapes are legal."""
    assert re.sub(r"\\[\^$\\.*+?()\[\]{}|/ds]", "", pattern).count("\\") == 0, pattern
    if isinstance(instance, str) and not re.search(re.sub(r"\$$", r"\\Z", pattern), instance):
        yield ValidationError("pattern")


Validator = extend(Draft202012Validator, {"pattern": _ecma})

BEYOND: dict[str, Callable[[Any], bool]] = {
    "arg_json": lambda value: True,  # the token holds a digest
    "arg_same": lambda value: True,  # what another argument is
    "result_of": lambda value: True,  # what the session has seen
    "results_of": lambda value: True,
    "arg_path": lambda value: isinstance(value, str),  # canonical forms: characters, names, Unicode
    "arg_paths": lambda value: isinstance(value, list),
    "arg_parent": lambda value: isinstance(value, str),
    "arg_parents": lambda value: isinstance(value, list),
    "arg_relpath": lambda value: isinstance(value, str),
    "arg_relpaths": lambda value: isinstance(value, list),
    "arg_ip_url": lambda value: isinstance(value, str),
    "arg_ip_urls": lambda value: isinstance(value, list),
    "arg_url": lambda value: isinstance(value, str),
    "arg_urls": lambda value: isinstance(value, list),
    **dict.fromkeys(("arg_parent", "arg_relpath", "arg_ip_url"), lambda value: isinstance(value, str)),
    **dict.fromkeys(("arg_parents", "arg_relpaths", "arg_ip_urls"), lambda value: isinstance(value, list)),
    "arg_email": lambda value: isinstance(value, str),
    "arg_emails": lambda value: isinstance(value, list),
    "arg_argv": lambda value: isinstance(value, list),
    "arg_int": lambda value: type(value) in (int, float) and abs(value) >= 2**63,
    "arg_ints": lambda value: isinstance(value, list),
    "arg_range": lambda value: isinstance(value, list),
    "arg_fixed": lambda value: type(value) in (int, float),  # how many decimal places
    "arg_number": lambda value: type(value) in (int, float) and abs(value) >= 2**63 / 10**9,
    "arg_date": lambda value: isinstance(value, str),  # formats and bounds are told in words
    "arg_instant": lambda value: isinstance(value, str),
    "arg_number_range": lambda value: isinstance(value, list),
    "arg_fixed_range": lambda value: isinstance(value, list),
    "arg_date_range": lambda value: isinstance(value, list),
    "arg_instant_range": lambda value: isinstance(value, list),
}
"""By fact, of which values JSON Schema cannot say, or a model need not be told, that they are refused."""


def failing(told: Iterable[Pattern], call: Call) -> list[list[tuple[Clause, ...]]]:
    """The patterns that do not match: of each, the clauses that fail in each of its branches."""
    tried = [[one.failing(call) for one in pattern if one.resource == call.resource] for pattern in told]
    return [branches for branches in tried if () not in branches]


def beyond(clauses: tuple[Clause, ...], call: Call) -> bool:
    """Whether JSON Schema cannot say all that fails."""

    def value(clause: Clause) -> Any:
        found = find(call.values, clause.key)[0] if clause.key[:1] == "/" else call.values.get(clause.key)
        return None if found is MISSING else found

    # the words of a line have no keyword
    return all("/~w" in c.key or BEYOND.get(c.fact, lambda _: False)(value(c)) for c in clauses)


def patterns(grant: Grant) -> list[Pattern]:
    """What every call under this grant alone must match."""
    pattern, choices = join([grant], closed=True)
    return [pattern, *(choice.about(grant.resource) for choice in choices)]


def check(grant: Grant, schema: dict[str, Any], calls: Iterable[dict[str, Any]]) -> tuple[int, int]:
    """Hold the narrowed schema against the grant; return how many calls are permitted, and refused."""
    told = patterns(grant)
    shown = narrowed(schema, grant.resource, told)
    Draft202012Validator.check_schema(shown)
    own, admits, counts = Validator(schema), Validator(shown), [0, 0]
    for arguments in calls:
        call = Call.of(grant.tool, arguments)
        wrong, admitted = failing(told, call), admits.is_valid(arguments)
        fits = own.is_valid(arguments)
        if not wrong and fits:
            assert admitted, (grant, arguments, shown)
        if admitted and "said" not in str(grant):  # what no constraint of ours writes may be told in words
            assert fits, (grant, arguments, shown)
            assert all(any(beyond(one, call) for one in pattern) for pattern in wrong), (
                grant,
                arguments,
                shown,
            )
        counts[bool(wrong)] += 1
    return counts[0], counts[1]


def tool(rng: Random, *, free: bool) -> dict[str, Any]:
    """A tool's own schema: of any arguments, or of these types."""
    properties = {name: {} if free else rng.choice(OWN) for name in NAMES}
    return {"type": "object", "properties": properties, "additionalProperties": False, "$defs": DEFINITIONS}


@pytest.mark.parametrize("seed", range(4))
def test_a_narrowed_schema_admits_what_the_guard_permits(seed: int) -> None:
    """Nested, optional and joined constraints, on tools of any types."""
    rng = Random(seed)
    permitted = refused = 0
    for number in range(GRANTS // 4):
        plain = plain_grant(
            rng, "t", {name: constraint(rng) for name in rng.sample(NAMES, rng.randint(1, 3))}
        )
        found = check(
            plain.grant, tool(rng, free=number % 2 == 0), [plain.example(rng) for _ in range(CALLS)]
        )
        permitted, refused = permitted + found[0], refused + found[1]
    assert min(permitted, refused) > 200, (permitted, refused)


@pytest.mark.parametrize("seed", range(4))
def test_a_narrowed_schema_tells_every_constraint(seed: int) -> None:
    """Paths, URLs, addresses, commands, sources, and values at the edges of each."""
    rng = Random(seed)
    permitted = refused = 0
    for number in range(GRANTS // 4):
        parts = {name: bound(rng) for name in rng.sample(NAMES, rng.randint(1, 2))}
        grant = granted("t", {name: one for name, (one, _) in parts.items()})
        calls = [{name: pick() for name, (_, pick) in parts.items()} for _ in range(CALLS)]
        with suppress(ValueError):  # the grant multiplies to too much
            found = check(grant, tool(rng, free=number % 2 == 0), calls)
            permitted, refused = permitted + found[0], refused + found[1]
    assert min(permitted, refused) > 200, (permitted, refused)


@pytest.mark.parametrize("seed", range(2))
def test_a_schema_is_never_narrower_than_several_grants(seed: int) -> None:
    """Several grants of one tool, told apart or not, and narrowed again: a model may ask for all of it."""
    rng = Random(seed)
    permitted = 0
    for _ in range(GRANTS // 8):
        capability, told = chain(rng)
        for resource in capability.tools:
            found = capability.about(resource)
            shown = Validator(narrowed({"type": "object", "additionalProperties": True}, resource, found))
            for _ in range(CALLS):
                one = rng.choice([grant for grants in told for grant in grants])
                call = Call.of(resource.partition(":")[2], one.example(rng))
                if not failing(found, call):
                    permitted += 1
                    assert shown.is_valid(call.values), (capability.describe(), call.values, shown.schema)
    assert permitted > 100
