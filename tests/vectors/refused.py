"""Vectors of capabilities that no guard reads: signatures, sizes, and what is outside of the profile."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

from biscuit_auth import Biscuit, BlockBuilder
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hessra_agents import Capability, KeyPair, PublicKey, grant, must
from hessra_agents.tokens.builder import new_handle
from tests.support import forge
from tests.vectors.material import (
    HOLDERS,
    HOUR,
    NOW,
    OTHER_ROOT,
    ROOT,
    THIEF,
    bearer,
    member,
    p256_root,
    proof,
    root_block,
    root_bytes,
    used,
)

if TYPE_CHECKING:
    from tests.vectors.capabilities import Capabilities
    from tests.vectors.run import Row

__all__ = ["CLOSED", "FIRST", "cases", "put_again"]

Keys: TypeAlias = "dict[str, KeyPair]"

_KEYS: Keys = {"key": HOLDERS[0], "other": HOLDERS[1]}
_X = {"x": "a"}


def cases(file: Capabilities) -> None:
    """Tokens that no guard reads, and next to each kind one that it does."""
    for group in (
        _signatures,
        _roots,
        _texts,
        _sizes,
        _first_blocks,
        _added_blocks,
        _signed_blocks,
        _bytes,
        _p256,
    ):
        group(file)


# Signatures


def _signatures(file: Capabilities) -> None:
    file.token("honest", "t(x)", lambda: bearer(grant("t", x=must.anything())))
    honest = file.read("honest")
    file.token("honest, narrowed", "..., then x 'a'", lambda: honest.attenuate(grant("t", x="a"), now=NOW))
    narrowed = file.read("honest, narrowed")
    thrice = honest.attenuate(grant("t", x="a"), now=NOW).attenuate(grant("t", x="a"), now=NOW)
    child = file.read("delegated 1")
    made: dict[str, Callable[[], str]] = {
        "another root": lambda: bearer(grant("t", x="a"), key=OTHER_ROOT).token,
        "a block stripped": lambda: _rebuilt(narrowed, lambda signed: signed[:1]),
        "blocks in another order": lambda: _rebuilt(thrice, lambda s: [s[0], s[2], s[1]]),
        "a block repeated": lambda: _rebuilt(narrowed, lambda s: [*s, s[1]]),
        "a block of another token": lambda: _rebuilt(narrowed, lambda s: [s[0], _signed(thrice)[1]]),
        "a first block of another token": lambda: _rebuilt(
            narrowed, lambda s: [_signed(bearer(grant("t", x="a")))[0], s[1]]
        ),
        "a byte changed": lambda: forge.text(forge.raw(narrowed).replace(b"tool:t", b"tool:u", 1)),
        "a proof of another token": lambda: forge.build(_signed(narrowed), forge.blocks(honest)[1]),
        "an external signature removed": lambda: _external(child, None),
        "an external signature by another key": lambda: _external(child, THIEF),
        "a signed block on another token": lambda: put_again(
            child, bearer(grant("t", x=must.anything()), holder=HOLDERS[0].public)
        ),
    }
    for name, make in made.items():
        file.token(name, "honest, but for what its name says", make)
        file.case(name, name, _X, "bad_signature", engine="refuse")
    file.token(
        "delegated 1, again",
        "held, and the signed block of 'delegated 1' put on it a second time: the ids are the same",
        lambda: put_again(child, file.read("held")),
    )
    again = file.read("delegated 1, again")
    assert again.ids == child.ids
    file.case(
        "a signed block put on its token again", "delegated 1, again", _X, prove=proof(child, "holder 1")
    )


def _signed(capability: Capability) -> list[bytes]:
    return forge.blocks(capability)[0]


def _rebuilt(capability: Capability, change: Callable[[list[bytes]], list[bytes]]) -> str:
    signed, rest = forge.blocks(capability)
    return forge.build(change(signed), rest)


def _external(capability: Capability, key: KeyPair | None) -> str:
    """The external signature of the last block removed, or replaced by one over its content alone."""

    def change(signed: list[bytes]) -> list[bytes]:
        kept = [field for field in forge.read(signed[1]) if field[0] != 4]
        if key is None:
            return [signed[0], forge.write(*kept)]
        signature = key.sign(member(signed[1], 1))
        external = forge.write((1, signature), (2, forge.write((1, 0), (2, key.public.data))))
        return [signed[0], forge.write(*kept[:3], (4, external), *kept[3:])]

    return _rebuilt(capability, change)


def put_again(source: Capability, target: Capability) -> str:
    """The last, signed block of one token at the end of another, as whoever holds that one can put it."""
    signed, rest = forge.blocks(target)
    last = _signed(source)[-1]
    content, external = member(last, 1), member(last, 4)
    following = Ed25519PrivateKey.generate()
    key = following.public_key().public_bytes_raw()
    # Biscuit specification, "Signature (one block)", version 1
    message = b"\0BLOCK\0\0VERSION\0" + (1).to_bytes(4, "little") + b"\0PAYLOAD\0" + content
    message += b"\0ALGORITHM\0" + (0).to_bytes(4, "little") + b"\0NEXTKEY\0" + key
    message += b"\0PREVSIG\0" + member(signed[-1], 3) + b"\0EXTERNALSIG\0" + member(external, 1)
    secret = Ed25519PrivateKey.from_private_bytes(member(member(forge.raw(target), 4), 1))
    moved = forge.write(
        (1, content), (2, forge.write((1, 0), (2, key))), (3, secret.sign(message)), (4, external), (5, 1)
    )
    rest = [field for field in rest if field[0] != 4]
    return forge.build([*signed, moved], [*rest, (4, forge.write((1, following.private_bytes_raw())))])


# Key ids


def _roots(file: Capabilities) -> None:
    file.token("another key id", "by the root key, names key 2", lambda: bearer(grant("t", x="a"), key_id=2))
    file.case(
        "another key id",
        "another key id",
        _X,
        "unknown_root",
        engine="allow",
        differs="the id picks the root key, and no other key is tried",
    )
    file.token("no key id", "by the root key, names none", lambda: bearer(grant("t", x="a"), key_id=None))
    file.case(
        "no key id",
        "no key id",
        _X,
        "unknown_root",
        engine="allow",
        differs="a token without an id is read only where the verifier names a key for such tokens",
    )
    file.token(
        "no key id, trusted",
        "likewise, and the verifier trusts that key for tokens without an id",
        lambda: str(file.file["tokens"]["no key id"]["token"]),
        trust={"ids": {}, "without_id": "root"},
    )
    file.case("no key id, where that is trusted", "no key id, trusted", _X)


# Texts and sizes


def _texts(file: Capabilities) -> None:
    honest = file.read("honest")
    file.token("unpadded", "honest, without '=' at its end", lambda: honest.token.rstrip("="))
    file.case("without padding", "unpadded", _X)
    texts = {
        "empty": "",
        "not base64": "~~~~",
        "the other base64": honest.token.replace("-", "+").replace("_", "/") + "++//",
        "a line break": honest.token[:40] + "\n" + honest.token[40:],
        "a prefix": "biscuit:" + honest.token,
        "no protobuf": forge.text(b"\xff" * 64),
        "no bytes": forge.text(b""),
        "cut off": honest.token[:-8],
    }
    for name, text in texts.items():
        file.token(name, "no token", partial(str, text))
        file.case(f"malformed: {name}", name, _X, "malformed", engine="refuse")
    lenient = {
        "an unknown field in the envelope": forge.raw(honest) + forge.write((9, b"x")),
        "a field given twice in the envelope": forge.write((1, 1)) + forge.raw(honest),
    }
    for name, data in lenient.items():
        file.token(name, "honest, and what its name says", partial(forge.text, data))
        differs = "what readers of protobuf resolve in silence is refused"
        file.case(f"malformed: {name}", name, _X, "malformed", engine="allow", differs=differs)


def _sizes(file: Capabilities) -> None:
    def seventeen() -> str:
        grown = bearer(grant("t"))
        for _ in range(15):
            grown = grown.attenuate(ttl=HOUR, now=NOW)
        return forge.append_source(grown, f"check if time($t), $t < {NOW + 60};")

    # each "not" is three fields in six bytes
    nots = forge.write((1, forge.write((1, forge.write((6, 1))))))
    nots += forge.write((1, forge.write((2, forge.write((1, 0)))))) * 2400
    check = forge.write((1, forge.write((1, forge.write((1, 27))), (3, nots))))
    many = forge.write(*forge.read(member(_signed(bearer(grant("t")))[0], 1)), (6, check))
    large: dict[str, tuple[str, Callable[[], str]]] = {
        "many bytes": ("more than 16 KiB", lambda: root_block(FIRST + f'note("{"x" * 16_384}");')),
        "many blocks": ("17 blocks", seventeen),
        "many fields": ("more than 7168 fields of protobuf", partial(root_bytes, many)),
    }
    for name, (about, make) in large.items():
        file.token(name, about, make)
        file.case(f"too large: {name}", name, {}, "too_large", engine="allow", differs=f"{about} is not read")


# Datalog that is outside of the profile

FIRST = (
    'right("agent:desk", "tool:t", "invoke");'
    "check if resource($r), operation($o), right($s, $r, $o);"
    f"check if time($t), $t < {NOW + 3600};"
    'check if designation("anchor", "mail");'
)
CLOSED = 'check if resource("tool:t"), arg_names($n), {"x"}.contains($n)'
_EXPIRY = f"check if time($t), $t < {NOW + 3600};"
_H = "0123456789abcdef0123456789abcdef"
_HOLD = f'designation("holder", "{_H}")'

# In these three tables: what is odd, Datalog, what the engine says. First, what a first block ends with.
_ENDS: list[tuple[str, str, str]] = [
    ("the right checked twice", "check if resource($r), operation($o), right($s, $r, $o);", "allow"),
    ("rights of two subjects", 'right("agent:other", "tool:u", "invoke");', "allow"),
    ("a fact of another kind", 'note("x");', "allow"),
    ("a designation stated by the issuer", 'designation("anchor", "mail");', "allow"),
    ("a rule", 'right("agent:desk", $r, "invoke") <- resource($r);', "allow"),
    ("reject if", 'reject if resource("tool:u");', "allow"),
    ("check all", "check all time($t), $t > 0;", "allow"),
    ("names left open", 'check if resource("tool:t"), arg_str("x", "a");', "allow"),
    ("names left open in one branch", CLOSED + ' or resource("tool:t"), arg_str("x", "a");', "allow"),
    ("no object", 'check if arg_names($n), {"x"}.contains($n);', "allow"),
    ("the object as a variable", 'check if resource($r), arg_names($n), {"x"}.contains($n);', "allow"),
    ("the object last", 'check if arg_names($n), resource("tool:t"), {"x"}.contains($n);', "allow"),
    ("a truth value", "check if true;", "allow"),
    ("a pattern that trusts the issuer", CLOSED + " trusting authority;", "allow"),
    ("a pattern that trusts a key", CLOSED + " trusting {key};", "allow"),
    ("trust in what came before", 'check if designation("anchor", "mail") trusting previous;', "allow"),
    ("an audience by a key", 'check if designation("anchor", "mail") trusting {key};', "allow"),
    ("a designation with a variable", 'check if designation("anchor", $v);', "allow"),
    ("a designation with a test", 'check if designation("anchor", $v), $v.starts_with("m");', "allow"),
    (
        "a choice of audiences",
        'check if designation("anchor", "mail") or designation("anchor", "x");',
        "allow",
    ),
    ("a time before a date", "check if time($t), $t < 2030-01-01T00:00:00Z;", "deny"),
    ("a time at most", f"check if time($t), $t <= {NOW + 9};", "allow"),
    ("two times", f"check if time($t), time($u), $t < {NOW + 9}, $u < {NOW + 9};", "allow"),
    ("a holder without a key", f"check if {_HOLD};", "deny"),
    ("a holder of two keys", f"check if {_HOLD} trusting {{key}}, {{other}};", "deny"),
    ("a choice of holders", f"check if {_HOLD} trusting {{key}} or {_HOLD} trusting {{other}};", "deny"),
    ("a handle that is none", 'check if designation("holder", "me") trusting {key};', "deny"),
    (
        "one handle for a holder and an approver",
        f'check if designation("approved", "{_H}") trusting {{key}}; check if {_HOLD} trusting {{key}};',
        "deny",
    ),
    (
        "two holders at once",
        f'check if {_HOLD} trusting {{key}};check if designation("holder", "{_H[::-1]}") trusting {{other}};',
        "deny",
    ),
]

# What a pattern, closed and with a text for x, goes on with.
_TESTS: list[tuple[str, str, str]] = [
    ("an unknown predicate", 'weather("fine")', "deny"),
    ("a key as a variable", 'arg_str($k, "a")', "allow"),
    ("a join", 'arg_str("x", $v), arg_scalar("x", $v)', "deny"),
    ("a test of two variables", 'arg_str("x", $v), arg_operand("x", $w), $v === $w', "allow"),
    ("an equality", 'arg_str("x", $v), $v === "a"', "allow"),
    ("another equality", 'arg_str("x", $v), $v == "a"', "allow"),
    ("an inequality", 'arg_str("x", $v), $v !== "b"', "allow"),
    ("less than", 'arg_len("x", $v), $v < 5', "allow"),
    ("arithmetic", 'arg_len("x", $v), $v + 1 <= 5', "allow"),
    ("a length in bytes", 'arg_str("x", $v), $v.length() <= 5', "allow"),
    ("a regular expression", 'arg_str("x", $v), $v.matches("^a$")', "allow"),
    ("a choice in a test", 'arg_str("x", $v), $v.starts_with("a") || $v.starts_with("b")', "allow"),
    ("two tests in one", 'arg_str("x", $v), $v.starts_with("a") && $v.ends_with("a")', "allow"),
    ("a negation of another test", 'arg_str("x", $v), !$v.starts_with("b")', "allow"),
    ("a text in a text", 'arg_str("x", $v), "abc".contains($v)', "allow"),
    ("a set of bytes", 'arg_str("x", $v), {hex:00, hex:01}.contains($v)', "deny"),
    ("an array", 'arg_str("x", $v), ["a"].contains($v)', "allow"),
    ("null", 'arg_str("x", $v), $v !== null', "deny"),
    ("a test of another type", 'arg_str("x", $v), $v <= 5', "deny"),
    ("a literal of another type", 'arg_str("x", 1)', "deny"),
    ("a fact with a term too few", 'arg_str("x")', "deny"),
    ("a fact with a term too many", 'arg_str("x", $v, $w)', "deny"),
    ("any element", 'arg_fields("x", $v), $v.any($e -> $e.starts_with("a"))', "deny"),
    ("a closure that always holds", 'arg_operands("x", $v), $v.all($e -> true)', "deny"),
    ("try or", 'arg_str("x", $v), ($v < 1).try_or(true)', "allow"),
    ("a foreign function", 'arg_str("x", $v), $v.extern::f()', "deny"),
    ("a variable that no fact binds", 'arg_str("x", $v), $v.starts_with("a"), {"x"}.contains("x")', "allow"),
]

# What anybody adds to an honest token.
_ADDED: list[tuple[str, str, str]] = [
    ("a right", 'right("agent:desk", "tool:u", "invoke");', "allow"),
    ("a rule", 'right("agent:desk", $r, "invoke") <- resource($r);', "allow"),
    ("a designation", 'designation("anchor", "files");', "allow"),
    ("a fact about the call", 'arg_str("x", "b");', "allow"),
    ("a check of the right", "check if resource($r), operation($o), right($s, $r, $o);", "allow"),
    ("reject if", 'reject if resource("tool:u");', "allow"),
    ("a truth value", "check if true;", "allow"),
    ("an activation", "activation(1);", "allow"),
    ("a holder that it states itself", f"{_HOLD}; check if {_HOLD} trusting {{key}};", "allow"),
]

_SAID = "it says more than the profile has, so no engine is asked"


def _outside(file: Capabilities, name: str, about: str, make: Callable[[], str], engine: str) -> None:
    file.token(name, about, make)
    file.case(name, name, _X, "outside_profile", engine=engine, differs=_SAID if engine == "allow" else "")


def _first_blocks(file: Capabilities) -> None:
    made = [("no check of the right", FIRST.replace(FIRST.split(";")[1] + ";", ""), "allow")]
    made += [
        ("no expiry", FIRST.replace(_EXPIRY, ""), "allow"),
        ("no right", FIRST.partition(";")[2], "deny"),
    ]
    made += [(name, FIRST + source, engine) for name, source, engine in _ENDS]
    made += [(name, f"{FIRST}{CLOSED}, {source};", engine) for name, source, engine in _TESTS]
    for name, source, engine in made:
        about = "what its name says, in its first block"
        _outside(file, name, about, partial(root_block, source, used(source, _KEYS)), engine)


def _added_blocks(file: Capabilities) -> None:
    honest = file.read("honest")
    for name, source, engine in _ADDED:
        _outside(
            file,
            f"added: {name}",
            "honest, and a block that anyone added",
            partial(forge.append_source, honest, source, _public(source)),
            engine,
        )


def _public(source: str) -> dict[str, PublicKey]:
    return {name: pair.public for name, pair in used(source, _KEYS).items()}


def _signed_blocks(file: Capabilities) -> None:
    held = file.read("held")
    assert held.holder
    old = f'designation("holder", "{held.holder.handle}")'
    new, other = (f'designation("holder", "{handle}")' for handle in (_H, _H[::-1]))
    # no proof gets that far, so the guard states no holder; where the old handle is stated, none is missing
    blocks = [
        ("no fact", f"check if {new} trusting {{key}};", "deny"),
        ("no new holder", f"{old};", "allow"),
        ("another handle", f"{other}; check if {new} trusting {{key}};", "deny"),
        ("a second fact", f'{old}; designation("facet", "eu"); check if {new} trusting {{key}};', "deny"),
        ("its own handle again", f"{old}; check if {old} trusting {{key}};", "allow"),
        (
            "two new holders",
            f"{old}; check if {new} trusting {{key}}; check if {other} trusting {{key}};",
            "deny",
        ),
        ("an approval", f'designation("approved", "{_H}");', "deny"),
        ("an audience", 'designation("anchor", "files");', "deny"),
        ("a right", 'right("agent:desk", "tool:u", "invoke");', "deny"),
    ]
    for name, source, engine in blocks:
        about = "held, and a block that its holder signed"
        sign = partial(forge.append_signed, held, HOLDERS[0], source, _public(source))
        _outside(file, f"signed: {name}", about, sign, engine)
    handing = f"{old}; check if {new} trusting {{key}};"
    _outside(
        file,
        "handed on by a thief",
        "held, and a thief signs a delegation",
        lambda: forge.append_signed(held, THIEF, handing, {"key": THIEF.public}),
        "deny",
    )
    _outside(
        file,
        "handed on by a bearer",
        "held, and somebody adds another holder",
        lambda: forge.append_source(held, f"check if {new} trusting {{key}};", {"key": THIEF.public}),
        "deny",
    )
    _outside(
        file,
        "a delegation cycle",
        "held by 0, handed to 1, and back to 0 under the first handle: in Datalog every check is met",
        _cycle,
        "allow",
    )


def _cycle() -> str:
    first, second = new_handle(), new_handle()
    ask = 'check if designation("holder", "{}") trusting {{key}};'
    held = root_block(f"{FIRST}{CLOSED};{ask.format(first)}", {"key": HOLDERS[0]})
    biscuit = Biscuit.from_base64(held, ROOT.public.for_biscuit())
    for state, handle, signer, following in ((first, second, 0, 1), (second, first, 1, 0)):
        pair = HOLDERS[signer].for_biscuit()
        scopes = {"key": HOLDERS[following].public.for_biscuit()}
        block = BlockBuilder(f'designation("holder", "{state}");{ask.format(handle)}', {}, scopes)
        signed = biscuit.third_party_request().create_block(pair.private_key, block)
        biscuit = biscuit.append_third_party(pair.public_key, signed)
    return biscuit.to_base64()


# Bytes that lenient readers of protobuf take


def _bytes(file: Capabilities) -> None:
    block = member(_signed(bearer(grant("t", x=must.anything())))[0], 1)
    fields = forge.read(block)
    symbols = [field for field in fields if field[0] == 1]
    rest = [field for field in fields if field[0] not in (1, 3)]
    version = (3, 3)
    assert [*symbols, version, *rest] == fields
    file.token("by hand", "honest, its first block written by hand", lambda: root_bytes(block))
    file.case("written by hand", "by hand", _X)
    made = {
        "an unknown field": forge.write(*fields, (15, b"x")),
        "fields in another order": forge.write(version, *rest, *symbols),
        "the version twice": forge.write(*symbols, version, version, *rest),
        "a context": forge.write(*symbols, (2, b"x"), version, *rest),
        "a number that is not minimal": forge.write(*symbols) + b"\x18\x83\x00" + forge.write(*rest),
    }
    for name, data in made.items():
        about = "honest, its first block with what its name says"
        _outside(file, f"bytes: {name}", about, partial(root_bytes, data), "allow")


# A root key on another curve: such tokens are read, never made


def _p256(file: Capabilities) -> None:
    options: Row = {"root": "p256 root", "trust": {"ids": {}, "without_id": "p256 root"}}
    hold = f"{FIRST}{CLOSED};check if {_HOLD} trusting {{key}};"
    file.token(
        "p256",
        "t(x may be left out), held by holder 0, from a P-256 root",
        lambda: root_block(hold, {"key": HOLDERS[0]}, private=p256_root()),
        **options,
    )
    token = file.read("p256")
    file.case("p256, proved", "p256", _X, prove=proof(token, "holder 0"))
    file.case("p256, not proved", "p256", _X, "not_holder")
    file.token(
        "p256, delegated",
        "..., delegated to holder 1",
        lambda: token.delegate(to=HOLDERS[1].public, key=HOLDERS[0], now=NOW),
        **options,
    )
    child = file.read("p256, delegated")
    file.case("p256, delegated, proved", "p256, delegated", _X, prove=proof(child, "holder 1"))
