"""Commands of who holds a capability: ``attenuate``, ``delegate`` and ``prove``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .. import inputs
from ..options import (
    Arguments,
    ArgumentsFile,
    Audience,
    Designations,
    Grants,
    Json,
    MaybeAudience,
    MaybeGrants,
    MaybeTrust,
    MaybeTtl,
    Passphrase,
    Token,
    Tool,
    Trust,
)
from ..terminal import CommandResult, UsageError

if TYPE_CHECKING:
    from ...tokens.capability import Capability

__all__ = ["attenuate", "delegate", "prove"]

_KEY = "The holder's private key, as `hessra-agents keys new` writes it."


def attenuate(
    trust: Trust,
    token: Token = None,
    grants: MaybeGrants = None,
    ttl: MaybeTtl = None,
    audience: MaybeAudience = None,
    designations: Designations = [],  # noqa: B006 -- typer's way; nobody changes it
    json: Json = False,
) -> CommandResult:
    """Narrow a capability; print the new token.

    No key is needed, and what is added can only take away. With --grants, a tool that is not named is
    dropped, and an argument that is not named keeps its earlier bounds.
    """
    from ...tokens.capability import Capability

    told = inputs.grants(grants)
    lifetime = None if ttl is None else inputs.duration(ttl, "--ttl")
    stated = inputs.pairs(designations, "--designation")
    if not (told or lifetime is not None or audience or stated):
        raise UsageError("nothing is narrowed", "give --grants, --ttl, --audience or --designation")
    found = Capability.parse(inputs.token(token), inputs.trust(trust))
    return _made(
        found.attenuate(*told, ttl=lifetime, audience=audience, designations=stated, now=inputs.now()), json
    )


def delegate(
    trust: Trust,
    to: Annotated[
        str,
        typer.Option("--to", metavar="PUBLICKEY", help="The next holder's public key.", show_default=False),
    ],
    grants: Grants,
    token: Token = None,
    key: Annotated[Path | None, typer.Option("--key", metavar="FILE", help=_KEY)] = None,
    ttl: MaybeTtl = None,
    audience: MaybeAudience = None,
    designations: Designations = [],  # noqa: B006 -- typer's way; nobody changes it
    passphrase_file: Passphrase = None,
    json: Json = False,
) -> CommandResult:
    """Hand a capability on to another holder; print the new token.

    The current holder's key signs. A bearer capability has none: there, --key is left out and the next
    holder is its first.
    """
    from ...keys.keyfile import read_key
    from ...tokens.capability import Capability

    told = inputs.grants(grants)
    lifetime = None if ttl is None else inputs.duration(ttl, "--ttl")
    stated = inputs.pairs(designations, "--designation")
    next_holder = inputs.public_key(to, "--to")
    assert next_holder is not None
    found = Capability.parse(inputs.token(token), inputs.trust(trust))
    if found.holder is not None and key is None:
        raise UsageError(
            "this capability has a holder, and only the holder delegates", "give its key with --key FILE"
        )
    if found.holder is None and key is not None:
        raise UsageError("this capability has no holder, so no key signs for it", "leave --key out")
    pair = (
        None if key is None else inputs.with_passphrase(lambda secret: read_key(key, secret), passphrase_file)
    )
    handed = found.delegate(
        *told,
        to=next_holder,
        key=pair,
        ttl=lifetime,
        audience=audience,
        designations=stated,
        now=inputs.now(),
    )
    return _made(handed, json)


def prove(
    tool: Tool,
    key: Annotated[Path, typer.Option("--key", metavar="FILE", help=_KEY, show_default=False)],
    audience: Audience,
    arguments: Arguments = None,
    arguments_file: ArgumentsFile = None,
    token: Token = None,
    trust: MaybeTrust = None,
    passphrase_file: Passphrase = None,
    json: Json = False,
) -> CommandResult:
    """Prove one call to one guard, as the holder; print the proof.

    A proof is good for one use in the next 30 seconds. Until then it makes its call: send it to its guard
    only.
    """
    from ...keys.keyfile import read_key
    from ...tokens.statements import Proof
    from ...verify.verifier import PROOF_WINDOW
    from ..token_view import TokenView

    call = inputs.call(tool, arguments, arguments_file, token)
    found = TokenView.of(inputs.token(token), trust)
    holder = next((block.holder for block in reversed(found.blocks) if block.holder), None)
    if holder is None:
        raise UsageError("this capability has no holder, so its calls need no proof")
    pair = inputs.with_passphrase(lambda secret: read_key(key, secret), passphrase_file)
    if pair.public.data != holder.key:
        raise UsageError("--key: is not the key of this capability's holder")
    now = inputs.now()
    ids = tuple(block.id for block in found.blocks)
    proof = Proof.make(call, ids=ids, handle=holder.handle, audience=audience, key=pair, now=now)
    fields = {"proof": proof.token, "tool": call.tool, "audience": audience, "expires": now + PROOF_WINDOW}
    return CommandResult(fields, [(0, proof.token)], as_json=json)


def _made(capability: Capability, json: bool) -> CommandResult:
    holder = capability.holder
    fields = {
        "token": capability.token,
        "subject": capability.subject,
        "holder": None if holder is None else f"ed25519/{holder.key.hex()}",
        "expires": capability.expires,
        "tools": [one.removeprefix("tool:") for one in capability.tools],
    }
    return CommandResult(fields, [(0, capability.token)], as_json=json)
