"""Vectors of canonical arguments and digests; run by `make`."""

from __future__ import annotations

from collections.abc import Iterator

from hessra_agents.call.canonical import MAX_DEPTH
from tests.vectors import run
from tests.vectors.frozen import keep
from tests.vectors.run import Row

__all__ = ["freeze"]


def _many(count: int) -> str:
    return "{" + ",".join(f'"{index:03}":1' for index in range(count)) + "}"


_READ: list[tuple[str, str, str]] = [
    # name, JSON text of the arguments, canonical text
    ("no arguments", "{}", "{}"),
    ("white space", ' {\t"a" : 1 ,\r\n"b" : [ ] } ', '{"a":1,"b":[]}'),
    ("names are sorted", '{"b":1,"a":2,"aa":3,"A":4,"1":5}', '{"1":5,"A":4,"a":2,"aa":3,"b":1}'),
    (
        "names are sorted by UTF-16 code units",
        '{"\\ue000":1,"\U0001f600":2,"\u20ac":3,"\\r":4,"\\u05d3":5}',
        '{"\\r":4,"\u05d3":5,"\u20ac":3,"\U0001f600":2,"\ue000":1}',
    ),
    ("names are sorted inside", '{"a":{"c":1,"b":[{"e":1,"d":2}]}}', '{"a":{"b":[{"d":2,"e":1}],"c":1}}'),
    ("an empty name inside", '{"a":{"":1}}', '{"a":{"":1}}'),
    ("literals", '{"a":[true,false,null]}', '{"a":[true,false,null]}'),
    ("nothing is coerced", '{"a":["1",1,true,"true"]}', '{"a":["1",1,true,"true"]}'),
    ("an integral fraction is an integer", '{"a":[1.0,-2.0,1e2,1E+2,100e-2]}', '{"a":[1,-2,100,100,1]}'),
    ("negative zero is zero", '{"a":[-0,-0.0,0.0,-0e10,-1e-400]}', '{"a":[0,0,0,0,0]}'),
    ("integers keep all digits", '{"a":[9007199254740993,-9223372036854775809]}', ""),
    ("an integer of 400 digits", '{"a":1' + "0" * 399 + "}", ""),
    (
        "fractions as in ECMAScript",
        '{"a":[1.5,0.1,1e-7,1E-6,1.0e21,123456789012345680000.0,1e300,5e-324,0.000001,333333333.33333329]}',
        '{"a":[1.5,0.1,1e-7,0.000001,1e+21,123456789012345680000,1e+300,5e-324,0.000001,333333333.3333333]}',
    ),
    (
        "fractions near the edges of doubles",
        '{"a":[1.7976931348623157e308,2.2250738585072014e-308,4.9406564584124654e-324,-1e-310]}',
        '{"a":[1.7976931348623157e+308,2.2250738585072014e-308,5e-324,-1e-310]}',
    ),
    (
        "a fraction between 2**53 and 1e21 prints as the integer it is",
        '{"a":[9007199254740992.0,9007199254740994.0,1e20]}',
        '{"a":[9007199254740992,9007199254740994,100000000000000000000]}',
    ),
    (
        "the fewest escapes",
        '{"a":"\\u0041\\/\\"\\\\\\b\\f\\n\\r\\t\\u0000\\u001f\\u007f\\u2028"}',
        '{"a":"A/\\"\\\\\\b\\f\\n\\r\\t\\u0000\\u001f\u007f\u2028"}',
    ),
    ("an escaped astral character", '{"a":"\\ud83d\\ude00"}', '{"a":"\U0001f600"}'),
    ("not normalised", '{"a":"e\u0301","b":"\u00e9"}', '{"a":"e\u0301","b":"\u00e9"}'),
    ("brackets in texts have no depth", '{"a":"' + "[{" * 40 + '"}', '{"a":"' + "[{" * 40 + '"}'),
    ("as deep as may be", '{"a":' + "[" * (MAX_DEPTH - 1) + "]" * (MAX_DEPTH - 1) + "}", ""),
    ("256 arguments", _many(256), ""),
    ("a name like a prototype", '{"__proto__":1,"constructor":2}', '{"__proto__":1,"constructor":2}'),
]

_REFUSED: list[tuple[str, str]] = [
    ("nothing", ""),
    ("no object", "[]"),
    ("a text", '"a"'),
    ("a name twice", '{"a":1,"a":1}'),
    ("a name twice, spelled differently", '{"a":1,"\\u0061":2}'),
    ("a name twice inside", '{"a":[{"b":1,"b":2}]}'),
    ("something after the object", "{} {}"),
    ("a trailing comma", '{"a":1,}'),
    ("a trailing comma in a list", '{"a":[1,]}'),
    ("single quotes", "{'a':1}"),
    ("a name without quotes", "{a:1}"),
    ("a comment", '{"a":1/**/}'),
    ("not a number", '{"a":NaN}'),
    ("infinity", '{"a":-Infinity}'),
    ("a number that overflows", '{"a":1e400}'),
    ("a number with a leading zero", '{"a":01}'),
    ("a number with a plus", '{"a":+1}'),
    ("a number without digits before the point", '{"a":.5}'),
    ("a number without digits after the point", '{"a":1.}'),
    ("hexadecimal", '{"a":0x10}'),
    ("an integer of 401 digits", '{"a":1' + "0" * 400 + "}"),
    ("too deep", '{"a":' + "[" * MAX_DEPTH + "]" * MAX_DEPTH + "}"),
    ("an unclosed object", '{"a":1'),
    ("an unclosed text", '{"a":"b}'),
    ("a raw control character", '{"a":"\n"}'),
    ("an unknown escape", '{"a":"\\x41"}'),
    ("a lone surrogate", '{"a":"\\ud800"}'),
    ("a lone surrogate in a name", '{"\\udc00":1}'),
    ("surrogates the wrong way round", '{"a":"\\ude00\\ud83d"}'),
    ("a literal in capitals", '{"a":True}'),
    ("a no-break space", '{"a":\u00a01}'),
    ("an empty argument name", '{"":1}'),
    ("an argument name that starts like a pointer", '{"/a":1}'),
    ("257 arguments", _many(257)),
    ("an argument name of 257 characters", '{"' + "a" * 257 + '":1}'),
]

_REFUSED_BYTES = [
    ("a byte order mark", b'\xef\xbb\xbf{"a":1}'),
    ("bytes that are no UTF-8", b'{"a":"\xff"}'),
    ("an overlong form", b'{"a":"\xc0\xaf"}'),
    ("an encoded surrogate", b'{"a":"\xed\xa0\x80"}'),
    ("UTF-16", '{"a":1}'.encode("utf-16-le")),
]

_NAMED: list[tuple[str, Row]] = [
    ("another tool", {"tool": "u"}),
    ("a prompt of the same name", {"kind": "prompt", "operation": "get"}),
    ("another operation", {"operation": "read"}),
    ("another tool and operation with the same letters", {"tool": "tin", "operation": "voke"}),
    ("a resource", {"kind": "resource", "tool": "file:///a", "operation": "read"}),
    ("a tool's name in other letters", {"tool": "\u017fend \U0001f600"}),
]

_REFUSED_TOOLS = [
    ("no tool", ""),
    ("a tool's name of 257 characters", "t" * 257),
    ("a tool's name with a lone surrogate", "\ud800"),
]


def freeze() -> None:
    """Write calls.json; what is frozen there already must come out as it is."""
    keep("calls", _calls())


def _calls() -> Iterator[Row]:
    for name, text, expected in _READ:
        case = {"name": name, "tool": "t", "arguments": text}
        found = run.canonical(case)
        assert found["verdict"] == "read", name
        assert found["canonical"] == (expected or text), name
        yield case | found
    for name, more in _NAMED:
        case = {"name": name, "tool": "t", "arguments": '{"a":1}', **more}
        yield case | run.canonical(case)
    for name, text in _REFUSED:
        yield _refused({"name": name, "tool": "t", "arguments": text})
    for name, data in _REFUSED_BYTES:
        yield _refused({"name": name, "tool": "t", "arguments_hex": data.hex()})
    for name, tool in _REFUSED_TOOLS:
        yield _refused({"name": name, "tool": tool, "arguments": "{}"})


def _refused(case: Row) -> Row:
    found = run.canonical(case)
    assert found == {"verdict": "malformed"}, case["name"]
    return case | found
