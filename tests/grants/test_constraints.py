"""Constraints: for each, what it takes and what it refuses, and what cannot be said with it."""

# ruff: noqa: E501
from __future__ import annotations

import dataclasses
import enum
from decimal import Decimal
from pathlib import PurePosixPath
from typing import Any
from uuid import UUID

import pytest

from hessra_agents import Call, Grant, grant, must
from hessra_agents.grants.constraints import Constraint
from hessra_agents.grants.describe import describe_branch


def allows(constraint: object, value: object) -> bool:
    """Whether a call with this value matches a grant with this constraint, by the decision on data."""
    call = Call.of("t", {"x": value})
    return any(not branch.failing(call) for branch in grant("t", x=constraint).branches(closed=True))


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
    Row(must.max_length(2), ["", "ab", "é€", [1, 2]], ["abc", [1, 2, 3], 12, {}]),
    Row(must.url("h.de"), ["https://h.de", "https://h.de/a?q=1", "https://h.de:443/"], ["http://h.de/", "https://H.de/"]),
    Row(must.url("h.de", "i.de", scheme="http", port=8080), ["http://i.de:8080/x"], ["http://i.de/x", "https://i.de:8080/"]),
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


def test_an_optional_argument_may_be_left_out() -> None:
    """Left out it matches; there it must hold; null is there."""
    one = grant("t", x=must.optional(must.at_most(1)))
    for arguments, expected in (({}, True), ({"x": 1}, True), ({"x": 2}, False), ({"x": None}, False)):
        call = Call.of("t", arguments)
        assert any(not branch.failing(call) for branch in one.branches(closed=True)) is expected


WRONG: list[tuple[str, Any]] = [
    ("an empty prefix", lambda: must.starts_with("")),
    ("a prefix that is not a string", lambda: must.starts_with(5)),  # type: ignore[arg-type]
    ("a range upside down", lambda: must.between(2, 1)),
    ("a range of fractions", lambda: must.between(0.5, 1)),  # type: ignore[arg-type]
    ("a boolean as a bound", lambda: must.at_most(True)),
    ("a bound past 64 bits", lambda: must.at_most(BIG)),
    ("a negative length", lambda: must.max_length(-1)),
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
    ("each of anything", lambda: must.each(must.anything())),
    ("each of a boolean", lambda: must.each(True)),
    ("each of an object", lambda: must.each({"a": 1})),
    ("a subset of mixed types", lambda: must.subset_of("a", True)),
    ("a program without its path", lambda: must.command("ls")),
    ("an optional word", lambda: must.command("/bin/ls", must.optional("a"))),
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


def test_a_grant_is_read_in_words() -> None:
    """Grants, branches and constraints have a text for people."""
    one = grant("send", to=must.email("x.de"), n=must.optional(must.between(1, 2)), tags=must.subset_of("a"))
    assert isinstance(one, Grant)
    assert "to: one email address: any at x.de" in str(one)
    words = [describe_branch(branch) for branch in one.branches(closed=True)]
    assert (
        words[0]
        == "send(to: one email address at 'x.de'; tags: a list of strings that are each one of 'a' (at least 1 element))"
    )
    assert "n: an integer of at least 1 and at most 2" in words[1]
    assert "other arguments unchanged" in describe_branch(one.branches(closed=False)[0])
    assert str(must.one_of(*range(20))).endswith("or 12 more")
    for row in TABLE:
        if isinstance(row.constraint, Constraint):
            assert str(row.constraint)
