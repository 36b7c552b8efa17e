"""Parse, attenuate, delegate, prove and approve capabilities; `issue` makes the first block.

Handing on authority always appends a block that narrows. `issue` needs a root key; `attenuate` needs no
key; `delegate` needs the current holder's key, or none for a bearer capability, which it binds to a holder.
None of them needs a network.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import lru_cache

from biscuit_auth import Biscuit, BlockBuilder

from ..call.call import Call
from ..errors import Denied
from ..grants.conditions import Condition
from ..keys.keys import KeyPair, PublicKey
from ..keys.trust import Trust
from .admission import APPROVED, HOLDER, Block, Holder, RequiredAttestation, admit
from .builder import add_conditions, designation_fact, new_handle, sign_block, ttl_seconds, unix_now
from .datalog_writer import attested_check
from .engine import as_bad_signature, reraise_fatal
from .format.blocks import decode_token, read_blocks, read_envelope
from .revocation_ids import revocation_ids
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
    ids: tuple[str, ...] = field(init=False)
    """The id of each block; revoking one ends that block and everything built on it."""
    holder: Holder | None = field(init=False)
    """The key that must prove each call; None for a bearer capability."""
    expires: int = field(init=False)
    """When the first of its blocks expires, in Unix seconds."""
    revocation_ids: tuple[bytes, ...] = field(init=False)
    """Everything that a revocation may name to end this capability (see `revocation_ids`)."""

    def __post_init__(self) -> None:
        holders = [block.holder for block in self.blocks if block.attested]
        expiries = [block.expires for block in self.blocks if block.expires is not None]
        object.__setattr__(self, "ids", tuple([block.id for block in self.blocks]))
        object.__setattr__(self, "holder", next(filter(None, reversed(holders)), None))
        object.__setattr__(self, "expires", min(expiries))
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
        return cls._of(biscuit, root)

    @classmethod
    def _of(cls, biscuit: Biscuit, root: PublicKey) -> Capability:
        # the library's own bytes, so that both readers read the same
        data = bytes(biscuit.to_bytes())
        return cls(biscuit, admit(read_blocks(data, p256_root=root.algorithm != "ed25519")), root)

    @classmethod
    def build(cls, make: Callable[[], Biscuit], root: PublicKey) -> Capability:
        """Return the capability that ``make`` builds under this root key.

        Raises:
            ValueError: it cannot be built, or every guard would refuse to read it.
        """
        try:
            return cls._of(make(), root)
        except Denied as error:
            raise ValueError(f"a guard would not read this capability: {error.detail or error}") from error
        except (TypeError, ValueError):
            raise
        except BaseException as error:
            raise ValueError(f"the capability cannot be built: {reraise_fatal(error)}") from None

    def with_signed_block(self, key: KeyPair, block: BlockBuilder) -> Capability:
        """Return a copy with one more block, signed by this key."""
        return self.build(lambda: sign_block(self._biscuit, key, block), self.root)

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
            for pattern in block.patterns:
                reached &= {branch.resource for branch in pattern}
        return tuple(sorted(reached))

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
        return self.build(lambda: self._biscuit.append(builder), self.root)

    def delegate(
        self,
        *conditions: Condition,
        to: PublicKey,
        key: KeyPair | None = None,
        ttl: timedelta | None = None,
        audience: str | None = None,
        designations: Mapping[str, str] | None = None,
        now: int | None = None,
    ) -> Capability:
        """Return a copy that only the holder of ``to`` can use, and that allows at most what this allows.

        Args:
            to: the next holder.
            key: the current holder's key; omitted for a bearer capability.

        The other parameters are those of `attenuate`.

        Raises:
            TypeError, ValueError: ``to`` is not a public key, the key is not the current holder's, a
                condition cannot be written, or the copy would be too large.
        """
        holder = self.holder
        if not isinstance(to, PublicKey):
            raise TypeError("the next holder must be a PublicKey: key.public, or PublicKey.parse(text)")
        if holder is not None and (key is None or key.public.data != holder.key):
            raise ValueError("only the current holder can delegate: pass its key")
        builder = BlockBuilder("")
        if holder is not None:
            builder.add_fact(designation_fact(HOLDER, holder.handle))
        builder.add_check(attested_check([RequiredAttestation(HOLDER, new_handle(), to.data)]))
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
            return self.build(lambda: self._biscuit.append(builder), self.root)
        return self.with_signed_block(key, builder)

    def prove(self, call: Call, *, key: KeyPair, audience: str, now: int | None = None) -> Proof:
        """Sign the holder's statement for one call to one guard, valid for 30 s and for one use.

        Raises:
            ValueError: the capability has no holder, or the key is not its holder's.
        """
        holder = self.holder
        if holder is None or holder.key != key.public.data:
            raise ValueError("only the holder of a capability can prove its calls")
        signed_at = unix_now(now)
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
        until = unix_now(now) + ttl_seconds(ttl)
        return tuple(Approval.make(call, ids=self.ids, handle=h, key=key, expires=until) for h in handles)

    def describe(self) -> str:
        """Say in words what each block allows, until when, and who added it."""
        from .describe import describe

        return describe(self.blocks)
