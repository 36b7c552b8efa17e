"""Tell stories: random sequences of what the people around one guard do, whose ledger remembers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import timedelta
from itertools import count
from random import Random
from typing import Any

from biscuit_auth import BiscuitBuilder

from hessra_agents import (
    Call,
    Capability,
    Denied,
    Guard,
    KeyPair,
    Ledger,
    Proof,
    Session,
    Trust,
    approved_by,
    clear_of,
    grant,
    limit,
    must,
)
from hessra_agents.grants.conditions import Condition
from hessra_agents.ledger.approval_requests import ApprovalRequest
from hessra_agents.verify.verifier import Possession
from tests.support.world import ANA, BO, EVE, World

from .forged import USUAL, built, reason_of

__all__ = ["stories"]


class Story:
    """People around one guard: an agent, a thief, an approver; a ledger that remembers, or none.

    Each story is about one thing more than about others, so that what must come together does.
    """

    def __init__(self, rng: Random) -> None:
        self.rng = rng
        self.world = World(ledger=Ledger.memory(100))
        self.keys = [KeyPair.generate() for _ in range(3)]
        self.boss = KeyPair.generate()
        self.other = KeyPair.generate()  # a root of tokens of another kind
        trust = self.world.authority.trust
        self.trusts = (trust, Trust(trust.capability, {7: self.other.public}), Trust())
        self.world.guard.trust = self.trusts[1]
        self.lonely = Guard(trust, audience="mail", clock=lambda: self.world.now)

        @self.lonely.tool
        async def read_file(path: str) -> str:
            """Read a file."""
            return path

        # as if the store were elsewhere: what was not read for a while does not count
        self.world.ledger.revoked._bound = 5.0
        self.session = Session()
        about = rng.choice(("proofs", "approvals", "approvals", "limits", "exposure", "trust", "time"))
        conditions: dict[str, list[Condition]] = {
            "approvals": [
                approved_by(self.boss.public),
                approved_by(self.keys[0].public),
                approved_by(self.boss.public, self.keys[0].public, need=2),
            ],
            "limits": [
                limit(calls=rng.randint(1, 2)),
                limit(calls=1, per=timedelta(minutes=1)),
                limit(sum_of="amount", at_most=3),
            ],
            "exposure": [clear_of("PII:*")],
            "time": [limit(calls=2, per=timedelta(hours=1))],
        }
        self.conditions = conditions.get(about, [])
        self.holders = self.keys if about in ("proofs", "approvals") else [None]
        each = {
            "proofs": [self.again, self.again, self.borrow, self.wait],
            "approvals": [self.approve, self.approve, self.reject, self.revoke, self.hand_on, self.flood],
            "limits": [self.again, self.again, self.narrow, self.wait, self.alone],
            "exposure": [self.see, self.narrow],
            "trust": [self.retrust, self.elsewhere, self.revoke],
            "time": [self.wait, self.forget, self.revoke, self.hop],
        }[about]
        rare = [
            self.issue,
            self.narrow,
            self.again,
            self.elsewhere,
            self.alone,
            self.revoke,
            self.wait,
            self.forget,
        ]
        self.steps = [*[self.call] * 8, *each * 2, self.issue, rng.choice(rare)]
        self.capabilities: list[tuple[Capability, KeyPair | None]] = []
        self.last: tuple[Any, ...] = (None, "now", {}, None)

    async def step(self) -> str:
        """Do one thing, and return its outcome."""
        do = self.rng.choice(self.steps) if self.capabilities else self.issue
        try:
            return f"{do.__name__}: {await do()}"
        except Exception as error:
            return f"{do.__name__}: {reason_of(error)}"

    def some(self) -> tuple[Capability, KeyPair | None]:
        return self.capabilities[-1] if self.rng.random() < 0.7 else self.rng.choice(self.capabilities[-3:])

    async def issue(self) -> str:
        rng, holder = self.rng, self.rng.choice(self.holders)
        grants = (
            grant("send_email", to=must.one_of(ANA, BO), body=must.anything()),
            grant("pay", amount=must.at_most(2)),
            grant("read_file", path=must.under("/data")),
        )
        conditions = rng.sample(self.conditions, min(1, len(self.conditions)))
        audience = rng.choice(("mail",) * 19 + ("post",))
        ttl = timedelta(seconds=rng.choice((60, 600, 6000)))
        capability = self.world.issue(
            *grants, *conditions, holder=holder.public if holder else None, audience=audience, ttl=ttl
        )
        self.capabilities.append((capability, holder))
        return "issued"

    async def narrow(self) -> str:
        above, key = self.some()
        narrower = self.rng.choice((grant("pay", amount=1), limit(calls=1), clear_of("*")))
        self.capabilities.append((above.attenuate(narrower, now=self.world.now), key))
        return "narrowed"

    async def hand_on(self) -> str:
        """Delegate to another of the keys, and use it once, so that the ledger has seen its holder."""
        above, key = self.some()
        to = self.rng.choice(self.keys[:2])
        child = above.delegate(to=to.public, key=key, now=self.world.now)
        arguments = {"path": "/data/a"}
        proof = self.world.prove(child, to, "read_file", arguments)
        await self.world.call(child, "read_file", arguments, proof=proof, session=self.session)
        return "ran"

    def said(self) -> tuple[str, dict[str, Any]]:
        rng = self.rng
        return rng.choice(
            (
                ("send_email", {"to": rng.choice((ANA, ANA, BO, EVE)), "body": "hi"}),
                ("pay", {"amount": rng.choice((1, 1, 2, 3, -5))}),
                ("pay", {"amount": rng.choice((1, -5))}),
                ("read_file", {"path": "/data/a"}),
            )
        )

    async def call(self) -> str:
        """Make a call; of three calls with a key, one has a bad proof."""
        capability, key = self.some()
        tool, arguments = self.said() if self.rng.random() < 0.7 else ("read_file", {"path": "/data/a"})
        proof: Proof | None = None
        if key is not None and self.rng.random() < 0.95:
            signer = key if self.rng.random() < 0.9 else self.rng.choice(self.keys)
            about = arguments if self.rng.random() < 0.9 else {"amount": 1}
            made = self.world.now + self.rng.choice((0, 0, 0, 0, 0, 0, -31, 31))
            proof = self.world.prove(capability, signer, tool, about, now=made)
        self.last = (capability, tool, arguments, proof)
        return await self.again()

    async def again(self) -> str:
        """The last call once more, with the same proof."""
        capability, tool, arguments, proof = self.last
        await self.world.call(capability, tool, arguments, proof=proof, session=self.session)
        return "ran"

    async def borrow(self) -> str:
        """A call with evidence of possession of another capability."""
        (mine, key), (other, _) = self.rng.choice(self.capabilities), self.some()
        if key is None:
            return "no key"
        shown = Possession.show(mine, key)
        await self.world.guard.call(other.token, "read_file", {"path": "/data/a"}, proof=shown)
        return "ran"

    async def flood(self) -> str:
        """The last call, with more approvals than a call may carry."""
        capability, tool, arguments, proof = self.last
        call = Call.of(tool, arguments)
        votes = [
            vote for _ in range(17) for vote in capability.approve(call, key=self.boss, now=self.world.now)
        ]
        await self.world.call(capability, tool, arguments, proof=proof, approvals=votes)
        return "ran"

    async def elsewhere(self) -> str:
        """A call without a capability, or with one that another root key signed."""
        tool, arguments = self.said()
        if self.rng.random() < 0.5:
            await self.world.call(None, tool, arguments)
            return "ran"
        names = ", ".join(f'"{name}"' for name in arguments)
        forged = built(
            BiscuitBuilder(""),
            [
                f'right("agent:desk", "tool:{tool}", "invoke")',
                *USUAL[1:3],
                'check if designation("anchor", "mail")',
                f'check if resource("tool:{tool}"), arg_names($n), {{{names}}}.contains($n)',
            ],
        )
        forged.set_root_key_id(self.rng.choice((1, 7)))
        await self.world.call(forged.build(self.other.for_biscuit().private_key).to_base64(), tool, arguments)
        return "ran"

    async def alone(self) -> str:
        """A call at a guard without a ledger."""
        capability, key = self.some()
        arguments = {"path": "/data/a"}
        proof = self.world.prove(capability, key, "read_file", arguments) if key else None
        await self.lonely.call(capability.token, "read_file", arguments, proof=proof, session=self.session)
        return "ran"

    async def approve(self) -> str:
        """Somebody approves the call that waits: the boss, or a holder; half of the time it is made again."""
        key = self.rng.choice((self.boss, self.boss, *self.keys[:2]))
        if self.rng.random() < 0.5:
            await self.world.ledger.approve(await self.waiting(), key=key)
            return "approved"
        capability, tool, arguments, _ = self.last
        votes = capability.approve(Call.of(tool, arguments), key=key, now=self.world.now)
        signer = next((key for known, key in self.capabilities if known is capability), None)
        proof = self.world.prove(capability, signer, tool, arguments) if signer else None
        await self.world.call(capability, tool, arguments, approvals=votes, proof=proof, session=self.session)
        return "ran"

    async def reject(self) -> str:
        await self.world.ledger.reject(await self.waiting(), key=self.boss)
        return "rejected"

    async def waiting(self) -> ApprovalRequest:
        """The newest request; of several, always the same, whatever their random names are."""
        found = await self.world.ledger.requests()
        return max(found, key=lambda request: (request.asked, request.text, len(request.ids)))

    async def revoke(self) -> str:
        capability, key = self.some()
        what: dict[str, Any] = self.rng.choice(
            (
                {"block": capability},
                {"key": (key or self.boss).public},
                {"key": self.boss.public},
                {"before": self.world.now + self.rng.choice((-5, 1))},
            )
        )
        await self.world.ledger.revoke(**what)
        return "revoked"

    async def wait(self) -> str:
        self.world.now += self.rng.choice((1, 20, 31, 61, 601))
        return "waited"

    async def hop(self) -> str:
        """The guard's clock was ahead for a while, in which it forgot what had expired."""
        self.world.now += 5_000
        with suppress(Denied):
            await self.world.call(self.world.issue(limit(calls=9)), session=self.session)
        self.world.now -= 5_000
        return "back"

    async def see(self) -> str:
        self.session.expose([self.rng.choice(("PII:email", "public"))])
        return "seen"

    async def retrust(self) -> str:
        self.world.guard.trust = self.rng.choice((*self.trusts[:2] * 3, self.trusts[2]))
        return "other trust"

    async def forget(self) -> str:
        """The store was not read for a while."""
        self.world.ledger.revoked._read -= self.rng.choice((1, 10))
        return "time passed"


async def stories() -> AsyncIterator[tuple[str, str]]:
    for seed in count():
        story = Story(Random(seed))
        for number in range(16):
            story.rng.seed(seed * 16 + number)  # whatever became of the steps before
            yield f"story {seed}, step {number}", await story.step()
