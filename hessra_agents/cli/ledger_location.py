"""Find the ledger that a command is about, and open it to read or to write."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import parse_qsl, urlsplit

from . import inputs
from .terminal import PREFIX, UsageError, safe

if TYPE_CHECKING:
    from ..ledger import Ledger
    from ..ledger.log.reader import Logs

__all__ = [
    "VARIABLE",
    "LedgerLocation",
    "confirm",
    "find_ledger",
    "ledger_errors",
    "serving_ledger",
    "show_unshortened",
]

VARIABLE = "HESSRA_LEDGER"
MAX_ADDRESS = 4096

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class LedgerLocation:
    """The place of a ledger. No message shows an address, which may contain a password."""

    where: str
    state_dir: Path | None

    def __repr__(self) -> str:
        return "LedgerLocation(...)"

    def open(
        self, on_damage: Callable[[str], None] | None = None, *, checkpoints: Path | None = None
    ) -> Ledger:
        """Open the ledger to write; create it if it does not exist.

        Args:
            on_damage: receives a description of damage that does not prevent a revocation.
            checkpoints: a file of earlier checkpoints, which the ledger's logs must hold.

        Raises:
            UsageError: the ledger cannot be used; the text says why.
        """
        import anyio

        from ..ledger import Ledger

        with ledger_errors():
            options: Any = {"state_dir": self.state_dir, "checkpoints": checkpoints, "on_damage": on_damage}
            ledger = Ledger.open(self.where, **options, clock=inputs.now)
            anyio.run(ledger.start)
            return ledger

    @contextmanager
    def logs(self) -> Iterator[Logs]:
        """Open the ledger's logs to read.

        Raises:
            UsageError: the ledger does not exist or cannot be used.
        """
        from ..ledger.log.reader import Logs

        with ledger_errors():
            self._require_file()
            with Logs(self.where, state_dir=self.state_dir) as logs:
                yield logs

    def use(
        self, work: Callable[[Ledger], Awaitable[T]], on_damage: Callable[[str], None] | None = None
    ) -> T:
        """Open the existing ledger (see `open`), return what the work returns, and close the ledger.

        Raises:
            UsageError: the ledger does not exist or cannot be used.
        """
        import anyio

        self._require_file()
        ledger = self.open(on_damage)

        async def inside() -> T:
            try:
                return await work(ledger)
            finally:
                await ledger.aclose()

        return anyio.run(inside)

    def _require_file(self) -> None:
        # a missing file is a typing error: these commands have no use for a new, empty ledger
        if "://" in self.where:
            return
        if not os.path.exists(self.where):
            raise UsageError(f"the ledger: {self.where}: no such file")
        if not os.path.getsize(self.where):
            raise UsageError(f"the ledger: {self.where}: is empty: it was cut, or never used")


@contextmanager
def serving_ledger(place: LedgerLocation | None, checkpoints: Path | None = None) -> Iterator[Ledger]:
    """Keep a ledger open while a server runs: the one at this place, or else one in memory.

    Raises:
        UsageError: the ledger cannot be used, or does not hold the checkpoints of this file.
    """
    import anyio

    from ..ledger import Ledger

    if place is None and checkpoints is not None:
        raise UsageError("--checkpoint requires a ledger, and none is named")
    ledger = Ledger.memory() if place is None else place.open(checkpoints=checkpoints)
    try:
        yield ledger
    finally:
        anyio.run(ledger.aclose)


def find_ledger(ledger: str | None, file: Path | None, state_dir: Path | None) -> LedgerLocation | None:
    """Return the place of the ledger that the options name, or else the environment; None if neither does.

    Raises:
        UsageError: two are named, or a password stands where other programs can read it.
    """
    # first of all: a server that is started later must not find a password there
    from_environment = os.environ.pop(VARIABLE, None)
    if ledger is not None and file is not None:
        raise UsageError("give either --ledger or --ledger-file, not both")
    if ledger is not None and _has_password(ledger):
        raise UsageError(
            "--ledger: contains a password, which other programs can read there: change the password",
            f"write the address to a file of mode 600 and give --ledger-file FILE, or set {VARIABLE}",
        )
    where = _from_file(file) if file is not None else ledger or from_environment
    if not where:
        if state_dir is not None:
            raise UsageError("--state-dir requires a ledger, and none is named")
        return None
    return LedgerLocation(where, state_dir)


def _has_password(address: str) -> bool:
    try:
        parts = urlsplit(address)
        named = [name.lower() for name, _ in parse_qsl(parts.query, keep_blank_values=True)]
        found = bool(parts.password) or any("password" in name for name in named)
    except ValueError:
        found = "://" in address  # it cannot be read, so it may contain one
    return found or re.search(r"password\s*=", address, re.IGNORECASE) is not None


def _from_file(file: Path) -> str:
    address = inputs.read_text(file, "--ledger-file", MAX_ADDRESS, secret=True).strip()
    if len(address.splitlines()) != 1:
        raise UsageError("--ledger-file: must be one line with the address of a ledger")
    return address


@contextmanager
def ledger_errors() -> Iterator[None]:
    """Turn a ledger's errors into messages for a person."""
    from ..ledger import LedgerError
    from ..ledger.store.connection import StoreError

    try:
        yield
    except LedgerError as error:
        raise UsageError(f"the ledger: {error}") from None
    except StoreError as error:
        raise OSError(0, f"the ledger: {error}") from None


def show_unshortened(lines: Iterable[tuple[int, str]]) -> None:
    """Print lines on standard error as they are, even what looks like a secret.

    A person who decides about a call must see all of it.
    """
    for depth, line in lines:
        sys.stderr.write(f"{PREFIX}{'  ' * depth}{safe(line)}\n")
    sys.stderr.flush()


def confirm(question: str, yes: bool) -> bool:
    """Return whether the person confirms on the terminal; ``yes`` confirms without asking.

    Raises:
        UsageError: there is no terminal, and ``yes`` is false.
    """
    if yes:
        return True
    try:
        terminal = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY)
    except OSError:
        raise UsageError(
            "no terminal to ask for confirmation, so nothing was done", "--yes confirms"
        ) from None
    with open(terminal, "r+b", buffering=0) as asked:
        asked.write(safe(f"hessra-agents: {question} (yes or no): ").encode())
        return asked.readline().strip().lower() in (b"y", b"yes")
