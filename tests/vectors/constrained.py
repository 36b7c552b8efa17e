"""Vectors of constraints: of each, values that pass and values that do not; run by `make`."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING

from hessra_agents import grant, must
from hessra_agents.grants.vocabulary.constraints import Constraint
from tests.vectors.material import bearer

if TYPE_CHECKING:
    from tests.vectors.capabilities import Capabilities

__all__ = ["cases"]

_CONSTRAINTS: list[tuple[str, object, list[object], list[object]]] = [
    ("exact text", "a", ["a"], ["b", "A", "a ", "", ["a"], 1, None]),
    ("exact empty text", "", [""], [" ", None, False]),
    ("exact integer", 1, [1, "1.0 as text"], [2, "1", True, 1.5]),
    ("exact largest integer", 2**63 - 1, [2**63 - 1], [2**63, -1]),
    ("exact smallest integer", -(2**63), [-(2**63)], [-(2**63) - 1, 0]),
    ("exact integer of more than 64 bits", 2**63, [2**63], [2**63 + 1, str(2**63), 0]),
    ("exact fraction", 1.5, [1.5], [1, 1.25, "1.5"]),
    ("exact truth value", True, [True], [False, 1, "true", None]),
    ("exact null", None, [None], [False, 0, "null", {}]),
    ("exact object", {"b": [1, 2.5], "a": {}}, [{"a": {}, "b": [1, 2.5]}], [{"a": {}}, [], "{}"]),
    ("exact list", ["a", 1], [["a", 1]], [[1, "a"], ["a"], ["a", 1, 1], "a"]),
    ("one of texts", must.one_of("a", "b"), ["a", "b"], ["c", "", "a,b", ["a"], None]),
    ("one of integers", must.one_of(1, -2), [1, -2], [0, "1", True, 1.5]),
    ("one of mixed", must.one_of("1", 1, None, True, 2.5), ["1", 1, None, True, 2.5], ["null", 2, False]),
    ("anything", must.anything(), [None, "", 0, [], {"a": 1}], []),
    ("prefix", must.starts_with("re: "), ["re: ", "re: x"], ["Re: x", " re: ", "re:", ["re: "], 1]),
    ("suffix", must.ends_with(".txt"), [".txt", "a.txt"], ["a.TXT", "a.txt ", "a.txt\n", None]),
    (
        "path",
        must.under("/srv/data"),
        ["/srv/data", "/srv/data/a", "/srv/data/a/b c"],
        ["/srv/data2", "/srv", "/srv/data/../x", "/srv/data/", "/srv//data", "srv/data", "/SRV/data", 1],
    ),
    ("root path", must.under("/"), ["/", "/etc"], ["etc", "", "//", "/.."]),
    ("range", must.between(-1, 10), [-1, 0, 10], [-2, 11, "5", 5.5, True, 2**64, None]),
    ("at least", must.at_least(5), [5, 2**63 - 1], [4, -(2**63), 2**63, "5"]),
    ("at most", must.at_most(5), [5, -(2**63)], [6, -(2**63) - 1, None]),
    (
        "length",
        must.max_length(3),
        ["", "abc", "\U0001f600\U0001f600\U0001f600", "ééé", [], [1, 2, 3]],
        ["abcd", [1, 2, 3, 4], 1, None, {}],
    ),
    (
        "url",
        must.url("api.acme.com", "acme.com", under="/v1"),
        ["https://api.acme.com/v1", "https://acme.com:443/v1/a?q=../..", "https://acme.com/v1/"],
        [
            "http://acme.com/v1",
            "https://acme.com/v2",
            "https://acme.com/v10",
            "https://acme.com:8443/v1",
            "https://acme.com@evil.example/v1",
            "https://evil.example/v1",
            "https://ACME.com/v1",
            "https://acme.com/v1/../v2",
            "https://acme.com/v1#a",
            "https://acme.com.evil.example/v1",
        ],
    ),
    (
        "url with a port",
        must.url("acme.com", ports=[8443]),
        ["https://acme.com:8443/x"],
        ["https://acme.com/x"],
    ),
    (
        "email",
        must.email("ana@acme.com", "bo.org"),
        ["ana@acme.com", "any+tag@bo.org"],
        [
            "eve@acme.com",
            "a@b@bo.org",
            "a@bo.org,eve@evil.example",
            "Bo <a@bo.org>",
            "a@sub.bo.org",
            "a@bo.org\n",
        ],
    ),
    (
        "subset of texts",
        must.subset_of("a", "b"),
        [["a"], ["b", "a", "a"]],
        [[], ["c"], ["a", 1], "a", [["a"]], None],
    ),
    ("subset of integers", must.subset_of(1, 2), [[1], [2, 1]], [[3], [1, True], [1, "2"], [], 1]),
    ("subset, may be empty", must.subset_of("a", empty=True), [[], ["a"]], [["b"], None, {}]),
    (
        "each email",
        must.each(must.email("acme.com") & must.max_length(20)),
        [["ana@acme.com", "bo@acme.com"]],
        [["ana@acme.com", "eve@evil.example"], ["a-very-long-name@acme.com"], [], "ana@acme.com"],
    ),
    ("each text", must.each(must.starts_with("#")), [["#a", "#"]], [["#a", "b"], [], ["#a", 1], "#a"]),
    ("each integer", must.each(must.between(0, 9)), [[0, 9]], [[0, 10], [-1], [], [1.5], [True]]),
    (
        "each path",
        must.each(must.under("/srv"), empty=True),
        [["/srv", "/srv/a"], []],
        [["/srv/a", "/etc"], ["/srv/.."], "/srv"],
    ),
    (
        "each url",
        must.each(must.url("acme.com", under="/v1")),
        [["https://acme.com/v1/a", "https://acme.com/v1"]],
        [["https://acme.com/v1/a", "https://acme.com/v2"], ["https://evil.example/v1"]],
    ),
    (
        "fields",
        must.fields(force=False, mode=must.one_of("a", "b"), note=must.optional(must.max_length(3))),
        [{"force": False, "mode": "a"}, {"force": False, "mode": "b", "note": "abc"}],
        [
            {"force": True, "mode": "a"},
            {"force": False, "mode": "c"},
            {"force": False, "mode": "b", "note": "abcd"},
            [],
            "x",
            None,
        ],
    ),
    (
        "fields in fields",
        must.fields({"a/b": must.fields({"~c": 1}), "d": must.anything()}),
        [{"a/b": {"~c": 1}, "d": [{}]}],
        [{"a/b": {"~c": 2}, "d": 1}, {"a/b": 1, "d": 1}],
    ),
    (
        "command",
        must.command("/usr/bin/git", "log", must.starts_with("v")),
        [["/usr/bin/git", "log", "v1"]],
        [
            ["git", "log", "v1"],
            ["/usr/bin/git", "log"],
            ["/usr/bin/git", "log", "v1", "x"],
            ["/usr/bin/git", "push", "v1"],
            ["/usr/bin/../bin/git", "log", "v1"],
            ["/usr/bin/git", "log", 1],
            "/usr/bin/git log v1",
        ],
    ),
    (
        "command with further words",
        must.command("/bin/cat", "--", must.under("/srv"), rest=must.under("/srv")),
        [["/bin/cat", "--", "/srv/a"], ["/bin/cat", "--", "/srv/a", "/srv/b", "/srv/c"]],
        [["/bin/cat", "--"], ["/bin/cat", "/srv/a"], ["/bin/cat", "--", "/srv/a", "/etc/x"]],
    ),
    (
        "command with any words",
        must.command("/bin/echo", rest=must.max_length(5)),
        [["/bin/echo"], ["/bin/echo", "a", "b"]],
        [["/bin/echo", "-n"], ["/bin/echo", ""], ["/bin/echo", "a", "abcdef"], ["/bin/echo", "a\u0000"]],
    ),
    (
        "joined",
        must.starts_with("a") & must.ends_with("z") & must.max_length(3),
        ["az", "abz"],
        ["a", "abcz"],
    ),
]


def cases(file: Capabilities) -> None:
    """Every constraint, allowed and refused."""
    for name, what, allowed, refused in _CONSTRAINTS:
        words = what.words if isinstance(what, Constraint) else f"exactly {json.dumps(what)}"
        file.token(name, f"t(x: {words})", partial(bearer, grant("t", x=what)))
        for index, value in enumerate(allowed):
            text = '{"x":1.0}' if value == "1.0 as text" else {"x": value}
            file.case(f"{name}, allowed {index}", name, text)
        for index, value in enumerate(refused):
            file.case(f"{name}, refused {index}", name, {"x": value}, "constraint")
        file.case(f"{name}, missing", name, {}, "missing_argument")
    extra = {"force": False, "mode": "a", "more": 1}
    file.case("fields, one more", "fields", {"x": extra}, "unnamed_argument")
    file.case("fields, one less", "fields", {"x": {"force": False}}, "missing_argument")
    inner = {"a/b": {"~c": 1, "e": 1}, "d": 1}
    file.case("fields in fields, one more", "fields in fields", {"x": inner}, "unnamed_argument")
