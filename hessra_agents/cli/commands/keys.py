"""Commands of who holds keys: ``keys``, ``trust`` and ``issue``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from .. import inputs
from ..options import Audience, Designations, Folder, Grants, Json, Passphrase, Ttl
from ..terminal import CommandResult, UsageError

if TYPE_CHECKING:
    from ...authority import Authority

__all__ = ["init", "issue", "list_keys", "new", "rotate", "show", "trust"]

NoPassphrase = Annotated[
    bool,
    typer.Option("--no-passphrase", help="Write private keys in the clear; file permissions protect them."),
]
Kind = Annotated[
    Literal["capability", "identity", "context"] | None,
    typer.Option("--kind", help="One kind of token; all of them if left out."),
]


def new(
    path: Annotated[
        Path, typer.Argument(metavar="PATH", help="A new file, in a folder of mode 0700.", show_default=False)
    ],
    passphrase_file: Passphrase = None,
    no_passphrase: NoPassphrase = False,
    json: Json = False,
) -> CommandResult:
    """Make a holder's key pair; print its public key.

    The private key goes to PATH, sealed with a passphrase. Whoever issues a capability to this holder
    names the public key: issue ... --holder ed25519/...
    """
    from ...keys.keyfile import write_key
    from ...keys.keys import KeyPair

    pair = KeyPair.generate()
    write_key(path, pair, inputs.new_passphrase(passphrase_file, without=no_passphrase))
    return CommandResult(
        {"path": str(path), "public_key": str(pair.public)}, [(0, str(pair.public))], as_json=json
    )


def show(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="A holder's key file.", show_default=False)],
    passphrase_file: Passphrase = None,
    json: Json = False,
) -> CommandResult:
    """Print the public key of an existing key file.

    A sealed file is opened with its passphrase: the public key is inside of it.
    """
    from ...keys.keyfile import read_key

    pair = inputs.with_passphrase(lambda secret: read_key(path, secret), passphrase_file)
    return CommandResult(
        {"path": str(path), "public_key": str(pair.public)}, [(0, str(pair.public))], as_json=json
    )


def init(
    folder: Folder,
    publish: Annotated[
        str,
        typer.Option(
            "--publish", metavar="TIME", help="How long guards may use an old copy of the public keys."
        ),
    ] = "5m",
    longest_ttl: Annotated[
        str, typer.Option("--longest-ttl", metavar="TIME", help="No token lives longer.")
    ] = "24h",
    passphrase_file: Passphrase = None,
    no_passphrase: NoPassphrase = False,
    json: Json = False,
) -> CommandResult:
    """Make a new authority: a folder of root keys.

    It has an active key for each kind of token. Both times are fixed for the folder: the waits between
    the steps of `keys rotate` follow from them.
    """
    from ...authority import Authority

    if os.path.exists(folder / _KEYRING):  # false, too, where it may not look
        raise UsageError(f"{folder}: is an authority already")
    spans = {
        "propagation_delay": inputs.duration(publish, "--publish"),
        "max_ttl": inputs.duration(longest_ttl, "--longest-ttl"),
    }
    passphrase = inputs.new_passphrase(passphrase_file, without=no_passphrase)
    return _listed(Authority.open(folder, passphrase=passphrase, clock=inputs.now, **spans), json)


def list_keys(folder: Folder, json: Json = False) -> CommandResult:
    """List the root keys: kind, id, state, since when, public key."""
    return _listed(_open(folder, None), json)


def rotate(
    folder: Folder,
    step: Annotated[
        Literal["prepare", "activate", "retire"],
        typer.Argument(metavar="STEP", help="prepare, activate or retire."),
    ],
    kind: Kind = None,
    passphrase_file: Passphrase = None,
    json: Json = False,
) -> CommandResult:
    """Do one step of a rotation of the root keys.

    \b
    prepare    make the next key, which signs nothing yet; then give `trust` to the guards
    activate   sign with it; possible when every guard can know it
    retire     trust the old key no more; possible when its last token has expired; then `trust` again
    """  # noqa: D301 -- \b keeps lines apart in the help

    def rotated(passphrase: bytes | None) -> Authority:
        authority = _open(folder, passphrase)
        authority.rotate(step, kind=kind)
        return authority

    return _listed(inputs.with_passphrase(rotated, passphrase_file), json)


def trust(
    folder: Folder,
    out: Annotated[
        Path, typer.Option("--out", metavar="FILE", help="The file to write.", show_default=False)
    ],
    json: Json = False,
) -> CommandResult:
    """Write the public root keys, all that a guard needs."""
    found = _open(folder, None).trust
    try:
        found.save(out)
    except OSError as error:
        raise UsageError(f"--out: {(error.strerror or 'cannot be written').lower()}") from None
    kinds = {"capability": found.capability, "identity": found.identity, "context": found.context}
    keys = {kind: {str(number): str(key) for number, key in keys.items()} for kind, keys in kinds.items()}
    return CommandResult({"path": str(out), "keys": keys}, as_json=json)


def issue(
    folder: Folder,
    subject: Annotated[
        str, typer.Argument(metavar="SUBJECT", help="Who may use it, such as agent:desk.", show_default=False)
    ],
    grants: Grants,
    ttl: Ttl,
    audience: Audience,
    holder: Annotated[
        str | None,
        typer.Option(
            "--holder", metavar="PUBLICKEY", help="Whose key each call is proved with; none: a bearer token."
        ),
    ] = None,
    not_before: Annotated[
        str | None,
        typer.Option("--not-before", metavar="MOMENT", help="When it starts: 2026-12-24T18:00:00Z."),
    ] = None,
    designations: Designations = [],  # noqa: B006 -- typer's way; nobody changes it
    passphrase_file: Passphrase = None,
    json: Json = False,
) -> CommandResult:
    """Issue a capability; print its token.

    What may be called is in a TOML file, one [[grant]] for each way to call a tool:

    \b
      [[grant]]
      tool = "send_email"
      [grant.arguments]
      to = { email = ["acme.com"] }                 # any address there
      subject = { anything = true }                 # any value, but it must be there
      body = { max_length = 2000 }
      cc = { optional = { one_of = ["ana@acme.com", "bo@acme.com"] } }
      mode = "fast"                                 # a plain value: exactly that

    An argument that is not there may not occur. A table with several constraints asks for all of them.

    \b
      exact, json, one_of, anything, optional       any JSON value; json = 'null'
      starts_with, ends_with, max_length            texts
      at_least, at_most, between = [1, 100]         whole numbers
      under = "/srv/data"                           a path
      email = ["acme.com", "ana@acme.org"]          one mail address
      url = ["api.acme.com"]                        or { hosts, scheme, port, under }
      each = CONSTRAINT                             a list; or { of, empty }
      subset_of = ["a", "b"]                        a list; or { values, empty }
      from_result = { tool, path = "$[*].id" }      of an earlier result; where, starts, largest, ...
      fields = { name = CONSTRAINT }                an object with these fields and no others
      command = { program, words, rest }            an argument list

    Beside the grants there may be limits, approvals and labels, of all calls or `of` some tools:

    \b
      [[limit]]
      calls = 50                                    # or sum_of = "amount", at_most = 5000
      per = "1d"                                    # in any day; without: as long as it lives
      refund = true                                 # a call that fails is given back
      [[approval]]
      keys = ["ed25519/...", "ed25519/..."]
      need = 2                                      # of these keys, for each call
      of = ["pay"]
      [[clear]]
      labels = ["PII:*", "untrusted"]               # refused once the session has seen any
    """  # noqa: D301 -- \b keeps lines apart in the help
    told = inputs.grants(grants)
    lifetime = inputs.duration(ttl, "--ttl")
    key = inputs.public_key(holder, "--holder")
    start = None if not_before is None else inputs.timestamp(not_before, "--not-before")
    stated = inputs.pairs(designations, "--designation")
    capability = inputs.with_passphrase(
        lambda passphrase: _open(folder, passphrase).issue(
            subject, *told, ttl=lifetime, audience=audience, holder=key, not_before=start, designations=stated
        ),
        passphrase_file,
    )
    fields = {
        "token": capability.token,
        "subject": capability.subject,
        "holder": None if key is None else str(key),
        "audience": audience,
        "expires": capability.expires,
        "tools": [one.removeprefix("tool:") for one in capability.tools],
    }
    return CommandResult(fields, [(0, capability.token)], as_json=json)


_KEYRING = "keyring.json"


def _open(folder: Path, passphrase: bytes | None) -> Authority:
    """The authority of a folder; unlike `Authority.open`, never a new one."""
    from ...authority import Authority

    if not os.path.exists(folder / _KEYRING):
        raise UsageError(f"{folder}: is no authority", f"to make one: hessra-agents keys init {folder}")
    return Authority.open(folder, passphrase=passphrase, clock=inputs.now)


def _listed(authority: Authority, json: bool) -> CommandResult:
    from ..token_view import format_time

    rows = [("kind", "id", "state", "since", "public key")]
    fields = []
    for key in authority.keys():  # noqa: SIM118 -- its root keys, no mapping
        since = max(t for t in (key.prepared_at, key.activated_at, key.retiring_at) if t is not None)
        rows.append((key.kind, str(key.id), key.state, format_time(since), str(key.public)))
        fields.append(
            {
                "kind": key.kind,
                "id": key.id,
                "state": key.state,
                "since": since,
                "public_key": str(key.public),
            }
        )
    return CommandResult({"keys": fields}, table=rows, as_json=json)
