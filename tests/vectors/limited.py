"""Vectors of capabilities with limits, and with approvals of some tools only; run by `make`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from itertools import combinations
from typing import TYPE_CHECKING

from hessra_agents import approved_by, grant, limit, must
from tests.support import forge
from tests.vectors.material import APPROVERS, HOLDERS, NOW, approval, bearer, proof, root_block, used, votes
from tests.vectors.refused import CLOSED, FIRST, put_again

if TYPE_CHECKING:
    from hessra_agents import KeyPair
    from tests.vectors.capabilities import Capabilities

__all__ = ["cases"]

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
PAY = grant("t", amount=must.anything(), memo=must.optional())
ELSE = grant("u", x=must.anything())
NEITHER = {"x": 1}


def cases(file: Capabilities) -> None:
    """What a call takes of limits, whose approvals it needs, and what no guard reads."""
    for group in (_calls, _sums, _scopes, _chains, _approvals, _outside):
        group(file)


def _calls(file: Capabilities) -> None:
    """Calls are counted."""
    paid = {"amount": 30}
    made = {
        "once": ("t, once", (limit(calls=1),), [(1, "calls")]),
        "fifty calls": ("t, at most 50 times", (limit(calls=50),), [(1, "calls")]),
        "three an hour": ("t, at most 3 times in any hour", (limit(calls=3, per=HOUR),), [(1, "calls:3600")]),
        "given back": (
            "t, at most 5 times, calls that fail not counted",
            (limit(calls=5, refund=True),),
            [(1, "refund:calls")],
        ),
        "given back, by the day": (
            "t, at most 5 times in any day, calls that fail not counted",
            (limit(calls=5, per=DAY, refund=True),),
            [(1, "refund:calls:86400")],
        ),
        "two limits of one kind": (
            "t, at most 9 times and at most 9 times: each is counted by itself",
            (limit(calls=9), limit(calls=9)),
            [(1, "calls"), (1, "calls")],
        ),
        "the largest limits": (
            "t, at most 2**53 - 1 times in any 366 days",
            (limit(calls=2**53 - 1, per=366 * DAY),),
            [(1, "calls:31622400")],
        ),
    }
    for name, (about, limits, takes) in made.items():
        file.token(name, about, partial(bearer, PAY, *limits))
        file.case(name, name, paid, takes=takes)
    file.case("once, and not allowed", "once", {"amount": 30, "x": 1}, "unnamed_argument")
    file.case("once, in its last second", "once", paid, now=NOW + 3599, takes=[(1, "calls")])
    file.case("once, expired", "once", paid, "expired", now=NOW + 3600)


def _sums(file: Capabilities) -> None:
    """An argument is added up."""
    file.token(
        "spend",
        "t, amounts of at most 5000 in all",
        lambda: bearer(PAY, limit(sum_of="amount", at_most=5000)),
    )
    for amount in (0, 1, 30, 5000):
        file.case(f"spend {amount}", "spend", {"amount": amount}, takes=[(amount, "sum:amount")])
    file.case("spend a whole number as a float", "spend", '{"amount": 3.0}', takes=[(3, "sum:amount")])
    refused: dict[str, str] = {
        "a negative amount": '{"amount": -1}',
        "the least integer": '{"amount": -9223372036854775808}',
        "an amount of 65 bits": '{"amount": 9223372036854775808}',
        "a fraction": '{"amount": 0.5}',
        "a text": '{"amount": "30"}',
        "a truth value": '{"amount": true}',
        "null": '{"amount": null}',
        "a list": '{"amount": [30]}',
        "an object": '{"amount": {"amount": 30}}',
    }
    for name, arguments in refused.items():
        file.case(f"spend {name}", "spend", arguments, "constraint")
    file.token(
        "spend an optional",
        "t, amounts of at most 5000 in all, though the amount may be left out",
        lambda: bearer(grant("t", amount=must.optional()), limit(sum_of="amount", at_most=5000)),
    )
    file.case("spend what is there", "spend an optional", {"amount": 30}, takes=[(30, "sum:amount")])
    file.case("spend what is left out", "spend an optional", {}, "missing_argument")
    file.token(
        "spend by the day",
        "t, amounts of at most 5000 in any day, given back where t fails",
        lambda: bearer(PAY, limit(sum_of="amount", at_most=5000, per=DAY, refund=True)),
    )
    file.case("spend by the day", "spend by the day", {"amount": 7}, takes=[(7, "refund:sum:86400:amount")])
    file.token(
        "spend a field",
        "t, fields order/a~b of at most 5000 in all",
        lambda: bearer(grant("t", order=must.anything()), limit(sum_of="/order/a~0b", at_most=5000)),
    )
    takes = [(7, "sum:/order/a~0b")]
    file.case("spend a field", "spend a field", {"order": {"a~b": 7}}, takes=takes)
    file.case("spend a field that is not there", "spend a field", {"order": {"b": 7}}, "missing_argument")
    file.case("spend a field of no object", "spend a field", {"order": 7}, "missing_argument")
    odd = 'a "name": \\ \n'
    file.token(
        "spend an odd name",
        "t, an argument whose name needs care, of at most 9 in all",
        lambda: bearer(grant("t", {odd: must.anything()}), limit(sum_of=odd, at_most=9)),
    )
    file.case("spend an odd name", "spend an odd name", {odd: 7}, takes=[(7, f"sum:{odd}")])
    file.token(
        "count and spend",
        "t, at most 5 times in any minute and amounts of at most 100 in all",
        lambda: bearer(PAY, limit(calls=5, per=MINUTE), limit(sum_of="amount", at_most=100)),
    )
    takes = [(1, "calls:60"), (30, "sum:amount")]
    file.case("count and spend", "count and spend", {"amount": 30}, takes=takes)


def _scopes(file: Capabilities) -> None:
    """Limits of some tools only."""
    file.token(
        "limit of one tool",
        "t and u, t at most 5 times and amounts of at most 100 in all",
        lambda: bearer(
            PAY, ELSE, limit(calls=5, tools="t"), limit(sum_of="amount", at_most=100, tools=["t"])
        ),
    )
    takes = [(1, "calls"), (30, "sum:amount")]
    file.case("the tool that is limited", "limit of one tool", {"amount": 30}, takes=takes)
    file.case("the tool that is not", "limit of one tool", NEITHER, tool="u")
    file.case("the tool that is limited, refused", "limit of one tool", {"amount": -30}, "constraint")
    file.token(
        "limit of two tools",
        "t and u, together at most 5 times, u at most twice",
        lambda: bearer(PAY, ELSE, limit(calls=5, tools=["t", "u"]), limit(calls=2, tools="u")),
    )
    file.case("of two, the first", "limit of two tools", {"amount": 30}, takes=[(1, "calls")])
    file.case("of two, the second", "limit of two tools", NEITHER, tool="u", takes=[(1, "calls")] * 2)


def _chains(file: Capabilities) -> None:
    """Each block has budgets of its own; what is built on a block shares them."""
    file.token(
        "limited and held",
        "t, amounts of at most 5000 in all, held by holder 0",
        lambda: bearer(PAY, limit(sum_of="amount", at_most=5000), holder=HOLDERS[0].public),
    )
    held = file.read("limited and held")
    file.token(
        "limited, delegated",
        "... to holder 1, at most 3 times",
        lambda: held.delegate(limit(calls=3), to=HOLDERS[1].public, key=HOLDERS[0], now=NOW),
    )
    child = file.read("limited, delegated")
    file.token(
        "limited, delegated, again",
        "... and its signed block put on its token a second time: the same budgets",
        lambda: put_again(child, held),
    )
    twice = file.read("limited, delegated, again")
    file.token(
        "limited, narrowed",
        "..., amounts of at most 50 in any minute, for a minute",
        lambda: child.attenuate(limit(sum_of="amount", at_most=50, per=MINUTE), ttl=MINUTE, now=NOW),
    )
    narrowed = file.read("limited, narrowed")
    first = (30, "sum:amount")
    paid = {"amount": 30}
    file.case("limited and held", "limited and held", paid, prove=proof(held, "holder 0"), takes=[first])
    for name, token in (("limited, delegated", child), ("limited, delegated, again", twice)):
        file.case(name, name, paid, prove=proof(token, "holder 1"), takes=[first, (1, "calls")])
    takes = [first, (1, "calls"), (30, "sum:60:amount")]
    last = proof(narrowed, "holder 1")
    file.case("limited, narrowed", "limited, narrowed", paid, prove=last, takes=takes)
    # what an amount is over is for whoever counts
    more = {"amount": 6000}
    takes = [(6000, "sum:amount"), (1, "calls"), (6000, "sum:60:amount")]
    file.case("limited, narrowed, too much", "limited, narrowed", more, prove=last, takes=takes)
    file.case("limited, not proved", "limited, narrowed", paid, "not_holder")


def _approvals(file: Capabilities) -> None:
    """Approvals of some tools only, and k of n."""
    keys = [key.public for key in APPROVERS]
    file.token(
        "approved of one tool",
        "t and u, t approved by approver 1",
        lambda: bearer(PAY, ELSE, approved_by(keys[0], tools="t")),
    )
    one = file.read("approved of one tool")
    paid = {"amount": 30}
    vote = votes(approval(one, "approver 1"))
    file.case("of one tool, approved", "approved of one tool", paid, approve=vote)
    file.case("of one tool, not approved", "approved of one tool", paid, "not_approved")
    file.case("of one tool, the other one", "approved of one tool", NEITHER, tool="u")
    file.token(
        "two of three, of one tool",
        "t and u, t approved by two of three, both at most 9 times",
        lambda: bearer(PAY, ELSE, approved_by(*keys, need=2, tools="t"), limit(calls=9)),
    )
    two = file.read("two of three, of one tool")
    three = [approval(two, f"approver {i}") for i in (1, 2, 3)]
    for size, verdict in ((0, "not_approved"), (1, "not_approved"), (2, "permitted"), (3, "permitted")):
        for chosen in combinations(range(3), size):
            name = f"two of three, of one tool, by {[i + 1 for i in chosen]}"
            made = votes(*(three[i] for i in chosen)) if chosen else None
            file.case(name, "two of three, of one tool", paid, verdict, approve=made, takes=[(1, "calls")])
    takes = [(1, "calls")]
    file.case("two of three, the other tool", "two of three, of one tool", NEITHER, tool="u", takes=takes)
    for need, name in ((1, "one of three"), (3, "three of three")):
        file.token(name, f"t, approved by {name}", partial(bearer, PAY, approved_by(*keys, need=need)))
        some = file.read(name)
        asked = [approval(some, f"approver {i}") for i in (1, 2, 3)]
        for size in (1, 2, 3):
            verdict = "permitted" if size >= need else "not_approved"
            file.case(f"{name}, by {size}", name, paid, verdict, approve=votes(*asked[:size]))
    file.token(
        "approved from here on",
        "once, then approved by approver 1",
        lambda: file.read("once").attenuate(approved_by(keys[0]), now=NOW),
    )
    later = file.read("approved from here on")
    file.case(
        "approved from here on",
        "approved from here on",
        paid,
        approve=votes(approval(later, "approver 1")),
        takes=[(1, "calls")],
    )
    file.token(
        "approved by its holder",
        "t, held by approver 1, approved by approver 1 or 2",
        lambda: bearer(PAY, approved_by(*keys[:2]), holder=keys[0]),
    )
    own = file.read("approved by its holder")
    held = proof(own, "approver 1")
    itself = votes(approval(own, "approver 1"))
    file.case(
        "approved by its holder",
        "approved by its holder",
        paid,
        "not_approved",
        prove=held,
        approve=itself,
        engine="allow",
        differs="who holds a capability, or handed it on, does not approve its calls",
    )
    other = votes(approval(own, "approver 2"))
    file.case("approved by another", "approved by its holder", paid, prove=held, approve=other)
    file.token(
        "approved by who handed it on",
        "..., delegated to holder 1",
        lambda: own.delegate(to=HOLDERS[1].public, key=APPROVERS[0], now=NOW),
    )
    handed = file.read("approved by who handed it on")
    file.case(
        "approved by who handed it on",
        "approved by who handed it on",
        paid,
        "not_approved",
        prove=proof(handed, "holder 1"),
        approve=votes(approval(handed, "approver 1")),
        engine="allow",
        differs="who holds a capability, or handed it on, does not approve its calls",
    )


# Shapes that are outside of the profile; what the engine says where it is told of no limit

_H = "0123456789abcdef0123456789abcdef"
_CALLS = f'limit("{_H}", "calls", 5)'
_R = "resource($r)"
_U = 'resource($r), !{"tool:u"}.contains($r)'
_ASK = f'designation("approved", "{_H}") trusting {{key}}'
_ASK2 = f'designation("approved", "{_H[::-1]}") trusting {{other}}'
_SHAPES: list[tuple[str, str, str]] = [
    ("a limit that trusts a key", f"check if {_CALLS} trusting {{key}};", "deny"),
    ("a limit with a test", f'check if limit("{_H}", "calls", $n), $n <= 5;', "deny"),
    ("a limit of two terms", f'check if limit("{_H}", "calls");', "deny"),
    ("a limit of four terms", f'check if limit("{_H}", "calls", 5, 5);', "deny"),
    ("a limit in another order", f'check if limit("calls", "{_H}", 5);', "deny"),
    ("a limit as text", f'check if limit("{_H}", "calls", "5");', "deny"),
    ("a limit of any kind", f'check if limit("{_H}", $kind, 5);', "deny"),
    ("a limit of nothing", f'check if limit("{_H}", "calls", 0);', "deny"),
    ("a limit below nothing", f'check if limit("{_H}", "calls", -5);', "deny"),
    ("a limit of 2**53", f'check if limit("{_H}", "calls", {2**53});', "deny"),
    ("a handle too short", f'check if limit("{_H[:-2]}", "calls", 5);', "deny"),
    ("a handle in capitals", f'check if limit("{_H.upper()}", "calls", 5);', "deny"),
    ("two limits under one handle", f'check if {_CALLS}; check if limit("{_H}", "calls:60", 5);', "deny"),
    ("the same limit twice", f"check if {_CALLS}; check if {_CALLS};", "deny"),
    ("one handle for a limit and an approver", f"check if {_CALLS}; check if {_ASK};", "deny"),
    ("a choice of limits", f'check if {_CALLS} or limit("{_H[::-1]}", "calls", 9);', "deny"),
    ("a limit or an object", f'check if {_CALLS} or resource("tool:t");', "allow"),
    ("a limit or an argument", f'check if {_CALLS} or arg_str("x", "a");', "allow"),
    ("a limit or an audience", f'check if {_CALLS} or designation("anchor", "mail");', "allow"),
    ("a limit and an object", f'check if {_CALLS}, resource("tool:t");', "deny"),
    ("a limit, elsewhere first", f"check if {_U} or {_CALLS};", "allow"),
    ("a limit, elsewhere twice", f"check if {_CALLS} or {_U} or {_U};", "allow"),
    ("a limit, elsewhere alone", f"check if {_U};", "allow"),
    ("a limit, elsewhere the other way", f'check if {_CALLS} or {_R}, {{"tool:u"}}.contains($r);', "deny"),
    ("a limit of no tool", f"check if {_CALLS} or {_R}, !{{,}}.contains($r);", "allow"),
    ("a limit of numbers", f"check if {_CALLS} or {_R}, !{{1, 2}}.contains($r);", "allow"),
    ("a limit of a text", f'check if {_CALLS} or {_R}, !"tool:u".contains($r);', "allow"),
    ("a limit, elsewhere by a prefix", f'check if {_CALLS} or {_R}, !$r.starts_with("tool:u");', "allow"),
    ("a limit of tools twice", f"check if {_CALLS} or {_U}, !{{\"tool:v\"}}.contains($r);", "allow"),
    ("a limit, by operation", f'check if {_CALLS} or operation($r), !{{"x"}}.contains($r);', "allow"),
    ("a limit, elsewhere by a key", f"check if {_CALLS} or {_U} trusting {{key}};", "allow"),
    ("a limit as a fact", f"{_CALLS};", "allow"),
    ("a limit as a fact and a check", f"{_CALLS}; check if {_CALLS};", "allow"),
    ("an approval, elsewhere first", f"check if {_U} or {_ASK};", "allow"),
    ("an approval, elsewhere twice", f"check if {_ASK} or {_U} or {_U};", "allow"),
    ("an approval, elsewhere in between", f"check if {_ASK} or {_U} or {_ASK2};", "allow"),
    ("an approval of no tool", f"check if {_ASK} or resource($r), !{{,}}.contains($r);", "allow"),
    ("a holder, elsewhere", f'check if designation("holder", "{_H}") trusting {{key}} or {_U};', "allow"),
    ("a witness, elsewhere", f'check if designation("facet", "eu") trusting {{key}} or {_U};', "allow"),
]  # fmt: skip

_KINDS = [
    "", "call", "Calls", "calls ", "calls:", "calls:0", "calls:060", "calls:-60", "calls:1.5", "calls:60:60",
    "calls:31622401", "calls:123456789", "calls:६०", "sum", "sum:", "sum:60:", "sum:0:amount",
    "sum:060:amount",    "sum:60:60:amount", "sum:31622401:amount", "sum:/amount", "refund:", "refund",
    "refund:refund:calls", "calls:refund", "rate:60", "sums:amount",
]  # fmt: skip


def _outside(file: Capabilities) -> None:
    keys: dict[str, KeyPair] = {"key": HOLDERS[0], "other": HOLDERS[1]}
    shapes = [*_SHAPES]
    shapes += [
        (f"a kind of limit: {kind!r}", f'check if limit("{_H}", "{kind}", 5);', "deny") for kind in _KINDS
    ]
    for name, source, engine in shapes:
        make: Callable[[], str] = partial(root_block, f"{FIRST}{CLOSED};{source}", used(source, keys))
        said = "it says more than the profile has, so no engine is asked" if engine == "allow" else ""
        file.token(name, "what its name says, in its first block", make)
        file.case(name, name, {"x": "a"}, "outside_profile", engine=engine, differs=said)
    once = file.read("once")
    handle = once.blocks[0].limits[0][0]
    file.token(
        "a handle of the block before",
        "once, and a limit under the same handle",
        lambda: forge.append_source(once, f'check if limit("{handle}", "calls", 9);'),
    )
    file.case(
        "a handle of the block before", "a handle of the block before", {"amount": 1}, "outside_profile"
    )
    file.token(
        "a limit stated by a bearer",
        "once, and the fact that it asks for",
        lambda: forge.append_source(once, f'limit("{handle}", "calls", 1);'),
    )
    name = "a limit stated by a bearer"
    file.case(name, name, {"amount": 1}, "outside_profile")
    seventeen = [limit(calls=9)] * 16
    file.token("sixteen limits", "t, sixteen times at most 9 times", lambda: bearer(PAY, *seventeen))
    file.case("sixteen limits", "sixteen limits", {"amount": 1}, takes=[(1, "calls")] * 16)
    full = file.read("sixteen limits")
    file.token(
        "seventeen limits",
        "..., and one more",
        lambda: forge.append_source(full, f'check if limit("{_H}", "calls", 9);'),
    )
    file.case("seventeen limits", "seventeen limits", {"amount": 1}, "too_large")
