"""Of an answer that is too large, enough is kept to see which request it answers."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hessra_agents.mcp.transport.long_line import KEPT, LongLine

LARGE = "x" * 3000


def kept(text: str) -> LongLine:
    data = text.encode()
    return LongLine(data[:KEPT], data[-KEPT:])


LINES: dict[str, tuple[str, str | None]] = {
    "the id first": (f'{{"jsonrpc":"2.0","id":7,"result":{{"a":"{LARGE}"}}}}', "7"),
    "the id last": (f'{{"result":{{"a":"{LARGE}"}},"jsonrpc":"2.0","id":7}}', "7"),
    "the id before the protocol": (f'{{"result":{{"a":"{LARGE}"}}, "id": "q" , "jsonrpc" : "2.0"}} ', "q"),
    "an error": (f'{{"error":{{"code":1,"message":"{LARGE}"}},"id":-7,"jsonrpc":"2.0"}}', "-7"),
    "an error behind its id": (f'{{"id":7,"jsonrpc":"2.0","error":{{"code":1,"message":"{LARGE}"}}}}', "7"),
    "white space and a mark": (f'\ufeff \t{{ "id" : "q" , "result" : [ "{LARGE}" ] }}', "q"),
    "a question": (f'{{"jsonrpc":"2.0","id":7,"method":"m","params":{{"a":"{LARGE}"}}}}', None),
    "a question with its id last": (f'{{"method":"m","params":{{"a":"{LARGE}"}},"id":7}}', None),
    "an id inside of the result": (f'{{"jsonrpc":"2.0","result":{{"a":"{LARGE}","id":7}}}}', None),
    "an id inside of a text": (f'{{"result":{{"a":"{LARGE},\\"id\\":7}}"}}}}', None),
    "no id": (f'{{"jsonrpc":"2.0","result":{{"a":"{LARGE}"}}}}', None),
    "an id that is null": (f'{{"id":null,"error":{{"a":"{LARGE}"}}}}', None),
    "an id that is true": (f'{{"id":true,"result":{{"a":"{LARGE}"}}}}', None),
    "no JSON": (LARGE, None),
    "a list": (f'[{{"id":7,"result":{{"a":"{LARGE}"}}}}]', None),
    "much nested": ("[" * 3000, None),
    "a text without an end": (f'{{"{LARGE}', None),
}


@pytest.mark.parametrize("name", LINES)
def test_the_request_that_a_line_answers_is_seen(name: str) -> None:
    text, id = LINES[name]
    assert kept(text).answered_id() == id


ids = st.integers(-(2**53), 2**53) | st.text(max_size=20).filter(lambda text: '"' not in text)
values = st.recursive(
    st.none() | st.text() | st.integers(), lambda some: st.lists(some) | st.dictionaries(st.text(), some)
)


@given(ids, values, st.permutations(["jsonrpc", "id", "result"]))
def test_no_other_request_is_ever_named(id: Any, value: Any, order: list[str]) -> None:
    members = {"jsonrpc": "2.0", "id": id, "result": {"value": value, "text": LARGE, "id": "another"}}
    text = json.dumps({name: members[name] for name in order})
    assert kept(text).answered_id() in (str(id), None)
