"""Admission: what a token costs is bounded before anything in it is believed.

How long the worst tokens take is measured in the benchmarks; here is what bounds it.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from hessra_agents import Call, Denied, KeyPair, grant, must
from hessra_agents.facts import MAX_ELEMENTS
from hessra_agents.grants import MAX_BRANCHES
from hessra_agents.tokens import wire
from hessra_agents.tokens.profile import MAX_CHECKS, MAX_EACH, admit
from hessra_agents.tokens.wire import MAX_BYTES, read_blocks

from . import forge
from .forge import write
from .world import World

RESOURCE = write((1, 2), (2, write((3, 1))))  # resource("write")
HEAD = (1, write((1, 27)))


def token(*contents: bytes) -> bytes:
    """A token of these block contents, its signatures made up: admission is given verified tokens."""
    signed = [write((1, c), (2, write((1, 0), (2, b"k" * 32))), (3, b"s" * 64)) for c in contents]
    return write((2, signed[0]), *[(3, one) for one in signed[1:]], (4, write((1, b"p" * 32))))


def check(*queries: bytes) -> tuple[int, bytes]:
    """A check of these queries."""
    return (6, write(*[(1, query) for query in queries]))


BOMBS: list[tuple[str, bytes]] = [
    ("symbols", write(*[(1, f"{i:x}".encode()) for i in range(3000)], (3, 3))),
    ("checks", write((3, 3), *[check(write(HEAD, (2, RESOURCE))) for _ in range(900)])),
    ("branches", write((3, 3), check(*[write(HEAD, (2, RESOURCE)) for _ in range(1000)]))),
    ("predicates", write((3, 3), check(write(HEAD, *[(2, RESOURCE) for _ in range(1500)])))),
    ("set elements", write((3, 3), (4, write((1, write((1, 4), (2, write((7, write(*[(1, write((2, i)))
        for i in range(2400)])))))))))),
    ("terms", write((3, 3), (4, write((1, write((1, 4), *[(2, write((3, 1))) for _ in range(3000)])))))),
    ("operators", write((3, 3), check(write(HEAD, (2, RESOURCE), (3, write(*[(1, write((3, write((1, 0)))))
        for _ in range(1900)])))))),
    ("facts", write((3, 3), *[(4, write((1, write((1, 4), (2, write((3, 1))))))) for _ in range(1200)])),
    ("keys", write((3, 3), *[(8, write((1, 0), (2, b"k" * 32))) for _ in range(400)])),
]  # fmt: skip


@pytest.mark.parametrize(("what", "content"), BOMBS, ids=[what for what, _ in BOMBS])
def test_a_bomb_is_refused_after_a_bounded_number_of_fields(
    monkeypatch: pytest.MonkeyPatch, what: str, content: bytes
) -> None:
    """Sixteen kilobytes of any one thing are refused, and the reader stops counting at its bound."""
    data = token(content)
    assert len(data) <= MAX_BYTES
    readers: list[wire._Blocks] = []

    def watched(*arguments: Any) -> wire._Blocks:
        readers.append(blocks(*arguments))
        return readers[-1]

    blocks = wire._Blocks
    monkeypatch.setattr(wire, "_Blocks", watched)
    with pytest.raises(Denied) as caught:
        admit(read_blocks(data))
    assert caught.value.reason in ("too_large", "outside_profile")
    assert [reader.left >= -1 for reader in readers] == [True]


@pytest.mark.parametrize("cut", range(1, 120, 7))
def test_a_cut_token_is_refused(cut: int) -> None:
    """A token that ends anywhere inside is refused, never read as less."""
    data = token(write((1, b"abc"), (3, 3), check(write(HEAD, (2, RESOURCE)))))
    with pytest.raises(Denied):
        admit(read_blocks(data[:-cut]))


def test_a_list_for_every_element_is_bounded(world: World) -> None:
    """A longer list than the bound has no list facts, so no constraint on its elements holds."""
    call = Call.of("store", {"value": ["x"] * MAX_ELEMENTS})
    assert call.fact("arg_strs", "value")
    assert Call.of("store", {"value": ["x"] * (MAX_ELEMENTS + 1)}).fact("arg_strs", "value") is None


def test_what_no_guard_would_read_is_not_issued(world: World) -> None:
    """Who issues or narrows is told at once, not the agent at two in the morning."""
    with pytest.raises(ValueError, match="at most"):
        world.issue(*[grant("store", value=i) for i in range(MAX_BRANCHES + 1)])
    with pytest.raises(ValueError, match="bytes"):
        world.issue(grant("store", value="x" * MAX_BYTES))
    each = grant("store", {str(i): must.each(must.at_least(0)) for i in range(MAX_EACH + 1)})
    with pytest.raises(ValueError, match="every element"):
        world.issue(each)
    with pytest.raises(ValueError, match="choice"):
        grant("store", {str(i): must.optional("x") for i in range(7)})


def test_the_widest_honest_tokens_are_read(world: World) -> None:
    """A hundred tools, six optional arguments, four hundred addresses: within the bounds."""
    key = KeyPair.generate()
    for grants in (
        [grant(f"tool{i}", x=must.one_of("a", "b")) for i in range(100)],
        [grant("store", {str(i): must.optional(str(i)) for i in range(6)})],
        [grant("store", value=must.one_of(*[f"user{i}@acme.com" for i in range(400)]))],
    ):
        capability = world.issue(*grants, holder=key.public)
        assert len(forge.raw(capability)) <= MAX_BYTES
        capability.delegate(to=key.public, key=key, ttl=timedelta(minutes=1), now=world.now)


def test_more_checks_than_are_read(world: World) -> None:
    """The bound on checks is over all blocks of a token."""
    capability = world.issue()
    text = ";".join(["check if time($t), $t < 1900000000"] * (MAX_CHECKS - 3))
    from hessra_agents import Capability

    with pytest.raises(Denied) as caught:
        Capability.parse(forge.append_source(capability, text), world.authority.trust)
    assert caught.value.reason == "too_large"
