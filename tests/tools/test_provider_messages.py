"""Messages of models: which parts are calls to us, and which are somebody else's."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import anthropic.types
import pytest
from openai.types.chat import ChatCompletionMessage
from openai.types.responses import ResponseOutputItem
from pydantic import TypeAdapter

from hessra_agents.tools.provider_messages import MAX_CALLS, answer_calls, calls_of
from hessra_agents.tools.results import MAX_SHOWN

pytestmark = pytest.mark.anyio

FUNCTION = {"type": "function_call", "call_id": "c1", "id": "f1", "name": "add", "arguments": '{"a": 1}'}
TOOL_USE = {"type": "tool_use", "id": "c1", "name": "add", "input": {"a": 1}}
CHAT = {"id": "c1", "type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}}

OPENAI_PARTS: list[dict[str, Any]] = [
    {"type": "web_search_call", "id": "1", "status": "completed", "action": {"type": "search", "query": "x"}},
    {"type": "file_search_call", "id": "1", "queries": ["x"], "status": "completed", "results": None},
    {"type": "code_interpreter_call", "id": "1", "code": "1", "container_id": "c", "status": "completed"},
    {"type": "image_generation_call", "id": "1", "status": "completed", "result": None},
    {"type": "mcp_list_tools", "id": "1", "server_label": "s", "tools": []},
    {"type": "mcp_call", "id": "1", "name": "add", "arguments": '{"a": 9}', "server_label": "s"},
    {"type": "custom_tool_call", "call_id": "1", "name": "add", "input": "9"},
    {"type": "reasoning", "id": "1", "summary": []},
]
ANTHROPIC_PARTS: list[dict[str, Any]] = [
    {"type": "server_tool_use", "id": "1", "name": "web_search", "input": {"query": "x"}},
    {"type": "web_search_tool_result", "tool_use_id": "1", "content": []},
    {"type": "text", "text": "a"},
    {"type": "thinking", "thinking": "a", "signature": "b"},
]
OTHERS: list[dict[str, Any]] = [
    {"type": "computer_call", "id": "1", "call_id": "1", "action": {"type": "screenshot"}},
    {"type": "mcp_tool_use", "id": "1", "name": "add", "input": {"a": 9}, "server_name": "s"},
    {"type": "mcp_tool_result", "tool_use_id": "1", "content": [TOOL_USE]},
    {"type": "bash_code_execution_tool_result", "tool_use_id": "1", "content": {}},
    {"type": "a part of tomorrow", "name": "add", "arguments": "{}"},
]


async def ran(message: object) -> tuple[list[Any], list[dict[str, Any]]]:
    """Return the arguments of the calls that ran, and the answers."""
    calls: list[Any] = []

    async def run(name: str, arguments: Mapping[str, Any] | str) -> object:
        if name != "add":
            raise ValueError(name)
        calls.append(json.loads(arguments) if isinstance(arguments, str) else arguments)
        return "added"

    return calls, await answer_calls(message, run)


@pytest.mark.parametrize("part", OPENAI_PARTS + ANTHROPIC_PARTS + OTHERS, ids=lambda part: part["type"])
async def test_a_part_that_is_no_call_to_us_is_passed_over(part: dict[str, Any]) -> None:
    """The calls beside it run and are answered; alone, it has no answer."""
    for call in (FUNCTION, TOOL_USE):
        calls, answers = await ran([part, call, part])
        assert calls == [{"a": 1}]
        assert len(answers) == 1
    assert await ran([part]) == await ran(part) == ([], [])


@pytest.mark.parametrize("part", OPENAI_PARTS, ids=lambda part: part["type"])
async def test_openai_objects_are_read_as_their_dictionaries(part: dict[str, Any]) -> None:
    """The output of a response, as the SDK returns it."""
    output: list[Any] = TypeAdapter(list[ResponseOutputItem]).validate_python([part, FUNCTION])
    calls, [answer] = await ran(output)
    assert (calls, answer["call_id"]) == ([{"a": 1}], "c1")


@pytest.mark.parametrize("part", ANTHROPIC_PARTS, ids=lambda part: part["type"])
async def test_anthropic_objects_are_read_as_their_dictionaries(part: dict[str, Any]) -> None:
    """A whole message, as the SDK returns it."""
    usage = {"input_tokens": 1, "output_tokens": 1}
    about = {"id": "m", "type": "message", "role": "assistant", "model": "x", "stop_reason": "tool_use"}
    told = {**about, "stop_sequence": None, "usage": usage, "content": [part, TOOL_USE]}
    calls, [answer] = await ran(anthropic.types.Message.model_validate(told))
    assert (calls, answer["tool_use_id"]) == ([{"a": 1}], "c1")


async def test_a_custom_tool_of_a_chat_is_passed_over() -> None:
    """Its input is no arguments, and no tool of ours is of that kind."""
    custom = {"id": "x", "type": "custom", "custom": {"name": "add", "input": "ls"}}
    message = {"role": "assistant", "content": None, "tool_calls": [custom, CHAT]}
    for one in (message, ChatCompletionMessage.model_validate(message)):
        calls, [answer] = await ran(one)
        assert (calls, answer["tool_call_id"]) == ([{"a": 1}], "c1")


async def test_the_one_call_of_an_older_model_is_answered() -> None:
    """In the shape that such a model reads."""
    message = {"role": "assistant", "content": None, "function_call": {"name": "add", "arguments": '{"a":1}'}}
    for one in (message, ChatCompletionMessage.model_validate(message)):
        assert await ran(one) == ([{"a": 1}], [{"role": "function", "name": "add", "content": "added"}])


@pytest.mark.parametrize("role", ["user", "tool", "function", "system"])
async def test_what_others_said_is_no_call(role: str) -> None:
    """Also in the list of a whole conversation, whatever it looks like."""
    said = [{**call, "role": role} for call in (CHAT, FUNCTION, TOOL_USE)]
    said.append({"role": role, "function_call": {"name": "add", "arguments": "{}"}})
    assert await ran(said) == ([], [])


MALFORMED: list[dict[str, Any]] = [
    {"type": "function_call", "call_id": "c2"},
    {"type": "function_call", "call_id": "c2", "name": ["add"], "arguments": "{}"},
    {"type": "tool_use", "id": "c2", "name": None, "input": {}},
    {"type": "function", "id": "c2", "function": None},
    {"type": "function", "id": "c2"},
    {"method": "tools/call", "id": "c2"},
    {"method": "tools/call", "id": "c2", "params": ["add"]},
]


@pytest.mark.parametrize("part", MALFORMED, ids=str)
async def test_a_malformed_call_has_an_answer_of_its_own(part: dict[str, Any]) -> None:
    """The calls beside it run."""
    calls, [first, second] = await ran([part, TOOL_USE])
    assert calls == [{"a": 1}]
    assert "error: the tool failed" in json.dumps(first)
    assert second == {"type": "tool_result", "tool_use_id": "c1", "content": "added", "is_error": False}


async def test_what_is_nothing_known_is_told_only_where_nothing_could_be_answered() -> None:
    """A program that passes something else learns of it; a model's calls are not lost over it."""
    calls, answers = await ran([{"odd": 1}, TOOL_USE])
    assert (calls, len(answers)) == ([{"a": 1}], 1)
    for nothing in ([{"odd": 1}], {"odd": 1}, [5], "add"):
        with pytest.raises(ValueError, match="shape"):
            calls_of(nothing)


async def test_calls_of_one_message_are_bounded() -> None:
    """The first run; each of the others is told why it did not."""
    calls, answers = await ran([TOOL_USE] * (MAX_CALLS + 2))
    assert (len(calls), len(answers)) == (MAX_CALLS, MAX_CALLS + 2)
    assert [answer["content"] for answer in answers[-2:]] == [
        f"refused: a message has more than {MAX_CALLS} calls"
    ] * 2


async def test_a_result_that_is_too_large_is_told_as_such() -> None:
    """A model cannot read it, and it is not written to find that out."""
    laughs: list[Any] = ["x"]
    for _ in range(100):
        laughs = [laughs, laughs]
    for result in (laughs, [{"id": index} for index in range(MAX_SHOWN)]):

        async def run(name: str, arguments: Mapping[str, Any] | str, result: object = result) -> object:
            return result

        [answer] = await answer_calls([TOOL_USE], run)
        assert answer["content"] == "error: the tool ran, and its result is too large to be shown"
