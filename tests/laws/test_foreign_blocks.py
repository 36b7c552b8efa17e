"""Law: whatever block somebody else appends, it never makes pass what the token refused without it.

The blocks are the attacker's own Datalog, facts and rules and checks under any scope, appended as they are or
signed by a third party. Most of them are refused before they are evaluated; those that are not, narrow.

Plain `random`, seeded; `HESSRA_SOAK=1` runs twenty times as many.
"""

from __future__ import annotations

import os
from collections import Counter
from contextlib import suppress
from datetime import timedelta
from random import Random
from typing import Any

import pytest
from biscuit_auth import BiscuitBuilder, BlockBuilder

from hessra_agents import Call, Capability, Denied, KeyPair, Trust, grant, must
from hessra_agents.tokens.issue import issue
from hessra_agents.verify.verifier import Possession, verify
from tests.support.random_authority import KEYS, NOW, OFFICE, ROOT, TENANT, Written, called, written

TRUST = Trust({1: ROOT.public})
THIEF = KeyPair.generate()
TOKENS = 40_000 if os.environ.get("HESSRA_SOAK") else 2_000
CALLS = 3

HELD = 'check if designation("holder", "0123456789abcdef0123456789abcdef") trusting THIEF'
READ = (
    "check if time($t), $t < 1800000100",
    "check if time($t), $t < 1800000010",
    'check if resource("tool:send") or resource("tool:pay") or resource("prompt:send")',
    'check if resource("tool:send"), arg_str("a", "x")',
    'check if designation("anchor", "here")',
    'check if designation("anchor", "elsewhere")',
    'check if limit("0123456789abcdef0123456789abcdef", "calls", 99)',
    'check if exposure_clear("PII:*")',
    HELD,
    'designation("holder", "HANDLE")',
    f'designation("holder", "HANDLE"); {HELD}',
    'designation("approved", "HANDLE")',
    'designation("tenant", "acme")',
    'designation("tenant", "acme"); activation(1800000000)',
    "activation(1800000000)",
    f'known_as("x"); hops(1); {HELD}',
    f'designation("holder", "HANDLE"); known_as("x"); {HELD}',
    f'designation("holder", "HANDLE"); hops(0); {HELD}',
    'known_as("x")',
    'check if budget("eur", "calls", 9)',
    HELD.replace("holder", "approved") + ' or arg_str("a", "x")',
)
"""What a guard reads, the facts if somebody has signed them."""

USUAL = {
    "right": ('"agent:desk", "tool:send", "invoke"', '"agent:desk", "tool:pay", "invoke"', "$s, $r, $o"),
    "designation": ('"holder", "HANDLE"', '"approved", "HANDLE"', '"anchor", "here"', '"tenant", "acme"'),
    "activation": ("1800000000", "$a"),
    "limit": ('"LIMIT", "calls", 9', '"HANDLE", "calls", 9'),
    "exposure_clear": ('"PII:*"',),
    "known_as": ('"x"', '"x:y"', '"x y"'),
    "hops": ("0", "1", "15"),
    "only_to": ('{"x"}',),
    "idle": ("true",),
    "budget": ('"eur", "calls", 9',),
    "resource": ("$r", '"tool:send"', '"tool:pay"'),
    "operation": ("$o", '"invoke"'),
    "time": ("$t", "2027-01-15T08:00:00Z", "1799999999"),
    "arg_names": ("$n", '{"a"}'),
    "arg_str": ('"a", "x"', '"a", $v'),
    "result_of": ('"a", "search", "{}"',),
    "made_up": ("$v", "1"),
}
TERMS = (
    '"agent:desk"',
    '"tool:send"',
    '"prompt:pay"',
    '"invoke"',
    '"HANDLE"',
    '"acme"',
    "1",
    "true",
    '{"x"}',
)
VARIABLES = ("$s", "$r", "$o", "$v", "$t")
TESTS = ("true", '$v == "x"', "$r != $o", '$v.starts_with("x")', '!{"tool:send"}.contains($r)')
SCOPES = ("", "", " trusting previous", " trusting authority", " trusting THIEF")


def predicate(rng: Random, terms: tuple[str, ...]) -> str:
    """One predicate, mostly of a form that somebody reads."""
    name = rng.choice([*USUAL])
    if rng.random() < 0.6:
        return f"{name}({rng.choice(USUAL[name])})"
    return f"{name}({', '.join(rng.choices(terms, k=rng.randint(1, 3)))})"


def asked(rng: Random) -> str:
    """What a rule or a check asks for."""
    parts = [predicate(rng, TERMS + VARIABLES) for _ in range(rng.randint(1, 3))]
    parts += rng.sample(TESTS, rng.choice((0, 0, 1)))
    return ", ".join(parts) + rng.choice(SCOPES)


def said(rng: Random) -> str:
    """One fact, rule or check."""
    if rng.random() < 0.4:
        return predicate(rng, TERMS)
    if rng.random() < 0.4:
        return f"{predicate(rng, TERMS + VARIABLES)} <- {asked(rng)}"
    form = rng.choice(("check if {}", "check if {} or {}", "check all {}", "reject if {}"))
    return form.format(asked(rng), asked(rng))


def appended(rng: Random, parent: Capability) -> Any:
    """The token with an attacker's block, in the name of the handles that it asks for."""
    handles = [one.value for block in parent.blocks for check in block.attested for one in check] or ["x"]
    limits = [handle for block in parent.blocks for handle, _ in block.limits] or ["x"]
    given = {"HANDLE": rng.choice(handles), "LIMIT": limits[-1], "THIEF": str(THIEF.public)}
    source, reads = rng.choice(("", "", "", "trusting previous;")), rng.random() < 0.7
    for _ in range(rng.randint(0, 2 if reads else 4)):
        text = rng.choice(READ) if reads else said(rng)
        for name, value in given.items():
            text = text.replace(name, value)
        with suppress(Exception):  # the library does not read it
            BlockBuilder(f"{text};")
            source += f"{text};"
    block: Any = BlockBuilder(source)
    if rng.random() < 0.4:
        return parent.biscuit.append(block)
    key = THIEF.for_biscuit()
    request = parent.biscuit.third_party_request()
    return parent.biscuit.append_third_party(key.public_key, request.create_block(key.private_key, block))


def token(rng: Random) -> Written:
    """A random chain of tokens, or a token that lacks nothing but what its holder or another's key states."""
    if rng.random() < 0.3:
        return written(rng)
    holder = rng.choice((None, KEYS[0]))
    first = issue(
        "agent:desk",
        [grant("send", a=must.anything()), grant("pay")],
        key=ROOT,
        key_id=1,
        ttl=timedelta(minutes=10),
        audience="here",
        holder=holder.public if holder else None,
        approvals=rng.choice(((), ((TENANT,),))),
        activator=rng.choice((None, OFFICE.public)),
        now=NOW,
    )
    return Written([(first, holder)], {"tool:send": [{"a": lambda: "x"}], "tool:pay": [{}]})


def passes(capability: Capability, call: Call, keys: list[KeyPair]) -> bool:
    """Whether somebody with these keys can make the call."""
    proof = None
    for key in keys:
        with suppress(Denied):
            proof = Possession.show(capability, key)
    try:
        verify(capability, call, now=NOW + 20, audience="here", proof=proof, labels=())
    except Denied:
        return False
    return True


def test_no_foreign_block_makes_pass_what_the_token_refused() -> None:
    """Neither for a thief of the token, nor for its holder; and many of them are read, and narrow."""
    tried: Counter[str] = Counter()
    for seed in range(TOKENS):
        rng = Random(seed)
        found = token(rng)
        parent, holder = rng.choice(found.chain)
        keys = [THIEF, holder] if holder is not None and rng.random() < 0.5 else [THIEF]
        child = parent
        try:
            for _ in range(rng.choice((1, 1, 2))):
                child = Capability.parse(appended(rng, child).to_base64(), TRUST)
        except Denied as denied:
            tried[str(denied.reason)] += 1
            continue
        for _ in range(CALLS):
            call = called(rng, found, parent)
            was, now = passes(parent, call, keys), passes(child, call, keys)
            tried[f"{was}, then {now}"] += 1
            assert was or not now, f"seed {seed}\n{parent.describe()}\n{child.describe()}\n{call}"
    assert tried["outside_profile"] > TOKENS // 4
    assert min(tried["True, then True"], tried["False, then False"]) > TOKENS // 10
    assert tried["True, then False"] > TOKENS // 50


@pytest.mark.parametrize(
    "query",
    [
        "activation($a)",
        "activation(1) trusting OFFICE",
        "activation($a), $a > 0 trusting OFFICE",
        "activation($a) trusting OFFICE, THIEF",
    ],
)
def test_an_activation_is_asked_of_one_key_and_of_nothing_else(query: str) -> None:
    first: Any = BiscuitBuilder("")
    for text in (
        'right("agent:a", "tool:t", "invoke")',
        "check if resource($r), operation($o), right($s, $r, $o)",
        "check if time($t), $t < 1800000600",
        "check if " + query.replace("OFFICE", str(OFFICE.public)).replace("THIEF", str(THIEF.public)),
    ):
        first.add_code(f"{text};")
    first.set_root_key_id(1)
    with pytest.raises(Denied) as caught:
        Capability.parse(first.build(ROOT.for_biscuit().private_key).to_base64(), TRUST)
    assert caught.value.reason == "outside_profile"
