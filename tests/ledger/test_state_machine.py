"""Guards and their ledger against a small pure model: after every step both say the same.

Two guards share a store. Capabilities are issued, narrowed, handed on and used; calls are approved or
rejected; anything is revoked; time goes on; a guard loses touch with the store, or is dropped where it stands
and starts again. `Model` says what each call must come to, and is no more than what the README promises.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeAlias

import anyio
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from hessra_agents import Call, Capability, Denied, KeyPair, Ledger, approved_by, grant, limit, must
from tests.support.ledgers import SOAK, store_of
from tests.support.world import World

SUBJECTS = ["agent:a", "agent:a:b", "agent:a:b:c", "agent:ab", "bot:a", "bot:ab"]
HOLDERS = [KeyPair.generate() for _ in range(6)]
APPROVERS = [KeyPair.generate() for _ in range(3)]
START = 1_800_000_000
WINDOW = 60
PAY = grant("pay", amount=must.anything())

Asked: TypeAlias = "tuple[tuple[int, ...], int]"
"""A capability's blocks, and an amount."""

Called: TypeAlias = "tuple[int, int, int, bool]"
"""Which capability, at which guard, the amount, and whether with the same proof again."""


# --- the model


@dataclass(frozen=True)
class Budget:
    """A limit in a block: so many calls, or so much in all, ever or in any minute."""

    block: int
    most: int
    calls: bool
    window: int


@dataclass(frozen=True)
class Held:
    """A capability: its blocks by number, and what they say."""

    blocks: tuple[int, ...]
    subject: str
    issued: int
    expires: int
    keys: tuple[int, ...] = ()
    budgets: tuple[Budget, ...] = ()
    need: int = 0


@dataclass
class Waiting:
    """A request for approvals."""

    expires: int
    votes: set[int] = field(default_factory=set)
    state: str = "open"


@dataclass
class Model:
    """What is remembered, as plainly as can be."""

    now: int = START
    blocks: set[int] = field(default_factory=set)
    keys: set[int] = field(default_factory=set)
    approvers: set[int] = field(default_factory=set)
    subjects: set[str] = field(default_factory=set)
    before: int = 0
    used: list[tuple[Budget, int, int]] = field(default_factory=list)
    proofs: set[int] = field(default_factory=set)
    waiting: dict[Asked, Waiting] = field(default_factory=dict)

    def revoked(self, held: Held) -> bool:
        """Whether anything that the capability rests on was taken back."""
        names = held.subject.split(":")
        above = {":".join(names[: n + 1]) for n in range(len(names))}
        fallen = self.blocks & set(held.blocks) or self.keys & set(held.keys) or self.subjects & above
        return bool(fallen) or held.issued < self.before

    def left(self, budget: Budget) -> int:
        """What is left of a limit now."""
        since = self.now - WINDOW if budget.window else 0
        return budget.most - sum(one for what, then, one in self.used if what == budget and then >= since)

    def request(self, held: Held, amount: int) -> Waiting | None:
        """The request for this call that waits or was rejected."""
        found = self.waiting.get((held.blocks, amount))
        return found if found and found.state != "used" and self.now < found.expires else None

    def call(self, held: Held, amount: int, *, proof: int, stale: bool) -> str:
        """What a call comes to; what it takes is taken."""
        if self.now >= held.expires:
            return "expired"
        request = self.request(held, amount)
        votes = request.votes - self.approvers if request and request.state == "open" else set()
        if stale:
            return "stale"
        if self.revoked(held):
            return "revoked"
        if len(votes) < held.need:
            if request is None:
                until = min(self.now + 600, held.expires)
                self.waiting[held.blocks, amount] = Waiting(until)
            return "not_approved"
        if proof in self.proofs:
            return "replayed"
        if any(self.left(one) < (1 if one.calls else amount) for one in held.budgets):
            return "spent"
        self.used += [(one, self.now, 1 if one.calls else amount) for one in held.budgets]
        self.proofs.add(proof)
        if held.need and request:
            request.state = "used"
        return "ran"


# --- the machine


class Guards(RuleBasedStateMachine):
    """Two guards on one SQLite file."""

    shared = True

    @initialize()
    def open(self) -> None:
        self.folder = tempfile.TemporaryDirectory(prefix="hessra-machine-")
        self.ledgers: list[Ledger] = []
        self.model = Model()
        self.worlds = [World(ledger=self.ledger())]
        self.worlds.append(World(ledger=self.ledger()))
        self.worlds[1].authority = self.worlds[0].authority
        self.worlds[1].guard.trust = self.worlds[0].authority.trust
        self.stale = [False, False]
        self.tokens: list[tuple[Held, Capability]] = []
        self.made = self.revocations = 0
        for subject, need in zip(SUBJECTS, (0, 0, 1, 2, 3, 0), strict=True):
            self.put(subject, (6, bool(need % 2), need % 2 * WINDOW), need, need or None, 3600)

    def ledger(self) -> Ledger:
        if not self.shared and self.ledgers:
            return self.ledgers[0]
        path = Path(self.folder.name) / "hessra.db"
        self.ledgers.append(
            Ledger.open(path, durable=False, clock=self.clock)
            if self.shared
            else Ledger.memory(clock=self.clock)
        )
        return self.ledgers[-1]

    def clock(self) -> float:
        return self.model.now

    def teardown(self) -> None:
        for ledger in getattr(self, "ledgers", ()):
            anyio.run(ledger.aclose)
        if hasattr(self, "folder"):
            self.folder.cleanup()

    def number(self) -> int:
        self.made += 1
        return self.made

    def pick(self, at: int) -> tuple[Held, Capability]:
        return self.tokens[at % len(self.tokens)]

    at = st.integers(0, 99)
    calls = st.lists(
        st.tuples(at, st.integers(0, 1), st.integers(0, 3), st.booleans()), min_size=4, max_size=9
    )
    votes = st.lists(st.tuples(at, st.integers(0, 2), st.sampled_from([True] * 7 + [False])), max_size=9)
    budgets = st.none() | st.tuples(st.integers(1, 6), st.booleans(), st.sampled_from([0, WINDOW]))

    def budget(self, block: int, told: tuple[int, bool, int] | None) -> tuple[list[Any], tuple[Budget, ...]]:
        if told is None:
            return [], ()
        most, calls, window = told
        per = timedelta(seconds=window) if window else None
        made = limit(calls=most, per=per) if calls else limit(sum_of="amount", at_most=most, per=per)
        return [made], (Budget(block, most, calls, window),)

    @rule(
        subject=st.sampled_from(SUBJECTS),
        told=budgets,
        need=st.sampled_from([0, 0, 1, 2, 3]),
        holder=st.none() | st.integers(0, 5),
        ttl=st.sampled_from([90, 3600]),
    )
    def issue(self, **told: Any) -> None:
        self.put(**told)

    def put(
        self, subject: str, told: tuple[int, bool, int] | None, need: int, holder: int | None, ttl: int
    ) -> None:
        block = self.number()
        limits, budgets = self.budget(block, told)
        asks = [approved_by(*(key.public for key in APPROVERS), need=need)] if need else []
        token = self.worlds[0].authority.issue(
            subject,
            PAY,
            *limits,
            *asks,
            ttl=timedelta(seconds=ttl),
            audience="mail",
            holder=None if holder is None else HOLDERS[holder].public,
        )
        keys = () if holder is None else (holder,)
        now = self.model.now
        self.tokens.append((Held((block,), subject, now, now + ttl, keys, budgets, need), token))

    @rule(at=st.integers(0, 99), told=budgets, to=st.none() | st.integers(0, 5))
    def derive(self, at: int, told: tuple[int, bool, int] | None, to: int | None) -> None:
        """Narrowed, or handed on."""
        held, token = self.pick(at)
        if len(held.blocks) > 4:
            return
        block = self.number()
        limits, budgets = self.budget(block, told)
        now, keys = self.model.now, held.keys
        if to is None:
            token = token.attenuate(*limits, ttl=timedelta(hours=2), now=now)
        else:
            key = HOLDERS[keys[-1]] if keys else None
            token = token.delegate(*limits, to=HOLDERS[to].public, key=key, now=now)
            keys = (*keys, to)
        blocks = (*held.blocks, block)
        self.tokens.append((replace(held, blocks=blocks, keys=keys, budgets=held.budgets + budgets), token))

    @rule(calls=calls)
    def work(self, calls: list[Called]) -> None:
        """Some calls, at one guard or the other."""
        for one in calls:
            self.call(*one)

    def call(self, at: int, guard: int, amount: int, twice: bool) -> None:
        """A call, and perhaps the same again with the same proof, at the other guard."""
        held, token = self.pick(at)
        world, arguments = self.worlds[guard], {"amount": amount}
        number = self.number()
        proof = world.prove(token, HOLDERS[held.keys[-1]], "pay", arguments) if held.keys else None
        for which in (guard, 1 - guard)[: 1 + twice]:
            if proof is None:
                number = self.number()
            expected = self.model.call(held, amount, proof=number, stale=self.stale[which])
            before = len(self.worlds[which].ran)
            found = self.outcome(self.worlds[which].call, token, "pay", arguments, proof=proof)
            assert found == expected
            assert len(self.worlds[which].ran) - before == (found == "ran")

    def outcome(self, run: Callable[..., Any], *args: Any, **options: Any) -> str:
        async def attempt() -> str:
            try:
                await run(*args, **options)
            except Denied as denied:
                return str(denied.reason)
            return "ran"

        return anyio.run(attempt)

    @precondition(lambda self: self.model.waiting)
    @rule(votes=votes)
    def approve(self, votes: list[tuple[int, int, bool]]) -> None:
        """Some votes, each with a call."""
        for one in votes:
            self.vote(*one)

    def vote(self, at: int, approver: int, approve: bool) -> None:
        (blocks, amount), request = list(self.model.waiting.items())[at % len(self.model.waiting)]
        number, token = next((n, one[1]) for n, one in enumerate(self.tokens) if one[0].blocks == blocks)
        ledger, now = self.worlds[0].ledger, self.model.now
        digest = Call.of("pay", {"amount": amount}).digest
        counts = approver not in self.model.approvers  # the vote of a key that was revoked is not taken

        async def vote() -> bool:
            waiting = await ledger.requests()
            found = [one for one in waiting if one.ids == token.ids and one.call.digest == digest]
            for one in found:
                key = APPROVERS[approver]
                given = one.approve(key, now=now) if approve else one.reject(key, now=now)
                with nullcontext() if counts else pytest.raises(ValueError, match="revoked"):
                    await ledger.vote(one.id, given)
            return bool(found)

        complete = len(request.votes - self.model.approvers) >= self.tokens[number][0].need
        open = request.state == "open" and now < request.expires and not complete
        assert anyio.run(vote) == open
        if open and counts and approve:
            request.votes.add(approver)
        elif open and counts:
            request.state = "rejected"
        if at % 3:
            self.call(number, at % 2, amount, twice=False)

    def tried(self) -> None:
        """What was approved, and some of all there is, at both guards."""
        for (blocks, amount), request in list(self.model.waiting.items()):
            if request.votes and request.state == "open":
                number = next(n for n, one in enumerate(self.tokens) if one[0].blocks == blocks)
                self.call(number, 0, amount, twice=True)
        for number in range(0, len(self.tokens), 2):
            self.call(number, number // 2 % 2, 3, twice=False)

    def calm(self) -> bool:
        """Little was revoked so far, for all that was done."""
        return self.revocations < self.made // 30

    @precondition(calm)
    @rule(at=st.integers(0, 99), depth=st.integers(0, 5), guard=st.integers(0, 1))
    def revoke_block(self, at: int, depth: int, guard: int) -> None:
        held, token = self.pick(at)
        depth %= len(held.blocks)
        self.revocations += 1
        anyio.run(self.worlds[guard].guard.ledger.revoke, token.ids[depth])
        self.model.blocks.add(held.blocks[depth])
        self.call(at, 1 - guard, 0, twice=True)

    @precondition(calm)
    @rule(
        what=st.sampled_from(["holder", "approver", "subject", "before"]),
        which=st.integers(0, 5),
        guard=st.integers(0, 1),
    )
    def revoke(self, what: str, which: int, guard: int) -> None:
        named: dict[str, Any]
        self.revocations += 1
        if what == "holder":
            named = {"key": HOLDERS[which].public}
            self.model.keys.add(which)
        elif what == "approver":
            named = {"key": APPROVERS[which % 3].public}
            self.model.approvers.add(which % 3)
        elif what == "subject":
            named = {"subject": SUBJECTS[which]}
            self.model.subjects.add(SUBJECTS[which])
        else:
            named = {"before": self.model.now - 300 * which}
            self.model.before = max(self.model.before, named["before"])

        async def revoke() -> None:
            await self.worlds[guard].guard.ledger.revoke(**named)

        anyio.run(revoke)
        self.tried()

    @rule(seconds=st.sampled_from([1, 29, 59, 60, 61, 601]))
    def time_goes_on(self, seconds: int) -> None:
        self.model.now += seconds
        for world in self.worlds:
            world.now = self.model.now
        self.tried()

    @rule(guard=st.integers(0, 1))
    def forget(self, guard: int) -> None:
        """What has ended is forgotten, which makes no difference."""
        if not self.shared:
            return  # a ledger in memory forgets by itself, with the next call
        forgetting = store_of(self.worlds[guard].ledger)._forgetting
        forgetting._due, forgetting._believed = 0.0, float("inf")  # the time that has passed here is real

    @rule(guard=st.integers(0, 1), calls=calls)
    def lose_touch_and_find_it(self, guard: int, calls: list[Called]) -> None:
        """A guard's list of revocations is too old for a while."""
        self.touch(guard)
        self.work(calls[:4])
        self.touch(guard)

    def touch(self, guard: int) -> None:
        for number in {guard} if self.shared else {0, 1}:
            self.stale[number] = not self.stale[number]
            self.worlds[number].ledger.revoked._bound = -1.0 if self.stale[number] else float("inf")

    @rule(guard=st.integers(0, 1))
    def start_again(self, guard: int) -> None:
        """The guard is dropped where it stands, and another opens the same store."""
        if self.shared:
            self.stale[guard] = False
            self.worlds[guard].guard.settings.ledger = self.worlds[guard].ledger = self.ledger()

    @invariant()
    def a_capability_is_honoured_if_it_has_not_fallen(self) -> None:
        """As far as this process knows, which may be less than the store does but never more."""
        for number, world in enumerate(getattr(self, "worlds", ())):
            for held, token in self.tokens[-3:]:
                with suppress(Denied):
                    world.guard.check_capability(token)
                    assert not self.stale[number]
                    assert self.model.now < held.expires


class MemoryGuards(Guards):
    """Two guards on one ledger in memory."""

    shared = False


LENGTH = settings(max_examples=1_000 if SOAK else 25, stateful_step_count=30, deadline=None)

TestGuards = Guards.TestCase
TestGuards.settings = LENGTH
TestMemoryGuards = MemoryGuards.TestCase
TestMemoryGuards.settings = LENGTH
