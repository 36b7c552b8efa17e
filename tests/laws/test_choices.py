"""What grants mean, however they are written: compiled decision, words and engine agree with plain Python."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from functools import partial
from operator import eq
from random import Random
from typing import Any

import pytest

from hessra_agents import must
from hessra_agents.call.call import Call
from hessra_agents.errors import Denied
from hessra_agents.keys.keys import KeyPair
from hessra_agents.keys.trust import Trust
from hessra_agents.tokens.capability import Capability
from hessra_agents.tokens.engine import authorize
from hessra_agents.tokens.issue import issue
from hessra_agents.verify.explain import explain
from hessra_agents.verify.matcher import matches, program
from tests.support.plain_law import LEAVES, Plain, PlainGrant, constraint, plain_grant

ROOT = KeyPair.generate()
TRUST = Trust({1: ROOT.public})
NOW = 1_750_000_000
TOKENS, CALLS, ENGINE = 2500, 40, 4
"""Tokens, calls of each, and how many of those the engine decides as well."""

NAMES = ("a", "b", "c", "d")


def grants(rng: Random, tool: str, *, loose: bool) -> list[PlainGrant]:
    """One to four grants of one tool, which one argument may tell apart and which may share constraints."""
    shared = {name: constraint(rng) for name in rng.sample(NAMES, rng.randint(0, 2))}
    folders = rng.sample(("x", "y", "z", "w"), 4) if rng.random() < 0.4 else []
    found = []
    for number in range(rng.choice((1, 1, 1, 2, 2, 3, 4))):
        own = {name: constraint(rng, 2) for name in rng.sample(NAMES, rng.randint(0, 3))}
        if folders:
            own["a"] = Plain(must.exact(folders[number]), partial(eq, folders[number]), (*folders, 1))
        if loose:
            free = Plain(must.optional(), lambda v: True, (1, "x"))
            own = {**dict.fromkeys(NAMES, free), **own}
        found.append(plain_grant(rng, tool, {**own, **shared}))
    return found


def chain(rng: Random) -> tuple[Capability, list[list[PlainGrant]]]:
    """A capability of up to three blocks, and the grants of each."""
    while True:
        with suppress(ValueError):  # the grants multiply to too much, or the token is too large
            key = KeyPair.generate()
            told = [[g for tool in ("send", "pay") for g in grants(rng, tool, loose=rng.random() < 0.5)]]
            made = issue(
                "a",
                [one.grant for one in told[0]],
                key=ROOT,
                key_id=1,
                ttl=timedelta(minutes=9),
                audience="here",
                holder=key.public,
                now=NOW,
            )
            for _ in range(rng.choice((0, 0, 1, 2))):
                more = [g for tool in ("send", "pay") for g in grants(rng, tool, loose=rng.random() < 0.5)]
                narrower = [one.grant for one in more]
                if rng.random() < 0.5:
                    made = made.attenuate(*narrower)
                else:
                    fresh = KeyPair.generate()
                    ttl = timedelta(minutes=1)
                    made = made.delegate(*narrower, to=fresh.public, key=key, ttl=ttl, now=NOW)
                    key = fresh
                told.append(more)
            return Capability.parse(made.token, TRUST), told


def expected(told: list[list[PlainGrant]], tool: str, given: dict[str, Any]) -> bool:
    """What the grants say: each block must have a grant that describes the call."""
    return all(
        any(one.permits(tool, given, closed=index == 0) for one in block) for index, block in enumerate(told)
    )


def engine(capability: Capability, call: Call) -> bool:
    """What the engine says, told that the holder has proved the call."""
    holder = capability.holder
    try:
        authorize(
            capability.biscuit,
            call,
            now=NOW,
            audience="here",
            designations=[("holder", holder.handle)] if holder else [],
            patterns=capability.about(call.resource),
        )
    except Denied:
        return False
    return True


@pytest.mark.parametrize("part", range(4))
def test_compiled_decision_words_and_engine_say_what_the_grants_say(part: int) -> None:
    """Any grants of the whole vocabulary, nested, several of one tool, narrowed and delegated."""
    rng = Random(part)
    wrong: list[object] = []
    permitted = 0
    for _ in range(TOKENS // 4):
        capability, told = chain(rng)
        for number in range(CALLS):
            one = rng.choice(rng.choice(told))
            tool, given = one.grant.tool, one.example(rng)
            call = Call.of(tool, given)
            says = expected(told, tool, given)
            permitted += says
            patterns = capability.about(call.resource)
            agree = [
                matches(program(capability).about(call.resource), call),
                not any(explain(pattern, call, block=0) for pattern in patterns),
            ]
            agree += [engine(capability, call)] if number < ENGINE else []
            if agree != [says] * len(agree):
                wrong.append((says, agree, tool, given, capability.describe()))
    assert wrong == []
    assert permitted > TOKENS // 4  # not all calls are refused


def test_every_constraint_without_one_inside_has_a_plain_law() -> None:
    """A new constraint is in the law, or this test names it."""
    inside = {"optional", "omitted", "nullable", "fields", "each", "mapping"}
    elsewhere = {"command"}  # tests/laws/test_differential.py
    words = {str(one.constraint) for one in LEAVES}
    assert len(words) == len(LEAVES)
    assert inside | elsewhere < {name for name in dir(must) if name[0] != "_"}
