"""The commands of a capability's holder: ``attenuate``, ``delegate`` and ``prove``."""

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
    Hops,
    Json,
    Last,
    MaybeAudience,
    MaybeGrants,
    MaybeTrust,
    MaybeTtl,
    OnlyTo,
    Passphrase,
    Token,
    Tool,
    Trust,
)
from ..terminal import CommandResult, UsageError

if TYPE_CHECKING:
    from ...tokens.capability import Capability

__all__ = ["attenuate", "delegate", "prove"]

_KEY = "The holder's private key, a file that `hessra-agents keys new` writes."


def attenuate(
    trust: Trust,
    token: Token = None,
    grants: MaybeGrants = None,
    ttl: MaybeTtl = None,
    audience: MaybeAudience = None,
    designations: Designations = [],  # noqa: B006 -- typer reads it and never changes it
    json: Json = False,
) -> CommandResult:
    """Narrow a capability; print the new token.

    No key is needed, since a new block can only take rights away. With --grants, a tool that the file does
    not name is dropped, and an argument that it does not name keeps its earlier constraints.
    """
    from ...tokens.capability import Capability

    narrower = inputs.grants(grants)
    lifetime = None if ttl is None else inputs.duration(ttl, "--ttl")
    stated = inputs.pairs(designations, "--designation")
    if not (narrower or lifetime is not None or audience or stated):
        raise UsageError("nothing to narrow", "give --grants, --ttl, --audience or --designation")
    found = Capability.parse(inputs.token(token), inputs.trust(trust))
    return _result(
        found.attenuate(*narrower, ttl=lifetime, audience=audience, designations=stated, now=inputs.now()),
        json,
    )


def delegate(
    trust: Trust,
    to: Annotated[
        str,
        typer.Option("--to", metavar="PUBLICKEY", help="The new holder's public key.", show_default=False),
    ],
    grants: Grants,
    token: Token = None,
    key: Annotated[Path | None, typer.Option("--key", metavar="FILE", help=_KEY)] = None,
    name: Annotated[
        str | None,
        typer.Option(
            "--name", metavar="NAME", help="The new holder's name, below the name before: agent:desk:mailer."
        ),
    ] = None,
    last: Last = False,
    hops: Hops = None,
    only_to: OnlyTo = [],  # noqa: B006 -- typer reads it and never changes it
    idle: Annotated[
        bool, typer.Option("--idle", help="The new holder may only hand it on; needs --only-to.")
    ] = False,
    ttl: MaybeTtl = None,
    audience: MaybeAudience = None,
    designations: Designations = [],  # noqa: B006 -- typer reads it and never changes it
    passphrase_file: Passphrase = None,
    json: Json = False,
) -> CommandResult:
    """Delegate a capability to another holder; print the new token.

    The current holder's key signs the new token. A bearer capability has no holder: omit --key, and the new
    holder is the first.
    """
    from ...tokens.capability import Capability

    narrower = inputs.grants(grants)
    lifetime = None if ttl is None else inputs.duration(ttl, "--ttl")
    stated = inputs.pairs(designations, "--designation")
    next_holder = inputs.public_key(to, "--to")
    assert next_holder is not None
    found = Capability.parse(inputs.token(token), inputs.trust(trust))
    if found.holder is not None and key is None:
        raise UsageError(
            "this capability has a holder, and only the holder can delegate it",
            "give the holder's --key FILE",
        )
    if found.holder is None and key is not None:
        raise UsageError("this capability has no holder, so no key signs for it", "omit --key")
    pair = None if key is None else inputs.key_pair(key, passphrase_file)
    handed = found.delegate(
        *narrower,
        to=next_holder,
        key=pair,
        known_as=name,
        last=last,
        hops=hops,
        only_to=inputs.public_keys(only_to, "--only-to"),
        idle=idle,
        ttl=lifetime,
        audience=audience,
        designations=stated,
        now=inputs.now(),
    )
    return _result(handed, json)


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

    A proof can be used once, in the next 30 seconds. Anyone who has it and the token can make that call
    until then: send both to the guard only.
    """
    from ...tokens.statements import PROOF_WINDOW, Proof
    from ..token_view import TokenView

    call = inputs.call(tool, arguments, arguments_file, token)
    found = TokenView.of(inputs.token(token), trust)
    holder = next((block.holder for block in reversed(found.blocks) if block.holder), None)
    if holder is None:
        raise UsageError("this capability has no holder, so its calls need no proof")
    pair = inputs.key_pair(key, passphrase_file)
    if pair.public.data != holder.key:
        raise UsageError("--key: not the key of this capability's holder")
    now = inputs.now()
    ids = tuple(block.id for block in found.blocks)
    proof = Proof.make(call, ids=ids, handle=holder.handle, audience=audience, key=pair, now=now)
    fields = {"proof": proof.token, "tool": call.tool, "audience": audience, "expires": now + PROOF_WINDOW}
    return CommandResult(fields, [(0, proof.token)], as_json=json)


def _result(capability: Capability, json: bool) -> CommandResult:
    from ..token_view import capability_fields

    return CommandResult(capability_fields(capability), [(0, capability.token)], as_json=json)
