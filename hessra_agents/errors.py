"""Define every refusal, and the one exception that carries it.

    ValueError
    └── MalformedError   a value that has no canonical form (see `canonical`)
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
from functools import partial

__all__ = ["Denied", "MalformedError", "Problem", "Reason"]

_USUAL_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")


class MalformedError(ValueError):
    """A value has no canonical form. The message names the place and the fault, never the value."""

    def __init__(self, fault: str, place: str = "") -> None:
        super().__init__(f"{place}: {fault}" if place else fault)
        self.fault, self.place = fault, place

    def under(self, step: str | int) -> MalformedError:
        """Return this fault as seen from the list or object around it: ``/to/0``.

        An unusual name is shown as ``*``, so that the message cannot repeat a value.
        """
        shown = step if isinstance(step, int) or _USUAL_NAME.fullmatch(step) else "*"
        return MalformedError(self.fault, f"/{shown}{self.place}")


class Reason(StrEnum):
    """Why a call was refused. The codes are stable; the sentences beside them may improve."""

    _value_: str
    text: str
    """One plain sentence for the reason, without a full stop."""

    NO_CAPABILITY = "no_capability", "the call carries no capability"
    MALFORMED = "malformed", "the call, capability or statement cannot be read"
    TOO_LARGE = "too_large", "a limit on size is exceeded"
    OUTSIDE_PROFILE = "outside_profile", "the capability contains something that this guard does not accept"
    BAD_SIGNATURE = "bad_signature", "the capability's signature is not valid"
    UNKNOWN_ROOT = "unknown_root", "the capability comes from a root key that this guard does not trust"
    EXPIRED = "expired", "the capability or the statement has expired"
    NOT_YET_VALID = "not_yet_valid", "the capability or the statement is not valid yet"
    WRONG_AUDIENCE = "wrong_audience", "the capability is not meant for this guard"
    NOT_GRANTED = "not_granted", "the capability does not grant this"
    UNNAMED_ARGUMENT = "unnamed_argument", "the capability does not grant an argument of the call"
    MISSING_ARGUMENT = "missing_argument", "an argument that the capability requires is missing"
    CONSTRAINT = "constraint", "an argument is outside what the capability allows"
    NOT_HOLDER = "not_holder", "the call has no valid proof by the holder of the capability"
    WRONG_CALL = "wrong_call", "the statement was made for another call"
    REPLAYED = "replayed", "the statement was used before"
    REVOKED = "revoked", "the capability has been revoked"
    STALE = "stale", "this guard's list of revocations is too old"
    SPENT = "spent", "a limit of the capability is used up"
    NOT_APPROVED = "not_approved", "the call needs an approval that it does not have"
    EXPOSED = "exposed", "the session has seen data that rules out this call"
    UNAVAILABLE = "unavailable", "the guard cannot decide now, so the call is refused"

    def __new__(cls, code: str, text: str = "") -> Reason:
        """Create a member that is equal to its code and knows its sentence."""
        reason = str.__new__(cls, code)
        reason._value_, reason.text = code, text
        return reason


_LONGEST_NAME = 128


@dataclass(frozen=True, slots=True)
class Problem:
    """An argument that fails in one block of the capability.

    ``allowed`` says in a few words what that block allows; ``block`` is its index (0 is the issuer's). An
    argument that is not granted may not occur at all, so its text says nothing more; nor does that of a
    field, ``items/0/admin``, whose name is ``*`` if it cannot be repeated. Without an argument, the problem
    is about the whole call, and ``allowed`` is its text.
    """

    reason: Reason
    argument: str | None = None
    allowed: str = ""
    block: int = 0

    def __str__(self) -> str:
        if self.argument is None:
            return self.allowed or self.reason.text
        if self.reason is Reason.UNNAMED_ARGUMENT:
            inside, _, name = self.argument.rpartition("/")
            field = "an unknown field" if name == "*" else f"unknown field {name!r}"
            return f"{inside}: {field}" if inside else f"argument {name!r} is not granted"
        verdict = "is missing" if self.reason is Reason.MISSING_ARGUMENT else "is not allowed"
        return f"argument {self.argument!r} {verdict}" + (
            f", granted: {self.allowed}" if self.allowed else ""
        )


def _merged(problems: tuple[Problem, ...]) -> str:
    """Return a text with each argument once, and with what all blocks together grant it."""
    if len(problems) == 1:
        return str(problems[0])
    whole_call = [problem for problem in problems if problem.argument is None]
    if whole_call:
        return str(whole_call[0])
    merged: dict[str | None, Problem] = {}
    for problem in problems:
        known = merged.get(problem.argument, problem)
        words = dict.fromkeys(text for text in (known.allowed, problem.allowed) if text)
        merged[problem.argument] = Problem(known.reason, problem.argument, " and ".join(words))
    return "; ".join(map(str, merged.values()))


class Denied(Exception):  # noqa: N818 -- a refusal is an answer, not a failure of the program
    """The call is refused, and the tool did not run.

    ``str(denied)`` is safe to show to a model: tool, arguments, what is granted, code. ``detail`` is for
    the record of the guard's operator. The exception that led here, if any, is its ``__cause__``.
    ``from_tool`` says that the tool was already running and that a guard which the tool called refused it.
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
        self.text = text or _merged(self.problems) or reason.text
        super().__init__(reason, self.text, tool)

    def __str__(self) -> str:
        # the name may come from a model: it is shown only where it is a plain word
        where = f"{self.tool}: " if self.tool.isprintable() and 0 < len(self.tool) <= _LONGEST_NAME else ""
        return f"{where}{self.text} [{self.reason}]"

    def __repr__(self) -> str:
        return f"Denied({str(self)!r})"

    def __reduce__(self) -> tuple[object, ...]:
        make = partial(
            Denied, tool=self.tool, problems=self.problems, detail=self.detail, request=self.request
        )
        return make, (self.reason, self.text)

    def for_tool(self, tool: str) -> Denied:
        """Return this refusal, with the name of the tool that was called if it has none yet."""
        if not self.tool:
            self.tool = tool
        return self
