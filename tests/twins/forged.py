"""Forge tokens: random Datalog, and blocks that no library writes, signed by a root key all the same."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import suppress
from itertools import count
from random import Random
from typing import Any

from biscuit_auth import BiscuitBuilder, BlockBuilder
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hessra_agents import Call, Capability, Denied, KeyPair, Trust
from hessra_agents.verify.verifier import verify
from tests.support import forge

__all__ = ["ROOT", "USUAL", "blocks", "built", "messages", "reason_of"]


def reason_of(error: Exception) -> str:
    """The code of a refusal, or the name of another exception."""
    return str(error.reason) if isinstance(error, Denied) else type(error).__name__


# always the same, so that blocks which name them are
ROOT, HOLDER, OFFICE = (
    KeyPair.of(Ed25519PrivateKey.from_private_bytes(bytes([number] * 32))) for number in (1, 2, 3)
)
TRUST = Trust(capability={1: ROOT.public})
HANDLES = ("0123456789abcdef" * 2, "f" * 32, "0" * 31, "x" * 32)
RIGHT = "check if resource($r), operation($o), right($s, $r, $o)"
USUAL = (
    'right("agent:a", "tool:t", "invoke")',
    RIGHT,
    "check if time($t), $t < 1800000600",
    'check if designation("anchor", "here")',
    'check if resource("tool:t"), arg_names($n), {"a", "b"}.contains($n)',
)


ANOTHER = 'check if arg_str("a", "x") or resource($r), !{"tool:u"}.contains($r)'

MANY = (
    "check if time($t), $t < 1800000600",
    'check if limit("@", "calls", 9)',
    'check if exposure_clear("l@")',
    'check if resource("tool:t"), arg_strs("a", $v), $v.all($e -> $e.starts_with("@"))',
    'check if resource("tool:t"), result_of("a", "search", "{\\"path\\":\\"$.p@\\"}")',
)
"""A few more than a token may have of each; ``@`` is a number of 32 digits."""


WAYS = (
    'arg_names($n), !$n.contains("a")',
    'arg_int("a", $v), $v <= 9',
    'arg_str("a", "x")',
    'resource("tool:t"), arg_str("a", "x")',
    'arg_str("a", $v), arg_str("b", $v)',
)
"""Ways of a choice, of which the last two are none."""

ELSEWHERE = tuple(
    f" or resource($r), {rest}"
    for rest in (
        '!{"tool:t"}.contains($r)',
        '!{"tool:u"}.contains($r)',
        '!{"tool:t", "tool:u"}.contains($r)',
        "!{,}.contains($r)",
        '{"tool:t"}.contains($r)',
        '!{"tool:t"}.contains($r), arg_names($n)',
    )
)
"""What a choice ends in; the first is as it should be."""


def _said(rng: Random) -> str:
    """One fact or check, as a token may state it or may not."""
    handle, text = rng.choice(HANDLES), rng.choice(("x", "y", "PII:*", "*", "a"))
    label = rng.choice(("anchor", "tenant", "holder", "approved"))
    key = rng.choice((HOLDER, OFFICE, ROOT)).public
    trusting = rng.choice(("", "", f" trusting {key}"))
    scope = rng.choice(("", "", "", ' or resource($r), !{"tool:t"}.contains($r)'))
    test = rng.choice(('$v == "x"', '$v.starts_with("x")', "$v < 3", '{"x", "y"}.contains($v)', "$v > 1 + 1"))
    spared = rng.choice(('arg_str("a", "x")', 'arg_names($n), !$n.contains("a")'))
    return rng.choice(
        (
            *USUAL,
            f'right("agent:{text}", "tool:{text}", "invoke")',
            'right("agent:b", "tool:u", "invoke")',
            'right("agent:a", "tool:t", "read")',
            f'designation("{label}", "{handle}")',
            f"activation({rng.randint(0, 3)})",
            "check if resource($r), operation($o), right($r, $o, $s)",
            'check if resource($r), operation($o), right($s, $r, $o), $s == "agent:a"',
            f"check if time($t), $t < {1_800_000_000 + rng.randint(-60, 60)}",
            f"check if time($t), $t >= {1_800_000_000 + rng.randint(-60, 60)}",
            f'check if designation("{label}", "{rng.choice((handle, "acme", "here"))}"){trusting}',
            f'check if designation("approved", "{handle}"){trusting}'
            f' or designation("approved", "{HANDLES[1]}"){trusting}',
            f'check if designation("tenant", "x"){trusting} or designation("tenant", "y"){trusting}',
            f'check if limit("{handle}", "calls", {rng.randint(0, 3)}){scope}',
            f'check if limit("{handle}", "calls", 1) or limit("{HANDLES[1]}", "calls", 9)',
            f'check if exposure_clear("{text}"){scope}',
            f"check if {rng.choice(WAYS)} or {rng.choice(WAYS)}{scope or rng.choice(ELSEWHERE)}",
            'check if exposure_clear("x") or exposure_clear("y")',
            f'known_as("{rng.choice(("x", "x:y", "x y", ""))}")',
            f"hops({rng.randint(0, 2)})",
            f'only_to({{"{rng.choice((HOLDER, OFFICE)).public.data.hex()}"}})',
            "idle(true)",
            f'check if budget("{text}", "calls", {rng.randint(0, 3)}){scope}',
            f'check if designation("approved", "{handle}") trusting {key} or {spared}{scope}',
            f"check if activation({rng.choice(('$a', '$a', '1'))}) trusting {key}",
            f'check if resource("tool:t"), arg_str("a", $v), {test}',
            f'check if resource("tool:t"), arg_str("{"/a/0:" * rng.choice((1, 2, 40))}", $v)',
            'check if resource("tool:t"), arg_str("/a/~2", $v)',
            'check if resource("tool:t"), arg_str("/a~", $v)',
            'check if resource("tool:t"), arg_strs("a", $v), $v.all($e -> $e.starts_with("x"))',
            'check all resource($r), $r.starts_with("tool:")',
            'reject if resource("tool:t")',
            "check if true",
            "fact(1)",
        )
    )


def built(builder: Any, said: list[str]) -> Any:
    for text in said:
        with suppress(Exception):  # the library itself does not read it
            builder.add_code(f"{text};")
    return builder


async def blocks() -> AsyncIterator[tuple[str, str]]:
    first = built(BiscuitBuilder(""), [*USUAL, ANOTHER])
    first.set_root_key_id(1)
    try:
        Capability.parse(first.build(ROOT.for_biscuit().private_key).to_base64(), TRUST)
        yield "a choice about another object", "admitted"
    except Denied as denied:
        yield "a choice about another object", reason_of(denied)
    for seed in count():
        rng = Random(seed)
        alone = rng.random() < 0.4  # one thing more than usual, and nothing else
        said = [*USUAL, *(_said(rng) for _ in range(1 if alone else rng.choice((0, 0, 1, 1, 2, 4))))]
        rest: list[str] = []
        if (
            rng.random() < 0.1
        ):  # many of one kind; a token may have several blocks, and each at most 128 checks
            many, times = rng.choice(MANY), rng.choice((17, 33, 100))
            rest = [many.replace("@", f"{number:032x}") for number in range(times)]
            if many in MANY[:3] and times == 100:
                said += rest
        for _ in range(0 if alone else rng.choice((0, 0, 0, 1, 2))):
            said.pop(rng.randrange(len(said)))
        rng.shuffle(said)
        try:
            first = built(BiscuitBuilder(""), said)
            first.set_root_key_id(1)
            token = first.build(ROOT.for_biscuit().private_key)
            for number in range(bool(rest) or (0 if alone else rng.choice((0, 0, 1, 2)))):
                further = [_said(rng) for _ in range(rng.randint(1, 4))] if number or not rest else rest
                more = built(BlockBuilder(""), further)
                if rng.random() < 0.4:
                    signer = rng.choice((HOLDER, OFFICE)).for_biscuit().private_key
                    request = token.third_party_request()
                    token = token.append_third_party(
                        rng.choice((HOLDER, OFFICE)).for_biscuit().public_key,
                        request.create_block(signer, more),
                    )
                else:
                    token = token.append(more)
        except Exception:
            continue  # no token can say so
        try:
            capability = Capability.parse(token.to_base64(), TRUST)
        except Exception as error:  # a twin may stumble over what it let in
            yield f"blocks {seed}", reason_of(error)
            continue
        yield f"blocks {seed}", "admitted"
        for arguments in ({}, {"a": "x"}, {"a": "z", "b": 1}):
            try:
                verify(capability, Call.of("t", arguments), now=1_800_000_000, audience="here", labels=())
                yield f"blocks {seed} {arguments}", "permitted"
            except Exception as error:
                yield f"blocks {seed} {arguments}", reason_of(error)


# Blocks as messages


def _signed(block: bytes, rng: Random) -> str:
    """A token with these bytes as its first block, and a next key of one of two algorithms."""
    algorithm = 1 if rng.random() < 0.1 else 0
    following = Ed25519PrivateKey.generate()
    key = P256 if algorithm else following.public_key().public_bytes_raw()
    secret = (1).to_bytes(32, "big") if algorithm else following.private_bytes_raw()
    # Biscuit specification, "Signature (one block)", version 0: block, algorithm, next key
    signature = ROOT.sign(block + algorithm.to_bytes(4, "little") + key)
    signed = forge.write((1, block), (2, forge.write((1, algorithm), (2, key))), (3, signature))
    return forge.text(forge.write((1, 1), (2, signed), (4, forge.write((1, secret)))))


P256 = bytes.fromhex("036b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296")
"""The generator of the curve, compressed: the public key of the secret 1."""


def _changed(rng: Random, message: bytes) -> bytes:
    """The message with one field changed, here or in a message inside."""
    fields = forge.read(message)
    at = rng.randrange(len(fields))
    number, value = fields[at]
    if isinstance(value, bytes) and rng.random() < 0.6:
        with suppress(Exception):  # a text is no message
            fields[at] = (number, _changed(rng, value))
            return forge.write(*fields)
    do = rng.choice(("double", "drop", "change", "move", "add"))
    if do == "double":
        fields.insert(at, fields[at])
    elif do == "drop":
        fields.pop(at)
    elif do == "change":
        other = rng.choice((0, 1, 2, 3, 7, 1024, 1030))
        fields[at] = (number, other if isinstance(value, int) else value[:-1])
    elif do == "move":
        fields.insert(rng.randrange(len(fields)), fields.pop(at))
    else:
        fields.insert(at, (rng.randint(1, 9), rng.choice((1, b"x", b"\x08\x01"))))
    return forge.write(*fields)


async def messages() -> AsyncIterator[tuple[str, str]]:
    for seed in count():
        rng = Random(seed)
        first = built(BiscuitBuilder(""), list(USUAL))
        signed, _ = forge.blocks(first.build(ROOT.for_biscuit().private_key).to_base64())
        content = bytes(dict(forge.read(signed[0]))[1])
        for _ in range(rng.choice((0, 1, 1, 2))):
            content = _changed(rng, content)
        try:
            Capability.parse(_signed(content, rng), TRUST)
            yield f"message {seed}", "admitted"
        except Exception as error:
            yield f"message {seed}", reason_of(error)
