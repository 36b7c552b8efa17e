"""Faults for the ledger's tests: processes killed, calls of the system that fail, files that are damaged.

What a fault is put into is a real ledger, mostly in a process of its own (`child`) that `workers` tells what
to do. A control is the same fault put into what goes without our protection.
"""

from __future__ import annotations

import os
from collections import Counter
from typing import Any

import pytest

SOAK = bool(os.environ.get("HESSRA_SOAK"))

COUNTED: Counter[str] = Counter()
"""How often each kind of fault was put in, for the last lines of a run."""

SAID: list[str] = []
"""Figures for the last lines of a run: none of them is asserted."""


def times(short: int, soak: int) -> int:
    """So many in ``make test``, so many in ``make soak``."""
    return soak if SOAK else short


def hand_over(session: pytest.Session) -> None:
    """Return what this process put in, for the one that prints it."""
    if (output := getattr(session.config, "workeroutput", None)) is not None:
        output["faults"] = (dict(COUNTED), SAID)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Add what another process put in. One that crashed has nothing to say."""
    counted, said = getattr(node, "workeroutput", {}).get("faults", ({}, []))
    COUNTED.update(counted)
    SAID.extend(said)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What was put in, at the end of a run."""
    if COUNTED or SAID:
        counts = ", ".join(f"{count:,} {what}" for what, count in sorted(COUNTED.items()))
        terminalreporter.write_sep("-", "faults of the ledger")
        for line in (counts, *SAID):
            terminalreporter.write_line(line)
