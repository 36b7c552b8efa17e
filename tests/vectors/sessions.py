"""Vectors of identity and context tokens; run by `make`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from biscuit_auth import Biscuit, BiscuitBuilder, BlockBuilder

from hessra_agents import KeyPair
from hessra_agents.tokens.hessra.context import Context, issue_context
from hessra_agents.tokens.hessra.identity import Identity, issue_identity
from tests.vectors import run
from tests.vectors.frozen import Frozen
from tests.vectors.material import HOUR, NOW, OTHER_ROOT, ROOT, THIEF, p256_root
from tests.vectors.run import Row

__all__ = ["freeze"]

_MINUTE = timedelta(minutes=1)
_SAID = "it says more than the profile has, so no engine is asked"
_EXPIRY = f"check if time($t), $t < {NOW + 3600};"


def freeze(*, again: bool = False) -> tuple[Frozen, Frozen]:
    """Add to identities.json and contexts.json what is not frozen yet."""
    identities, contexts = _Identities(again=again), _Contexts(again=again)
    identities.freeze()
    contexts.freeze()
    return identities, contexts


def _root(source: str, *, private: Any = None) -> str:
    builder = BiscuitBuilder(source)
    if private is None:
        builder.set_root_key_id(1)
    return builder.build(private or ROOT.for_biscuit().private_key).to_base64()


def _signed(token: str, key: KeyPair, source: str) -> str:
    biscuit = Biscuit.from_base64(token, ROOT.public.for_biscuit())
    pair = key.for_biscuit()
    block = biscuit.third_party_request().create_block(pair.private_key, BlockBuilder(source))
    return biscuit.append_third_party(pair.public_key, block).to_base64()


def _added(token: str, source: str) -> str:
    return Biscuit.from_base64(token, ROOT.public.for_biscuit()).append(BlockBuilder(source)).to_base64()


class _Identities(Frozen):
    def __init__(self, *, again: bool) -> None:
        super().__init__("identities", again=again)

    def case(
        self, name: str, token: str, claimed: str, verdict: str = "permitted", *, now: int = NOW, **more: str
    ) -> None:
        case = {"name": name, "token": token, "now": now, "claimed": claimed}
        self.add(case, lambda case: case | {"authorizer": run.authorizer(self.file, case)}, verdict, **more)

    def read(self, name: str) -> Identity:
        token = self.file["tokens"][name]
        return Identity.parse(token["token"], run.trust_of(self.file, token))

    def freeze(self) -> None:
        def issued(**options: Any) -> Callable[[], Identity]:
            given: dict[str, Any] = {"key": ROOT, "key_id": 1, "ttl": HOUR, "now": NOW} | options
            return lambda: issue_identity("agent:desk", **given)

        self.token("alone", "agent:desk, not delegatable", issued())
        self.case("the subject", "alone", "agent:desk")
        self.case("one below, not delegatable", "alone", "agent:desk:mailer", "not_holder")
        self.case("one above", "alone", "agent", "not_holder")
        self.case("the last second", "alone", "agent:desk", now=NOW + 3599)
        self.case("expired", "alone", "agent:desk", "expired", now=NOW + 3600)
        self.case("an empty claim", "alone", "", "malformed")
        self.token("delegatable", "agent:desk and all below", issued(delegatable=True))
        self.case("the subject, delegatable", "delegatable", "agent:desk")
        self.case("one below", "delegatable", "agent:desk:mailer")
        self.case("two below", "delegatable", "agent:desk:mailer:1")
        self.case("one with the same letters", "delegatable", "agent:desk2", "not_holder")
        self.case("one beside", "delegatable", "agent:files", "not_holder")
        empty: Row = {"engine": "allow", "differs": "an identity has no empty segment"}
        self.case("an empty segment", "delegatable", "agent:desk:", "malformed", **empty)
        below = self.read("delegatable")
        self.token(
            "delegated",
            "..., then agent:desk:mailer and all below, for a minute",
            lambda: below.delegate("agent:desk:mailer", ttl=_MINUTE, now=NOW),
        )
        self.case("delegated", "delegated", "agent:desk:mailer")
        self.case("delegated, one below", "delegated", "agent:desk:mailer:1")
        self.case("delegated, and claimed by the one before", "delegated", "agent:desk", "not_holder")
        self.case("delegated, one beside", "delegated", "agent:desk:files", "not_holder")
        self.case("delegated, and expired", "delegated", "agent:desk:mailer", "expired", now=NOW + 60)
        delegated = self.read("delegated")
        self.token("just in time", "..., for 5 seconds", lambda: delegated.just_in_time(now=NOW))
        self.case("just in time", "just in time", "agent:desk:mailer")
        self.case("a little late", "just in time", "agent:desk:mailer", "expired", now=NOW + 5)
        self._refused()
        self.write()

    def _refused(self) -> None:
        only = 'check if actor($a), $a == "agent:desk";'
        first = f'subject("agent:desk"); {only} {_EXPIRY}'
        other = issue_identity("agent:desk", key=OTHER_ROOT, key_id=1, ttl=HOUR, now=NOW)
        self.token("another root", "by a root key that is not trusted", lambda: other)
        self.case("another root", "another root", "agent:desk", "bad_signature", engine="refuse")
        self.token("by hand", "agent:desk, written as Datalog", lambda: _root(first))
        self.case("written by hand", "by hand", "agent:desk")
        hand = str(self.file["tokens"]["by hand"]["token"])
        made: dict[str, tuple[Callable[[], str], str]] = {
            "no check": (lambda: _root(f'subject("agent:desk"); {_EXPIRY}'), "allow"),
            "no expiry": (lambda: _root(f'subject("agent:desk"); {only}'), "allow"),
            "two subjects": (lambda: _root(f'subject("agent:other"); {first}'), "allow"),
            "another subject than it asks for": (
                lambda: _root(f'subject("agent"); {only} {_EXPIRY}'),
                "allow",
            ),
            "no subject": (lambda: _root(f"{only} {_EXPIRY}"), "deny"),
            "a capability": (
                lambda: _root(f'right("agent:desk", "tool:t", "invoke"); {_EXPIRY}'),
                "deny",
            ),
            "an unsigned block": (lambda: _added(hand, _EXPIRY), "allow"),
            "a signed block with a fact": (
                lambda: _signed(hand, THIEF, f'subject("agent:x"); {_EXPIRY}'),
                "allow",
            ),
            "a delegation of what is not delegatable": (
                lambda: _signed(hand, THIEF, f'check if actor($a), $a == "agent:desk:x"; {_EXPIRY}'),
                "deny",
            ),
        }
        for name, (make, engine) in made.items():
            self.token(name, "what its name says", make)
            differs = _SAID if engine == "allow" else ""
            self.case(name, name, "agent:desk", "outside_profile", engine=engine, differs=differs)
        p256 = {"ids": {}, "without_id": "p256 root"}
        self.token(
            "p256",
            "agent:desk, from a P-256 root",
            lambda: _root(first, private=p256_root()),
            root="p256 root",
            trust=p256,
        )
        self.case("p256", "p256", "agent:desk")


class _Contexts(Frozen):
    def __init__(self, *, again: bool) -> None:
        super().__init__("contexts", again=again)

    def case(
        self,
        name: str,
        token: str,
        excluded: list[str],
        verdict: str = "permitted",
        *,
        subject: str = "agent:desk",
        now: int = NOW,
        **more: str,
    ) -> None:
        case: Row = {"name": name, "token": token, "now": now, "subject": subject, "excluded": excluded}
        self.add(case, lambda case: case | {"authorizer": run.authorizer(self.file, case)}, verdict, **more)

    def read(self, name: str) -> Context:
        token = self.file["tokens"][name]
        return Context.parse(token["token"], run.trust_of(self.file, token))

    def freeze(self) -> None:
        options: dict[str, Any] = {"key": ROOT, "key_id": 1, "ttl": HOUR, "now": NOW}
        patterns: Row = {
            "engine": "allow",
            "differs": "patterns are matched by the verifier, not by the engine",
        }
        self.token("clean", "agent:desk has seen nothing", lambda: issue_context("agent:desk", **options))
        self.case("clean", "clean", ["PII:email"])
        self.case("clean, nothing excluded", "clean", [])
        self.case("clean, everything excluded", "clean", ["*"])
        self.case("another session's", "clean", [], "not_holder", subject="agent:files")
        self.case("expired", "clean", [], "expired", now=NOW + 3600)
        self.token(
            "exposed",
            "..., then PII:email of data:customers",
            lambda: self.read("clean").expose(["PII:email"], source="data:customers", key=ROOT, now=NOW),
        )
        self.case("exposed", "exposed", ["PII:email"], "exposed")
        self.case("exposed, by a pattern", "exposed", ["PII:*"], "exposed", **patterns)
        self.case("exposed to something else", "exposed", ["PII:email:work", "PII:", "email", "pii:email"])
        self.case("exposed, and a pattern whose ends overlap in the label", "exposed", ["PII:email*email"])
        self.case("exposed, everything excluded", "exposed", ["*"], "exposed", **patterns)
        self.case("exposed, nothing excluded", "exposed", [])
        together = ["PII:SSN", "PII:SSN&financial:account", "financial:account"]
        self.token(
            "exposed twice",
            "..., then two labels and what they are together",
            lambda: self.read("exposed").expose(together, source="data:hr", key=ROOT, now=NOW + 1),
        )
        self.case("exposed, an earlier label", "exposed twice", ["PII:email"], "exposed")
        self.case("exposed, a compound label", "exposed twice", ["PII:SSN&financial:account"], "exposed")
        self.case(
            "exposed, both labels of a compound", "exposed twice", ["financial:*"], "exposed", **patterns
        )
        self.token(
            "forked",
            "for agent:desk:mailer, with all that agent:desk has seen",
            lambda: self.read("exposed twice").fork(
                "agent:desk:mailer", key=ROOT, key_id=1, ttl=_MINUTE, now=NOW
            ),
        )
        self.case("inherited", "forked", ["PII:email"], "exposed", subject="agent:desk:mailer")
        self.case("forked, another label", "forked", ["PHI:note"], subject="agent:desk:mailer")
        self.case("forked, and claimed by its parent", "forked", ["PHI:note"], "not_holder")
        self._refused()
        self.write()

    def _refused(self) -> None:
        first = f'context("agent:desk"); {_EXPIRY}'
        seen = 'reject if exposure("a"); exposed_label("a"); exposure_source("s"); exposure_time(1);'
        other = issue_context("agent:desk", key=OTHER_ROOT, key_id=1, ttl=HOUR, now=NOW)
        self.token("another root", "by a root key that is not trusted", lambda: other)
        self.case("another root", "another root", [], "bad_signature", engine="refuse")
        self.token("by hand", "agent:desk has seen a, written as Datalog", lambda: _root(first + seen))
        self.case("written by hand", "by hand", ["a"], "exposed")
        self.token("plain", "agent:desk has seen nothing, written as Datalog", lambda: _root(first))
        plain = str(self.file["tokens"]["plain"]["token"])
        two = 'reject if exposure("a") or exposure("b"); exposed_label("a"); exposed_label("b");'
        conjunction = 'reject if exposure("a"), exposure("b"); exposed_label("a");'
        rest = 'exposure_source("s"); exposure_time(1);'
        made: dict[str, tuple[Callable[[], str], str]] = {
            "no context": (lambda: _root(_EXPIRY), "deny"),
            "an identity": (lambda: _root(f'subject("agent:desk"); {_EXPIRY}'), "deny"),
            "two contexts": (lambda: _root('context("agent:x");' + first), "allow"),
            "no expiry": (lambda: _root('context("agent:desk");'), "allow"),
            "a label that rejects nothing": (lambda: _root(first + 'exposed_label("a");' + rest), "allow"),
            "a reject without a label": (lambda: _root(first + 'reject if exposure("a");' + rest), "deny"),
            "a reject of two alternatives": (lambda: _root(first + two + rest), "allow"),
            "a reject of a conjunction": (lambda: _root(first + conjunction + rest), "allow"),
            "an unsigned exposure": (lambda: _added(plain, seen), "deny"),
            "an exposure by another key": (lambda: _signed(plain, THIEF, seen), "deny"),
        }
        for name, (make, engine) in made.items():
            self.token(name, "what its name says", make)
            differs = _SAID if engine == "allow" else ""
            self.case(name, name, ["a"], "outside_profile", engine=engine, differs=differs)
        self.token(
            "signed by the issuer", "plain, then a, by the root key", lambda: _signed(plain, ROOT, seen)
        )
        self.case("an exposure by the issuer", "signed by the issuer", ["a"], "exposed")
        p256 = {"ids": {}, "without_id": "p256 root"}
        private = p256_root
        self.token(
            "p256",
            "from a P-256 root",
            lambda: _root(first + seen, private=private()),
            root="p256 root",
            trust=p256,
        )
        self.case("p256", "p256", ["a"], "exposed")
        self.case("p256, another label", "p256", ["b"])
