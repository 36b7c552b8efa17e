"""What wide grants cost is measured, and told in the document on performance once it is."""

from __future__ import annotations

import anyio

from benchmarks import costs, wide
from benchmarks.kept import COST, newest
from benchmarks.ours import Ours
from benchmarks.peers import Peers


def test_the_sizes_of_wide_grants_stay_below_their_targets_and_are_told() -> None:
    """Characters are the same on every machine; times are not, and say nothing here."""
    found, judged = anyio.run(lambda: wide.measure(Ours(), Peers(None), quick=True))
    characters = [row for row in judged if "characters" in row["name"]]
    assert len(characters) == 4
    assert [row["measured"] for row in characters if not row["measured"] < row["below"]] == []
    told = costs.text(newest(COST) | found)
    assert f"| issued, bound to a holder | {found['wide']['characters']['0'][0]:,} |" in told
    assert "a refusal that explains 90 wrong arguments" in told
    assert wide.text(found["wide"]).count("\n") > 10
