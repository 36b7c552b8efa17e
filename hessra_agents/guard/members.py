"""Serve a call by exactly one of several capabilities.

    desk = guard.toolbox(reads_mail, pays_invoices)

Nothing is combined: the bounds, limits, approvals and conditions on the session of the capability that serves
a call apply, and those of no other. So an agent with several capabilities may make each call that one of them
permits alone, and no other call.

1. Only capabilities that name the object are asked.
2. Of those that permit the call, the first that the call takes nothing from serves it; if there is none, the
   first as they were given.
3. The ledger takes what the call uses up. If that is used up already, or the capability is revoked, the next
   one is asked. Nothing is taken twice, because the ledger takes all or nothing.
4. Approvals are requested only if no capability permits the call without them.

A refusal tells the way that is nearest (`nearest`).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from typing import Any

from ..call.call import Call
from ..call.templates import as_granted
from ..errors import Denied, Problem, Reason
from ..grants.clauses import Branch, Pattern, by_argument
from ..tokens.builder import argument_of
from ..tokens.capability import Capability
from ..tools.tool import Tool
from ..verify.permit import Permit
from .enforcement import Enforcement, decide
from .presented import Presented
from .session import Session
from .settings import GuardSettings, as_denied

__all__ = ["MAX_MEMBERS", "AnyOf", "decide_any", "enforcement", "nearest", "united", "without_none"]

MAX_MEMBERS = 8
"""Capabilities that one agent may hold together."""

_MOST_WAYS = 3
"""Ways to mend a call that one refusal tells."""

_MOST_PLACES = 32
"""Arguments that one refusal names, in all of its ways."""

_MOST_COMBINED = 64
"""Patterns of a schema that are made for one argument; a schema is a hint and may say less."""

_STAGES = (
    {Reason.WRONG_AUDIENCE},
    {Reason.NOT_HOLDER},
    {Reason.NOT_GRANTED},
    {Reason.UNNAMED_ARGUMENT, Reason.MISSING_ARGUMENT, Reason.CONSTRAINT},
    {Reason.EXPOSED},
    {Reason.NOT_APPROVED},
    {Reason.SPENT},
    {Reason.STALE, Reason.UNAVAILABLE},
)
"""How far a call got, by the reason of its refusal; with any other reason, not so far."""


def decide_any(
    settings: GuardSettings, members: tuple[Presented, ...], call: Call, session: Session | None
) -> Permit:
    """Return the decision alone: nothing is used up, nothing runs, nothing is recorded.

    Raises:
        Denied: the call would be refused.
    """
    try:
        if len(members) == 1:
            capability = settings.read(members[0].capability)
            named = as_granted(call, capability.blocks[0].rights)
            return decide(settings, members[0], capability, named, session)
        several = AnyOf(settings, members, session)
        several.call = several.asked = call
        return several.choose()
    except Exception as error:
        denied = as_denied(error, call.tool)
        raise denied from denied.__cause__


def enforcement(
    settings: GuardSettings, members: tuple[Presented, ...], session: Session | None
) -> Enforcement:
    """Return one call on its way through a guard, which presents these capabilities."""
    if len(members) == 1:
        return Enforcement(settings, members[0], session)
    return AnyOf(settings, members, session)


class AnyOf(Enforcement):
    """One call on its way through a guard, to be served by one of several capabilities; for one use."""

    __slots__ = ("_left", "_refused", "_used_up")

    def __init__(
        self, settings: GuardSettings, members: tuple[Presented, ...], session: Session | None
    ) -> None:
        super().__init__(settings, members[0], session)
        self._left = [*members]
        self._refused: list[tuple[Presented, Denied]] = []
        self._used_up: list[tuple[Presented, Denied]] = []

    def read(self) -> None:
        """Read the first capability that the guard accepts, for the record until one is chosen.

        Raises:
            Denied: the guard accepts none.
        """
        if not self._refused:
            for one in self._left:
                with suppress(Denied):
                    self._serve_by(one)
                    return
        super().read()

    async def decided(self) -> Permit | None:
        """Return the permit of the capability that serves the call; None if only approvals are missing.

        Raises:
            Denied: the call is refused.
        """
        try:
            return self.choose()
        except Denied:
            waiting = [pair for pair in self._refused if pair[1].reason is Reason.NOT_APPROVED]
            if not waiting:
                raise
        for one, _ in waiting:
            self._serve_by(one)
            permit = await super().decided()
            if permit is not None:
                return permit
        first, self._unapproved = waiting[0]
        self._serve_by(first)
        return None

    def choose(self) -> Permit:
        """Choose the capability that serves the call, by what is known without a wait, and return its permit.

        Raises:
            Denied: none permits the call.
        """
        assert self.asked is not None
        self._refused, permits = [], []
        for one in _naming(self._left, self.asked):
            try:
                self._serve_by(one)
                permit = self.verified(one)
            except Denied as denied:
                self._refused.append((one, denied))
                continue
            if not (permit.charges or permit.spends):
                return permit
            permits.append((one, permit))
        if not permits:
            raise self._nearest(self._refused)
        one, permit = permits[0]
        self._serve_by(one)
        return permit

    async def admit(self) -> Permit:
        """Take step 3 for one capability after the other, until the ledger admits the call.

        Raises:
            Denied: as for one capability, and none is left.
        """
        while True:
            try:
                return await super().admit()
            except Denied as denied:
                if denied.reason not in (Reason.SPENT, Reason.REVOKED):
                    raise
                self._used_up.append((self._presented, denied))
            self._left = [one for one in self._left if one is not self._presented]
            try:
                self._permit = await self.decided() if self._left else None
            except Denied:
                raise self._nearest([*self._used_up, *self._refused]) from None
            if not self._left:
                raise self._nearest(self._used_up)

    def _serve_by(self, one: Presented) -> None:
        self._presented, self._capability = one, None
        super().read()
        self.check_trust()

    def _nearest(self, refused: Sequence[tuple[Presented, Denied]]) -> Denied:
        """Return the refusal that tells the nearest way; its capability is on record with it."""
        assert self.asked is not None
        one, denied = nearest(refused, self.asked)
        with suppress(Denied):
            self._serve_by(one)
        return denied


def nearest(refused: Sequence[tuple[Presented, Denied]], call: Call) -> tuple[Presented, Denied]:
    """Return what to tell of the refusals of several capabilities, and the capability that came nearest.

    These are the refusals that got furthest and have the fewest problems. What they grant is joined by "or"
    only where one and the same argument fails; otherwise each is a way of its own.
    """
    furthest = max(_stage(denied) for _, denied in refused)
    last = [pair for pair in refused if _stage(pair[1]) == furthest]
    least = min(len(denied.problems) for _, denied in last)
    near = {str(denied): (one, denied) for one, denied in reversed(last) if len(denied.problems) == least}
    different = [*reversed(near.values())]
    one, first = different[0]
    if first.reason is Reason.NOT_GRANTED:
        return one, _not_granted([one.known for one, _ in last], call)
    if len(different) == 1:
        return one, first
    shown = [denied for _, denied in different[: min(_MOST_WAYS, max(1, _MOST_PLACES // max(1, least)))]]
    joined = _joined(shown)
    text = "; ".join(denied.text for denied in shown)
    if least:
        ways = "; ".join(f"({n}) {denied.text}" for n, denied in enumerate(shown, 1))
        text = "" if joined else f"mend one of these: {ways}"
    return one, Denied(
        first.reason,
        text,
        tool=first.tool,
        problems=joined or first.problems,
        detail="; ".join(dict.fromkeys(denied.detail for denied in shown if denied.detail)),
    )


def united(capabilities: Iterable[Capability], resource: str) -> tuple[Pattern, ...]:
    """Return patterns that every call of this object matches which one of these capabilities permits.

    (A and B) or (C and D) is (A or C) and (A or D) and (B or C) and (B or D). Only what is about the same
    argument is joined, because nothing else narrows a schema.
    """
    several = [one.about(resource) for one in capabilities if resource in one.tools]
    if len(several) == 1:
        return several[0]
    about = [{pattern: _places(pattern) for pattern in patterns} for patterns in several]
    joined: dict[Pattern, None] = {}
    for place in dict.fromkeys(
        place for patterns in about for places in patterns.values() for place in places
    ):
        own = [[pattern for pattern, places in patterns.items() if place in places] for patterns in about]
        for combined in itertools.islice(itertools.product(*own), _MOST_COMBINED):
            joined[tuple(itertools.chain(*combined))] = None
    return tuple(joined)


def without_none(
    tool: Tool, arguments: Mapping[str, Any], capabilities: Iterable[Capability]
) -> dict[str, Any]:
    """Return the arguments without those that are None where the function's own default is None.

    Frameworks pass every default, and strict models write null for each field that they do not want: that is
    the same invocation as to omit the argument. An argument without which no capability permits the call
    stays as it is.
    """
    resource = f"tool:{tool.name}"
    required = [_required(one, resource) for one in capabilities if resource in one.tools]
    kept = frozenset.intersection(*required) if required else frozenset()
    left_out = tool.none_defaults - kept
    return {name: value for name, value in arguments.items() if value is not None or name not in left_out}


@lru_cache(maxsize=256)
def _required(capability: Capability, resource: str) -> frozenset[str]:
    """Return arguments without which a capability permits no call of an object."""
    by_pattern = [[*map(_named, pattern)] for pattern in capability.about(resource)]
    return frozenset().union(*(frozenset.intersection(*branches) for branches in by_pattern))


def _named(branch: Branch) -> frozenset[str]:
    """Return the arguments that a branch needs to be there."""
    has = {str(t.operand) for c in branch.clauses if c.fact == "arg_names" for t in c.tests if t.op == "has"}
    return frozenset(has | {argument_of(clause.key) for clause in branch.clauses if clause.key})


def _naming(members: list[Presented], call: Call) -> list[Presented]:
    return [one for one in members if _names(one, call)] or members


def _names(one: Presented, call: Call) -> bool:
    return as_granted(call, one.known.blocks[0].rights).resource in one.known.tools


def _stage(denied: Denied) -> int:
    return next((n for n, reasons in enumerate(_STAGES) if denied.reason in reasons), -1)


def _not_granted(capabilities: list[Capability], call: Call) -> Denied:
    kind = call.resource.partition(":")[0]
    found = {name for capability in capabilities for name in capability.tools if name.startswith(f"{kind}:")}
    granted = ", ".join(sorted(name.partition(":")[2] for name in found)) or "none"
    text = f"no capability grants this {kind}, granted: {granted}"
    return Denied(Reason.NOT_GRANTED, text, tool=call.tool)


def _joined(refused: list[Denied]) -> list[Problem]:
    """Return the one problem of all these refusals; none if they differ in more than what is allowed."""
    same = {tuple((p.reason, p.argument) for p in denied.problems) for denied in refused}
    if len(same) != 1 or any(len(denied.problems) != 1 for denied in refused):
        return []
    problems = [denied.problems[0] for denied in refused]
    words = " or ".join(dict.fromkeys(problem.allowed for problem in problems))
    return [Problem(problems[0].reason, problems[0].argument, words, problems[0].block)]


def _places(pattern: Pattern) -> frozenset[str]:
    """Return the arguments that a pattern is about; the empty name if it lists which may occur."""
    keys = {key for branch in pattern for key in by_argument(branch.clauses)}
    return frozenset(keys | ({""} if any(branch.closes for branch in pattern) else set()))
