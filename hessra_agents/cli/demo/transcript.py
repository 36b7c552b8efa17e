"""The transcript: what models asked for, as providers send it, and the verdict that each call must get.

A JSON file with a list of turns:

    message    an agent's message with tool calls: OpenAI Chat Completions (``tool_calls``), OpenAI Responses
               (``output``) or Anthropic (``content``); ``expect`` has a verdict for the id of every call
    delegate   the demo's script hands ``grants`` of one agent on to a new one
    stolen     somebody has the text of an agent's capability, and calls the guard with it
    clock      time passes

A verdict is ``permitted`` or a reason code. In the texts of a message ``{root}`` stands for the folder of
the run, and ``{result:ID}`` for what the call ID of an earlier turn returned, as a model copies it.
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
from ...grants.constraints import Constraint
from ...grants.grants import Grant, grant
from ...grants.must import must

__all__ = ["PERMITTED", "Clock", "Delegate", "Stolen", "Transcript", "TranscriptMessage", "Verdict", "load"]

PERMITTED = "permitted"
Verdict = Literal["permitted"] | Reason


class _Turn(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    note: str


class TranscriptMessage(_Turn):
    """One message of a model, with tool calls that go side by side."""

    kind: Literal["message"]
    agent: str
    message: dict[str, JsonValue]
    expect: dict[str, Verdict]

    @property
    def calls(self) -> list[dict[str, Any]]:
        """The tool calls alone, each as the provider sent it."""
        parts: Any = next(
            (self.message[k] for k in ("tool_calls", "output", "content") if self.message.get(k)), []
        )
        return [part for part in parts if part.get("type") in ("function", "function_call", "tool_use")]

    @model_validator(mode="after")
    def _every_call_is_judged(self) -> TranscriptMessage:
        if sorted(map(call_id, self.calls)) != sorted(self.expect):
            raise ValueError("expect has a verdict for the id of every call, and no other")
        return self


class Granted(BaseModel):
    """One grant, in the form of a grant file (`cli.grantfile`); of the constraints only some are read."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    tool: str
    arguments: dict[str, JsonValue]

    def grant(self, root: str) -> Grant:
        """What the JSON says."""
        return grant(
            self.tool, {name: _constraint(_filled(v, root, {})) for name, v in self.arguments.items()}
        )


class Delegate(_Turn):
    """An agent hands on to a new one."""

    kind: Literal["delegate"]
    agent: str
    to: str
    seconds: int
    grants: list[Granted]


class Stolen(_Turn):
    """A call with the text of an agent's capability, by somebody who has not its key."""

    kind: Literal["stolen"]
    agent: str
    tool: str
    arguments: dict[str, JsonValue]
    expect: Verdict


class Clock(_Turn):
    """The guard's clock goes on by this much."""

    kind: Literal["clock"]
    seconds: int


class Transcript(BaseModel):
    """The whole file."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    about: list[str]
    turns: list[Annotated[TranscriptMessage | Delegate | Stolen | Clock, Field(discriminator="kind")]]


def load(path: Path | None = None) -> Transcript:
    """The transcript in this file; the demo's own if None.

    Raises:
        ValueError: it is not a transcript; the text says where.
        OSError: it cannot be read.
    """
    own = files(__package__) / "data" / "transcript.json"
    try:
        return Transcript.model_validate_json((path or own).read_text(encoding="utf-8"))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise ValueError(f"the transcript: {'/'.join(map(str, first['loc']))}: {first['msg']}") from None


def call_id(call: Mapping[str, Any]) -> str:
    """The id of a provider's tool call."""
    return str(call.get("call_id") or call.get("id"))


def filled(call: dict[str, Any], root: str, results: Mapping[str, str]) -> dict[str, Any]:
    """The call with its placeholders replaced; inside of JSON text, as JSON text.

    Raises:
        ValueError: a result that no earlier call has.
    """
    function = call.get("function")
    if isinstance(function, dict):
        return {**call, "function": filled(function, root, results)}
    arguments = call.get("arguments")
    if isinstance(arguments, str):
        return {**call, "arguments": _replaced(arguments, root, results, lambda text: json.dumps(text)[1:-1])}
    done: dict[str, Any] = _filled(call, root, results)
    return done


def _filled(value: Any, root: str, results: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        return _replaced(value, root, results, str)
    if isinstance(value, list):
        return [_filled(one, root, results) for one in value]
    if isinstance(value, dict):
        return {name: _filled(one, root, results) for name, one in value.items()}
    return value


def _replaced(text: str, root: str, results: Mapping[str, str], written: Callable[[str], str]) -> str:
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
    (name, told), *more = value.items() or [("", None)]
    if more or name not in _MUST:
        raise ValueError(f"a constraint is one of {', '.join(_MUST)}")
    if told is True:
        return _MUST[name]()
    return _MUST[name](*told) if isinstance(told, list) else _MUST[name](told)
