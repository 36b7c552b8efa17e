"""Print the demo: a line for each call as it runs, then who held what, then a summary.

Text from models and web pages is shown with unprintable characters escaped, so it cannot move the cursor or
hide a line. Colors appear only on a terminal, and not where ``NO_COLOR`` is set.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, TextIO

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.text import Text

from ...errors import Reason
from ..terminal import safe
from .claims import Claim
from .session import Agent, DemoSession, ObservedCall

__all__ = ["Report"]

_WIDE = 110
_AGENT, _VERDICT, _TIME = 13, 26, 9


class Report:
    """Print to ``out``; with ``as_json`` only one object, at the end."""

    def __init__(self, out: TextIO, root: str, *, as_json: bool, secret: str = "") -> None:
        self._out, self._root, self._secret, self._as_json = out, root, secret, as_json
        tty = out.isatty()
        self._console = Console(file=out, force_terminal=tty, highlight=False, markup=False, emoji=False)
        self._width = max(80, min(self._console.width, 160)) if tty else _WIDE

    def opening(self, model: str | None) -> None:
        """Print what the demo is."""
        who = f"played by {model}" if model else "played from a transcript"
        folder = "a temporary folder, shown as {root}"  # its name is another one in each run
        self._line((f"a support desk with a database, a mailbox and files in {folder}; {who}", ""))

    def heading(self, agent: str, note: str, how: str = "") -> None:
        """Print who acts now, and why."""
        self._line()
        self._line((f"{agent}: ", "bold"), (" ".join(note.split()), ""), (f"  [{how}]" if how else "", "dim"))

    def calls(self, seen: Sequence[ObservedCall]) -> None:
        """Print a line for each call, and below it the text that a refused agent gets."""
        for one in seen:
            self._call(one)

    def finish(self, session: DemoSession, claims: Sequence[Claim], *, model: str | None = None) -> bool:
        """Print who held what, the claims and a summary; return whether all is as it should be."""
        seen = session.seen
        permitted = sum(one.permitted for one in seen)
        summary = {
            "calls": len(seen),
            "permitted": permitted,
            "refused": len(seen) - permitted,
            "as_expected": sum(one.as_expected for one in seen),
            "claims": len(claims),
            "claims_that_hold": sum(one.holds for one in claims),
        }
        ok = summary["as_expected"] == len(seen) and all(one.holds for one in claims)
        if self._as_json:
            self._json(session, claims, {"model": model, "ok": ok, "summary": summary})
            return ok
        self._tree(session)
        self._claims(claims)
        expected = "" if model else f", {summary['as_expected']} as expected"
        words = f"{len(seen)} calls: {permitted} permitted, {summary['refused']} refused{expected}"
        held = f"{summary['claims_that_hold']} of {len(claims)} claims about the shop hold"
        self._line()
        self._line((f"{words}; {held}", "bold green" if ok else "bold red"))
        return ok

    def _call(self, one: ObservedCall) -> None:
        wide = self._width - _AGENT - _VERDICT - _TIME - 1
        verdict, style = ("permitted", "green") if one.permitted else (f"refused {one.verdict}", "yellow")
        took = f"{one.seconds * 1000:.1f} ms".rjust(_TIME)
        call = set_cell_size(self._call_text(one, wide), wide)
        self._line(
            (one.agent.ljust(_AGENT), "cyan"),
            (call + " ", ""),
            (verdict.ljust(_VERDICT), style),
            (took, "dim"),
        )
        if not one.done:
            self._words(one.text, " " * _AGENT, "dim")
        if not one.as_expected:
            self._words(f"NOT AS EXPECTED: {one.expected}", " " * _AGENT, "bold red")

    def _call_text(self, one: ObservedCall, wide: int) -> str:
        if isinstance(one.arguments, str) and one.verdict == Reason.MALFORMED:
            shown = one.arguments  # as the model wrote it: parsing it could hide the fault
        else:
            shown = ", ".join(f"{n}={json.dumps(v, ensure_ascii=False)}" for n, v in one.named().items())
        text = self._clean(f"{one.tool}({shown})")
        if cell_len(text) <= wide:
            return text
        return set_cell_size(text, wide - 4).rstrip() + "...)"

    def _tree(self, session: DemoSession) -> None:
        self._line()
        self._line(("who held what", "bold"))

        def show(name: str, agent: Agent, pad: str) -> None:
            mine = [one for one in session.seen if one.agent == name]
            until = datetime.fromtimestamp(agent.toolbox.capability.expires, UTC)
            calls = f"calls: {len(mine)}, {sum(one.permitted for one in mine)} permitted"
            limit = f", at most what {agent.parent} holds" if agent.parent else ""
            self._line(
                (pad, ""), (agent.toolbox.name, "cyan"), (f"  until {until:%H:%M:%S} UTC{limit}; {calls}", "")
            )
            for grant in agent.grants:
                self._words(f"- {grant}", pad + "  ", "dim")
            for child, held in session.agents.items():
                if held.parent == name:
                    show(child, held, pad + "    ")

        show("desk", session.agents["desk"], "  ")

    def _claims(self, claims: Sequence[Claim]) -> None:
        self._line()
        self._line(("what is true of the shop", "bold"))
        for one in claims:
            word, style = ("yes", "green") if one.holds else ("NO", "bold red")
            self._line((f"  {word.ljust(4)}", style), (one.text, ""), (f"  ({one.found})", "dim"))

    def _json(self, session: DemoSession, claims: Sequence[Claim], result: dict[str, Any]) -> None:
        data = {
            **result,
            "calls": [
                {
                    "agent": one.agent,
                    "shape": one.shape,
                    "id": one.id,
                    "tool": one.tool,
                    "arguments": one.arguments,
                    "verdict": one.verdict,
                    "expected": one.expected,
                    "text": one.text,
                    "microseconds": round(one.seconds * 1e6),
                }
                for one in session.seen
            ],
            "agents": [
                {
                    "agent": agent.toolbox.name,
                    "parent": agent.parent,
                    "tools": agent.toolbox.tools,
                    "expires": agent.toolbox.capability.expires,
                    "grants": [str(grant) for grant in agent.grants],
                }
                for agent in session.agents.values()
            ],
            "claims": [{"text": one.text, "holds": one.holds, "found": one.found} for one in claims],
        }
        self._out.write(self._hidden(json.dumps(data, default=str)) + "\n")

    def _words(self, text: str, pad: str, style: str) -> None:
        width = max(40, self._width - len(pad))
        for line in textwrap.wrap(self._clean(text), width, subsequent_indent="  ", break_on_hyphens=False):
            self._line((pad + line, style))

    def _line(self, *parts: tuple[str, str]) -> None:
        if not self._as_json:
            text = Text.assemble(*((self._clean(part), style) for part, style in parts))
            text.rstrip()
            self._console.print(text, soft_wrap=True)

    def _clean(self, text: str) -> str:
        encoding = self._out.encoding or "utf-8"
        return safe(self._hidden(text)).encode(encoding, "backslashreplace").decode(encoding)

    def _hidden(self, text: str) -> str:
        text = text.replace(self._root, "{root}")
        return text.replace(self._secret, "***") if self._secret else text
