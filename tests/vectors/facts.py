"""Vectors of typed facts: a place in a call's arguments, and all that is stated about it; run by `make`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any

from hessra_agents.call.canonical import parse
from hessra_agents.call.places import MAX_ELEMENTS
from tests.vectors import run
from tests.vectors.frozen import keep
from tests.vectors.run import Row

__all__ = ["freeze"]

Facts = dict[str, list[Any]]

_FACTS: list[tuple[str, str, str, Facts]] = [
    # name, JSON text of the arguments, key, every fact that is stated for the key
    ("names", '{"b":1,"a":{"c":1}}', "", {"arg_names": [["a", "b"]]}),
    ("no names", "{}", "", {"arg_names": [[]]}),
    ("no such argument", '{"x":1}', "y", {}),
    (
        "a text",
        '{"x":"a b"}',
        "x",
        {"arg_str": ["a b"], "arg_scalar": ['"a b"'], "arg_len": ["3"], "arg_operand": ["a b"]},
    ),
    ("an empty text", '{"x":""}', "x", {"arg_str": [""], "arg_scalar": ['""'], "arg_len": ["0"]}),
    (
        "a text's length is in code points",
        '{"x":"e\\u0301\\ud83d\\ude00"}',
        "x",
        {
            "arg_str": ["e\u0301\U0001f600"],
            "arg_scalar": ['"e\u0301\U0001f600"'],
            "arg_len": ["3"],
            "arg_operand": ["e\u0301\U0001f600"],
        },
    ),
    (
        "a text with a control character",
        '{"x":"\\u0000"}',
        "x",
        {"arg_str": ["\0"], "arg_scalar": ['"\\u0000"'], "arg_len": ["1"], "arg_operand": ["\0"]},
    ),
    (
        "an option is no operand",
        '{"x":"-n"}',
        "x",
        {"arg_str": ["-n"], "arg_scalar": ['"-n"'], "arg_len": ["2"]},
    ),
    ("an integer", '{"x":1.0}', "x", {"arg_int": ["1"], "arg_scalar": ["1"]}),
    (
        "the largest integer",
        '{"x":9223372036854775807}',
        "x",
        {"arg_int": ["9223372036854775807"], "arg_scalar": ["9223372036854775807"]},
    ),
    (
        "the smallest integer",
        '{"x":-9223372036854775808}',
        "x",
        {"arg_int": ["-9223372036854775808"], "arg_scalar": ["-9223372036854775808"]},
    ),
    (
        "an integer of more than 64 bits",
        '{"x":9223372036854775808}',
        "x",
        {
            "arg_json": ["9223372036854775808"],
            "arg_scalar": ["9223372036854775808"],
        },
    ),
    ("a fraction", '{"x":1.50}', "x", {"arg_json": ["1.5"], "arg_scalar": ["1.5"]}),
    (
        "a double that prints as an integer is that integer",
        '{"x":9007199254740994.0}',
        "x",
        {"arg_int": ["9007199254740994"], "arg_scalar": ["9007199254740994"]},
    ),
    (
        "a double that prints as an integer of more than 64 bits",
        '{"x":1e20}',
        "x",
        {"arg_json": ["100000000000000000000"], "arg_scalar": ["100000000000000000000"]},
    ),
    (
        "a double that prints with an exponent",
        '{"x":1e21}',
        "x",
        {"arg_json": ["1e+21"], "arg_scalar": ["1e+21"]},
    ),
    ("true", '{"x":true}', "x", {"arg_bool": [True], "arg_scalar": ["true"]}),
    ("false", '{"x":false}', "x", {"arg_bool": [False], "arg_scalar": ["false"]}),
    ("null", '{"x":null}', "x", {"arg_null": [True], "arg_scalar": ["null"]}),
    ("an object", '{"x":{"b":1,"a":{}}}', "x", {"arg_json": ['{"a":{},"b":1}'], "arg_fields": [["a", "b"]]}),
    ("an empty object", '{"x":{}}', "x", {"arg_json": ["{}"], "arg_fields": [[]]}),
    (
        "a list of texts",
        '{"x":["b","a","b"]}',
        "x",
        {
            "arg_json": ['["b","a","b"]'],
            "arg_len": ["3"],
            "arg_strs": [["a", "b"]],
            "arg_lens": [["1"]],
            "arg_operands": [["a", "b"]],
        },
    ),
    (
        "a list with an option",
        '{"x":["a","-b"]}',
        "x",
        {"arg_json": ['["a","-b"]'], "arg_len": ["2"], "arg_strs": [["-b", "a"]], "arg_lens": [["1", "2"]]},
    ),
    (
        "an empty list",
        '{"x":[]}',
        "x",
        {
            "arg_json": ["[]"],
            "arg_len": ["0"],
            "arg_strs": [[]],
            "arg_ints": [[]],
            "arg_paths": [[]],
            "arg_urls": [[], []],
            "arg_emails": [[], []],
            "arg_lens": [[]],
            "arg_operands": [[]],
        },
    ),
    (
        "a list of integers",
        '{"x":[10,9,-1,9]}',
        "x",
        {"arg_json": ["[10,9,-1,9]"], "arg_len": ["4"], "arg_ints": [["-1", "9", "10"]]},
    ),
    (
        "a list with a large integer",
        '{"x":[1,9223372036854775808]}',
        "x",
        {"arg_json": ["[1,9223372036854775808]"], "arg_len": ["2"]},
    ),
    ("a mixed list", '{"x":[1,"a"]}', "x", {"arg_json": ['[1,"a"]'], "arg_len": ["2"]}),
    ("a list of truth values", '{"x":[true,false]}', "x", {"arg_json": ["[true,false]"], "arg_len": ["2"]}),
    (
        "a list of lists",
        '{"x":[[],[1,2]]}',
        "x",
        {"arg_json": ["[[],[1,2]]"], "arg_len": ["2"], "arg_lens": [["0", "2"]]},
    ),
    (
        "the longest list that has facts of its elements",
        '{"x":[' + ",".join("0" for _ in range(MAX_ELEMENTS)) + "]}",
        "x",
        {
            "arg_json": ["[" + ",".join("0" for _ in range(MAX_ELEMENTS)) + "]"],
            "arg_len": [str(MAX_ELEMENTS)],
            "arg_ints": [["0"]],
        },
    ),
    (
        "a list too long to have facts of its elements",
        '{"x":[' + ",".join("0" for _ in range(MAX_ELEMENTS + 1)) + "]}",
        "x",
        {
            "arg_json": ["[" + ",".join("0" for _ in range(MAX_ELEMENTS + 1)) + "]"],
            "arg_len": [str(MAX_ELEMENTS + 1)],
        },
    ),
    ("a field", '{"x":{"a/b~":{"c":1}}}', "/x/a~1b~0/c", {"arg_int": ["1"], "arg_scalar": ["1"]}),
    ("an empty field name", '{"x":{"":1}}', "/x/", {"arg_int": ["1"], "arg_scalar": ["1"]}),
    ("no such field", '{"x":{"a":1}}', "/x/b", {}),
    ("a field of no object", '{"x":"a"}', "/x/a", {}),
    ("an element", '{"x":[1,true]}', "/x/1", {"arg_bool": [True], "arg_scalar": ["true"]}),
    ("an element with a leading zero", '{"x":[1,2]}', "/x/01", {}),
    ("an element with a sign", '{"x":[1,2]}', "/x/+1", {}),
    ("an element before the first", '{"x":[1,2]}', "/x/-1", {}),
    ("an element that is not there", '{"x":[1,2]}', "/x/2", {}),
    ("the element after the last", '{"x":[1,2]}', "/x/-", {}),
    ("digits of another script", '{"x":[1,2]}', "/x/\u0661", {}),
    (
        "the rest of a list",
        '{"x":["a",1,2]}',
        "/x/1:",
        {"arg_json": ["[1,2]"], "arg_len": ["2"], "arg_ints": [["1", "2"]]},
    ),
    ("beyond the rest of a list", '{"x":["a",1,2]}', "/x/4:", {}),
    ("a field that looks like an element", '{"x":{"1":1}}', "/x/1", {"arg_int": ["1"], "arg_scalar": ["1"]}),
    (
        "a field that looks like a rest",
        '{"x":{"1:":true}}',
        "/x/1:",
        {"arg_bool": [True], "arg_scalar": ["true"]},
    ),
]


def _texts(*texts: str) -> list[tuple[str, Facts]]:
    return [(text, {}) for text in texts]


_SHAPES: list[tuple[str, Facts]] = [
    # a text, and the facts of its shape: a path, a URL, an address
    ("/", {"arg_path": ["/"]}),
    ("/srv", {"arg_path": ["/srv/"]}),
    ("/srv/a b/...", {"arg_path": ["/srv/a b/.../"]}),
    ("/srv/\u00e9\u4e2d", {"arg_path": ["/srv/\u00e9\u4e2d/"]}),
    ("/-a", {"arg_path": ["/-a/"]}),
    ("/srv/%41", {"arg_path": ["/srv/%41/"]}),
    *_texts(
        "srv", "./srv", "~/a", "/srv/", "//srv", "/srv//a", "/.", "/..", "/srv/../a", "/srv/./a", "/srv/.."
    ),
    *_texts("/srv\\a", "/srv/%2e%2e/a", "/srv/%252e", "/a%2fb", "/a%00", "/a\0", "/a\n", "/a\u007f", "/~a"),
    *_texts(
        "/ a", "/a ", "/a/e\u0301", "/a\u200d", "/a\u202e", "/\uff0e\uff0e", "/a\uff0fb", "/\ufeff", "C:/a"
    ),
    ("/" + "a" * 4095, {"arg_path": ["/" + "a" * 4095 + "/"]}),
    *_texts("/" + "a" * 4096, "/" + "\u00e9" * 2048),
    ("https://acme.com", {"arg_url": ["https://acme.com:443", "/"]}),
    ("https://acme.com/", {"arg_url": ["https://acme.com:443", "/"]}),
    ("http://acme.com:8080/a/b/?q=../%2F", {"arg_url": ["http://acme.com:8080", "/a/b/"]}),
    ("https://a-1.acme.com:443/a%20b", {"arg_url": ["https://a-1.acme.com:443", "/a%20b/"]}),
    ("http://localhost/v1", {"arg_url": ["http://localhost:80", "/v1/"]}),
    ("https://acme.com?q", {"arg_url": ["https://acme.com:443", "/"]}),
    *_texts(
        "ftp://acme.com/", "acme.com", "//acme.com/", "HTTPS://acme.com/", "https://Acme.com/", "https:///a"
    ),
    *_texts("https://a@acme.com/", "https://a:b@acme.com/", "https://acme.com/#a", "https://acme.com./"),
    *_texts(
        "https://127.0.0.1/", "https://2130706433/", "https://0x7f.1/", "https://[::1]/", "https://a.0x7f/"
    ),
    *_texts("https://xn--80ak6aa92e.com/", "https://\u0430cme.com/", "https://a_b.com/", "https://-a.com/"),
    *_texts("https://acme.com:0/", "https://acme.com:65536/", "https://acme.com:080/", "https://acme.com:/"),
    *_texts(
        "https://acme.com/../a", "https://acme.com/a/./b", "https://acme.com/a//b", "https://acme.com/..;/a"
    ),
    *_texts(
        "https://acme.com/%2e%2e/a", "https://acme.com/a%2fb", "https://acme.com/%41", "https://acme.com/%5c"
    ),
    *_texts(
        "https://acme.com/a%5Cb", "https://acme.com/%", "https://acme.com/a b", "https://acme.com\\@evil.com/"
    ),
    *_texts(
        "https://acme.com/%FF", "https://acme.com/%252E%252e/a", "https://acme.com/\n", " https://acme.com/"
    ),
    ("ana@acme.com", {"arg_email": ["ana@acme.com", "acme.com"]}),
    ("Ana.O'Neil+tag@mail.acme.com", {"arg_email": ["Ana.O'Neil+tag@mail.acme.com", "mail.acme.com"]}),
    ("/a@acme.com", {"arg_path": ["/a@acme.com/"]}),
    *_texts(
        "ana",
        "ana@",
        "@acme.com",
        "ana@acme",
        "ana@ACME.com",
        "ana@@acme.com",
        "a@b@acme.com",
        "ana@acme.com.",
    ),
    *_texts(
        ".ana@acme.com", "ana.@acme.com", "a..b@acme.com", '"a b"@acme.com', "a(c)@acme.com", "a%b@acme.com"
    ),
    *_texts("a!b@acme.com", "-a@acme.com", "|a@acme.com", "Ana <ana@acme.com>", "ana@acme.com,b@c.de"),
    *_texts(
        "ana@acme.com\nBcc: eve@evil.com",
        "ana@acme.com ",
        "ana@127.0.0.1",
        "ana@[127.0.0.1]",
        "ana@xn--a.com",
    ),
    *_texts("\u0430na@acme.com", "a" * 65 + "@acme.com"),
]

_LISTS: list[tuple[str, list[Any], Facts]] = [
    # name, a list, and the facts of its shape
    (
        "a list of paths",
        ["/srv", "/etc/a"],
        {"arg_paths": [["/etc/a/", "/srv/"]], "arg_argv": ["/srv"], "arg_strs": [["/etc/a", "/srv"]]},
    ),
    ("a list with a path that is none", ["a", "/srv"], {"arg_strs": [["/srv", "a"]]}),
    (
        "a list of URLs",
        ["https://acme.com/a", "http://bo.org"],
        {
            "arg_urls": [["http://bo.org:80", "https://acme.com:443"], ["/", "/a/"]],
            "arg_strs": [["http://bo.org", "https://acme.com/a"]],
        },
    ),
    (
        "a list of addresses",
        ["bo@acme.com", "ana@acme.com"],
        {
            "arg_emails": [["ana@acme.com", "bo@acme.com"], ["acme.com"]],
            "arg_strs": [["ana@acme.com", "bo@acme.com"]],
        },
    ),
    ("a command", ["/bin/ls", "-l", ""], {"arg_argv": ["/bin/ls"], "arg_strs": [["", "-l", "/bin/ls"]]}),
    ("a command that is no path", ["ls", "-l"], {"arg_strs": [["-l", "ls"]]}),
    ("a command that is no canonical path", ["/bin/../ls", "-l"], {"arg_strs": [["-l", "/bin/../ls"]]}),
    ("a command that is the root", ["/", "-l"], {"arg_strs": [["-l", "/"]]}),
    ("a command with NUL in a word", ["/bin/ls", "-\0"], {"arg_strs": [["-\0", "/bin/ls"]]}),
    ("a command with a line break in a word", ["/bin/ls", "-a\nb"], {"arg_strs": [["-a\nb", "/bin/ls"]]}),
    ("a command with a number", ["/bin/ls", 1], {}),
]


def freeze() -> None:
    """Write facts.json; what is frozen there already must come out as it is."""
    keep("facts", _facts(), predicates=run.PREDICATES)


def _facts() -> Iterator[Row]:
    for name, text, key, facts in _FACTS:
        if "arg_json" in facts:
            facts = facts | {"arg_json": [hashlib.sha256(facts["arg_json"][0].encode()).hexdigest()]}
        yield _stated(name, text, key, facts)
    for value, shape in _SHAPES:
        scalar = json.dumps(value, ensure_ascii=False)
        facts = {"arg_str": [value], "arg_scalar": [scalar], "arg_len": [str(len(value))], **shape}
        if value and value[0] != "-":
            facts["arg_operand"] = [value]
        name = f"shape of {json.dumps(value if len(value) < 80 else value[:8] + '...' + str(len(value)))}"
        yield _stated(name, json.dumps({"x": value}), "x", facts)
    for name, values, shape in _LISTS:
        text = json.dumps(values, ensure_ascii=False, separators=(",", ":"))
        facts = {
            "arg_json": [hashlib.sha256(text.encode()).hexdigest()],
            "arg_len": [str(len(values))],
            **shape,
        }
        if "arg_strs" in shape:
            facts["arg_lens"] = [[str(size) for size in sorted({len(value) for value in values})]]
            if not any(value[:1] in ("", "-") for value in values):
                facts["arg_operands"] = shape["arg_strs"]
        yield _stated(name, json.dumps({"x": values}), "x", facts)


def _stated(name: str, text: str, key: str, facts: Facts) -> Row:
    arguments = parse(text)
    assert isinstance(arguments, dict)
    found = run.facts_at(arguments, key)
    assert found == facts, (name, found, facts)
    return {"name": name, "arguments": text, "key": key, "facts": found}
