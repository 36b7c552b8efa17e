"""A message is read once and strictly, so that no server reads another one."""

from __future__ import annotations

import json

import pytest

from hessra_agents.mcp.transport.messages import (
    MAX_FRAME,
    InvalidMessageError,
    error_frame,
    read_message,
    write_message,
)

CALL = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "t", "arguments": {"a": 1}}}


def test_unknown_fields_and_methods_are_kept() -> None:
    message = {**CALL, "method": "acme/new", "trace": {"deep": [1.5, "é"]}, "params": {"more": None}}
    assert json.loads(write_message(read_message(json.dumps(message)).message)) == message


@pytest.mark.parametrize(
    ("text", "code", "id"),
    [
        ("", -32700, None),
        ("nonsense", -32700, None),
        ('"text"', -32600, None),
        ("[]", -32600, None),
        (f"[{json.dumps(CALL)}]", -32600, None),
        ('{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/call"}', -32700, None),
        ('{"jsonrpc":"2.0","id":1,"method":"x","params":{"a":{"b":1,"b":2}}}', -32700, None),
        ('{"jsonrpc":"2.0","id":1,"method":"ping","Method":"tools/call"}', -32600, 1),
        ('{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","NAME":"b"}}', -32600, 1),
        ('{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","Arguments":{}}}', -32600, 1),
        ('{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"_Meta":{}}}', -32600, 1),
        ('{"id":1,"method":"ping"}', -32600, None),
        ('{"jsonrpc":"1.0","id":1,"method":"ping"}', -32600, None),
        ('{"jsonrpc":"2.0","id":1}', -32600, 1),
        ('{"jsonrpc":"2.0","id":1,"method":"ping","result":{}}', -32600, 1),
        ('{"jsonrpc":"2.0","id":1,"result":{},"error":{"code":1,"message":"x"}}', -32600, 1),
        ('{"jsonrpc":"2.0","result":{}}', -32600, None),
        ('{"jsonrpc":"2.0","id":null,"method":"ping"}', -32600, None),
        ('{"jsonrpc":"2.0","id":true,"method":"ping"}', -32600, None),
        ('{"jsonrpc":"2.0","id":1.5,"method":"ping"}', -32600, None),
        ('{"jsonrpc":"2.0","id":[1],"method":"ping"}', -32600, None),
        ('{"jsonrpc":"2.0","id":1,"method":7}', -32600, 1),
        ('{"jsonrpc":"2.0","id":"\\ud800","method":"ping"}', -32600, None),
        ('{"jsonrpc":"2.0","id":1,"method":"notifications/cancelled"}', -32600, 1),
        ('{"jsonrpc":"2.0","id":1,"method":"ping","params":[1]}', -32602, 1),
        ('{"jsonrpc":"2.0","id":1,"method":"ping","params":null}', -32602, 1),
        ('\ufeff{"jsonrpc":"2.0","id":1,"method":"ping"}', -32700, None),
        ('{"jsonrpc":"2.0","id":1,"method":"p","params":' + '{"a":' * 40 + "1" + "}" * 41, -32700, None),
    ],
)
def test_what_two_readers_could_read_differently_goes_no_further(
    text: str, code: int, id: int | None
) -> None:
    with pytest.raises(InvalidMessageError) as caught:
        read_message(text)
    assert (caught.value.code, caught.value.id) == (code, id)


@pytest.mark.parametrize(
    "data", [b"\xff\xfe", b'{"jsonrpc":"2.0","id":1,"method":"\xc3"}', b"x" * (MAX_FRAME + 1)]
)
def test_bytes_that_are_no_text_or_too_many_are_refused(data: bytes) -> None:
    with pytest.raises(InvalidMessageError) as caught:
        read_message(data)
    assert caught.value.code == -32700


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", '"\\ud800"', "1e999"])
def test_what_json_has_no_words_for_is_not_sent_on(value: str) -> None:
    frame = read_message(f'{{"jsonrpc":"2.0","id":1,"method":"x","params":{{"more":{value}}}}}')
    with pytest.raises(InvalidMessageError):
        write_message(frame.message)


def test_the_kinds_of_messages_are_told_apart() -> None:
    assert read_message(json.dumps(CALL)).is_request
    note = read_message('{"jsonrpc":"2.0","method":"notifications/initialized"}')
    assert (note.is_request, note.method, note.id, note.params) == (
        False,
        "notifications/initialized",
        None,
        {},
    )
    answer = read_message('{"jsonrpc":"2.0","id":"a","result":{}}')
    assert (answer.is_request, answer.method, answer.id) == (False, None, "a")
    failed = read_message('{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"x"}}')
    assert failed.method is None


def test_parameters_are_replaced_and_never_made_null() -> None:
    bare = read_message('{"jsonrpc":"2.0","id":1,"method":"ping"}')
    assert bare.with_params({}) is bare
    assert read_message(json.dumps(CALL)).with_params({"name": "u"}).message == {
        **CALL,
        "params": {"name": "u"},
    }


def test_an_error_names_its_request() -> None:
    assert error_frame(1, -32600, "no", {"x": 1}) == {
        "jsonrpc": "2.0",
        "id": 1,
        "error": {"code": -32600, "message": "no", "data": {"x": 1}},
    }
