"""The host's workflows are pinned by commit, have least permissions, and run targets that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
HOOKS = (ROOT / ".pre-commit-config.yaml").read_text()
MAKEFILE = (ROOT / "Makefile").read_text()
TARGETS = set(re.findall(r"^([a-z]+):.*## ", MAKEFILE, re.MULTILINE))
WRITES = {"release.yml": {"id-token", "attestations"}}
"""What may be written, by workflow: the identity and the attestation of a release."""

each_workflow = pytest.mark.parametrize("path", WORKFLOWS, ids=[path.name for path in WORKFLOWS])


def test_there_are_workflows_for_changes_nights_and_releases() -> None:
    assert [path.name for path in WORKFLOWS] == ["ci.yml", "nightly.yml", "release.yml"]


@each_workflow
def test_each_action_is_pinned_by_its_commit(path: Path) -> None:
    """An action is a full commit, with its tag in a comment, or a workflow of this repository."""
    uses = re.findall(r"uses: (.+)", path.read_text())
    assert uses
    for one in uses:
        assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", one) or one.startswith(
            "./.github/"
        )


def test_the_hooks_from_elsewhere_are_pinned_by_their_commit() -> None:
    revisions = re.findall(r"rev: (\S+)", HOOKS)
    assert revisions
    assert all(re.fullmatch("[0-9a-f]{40}", one) for one in revisions)


@each_workflow
def test_no_permission_is_given_to_all_jobs(path: Path) -> None:
    """The workflow starts with none, each job names its own, and only a release writes anything."""
    text = path.read_text()
    assert "\npermissions: {}\n" in text
    jobs = re.split(r"^  [a-z]+:\n", text.partition("\njobs:\n")[2], flags=re.MULTILINE)[1:]
    assert jobs
    assert all("\n    permissions:\n" in f"\n{job}" for job in jobs)
    assert set(re.findall(r"([a-z-]+): write\b", text)) == WRITES.get(path.name, set())


@each_workflow
def test_no_credentials_and_no_secrets_are_kept(path: Path) -> None:
    """A check-out leaves no token behind, and no stored secret is read."""
    text = path.read_text()
    assert text.count("actions/checkout@") == text.count("persist-credentials: false")
    assert "secrets." not in text
    assert "secrets: inherit" not in text


@each_workflow
def test_each_workflow_runs_once_at_a_time(path: Path) -> None:
    assert "\nconcurrency:\n" in path.read_text()


def targets_run() -> set[str]:
    """The targets of make in all workflows, those of a matrix included."""
    text = "".join(path.read_text() for path in WORKFLOWS)
    listed = re.search(r"target: \[(.+)\]", text)
    assert listed
    return {*re.findall(r"run: make ([a-z]+)", text), *listed[1].split(", ")}


def test_each_target_that_runs_exists() -> None:
    assert {"check", "test", "soak", "twins", "interop", "real"} <= targets_run()
    assert targets_run() - TARGETS == set()


def test_the_supported_versions_of_python_are_tested() -> None:
    """The matrix is the list of classifiers."""
    listed = re.search(r"python: \[(.+)\]", (ROOT / ".github/workflows/ci.yml").read_text())
    assert listed
    pyproject = (ROOT / "pyproject.toml").read_text()
    assert set(re.findall(r'"(3\.\d+)"', listed[1])) == set(re.findall(r"Python :: (3\.\d+)", pyproject))


def test_each_local_hook_is_a_program_of_the_environment() -> None:
    """A hook runs what `make .venv/.installed` brings."""
    programs = re.findall(r"entry: \.venv/bin/([\w-]+)", HOOKS)
    assert programs
    assert [
        name for name in programs if f"\n{name}==" not in (ROOT / "constraints/dev.txt").read_text()
    ] == []
