"""Starter files: all that a server offers, named; nothing granted that nobody decided."""

from __future__ import annotations

import re
import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hessra_agents import Call, Denied, Grant, must
from hessra_agents.call.canonical import MalformedError
from hessra_agents.grants.grant_file.reader import read_grants
from hessra_agents.grants.vocabulary.constraints import Place
from hessra_agents.mcp.discovery.template import grant_template
from tests.support.products import branches


def tool(name: str, schema: object, description: str = "") -> dict[str, Any]:
    """One definition of ``tools/list``."""
    return {"name": name, "description": description, "inputSchema": schema}


def argument(schema: object, *, required: bool = True, definitions: Any = ()) -> Any:
    """What the file says about one argument of this schema."""
    whole = {"type": "object", "properties": {"x": schema}, "required": ["x"] if required else []}
    whole["$defs"] = dict(definitions)
    return tomllib.loads(grant_template("s", [tool("t", whole)]))["grant"][0]["arguments"]["x"]


def decided(text: str) -> tuple[Grant, ...]:
    """The grants of a file after a person chose ``anything`` everywhere."""
    return read_grants(re.sub(r'\{ CHOOSE = "[a-z ]*" \}', "{ anything = true }", text))


TOLD: list[tuple[Any, Any]] = [
    ({"enum": ["a", "b"]}, {"one_of": ["a", "b"]}),
    ({"enum": ["a", None]}, {"one_of": ["a", {"json": "null"}]}),
    ({"const": 0}, 0),
    ({"const": ""}, ""),
    ({"const": None}, {"json": "null"}),
    ({"const": {"a": [1]}}, {"exact": {"a": [1]}}),
    ({"type": "boolean"}, {"one_of": [True, False]}),
    ({"type": "integer", "minimum": 1, "maximum": 9}, {"between": [1, 9]}),
    ({"type": "integer", "exclusiveMinimum": 0.5, "exclusiveMaximum": 9}, {"between": [1, 8]}),
    ({"type": "integer", "minimum": 1}, {"at_least": 1}),
    ({"type": "integer", "maximum": 9.5}, {"at_most": 9}),
    ({"type": "number", "minimum": 1}, {"number": {"low": 1}}),
    ({"type": "number", "exclusiveMinimum": 0, "maximum": 99.9}, {"number": {"above": 0, "high": 99.9}}),
    (
        {"type": "number", "minimum": 0, "exclusiveMinimum": 0, "maximum": 9, "exclusiveMaximum": 9.5},
        {"number": {"above": 0, "high": 9}},
    ),
    ({"type": "string", "maxLength": 20}, {"max_length": 20}),
    ({"type": "array", "items": {"enum": ["a"]}}, {"subset_of": {"values": ["a"], "empty": True}}),
    (
        {"type": "array", "items": {"const": 1}, "minItems": 1, "maxItems": 3},
        {"subset_of": {"values": [1], "empty": False}, "max_length": 3},
    ),
    (
        {"type": "array", "items": {"type": "integer", "minimum": 0}},
        {"each": {"of": {"at_least": 0}, "empty": True}},
    ),
    (
        {"type": "object", "properties": {"a": {"const": 1}, "b": {}}, "required": ["a", "b"]},
        {"fields": {"a": 1, "b": {"CHOOSE": "any value"}}},
    ),
]
OPEN: list[tuple[Any, str]] = [
    (True, "any value"),
    ({}, "any value"),
    ({"type": "string"}, "a string"),
    ({"type": "string", "maxLength": 1 << 64}, "a string"),
    ({"type": "integer"}, "an integer"),
    ({"type": "integer", "minimum": 9, "maximum": 1}, "an integer"),
    ({"type": "integer", "minimum": 1 << 64}, "an integer"),
    ({"type": "number"}, "a number"),
    ({"type": "number", "minimum": 1e-12}, "a number"),
    ({"type": "number", "minimum": 2, "maximum": 1}, "a number"),
    ({"type": "number", "maximum": 1e300}, "a number"),
    ({"anyOf": [{"type": "string"}, {"type": "null"}]}, "a string or null"),
    ({"enum": [[1]], "type": "array"}, "a list"),
    ({"type": "array", "items": {"type": "string"}}, "a list"),
    ({"type": "array", "items": {"enum": [True]}}, "a list"),
    ({"type": "array", "items": {"enum": ["a", 1]}}, "a list"),
    ({"type": "object"}, "an object"),
    ({"type": "object", "properties": {"a": {"const": 1}}}, "an object"),
    (
        {"type": "object", "properties": {"a": {}}, "required": ["a"], "additionalProperties": True},
        "an object",
    ),
]


@pytest.mark.parametrize(("schema", "form"), TOLD, ids=str)
def test_what_a_schema_tells_is_the_constraint(schema: Any, form: Any) -> None:
    """And a library reads it."""
    assert argument(schema) == form
    assert argument(schema, required=False) == {"optional": form}
    assert decided(grant_template("s", [tool("t", {"properties": {"x": schema}, "required": ["x"]})]))


@pytest.mark.parametrize(("schema", "words"), OPEN, ids=str)
def test_what_a_schema_does_not_tell_is_for_a_person(schema: Any, words: str) -> None:
    """The file is not read before."""
    assert argument(schema) == {"CHOOSE": words}
    with pytest.raises(ValueError, match=r"grant 1 \(t\): x: not decided yet"):
        read_grants(grant_template("s", [tool("t", {"properties": {"x": schema}, "required": ["x"]})]))


def test_an_argument_that_may_be_left_out_is_optional() -> None:
    """Whoever could say null can leave it out."""
    or_null = {"anyOf": [{"type": "string", "maxLength": 3}, {"type": "null"}]}

    assert argument({"type": "string"}, required=False) == {"optional": {"CHOOSE": "a string"}}
    assert argument(or_null, required=False) == {"optional": {"max_length": 3}}
    assert argument({"type": ["integer", "null"], "minimum": 1}, required=False) == {
        "optional": {"at_least": 1}
    }


def test_a_reference_is_followed() -> None:
    """Into the definitions of the same schema, and not for ever."""
    definitions = {"Kind": {"enum": ["a"]}, "Loop": {"$ref": "#/$defs/Loop"}}

    assert argument({"$ref": "#/$defs/Kind"}, definitions=definitions) == {"one_of": ["a"]}
    assert argument({"$ref": "#/$defs/Loop"}, definitions=definitions) == {"CHOOSE": "any value"}


def test_every_optional_argument_is_granted() -> None:
    """However many the tool has."""
    schema = {"type": "object", "properties": {f"a{i}": {"type": "boolean"} for i in range(20)}}

    text = grant_template("s", [tool("t", schema)])
    (found,) = read_grants(text)

    assert [name for name, _ in found.constraints] == [f"a{i}" for i in range(20)]


def test_resources_and_prompts_are_offered_too() -> None:
    """By their URI, and with the arguments that they say."""
    prompt = {"name": "sum", "arguments": [{"name": "text", "required": True}, {"name": "tone"}]}

    read, get = decided(grant_template("s", [], [{"uri": "file:///a"}], [prompt]))

    assert (read.resource, read.operation) == ("resource:file:///a", "read")
    assert (get.resource, get.operation) == ("prompt:sum", "get")
    assert [(name, c.wants_value) for name, c in get.constraints] == [("text", True), ("tone", False)]


ONE = {"properties": {"x": {"const": 1}}}
NOT_GRANTED = {
    "a name that is none": tool("", {}),
    "a name that is too long": tool("x" * 257, {}),
    "a name that is no text": {"name": 7, "inputSchema": {}},
    "a name of half a character": tool("\ud800", {}),
    "a schema that cannot be used": tool("t", {"$ref": "https://evil.example"}),
}


@pytest.mark.parametrize("case", NOT_GRANTED)
def test_what_cannot_be_granted_is_said_in_a_comment(case: str) -> None:
    """And the rest of the file is as it would be without it."""
    text = grant_template("s", [NOT_GRANTED[case], tool("good", ONE)])

    assert "\n# Not granted: tool " in text
    assert [one.tool for one in read_grants(text)] == ["good"]


def test_a_second_tool_of_the_same_name_is_not_granted() -> None:
    """Nobody could say which one was meant."""
    text = grant_template("s", [tool("t", ONE), tool("t", {"properties": {"x": {"const": 2}}})])

    assert [str(one) for one in read_grants(text)] == ["t(x: omitted, or exactly 1)"]
    assert "its name is used twice" in text


WITHHELD = {
    "no arguments": (tool("env", {"type": "object"}), "it takes no arguments"),
    "destructive": ({**tool("rm", ONE), "annotations": {"destructiveHint": True}}, "calls it destructive"),
    "a claim": ({**tool("env", {}), "annotations": {"readOnlyHint": True}}, "it takes no arguments"),
}


@pytest.mark.parametrize("case", WITHHELD)
def test_what_nobody_would_decide_on_is_granted_in_a_comment_only(case: str) -> None:
    """With the reason; a server's word alone grants nothing."""
    withheld, reason = WITHHELD[case]
    text = grant_template("s", [withheld, tool("good", ONE)])

    assert [one.tool for one in read_grants(text)] == ["good"]
    assert f"# Not granted, {reason}" in text or reason in text
    assert f'# tool = "{withheld["name"]}"' in text
    marked = text.partition("remove the marks to grant it\n")[2].partition("\n\n")[0]
    unmarked = [line.removeprefix("# ") for line in marked.splitlines()]
    assert [one.tool for one in read_grants("\n".join(unmarked))] == [withheld["name"]]


def test_paths_are_filled_in() -> None:
    """Where a name says so and the schema says no more than that it is a string, or a list."""
    text, names = {"type": "string"}, {"type": "array", "items": {"type": "string"}}
    told = {
        **dict.fromkeys(("path", "file_path", "outputDir", "source"), text),
        **dict.fromkeys(("paths", "files"), names),
        **dict.fromkeys(("pathology", "content", "profile"), text),
        "folder": {"enum": ["a"]},
    }
    made = grant_template("s", [tool("t", {"properties": told, "required": [*told]})], under="/srv")

    found = tomllib.loads(made)["grant"][0]["arguments"]
    below = {name for name, form in found.items() if form == {"under": "/srv"}}
    assert below == {"path", "file_path", "outputDir", "source"}
    each = {"each": {"of": {"under": "/srv"}, "empty": False}}
    assert {name for name, form in found.items() if form == each} == {"paths", "files"}
    assert found["folder"] == {"one_of": ["a"]}


def test_what_is_cut_of_a_servers_words_is_counted_outside_of_them() -> None:
    made = grant_template("s", [tool("t", ONE, "x" * 212), tool("u", ONE, "y" * 200)])

    assert f'# "{"x" * 200}" (and 12 more characters)' in made
    assert f'# "{"y" * 200}"\n' in made


EVIL = (
    "innocent\n[[grant]]\ntool = 'evil'",
    'x"\narguments.x = { anything = true }\n"',
    "\r\n[[grant]]",
    "\u2028[[grant]]\u2029",
    "\x1b]0;title\x07\x00",
    "\u202etnarg",
    "\"\"\" ''' \\ \\u0022",
)


@pytest.mark.parametrize("words", EVIL)
def test_what_a_server_says_of_itself_stays_in_a_comment(words: str) -> None:
    """Descriptions, titles and the server's own name cannot add a line to the file."""
    schema = {"type": "object", "properties": {"x": {"const": 1, "description": words, "title": words}}}
    plain = grant_template("s", [tool("t", schema | {"properties": {"x": {"const": 1}}})])

    text = grant_template(words, [tool("t", schema, words)])

    assert tomllib.loads(text) == tomllib.loads(plain)
    assert all(line.isprintable() for line in text.split("\n"))


names = st.sampled_from(EVIL) | st.text(max_size=20)
schemas = st.recursive(
    st.sampled_from([schema for schema, _ in [*TOLD, *OPEN]]) | st.fixed_dictionaries({"const": names}),
    lambda inner: (
        st.fixed_dictionaries({"type": st.just("array"), "items": inner})
        | st.fixed_dictionaries(
            {"type": st.just("object"), "properties": st.dictionaries(names, inner, max_size=2)}
        )
    ),
    max_leaves=4,
)


def can_be_named(name: str, argument: str | None = None) -> bool:
    """Whether a call can have this name."""
    try:
        Call.of(name, {} if argument is None else {argument: 1})
    except MalformedError:
        return False
    return True


@given(st.dictionaries(names, st.dictionaries(names, schemas, max_size=4), min_size=1, max_size=3), names)
def test_every_file_is_read_once_it_is_decided(tools: dict[str, dict[str, Any]], words: str) -> None:
    """Whatever a server calls its tools and arguments, each of them is named, and nothing else."""
    offered = [
        tool(name, {"type": "object", "properties": properties, "required": [*properties]}, words)
        for name, properties in tools.items()
    ]
    expected = {
        name: [one for one in properties if can_be_named("t", one)]
        for name, properties in tools.items()
        if can_be_named(name) and any(can_be_named("t", one) for one in properties)
    }

    text = grant_template(words, offered)

    if expected:
        found = decided(text)
        assert {one.tool: [name for name, _ in one.constraints] for one in found} == expected
        assert all(c.alternatives(Place.argument("x")) for one in found for _, c in one.constraints)
    else:
        assert "[[grant]]" not in text.split("\n")


def test_a_starter_grants_what_its_schema_allows_and_no_more() -> None:
    """One tool, decided by its schema alone."""
    schema = {"type": "object", "properties": {"n": {"type": "integer", "minimum": 1, "maximum": 3}}}
    (found,) = read_grants(grant_template("s", [tool("t", schema)]))

    def allowed(arguments: dict[str, Any]) -> bool:
        call = Call.of("t", arguments)
        try:
            return any(not branch.failing(call) for branch in branches(found, closed=True))
        except Denied:
            return False

    assert allowed({})
    assert allowed({"n": 3})
    assert not allowed({"n": 4})
    assert not allowed({"n": 3, "sidenote": "x"})
    assert branches(found, closed=True) == branches(
        Grant("tool:t", "invoke", (("n", must.optional(must.between(1, 3))),)), closed=True
    )
