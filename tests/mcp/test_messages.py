"""A message is read once and strictly, so that no server reads another one."""

from __future__ import annotations

import json

import pytest

from hessra_agents.mcp.transport.messages import (
    MAX_MESSAGE,
    InvalidMessageError,
    UpstreamMessageError,
    error_response,
    parse_upstream,
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
    "data", [b"\xff\xfe", b'{"jsonrpc":"2.0","id":1,"method":"\xc3"}', b"x" * (MAX_MESSAGE + 1)]
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


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ('{"jsonrpc":"2.0","id":1,"method":"ping","params":null}', {"id": 1, "method": "ping"}),
        ('{"jsonrpc":"2.0","method":"x","params":null}', {"method": "x"}),
        ('{"jsonrpc":"2.0","id":1,"method":"x","result":null,"error":null}', {"id": 1, "method": "x"}),
        ('{"jsonrpc":"2.0","id":1,"method":null,"result":{},"error":null}', {"id": 1, "result": {}}),
        ('{"jsonrpc":"2.0","id":1,"result":null,"error":{"code":1}}', {"id": 1, "error": {"code": 1}}),
        ('{"jsonrpc":"2.0","id":1,"result":null}', {"id": 1, "result": None}),
        ('{"jsonrpc":"2.0","id":2.0,"method":"ping"}', {"id": 2, "method": "ping"}),
    ],
)
def test_an_option_that_a_client_leaves_empty_is_absent(text: str, read: dict[str, object]) -> None:
    found = read_message(text).message
    assert found == {"jsonrpc": "2.0", **read}
    assert type(found.get("id", 1)) is int


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ('{"jsonrpc":"2.0","method":"notifications/x","params":[]}', True),
        ('{"jsonrpc":"2.0","method":"x","Method":"y"}', True),
        ('{"jsonrpc":"2.0","id":null,"method":"x"}', False),
        ('{"jsonrpc":"2.0","id":1,"method":"x","params":[]}', False),
        ('{"jsonrpc":"2.0","id":1}', False),
    ],
)
def test_a_notification_that_is_not_accepted_is_known_as_one(text: str, is_one: bool) -> None:
    """Because nobody may answer it."""
    with pytest.raises(InvalidMessageError) as caught:
        read_message(text)
    assert caught.value.notification == is_one


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


CURIOUS = '{"id":1,"result":{"a":1.50},"more":[null]}'


@pytest.mark.parametrize(
    ("text", "verbatim"),
    [
        (CURIOUS, True),
        ('{"method":"x","params":[1]}', True),
        ('{"id":null,"error":{}}', True),
        ('{"id":"a","error":7}', True),
        ('{"id":1,"result":"\u00e9"}', False),
        ('{"id":1,\r"result":{}}', False),
        ('{"id":2,"id":1,"result":{}}', False),
        ('{"id":1,"result":{"a":1,"a":2}}', False),
        ('{"id":1.0,"result":{}}', False),
        ('{"id":1,"result":{},"error":null}', False),
        ('{"id":1,"result":null,"error":{}}', False),
        ('{"id":1,"result":NaN}', False),
        ('{"id":null,"method":"x"}', False),
        ('{"method":"x","params":null}', False),
    ],
)
def test_a_servers_message_is_read_leniently(text: str, verbatim: bool) -> None:
    """What two readers would read differently is not passed on as it is; a text never is."""
    found = parse_upstream(text.encode())
    assert found.verbatim == verbatim
    assert found.message == parse_upstream(text).message
    assert found.message.get("id", 1) in (1, "a", None)
    assert type(found.message.get("id")) is not float
    assert not parse_upstream(text).verbatim


@pytest.mark.parametrize(
    ("text", "read"),
    [
        (b'{"id":2.0,"result":{}}', {"id": 2, "result": {}}),
        (b'{"id":1,"result":{"a":1},"error":null}', {"id": 1, "result": {"a": 1}}),
        (b'{"id":1,"result":null,"error":{"code":1}}', {"id": 1, "error": {"code": 1}}),
        (b'{"id":1,"result":{"a":NaN,"b":[-Infinity]}}', {"id": 1, "result": {"a": None, "b": [None]}}),
        (b'{"id":1,"result":"caf\xe9"}', {"id": 1, "result": "caf\ufffd"}),
        (b'{"id":null,"method":"x","params":null}', {"method": "x"}),
    ],
)
def test_what_most_clients_would_read_is_read(text: bytes, read: dict[str, object]) -> None:
    """A tool that has run has an answer, and what goes on is JSON."""
    found = parse_upstream(text)
    assert found.message == read
    assert not found.verbatim
    assert json.loads(write_message(found.message)) == read


@pytest.mark.parametrize(
    ("text", "answers"),
    [
        ('{"id":7,"result":{},"Result":{}}', 7),
        ('{"id":"a","result":{},"error":{}}', "a"),
        ('{"id":7}', 7),
        ('{"id":7.0}', 7),
        ('{"id":7,"method":"x","result":{}}', None),
        ('{"id":true,"result":{}}', None),
        ("{", None),
    ],
)
def test_an_answer_that_cannot_be_passed_on_names_its_request(text: str, answers: object) -> None:
    with pytest.raises(UpstreamMessageError) as caught:
        parse_upstream(text)
    assert caught.value.answers == answers


@pytest.mark.parametrize(
    "text",
    [
        "",
        "7",
        "[]",
        f"[{CURIOUS}]",
        "[" * 100_000,
        '{"id":1}',
        '{"id":1,"result":{},"error":{}}',
        '{"id":1,"result":{},"method":"x"}',
        '{"id":1,"method":7,"result":{}}',
        '{"id":1,"Result":{},"result":{}}',
        '{"id":true,"result":{}}',
        '{"id":1.5,"result":{}}',
        '{"id":1e300,"result":{}}',
        '{"result":{}}',
        '{"id":null,"result":{}}',
        '{"id":false,"error":{}}',
    ],
)
def test_what_is_not_one_message_of_a_server_is_not_read(text: str) -> None:
    for data in (text, text.encode()):
        with pytest.raises(UpstreamMessageError):
            parse_upstream(data)


def test_a_server_may_mark_its_bytes_as_utf_8() -> None:
    assert not parse_upstream(b'\xef\xbb\xbf{"id":1,"result":{}}').verbatim


def test_an_error_names_its_request() -> None:
    assert error_response(1, -32600, "no") == {
        "jsonrpc": "2.0",
        "id": 1,
        "error": {"code": -32600, "message": "no"},
    }
