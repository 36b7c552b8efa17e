"""``explain``: the verdict of the guard, with everything that led to it."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from pathlib import Path

import pytest

from hessra_agents import (
    Denied,
    Guard,
    KeyPair,
    Session,
    approved_by,
    clear_of,
    from_result,
    grant,
    limit,
    must,
)
from hessra_agents.cli import inputs
from hessra_agents.cli import token_view as reading
from hessra_agents.tokens.admission import ANCHOR, APPROVED, Block, RequiredAttestation
from tests.cli.test_commands import CALL, NOW, Line


@pytest.fixture
def line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Line:
    """A command line at a moment that stands still."""
    return Line(tmp_path, monkeypatch)


CALLS = [
    CALL,
    "send_email",
    """send_email '{"to": "ana@acme.com", "body": "hi", "cc": null}'""",
    """send_email '{"to": "ana@evil.example", "body": "hi"}'""",
    """send_email '{"to": ["ana@acme.com"], "body": "hi"}'""",
    "read_file",
    """read_file '{"path": "/srv/data/a"}'""",
    "ping",
    """ping '{"a": 1}'""",
    "unknown",
]


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("audience", ["mail", "files"])
def test_explain_and_verify_agree(line: Line, call: str, audience: str) -> None:
    """For a bearer capability the explanation's verdict is the guard's."""
    path = grant("read_file", path=must.under("/srv"))
    mail = grant("send_email", to=must.email("acme.com"), body=must.anything())
    line.save("wide", "agent:desk", path, mail, grant("ping"))
    line.save("twice", "agent:desk", mail, grant("send_email", to="bo@acme.com"))
    line.save("early", "agent:desk", mail, not_before=inputs.timestamp("2027-01-15T08:05:00Z", ""))
    for name in ("wide", "twice", "early", "bearer"):
        narrow = f"attenuate --trust trust.json --grants grants.toml --ttl 1m --audience mail --token {name}"
        Path(f"{name}-narrow").write_text(line(narrow).out)
        for token in (name, f"{name}-narrow"):
            decided = line(f"verify --trust trust.json --audience {audience} --token {token} {call}")
            said = line(f"explain --audience {audience} --token {token} {call}")
            assert decided.code == said.code, token
            assert said.out.startswith("allowed" if decided.code == 0 else "refused")


def test_explain_knows_the_time(line: Line) -> None:
    """Which block ended, or has not begun."""
    line.save("later", "agent:desk", grant("ping"), not_before=inputs.timestamp("2027-01-15T08:05:00Z", ""))
    assert (
        "block 0 starts at 2027-01-15 08:05:00 UTC [not_yet_valid]" in line("explain ping --token later").out
    )

    line.patch.setattr(inputs, "now", lambda: NOW + 600)
    assert "block 0 expired at 2027-01-15 08:10:00 UTC [expired]" in line("explain ping --token later").out
    assert "expired (2027-01-15 08:10:00 UTC)" in line("inspect --token bearer").out
    assert line(f"verify --trust trust.json --audience mail --token bearer {CALL}").code == 1


def test_explain_lists_what_a_guard_asks_for(line: Line) -> None:
    """A capability cannot say by itself that it is at its guard, or in its holder's hands."""
    line.save("held", "agent:desk", grant("ping"), holder=line.holder.public, designations={"tenant": "acme"})

    done = line("explain ping --token held")

    assert done.code == 0
    assert done.out.split("also required at runtime\n")[1].splitlines()[:3] == [
        "  designation tenant is acme",
        "  audience mail",
        f"  proof by the holder {line.holder.public}",
    ]


def test_what_other_keys_must_say_is_told(line: Line) -> None:
    """Approvals, designations by a key, activations: ``inspect`` by block, ``explain`` at its end."""
    one, two = b"\1" * 32, b"\2" * 32
    first = Block(
        "00",
        None,
        rights=(("agent:desk", "tool:ping", "invoke"), ("agent:desk", "prompt:hello", "get")),
        expires=NOW + 60,
        designations=((ANCHOR, "mail"),),
        attested=(
            (RequiredAttestation(APPROVED, "0" * 32, one), RequiredAttestation(APPROVED, "0" * 32, two)),
        ),
        activators=(two,),
    )
    second = Block(
        "01", one, attested=((RequiredAttestation("team", "desk", two),),), states=(("team", "desk"),)
    )
    found = reading.TokenView((first, second, Block("02", None)))
    line.patch.setattr(reading.TokenView, "of", lambda *_: found)

    inspected = line("inspect", "token").out
    explained = line("explain ping", "token")

    assert "    grants ping, get prompt:hello\n" in inspected
    assert f"    each call requires approval by ed25519/{one.hex()} or ed25519/{two.hex()}\n" in inspected
    assert f"    requires activation by ed25519/{two.hex()}\n" in inspected
    assert f"  block 1, added by ed25519/{one.hex()}\n" in inspected
    assert f"    only where ed25519/{two.hex()} states that team is desk\n" in inspected
    assert "  block 2, added by a bearer, not signed\n    adds no restriction\n" in inspected
    assert explained.code == 0
    assert "does not restrict it\n" in explained.out
    assert explained.out.split("also required at runtime\n")[1].splitlines()[:4] == [
        "  audience mail",
        f"  approval by ed25519/{one.hex()} or ed25519/{two.hex()}",
        f"  activation by ed25519/{two.hex()}",
        f"  ed25519/{two.hex()} states team",
    ]


def test_inspect_tells_limits_and_approvals(line: Line) -> None:
    """By block, for a person and for a program."""
    ana, bo = sorted((KeyPair.generate().public for _ in range(2)), key=str)
    line.save(
        "bounded",
        "agent:desk",
        grant("pay", amount=must.anything()),
        grant("ping"),
        limit(calls=50, refund=True),
        limit(sum_of="amount", at_most=500, per=timedelta(days=1), tools="pay"),
        approved_by(ana, bo, tools="pay"),
        not_before=inputs.timestamp("2027-01-15T08:05:00Z", ""),
    )

    block = json.loads(line("inspect --json --token bounded").out)["blocks"][0]
    said = [one.strip() for one in line("inspect --token bounded").out.splitlines()]

    assert (block["issued"], block["not_before"]) == (NOW, NOW + 300)
    assert block["limits"] == [
        {
            "counts": "calls",
            "argument": None,
            "most": 50,
            "places": 0,
            "window": None,
            "of": None,
            "refund": True,
            "budget": None,
        },
        {
            "counts": "sum",
            "argument": "amount",
            "most": 500,
            "places": 0,
            "window": 86_400,
            "of": ["pay"],
            "refund": False,
            "budget": None,
        },
    ]
    assert block["approvals"] == [{"keys": [str(ana), str(bo)], "need": 1, "of": ["pay"], "unless": None}]
    assert {
        "issued 2027-01-15 08:00:00 UTC",
        "not before 2027-01-15 08:05:00 UTC",
        f"each call of pay requires approval by {ana} or {bo}",
        "at most 50 calls, refunded if the tool fails",
        "sum of amount at most 500 in any 1d of pay",
    } <= {*said}


def test_inspect_tells_what_only_a_session_knows(line: Line) -> None:
    """Where a value comes from, with every condition, and what must not have been seen."""
    edge = from_result("bills", "$[*].iban", where={"from": "gym"}, smallest="due", untrusted=True)
    line.save("follows", "agent:desk", grant("pay", to=edge), clear_of("PII:*", tools="pay"))

    block = json.loads(line("inspect --json --token follows").out)["blocks"][0]
    said = [one.strip() for one in line("inspect --token follows").out.splitlines()]
    picked = "where from is 'gym' and due is the smallest, trusted or not"
    value = f"a value that bills returned at $[*].iban, {picked}"

    assert block["clear_of"] == [{"labels": "PII:*", "of": ["pay"]}]
    assert block["grants"] == [f"pay(to: {value})"]
    assert {"no call of pay once the session has seen anything labeled PII:*", f"only pay(to: {value})"} <= {
        *said
    }


@pytest.fixture
def bank(line: Line) -> tuple[Guard, str]:
    """A guard, and a token that ``issue`` made of the grant file in docs/concepts/sessions.md."""
    page = Path(__file__).parents[2] / "docs" / "concepts" / "sessions.md"
    (text,) = re.findall(r"```toml\n(.*?)```", page.read_text(), re.DOTALL)
    Path("bank.toml").write_text(text)
    done = line("issue roots agent:desk --grants bank.toml --ttl 1h --audience mail")
    guard = Guard(line.authority.trust, audience="mail", clock=lambda: NOW)

    @guard.tool
    async def pay(iban: str, cents: int) -> str:
        return "paid"

    return guard, done.out.strip()


@pytest.mark.anyio
async def test_a_grant_file_says_where_a_value_comes_from(bank: tuple[Guard, str]) -> None:
    """Only the landlord's iban, only once it was read, and only where somebody keeps a session."""
    guard, token = bank
    session, order = Session(), {"iban": "DE02", "cents": 90_000}
    for nothing in (None, session):
        with pytest.raises(Denied, match="constraint"):
            await guard.call(token, "pay", order, session=nothing)

    session.record_result(
        "read_bills", [{"from": "landlord", "iban": "DE02"}, {"from": "gym", "iban": "FR14"}]
    )

    assert await guard.call(token, "pay", order, session=session) == "paid"
    with pytest.raises(Denied, match="constraint"):
        await guard.call(token, "pay", order | {"iban": "FR14"}, session=session)


@pytest.mark.anyio
@pytest.mark.parametrize("label", ["secret:plans", "untrusted"])
async def test_a_grant_file_says_what_must_not_have_been_seen(bank: tuple[Guard, str], label: str) -> None:
    """What was allowed is refused from then on."""
    guard, token = bank
    session, order = Session(), {"iban": "DE02", "cents": 90_000}
    session.record_result("read_bills", [{"from": "landlord", "iban": "DE02"}])
    assert await guard.call(token, "pay", order, session=session) == "paid"

    session.expose([label])

    with pytest.raises(Denied, match="exposed"):
        await guard.call(token, "pay", order, session=session)


def test_a_first_block_without_bounds_takes_no_arguments(line: Line) -> None:
    """Closed where it starts, also where a token from elsewhere says nothing about arguments."""
    first = Block("00", None, rights=(("a", "tool:ping", "invoke"),), expires=NOW + 60)
    several = Block("01", None, designations=((ANCHOR, "mail"), (ANCHOR, "files")))
    for blocks, call, text in (
        (
            (first, several),
            "ping",
            "the capability has several audiences, and no guard is all of them [wrong_audience]",
        ),
        ((first,), "ping", "the capability has no audience [wrong_audience]"),
        ((first,), """ping '{"a": 1}'""", "argument 'a' is not granted [unnamed_argument]"),
    ):
        line.patch.setattr(reading.TokenView, "of", lambda *_, found=blocks: reading.TokenView(found))
        done = line(f"explain {call}", "token")
        assert done.code == 1
        assert text in done.out
