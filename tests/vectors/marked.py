"""Vectors of what delegations say of holders, of budgets, and of approvals that some calls need not."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Any

from hessra_agents import approved_by, grant, limit, must
from hessra_agents.tokens.builder import new_handle
from tests.support import forge
from tests.vectors.material import (
    APPROVERS,
    AUTHORITY,
    HOLDERS,
    NOW,
    approval,
    bearer,
    proof,
    root_block,
    votes,
)
from tests.vectors.refused import CLOSED, FIRST

if TYPE_CHECKING:
    from tests.vectors.capabilities import Capabilities

__all__ = ["cases"]

_X = {"x": "a"}
_ZERO, _ONE, _TWO, _THREE = (holder.public for holder in HOLDERS)


def cases(file: Capabilities) -> None:
    """Marks of holders, budgets, and approvals."""
    for group in (_marks, _forged, _budgets, _approvals):
        group(file)


def _marks(file: Capabilities) -> None:
    """What a delegation says of the next holder."""
    made: dict[str, tuple[str, dict[str, Any]]] = {
        "known as": ("known as agent:desk:mailer", {"known_as": "agent:desk:mailer"}),
        "the last holder": ("who may not hand on", {"last": True}),
        "two hops": ("who may hand on, and the next once more", {"hops": 2}),
        "only to holder 2": ("who may hand on to holder 2 alone", {"only_to": [_TWO]}),
    }
    file.token(
        "handed on", "t(x), held by holder 0", lambda: bearer(grant("t", x=must.anything()), holder=_ZERO)
    )
    held = file.read("handed on")
    for name, (about, options) in made.items():
        file.token(
            name,
            f"handed on, to holder 1, {about}",
            partial(held.delegate, to=_ONE, key=HOLDERS[0], **options, now=NOW),
        )
        file.case(name, name, _X, prove=proof(file.read(name), "holder 1"))
    for name, before, to in (
        ("a hop", "two hops", _TWO),
        ("to holder 2", "only to holder 2", _TWO),
        ("a name below a name", "known as", _TWO),
    ):
        known = "agent:desk:mailer:eu" if before == "known as" else None
        file.token(
            name,
            f"{before}, and from there to holder 2",
            lambda before=before, to=to, known=known: file.read(before).delegate(  # type: ignore[misc]
                to=to, key=HOLDERS[1], known_as=known, now=NOW
            ),
        )
        file.case(name, name, _X, prove=proof(file.read(name), "holder 2"))
    file.token(
        "a holder who may only hand on",
        "handed on, to holder 1, who makes no calls and may hand on to holder 2",
        lambda: held.delegate(to=_ONE, key=HOLDERS[0], idle=True, only_to=[_TWO], now=NOW),
    )
    idle = file.read("a holder who may only hand on")
    file.case(
        "a holder who may only hand on",
        "a holder who may only hand on",
        _X,
        "not_holder",
        engine="allow",
        differs="Datalog does not know who may only hand on",
        prove=proof(idle, "holder 1"),
    )
    file.token(
        "handed on by a holder who may only do that",
        "..., and from there to holder 2",
        lambda: file.read("a holder who may only hand on").delegate(to=_TWO, key=HOLDERS[1], now=NOW),
    )
    used = file.read("handed on by a holder who may only do that")
    name = "handed on by a holder who may only do that"
    file.case(name, name, _X, prove=proof(used, "holder 2"))


def _handed(capability: Any, facts: str, by: int = 0, to: int = 1) -> str:
    """Hand on by hand, with these facts."""
    source = f'designation("holder", "{capability.holder.handle}"); {facts}'
    source += f' check if designation("holder", "{new_handle()}") trusting {{next}};'
    return forge.append_signed(capability, HOLDERS[by], source, {"next": HOLDERS[to].public})


def _forged(file: Capabilities) -> None:
    """Delegations that nobody may make."""
    held, last, two = (file.read(name) for name in ("handed on", "the last holder", "two hops"))
    only = file.read("only to holder 2")
    key = _TWO.data.hex()
    made: dict[str, Callable[[], str]] = {
        f"the facts {facts}": partial(_handed, held, facts)
        for facts in (
            'known_as("a b");',
            'known_as("");',
            'known_as("a:b:c:d:e");',
            "known_as(1);",
            'known_as("a"); known_as("b");',
            "hops(-1);",
            'hops("1");',
            "hops(1); hops(1);",
            "only_to({,});",
            'only_to({"x"});',
            f'only_to({{"{key.upper()}"}});',
            "idle(true);",
            "idle(false);",
            f'idle(true); only_to({{"{_ONE.data.hex()}"}});',
        )
    }
    made |= {
        "handed on by the last holder": lambda: _handed(last, "", 1, 2),
        "handed on by the last holder, with hops": lambda: _handed(last, "hops(0);", 1, 2),
        "as many hops again": lambda: _handed(two, "hops(2);", 1, 2),
        "hops left out": lambda: _handed(two, "", 1, 2),
        "handed on to another key": lambda: _handed(only, "", 1, 3),
        "a name without a holder": lambda: forge.append_source(held, 'known_as("x");', {}),
    }
    for name, make in made.items():
        file.token(name, "no delegation", make)
        file.case(name, name, _X, "outside_profile", engine="deny")


def _budgets(file: Capabilities) -> None:
    """Limits that the authority counts under a name."""
    paid = grant("t", amount=must.anything())
    made = {
        "a budget of calls": (limit(calls=9, budget="mails"), 5, (1, "calls")),
        "a budget of sums": (limit(sum_of="amount", at_most=100, budget="eur"), 5, (5, "sum:amount")),
        "a budget of cents": (
            limit(sum_of="amount", at_most=Decimal("9.99"), budget="eur"),
            1.5,
            (150, "sum/2:amount"),
        ),
    }
    for name, (one, amount, takes) in made.items():
        file.token(name, f"t, {name}", partial(bearer, paid, one, authority=AUTHORITY))
        file.case(name, name, {"amount": amount}, takes=[takes])
    file.token(
        "a budget and a limit",
        "t, at most 9 times under the name mails, and at most 9 times",
        lambda: bearer(paid, limit(calls=9, budget="mails"), limit(calls=9), authority=AUTHORITY),
    )
    file.case(
        "a budget and a limit", "a budget and a limit", {"amount": 5}, takes=[(1, "calls"), (1, "calls")]
    )
    file.token(
        "a budget, where the authority is not known",
        "a budget of calls, and the verifier knows no authority beside the root key",
        lambda: str(file.file["tokens"]["a budget of calls"]["token"]),
        trust={"ids": {"1": "root"}},
    )
    name = "a budget, where the authority is not known"
    file.case(name, name, {"amount": 5}, "unavailable")
    budget = 'check if budget("mails", "calls", 9);'
    for name, make in {
        "a budget in a later block": lambda: forge.append_source(
            file.read("a budget of calls"), budget.replace("mails", "x"), {}
        ),
        "a budget without a name": lambda: root_block(f"{FIRST}{CLOSED};{budget.replace('mails', '')}"),
        "a budget of no kind": lambda: root_block(f"{FIRST}{CLOSED};{budget.replace('calls', 'all')}"),
        "a budget with an alternative": lambda: root_block(f"{FIRST}{CLOSED};{budget[:-1]} or time($t);"),
    }.items():
        file.token(name, budget, make)
        alternative = name == "a budget with an alternative"
        file.case(
            name,
            name,
            {"amount": 5} if "later" in name else {"x": 1},
            "outside_profile",
            engine="allow" if alternative else "deny",
            differs="a limit has no alternative but other objects" if alternative else "",
        )


def _approvals(file: Capabilities) -> None:
    """Approvals that calls with harmless arguments need not."""
    name = "approved, unless small"
    ann = APPROVERS[0].public
    file.token(
        name,
        "t(amount), approved by approver 1 unless it is from 0 to 99",
        lambda: bearer(
            grant("t", amount=must.optional()), approved_by(ann, unless={"amount": must.between(0, 99)})
        ),
    )
    made = file.read(name)
    for small in (0, 99):
        file.case(f"{name}, {small}", name, {"amount": small})
    for other in (100, -1, 99.5, "1", None, [1]):
        file.case(f"{name}, {other!r}", name, {"amount": other}, "not_approved")
    file.case(f"{name}, left out", name, {}, "not_approved")
    file.case(f"{name}, approved", name, {"amount": 100}, approve=votes(approval(made, "approver 1")))
