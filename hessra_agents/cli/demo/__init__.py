"""Run `hessra-agents demo`: a support desk under attack, on a real database, mailbox and files.

    run()                            the transcript in this package, without a model or a network
    run(model="anthropic:NAME")      the same desk with a model

A run makes a shop in a temporary folder (`shop`), registers its tools with a guard (`tools`, `session`),
plays the models' messages (`transcript`, `replay`, `live`), prints each call with its verdict (`report`)
and finally checks the shop itself (`claims`).
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TextIO

import anyio

from ..terminal import warn
from .claims import claims
from .live import Model, ModelUnavailableError, live
from .replay import replay
from .report import Report
from .session import DemoSession
from .shop import Shop
from .tools import Tools
from .transcript import load

__all__ = ["run"]


def run(
    *,
    model: str | None = None,
    as_json: bool = False,
    out: TextIO | None = None,
    transcript: Path | None = None,
) -> int:
    """Run the demo and return its exit status.

    Args:
        model: ``openai:NAME`` or ``anthropic:NAME``; if omitted, play the transcript.
        as_json: print one JSON object instead of lines.
        out: where to print; by default standard output.
        transcript: a transcript other than the package's own.

    Returns:
        0 if every verdict is as the transcript expects and every claim about the shop holds, 1 if not, 2 if
        the demo could not run; one line on standard error then says why.
    """
    try:
        asked = None if model is None else Model(model)
        script = None if asked else load(transcript)
        with TemporaryDirectory(prefix="hessra-desk-") as folder:
            root = os.path.realpath(folder)
            shop = Shop(Path(root))
            session = DemoSession(Tools(shop), root)
            report = Report(out or sys.stdout, root, as_json=as_json, secret=asked.key if asked else "")
            report.opening(model)
            if asked:
                anyio.run(live, asked, session, root, report)
            elif script:
                anyio.run(replay, script, session, root, report)
            well = report.finish(session, claims(shop, session.seen), model=model)
    except (ModelUnavailableError, ValueError) as error:
        warn(str(error))
        return 2
    return 0 if well else 1
