"""Canonical values: one spelling for one value, and no value that two readers take differently."""

from __future__ import annotations

import contextlib
import json
import re
import struct
import sys
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal, localcontext
from enum import Enum, StrEnum
from pathlib import Path
from typing import Any
from uuid import UUID

import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import AliasChoices, AliasPath, BaseModel, ConfigDict, Field, TypeAdapter

from hessra_agents.call.canonical import (
    MAX_BYTES,
    MAX_VALUES,
    MalformedError,
    encode,
    parse,
    to_json,
    to_json_and_text,
)

# RFC 8785, appendix B: the bits of a double and its text
NUMBERS = """
    0000000000000000 0                           8000000000000000 0
    0000000000000001 5e-324                      8000000000000001 -5e-324
    4340000000000000 9007199254740992            c340000000000000 -9007199254740992
    4430000000000000 295147905179352830000       7fefffffffffffff 1.7976931348623157e+308
    ffefffffffffffff -1.7976931348623157e+308    444b1ae4d6e2ef50 1e+21
    44b52d02c7e14af6 1e+23                       44b52d02c7e14af5 9.999999999999997e+22
    44b52d02c7e14af7 1.0000000000000001e+23      444b1ae4d6e2ef4e 999999999999999700000
    444b1ae4d6e2ef4f 999999999999999900000       3eb0c6f7a0b5ed8c 9.999999999999997e-7
    3eb0c6f7a0b5ed8d 0.000001                    41b3de4355555553 333333333.3333332
    41b3de4355555554 333333333.33333325          41b3de4355555555 333333333.3333333
    41b3de4355555556 333333333.3333334           41b3de4355555557 333333333.33333343
    becbf647612f3696 -0.0000033333333333333333    43143ff3c1cb0959 1424953923781206.2
"""


@pytest.mark.parametrize(("bits", "text"), re.findall(r"(\S+) +(\S+)", NUMBERS))
def test_doubles_print_as_in_javascript(bits: str, text: str) -> None:
    """And a string that is a double prints as the same double does."""
    (value,) = struct.unpack(">d", bytes.fromhex(bits))
    assert encode(to_json(value)).decode() == text
    assert encode(parse(repr(value))).decode() == text


def test_a_number_has_one_value_and_one_type() -> None:
    """However it was written. An integer keeps all digits, where RFC 8785 rounds; a bool is none."""
    for one in (to_json(1.0), parse("1.0"), parse("1e0"), parse("10e-1")):
        assert type(one) is int
        assert one == 1
    for exact in (9007199254740993, 2**64 + 1, -(10**399), 10**400 - 1):
        assert parse(encode(to_json(exact))) == exact
    assert [type(to_json(value)) for value in (2.0**53, 2.0**53 + 2, -0.0, True)] == [int, int, int, bool]
    assert [type(to_json(value)) for value in (1e20, 1e21, 9e18)] == [int, float, int]
    assert to_json(1e20) == 10**20, "what prints alike is alike"
    with pytest.raises(MalformedError):
        encode(float("nan"))
    assert encode([1e-7, 123456789.123, 2.0**53 + 2]) == b"[1e-7,123456789.123,9007199254740994]"


def test_names_are_sorted_by_utf_16_code_units() -> None:
    """The sample of RFC 8785, 3.2.3, where an emoji sorts before U+FB33."""
    names = ["\u20ac", "\r", "\ufb33", "1", "\U0001f600", "\u0080", "\u00f6"]
    order = ["\r", "1", "\u0080", "\u00f6", "\u20ac", "\U0001f600", "\ufb33"]
    assert list(json.loads(encode(dict.fromkeys(names)))) == order


def test_strings_are_escaped_as_little_as_possible_and_not_normalised() -> None:
    """The string sample of RFC 8785, 3.2.2, the short escapes, and what JSON.stringify leaves as it is."""
    text = r'"\u20ac$\u000F\u000aA' + r"'\u0042\u0022\u005c\\\"\/" + '"'
    assert encode(parse(text)) == r'"€$\u000f\nA'.encode() + rb"'B\"\\\\\"/" + b'"'
    assert encode("\b\t\n\f\r\0\x7f\u2028e\u0301") == '"\\b\\t\\n\\f\\r\\u0000\x7f\u2028e\u0301"'.encode()


REFUSED_TEXT: dict[str, list[str | bytes]] = {
    "a name twice": ['{"a":1,"a":1}', '{"a":1,"\\u0061":2}', '[{"b":{"a":1,"c":2,"a":3}}]'],
    "not finite": ["NaN", "[Infinity]", "-Infinity", "1e999", '{"a":-1e999}'],
    "over 400 digits": ["1" * 401, "-" + "1" * 401, "1" * MAX_BYTES],
    "a lone surrogate": ['"\\ud800"', '"\\udc00\\ud800"', '{"\\udfff":1}', '"\ud800"', b'"\xed\xa0\x80"'],
    "a byte order mark": ["\ufeff1", b"\xef\xbb\xbf1"],
    "not utf-8": [b'"\xff"', b'"\xc0\xaf"', '{"a":1}'.encode("utf-16-le"), '{"a":1}'.encode("utf-32")],
    "not one value": ["", " ", b"", "1 2", "{}x", "{}\x00", "[1] // all"],
    "not json, but taken by some": ["[1,]", "01", "+1", ".5", "\u0661", '"\n"', "\u00a01", "{'a':1}", "True"],
    "33 levels": ["[" * 33 + "]" * 33, '{"a":' * 33 + "1" + "}" * 33, "[" * 100_000],
    "33 levels beside closing brackets in strings": ['["]",' * 33 + "1" + "]" * 33],
    "over a MiB": [" " * MAX_BYTES + "1", b" " * MAX_BYTES + b"1", " " * 600_000 + '"' + "é" * 300_000 + '"'],
    "far more values than a call has": ["[" + one * 200_000 + "0]" for one in ("0,", "[],", "{},", '"",')],
    "over a MiB when printed": ["[" + "1e20," * 60_000 + "1]"],
}


def each(table: dict[str, list[Any]]) -> list[Any]:
    return [pytest.param(value, id=why) for why, values in table.items() for value in values]


@pytest.mark.parametrize("text", each(REFUSED_TEXT))
def test_text_with_two_readings_is_refused(text: str | bytes) -> None:
    """What some reader of JSON takes differently, or not at all, is malformed."""
    with pytest.raises(MalformedError):
        parse(text)


ONE_READING: list[tuple[str | bytes, str]] = [
    (' {"b": 1.0,\n"a": [true, null]} ', '{"a":[true,null],"b":1}'),
    (b'"\xc3\xa9\\u0000\\ud83d\\ude00\xef\xbb\xbf"', '"é\\u0000\U0001f600\ufeff"'),
    ("[" * 32 + "]" * 32, "[" * 32 + "]" * 32),
    ('["' + "[" * 40 + '\\"[{"]', '["' + "[" * 40 + '\\"[{"]'),
    ("[" + "[]," * 99 + "[]]", "[" + "[]," * 99 + "[]]"),
    ('"' + "a" * (MAX_BYTES - 2) + '"', '"' + "a" * (MAX_BYTES - 2) + '"'),
]


@pytest.mark.parametrize(("text", "canonical"), ONE_READING, ids=range(len(ONE_READING)))
def test_text_with_one_reading_has_one_spelling(text: str | bytes, canonical: str) -> None:
    """Up to every limit, and with brackets that stand in strings."""
    assert encode(parse(text)) == canonical.encode()


def test_deep_text_does_not_reach_the_recursive_decoder() -> None:
    """Where a host has raised the limit of recursion, the decoder would overflow the stack."""
    with contextlib.ExitStack() as after:
        after.callback(sys.setrecursionlimit, sys.getrecursionlimit())
        sys.setrecursionlimit(10**8)
        with pytest.raises(MalformedError, match="more than"):
            parse("[" * MAX_BYTES)


def test_a_byte_order_mark_is_named() -> None:
    """Nobody sees it, so the refusal must say that it is there."""
    for text in ("\ufeff1", b"\xef\xbb\xbf1"):
        with pytest.raises(MalformedError, match="byte order mark"):
            parse(text)


def test_commas_and_brackets_inside_strings_are_no_values() -> None:
    """A long text is one value, whatever is written in it."""
    text = json.dumps({"body": '",[{}]' * 100_000, "lists": [[]] * 40})
    assert json.loads(encode(parse(text))) == json.loads(text)


@dataclass
class Node:
    name: str
    kids: tuple[Node, ...] = ()
    size: int = field(init=False, default=0)


Colour = StrEnum("Colour", ["RED"])
Level = Enum("Level", {"HIGH": 3})
EAST = timezone(timedelta(hours=2))
FORMS: list[tuple[Any, Any, str]] = [
    (set[int | str], {3, 20, 1, "5"}, '["5",1,20,3]'),
    (dict[Colour, frozenset[str]], {Colour.RED: frozenset("ba")}, '{"red":["a","b"]}'),
    (tuple[Colour, Level], (Colour.RED, Level.HIGH), '["red",3]'),
    (Path, Path("/data/in.csv"), '"/data/in.csv"'),
    (UUID, UUID(int=5), '"00000000-0000-0000-0000-000000000005"'),
    (list[Decimal], [Decimal("1.10"), Decimal("-1.2345E+30")], '["1.10","-1.2345E+30"]'),
    (list[date], [date(2026, 2, 28)], '["2026-02-28"]'),
    (time, time(10, 30, tzinfo=EAST), '"10:30:00+02:00"'),
    (datetime, datetime.fromisoformat("2026-02-28T01:00"), '"2026-02-28T01:00:00"'),
    (datetime, datetime(2026, 2, 28, 1, 0, 0, 5, tzinfo=EAST), '"2026-02-27T23:00:00.000005Z"'),
    (timedelta, timedelta(days=400, seconds=5, microseconds=3), '"P400DT5.000003S"'),
    (list[timedelta], [timedelta(0, -1), timedelta.min], '["-P0DT1.000000S","-P999999999DT0.000000S"]'),
    (Node, Node("a", (Node("b"),)), '{"kids":[{"kids":[],"name":"b"}],"name":"a"}'),
]


@pytest.mark.parametrize(("kind", "value", "text"), FORMS)
def test_pydantic_reads_an_equal_value_back_in_strict_mode(kind: Any, value: Any, text: str) -> None:
    """So a tool that takes such a type gets what its caller gave; a decimal context changes nothing."""
    with localcontext(prec=2, capitals=0):
        assert encode(to_json(value)) == text.encode() == encode(parse(text))
    assert TypeAdapter(kind).validate_json(text, strict=True) == value


class Mail(BaseModel):
    model_config = ConfigDict(extra="allow")

    sender: str = Field(alias="from")
    copies: int = Field(1, validation_alias=AliasChoices("cc", "copies"), serialization_alias="out")
    hidden: int = Field(2, exclude=True)
    price: Decimal = Decimal("1.10")

    @pydantic.field_serializer("price")
    def masked(self, _: Decimal) -> str:
        return "***"


BY_NAME = ConfigDict(validate_by_name=True, validate_by_alias=False, extra="forbid")
ByName = pydantic.create_model("ByName", __config__=BY_NAME, price=(int, Field(alias="unitPrice")))
Inner = pydantic.create_model("Inner", first=(int, Field(0, validation_alias=AliasPath("all", 0))))
Held = pydantic.create_model("Held", value=(Any, ...))


@pydantic.dataclasses.dataclass(config=ConfigDict(extra="forbid"))
class Part:
    serial: int = Field(alias="serial-no")
    made: int = Field(3, init=False)


def test_a_model_goes_by_the_names_it_is_read_from() -> None:
    """Not by those it is written with: the same model must come back from its canonical bytes."""
    mail = Mail.model_validate({"from": "ana", "cc": 3, "extra": [1]})
    expected = '{"cc":3,"extra":[1],"from":"ana","hidden":2,"price":"1.10"}'
    assert encode(to_json(mail)).decode() == expected
    part = TypeAdapter(Part).validate_python({"serial-no": 1})
    for model in (mail, ByName(price=1), pydantic.RootModel[list[Mail]]([mail]), part):
        assert TypeAdapter(type(model)).validate_json(encode(to_json(model)), strict=True) == model


class Text(str):
    __hash__ = object.__hash__

    def __eq__(self, other: object) -> bool:
        return self is other

    def __str__(self) -> str:
        return "another text"


def test_subclasses_become_the_exact_type() -> None:
    """The text that is checked is the one that is kept, whatever the subclass answers."""
    fresh = to_json({Text("key"): Text("value"), "size": type("Celsius", (float,), {})(1.5)})
    assert fresh == {"key": "value", "size": 1.5}
    assert isinstance(fresh, dict)
    assert [type(each) for item in fresh.items() for each in item] == [str, str, str, float]


LIAR = type("Liar", (), {"__class__": str})()
LOOP: list[object] = []
LOOP.append({"again": LOOP})
Endless = Enum("Endless", ["VALUE"])
Endless.VALUE._value_ = Endless.VALUE
WIDE: object = "x" * 9
for _ in range(20):
    WIDE = [WIDE] * 100
REFUSED_VALUES: dict[str, list[object]] = {
    "no form in JSON": [b"bytes", bytearray(1), 1j, range(3), len, Mail, object(), iter([1]), LIAR],
    "masked by its model's own dump": [pydantic.SecretStr("s"), Held(value=float("nan"))],
    "a field that is not set, or is read from inside a list": [Held.model_construct(None), Inner()],
    "a key that is no string": [{1: "a"}, {None: 1}, {("a",): 1}],
    "names that are spelled alike": [{"a": 1, Text("a"): 2}],
    "not finite": [float("nan"), float("-inf"), Decimal("NaN"), Decimal("-Infinity")],
    "over 400 digits": [10**400, -(10**400)],
    "a lone surrogate": ["\ud800", {"\udfff": 1}, Path("/a\udc80")],
    "after the end of the calendar": [datetime.max.replace(tzinfo=timezone(timedelta(hours=-1)))],
    "33 levels, or without end": [json.loads("[" * 33 + "]" * 33), LOOP, Endless.VALUE],
    "more elements than any memory holds": [WIDE],
    "over a MiB": [["a" * MAX_BYTES], "é" * (MAX_BYTES // 2), [10**399] * 2700, [[]] * 400_000],
    "over a MiB when printed": ["\x01" * (MAX_BYTES // 6 + 1), [1e20] * 60_000],
}


@pytest.mark.parametrize("value", each(REFUSED_VALUES))
def test_a_value_without_a_json_form_is_refused(value: object) -> None:
    """At any place, and before a large one is walked as a whole."""
    for held in (value, {"a": [value]}, Held(value=value)):
        for form in (to_json, to_json_and_text):
            with pytest.raises(MalformedError):
                form(held)


def test_the_largest_values_have_a_form() -> None:
    """The count that refuses a large value early never exceeds its canonical bytes."""
    for value in (["é" * ((MAX_BYTES - 4) // 2)], "\x01" * (MAX_BYTES // 6)):
        assert MAX_BYTES - 8 <= len(encode(to_json(value))) <= MAX_BYTES


def test_the_number_of_values_is_bounded() -> None:
    """A megabyte of empty lists would hold the interpreter for long."""
    assert to_json([0] * MAX_VALUES) == [0] * MAX_VALUES
    for value in ([0] * (MAX_VALUES + 1), [[0] * 300 for _ in range(300)]):
        with pytest.raises(MalformedError, match="values"):
            to_json(value)


def test_a_form_shares_nothing_with_its_value() -> None:
    """What the caller changes afterwards is not changed in what was checked."""
    to, options = ["ana"], {"force": False}
    fresh = to_json({"to": to, "options": options})
    to.append("eve")
    options["force"] = True
    assert fresh == {"to": ["ana"], "options": {"force": False}}


def test_the_message_names_the_place_and_not_the_value() -> None:
    """Nor a name that could carry a line break into a log."""
    with pytest.raises(MalformedError) as fault:
        to_json({"to": [1, {"canary\n": "canary\ud800"}]})
    assert str(fault.value) == "/to/1/*: a lone surrogate"


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters())
VALUES = st.recursive(
    SCALARS | st.decimals() | st.datetimes() | st.timedeltas() | st.uuids() | st.binary(max_size=2),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)


@given(VALUES | st.sets(SCALARS))
def test_canonical_bytes_are_a_fixed_point(value: object) -> None:
    """Reading and writing them again changes nothing; every value has them or is malformed."""
    try:
        fresh = to_json(value)
    except MalformedError:
        with pytest.raises(MalformedError):
            to_json_and_text(value)
        return
    text = encode(fresh)
    assert to_json_and_text(value) == (fresh, text)
    assert encode(parse(text)) == encode(to_json(fresh)) == text
    assert json.loads(text, parse_int=float) == json.loads(json.dumps(fresh), parse_int=float)


TEXTS = st.text('[]{}",:\\u0deE+-.19 \ud800') | VALUES.map(lambda value: json.dumps(value, default=str))


@given(st.binary() | TEXTS)
def test_any_text_is_read_or_malformed(text: str | bytes) -> None:
    """Nothing else is raised, and what is read has canonical bytes."""
    with contextlib.suppress(MalformedError):
        assert encode(to_json(parse(text))) == encode(parse(text))
