"""What goes out: answers on standard output, words to people on standard error.

Words to people follow the rules of age: a prefix, lower case, no full stop, a hint on a line of its own.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, TextIO

__all__ = ["CommandResult", "UsageError", "safe", "show", "tell", "warn"]

PREFIX = "hessra-agents: "
DONE, REFUSED, USAGE, FAILED = 0, 1, 2, 3
INTERRUPTED, NOBODY_READS = 130, 141
"""128 + the signal's number, as a shell says it."""

_SECRET = re.compile(r"-----BEGIN .*?(-----END[ A-Z]*-----|$)|[A-Za-z0-9_=.+-]{64,}", re.DOTALL)
"""What has this shape is in no message: it may be a token, a proof or a private key in the wrong place."""


class UsageError(ValueError):
    """The command cannot be done as it was given; ``hint`` says what to do."""

    def __init__(self, text: str, hint: str = "") -> None:
        super().__init__(text)
        self.hint = hint


@dataclass(frozen=True, slots=True)
class CommandResult:
    """What a command found: lines for a person, fields for a program, and the exit code.

    A line is its depth in a tree and its text. ``table`` is rows of cells, the names of the columns first.
    """

    fields: Mapping[str, Any]
    lines: Sequence[tuple[int, str]] = ()
    table: Sequence[Sequence[str]] = ()
    code: int = DONE
    as_json: bool = field(default=False, kw_only=True)


def safe(text: str) -> str:
    """The text in one line that no terminal acts on: what is not printable is escaped, as in Python.

    That is control characters, line separators, directions of writing (bidi), what has no width, lone
    surrogates and what Unicode has not assigned. Letters that look alike stay what they are.
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def show(answer: CommandResult | int) -> int:
    """Write the answer and return its exit code."""
    if isinstance(answer, int):
        _out().flush()
        return answer
    out = _out()
    if answer.as_json:
        out.write(json.dumps(answer.fields) + "\n")  # escapes all but ASCII
    elif out.isatty() and "NO_COLOR" not in os.environ and (answer.table or any(d for d, _ in answer.lines)):
        _drawn(answer, out)
    else:
        rows = (tuple(map(safe, row)) for row in answer.table[1:])
        out.writelines("\t".join(row) + "\n" for row in rows)
        out.writelines("  " * depth + safe(text) + "\n" for depth, text in answer.lines)
    out.flush()
    return answer.code


def warn(text: str) -> None:
    """Say something to the person, on standard error; what may be a secret is left out of it."""
    err = sys.stderr
    if err is None:
        return
    with suppress(OSError, ValueError):
        if hasattr(err, "reconfigure"):
            err.reconfigure(errors="backslashreplace")
        err.write(f"{PREFIX}{safe(_SECRET.sub('...', text))}\n")
        err.flush()


def tell(error: BaseException) -> int:
    """Say what went wrong, in one line and a hint, and return the exit code."""
    if isinstance(error, BrokenPipeError) or isinstance(error.__context__, BrokenPipeError):
        _silence()  # the second: typer exits when it cannot write its help
        return NOBODY_READS
    if isinstance(error, KeyboardInterrupt):
        return INTERRUPTED
    text, hint, code = _told(error)
    warn(text)
    if hint:
        warn(f"hint: {hint}")
    if code == FAILED:
        _silence()
    return code


def _told(error: BaseException) -> tuple[str, str, int]:
    """Text, hint and exit code."""
    if isinstance(error, UsageError):
        return str(error), error.hint, USAGE
    if isinstance(error, UnicodeError):
        return "an argument or a file is not text in utf-8", "", USAGE
    if isinstance(error, ValueError):
        return str(error), "", USAGE
    with suppress(Exception):
        from typer import TyperException

        if isinstance(error, TyperException):
            return _usage(error)
        from ..errors import Denied

        if isinstance(error, Denied):
            more = f" ({error.detail})" if error.detail else ""
            return f"refused: {error}{more}", "", REFUSED
    if isinstance(error, OSError) and error.strerror:
        return f"failed: {error.strerror.lower()}", "", FAILED
    return (
        f"failed: {type(error).__name__}{_place(error)}",
        "this is a fault of hessra-agents: report it",
        FAILED,
    )


def _usage(error: Any) -> tuple[str, str, int]:
    text = str(error.format_message()).strip().removesuffix(".").replace("Value error, ", "")
    if text.startswith("Got unexpected extra argument"):
        text = "one argument too many"  # which may be a token: it is not repeated
    path = getattr(getattr(error, "ctx", None), "command_path", "hessra-agents")
    return text[:1].lower() + text[1:], f"run {path} --help", USAGE


def _place(error: BaseException) -> str:
    """Where in this package it happened. The error's own text stays unsaid: it might hold a secret."""
    found, trace = "", error.__traceback__
    while trace is not None:
        name = trace.tb_frame.f_globals.get("__name__", "")
        if name.startswith("hessra_agents"):
            found = f" in {name}, line {trace.tb_lineno}"
        trace = trace.tb_next
    return found


def _out() -> TextIO:
    out: Any = sys.stdout
    if out is None:
        raise OSError(0, "there is no standard output")
    if hasattr(out, "reconfigure"):
        out.reconfigure(errors="backslashreplace")
    return out  # type: ignore[no-any-return]


def _silence() -> None:
    """Keep the interpreter's last flush from failing once more."""
    with suppress(OSError, ValueError, AttributeError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def _drawn(answer: CommandResult, out: TextIO) -> None:
    """Tables and trees on a terminal; ``Text`` is never read as markup."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text
    from rich.tree import Tree

    console = Console(file=out, highlight=False, markup=False, emoji=False)
    if answer.table:
        table = Table(box=None, header_style="bold")
        for name in answer.table[0]:
            table.add_column(name, overflow="fold")
        for row in answer.table[1:]:
            table.add_row(*(Text(safe(cell)) for cell in row))
        console.print(table)
    above: list[Tree] = []
    roots: list[Tree] = []
    for depth, line in answer.lines:
        style = "bold" if depth == 0 else "cyan" if depth == 1 else ""
        text = Text(safe(line), style)
        del above[depth:]
        above.append(above[-1].add(text) if above else Tree(text, guide_style="dim"))
        if depth == 0:
            roots.append(above[0])
    for root in roots:
        console.print(root)
