"""The operations of hessra_agents."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

from hessra_agents import Authority, Call, Capability, Denied, Grant, Guard, KeyPair, Ledger, grant, must
from hessra_agents.verify.verifier import verify

from . import workload as work
from .clock import Operation

LIFE = timedelta(hours=1)
RECEIVERS = must.one_of(work.ANA, work.BO)

HELD_CALL = "Toolbox.bind, key in process"
BEARER_CALL = "Toolbox.bind, bearer"
PROVED_CALL = "Guard.call, proof of another process"
BARE_CALL = "the bare function"


def cold(blocks: int, kind: str) -> str:
    """The name of the operation: from the text of a token to a permit."""
    return f"cold, {kind}, {blocks:2} block{'s' if blocks > 1 else ''}"


def warm(blocks: int, kind: str) -> str:
    """The name of the operation: from a capability that was read to a permit."""
    return cold(blocks, kind).replace("cold", "warm")


def typical() -> list[Grant]:
    """The grants of the chain's first block."""
    return [
        grant("send_email", to=RECEIVERS, subject=must.anything(), body=must.max_length(work.BODY)),
        grant("read_file", path=must.under(work.FOLDER)),
    ]


class Ours:
    """An authority, a guard with a ledger in memory, and capabilities."""

    def __init__(self) -> None:
        self.authority = Authority.ephemeral()
        self.guard = Guard(self.authority.trust, audience=work.AUDIENCE, ledger=Ledger.memory(1_000_000))
        self.guard.add(work.pay)
        self.key = KeyPair.generate()
        memo, amount = must.starts_with(work.MEMO), must.between(0, work.MOST)
        payment = grant("pay", to=RECEIVERS, memo=memo, amount=amount)
        issue = partial(self.authority.issue, work.AGENT, payment, ttl=LIFE, audience=work.AUDIENCE)
        self.bearer, self.held = issue(), issue(holder=self.key.public)
        self.mail = Call.of("send_email", work.MAIL)
        self.payment = Call.of("pay", work.PAYMENT)

    def issue(self, key: KeyPair | None = None) -> Capability:
        """The chain's first block."""
        holder = key.public if key else None
        return self.authority.issue(work.AGENT, *typical(), ttl=LIFE, audience=work.AUDIENCE, holder=holder)

    def attenuated(self, blocks: int) -> Capability:
        """A bearer capability of so many blocks."""
        found = self.issue()
        for _ in range(blocks - 1):
            found = found.attenuate(grant("send_email", to=work.ANA), ttl=LIFE)
        return found

    def delegated(self, blocks: int) -> tuple[Capability, KeyPair]:
        """A capability of so many blocks that went from holder to holder, and the last one's key."""
        key = KeyPair.generate()
        found = self.issue(key)
        for _ in range(blocks - 1):
            found, key = self._handed_on(found, key)
        return found, key

    def _handed_on(self, capability: Capability, key: KeyPair) -> tuple[Capability, KeyPair]:
        following = KeyPair.generate()
        child = capability.delegate(grant("send_email", to=work.ANA), to=following.public, key=key, ttl=LIFE)
        return child, following

    def sizes(self) -> list[int]:
        """Characters of the token (base64) after each number of delegations."""
        return [len(self.delegated(1 + count)[0].token) for count in work.DELEGATIONS]

    def operations(self) -> list[Operation]:
        """All of them."""
        return [*self.making(), *self.verifying(), *self.calling()]

    def making(self) -> list[Operation]:
        """Issue, attenuate, delegate, prove."""
        bearer, following = self.issue(), KeyPair.generate().public
        held = self.issue(self.key)
        narrower = [grant("send_email", to=work.ANA)]
        prove = partial(held.prove, self.mail, key=self.key, audience=work.AUDIENCE)
        delegate = partial(held.delegate, *narrower, to=following, key=self.key, ttl=LIFE)
        group = "make: two grants, then narrowed to one recipient"
        return [
            Operation(group, "Authority.issue, bearer", self.issue),
            Operation(group, "Authority.issue, with a holder", partial(self.issue, self.key)),
            Operation(group, "Capability.attenuate", partial(bearer.attenuate, *narrower, ttl=LIFE)),
            Operation(group, "Capability.delegate", delegate),
            Operation(group, "Capability.prove", prove),
        ]

    def verifying(self) -> list[Operation]:
        """Cold and warm, by number of blocks; a delegated capability with its proof."""
        found: list[Operation] = []
        for blocks in work.BLOCKS:
            capability = self.attenuated(blocks)
            found += self._verifying(capability, blocks, "attenuated", None)
        for blocks in work.BLOCKS:
            capability, key = self.delegated(blocks)
            prove = partial(capability.prove, self.mail, key=key, audience=work.AUDIENCE)
            found += self._verifying(capability, blocks, "delegated", prove)
        return found

    def _verifying(
        self, capability: Capability, blocks: int, kind: str, prove: Callable[[], Any] | None
    ) -> list[Operation]:
        token, trust, call = capability.token, self.authority.trust, self.mail
        read = Capability.parse(token, trust)

        def from_text(proof: Any = None) -> object:
            again = Capability.parse(token, trust)
            return verify(again, call, now=int(time.time()), audience=work.AUDIENCE, proof=proof)

        def from_read(proof: Any = None) -> object:
            return verify(read, call, now=int(time.time()), audience=work.AUDIENCE, proof=proof)

        fresh = (lambda: (prove(),)) if prove else None
        group = f"verify: {kind}" + (", with a proof of the call" if prove else "")
        return [
            Operation(group, cold(blocks, kind), from_text, fresh),
            Operation(group, warm(blocks, kind), from_read, fresh),
        ]

    def calling(self) -> list[Operation]:
        """A guarded async call from end to end."""
        group = "call: an async tool of three arguments"
        bearer, held = self.guard.toolbox(self.bearer), self.guard.toolbox(self.held, key=self.key)
        as_text = partial(self.guard.call, self.bearer.token, "pay", work.PAYMENT)
        return [
            Operation(group, BARE_CALL, partial(work.pay, **work.PAYMENT)),
            Operation(group, BEARER_CALL, partial(bearer.bind(work.pay), **work.PAYMENT)),
            Operation(group, HELD_CALL, partial(held.bind(work.pay), **work.PAYMENT)),
            Operation(group, "Toolbox.call, bearer", partial(bearer.call, "pay", work.PAYMENT)),
            Operation(group, "Toolbox.call, key in process", partial(held.call, "pay", work.PAYMENT)),
            Operation(group, "Guard.call, bearer, as text", as_text),
            Operation(group, PROVED_CALL, self.proved, lambda: (self.proof(),)),
        ]

    def proof(self) -> str:
        """What the holder sends with one call."""
        return self.held.prove(self.payment, key=self.key, audience=work.AUDIENCE).token

    async def proved(self, proof: str) -> object:
        """What the guard does with it: the capability comes as text, too."""
        return await self.guard.call(self.held.token, "pay", work.PAYMENT, proof=proof)


async def check(here: Ours) -> None:
    """A guard that permits everything is fast: this one refuses what is outside, and a proof used twice."""
    bound, proof = here.guard.toolbox(here.held, key=here.key).bind(work.pay), here.proof()
    assert await bound(**work.PAYMENT) == await here.proved(proof) == work.ANA
    for refused in (bound(**work.OUTSIDE), here.proved(proof)):
        try:
            await refused
        except Denied:
            continue
        raise AssertionError("the guard permits what it must refuse")
