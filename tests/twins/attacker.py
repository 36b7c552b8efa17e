"""Attack a guard in many ways, and say what became of each: ``python -m tests.twins.attacker SECONDS``.

Each line of the output is an attack and its outcome: the reason of a refusal, or what was allowed. The same
attacks against the whole package and against a twin show what the twin gives away. Twelve kinds take turns:

    attacks     those of the table in tests/attacks, one after another
    vectors     the frozen cases of tests/vectors
    decisions   random chains of tokens, each with random calls
    crossed     the same, as if the matcher had a fault and permitted all, and the engine were asked as well
    blocks      tokens whose blocks say random Datalog, inside of the profile and beside it
    messages    tokens whose first block is not what any library writes, signed by the root all the same
    strings     paths, URLs, addresses and commands, put together of what misleads
    sizes       large arguments against capabilities that ask much about them
    stories     random sequences of what the people around one guard do, whose ledger remembers
    waits       what changes while a call waits, and what others do at the ledger meanwhile
    requests    random requests of MCP, some of them a second time
    logs        changes in the store of a log, and whether they are found

All randomness is seeded, but for keys and nonces, which change no outcome.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from functools import partial
from itertools import count
from random import Random
from typing import Any

import anyio

from hessra_agents import (
    Call,
    Capability,
    Denied,
    grant,
    must,
)
from hessra_agents.call.canonical import MalformedError
from hessra_agents.grants.clauses import Clause, Test
from hessra_agents.grants.vocabulary.constraints import Constraint, Parts, Place
from hessra_agents.tokens.issue import issue
from hessra_agents.verify.verifier import verify
from tests.attacks.test_attacks import TABLE
from tests.laws.test_differential import told
from tests.laws.test_last_looks import permits_all
from tests.support.products import branches
from tests.support.random_authority import NOW, called, said, written
from tests.support.world import World
from tests.vectors.run import load, verdict

from .forged import ROOT, blocks, messages, reason_of
from .logs import logs
from .requests import requests
from .stories import stories
from .waits import waits

__all__ = ["outcomes"]

Outcomes = AsyncIterator["tuple[str, str]"]


# Attacks of the table, and vectors


async def attacks() -> Outcomes:
    for sentence, _, run in TABLE:
        world = World()
        try:
            await run(world)
            yield sentence, "ran" if world.ran else "passed"
        except Exception as error:
            yield sentence, "ran" if world.ran else reason_of(error)


async def vectors() -> Outcomes:
    for name in ("calls", "capabilities", "capabilities-2", "contexts", "identities"):
        file = load(name)
        for case in file["cases"]:
            if name == "calls":
                yield f"{name}: {case['name']}", _read(case)
            else:
                try:
                    yield f"{name}: {case['name']}", verdict(file, case)
                except Exception as error:
                    yield f"{name}: {case['name']}", reason_of(error)


def _read(case: dict[str, Any]) -> str:
    text = bytes.fromhex(case["arguments_hex"]) if "arguments_hex" in case else case["arguments"]
    try:
        Call.of(case["tool"], text, kind=case.get("kind", "tool"), operation=case.get("operation", "invoke"))
    except MalformedError:
        return "malformed"
    return "read"


# Random decisions

CALLS = 20


async def crossed() -> Outcomes:
    async for name, outcome in decisions(faulty=True):
        yield f"{name}, crossed", outcome


async def decisions(*, faulty: bool = False) -> Outcomes:
    for seed in count():
        rng = Random(seed)
        found = written(rng)
        for number in range(CALLS):
            capability, key = found.chain[-1] if rng.random() < 0.6 else rng.choice(found.chain)
            call = called(rng, found, capability)
            known = told(rng, capability, key, call)
            bounds = branches(grant("send", a=must.anything()), closed=False) if rng.random() < 0.1 else ()
            try:
                (permits_all if faulty else verify)(
                    capability,
                    call,
                    now=known.now,
                    audience="here",
                    proof=known.proof,
                    approvals=known.approvals,
                    designations=known.designations,
                    require_designations=known.require,
                    bounds=(bounds,) if bounds else (),
                    cross_check=faulty,
                    results=known.results,
                    labels=known.labels,
                )
                yield f"seed {seed}, call {number}", "permitted"
            except Denied as denied:
                yield f"seed {seed}, call {number}", str(denied.reason)


# Strings against constraints on their form

PARTS = (
    "/d",
    "/",
    "e",
    ".",
    "..",
    "%2e",
    "%2E%2e",
    "%252e",
    "%%32%65",
    "%2f",
    "\\",
    "~",
    " ",
    "\u2025",
    "x.de",
)
FORMS = (
    ("p", must.under("/d"), ("/d/", "/d", "/")),
    (
        "u",
        must.url("h.de", under="/d"),
        ("https://h.de/d/", "https://h.de", "https://127.0.0.1/d/", "http://h.de/"),
    ),
    (
        "h",
        said(Clause("arg_url", "k", None, (Test("starts", "/", 1),))),
        ("https://127.0.0.1", "http://0x7f.1", "https://h.de"),
    ),
    ("m", must.email("x.de"), ("a@", "-a@", "a@x.de,", "a%b@")),
    ("c", must.command("/bin/ls", rest=must.max_length(9)), ("-", "", "x")),
)


async def strings() -> Outcomes:
    capability = issue_of({name: constraint for name, constraint, _ in FORMS})
    for seed in count():
        rng = Random(seed)
        name, _, beginnings = rng.choice(FORMS)
        text: Any = rng.choice(beginnings) + "".join(rng.choices(PARTS, k=rng.randint(0, 4)))
        call = Call.of("t", {name: ["/bin/ls", text] if name == "c" else text})
        try:
            verify(capability, call, now=NOW, audience="here")
            yield f"string {seed}", "permitted"
        except Denied as denied:
            yield f"string {seed}", str(denied.reason)


def issue_of(constraints: dict[str, Any]) -> Capability:
    """A capability for a tool whose arguments may each be omitted."""
    grants = [grant("t", {name: constraint}) for name, constraint in constraints.items()]
    return issue("agent:a", grants, key=ROOT, key_id=1, ttl=timedelta(hours=1), audience="here", now=NOW)


# Large arguments against many questions about them

ASKED = ("arg_json", "arg_strs", "arg_lens", "arg_urls", "arg_paths", "arg_scalar")


def _always(clauses: tuple[Clause, ...], at: Place) -> Parts:
    return ((clauses,),)


async def sizes() -> Outcomes:
    for seed in count():
        rng = Random(seed)
        places = [f"/x/{index}" for index in range(rng.choice((1, 8, 32)))]
        asked = tuple(Clause(rng.choice(ASKED), place, None) for place in places)
        capability = issue_of({"x": Constraint("said", partial(_always, asked))})
        row = ["https://h.de/" + "x" * rng.choice((1, 100))] * rng.choice((1, 16, 16, 256))
        call = Call.of("t", {"x": [row] * rng.choice((1, 8, 32))})
        try:
            verify(capability, call, now=NOW, audience="here")
            yield f"size {seed}", "permitted"
        except Denied as denied:
            yield f"size {seed}", str(denied.reason)


TURNS: dict[Callable[[], Outcomes], int] = {
    attacks: 40,
    vectors: 40,
    decisions: 40,
    crossed: 20,
    blocks: 40,
    messages: 40,
    strings: 40,
    sizes: 10,
    stories: 40,
    waits: 40,
    requests: 10,
    logs: 40,
}
"""How many outcomes of a kind come before it is the next kind's turn: fewer of those that take longer."""


async def outcomes(seconds: float) -> Outcomes:
    """Yield attacks and their outcomes, the kinds in turn, for so long."""
    end, running = time.monotonic() + seconds, {kind(): turn for kind, turn in TURNS.items()}
    while running and time.monotonic() < end:
        for kind, turn in [*running.items()]:
            for _ in range(turn):
                try:
                    yield await anext(kind)
                except StopAsyncIteration:
                    del running[kind]
                    break


async def _main(seconds: float) -> None:
    async for name, outcome in outcomes(seconds):
        print(json.dumps([name, outcome]), flush=False)


if __name__ == "__main__":
    anyio.run(_main, float(sys.argv[1]))
