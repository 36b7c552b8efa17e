"""Capabilities: parse, attenuate, delegate, prove, approve; `issuing` makes the first block.

Everything that hands authority on is one more block that narrows. `issue` needs a root key; `attenuate`
needs nothing; `delegate` needs the key of the current holder, or nothing from a bearer capability, which
it binds to a holder. None of them needs a network.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import lru_cache

from biscuit_auth import Biscuit, BlockBuilder

from ..call.call import Call
from ..errors import Denied, Reason
from ..keys.keys import KeyPair, PublicKey
from ..keys.trust import Trust
from .admission import APPROVED, HOLDER, Block, Holder, RequiredAttestation, admit
from .builder import Condition, add_conditions, designation_fact, new_handle, ttl_seconds, unix_now
from .datalog_writer import attested_check
from .describe import describe
from .engine import as_bad_signature, reraise_fatal
from .format.blocks import MAX_BYTES, read_blocks, read_envelope
from .revocation_ids import revocation_ids
from .statements import Approval, Proof

__all__ = ["Capability"]

_for_biscuit = lru_cache(maxsize=64)(PublicKey.for_biscuit)


@dataclass(frozen=True, slots=True, eq=False)
class Capability:
    """The right to call named tools with named arguments: a Biscuit that was verified and admitted.

    Whoever has the token of a bearer capability may use it; one that names a `holder` is useless without
    the holder's key. ``repr`` shows no token.
    """

    _biscuit: Biscuit = field(repr=False)
    blocks: tuple[Block, ...] = field(repr=False)
    """What each block says, the issuer's first."""
    root: PublicKey = field(repr=False)
    """The key that signed the first block."""
    ids: tuple[str, ...] = field(init=False, repr=False)
    """The id of each block; revoking one ends it and everything built on it."""
    holder: Holder | None = field(init=False, repr=False)
    """Whose key a call must be proved with; None for a bearer capability."""
    expires: int = field(init=False, repr=False)
    """When the first of its blocks expires, in Unix seconds."""
    revocation_ids: tuple[bytes, ...] = field(init=False, repr=False)
    """What a revocation may name of it (see `revocation_ids`)."""

    def __post_init__(self) -> None:
        holders = [block.holder for block in self.blocks if block.attested]
        expiries = [block.expires for block in self.blocks if block.expires is not None]
        object.__setattr__(self, "ids", tuple([block.id for block in self.blocks]))
        object.__setattr__(self, "holder", next(filter(None, reversed(holders)), None))
        object.__setattr__(self, "expires", min(expiries))
        object.__setattr__(self, "revocation_ids", revocation_ids(self.blocks, self.root.data))

    @classmethod
    def parse(cls, token: str, trust: Trust) -> Capability:
        """Read a capability: signatures from a trusted root key, then admission. Time is not looked at.

        Raises:
            Denied: ``malformed``, ``too_large``, ``unknown_root``, ``bad_signature``, ``outside_profile``.
        """
        if not isinstance(token, str):
            raise Denied(Reason.MALFORMED, "a capability is a text")
        token = token.strip(" \r\n\t")  # a file ends in a line break
        if len(token) > MAX_BYTES * 4 // 3 + 4:
            raise Denied(Reason.TOO_LARGE, f"a capability is at most {MAX_BYTES} bytes")
        try:
            text = token.encode("ascii")
            data = base64.b64decode(text + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
        except (ValueError, binascii.Error):
            raise Denied(Reason.MALFORMED, "the capability is not base64url") from None
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
        """The capability that ``make`` builds under this root key, if a guard would read it.

        Raises:
            ValueError: no guard would.
        """
        try:
            return cls._of(make(), root)
        except Denied as error:
            raise ValueError(f"no guard would read this capability: {error.detail or error}") from error
        except (TypeError, ValueError):
            raise
        except BaseException as error:
            raise ValueError(f"the capability cannot be built: {reraise_fatal(error)}") from None

    def _append(self, make: Callable[[], Biscuit]) -> Capability:
        return self.build(make, self.root)

    @property
    def token(self) -> str:
        """The capability as text (base64url with padding). Treat a bearer's as a password."""
        return self._biscuit.to_base64()

    @property
    def subject(self) -> str:
        """Who it was issued to."""
        return self.blocks[0].rights[0][0]

    @property
    def tools(self) -> tuple[str, ...]:
        """The objects that every block still names, sorted: ``tool:send_email``."""
        reached = {resource for _, resource, _ in self.blocks[0].rights}
        for found in (block.patterns for block in self.blocks):
            for one in found:
                reached &= {branch.resource for branch in one}
        return tuple(sorted(reached))

    @property
    def biscuit(self) -> Biscuit:
        """The token as the Biscuit library has it."""
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
        checks, so every call that the copy allows, the original allows too (tests/laws/test_laws.py).

        Args:
            conditions: grants are the tools that stay reachable; a tool that is not named is dropped, an
                argument that is not named keeps its earlier bounds, and without grants all tools stay.
                Beside them limits, and approvals that each call needs.
            ttl: time from now after which the copy is refused; it cannot outlive the original.
            audience: the one guard that may honour the copy.
            designations: labels that the guard must state with these values.
            now: Unix seconds; the clock's if left out.

        Raises:
            ValueError: nothing is narrowed, or the copy would be too large to be read.

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
        return self._append(lambda: self._biscuit.append(builder))

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
        """Return a copy that only the holder of ``to`` can use, and that allows at most what this does.

        Args:
            conditions, ttl, audience, designations, now: as for `attenuate`.
            to: the next holder.
            key: the current holder's key; a bearer capability needs none.

        Raises:
            ValueError: the key is not the current holder's, or the copy would be too large.
        """
        holder = self.holder
        if not isinstance(to, PublicKey):
            raise TypeError("the next holder is a PublicKey: key.public, or PublicKey.parse(text)")
        if holder is not None and (key is None or key.public.data != holder.key):
            raise ValueError("only the current holder delegates: pass its key")
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
            return self._append(lambda: self._biscuit.append(builder))
        return self._append(lambda: self._sign(key, builder))

    def _sign(self, key: KeyPair, builder: BlockBuilder) -> Biscuit:
        pair = key.for_biscuit()
        block = self._biscuit.third_party_request().create_block(pair.private_key, builder)
        return self._biscuit.append_third_party(pair.public_key, block)

    def prove(self, call: Call, *, key: KeyPair, audience: str, now: int | None = None) -> Proof:
        """The holder's statement for one call to one guard: valid for 30 s, for one use.

        Raises:
            ValueError: the capability has no holder, or another one.
        """
        holder = self.holder
        if holder is None or holder.key != key.public.data:
            raise ValueError("only the holder of a capability proves its calls")
        signed_at = unix_now(now)
        return Proof.make(call, ids=self.ids, handle=holder.handle, audience=audience, key=key, now=signed_at)

    def approve(
        self, call: Call, *, key: KeyPair, ttl: timedelta = timedelta(minutes=5), now: int | None = None
    ) -> tuple[Approval, ...]:
        """An approver's statements that this call may be made under this capability, once.

        One for each check that asks for this key.

        Raises:
            ValueError: no check of this capability asks for an approval by this key.
        """
        attested = (one for block in self.blocks for check in block.attested for one in check)
        asked = [one.value for one in attested if one.label == APPROVED and one.key == key.public.data]
        if not asked:
            raise ValueError("this capability asks for no approval by this key")
        until = unix_now(now) + ttl_seconds(ttl)
        handles = dict.fromkeys(asked)
        return tuple(Approval.make(call, ids=self.ids, handle=h, key=key, expires=until) for h in handles)

    def describe(self) -> str:
        """In words: what each block allows, until when, and who added it."""
        return describe(self.blocks)
