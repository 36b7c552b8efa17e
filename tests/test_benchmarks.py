"""What the benchmarks on MCP compare is what they say; how long it takes is no test's business."""

from typing import Any

import pytest
from mcp.types import CallToolResult

from benchmarks import workload as work
from benchmarks.latency import Arguments, Group, Route, measure
from benchmarks.ours import Ours
from benchmarks.routes import BARE, BOUND, PROVED, direct, fastmcp, streams

pytestmark = pytest.mark.anyio


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
