"""Constraints: for each, what it takes and what it refuses, and what cannot be said with it."""

# ruff: noqa: E501
from __future__ import annotations

import dataclasses
import enum
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import PurePosixPath
from typing import Any, Literal
from uuid import UUID

import pytest

from hessra_agents import Call, Grant, grant, must
from hessra_agents.grants.describe_grants import describe_branch
from hessra_agents.grants.grants import resource
from hessra_agents.grants.vocabulary.constraints import Constraint
from tests.support.products import branches


def allows(constraint: object, value: object) -> bool:
    """Whether a call with this value matches a grant with this constraint, by the decision on data."""
    call = Call.of("t", {"x": value})
    return any(not branch.failing(call) for branch in branches(grant("t", x=constraint), closed=True))


class Size(enum.Enum):
    """An enum whose value is a string."""

    SMALL = "small"


@dataclasses.dataclass
class Point:
    """A dataclass is an object of its fields."""

    x: int
    y: int


@dataclasses.dataclass(frozen=True)
class Row:
    """A constraint with the values that it takes and refuses."""

    constraint: object
    takes: list[Any]
    refuses: list[Any]


BIG = 2**63
TABLE = [
    Row("a", ["a"], ["b", "A", "a ", "", ["a"], 1, None, True]),
    Row(1, [1, 1.0], ["1", True, 2, 1.5, None, [1]]),
    Row(True, [True], [1, "true", False, None]),
    Row(None, [None], ["", 0, False, "null"]),
    Row(1.5, [1.5], [1, 1.25, "1.5"]),
    Row(BIG, [BIG], [BIG + 1, str(BIG), float(BIG)]),
    Row([1, "a"], [[1, "a"]], [["a", 1], [1], "[1,\"a\"]"]),
    Row({"b": 1, "a": [2]}, [{"a": [2], "b": 1}], [{"a": [2]}, {"a": [2], "b": 1, "c": 0}]),
    Row(PurePosixPath("/a/b"), ["/a/b"], ["/a"]),
    Row(UUID(int=1), [str(UUID(int=1))], [1]),
    Row(Size.SMALL, ["small"], ["SMALL"]),
    Row(Decimal("1.10"), ["1.10"], ["1.1", 1.1]),
    Row(Point(1, 2), [{"x": 1, "y": 2}], [{"x": 1}]),
    Row(must.one_of("a", "b"), ["a", "b"], ["c", "ab", "", ["a"]]),
    Row(must.one_of(1, 2), [1, 2], [3, "1", True]),
    Row(must.one_of("a", 1, None, True, 2.5, BIG), ["a", 1, None, True, 2.5, BIG], ["1", False, 2, [], "null"]),
    Row(must.anything(), ["a", None, [], {}, 0], []),
    Row(must.starts_with("ab"), ["ab", "abc"], ["a", "b", "", 1, ["ab"]]),
    Row(must.ends_with("yz"), ["yz", "xyz"], ["y", "yza", 1]),
    Row(must.under("/srv/data"), ["/srv/data", "/srv/data/a"], ["/srv/data2", "/srv", "/srv/data/", "/srv/data/../a"]),
    Row(must.under("/"), ["/", "/a"], ["a", "//", "/a//b", ""]),
    Row(must.between(1, 3), [1, 2, 3], [0, 4, 1.5, "2", True, BIG]),
    Row(must.at_least(1), [1, BIG - 1], [0, BIG, "1"]),
    Row(must.at_most(-1), [-1, -BIG], [0, -BIG - 1]),
    Row(must.between(0, 99.9), [0, 99.9, 99, 1.25, 5e-324, 0.1 + 0.2], [-1, 100, 99.91, -5e-324, 1e300, True, "1", None]),
    Row(must.between(0, Decimal("99.90")), [99.9, 0], [99.90000000000002, "99.9", Decimal("99.9")]),
    Row(must.at_least(0.5), [0.5, 1, 10**17], [0.4999999999999999, 10**18, float(10**22), "1"]),
    Row(must.at_most(0.3), [0.3, -5, -1e-300], [0.1 + 0.2, 1, False]),
    Row(must.number(above=0, below=1), [0.5, 5e-324, 0.9999999999999999], [0, 1, -0.5, 1e-400, True]),
    Row(must.number(low=-0.5, below=0), [-0.5, -1e-9], [-0.51, 0, -0.0]),
    Row(must.number(above=2, high=3), [2.000000001, 3, 3.0], [2, 2.0, 3.000000001]),
    Row(must.number(0, 500, places=2), [0, 12.5, 12.55, 500], [12.555, 0.001, -0.01, 500.01, 1e-9, "12.50"]),
    Row(must.number(places=0), [0, -7, 7.0], [0.5, BIG, "7"]),
    Row(must.number(), [0, 0.5, -1e18, 2**63 - 1, 5e-324], [2**63, 1e300, "1", True, None]),
    Row(must.date(), ["0001-01-01", "9999-12-31"], ["2026-02-30", 0]),
    Row(must.instant(), ["0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59.9Z"], ["2026-12-24"]),
    Row(must.date(not_before="2026-12-01", not_after=date(2026, 12, 31)), ["2026-12-01", "2026-12-31"], ["2026-11-30", "2027-01-01", 20789, "2026-12-24T00:00:00Z", "2026-12-24 ", "2026-12-9"]),
    Row(must.date(after="2026-12-01", before="2026-12-03"), ["2026-12-02"], ["2026-12-01", "2026-12-03", None]),
    Row(must.date(not_after="0001-01-01"), ["0001-01-01"], ["0000-12-31", "0001-01-02", "-001-01-01"]),
    Row(must.instant(not_before="2026-12-24T10:00:00Z", before="2026-12-24T11:00:00Z"), ["2026-12-24T10:00:00Z", "2026-12-24T11:00:00+01:00", "2026-12-24T10:59:59.999999999Z"], ["2026-12-24T11:00:00Z", "2026-12-24T09:59:59.9Z", "2026-12-24T10:30:00", "2026-12-24", 1798106400]),
    Row(must.instant(after="2026-12-24T10:00:00Z", not_after="2026-12-24T11:00:00Z"), ["2026-12-24T10:00:00.000000001Z", "2026-12-24T11:00:00.000Z"], ["2026-12-24T10:00:00Z", "2026-12-24T11:00:00.1Z"]),
    Row(must.instant(not_before="2026-12-24T10:00:00.5Z"), ["2026-12-24T10:00:01Z"], ["2026-12-24T10:00:00.9Z"]),
    Row(must.max_length(2), ["", "ab", "é€", [1, 2]], ["abc", [1, 2, 3], 12, {}]),
    Row(must.min_length(2), ["ab", "é€", "\N{GRINNING FACE}x", [1, 2], [None] * 3], ["", "a", "é", "\N{GRINNING FACE}", [], [[1, 2]], 12, None, True, {"a": 1, "b": 2}]),
    Row(must.non_empty(), ["a", " ", "\0", [[]]], ["", [], {}, {"a": 1}, 0, 1, None, False, True]),
    Row(must.length(1, 2), ["a", "ab", [0], ["a", "b"]], ["", "abc", [], [1, 2, 3], 1, 12, None, {}, {"a": 1}, True]),
    Row(must.length(2, 2), ["ab", [1, 2]], ["a", "abc", [], [1], "", 2, None, {"a": 1, "b": 2}, ["ab"], True]),
    Row(must.length(0, 0), ["", []], [" ", [None], None, 0, {}, False, "\0", [[]], "null", 0.5]),
    Row(must.nullable("a"), ["a", None], ["", "null", "None", 0, False, [], {}, [None], "b", ["a"]]),
    Row(must.nullable(must.at_most(1)), [0, None, -5], [2, "1", "", False, 1.5, [], [0], "null", {}, True]),
    Row(must.nullable(must.fields(a=1, b=must.optional(2))), [None, {"a": 1}, {"a": 1, "b": 2}], [{}, {"a": None}, {"a": 1, "b": None}, {"a": 1, "c": 1}, "", [], [None], 0, False, "null"]),
    Row(must.exact("a") | must.at_most(3), ["a", 3], ["b", 4, None, "", True, [], ["a"], "3", 3.5, {}]),
    Row((must.starts_with("a") & must.max_length(2)) | must.one_of(1, 2), ["a", "ab", 1, 2], ["abc", "b", 3, "1", True, None, "", [1], {}, 1.5]),
    Row((must.exact("a") | must.exact("b")) & must.one_of("b", "c"), ["b"], ["a", "c"]),
    Row(must.exact(1) | must.exact("x") | must.exact(None), [1, "x", None], [True, 0, "", "1", [], [1], {}, 1.5, "y", False]),
    Row(must.fields(a=must.omitted(), b=1), [{"b": 1}], [{"a": 1, "b": 1}, {"a": None, "b": 1}, {}, {"a": None}]),
    Row(must.under("/d", ending=".csv"), ["/d/a.csv", "/d/e/.csv", "/d/a.tar.csv"], ["/d", "/d/a.CSV", "/d/a.csv/", "/d/a.csv/b", "/e/a.csv", "/d/../a.csv", "/d.csv", "d/a.csv", "/d/acsv", "/d/a.csv%2F", "/d/a.csv ", "/d/a.csv\0", ["/d/a.csv"], None]),
    Row(must.under("/d", ending="a"), ["/d/a", "/d/ba", "/d/b/a"], ["/d", "/da", "/a"]),
    Row(must.directly_in("/d"), ["/d/a", "/d/.a", "/d/a b"], ["/d", "/d/", "/d/a/", "/d/e/a", "/d/..", "/d/../d/a", "/d//a", "/d2/a", "/a", "d/a", "/d/a%2Fb", "/d/\uff0e\uff0e", "/D/a", None, ["/d/a"]]),
    Row(must.directly_in("/"), ["/a", "/a.csv"], ["/", "//", "/a/b", "a", "", "/..", "/a/", "/~", "/a\\b", "/%2e%2e"]),
    Row(must.directly_in("/d", ending=".csv"), ["/d/a.csv"], ["/d/a.txt", "/d/e/a.csv", "/a.csv", "/d/a.csv/b", "/d.csv"]),
    Row(must.relative(), ["a", "a/b.csv", ".a", "...", "a b", "b/c", "a/c:d"], ["", "/", "/a", "a/", "./a", "..", "../a", "a/../b", "a//b", "~/a", "~", "C:/a", "C:a", "http:a", "-a", "a\\b", "a%2Fb", "%2e%2e/a", " a", "a\n", "\uff0fa", "%2Da", "\uff0da", "a\uff1ab", "C%3Aa", "C%253Aa", None, ["a"], 1]),
    Row(must.relative("r"), ["r", "r/a", "r/a/b"], ["r2", "R/a", "/r/a", "a/r", "./r/a", "r/../a", "r/", "r//a", "", "..", "r/.."]),
    Row(must.relative("r/s", ending=".csv"), ["r/s/a.csv"], ["r/s", "r/a.csv", "r/s/a.txt", "r/s/a.csv/b", "r/s/a.csv/", "s/a.csv"]),
    Row(must.relative(ending=".md"), ["a.md", "a/.md"], ["a", "/a.md", "a.md/b", "../a.md", "a.MD", "-.md", "c:.md", "a.md\0", "", ".md/"]),
    Row(must.url("*.h.de"), ["https://a.h.de", "https://a.b.h.de/x?y", "https://a.h.de:443/"], ["https://h.de/", "https://ah.de", "https://.h.de/", "https://*.h.de/", "http://a.h.de/", "https://a.h.de:444/", "https://a.h.de.evil.io", "https://evil.io/.h.de", "https://evil.io/a.h.de:443", "https://u@a.h.de/", "https://evil.io?.h.de:443", "https://evil.io#.h.de:443", "https://A.h.de/", "https://a.h.de./", "https://xn--a.h.de/", "https://10.0.0.5.h.de."]),
    Row(must.url("*.h.de", "i.de", scheme="http", ports=[80, 8080], under="/p"), ["http://a.h.de/p", "http://a.h.de:8080/p/q", "http://i.de:8080/p"], ["http://h.de/p", "http://a.h.de:81/p", "http://a.h.de/pp", "http://a.i.de/p", "https://a.h.de:80/p", "http://i.de:443/p"]),
    Row(must.each(must.url("*.h.de")), [["https://a.h.de", "https://b.h.de/x"]], [["https://a.h.de", "https://h.de"], [], ["http://a.h.de"]]),
    Row(must.ip_url("10.0.0.5"), ["https://10.0.0.5", "https://10.0.0.5:443/a?b"], ["https://10.0.0.50/", "http://10.0.0.5/", "https://10.0.0.05/", "https://010.0.0.5/", "https://167772165/", "https://0xa.0.0.5/", "https://10.5/", "https://10.0.0.5./", "https://10.0.0.5.nip.io/", "https://u@10.0.0.5/", "https://[::ffff:10.0.0.5]/", "https://[::ffff:a00:5]/", "https://１0.0.0.5/", "https://10.0.0.5#x", "https://10.0.0.5/../x"]),
    Row(must.ip_url("::1", "2001:db8::1", scheme="http", ports=[8080], under="/v1"), ["http://[::1]:8080/v1", "http://[2001:db8::1]:8080/v1/x"], ["http://[::1]/v1", "http://[0:0:0:0:0:0:0:1]:8080/v1", "http://[::0001]:8080/v1", "http://[2001:DB8::1]:8080/v1", "http://[2001:db8:0:0:0:0:0:1]:8080/v1", "http://[2001:db8::0:1]:8080/v1", "http://[::1%25lo]:8080/v1", "http://::1:8080/v1", "http://[::1]:8080/v10", "http://[::1].h.de:8080/v1", "http://[v1.x]:8080/v1", "http://[::1]:08080/v1"]),
    Row(must.email("*.x.de"), ["a@b.x.de", "a@c.b.x.de"], ["a@x.de", "a@bx.de", "a@.x.de", "a@*.x.de", "a@b.x.de.io", "a@y.de", "a@b.X.de", "a@b.x.de,c@evil.io", "<a@b.x.de>", "a@b.x.de\n", "b.x.de", "a@evil.io@b.x.de"]),
    Row(must.email("*.x.de", "x.de", "a@y.de"), ["a@b.x.de", "a@x.de", "a@y.de"], ["b@y.de", "a@z.de", "a@b.y.de"]),
    Row(must.email("*@x.de"), ["*@x.de"], ["a@x.de"]),
    Row(must.each(must.directly_in("/d")), [["/d/a", "/d/b"]], [["/d/a", "/d/e/b"], ["/d"], [], "/d/a"]),
    Row(must.each(must.relative("r")), [["r/a", "r"]], [["r/a", "../r"], ["/r/a"], []]),
    Row(must.each(must.ip_url("::1")), [["https://[::1]/a"]], [["https://[::1]/a", "https://h.de/"], []]),
    Row(must.url("h.de"), ["https://h.de", "https://h.de/a?q=1", "https://h.de:443/"], ["http://h.de/", "https://H.de/"]),
    Row(must.url("h.de", "i.de", scheme="http", ports=[8080]), ["http://i.de:8080/x"], ["http://i.de/x", "https://i.de:8080/"]),
    Row(must.url("h.de", under="/v1"), ["https://h.de/v1", "https://h.de/v1/a"], ["https://h.de/v10", "https://h.de/"]),
    Row(must.email("x.de"), ["a@x.de"], ["a@y.de", "a@x.de,b@x.de", "A <a@x.de>", "a@sub.x.de", "x.de"]),
    Row(must.email("a@x.de", "y.de"), ["a@x.de", "b@y.de"], ["b@x.de"]),
    Row(must.subset_of("a", "b"), [["a"], ["b", "a", "a"]], [[], ["c"], "a", ["a", 1]]),
    Row(must.subset_of(1, 2, empty=True), [[], [1]], [[3], [True], ["1"]]),
    Row(must.each("a"), [["a"], ["a", "a"]], [[], ["a", "b"]]),
    Row(must.each(must.between(0, 2)), [[0, 2]], [[3], [1, "1"], [True], []]),
    Row(must.each(must.under("/d")), [["/d/a", "/d"]], [["/d", "/e"], ["d"]]),
    Row(must.each(must.email("x.de")), [["a@x.de", "b@x.de"]], [["a@x.de", "b@y.de"]]),
    Row(must.each(must.url("h.de", under="/p")), [["https://h.de/p/1"]], [["https://h.de/p", "https://h.de/q"]]),
    Row(must.each(must.max_length(1)), [["a", ""], [[1], "b"]], [["ab"], [1]]),
    Row(must.each(must.starts_with("a") & must.ends_with("z")), [["az", "abz"]], [["az", "a"]]),
    Row(must.each(must.anything()), [[None, 1, {}], ["a"]], [[], "ab", {"a": 1}, None, [0] * 513]),
    Row(must.each(must.anything(), empty=True), [[], [[]]], ["", {}]),
    Row(must.each(True), [[True, True]], [[1], ["true"], [True, False], []]),
    Row(must.each(None), [[None]], [["null"], [False], [None, 0]]),
    Row(must.each(1.5, empty=True), [[1.5], []], [["1.5"], [1]]),
    Row(must.subset_of("a", 1, None), [["a", 1, None], [None]], [["1"], [True], ["null"], []]),
    Row(must.each(must.at_least(1) & must.one_of(0, 1, 2)), [[1, 2]], [[0], [3], [True]]),
    Row(must.each(must.at_most(BIG - 1), empty=True), [[], [BIG - 1, -BIG]], [[BIG], [1.5], [-BIG - 1], [None]]),
    Row(must.each(must.one_of(1, 2), unique=True), [[1, 2], [2]], [[1, 1], [1, 1.0], [1, 2, 1], []]),
    Row(must.each(must.anything(), unique=True), [[1, "1", True, None]], [[{"a": 1, "b": 2}, {"b": 2, "a": 1}], [[], []]]),
    Row(must.each(must.number(0, Decimal("99.90"))), [[0, 99.9, 0.1], [1.25]], [[], [100], [99.9, 99.91], [-0.1], ["1"], [True], [1e300], [None]]),
    Row(must.each(must.number(above=0, below=1, places=2)), [[0.5, 0.01]], [[0], [1], [0.5, 0.555], [0.001]]),
    Row(must.each(must.number(above=0, below=1)), [[0.5, 0.999, 1e-300]], [[0.5, 0], [0.5, 1], [-1e-300]]),
    Row(must.each(must.date(not_before="2026-12-01", not_after="2026-12-24")), [["2026-12-24", "2026-12-01"]], [["2026-12-25"], ["2026-12-1"], ["2026-12-24", "2026-11-30"], [1]]),
    Row(must.each(must.fields(price=must.between(0, Decimal("9.99")), day=must.optional(must.date(not_before="2026-12-01")))),
        [[{"price": 9.99}, {"price": 0, "day": "2027-01-01"}]], [[{"price": 9.991}], [{"price": 1, "day": "2026-11-30"}], [{"price": "1"}], [{}]]),
    Row(must.each(must.each("a")), [[["a"], ["a", "a"]]], [[["a"], []], [["a"], "a"], ["a"], [[["a"]]], [], {"~*": ["a"]}]),
    Row(must.each(must.each("a", empty=True)), [[["a"], []], [[]]], [[], [{}], [""]]),
    Row(must.each(must.fields()), [[{}, {}]], [[], [{"a": 1}], [None], [[]], ["{}"], {}]),
    Row(
        must.each(must.fields(sku=must.one_of("A", "B"), qty=must.between(1, 5), note=must.optional(must.max_length(3)))),
        [[{"sku": "A", "qty": 1}], [{"sku": "B", "qty": 5, "note": "abc"}, {"sku": "A", "qty": 2}], [{"sku": "A", "qty": 1, "note": [1]}]],
        [
            [], [{}], [{"sku": "A"}], [{"sku": "A", "qty": 1}, {"sku": "B"}], [{"sku": "A", "qty": 0}], [{"sku": "A", "qty": True}],
            [{"sku": "A", "qty": "1"}], [{"sku": "C", "qty": 1}], [{"sku": "A", "qty": 1, "admin": True}], [{"sku": "A", "qty": 1}, "A"],
            [{"sku": "A", "qty": 1, "note": "long"}], [{"sku": "A", "qty": 1, "note": None}], [[{"sku": "A", "qty": 1}]], {"sku": "A", "qty": 1},
            {"0": {"sku": "A", "qty": 1}}, {"~*": [{"sku": "A", "qty": 1}]}, {"*": {"sku": "A", "qty": 1}}, {"": {"sku": "A", "qty": 1}},
            [{"sku": "A", "qty": 1, "~*": 1}], [{"sku": "A", "qty": 1, "": 1}], [{"sku": ["A"], "qty": 1}], [{"ѕku": "A", "qty": 1}],
            [{"sku": "A", "qty": 1, "note~?": "x"}], [{"sku": "A", "qty": 1}] * 513, [None], None, "[]",
        ],
    ),
    Row(must.each(must.fields({"a/b": 1, "~": must.optional(2), "~*": must.optional(3), "": must.optional(4)})),
        [[{"a/b": 1}, {"a/b": 1, "~": 2, "~*": 3, "": 4}]], [[{"a/b": 1, "~*": 4}], [{"a/b": 1, "": 3}], [{"a/b": 1, "~0": 2}], [{"a": {"b": 1}}]]),
    Row(must.each(must.fields(a=must.anything(), b=must.optional())), [[{"a": None}, {"a": [], "b": 1}]], [[{"a": 1}, {"b": 1}], [{"a": 1, "c": 1}]]),
    Row(must.each(must.fields(o=must.optional(must.fields(a=1, b=must.optional(2))))),
        [[{}, {"o": {"a": 1}}, {"o": {"a": 1, "b": 2}}], [{}]], [[{"o": {}}], [{"o": {"a": 1}}, {"o": {"b": 2}}], [{"o": 1}], [{"o": {"a": 1, "c": 1}}], [{"o": None}]]),
    Row(must.each(must.fields(t=must.optional(must.each(must.at_most(2))))), [[{"t": [1, 2]}, {}]], [[{"t": []}, {}], [{"t": [3]}], [{"t": 1}], [{"t": {}}]]),
    Row(must.fields(l=must.each(must.fields(a=1))), [{"l": [{"a": 1}]}], [{"l": []}, {"l": [{}]}, {}]),
    Row(must.mapping(), [{}, {"a": None}, {str(i): 0 for i in range(600)}], [[], "a", None]),
    Row(must.mapping(keys=must.one_of("a", "~"), values=must.at_most(1), at_most=2), [{}, {"a": 1}, {"a": 1, "~": 0}],
        [{"b": 1}, {"a": 2}, {"a": "1"}, {"a": True}, {"~0": 1}, [1], [["a", 1]], None, "a", {"a": {"a": 1}}]),
    Row(must.mapping(at_most=1), [{}, {"a": [1, 2]}], [{"a": 1, "b": 1}, [], [1], "a"]),
    Row(must.mapping(keys=must.starts_with("x-"), values=must.max_length(2)), [{"x-a": "ab"}, {}], [{"y": "ab"}, {"x-a": "abc"}, {"x-a": 1}, {f"x-{i}": "" for i in range(513)}]),
    Row(must.mapping(values=must.fields(n=must.at_least(0))), [{"a": {"n": 0}, "~v": {"n": 1}}], [{"a": {"n": -1}}, {"a": {}}, {"a": {"n": 0}, "b": 0}, [{"n": 0}]]),
    Row(must.mapping(values=must.subset_of("a")), [{"k": ["a"]}, {}], [{"k": []}, {"k": ["b"]}, {"k": "a"}]),
    Row(must.each(must.mapping(values=1, at_most=1)), [[{}, {"a": 1}]], [[{"a": 1, "b": 1}], [{"a": 2}], [[]], []]),
    Row(must.fields(a=1), [{"a": 1}], [{}, {"a": 2}, {"a": 1, "b": 2}, [], None, "a"]),
    Row(must.fields({"a/b": "x", "~": 1}), [{"a/b": "x", "~": 1}], [{"a": {"b": "x"}, "~": 1}]),
    Row(must.fields(a=must.fields(b=must.at_most(1))), [{"a": {"b": 1}}], [{"a": {"b": 2}}, {"a": {}}, {"a": 1}]),
    Row(must.fields(a=must.optional(1), b=must.anything()), [{"b": 0}, {"a": 1, "b": 0}], [{"a": 2, "b": 0}, {"a": 1}]),
    Row(must.fields(), [{}], [{"a": 1}, []]),
    Row(must.command("/bin/ls"), [["/bin/ls"]], [["/bin/ls", "a"], ["ls"], "/bin/ls", [], ["/usr/bin/ls"]]),
    Row(must.command("/bin/ls", "-l", must.under("/d")), [["/bin/ls", "-l", "/d/a"]], [["/bin/ls", "/d/a"], ["/bin/ls", "-l", "/e"]]),
    Row(must.command("/bin/ls", must.anything()), [["/bin/ls", "a"]], [["/bin/ls", "-a"], ["/bin/ls", ""], ["/bin/ls"]]),
    Row(must.command("/bin/ls", rest=must.starts_with("a")), [["/bin/ls"], ["/bin/ls", "a", "ab"]], [["/bin/ls", "b"]]),
    Row(must.command("/bin/ls", "-l", rest=must.one_of("-a", "x")), [["/bin/ls", "-l", "-a", "x"]], [["/bin/ls", "-a"]]),
    Row(must.matches("[A-Z]{2}-[0-9]{1,6}"), ["AB-1", "ZZ-123456"], ["AB-", "AB-1234567", "ab-1", "AB-1\n", " AB-1", "AB\N{EN DASH}1", "AB-\N{ARABIC-INDIC DIGIT ONE}", "\N{FULLWIDTH LATIN CAPITAL LETTER A}B-1", "AB-1\x00", "", 1, None, ["AB-1"], {"AB-1": 1}]),
    Row(must.matches(r"v[0-9]\.[0-9]{1,2}"), ["v1.2", "v1.23"], ["v1x2", "v1.", "v1.234", "V1.2"]),
    Row(must.matches("[a-z_-]{0,3}"), ["", "a-_"], ["A", "abcd", "a b", "é"]),
    Row(must.each(must.matches("[a-z]{1,3}")), [["a", "abc"]], [[], ["a", "A"], ["a", 1], "a", {"a": 1}, ["a"] * 513, ["a\n"]]),
    Row(must.each(must.fields(id=must.matches("[0-9]?"))), [[{"id": "1"}, {"id": ""}]], [[{"id": 1}], [{}], [{"id": "12"}]]),
    Row(must.mapping(keys=must.matches("[a-z]{1,3}")), [{"a": 1}], [{"A": 1}, {"": 1}, {"abcd": 1}]),
    Row(must.contains("acme"), ["acme", "x acme y"], ["Acme", "ac me", "acm", "", ["acme"], {"acme": 1}, 1, None, True, "a\N{COMBINING ACUTE ACCENT}cme"]),
    Row(must.hex("AB12", "00"), ["ab12", "AB12", "aB12", "00"], ["ab13", "0xab12", "ab12 ", "ab12\n", " ab12", "ab1", "", "0", 0, "\N{FULLWIDTH DIGIT ZERO}0", None, ["ab12"], "ab12\x00"]),
    Row(must.host("Api.acme.com"), ["api.acme.com", "API.ACME.COM"], ["api.acme.com.", "api.acme.com:443", "acme.com", "x.api.acme.com", "api.acme.com\n", "https://api.acme.com", "api.acme.co\N{CYRILLIC SMALL LETTER EM}", "apı.acme.com", "", 1, None, ["api.acme.com"]]),
    Row(must.host("k.de"), ["k.de", "K.de"], ["\N{KELVIN SIGN}.de", "k。de", "xn--k.de"]),
    Row(must.not_one_of(1, 2), [0, 3, -1, 1e2], ["1", True, 1.0, 1, 1.5, None, 2**63, [3], {}, False]),
    Row(must.not_one_of("a", free_text=True), ["b", "A", "", "a "], ["a", 1, None, True, ["b"], {"b": 1}, 1.5]),
    Row(must.not_one_of(True), [False], [True, 0, None, "false"]),
    Row(must.command_line("/bin/ls", "-l", must.under("/d")), ["/bin/ls -l /d", "/bin/ls -l /d/a"], ["/bin/ls -l /d;id", "/bin/ls -l /d/$(id)", "/bin/ls -l /d/`id`", "/bin/ls  -l /d", "/bin/ls -l /d\nid", "/bin/ls -l '/d'", "/bin/ls -l /d/*", "/bin/ls -l /d|id", "/bin/ls -l /d>x", "/bin/ls -l ~", "/bin/ls -l /d /e", " /bin/ls -l /d", "/bin/ls -l /d/%PATH%", "/bin/ls -l /d/é", ["/bin/ls", "-l", "/d"], 1, None]),
    Row(must.starts_with("a") & must.max_length(2), ["a", "ab"], ["abc", "b"]),
    Row(must.at_least(0) & must.at_most(1) & must.one_of(1, 2), [1], [0, 2]),
]  # fmt: skip


@pytest.mark.parametrize(
    "row", TABLE, ids=[str(getattr(row.constraint, "words", row.constraint))[:60] for row in TABLE]
)
def test_a_constraint_takes_and_refuses(row: Row) -> None:
    """Each constraint with values on both sides of it."""
    assert [value for value in row.takes if not allows(row.constraint, value)] == []
    assert [value for value in row.refuses if allows(row.constraint, value)] == []


def test_an_omitted_argument_is_not_even_null() -> None:
    """In a grant that names every argument, and in a narrowing that names this one alone."""
    one = grant("t", x=must.omitted(), y=must.optional())
    for closed in (True, False):
        for arguments, expected in (({}, True), ({"y": 1}, True), ({"x": None}, False), ({"x": 1}, False)):
            call = Call.of("t", arguments)
            assert any(not branch.failing(call) for branch in branches(one, closed=closed)) is expected


def test_null_or_omitted_can_be_said_in_either_order() -> None:
    """Three ways: omitted, null, or what is said."""
    for constraint in (must.optional(must.nullable("a")), must.nullable(must.optional("a"))):
        one = grant("t", x=constraint)
        for arguments, expected in (({}, True), ({"x": None}, True), ({"x": "a"}, True), ({"x": "b"}, False)):
            call = Call.of("t", arguments)
            assert any(not branch.failing(call) for branch in branches(one, closed=True)) is expected


def test_a_choice_that_is_joined_grows_by_addition() -> None:
    """A choice of many is one part, and two of them are two."""
    many = must.exact(0)
    for n in range(1, 50):
        many = many | must.exact(n)
    parts = grant("t", x=many, y=many, z=must.optional(many)).parts(closed=True)
    assert sorted(map(len, parts)) == [1, 50, 50, 51]


def test_only_constraints_can_be_joined() -> None:
    """A plain value beside a sign is told how it is written."""
    for join in (lambda: must.non_empty() | "a", lambda: must.non_empty() & 5):  # type: ignore[operator]
        with pytest.raises(TypeError, match=r"must\.exact"):
            join()


def test_an_optional_argument_may_be_left_out() -> None:
    """Left out it matches; there it must hold; null is there."""
    one = grant("t", x=must.optional(must.at_most(1)))
    for arguments, expected in (({}, True), ({"x": 1}, True), ({"x": 2}, False), ({"x": None}, False)):
        call = Call.of("t", arguments)
        assert any(not branch.failing(call) for branch in branches(one, closed=True)) is expected


def _all_of(number: int) -> Constraint:
    """A constraint of this many parts."""
    joined = must.exact("a") | must.exact(1)
    for n in range(1, number):
        joined = joined & (must.exact("a") | must.exact(n))
    return joined


WRONG: list[tuple[str, Any]] = [
    ("an empty prefix", lambda: must.starts_with("")),
    ("a prefix that is not a string", lambda: must.starts_with(5)),  # type: ignore[arg-type]
    ("a range upside down", lambda: must.between(2, 1)),
    ("a range of numbers upside down", lambda: must.between(1.5, 1)),
    ("an empty range", lambda: must.number(above=1, below=1)),
    ("nothing between two cents", lambda: must.number(above=0.01, below=0.02, places=2)),
    ("two lower ends", lambda: must.number(1, above=2)),
    ("two upper ends", lambda: must.date(before="2026-12-01", not_after="2026-12-01")),
    ("no number", lambda: must.at_most(float("nan"))),
    ("no finite number", lambda: must.at_most(Decimal("-Infinity"))),
    ("a signal", lambda: must.at_most(Decimal("sNaN"))),
    ("a number of a billion digits", lambda: must.at_most(Decimal("1e1000000000"))),
    ("a number of a billion decimals", lambda: must.at_most(Decimal("1e-1000000000"))),
    ("ten decimals", lambda: must.at_most(Decimal("0.0000000001"))),
    ("a number past 64 bits", lambda: must.number(high=10**18)),
    ("more decimals than places", lambda: must.number(high=0.125, places=2)),
    ("ten places", lambda: must.number(high=1, places=10)),
    ("a boolean of places", lambda: must.number(high=1, places=True)),
    ("a number in a string", lambda: must.number("1")),  # type: ignore[arg-type]
    ("a date in a number", lambda: must.date(before=20789)),
    ("a day that does not exist", lambda: must.date(before="2026-02-29")),
    ("a datetime for a date", lambda: must.date(before=datetime(2026, 12, 24, tzinfo=UTC))),
    ("a date for a moment", lambda: must.instant(before=date(2026, 12, 24))),
    ("a time without a zone", lambda: must.instant(before=datetime(2026, 12, 24))),  # noqa: DTZ001
    ("days upside down", lambda: must.date(not_before="2026-12-02", not_after="2026-12-01")),
    ("a boolean as a bound", lambda: must.at_most(True)),
    ("a bound past 64 bits", lambda: must.at_most(BIG)),
    ("a negative length", lambda: must.max_length(-1)),
    ("a least length that is negative", lambda: must.min_length(-1)),
    ("a length that is no integer", lambda: must.length(1, 2.5)),  # type: ignore[arg-type]
    ("lengths upside down", lambda: must.length(3, 2)),
    ("an option in a choice", lambda: must.optional("a") | must.exact("b")),
    ("an omission in a choice", lambda: must.exact("b") | must.omitted()),
    ("an omission joined", lambda: must.omitted() & must.max_length(1)),
    ("an optional omission", lambda: must.optional(must.omitted())),
    ("each of an omission", lambda: must.each(must.omitted())),
    ("each of null or not", lambda: must.each(must.nullable("a"))),
    ("each of a choice of two", lambda: must.each(must.exact("a") | must.exact("b"))),
    ("a word that is omitted", lambda: must.command("/bin/ls", must.omitted())),
    ("choices that multiply", lambda: grant("t", x=_all_of(9) | _all_of(9) | _all_of(9)).parts(closed=True)),
    ("an ending of two components", lambda: must.under("/d", ending="/a")),
    ("no ending", lambda: must.under("/d", ending="")),
    ("an ending that no path has", lambda: must.relative(ending=".csv ")),
    ("a folder that is relative", lambda: must.directly_in("d")),
    ("a folder with a slash behind", lambda: must.directly_in("/d/")),
    ("a relative path that is absolute", lambda: must.relative("/d")),
    ("a relative path that climbs", lambda: must.relative("..")),
    ("an empty relative path", lambda: must.relative("")),
    ("a host of one label below a star", lambda: must.url("*.de")),
    ("a star alone", lambda: must.url("*")),
    ("a star in the middle", lambda: must.url("a.*.de")),
    ("a star in a label", lambda: must.url("a*.h.de")),
    ("two stars", lambda: must.url("*.*.h.de")),
    ("a star before an address", lambda: must.url("*.0.0.1")),
    ("a port that is none", lambda: must.url("h.de", ports=[0])),
    ("a port past the last", lambda: must.url("h.de", ports=[65536])),
    ("a port that is a string", lambda: must.url("h.de", ports=["80"])),  # type: ignore[list-item]
    ("no port", lambda: must.url("h.de", ports=[])),
    ("a path with a query", lambda: must.url("h.de", under="/a?b")),
    ("a host with a path", lambda: must.url("h.de/a")),
    ("no path", lambda: must.url("h.de", under="")),
    ("an address that is a name", lambda: must.ip_url("h.de")),
    ("an address with zeros", lambda: must.ip_url("10.0.0.05")),
    ("an address in brackets", lambda: must.ip_url("[::1]")),
    ("an address in its long form", lambda: must.ip_url("0:0:0:0:0:0:0:1")),
    ("an address in another", lambda: must.ip_url("::ffff:10.0.0.5")),
    ("a star before numbers", lambda: must.ip_url("*.10.0.0.5")),
    ("no address at all", lambda: must.ip_url()),
    ("a domain of one label below a star", lambda: must.email("*.de")),
    ("a domain that is a star", lambda: must.email("*")),
    ("one of nothing", lambda: must.one_of()),
    ("one of lists", lambda: must.one_of(["a"])),
    ("a relative root", lambda: must.under("data")),
    ("a root that climbs", lambda: must.under("/srv/../etc")),
    ("a URL without a host", lambda: must.url()),
    ("a URL for a host", lambda: must.url("https://h.de")),
    ("a host with a port", lambda: must.url("h.de:8080")),
    ("an upper-case host", lambda: must.url("H.de")),
    ("another scheme", lambda: must.url("h.de", scheme="ftp")),
    ("a numeric host", lambda: must.url("127.0.0.1")),
    ("no address", lambda: must.email()),
    ("a display name", lambda: must.email("Ana <a@x.de>")),
    ("a domain with an at", lambda: must.email("@x.de")),
    ("each of an option", lambda: must.each(must.optional("a"))),
    ("each of a choice", lambda: must.each(must.email("a@x.de", "y.de"))),
    ("each of an exact object", lambda: must.each({"a": 1})),
    ("each of a command", lambda: must.each(must.command("/bin/ls"))),
    ("each of a choice in an object", lambda: must.each(must.fields(a=must.email("a@x.de", "y.de")))),
    ("unique inside of each", lambda: must.each(must.each("a", unique=True))),
    ("a list in a list in a list", lambda: must.each(must.each(must.each("a")))),
    ("a list in a mapping in a list", lambda: must.each(must.mapping(values=must.fields(a=must.each("a"))))),
    ("names that are optional", lambda: must.mapping(keys=must.optional("a"))),
    ("values of a choice", lambda: must.mapping(values=must.email("a@x.de", "y.de"))),
    ("less than no names", lambda: must.mapping(at_most=-1)),
    ("half a name", lambda: must.mapping(at_most=0.5)),  # type: ignore[arg-type]
    ("a program without its path", lambda: must.command("ls")),
    ("an optional word", lambda: must.command("/bin/ls", must.optional("a"))),
    ("a class that is negated", lambda: must.matches("[^a]")),
    ("a pattern that needs a second try", lambda: must.matches("[a-z]{0,9}[a-z]x")),
    ("a pattern that is not a string", lambda: must.matches(1)),  # type: ignore[arg-type]
    ("containing nothing", lambda: must.contains("")),
    ("each containing", lambda: must.each(must.contains("a"))),
    ("each but one", lambda: must.each(must.not_one_of(1))),
    ("each the same", lambda: must.each(must.same_as("a"))),
    ("hexadecimal of other letters", lambda: must.hex("xy")),
    ("no hexadecimal", lambda: must.hex()),
    ("a host with its port", lambda: must.host("h.de:80")),
    ("no host", lambda: must.host()),
    ("other than lists", lambda: must.not_one_of(["a"])),
    ("other than both", lambda: must.not_one_of("a", 1)),
    ("other than any boolean", lambda: must.not_one_of(True, False)),
    ("other than some free text", lambda: grant("t", x=must.not_one_of("a")).parts(closed=True)),
    ("the same as nothing", lambda: must.same_as("")),
    ("the same as a pointer to an argument", lambda: must.same_as("/a")),
    ("the same as many", lambda: must.same_as("/a/~*")),
    ("a line of two words in one", lambda: must.command_line("/bin/ls", "a b")),
    ("a line with a quote", lambda: must.command_line("/bin/ls", "'a'")),
    ("a URI with a star", lambda: resource("x://*")),
    ("a URI with a star inside", lambda: resource("x://*/b")),
    ("a template without a constraint", lambda: resource("x://{a}")),
    ("a URI with a constraint", lambda: resource("x://a", a="1")),
    ("a constraint on no variable", lambda: resource("x://{a}", a="1", b="1")),
    ("a template of two readings", lambda: resource("x://{a}-{b}", a="1", b="1")),
    ("an expression of another level", lambda: resource("x://{+a}", {"+a": "1"})),
    ("a number in a URI", lambda: resource("x://{a}", a=must.at_most(1))),
    ("a path in a value of a URI", lambda: resource("x://{a}", a=must.under("/a"))),
    ("an optional value of a URI", lambda: resource("x://{a}", a=must.optional())),
    ("an option of an option", lambda: must.optional(must.optional("a"))),
    ("an option joined", lambda: must.optional("a") & must.max_length(1)),
    ("bytes", lambda: must.exact(b"a")),
    ("not a number", lambda: must.exact(float("nan"))),
    ("a function", lambda: grant("t", x=len)),
    ("a name twice", lambda: grant("t", {"x": 1}, x=2)),
    ("a pointer as a name", lambda: grant("t", {"/x": 1})),
    ("no name", lambda: grant("t", {"": 1})),
    ("no tool", lambda: grant("")),
]


@pytest.mark.parametrize("make", [make for _, make in WRONG], ids=[name for name, _ in WRONG])
def test_what_makes_no_sense_cannot_be_said(make: Any) -> None:
    """A mistake in a grant is told to its author, as a ValueError in plain words."""
    with pytest.raises(ValueError) as caught:
        make()
    assert str(caught.value)
    assert not str(caught.value).endswith(".")


def test_a_grant_of_a_function_knows_its_arguments() -> None:
    """A misspelt argument is told when the grant is made."""

    def send(to: str, body: str) -> None: ...

    assert grant(send, to="a").tool == "send"
    with pytest.raises(ValueError, match="subject"):
        grant(send, subject="a")


def test_a_list_of_what_is_refused_needs_the_others_to_be_known() -> None:
    """By the function's own types, or because the capability that is narrowed bounds the argument."""

    def move(kind: Literal["a", "b"], mode: Size | None, text: str) -> None: ...

    other = must.not_one_of("a")
    for name in ("kind", "mode"):
        assert grant(move, {name: other}).parts(closed=True)
    for made in (grant(move, text=other), grant("move", kind=other), grant(move, text=must.optional(other))):
        assert made.parts(closed=False)
        with pytest.raises(ValueError, match=r"protects nothing where (text|kind) is free text"):
            made.parts(closed=True)
    assert grant("move", text=must.not_one_of("a", free_text=True)).parts(closed=True)


def test_a_grant_is_read_in_words() -> None:
    """Grants, branches and constraints have a text for people."""
    one = grant("send", to=must.email("x.de"), n=must.optional(must.between(1, 2)), tags=must.subset_of("a"))
    assert isinstance(one, Grant)
    assert "to: one email address: any at x.de" in str(one)
    words = [describe_branch(branch) for branch in branches(one, closed=True)]
    assert (
        words[0]
        == "send(to: one email address at 'x.de'; tags: a list of strings that are each one of 'a' (at least 1 element))"
    )
    assert "n: an integer from 1 to 2" in words[1]
    assert "other arguments unchanged" in describe_branch(branches(one, closed=False)[0])
    assert str(must.one_of(*range(20))).endswith("or 12 more")
    for row in TABLE:
        if isinstance(row.constraint, Constraint):
            assert str(row.constraint)
