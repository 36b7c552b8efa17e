"""A guard in front of a server over HTTP: what no capability names does not reach the server."""

from __future__ import annotations

import json
import logging
from typing import Any

import anyio
import httpx2
import pytest
from mcp import Client
from mcp.client.context import ClientRequestContext
from mcp.types import ElicitRequestParams, ElicitResult

from hessra_agents import KeyPair
from hessra_agents.mcp import DenialFormat, RequestAuthorizer, with_capability
from hessra_agents.mcp.authorization.requests import CAPABILITY, PROOF
from hessra_agents.mcp.proxy.http_upstream import proxy_http
from tests.support.clocks import backend
from tests.support.http_world import (
    ENVELOPE,
    JSON,
    LEGACY,
    HttpWorld,
    Recorded,
    everything_permitted,
    post,
    request,
    routing,
    said,
    served,
)
from tests.support.mcp_world import ERAS, READ, refused, text_of

pytestmark = pytest.mark.anyio

each_era = pytest.mark.parametrize("era", ERAS)


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    """The server that runs the applications knows no other loop."""
    return backend("asyncio")


@pytest.fixture
def files() -> HttpWorld:
    """A server of files, and a gate for it."""
    return HttpWorld()


@each_era
async def test_a_named_call_runs_once_and_no_other_does(files: HttpWorld, era: str) -> None:
    async with files.presented(files.issue(), era) as client:
        with files.runs("read_file"):
            assert text_of(await client.call_tool("read_file", READ)) == "text of /srv/a.txt"
        with files.runs():
            outside = await client.call_tool("read_file", {"path": "/etc/passwd"})
            refused(outside, "constraint", "argument 'path' is not allowed")
            refused(await client.call_tool("add", {"a": 1}), "not_granted")


@each_era
async def test_a_call_without_a_capability_does_not_run(files: HttpWorld, era: str) -> None:
    async with files.reversed() as url, Client(url, mode=era) as client:
        with files.runs():
            refused(await client.call_tool("read_file", READ), "no_capability")


@each_era
async def test_a_capability_without_a_holder_is_not_taken(files: HttpWorld, era: str) -> None:
    bearer = files.issue(bearer=True)
    async with files.reversed() as url, Client(with_capability(url, bearer), mode=era) as client:
        with files.runs():
            refused(await client.call_tool("read_file", READ), "not_holder", "over HTTP")


async def test_a_stolen_capability_is_useless(files: HttpWorld) -> None:
    stolen, thief = files.issue(), KeyPair.generate()
    own = files.meta(files.issue(holder=thief.public), key=thief)
    async with files.reversed() as url:
        for proof in ({}, {PROOF: own[PROOF]}):
            call = files.call(stolen)
            call["params"]["_meta"] = {**ENVELOPE, CAPABILITY: stolen.token, **proof}
            with files.runs():
                result = said(await post(url, call))["result"]
            assert result["_meta"]["dev.hessra/denial"]["reason"] == "not_holder"


@each_era
@pytest.mark.parametrize("json_response", [True, False])
async def test_a_list_shows_what_the_capability_reaches(
    files: HttpWorld, era: str, json_response: bool
) -> None:
    async with files.reversed(json_response=json_response) as url:
        async with Client(with_capability(url, files.issue(), key=files.key), mode=era) as client:
            assert [tool.name for tool in (await client.list_tools()).tools] == ["read_file"]
            assert (await client.list_resources()).resources == []
        async with Client(url, mode=era) as client:
            assert (await client.list_tools()).tools == []


async def test_the_same_request_again_gets_its_answer_and_runs_once(files: HttpWorld) -> None:
    call = files.call(files.issue())
    async with files.reversed() as url:
        with files.runs("read_file"):
            first, again = said(await post(url, call)), said(await post(url, {**call, "id": "other"}))
    assert again == {**first, "id": "other"}
    assert first["result"]["content"][0]["text"] == "text of /srv/a.txt"


async def test_a_proof_is_good_for_no_other_request(files: HttpWorld) -> None:
    call = files.call(files.issue())
    async with files.reversed() as url:
        await post(url, call)
        with files.runs():
            call["params"]["arguments"] = {"path": "/srv/b.txt"}
            other = said(await post(url, call))
            call["params"] |= {"arguments": READ, "task": {}}
            replayed = said(await post(url, call))
    assert other["result"]["_meta"]["dev.hessra/denial"]["reason"] == "wrong_call"
    assert replayed["result"]["_meta"]["dev.hessra/denial"]["reason"] == "replayed"


@each_era
async def test_a_bound_gate_serves_clients_that_present_nothing(era: str) -> None:
    files = HttpWorld()
    files.gate = RequestAuthorizer(files.guard, default_toolbox=files.guard.toolbox(files.issue(bearer=True)))
    async with files.reversed() as url, Client(url, mode=era) as client:
        assert [tool.name for tool in (await client.list_tools()).tools] == ["read_file"]
        with files.runs("read_file"):
            assert text_of(await client.call_tool("read_file", READ)) == "text of /srv/a.txt"
        with files.runs():
            refused(await client.call_tool("read_file", {"path": "/etc/passwd"}), "constraint")


@pytest.mark.parametrize(
    ("form", "code"), [(DenialFormat.RESULT, None), (DenialFormat.ERROR, 403), (DenialFormat.UNKNOWN, -32602)]
)
async def test_a_refused_call_is_an_answer_like_any_other(
    files: HttpWorld, form: DenialFormat, code: int | None
) -> None:
    async with files.reversed(denial_format=form) as url:
        response = await post(url, files.call(files.issue(), "add", {"a": 1}))
    answer = said(response)
    assert (response.status_code, answer["id"]) == (200, 1)
    assert answer.get("error", {}).get("code") == code
    assert ("result" in answer) == (code is None)


@each_era
async def test_tokens_reach_neither_the_server_nor_a_log(
    files: HttpWorld, era: str, caplog: pytest.LogCaptureFixture
) -> None:
    capability = files.issue()
    upstream = Recorded(files.bare.streamable_http_app())
    async with served(upstream) as behind, served(proxy_http(files.gate, behind)) as url:
        logging.getLogger("httpcore2.http11").setLevel(logging.DEBUG)
        with caplog.at_level(logging.DEBUG):
            async with Client(with_capability(url, capability, key=files.key), mode=era) as client:
                await client.list_tools()
                with files.runs("read_file"):
                    await client.call_tool("read_file", READ)
                await client.call_tool("read_file", {"path": "/etc/passwd"})
    sent = b"\n".join(upstream.requests).decode()
    assert "/srv/a.txt" in sent
    assert "/etc/passwd" not in sent
    for text in (sent, caplog.text):
        assert "dev.hessra" not in text or text is caplog.text
        assert capability.token[:80] not in text
        assert capability.token[-40:] not in text
        assert "hp1." not in text


async def test_of_the_callers_headers_only_those_of_the_protocol_go_on(files: HttpWorld) -> None:
    upstream = Recorded(files.bare.streamable_http_app())
    own = {"authorization": "Bearer of-the-guard"}
    call = files.call(files.issue())
    given = {"authorization": "Bearer of-the-caller", "cookie": "a=b", "x-key": "secret", "x-trace": "kept"}
    async with (
        served(upstream) as behind,
        served(proxy_http(files.gate, behind, headers=own, forward_headers=["X-Trace"])) as url,
    ):
        with files.runs("read_file"):
            await post(f"{url}?token=secret", call, {**routing(call), **given})
    sent = b"\n".join(upstream.requests).decode()
    assert "authorization: Bearer of-the-guard" in sent
    assert "x-trace: kept" in sent
    for word in ("of-the-caller", "a=b", "secret"):
        assert word not in sent


async def test_one_callers_cookies_are_not_anothers(files: HttpWorld) -> None:
    seen: list[bytes] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            seen.extend(value for name, value in scope["headers"] if name == b"cookie")
            head = [(b"set-cookie", b"session=of-the-first"), (b"content-type", b"application/json")]
            await send({"type": "http.response.start", "status": 200, "headers": head})
            body = b'{"jsonrpc":"2.0","id":1,"result":{}}'
            await send({"type": "http.response.body", "body": body})
        else:
            await lifespan(receive, send)

    async with served(app) as behind, served(proxy_http(files.gate, behind)) as url:
        for _ in range(2):
            response = await post(url, request("ping", {}), JSON)
            assert said(response)["result"] == {}
            assert "set-cookie" not in response.headers
    assert seen == []


async def lifespan(receive: Any, send: Any) -> None:
    """Nothing is opened and nothing is closed."""
    for kind in ("startup", "shutdown"):
        assert (await receive())["type"] == f"lifespan.{kind}"
        await send({"type": f"lifespan.{kind}.complete"})


@pytest.mark.parametrize(
    "headers",
    [
        {"mcp-method": "tools/list"},
        {"mcp-name": "add"},
        {"mcp-name": "=?base64?YWRk?="},
        {"mcp-name": "=?base64?***?="},
        {"mcp-protocol-version": "2025-11-25"},
        {"mcp-protocol-version": "2099-01-01"},
        {"mcp-method": None},
        {"mcp-name": None},
        {"mcp-protocol-version": None},
    ],
    ids=str,
)
async def test_headers_that_contradict_the_body_are_refused(files: HttpWorld, headers: Any) -> None:
    call = files.call(files.issue())
    given = {name: value for name, value in (routing(call) | headers).items() if value is not None}
    async with files.reversed() as url:
        with files.runs():
            response = await post(url, call, given)
    assert (response.status_code, said(response)["error"]["code"]) == (400, -32020)


async def test_a_header_that_is_there_twice_is_refused(files: HttpWorld) -> None:
    call = files.call(files.issue())
    async with files.reversed() as url, httpx2.AsyncClient() as client:
        for name in ("mcp-name", "mcp-method", "mcp-protocol-version", "mcp-session-id", "content-type"):
            value = routing(call).get(name, "x")
            twice = [*routing(call).items(), (name, value)] + [(name, value)] * (name == "mcp-session-id")
            with files.runs():
                response = await client.post(url, content=json.dumps(call).encode(), headers=twice)
            assert (response.status_code, said(response)["error"]["code"]) == (400, -32020), name


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"host": "evil.example"}, 421),
        ({"host": "127.0.0.1.evil.example:80"}, 421),
        ({"host": "localhost.evil.example"}, 421),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "http://localhost:1"}, 403),
        ({"origin": "null"}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"x-http-method-override": "DELETE"}, 405),
        ({"content-type": "text/plain"}, 415),
        ({"content-type": "application/json; charset=utf-16"}, 415),
        ({"content-type": "application/jsonx"}, 415),
        ({"content-encoding": "gzip"}, 415),
    ],
    ids=str,
)
async def test_a_request_that_no_client_of_this_host_makes_is_refused(
    files: HttpWorld, headers: dict[str, str], status: int
) -> None:
    files.gate = RequestAuthorizer(files.guard, default_toolbox=files.guard.toolbox(files.issue(bearer=True)))
    call = request("tools/call", {"name": "read_file", "arguments": READ, "_meta": ENVELOPE})
    async with files.reversed() as url:
        with files.runs():
            response = await post(url, call, routing(call) | headers)
        assert (response.status_code, "error" in said(response)) == (status, True)
        with files.runs("read_file"):
            await post(url, call, routing(call) | {"origin": url.removesuffix("/mcp")})


@pytest.mark.parametrize("verb", ["PUT", "PATCH", "OPTIONS", "HEAD"])
async def test_other_methods_of_http_are_not_taken(files: HttpWorld, verb: str) -> None:
    async with files.reversed() as url, httpx2.AsyncClient() as client:
        response = await client.request(verb, url)
        assert (response.status_code, response.headers["allow"]) == (405, "POST, GET, DELETE")
        assert (await client.post(f"{url}/", headers=JSON)).status_code == 404


CALL = b'{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"read_file","arguments":%s}}'


@pytest.mark.parametrize(
    ("body", "code", "id"),
    [
        (b"", -32700, None),
        (b"{", -32700, None),
        (b"\xff\xfe{}", -32700, None),
        (b"[" * 100_000, -32700, None),
        (b"[" + CALL % b"{}" + b"]", -32600, None),
        (b'"text"', -32600, None),
        (CALL % b'{"path":"/srv/a.txt","path":"/etc/passwd"}', -32700, None),
        (b'{"jsonrpc":"2.0","id":7,"method":"tools/call","Method":"ping"}', -32600, 7),
        (b'{"jsonrpc":"2.0","id":7,"method":"ping","params":[]}', -32602, 7),
        (b'{"jsonrpc":"2.0","id":null,"method":"ping"}', -32600, None),
        (b'{"jsonrpc":"2.0","id":1.5,"method":"ping"}', -32600, None),
        (b'{"jsonrpc":"1.0","id":7,"method":"ping"}', -32600, None),
        (b'{"jsonrpc":"2.0","id":7,"method":7}', -32600, 7),
        (b'{"jsonrpc":"2.0","id":7}', -32600, 7),
    ],
    ids=range(14),
)
async def test_what_is_no_message_goes_no_further(
    files: HttpWorld, body: bytes, code: int, id: object
) -> None:
    upstream = Recorded(files.bare.streamable_http_app())
    async with served(upstream) as behind, served(proxy_http(files.gate, behind)) as url:
        response = await post(url, body, JSON)
    answer = said(response)
    assert (response.status_code, answer["error"]["code"], answer["id"]) == (400, code, id)
    assert upstream.requests == []


@pytest.mark.parametrize(
    ("params", "reason"),
    [
        ({"name": "read_file", "arguments": []}, "malformed"),
        ({"name": "read_file", "arguments": "{}"}, "malformed"),
        ({"name": "read_file", "arguments": {"path": float("nan")}}, "malformed"),
        ({"name": 7, "arguments": {}}, "malformed"),
        ({"arguments": {}}, "malformed"),
        ({"name": "read_file", "arguments": READ, "_meta": []}, "malformed"),
        ({"name": "read_file", "arguments": READ, "_meta": {"dev.hessra/capability": 7}}, "malformed"),
        ({"name": "read_file", "arguments": READ, "_meta": {"dev.hessra/proof": "x"}}, "no_capability"),
        ({"name": "read_file", "arguments": READ}, "no_capability"),
        ({"name": "nothing", "arguments": {}}, "no_capability"),
    ],
    ids=range(10),
)
async def test_a_call_that_says_nothing_clear_is_refused(
    files: HttpWorld, params: dict[str, Any], reason: str
) -> None:
    async with files.reversed() as url, session(url) as headers:
        with files.runs():
            response = await post(url, request("tools/call", params), headers)
    assert response.status_code == 200
    assert said(response)["result"]["_meta"]["dev.hessra/denial"]["reason"] == reason


class session:  # noqa: N801
    """A session by hand, with the headers of its requests."""

    def __init__(self, url: str) -> None:
        self._url = url
        told = {"protocolVersion": LEGACY, "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
        self._hello = request("initialize", told)

    async def __aenter__(self) -> dict[str, str]:
        response = await post(self._url, self._hello, JSON)
        self.headers = {**JSON, "mcp-session-id": response.headers["mcp-session-id"]}
        initialized = {"jsonrpc": "2.0", "method": "notifications/initialized"}
        assert (await post(self._url, initialized, self.headers)).status_code == 202
        return self.headers

    async def __aexit__(self, *_: object) -> None:
        async with httpx2.AsyncClient() as client:
            assert (await client.delete(self._url, headers=self.headers)).status_code in (200, 403)


async def test_a_body_that_is_too_large_is_not_read_to_its_end(files: HttpWorld) -> None:
    async def endless() -> Any:
        for _ in range(5):
            yield b" " * (1 << 20)

    async with files.reversed() as url, httpx2.AsyncClient() as client:
        response = await client.post(url, content=endless(), headers=JSON)
    assert (response.status_code, said(response)["error"]["code"]) == (413, -32600)


async def test_a_method_that_nobody_thought_of_needs_a_capability(files: HttpWorld) -> None:
    async with files.reversed() as url, session(url) as headers:
        answer = said(await post(url, request("vendor/wipe", {"all": True}), headers))
        told = {"jsonrpc": "2.0", "method": "notifications/vendor", "params": {}}
        assert (await post(url, told, headers)).status_code == 202
    assert answer["error"]["data"]["dev.hessra/denial"]["reason"] == "no_capability"


async def test_a_tool_call_without_an_id_runs_nothing_and_spoils_nothing(files: HttpWorld) -> None:
    """Whoever can reach the guard could else make it believe that the server has no tools."""
    call = files.call(files.issue())
    notification = {name: value for name, value in files.call(files.issue()).items() if name != "id"}
    async with files.reversed() as url:
        with files.runs():
            assert (await post(url, notification)).status_code == 202
        with files.runs("read_file"):
            assert not said(await post(url, call))["result"].get("isError")


async def test_a_client_that_leaves_cancels_its_call(files: HttpWorld) -> None:
    call = files.call(everything_permitted(files), "wait", {})
    async with files.reversed() as url:
        async with anyio.create_task_group() as group:
            group.start_soon(post, url, call)
            await files.started.wait()
            group.cancel_scope.cancel()
        await files.cancelled.wait()


@each_era
async def test_what_a_tool_says_meanwhile_comes_through(files: HttpWorld, era: str) -> None:
    heard: list[float] = []

    async def heard_of(progress: float, total: float | None, message: str | None) -> None:
        heard.append(progress)

    capability = everything_permitted(files)
    async with files.presented(capability, era) as client:
        result = await client.call_tool("count", {}, progress_callback=heard_of)
    assert (text_of(result), heard) == ("counted", [1])


async def yes(context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
    """Agree to everything."""
    return ElicitResult(action="accept", content={"yes": True})


async def test_what_a_server_asks_is_answered_by_the_client(files: HttpWorld) -> None:
    capability = everything_permitted(files)
    async with files.presented(capability, "legacy", elicitation_callback=yes) as client:
        with files.runs("ask"):
            assert text_of(await client.call_tool("ask", {})) == "accept True"


async def test_a_list_that_has_changed_is_asked_for_again(files: HttpWorld) -> None:
    capability = everything_permitted(files)
    async with files.presented(capability, "legacy") as client:
        await client.call_tool("change", {})
        with files.runs("extra"):
            await client.call_tool("extra", {})


async def test_a_session_that_is_gone_is_told_as_gone(files: HttpWorld) -> None:
    async with files.reversed() as url:
        headers = {**JSON, "mcp-session-id": "nobody"}
        params = {"name": "read_file", "arguments": READ, "_meta": files.meta(files.issue())}
        response = await post(url, request("tools/call", params), headers)
    assert (response.status_code, said(response)["id"]) == (404, 1)


async def test_an_upstream_is_named_by_a_url(files: HttpWorld) -> None:
    for text in ("files", "ftp://x/mcp", "http:///mcp", "file:///etc"):
        with pytest.raises(ValueError, match="must begin with http://"):
            proxy_http(files.gate, text)
