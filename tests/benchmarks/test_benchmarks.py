"""What the benchmarks compare is what they say; how long it takes is no test's business."""

from typing import Any

import anyio.lowlevel
import pytest
from mcp.types import CallToolResult

from benchmarks import durable, lookup, proving, reaching, spending
from benchmarks import workload as work
from benchmarks.latency import Arguments, Group, Route, measure
from benchmarks.ours import Ours
from benchmarks.peers import Peers
from benchmarks.routes import BARE, BOUND, PROVED, direct, fastmcp, streams
from benchmarks.speed import calling, cases, growth, plot, stepping
from benchmarks.stores import FULL, NORMAL, POSTGRES, made
from benchmarks.tail import Tail

pytestmark = pytest.mark.anyio
ASYNCIO = pytest.mark.parametrize("anyio_backend", ["asyncio"])  # what benchmarks run on


@pytest.mark.parametrize("opened", [direct, streams, lambda here: fastmcp(here, None)])
async def test_every_route_in_memory_makes_the_same_call_and_guarded_ones_decide(opened: Any) -> None:
    async with opened(Ours()) as routes:
        group = await measure("in memory", routes, blocks=2, calls=3)
    assert [one.name for one in routes] == [BARE, BOUND, PROVED]
    assert [row["calls"] for row in group.rows()] == [6, 6, 6]


async def test_a_guarded_route_that_lets_everything_through_is_not_measured() -> None:
    async def anything(_: Arguments) -> CallToolResult:
        return CallToolResult(content=[], structured_content={"result": work.ANA})

    with pytest.raises(AssertionError, match="decides wrongly"):
        await measure("open", [Route(BOUND, anything, BARE)], blocks=2, calls=1)


def test_what_is_added_is_told_by_the_medians_within_each_block() -> None:
    found = {"bare": [[1.0, 2.0, 90.0], [10.0, 20.0, 30.0]], "guarded": [[3.0, 4.0, 5.0], [99.0, 22.0, 0.0]]}
    group = Group("in memory", [], found)
    assert group.added("guarded", "bare").median == 2.0
    assert group.ratio("guarded", "bare").median == pytest.approx((2.0 + 1.1) / 2)
    assert group.of_added("guarded", "guarded", "bare").median == 1.0


@ASYNCIO
async def test_every_store_makes_a_decision_last_and_is_compared_with_none() -> None:
    with made() as stores:
        assert stores.names() == [FULL, NORMAL, POSTGRES]
        found = await durable.measure(Ours(), stores, blocks=2, calls=4, callers=(2,))
    rows = durable.rows(found)
    assert {row["store"] for row in rows} == {durable.NONE, FULL, NORMAL, POSTGRES}
    assert [row["calls"] for row in rows] == [8, 8, 8, 8]
    assert all(("added_us" in row) == (row["store"] != durable.NONE) for row in rows)


def test_what_processes_spend_together_is_what_the_store_counts() -> None:
    cases = [(FULL, 2, spending.HOT), (FULL, 2, spending.BUSY), (POSTGRES, 1, spending.MANY)]
    with made() as stores:
        rows = spending.measure(stores, seconds=0.1, cases=cases)
    assert [row["counted_right"] for row in rows] == [True, True, None]
    assert [row["process_waits_ms"] is None for row in rows] == [False, False, True]
    assert all(row["by_a_process"][0] > 0 for row in rows)


@ASYNCIO
async def test_other_processes_refuse_what_was_revoked() -> None:
    with made() as stores:
        rows = await reaching.measure(Ours(), stores, times=1)
    assert [(row["store"], row["how"]) for row in rows] == [
        (name, how) for name in (FULL, POSTGRES) for how in (reaching.CALLS, reaching.DECISIONS)
    ]


@ASYNCIO
async def test_lists_of_revocations_are_as_long_as_they_say() -> None:
    with made(server=False) as stores:
        loaded = lookup.loading(Peers(None), stores, sizes=(0, 10))
    assert [row["known"] for row in loaded] == [0, 10]
    times = await lookup.timings(Ours(), Peers(None), sizes=(0, 10), rounds=2, batch_us=50)
    assert lookup.a_block(10) in times
    assert lookup.a_call(10) in times


def test_proofs_are_of_a_log_that_verifies() -> None:
    with made(server=False) as stores:
        found = proving.measure(Ours(), stores, long=300, whole=20, proofs=2)
    assert found["proofs"]["records"] == 300
    assert set(found["verify"]["seconds_per_100000"]) == {
        "in its store",
        "an export, offline",
        "to export it",
    }


def test_the_tail_tells_of_the_unlucky() -> None:
    tail = Tail.of([1.0] * 98 + [5.0, 1000.0])
    assert (tail.median, tail.p95, tail.worst) == (1.0, 1.0, 1000.0)
    assert tail.p99 > 5


@ASYNCIO
async def test_every_way_to_make_the_one_call_is_timed_alone_and_beside_others() -> None:
    with made(server=False) as stores:
        async with cases.opened(Ours(), Peers(None), stores) as compared:
            found = await calling.measure(compared, callers=(1, 4), blocks=2, calls=8)
    assert len(found) == 2 * len(compared)
    assert [found[cases.FULL, count].row()["calls"] for count in (1, 4)] == [16, 16]
    assert found[cases.FULL, 1].ratio(found[cases.BARE, 1]).median > 1


@ASYNCIO
async def test_a_way_that_lets_everything_through_is_not_timed() -> None:
    async def anything() -> str:
        return work.BO

    with pytest.raises(AssertionError, match="bearer"):
        await cases.check([calling.Case(cases.BEARER, anything)])
    with pytest.raises(AssertionError, match="must refuse"):
        await cases.check([calling.Case(cases.REFUSED, cases.refused(anything))])


@ASYNCIO
async def test_what_grows_is_called_at_every_size_and_drawn() -> None:
    some = growth.groups(Ours(), Peers(None), quick=True)["blocks"]
    rows = growth.rows(
        some, await calling.measure([one.case for one in some], callers=(1,), blocks=2, calls=2)
    )
    assert [row["size"] for row in rows if row["series"] == growth.COLD] == list(growth.BLOCKS)
    drawn = plot.svg(rows)
    assert all(word in drawn for word in (growth.WARM, growth.HELD_COLD, "one Ed25519 verify"))


@ASYNCIO
async def test_the_longest_step_of_a_call_is_not_the_whole_of_it() -> None:
    async def waits_once() -> None:
        await anyio.lowlevel.checkpoint()

    steps: list[float] = []
    await stepping.Steps(waits_once(), steps)
    assert len(steps) > 1
    rows = await stepping.measure(Ours(), calls=2)
    assert [row["name"] for row in rows][-1] == stepping.BOTH
