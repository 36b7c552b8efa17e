"""Measure what wide grants cost: a token's characters and admission, a decision, and a refusal."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import timedelta
from time import perf_counter, thread_time
from typing import Any

from biscuit_auth import BiscuitBuilder, Check

from hessra_agents import grant, must
from hessra_agents.call.call import Call
from hessra_agents.errors import Denied
from hessra_agents.grants.grants import Grant
from hessra_agents.grants.vocabulary.constraints import Constraint
from hessra_agents.keys.keys import KeyPair
from hessra_agents.tokens.admission import admit
from hessra_agents.tokens.capability import Capability
from hessra_agents.tokens.format.blocks import MAX_BYTES, read_blocks
from hessra_agents.tokens.issue import issue
from hessra_agents.verify.verifier import verify

from .ledger import say
from .ours import Ours
from .peers import Peers
from .targets import target

__all__ = ["measure", "text"]

NOW = 1_750_000_000
OPTIONAL = {5: 2_000, 8: 2_600, 20: 5_400}
"""Characters of a token, to stay below, by its number of optional arguments with a bound."""

ROLE, ADMISSION_MS, REFUSAL_MS = 8_400, 5, 5
BOUNDS: tuple[Constraint, ...] = (
    must.between(1, 50),
    must.one_of("open", "closed"),
    must.max_length(80),
    must.email("acme.com"),
    must.starts_with("proj-"),
    must.under("/srv/data"),
    must.between(0, 9),
    must.one_of("a", "b", "c"),
)
ROOT, HOLDER, NEXT = (KeyPair.generate() for _ in range(3))


async def measure(here: Ours, others: Peers, *, quick: bool) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """All of it, and the targets."""
    say("wide grants: sizes, admission, decisions")
    rounds = 20 if quick else 200
    sizes = {count: _characters([_search(count)]) for count in (0, 1, 2, 5, 8, 20)}
    role = _characters([_listing(f"tool{number}", 0) for number in range(30)])
    halves = (range(15), range(15, 30))
    different = max(len(_issue([_listing(f"tool{n}", n) for n in half]).token) for half in halves)
    admission = {name: _admission(make, rounds // 4) for name, make in _LARGEST.items()}
    worst = max(admission, key=lambda name: admission[name]["ms"])
    refusal = _refusal(rounds)
    result = {
        "characters": {str(count): pair for count, pair in sizes.items()},
        "role_of_30_tools": {"alike": role, "different_in_two": different},
        "admission": admission,
        "decision_us": {name: _decision(_values(count), rounds) for name, count in (("all", 5), ("none", 0))},
        "refusal_ms": refusal,
    }
    judged = [
        target(f"characters, {count} optional arguments with a bound", sizes[count][0], limit)
        for count, limit in OPTIONAL.items()
    ]
    judged += [
        target("characters, 30 tools with bounds alike", role[0], ROLE),
        target(
            "admission of the largest token, processor ms",
            float(admission[worst]["ms"]),
            ADMISSION_MS,
            note=worst,
        ),
        target("a refusal of 90 wrong arguments, ms", refusal, REFUSAL_MS),
    ]
    return {"wide": result}, judged


def text(found: dict[str, Any]) -> str:
    """Return the tables for a terminal."""
    lines = [f"{'characters of a token, by optional arguments':48}   issued  delegated"]
    lines += [f"  {count:46}{pair[0]:10,}{pair[1]:11,}" for count, pair in found["characters"].items()]
    role = found["role_of_30_tools"]
    lines += [f"  {'30 tools, bounds alike':46}{role['alike'][0]:10,}{role['alike'][1]:11,}"]
    lines += [f"  {'30 tools, all different, the larger of two':46}{role['different_in_two']:10,}"]
    lines += ["", f"{'admission of the largest token':48}    count      bytes         ms"]
    lines += [
        f"  {name:46}{one['count']:10}{one['bytes']:11,}{one['ms']:11.2f}"
        for name, one in found["admission"].items()
    ]
    us = found["decision_us"]
    lines += [
        "",
        f"a decision, {us['all']:.1f} us with five optional arguments, {us['none']:.1f} with none",
    ]
    return "\n".join([*lines, f"a refusal of 90 wrong arguments: {found['refusal_ms']:.2f} ms"])


def _issue(grants: Iterable[Grant]) -> Capability:
    ttl = timedelta(minutes=5)
    return issue(
        "agent:desk", grants, key=ROOT, key_id=1, ttl=ttl, audience="mail", holder=HOLDER.public, now=NOW
    )


def _characters(grants: list[Grant]) -> tuple[int, int]:
    """Return the characters of a token with these grants, and of the same delegated with them."""
    made = _issue(grants)
    handed = made.delegate(*grants, to=NEXT.public, key=HOLDER, ttl=timedelta(minutes=1), now=NOW)
    return len(made.token), len(handed.token)


def _search(count: int) -> Grant:
    optional = {f"o{n}": must.optional(BOUNDS[n % len(BOUNDS)]) for n in range(count)}
    return grant("search", {"query": must.max_length(200), **optional})


def _listing(name: str, more: int) -> Grant:
    return grant(
        name,
        query=must.max_length(100 + more),
        page=must.optional(must.between(1, 100 + more)),
        sort=must.optional(must.one_of("asc", f"desc{more or ''}")),
        status=must.optional(must.one_of("open", f"closed{more or ''}")),
    )


def _values(count: int) -> dict[str, Any]:
    given = (5, "open", "text", "ana@acme.com", "proj-1")
    return {"query": "text", **{f"o{n}": given[n] for n in range(count)}}


def _decision(arguments: dict[str, Any], rounds: int) -> float:
    made = issue(
        "agent:desk", [_search(5)], key=ROOT, key_id=1, ttl=timedelta(minutes=5), audience="mail", now=NOW
    )
    return 1e6 * _best(
        lambda: verify(made, Call.of("search", arguments), now=NOW, audience="mail"), rounds, 50
    )


def _refusal(rounds: int) -> float:
    """Return the milliseconds of a refusal that explains 90 arguments, none of them explained before."""
    least = float("inf")
    for number in range(rounds):
        bounds = {f"o{n}": must.optional(must.between(number, 10_000 + n)) for n in range(90)}
        ttl = timedelta(minutes=5)
        made = issue("a", [grant("t", bounds)], key=ROOT, key_id=1, ttl=ttl, audience="mail", now=NOW)
        wrong = Call.of("t", dict.fromkeys(bounds, "x"))
        start = perf_counter()
        try:
            verify(made, wrong, now=NOW, audience="mail")
        except Denied:
            least = min(least, perf_counter() - start)
    return 1e3 * least


def _best(run: Callable[[], object], rounds: int, times: int) -> float:
    """Return the seconds of the fastest run."""
    least = float("inf")
    for _ in range(rounds):
        start = perf_counter()
        for _ in range(times):
            run()
        least = min(least, (perf_counter() - start) / times)
    return least


_OTHER = 'or resource($r), !{"tool:x"}.contains($r)'
_FIRST = 'check if resource("tool:x"), arg_names($n), {"a"}.contains($n)'
_RANGE = 'arg_int("a", $v), $v >= 1, $v <= 9'
_LARGEST: dict[str, Callable[[int], list[str]]] = {
    "choices of one literal": lambda n: [_FIRST, *[f'check if arg_str("a", "b") {_OTHER}'] * n],
    "optional integers in a range": lambda n: [
        _FIRST,
        *[f'check if arg_names($n), !$n.contains("a") or {_RANGE} {_OTHER}'] * n,
    ],
    "times": lambda n: [_FIRST, *["check if time($t), $t < 9"] * n],
    "branches of seven clauses": lambda n: [
        "check if "
        + " or ".join([f'{_FIRST[9:]}, {_RANGE}, arg_str("a", $w), $w.starts_with("a")'] * min(n, 255))
    ],
}


def _admission(make: Callable[[int], list[str]], rounds: int) -> dict[str, Any]:
    """Return the largest token of this kind that is admitted, and the processor's milliseconds for it."""
    low, high, count, largest = 1, 1_000, 0, b""
    while low <= high:
        middle = (low + high) // 2
        data = _token(make(middle))
        if len(data) <= MAX_BYTES and _is_admitted(data):
            count, largest, low = middle, data, middle + 1
        else:
            high = middle - 1
    least = float("inf")
    for _ in range(rounds):
        start = thread_time()
        admit(read_blocks(largest))
        least = min(least, thread_time() - start)
    return {"count": count, "bytes": len(largest), "ms": round(1e3 * least, 3)}


def _token(checks: list[str]) -> bytes:
    builder = BiscuitBuilder(
        'right("s", "tool:x", "invoke"); check if resource($r), operation($o), right($s, $r, $o);'
        "check if time($t), $t < 99999999999;"
    )
    for check in checks:
        builder.add_check(Check(check))
    return bytes(builder.build(ROOT.for_biscuit().private_key).to_bytes())


def _is_admitted(data: bytes) -> bool:
    try:
        admit(read_blocks(data))
    except Denied:
        return False
    return True
