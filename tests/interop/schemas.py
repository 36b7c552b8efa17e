"""Write narrowed schemas, and what Python's validator makes of calls, for Ajv to judge: `schemas.mjs`.

python -m tests.interop.schemas | node tests/interop/schemas.mjs
"""

from __future__ import annotations

import json
from contextlib import suppress
from random import Random
from typing import Any

from hessra_agents.grants.grants import grant as granted
from hessra_agents.tools.json_schema import narrowed
from tests.laws.test_schemas import NAMES, Validator, patterns, tool
from tests.support.random_authority import bound

GRANTS, CALLS = 800, 20
EXACT = 2**53
"""JavaScript has doubles only: larger integers are another number there."""


def main() -> None:
    """Print a line of JSON for each grant: the schema, and each call with whether the schema admits it."""
    rng = Random(13)
    for number in range(GRANTS):
        parts = {name: bound(rng) for name in rng.sample(NAMES, rng.randint(1, 2))}
        with suppress(ValueError):  # the grant multiplies to too much
            grant = granted("t", {name: one for name, (one, _) in parts.items()})
            shown = narrowed(tool(rng, free=number % 2 == 0), grant.resource, patterns(grant))
            calls = [{name: pick() for name, (_, pick) in parts.items()} for _ in range(CALLS)]
            judged = [[call, Validator(shown).is_valid(call)] for call in calls if not _is_large(call)]
            print(json.dumps({"schema": shown, "calls": judged}))


def _is_large(value: Any) -> bool:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return any(map(_is_large, value))
    return type(value) in (int, float) and abs(value) >= EXACT


if __name__ == "__main__":
    main()
