"""Law: a proxied call that is cancelled did not reach the server, or it is on record; wherever, and however.

Each place where the proxy waits is found by counting, and its caller is cancelled there. The server's list of
tools is asked for at each call.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from anyio.abc import SocketStream
from mcp import StdioServerParameters
from starlette.applications import Starlette

from hessra_agents import Authority, Capability, Guard, Ledger, grant, limit, must
from hessra_agents.mcp import RequestAuthorizer
from hessra_agents.mcp.authorization.requests import CAPABILITY
from hessra_agents.mcp.proxy.http_upstream import proxy_http
from hessra_agents.mcp.proxy.process_upstream import proxy_process
from tests.support import clocks
from tests.support.http_world import ENVELOPE, answering, http, posted, request
from tests.support.ledgers import Store
from tests.support.scripted_mcp import ECHO, RAN
from tests.support.steps import WAYS, cancelled_at

pytestmark = pytest.mark.anyio

MOST = 200
"""More places than any call waits at."""

RESULTS: dict[str, Any] = {"tools/list": {"tools": [ECHO]}, "tools/call": RAN}

SERVER = f"""
import json, sys
results = json.loads({json.dumps(json.dumps(RESULTS))})
for line in sys.stdin:
    message = json.loads(line)
    if message["method"] == "tools/call":
        with open(sys.argv[1], "a") as log:
            log.write(str(message["params"]["arguments"]["x"]) + "\\n")
    if "id" in message:
        answer = {{"jsonrpc": "2.0", "id": message["id"], "result": results.get(message["method"], {{}})}}
        print(json.dumps(answer), flush=True)
"""


@pytest.fixture
def anyio_backend(way: str) -> tuple[str, dict[str, Any]]:
    return clocks.backend(way.partition("-")[0])


class Desk:
    """A guard with a ledger, whose capabilities are for one call each."""

    def __init__(self, ledger: Ledger, folder: Path) -> None:
        self.ledger = ledger
        self.store = Store("sqlite", str(folder / "hessra.db"), folder)
        self.authority = Authority.ephemeral()
        self.guard = Guard(self.authority.trust, audience="files", ledger=ledger)
        self.gate = RequestAuthorizer(self.guard, allow_bearer_over_http=True)

    def issue(self) -> Capability:
        once = limit(calls=1, refund=True)
        options: dict[str, Any] = {"ttl": timedelta(hours=1), "audience": "files"}
        return self.authority.issue("agent:desk", grant("echo", x=must.anything()), once, **options)

    async def outcomes(self) -> Counter[str]:
        """How often each outcome is on record; ``permitted`` where there is none."""
        await self.ledger.requests()  # what a call left behind is written before this returns
        ended: dict[str, str] = {}
        for record in self.store.records():
            if "outcome" in record:
                ended[record["op"]] = record["outcome"]
            elif record.get("verdict") == "permitted":
                ended[record["op"]] = "permitted"
        return Counter(ended.values())


@asynccontextmanager
async def before_a_command(gate: RequestAuthorizer, got: Path) -> AsyncIterator[Starlette]:
    """The proxy in front of a command that writes down which calls it got."""
    command = StdioServerParameters(command=sys.executable, args=["-S", "-c", SERVER, str(got)])
    yield proxy_process(gate, command)


@asynccontextmanager
async def before_a_server(gate: RequestAuthorizer, got: Path) -> AsyncIterator[Starlette]:
    """The proxy in front of a server over HTTP that writes down which calls it got."""

    async def talk(stream: SocketStream, data: bytes) -> None:
        message = json.loads(data.partition(b"\r\n\r\n")[2])
        if message["method"] == "tools/call":
            with got.open("a") as log:
                log.write(f"{message['params']['arguments']['x']}\n")
        answer = {"jsonrpc": "2.0", "id": message["id"], "result": RESULTS[message["method"]]}
        await stream.send(http(json.dumps(answer).encode()))

    async with answering(talk) as url:
        yield proxy_http(gate, url)


FORMS: dict[str, Callable[[RequestAuthorizer, Path], AbstractAsyncContextManager[Starlette]]] = {
    "command": before_a_command,
    "server": before_a_server,
}


def answered(found: dict[str, Any]) -> str:
    """What came of a call, as the client is told."""
    text = found["result"]["content"][0]["text"]
    return "done" if text == "ran" else str(text)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("form", FORMS)
async def test_a_cancelled_call_did_not_reach_the_server_or_it_is_on_record(
    form: str, way: str, tmp_path: Path
) -> None:
    """And one that is on no record, or did not run, has used nothing up."""
    got, before = tmp_path / "got", Counter[str]()
    ends: list[str] = []
    async with aclosing(Ledger.open(tmp_path / "hessra.db")) as ledger:
        desk = Desk(ledger, tmp_path)
        async with FORMS[form](desk.gate, got) as app, app.router.lifespan_context(app):
            for at in count():
                token = desk.issue().token
                params = {"name": "echo", "arguments": {"x": at}}
                call = request("tools/call", {**params, "_meta": {**ENVELOPE, CAPABILITY: token}})
                reached, answer = await cancelled_at(at, way, posted(app, call))
                new, before = (now := await desk.outcomes()) - before, now
                ends += new or ["none"]
                assert new.total() <= 1
                assert not new["permitted"], "a permitted call has its outcome"
                if answer is not None:
                    assert answered(answer) == "done"
                    assert new["done"]
                if not reached:
                    break
                again = answered(await posted(app, call))
                assert ("[spent]" in again) == bool(new["done"] or new["cancelled"])
                before = await desk.outcomes()
                desk.gate.catalog.notice({"method": "notifications/tools/list_changed"})
    ran = Counter(got.read_text().split())
    for at, end in enumerate(ends):
        expected = {"none": {1}, "not_run": {1}, "done": {1}, "cancelled": {0, 1}}[end]
        assert ran[str(at)] in expected, (at, end)
    assert {"none", "cancelled", "done"} <= {*ends}
    assert 5 < len(ends) < MOST
