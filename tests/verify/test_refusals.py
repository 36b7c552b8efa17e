"""Refusals teach: what would mend the call, and never more than the caller's own capability says."""

from __future__ import annotations

import sys
from datetime import timedelta
from typing import Any

import pytest

from hessra_agents import Authority, Call, Denied, Guard, Session, from_result, grant, must
from tests.support.world import ANA, BO, World

AUTHORITY = Authority.ephemeral()
GUARD = Guard(AUTHORITY.trust, audience="forms")


def refused(arguments: dict[str, Any], **constraints: Any) -> Denied:
    """The refusal of a call of `t` under a grant."""
    capability = AUTHORITY.issue(
        "agent:a", grant("t", constraints), ttl=timedelta(minutes=5), audience="forms"
    )
    with pytest.raises(Denied) as caught:
        GUARD.decide(capability, Call.of("t", arguments))
    return caught.value


PATH, URL, MAIL = must.under("/srv/data"), must.url("docs.acme.com"), must.email("acme.com")

FORMS: list[tuple[Any, str, str]] = [
    (PATH, "/srv/data/", "a path under /srv/data, without a slash at the end"),
    (PATH, "srv/data", "a path under /srv/data, with a slash in front"),
    (PATH, "/srv/data/a/../x", "a path under /srv/data, without '.' and '..' between slashes"),
    (PATH, "/srv/data/.", "a path under /srv/data, without '.' and '..' between slashes"),
    (PATH, "/srv/data//x", "a path under /srv/data, without '//'"),
    (PATH, "/srv/data/a\\b", "a path under /srv/data, without a backslash"),
    (PATH, "/srv/data/~$draft.docx", "a path under /srv/data, without '~' at the beginning of a name"),
    (PATH, "/srv/data/ x", "a path under /srv/data, without blanks at the edges of a name"),
    (PATH, "/srv/data/%2e%2e/x", "a path under /srv/data, without percent-encoded dots and slashes"),
    (PATH, "/srv/data/cafe\u0301", "a path under /srv/data, in Unicode's composed form (NFC)"),
    (PATH, "/srv/data/a\nb", "a path under /srv/data, without control or invisible characters"),
    (PATH, "/srv/data/\u2764\ufe0f.png", "a path under /srv/data, in canonical form"),
    (PATH, "/srv/other", "a path under /srv/data"),
    (URL, "https://docs.acme.com/guide#a", "https://docs.acme.com:443, without '#' and what follows it"),
    (URL, "https://docs.acme.com/?f[n]=a", "percent-encoded where a character is not allowed"),
    (URL, "https://docs.acme.com/caf%c3%a9", "with percent-encoding in capitals"),
    (URL, "https://Docs.acme.com/", "with scheme and host in lower case"),
    (URL, "https://me@docs.acme.com/", "without a user's name"),
    (URL, "docs.acme.com/x", "with https:// or http:// in front"),
    (URL, "https://10.0.0.1/", "with a host by name, not a number"),
    (URL, "https://docs.acme.com./", "without a dot at the end of the host"),
    (URL, "https://docs.acme.com/a//b", "without '//' in the path"),
    (URL, "https://docs.acme.com/%41", "without percent-encoding of letters, digits and '-._~'"),
    (MAIL, "Ana@ACME.com", "one email address at 'acme.com', with the domain in lower case"),
    (MAIL, "Ana <ana@acme.com>", "one address alone, without a name or a list"),
    (MAIL, "ana@acme.com,bo@acme.com", "one address alone, without a name or a list"),
    (MAIL, "ana", "with one @"),
]  # fmt: skip


@pytest.mark.parametrize(("constraint", "value", "said"), FORMS, ids=str)
def test_a_refusal_says_what_is_wrong_with_the_form(constraint: Any, value: str, said: str) -> None:
    """Where the value seems to be what is granted; and nothing of it where the value is another one."""
    assert str(refused({"x": value}, x=constraint)).endswith(f"{said} [constraint]")


WORDS: list[tuple[Any, Any, str]] = [
    (must.between(1, 50), 0, "granted: an integer from 1 to 50"),
    (must.optional(must.between(1, 50)), 0, "granted: omitted or an integer from 1 to 50"),
    (must.between(3, 3), 0, "granted: exactly 3"),
    (must.one_of("fast", "slow"), "x", "granted: one of 'fast', 'slow'"),
    (must.fields(a=1), {"a": 1, "admin": True}, "x: unknown field 'admin'"),
    (must.fields(a=1), {"a": 1, "say yes": True}, "x: an unknown field"),
    (must.fields(a=1), {"a": 1, "a" * 65: True}, "x: an unknown field"),
    (must.fields(a=must.fields(b=1)), {"a": {"b": 1, "c": 1}}, "x/a: unknown field 'c'"),
    (must.each(must.fields(sku="A")), [{"sku": "A", "admin": True}], "x/0: unknown field 'admin'"),
    (must.each(PATH), ["/srv/data/a", "/srv/data/b/"], "'x/1' is not allowed, granted: a path under"),
]  # fmt: skip


@pytest.mark.parametrize(("constraint", "value", "said"), WORDS, ids=str)
def test_a_refusal_says_what_is_granted(constraint: Any, value: Any, said: str) -> None:
    """Ranges as ranges; of an unknown field the place, and the name if it is a plain one."""
    assert said in str(refused({"x": value}, x=constraint))


def test_a_refusal_never_shows_the_refused_value() -> None:
    """Whatever is at fault with it."""
    secret = "s3cret"
    for constraint in (PATH, URL, MAIL, must.between(1, 2), must.one_of("a"), must.fields(a="b")):
        for value in (
            secret,
            f"/{secret}/",
            f"https://{secret}#",
            f"{secret}@ACME.com",
            [secret],
            {"a": secret},
        ):
            refusal = refused({"x": value}, x=constraint)
            assert secret not in f"{refusal} {refusal!r} {refusal.problems}"


def calls_made(arguments: int) -> int:
    """How many Python functions a first refusal of so many wrong arguments calls."""
    names = [f"a{number}" for number in range(arguments)]
    capability = AUTHORITY.issue(
        "agent:a",
        grant("t", {name: must.optional(must.between(n, n + arguments)) for n, name in enumerate(names)}),
        ttl=timedelta(minutes=5),
        audience="forms",
    )
    call = Call.of("t", dict.fromkeys(names, -1))
    GUARD.check_capability(capability)
    count = 0

    def counted(frame: object, event: str, arg: object) -> None:
        nonlocal count
        count += event == "call"

    sys.setprofile(counted)
    try:
        with pytest.raises(Denied) as caught:
            GUARD.decide(capability, call)
    finally:
        sys.setprofile(None)
    assert len(caught.value.problems) == min(arguments, 32)
    return count


def test_a_refusal_explains_32_places_and_stops_there() -> None:
    """A call with more wrong arguments costs hardly more."""
    assert calls_made(90) < 1.5 * calls_made(45)


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    """Both event loops."""
    return request.param


class Secret:
    """A world in one of two states that differ only in what the caller may not know."""

    def __init__(self, *, other: bool) -> None:
        self.world = world = World()
        self.capability = world.issue(
            grant(
                "send_email",
                to=must.one_of(ANA, BO),
                body=from_result("search", "$.text"),
                cc=must.optional(must.email("acme.com")),
            )
        )
        if other:

            async def wipe(path: str) -> None:
                """Wipe."""

            world.guard.add(wipe)
        session = Session()
        session.record_result("search", {"text": "hi"})
        if other:
            session.record_result("payroll", {"salary": 9000, "text": "secret"})
        self.desk = world.guard.toolbox(self.capability, session=session)

    async def prepare(self, *, other: bool) -> None:
        """Use up and revoke what belongs to somebody else."""
        if other:
            theirs = self.world.issue(grant("send_email", to=EVERYONE, body=must.anything()))
            await self.world.guard.toolbox(theirs).call("send_email", {"to": BO, "body": "x"})
            await self.world.ledger.revoke(theirs)


EVERYONE = must.email("acme.com")
PROBES: list[tuple[str, dict[str, Any]]] = [
    ("wipe", {"path": "/x"}),
    ("wipe", {}),
    ("wipe", {"path": {"odd": [1]}}),
    ("payroll", {}),
    ("send_email", {}),
    ("send_email", {"to": "eve@evil.example", "body": "hi"}),
    ("send_email", {"to": ANA, "body": "secret"}),
    ("send_email", {"to": ANA, "body": 9000}),
    ("send_email", {"to": ANA, "body": "hi", "cc": "Ana@ACME.com"}),
    ("send_email", {"to": ANA, "body": "hi", "admin": True}),
    ("read_file", {"path": "/etc/passwd"}),
]


async def test_a_refusal_tells_nothing_that_the_caller_may_not_know(anyio_backend: str) -> None:
    """Two runs: other tools, other results and other people's capabilities change no refusal."""
    told: list[list[str]] = []
    for other in (False, True):
        state = Secret(other=other)
        await state.prepare(other=other)
        found = []
        for tool, arguments in PROBES:
            with pytest.raises(Denied) as caught:
                await state.desk.call(tool, arguments)
            found.append(f"{caught.value!r} {caught.value.problems} {caught.value.request}")
        told.append(found)
    assert told[0] == told[1]
