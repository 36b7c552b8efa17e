"""Facts about one call: where a place is, and what all facts together may cost."""

from __future__ import annotations

from typing import Any

import pytest

from hessra_agents import Call, Denied
from hessra_agents.call.call import MAX_WORK
from hessra_agents.call.canonical import MAX_VALUES
from hessra_agents.call.places import MAX_ELEMENTS


def test_the_rest_of_a_list_is_a_place_without_places() -> None:
    """`must.command` needs the rest; each rest of a rest would copy the list again."""
    call = Call.of("run", {"argv": ["a", "b", "c"], "named": {"1:": {"x": "d"}}})
    assert call.fact("arg_strs", "/argv/1:") == (frozenset("bc"),)
    assert call.fact("arg_len", "/argv/3:") == (0,)
    assert not call.has("/argv/4:")
    for inside in ("/argv/1:/0", "/argv/0:/0:", "/argv/0:/1"):
        assert not call.has(inside)
    assert call.fact("arg_str", "/named/1:/x") == ("d",), "an object may have such a name"


LISTS: dict[str, list[Any]] = {
    "arg_json": [0] * (MAX_VALUES // 2),
    "arg_urls": ["https://a.b/" + "x/" * 500] * 500,
    "arg_paths": ["/" + "x/" * 500 + "x"] * 500,
    "arg_emails": ["a@" + "b." * 120 + "com"] * MAX_ELEMENTS,
    "arg_ints": [0] * MAX_ELEMENTS,
    "arg_strs": ["x" * 1000] * MAX_ELEMENTS,
}


@pytest.mark.parametrize("predicate", LISTS)
def test_facts_about_the_same_elements_again_and_again_are_refused(predicate: str) -> None:
    """A token may name hundreds of rests of one list; each is work."""
    call = Call.of("store", {"value": LISTS[predicate]})
    with pytest.raises(Denied, match="too_large"):
        assert all(call.fact(predicate, f"/value/{start}:") is not None for start in range(500))


def test_a_place_is_looked_for_once() -> None:
    """However many clauses name it, also where nothing is."""
    call = Call.of("store", {"value": [0] * (MAX_VALUES - 1)})
    for _ in range(MAX_WORK // MAX_VALUES):
        assert call.has("/value/0:")
        assert not call.has("/value/0:/0:")
    with pytest.raises(Denied, match="too_large"):
        assert all(call.fact("arg_len", f"/value/{start}:") for start in range(MAX_VALUES - 1))


def test_facts_about_different_places_cost_what_the_arguments_weigh() -> None:
    """The largest honest calls: a megabyte of addresses, or 256 lists that are each exactly something."""
    urls = Call.of("store", {"value": ["https://a.b/" + "x" * 2000] * MAX_ELEMENTS})
    assert urls.fact("arg_urls", "value") is not None
    lists = Call.of("store", {f"a{index}": [index] * 60 for index in range(256)})
    for index in range(256):
        assert lists.fact("arg_json", f"a{index}") is not None
