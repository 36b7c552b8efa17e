"""Read tool calls as model providers write them, answer them, and write results as models read them.

Four shapes, distinguished by their own fields, as dictionaries or as objects of the provider's SDK:

    openai            {"id", "type": "function", "function": {"name", "arguments": "<JSON text>"}}
    openai-responses  {"type": "function_call", "call_id", "name", "arguments": "<JSON text>"}
    anthropic         {"type": "tool_use", "id", "name", "input": {...}}
    mcp               {"method": "tools/call", "params": {"name", "arguments": {...}}}
"""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any

import anyio
from pydantic_core import to_jsonable_python

from ..call.canonical import MAX_DEPTH
from ..errors import Denied, Reason

__all__ = ["ToolCall", "answer_calls", "calls_of", "result_text"]

_log = logging.getLogger("hessra_agents")


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
            ValueError: the message has none of the four shapes, so it cannot be answered.
        """
        data = _mapping(message)
        kind = data.get("type")
        if kind == "function_call":
            return cls("openai-responses", data.get("call_id"), *_named(data, "arguments"))
        if kind == "tool_use":
            return cls("anthropic", data.get("id"), *_named(data, "input"))
        function = _mapping(data.get("function"))
        if function and kind in (None, "function"):
            return cls("openai", data.get("id"), *_named(function, "arguments"))
        if data.get("method") == "tools/call" and isinstance(data.get("params"), Mapping):
            return cls("mcp", data.get("id"), *_named(data["params"], "arguments"))
        raise ValueError("a tool call must have the openai, openai-responses, anthropic or mcp shape")

    def answer(self, text: str, *, error: bool) -> dict[str, Any]:
        """Return the result or the refusal in the shape of the call."""
        if self.provider == "openai":
            return {"role": "tool", "tool_call_id": self.id, "content": text}
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
        ValueError: a part is neither a call nor a known part of another kind.
    """
    calls = calls_of(message)
    answers = [call.answer("error: the call was cancelled", error=True) for call in calls]

    async def answer(index: int, call: ToolCall) -> None:
        answers[index] = await _answer(call, run)

    async with anyio.create_task_group() as group:
        for index, call in enumerate(calls):
            group.start_soon(answer, index, call)
    return answers


async def _answer(
    call: ToolCall, run: Callable[[str, Mapping[str, Any] | str], Awaitable[object]]
) -> dict[str, Any]:
    try:
        if not isinstance(call.arguments, (str, Mapping)):
            raise Denied(Reason.MALFORMED, "the arguments must be an object", tool=call.name)
        return call.answer(result_text(await run(call.name, call.arguments)), error=False)
    except Exception as error:
        if isinstance(error, Denied) and not error.from_tool:
            return call.answer(f"refused: {error}", error=True)
        # its message may hold anything: it goes to the log, and only its type to the model
        _log.warning("the tool %r failed", call.name, exc_info=error)
        return call.answer(f"error: the tool failed with {type(error).__name__}", error=True)


def calls_of(message: object) -> list[ToolCall]:
    """Return the tool calls of a message, or of a list of its parts; skip known parts that are not calls.

    Args:
        message: None (OpenAI's ``tool_calls`` if there are none), a list of calls, the ``content`` or
            ``output`` of a message, or the whole message.

    Raises:
        ValueError: a part is neither a call nor a known part of another kind.
    """
    if message is None:
        return []
    if isinstance(message, (list, tuple)):
        return [ToolCall.of(part) for part in message if _mapping(part).get("type") not in _OTHER_PARTS]
    data = _mapping(message)
    for parts in ("tool_calls", "content", "output"):
        if isinstance(data.get(parts), list):
            return calls_of(data[parts])
    return [] if data.get("role") == "assistant" else [ToolCall.of(message)]


_OTHER_PARTS = frozenset(
    ("text", "output_text", "message", "reasoning", "thinking", "redacted_thinking", "refusal")
)


def result_text(value: object) -> str:
    """Return a tool's result as text for a model: a string unchanged, any other value as JSON.

    Models and dataclasses are written as pydantic writes them: by their own serializers, without excluded
    fields, with secrets masked. An element that has no JSON form becomes the name of its type in angle
    brackets, never its ``repr``; bytes become base64; a lone surrogate becomes ``?``.
    """
    if isinstance(value, str):
        return _utf8(value)
    try:
        return _json_text(_jsonable(value))
    except Exception:  # a cycle, an element's own serializer, a number that is not finite: keep the rest
        return _json_text(_jsonable_parts(value, ()))


def _jsonable(value: object) -> object:
    return to_jsonable_python(value, fallback=_kind, bytes_mode="base64")


def _json_text(form: object) -> str:
    text = json.dumps(form, ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":"))
    return _utf8(text)


def _jsonable_parts(value: object, around: tuple[int, ...]) -> object:
    """Return the parts of a value that have a JSON form; ``around`` are the ids of its containers."""
    if value is None or isinstance(value, (str, bool)):
        return value
    if isinstance(value, float) and not isfinite(value):
        return str(float(value))
    if isinstance(value, int):
        return value if value.bit_length() < _MANY_BITS else _kind(value)
    if isinstance(value, (list, tuple, set, frozenset, dict)):
        if id(value) in around or len(around) == MAX_DEPTH:
            return _kind(value)
        within = (*around, id(value))
        if isinstance(value, dict):
            return {_name(key): _jsonable_parts(member, within) for key, member in value.items()}
        return [_jsonable_parts(element, within) for element in value]
    try:
        form = _jsonable(value)
    except Exception:  # a serializer may raise anything
        return _kind(value)
    return _jsonable_parts(form, around) if isinstance(form, (int, float, list, dict)) else form


_MANY_BITS = 10_000  # Python refuses to print an integer of more than 4300 digits


def _name(key: object) -> str:
    if isinstance(key, str):
        return key
    return str(key) if isinstance(key, (int, float)) else _kind(key)


def _kind(value: object) -> str:
    return f"<{type(value).__name__}>"


def _utf8(text: str) -> str:
    return text.encode(errors="replace").decode()


def _mapping(message: object) -> Mapping[str, Any]:
    if isinstance(message, Mapping):
        return message
    dump = getattr(message, "model_dump", None)
    members = dump() if callable(dump) else getattr(message, "__dict__", None)
    return members if isinstance(members, Mapping) else {}


def _named(data: Mapping[str, Any], key: str) -> tuple[str, Any]:
    name, arguments = data.get("name"), data.get(key)
    # some models write nothing if a call has no arguments
    nothing = arguments is None or (isinstance(arguments, str) and not arguments.strip())
    return (name if isinstance(name, str) else ""), ({} if nothing else arguments)
