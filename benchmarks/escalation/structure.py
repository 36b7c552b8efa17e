"""Uses of our own chains that are no honest use: taken apart, put together otherwise, proved by others.

One token is the whole chain here, so an attacker works on its blocks. Every forged token comes with a proof
by the child's key that fits the blocks as far as they can be read: the proof is not what stops it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta

from hessra_agents import Authority, Call, Capability, Denied, KeyPair, Proof
from hessra_agents.tokens.format.blocks import read_blocks
from tests.support import forge  # what an attacker does with a token is written down once

from .cases import ANY, STRUCTURE, Ask, Between, Rights, Use
from .ours import AUDIENCE, LIFE, Office, grants
from .playing import RAN, UNSAID

__all__ = ["LARGE", "MAIL", "READ", "SMALL", "outcomes"]

READ = Ask("read_file", {"path": "/public/readme.txt"})
MAIL = Ask("send_email", {"recipients": ["team@company.com"], "subject": "-", "body": "-"})
SMALL = Ask("transfer", {"amount": 25, "to": "vendor", "currency": "USD"})
LARGE = Ask("transfer", {"amount": 500, "to": "attacker", "currency": "USD"})

_ALL: dict[str, Rights] = {
    "holder": {"send_email": dict.fromkeys(MAIL.arguments, ANY)},
    "integrity": {"read_file": {"path": ANY}, "write_file": {"path": ANY}},
    "chain": {"transfer": {"amount": Between(0, 50), "to": ANY, "currency": ANY}},
}
_WIDE: Rights = {"transfer": {"amount": Between(0, 100_000), "to": ANY, "currency": ANY}}


class Chain:
    """A parent, the child that it delegates to, and a guard."""

    def __init__(self, rights: Rights, *, ttl: timedelta = LIFE) -> None:
        self.office = Office(rights)
        self.parent_key, self.child_key = KeyPair.generate(), KeyPair.generate()
        self.parent = self.office.authority.issue(
            "agent:lead", *grants(rights), ttl=ttl, audience=AUDIENCE, holder=self.parent_key.public
        )
        self.child = self.handed(rights, ttl=ttl)
        self.blocks, self.rest = forge.blocks(self.child)

    def handed(self, rights: Rights, *, ttl: timedelta = LIFE) -> Capability:
        """What the parent delegates to the child."""
        return self.parent.delegate(
            *grants(rights), to=self.child_key.public, key=self.parent_key, ttl=ttl, now=self.office.now
        )

    def proved(self, ask: Ask, capability: Capability, key: KeyPair, *, ago: int = 0) -> Proof:
        """A proof by this key, whoever the holder is."""
        return self._proof(ask, capability, capability.ids, key, ago)

    def _proof(self, ask: Ask, asked: Capability, ids: tuple[str, ...], key: KeyPair, ago: int = 0) -> Proof:
        assert asked.holder is not None
        call, handle = Call.of(ask.tool, ask.arguments), asked.holder.handle
        return Proof.make(call, ids=ids, handle=handle, audience=AUDIENCE, key=key, now=self.office.now - ago)

    async def forged(self, ask: Ask, token: str, like: Capability | None = None) -> str:
        """The outcome of a token that was put together; ``like`` is the one that its last block is of."""
        asked = like or self.child
        try:
            ids = tuple(block.id for block in read_blocks(forge.raw(token)))
        except Denied:
            ids = asked.ids
        return await self.outcome(ask, token, self._proof(ask, asked, ids, self.child_key))

    async def held(self, ask: Ask, capability: Capability) -> str:
        """The outcome of the child's own use of it."""
        return await self.outcome(ask, capability, self.proved(ask, capability, self.child_key))

    async def outcome(self, ask: Ask, capability: Capability | str, proof: Proof) -> str:
        """`RAN`, or why it was refused."""
        token = capability if isinstance(capability, str) else capability.token
        call = self.office.guard.call(token, ask.tool, ask.arguments, proof=proof)
        return await self.office.runs(ask, call) or RAN

    def build(self, *blocks: bytes) -> str:
        """The child's token, of these blocks."""
        return forge.build(list(blocks), self.rest)


async def _proved_by_parent(chain: Chain) -> str:
    return await chain.outcome(MAIL, chain.child, chain.proved(MAIL, chain.child, chain.parent_key))


async def _proved_by_stranger(chain: Chain) -> str:
    return await chain.outcome(MAIL, chain.child, chain.proved(MAIL, chain.child, KeyPair.generate()))


async def _flipped(chain: Chain) -> str:
    data = bytearray(forge.raw(chain.child))
    data[len(data) // 2] ^= 0xFF
    return await chain.forged(READ, forge.text(bytes(data)))


async def _expired(_: Chain) -> str:
    short = Chain(_ALL["integrity"], ttl=timedelta(seconds=1))
    short.office.now += 2
    return await short.held(READ, short.child)


async def _other_root(chain: Chain) -> str:
    chain.office = Office(_ALL["integrity"])
    return await chain.held(READ, chain.child)


async def _self_made(chain: Chain) -> str:
    own = Authority.ephemeral().issue(
        "agent:lead", *grants(_ALL["integrity"]), ttl=LIFE, audience=AUDIENCE, holder=chain.child_key.public
    )
    return await chain.held(READ, own)


async def _stale(chain: Chain) -> str:
    proof = chain.proved(READ, chain.child, chain.child_key, ago=300)
    return await chain.outcome(READ, chain.child, proof)


async def _of_another_tool(chain: Chain) -> str:
    other = Ask("write_file", READ.arguments)
    return await chain.outcome(READ, chain.child, chain.proved(other, chain.child, chain.child_key))


async def _of_other_arguments(chain: Chain) -> str:
    other = Ask(READ.tool, {"path": "/secrets/keys.json"})
    return await chain.outcome(READ, chain.child, chain.proved(other, chain.child, chain.child_key))


async def _spliced(chain: Chain) -> str:
    other = Chain(_WIDE)
    last = other.child
    chain.child_key = other.child_key
    token = forge.build([chain.blocks[0], other.blocks[1]], other.rest)
    return await chain.forged(LARGE, token, last)


async def _gap(chain: Chain) -> str:
    middle, last = chain.child, KeyPair.generate()
    leaf = middle.delegate(*grants(_ALL["chain"]), to=last.public, key=chain.child_key, now=chain.office.now)
    blocks, rest = forge.blocks(leaf)
    chain.child_key = last
    return await chain.forged(SMALL, forge.build([blocks[0], blocks[2]], rest), leaf)


async def _alone(_: Chain) -> str:
    wide = Chain(_WIDE)
    return await wide.forged(LARGE, wide.build(wide.blocks[1]))


async def _unsaid(_: Chain) -> str:
    return UNSAID  # whoever holds a capability may hand on less of it: there is no last one


_USES: dict[str, Callable[[Chain], Awaitable[str]]] = {
    "proved by the child": lambda chain: chain.held(MAIL, chain.child),
    "proved by the parent": _proved_by_parent,
    "proved by a stranger": _proved_by_stranger,
    "a valid chain": lambda chain: chain.held(READ, chain.child),
    "a byte flipped": _flipped,
    "expired": _expired,
    "another root is trusted": _other_root,
    "made by the child itself": _self_made,
    "the order reversed": lambda chain: chain.forged(READ, chain.build(*reversed(chain.blocks))),
    "handed on, though it is the last": _unsaid,
    "a proof of 300 s ago": _stale,
    "a proof for another tool": _of_another_tool,
    "a proof for other arguments": _of_other_arguments,
    "a valid chain of two": lambda chain: chain.held(SMALL, chain.child),
    "wider than its parent": lambda chain: chain.held(LARGE, chain.handed(_WIDE)),
    "spliced from another chain": _spliced,
    "the child twice": lambda chain: chain.forged(SMALL, chain.build(*chain.blocks, chain.blocks[1])),
    "the parent twice": lambda chain: chain.forged(SMALL, chain.build(chain.blocks[0], *chain.blocks)),
    "the middle left out": _gap,
    "the child alone": _alone,
}


async def outcomes() -> dict[Use, str]:
    """Of every use: `RAN`, `UNSAID`, or why it was refused."""
    return {use: await _USES[use.what](Chain(_ALL[use.group])) for use in STRUCTURE}
