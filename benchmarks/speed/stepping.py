"""The longest step: what a guarded call does between two moments in which other tasks may run.

A step is timed where the event loop resumes the call, so nothing that the loop does elsewhere counts. The
garbage collector is off: what it does is not the call's.
"""

from __future__ import annotations

import gc
from collections.abc import Awaitable, Callable, Generator
from functools import partial
from time import perf_counter_ns
from typing import Any

from hessra_agents import Capability, Denied, Guard, Ledger, Trust, grant, must
from hessra_agents.tokens.format.blocks import MAX_BYTES

from .. import workload as work
from ..ours import LIFE, Ours
from ..tail import Tail

USUAL, REFUSED = "a call of three arguments", "the same, refused"
RECORDED = "with a ledger in memory"
LARGE_TOKEN, LARGE_CALL = "a token of 16 KiB, read for the first time", "arguments of 1 MiB"
MANY_VALUES = "arguments of 16,000 values"
BOTH = "both: 16 KiB and 1 MiB"


class Steps:
    """Something awaitable, and how long each of its steps takes."""

    def __init__(self, awaited: Awaitable[object], found: list[float]) -> None:
        self._awaited = awaited
        self._found = found

    def __await__(self) -> Generator[Any, Any, object]:
        running = self._awaited.__await__()
        resume: Callable[[], Any] = partial(next, running)
        while True:
            start = perf_counter_ns()
            try:
                waits = resume()
            except StopIteration as end:
                return end.value
            finally:
                self._found.append((perf_counter_ns() - start) / 1000)
            try:
                yield waits
                resume = partial(next, running)
            except BaseException as error:
                resume = partial(running.throw, error)


async def measure(here: Ours, *, calls: int) -> list[dict[str, Any]]:
    """Each kind of call, so many times; of each call its longest step."""
    found = []
    for name, (call, before, times) in _kinds(here, calls).items():
        longest: list[float] = []
        gc.collect()
        gc.disable()
        try:
            for number in range(times + 2):
                before()
                steps: list[float] = []
                try:
                    await Steps(call(), steps)
                except Denied:
                    assert name == REFUSED, name
                if number > 1:
                    longest.append(max(steps))
        finally:
            gc.enable()
        found.append({"name": name, "calls": times, "longest_step_us": Tail.of(longest).rounded()})
    return found


Kind = tuple[Callable[[], Awaitable[object]], Callable[[], None], int]


def _kinds(here: Ours, calls: int) -> dict[str, Kind]:
    guard = Guard(here.authority.trust, audience=work.AUDIENCE)
    recorded = Guard(here.authority.trust, audience=work.AUDIENCE, ledger=Ledger.memory())
    for one in (guard, recorded):
        one.add(work.pay)

    @guard.tool
    async def send_email(to: str, subject: str, body: str) -> str:
        return to

    @guard.tool
    async def take(values: list[int]) -> int:
        return len(values)

    def forget() -> None:
        guard.trust = Trust(here.authority.trust.capability)

    token, wide = largest(here), work.MAIL | {"body": "a b " * ((1 << 18) - 256)}
    free = here.authority.issue(
        work.AGENT, grant("take", values=must.anything()), grant(send_email, to=must.anything(),
        subject=must.anything(), body=must.anything()), ttl=LIFE, audience=work.AUDIENCE
    )  # fmt: skip
    held, anything = guard.toolbox(here.held, key=here.key).bind(work.pay), guard.toolbox(free)
    memory = recorded.toolbox(here.held, key=here.key).bind(work.pay)
    many = {"values": list(range(16_000))}

    def nothing() -> None: ...

    few = max(20, calls // 10)
    return {
        USUAL: (lambda: held(**work.PAYMENT), nothing, calls),
        REFUSED: (lambda: held(**work.OUTSIDE), nothing, calls),
        RECORDED: (lambda: memory(**work.PAYMENT), nothing, calls),
        LARGE_TOKEN: (lambda: guard.call(token, "send_email", work.MAIL), forget, few),
        LARGE_CALL: (lambda: anything.call("send_email", wide), nothing, few),
        MANY_VALUES: (lambda: anything.call("take", many), nothing, few),
        BOTH: (lambda: guard.call(token, "send_email", wide), forget, few),
    }


def largest(here: Ours) -> str:
    """A token of nearly as many bytes as a guard reads."""
    found: Capability = here.authority.issue(
        work.AGENT,
        grant("send_email", to=must.one_of(work.ANA, work.BO), subject=must.anything(), body=must.anything()),
        ttl=LIFE,
        audience=work.AUDIENCE,
    )
    for block in range(14):
        words = [work.ANA, *(f"receiver-{block}-{number}@acme.com" for number in range(36))]
        try:
            found = found.attenuate(grant("send_email", to=must.one_of(*words)), ttl=LIFE)
        except ValueError:
            break
    assert 0.8 * MAX_BYTES < len(found.token) * 3 // 4 <= MAX_BYTES
    return found.token
