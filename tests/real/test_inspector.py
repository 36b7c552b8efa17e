"""The Inspector's command line: a client that nobody here wrote."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from .rigs import EVERYTHING, Era, Target, everything, inspector

each_era = pytest.mark.parametrize("era", ["legacy", "modern"])
each_transport = pytest.mark.parametrize("transport", ["stdio", "http"])


@contextmanager
def target(transport: str) -> Iterator[Target]:
    if transport == "stdio":
        yield EVERYTHING
        return
    with everything() as url:
        yield url


@each_era
@each_transport
def test_the_inspector_lists_the_tools_of_an_unguarded_server(transport: str, era: Era) -> None:
    with target(transport) as server:
        status, answer = inspector(server, era, "tools/list")
    assert status == 0
    assert "test_simple_text" in {tool["name"] for tool in answer["result"]["tools"]}


@each_era
@each_transport
def test_the_inspector_calls_a_tool_of_an_unguarded_server(transport: str, era: Era) -> None:
    call = ["--tool-name", "test_custom_header", "--tool-args-json", json.dumps({"region": "north"})]
    with target(transport) as server:
        status, answer = inspector(server, era, "tools/call", *call, "--tool-metadata", "com.example/x=y")
    assert (status, answer["result"]["content"]) == (0, [{"type": "text", "text": "region north"}])


@each_era
def test_the_inspector_tells_an_error_by_its_exit_status(era: Era) -> None:
    status, answer = inspector(EVERYTHING, era, "tools/call", "--tool-name", "test_error_handling")
    assert (status, answer["result"]["isError"]) == (5, True)


@each_era
def test_the_inspector_keeps_the_separator_of_a_command(era: Era) -> None:
    """A guard's command ends with ``-- COMMAND``."""
    behind = ["env", "--", *EVERYTHING]
    status, answer = inspector(behind, era, "tools/call", "--tool-name", "test_simple_text")
    assert (status, answer["result"]["isError"]) == (0, False)


def test_the_inspector_tells_a_server_that_is_not_there() -> None:
    status, answer = inspector("http://127.0.0.1:1/mcp", "modern", "tools/list")
    assert (status, answer["error"]["code"]) == (4, "unreachable")
