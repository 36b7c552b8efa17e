"""Limits and approvals as conditions: what is refused when they are written, what a token says, and in words.

What admission refuses of others' tokens is in the vectors; what a ledger counts is in the tests of ledgers.
"""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from hessra_agents import (
    Call,
    Capability,
    Denied,
    KeyPair,
    PublicKey,
    Trust,
    approved_by,
    grant,
    limit,
    must,
)
from hessra_agents.grants.limits import MAX_MOST, Limit
from hessra_agents.tokens.admission import APPROVED, MAX_LIMITS, Block, RequiredAttestation
from hessra_agents.tokens.describe import approvals_of
from hessra_agents.tokens.issue import issue
from hessra_agents.verify.permit import Permit
from hessra_agents.verify.verifier import verify
from tests.support import forge
from tests.vectors.refused import put_again

NOW = 1_800_000_000
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
ROOT = KeyPair.generate()
HOLDER, OTHER = KeyPair.generate(), KeyPair.generate()
KEYS = sorted((KeyPair.generate() for _ in range(4)), key=lambda key: key.public.data)
ANA, BO, CEM, DEB = (key.public for key in KEYS)
TRUST = Trust({1: ROOT.public})
PAY, READ = grant("pay", amount=must.anything(), order=must.optional()), grant("read", path=must.anything())


def issued(*conditions: Any, **options: Any) -> Capability:
    """A capability for the guard ``mail``, for an hour."""
    told: dict[str, Any] = {"key": ROOT, "key_id": 1, "ttl": HOUR, "audience": "mail", "now": NOW}
    return issue("agent:desk", conditions or (PAY,), **told | options)


def permit(capability: Capability, tool: str = "pay", **arguments: object) -> Permit:
    """The permit of a call by whoever has the capability."""
    return verify(capability, Call.of(tool, arguments), now=NOW, audience="mail")


WRONG: list[tuple[dict[str, Any], str]] = [
    ({}, "a limit needs calls=, or sum_of= with at_most="),
    ({"calls": 1, "sum_of": "amount", "at_most": 1}, "a limit needs calls="),
    ({"sum_of": "amount"}, "a limit needs calls="),
    ({"at_most": 5}, "a limit needs calls="),
    ({"calls": 5, "at_most": 5}, "a limit needs calls="),
    ({"calls": 0}, "an integer of at least 1"),
    ({"calls": -1}, "an integer of at least 1"),
    ({"calls": True}, "an integer of at least 1"),
    ({"calls": 1.0}, "an integer of at least 1"),
    ({"calls": MAX_MOST + 1}, "an integer of at least 1"),
    ({"sum_of": "amount", "at_most": 0}, "an integer of at least 1"),
    ({"sum_of": "amount", "at_most": Decimal("0.00")}, "an integer of at least 1, in its last decimal place"),
    ({"sum_of": "amount", "at_most": MAX_MOST, "places": 1}, "an integer of at least 1, in its last"),
    ({"sum_of": "amount", "at_most": 0.5}, "say how many decimal places"),
    ({"sum_of": "amount", "at_most": Decimal(5000)}, "say how many decimal places"),
    ({"sum_of": "amount", "at_most": Decimal("5e3")}, "say how many decimal places"),
    ({"sum_of": "amount", "at_most": Decimal("0.0000000001")}, "places must be an integer from 0 to 9"),
    ({"sum_of": "amount", "at_most": Decimal("5.005"), "places": 2}, "at most 2 decimal places"),
    ({"sum_of": "amount", "at_most": float("nan"), "places": 2}, "a finite number"),
    ({"sum_of": "amount", "at_most": Decimal("1e1000000000"), "places": 2}, "a finite number"),
    ({"sum_of": "amount", "at_most": "5000.00"}, "an int, a float or a Decimal"),
    ({"sum_of": "amount", "at_most": True}, "an int, a float or a Decimal"),
    ({"sum_of": "amount", "at_most": 5, "places": -1}, "places must be an integer from 0 to 9"),
    ({"sum_of": "amount", "at_most": 5, "places": True}, "places must be an integer from 0 to 9"),
    ({"calls": 5, "places": 2}, "places are those of a sum"),
    ({"calls": 1, "per": timedelta(0)}, "of whole seconds, from 1 second to 366 days"),
    ({"calls": 1, "per": -HOUR}, "of whole seconds"),
    ({"calls": 1, "per": timedelta(seconds=1.5)}, "of whole seconds"),
    ({"calls": 1, "per": timedelta(days=367)}, "of whole seconds"),
    ({"calls": 1, "tools": []}, "name at least one tool"),
    ({"calls": 1, "tools": ""}, "a tool needs a name"),
    *(
        ({"sum_of": name, "at_most": 5}, "sum_of must be an argument's name, or a pointer")
        for name in ("", "/amount", "60:amount", "0:amount", "60:", "1:60:amount", 5)
    ),
]


@pytest.mark.parametrize(("told", "said"), WRONG, ids=[str(told) for told, _ in WRONG])
def test_a_limit_that_cannot_be_meant_is_refused_when_it_is_written(told: dict[str, Any], said: str) -> None:
    """Never a limit that counts nothing, or something else than was asked for."""
    with pytest.raises(ValueError, match=said):
        limit(**told)


@pytest.mark.parametrize("told", [{"per": 60}, {"per": "1h"}, {"refund": 1}, {"refund": "yes"}])
def test_a_limit_takes_its_own_types(told: dict[str, Any]) -> None:
    """A bare number has no unit."""
    with pytest.raises(TypeError, match="per must be a timedelta, such as"):
        limit(calls=1, **told)


def test_approvers_are_keys_all_different_of_which_some_are_needed() -> None:
    """A slip is told at once."""
    for keys, need, said in (
        ((), 1, "1 to 16 keys"),
        ((ANA, ANA), 1, "all different"),
        ((ANA, BO), 3, "need must be the number of approvals, 1 to 2"),
        ((ANA, BO), 0, "need must be the number"),
        ((ANA, BO), True, "need must be the number"),
        (tuple(KeyPair.generate().public for _ in range(17)), 1, "1 to 16 keys"),
        (tuple(KeyPair.generate().public for _ in range(12)), 6, "more combinations than a token can hold"),
    ):
        with pytest.raises(ValueError, match=said):
            approved_by(*keys, need=need)
    with pytest.raises(ValueError, match="name at least one tool"):
        approved_by(ANA, tools=())
    for wrong in (KEYS[0], str(ANA), ANA.data):
        with pytest.raises(TypeError, match="an approver must be an Ed25519 PublicKey"):
            approved_by(wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "condition", [limit(calls=1, tools="pya"), approved_by(ANA, tools=["pay", "tool:pay"])]
)
def test_a_condition_of_a_tool_that_is_not_granted_is_refused(condition: Any) -> None:
    """With a mistyped name the tool would be left without its limit."""
    with pytest.raises(ValueError, match=r"tool:(pya|tool:pay) is not granted, so no condition"):
        issued(PAY, condition)
    with pytest.raises(ValueError, match="is not granted"):
        issued().attenuate(grant("pay", amount=1), condition, now=NOW)
    with pytest.raises(ValueError, match="is not granted"):
        issued().attenuate(condition, now=NOW)
    with pytest.raises(ValueError, match="is not granted"):
        issued().delegate(condition, to=HOLDER.public, now=NOW)


def test_a_sum_of_an_argument_that_a_tool_does_not_have_is_refused() -> None:
    """Every call of that tool would be refused."""
    with pytest.raises(ValueError, match="read has no argument 'amount' to sum up: name the limited tools"):
        issued(PAY, READ, limit(sum_of="amount", at_most=5))
    with pytest.raises(ValueError, match="pay has no argument 'orders' to sum up"):
        issued(PAY, limit(sum_of="/orders/total", at_most=5))
    bounded = issued(PAY, READ, limit(sum_of="/order/total", at_most=5, tools="pay"))

    assert permit(bounded, "read", path="a").charges == ()
    assert [one.amount for one in permit(bounded, amount=1, order={"total": 3}).charges] == [3]


def test_a_capability_is_made_of_conditions_only() -> None:
    """Also where one is given as a list."""
    for wrong in ("pay", [PAY], None):
        with pytest.raises(TypeError, match=r"a condition is grant\(...\), limit\(...\), approved_by"):
            issued(PAY, wrong)
        with pytest.raises(TypeError, match=", not "):
            issued().attenuate(wrong, now=NOW)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="at least one grant"):
        issued(limit(calls=1))


def test_more_limits_than_are_read_are_not_written() -> None:
    """Over all blocks: one call charges each of them."""
    full = issued(PAY, *[limit(calls=9)] * MAX_LIMITS)

    assert len(permit(full, amount=1).charges) == MAX_LIMITS
    with pytest.raises(ValueError, match="limits in a token"):
        full.attenuate(limit(calls=9), now=NOW)


@pytest.mark.parametrize(
    "argument", ["amount", "order/amount", "a:b", "refund:calls", 'a "b"\n\\', "é", "x" * 200]
)
def test_a_limit_is_read_back_as_it_was_written(argument: str) -> None:
    """Each kind has one spelling, and a name in it is not read as anything else."""
    for told in (
        limit(calls=7, per=DAY, refund=True, tools="pay"),
        limit(sum_of=argument, at_most=MAX_MOST),
        limit(sum_of=argument, at_most=1, per=timedelta(seconds=1), refund=True),
    ):
        capability = issued(grant("pay", {argument: must.anything()}), told)
        again = Capability.parse(capability.token, TRUST)
        ((handle, found),) = again.blocks[0].limits
        assert (found, len(handle)) == (told, 32)
        assert Limit.parse(told.spelling, told.at_most, told.tools) == told


def test_a_sum_of_decimals_is_in_units_of_its_last_place() -> None:
    """However it was given, it is one limit with one spelling."""
    cents = limit(sum_of="amount", at_most=Decimal("5000.00"))
    assert (cents.at_most, cents.places, cents.spelling) == (500_000, 2, "sum/2:amount")
    assert cents == limit(sum_of="amount", at_most=5000, places=2)
    assert cents == limit(sum_of="amount", at_most=5000.0, places=2)
    per = limit(sum_of="/order/amount", at_most=Decimal("0.5"), per=HOUR, refund=True)
    assert per.spelling == "refund:sum/1:3600:/order/amount"
    assert Limit.parse(per.spelling, 5, None) == per
    assert limit(sum_of="amount", at_most=5, places=0) == limit(sum_of="amount", at_most=5)
    for kind in ("sum/0:a", "sum/10:a", "sum/:a", "sum/02:a", "sum/-1:a", "sum/2a", "sum/2:", "sum/2:60:",
                 "sum/x:a", "calls/2", "sum /2:a", "sum/٢:a"):  # fmt: skip
        assert Limit.parse(kind, 5, None) is None, kind


@pytest.mark.parametrize(
    ("amount", "units"),
    [
        (0, 0),
        (1, 100),
        (12.5, 1250),
        (0.01, 1),
        (99.99, 9999),
        (0.29, 29),
        (1.1, 110),
        (4.35, 435),
    ],
)
def test_what_a_decimal_takes_of_a_sum_is_exact(amount: float, units: int) -> None:
    """0.29 is 29 cents, although 0.29 * 100 is 28.999999999999996."""
    held = issued(PAY, limit(sum_of="amount", at_most=Decimal("5000.00")))
    (charge,) = permit(held, amount=amount).charges
    assert (charge.amount, charge.at_most, charge.places) == (units, 500_000, 2)


@pytest.mark.parametrize(
    "amount",
    [
        -0.01,
        -1,
        0.001,
        0.1 + 0.2,
        1e-9,
        5e-324,
        1e300,
        2**63,
        1e17,
        "12.50",
        Decimal("12.50"),
        True,
        None,
        [1.5],
    ],
    ids=str,
)
def test_what_is_no_amount_of_cents_is_not_added_up(amount: object) -> None:
    """Nothing is rounded to a free ride, and nothing gives back."""
    with pytest.raises(Denied) as caught:
        permit(issued(PAY, limit(sum_of="amount", at_most=Decimal("5000.00"))), amount=amount)

    assert caught.value.reason == "constraint"
    allowed = "a number with at most 2 decimal places of at least 0, because its sum is limited"
    assert [problem.allowed for problem in caught.value.problems] == [allowed]


def test_a_sum_of_decimals_in_words() -> None:
    """With its decimal places, and never in units."""
    held = issued(PAY, limit(sum_of="amount", at_most=Decimal("5000.00"), per=DAY))
    assert "  sum of amount at most 5000.00 in any 1d" in held.describe().splitlines()


def test_a_signed_block_put_on_its_token_again_meets_the_same_budget() -> None:
    """Under another ephemeral key it has another signature, and the same name."""
    held = issued(PAY, limit(calls=9), holder=HOLDER.public)
    child = held.delegate(limit(calls=3), to=OTHER.public, key=HOLDER, now=NOW)
    again = Capability.parse(put_again(child, held), TRUST)

    assert again.token != child.token
    assert _counters(again, OTHER) == _counters(child, OTHER)
    assert _counters(child, OTHER)[:1] == _counters(held, HOLDER)


def _counters(capability: Capability, key: KeyPair) -> list[bytes]:
    call = Call.of("pay", {"amount": 1})
    proof = capability.prove(call, key=key, audience="mail", now=NOW)
    return [one.counter for one in verify(capability, call, now=NOW, audience="mail", proof=proof).charges]


def test_no_narrowing_takes_a_limit_away() -> None:
    """Another handle, a wider limit, a limit of other tools: each is one more."""
    above = issued(PAY, READ, limit(calls=2))
    child = above.attenuate(limit(calls=MAX_MOST), limit(calls=5, tools="read"), ttl=MINUTE, now=NOW)
    before, after = permit(above, amount=1).charges, permit(child, amount=1).charges

    assert after[0] == before[0]
    assert [one.at_most for one in after] == [2, MAX_MOST]
    assert len({one.counter for one in after}) == 2
    assert [one.until for one in after] == [NOW + 3600, NOW + 60]


def test_a_handle_is_bound_to_its_token() -> None:
    """The same limit under the same handle in another token is another budget."""
    source = 'check if limit("0123456789abcdef0123456789abcdef", "calls", 5);'
    made = [Capability.parse(forge.append_source(issued(), source), TRUST) for _ in range(2)]

    assert len({permit(one, amount=1).charges[0].counter for one in made}) == 2


@pytest.mark.parametrize("amount", [-1, -(2**63), 2**63, 0.5, "1", True, None, [1], {"amount": 1}])
def test_what_is_no_natural_number_is_not_added_up(amount: object) -> None:
    """No call gives anything back, and none slips by."""
    with pytest.raises(Denied) as caught:
        permit(issued(PAY, limit(sum_of="amount", at_most=5)), amount=amount)

    assert caught.value.reason == "constraint"
    assert "argument 'amount' is not allowed" in str(caught.value)


def test_a_sum_is_never_of_an_argument_that_is_left_out() -> None:
    """The tool's own default would run uncounted."""
    with pytest.raises(Denied) as caught:
        permit(issued(PAY, limit(sum_of="/order/total", at_most=5)), amount=1)

    assert (caught.value.reason, [p.argument for p in caught.value.problems]) == (
        "missing_argument",
        ["order/total"],
    )


def test_limits_and_approvals_in_words() -> None:
    """A line for each, with what it is of; the moment of issue, and a start only where it is later."""
    capability = issued(
        PAY,
        READ,
        limit(calls=1),
        limit(sum_of="amount", at_most=500, per=HOUR, tools="pay", refund=True),
        approved_by(ANA, tools=["read", "pay"]),
        approved_by(ANA, BO, CEM, need=2),
        not_before=NOW + 60,
    ).attenuate(limit(sum_of="a\nb", at_most=2), approved_by(BO, DEB), now=NOW)

    said = capability.describe().splitlines()
    assert said[3:6] == [
        "  issued 2027-01-15 08:00:00 UTC",
        "  not before 2027-01-15 08:01:00 UTC",
        "  until 2027-01-15 09:00:00 UTC",
    ]
    assert said[7:11] == [
        f"  each call of tool:pay, tool:read approved by {ANA}",
        f"  each call approved by 2 of {ANA}, {BO}, {CEM}",
        "  at most 1 call",
        "  sum of amount at most 500 in any 1h of tool:pay, refunded if the tool fails",
    ]
    assert said[-2:] == [f"  each call approved by {BO} or {DEB}", "  sum of 'a\\nb' at most 2"]


def test_a_start_without_a_moment_of_issue_is_told_once() -> None:
    """Most capabilities start when they are issued."""
    said = issued().describe()

    assert ("issued 2027-01-15 08:00:00 UTC" in said, "not before" in said) == (True, False)


@pytest.mark.parametrize(("keys", "need"), [(1, 1), (2, 1), (3, 1), (3, 2), (4, 2), (4, 3)])
def test_k_of_n_is_read_back_from_its_checks(keys: int, need: int) -> None:
    """Two conditions in one block stay two."""
    chosen = [key.public for key in KEYS[:keys]]
    block = issued(PAY, approved_by(*chosen, need=need, tools="pay"), approved_by(*chosen, need=need)).blocks[
        0
    ]
    texts = tuple(map(str, chosen))

    assert [(one.keys, one.need, one.of.tools) for one in approvals_of(block)] == [
        (texts, need, frozenset({"tool:pay"})),
        (texts, need, None),
    ]


def test_all_of_n_are_told_one_by_one() -> None:
    """That is what it is: a check for each."""
    block = issued(PAY, approved_by(ANA, BO, CEM, need=3)).blocks[0]

    assert sorted((one.keys, one.need) for one in approvals_of(block)) == [
        ((str(key),), 1) for key in (ANA, BO, CEM)
    ]


def test_checks_that_are_no_k_of_n_are_told_as_they_are() -> None:
    """Whoever writes a token by hand may ask for anything; nothing is told as more than it is."""
    a, b, c = (RequiredAttestation(APPROVED, f"{n:032x}", key.data) for n, key in enumerate((ANA, BO, CEM)))
    again = RequiredAttestation(APPROVED, "f" * 32, ANA.data)
    texts = {a: str(ANA), b: str(BO), c: str(CEM), again: str(ANA)}
    for checks in (
        ((a, b), (b, c)),
        ((a, b), (a,)),
        ((a, b), (a, b)),
        ((a,), (a,)),
        ((a, again), (a, b), (again, b)),
    ):
        found = [*approvals_of(Block("00", None, attested=checks))]
        assert {one.need for one in found} == {1}
        assert [one.keys for one in found] == [tuple(sorted(texts[one] for one in check)) for check in checks]


def test_many_checks_with_many_keys_are_told_quickly() -> None:
    """Nobody counts all sets of half of a hundred keys."""
    many = tuple(RequiredAttestation(APPROVED, f"{n:032x}", bytes([n]) * 32) for n in range(100))
    block = Block("00", None, attested=tuple(many[n : n + 50] for n in range(50)))

    assert {one.need for one in approvals_of(block)} == {1}


def test_of_may_be_the_function_itself() -> None:
    """The name under which a tool is granted."""

    def pay(amount: int) -> None:
        """Pay."""

    assert (
        limit(calls=1, tools=pay).tools
        == approved_by(PublicKey(ANA.data), tools=[pay]).tools
        == frozenset({"tool:pay"})
    )
