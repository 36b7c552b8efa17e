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
from typing import Any

from .canonical import Malformed, encode, plain

__all__ = ["ToolCall", "result_text"]


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One call as a model asked for it. ``arguments`` are not read yet: JSON text, or a mapping."""

    shape: str
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
        if isinstance(data.get("function"), Mapping) and kind in (None, "function"):
            return cls("openai", data.get("id"), *_named(data["function"], "arguments"))
        if data.get("method") == "tools/call" and isinstance(data.get("params"), Mapping):
            return cls("mcp", data.get("id"), *_named(data["params"], "arguments"))
        raise ValueError("a tool call is of the openai, openai-responses, anthropic or mcp shape")

    def answer(self, text: str, *, error: bool) -> dict[str, Any]:
        """The result, or the refusal, in the shape in which the call came."""
        if self.shape == "openai":
            return {"role": "tool", "tool_call_id": self.id, "content": text}
        if self.shape == "openai-responses":
            return {"type": "function_call_output", "call_id": self.id, "output": text}
        if self.shape == "anthropic":
            return {"type": "tool_result", "tool_use_id": self.id, "content": text, "is_error": error}
        return {"content": [{"type": "text", "text": text}], "isError": error}


def result_text(value: object) -> str:
    """A tool's result as text for a model: text as it is, else JSON where it has a JSON form."""
    if isinstance(value, str):
        return value
    try:
        return encode(plain(value)).decode()
    except Malformed:
        return json.dumps(repr(value))


def _mapping(message: object) -> Mapping[str, Any]:
    if isinstance(message, Mapping):
        return message
    dump = getattr(message, "model_dump", None)
    found = dump() if callable(dump) else None
    return found if isinstance(found, Mapping) else {}


def _named(data: Mapping[str, Any], key: str) -> tuple[str, Any]:
    name, arguments = data.get("name"), data.get(key)
    return (name if isinstance(name, str) else ""), ({} if arguments is None else arguments)
