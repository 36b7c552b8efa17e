"""Vectors of choices: what may be met in several ways, grants of one tool, and what is no choice."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from hessra_agents import from_result, grant, must
from tests.support import forge
from tests.vectors.material import HOLDERS, NOW, bearer, proof, root_block, used
from tests.vectors.refused import CLOSED, FIRST

if TYPE_CHECKING:
    from hessra_agents import Grant
    from tests.vectors.capabilities import Capabilities

__all__ = ["cases"]

_PAGE = must.optional(must.between(1, 50))


def cases(file: Capabilities) -> None:
    """Every form in which grants become choices, and every form that is refused."""
    for group in (_permitted, _narrowed, _refused):
        group(file)


_GRANTS: list[tuple[str, str, list[Grant], list[dict[str, Any]], list[tuple[dict[str, Any], str]]]] = [
    (
        "one choice",
        "t(query: at most 9 characters; limit: left out, or from 1 to 50)",
        [grant("t", query=must.max_length(9), limit=_PAGE)],
        [{"query": "x"}, {"query": "x", "limit": 1}, {"query": "x", "limit": 50}],
        [
            ({"query": "x", "limit": 51}, "constraint"),
            ({"query": "x", "limit": None}, "constraint"),
            ({"query": "x", "limit": "1"}, "constraint"),
            ({"query": "x", "limit": 1, "more": 1}, "unnamed_argument"),
            ({"limit": 1}, "missing_argument"),
        ],
    ),
    (
        "twelve choices",
        "t, each of twelve arguments left out or its number",
        [grant("t", {f"o{i}": must.optional(i) for i in range(12)})],
        [{}, {f"o{i}": i for i in range(12)}, {"o11": 11}],
        [({f"o{i}": i for i in range(11)} | {"o11": 0}, "constraint"), ({"o12": 12}, "unnamed_argument")],
    ),
    (
        "nested choices",
        "t(a: left out, or b: left out, or c: left out or 1)",
        [grant("t", a=must.optional(must.fields(b=must.optional(must.fields(c=must.optional(1))))))],
        [{}, {"a": {}}, {"a": {"b": {}}}, {"a": {"b": {"c": 1}}}],
        [
            ({"a": {"b": {"c": 2}}}, "constraint"),
            ({"a": {"b": 1}}, "constraint"),
            ({"a": None}, "constraint"),
            ({"a": {"b": {"c": 1, "d": 1}}}, "unnamed_argument"),
        ],
    ),
    (
        "an address or a domain",
        "t(to: ann@acme.com, or any address at bo.org)",
        [grant("t", to=must.email("ann@acme.com", "bo.org"))],
        [{"to": "ann@acme.com"}, {"to": "any@bo.org"}],
        [({"to": "bo@acme.com"}, "constraint"), ({}, "missing_argument")],
    ),
    (
        "told apart",
        "t(in: 'a'; cc: left out or 'x'), or t(in: 'b'; limit: left out or at most 9)",
        [
            grant("t", {"in": "a", "cc": must.optional("x")}),
            grant("t", {"in": "b", "limit": must.optional(must.at_most(9))}),
        ],
        [{"in": "a"}, {"in": "a", "cc": "x"}, {"in": "b"}, {"in": "b", "limit": 9}],
        [
            ({"in": "a", "cc": "y"}, "constraint"),
            ({"in": "a", "limit": 9}, "unnamed_argument"),
            ({"in": "b", "cc": "x"}, "unnamed_argument"),
            ({"in": "b", "limit": 10}, "constraint"),
            ({"in": "c"}, "constraint"),
        ],
    ),
    (
        "crossed",
        "t(a: begins with 'x'; b to e: left out or 1), or t(a: ends with 'y'; b to e: left out or 2)",
        [
            grant("t", a=must.starts_with("x"), **{name: must.optional(1) for name in "bcde"}),
            grant("t", a=must.ends_with("y"), **{name: must.optional(2) for name in "bcde"}),
        ],
        [{"a": "x"}, {"a": "y"}, {"a": "xy", "b": 1, "e": 1}, {"a": "y", "b": 2, "c": 2, "d": 2, "e": 2}],
        [
            ({"a": "xy", "b": 1, "c": 2}, "constraint"),
            ({"a": "x", "b": 2}, "constraint"),
            ({"a": "z"}, "constraint"),
        ],
    ),
    (
        "what both grants require",
        "t(path: below /a or /b; limit: left out, or from 1 to 50)",
        [grant("t", path=must.under(folder), limit=_PAGE) for folder in ("/a", "/b")],
        [{"path": "/a/x"}, {"path": "/b/x", "limit": 50}],
        [({"path": "/c/x"}, "constraint"), ({"path": "/b/x", "limit": 51}, "constraint")],
    ),
]
"""Name, meaning, grants, calls of t that are permitted, and calls that are refused, with the reason."""


def _permitted(file: Capabilities) -> None:
    for name, about, grants, allowed, refused in _GRANTS:
        file.token(name, about, partial(bearer, *grants))
        for index, arguments in enumerate(allowed):
            file.case(f"{name}, allowed {index}", name, arguments)
        for index, (arguments, reason) in enumerate(refused):
            file.case(f"{name}, refused {index}", name, arguments, reason)
    file.token(
        "a shared choice",
        "t(limit) and u(limit): left out, or from 1 to 50; v(limit): anything",
        lambda: bearer(grant("t", limit=_PAGE), grant("u", limit=_PAGE), grant("v", limit=must.anything())),
    )
    for tool in ("t", "u"):
        file.case(f"a shared choice, {tool}", "a shared choice", {"limit": 50}, tool=tool)
        file.case(f"a shared choice, left out of {tool}", "a shared choice", {}, tool=tool)
        file.case(f"a shared choice, {tool}, 51", "a shared choice", {"limit": 51}, "constraint", tool=tool)
    file.case("a shared choice is not about v", "a shared choice", {"limit": 51}, tool="v")


def _narrowed(file: Capabilities) -> None:
    """Choices of later blocks, also of one that its signer adds."""
    wide = grant("t", path=must.anything(), limit=must.optional())
    file.token("held, wide", "t(path; limit may be left out)", lambda: bearer(wide, holder=_KEY))
    file.token(
        "a choice in a signed block",
        "..., handed on: the path from a result of u, or limit: left out, or from 1 to 50",
        lambda: file.read("held, wide").delegate(
            grant("t", path=from_result("u", "$.path"), limit=_PAGE), to=_NEXT, key=HOLDERS[0], now=NOW
        ),
    )
    handed = file.read("a choice in a signed block")
    result = {"tool": "u", "text": '{"path":"/a"}', "untrusted": False}
    seen = {"results": [result], "labels": []}
    name = "a choice in a signed block"
    for words, arguments, verdict in (
        ("", {"path": "/a"}, "permitted"),
        (", given", {"path": "/a", "limit": 50}, "permitted"),
        (", too large", {"path": "/a", "limit": 51}, "constraint"),
        (", of no result", {"path": "/b"}, "constraint"),
    ):
        proved = proof(handed, "holder 1")
        file.case(f"{name}{words}", name, arguments, verdict, prove=proved, session=seen)
    name = "two blocks with choices"
    file.token(
        name,
        "t(limit: left out, or from 1 to 50), then left out or at most 9",
        lambda: bearer(grant("t", limit=_PAGE)).attenuate(
            grant("t", limit=must.optional(must.at_most(9))), now=NOW
        ),
    )
    for limit, verdict in ((9, "permitted"), (10, "constraint"), (0, "constraint")):
        file.case(f"{name}, {limit}", name, {"limit": limit}, verdict)
    file.case(f"{name}, left out", name, {})


_KEY, _NEXT = HOLDERS[0].public, HOLDERS[1].public

_WAY = 'arg_int("x", $v), $v >= 1, $v <= 9'
_LEFT = 'arg_names($n), !$n.contains("x")'
_ELSE = 'resource($r), !{"tool:t"}.contains($r)'

# What is odd, Datalog behind a pattern that closes the names of t, and what the engine says of t(x: 5).
_ODD: list[tuple[str, str, str]] = [
    ("of no object", f"check if {_LEFT} or {_WAY};", "allow"),
    ("that begins with its objects", f"check if {_ELSE} or {_WAY};", "allow"),
    ("of nothing but its objects", f"check if {_ELSE};", "deny"),
    ("that names its objects twice", f"check if {_WAY} or {_ELSE} or {_ELSE};", "allow"),
    ("of an empty set of objects", f"check if {_WAY} or resource($r), !{{,}}.contains($r);", "allow"),
    ("of integers for objects", f"check if {_WAY} or resource($r), !{{1}}.contains($r);", "allow"),
    ("of its objects alone", f'check if {_WAY} or resource($r), {{"tool:t"}}.contains($r);', "allow"),
    ("of one object by its name", f'check if {_WAY} or resource("tool:t");', "allow"),
    ("of any object", f"check if {_WAY} or resource($r);", "allow"),
    ("of objects with another fact", f"check if {_WAY} or {_ELSE}, arg_names($n);", "allow"),
    ("of objects that trusts a key", f"check if {_WAY} or {_ELSE} trusting {{key}};", "allow"),
    ("with a way that names an object", f'check if resource("tool:t"), {_WAY} or {_ELSE};', "allow"),
    (
        "with a later way that names one",
        f'check if {_WAY} or resource("tool:t"), {_WAY} or {_ELSE};',
        "allow",
    ),
    ("with a way that trusts a key", f"check if {_WAY} trusting {{key}} or {_ELSE};", "allow"),
    ("with a way that joins two facts", f'check if arg_int("x", $v), arg_int("x", $v) or {_ELSE};', "allow"),
    ("with a way without a fact", f"check if {_WAY} or true or {_ELSE};", "allow"),
    ("with a test that does not fit", f'check if arg_int("x", $v), $v.starts_with("x") or {_ELSE};', "deny"),
    ("with an unknown predicate", f'check if {_WAY} or user("eve") or {_ELSE};', "allow"),
    ("with a name as a variable", f"check if {_WAY} or arg_int($k, $v) or {_ELSE};", "allow"),
    ("with a time", f"check if {_WAY} or time($t) or {_ELSE};", "allow"),
    ("with a designation", f'check if {_WAY} or designation("anchor", "mail") or {_ELSE};', "allow"),
    ("with a limit", f'check if {_WAY} or limit("{"0" * 32}", "calls", 1) or {_ELSE};', "allow"),
    ("that all facts must satisfy", f"check all {_WAY};", "allow"),
    ("that none may satisfy", f"reject if {_WAY};", "deny"),
]


def _refused(file: Capabilities) -> None:
    """What a check may not say: in the first block, and in a later one."""
    keys = {"key": HOLDERS[0]}
    file.token("t, closed", "t(x: anything), by hand", lambda: root_block(f"{FIRST}{CLOSED};"))
    file.case("t, closed", "t, closed", {"x": 5})
    for odd, source, engine in _ODD:
        differs = "it is outside of the profile" if engine == "allow" else ""
        for where in ("first", "later"):
            name = f"a choice {odd}, in the {where} block"

            def make(source: str = source, where: str = where) -> str:
                if where == "first":
                    return root_block(f"{FIRST}{CLOSED};{source}", used(source, keys))
                public = {one: pair.public for one, pair in used(source, keys).items()}
                return forge.append_source(file.read("t, closed"), source, public)

            file.token(name, source, make)
            file.case(name, name, {"x": 5}, "outside_profile", engine=engine, differs=differs)
    for name, source in {
        "a choice beside no pattern": f"check if {_LEFT} or {_WAY} or {_ELSE};",
        "a choice of names beside no pattern": f'check if arg_names($n), {{"x"}}.contains($n) or {_ELSE};',
        "a choice about an object without a right": (
            f'{CLOSED}; check if {_WAY} or resource($r), !{{"tool:t", "tool:u"}}.contains($r);'
        ),
    }.items():
        file.token(name, source, partial(root_block, FIRST + source))
        differs = "it is outside of the profile"
        file.case(name, name, {"x": 5}, "outside_profile", engine="allow", differs=differs)
