"""How the cost grows: with blocks, grants, arguments, bytes, revocations; tenuo's chain beside ours."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from hessra_agents import Authority, Capability, Guard, Ledger, grant, must
from hessra_agents.verify.verifier import verify

from .. import lookup
from .. import workload as work
from ..ours import LIFE, Ours
from ..peers import Peers
from . import others as peers
from .calling import Case, Found, plain
from .cases import guarded, refused

BLOCKS, GRANTS, ARGUMENTS = (1, 2, 4, 8, 16), (1, 10, 100), (1, 3, 5, 10, 20)
BYTES = (100, 1 << 10, 1 << 14, 1 << 17, (1 << 20) - 1024)

WARM, COLD, HELD_WARM, HELD_COLD = "warm", "cold", "delegated, warm", "delegated, cold"
CHAIN = "tenuo: a chain from its text, with a proof"
REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Grown:
    """What is called at one size."""

    series: str
    size: int
    case: Case


def groups(here: Ours, others: Peers, *, quick: bool) -> dict[str, list[Grown]]:
    """All of them, each measured by itself; the yardstick is in the first."""
    revoked = lookup.SIZES[:-1] if quick else lookup.SIZES
    return {
        "blocks": [*_yardstick(), *_blocks(here), *_theirs(others)],
        "grants": [*_grants()],
        "arguments": [*_arguments()],
        "bytes of arguments": [*_bytes()],
        "revocations": [*_revoked(here, revoked)],
    }


def rows(some: list[Grown], found: dict[tuple[str, int], Found]) -> list[dict[str, Any]]:
    """For the table and the JSON file; what others are compared with comes first."""
    first = found[some[0].case.name, 1]
    return [
        {
            "series": one.series,
            "size": one.size,
            "us": found[one.case.name, 1].us().rounded(),
            "per_first": found[one.case.name, 1].ratio(first).rounded(),
        }
        for one in some
    ]


def _grown(series: str, size: int, call: Any, fresh: Any = None) -> Grown:
    return Grown(series, size, Case(f"{series} {size}", call, fresh))


def _yardstick() -> Iterator[Grown]:
    (verify_one, *_) = peers.cases(Peers(None))
    yield Grown(peers.VERIFY, 1, verify_one)


def _blocks(here: Ours) -> Iterator[Grown]:
    for count in BLOCKS:
        capability = here.attenuated(count)
        yield _grown(WARM, count, _mailing(here, capability))
        yield _grown(COLD, count, plain(partial(_cold, here, capability.token)))
        held, key = here.delegated(count)
        yield _grown(HELD_WARM, count, _mailing(here, held, key=key))
        prove = partial(held.prove, here.mail, key=key, audience=work.AUDIENCE)
        yield _grown(
            HELD_COLD, count, plain(partial(_cold, here, held.token)), lambda prove=prove: (prove(),)
        )


def _mailing(here: Ours, capability: Capability, **key: Any) -> Any:
    """The guarded call of a tool in process."""
    guard = Guard(here.authority.trust, audience=work.AUDIENCE)

    @guard.tool
    async def send_email(to: str, subject: str, body: str) -> str:
        return to

    return partial(guard.toolbox(capability, **key).bind(send_email), **work.MAIL)


def _cold(here: Ours, token: str, proof: Any = None) -> object:
    """From the text of a token to the decision."""
    found = Capability.parse(token, here.guard.trust)
    return verify(found, here.mail, now=int(time.time()), audience=work.AUDIENCE, proof=proof)


def _theirs(others: Peers) -> Iterator[Grown]:
    tenuo = others.tenuo
    if tenuo is None:
        return
    read, check = tenuo.library.decode_warrant_stack_base64, tenuo.authorizer.check_chain
    for count in BLOCKS:
        chain = tenuo.chain(count)
        text = tenuo.library.encode_warrant_stack(chain)

        def checked(signature: bytes, text: str = text) -> object:
            return check(read(text), "send_email", work.MAIL, signature=signature)

        sign = partial(tenuo.sign, chain[-1], tenuo.keys[count - 1], "send_email", work.MAIL)
        yield _grown(CHAIN, count, plain(checked), sign)


def _tool(guard: Guard, names: list[str]) -> Any:
    """An async function of these texts, which does nothing."""
    space: dict[str, Any] = {}
    exec(f"async def tool({', '.join(f'{name}: str' for name in names)}) -> str:\n    return 'done'\n", space)
    guard.add(space["tool"])
    return space["tool"]


def _grants() -> Iterator[Grown]:
    """One tool is called; the others are granted beside it."""
    for count in GRANTS:
        authority = Authority.ephemeral()
        guard = Guard(authority.trust, audience=work.AUDIENCE)
        tool = _tool(guard, ["to"])
        more = [grant(f"tool_{number}", to=must.one_of(work.BO)) for number in range(count - 1)]
        capability = authority.issue(
            work.AGENT, *more, grant("tool", to=work.ANA), ttl=LIFE, audience=work.AUDIENCE
        )
        bound = guard.toolbox(capability).bind(tool)
        yield _grown(WARM, count, partial(bound, to=work.ANA))
        yield _grown(REFUSED, count, refused(partial(bound, to=work.BO)))
        yield _grown(COLD, count, plain(partial(Capability.parse, capability.token, authority.trust)))


def _arguments() -> Iterator[Grown]:
    for count in ARGUMENTS:
        authority = Authority.ephemeral()
        guard = Guard(authority.trust, audience=work.AUDIENCE)
        names = [f"argument_{number}" for number in range(count)]
        bounds = {name: must.max_length(100) for name in names}
        capability = authority.issue(work.AGENT, grant("tool", bounds), ttl=LIFE, audience=work.AUDIENCE)
        bound = guard.toolbox(capability).bind(_tool(guard, names))
        yield _grown(WARM, count, partial(bound, **dict.fromkeys(names, "a value")))
        outside = dict.fromkeys(names, "a value") | {names[-1]: "x" * 101}
        yield _grown(REFUSED, count, refused(partial(bound, **outside)))


def _bytes() -> Iterator[Grown]:
    for size in BYTES:
        authority = Authority.ephemeral()
        guard = Guard(authority.trust, audience=work.AUDIENCE)
        capability = authority.issue(
            work.AGENT, grant("tool", text=must.anything()), ttl=LIFE, audience=work.AUDIENCE
        )
        bound = guard.toolbox(capability).bind(_tool(guard, ["text"]))
        yield _grown(WARM, size, partial(bound, text="a b " * (size // 4)))


def _revoked(here: Ours, sizes: tuple[int, ...]) -> Iterator[Grown]:
    """The decision: `benchmarks.lookup` has what the store of a ledger adds, and tenuo's list beside it."""
    for size in sizes:
        ledger = Ledger.memory()
        ledger.revoked.apply(size, lookup.rows(size))
        toolbox = guarded(here, ledger).toolbox(here.held, key=here.key)
        yield _grown(WARM, size, plain(partial(toolbox.decide, here.payment)))
