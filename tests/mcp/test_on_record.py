"""Every refusal over MCP is on record, also the first; those of strangers are counted."""

from __future__ import annotations

import gc
import json
import sqlite3
import weakref
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from hessra_agents import Denied, Guard, Ledger
from hessra_agents.ledger import strangers
from hessra_agents.mcp import RequestAuthorizer
from hessra_agents.mcp.authorization.requests import CAPABILITY, PROOF
from tests.support.http_world import ENVELOPE, HttpWorld, post, request, said
from tests.support.mcp_world import READ, McpWorld

pytestmark = pytest.mark.anyio
SCHEMA = {"type": "object", "properties": {"path": {"type": "string"}}}
TOOLS = [{"name": name, "inputSchema": SCHEMA} for name in ("read_file", "pay")]
GARBAGE = {CAPABILITY: "x" * 50, PROOF: "hp1." + "A" * 160}


async def fetch() -> list[dict[str, Any]]:
    return TOOLS


async def never(params: dict[str, Any]) -> dict[str, Any]:
    raise AssertionError(f"it was forwarded: {params}")


class Gate:
    """An authorizer whose guard keeps a ledger on disk, by a clock that stands still."""

    def __init__(self, folder: Path, **options: Any) -> None:
        self.files = McpWorld()
        self.now = self.files.guard.now()
        self.where = folder / "hessra.db"
        clock = lambda: self.now  # noqa: E731
        self.ledger = Ledger.open(self.where, clock=clock)
        guard = Guard(self.files.authority.trust, audience="files", ledger=self.ledger, clock=clock)
        self.authorizer = RequestAuthorizer(guard, **options)

    async def refused(self, params: dict[str, Any], method: str = "tools/call", **options: Any) -> str:
        """Make a request that must be refused, and return why it was."""
        with pytest.raises(Denied) as caught:
            await self.authorizer.handle(method, params, never, **{"fetch": fetch, **options})
        return str(caught.value.reason)

    async def records(self) -> list[dict[str, Any]]:
        """Close the ledger, and return what is on record."""
        await self.ledger.aclose()
        with closing(sqlite3.connect(self.where)) as db:
            return [json.loads(body) for (body,) in db.execute("select body from entry order by idx")]


def bearer(files: McpWorld) -> dict[str, Any]:
    return {CAPABILITY: files.issue(bearer=True).token}


def outside(files: McpWorld) -> Any:
    return files.meta(files.issue(), "read_file", {"path": "/etc/passwd"})


CASES: dict[str, tuple[Callable[[McpWorld], Any], dict[str, Any], str, str]] = {
    "no capability": (lambda _: None, {}, "no_capability", "tool:read_file"),
    "no object": (lambda _: "x", {}, "malformed", "tool:read_file"),
    "no token": (lambda _: {CAPABILITY: 5}, {}, "malformed", "tool:read_file"),
    "no token of ours": (lambda _: {CAPABILITY: "x" * 50}, {}, "malformed", "tool:read_file"),
    "no proof": (lambda files: {**bearer(files), PROOF: "x"}, {}, "malformed", "tool:read_file"),
    "over HTTP without a holder": (bearer, {"http": True}, "not_holder", "tool:read_file"),
    "a notification": (bearer, {"fetch": None}, "malformed", "tool:read_file"),
    "another tool": (bearer, {"name": "pay"}, "not_granted", "tool:pay"),
    "no such tool": (bearer, {"name": "nothing"}, "not_granted", "tool:nothing"),
    "no name": (bearer, {"name": 5}, "malformed", "tool:"),
    "outside": (outside, {"arguments": {"path": "/etc/passwd"}}, "constraint", "tool:read_file"),
    "a resource": (bearer, {"method": "resources/read", "uri": "file:///a"}, "not_granted", "resource:file:///a"),
    "another proof": (outside, {}, "wrong_call", "tool:read_file"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
async def test_the_first_refusal_is_on_record(case: str, tmp_path: Path) -> None:
    make, told, reason, called = CASES[case]
    gate = Gate(tmp_path)
    options = {name: told[name] for name in ("http", "fetch", "method") if name in told}
    rest = {name: value for name, value in told.items() if name not in options}
    params = {"name": "read_file", "arguments": READ, "_meta": make(gate.files), **rest}
    assert await gate.refused(params, **options) == reason
    (record,) = await gate.records()
    assert (record["verdict"], record["object"]) == (reason, called)
    signed = "http" in options or case in ("a notification", "another tool", "no such tool", "outside")
    assert not signed or record["subject"] == "agent:desk", "whose capability was signed is named"


async def test_a_proof_that_is_too_old_for_the_answer_it_had_is_on_record(tmp_path: Path) -> None:
    gate = Gate(tmp_path)
    params = {"name": "read_file", "arguments": READ, "_meta": gate.files.meta(gate.files.issue())}

    async def forward(_: dict[str, Any]) -> dict[str, Any]:
        return {}

    await gate.authorizer.handle("tools/call", params, forward, fetch=fetch)
    gate.now += 31
    assert await gate.refused(params) == "expired"
    told = [one.get("verdict") or one["outcome"] for one in await gate.records()]
    assert told == ["permitted", "done", "expired"]


async def test_strangers_cannot_fill_the_disk(tmp_path: Path) -> None:
    """However many they are and whatever they send, a minute or an hour long."""
    gate = Gate(tmp_path)
    await gate.authorizer.catalog.find("read_file", fetch)
    for minute in range(90):
        gate.now += 60
        for number in range(30):
            long = {f"{'A' * 100}{number}-{at}": at for at in range(30)}
            name = ("read_file", "pay", f"tool-{minute}-{number}")[number % 3]
            await gate.refused({"name": name, "arguments": long, "_meta": GARBAGE})
            await gate.refused({"name": name, "arguments": long})
    records = await gate.records()
    assert sum(one.get("count", 1) for one in records) == 90 * 60, "none is lost"
    assert len(records) <= 2 * strangers.MOST + 2
    assert max(len(json.dumps(one)) for one in records) < 1000
    assert all("arguments" not in one for one in records)


class Sent(dict[str, Any]):
    """Parameters of a request, of which it can be seen whether somebody keeps them."""


async def test_strangers_cannot_fill_the_memory(tmp_path: Path) -> None:
    """Of a refusal that waits to be counted nothing is kept of what was sent, but for a short name."""
    gate = Gate(tmp_path)
    sent = []
    for number in range(strangers.SOURCES + 2):
        for _ in range(2):
            params = Sent(name=f"tool_{number}", arguments={}, _meta=GARBAGE)
            sent.append(weakref.ref(params))
            await gate.refused(params)
            del params
    long = Sent(name="tool" * 10_000, arguments={}, _meta=GARBAGE)
    await gate.refused(long)
    gc.collect()
    assert not [one for one in sent if one() is not None]
    assert sum(one.get("count", 1) for one in await gate.records()) == len(sent) + 1


@pytest.mark.parametrize("anyio_backend", ["asyncio"])  # uvicorn knows no other loop
async def test_strangers_cannot_fill_the_disk_through_a_proxy(tmp_path: Path) -> None:
    """Over HTTP, where a garbage token with a garbage proof comes to the guard like any other."""
    files = HttpWorld()
    where = tmp_path / "hessra.db"
    async with Ledger.open(where) as ledger:
        files.guard.settings.ledger = ledger
        async with files.reversed() as url:
            assert said(await post(url, files.call(files.issue())))["result"]["isError"] is False
            for number in range(200):
                meta = {**ENVELOPE, **GARBAGE}
                told = {"name": ("read_file", "add")[number % 2], "arguments": {}, "_meta": meta}
                found = said(await post(url, request("tools/call", told)))
                assert found["result"]["isError"] is True
    with closing(sqlite3.connect(where)) as db:
        records = [
            json.loads(body) for (body,) in db.execute("select body from entry where kind = 'decision'")
        ]
    strange = [one for one in records if one["verdict"] != "permitted"]
    assert sum(one.get("count", 1) for one in strange) == 200
    assert len(strange) < strangers.MOST


async def test_a_stranger_who_goes_on_is_one_record_a_minute(tmp_path: Path) -> None:
    gate = Gate(tmp_path)
    start = gate.now
    for _ in range(150):
        await gate.refused({"name": "pay"})
        gate.now += 1
    first, *others = await gate.records()
    assert "count" not in first
    # the ledger's thread may look at the clock just as a minute ends
    told = [(one["first"] - start, one["last"] - start, one["count"]) for one in others]
    assert len(told) == 3
    assert [last - first + 1 for first, last, _ in told] == [count for *_, count in told]
    assert [first for first, *_ in told] == [1, told[0][1] + 1, told[1][1] + 1]
    assert told[-1][1] == 149
    assert max(count for *_, count in told) <= 61
