"""A refusal names the first element at fault, and what it must be."""

from __future__ import annotations

from typing import Any

import pytest

from hessra_agents import Denied, grant, must
from hessra_agents.call.call import Call
from hessra_agents.verify.explain import MAX_LOOKS
from tests.support.world import World

ROW = {"sku": "B-1", "qty": 1}
ITEMS = must.each(
    must.fields(
        sku=must.one_of("B-1", "B-2"),
        qty=must.between(1, 5),
        note=must.optional(must.max_length(3)),
        tags=must.optional(must.each("a")),
        extra=must.optional(must.fields(x=must.anything())),
    ),
    unique=True,
)
LABELS = must.optional(must.mapping(keys=must.max_length(2), values=must.one_of("x", "y"), at_most=2))
SIZES = must.optional(must.each(must.between(1, 2)))

REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"items": [{**ROW, "admin": 1}]}, "items/0: unknown field 'admin'"),
    (
        {"items": [ROW, {**ROW, "qty": 9}]},
        "argument 'items/1/qty' is not allowed, granted: an integer from 1 to 5",
    ),
    (
        {"items": [ROW, {"sku": "B-2"}]},
        "argument 'items/1/qty' is missing, granted: an integer from 1 to 5",
    ),
    ({"items": [ROW, "x"]}, "argument 'items/1' is not allowed, granted: an object"),
    (
        {"items": [ROW, {**ROW, "note": "long"}]},
        "argument 'items/1/note' is not allowed, granted: length at most 3",
    ),
    (
        {"items": [{**ROW, "tags": ["a", "b"]}]},
        "argument 'items/0/tags/1' is not allowed, granted: one of 'a'",
    ),
    (
        {"items": [{**ROW, "tags": "a"}]},
        "argument 'items/0/tags' is not allowed, granted: a list of at most 512 elements",
    ),
    ({"items": [{**ROW, "extra": {}}]}, "argument 'items/0/extra/x' is missing, granted: anything"),
    (
        {"items": [ROW, ROW]},
        "argument 'items' is not allowed, granted: a list without equal elements (at least 1 element)",
    ),
    ({"items": {}}, "argument 'items' is not allowed, granted: a list of at most 512 elements"),
    ({}, "argument 'items' is missing, granted: a list of at most 512 elements"),
    (
        {"items": [ROW], "labels": {"a": "x", "b": "z"}},
        "argument 'labels/b' is not allowed, granted: one of 'x', 'y'",
    ),
    (
        {"items": [ROW], "labels": {"abc": "x"}},
        "argument 'labels names' is not allowed, granted: each length at most 2",
    ),
    (
        {"items": [ROW], "sizes": [1, 2, 3]},
        "argument 'sizes/2' is not allowed, granted: an integer from 1 to 2",
    ),
]


@pytest.mark.parametrize(("arguments", "words"), REFUSED, ids=[words[:40] for _, words in REFUSED])
def test_a_refusal_names_the_first_element_at_fault(
    world: World, arguments: dict[str, Any], words: str
) -> None:
    """Its place, and what would have been allowed there; never its value."""
    capability = world.issue(grant("order", items=ITEMS, labels=LABELS, sizes=SIZES))
    with pytest.raises(Denied) as refused:
        world.guard.decide(capability.token, Call.of("order", arguments))
    assert refused.value.text == words


def test_of_many_long_lists_the_first_elements_are_looked_at(world: World) -> None:
    """What is behind them is told as what each element must be."""
    names = [f"a{number}" for number in range(4)]
    capability = world.issue(grant("order", dict.fromkeys(names, must.each(must.at_most(0)))))
    lists = {name: [0] * (MAX_LOOKS // 3 - 1) + [1] for name in names}
    with pytest.raises(Denied) as refused:
        world.guard.decide(capability.token, Call.of("order", lists))
    assert [one.argument for one in refused.value.problems] == [*(f"a{n}/340" for n in range(3)), "a3"]
    assert refused.value.problems[3].allowed.startswith("a list of integers each at most 0")
