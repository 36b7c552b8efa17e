"""Print results on standard output, and messages to a person on standard error.

Messages follow the style of age: a prefix, lower case, no full stop, a hint on a line of its own.
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, TextIO

from ..extras import MissingExtraError

__all__ = [
    "CommandResult", "Progress", "UsageError", "refusal_hint", "report", "safe", "show", "show_line", "warn",
]  # fmt: skip

PREFIX = "hessra-agents: "
DONE, REFUSED, USAGE, FAILED = 0, 1, 2, 3
INTERRUPTED, OUTPUT_CLOSED = 130, 141
"""128 + the signal's number, as shells report it."""

_SECRET = re.compile(r"-----BEGIN .*?(-----END[ A-Z]*-----|$)|[A-Za-z0-9_=.+-]{64,}", re.DOTALL)
"""Text of this shape appears in no message: it may be a misplaced token, proof or private key."""

RENAMED = {
    "--publish": "--propagation-delay",
    "--longest-ttl": "--max-ttl",
    "--state": "--state-dir",
    "--most": "--limit",
    "--head": "--checkpoint",
    "--refusals": "--denial-format",
    "--bearer-over-http": "--allow-bearer-over-http",
    "heads": "checkpoints",
    "break": "fork",
}
"""Earlier names of options and commands, each with its name of today: an error says so."""


class UsageError(ValueError):
    """Reject a command as it was given; ``hint`` says what to do."""

    def __init__(self, text: str, hint: str = "") -> None:
        super().__init__(text)
        self.hint = hint


@dataclass(frozen=True, slots=True)
class CommandResult:
    """Hold what a command found: lines for a person, fields for a program, and the exit code.

    A line is its depth in a tree and its text. ``table`` is rows of cells; the first has the column names.
    """

    fields: Mapping[str, Any]
    lines: Sequence[tuple[int, str]] = ()
    table: Sequence[Sequence[str]] = ()
    code: int = DONE
    as_json: bool = field(default=False, kw_only=True)


def safe(text: str) -> str:
    """Return the text as one line that no terminal acts on: unprintable characters are escaped.

    These are control characters, line separators, bidirectional controls, zero-width characters, lone
    surrogates and unassigned code points. Letters that look alike are not changed.
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def show(answer: CommandResult | int) -> int:
    """Print the result and return its exit code."""
    if isinstance(answer, int):
        _out().flush()
        return answer
    out = _out()
    if answer.as_json:
        out.write(json.dumps(answer.fields) + "\n")  # escapes all but ASCII
    elif out.isatty() and (answer.table or any(d for d, _ in answer.lines)):
        _draw(answer, out)
    else:
        rows = (tuple(map(safe, row)) for row in answer.table[1:])
        out.writelines("\t".join(row) + "\n" for row in rows)
        out.writelines("  " * depth + safe(text) + "\n" for depth, text in answer.lines)
    out.flush()
    return answer.code


def show_line(answer: CommandResult) -> None:
    """Print one of many results, which come as time passes: a row, or its fields as one JSON object."""
    out = _out()
    row = "\t".join(safe(cell) for cell in answer.table[-1])
    out.write((json.dumps(answer.fields) if answer.as_json else row) + "\n")
    out.flush()


def warn(text: str) -> None:
    """Print a message on standard error, without anything that may be a secret."""
    err = sys.stderr
    if err is None:
        return
    with suppress(OSError, ValueError):
        if hasattr(err, "reconfigure"):
            err.reconfigure(errors="backslashreplace")
        err.write(f"{PREFIX}{safe(_SECRET.sub('...', text))}\n")
        err.flush()


class Progress:
    """Tell a person at a terminal how far a command is, once it has taken two seconds.

        with Progress() as progress:
            progress("hessra-agents/51f0", 256, 4711)

    The line is on standard error, is replaced every second, and is gone at the end.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._next = clock() + 2
        self._shown = 0  # characters on the line

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        self.clear()

    def clear(self) -> None:
        """Clear the line, for something else to be said."""
        if self._shown:
            self._write("")

    def __call__(self, what: str, done: int, total: int) -> None:
        """Tell what is being done, and how many of how many records are."""
        now = self._clock()
        if now >= self._next and sys.stderr is not None and sys.stderr.isatty():
            self._next = now + 1
            self._write(f"{PREFIX}{safe(what)}: {done:,} of {total:,} records")

    def _write(self, text: str) -> None:
        with suppress(OSError, ValueError):
            sys.stderr.write(f"\r{text:{self._shown}}" + ("" if text else "\r"))
            sys.stderr.flush()
        self._shown = len(text)


def report(error: BaseException) -> int:
    """Print what went wrong, as one line and a hint, and return the exit code."""
    if isinstance(error, BrokenPipeError) or isinstance(error.__context__, BrokenPipeError):
        _silence()  # the second: typer exits when it cannot write its help
        return OUTPUT_CLOSED
    if isinstance(error, KeyboardInterrupt):
        return INTERRUPTED
    text, hint, code = _message(error)
    warn(text)
    if hint:
        warn(f"hint: {hint}")
    if code == FAILED:
        _silence()
    return code


def _message(error: BaseException) -> tuple[str, str, int]:
    """Return the text, the hint and the exit code for an error."""
    if isinstance(error, UsageError):
        return str(error), error.hint, USAGE
    if isinstance(error, MissingExtraError):
        return str(error), "", FAILED
    if isinstance(error, UnicodeError):
        return "an argument or a file is not valid UTF-8", "", USAGE
    if isinstance(error, ValueError):
        return str(error), "", USAGE
    with suppress(Exception):
        from typer import TyperException

        if isinstance(error, TyperException):
            return _usage(error)
        from ..errors import Denied

        if isinstance(error, Denied):
            more = f" ({error.detail})" if error.detail else ""
            return f"refused: {error}{more}", refusal_hint(error.reason), REFUSED
    if isinstance(error, OSError) and error.strerror:
        return f"failed: {error.strerror.lower()}", "", FAILED
    return (
        f"failed: {type(error).__name__}{_origin(error)}",
        "this is a bug in hessra-agents: please report it",
        FAILED,
    )


def refusal_hint(reason: str) -> str:
    """Return what a person may look at after this refusal; empty if its text says it."""
    if reason == "bad_signature":
        return "it was changed on its way, or it is from another authority than the --trust file"
    return ""


def _usage(error: Any) -> tuple[str, str, int]:
    text = str(error.format_message()).strip().removesuffix(".").replace("Value error, ", "")
    if text.startswith("Got unexpected extra argument"):
        text = "too many arguments"  # the extra one may be a token, so it is not repeated
    unknown = re.match(r"No such (?:option: |command ')([\w-]+)", text)
    context = getattr(error, "ctx", None)
    if unknown and (today := RENAMED.get(unknown[1])) and _offers(context, today):
        text = f"{unknown[1]} is now {today}"
    path = getattr(context, "command_path", "hessra-agents")
    return text[:1].lower() + text[1:], f"run {path} --help", USAGE


def _offers(context: Any, name: str) -> bool:
    """Return whether the command at hand has an option or a command of this name."""
    command = getattr(context, "command", None)
    options = [option for parameter in getattr(command, "params", ()) for option in parameter.opts]
    return name in options or name in getattr(command, "commands", ())


def _origin(error: BaseException) -> str:
    """Return where in this package the error arose, and never its own text, which may contain a secret."""
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
    """Keep the interpreter's last flush from failing again."""
    with suppress(OSError, ValueError, AttributeError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def _draw(answer: CommandResult, out: TextIO) -> None:
    """Draw a table and trees on a terminal; ``Text`` is never read as markup."""
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
