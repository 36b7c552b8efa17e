"""Published weaknesses, used against the releases that have them."""

from __future__ import annotations

from pathlib import Path

import pytest

from .cves import VULNERABLE, WEAKNESSES, Weakness
from .rigs import conversation, placed


@pytest.mark.parametrize("weakness", WEAKNESSES, ids=lambda row: f"{row.cve} {row.what}")
def test_without_a_guard_the_weakness_is_real(weakness: Weakness, folder: Path) -> None:
    """The control: what a guard refuses would have happened."""
    assert not weakness.exploited(folder, "")
    with conversation(placed(VULNERABLE[weakness.server], folder)) as server:
        for call in weakness.honest:
            done, answer = server.call(call.at(folder))
            assert done, answer
            assert not weakness.exploited(folder, answer)
        _, answer = server.call(weakness.attack.at(folder))
    assert weakness.exploited(folder, answer)


def test_each_of_the_six_is_there() -> None:
    assert len({weakness.cve for weakness in WEAKNESSES}) == 6
