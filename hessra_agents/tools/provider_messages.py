"""Tool calls as model providers write them, and results as they read them.

Four shapes, told apart by their own fields; dictionaries or the provider's SDK objects:

    openai            {"id", "type": "function", "function": {"name", "arguments": "<JSON text>"}}
    openai-responses  {"type": "function_call", "call_id", "name", "arguments": "<JSON text>"}
    anthropic         {"type": "tool_use", "id", "name", "input": {...}}
    mcp               {"method": "tools/call", "params": {"name", "arguments": {...}}}
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any

from pydantic_core import to_jsonable_python

from ..call.canonical import MAX_DEPTH

__all__ = ["ToolCall", "calls_of", "result_text"]


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One call as a model asked for it. ``arguments`` are not read yet: JSON text, or a mapping."""

    provider: str
    id: Any
    name: str
    arguments: Mapping[str, Any] | str

    @classmethod
    def of(cls, message: object) -> ToolCall:
        """Read a provider's tool call.

        Raises:
            ValueError: it has none of the four shapes, so there is no form to answer in.
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
        raise ValueError("a tool call is of the openai, openai-responses, anthropic or mcp shape")

    def answer(self, text: str, *, error: bool) -> dict[str, Any]:
        """The result, or the refusal, in the shape in which the call came."""
        if self.provider == "openai":
            return {"role": "tool", "tool_call_id": self.id, "content": text}
        if self.provider == "openai-responses":
            return {"type": "function_call_output", "call_id": self.id, "output": text}
        if self.provider == "anthropic":
            return {"type": "tool_result", "tool_use_id": self.id, "content": text, "is_error": error}
        return {"content": [{"type": "text", "text": text}], "isError": error}


def calls_of(message: object) -> list[ToolCall]:
    """The tool calls of a message, or of a list of its parts; parts that are no calls are passed over.

    Takes None (OpenAI's ``tool_calls`` where there are none), a list of calls, the ``content`` or ``output``
    of a message with other parts in it, or the whole message.

    Raises:
        ValueError: a part is neither a call nor one of the known parts that are none.
    """
    if message is None:
        return []
    if isinstance(message, (list, tuple)):
        return [ToolCall.of(part) for part in message if _mapping(part).get("type") not in _NO_CALLS]
    data = _mapping(message)
    for parts in ("tool_calls", "content", "output"):
        if isinstance(data.get(parts), list):
            return calls_of(data[parts])
    return [] if data.get("role") == "assistant" else [ToolCall.of(message)]


_NO_CALLS = frozenset(
    ("text", "output_text", "message", "reasoning", "thinking", "redacted_thinking", "refusal")
)


def result_text(value: object) -> str:
    """A tool's result as text for a model: text as it is, else JSON.

    Models and dataclasses are written as pydantic writes them: by their own serializers, without excluded
    fields, secrets masked. An element that has no JSON form becomes the name of its type in angle brackets,
    never its ``repr``; bytes are base64; a lone surrogate becomes ``?``.
    """
    if isinstance(value, str):
        return _utf8(value)
    try:
        return _written(_form(value))
    except Exception:  # a cycle, one element's own serializer, a number that is not finite: save the others
        return _written(_saved(value, ()))


def _form(value: object) -> object:
    return to_jsonable_python(value, fallback=_kind, bytes_mode="base64")


def _written(form: object) -> str:
    text = json.dumps(form, ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":"))
    return _utf8(text)


def _saved(value: object, around: tuple[int, ...]) -> object:
    """The parts of a value that have a JSON form, one by one; ``around`` are the containers of this one."""
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
            return {_name(key): _saved(one, within) for key, one in value.items()}
        return [_saved(one, within) for one in value]
    try:
        form = _form(value)
    except Exception:  # whatever its serializer raises
        return _kind(value)
    return _saved(form, around) if isinstance(form, (int, float, list, dict)) else form


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
    found = dump() if callable(dump) else getattr(message, "__dict__", None)
    return found if isinstance(found, Mapping) else {}


def _named(data: Mapping[str, Any], key: str) -> tuple[str, Any]:
    name, arguments = data.get("name"), data.get(key)
    # some models write nothing where a call has no arguments
    nothing = arguments is None or (isinstance(arguments, str) and not arguments.strip())
    return (name if isinstance(name, str) else ""), ({} if nothing else arguments)
