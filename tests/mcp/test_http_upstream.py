"""A server behind the guard that is broken, slow or gone: each has its answer, and none is waited for."""

from __future__ import annotations

import gzip
import json
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any

import anyio
import httpx2
import pytest
from anyio.abc import SocketStream
from hypothesis import given
from hypothesis import strategies as st

from hessra_agents import grant, must
from hessra_agents.mcp import RequestAuthorizer
from hessra_agents.mcp.authorization.requests import CAPABILITY
from hessra_agents.mcp.proxy.http_upstream import proxy_http
from hessra_agents.mcp.transport.http_response import AnswerMemory, Reply
from hessra_agents.mcp.transport.messages import RpcError
from hessra_agents.mcp.transport.sse import EventBlock, blocks
from tests.support.clocks import backend, pass_time
from tests.support.http_world import JSON, HttpWorld, answering, http, post, request, routing, said, served
from tests.support.mcp_world import READ

pytestmark = pytest.mark.anyio

LIST = {"tools": [{"name": "read_file", "inputSchema": {"properties": {"path": {"type": "string"}}}}]}
DONE = {"content": [{"type": "text", "text": "done"}]}
Script = Callable[[SocketStream, dict[str, Any]], Any]


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    """The server that runs the applications knows no other loop."""
    return backend("asyncio")


@pytest.fixture
def files() -> HttpWorld:
    """An authority, and a gate."""
    return HttpWorld()


def answer(message: dict[str, Any], result: Any, **more: Any) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result, **more}).encode()


def event(data: bytes | str, *fields: str) -> bytes:
    text = data.decode() if isinstance(data, bytes) else data
    return "\n".join([*fields, f"data: {text}", "", ""]).encode()


def scripted(called: Script, listed: Script | None = None) -> Any:
    """A server that lists one tool, and does with a call what it is told."""

    async def talk(stream: SocketStream, data: bytes) -> None:
        body = data.partition(b"\r\n\r\n")[2]
        message = json.loads(body) if body else {}
        if message.get("method") == "tools/list" and listed is None:
            await stream.send(http(answer(message, LIST)))
        elif message.get("method") == "tools/list" and listed is not None:
            await listed(stream, message)
        else:
            await called(stream, message)

    return answering(talk)


async def called(
    files: HttpWorld, script: Script, *, listed: Script | None = None, **options: Any
) -> dict[str, Any]:
    """The answer to a permitted call of a server that does this with it."""
    async with (
        scripted(script, listed) as upstream,
        served(proxy_http(files.gate, upstream, **options)) as url,
    ):
        response = await post(url, files.call(files.issue()))
    assert response.status_code == 200
    found = said(response)
    assert found["id"] == 1
    return found


def sending(data: Callable[[dict[str, Any]], bytes]) -> Script:
    async def script(stream: SocketStream, message: dict[str, Any]) -> None:
        await stream.send(data(message))

    return script


STREAM = "text/event-stream"
BROKEN: dict[str, tuple[Callable[[dict[str, Any]], bytes], str]] = {
    "no HTTP": (lambda m: b"SSH-2.0-nothing\r\n", "cannot be reached"),
    "nothing at all": (lambda m: b"", "cannot be reached"),
    "a cut body": (lambda m: http(answer(m, DONE))[:-5], "cannot be reached"),
    "no JSON": (lambda m: http(b"<html>", "text/html"), "is not a message"),
    "half of JSON": (lambda m: http(answer(m, DONE)[:-1]), "is not a message"),
    "deep JSON": (lambda m: http(b"[" * 100_000), "is not a message"),
    "a list": (lambda m: http(b"[" + answer(m, DONE) + b"]"), "is not a message"),
    "another's answer": (lambda m: http(answer({"id": 2}, DONE)), "is not a message"),
    "an id of another type": (lambda m: http(answer({"id": str(m["id"])}, DONE)), "is not a message"),
    "true for one": (lambda m: http(answer({"id": True}, DONE)), "is not a message"),
    "result and error": (
        lambda m: http(answer(m, DONE, error={"code": 1, "message": "x"})),
        "is not a message",
    ),
    "a question instead": (
        lambda m: http(answer(m, DONE, method="sampling/createMessage")),
        "is not a message",
    ),
    "no object": (lambda m: http(answer(m, "done")), "is not a message"),
    "accepted": (lambda m: http(b"", status="202 Accepted"), "is not a message (HTTP 202)"),
    "moved": (
        lambda m: http(b"", status="307 Moved", more="location: http://evil.example/\r\n"),
        "is not a message (HTTP 307)",
    ),
    "not for us": (lambda m: http(b"", status="401 No", more="www-authenticate: Bearer\r\n"), "refused the"),
    "forbidden": (lambda m: http(b"", status="403 No"), "refused the guard"),
    "failed": (lambda m: http(b"trace of secrets", "text/plain", "500 No"), "is not a message (HTTP 500)"),
    "a stream without an end": (lambda m: http(event(answer({"id": 2}, DONE)), STREAM), "before it answered"),
    "a cut event": (lambda m: http(event(answer(m, DONE))[:-1], STREAM), "before it answered"),
    "no text": (lambda m: http(b"data: \xff\n\n", STREAM), "is not UTF-8"),
    "not encoded as it says": (lambda m: http(b"x", more="content-encoding: gzip\r\n"), "is not a message"),
}


@pytest.mark.parametrize("name", BROKEN)
async def test_a_broken_answer_is_told_as_an_error(files: HttpWorld, name: str) -> None:
    data, words = BROKEN[name]
    error = (await called(files, sending(data)))["error"]
    assert error["code"] == -32603
    assert words in error["message"]
    assert "secrets" not in error["message"]


async def test_a_server_that_is_not_there_is_told_at_once(files: HttpWorld) -> None:
    async with scripted(sending(lambda m: b"")) as gone:
        pass
    async with served(proxy_http(files.gate, gone)) as url:
        told = said(await post(url, request("ping", {}), JSON))
    assert (told["id"], told["error"]["code"]) == (1, -32603)


async def test_the_servers_own_refusal_comes_through(files: HttpWorld) -> None:
    own = {"jsonrpc": "2.0", "id": None, "error": {"code": -32001, "message": "gone"}}
    script = sending(lambda m: http(json.dumps(own).encode(), status="404 Not Found"))
    async with scripted(script) as upstream, served(proxy_http(files.gate, upstream)) as url:
        response = await post(url, files.call(files.issue()))
    assert (response.status_code, said(response)) == (404, {**own, "id": 1})


@pytest.mark.parametrize("comment", [b"", b": still here\n\n"])
async def test_a_silent_server_is_given_up(files: HttpWorld, comment: bytes) -> None:
    async def silent(stream: SocketStream, message: dict[str, Any]) -> None:
        if comment:
            await stream.send(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n")
        with suppress(anyio.EndOfStream, anyio.BrokenResourceError):  # the guard hangs up
            while True:
                if comment:
                    await stream.send(comment)
                pass_time(60)
                with anyio.move_on_after(0.05):
                    await stream.receive()

    error = (await called(files, silent, timeout=300))["error"]
    assert error["message"] == "the server did not answer in 300 seconds"


async def test_every_message_buys_time(files: HttpWorld) -> None:
    async def slowly(stream: SocketStream, message: dict[str, Any]) -> None:
        await stream.send(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n")
        for step in range(8):
            pass_time(200)
            note = {"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progress": step}}
            await stream.send(event(json.dumps(note)))
            await stepped[step].wait()
        await stream.send(event(answer(message, DONE)))

    stepped = [anyio.Event() for _ in range(8)]
    async with (
        scripted(slowly) as upstream,
        served(proxy_http(files.gate, upstream, timeout=300)) as url,
        httpx2.AsyncClient(timeout=None) as client,
    ):
        call = files.call(files.issue())
        async with client.stream("POST", url, content=json.dumps(call), headers=routing(call)) as stream:
            lines = (line async for line in stream.aiter_lines() if line.startswith("data"))
            for one in stepped:
                assert "progress" in await anext(lines)
                one.set()
            assert json.loads((await anext(lines))[6:])["result"] == DONE


async def test_calls_of_a_server_that_does_not_list_its_tools_are_refused(files: HttpWorld) -> None:
    calls: list[object] = []

    async def call(stream: SocketStream, message: dict[str, Any]) -> None:
        calls.append(message)

    for listed in (
        sending(lambda m: http(answer(m, {"tools": "none"}))),
        sending(lambda m: http(b"", status="500 No")),
        sending(lambda m: b""),
    ):
        told = await called(files, call, listed=listed)
        assert told["result"]["_meta"]["dev.hessra/denial"]["reason"] == "unavailable"
    assert calls == []


async def test_a_large_answer_comes_through_and_a_huge_one_does_not(files: HttpWorld) -> None:
    large = {"content": [{"type": "text", "text": "a" * (1 << 20)}]}
    assert (await called(files, sending(lambda m: http(answer(m, large)))))["result"] == large
    for huge in (
        sending(lambda m: http(answer(m, large))),
        sending(lambda m: http(event(answer(m, large)), STREAM)),
        sending(lambda m: http(gzip.compress(answer(m, large)), more="content-encoding: gzip\r\n")),
    ):
        assert "too large" in (await called(files, huge, max_answer=1 << 19))["error"]["message"]


async def test_large_messages_share_what_they_may_hold() -> None:
    """From their first byte until their clients have them; small ones do not count."""
    memory = AnswerMemory(2 << 20)
    full = [Reply(memory) for _ in range(4)]
    for reply in full:
        reply.hold(2 << 20)
    late = Reply(memory)
    late.hold(1 << 20)
    with pytest.raises(RpcError, match="too many large answers"):
        late.hold((1 << 20) + 1)
    full[0].hold(0)
    late.hold(2 << 20)
    with pytest.raises(RpcError, match="is too large"):
        late.hold((2 << 20) + 1)
    for reply in (late, *full):
        reply.hold(0)
    for reply in full:
        reply.hold(2 << 20)
    with pytest.raises(ValueError, match="max_answer"):
        AnswerMemory(0)


async def test_what_the_protocol_does_not_know_is_kept(files: HttpWorld) -> None:
    strange = {**DONE, "vendor/field": [1.5, 10**30, "\ud800"], "_meta": {"a/b": None}}
    assert await called(files, sending(lambda m: http(answer(m, strange, extra=True)))) == {
        "jsonrpc": "2.0",
        "id": 1,
        "result": strange,
        "extra": True,
    }


@pytest.mark.parametrize("streams", [True, False])
async def test_a_server_cannot_refuse_in_our_name(files: HttpWorld, streams: bool) -> None:
    denial = {"dev.hessra/denial": {"reason": "no_capability"}, "a/b": 1}
    for told in (
        {"result": {**DONE, "_meta": denial}},
        {"error": {"code": 1, "message": "", "data": denial}},
    ):

        def forged(m: dict[str, Any], told: dict[str, Any] = told) -> bytes:
            first = json.dumps({"jsonrpc": "2.0", "id": "other", **told})
            last = json.dumps({"jsonrpc": "2.0", "id": m["id"], **told})
            return http(event(first) + event(last), STREAM) if streams else http(last.encode())

        async with scripted(sending(forged)) as upstream, served(proxy_http(files.gate, upstream)) as url:
            text = (await post(url, files.call(files.issue()))).text
        assert "hessra" not in text
        assert text.count('"a/b":1') == 1 + streams


ODD: dict[str, Callable[[dict[str, Any]], str]] = {
    "a list": lambda one: json.dumps([one]),
    "a request that has a result": lambda one: json.dumps({**one, "method": "notifications/n"}),
    "a spelling": lambda one: json.dumps({"id": one["id"], "Result": one["result"]}),
    "two results": lambda one: json.dumps({**one, "id": 2})[:-1] + ', "result": {}}',
    "no JSON": lambda one: "read_file",
    "behind a separator": lambda one: "7\nid: 8\u2028data: " + json.dumps({**one, "id": 2}),
}


@pytest.mark.parametrize("name", ODD)
async def test_an_event_shows_a_list_in_no_other_form(files: HttpWorld, name: str) -> None:
    def odd(m: dict[str, Any]) -> bytes:
        one = {"jsonrpc": "2.0", "id": m["id"], "result": LIST}
        return http(event(ODD[name](one)) + event(json.dumps(one)), STREAM)

    async with (
        scripted(sending(odd), sending(odd)) as upstream,
        served(proxy_http(files.gate, upstream)) as url,
    ):
        meta = {CAPABILITY: files.issue(grant("other")).token}
        response = await post(url, request("tools/list", {"_meta": meta}), JSON)
    told = said(response)
    assert "error" in told if name == "a spelling" else told["result"]["tools"] == []
    assert "read_file" not in response.text


async def test_a_header_that_is_no_ascii_is_left_out(files: HttpWorld) -> None:
    more = "retry-after: \u2603\r\nmcp-session-id: s\r\n"
    script = sending(lambda m: http(answer(m, {}), more=more))
    async with scripted(script) as upstream, served(proxy_http(files.gate, upstream)) as url:
        response = await post(url, request("ping", {}), JSON)
    assert (response.status_code, response.headers["mcp-session-id"]) == (200, "s")
    assert "retry-after" not in response.headers


async def test_all_pages_of_a_list_have_one_deadline(files: HttpWorld) -> None:
    async def slowly(stream: SocketStream, message: dict[str, Any]) -> None:
        pages.append(message)
        pass_time(12)
        await stream.send(http(answer(message, {"tools": [], "nextCursor": f"{len(pages)}"})))

    pages: list[object] = []
    told = await called(files, sending(lambda m: b""), listed=slowly, timeout=300)
    assert told["result"]["_meta"]["dev.hessra/denial"]["reason"] == "unavailable"
    assert len(pages) == 3


@pytest.mark.parametrize("header", ["mcp-session-id", "x-user"])
async def test_each_session_and_each_user_has_tools_of_its_own(files: HttpWorld, header: str) -> None:
    """What the server lists for one is not what it has for another."""

    async def talk(stream: SocketStream, data: bytes) -> None:
        head, _, body = data.partition(b"\r\n\r\n")
        message = json.loads(body)
        tools = LIST if b": one" in head else {"tools": []}
        await stream.send(http(answer(message, tools if message["method"] == "tools/list" else DONE)))

    bound = files.guard.toolbox(files.issue(grant("read_file", path=must.under("/srv")), bearer=True))
    gate = RequestAuthorizer(files.guard, default_toolbox=bound)
    call = request("tools/call", {"name": "read_file", "arguments": READ})
    async with (
        answering(talk) as upstream,
        served(proxy_http(gate, upstream, forward_headers=["x-user"])) as url,
    ):
        for name, permitted in (("one", True), ("two", False)) * 2:
            told = said(await post(url, call, {**JSON, header: name}))
            assert (told["result"] == DONE) == permitted


async def test_headers_do_not_tell_which_tools_there_are(files: HttpWorld) -> None:
    """What a hidden tool wants in headers is asked of those alone who may call it."""
    path = {"type": "string", "x-mcp-header": "Path"}
    tools = [{"name": "read_file", "inputSchema": {"type": "object", "properties": {"path": path}}}]
    permitted = files.call(files.issue())
    foreign = files.call(files.issue(grant("other")))
    async with (
        scripted(
            sending(lambda m: http(answer(m, DONE))), sending(lambda m: http(answer(m, {"tools": tools})))
        ) as upstream,
        served(proxy_http(files.gate, upstream)) as url,
    ):
        assert said(await post(url, foreign))["result"]["isError"]
        response = await post(url, permitted)
        assert (response.status_code, said(response)["error"]["code"]) == (400, -32020)
        permitted = files.call(files.issue())
        headers = {**routing(permitted), "mcp-param-path": "/srv/a.txt"}
        assert said(await post(url, permitted, headers))["result"] == DONE


async def test_a_stream_is_passed_on_as_it_is(files: HttpWorld) -> None:
    first = b"id: 7\nretry: 10\ndata\n\n: comment\n\n"
    note = b'{"jsonrpc":"2.0","method":"notifications/vendor","params":{"x":1.0}}'
    script = sending(lambda m: http(first + event(note, "event: message", "id: 8"), STREAM))
    async with scripted(script) as upstream, served(proxy_http(files.gate, upstream)) as url:
        response = await post(url, files.call(files.issue()))
    # the server left before its answer: the client may take the stream up again behind event 8
    assert response.content == first + event(note, "event: message", "id: 8")


async def test_the_stream_of_a_session_is_filtered(files: HttpWorld) -> None:
    data = event(answer({"id": 3}, LIST)) + event(answer({"id": 4}, DONE))
    changed = event('{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}')
    script = sending(lambda m: http(answer(m, DONE)) if m else http(data + changed, STREAM))
    async with scripted(script) as upstream, served(proxy_http(files.gate, upstream)) as url:
        call = files.call(files.issue())
        await post(url, call, {**routing(call), "mcp-session-id": "x"})
        async with httpx2.AsyncClient() as client:
            response = await client.get(url, headers={"accept": STREAM, "mcp-session-id": "x"})
    assert b"read_file" not in response.content
    assert b'"text":"done"' in response.content


@pytest.mark.parametrize("verb", ["GET", "DELETE"])
async def test_a_server_without_sessions_says_so(files: HttpWorld, verb: str) -> None:
    script = sending(lambda m: http(b"", status="405 No", more="allow: POST\r\n"))
    async with (
        scripted(script) as upstream,
        served(proxy_http(files.gate, upstream)) as url,
        httpx2.AsyncClient() as client,
    ):
        response = await client.request(verb, url)
    assert (response.status_code, response.headers["allow"]) == (405, "POST")


async def of(chunks: list[bytes]) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


async def read(chunks: list[bytes]) -> list[str]:
    return [block.text async for block in blocks(of(chunks), lambda size: None)]


async def test_a_stream_reads_the_same_however_it_is_cut() -> None:
    whole = "\ufeffid: 1\r\ndata: ä\r\n\r\n\n: note\rdata:x\rdata: y\r\rdata: lost".encode()
    expected = ["id: 1\ndata: ä", ": note\ndata:x\ndata: y"]
    for size in range(1, len(whole) + 1):
        assert await read([whole[i : i + size] for i in range(0, len(whole), size)]) == expected
    assert EventBlock(expected[1]).data == "x\ny"


@given(st.lists(st.text(alphabet="ab: \r\n"), max_size=8))
def test_no_cut_changes_what_a_stream_says(parts: list[str]) -> None:
    chunks = [part.encode() for part in parts]

    async def both() -> None:
        assert await read(chunks) == await read([b"".join(chunks)])

    anyio.run(both)


async def test_an_event_that_has_no_end_is_given_up() -> None:
    for chunk in (b"data: a", b"data: a\n", b":"):
        reply = Reply(AnswerMemory(64))
        with pytest.raises(RpcError, match="too large"):
            async for _ in blocks(of([chunk] * 100), reply.hold):
                pass


async def test_events_that_end_have_no_limit_together() -> None:
    """Nor have the empty lines between them, by which a server says that it is there."""
    reply = Reply(AnswerMemory(64))
    found = [block async for block in blocks(of([b"data: a\n\n\n\n"] * 100), reply.hold)]
    assert len(found) == 100


async def test_an_event_that_was_passed_on_holds_nothing() -> None:
    """A stream on which nothing comes for an hour keeps nobody from a large answer."""
    memory = AnswerMemory(2 << 20)

    async def silent() -> AsyncIterator[bytes]:
        yield event("a" * (1 << 20))
        for other in [Reply(memory) for _ in range(4)]:
            other.hold(2 << 20)

    assert len([block async for block in blocks(silent(), Reply(memory).hold)]) == 1
