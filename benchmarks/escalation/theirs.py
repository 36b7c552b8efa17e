"""Their side: tenuo's warrants, delegated by its grant builder, and checked as a chain with a proof.

The only module here that needs tenuo.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Callable
from typing import Any

import tenuo

from .cases import ANY, STRUCTURE, AllAt, Anything, Ask, Between, Bound, Rights, Under, Use
from .playing import RAN
from .structure import LARGE, MAIL, READ, SMALL

__all__ = ["Crew", "outcomes"]

REFUSED = "refused"
_LIFE = 3600  # seconds
_ALL: dict[str, Rights] = {
    "holder": {"send_email": dict.fromkeys(MAIL.arguments, ANY)},
    "integrity": {"read_file": {"path": ANY}},
    "chain": {"transfer": {"amount": Between(0, 50), "to": ANY, "currency": ANY}},
}
_WIDE: Rights = {"transfer": {"amount": Between(0, 100_000), "to": ANY, "currency": ANY}}


def constraint(bound: Bound) -> Any:
    """The bound as a warrant says it."""
    match bound:
        case Anything():
            return tenuo.Wildcard()
        case Between(low, high):
            return tenuo.Range(low, high)
        case Under(folder):
            return tenuo.Subpath(folder)
        case AllAt(domain):
            return tenuo.CEL(f"value.all(one, one.endsWith('@{domain}'))")


def minted(rights: Rights, *, by: Any, holder: Any, ttl: int = _LIFE) -> Any:
    """A warrant of a root."""
    return _with(tenuo.Warrant.mint_builder(), rights, holder, ttl).mint(by)


def handed(parent: Any, rights: Rights, *, by: Any, holder: Any, ttl: int = _LIFE, last: bool = False) -> Any:
    """What the parent, holding ``by``, delegates; a last one says that it is not delegated."""
    builder = _with(parent.grant_builder(), rights, holder, ttl)
    return (builder.terminal() if last else builder).grant(by)


def _with(builder: Any, rights: Rights, holder: Any, ttl: int) -> Any:
    for tool, each in rights.items():
        builder = builder.capability(tool, {name: constraint(one) for name, one in each.items()})
    return builder.holder(holder.public_key).ttl(ttl)


class Gate:
    """What trusts a root, and the bodies behind it that ran."""

    def __init__(self, root: Any) -> None:
        self._authorizer = tenuo.Authorizer(trusted_roots=[root.public_key])
        self.ran: list[Ask] = []

    def outcome(
        self, chain: list[Any], key: Any, ask: Ask, *, proved: Ask | None = None, ago: int = 0
    ) -> str:
        """`RAN` if the body runs; ``proved`` is what the key signs instead, ``ago`` when it does."""
        what = proved or ask
        try:
            proof = bytes(chain[-1].sign(key, what.tool, dict(what.arguments), int(time.time()) - ago))
            self._authorizer.check_chain(chain, ask.tool, dict(ask.arguments), signature=proof)
        except tenuo.TenuoError:
            return REFUSED
        self.ran.append(ask)
        return RAN


class Crew:
    """A parent and its child."""

    def __init__(self, parent: Rights, child: Rights) -> None:
        root, self._lead, self._worker = (tenuo.SigningKey.generate() for _ in range(3))
        self._gate = Gate(root)
        first = minted(parent, by=root, holder=self._lead)
        self._chain = [first, handed(first, child, by=self._lead, holder=self._worker)]

    async def parent(self, ask: Ask) -> bool:
        """Whether the body runs when the parent asks."""
        return self._gate.outcome(self._chain[:1], self._lead, ask) == RAN

    async def child(self, ask: Ask) -> bool:
        """Whether it runs when the child asks."""
        return self._gate.outcome(self._chain, self._worker, ask) == RAN


class Chain:
    """A root, a parent and its child, with their keys."""

    def __init__(self, rights: Rights, ttl: int = _LIFE) -> None:
        self.root, self.lead, self.worker, self.stranger = (tenuo.SigningKey.generate() for _ in range(4))
        self.gate = Gate(self.root)
        self.parent = minted(rights, by=self.root, holder=self.lead, ttl=ttl)
        self.child = handed(self.parent, rights, by=self.lead, holder=self.worker, ttl=ttl)
        self.rights = rights

    def of(self, *chain: Any, key: Any = None, ask: Ask = READ, **how: Any) -> str:
        """The outcome of these warrants, proved by the child's key."""
        return self.gate.outcome(list(chain), key or self.worker, ask, **how)

    def both(self, **how: Any) -> str:
        """That of the parent's and the child's."""
        return self.of(self.parent, self.child, **how)


def _flipped(chain: Chain) -> str:
    text = chain.child.to_base64()
    data = bytearray(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    data[len(data) // 2] ^= 0xFF
    try:
        changed = tenuo.Warrant(base64.urlsafe_b64encode(bytes(data)).decode())
    except (tenuo.TenuoError, ValueError):
        return REFUSED
    return chain.of(chain.parent, changed)


def _expired(chain: Chain) -> str:
    short = Chain(chain.rights, ttl=1)
    time.sleep(2)  # its clock cannot be set
    return short.both()


def _other_root(chain: Chain) -> str:
    chain.gate = Gate(chain.stranger)
    return chain.both()


def _handed_on(chain: Chain) -> str:
    last = handed(chain.parent, chain.rights, by=chain.lead, holder=chain.worker, last=True)
    try:
        on = handed(last, chain.rights, by=chain.worker, holder=chain.stranger)
    except tenuo.TenuoError:
        return REFUSED
    return chain.of(chain.parent, last, on, key=chain.stranger)


def _wider(chain: Chain) -> str:
    try:
        wide = handed(chain.parent, _WIDE, by=chain.lead, holder=chain.worker)
    except tenuo.TenuoError:
        return REFUSED
    return chain.of(chain.parent, wide, ask=LARGE)


def _spliced(chain: Chain) -> str:
    other = Chain(_WIDE)
    return chain.of(chain.parent, other.child, key=other.worker, ask=LARGE)


def _gap(chain: Chain) -> str:
    leaf = handed(chain.child, chain.rights, by=chain.worker, holder=chain.stranger)
    return chain.of(chain.parent, leaf, key=chain.stranger, ask=SMALL)


def _alone(chain: Chain) -> str:
    other = Chain(_WIDE)
    return chain.of(other.child, key=other.worker, ask=LARGE)


_USES: dict[str, Callable[[Chain], str]] = {
    "proved by the child": lambda chain: chain.both(ask=MAIL),
    "proved by the parent": lambda chain: chain.both(ask=MAIL, key=chain.lead),
    "proved by a stranger": lambda chain: chain.both(ask=MAIL, key=chain.stranger),
    "a valid chain": lambda chain: chain.both(),
    "a byte flipped": _flipped,
    "expired": _expired,
    "another root is trusted": _other_root,
    "made by the child itself": lambda chain: chain.of(
        minted(chain.rights, by=chain.worker, holder=chain.worker)
    ),
    "the order reversed": lambda chain: chain.of(chain.child, chain.parent),
    "handed on, though it is the last": _handed_on,
    "a proof of 300 s ago": lambda chain: chain.both(ago=300),
    "a proof for another tool": lambda chain: chain.both(proved=Ask("write_file", READ.arguments)),
    "a proof for other arguments": lambda chain: chain.both(
        proved=Ask(READ.tool, {"path": "/secrets/keys.json"})
    ),
    "a valid chain of two": lambda chain: chain.both(ask=SMALL),
    "wider than its parent": _wider,
    "spliced from another chain": _spliced,
    "the child twice": lambda chain: chain.of(chain.parent, chain.child, chain.child, ask=SMALL),
    "the parent twice": lambda chain: chain.of(chain.parent, chain.parent, chain.child, ask=SMALL),
    "the middle left out": _gap,
    "the child alone": _alone,
}


async def outcomes() -> dict[Use, str]:
    """Of every use: `RAN`, or that it was refused."""
    return {use: _USES[use.what](Chain(_ALL[use.group])) for use in STRUCTURE}
