"""Admit identity tokens: what one may say, and what it does say, before any Datalog runs.

    first block      subject(S)
                     check if actor($a), $a == S                                   not delegatable
                     check if actor($a), $a == S || $a.starts_with(S + ":")        delegatable
                     check if time($t), $t < N
    delegation       check if actor($a), $a == I || $a.starts_with(I + ":")        I below the one before
    (signed)         check if time($t), $t < N
    just in time     check if time($t), $t < N
    (signed)

Each block holds exactly that; all else is refused as ``outside_profile``. The keys that sign later blocks
are used once and carry no trust, as Hessra's format has it: a block can only narrow.
"""

from __future__ import annotations

from dataclasses import dataclass

from ...grants.labels import is_text
from ..format.blocks import Query, RawBlock, TokenDialect
from ..format.protobuf import outside_profile
from ..format.terms import Op, Var
from .common import VerifiedToken, expiry

__all__ = ["IDENTITY", "IdentityBlock", "admit", "is_below", "well_formed"]

IDENTITY = TokenDialect(choices=True)

_PREFIX, _ADD, _EQUAL, _OR = 6, 9, 21, 24  # schema.proto, OpBinary


@dataclass(frozen=True, slots=True)
class IdentityBlock:
    """The content of one block: which identity may act, whether identities below it may, and until when.

    ``name`` is None in a just-in-time block, which only expires (Unix seconds).
    """

    id: str
    name: str | None
    below: bool
    expires: int

    def admits(self, claimed: str) -> bool:
        """Return whether this block lets an identity act."""
        if self.name is None or claimed == self.name:
            return True
        return self.below and is_below(claimed, self.name)


def well_formed(name: object) -> bool:
    """Return whether this is an identity: a printable string of non-empty segments joined by ``:``."""
    return isinstance(name, str) and is_text(name) and all(name.split(":"))


def is_below(name: str, other: str) -> bool:
    """Return whether an identity is below another: ``agent:a:b`` is below ``agent:a``, not ``agent:ab``."""
    return name.startswith(other + ":")


def admit(verified: VerifiedToken) -> tuple[IdentityBlock, ...]:
    """Return what the blocks of a token say.

    Raises:
        Denied: ``outside_profile``.
    """
    first, *rest = verified.blocks
    blocks = [_block(first)]
    match first.facts:
        case (("subject", (str() as subject,)),) if subject == blocks[0].name:
            last = blocks[0]
        case _:
            raise outside_profile("the first block does not state one subject and check it")
    for raw in rest:
        block = _block(raw)
        if raw.signer is None or raw.facts:
            raise outside_profile("a block that is not signed, or that states facts")
        if block.name is not None:
            if not (block.below and last.admits(block.name)):
                raise outside_profile("a delegation to an identity that is not below the one before")
            last = block
        blocks.append(block)
    return tuple(blocks)


def _block(raw: RawBlock) -> IdentityBlock:
    actors = [actor for actor in map(_actor, raw.checks) if actor is not None]
    expiries = [bound for bound in map(expiry, raw.checks) if bound is not None]
    if len(expiries) != 1 or len(actors) > 1 or len(actors) + 1 != len(raw.checks):
        raise outside_profile("a block that checks anything but one identity and one expiry")
    name, below = actors[0] if actors else (None, False)
    if name is not None and not well_formed(name):
        raise outside_profile("an identity with an empty segment, or with unprintable characters")
    return IdentityBlock(raw.id, name, below, expiries[0])


def _actor(check: tuple[Query, ...]) -> tuple[str, bool] | None:
    """Return the identity that a check of the actor requires, and whether identities below it pass.

    None stands for any other check.
    """
    match check:
        case (Query((("actor", (Var() as variable,)),), ((Op("value", Var() as left), *ops),), ()),) if (
            left == variable
        ):
            return _compared(variable, tuple(ops))
        case _:
            return None


def _compared(variable: Var, ops: tuple[Op, ...]) -> tuple[str, bool] | None:
    """Read ``== name``, or ``== name || variable.starts_with(name + ":")``, in postfix form."""
    match ops:
        case (Op("value", str() as name), Op("binary", None, code)) if code == _EQUAL:
            return name, False
        case (
            Op("value", str() as name),
            Op("binary", None, equal),
            Op("closure", None, _, (Op("value", Var() as again), *rest)),
            Op("binary", None, choice),
        ) if again == variable and (equal, choice) == (_EQUAL, _OR):
            below = [Op("value", name), Op("value", ":"), Op("binary", code=_ADD), Op("binary", code=_PREFIX)]
            return (name, True) if rest == below else None
        case _:
            return None
