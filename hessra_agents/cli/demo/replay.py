"""Play the transcript to the guard, without a model or a network."""

from __future__ import annotations

from .report import Report
from .session import THIEF, DemoSession
from .transcript import Clock, Delegate, Stolen, Transcript, TranscriptMessage, fill

__all__ = ["replay"]


async def replay(transcript: Transcript, session: DemoSession, root: str, report: Report) -> None:
    """Play every turn, in order.

    Raises:
        ValueError: a turn cannot be played: its agent does not exist, or a grant is not valid.
    """
    results: dict[str, str] = {}
    for turn in transcript.turns:
        match turn:
            case TranscriptMessage():
                calls = [fill(call, root, results) for call in turn.calls]
                _, seen = await session.answer(turn.agent, calls, turn.expect)
                results |= {one.id: one.text for one in seen}
                report.heading(turn.agent, turn.note, seen[0].shape if seen else "")
                report.calls(seen)
            case Delegate():
                grants = [one.grant(root) for one in turn.grants]
                session.delegate(turn.agent, turn.to, grants, turn.seconds)
                report.heading(turn.agent, turn.note, f"delegates to {turn.to}")
            case Stolen():
                stolen = await session.stolen(turn.agent, turn.tool, turn.arguments, turn.expect)
                report.heading(THIEF, turn.note, "straight to the guard")
                report.calls([stolen])
            case Clock():
                session.pass_time(turn.seconds)
                report.heading("(clock)", turn.note, f"{turn.seconds} s")
