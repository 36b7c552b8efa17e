"""The ledger that a command is about: where it is, and opening it to read or to write."""

from __future__ import annotations

import os
import re
import stat
import sys
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import parse_qsl, urlsplit

from .terminal import PREFIX, UsageError, safe, warn

if TYPE_CHECKING:
    from ..ledger import Ledger
    from ..ledger.log.reader import Logs

__all__ = [
    "VARIABLE",
    "LedgerLocation",
    "confirm",
    "failures",
    "ledger_location",
    "optional_ledger_location",
    "serving_ledger",
    "show_whole",
]

VARIABLE = "HESSRA_LEDGER"
MAX_ADDRESS = 4096

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class LedgerLocation:
    """Where a ledger is. What it says is in no message: an address may have a password."""

    where: str
    state_dir: Path | None

    def __repr__(self) -> str:
        return "Place(...)"

    def open(self, on_damage: Callable[[str], None] | None = None) -> Ledger:
        """The ledger, to write; made if it is not there.

        Args:
            on_damage: is told of damage that keeps nobody from taking something back.

        Raises:
            UsageError: it cannot be used; the text says why.
        """
        from ..ledger.opening import open_ledger

        with failures():
            return open_ledger(self.where, state_dir=self.state_dir, on_damage=on_damage)

    @contextmanager
    def logs(self) -> Iterator[Logs]:
        """Its logs, to read.

        Raises:
            UsageError: there is no ledger, or it cannot be used.
        """
        from ..ledger.log.reader import Logs

        with failures():
            self._there()
            with Logs(self.where, state_dir=self.state_dir) as logs:
                yield logs

    def use(
        self, work: Callable[[Ledger], Awaitable[T]], on_damage: Callable[[str], None] | None = None
    ) -> T:
        """What the work makes of the ledger, which is there and is closed afterwards; see `open`.

        Raises:
            UsageError: there is no ledger, or it cannot be used.
        """
        import anyio

        self._there()
        ledger = self.open(on_damage)

        async def inside() -> T:
            try:
                return await work(ledger)
            finally:
                await ledger.aclose()

        return anyio.run(inside)

    def _there(self) -> None:
        # a name that is not there is a slip of the hand: nobody looks after a new, empty ledger
        if "://" not in self.where and not os.path.exists(self.where):
            raise UsageError("the ledger: there is no such file")


@contextmanager
def serving_ledger(place: LedgerLocation | None) -> Iterator[Ledger]:
    """A ledger for as long as something serves: this one, or without it one in memory."""
    import anyio

    from ..ledger import Ledger

    ledger = Ledger.memory() if place is None else place.open()
    try:
        yield ledger
    finally:
        anyio.run(ledger.aclose)


def ledger_location(ledger: str | None, file: Path | None, state: Path | None) -> LedgerLocation:
    """Where the ledger is that the options name, or else the environment.

    Raises:
        UsageError: they name none, or several, or a password where other programs can read it.
    """
    found = optional_ledger_location(ledger, file, state)
    if found is None:
        raise UsageError(
            "there is no ledger", f"name it with --ledger WHERE, --ledger-file FILE or {VARIABLE}"
        )
    return found


def optional_ledger_location(
    ledger: str | None, file: Path | None, state: Path | None
) -> LedgerLocation | None:
    """The same; None if nothing names one."""
    # first of all: no server that is started later may find a password there
    from_environment = os.environ.pop(VARIABLE, None)
    if ledger is not None and file is not None:
        raise UsageError("--ledger and --ledger-file exclude each other")
    if ledger is not None and _has_password(ledger):
        raise UsageError(
            "--ledger: has a password, which other programs can read there: change it",
            f"write the address to a file of mode 600 and name it with --ledger-file, or set {VARIABLE}",
        )
    where = _from_file(file) if file is not None else ledger or from_environment
    if not where:
        if state is not None:
            raise UsageError("--state is about a ledger, and none is named")
        return None
    return LedgerLocation(where, state)


def _has_password(address: str) -> bool:
    try:
        parts = urlsplit(address)
        named = [name.lower() for name, _ in parse_qsl(parts.query, keep_blank_values=True)]
        found = bool(parts.password) or any("password" in name for name in named)
    except ValueError:
        found = "://" in address  # nobody knows what is in it
    return found or re.search(r"password\s*=", address, re.IGNORECASE) is not None


def _from_file(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            data = opened.read(MAX_ADDRESS + 1)
            about = os.fstat(opened.fileno())
    except OSError as error:
        raise UsageError(f"--ledger-file: {(error.strerror or 'cannot be read').lower()}") from None
    if stat.S_ISREG(about.st_mode) and about.st_mode & 0o077:
        warn("--ledger-file: other users can read this file")
    try:
        text = data.decode().strip()
    except UnicodeDecodeError:
        text = ""
    if not text or len(data) > MAX_ADDRESS or len(text.splitlines()) != 1:
        raise UsageError("--ledger-file: is not one line with the address of a ledger")
    return text


@contextmanager
def failures() -> Iterator[None]:
    """Say what is wrong with a ledger in words to people."""
    from ..ledger import LedgerError
    from ..ledger.store.connection import StoreError

    try:
        yield
    except LedgerError as error:
        raise UsageError(f"the ledger: {error}") from None
    except StoreError as error:
        raise OSError(0, f"the ledger: {error}") from None


def show_whole(lines: Iterable[tuple[int, str]]) -> None:
    """Say lines to the person, with all that is in them: also what has the shape of a secret.

    Whoever decides about a call has to see the whole of it.
    """
    for depth, line in lines:
        sys.stderr.write(f"{PREFIX}{'  ' * depth}{safe(line)}\n")
    sys.stderr.flush()


def confirm(question: str, yes: bool) -> bool:
    """Whether the person says yes, on the terminal; the option says it without.

    Raises:
        UsageError: there is neither.
    """
    if yes:
        return True
    try:
        terminal = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY)
    except OSError:
        raise UsageError("there is no terminal to ask on, so nothing was done", "--yes does it") from None
    with open(terminal, "r+b", buffering=0) as asked:
        asked.write(safe(f"hessra-agents: {question} yes or no: ").encode())
        return asked.readline().strip().lower() in (b"y", b"yes")
