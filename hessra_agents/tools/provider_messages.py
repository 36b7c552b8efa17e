"""Read tool calls as model providers write them, and answer them in the same shape.

Five shapes, distinguished by their own fields, as dictionaries or as objects of the provider's SDK:

    openai            {"id", "type": "function", "function": {"name", "arguments": "<JSON text>"}}
    openai-responses  {"type": "function_call", "call_id", "name", "arguments": "<JSON text>"}
    anthropic         {"type": "tool_use", "id", "name", "input": {...}}
    mcp               {"method": "tools/call", "params": {"name", "arguments": {...}}}
    openai-function   {"function_call": {"name", "arguments": "<JSON text>"}}, of older models

Every other part of a message is passed over: text, reasoning, and calls of tools that the provider runs.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import anyio

from ..errors import Denied, Reason
from .results import ResultTooLargeError, result_text

__all__ = ["MAX_CALLS", "ToolCall", "answer_calls", "calls_of"]

_log = logging.getLogger("hessra_agents")


MAX_CALLS = 128
"""Calls of one message that are run; the others are refused."""

MAX_PARTS = 4096
"""Parts of one message."""


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call as a model requested it. ``arguments`` are not read yet: JSON text, or a mapping."""

    provider: str
    id: Any
    name: str
    arguments: Mapping[str, Any] | str

    @classmethod
    def of(cls, message: object) -> ToolCall:
        """Read a provider's tool call.

        Raises:
            ValueError: the message has none of the shapes, so it cannot be answered.
        """
        call = cls.find(_mapping(message))
        if call is None:
            raise ValueError("a tool call must have the openai, openai-responses, anthropic or mcp shape")
        return call

    @classmethod
    def find(cls, data: Mapping[str, Any]) -> ToolCall | None:
        """Return the call that a part of a message is, with an empty name if it is malformed; else None."""
        kind = data.get("type")
        if kind == "function_call":
            return cls("openai-responses", data.get("call_id"), *_named(data, "arguments"))
        if kind == "tool_use":
            return cls("anthropic", data.get("id"), *_named(data, "input"))
        function = _mapping(data.get("function"))
        if kind == "function" or (function and kind is None):
            return cls("openai", data.get("id"), *_named(function, "arguments"))
        if kind is None and data.get("method") == "tools/call":
            return cls("mcp", data.get("id"), *_named(_mapping(data.get("params")), "arguments"))
        if kind is None and data.get("function_call") is not None:
            return cls("openai-function", None, *_named(_mapping(data["function_call"]), "arguments"))
        return None

    def answer(self, text: str, *, error: bool) -> dict[str, Any]:
        """Return the result or the refusal in the shape of the call."""
        if self.provider == "openai":
            return {"role": "tool", "tool_call_id": self.id, "content": text}
        if self.provider == "openai-function":
            return {"role": "function", "name": self.name, "content": text}
        if self.provider == "openai-responses":
            return {"type": "function_call_output", "call_id": self.id, "output": text}
        if self.provider == "anthropic":
            return {"type": "tool_result", "tool_use_id": self.id, "content": text, "is_error": error}
        return {"content": [{"type": "text", "text": text}], "isError": error}


async def answer_calls(
    message: object, run: Callable[[str, Mapping[str, Any] | str], Awaitable[object]]
) -> list[dict[str, Any]]:
    """Run the tool calls of a message concurrently, and return their answers in order and in their shape.

    Args:
        message: see `calls_of`.
        run: runs the call of a tool by its name and arguments. What it raises becomes an answer that the
            model can read: the text of a refusal, but only the type of any other exception.

    Raises:
        ValueError: there is no call, and a part that is nothing known.
    """
    calls = calls_of(message)
    answers = [call.answer("error: the call was cancelled", error=True) for call in calls]

    async def answer(index: int, call: ToolCall) -> None:
        answers[index] = await _answer(call, run)

    async with anyio.create_task_group() as group:
        for index, call in enumerate(calls[:MAX_CALLS]):
            group.start_soon(answer, index, call)
    for index, call in enumerate(calls[MAX_CALLS:], MAX_CALLS):
        answers[index] = call.answer(f"refused: a message has more than {MAX_CALLS} calls", error=True)
    return answers


async def _answer(
    call: ToolCall, run: Callable[[str, Mapping[str, Any] | str], Awaitable[object]]
) -> dict[str, Any]:
    try:
        if not isinstance(call.arguments, (str, Mapping)):
            raise Denied(Reason.MALFORMED, "the arguments must be an object", tool=call.name)
        return call.answer(result_text(await run(call.name, call.arguments)), error=False)
    except ResultTooLargeError:
        return call.answer("error: the tool ran, and its result is too large to be shown", error=True)
    except Exception as error:
        if isinstance(error, Denied) and not error.from_tool:
            return call.answer(f"refused: {error}", error=True)
        # its message may hold anything: it goes to the log, and only its type to the model
        _log.warning("the tool %r failed", call.name, exc_info=error)
        return call.answer(f"error: the tool failed with {type(error).__name__}", error=True)


def calls_of(message: object) -> list[ToolCall]:
    """Return the tool calls of a message, or of a list of its parts; all other parts are passed over.

    Args:
        message: None (OpenAI's ``tool_calls`` if there are none), a list of calls, the ``content`` or
            ``output`` of a message, or the whole message.

    Raises:
        ValueError: there is no call, and a part that is nothing known; or there are more than `MAX_PARTS`.
    """
    if message is None:
        return []
    calls, unknown = [], False
    for number, part in enumerate(map(_mapping, _parts(message))):
        if number == MAX_PARTS:
            raise ValueError(f"a message has at most {MAX_PARTS} parts")
        # what a tool or a user said may look like a call: only what a model said is looked at, and no deeper
        call = ToolCall.find(part) if part.get("role") in (None, "assistant") else None
        if call is not None:
            calls.append(call)
        elif not isinstance(part.get("type"), str) and not isinstance(part.get("role"), str):
            unknown = True
    if unknown and not calls:
        raise ValueError("a tool call must have the openai, openai-responses, anthropic or mcp shape")
    return calls


def _parts(message: object) -> Iterable[object]:
    if isinstance(message, (list, tuple)):
        return message
    data = _mapping(message)
    if data.get("role") not in (None, "assistant"):
        return []  # not a model's
    lists = [data[name] for name in ("tool_calls", "content", "output") if isinstance(data.get(name), list)]
    alone = not lists or data.get("type") not in (None, "message") or data.get("function_call")
    return [data] if alone else itertools.chain(*lists)


def _mapping(message: object) -> Mapping[str, Any]:
    if isinstance(message, Mapping):
        return message
    dump = getattr(message, "model_dump", None)
    members = dump() if callable(dump) else getattr(message, "__dict__", None)
    return members if isinstance(members, Mapping) else {}


def _named(data: Mapping[str, Any], key: str) -> tuple[str, Any]:
    name, arguments = data.get("name"), data.get(key)
    # some models, and clients in languages without empty objects, write other things where there are none
    text = arguments.strip() if isinstance(arguments, str) else arguments
    nothing = text is None or text in ("", "null", "[]") or text == []
    return (name if isinstance(name, str) else ""), ({} if nothing else arguments)
