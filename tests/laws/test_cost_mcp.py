"""Cost of a server's message, with the garbage collector, which `tests.laws.test_cost` does not see."""

from __future__ import annotations

import gc
from contextlib import suppress
from functools import partial

import pytest

from hessra_agents.mcp.transport.messages import UpstreamMessageError, parse_upstream
from tests.laws.test_cost import allowed, costs_at_most

MIB = 1 << 20


class Collections:
    """How often the garbage collector ran."""

    def __init__(self) -> None:
        self.seen = 0

    def __call__(self, phase: str, info: dict[str, int]) -> None:
        self.seen += phase == "start"


@pytest.mark.parametrize("piece", ["[],", "{},", '{"a":[]},', "1e999,"])
@pytest.mark.parametrize("ends", ["]}}", ""])
def test_the_collector_does_not_search_a_message_while_it_is_read(piece: str, ends: str) -> None:
    """It would go through all values again and again, which took ten times as long as to read them."""
    body = (piece * (MIB // len(piece))).rstrip(",")
    data = f'{{"jsonrpc":"2.0","id":1,"result":{{"x":[{body}{ends}'.encode()
    costs_at_most(allowed(len(data)), partial(parse_upstream, data))
    counted = Collections()
    gc.collect()
    gc.callbacks.append(counted)
    try:
        with suppress(UpstreamMessageError):
            parse_upstream(data)
        assert counted.seen <= 2, "before and behind it"
    finally:
        gc.callbacks.remove(counted)
    assert gc.isenabled()


def test_a_program_that_collects_by_itself_goes_on_so() -> None:
    gc.disable()
    try:
        parse_upstream(b'{"jsonrpc":"2.0","id":1,"result":"' + b"x" * MIB + b'"}')
        assert not gc.isenabled()
    finally:
        gc.enable()
