"""Vectors of capabilities that ask for a key: holders, approvers, witnesses; run by `make`."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from hessra_agents import Approval, Call, grant, must
from hessra_agents.tokens.admission import APPROVED, RequiredAttestation
from hessra_agents.tokens.builder import new_handle
from hessra_agents.tokens.hessra.latent import activate, complete, latent
from tests.support import forge
from tests.vectors import elsewhere
from tests.vectors.material import (
    APPROVERS,
    HOLDERS,
    HOUR,
    NOW,
    ROOT,
    THIEF,
    WITNESS,
    approval,
    bearer,
    proof,
    votes,
)
from tests.vectors.run import Row

if TYPE_CHECKING:
    from tests.vectors.capabilities import Capabilities

__all__ = ["cases"]


def cases(file: Capabilities) -> None:
    """Capabilities that ask for a key, and some that another implementation made."""
    for group in (_holders, _approvals, _witnesses, _others):
        group(file)


def _holders(file: Capabilities) -> None:
    """Capabilities that only a holder can use, and delegation."""
    x = grant("t", x=must.anything())
    file.token("held", "t(x), held by holder 0", lambda: bearer(x, holder=HOLDERS[0].public))
    file.token(
        "delegated 1",
        "held, delegated to holder 1 with x one of 'a', 'b'",
        lambda: file.read("held").delegate(
            grant("t", x=must.one_of("a", "b")), to=HOLDERS[1].public, key=HOLDERS[0], now=NOW
        ),
    )
    file.token(
        "delegated 2",
        "... to holder 2 for a minute",
        lambda: file.read("delegated 1").delegate(
            to=HOLDERS[2].public, key=HOLDERS[1], ttl=timedelta(minutes=1), now=NOW
        ),
    )
    file.token(
        "delegated 3",
        "... to holder 3 with x 'a'",
        lambda: file.read("delegated 2").delegate(
            grant("t", x="a"), to=HOLDERS[3].public, key=HOLDERS[2], now=NOW
        ),
    )
    levels = ["held", "delegated 1", "delegated 2", "delegated 3"]
    for level, name in enumerate(levels):
        token = file.read(name)
        last = f"holder {level}"
        file.case(f"{name}, proved", name, {"x": "a"}, prove=proof(token, last))
        file.case(f"{name}, not proved", name, {"x": "a"}, "not_holder")
        by_thief = proof(token, "thief", holds=False)
        file.case(f"{name}, proved by another key", name, {"x": "a"}, "not_holder", prove=by_thief)
        if level:
            earlier = proof(token, f"holder {level - 1}", holds=False)
            file.case(f"{name}, proved by the holder before", name, {"x": "a"}, "not_holder", prove=earlier)
    held, child = file.read("held"), file.read("delegated 1")
    file.case(
        "delegated 1, narrowed", "delegated 1", {"x": "c"}, "constraint", prove=proof(child, "holder 1")
    )
    last_token = file.read("delegated 3")
    file.case(
        "delegated 3, narrowed", "delegated 3", {"x": "b"}, "constraint", prove=proof(last_token, "holder 3")
    )
    late = proof(last_token, "holder 3", now=NOW + 60)
    file.case(
        "delegated 3, a link has expired", "delegated 3", {"x": "a"}, "expired", now=NOW + 60, prove=late
    )
    other = proof(held, "holder 0", holds=False, call=Call.of("t", {"x": "b"}))
    file.case("proved for other arguments", "held", {"x": "a"}, "wrong_call", prove=other)
    for kind, operation in (("prompt", "invoke"), ("tool", "read")):
        other = proof(
            held, "holder 0", holds=False, call=Call.of("t", {"x": "a"}, kind=kind, operation=operation)
        )
        file.case(f"proved for {operation} of a {kind}", "held", {"x": "a"}, "wrong_call", prove=other)
    other = proof(held, "holder 0", holds=False, audience="files")
    file.case("proved to another guard", "held", {"x": "a"}, "not_holder", prove=other)
    for away, verdict in ((-31, "expired"), (31, "not_yet_valid")):
        other = proof(held, "holder 0", holds=False, now=NOW + away)
        file.case(f"proved {away} seconds away", "held", {"x": "a"}, verdict, prove=other)
    for away in (-30, 30):
        file.case(
            f"proved {away} seconds away", "held", {"x": "a"}, prove=proof(held, "holder 0", now=NOW + away)
        )
    other = proof(child, "holder 1", holds=False, ids=held.ids)
    file.case("proved for the parent's chain", "delegated 1", {"x": "a"}, "not_holder", prove=other)
    assert child.holder
    other = proof(held, "holder 0", holds=False, handle=child.holder.handle)
    file.case("proved under another handle", "held", {"x": "a"}, "not_holder", prove=other)
    broken = proof(held, "holder 0", holds=False)

    def without_a_byte(call: Call) -> Row:
        return {"text": broken(call)["text"][:-4], "holds": False}

    file.case("a proof that is cut off", "held", {"x": "a"}, "malformed", prove=without_a_byte)
    file.token(
        "attenuated after",
        "held, then narrowed by a bearer",
        lambda: held.attenuate(grant("t", x="a"), now=NOW),
    )
    after = file.read("attenuated after")
    file.case("attenuated after, proved", "attenuated after", {"x": "a"}, prove=proof(after, "holder 0"))
    stale = proof(after, "holder 0", holds=False, ids=held.ids)
    file.case("attenuated after, proved before", "attenuated after", {"x": "a"}, "not_holder", prove=stale)
    file.token("unbound", "t(x), for any bearer", lambda: bearer(x))
    file.token(
        "bound",
        "a bearer capability that was bound to holder 0",
        lambda: file.read("unbound").delegate(to=HOLDERS[0].public, now=NOW),
    )
    bound = file.read("bound")
    file.case("unbound", "unbound", {"x": "a"})
    file.case("bound, proved", "bound", {"x": "a"}, prove=proof(bound, "holder 0"))
    file.case("bound, not proved", "bound", {"x": "a"}, "not_holder")
    file.case(
        "a proof that nobody asked for",
        "unbound",
        {"x": "a"},
        "not_holder",
        prove=proof(bound, "holder 0", holds=False),
        engine="allow",
        differs="a proof for a bearer capability means that one of both is the wrong one",
    )
    file.token(
        "bound and delegated",
        "... and delegated to holder 1",
        lambda: bound.delegate(to=HOLDERS[1].public, key=HOLDERS[0], now=NOW),
    )
    both = file.read("bound and delegated")
    file.case("bound and delegated, proved", "bound and delegated", {"x": "a"}, prove=proof(both, "holder 1"))


def _approvals(file: Capabilities) -> None:
    """Approvals of single calls."""
    handles = [new_handle() for _ in APPROVERS]
    asked = [
        RequiredAttestation(APPROVED, name, key.public.data)
        for name, key in zip(handles, APPROVERS, strict=True)
    ]
    x = grant("t", x=must.anything())
    file.token("approved", "t(x), approved by approver 1", lambda: bearer(x, approvals=[(asked[0],)]))
    one = file.read("approved")

    file.case("approved", "approved", {"x": 1}, approve=votes(approval(one, "approver 1")))
    file.case("not approved", "approved", {"x": 1}, "not_approved")
    other = approval(one, "approver 1", holds=False, call=Call.of("t", {"x": 2}))
    file.case("approved for other arguments", "approved", {"x": 1}, "wrong_call", approve=votes(other))
    late = approval(one, "approver 1", holds=False, expires=NOW)
    file.case("an approval that expired", "approved", {"x": 1}, "expired", approve=votes(late))
    last = approval(one, "approver 1", expires=NOW + 1)
    file.case("an approval in its last second", "approved", {"x": 1}, approve=votes(last))
    handle = next(a.value for b in one.blocks for check in b.attested for a in check)
    forged = approval(one, "thief", holds=False, handle=handle)
    file.case("approved by another key", "approved", {"x": 1}, "not_approved", approve=votes(forged))

    def in_their_name(call: Call) -> list[Row]:
        made = Approval.make(call, ids=one.ids, handle=handle, key=THIEF, expires=NOW + 300)
        lie = Approval(made.nonce, handle, APPROVERS[0].public, made.expires, made.call, made.signature)
        return [{"text": lie.token, "holds": False}]

    file.case("approved in another's name", "approved", {"x": 1}, "not_approved", approve=in_their_name)
    file.token(
        "two of three",
        "t(x), approved by two of three: a check for each pair",
        lambda: bearer(x, approvals=[(asked[0], asked[1]), (asked[0], asked[2]), (asked[1], asked[2])]),
    )
    two = file.read("two of three")
    three = [approval(two, f"approver {i}") for i in (1, 2, 3)]
    for chosen in ((0, 1), (0, 2), (1, 2), (0, 1, 2)):
        made = votes(*(three[i] for i in chosen))
        file.case(f"approvers {[i + 1 for i in chosen]} of three", "two of three", {"x": 1}, approve=made)
    for index in range(3):
        file.case(
            f"approver {index + 1} alone",
            "two of three",
            {"x": 1},
            "not_approved",
            approve=votes(three[index]),
        )
    file.case(
        "the same approver twice", "two of three", {"x": 1}, "not_approved", approve=votes(three[0], three[0])
    )
    file.token(
        "approved, narrowed", "approved, then narrowed", lambda: one.attenuate(grant("t", x=1), now=NOW)
    )
    narrowed = file.read("approved, narrowed")
    file.case(
        "approved under the copy",
        "approved, narrowed",
        {"x": 1},
        approve=votes(approval(narrowed, "approver 1")),
    )
    parent = approval(narrowed, "approver 1", holds=False, ids=one.ids)
    file.case(
        "approved under the original", "approved, narrowed", {"x": 1}, "not_approved", approve=votes(parent)
    )
    file.token(
        "held and approved",
        "t(x), held by holder 0, approved by approver 1",
        lambda: bearer(x, holder=HOLDERS[0].public, approvals=[(asked[0],)]),
    )
    both = file.read("held and approved")
    file.case(
        "held and approved",
        "held and approved",
        {"x": 1},
        prove=proof(both, "holder 0"),
        approve=votes(approval(both, "approver 1")),
    )
    file.case(
        "approved, and not held",
        "held and approved",
        {"x": 1},
        "not_holder",
        approve=votes(approval(both, "approver 1")),
    )
    file.case(
        "held, and not approved", "held and approved", {"x": 1}, "not_approved", prove=proof(both, "holder 0")
    )


_ASKED = 'check if designation("facet", "eu") trusting {key};'
_STATED = 'designation("facet", "eu");'


def _witnesses(file: Capabilities) -> None:
    """Designations and activations that a named key signs into a block."""
    key = {"key": WITNESS.public}
    file.token("bare", "t()", lambda: bearer(grant("t")))
    bare = file.read("bare")
    file.token(
        "facet",
        "t(), if the witness says that it is for the eu",
        lambda: forge.append_source(bare, _ASKED, key),
    )
    facet = file.read("facet")
    file.case("nobody says it", "facet", {}, "wrong_audience")
    file.case(
        "the guard says it",
        "facet",
        {},
        "wrong_audience",
        engine="allow",
        differs="a guard never states from its configuration what a token asks of a key",
        designations={"facet": "eu"},
    )
    file.token(
        "facet, stated", "..., and the witness says so", lambda: forge.append_signed(facet, WITNESS, _STATED)
    )
    file.case("the witness says it", "facet, stated", {})
    file.token(
        "facet, forged", "..., and a thief says so", lambda: forge.append_signed(facet, THIEF, _STATED)
    )
    file.case("another key says it", "facet, forged", {}, "wrong_audience")
    file.token(
        "facet, of itself",
        "t(), a thief asks for what the thief states in the same block",
        lambda: forge.append_signed(bare, THIEF, _STATED + _ASKED, key),
    )
    file.case(
        "a block that answers its own check",
        "facet, of itself",
        {},
        "wrong_audience",
        engine="allow",
        differs="in Datalog a check sees the facts of its own block, whatever it trusts",
    )
    options: dict[str, Any] = {"key": ROOT, "key_id": 1, "ttl": HOUR, "audience": "mail", "now": NOW}
    file.token(
        "latent",
        "t(), of use once the witness activates it",
        lambda: latent("agent:desk", [grant("t")], activator=WITNESS.public, **options),
    )
    waiting = file.read("latent")
    file.case("not activated", "latent", {}, "not_yet_valid")
    minute = timedelta(minutes=1)
    file.token("activated", "..., and it does", lambda: activate(waiting, key=WITNESS, ttl=minute, now=NOW))
    file.case("activated", "activated", {})
    file.case("activated, a minute later", "activated", {}, "expired", now=NOW + 60)
    file.token(
        "activated by a thief",
        "..., but a thief does",
        lambda: forge.append_signed(waiting, THIEF, "activation(1);"),
    )
    file.case("activated by another key", "activated by a thief", {}, "not_yet_valid")
    file.token(
        "with a facet",
        "..., and asks for a facet of its own",
        lambda: activate(waiting, key=WITNESS, ttl=minute, facet="order", now=NOW),
    )
    file.case("not complete", "with a facet", {}, "wrong_audience")
    file.token(
        "complete",
        "..., and states it",
        lambda: complete(file.read("with a facet"), key=WITNESS, facet="order"),
    )
    file.case("complete", "complete", {})


def _others(file: Capabilities) -> None:
    """Capabilities that another implementation of Biscuit made."""
    file.token("elsewhere", "t(x: one of 'a', 'b'; y: anything), held by holder 0", lambda: elsewhere.FIRST)
    first = file.read("elsewhere")
    file.case("made elsewhere", "elsewhere", {"x": "b", "y": 9}, prove=proof(first, "holder 0"))
    other = proof(first, "holder 0")
    file.case("made elsewhere, refused", "elsewhere", {"x": "c", "y": 9}, "constraint", prove=other)
    file.token(
        "elsewhere, delegated",
        "..., then y 1 to 5, then to holder 1 with x 'a'",
        lambda: elsewhere.DELEGATED,
    )
    delegated = file.read("elsewhere, delegated")
    held = proof(delegated, "holder 1")
    file.case("delegated elsewhere", "elsewhere, delegated", {"x": "a", "y": 5}, prove=held)
    for arguments in ({"x": "b", "y": 5}, {"x": "a", "y": 6}, {"x": "a", "y": "5"}):
        name = f"delegated elsewhere, refused {json.dumps(arguments)}"
        file.case(name, "elsewhere, delegated", arguments, "constraint", prove=held)
    file.token("elsewhere, sealed", "..., sealed: nobody adds a block", lambda: elsewhere.SEALED)
    sealed = file.read("elsewhere, sealed")
    file.case("sealed", "elsewhere, sealed", {"x": "a", "y": 5}, prove=proof(sealed, "holder 1"))
