"""Parse, attenuate, delegate, prove and approve capabilities; `issue` makes the first block.

Handing on authority always appends a block that narrows. `issue` needs a root key; `attenuate` needs no
key; `delegate` needs the current holder's key, or none for a bearer capability, which it binds to a holder.
None of them needs a network.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import lru_cache

from biscuit_auth import Biscuit, BlockBuilder

from ..call.call import Call
from ..call.templates import as_granted
from ..errors import Denied
from ..grants.clauses import Branch, Pattern
from ..grants.conditions import Condition
from ..grants.labels import is_name
from ..keys.keys import KeyPair, PublicKey
from ..keys.trust import Trust
from .admission import APPROVED, HOLDER, Block, Holder, admit
from .builder import add_conditions, add_holder, designation_fact, sign_block, ttl_seconds, unix_now
from .engine import as_bad_signature, reraise_fatal
from .format.blocks import MAX_BYTES, decode_token, read_blocks, read_envelope
from .revocation_ids import agent_name, revocation_ids
from .statements import Approval, Proof

__all__ = ["Capability"]

_for_biscuit = lru_cache(maxsize=64)(PublicKey.for_biscuit)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Capability:
    """The right to call named tools with named arguments: a Biscuit that was verified and admitted.

    Anyone who has the token of a bearer capability may use it; a capability that names a `holder` is
    useless without the holder's key. ``repr`` shows subject, tools and expiry, never the token.
    """

    _biscuit: Biscuit
    blocks: tuple[Block, ...]
    """The content of each block, the issuer's first."""
    root: PublicKey
    """The key that signed the first block."""
    authority: str | None = None
    """The identifier of the authority, as the guard's trust names it beside that key; None if it does not."""
    ids: tuple[str, ...] = field(init=False)
    """The id of each block; revoking one ends that block and everything built on it."""
    holder: Holder | None = field(init=False)
    """The key that must prove each call; None for a bearer capability."""
    expires: int = field(init=False)
    """When the first of its blocks expires, in Unix seconds."""
    name: str = field(init=False)
    """The name that its holder goes by: the subject, and below it each name that a delegation gave."""
    revocation_ids: tuple[bytes, ...] = field(init=False)
    """Everything that a revocation may name to end this capability (see `revocation_ids`)."""

    def __post_init__(self) -> None:
        holders = [block.holder for block in self.blocks if block.attested]
        expiries = [block.expires for block in self.blocks if block.expires is not None]
        object.__setattr__(self, "ids", tuple([block.id for block in self.blocks]))
        object.__setattr__(self, "holder", next(filter(None, reversed(holders)), None))
        object.__setattr__(self, "expires", min(expiries))
        object.__setattr__(self, "name", agent_name(self.blocks))
        object.__setattr__(self, "revocation_ids", revocation_ids(self.blocks, self.root.data))

    @classmethod
    def parse(cls, token: str, trust: Trust) -> Capability:
        """Read a capability: check signatures from a trusted root key, then admit it. Time is not checked.

        Raises:
            Denied: ``malformed``, ``too_large``, ``unknown_root``, ``bad_signature``, ``outside_profile``.
        """
        # a file ends in a line break
        data = decode_token(token.strip(" \r\n\t") if isinstance(token, str) else token)
        root = trust.key("capability", read_envelope(data))
        try:
            biscuit = Biscuit.from_bytes(data, _for_biscuit(root))
        except BaseException as error:
            raise as_bad_signature(error) from reraise_fatal(error)
        return cls._of(biscuit, root, trust.authorities.get(root))

    @classmethod
    def _of(cls, biscuit: Biscuit, root: PublicKey, authority: str | None) -> Capability:
        # the library's own bytes, so that both readers read the same
        data = bytes(biscuit.to_bytes())
        return cls(biscuit, admit(read_blocks(data, p256_root=root.algorithm != "ed25519")), root, authority)

    @classmethod
    def build(
        cls,
        make: Callable[[], Biscuit],
        root: PublicKey,
        authority: str | None,
        conditions: Iterable[Condition] = (),
    ) -> Capability:
        """Return the capability that ``make`` builds under this root key, with these new conditions.

        Raises:
            ValueError: it cannot be built, or every guard would refuse to read it.
        """
        try:
            biscuit = make()
            size = len(biscuit.to_bytes())
            if size > MAX_BYTES:
                from .weight import too_large  # words for people, which no decision needs

                raise ValueError(too_large(size, conditions))
            return cls._of(biscuit, root, authority)
        except Denied as error:
            raise ValueError(f"a guard would not read this capability: {error.detail or error}") from error
        except (TypeError, ValueError):
            raise
        except BaseException as error:
            raise ValueError(f"the capability cannot be built: {reraise_fatal(error)}") from None

    def with_signed_block(
        self, key: KeyPair, block: BlockBuilder, conditions: Iterable[Condition] = ()
    ) -> Capability:
        """Return a copy with one more block, signed by this key, which holds these conditions."""
        return self.build(
            lambda: sign_block(self._biscuit, key, block), self.root, self.authority, conditions
        )

    def _grown(self, make: Callable[[], Biscuit], conditions: Iterable[Condition]) -> Capability:
        return self.build(make, self.root, self.authority, conditions)

    def __repr__(self) -> str:
        from .describe import summary  # words for people, which no decision needs

        return f"Capability({summary(self.subject, self.tools, self.expires)})"

    @property
    def token(self) -> str:
        """The capability as base64url with padding. Treat a bearer capability's token as a password."""
        return self._biscuit.to_base64()

    @property
    def subject(self) -> str:
        """The name of the agent that it was issued to."""
        return self.blocks[0].rights[0][0]

    @property
    def tools(self) -> tuple[str, ...]:
        """The objects that every block still names, sorted: ``tool:send_email``."""
        reached = {resource for _, resource, _ in self.blocks[0].rights}
        for block in self.blocks:
            reached &= reached if block.objects is None else block.objects
        return tuple(sorted(reached))

    def about(self, resource: str) -> tuple[Pattern, ...]:
        """Return what calls of one object must match: all of these patterns of all blocks."""
        return tuple([pattern for block in self.blocks for pattern in block.about(resource)])

    def asked(self, resource: str) -> tuple[Pattern, ...]:
        """Return all patterns by which calls of one object are judged: also those that spare approvals."""
        spared = [check[0].unless for block in self.blocks for check in block.attested if check[0].unless]
        return (*self.about(resource), *[(Branch(resource, clauses),) for clauses in spared])

    @property
    def biscuit(self) -> Biscuit:
        """The token as an object of the Biscuit library."""
        return self._biscuit

    def attenuate(
        self,
        *conditions: Condition,
        ttl: timedelta | None = None,
        audience: str | None = None,
        designations: Mapping[str, str] | None = None,
        now: int | None = None,
    ) -> Capability:
        """Return a copy of this capability that allows less.

        Anyone who has a capability may do this, with no key and no network. A new block can only add
        checks, so the original also allows every call that the copy allows (tests/laws/test_laws.py).

        Args:
            conditions: grants, limits, and approvals that each call needs. Tools without a grant are
                dropped; without any grant, all tools stay. Arguments that a grant does not name keep their
                earlier bounds.
            ttl: time from now after which the copy is refused; it cannot outlive the original.
            audience: the one guard that may honor the copy.
            designations: labels that the guard must state with these values.
            now: Unix seconds; the clock's if omitted.

        Raises:
            TypeError, ValueError: a condition cannot be written, nothing is narrowed, or the copy would be
                too large.

        Source: Biscuit specification, "Appending a block"; Birgisson et al. 2014 (macaroons).
        """
        builder = BlockBuilder("")
        if not (conditions or ttl is not None or audience or designations):
            raise ValueError("attenuate narrows: name grants, a limit, a ttl, an audience or designations")
        add_conditions(
            builder,
            conditions,
            ttl=ttl,
            audience=audience,
            designations=designations,
            now=now,
            tools=self.tools,
        )
        return self._grown(lambda: self._biscuit.append(builder), conditions)

    def delegate(
        self,
        *conditions: Condition,
        to: PublicKey,
        key: KeyPair | None = None,
        known_as: str | None = None,
        last: bool = False,
        hops: int | None = None,
        only_to: Iterable[PublicKey] | None = None,
        idle: bool = False,
        ttl: timedelta | None = None,
        audience: str | None = None,
        designations: Mapping[str, str] | None = None,
        now: int | None = None,
    ) -> Capability:
        """Return a copy that only the holder of ``to`` can use, and that allows at most what this allows.

        Args:
            to: the next holder.
            key: the current holder's key; omitted for a bearer capability.
            known_as: the name that the next holder goes by, below the name before: ``agent:desk:mailer``
                below ``agent:desk``. What is added has up to 64 ASCII letters, digits and ``. _ @ + -``, in
                up to four parts. The current holder vouches for it; for a bearer capability nobody does.
            last: whether the next holder may not hand it on: the same as ``hops=0``.
            hops: how often it may be handed on from there. If omitted, one time less than this capability
                may, or any number of times.
            only_to: the keys to which the next holder may hand it on; any if omitted.
            idle: whether the next holder may only hand it on, and make no call; needs ``only_to``, with keys
                of others.

        The other parameters are those of `attenuate`.

        Raises:
            TypeError, ValueError: ``to`` is not a public key, the key is not the current holder's, the
                holder may not hand it on so, the name is not below the name before, a condition cannot be
                written, or the copy would be too large.
        """
        holder = self.holder
        if not isinstance(to, PublicKey):
            raise TypeError("the next holder must be a PublicKey: key.public, or PublicKey.parse(text)")
        if holder is not None and (key is None or key.public.data != holder.key):
            raise ValueError("only the current holder can delegate: pass its key")
        builder = BlockBuilder("")
        if holder is not None:
            builder.add_fact(designation_fact(HOLDER, holder.handle))
        added = None if known_as is None else known_as[len(self.name) + 1 :]
        if known_as is not None and not (known_as == f"{self.name}:{added}" and is_name(added or "")):
            rule = "1 to 64 of A-Z a-z 0-9 . _ @ + -, in up to four parts with : between"
            raise ValueError(f"the name must be {self.name}:<name>, where <name> is {rule}: not {known_as!r}")
        hops = self._next_hops(to, 0 if last and hops is None else hops)
        add_holder(builder, to, name=added, hops=hops, only_to=only_to, idle=idle)
        add_conditions(
            builder,
            conditions,
            ttl=ttl,
            audience=audience,
            designations=designations,
            now=now,
            tools=self.tools,
        )
        if holder is None or key is None:
            return self._grown(lambda: self._biscuit.append(builder), conditions)
        return self.with_signed_block(key, builder, conditions)

    def _next_hops(self, to: PublicKey, hops: int | None) -> int | None:
        """Return the hops that the next holder gets; ``hops`` are wanted (None: as many as possible)."""
        holding = [block for block in self.blocks if block.holder]
        own = holding[-1] if holding else self.blocks[0]
        if own.only_to is not None and to.data.hex() not in own.only_to:
            raise ValueError("the holder of this capability may not hand it on to this key")
        if own.hops is None or (hops is not None and hops < own.hops):
            return hops
        if own.hops == 0:
            raise ValueError("the holder of this capability may not hand it on")
        if hops is not None:
            raise ValueError(f"hops must be less than the {own.hops} of this capability")
        return own.hops - 1

    def prove(self, call: Call, *, key: KeyPair, audience: str, now: int | None = None) -> Proof:
        """Sign the holder's statement for one call to one guard, valid for 30 s and for one use.

        Raises:
            ValueError: the capability has no holder, or the key is not its holder's.
        """
        holder = self.holder
        if holder is None or holder.key != key.public.data:
            raise ValueError("only the holder of a capability can prove its calls")
        signed_at, call = unix_now(now), as_granted(call, self.blocks[0].rights)
        return Proof.make(call, ids=self.ids, handle=holder.handle, audience=audience, key=key, now=signed_at)

    def approve(
        self, call: Call, *, key: KeyPair, ttl: timedelta = timedelta(minutes=5), now: int | None = None
    ) -> tuple[Approval, ...]:
        """Sign an approver's statements that this call may be made once under this capability.

        Returns:
            One statement for each handle under which the capability requires this key.

        Raises:
            ValueError: the capability requires no approval by this key.
        """
        required = (a for block in self.blocks for check in block.attested for a in check)
        handles = dict.fromkeys(a.value for a in required if (a.label, a.key) == (APPROVED, key.public.data))
        if not handles:
            raise ValueError("this capability requires no approval by this key")
        until, call = unix_now(now) + ttl_seconds(ttl), as_granted(call, self.blocks[0].rights)
        return tuple(Approval.make(call, ids=self.ids, handle=h, key=key, expires=until) for h in handles)

    def describe(self) -> str:
        """Say in words what each block allows, until when, and who added it."""
        from .describe import describe

        return describe(self.blocks)
