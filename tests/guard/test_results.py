"""Arguments that follow data: what an earlier call of this session returned, at a named place, and no other.

The guard is strict here: whatever it permits, the Datalog engine permits, too.
"""

from __future__ import annotations

import csv
import itertools
import math
import sys
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial, reduce
from typing import Annotated, Any

import jsonpath_rfc9535
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hessra_agents import (
    Call,
    Denied,
    Grant,
    Guard,
    KeyPair,
    Reason,
    Session,
    Toolbox,
    from_result,
    grant,
    must,
)
from hessra_agents.call.canonical import MAX_VALUES
from hessra_agents.grants.clauses import Source
from hessra_agents.grants.provenance import MAX_PATH, Selector
from hessra_agents.grants.vocabulary.constraints import Place
from hessra_agents.guard.session import MAX_KEPT, MAX_RESULT, MAX_RESULTS
from hessra_agents.tokens.admission import MAX_EACH, MAX_SOURCES
from tests.support import forge
from tests.support.products import branches, patterns_of
from tests.support.world import World

pytestmark = pytest.mark.anyio

SARAH = {"name": "Sarah Baker", "email": "sarah@acme.com", "id": 7, "size": 3}
EVE = {"name": "Eve", "email": "eve@evil.example", "id": 8, "size": 9}
FOLLOWS = from_result("search_contacts", "$[*].email", where={"name": "Sarah Baker"})
MINUTE = timedelta(minutes=1)


class Desk(World):
    """A world with tools whose results are worth following; `answers` is what they return."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**({"cross_check": True} | options))
        self.answers: Any = [SARAH, EVE]
        ran = self.ran

        async def search(query: str = "") -> Any:
            ran.append(("search", {"query": query}))
            if isinstance(self.answers, Exception):
                raise self.answers
            return self.answers

        for name in ("search_contacts", "search_files"):
            self.guard.add(search_of(search), name=name)
        self.guard.add(search_of(search), name="read_inbox", untrusted=True)

        @self.guard.tool
        async def mail(to: Any, cc: list[str] | None = None, options: dict[str, Any] | None = None) -> str:
            """Mail."""
            ran.append(("mail", {"to": to}))
            return "sent"

    def box(self, *grants: Grant, guard: Guard | None = None, **options: Any) -> Toolbox:
        """A toolbox that may read everything, and mail as these grants say."""
        reads = [
            grant(one, query=must.optional()) for one in ("search_contacts", "search_files", "read_inbox")
        ]
        capability = self.issue(*reads, *(grants or (grant("mail", to=FOLLOWS),)))
        return (guard or self.guard).toolbox(capability, **options)


def search_of(search: Callable[[str], Awaitable[Any]]) -> Any:
    """A tool of its own, around the one search."""

    async def found(query: str = "") -> Any:
        return await search(query)

    return found


@pytest.fixture
def desk() -> Desk:
    return Desk()


async def test_an_argument_follows_what_an_earlier_call_returned(desk: Desk) -> None:
    """The task names a person; who that is stands in the contacts."""
    box = desk.box()
    await box.call("search_contacts", {})
    assert await box.call("mail", {"to": "sarah@acme.com"}) == "sent"
    with desk.refuses(
        "constraint", "a value that search_contacts returned at $[*].email, where name is 'Sarah"
    ):
        await box.call("mail", {"to": "eve@evil.example"})


async def test_before_the_call_there_is_nothing_to_follow(desk: Desk) -> None:
    """Not even what the call would return."""
    box = desk.box()
    with desk.refuses("constraint", "a value that search_contacts returned"):
        await box.call("mail", {"to": "sarah@acme.com"})
    with desk.refuses("missing_argument"):
        await box.call("mail", {})


@dataclass
class Case:
    """What is followed, in which answers, which values pass and which do not."""

    follows: dict[str, Any]
    answers: Any
    passes: list[Any]
    fails: list[Any]


FILES = [{"id": 1, "size": 5, "on": "2024-05-01"}, {"id": 2, "size": 50.5, "on": "2024-06-01"}]
TIED = [*FILES, {"id": 3, "size": 50.5, "on": "2023-01-01"}]
CASES = {
    "all at a place": Case({"path": "$[*].id"}, FILES, [1, 2], [3, "1", 1.5, True, None, 5]),
    "one of a list": Case({"path": "$[0].id"}, FILES, [1], [2]),
    "the last": Case({"path": "$[-1].id"}, FILES, [2], [1]),
    "past the end": Case({"path": "$[9].id"}, FILES, [], [1, 2, None]),
    "the whole": Case({"path": "$"}, "general", ["general"], ["General", ["general"], ""]),
    "a list as a whole": Case({"path": "$.to"}, {"to": ["a", "b"]}, [["a", "b"]], [["b", "a"], ["a"], "a"]),
    "an object": Case(
        {"path": "$[0]"}, [{"b": 1, "a": 2}], [{"a": 2, "b": 1}], [{"a": 2}, {"a": 2, "b": "1"}]
    ),
    "elements of a field": Case(
        {"path": "$[*].of[*]", "where": {"n": "x"}},
        [{"n": "x", "of": ["a"]}, {"n": "y", "of": ["b"]}],
        ["a"],
        ["b"],
    ),
    "an odd name": Case({"path": r"$['it\'s\\a']"}, {"it's\\a": 1}, [1], [2]),
    "fields of any name": Case({"path": "$[*]"}, {"a": 1, "b": 2}, [1, 2], ["a", "b"]),
    "a float": Case({"path": "$[*].size"}, FILES, [5, 50.5], [50]),
    "the same number": Case({"path": "$"}, 1.0, [1, 1.0], ["1.0", True]),
    "the same truth": Case({"path": "$"}, True, [True], [1, "true"]),
    "nothing": Case({"path": "$.a"}, {"a": None}, [None], ["null", "", 0, False]),
    "where a string": Case({"path": "$[*].id", "where": {"on": "2024-05-01"}}, FILES, [1], [2]),
    "where a number": Case({"path": "$[*].id", "where": {"size": 5.0}}, FILES, [1], [2]),
    "where of another type": Case({"path": "$[*].id", "where": {"size": "5"}}, FILES, [], [1, 2]),
    "where true is no 1": Case({"path": "$[*].id", "where": {"ok": True}}, [{"id": 1, "ok": 1}], [], [1]),
    "where null is not missing": Case(
        {"path": "$[*].id", "where": {"ok": None}}, [{"id": 1}, {"id": 2, "ok": None}], [2], [1]
    ),
    "all conditions": Case(
        {"path": "$[*].id", "where": {"size": 5}, "starts_with": {"on": "2024-06"}}, FILES, [], [1, 2]
    ),
    "starts": Case({"path": "$[*].id", "starts_with": {"on": "2024-06"}}, FILES, [2], [1]),
    "starts of a number": Case({"path": "$[*].id", "starts_with": {"size": "5"}}, FILES, [], [1, 2]),
    "itself": Case(
        {"path": "$[*]", "starts_with": {"@": "External"}}, ["External_0", "all"], ["External_0"], ["all"]
    ),
    "largest": Case({"path": "$[*].id", "largest": "size"}, FILES, [2], [1]),
    "largest of what is left": Case(
        {"path": "$[*].id", "starts_with": {"on": "2024-05"}, "largest": "size"}, FILES, [1], [2]
    ),
    "smallest": Case({"path": "$[*].id", "smallest": "size"}, FILES, [1], [2]),
    "latest": Case({"path": "$[*].id", "largest": "on"}, FILES, [2], [1]),
    "a tie": Case({"path": "$[*].id", "largest": "size"}, TIED, [2, 3], [1]),
    "a tie that must be one": Case(
        {"path": "$[*].id", "largest": "size", "unique": True}, TIED, [], [1, 2, 3]
    ),
    "largest of mixed types": Case(
        {"path": "$[*].id", "largest": "size"}, [*FILES, {"id": 4, "size": "99"}], [], [1, 2, 4]
    ),
    "largest where it is not told": Case(
        {"path": "$[*].id", "largest": "size"}, [*FILES, {"id": 4}], [], [1, 2, 4]
    ),
    "largest of truths": Case({"path": "$[*].id", "largest": "ok"}, [{"id": 1, "ok": True}], [], [1]),
    "unique": Case({"path": "$[*].id", "where": {"size": 5}, "unique": True}, FILES, [1], [2]),
    "the same twice is one": Case({"path": "$[*]", "unique": True}, ["a", "a"], ["a"], ["b"]),
    "several are none": Case({"path": "$[*].id", "unique": True}, FILES, [], [1, 2]),
    "no list": Case({"path": "$[*].id"}, "a string with an id: 1", [], [1, "1"]),
    "JSON text": Case({"path": "$[*].a"}, ' [{"a": 1.0}]', [1], ["1"]),
    "JSON text as a whole": Case({"path": "$"}, '["a"]', ['["a"]', ["a"]], ["a"]),
    "a string that is no list and no object": Case({"path": "$"}, "5", ["5"], [5]),
    "JSON text with two readings": Case({"path": "$.a"}, '{"a":1,"a":2}', [], [1, 2]),
    "beside a number that is not finite": Case({"path": "$[*]"}, [1, math.nan], [1, "nan"], [0]),
    "beside what has no JSON form": Case({"path": "$[*].a"}, [{"a": 1, "b": object()}], [1], [2]),
    "the type of what has no JSON form": Case({"path": "$.a"}, {"a": object()}, ["<object>"], [None]),
    "whole fractions": Case({"path": "$[*]"}, [1e20, -0.0, 2.5], [10**20, 0, 2.5], [2]),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
async def test_a_selector_means_exactly_these_values(case: Case, desk: Desk) -> None:
    """Each value passes, or is refused, under the rule of the table."""
    desk.answers = case.answers
    box = desk.box(grant("mail", to=from_result("search_files", **case.follows)))
    await box.call("search_files", {})
    for value in case.passes:
        assert await box.call("mail", {"to": value}) == "sent"
    for value in case.fails:
        with desk.refuses("constraint"):
            await box.call("mail", {"to": value})


Attack = Callable[[Desk], Awaitable[Any]]
ATTACKS: list[tuple[str, Attack]] = []
TO_SARAH = {"to": "sarah@acme.com"}


def attack(sentence: str) -> Callable[[Attack], Attack]:
    """Put an attack into the table: it ends in a call that must be refused."""

    def add(run: Attack) -> Attack:
        ATTACKS.append((sentence, run))
        return run

    return add


@attack("another field of the right object")
async def _(desk: Desk) -> None:
    box = desk.box()
    await box.call("search_contacts", {})
    await box.call("mail", {"to": "Sarah Baker"})


@attack("the same field of another object")
async def _(desk: Desk) -> None:
    box = desk.box()
    await box.call("search_contacts", {})
    await box.call("mail", {"to": "eve@evil.example"})


@attack("the right value, of another tool")
async def _(desk: Desk) -> None:
    box = desk.box()
    await box.call("search_files", {})
    await box.call("mail", TO_SARAH)


@attack("a value of a call that was refused")
async def _(desk: Desk) -> None:
    box = desk.box()
    with pytest.raises(Denied):
        await box.call("search_contacts", {"query": "", "more": 1})
    await box.call("mail", TO_SARAH)


@attack("a value of a call that failed")
async def _(desk: Desk) -> None:
    box, desk.answers = desk.box(), RuntimeError("sarah@acme.com")
    with pytest.raises(RuntimeError):
        await box.call("search_contacts", {})
    await box.call("mail", TO_SARAH)


@attack("a value of another agent's session")
async def _(desk: Desk) -> None:
    await desk.box().call("search_contacts", {})
    await desk.box().call("mail", TO_SARAH)


@attack("a value that the parent has seen, and did not hand over")
async def _(desk: Desk) -> None:
    box = desk.box()
    await box.call("search_contacts", {})
    child = box.delegate("agent:desk:mailer", grant("mail"), share_results=["search_files"])
    await child.call("mail", TO_SARAH)


@attack("a value of a shared result, at a place that only a later narrowing names")
async def _(desk: Desk) -> None:
    box = desk.box()
    await box.call("search_contacts", {})
    child = box.delegate("agent:desk:mailer", grant("mail"), share_results=["search_contacts"])
    other = from_result("search_contacts", "$[*].email", starts_with={"name": "S"})
    await child.attenuate(grant("mail", to=other)).call("mail", TO_SARAH)


@attack("a value that the parent sees after it has handed over")
async def _(desk: Desk) -> None:
    box = desk.box()
    child = box.delegate("agent:desk:mailer", grant("mail"), share_results=["search_contacts"])
    await box.call("search_contacts", {})
    await child.call("mail", TO_SARAH)


@attack("a value that a child has seen, for its parent")
async def _(desk: Desk) -> None:
    box = desk.box()
    await box.delegate("agent:desk:reader", grant("search_contacts")).call("search_contacts", {})
    await box.call("mail", TO_SARAH)


@attack("a value that others can write")
async def _(desk: Desk) -> None:
    box = desk.box(grant("mail", to=from_result("read_inbox", "$[*].email")))
    await box.call("read_inbox", {})
    await box.call("mail", TO_SARAH)


@attack("a narrowing that trusts what the capability does not")
async def _(desk: Desk) -> None:
    box = desk.box(grant("mail", to=from_result("read_inbox", "$[*].email")))
    await box.call("read_inbox", {})
    wider = box.attenuate(grant("mail", to=from_result("read_inbox", "$[*].email", untrusted=True)))
    await wider.call("mail", TO_SARAH)


@attack("a child that follows a place of its own choice")
async def _(desk: Desk) -> None:
    box = desk.box()
    wider = grant("mail", to=from_result("search_contacts", "$[*].email"))
    child = box.delegate("agent:desk:mailer", wider, grant("search_contacts"))
    await child.call("search_contacts", {})
    await child.call("mail", {"to": "eve@evil.example"})


@attack("what a tool returned is changed by who got it")
async def _(desk: Desk) -> None:
    box, desk.answers = desk.box(), [dict(SARAH)]
    (await box.call("search_contacts", {}))[0]["email"] = "eve@evil.example"
    await box.call("mail", {"to": "eve@evil.example"})


@attack("an older answer of the same call")
async def _(desk: Desk) -> None:
    box = desk.box()
    await box.call("search_contacts", {"query": "Sarah"})
    desk.answers = [EVE]
    await box.call("search_contacts", {"query": "Sarah"})
    await box.call("mail", TO_SARAH)


@attack("an answer that is too large to keep, where an older one was kept")
async def _(desk: Desk) -> None:
    box = desk.box()
    await box.call("search_contacts", {})
    desk.answers = [SARAH, {"text": "x" * MAX_RESULT}]
    await box.call("search_contacts", {})
    await box.call("mail", TO_SARAH)


@attack("an answer of more values than are looked through")
async def _(desk: Desk) -> None:
    box, desk.answers = desk.box(), [SARAH, *range(20_000)]
    await box.call("search_contacts", {})
    await box.call("mail", TO_SARAH)


@attack("a guard that is told of no session")
async def _(desk: Desk) -> None:
    token = desk.box().capability
    await desk.call(token, "search_contacts", {})
    await desk.call(token, "mail", TO_SARAH)


@attack("a fresh session over a wire")
async def _(desk: Desk) -> None:
    token = desk.box().capability
    await desk.call(token, "search_contacts", {}, session=Session())
    await desk.call(token, "mail", TO_SARAH, session=Session())


@attack("a list where a value is asked for")
async def _(desk: Desk) -> None:
    box = desk.box()
    await box.call("search_contacts", {})
    await box.call("mail", {"to": ["sarah@acme.com"]})


@attack("a value that only looks the same")
async def _(desk: Desk) -> None:
    box, desk.answers = desk.box(), [{"name": "Sarah Baker", "email": 1}]
    await box.call("search_contacts", {})
    await box.call("mail", {"to": "1"})


@attack("a stream, of which nothing is kept")
async def _(desk: Desk) -> None:
    @desk.guard.tool
    async def stream() -> AsyncIterator[Any]:
        yield SARAH

    box = desk.guard.toolbox(
        desk.issue(grant("stream"), grant("mail", to=from_result("stream", "$[*].email")))
    )
    assert [one async for one in box.bind(stream)()] == [SARAH]
    await box.call("mail", TO_SARAH)


@pytest.mark.parametrize(("sentence", "run"), ATTACKS, ids=[sentence for sentence, _ in ATTACKS])
async def test_no_mail_leaves_by(sentence: str, run: Attack, desk: Desk) -> None:
    """Each of these ends in a mail to somebody that the task did not mean."""
    with pytest.raises(Denied) as caught:
        await run(desk)
    assert (caught.value.reason, caught.value.tool) == (Reason.CONSTRAINT, "mail")
    assert not any(tool == "mail" for tool, _ in desk.ran)
    assert "eve" not in str(caught.value)


async def test_a_child_follows_what_it_is_handed_and_what_it_sees(desk: Desk) -> None:
    """The pairs of the attacks above."""
    box = desk.box()
    await box.call("search_contacts", {})
    handed = box.delegate("agent:desk:mailer", grant("mail"), share_results=["search_contacts"])
    assert await handed.call("mail", TO_SARAH) == "sent"
    own = box.delegate("agent:desk:own", grant("mail"), grant("search_contacts"))
    await own.call("search_contacts", {})
    assert await own.call("mail", TO_SARAH) == "sent"
    with pytest.raises(ValueError, match="no tool search_contact"):
        box.delegate("agent:desk:typo", grant("mail"), share_results=["search_contact"])


async def test_a_capability_may_say_that_it_trusts_what_others_write(desk: Desk) -> None:
    """And then follows it; results of trusted tools count all the same."""
    box = desk.box(grant("mail", to=from_result("read_inbox", "$[*].email", untrusted=True)))
    await box.call("read_inbox", {})
    assert await box.call("mail", TO_SARAH) == "sent"
    also = desk.box(grant("mail", to=from_result("search_contacts", "$[*].email", untrusted=True)))
    await also.call("search_contacts", {})
    assert await also.call("mail", TO_SARAH) == "sent"


async def test_it_narrows_like_any_constraint(desk: Desk) -> None:
    """In an attenuation both must hold; in a delegation, too."""
    box = desk.box(grant("mail", to=must.one_of("sarah@acme.com", "bo@acme.com")))
    await box.call("search_contacts", {})
    narrower = box.attenuate(grant("mail", to=from_result("search_contacts", "$[*].email")))
    assert await narrower.call("mail", TO_SARAH) == "sent"
    for to in ("bo@acme.com", "eve@evil.example"):
        with desk.refuses("constraint"):
            await narrower.call("mail", {"to": to})


async def test_it_joins_other_constraints(desk: Desk) -> None:
    """With '&', in a field, in every element, and where it may be omitted."""
    one, ends = from_result("search_contacts", "$[*].email"), must.ends_with("@acme.com")
    box = desk.box(
        grant(
            "mail", to=one & ends, cc=must.optional(must.each(one)), options=must.optional(must.fields(a=one))
        )
    )
    await box.call("search_contacts", {})
    eve = "eve@evil.example"
    assert (
        await box.call("mail", {**TO_SARAH, "cc": [eve, "sarah@acme.com"], "options": {"a": eve}}) == "sent"
    )
    wrong: list[dict[str, Any]] = [
        {"to": eve},
        {**TO_SARAH, "cc": ["bo@acme.com", eve]},
        {**TO_SARAH, "cc": []},
        {**TO_SARAH, "options": {"a": "Eve"}},
        {**TO_SARAH, "options": {}},
    ]
    for arguments in wrong:
        with pytest.raises(Denied):
            await box.call("mail", arguments)


async def test_of_an_empty_text_not_every_element_is_a_value() -> None:
    """A text has a length, too, and no elements: it is not taken for an empty list."""
    each = must.each(from_result("t", "$[*]"), empty=True)
    (branch,) = branches(grant("t", x=each), closed=True)
    assert branch.failing(Call.of("t", {"x": ""}), lambda *_: True)
    assert branch.failing(Call.of("t", {"x": {}}), lambda *_: True)
    assert branch.failing(Call.of("t", {"x": ["a"] * 513}), lambda *_: True)
    assert not branch.failing(Call.of("t", {"x": []}), lambda *_: False)


async def test_a_word_of_a_command_that_follows_data_is_no_option(desk: Desk) -> None:
    """A result could say '-rf'."""
    desk.answers = ["notes.txt", "-rf"]
    word = from_result("search_files", "$[*]")
    read, run = grant("search_files"), grant("run", argv=must.command("/bin/rm", word))
    box = desk.guard.toolbox(desk.issue(read, run))
    await box.call("search_files", {})
    assert await box.call("run", {"argv": ["/bin/rm", "notes.txt"]}) == "ran"
    with desk.refuses("constraint"):
        await box.call("run", {"argv": ["/bin/rm", "-rf"]})


async def test_a_call_elsewhere_is_followed_once_its_result_is_handed_in(desk: Desk) -> None:
    """`permit` decides on what is no tool of the guard; who ran it tells what it returned."""
    token, session = desk.box().capability.token, Session()
    call = Call.of("mail", TO_SARAH)
    with desk.refuses("constraint"):
        async with desk.guard.permit(token, call, session=session):
            pass
    async with desk.guard.permit(token, Call.of("search_contacts", {}), session=session) as permit:
        session.record_result("search_contacts", [SARAH], call=permit.call)
    async with desk.guard.permit(token, call, session=session):
        pass
    assert desk.guard.decide(token, call, session=session).call == call


async def test_over_a_wire_a_session_is_handed_in(desk: Desk) -> None:
    """Also for a capability that has a holder."""
    key, session = KeyPair.generate(), Session()
    held = desk.issue(grant("search_contacts"), grant("mail", to=FOLLOWS), holder=key.public)
    for tool, arguments in (("search_contacts", {}), ("mail", TO_SARAH)):
        proof = desk.prove(held, key, tool, arguments)
        await desk.call(held, tool, arguments, proof=proof, session=session)
    assert desk.ran[-1] == ("mail", TO_SARAH)


async def test_a_tool_may_bound_itself_by_earlier_results(desk: Desk) -> None:
    """In `Annotated`, whatever a capability says."""

    @desk.guard.tool
    async def close(ticket: Annotated[int, from_result("search_files", "$[*].id")]) -> str:
        return "closed"

    box = desk.box(grant("close", ticket=must.anything()))
    with pytest.raises(Denied, match="a value that search_files returned"):
        await box.call("close", {"ticket": 7})
    await box.call("search_files", {})
    assert await box.call("close", {"ticket": 7}) == "closed"


# What a session keeps


def seen(session: Session, value: str) -> bool:
    """Whether an argument could follow this text."""
    (branch,) = branches(grant("x", x=from_result("t", "$[*]")), closed=True)
    return not branch.failing(Call.of("x", {"x": value}), session.result_lookup())


def test_a_session_is_bounded() -> None:
    """The oldest fall out, by number and by size; what is too large never comes in."""
    session = Session()
    for number in range(MAX_RESULTS + 1):
        session.record_result("t", [f"{number}"])
    assert not seen(session, "0")
    assert seen(session, "1")
    assert seen(session, f"{MAX_RESULTS}")
    session.record_result("t", ["x" * MAX_RESULT])
    assert seen(session, "1")  # it came not in, so nothing fell out
    for _ in range(MAX_KEPT // MAX_RESULT):
        session.record_result("t", ["y" * (MAX_RESULT - 20)])
    assert not seen(session, f"{MAX_RESULTS}")


def test_a_session_shows_no_result() -> None:
    """Not in its repr."""
    session = Session(["PII:email"])
    session.record_result("t", ["secret"])
    assert repr(session) == "Session(1 results, labels=['PII:email'])"


def test_a_cycle_is_cut() -> None:
    """What stands beside it counts."""
    session, cycle = Session(), ["a"]
    cycle.append(cycle)  # type: ignore[arg-type]
    session.record_result("t", cycle)
    assert seen(session, "a")


class Reads:
    """An iterator that counts what was taken from it; it has no end."""

    taken = 0

    def __iter__(self) -> Reads:
        return self

    def __next__(self) -> int:
        self.taken += 1
        return self.taken


def laughs(levels: int) -> list[Any]:
    """Few objects that would be written as 2**levels."""
    found: list[Any] = [object()]
    for _ in range(levels):
        found = [found, found]
    return found


@dataclass
class Row:
    """A result with fields."""

    cells: Any


ODD_RESULTS: dict[str, Callable[[], Any]] = {
    "shared references": lambda: laughs(100),
    "shared references in dataclasses": lambda: Row(laughs(100)),
    "a long string that is held often": lambda: ["x" * 1000] * 10_000,
    "more rows than are stored": lambda: [{"id": index} for index in range(MAX_VALUES + 1)],
}


@pytest.mark.parametrize("what", ODD_RESULTS)
async def test_a_result_that_is_too_large_is_not_written_to_find_that_out(what: str, desk: Desk) -> None:
    """It is not stored, the refusal says so, and the tool's caller has it unchanged."""
    desk.answers = ODD_RESULTS[what]()
    box = desk.box(grant("mail", to=from_result("search_contacts", "$[*]")))
    assert await box.call("search_contacts", {}) is desk.answers
    assert repr(box.session).startswith("Session(0 results")
    with desk.refuses("constraint", "no such result is stored"):
        await box.call("mail", {"to": 1})


async def test_what_can_be_read_once_is_not_read(desk: Desk) -> None:
    """Whoever called the tool gets it whole; beside it, the rest of the result counts."""
    desk.answers = {"tail": Reads(), "row": Row(Reads()), "email": "sarah@acme.com"}
    box = desk.box(grant("mail", to=from_result("search_contacts", "$.email")))
    result = await box.call("search_contacts", {})
    assert (result["tail"].taken, result["row"].cells.taken) == (0, 0)
    assert await box.call("mail", TO_SARAH) == "sent"


async def _asynchronous() -> AsyncIterator[str]:
    yield "a"
    yield "b"


LAZY: dict[str, Callable[[], Any]] = {
    "generator": lambda: (n for n in "ab"),
    "async generator": _asynchronous,
    "map": lambda: map(str, "ab"),
    "filter": lambda: filter(None, "ab"),
    "zip": lambda: zip("ab", "ab", strict=True),
    "enumerate": lambda: enumerate("ab"),
    "reversed": lambda: reversed("ab"),
    "chain": lambda: itertools.chain("a", "b"),
    "iterator of a dict": lambda: iter({"a": 1, "b": 2}.items()),
    "csv": lambda: csv.reader(["a", "b"]),
}


@pytest.mark.parametrize("through", ["a toolbox", "a guard, without a session"])
@pytest.mark.parametrize("lazy", LAZY)
async def test_a_tool_that_returns_what_has_not_run_has_failed(lazy: str, through: str, desk: Desk) -> None:
    """Its caller and the model would take it from each other."""
    desk.answers = LAZY[lazy]()
    call = (
        desk.box().call
        if through == "a toolbox"
        else partial(desk.call, desk.issue(grant("search_contacts")))
    )
    with pytest.raises(TypeError, match="return a list, or write the tool as an async generator"):
        await call("search_contacts", {})
    left = [n async for n in desk.answers] if lazy == "async generator" else list(desk.answers)
    assert len(left) == 2


@pytest.mark.parametrize("view", [{"a": 1}.items(), {"a": 1}.keys(), {"a": 1}.values(), range(2)])
async def test_what_can_be_read_again_is_a_result(view: Any, desk: Desk) -> None:
    """Its caller may have it; a model is shown no more than its JSON form, if it has one."""
    desk.answers = view
    assert await desk.box().call("search_contacts", {}) is view


# Selectors, as they are written and as they are read

WRONG_PATHS = ["", "a", "$..a", "$[?@.a]", "$[?match(@.a, 'x')]", "$[0,1]", "$[0:2]", "$[::1]", "$.*", "$ .a"]
WRONG_PATHS += [
    "$.a ",
    "$['']",
    "$[01]",
    "$[-0]",
    "$[9999999]",
    "$.a\n",
    '$["a',
    '$[""]',
    '$["a"b"]',
    r'$["\u0061"]',
    "$.ä-b",
    "$['\\u0061']",
    "$['a'",
]
WRONG_PATHS += [
    "$['a\tb']",
    "$.",
    "$[",
    "$[*",
    "@.a",
    "$" + ".a" * MAX_PATH,
    "$.length()",
    "$[*]..b",
    "$[(1)]",
]


@pytest.mark.parametrize("path", WRONG_PATHS)
def test_a_path_of_another_form_is_refused(path: str) -> None:
    """No filters, no descent, no slices, no second spelling of a name."""
    with pytest.raises(ValueError, match="a path consists of names"):
        from_result("t", path)


SPELLINGS = [
    ('$["e-mail"]', "$['e-mail']"),
    (r"""$["it's \"a\" \\ b"].c""", r"""$['it\'s "a" \\ b'].c"""),
    ("$.größe[*].名", "$['größe'][*]['名']"),
    ("$.a.b_1", "$.a.b_1"),
    (r"""$['["a"].ä\']"].ö']""", r"""$['["a"].ä\']"].ö']"""),
]


@pytest.mark.parametrize(("written", "usual"), SPELLINGS)
def test_a_name_may_be_written_as_the_rfc_does(written: str, usual: str) -> None:
    """A token has one spelling of it."""
    source = from_result("t", written).alternatives(Place.argument("x"))[0][0].equal
    assert isinstance(source, Source)
    assert Selector.read(source.selector).path == usual
    with pytest.raises(ValueError):
        _ = [Selector(other) for other, one in SPELLINGS if other != one]


WRONG: list[dict[str, Any]] = [
    {"where": {"a": ["x"]}},
    {"where": {"a": ...}},
    {"where": {"": 1}},
    {"where": {"a": float("nan")}},
    {"starts_with": {"a": ""}},
    {"starts_with": {"a": 1}},
    {"starts_with": {f"f{i}": "x" for i in range(9)}},
    {"largest": ""},
    {"largest": 1},
    {"unique": 1},
    {"untrusted": "yes"},
    {"where": {"a": "x" * 1024}},
    {"path": "$[*]", "where": {"a": 1}},
    {"path": "$", "largest": "a"},
]


@pytest.mark.parametrize("told", WRONG, ids=map(str, WRONG))
def test_a_condition_of_another_form_is_refused(told: dict[str, Any]) -> None:
    """At the latest when it is written."""
    with pytest.raises(ValueError):
        from_result("t", **({"path": "$[*].a"} | told))


steps = st.one_of(
    st.from_regex(r"\.[A-Za-z_][A-Za-z0-9_]{0,3}", fullmatch=True),
    st.just("[*]"),
    st.integers(-99, 99).map(lambda index: f"[{index}]"),
    st.text(st.characters(min_codepoint=32, exclude_categories=["Cs"]), min_size=1, max_size=4).map(
        lambda name: "['" + name.replace("\\", "\\\\").replace("'", "\\'") + "']"
    ),
)
scalars = st.one_of(
    st.none(), st.booleans(), st.integers(-9, 9), st.just(0.5), st.text("ab'\"\\", max_size=3)
)
json = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("ab"), inner, max_size=2),
)


@given(st.lists(steps, max_size=5).map("".join), json)
def test_every_path_that_is_read_means_what_the_rfc_says(path: str, result: Any) -> None:
    """It is read back as it was written, and held against a library that evaluates all of RFC 9535."""
    selector = Selector(f"${path}")
    assert Selector.read(selector.text) == selector
    assert selector.values(result) == jsonpath_rfc9535.find(f"${path}", result).values()


def naive(path: str, value: Any) -> list[Any]:
    """What a path of single letters and stars selects, by a few lines of Python."""
    found = [value]
    for step in path:
        if step == "*":
            inner = [
                one.values() if isinstance(one, dict) else one
                for one in found
                if isinstance(one, (list, dict))
            ]
            found = [element for one in inner for element in one]
        else:
            found = [one[step] for one in found if isinstance(one, dict) and step in one]
    return found


@given(st.text("ab*", max_size=4), json)
def test_a_path_means_what_anybody_would_say(path: str, result: Any) -> None:
    """Held against a reading that needs no library."""
    written = "".join("[*]" if step == "*" else f".{step}" for step in path)
    assert Selector(f"${written}").values(result) == naive(path, result)


HEAD = 'check if resource("tool:mail"), '
FORGED = [
    'result_of("to", "t", $s)',
    'result_of($k, "t", "{\\"path\\":\\"$\\"}")',
    'result_of("to", "t")',
    'result_of("to", "t", "{\\"path\\":\\"$\\"}", "x")',
    'result_of("", "t", "{\\"path\\":\\"$\\"}")',
    'result_of("to", 1, "{\\"path\\":\\"$\\"}")',
    'result_of("to", "t", "$")',
    'result_of("to", "t", "[]")',
    'result_of("to", "t", "{}")',
    'result_of("to", "t", "{\\"path\\": \\"$\\"}")',
    'result_of("to", "t", "{\\"path\\":\\"$..a\\"}")',
    'result_of("to", "t", "{\\"path\\":\\"$[?@.a]\\"}")',
    'result_of("to", "t", "{\\"path\\":\\"$\\",\\"path\\":\\"$\\"}")',
    'result_of("to", "t", "{\\"path\\":\\"$\\",\\"unique\\":false}")',
    'result_of("to", "t", "{\\"path\\":\\"$\\",\\"unique\\":1}")',
    'result_of("to", "t", "{\\"path\\":\\"$\\",\\"regex\\":\\"(a+)+\\"}")',
    'result_of("to", "t", "{\\"path\\":\\"$\\",\\"where\\":[]}")',
    'result_of("to", "t", "{\\"path\\":\\"$\\",\\"where\\":{}}")',
    'result_of("to", "t", "{\\"path\\":\\"$.a\\",\\"where\\":{\\"b\\":[]}}")',
    'result_of("to", "t", "{\\"path\\":1}")',
    'result_of("to", "t", "' + "[" * 4000 + '")',
    'results_of("to", "t", "$")',
    'result_of("to", "t", "{\\"path\\":\\"$\\"}"), result_of("to", "t", "[]")',
]


@pytest.mark.parametrize("body", FORGED, ids=range(len(FORGED)))
async def test_a_selector_that_is_none_is_outside_of_the_profile(body: str, desk: Desk) -> None:
    """Whoever holds a capability may write it; no guard evaluates it."""
    with desk.refuses("outside_profile"):
        await desk.call(forge.append_source(desk.box().capability, HEAD + body), "mail", TO_SARAH)


@pytest.mark.parametrize(
    "source",
    [
        'result_of("to", "search_contacts", "{\\"path\\":\\"$\\"}")',
        "result_of($a, $b, $c) <- arg_str($a, $b), arg_str($a, $c)",
    ],
)
async def test_nobody_but_the_guard_states_where_a_value_comes_from(source: str, desk: Desk) -> None:
    """Neither as a fact nor by a rule."""
    with desk.refuses("outside_profile"):
        await desk.call(forge.append_source(desk.box().capability, source), "mail", TO_SARAH)


def places(number: int, path: str = "$[{}]") -> Grant:
    """A grant that asks of so many places."""
    asked = [from_result("search_contacts", path.format(index)) for index in range(number)]
    return grant("mail", to=reduce(lambda one, other: one & other, asked))


async def test_a_token_asks_of_few_places(desk: Desk) -> None:
    """Each is looked for in every result, so their number is bounded, over all blocks."""
    box = desk.box(places(MAX_SOURCES - 1)).attenuate(places(MAX_SOURCES))
    with pytest.raises(ValueError, match="conditions on a session"):
        box.attenuate(places(1, "$.a{}"))


async def test_every_element_is_asked_about_so_often(desk: Desk) -> None:
    """As with any test on every element of a list."""
    each = must.optional(must.each(from_result("search_contacts", "$[*].email")))
    few, many = (dict.fromkeys(map(str, range(count)), each) for count in (MAX_EACH, MAX_EACH + 1))
    desk.issue(grant("mail", few))
    with pytest.raises(ValueError, match="tests on every element"):
        desk.issue(grant("mail", many))


async def test_a_bomb_of_a_selector_costs_little(desk: Desk) -> None:
    """The largest results, looked through for every place that a token may ask of."""
    desk.answers = [{"a": ["x" * 4] * 100} for _ in range(150)]
    box = desk.box(grant("mail", to=must.anything()))
    for index in range(MAX_KEPT // MAX_RESULT + 9):
        await box.call("search_contacts", {"query": f"{index}"})
    bomb = box.attenuate(places(MAX_SOURCES, "$[*].a[*]['{}']"))
    began = time.thread_time()
    with desk.refuses("too_large", "too much of what the session has seen"):
        await bomb.call("mail", TO_SARAH)
    assert time.thread_time() - began < 2  # it takes a twentieth of that; looking through all, half a minute


def test_words_tell_it_on_one_line() -> None:
    """Whatever names and values are in it."""
    told = from_result(
        "a tool; to: anything",
        "$['x; to: anything'].id",
        where={"a\nb": "c\nd", "n": 1},
        starts_with={"@": "x"},
        largest="size",
        unique=True,
        untrusted=True,
    )
    assert str(told) == (
        "a value that 'a tool; to: anything' returned at \"$['x; to: anything'].id\", where 'a\\nb' is"
        " 'c\\nd' and n is 1 and it starts with 'x' and size is the largest, if it is the only one,"
        " trusted or not"
    )


async def test_a_schema_tells_a_model_what_is_followed(desk: Desk) -> None:
    """In words, beside the type."""
    told = {one["name"]: one for one in desk.box().schemas("anthropic")}
    field = told["mail"]["input_schema"]["properties"]["to"]
    assert field["description"] == str(FOLLOWS)
    assert str(FOLLOWS) in desk.box().capability.describe()


def test_a_source_is_read_back_as_it_was_written(desk: Desk) -> None:
    """Through a token."""
    patterns = patterns_of(desk.box().capability.blocks[0])
    sources = [
        clause.equal
        for pattern in patterns
        for branch in pattern
        for clause in branch.clauses
        if clause.fact == "result_of"
    ]
    text = '{"path":"$[*].email","where":{"name":"Sarah Baker"}}'
    assert sources == [Source("search_contacts", text)]


# Just in time


async def test_a_task_becomes_one_exact_call(desk: Desk) -> None:
    """Once, with these arguments and no others."""
    box = desk.box(grant("mail", to=must.anything(), cc=must.optional()))
    once = box.narrow("mail", to="sarah@acme.com")
    wrong: list[dict[str, Any]] = [{"to": "eve@evil.example"}, {**TO_SARAH, "cc": ["eve@evil.example"]}, {}]
    for arguments in wrong:
        with pytest.raises(Denied):
            await once.call("mail", arguments)
    assert once.tools == ("mail",)
    assert await once.call("mail", TO_SARAH) == "sent"
    with desk.refuses("spent"):
        await once.call("mail", TO_SARAH)


async def test_narrow_never_widens(desk: Desk) -> None:
    """What the task does not allow, one exact call of it does not, either; nor does it launder a session."""
    box = desk.box()
    await box.call("search_contacts", {})
    with desk.refuses("constraint"):
        await box.narrow("mail", to="eve@evil.example").call("mail", {"to": "eve@evil.example"})
    once = box.narrow("mail", to="sarah@acme.com", ttl=MINUTE)
    assert once.session is box.session
    assert await once.call("mail", TO_SARAH) == "sent"


@pytest.mark.parametrize(
    ("tool", "arguments", "said"),
    [
        ("mial", {}, "no tool mial"),
        ("mail", {}, "cannot be called without to"),
        ("mail", {"to": 1, "bcc": 1}, "no argument 'bcc'"),
        ("mail", {"to": must.anything()}, "not constraints"),
    ],
)
async def test_narrow_takes_one_whole_call(
    tool: str, arguments: dict[str, Any], said: str, desk: Desk
) -> None:
    with pytest.raises(ValueError, match=said):
        desk.box(grant("mail", to=must.anything())).narrow(tool, arguments)


async def test_what_was_looked_through_is_not_looked_through_again(desk: Desk) -> None:
    """Many results, each once: a session that has seen more than one decision can take goes on."""
    desk.answers = [{"email": f"{index}@acme.com"} for index in range(5_000)]
    box = desk.box(grant("mail", to=from_result("search_contacts", "$[*].email")))
    for index in range(9):
        await box.call("search_contacts", {"query": f"{index}"})
    with desk.refuses("too_large"):
        await box.call("mail", {"to": "other@acme.com"})
    assert await box.call("mail", {"to": "4999@acme.com"}) == "sent"


async def test_commas_in_a_text_are_no_values(desk: Desk) -> None:
    """Who writes one ticket does not keep the others from being followed."""
    box = desk.box()
    desk.answers = [SARAH, {"text": "," * 40_000}]
    await box.call("search_contacts", {})
    assert await box.call("mail", TO_SARAH) == "sent"


def test_a_session_serves_several_threads() -> None:
    """As where a plain function makes calls by an event loop of its own."""
    session, before, errors = Session(), sys.getswitchinterval(), list[Exception]()

    def see(name: str) -> None:
        try:
            for number in range(400):
                session.record_result("read", [name, number])
                assert len(session.fork(["read"])._results) <= MAX_RESULTS
                session.result_lookup()(b"", Source("read", '{"path":"$"}'))
        except Exception as error:
            errors.append(error)

    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=see, args=(name,)) for name in "abcd"]
        for one in threads:
            one.start()
        for one in threads:
            one.join()
    finally:
        sys.setswitchinterval(before)
    assert errors == []
    assert session._bytes == sum(one.size for one in session._results.values())
