"""The commands of an authority, and of anyone with keys: ``keys``, ``trust`` and ``issue``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from .. import inputs
from ..options import Audience, Designations, Folder, Grants, Hops, Json, Last, OnlyTo, Passphrase, Ttl
from ..terminal import CommandResult, UsageError, warn

if TYPE_CHECKING:
    from ...authority import Authority
    from ...keys.keys import KeyPair

__all__ = ["init", "issue", "list_keys", "new", "rotate", "show", "trust"]

NoPassphrase = Annotated[
    bool,
    typer.Option("--no-passphrase", help="Do not encrypt private keys; only file permissions protect them."),
]
Kind = Annotated[
    Literal["capability", "identity", "context"] | None,
    typer.Option("--kind", help="One kind of token. Default: all."),
]


def new(
    path: Annotated[
        Path, typer.Argument(metavar="PATH", help="A new file; only you can read it.", show_default=False)
    ],
    passphrase_file: Passphrase = None,
    no_passphrase: NoPassphrase = False,
    json: Json = False,
) -> CommandResult:
    """Make a holder's key pair; print its public key.

    The private key is written to PATH, encrypted with a passphrase. To issue a capability to this holder,
    name the public key: issue ... --holder ed25519/...
    """
    from ...keys.keys import KeyPair

    pair = KeyPair.generate()
    pair.save(path, passphrase=inputs.new_passphrase(passphrase_file, without=no_passphrase))
    return _public_key(path, pair, json)


def show(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="A holder's key file.", show_default=False)],
    passphrase_file: Passphrase = None,
    json: Json = False,
) -> CommandResult:
    """Print the public key of a key file.

    An encrypted file needs its passphrase, since the public key is inside.
    """
    return _public_key(path, inputs.key_pair(path, passphrase_file), json)


def init(
    folder: Folder,
    propagation_delay: Annotated[
        str,
        typer.Option(
            "--propagation-delay", metavar="TIME", help="How long guards may use an old trust file."
        ),
    ] = "5m",
    max_ttl: Annotated[
        str, typer.Option("--max-ttl", metavar="TIME", help="The longest lifetime of a token.")
    ] = "24h",
    passphrase_file: Passphrase = None,
    no_passphrase: NoPassphrase = False,
    json: Json = False,
) -> CommandResult:
    """Make a new authority: a folder of root keys.

    The folder has an active key for each kind of token. Both times are fixed for good: they determine the
    waits between the steps of `keys rotate`.
    """
    from ...authority import Authority

    if os.path.exists(folder / "keyring.json"):  # also false where the folder cannot be read
        raise UsageError(f"{folder}: already an authority")
    times = {
        "propagation_delay": inputs.duration(propagation_delay, "--propagation-delay"),
        "max_ttl": inputs.duration(max_ttl, "--max-ttl"),
    }
    passphrase = inputs.new_passphrase(passphrase_file, without=no_passphrase)
    return _key_list(Authority.create(folder, passphrase=passphrase, clock=inputs.now, **times), json)


def list_keys(folder: Folder, json: Json = False) -> CommandResult:
    """List the root keys: kind, id, state, since when, public key."""
    return _key_list(_open(folder, None), json)


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
    """Do one step of rotating the root keys.

    \b
    prepare    make the next key, which signs nothing yet; then run `trust` and update the guards
    activate   sign with the new key; possible once every guard can know it
    retire     stop trusting the old key; possible once its last token has expired; then run `trust` again
    """  # noqa: D301 -- \b keeps lines apart in the help

    def rotated(passphrase: bytes | None) -> Authority:
        authority = _open(folder, passphrase)
        authority.rotate(step, kind=kind)
        return authority

    authority = inputs.with_passphrase(rotated, passphrase_file)
    say = _next_step(authority, folder, step)
    if not json:
        warn(f"next: {say}")
    return _key_list(authority, json, next=say)


def _next_step(authority: Authority, folder: Path, step: str) -> str:
    """Return what to do after this step, and when."""
    from ...tokens.statements import PROOF_WINDOW
    from ..token_view import format_time

    publish = f"run `hessra-agents trust {folder} --out trust.json`, and give the file to the guards"
    if step == "activate":
        retiring = [key.retiring_at for key in authority.keys() if key.retiring_at is not None]  # noqa: SIM118
        when = max(retiring) + int(authority.max_ttl.total_seconds()) + PROOF_WINDOW
        return f"retire, from {format_time(when)} on, when the last token of the old key has expired"
    if step == "retire":
        return publish
    prepared = [key.prepared_at for key in authority.keys() if key.state == "prepared"]  # noqa: SIM118
    when = max(prepared) + int(authority.propagation_delay.total_seconds())
    return f"{publish}; then activate, from {format_time(when)} on"


def trust(
    folder: Folder,
    out: Annotated[
        Path, typer.Option("--out", metavar="FILE", help="The file to write.", show_default=False)
    ],
    json: Json = False,
) -> CommandResult:
    """Write the public root keys, which guards need."""
    found = _open(folder, None).trust
    try:
        found.save(out)
    except OSError as error:
        raise inputs.os_fault("--out", error, "cannot be written") from None
    kinds = {"capability": found.capability, "identity": found.identity, "context": found.context}
    keys = {kind: {str(number): str(key) for number, key in keys.items()} for kind, keys in kinds.items()}
    return CommandResult({"path": str(out), "keys": keys}, as_json=json)


def issue(
    folder: Folder,
    subject: Annotated[
        str, typer.Argument(metavar="SUBJECT", help="The agent it is for: agent:desk.", show_default=False)
    ],
    grants: Grants,
    ttl: Ttl,
    audience: Audience,
    holder: Annotated[
        str | None,
        typer.Option(
            "--holder", metavar="PUBLICKEY", help="The key that proves each call. Default: a bearer token."
        ),
    ] = None,
    not_before: Annotated[
        str | None,
        typer.Option(
            "--not-before", metavar="WHEN", help="Start of validity: 2026-12-24T18:00:00Z, or a date (UTC)."
        ),
    ] = None,
    designations: Designations = [],  # noqa: B006 -- typer reads it and never changes it
    last: Last = False,
    hops: Hops = None,
    only_to: OnlyTo = [],  # noqa: B006 -- typer reads it and never changes it
    passphrase_file: Passphrase = None,
    json: Json = False,
) -> CommandResult:
    """Issue a capability; print its token.

    A TOML file lists what may be called, with one [[grant]] for each way to call a tool:

    \b
      [[grant]]
      tool = "send_email"
      [grant.arguments]
      to = { email = ["acme.com"] }                 # any address in this domain
      subject = { anything = true }                 # any value, but it is required
      body = { max_length = 2000 }
      cc = { optional = { one_of = ["ana@acme.com", "bo@acme.com"] } }
      mode = "fast"                                 # a plain value: exactly this one

    An argument that is not listed is refused. A table with several constraints requires all of them.

    \b
      exact, json, one_of, not_one_of, anything     any JSON value; json = 'null'
      optional, omitted, nullable, any_of           omitted, null, or one of several
      starts_with, ends_with, contains, matches     a string
      length, min_length, max_length, non_empty     a string or a list
      at_least, at_most, between = [1, 100]         an integer; 1.0: any number
      number, date, instant                         low, high; not_before, not_after
      under = "/srv/data"                           a path; directly_in, relative
      email = ["acme.com", "ana@acme.org"]          one email address
      url = ["api.acme.com"]                        or { hosts, scheme, ports, under }
      ip_url, host, hex, same_as = "owner"          or equal to another argument
      each = CONSTRAINT                             a list; or { of, empty, unique }
      mapping = { keys, values, at_most }           an object with any names
      subset_of = ["a", "b"]                        a list; or { values, empty }
      from_result = { tool, path = "$[*].id" }      from an earlier result; where, starts, largest, ...
      fields = { name = CONSTRAINT }                an object with these fields and no others
      command = { program, words, rest }            an argument list; command_line

    The file may also have limits, approvals and labels, for all calls or only those `of` some tools:

    \b
      [[limit]]
      calls = 50                                    # or sum_of = "amount", at_most = 5000
      per = "1d"                                    # in any day; omitted: over the whole lifetime
      refund = true                                 # a call that fails does not count
      budget = "eur:2027"                           # shared by all that is issued under this name
      [[approval]]
      keys = ["ed25519/...", "ed25519/..."]
      need = 2                                      # how many of these keys, for each call
      of = ["pay"]
      unless = { amount = { at_most = 99 } }        # these calls need none
      [[clear]]
      labels = ["PII:*", "untrusted"]               # refused once the session has seen one
    """  # noqa: D301 -- \b keeps lines apart in the help
    from ..token_view import capability_fields

    granted = inputs.grants(grants)
    lifetime = inputs.duration(ttl, "--ttl")
    key = inputs.public_key(holder, "--holder")
    start = None if not_before is None else inputs.timestamp(not_before, "--not-before", ago=False)
    stated = inputs.pairs(designations, "--designation")
    next_holders = inputs.public_keys(only_to, "--only-to")
    capability = inputs.with_passphrase(
        lambda passphrase: _open(folder, passphrase).issue(
            subject,
            *granted,
            ttl=lifetime,
            audience=audience,
            holder=key,
            not_before=start,
            designations=stated,
            last=last,
            hops=hops,
            only_to=next_holders,
        ),
        passphrase_file,
    )
    fields = {**capability_fields(capability), "audience": audience}
    return CommandResult(fields, [(0, capability.token)], as_json=json)


def _open(folder: Path, passphrase: bytes | None) -> Authority:
    from ...authority import Authority

    return Authority.open(folder, passphrase=passphrase, clock=inputs.now)


def _public_key(path: Path, pair: KeyPair, json: bool) -> CommandResult:
    key = str(pair.public)
    return CommandResult({"path": str(path), "public_key": key}, [(0, key)], as_json=json)


def _key_list(authority: Authority, json: bool, **more: str) -> CommandResult:
    from ..token_view import format_time

    rows = [("kind", "id", "state", "since", "public key")]
    fields = []
    for key in authority.keys():  # noqa: SIM118 -- root keys, not a mapping
        since = max(t for t in (key.prepared_at, key.activated_at, key.retiring_at) if t is not None)
        rows.append((key.kind, str(key.id), key.state, format_time(since), str(key.public)))
        shown = {"kind": key.kind, "id": key.id, "state": key.state, "since": since}
        fields.append({**shown, "public_key": str(key.public)})
    return CommandResult({"keys": fields, **more}, table=rows, as_json=json)
