"""A server that has one of everything, with the names that the protocol's conformance suite calls.

``python -m tests.real.everything --port 8000`` serves it over HTTP, without ``--port`` over standard
input and output. ``build`` passes its options on, so that a guard goes in where any server takes one:
``build(extensions=[guard])``.
"""

from __future__ import annotations

import argparse
import json
import warnings
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any

import anyio
from mcp.server import ServerRequestContext
from mcp.server.context import CallNext, HandlerResult
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.server.mcpserver.prompts.base import UserMessage
from mcp.server.mcpserver.tools import Tool
from mcp.server.streamable_http import EventCallback, EventMessage, EventStore
from mcp.types import (
    CompleteRequestParams,
    CompleteResult,
    Completion,
    ContentBlock,
    EmptyResult,
    JSONRPCMessage,
    SamplingMessage,
    SetLevelRequestParams,
    SubscribeRequestParams,
    UnsubscribeRequestParams,
)
from pydantic import Field

from . import rounds
from .contents import CHOICES, DEFAULTS, SCHEMA_2020_12, embedded, image, png, sound, text

Ctx = Context[Any, Any]
Region = Annotated[str, Field(json_schema_extra={"x-mcp-header": "Region"})]


def build(**options: Any) -> MCPServer[Any]:
    """Return the server; ``options`` go to the constructor of ``MCPServer``."""
    server: MCPServer[Any] = MCPServer(
        "everything", **{"version": "1", "log_level": "ERROR", "tools": first_tools(), **options}
    )
    add_contents(server)
    add_conversations(server)
    rounds.add_rounds(server)
    add_resources(server)
    add_prompts(server)
    add_methods(server)
    return server


def first_tools() -> list[Tool]:
    """The one that the suite calls because it is the first, and one whose schema is written by hand."""

    def simple() -> str:
        return "a simple text"

    def described(name: str = "", address: Any = None, contact: str = "") -> str:
        return "described"

    by_hand = Tool.from_function(described, "json_schema_2020_12_tool", description="Has a rich schema.")
    return [
        Tool.from_function(simple, "test_simple_text", description="Answers with a text."),
        by_hand.model_copy(update={"parameters": SCHEMA_2020_12}),
    ]


def add_contents(server: MCPServer[Any]) -> None:
    """Tools that answer with each kind of content."""
    tool = server.tool

    @tool(description="Answers with an image.", structured_output=False)
    def test_image_content() -> list[ContentBlock]:
        return [image()]

    @tool(description="Answers with a sound.", structured_output=False)
    def test_audio_content() -> list[ContentBlock]:
        return [sound()]

    @tool(description="Answers with a resource.", structured_output=False)
    def test_embedded_resource() -> list[ContentBlock]:
        return [embedded("test://embedded-resource", "embedded")]

    @tool(description="Answers with a text, an image and a resource.", structured_output=False)
    def test_multiple_content_types() -> list[ContentBlock]:
        return [text("three kinds"), image(), embedded("test://mixed-content-resource", "mixed")]

    @tool(description="Always fails.")
    def test_error_handling() -> str:
        raise ToolError("this tool fails on purpose")

    @tool(description="Takes an argument that also travels as an HTTP header.")
    def test_custom_header(
        region: Annotated[str, Field(json_schema_extra={"x-mcp-header": "Region"})],
    ) -> str:
        return f"region {region}"


def add_conversations(server: MCPServer[Any]) -> None:
    """Tools that send something, or ask something, before they answer."""
    tool = server.tool

    @tool(description="Logs three times.")
    async def test_tool_with_logging(ctx: Ctx) -> str:
        for step in ("started", "working", "finished"):
            await log(ctx, step)
            await anyio.sleep(0.05)
        return "logged"

    @tool(description="Logs once.")
    async def test_logging_tool(ctx: Ctx) -> str:
        await log(ctx, "only for who asked for logs")
        return "logged"

    @tool(description="Reports progress three times.")
    async def test_tool_with_progress(ctx: Ctx) -> str:
        for done in (0, 50, 100):
            await ctx.report_progress(done, 100)
            await anyio.sleep(0.05)
        return "done"

    @tool(description="Asks the client's model.")
    async def test_sampling(prompt: str, ctx: Ctx) -> str:
        question = SamplingMessage(role="user", content=text(prompt))
        answer = await deprecated(
            ctx.session.create_message, [question], max_tokens=100, related_request_id=ctx.request_id
        )
        return f"the model said {answer.content}"

    @tool(description="Asks the user for a name and an address.")
    async def test_elicitation(message: str, ctx: Ctx) -> str:
        fields = {"username": {"type": "string"}, "email": {"type": "string"}}
        return await ask(ctx, message, fields, required=list(fields))

    @tool(description="Asks the user, with a default for each field.")
    async def test_elicitation_sep1034_defaults(ctx: Ctx) -> str:
        return await ask(ctx, "Who are you?", DEFAULTS)

    @tool(description="Asks the user to choose, in each way to write a choice.")
    async def test_elicitation_sep1330_enums(ctx: Ctx) -> str:
        return await ask(ctx, "What do you choose?", CHOICES)

    @tool(description="Closes its stream before it answers.")
    async def test_reconnection(ctx: Ctx) -> str:
        await ctx.close_sse_stream()
        await anyio.sleep(0.1)
        return "answered after the stream was closed"

    @tool(description="Says that the list of tools has changed.")
    async def test_trigger_tool_change(ctx: Ctx) -> str:
        await ctx.notify_tools_changed()
        return "said"

    @tool(description="Says that the list of prompts has changed.")
    async def test_trigger_prompt_change(ctx: Ctx) -> str:
        await ctx.notify_prompts_changed()
        return "said"


def add_resources(server: MCPServer[Any]) -> None:
    @server.resource("test://static-text", description="A text.", mime_type="text/plain")
    def static_text() -> str:
        return "a text that does not change"

    @server.resource("test://static-binary", description="An image.", mime_type="image/png")
    def static_binary() -> bytes:
        return png()

    @server.resource("test://watched-resource", description="May be subscribed to.", mime_type="text/plain")
    def watched() -> str:
        return "watched"

    @server.resource("test://template/{id}/data", description="One per id.", mime_type="application/json")
    def from_template(id: str) -> str:
        return json.dumps({"id": id})


def add_prompts(server: MCPServer[Any]) -> None:
    @server.prompt(description="Takes nothing.")
    def test_simple_prompt() -> str:
        return "a simple prompt"

    @server.prompt(description="Takes two arguments.")
    def test_prompt_with_arguments(arg1: str, arg2: str) -> str:
        return f"the arguments are {arg1} and {arg2}"

    @server.prompt(description="Carries a resource.")
    def test_prompt_with_embedded_resource(resourceUri: str) -> list[UserMessage]:  # noqa: N803
        return [UserMessage(embedded(resourceUri, "embedded")), UserMessage("Read the resource.")]

    @server.prompt(description="Carries an image.")
    def test_prompt_with_image() -> list[UserMessage]:
        return [UserMessage(image()), UserMessage("Look at the image.")]


def add_methods(server: MCPServer[Any]) -> None:
    """Methods that ``MCPServer`` leaves to its low-level server, most of them gone after 2025-11-25."""

    async def complete(ctx: ServerRequestContext[Any], params: CompleteRequestParams) -> CompleteResult:
        return CompleteResult(completion=Completion(values=["paris", "park"], total=2, has_more=False))

    async def nothing(ctx: ServerRequestContext[Any], params: Any) -> EmptyResult:
        return EmptyResult()

    low = server._lowlevel_server
    low.add_request_handler("completion/complete", CompleteRequestParams, complete)
    low.add_request_handler("logging/setLevel", SetLevelRequestParams, nothing)
    low.add_request_handler("resources/subscribe", SubscribeRequestParams, nothing)
    low.add_request_handler("resources/unsubscribe", UnsubscribeRequestParams, nothing)


async def log(ctx: Ctx, message: str) -> None:
    await deprecated(ctx.session.send_log_message, "info", message, related_request_id=ctx.request_id)


async def ask(ctx: Ctx, message: str, fields: dict[str, Any], *, required: list[str] | None = None) -> str:
    schema = {"type": "object", "properties": fields, "required": required or []}
    answer = await ctx.session.elicit_form(message, schema, related_request_id=ctx.request_id)
    return f"the user answered {answer.action} {answer.content}"


def deprecated(call: Callable[..., Awaitable[Any]], *args: Any, **kwargs: Any) -> Awaitable[Any]:
    """Call what the protocol is about to drop: the suite still asks for it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return call(*args, **kwargs)


class Events(EventStore):
    """Remembers what was sent, so that a client whose stream was closed can ask for the rest."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, JSONRPCMessage | None]] = []

    async def store_event(self, stream_id: str, message: JSONRPCMessage | None) -> str:
        self.sent.append((stream_id, message))
        return str(len(self.sent))

    async def replay_events_after(self, last_event_id: str, send_callback: EventCallback) -> str | None:
        if not last_event_id.isdecimal() or not 0 < int(last_event_id) <= len(self.sent):
            return None
        stream, _ = self.sent[int(last_event_id) - 1]
        for number, (other, message) in enumerate(self.sent[int(last_event_id) :], int(last_event_id) + 1):
            if other == stream and message is not None:
                await send_callback(EventMessage(message, str(number)))
        return stream


def recorder(file: Path) -> Callable[[ServerRequestContext[Any, Any], CallNext], Awaitable[HandlerResult]]:
    """A middleware that appends each request's method and parameters to a file."""

    async def record(ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
        line = json.dumps([ctx.method, {k: v for k, v in (ctx.params or {}).items() if k != "_meta"}])
        with file.open("a") as out:
            out.write(line + "\n")
        return await call_next(ctx)

    return record


def serve(server: MCPServer[Any], port: int | None) -> None:
    """Serve over HTTP on a port of this machine alone; without a port over standard input and output."""
    if port is None:
        server.run("stdio")
    else:
        server.run("streamable-http", port=port, event_store=Events(), retry_interval=100)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int)
    parser.add_argument("--record", type=Path, help="a file that gets a line for each request")
    options = parser.parse_args()
    serve(build(middleware=[recorder(options.record)] if options.record else []), options.port)


if __name__ == "__main__":
    main()
