"""Measure how many units of work, as `tests.support.units` counts them, a millisecond of this machine does.

    $ python -m benchmarks.units

The constant `PER_MILLISECOND` should lie within what this prints, on a machine of today that does nothing
else.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hessra_agents import Call, Session
from hessra_agents.call.places import MAX_ELEMENTS
from hessra_agents.tools.results import result_text
from tests.support.units import PER_MILLISECOND, counted, timed

__all__ = ["main"]

WORK: dict[str, Callable[[], Any]] = {
    "arguments: integers": lambda: Call.of("store", {"value": [0] * 16_000}),
    "arguments: objects": lambda: Call.of("store", {"value": [{"a": 0}] * 5_000}),
    "arguments: a text": lambda: Call.of("store", {"value": "x" * (1 << 19) + "é"}),
    "fact: URLs": lambda: _fact("arg_urls", "https://a.b/" + "x/" * 900),
    "fact: encoded paths": lambda: _fact("arg_paths", "/" + "%C3%A9" * 300),
    "fact: addresses": lambda: _fact("arg_emails", "a@" + "b." * 120 + "com"),
    "result: rows": lambda: result_text([{"id": 1, "name": "x"}] * 20_000),
    "result: a stored one": lambda: Session().record_result("t", [{"id": 1, "name": "x"}] * 5_000),
}


def _fact(predicate: str, element: str) -> object:
    return Call.of("store", {"value": [element] * MAX_ELEMENTS}).fact(predicate, "value")


def main() -> None:
    """Print units, milliseconds of processor time and their ratio for each kind of work."""
    print(f"{'':24}{'units':>10}{'ms':>8}{'units in a ms':>16}   (constant: {PER_MILLISECOND})")
    for name, run in WORK.items():
        with counted() as work:
            run()
        taken = timed(run)
        print(f"{name:24}{work.units:>10}{taken:>8.1f}{work.units / taken:>16.0f}")


if __name__ == "__main__":
    main()
