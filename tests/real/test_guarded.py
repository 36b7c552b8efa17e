"""Servers and clients that others wrote, with the guard between them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

import pytest
from mcp import Client, StdioServerParameters

from ..support.examples import last_line_fits
from .cves import VULNERABLE, WEAKNESSES, Weakness
from .grants import exactly, issue, surface
from .proxies import FORMS, PROXY, Form, fronted, listening
from .rigs import (
    EVERYTHING,
    ROOT,
    Call,
    Era,
    Target,
    Version,
    conformance,
    conversation,
    everything,
    inspector,
    placed,
    typescript,
)
from .servers import SERVERS, RealServer
from .surface import CHECKS

each_server = pytest.mark.parametrize("server", SERVERS, ids=lambda server: server.name)
each_form = pytest.mark.parametrize("form", FORMS)
each_era = pytest.mark.parametrize("era", ["legacy", "modern"])
GREETING = Call("test_custom_header", {"region": "north"})
OTHER = Call("test_custom_header", {"region": "south"})


def started(target: Target) -> Any:
    if isinstance(target, str):
        return target
    return StdioServerParameters(command=target[0], args=list(target[1:]))


@pytest.mark.anyio
@each_form
@each_server
async def test_an_honest_call_passes_and_no_other_does(server: RealServer, form: Form, folder: Path) -> None:
    here = server.at(folder)
    honest, stopped = here.honest, here.stopped
    with fronted(form, here.command, folder, *exactly(honest), open_to=[stopped]) as target:
        async with Client(started(target)) as client:
            assert [tool.name for tool in (await client.list_tools()).tools] == [honest.tool]
            assert not (await client.call_tool(honest.tool, dict(honest.arguments))).is_error
            refused = await client.call_tool(stopped.tool, dict(stopped.arguments))
            assert (refused.meta or {})["dev.hessra/denial"]["reason"] in ("not_granted", "constraint")
            assert not (await client.call_tool(honest.tool, dict(honest.arguments))).is_error
    assert here.harmed is None or not here.harmed(folder)


@pytest.mark.parametrize("weakness", WEAKNESSES, ids=lambda row: f"{row.cve} {row.what}")
def test_a_published_weakness_is_out_of_reach(weakness: Weakness, folder: Path) -> None:
    """The releases that have it, the calls of the control, and the guard in front."""
    honest = [call.at(folder) for call in weakness.honest]
    command = placed(VULNERABLE[weakness.server], folder)
    with fronted("stdio", command, folder, *exactly(*honest)) as target:
        assert not isinstance(target, str)
        with conversation(target) as server:
            for call in honest:
                done, answer = server.call(call)
                assert done, answer
            done, answer = server.call(weakness.attack.at(folder))
            assert not done
            assert "dev.hessra/denial" in answer
            for call in honest:
                assert server.call(call)[0] or call.tool in ("git_checkout", "git_add", "write_file")
    assert not weakness.exploited(folder, answer)


@pytest.mark.parametrize("version", get_args(Version))
def test_every_scenario_passes_behind_the_http_proxy(version: Version, tmp_path: Path) -> None:
    """No fewer checks than without a guard."""
    issued = issue(tmp_path, *surface())
    with everything() as upstream, listening(issued, ["--upstream", upstream]) as url:
        scores = conformance(url, version)
    assert {name: score.complaints for name, score in scores.items() if score.complaints} == {}
    assert {name: score.passed for name, score in scores.items()} == CHECKS[version]


@each_era
@each_form
def test_the_inspector_calls_a_guarded_server(era: Era, form: Form, tmp_path: Path) -> None:
    with fronted(form, EVERYTHING, tmp_path, *exactly(GREETING), open_to=[OTHER]) as target:
        arguments = ["--tool-name", GREETING.tool, "--tool-args-json"]
        status, answer = inspector(target, era, "tools/call", *arguments, '{"region": "north"}')
        assert (status, answer["result"]["content"][0]["text"]) == (0, "region north")
        status, answer = inspector(target, era, "tools/call", *arguments, '{"region": "south"}')
        assert status == 5
        assert answer["result"]["content"][0]["text"].endswith("[constraint]")


@each_era
@each_form
def test_the_typescript_client_calls_a_guarded_server(era: Era, form: Form, tmp_path: Path) -> None:
    with fronted(form, EVERYTHING, tmp_path, *exactly(GREETING), open_to=[OTHER]) as target:
        answer = typescript(target, era, GREETING)
        assert answer["version"] == {"legacy": "2025-11-25", "modern": "2026-07-28"}[era]
        assert [tool["name"] for tool in answer["tools"]] == [GREETING.tool]
        assert answer["result"]["content"] == [{"type": "text", "text": "region north"}]
        assert typescript(target, era, OTHER)["result"]["isError"]


@each_era
def test_a_client_of_another_language_presents_a_capability(era: Era, tmp_path: Path) -> None:
    """The capability is text in ``_meta``: any client can send it."""
    issued = issue(tmp_path, *exactly(GREETING))
    guarded: Sequence[str] = [*PROXY, *issued.guarded, "--", *EVERYTHING]
    shown = {"dev.hessra/capability": issued.capability.token}
    assert not typescript(guarded, era, GREETING, shown)["result"].get("isError")
    assert typescript(guarded, era, OTHER, shown)["result"]["isError"]
    assert typescript(guarded, era, GREETING)["result"]["isError"]


def test_the_team_over_real_servers() -> None:
    """The example of three agents over two servers, and its line in the list of examples."""
    program = [sys.executable, "examples/agents/mcp_team.py"]
    run = subprocess.run(program, check=True, cwd=ROOT, timeout=60, stdout=subprocess.PIPE, text=True)
    assert last_line_fits("mcp_team.py", run.stdout)
