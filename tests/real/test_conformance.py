"""The protocol's own conformance suite, against a server with one of everything."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, get_args

import pytest

from .grants import issue, surface
from .rigs import Version, conformance, everything, serving
from .surface import (
    CHECKS,
    OTHER_REQUESTS,
    PROMPTS,
    REFUSED_REQUESTS,
    RESOURCES,
    SUBSCRIPTIONS,
    TOOL_CALLS,
)

each_version = pytest.mark.parametrize("version", get_args(Version))


@each_version
def test_every_scenario_passes_without_a_guard(version: Version) -> None:
    with everything() as url:
        scores = conformance(url, version)
    assert {name: score.complaints for name, score in scores.items() if score.complaints} == {}
    assert {name: score.passed for name, score in scores.items()} == CHECKS[version]


@each_version
def test_every_scenario_passes_with_a_guard_in_the_server(version: Version, tmp_path: Path) -> None:
    """No fewer checks than without one: the guard changes nothing that it permits."""
    issued = issue(tmp_path, *surface())
    bound = ["--trust", str(issued.trust), "--capability", str(issued.token)]
    with serving([sys.executable, "-m", "tests.real.guarded", "--port", "PORT", *bound]) as url:
        scores = conformance(url, version)
    assert {name: score.complaints for name, score in scores.items() if score.complaints} == {}
    assert {name: score.passed for name, score in scores.items()} == CHECKS[version]


def test_the_figures_are_those_of_the_sdks_own_server() -> None:
    assert {version: sum(checks.values()) for version, checks in CHECKS.items()} == {
        "2025-11-25": 84,
        "2026-07-28": 152,
    }


@each_version
def test_the_surface_is_all_that_the_suite_asks_for(version: Version, tmp_path: Path) -> None:
    """A guard that grants the surface grants enough: nothing else is asked for."""
    with everything("--record", str(tmp_path / "requests")) as url:
        conformance(url, version)
    asked = [json.loads(line) for line in (tmp_path / "requests").read_text().splitlines()]
    assert asked
    assert [request for request in asked if not in_surface(*request)] == []


def in_surface(method: str, params: dict[str, Any]) -> bool:
    named = (params.get("name"), params.get("arguments") or {})
    match method:
        case "tools/call":
            return named in TOOL_CALLS
        case "prompts/get":
            return named in PROMPTS
        case "resources/read":
            return params["uri"] in RESOURCES
        case "resources/subscribe" | "resources/unsubscribe" if params:
            return params["uri"] in SUBSCRIPTIONS
        case "initialize" | "notifications/initialized":
            return True
        case _:
            return (method, params) in OTHER_REQUESTS or (method in REFUSED_REQUESTS and not params)
