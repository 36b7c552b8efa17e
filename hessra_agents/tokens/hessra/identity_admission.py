"""Admission of identity tokens: what one may say, and what it does say, before any Datalog runs.

    first block      subject(S)
                     check if actor($a), $a == S                                   not delegatable
                     check if actor($a), $a == S || $a.starts_with(S + ":")        delegatable
                     check if time($t), $t < N
    delegation       check if actor($a), $a == I || $a.starts_with(I + ":")        I below the one before
    (signed)         check if time($t), $t < N
    just in time     check if time($t), $t < N
    (signed)

Each block holds exactly that; all else is refused as ``outside_profile``. Signed blocks are Hessra's, by
keys that are thrown away and carry no trust: a block can only narrow.
"""

from __future__ import annotations

from dataclasses import dataclass

from ...grants.labels import is_text
from ..format.blocks import Op, Query, RawBlock, TokenDialect, Var
from ..format.protobuf import outside_profile
from .common import expiry

__all__ = ["IDENTITY", "IdentityBlock", "admit", "is_below", "well_formed"]

IDENTITY = TokenDialect(choices=True)

_PREFIX, _ADD, _EQUAL, _OR = 6, 9, 21, 24  # schema.proto, OpBinary


@dataclass(frozen=True, slots=True)
class IdentityBlock:
    """What one block says: which identity may act, whether those below may, until when.

    ``name`` is None in a just-in-time block, which says only until when.
    """

    id: str
    name: str | None
    below: bool
    expires: int

    def admits(self, claimed: str) -> bool:
        """Whether this block lets that identity act."""
        if self.name is None or claimed == self.name:
            return True
        return self.below and is_below(claimed, self.name)


def well_formed(name: object) -> bool:
    """Whether this can be an identity: printable text in segments joined by ``:``, none of them empty."""
    return isinstance(name, str) and is_text(name) and all(name.split(":"))


def is_below(name: str, other: str) -> bool:
    """Whether an identity is below another: ``agent:a:b`` is below ``agent:a``, ``agent:ab`` is not."""
    return name.startswith(other + ":")


def admit(raw: tuple[RawBlock, ...]) -> tuple[IdentityBlock, ...]:
    """What these blocks say.

    Raises:
        Denied: ``outside_profile``.
    """
    blocks = tuple(_block(one) for one in raw)
    match raw[0].facts:
        case (("subject", (str() as subject,)),) if subject == blocks[0].name:
            last = blocks[0]
        case _:
            raise outside_profile("the first block does not name its one subject and ask for it")
    for one, block in zip(raw[1:], blocks[1:], strict=True):
        if one.signer is None or one.facts:
            raise outside_profile("a block that nobody signed, or one that states facts")
        if block.name is None:
            continue
        if not (block.below and last.admits(block.name)):
            raise outside_profile("a delegation that is not below the identity before")
        last = block
    return blocks


def _block(raw: RawBlock) -> IdentityBlock:
    actors = [found for found in map(_actor, raw.checks) if found is not None]
    expiries = [bound for bound in map(expiry, raw.checks) if bound is not None]
    if len(expiries) != 1 or len(actors) > 1 or len(actors) + 1 != len(raw.checks):
        raise outside_profile("a block that asks for anything but one identity and one time")
    name, below = actors[0] if actors else (None, False)
    if name is not None and not well_formed(name):
        raise outside_profile("an identity with an empty segment, or one that cannot be printed")
    return IdentityBlock(raw.id, name, below, expiries[0])


def _actor(check: tuple[Query, ...]) -> tuple[str, bool] | None:
    """The identity that a check of the actor asks for, and whether those below it pass; None of others."""
    match check:
        case (Query((("actor", (Var() as variable,)),), ((Op("value", Var() as left), *ops),), ()),) if (
            left == variable
        ):
            return _compared(variable, tuple(ops))
        case _:
            return None


def _compared(variable: Var, ops: tuple[Op, ...]) -> tuple[str, bool] | None:
    """``== name``, or ``== name || variable.starts_with(name + ":")``, in postfix form."""
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
