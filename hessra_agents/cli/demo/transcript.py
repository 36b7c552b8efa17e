"""Read the transcript: models' messages as providers send them, and the verdict expected of each call.

A JSON file with a list of turns:

    message    an agent's message with tool calls: OpenAI Chat Completions (``tool_calls``), OpenAI Responses
               (``output``) or Anthropic (``content``); ``expect`` has a verdict for the id of every call
    delegate   the script delegates ``grants`` of one agent to a new one
    stolen     a caller without the key calls the guard with an agent's capability
    clock      time passes

A verdict is ``permitted`` or a reason code. In the strings of a message ``{root}`` stands for the folder of
the run, and ``{result:ID}`` for the result of call ID in an earlier turn, as a model would copy it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, model_validator

from ...errors import Reason
from ...grants.grants import Grant, grant
from ...grants.vocabulary.constraints import Constraint
from ...grants.vocabulary.must import must

__all__ = ["PERMITTED", "Clock", "Delegate", "Stolen", "Transcript", "TranscriptMessage", "Verdict", "load"]

PERMITTED = "permitted"
Verdict = Literal["permitted"] | Reason


class _Turn(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    note: str


class TranscriptMessage(_Turn):
    """A model's message, with tool calls that run concurrently."""

    kind: Literal["message"]
    agent: str
    message: dict[str, JsonValue]
    expect: dict[str, Verdict]

    @property
    def calls(self) -> list[dict[str, Any]]:
        """Return the tool calls alone, each as the provider sent it."""
        parts: Any = next(
            (self.message[k] for k in ("tool_calls", "output", "content") if self.message.get(k)), []
        )
        return [part for part in parts if part.get("type") in ("function", "function_call", "tool_use")]

    @model_validator(mode="after")
    def _check_verdicts(self) -> TranscriptMessage:
        if sorted(map(call_id, self.calls)) != sorted(self.expect):
            raise ValueError("expect must have a verdict for the id of every call, and for no other")
        return self


class Granted(BaseModel):
    """A grant in the form of a grant file; only some of the constraints are supported."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    tool: str
    arguments: dict[str, JsonValue]

    def grant(self, root: str) -> Grant:
        """Return the grant that the JSON states."""
        return grant(self.tool, {name: _constraint(_fill(v, root, {})) for name, v in self.arguments.items()})


class Delegate(_Turn):
    """An agent delegates to a new one."""

    kind: Literal["delegate"]
    agent: str
    to: str
    seconds: int
    grants: list[Granted]


class Stolen(_Turn):
    """A call with an agent's capability, by a caller without its key."""

    kind: Literal["stolen"]
    agent: str
    tool: str
    arguments: dict[str, JsonValue]
    expect: Verdict


class Clock(_Turn):
    """The guard's clock moves forward by this many seconds."""

    kind: Literal["clock"]
    seconds: int


class Transcript(BaseModel):
    """The whole file."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    about: list[str]
    turns: list[Annotated[TranscriptMessage | Delegate | Stolen | Clock, Field(discriminator="kind")]]


def load(path: Path | None = None) -> Transcript:
    """Read a transcript; by default the demo's own.

    Raises:
        ValueError: the file is not a transcript; the text says where.
        OSError: the file cannot be read.
    """
    own = files(__package__) / "data" / "transcript.json"
    try:
        return Transcript.model_validate_json((path or own).read_text(encoding="utf-8"))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise ValueError(f"the transcript: {'/'.join(map(str, first['loc']))}: {first['msg']}") from None


def call_id(call: Mapping[str, Any]) -> str:
    """Return the id of a provider's tool call."""
    return str(call.get("call_id") or call.get("id"))


def fill(call: dict[str, Any], root: str, results: Mapping[str, str]) -> dict[str, Any]:
    """Return the call with its placeholders replaced; within a JSON string, escaped for it.

    Raises:
        ValueError: a placeholder names a result that no earlier call has.
    """
    function = call.get("function")
    if isinstance(function, dict):
        return {**call, "function": fill(function, root, results)}
    arguments = call.get("arguments")
    if isinstance(arguments, str):
        return {**call, "arguments": _replace(arguments, root, results, lambda text: json.dumps(text)[1:-1])}
    done: dict[str, Any] = _fill(call, root, results)
    return done


def _fill(value: Any, root: str, results: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        return _replace(value, root, results, str)
    if isinstance(value, list):
        return [_fill(one, root, results) for one in value]
    if isinstance(value, dict):
        return {name: _fill(one, root, results) for name, one in value.items()}
    return value


def _replace(text: str, root: str, results: Mapping[str, str], written: Callable[[str], str]) -> str:
    def value(match: re.Match[str]) -> str:
        if match[1] is None:
            return written(root)
        if match[1] not in results:
            raise ValueError(f"the transcript: no earlier call has the id {match[1]}")
        return written(results[match[1]])

    return re.sub(r"\{(?:root|result:(\w+))\}", value, text)


_MUST: dict[str, Callable[..., Constraint]] = {
    "anything": must.anything,
    "at_least": must.at_least,
    "at_most": must.at_most,
    "between": must.between,
    "email": must.email,
    "max_length": must.max_length,
    "one_of": must.one_of,
    "under": must.under,
    "url": must.url,
}


def _constraint(value: Any) -> object:
    if not isinstance(value, dict):
        return value
    (name, operand), *more = value.items() or [("", None)]
    if more or name not in _MUST:
        raise ValueError(f"a constraint must be one of {', '.join(_MUST)}")
    if operand is True:
        return _MUST[name]()
    return _MUST[name](*operand) if isinstance(operand, list) else _MUST[name](operand)
