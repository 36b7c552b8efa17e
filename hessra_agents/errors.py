"""Every refusal, and the one exception that carries it.

    ValueError
    └── Malformed        a value that has no canonical form (see `canonical`)
    Exception
    └── Denied           a call, a capability or a statement is refused
        ├── .reason      a stable code, `Reason`
        ├── .problems    each argument that fails, with what would have been allowed
        ├── .detail      what the operator may read and the model may not
        └── .request     the id of the request, where the call waits for an approval

A program acts on ``denied.reason``; a person or a model reads ``str(denied)``. That text names the
tool, the arguments and what is granted. It never holds a token, a key, the refused value or the name
of another principal.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Denied", "MalformedError", "Problem", "Reason", "reason_text"]

_USUAL_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")


class MalformedError(ValueError):
    """A value that has no canonical form. The message names the place and the fault, never the value."""

    def __init__(self, fault: str, place: str = "") -> None:
        super().__init__(f"{place}: {fault}" if place else fault)
        self.fault, self.place = fault, place

    def under(self, step: str | int) -> MalformedError:
        """The same fault, seen from the list or object around it: ``/to/0``, ``*`` for an unusual name."""
        shown = step if isinstance(step, int) or _USUAL_NAME.fullmatch(step) else "*"
        return MalformedError(self.fault, f"/{shown}{self.place}")


class Reason(StrEnum):
    """Why a call was refused. The codes are stable; the texts beside them may improve."""

    NO_CAPABILITY = "no_capability"
    MALFORMED = "malformed"
    TOO_LARGE = "too_large"
    OUTSIDE_PROFILE = "outside_profile"
    BAD_SIGNATURE = "bad_signature"
    UNKNOWN_ROOT = "unknown_root"
    EXPIRED = "expired"
    NOT_YET_VALID = "not_yet_valid"
    WRONG_AUDIENCE = "wrong_audience"
    NOT_GRANTED = "not_granted"
    UNNAMED_ARGUMENT = "unnamed_argument"
    MISSING_ARGUMENT = "missing_argument"
    CONSTRAINT = "constraint"
    NOT_HOLDER = "not_holder"
    WRONG_CALL = "wrong_call"
    REPLAYED = "replayed"
    REVOKED = "revoked"
    STALE = "stale"
    SPENT = "spent"
    NOT_APPROVED = "not_approved"
    EXPOSED = "exposed"
    UNAVAILABLE = "unavailable"


_LONGEST_NAME = 128

_TEXTS = {
    Reason.NO_CAPABILITY: "the call carries no capability",
    Reason.MALFORMED: "the call, capability or statement cannot be read",
    Reason.TOO_LARGE: "a limit on size is exceeded",
    Reason.OUTSIDE_PROFILE: "the capability says something that this guard does not read",
    Reason.BAD_SIGNATURE: "the signatures of the capability do not hold",
    Reason.UNKNOWN_ROOT: "the capability comes from no root key that this guard trusts",
    Reason.EXPIRED: "the capability or the statement has expired",
    Reason.NOT_YET_VALID: "the capability or the statement is not valid yet",
    Reason.WRONG_AUDIENCE: "the capability is not meant for this guard",
    Reason.NOT_GRANTED: "the capability does not name this tool",
    Reason.UNNAMED_ARGUMENT: "an argument is not named by the capability",
    Reason.MISSING_ARGUMENT: "an argument that the capability asks for is missing",
    Reason.CONSTRAINT: "an argument is outside of what the capability allows",
    Reason.NOT_HOLDER: "the call is not proved by the holder of the capability",
    Reason.WRONG_CALL: "the statement was made for another call",
    Reason.REPLAYED: "the statement was used before",
    Reason.REVOKED: "the capability has been revoked",
    Reason.STALE: "this guard's knowledge of revocations is too old",
    Reason.SPENT: "a limit of the capability is used up",
    Reason.NOT_APPROVED: "the call needs an approval that it does not have",
    Reason.EXPOSED: "the session has seen what rules out this call",
    Reason.UNAVAILABLE: "the guard cannot decide now, so it refuses",
}


def reason_text(reason: Reason) -> str:
    """One plain sentence for a reason, without a full stop."""
    return _TEXTS[reason]


@dataclass(frozen=True, slots=True)
class Problem:
    """One argument that fails, in one block of the capability.

    ``allowed`` says in a few words what that block allows; ``block`` is its index (0 is the issuer's).
    """

    reason: Reason
    argument: str | None = None
    allowed: str = ""
    block: int = 0

    def __str__(self) -> str:
        if self.argument is None:
            return self.allowed or reason_text(self.reason)
        text = {
            Reason.UNNAMED_ARGUMENT: "is not named",
            Reason.MISSING_ARGUMENT: "is missing",
        }.get(self.reason, "is not allowed")
        granted = f", granted: {self.allowed}" if self.allowed else ""
        return f"argument {self.argument!r} {text}{granted}"


def _told(problems: tuple[Problem, ...]) -> str:
    """Each argument once, with what all blocks together grant it."""
    if len(problems) == 1:
        return str(problems[0])
    tools = [problem for problem in problems if problem.argument is None]
    if tools:
        return str(tools[0])
    merged: dict[str | None, Problem] = {}
    for one in problems:
        known = merged.get(one.argument)
        words = dict.fromkeys(text for text in (known.allowed if known else "", one.allowed) if text)
        reason = known.reason if known else one.reason
        merged[one.argument] = Problem(reason, one.argument, " and ".join(words), one.block)
    return "; ".join(map(str, merged.values()))


class Denied(Exception):  # noqa: N818 -- a refusal is an answer, not a failure of the program
    """The call is refused, and the tool did not run.

    ``str(denied)`` is safe to show to a model: tool, arguments, what is granted, code. ``detail`` is for
    the record of the guard's operator. The exception that led here, if any, is its ``__cause__``.
    ``from_tool`` says that a tool was running and met this refusal itself, at a guard that it called.
    """

    def __init__(
        self,
        reason: Reason,
        text: str = "",
        *,
        tool: str = "",
        problems: Iterable[Problem] = (),
        detail: str = "",
        request: str | None = None,
    ) -> None:
        self.reason = reason
        self.tool = tool
        self.problems = tuple(problems)
        self.detail = detail
        self.request = request
        self.from_tool = False
        self.text = text or _told(self.problems) or reason_text(reason)
        super().__init__(reason, self.text, tool)

    def __str__(self) -> str:
        # the name may come from a model: it is shown only where it is a plain word
        where = f"{self.tool}: " if self.tool.isprintable() and 0 < len(self.tool) <= _LONGEST_NAME else ""
        return f"{where}{self.text} [{self.reason}]"

    def __repr__(self) -> str:
        return f"Denied({str(self)!r})"

    def __reduce__(self) -> tuple[object, ...]:
        return _again, (self.reason, self.text, self.tool, self.problems, self.detail, self.request)

    def for_tool(self, tool: str) -> Denied:
        """This refusal, naming the tool that was called."""
        if not self.tool:
            self.tool = tool
        return self


def _again(
    reason: Reason,
    text: str,
    tool: str,
    problems: tuple[Problem, ...],
    detail: str,
    request: str | None,
) -> Denied:
    return Denied(reason, text, tool=tool, problems=problems, detail=detail, request=request)
