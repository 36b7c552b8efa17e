"""Tools and a prompt that answer in several rounds (2026-07-28, SEP-2322).

A server of this version asks nothing by itself: it answers that input is required, and the client sends
the same request again with the answers. What the server must remember travels as ``requestState``, which
the SDK seals.
"""

from __future__ import annotations

from typing import Any

from mcp.server.mcpserver import Context, MCPServer
from mcp.shared.exceptions import MCPError
from mcp.types import (
    MISSING_REQUIRED_CLIENT_CAPABILITY,
    CreateMessageRequest,
    CreateMessageRequestParams,
    ElicitRequest,
    ElicitRequestFormParams,
    InputRequest,
    InputRequiredResult,
    ListRootsRequest,
    SamplingMessage,
    TextContent,
)

Ctx = Context[Any, Any]
Round = str | InputRequiredResult


def add_rounds(server: MCPServer[Any]) -> None:
    """Add what answers in rounds, and the tool that refuses a client which cannot."""
    add_single_rounds(server)
    add_states(server)

    @server.tool(description="Asks for what the client can do, and nothing else.", structured_output=False)
    async def test_input_required_result_capabilities(ctx: Ctx) -> Round:
        able = ctx.client_capabilities
        asked: dict[str, InputRequest] = {}
        if able and able.sampling:
            asked["greeting"] = question("Say hello.")
        if able and able.elicitation:
            asked["user_name"] = form("What is your name?", name="string")
        return rounds(ctx, asked) if asked else "the client can do nothing"

    @server.tool(description="Needs a client that has a model.")
    async def test_missing_capability(ctx: Ctx) -> str:
        if not (ctx.client_capabilities and ctx.client_capabilities.sampling):
            raise MCPError(
                MISSING_REQUIRED_CLIENT_CAPABILITY,
                "this tool needs sampling",
                {"requiredCapabilities": {"sampling": {}}},
            )
        return "the client has a model"

    @server.prompt(description="Asks for its context.")
    async def test_input_required_result_prompt(ctx: Ctx) -> Round:
        return rounds(ctx, {"user_context": form("In which context?", context="string")})


def add_single_rounds(server: MCPServer[Any]) -> None:
    """Tools that ask once and keep nothing."""
    once: dict[str, dict[str, InputRequest]] = {
        "test_input_required_result_elicitation": {"user_name": form("What is your name?", name="string")},
        "test_input_required_result_sampling": {"capital_question": question("Which city is the capital?")},
        "test_input_required_result_list_roots": {"client_roots": ListRootsRequest()},
        "test_streaming_elicitation": {"user_name": form("What is your name?", name="string")},
    }
    for name, asked in once.items():

        async def single(ctx: Ctx, asked: dict[str, InputRequest] = asked) -> Round:
            return rounds(ctx, asked)

        server.add_tool(single, name, description="Asks once.", structured_output=False)


def add_states(server: MCPServer[Any]) -> None:
    """Tools that remember something between their rounds."""
    confirm: dict[str, InputRequest] = {"confirm": form("Is that right?", ok="boolean")}
    several: dict[str, InputRequest] = {
        "user_name": form("What is your name?", name="string"),
        "greeting": question("Say hello."),
        "client_roots": ListRootsRequest(),
    }
    for name, asked in {
        "test_input_required_result_request_state": confirm,
        "test_input_required_result_tampered_state": confirm,
        "test_input_required_result_multiple_inputs": several,
    }.items():

        async def stateful(ctx: Ctx, asked: dict[str, InputRequest] = asked) -> Round:
            return rounds(ctx, asked, state="asked")

        server.add_tool(stateful, name, description="Asks once, and remembers it.", structured_output=False)

    @server.tool(description="Asks twice.", structured_output=False)
    async def test_input_required_result_multi_round(ctx: Ctx) -> Round:
        if ctx.request_state is None:
            return rounds(ctx, {"step1": form("What is your name?", name="string")}, state="first")
        return rounds(ctx, {"step2": form("Which colour?", color="string")}, state="second")


def rounds(ctx: Ctx, asked: dict[str, InputRequest], *, state: str | None = None) -> Round:
    """Ask until everything is answered in the round that ``state`` names."""
    missing = {key: request for key, request in asked.items() if key not in (ctx.input_responses or {})}
    if missing or ctx.request_state != state:
        return InputRequiredResult(input_requests=missing or asked, request_state=state)
    return f"answered {sorted(asked)}"


def form(message: str, **fields: str) -> ElicitRequest:
    schema = {
        "type": "object",
        "properties": {name: {"type": kind} for name, kind in fields.items()},
        "required": list(fields),
    }
    return ElicitRequest(params=ElicitRequestFormParams(message=message, requested_schema=schema))


def question(words: str) -> CreateMessageRequest:
    message = SamplingMessage(role="user", content=TextContent(type="text", text=words))
    return CreateMessageRequest(params=CreateMessageRequestParams(messages=[message], max_tokens=100))
