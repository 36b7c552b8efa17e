"""Vectors of constraints on numbers, dates and structures: of each, what passes and what does not."""

from __future__ import annotations

from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Any

from hessra_agents import grant, must
from tests.vectors.material import NOW, bearer

if TYPE_CHECKING:
    from hessra_agents.grants.vocabulary.constraints import Constraint
    from tests.vectors.capabilities import Capabilities

__all__ = ["cases"]

_LINE = must.fields(
    sku=must.starts_with("A"), price=must.number(0, Decimal("99.90")), note=must.optional("x")
)

_CONSTRAINTS: list[tuple[str, Constraint, list[Any], list[Any]]] = [
    (
        "number",
        must.between(0, Decimal("99.90")),
        [0, 99.9, 99.90, 1e-300, 99],
        [99.91, 99.90000000000002, -1e-300, 100, "1", None, True, 1e300],
    ),
    ("number above and below", must.number(above=0, below=1), [0.5, 1e-9, 0.999], [0, 1, 1.0, -0.0]),
    ("number of places", must.number(0, 10, places=2), [0, 9.99, 10, 1.5], [9.999, 0.001, 10.01, "1.00"]),
    ("number of no places", must.number(places=0), [0, -5, 1e15], [0.5, 2**63, None]),
    (
        "date",
        must.date(not_before="2026-01-01", not_after="2026-12-31"),
        ["2026-01-01", "2026-12-31", "2026-02-28"],
        ["2025-12-31", "2027-01-01", "2026-02-29", "2026-1-1", "20260101", "2026-01-01T00:00:00Z", 20454],
    ),
    (
        "instant",
        must.instant(not_before="2026-12-01T00:00:00Z", not_after="2026-12-02T00:00:00Z"),
        ["2026-12-01T00:00:00Z", "2026-12-01T01:00:00+01:00", "2026-12-01T23:59:59.999999999Z"],
        [
            "2026-11-30T23:59:59.9Z",
            "2026-12-02T00:00:00.000000001Z",
            "2026-12-01T00:00:00",
            "2026-12-01T00:00:00-00:00",
            "2026-12-01T24:00:00Z",
            "2026-12-01 00:00:00Z",
            "2026-12-01",
        ],
    ),
    (
        "each object",
        must.each(_LINE),
        [
            [{"sku": "A1", "price": 1}],
            [{"sku": "A", "price": 0.5, "note": "x"}, {"sku": "A", "price": 99.9}],
        ],
        [
            [],
            [{"sku": "B", "price": 1}],
            [{"sku": "A", "price": 100}],
            [{"sku": "A", "price": 1, "note": "y"}],
            [{"sku": "A", "price": 1}, 1],
            {"sku": "A", "price": 1},
        ],
    ),
    ("each number", must.each(must.number(0, Decimal("1.5"))), [[0, 1.5, 0.25]], [[1.51], [-0.1], ["1"], []]),
    (
        "each date",
        must.each(must.date(not_before="2026-01-01")),
        [["2026-01-01", "2027-05-05"]],
        [["2025-12-31"], [1]],
    ),
    ("each in a list", must.each(must.each(must.between(0, 9))), [[[0, 9], [1]]], [[[10]], [[], "1"], [1]]),
    ("each once", must.each(must.between(0, 9), unique=True), [[1, 2], [9]], [[1, 1], [1, 2, 1.0], []]),
    (
        "mapping",
        must.mapping(keys=must.one_of("a", "b/c", "~"), values=must.max_length(3), at_most=2),
        [{}, {"a": "abc"}, {"b/c": "", "~": "x"}],
        [{"d": "x"}, {"a": "abcd"}, {"a": 1}, {"a": "", "b/c": "", "~": ""}, [], None],
    ),
    (
        "mapping of objects",
        must.mapping(values=must.fields(n=must.between(0, 9))),
        [{"x": {"n": 1}, "y": {"n": 9}}],
        [{"x": {"n": 10}}, {"x": 1}],
    ),
    (
        "matches",
        must.matches("[A-Z]{2}-[0-9]{1,6}"),
        ["AB-1", "ZZ-123456"],
        ["AB-", "AB-1234567", "ab-1", "AB-1\n", " AB-1", "AB-\N{ARABIC-INDIC DIGIT ONE}", "", 1, ["AB-1"]],
    ),
    (
        "each matches",
        must.each(must.matches("[a-c]{1,2}")),
        [["a", "bc"]],
        [[], ["d"], ["a", 1], "a", ["a\n"]],
    ),
    ("contains", must.contains("me"), ["me", "acme"], ["m e", "ME", "", 1, ["me"]]),
    ("not one of", must.not_one_of(1, 2), [0, 3, -1], [1, 2, "3", True, None, 1.5]),
    ("not one of some strings", must.not_one_of("a", free_text=True), ["b", "A", ""], ["a", 1, None]),
    ("hex", must.hex("AB12"), ["ab12", "AB12"], ["ab13", "0xab12", "ab12 ", "ab12\n", "", 12]),
    (
        "a plain line",
        must.command_line("/bin/ls", rest="-l"),
        ["/bin/ls", "/bin/ls -l"],
        ["/bin/ls;id", "/bin/ls  -l", "/bin/ls -l\n", "/bin/ls $x", ["/bin/ls"], 1],
    ),
    ("host", must.host("api.acme.com"), ["api.acme.com", "API.acme.com"], ["acme.com", "api.acme.com.", "x"]),
    ("nullable", must.nullable(must.at_most(9)), [None, 9], [10, "null", False, []]),
    ("either", must.at_most(9) | must.starts_with("a"), [9, "ab"], [10, "b", None, ["a"]]),
    ("length", must.length(1, 3), ["a", "abc", [1], [1, 2, 3]], ["", "abcd", [], [1] * 4, 2, None]),
    ("non-empty", must.non_empty(), ["a", [None]], ["", [], {}, {"a": 1}, 1, None]),
    ("a file below", must.under("/d", ending=".csv"), ["/d/a.csv", "/d/e/a.csv"], ["/d/a.txt", "/e/a.csv"]),
    ("directly in", must.directly_in("/d"), ["/d/a"], ["/d", "/d/e/a", "/e/a", "/d/../a", "d/a"]),
    ("relative", must.relative("r"), ["r", "r/a"], ["a", "/r/a", "r/../a", "./r", "", "r//a"]),
    (
        "hosts below a domain",
        must.url("*.acme.com"),
        ["https://a.acme.com/", "https://a.b.acme.com/x"],
        [
            "https://acme.com/",
            "https://evilacme.com/",
            "https://a.acme.com.evil.example/",
            "http://a.acme.com/",
        ],
    ),
    (
        "addresses below a domain",
        must.email("*.acme.com"),
        ["a@b.acme.com"],
        ["a@acme.com", "a@evilacme.com", "a@b.acme.com.evil.example"],
    ),
    (
        "a URL of an address",
        must.ip_url("10.0.0.5", "::1"),
        ["https://10.0.0.5/a", "https://[::1]/"],
        ["https://10.0.0.6/", "https://10.0.0.5.evil.example/", "https://[0:0::1]/", "https://167772165/"],
    ),
]


def cases(file: Capabilities) -> None:
    """Every constraint, allowed and refused."""
    for name, what, allowed, refused in _CONSTRAINTS:
        file.token(name, f"t(x: {what.words})", partial(bearer, grant("t", x=what)))
        for index, value in enumerate(allowed):
            file.case(f"{name}, allowed {index}", name, {"x": value})
        for index, value in enumerate(refused):
            file.case(f"{name}, refused {index}", name, {"x": value}, "constraint")
        file.case(f"{name}, missing", name, {}, "missing_argument")
    extra = [{"sku": "A", "price": 1, "more": 1}]
    file.case("each object, one field more", "each object", {"x": extra}, "unnamed_argument")
    file.case("each object, one field less", "each object", {"x": [{"sku": "A"}]}, "missing_argument")
    empty: dict[str, Any] = {"x": {"y": {}}}
    file.case("mapping of objects, one field less", "mapping of objects", empty, "missing_argument")
    same = "the same as another"
    file.token(
        same,
        "t(x: the same as y.z; y: an object with z)",
        lambda: bearer(grant("t", x=must.same_as("/y/z"), y=must.fields(z=must.anything()))),
    )
    for value in (1, "a", None, {"b": [1.5]}):
        file.case(f"{same}, {value}", same, {"x": value, "y": {"z": value}})
    for one, other in ((1, "1"), (1, True), ("a", "A"), ({}, [])):
        file.case(f"{same}, {one} and {other}", same, {"x": one, "y": {"z": other}}, "constraint")
    file.token(
        "omitted",
        "t(x: omitted or anything; y: anything), then x omitted",
        lambda: bearer(grant("t", x=must.optional(), y=must.anything())).attenuate(
            grant("t", x=must.omitted()), now=NOW
        ),
    )
    file.case("omitted", "omitted", {"y": 1})
    for value in (None, 1, "", {}):
        file.case(f"omitted, and it is {value!r}", "omitted", {"x": value, "y": 1}, "unnamed_argument")
