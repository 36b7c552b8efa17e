"""Vectors of selectors where implementations differ; run by `make`."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from hessra_agents import from_result, grant
from tests.vectors.followed import seen
from tests.vectors.material import bearer

if TYPE_CHECKING:
    from tests.vectors.capabilities import Capabilities

__all__ = ["cases"]


def _rows(*fields: object, name: str = "k") -> list[dict[str, object]]:
    """A row for each of these, whose v is its letter: what is meant is then told by letters."""
    return [{name: field, "v": chr(ord("a") + place)} for place, field in enumerate(fields)]


def cases(file: Capabilities) -> None:
    """Numbers, the order of texts, what is not there, and what is above a name."""
    near = 2**53
    two = [{"k": 2, "j": 2, "v": "a"}, {"k": 2, "j": 1, "v": "b"}, {"k": 1, "j": 0, "v": "c"}]
    rest = [{"k": 1, "v": [["a"], ["b"]]}, {"k": 2, "v": [["c"]]}]
    edges: dict[str, tuple[object, str, dict[str, object], str, str]] = {
        "an integer that no double is": (
            _rows(near + 1, near),
            "$[*].v",
            {"where": {"k": near + 1}},
            "a",
            "b",
        ),
        "a double with an exponent": (_rows(1e300, 1e299), "$[*].v", {"where": {"k": 1e300}}, "a", "b"),
        "one, of every type": (_rows(1.0, True, "1", None), "$[*].v", {"where": {"k": 1}}, "a", "bcd"),
        "true, of every type": (_rows(1, True, "true", None), "$[*].v", {"where": {"k": True}}, "b", "acd"),
        "null, of what is not there": (
            [{"v": "a"}, {"k": None, "v": "b"}],
            "$[*].v",
            {"where": {"k": None}},
            "b",
            "a",
        ),
        "an empty text": (_rows("", None, 0, False), "$[*].v", {"where": {"k": ""}}, "a", "bcd"),
        "a text that is not normalised": (
            _rows("e\u0301", "\u00e9"),
            "$[*].v",
            {"where": {"k": "\u00e9"}},
            "b",
            "a",
        ),
        "starts, of a number": (_rows(12, "12"), "$[*].v", {"starts_with": {"k": "1"}}, "b", "a"),
        "the largest, by code points": (_rows("\uff5e", "\U0001f600"), "$[*].v", {"largest": "k"}, "b", "a"),
        "the smallest, by code points": (
            _rows("\uff5e", "\U0001f600"),
            "$[*].v",
            {"smallest": "k"},
            "a",
            "b",
        ),
        "the largest, by all digits": (_rows(near + 1, float(near)), "$[*].v", {"largest": "k"}, "a", "b"),
        "the largest, of two": (_rows(3, 2, 3.0), "$[*].v", {"largest": "k"}, "ac", "b"),
        "the largest, where one has none": (
            [{"k": 3, "v": "a"}, {"v": "b"}],
            "$[*].v",
            {"largest": "k"},
            "",
            "ab",
        ),
        "the largest, of numbers and a text": (_rows(3, "4"), "$[*].v", {"largest": "k"}, "", "ab"),
        "the largest, of truth values": (_rows(False, True), "$[*].v", {"largest": "k"}, "", "ab"),
        "the smallest of the largest": (two, "$[*].v", {"largest": "k", "smallest": "j"}, "b", "ac"),
        "a name that some languages keep": (
            _rows("x", "y", name="__proto__"),
            "$[*].v",
            {"where": {"__proto__": "x"}},
            "a",
            "b",
        ),
        "steps behind the last name": (rest, "$[*].v[*][0]", {"where": {"k": 1}}, "ab", "c"),
        "every member of an object": ({"p": {"v": "a"}, "q": {"v": "b"}, "v": "c"}, "$[*].v", {}, "ab", "c"),
        "an index that is not there": (_rows(1), "$[1].v", {}, "", "a"),
        "an index before the first": (["a"], "$[-2]", {}, "", "a"),
        "an index in an object, and in a text": ([{"0": "a"}, "b"], "$[*][0]", {}, "", "ab"),
        "a name in a list": ([["a"]], "$[*].v", {}, "", "a"),
    }
    for name, (result, path, options, good_ones, bad_ones) in edges.items():
        follows = from_result("bills", path, **options)  # type: ignore[arg-type]
        named = f"edge: {name}"
        file.token(named, f"t(x: {name})", partial(bearer, grant("t", x=follows)))
        for verdict, letters in (("permitted", good_ones), ("constraint", bad_ones)):
            for letter in letters:
                file.case(f"{named}, {letter}", named, {"x": letter}, verdict, session=seen(result))
