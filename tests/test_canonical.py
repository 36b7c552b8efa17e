"""Canonical values: one spelling for one value, and no value that two readers take differently."""

from __future__ import annotations

import json
import struct
import sys
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal, localcontext
from enum import Enum, IntEnum, StrEnum
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple
from uuid import UUID

import pytest
from pydantic import (
    AliasChoices,
    AliasPath,
    BaseModel,
    ConfigDict,
    Field,
    RootModel,
    SecretStr,
    TypeAdapter,
    computed_field,
    field_serializer,
)
from pydantic.dataclasses import dataclass as pydantic_dataclass

from hessra_agents.canonical import MAX_BYTES, Malformed, encode, parse, plain


def written(value: object) -> str:
    return encode(plain(value)).decode()


# Numbers and strings as RFC 8785 writes them

APPENDIX_B = {
    "0000000000000000": "0",
    "8000000000000000": "0",
    "0000000000000001": "5e-324",
    "8000000000000001": "-5e-324",
    "7fefffffffffffff": "1.7976931348623157e+308",
    "ffefffffffffffff": "-1.7976931348623157e+308",
    "4340000000000000": "9007199254740992",
    "c340000000000000": "-9007199254740992",
    "4430000000000000": "295147905179352830000",
    "44b52d02c7e14af5": "9.999999999999997e+22",
    "44b52d02c7e14af6": "1e+23",
    "44b52d02c7e14af7": "1.0000000000000001e+23",
    "444b1ae4d6e2ef4e": "999999999999999700000",
    "444b1ae4d6e2ef4f": "999999999999999900000",
    "444b1ae4d6e2ef50": "1e+21",
    "3eb0c6f7a0b5ed8c": "9.999999999999997e-7",
    "3eb0c6f7a0b5ed8d": "0.000001",
    "41b3de4355555553": "333333333.3333332",
    "41b3de4355555554": "333333333.33333325",
    "41b3de4355555555": "333333333.3333333",
    "41b3de4355555556": "333333333.3333334",
    "41b3de4355555557": "333333333.33333343",
    "becbf647612f3696": "-0.0000033333333333333333",
    "43143ff3c1cb0959": "1424953923781206.2",
}


@pytest.mark.parametrize(("bits", "text"), APPENDIX_B.items())
def test_doubles_print_as_in_appendix_b(bits: str, text: str) -> None:
    """The number samples of RFC 8785, appendix B."""
    (value,) = struct.unpack(">d", bytes.fromhex(bits))
    assert written(value) == text


@pytest.mark.parametrize("bits", ["7fffffffffffffff", "7ff0000000000000", "fff0000000000000"])
def test_doubles_that_are_not_finite_have_no_form(bits: str) -> None:
    """NaN and infinity, the refused samples of RFC 8785, appendix B."""
    (value,) = struct.unpack(">d", bytes.fromhex(bits))
    with pytest.raises(Malformed):
        plain(value)
    with pytest.raises(Malformed):
        encode(value)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.0, "1"),
        (-0.0, "0"),
        (1e15, "1000000000000000"),
        (9007199254740993, "9007199254740993"),
        (2**64 + 1, "18446744073709551617"),
        (1e-7, "1e-7"),
        (1.5e-10, "1.5e-10"),
        (123456789.123, "123456789.123"),
        (True, "true"),
        ([False, None], "[false,null]"),
    ],
)
def test_a_number_has_one_spelling(value: object, text: str) -> None:
    """Integral doubles are integers, integers keep all digits, and a bool is no number."""
    assert written(value) == text
    assert encode(parse(text)) == text.encode()


def test_one_and_one_point_zero_are_the_same_integer_and_true_is_not() -> None:
    """The type, too, does not depend on how a number was written."""
    for one in (plain(1.0), parse("1.0"), parse("1e0"), parse("10e-1"), plain(IntEnum("One", "a")(1))):
        assert type(one) is int
        assert one == 1
    assert plain(True) is True
    assert parse("true") is True
    assert type(plain(2.0**53)) is int
    assert type(plain(2.0**53 + 2)) is float


def test_names_are_sorted_by_utf_16_code_units() -> None:
    """The sample of RFC 8785, 3.2.3, where an emoji sorts before U+FB33."""
    names = ["\u20ac", "\r", "\ufb33", "1", "\U0001f600", "\u0080", "\u00f6"]
    order = ["\r", "1", "\u0080", "\u00f6", "\u20ac", "\U0001f600", "\ufb33"]
    assert list(json.loads(encode(dict.fromkeys(names)))) == order


def test_strings_are_escaped_as_little_as_possible() -> None:
    """The sample of RFC 8785, 3.2.4, the short escapes, and what JSON.stringify leaves as it is."""
    text = '"\\u20ac$\\u000F\\u000aA\'\\u0042\\u0022\\u005c\\\\\\"\\/"'
    assert encode(parse(text)) == '"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"'.encode()
    assert written("\b\t\n\f\r\0\x1f\x7f\u2028") == '"\\b\\t\\n\\f\\r\\u0000\\u001f\x7f\u2028"'


def test_text_is_not_normalised() -> None:
    """A composed and a decomposed letter are two values: equality is that of the bytes."""
    assert written("\u00e9") != written("e\u0301")


# Reading text

REFUSED_TEXT: dict[str | bytes, str] = {
    "": "nothing",
    " ": "only white space",
    '{"a":1,"a":1}': "a name twice",
    '{"a":1,"\\u0061":2}': "a name twice in two spellings",
    '[{"b":{"a":1,"c":2,"a":3}}]': "a name twice further in",
    "NaN": "not a number",
    "[Infinity]": "infinity",
    "-Infinity": "minus infinity",
    "1e999": "overflows to infinity",
    "-1e999": "overflows to minus infinity",
    "1" * 401: "401 digits",
    "-" + "1" * 401: "401 digits and a sign",
    "1" * 100_000: "digits that would take quadratic time",
    '"\\ud800"': "a lone surrogate",
    '"\\udc00\\ud800"': "surrogates in the wrong order",
    '{"\\udfff":1}': "a lone surrogate in a name",
    '"\ud800"': "a lone surrogate, not escaped",
    b'"\xed\xa0\x80"': "a lone surrogate in bytes",
    "\ufeff1": "a byte order mark",
    b"\xef\xbb\xbf1": "a byte order mark in bytes",
    '{"a":1}\x00'.encode("utf-16-le"): "UTF-16, which json.loads would take",
    b'"\xff"': "not UTF-8",
    b'"\xc0\xaf"': "overlong UTF-8",
    "1 2": "a second value",
    "{}x": "trailing bytes",
    "{}\x00": "a trailing NUL",
    "[1,]": "a trailing comma",
    "{'a':1}": "quotes of another language",
    "[1] // all": "a comment",
    "01": "a leading zero",
    "+1": "a plus sign",
    ".5": "no digit before the point",
    "0x10": "hexadecimal",
    "\u0661": "a digit of another script",
    '"\n"': "a raw control character in a string",
    "\u00a01": "white space that is none in JSON",
    "[" * 33 + "]" * 33: "33 levels",
    '{"a":' * 33 + "1" + "}" * 33: "33 levels of objects",
    "[" * 100_000: "deep and open",
    '"\\"' + "[" * 100: "an open string",
    '["]"' + ',["]"' * 33 + "]" * 34: "closing brackets that are in strings",
    " " * MAX_BYTES + "1": "over a MiB of white space",
    '"' + "a" * MAX_BYTES + '"': "over a MiB",
    '"' + "é" * (MAX_BYTES // 2) + '"': "over a MiB only in bytes",
    "[" + "1e20," * 60_000 + "1]": "prints as over a MiB",
}


@pytest.mark.parametrize("text", [pytest.param(text, id=why) for text, why in REFUSED_TEXT.items()])
def test_text_with_two_readings_is_refused(text: str | bytes) -> None:
    """Whatever some reader of JSON takes differently, or not at all, is malformed."""
    with pytest.raises(Malformed):
        parse(text)


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        (' {"b": 1.0,\n"a": [true, null]} ', '{"a":[true,null],"b":1}'),
        (b'"\xc3\xa9\\u0000"', '"é\\u0000"'),
        ('"\\ud83d\\ude00"', '"\U0001f600"'),
        ('"\ufeff"', '"\ufeff"'),
        ("[" * 32 + "]" * 32, "[" * 32 + "]" * 32),
        ('["' + "[" * 40 + '\\"[{"]', '["' + "[" * 40 + '\\"[{"]'),
        ("[" + "[]," * 99 + "[]]", "[" + "[]," * 99 + "[]]"),
        ("-" + "1" * 400, "-" + "1" * 400),
        ("1e-999", "0"),
        ('"' + "a" * (MAX_BYTES - 2) + '"', '"' + "a" * (MAX_BYTES - 2) + '"'),
    ],
    ids=lambda text: str(text)[:20],
)
def test_text_with_one_reading_has_one_spelling(text: str | bytes, canonical: str) -> None:
    """Up to every limit, and with brackets that stand in strings."""
    assert encode(parse(text)) == canonical.encode()


def test_deep_text_does_not_reach_the_recursive_decoder() -> None:
    """A host that raised the recursion limit would crash there."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(10**8)
    try:
        with pytest.raises(Malformed, match="inside each other"):
            parse("[" * MAX_BYTES)
    finally:
        sys.setrecursionlimit(before)


# Reading Python values


class Colour(StrEnum):
    RED = "red"


class Level(Enum):
    HIGH = 3


class Point(NamedTuple):
    x: int
    y: float


@dataclass
class Node:
    name: str
    kids: list[Node] = field(default_factory=list)
    size: int = field(init=False, default=0)


class Text(str):
    def __str__(self) -> str:
        return "another text"


EAST = timezone(timedelta(hours=2))
FORMS: list[tuple[Any, Any, str]] = [
    (tuple[int, ...], (1, 2), "[1,2]"),
    (Point, Point(1, 2.0), "[1,2]"),
    (set[int], {3, 20, 1}, "[1,20,3]"),
    (frozenset[str], frozenset("ab"), '["a","b"]'),
    (dict[Colour, int], {Colour.RED: 1}, '{"red":1}'),
    (Colour, Colour.RED, '"red"'),
    (Level, Level.HIGH, "3"),
    (Path, Path("/data/in.csv"), '"/data/in.csv"'),
    (PurePosixPath, PurePosixPath("a/b"), '"a/b"'),
    (UUID, UUID(int=5), '"00000000-0000-0000-0000-000000000005"'),
    (Decimal, Decimal("1.10"), '"1.10"'),
    (Decimal, Decimal("1E+3"), '"1E+3"'),
    (date, date(2026, 2, 28), '"2026-02-28"'),
    (time, time(10, 30), '"10:30:00"'),
    (time, time(10, 30, tzinfo=EAST), '"10:30:00+02:00"'),
    (datetime, datetime(2026, 2, 28, 1), '"2026-02-28T01:00:00"'),  # noqa: DTZ001 - naive on purpose
    (datetime, datetime(2026, 2, 28, 1, tzinfo=UTC), '"2026-02-28T01:00:00Z"'),
    (datetime, datetime(2026, 2, 28, 1, 0, 0, 5, tzinfo=EAST), '"2026-02-27T23:00:00.000005Z"'),
    (timedelta, timedelta(days=400, seconds=5, microseconds=3), '"P400DT5.000003S"'),
    (timedelta, timedelta(seconds=-1), '"-P0DT1.000000S"'),
    (timedelta, timedelta.max, '"P999999999DT86399.999999S"'),
    (timedelta, timedelta.min, '"-P999999999DT0.000000S"'),
    (Node, Node("a", [Node("b")]), '{"kids":[{"kids":[],"name":"b"}],"name":"a"}'),
]


@pytest.mark.parametrize(("kind", "value", "text"), FORMS)
def test_pydantic_reads_an_equal_value_back_in_strict_mode(kind: Any, value: Any, text: str) -> None:
    """So a tool that takes such a type gets what its caller gave."""
    assert written(value) == text
    assert TypeAdapter(kind).validate_json(text, strict=True) == value
    assert encode(parse(text)) == text.encode()


def test_subclasses_become_the_exact_type() -> None:
    """The text that is checked is the one that is kept, whatever the subclass answers."""
    value = plain({Text("key"): Text("value")})
    assert value == {"key": "value"}
    assert isinstance(value, dict)
    assert {type(text) for item in value.items() for text in item} == {str}
    assert type(plain(type("Celsius", (float,), {})(1.5))) is float


def test_two_names_that_are_spelled_alike_are_refused() -> None:
    """A subclass of str may hash as it likes; the spelling counts."""

    class Odd(str):
        __slots__ = ()

        def __hash__(self) -> int:
            return 7

        def __eq__(self, other: object) -> bool:
            return self is other

    with pytest.raises(Malformed, match="twice"):
        plain({"a": 1, Odd("a"): 2})


def test_a_decimal_does_not_depend_on_the_ambient_context() -> None:
    """Neither on its precision nor on its choice between E and e."""
    with localcontext(prec=2, capitals=0):
        assert written(Decimal("1.2345E+30")) == '"1.2345E+30"'


class Mail(BaseModel):
    model_config = ConfigDict(extra="allow")

    sender: str = Field(alias="from")
    copies: int = Field(1, validation_alias=AliasChoices("cc", "copies"), serialization_alias="out")
    hidden: int = Field(2, exclude=True)
    when: datetime = datetime(2026, 1, 1, tzinfo=EAST)
    tags: set[str] = {"b", "a"}
    price: Decimal = Decimal("1.10")

    @computed_field  # type: ignore[prop-decorator]
    @property
    def length(self) -> int:
        return len(self.sender)

    @field_serializer("price")
    def masked(self, _: Decimal) -> str:
        return "***"


class ByName(BaseModel):
    model_config = ConfigDict(validate_by_name=True, validate_by_alias=False, extra="forbid")

    unit_price: int = Field(alias="unitPrice")


@pydantic_dataclass(config=ConfigDict(extra="forbid"))
class Part:
    serial: int = Field(alias="serial-no")
    made: int = Field(3, init=False)


def test_a_model_goes_by_the_names_it_is_read_from() -> None:
    """Not by those that it is written with: the same model must come back from its canonical bytes."""
    mail = Mail.model_validate({"from": "ana", "cc": 3, "extra": [1]})
    assert written(mail) == (
        '{"cc":3,"extra":[1],"from":"ana","hidden":2,"price":"1.10","tags":["a","b"],'
        '"when":"2025-12-31T22:00:00Z"}'
    )
    part = TypeAdapter(Part).validate_python({"serial-no": 1})
    for model in (mail, ByName(unit_price=1), RootModel[list[Mail]]([mail]), part):
        assert TypeAdapter(type(model)).validate_json(encode(plain(model)), strict=True) == model


class Nested(BaseModel):
    first: int = Field(validation_alias=AliasPath("all", 0))


class Secret(BaseModel):
    value: Any


LOOP: list[object] = []
LOOP.append({"again": LOOP})
REFUSED_VALUES: list[tuple[object, str]] = [
    (b"bytes", "bytes"),
    (bytearray(b"bytes"), "mutable bytes"),
    (len, "a function"),
    (int, "a class"),
    (Colour, "an enum's class"),
    (Mail, "a model's class"),
    (object(), "an object"),
    (iter([1]), "an iterator"),
    (range(3), "a range"),
    (1j, "a complex number"),
    (SecretStr("s"), "a secret"),
    (Secret(value=SecretStr("s")), "a secret in a model, which its own dump would mask"),
    (Secret(value=float("nan")), "NaN in a model, which its own dump may write as null"),
    (Secret.model_construct(), "a model with a field that is not set"),
    (Nested.model_validate({"all": [1]}), "a model that is read from inside a list"),
    ({1: "a"}, "a key that is an integer"),
    ({None: 1}, "a key that is None"),
    ({("a",): 1}, "a key that is a tuple"),
    (float("nan"), "NaN"),
    ([float("inf")], "infinity"),
    (Decimal("NaN"), "NaN in decimal"),
    (Decimal("-Infinity"), "infinity in decimal"),
    (10**400, "401 digits"),
    (-(10**400), "401 digits and a sign"),
    ("\ud800", "a lone surrogate"),
    ({"\udfff": 1}, "a lone surrogate in a name"),
    (Path("/a\udc80"), "a path that is no Unicode"),
    (datetime.max.replace(tzinfo=timezone(-timedelta(hours=1))), "a time after the calendar's end"),
    (LOOP, "a list that contains itself"),
    ([["x" * 1000] * 100] * 100, "a large value that is shared in memory"),
    (["a" * MAX_BYTES], "over a MiB"),
    ("\x01" * (MAX_BYTES // 6), "over a MiB only when escaped"),
    ("é" * (MAX_BYTES // 2), "over a MiB only in bytes"),
    ([1e20] * 60_000, "over a MiB only in canonical digits"),
]
