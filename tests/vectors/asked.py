"""Vectors of facts that are stated only where a token asks for them, and of places of many values."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from hessra_agents.call.call import Call
from hessra_agents.call.canonical import parse
from hessra_agents.call.facts import SIGNATURES
from tests.vectors import run
from tests.vectors.frozen import keep
from tests.vectors.run import Row

__all__ = ["freeze"]

_LEAST, _GREATEST = str(-(2**63)), str(2**63 - 1)

_ORDER = '{"x":[{"n":1,"tags":["a","b"]},{"n":3,"tags":[]},{"n":2,"note":"hi","tags":["c"]}]}'
_TABLE = '{"x":{"b":1.5,"a/c":2,"~":0.25}}'

_FACTS: list[tuple[str, str, str, int | str | None, list[Any] | None]] = [
    # JSON text of the arguments, predicate, key, parameter, the values of the fact (None: it is not stated)
    ('{"x":99.9}', "arg_number", "x", 2, ["9990", "9990"]),
    ('{"x":0.1}', "arg_number", "x", 0, ["0", "1"]),
    ('{"x":-0.1}', "arg_number", "x", 0, ["-1", "0"]),
    ('{"x":0.30000000000000004}', "arg_number", "x", 1, ["3", "4"]),
    ('{"x":1e-300}', "arg_number", "x", 9, ["0", "1"]),
    ('{"x":-1e-300}', "arg_number", "x", 9, ["-1", "0"]),
    ('{"x":5}', "arg_number", "x", 9, ["5000000000", "5000000000"]),
    ('{"x":9223372036854775807}', "arg_number", "x", 0, [_GREATEST, _GREATEST]),
    ('{"x":9223372036854775807}', "arg_number", "x", 1, None),
    ('{"x":9223372036854775808}', "arg_number", "x", 0, None),
    ('{"x":1e300}', "arg_number", "x", 0, None),
    ('{"x":"1"}', "arg_number", "x", 0, None),
    ('{"x":true}', "arg_number", "x", 0, None),
    ('{"x":null}', "arg_number", "x", 0, None),
    ('{"x":[1]}', "arg_number", "x", 0, None),
    ('{"x":1.50}', "arg_fixed", "x", 2, ["150"]),
    ('{"x":1.505}', "arg_fixed", "x", 2, None),
    ('{"x":-0.0}', "arg_fixed", "x", 2, ["0"]),
    ('{"x":1e2}', "arg_fixed", "x", 0, ["100"]),
    ('{"x":1e-9}', "arg_fixed", "x", 9, ["1"]),
    ('{"x":1e-10}', "arg_fixed", "x", 9, None),
    ('{"x":"1970-01-01"}', "arg_date", "x", None, ["0"]),
    ('{"x":"0001-01-01"}', "arg_date", "x", None, ["-719162"]),
    ('{"x":"9999-12-31"}', "arg_date", "x", None, ["2932896"]),
    ('{"x":"2024-02-29"}', "arg_date", "x", None, ["19782"]),
    ('{"x":"1900-02-29"}', "arg_date", "x", None, None),
    ('{"x":"0000-01-01"}', "arg_date", "x", None, None),
    ('{"x":"2024-2-29"}', "arg_date", "x", None, None),
    ('{"x":"2024-02-29\\n"}', "arg_date", "x", None, None),
    ('{"x":"\\u0662024-02-29"}', "arg_date", "x", None, None),
    ('{"x":"+02024-02-29"}', "arg_date", "x", None, None),
    ('{"x":19782}', "arg_date", "x", None, None),
    ('{"x":"1970-01-01T00:00:00Z"}', "arg_instant", "x", None, ["0", "0"]),
    ('{"x":"1970-01-01T00:00:00.5Z"}', "arg_instant", "x", None, ["0", "1"]),
    ('{"x":"1969-12-31T23:59:59.5Z"}', "arg_instant", "x", None, ["-1", "0"]),
    ('{"x":"1970-01-01T00:00:00.000000000Z"}', "arg_instant", "x", None, ["0", "0"]),
    ('{"x":"1970-01-01T01:30:00+01:30"}', "arg_instant", "x", None, ["0", "0"]),
    ('{"x":"1969-12-31T00:01:00-23:59"}', "arg_instant", "x", None, ["0", "0"]),
    ('{"x":"1970-01-01T00:00:00-00:00"}', "arg_instant", "x", None, None),
    ('{"x":"1970-01-01T00:00:00"}', "arg_instant", "x", None, None),
    ('{"x":"1970-01-01T00:00:00z"}', "arg_instant", "x", None, None),
    ('{"x":"1970-01-01 00:00:00Z"}', "arg_instant", "x", None, None),
    ('{"x":"1970-01-01T24:00:00Z"}', "arg_instant", "x", None, None),
    ('{"x":"2016-12-31T23:59:60Z"}', "arg_instant", "x", None, None),
    ('{"x":"1970-01-01T00:00:00.0000000001Z"}', "arg_instant", "x", None, None),
    ('{"x":{}}', "arg_size", "x", None, ["0"]),
    ('{"x":{"a":1,"b":{"c":1}}}', "arg_size", "x", None, ["2"]),
    ('{"x":[1]}', "arg_size", "x", None, None),
    ('{"x":[]}', "arg_distinct", "x", None, [True]),
    ('{"x":[1,"1",true,null,1.5,[1],{"a":1}]}', "arg_distinct", "x", None, [True]),
    ('{"x":[1,1.0]}', "arg_distinct", "x", None, None),
    ('{"x":[{"a":1,"b":2},{"b":2,"a":1}]}', "arg_distinct", "x", None, None),
    ('{"x":"ab"}', "arg_distinct", "x", None, None),
    ('{"x":["a",1,true,null,1.5]}', "arg_scalars", "x", None, [['"a"', "1", "1.5", "null", "true"]]),
    ('{"x":["a",[]]}', "arg_scalars", "x", None, None),
    ('{"x":[3,1,2]}', "arg_range", "x", None, ["1", "3"]),
    ('{"x":[]}', "arg_range", "x", None, [_GREATEST, _LEAST]),
    ('{"x":[1,true]}', "arg_range", "x", None, None),
    ('{"x":[1,1.5]}', "arg_range", "x", None, None),
    ('{"x":["abc","",[1]]}', "arg_len_range", "x", None, ["0", "3"]),
    ('{"x":["\\ud83d\\ude00"]}', "arg_len_range", "x", None, ["1", "1"]),
    ('{"x":[{},{"a":1,"b":2}]}', "arg_size_range", "x", None, ["0", "2"]),
    ('{"x":[0.25,-0.25]}', "arg_number_range", "x", 1, ["-3", "2", "-2", "3"]),
    ('{"x":[]}', "arg_number_range", "x", 1, [_GREATEST, _LEAST, _GREATEST, _LEAST]),
    ('{"x":[1,"1"]}', "arg_number_range", "x", 1, None),
    ('{"x":[0.25,1]}', "arg_fixed_range", "x", 2, ["25", "100"]),
    ('{"x":[0.255]}', "arg_fixed_range", "x", 2, None),
    ('{"x":["1970-01-02","1970-01-01"]}', "arg_date_range", "x", None, ["0", "1"]),
    ('{"x":["1970-01-02","x"]}', "arg_date_range", "x", None, None),
    (
        '{"x":["1970-01-01T00:00:00.5Z","1970-01-01T00:00:02Z"]}',
        "arg_instant_range",
        "x",
        None,
        ["0", "2", "1", "2"],
    ),
    (_ORDER, "arg_count", "/x/~*", None, ["3"]),
    (_ORDER, "arg_fields", "/x/~*", None, [["n", "note", "tags"]]),
    (_ORDER, "arg_ints", "/x/~*/n", None, [["1", "2", "3"]]),
    (_ORDER, "arg_range", "/x/~*/n", None, ["1", "3"]),
    (_ORDER, "arg_int", "/x/~*/n", None, None),
    (_ORDER, "arg_strs", "/x/~*/note", None, None),
    (_ORDER, "arg_strs", "/x/~*/note~?", None, [["hi"]]),
    (_ORDER, "arg_count", "/x/~*/note~?", None, ["1"]),
    (_ORDER, "arg_strs", "/x/~*/tags/~*", None, [["a", "b", "c"]]),
    (_ORDER, "arg_len_range", "/x/~*/tags", None, ["0", "2"]),
    ('{"x":[]}', "arg_ints", "/x/~*/n", None, [[]]),
    ('{"x":{"0":{"n":1}}}', "arg_ints", "/x/~*/n", None, None),
    ('{"x":[{"n":1},1]}', "arg_ints", "/x/~*/n~?", None, None),
    (_TABLE, "arg_strs", "/x/~k", None, [["a/c", "b", "~"]]),
    (_TABLE, "arg_number_range", "/x/~v", 1, ["2", "20", "3", "20"]),
    (_TABLE, "arg_count", "/x/~v", None, ["3"]),
    ('{"x":[1]}', "arg_strs", "/x/~k", None, None),
    ('{"x":"AB-1"}', "arg_matches", "x", "[A-Z]{2}-[0-9]{1,6}", []),
    ('{"x":"AB-1\\n"}', "arg_matches", "x", "[A-Z]{2}-[0-9]{1,6}", None),
    ('{"x":"AB-"}', "arg_matches", "x", "[A-Z]{2}-[0-9]{1,6}", None),
    ('{"x":"AB-\\u0661"}', "arg_matches", "x", "[A-Z]{2}-[0-9]{1,6}", None),
    ('{"x":"a.b/-"}', "arg_matches", "x", r"a\.b\/?[a-c-]{0,2}", []),
    ('{"x":"axb"}', "arg_matches", "x", r"a\.b\/?[a-c-]{0,2}", None),
    ('{"x":""}', "arg_matches", "x", "a?", []),
    ('{"x":1}', "arg_matches", "x", "1", None),
    ('{"x":["a","b"]}', "arg_each_matches", "x", "[a-c]", []),
    ('{"x":[]}', "arg_each_matches", "x", "[a-c]", []),
    ('{"x":["a",1]}', "arg_each_matches", "x", "[a-c]", None),
    ('{"x":"a"}', "arg_each_matches", "x", "[a-c]", None),
    ('{"x":{"a":1,"d":2}}', "arg_each_matches", "/x/~k", "[a-c]", None),
    ('{"x":{"b":1,"a":2},"y":{"a":2.0,"b":1}}', "arg_same", "x", "y", []),
    ('{"x":1,"y":true}', "arg_same", "x", "y", None),
    ('{"x":null}', "arg_same", "x", "y", None),
    ('{"x":"a","y":{"z":["a"]}}', "arg_same", "x", "/y/z/0", []),
    ('{"x":"aB12"}', "arg_hex", "x", None, ["ab12"]),
    ('{"x":"0xab"}', "arg_hex", "x", None, None),
    ('{"x":"\\uff10"}', "arg_hex", "x", None, None),
    ('{"x":"API.acme.com"}', "arg_host", "x", None, ["api.acme.com"]),
    ('{"x":"\\u212a.acme.com"}', "arg_host", "x", None, None),
    ('{"x":"acme.com."}', "arg_host", "x", None, None),
    ('{"x":"/data/in.csv"}', "arg_parent", "x", None, ["/data/"]),
    ('{"x":"/data"}', "arg_parent", "x", None, ["/"]),
    ('{"x":"/"}', "arg_parent", "x", None, None),
    ('{"x":["/a/b","/c"]}', "arg_parents", "x", None, [["/", "/a/"]]),
    ('{"x":["/a/b","/"]}', "arg_parents", "x", None, None),
    ('{"x":"in/a:b.csv"}', "arg_relpath", "x", None, ["in/a:b.csv/"]),
    ('{"x":"/in"}', "arg_relpath", "x", None, None),
    ('{"x":"../in"}', "arg_relpath", "x", None, None),
    ('{"x":"C:in"}', "arg_relpath", "x", None, None),
    ('{"x":"-in"}', "arg_relpath", "x", None, None),
    ('{"x":["a","b/c"]}', "arg_relpaths", "x", None, [["a/", "b/c/"]]),
    ('{"x":["a",".."]}', "arg_relpaths", "x", None, None),
    ('{"x":"http://10.0.0.5/a?b"}', "arg_ip_url", "x", None, ["http://10.0.0.5:80", "/a/"]),
    ('{"x":"https://[2001:db8::1]:8443"}', "arg_ip_url", "x", None, ["https://[2001:db8::1]:8443", "/"]),
    ('{"x":"http://10.0.0.05/"}', "arg_ip_url", "x", None, None),
    ('{"x":"http://[::ffff:a00:5]/"}', "arg_ip_url", "x", None, None),
    ('{"x":"http://[0::1]/"}', "arg_ip_url", "x", None, None),
    ('{"x":"https://acme.com/"}', "arg_ip_url", "x", None, None),
    ('{"x":["http://[::1]/a"]}', "arg_ip_urls", "x", None, [["http://[::1]:80"], ["/a/"]]),
    ('{"x":["http://[::1]/a","http://h/"]}', "arg_ip_urls", "x", None, None),
    ('{"x":"/bin/ls -l a.txt"}', "arg_argv", "/x/~w", None, ["/bin/ls"]),
    ('{"x":"/bin/ls -l a.txt"}', "arg_operand", "/x/~w/2", None, ["a.txt"]),
    ('{"x":"/bin/ls -l a.txt"}', "arg_operand", "/x/~w/1", None, None),
    ('{"x":"a b"}', "arg_strs", "/x/~w", None, [["a", "b"]]),
    ('{"x":"a  b"}', "arg_strs", "/x/~w", None, None),
    ('{"x":"a;b"}', "arg_strs", "/x/~w", None, None),
    ('{"x":"a\\tb"}', "arg_strs", "/x/~w", None, None),
    ('{"x":"/data/a.csv"}', "arg_parent", "x", None, ["/data/"]),
    ('{"x":"/a"}', "arg_parent", "x", None, ["/"]),
    ('{"x":"/data/../a"}', "arg_parent", "x", None, None),
    ('{"x":["/d/a","/d/b"]}', "arg_parents", "x", None, [["/d/"]]),
    ('{"x":["/d/a","b"]}', "arg_parents", "x", None, None),
    ('{"x":"a/b"}', "arg_relpath", "x", None, ["a/b/"]),
    ('{"x":"/a/b"}', "arg_relpath", "x", None, None),
    ('{"x":"../b"}', "arg_relpath", "x", None, None),
    ('{"x":"a/./b"}', "arg_relpath", "x", None, None),
    ('{"x":""}', "arg_relpath", "x", None, None),
    ('{"x":["a","/b"]}', "arg_relpaths", "x", None, None),
    ('{"x":"http://10.0.0.5:8080/v1"}', "arg_ip_url", "x", None, ["http://10.0.0.5:8080", "/v1/"]),
    ('{"x":"https://[::1]/"}', "arg_ip_url", "x", None, ["https://[::1]:443", "/"]),
    ('{"x":"https://[0:0::1]/"}', "arg_ip_url", "x", None, None),
    ('{"x":"https://010.0.0.5/"}', "arg_ip_url", "x", None, None),
    ('{"x":"https://10.0.0.5/"}', "arg_url", "x", None, None),
    ('{"x":["https://10.0.0.5/a"]}', "arg_ip_urls", "x", None, [["https://10.0.0.5:443"], ["/a/"]]),
    ('{"x":["https://acme.com/a"]}', "arg_ip_urls", "x", None, None),
]


def freeze() -> None:
    """Add to facts-2.json what is not frozen yet."""
    keep(
        "facts-2",
        _facts(),
        predicates={name: list(SIGNATURES[name]) for name in dict.fromkeys(row[1] for row in _FACTS)},
    )


def _facts() -> Iterator[Row]:
    for text, predicate, key, parameter, values in _FACTS:
        asked = predicate if parameter is None else f"{predicate} in {parameter} places"
        asked = f"{predicate} {parameter}" if isinstance(parameter, str) else asked
        row: Row = {"name": f"{asked} of {key} in {text}", "arguments": text, "key": key}
        row |= {"predicate": predicate, "parameter": parameter, "values": values}
        assert fact_of(row) == values, (row, fact_of(row))
        yield row


def fact_of(row: Row) -> list[Any] | None:
    """The values of the fact that a case asks for."""
    arguments = parse(row["arguments"])
    assert isinstance(arguments, dict)
    values = Call.of("t", arguments).fact(row["predicate"], row["key"], row["parameter"])
    return None if values is None else [run.as_json(value) for value in values]
