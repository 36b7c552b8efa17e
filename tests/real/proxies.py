"""The forms of ``hessra-agents mcp proxy``, each in front of a server that somebody else wrote."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Literal, get_args

from hessra_agents import Grant

from .grants import Issued, exactly, issue
from .rigs import Call, Target, serving

__all__ = ["FORMS", "PROXY", "Form", "fronted", "listening"]

PROXY = (sys.executable, "-m", "hessra_agents.cli", "mcp", "proxy")

Form = Literal["stdio", "http in front of stdio", "http in front of http"]
FORMS: tuple[Form, ...] = get_args(Form)


@contextmanager
def fronted(
    form: Form, command: Sequence[str], folder: Path, *granted: Grant, open_to: Sequence[Call] = ()
) -> Iterator[Target]:
    """A server behind a proxy that is bound to these grants: its command, or its URL.

    Args:
        open_to: calls that reach the server where a second proxy makes a URL of its command, so that only
            the first one can be what stops them.
    """
    issued = issue(folder, *granted)
    if form == "stdio":
        yield [*PROXY, *issued.bound, "--", *command]
        return
    with ExitStack() as stack:
        behind: list[str] = ["--", *command]
        if form == "http in front of http":
            (folder / "open").mkdir()
            unguarded = issue(folder / "open", *granted, *exactly(*open_to))
            behind = ["--upstream", stack.enter_context(listening(unguarded, behind))]
        yield stack.enter_context(listening(issued, behind))


@contextmanager
def listening(issued: Issued, behind: Sequence[str]) -> Iterator[str]:
    """A proxy over HTTP: its URL."""
    options = [*issued.bound, "--allow-bearer-over-http", "--listen", "127.0.0.1:PORT"]
    with serving([*PROXY, *options, *behind]) as url:
        yield url
