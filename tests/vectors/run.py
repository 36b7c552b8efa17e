"""Runs frozen vectors against this library: what a file says goes in, what comes out can be compared.

`make` freezes what these functions return, and ``tests/vectors/test_vectors.py`` compares. Neither knows more
about the format than README.md says.
"""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import biscuit_auth
from biscuit_auth import AuthorizationError, AuthorizerBuilder, Biscuit

from hessra_agents import Session
from hessra_agents.call.call import Call, digest
from hessra_agents.call.canonical import Json, MalformedError
from hessra_agents.call.facts import SIGNATURES, Values
from hessra_agents.call.places import escape
from hessra_agents.errors import Denied
from hessra_agents.grants.clauses import Source
from hessra_agents.grants.labels import label_means
from hessra_agents.keys.keys import PublicKey
from hessra_agents.keys.trust import Trust
from hessra_agents.tokens.admission import ANCHOR, APPROVED, HOLDER
from hessra_agents.tokens.capability import Capability
from hessra_agents.tokens.hessra.context import Context
from hessra_agents.tokens.hessra.identity import Identity
from hessra_agents.tokens.statements import Approval, Proof, chain_digest
from hessra_agents.verify.permit import Permit
from hessra_agents.verify.verifier import verify

HERE = Path(__file__).parent

_library: Any = biscuit_auth  # its type stubs lag behind the library

Row = dict[str, Any]


def load(name: str) -> Row:
    """One file of vectors."""
    found: Row = json.loads((HERE / f"{name}.json").read_bytes())
    assert found["format"] == format_of(name)
    return found


def format_of(name: str) -> str:
    """What a file of this name says that it is."""
    return f"hessra-agents vectors {2 if name.endswith('-2') else 1}"


PREDICATES: dict[str, list[str]] = json.loads((HERE / "facts.json").read_bytes())["predicates"]
"""The facts that these vectors state of every place, with the types of their values. The others are stated
only where the token asks for them."""


# Calls


def call_of(case: Row) -> Call:
    """The call that a case describes."""
    arguments = bytes.fromhex(case["arguments_hex"]) if "arguments_hex" in case else case["arguments"]
    return Call.of(
        case["tool"], arguments, kind=case.get("kind", "tool"), operation=case.get("operation", "invoke")
    )


def canonical(case: Row) -> Row:
    """The canonical text and the digest of a call, or that it is refused."""
    try:
        call = call_of(case)
    except MalformedError:
        return {"verdict": "malformed"}
    return {"verdict": "read", "canonical": call.canonical_json.decode(), "digest": call.digest.hex()}


# Facts


def facts_at(arguments: dict[str, Json], key: str) -> Row:
    """Every fact that is stated for one key, as JSON."""
    predicates = [name for name in PREDICATES if (name == "arg_names") == (key == "")]
    # each of a call of its own, because all together may cost more than one call's checks may
    found = {name: Call.of("t", arguments).fact(name, key) for name in predicates}
    return {name: [as_json(value) for value in values] for name, values in found.items() if values}


def as_json(value: object) -> Any:
    """Integers as decimal text, bytes in hex, sets sorted: by code points, or by value."""
    if isinstance(value, frozenset):
        return [as_json(element) for element in sorted(value)]
    if isinstance(value, bytes):
        return value.hex()
    return str(value) if type(value) is int else value


def facts_of(call: Call) -> Iterator[tuple[str, str, Values]]:
    """Every fact about a call: (predicate, key, values) for each argument and each place inside it."""
    arguments = call.arguments
    for key in ["", *_places(arguments)]:
        for name in PREDICATES:
            values = call.fact(name, key) if (name == "arg_names") == (key == "") else None
            if values is not None:
                yield name, key, values


def _places(arguments: dict[str, Json]) -> Iterator[str]:
    for name, value in sorted(arguments.items()):
        yield name
        yield from _inside(f"/{escape(name)}", value)


def _inside(pointer: str, value: Json) -> Iterator[str]:
    if isinstance(value, dict):
        for name, inner in sorted(value.items()):
            yield f"{pointer}/{escape(name)}"
            yield from _inside(f"{pointer}/{escape(name)}", inner)
    if isinstance(value, list):
        for index, inner in enumerate(value):
            yield f"{pointer}/{index}"
            yield from _inside(f"{pointer}/{index}", inner)
        for index in range(len(value) + 1):
            yield f"{pointer}/{index}:"


# Capabilities


def keys_of(file: Row) -> dict[str, PublicKey]:
    """The public keys of a file by name."""
    return {name: PublicKey.parse(key["public"]) for name, key in file["keys"].items()}


def trust_of(file: Row, token: Row) -> Trust:
    """The root keys that a verifier of this token starts from."""
    kind = {"capabilities": "capability", "identities": "identity", "contexts": "context"}[file["kind"]]
    keys = keys_of(file)
    trust: Row = token["trust"] if "trust" in token else file["trust"]
    ids = {int(key_id): keys[name] for key_id, name in trust["ids"].items()}
    without = {kind: keys[trust["without_id"]]} if "without_id" in trust else {}
    authorities = {keys[name]: authority for name, authority in trust.get("authorities", {}).items()}
    kinds: Any = {kind: ids}
    return Trust(**kinds, without_id=without, authorities=authorities)


def shape(token: str, *, p256_root: bool = False) -> Row:
    """Block ids and Datalog versions of a token, from its bytes, with no part of the library's reader."""
    envelope = _fields(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    signed = [dict(_fields(block)) for number, block in envelope if number in (2, 3)]
    versions = [dict(_fields(block[1]))[3] for block in signed]
    ids = []
    for index, block in enumerate(signed):
        if 4 in block:
            ids.append(hashlib.sha256(dict(_fields(block[4]))[1]).hexdigest())
        elif index == 0 and p256_root:
            parts = [len(part).to_bytes(4, "big") + part for part in (block[1], block[2])]
            ids.append(hashlib.sha256(b"".join(parts)).hexdigest())
        else:
            ids.append(block[3].hex())
    return {"ids": ids, "datalog": [f"3.{version - 3}" for version in versions]}


def _fields(data: bytes) -> list[tuple[int, Any]]:
    """The fields of a protobuf message; only varints and byte strings occur."""
    found = list[tuple[int, Any]]()
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        value, at = _varint(data, at)
        found.append((tag >> 3, data[at : at + value] if tag & 7 else value))
        at += value if tag & 7 else 0
    return found


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        value |= (data[at] & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if data[at - 1] < 0x80:
            return value, at


def source(file: Row, case: Row) -> str:
    """What a guard tells the Datalog engine about a call, as text that any implementation can run."""
    call = call_of(case)
    lines = [
        f"time({case.get('moment', case['now'])})",
        f"resource({_text(call.resource)})",
        f"operation({_text(call.operation)})",
    ]
    stated = [(ANCHOR, case["audience"]), *case.get("designations", {}).items(), *earned(case)]
    lines += [f"designation({_text(label)}, {_text(value)})" for label, value in stated]
    for one in case.get("limits", []):
        fact, name = ("budget", one["budget"]) if "budget" in one else ("limit", one["handle"])
        lines.append(f"{fact}({_text(name)}, {_text(one['kind'])}, {one['most']})")
    told = case.get("told", {"results": [], "clear": []})
    for one in told["results"]:
        if one["holds"]:
            lines.append(
                f"{one['fact']}({', '.join(_text(one[term]) for term in ('key', 'tool', 'selector'))})"
            )
    lines += [f"exposure_clear({_text(one['pattern'])})" for one in told["clear"] if one["holds"]]
    for name, key, values in facts_of(call):
        terms = [_text(key)] if key else []
        lines.append(f"{name}({', '.join(terms + [_term(value) for value in values])})")
    lines += [line for line in asked(file, case, call) if line not in lines]
    lines.append(f"allow if right($subject, {_text(call.resource)}, {_text(call.operation)})")
    return ";\n".join(lines) + ";\n"


def asked(file: Row, case: Row, call: Call) -> Iterator[str]:
    """The facts about a call for which the token of a case asks, if it is one that is read."""
    token = file["tokens"][case["token"]]
    try:
        capability = Capability.parse(token["token"], trust_of(file, token))
    except Denied:
        return
    for one in dict.fromkeys(clause for block in capability.blocks for clause in block.clauses):
        values = call.fact(one.fact, one.key, one.parameter) if one.key and one.fact in SIGNATURES else None
        if values is not None:
            terms = [one.key, *([] if one.parameter is None else [one.parameter]), *values]
            yield f"{one.fact}({', '.join(map(_term, terms))})"


def _term(value: object) -> str:
    if isinstance(value, frozenset):
        return f"{{{', '.join(_term(element) for element in sorted(value)) or ','}}}"
    if isinstance(value, bytes):
        return f"hex:{value.hex()}"
    if isinstance(value, bool):
        return str(value).lower()
    return _text(value) if isinstance(value, str) else str(value)


def _text(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def identity_source(case: Row) -> str:
    """What a verifier of an identity tells the engine."""
    claimed = _text(case["claimed"])
    lines = [f"time({case['now']})", f"actor({claimed})", f"allow if subject($s), {claimed} == $s"]
    return ";\n".join([*lines, f'allow if subject($s), {claimed}.starts_with($s + ":")']) + ";\n"


def context_source(case: Row) -> str:
    """What a verifier of a context tells the engine: no pattern, and never ``allow if true``."""
    excluded = [f"exposure({_text(label)})" for label in sorted(case["excluded"]) if "*" not in label]
    lines = [f"time({case['now']})", *excluded, f"allow if context({_text(case['subject'])})"]
    return ";\n".join(lines) + ";\n"


def authorizer(file: Row, case: Row) -> str:
    """The source text for a case of any kind."""
    if file["kind"] == "capabilities":
        return source(file, case)
    return identity_source(case) if file["kind"] == "identities" else context_source(case)


def earned(case: Row) -> list[tuple[str, str]]:
    """The designations that the case's statements earn: those whose signature and inputs hold."""
    proof, approvals = case.get("proof"), case.get("approvals", [])
    found = [(HOLDER, proof["handle"])] if proof and proof["holds"] else []
    return found + [(APPROVED, one["handle"]) for one in approvals if one["holds"]]


def limits(capability: Capability, call: Call) -> list[Row]:
    """What a call takes of the limits of a capability, and under which name it is counted."""
    found = []
    for index, block in enumerate(capability.blocks):
        expiries = [one.expires for one in capability.blocks[: index + 1] if one.expires is not None]
        for handle, one in block.limits:
            if one.tools is not None and call.resource not in one.tools:
                continue
            fact = ("arg_fixed", one.argument, one.places) if one.places else ("arg_int", one.argument)
            [amount] = call.fact(*fact) or [None] if one.argument else [1]
            row: Row = {"block": index, "kind": one.spelling, "most": one.at_most, "amount": amount}
            if one.budget is None:
                counter = digest("hessra-agents/limit/1", block.id.encode(), bytes.fromhex(handle))
                row |= {"handle": handle, "until": min(expiries)}
            else:
                authority = bytes.fromhex(capability.authority or "")
                counter = digest("hessra-agents/budget/1", authority, handle.encode(), one.unit.encode())
                row |= {"budget": handle, "until": None}
            found.append(row | {"counter": counter.hex()})
    return found


def session_of(session: Row) -> Session:
    """A session that has seen what a case says."""
    found = Session(session["labels"])
    for one in session["results"]:
        found.record_result(one["tool"], json.loads(one["text"]), untrusted=one["untrusted"])
    return found


def told(capability: Capability, call: Call, session: Row) -> Row:
    """What a capability asks of a session, for this call, and what holds."""
    seen = session_of(session)
    results = seen.result_lookup()
    clauses = dict.fromkeys(
        clause
        for pattern in capability.about(call.resource)
        for branch in pattern
        for clause in branch.clauses
    )
    asked = [
        {"fact": one.fact, "key": one.key, "tool": one.equal.tool, "selector": one.equal.selector}
        | {"holds": one.holds(call, results)}
        for one in clauses
        if isinstance(one.equal, Source)
    ]
    patterns = dict.fromkeys(
        pattern
        for block in capability.blocks
        for pattern, of in block.clear
        if of is None or call.resource in of
    )
    clear = [
        {"pattern": one, "holds": not any(label_means(one, label) for label in seen.labels)}
        for one in patterns
    ]
    return {"results": asked, "clear": clear}


def _charges(permit: Permit) -> list[Row]:
    """The same, as the verifier tells it to a ledger."""
    return [
        {"most": one.at_most, "amount": one.amount, "counter": one.counter.hex()}
        | {"until": None if one.until == sys.maxsize else one.until}
        for one in permit.charges
    ]


def engine(file: Row, case: Row) -> str:
    """What the Datalog engine says, told the case's own text: ``allow``, ``deny`` or ``refuse``."""
    token = file["tokens"][case["token"]]
    root = keys_of(file)[token["root"]]
    try:
        biscuit = Biscuit.from_base64(token["token"], root.for_biscuit())
    except Exception:
        return "refuse"
    builder: Any = AuthorizerBuilder(case["authorizer"])
    limits = builder.limits()
    limits.max_time = dt.timedelta(seconds=5)
    builder.set_limits(limits)
    try:
        builder.build(biscuit).authorize()
    except AuthorizationError as error:
        return "limit" if "Reached Datalog execution limits" in str(error) else "deny"
    return "allow"


def verdict(file: Row, case: Row) -> str:
    """What this library says: ``permitted`` or the reason."""
    token = file["tokens"][case["token"]]
    try:
        ids = _VERIFIED[file["kind"]](token["token"], trust_of(file, token), case)
    except Denied as denied:
        return str(denied.reason)
    assert ids == tuple(token["ids"])
    return "permitted"


def _capability(token: str, trust: Trust, case: Row) -> tuple[str, ...]:
    capability = Capability.parse(token, trust)
    permit = verify(
        capability,
        call_of(case),
        now=case["now"],
        audience=case["audience"],
        proof=Proof.parse(case["proof"]["text"]) if "proof" in case else None,
        approvals=[Approval.parse(one["text"]) for one in case.get("approvals", [])],
        designations=case.get("designations", {}),
        results=session_of(case["session"]).result_lookup() if "session" in case else None,
        labels=case["session"]["labels"] if "session" in case else None,
    )
    told = [
        {name: one[name] for name in ("most", "amount", "counter", "until")} for one in case.get("limits", [])
    ]
    assert _charges(permit) == told
    return permit.ids


def _identity(token: str, trust: Trust, case: Row) -> tuple[str, ...]:
    identity = Identity.parse(token, trust)
    identity.verify(case["claimed"], case["now"])
    return identity.ids


def _context(token: str, trust: Trust, case: Row) -> tuple[str, ...]:
    context = Context.parse(token, trust)
    context.verify(case["subject"], case["excluded"], case["now"])
    return context.ids


_VERIFIED = {"capabilities": _capability, "identities": _identity, "contexts": _context}


def proof_row(proof: Proof, *, key: str, ids: tuple[str, ...], handle: str, audience: str) -> Row:
    """A proof with everything that its message is made of."""
    message = proof._message(ids, handle, audience)
    return {
        "text": proof.token,
        "key": key,
        "ids": list(ids),
        "chain": chain_digest(ids).hex(),
        "handle": handle,
        "audience": audience,
        "call": proof.call.hex(),
        "nonce": proof.nonce.hex(),
        "time": proof.time,
        "message": message.hex(),
        "signature": proof.signature.hex(),
    }


def approval_row(approval: Approval, *, key: str, ids: tuple[str, ...]) -> Row:
    """An approval with everything that its message is made of."""
    return {
        "text": approval.token,
        "key": key,
        "ids": list(ids),
        "chain": chain_digest(ids).hex(),
        "nonce": approval.nonce.hex(),
        "handle": approval.handle,
        "call": approval.call.hex(),
        "expires": approval.expires,
        "message": approval._message(ids).hex(),
        "signature": approval.signature.hex(),
    }
