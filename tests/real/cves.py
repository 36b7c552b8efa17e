"""Published weaknesses of MCP servers, with a call that uses each.

A weakness is a row: what was honestly asked in the same session, the call that must be stopped, and how
one sees that it was done. The rows name no guard, so that they serve with one and without.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from .rigs import MODULES, NODE, ROOT, Call
from .servers import git

VULNERABLE = {
    "filesystem": (NODE, str(MODULES / "server-filesystem-vulnerable/dist/index.js"), "{tmp}/allowed"),
    "git": (str(ROOT / ".venv-vulnerable/bin/mcp-server-git"), "--repository", "{tmp}/repo"),
}
"""Releases before the repair: server-filesystem 2025.3.28, and mcp-server-git 2025.7.1."""

REPO = "{tmp}/repo"
READ = (
    Call("read_file", {"path": "{tmp}/allowed/ok.txt"}),
    Call("list_directory", {"path": "{tmp}/allowed"}),
)
STATUS = Call("git_status", {"repo_path": REPO})


@dataclass(frozen=True, slots=True)
class Weakness:
    """A weakness and its use.

    Attributes:
        server: a key of ``VULNERABLE``.
        honest: calls of the same session that must be done.
        attack: the call that must not be.
        exploited: whether it was, as seen in the test's folder or in what was answered.
    """

    cve: str
    what: str
    server: Literal["filesystem", "git"]
    honest: tuple[Call, ...]
    attack: Call
    exploited: Callable[[Path, str], bool]


def told(tmp: Path, answer: str) -> bool:
    """Whether a secret was answered."""
    return "SECRET" in answer


WEAKNESSES = (
    Weakness(
        "CVE-2025-53110",
        "reads a neighbour whose path begins alike",
        "filesystem",
        READ,
        Call("read_file", {"path": "{tmp}/allowed_secrets/key.txt"}),
        told,
    ),
    Weakness(
        "CVE-2025-53110",
        "writes into a neighbour whose path begins alike",
        "filesystem",
        (*READ, Call("write_file", {"path": "{tmp}/allowed/mine.txt", "content": "mine"})),
        Call("write_file", {"path": "{tmp}/allowed_secrets/key.txt", "content": "planted"}),
        lambda tmp, _: (tmp / "allowed_secrets/key.txt").read_text() == "planted",
    ),
    Weakness(
        "CVE-2025-53109",
        "follows a symbolic link out of the folder",
        "filesystem",
        READ,
        Call("read_file", {"path": "{tmp}/allowed_evil/link"}),
        told,
    ),
    Weakness(
        "CVE-2025-68145",
        "reads another repository",
        "git",
        (STATUS, Call("git_log", {"repo_path": REPO})),
        Call("git_log", {"repo_path": "{tmp}/other"}),
        told,
    ),
    Weakness(
        "CVE-2025-68143",
        "makes a repository of any folder",
        "git",
        (STATUS,),
        Call("git_init", {"repo_path": "{tmp}/bare"}),
        lambda tmp, _: (tmp / "bare/.git").exists(),
    ),
    Weakness(
        "CVE-2025-68144",
        "overwrites any file: a revision that git reads as an option",
        "git",
        (STATUS, Call("git_diff", {"repo_path": REPO, "target": "side"})),
        Call("git_diff", {"repo_path": REPO, "target": "--output={tmp}/outside/precious.txt"}),
        lambda tmp, _: (tmp / "outside/precious.txt").read_text() != "precious\n",
    ),
    Weakness(
        "CVE-2025-68144",
        "leaves the branch: a name that git reads as an option",
        "git",
        (STATUS, Call("git_checkout", {"repo_path": REPO, "branch_name": "side"})),
        Call("git_checkout", {"repo_path": REPO, "branch_name": "--orphan=planted"}),
        lambda tmp, _: (tmp / "repo/.git/HEAD").read_text() == "ref: refs/heads/planted\n",
    ),
    Weakness(
        "CVE-2026-27735",
        "stages a file from outside the repository",
        "git",
        (STATUS, Call("git_add", {"repo_path": REPO, "files": ["f.txt"]})),
        Call("git_add", {"repo_path": REPO, "files": ["../outside/secret.txt"]}),
        lambda tmp, _: "secret" in git(tmp / "repo", "ls-files", "--stage"),
    ),
)
