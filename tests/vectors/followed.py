"""Vectors of what only a session can tell: where a value comes from, and what was seen; run by `make`."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from hessra_agents import clear_of, from_result, grant, must
from hessra_agents.call.canonical import encode
from tests.vectors.material import HOLDERS, NOW, bearer, proof, root_block, used
from tests.vectors.refused import CLOSED, FIRST
from tests.vectors.run import Row

if TYPE_CHECKING:
    from tests.vectors.capabilities import Capabilities

__all__ = ["cases", "seen"]

BILLS = [
    {"from": "landlord", "iban": "DE02", "cents": 90000, "due": "2026-12-01", "to": ["ana@acme.com"]},
    {"from": "landlord", "iban": "DE02", "cents": 91000, "due": "2027-01-01", "to": ["bo@acme.com"]},
    {"from": "gym", "iban": "FR14", "cents": 2900, "due": "2026-12-03", "to": []},
    {"from": "é", "iban": True, "cents": 0.5, "due": None, "to": {"a": 1}},
]


def seen(*results: object, tool: str = "bills", untrusted: bool = False, labels: tuple[str, ...] = ()) -> Row:
    """A session that has seen these results of one tool, and these labels."""
    kept = [{"tool": tool, "text": json.dumps(one), "untrusted": untrusted} for one in results]
    return {"results": kept, "labels": sorted(labels)}


READ = seen(BILLS)


def cases(file: Capabilities) -> None:
    """Values that follow data, sessions that are clear, and what no guard reads."""
    for group in (_values, _lists, _narrowed, _clear, _outside):
        group(file)


def _values(file: Capabilities) -> None:
    """Which values a selector means."""
    selectors: dict[str, tuple[dict[str, object], list[object], list[object]]] = {
        "any": ({}, ["DE02", "FR14", True], ["DE03", "true", 1, None, ["DE02"]]),
        "where a text": ({"where": {"from": "landlord"}}, ["DE02"], ["FR14", True]),
        "where a number": ({"where": {"cents": 2900}}, ["FR14"], ["DE02"]),
        "where a fraction": ({"where": {"cents": 0.5}}, [True], ["FR14"]),
        "where null": ({"where": {"due": None}}, [True], ["DE02"]),
        "where two": ({"where": {"from": "landlord", "cents": 91000}}, ["DE02"], ["FR14"]),
        "starts": ({"starts_with": {"due": "2026-12-0"}}, ["DE02", "FR14"], [True]),
        "starts, itself": ({"starts_with": {"@": "FR"}}, ["FR14"], ["DE02", True]),
        "the largest, of numbers and a fraction": ({"largest": "cents"}, ["DE02"], ["FR14", True]),
        "the smallest text, where all are texts": (
            {"smallest": "due", "starts_with": {"due": "2"}},
            ["DE02"],
            ["FR14"],
        ),
        "the smallest text, where one is null": ({"smallest": "due"}, [], ["DE02", True]),
        "unique": ({"where": {"from": "gym"}, "unique": True}, ["FR14"], ["DE02"]),
        "unique, twice the same": ({"where": {"from": "landlord"}, "unique": True}, ["DE02"], ["FR14"]),
        "unique, of two": ({"starts_with": {"due": "2026-12-0"}, "unique": True}, [], ["DE02", "FR14"]),
    }
    for name, (options, good_ones, bad_ones) in selectors.items():
        grants = grant("t", x=from_result("bills", "$[*].iban", **options))  # type: ignore[arg-type]
        named = f"follows: {name}"
        file.token(named, f"t(x: an iban of bills, {name})", partial(bearer, grants))
        for verdict, values in (("permitted", good_ones), ("constraint", bad_ones)):
            for value in values:
                told = f"{named}, {json.dumps(value)}"
                file.case(told, named, {"x": value}, verdict, session=READ)
    paths: dict[str, tuple[object, object, object]] = {
        "$": ("a", "a", "b"),
        "$[1]": (["a", "b"], "b", "a"),
        "$[-1]": (["a", "b"], "b", "a"),
        "$.a['b c'][*]": ({"a": {"b c": [1, "2"]}}, "2", 2),
        "$[*][*].a": ([[{"a": 1}], [{"a": {"b": [None]}}]], {"b": [None]}, {"b": []}),
        "$['it\\'s']": ({"it's": 2**53 + 1}, 2**53 + 1, 2**53),
    }
    for path, (result, good, bad) in paths.items():
        name = f"follows {path}"
        file.token(
            name, f"t(x: what is at {path})", partial(bearer, grant("t", x=from_result("bills", path)))
        )
        file.case(f"{name}, and does", name, {"x": good}, session=seen(result))
        file.case(f"{name}, and does not", name, {"x": bad}, "constraint", session=seen(result))
    name = "follows: any"
    value = {"x": "DE02"}
    file.case("follows, in the second result", name, value, session=seen([], BILLS))
    file.case("follows, nothing was read", name, value, "constraint", session=seen())
    file.case("follows, and nobody keeps a session", name, value, "constraint")
    file.case("follows, of another tool", name, value, "constraint", session=seen(BILLS, tool="mails"))
    file.case(
        "follows, of who cannot be trusted", name, value, "constraint", session=seen(BILLS, untrusted=True)
    )
    trusting = grant("t", x=from_result("bills", "$[*].iban", untrusted=True))
    file.token(
        "follows, trusted or not", "t(x: an iban of bills, whoever wrote it)", partial(bearer, trusting)
    )
    file.case(
        "follows, trusted or not", "follows, trusted or not", value, session=seen(BILLS, untrusted=True)
    )


def _lists(file: Capabilities) -> None:
    """Every element, fields, and joined constraints."""
    mail = from_result("bills", "$[*].to[*]")
    file.token(
        "each follows", "t(x: a list of addresses of bills)", lambda: bearer(grant("t", x=must.each(mail)))
    )
    both = ["ana@acme.com", "bo@acme.com"]
    file.case("each follows", "each follows", {"x": both}, session=READ)
    for name, values in (
        ("one is not there", [*both, "eve@evil.example"]),
        ("none", []),
        ("a text", both[0]),
    ):
        file.case(f"each follows, {name}", "each follows", {"x": values}, "constraint", session=READ)
    file.token(
        "a field follows",
        "t(x: an object whose f is an iban that begins with DE)",
        lambda: bearer(
            grant("t", x=must.fields(f=from_result("bills", "$[*].iban") & must.starts_with("DE")))
        ),
    )
    file.case("a field follows", "a field follows", {"x": {"f": "DE02"}}, session=READ)
    file.case(
        "a field follows, and is out of bounds",
        "a field follows",
        {"x": {"f": "FR14"}},
        "constraint",
        session=READ,
    )


def _narrowed(file: Capabilities) -> None:
    """A block that asks where a value comes from, and one that narrows that."""
    file.token(
        "open",
        "t(x: anything), held by holder 0",
        lambda: bearer(grant("t", x=must.anything()), holder=HOLDERS[0].public),
    )
    held = file.read("open")
    file.token(
        "open, then it follows",
        "... to holder 1: an iban of bills",
        lambda: held.delegate(
            grant("t", x=from_result("bills", "$[*].iban")), to=HOLDERS[1].public, key=HOLDERS[0], now=NOW
        ),
    )
    child = file.read("open, then it follows")
    file.token(
        "open, then it follows, then one",
        "..., of the landlord",
        lambda: child.attenuate(
            grant("t", x=from_result("bills", "$[*].iban", where={"from": "landlord"})), now=NOW
        ),
    )
    last = file.read("open, then it follows, then one")
    both = {"open, then it follows": child, "open, then it follows, then one": last}
    for name, token in both.items():
        prove = proof(token, "holder 1")
        file.case(name, name, {"x": "DE02"}, prove=prove, session=READ)
        file.case(f"{name}: nothing was read", name, {"x": "DE02"}, "constraint", prove=prove, session=seen())
        file.case(f"{name}: not proved", name, {"x": "DE02"}, "not_holder", session=READ)
    verdicts = ("permitted", "constraint")
    for (name, token), verdict in zip(both.items(), verdicts, strict=True):
        file.case(
            f"{name}: the gym", name, {"x": "FR14"}, verdict, prove=proof(token, "holder 1"), session=READ
        )


def _clear(file: Capabilities) -> None:
    """Sessions that have seen nothing of what is asked about."""
    t, u = grant("t", x=must.anything()), grant("u", x=must.anything())
    file.token("clear", "t and u, clear of PII:*", lambda: bearer(t, u, clear_of("PII:*")))
    file.token(
        "clear for t",
        "t and u, t clear of PII:* and untrusted",
        lambda: bearer(t, u, clear_of("PII:*", "untrusted", tools="t")),
    )
    call = {"x": 1}
    clear: list[tuple[str, ...]] = [(), ("salary",), ("xPII:email",), ("pii:email",)]
    exposed: list[tuple[str, ...]] = [("PII:",), ("PII:email", "salary"), ("PII:email&salary",), ("PII:é",)]
    for labels in clear:
        file.case(f"clear, seen {list(labels)}", "clear", call, session=seen(labels=labels))
    for labels in exposed:
        file.case(f"exposed, seen {list(labels)}", "clear", call, "exposed", session=seen(labels=labels))
    file.case("clear, and nobody keeps a session", "clear", call, "exposed")
    for labels in (("PII:email",), ("untrusted",)):
        session = seen(labels=labels)
        file.case(f"exposed for t, seen {list(labels)}", "clear for t", call, "exposed", session=session)
        file.case(f"clear for u, seen {list(labels)}", "clear for t", call, tool="u", session=session)
    file.case("clear for u, and nobody keeps a session", "clear for t", call, tool="u")
    file.token(
        "clear, then of more",
        "..., and of salary",
        lambda: file.read("clear").attenuate(clear_of("salary"), now=NOW),
    )
    file.case("clear of both", "clear, then of more", call, session=seen())
    for label in ("PII:email", "salary"):
        file.case(
            f"clear of one, not of {label}",
            "clear, then of more",
            call,
            "exposed",
            session=seen(labels=(label,)),
        )


def _literal(selector: object) -> str:
    """A selector as it stands in the text of a block; JSON escapes a text as Datalog does."""
    return json.dumps(encode(selector).decode())  # type: ignore[arg-type]


_E = 'exposure_clear("PII:*")'
_S = '\\"path\\":\\"$\\"'
_F = f'result_of("x", "bills", "{{{_S}}}")'
_SHAPES: list[tuple[str, str, str]] = [
    ("clear of a variable", "check if exposure_clear($p);", "deny"),
    ("clear of a number", "check if exposure_clear(1);", "deny"),
    ("clear of nothing", 'check if exposure_clear("");', "deny"),
    ("clear of two terms", 'check if exposure_clear("a", "b");', "deny"),
    ("clear, with a test", 'check if exposure_clear($p), $p.starts_with("PII");', "deny"),
    ("clear, or an argument", f'check if {_E} or arg_str("x", "a");', "allow"),
    ("clear, by a key", f"check if {_E} trusting {{key}};", "deny"),
    ("clear of a choice", f'check if {_E} or exposure_clear("b");', "deny"),
    ("clear, as a fact", f"{_E};", "allow"),
    ("follows a variable", 'check if resource("tool:t"), result_of("x", $tool, "{}");', "deny"),
    ("follows no selector", 'check if resource("tool:t"), result_of("x", "bills", "$");', "deny"),
    (
        "follows a selector without a path",
        'check if resource("tool:t"), result_of("x", "bills", "{}");',
        "deny",
    ),
    (
        "follows a selector in another spelling",
        f'check if resource("tool:t"), result_of("x", "bills", "{{ {_S}}}");',
        "deny",
    ),
    (
        "follows a path with a filter",
        'check if resource("tool:t"), result_of("x", "bills", "{\\"path\\":\\"$[?@.a]\\"}");',
        "deny",
    ),
    ("follows, as a fact", f'result_of("x", "bills", "{{{_S}}}");', "allow"),
    ("follows, by a key", f'check if resource("tool:t"), {_F} trusting {{key}};', "deny"),
    ("follows, of no object", f"check if {_F};", "deny"),
    ("follows, of a number", 'check if resource("tool:t"), result_of("x", "bills", 1);', "deny"),
    ("a list follows, as a fact", f"results_of{_F.removeprefix('result_of')};", "allow"),
    (
        "a list follows no selector",
        'check if resource("tool:t"), results_of("x", "bills", "$[*]");',
        "deny",
    ),
    ("clear, of an object", f'check if {_E}, resource("tool:t");', "deny"),
    ("clear, or of no object", f"check if {_E} or resource($r), !{{,}}.contains($r);", "allow"),
    ("clear, or of an object", f'check if {_E} or resource("tool:t");', "allow"),
    ("clear of a long pattern", f'check if exposure_clear("{"a" * 257}");', "deny"),
    ("reject, if seen", f"reject if {_E};", "allow"),
    ("follows, of two terms", 'check if resource("tool:t"), result_of("x", "bills");', "deny"),
]


def _outside(file: Capabilities) -> None:
    nine = {"path": "$.a", "where": {f"f{place}": 1 for place in range(9)}}
    selectors: dict[str, object] = {
        "with an unknown field": {"path": "$", "sorted": True},
        "that says what need not be said": {"path": "$", "untrusted": False},
        "whose truth is a number": {"path": "$", "unique": 1},
        "of descendants": {"path": "$..a"},
        "of a slice": {"path": "$[0:1]"},
        "of two names": {"path": "$['a','b']"},
        "of an index in another spelling": {"path": "$[01]"},
        "of an index below zero": {"path": "$[-0]"},
        "of a long path": {"path": "$" + ".a" * 128},
        "with nine conditions": nine,
        "with a condition and no name": {"path": "$[*]", "where": {"a": 1}},
        "with a list in a condition": {"path": "$.a", "where": {"b": [1]}},
        "that starts with nothing": {"path": "$.a", "starts": {"b": ""}},
    }
    shapes = [*_SHAPES]
    for name, selector in selectors.items():
        asked = f'result_of("x", "bills", {_literal(selector)})'
        shapes.append((f"follows a selector {name}", f'check if resource("tool:t"), {asked};', "deny"))
    for name, source, engine in shapes:
        make: Callable[[], str] = partial(
            root_block, f"{FIRST}{CLOSED};{source}", used(source, {"key": HOLDERS[0]})
        )
        said = "it says more than the profile has, so no engine is asked" if engine == "allow" else ""
        file.token(name, "what its name says, in its first block", make)
        file.case(name, name, {"x": "a"}, "outside_profile", engine=engine, differs=said)
