"""Random authority for `test_differential`: chains of tokens over all that the profile can say, and calls.

Plain `random`, seeded: a hundred times as many cases in the same time as strategies that can shrink.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from random import Random
from typing import Any

from biscuit_auth import BlockBuilder

from hessra_agents import (
    Call,
    Capability,
    Grant,
    KeyPair,
    Session,
    approved_by,
    clear_of,
    from_result,
    limit,
    must,
)
from hessra_agents.grants.clauses import Clause, Test
from hessra_agents.grants.conditions import Condition
from hessra_agents.grants.constraints import Constraint, Place
from hessra_agents.grants.grants import grant, method, prompt, resource
from hessra_agents.tokens.admission import RequiredAttestation
from hessra_agents.tokens.builder import designation_fact
from hessra_agents.tokens.hessra.latent import activate, complete
from hessra_agents.tokens.issue import issue
from hessra_agents.tokens.statements import PROOF_WINDOW
from tests.support.clauses import VALUES, clauses

NOW = 1_800_000_000
ROOT, OFFICE, STRANGER = (KeyPair.generate() for _ in range(3))
KEYS = [KeyPair.generate() for _ in range(3)]
VOTERS = [KEYS[0], *(KeyPair.generate() for _ in range(2))]
"""One of them is handed capabilities, too."""
TENANT = RequiredAttestation("tenant", "acme", OFFICE.public.data)

ARGUMENTS = ("a", "b", "c")
TEXTS = ("", "x", "xy", "yx", "x\n", "é", "\N{GRINNING FACE}", "-x", "null", "1")
PATHS = ("/", "/d", "/d/e", "/d2", "/d/", "/d/../e", "d", "/d//e", "/D/e")
URLS = ("https://h.de/p", "https://h.de/p/q?r=1", "https://h.de/pp", "https://h.de", "http://h.de/p",
        "https://h.de.evil.io/p", "https://u@h.de/p", "https://h.de:444/p", "https://i.de/p")  # fmt: skip
MAILS = ("a@x.de", "b@x.de", "a@y.de", "a@x.de.io", "A@x.de", "a@x.de,b@x.de", "a@x.de\n", "x.de")
NUMBERS = (-(2**63) - 1, -(2**63), -1, 0, 1, 2, 3, 2**53, 2**63 - 1, 2**63, 0.5, 1e300, True, None)
ARGV = (["/bin/ls"], ["/bin/ls", "x"], ["/bin/ls", "-x"], ["/bin/ls", "x", "y"], ["/bin/ls", "x", "-y"],
        ["ls", "x"], ["/bin/rm", "x"], "/bin/ls x")  # fmt: skip
ANY: tuple[Any, ...] = (*TEXTS, *PATHS, *URLS, *MAILS, *NUMBERS, *ARGV, [], {}, [1], ["x", 1], {"f": 1})

SEEN: tuple[Any, ...] = ("x", "a@x.de", "/d/e", 1, 2**53, True, None, 0.5, ["x", 1], {"f": 1})
"""What the session with results has seen: the first half of it from a tool that others write to."""


def said(*clauses: Clause) -> Constraint:
    """What no constraint of ours writes, and a token may say all the same."""
    return Constraint("said", lambda at: (tuple(replace(one, key=at.key) for one in clauses),))


BOUNDS: tuple[tuple[Constraint, tuple[Any, ...]], ...] = (
    (must.anything(), ANY),
    (must.exact("x"), TEXTS),
    (must.exact(1), NUMBERS),
    (must.exact(True), NUMBERS),
    (must.exact(None), NUMBERS),
    (must.exact(0.5), NUMBERS),
    (must.exact(["x", 1]), (["x", 1], ["x"], [1, "x"], ["x", 1.0])),
    (must.exact({"f": 1}), ({"f": 1}, {"f": 1, "g": 2}, {"f": "1"}, {})),
    (must.one_of("x", "é"), TEXTS),
    (must.one_of(0, 2), NUMBERS),
    (must.one_of("x", 1, None, 0.5), TEXTS + NUMBERS),
    (must.starts_with("x"), TEXTS),
    (must.ends_with("x"), TEXTS),
    (must.under("/"), PATHS),
    (must.under("/d"), PATHS),
    (must.between(0, 2), NUMBERS),
    (must.between(-(2**63), 2**63 - 1), NUMBERS),
    (must.at_least(1), NUMBERS),
    (must.at_most(1), NUMBERS),
    (must.max_length(0), ANY),
    (must.max_length(2), ANY),
    (must.email("x.de"), MAILS),
    (must.email("a@x.de", "y.de"), MAILS),
    (must.url("h.de", under="/p"), URLS),
    (must.url("h.de", "i.de", scheme="https"), URLS),
    (must.subset_of("x", "xy", empty=True), ([], ["x"], ["x", "xy"], ["x", "yx"], ["x", 1])),
    (must.subset_of(0, 1), ([], [0], [0, 1], [0, 2], [0, "0"])),
    (from_result("search", "$[*].v"), (*SEEN, "y", 2)),
    (from_result("search", "$[*].v", untrusted=True), (*SEEN, "y", 2)),
    (from_result("search", "$[*].v", where={"n": 7}), SEEN[6:]),
    (from_result("search", "$[*].v", largest="n"), SEEN[8:]),
    (said(Clause("arg_len", "k", 2)), (*TEXTS, *ARGV)),
    (said(Clause("arg_len", "k", None, (Test("in", frozenset({0, 2})),))), (*TEXTS, *ARGV)),
    (said(Clause("arg_path", "k", "/d")), PATHS),
    (said(Clause("arg_operand", "k", "x")), TEXTS),
    (said(Clause("arg_argv", "k")), ARGV),
    (said(Clause("arg_str", "k", "x"), Clause("arg_len", "k", 1)), TEXTS),
    (said(Clause("arg_str", "k"), Clause("arg_scalar", "k", '"x"')), TEXTS),
    (said(Clause("arg_int", "k", 1), Clause("arg_int", "k", None, (Test("at_least", 0),))), NUMBERS),
    (
        said(Clause("arg_strs", "k", None, (Test("in", frozenset({"x", "xy"})),))),
        (["x"], ["x", "yx"], [], "x"),
    ),
    (must.command("/bin/ls", "x"), ARGV),
    (must.command("/bin/ls", must.max_length(1)), ARGV),
    (must.command("/bin/ls", rest=must.ends_with("x")), ARGV),
)


ALL = clauses()
"""What admission reads, whether `must` writes it or not."""


def session(*labels: str) -> Session:
    """One that has seen these labels, and the results of two tools of one name."""
    found = Session(labels)
    rows = [{"v": value, "n": number} for number, value in enumerate(SEEN)]
    found.record_result("search", rows[:5], untrusted=True)
    found.record_result("search", rows[5:])
    return found


SESSIONS = (session(), session(), session("PII:email"), session("PII:name", "untrusted"), Session(), None)

Pick = Callable[[], Any]
"""A value near the bound that it was made with."""


@dataclass
class Written:
    """A chain of tokens, each with its holder's key, and what its grants ask of arguments."""

    chain: list[tuple[Capability, KeyPair | None]] = field(default_factory=list)
    near: dict[str, list[dict[str, Pick]]] = field(default_factory=dict)


def bound(rng: Random, *, inner: bool = False) -> tuple[Constraint, Pick]:
    """A constraint, and values of which some meet it."""
    constraint, values = rng.choice(BOUNDS) if rng.random() < 0.8 else anything_said(rng)
    form = "plain" if inner else rng.choice(("plain", "plain", "plain", "optional", "both", "each", "fields"))
    if form == "optional":
        return must.optional(constraint), lambda: rng.choice(values)
    if form == "both":
        other, more = bound(rng, inner=True)
        return constraint & other, lambda: rng.choice(values) if rng.random() < 0.5 else more()
    if form == "each":
        with suppress(ValueError):  # there is no fact about every element for some of them
            whole = must.each(constraint, empty=rng.random() < 0.3)
            return whole, lambda: [rng.choice(values) for _ in range(rng.randint(0, 2))]
    if form == "fields":
        parts = {
            name: bound(rng, inner=True) for name in rng.sample(("f", "g", "a/b", "~"), rng.randint(0, 2))
        }
        picks = {name: pick for name, (_, pick) in parts.items()}
        return (
            must.fields({name: one for name, (one, _) in parts.items()}),
            lambda: {name: pick() for name, pick in picks.items() if rng.random() < 0.95},
        )
    return constraint, lambda: rng.choice(values)


def anything_said(rng: Random) -> tuple[Constraint, tuple[Any, ...]]:
    """A clause of any kind, of this place, of one inside of it or of the names of all arguments."""
    one = rng.choice(ALL)

    def clause(at: Place) -> Clause:
        return replace(one, key={"": "", "a": at.key}.get(one.key, f"{at.pointer}/0"))

    return Constraint("said", lambda at: ((clause(at),),)), tuple(VALUES)


def granted(rng: Random, found: Written, *, loose: bool, of: tuple[str, ...] = ()) -> Grant:
    """A grant of one of four kinds of objects; mostly one of these, where there are any."""
    kind, name = rng.choice((grant, grant, grant, prompt, method)), rng.choice(("send", "pay"))
    if of and rng.random() < 0.9:
        known = rng.choice(of).partition(":")
        kind, name = {"tool": grant, "prompt": prompt, "method": method}.get(known[0], grant), known[2]
    if rng.random() < 0.05 or name == "doc://a":
        found.near.setdefault("resource:doc://a", []).append({})
        return resource("doc://a")
    parts = {name: bound(rng) for name in rng.sample(ARGUMENTS, rng.choice((0, 0, 1, 1, 2)))}
    if loose:  # so that something is left of a long chain
        parts |= {name: (must.optional(), lambda: rng.choice(ANY)) for name in ARGUMENTS if name not in parts}
    one = kind(name, {name: constraint for name, (constraint, _) in parts.items()})
    found.near.setdefault(one.resource, []).append({name: pick for name, (_, pick) in parts.items()})
    return one


def conditions(rng: Random) -> Iterator[Condition]:
    """Limits, approvals and exposures that stand beside grants."""
    while rng.random() < 0.35:
        of = rng.choice((None, None, ("send",), ("send", "pay")))
        per, back = rng.choice((None, timedelta(seconds=1), timedelta(days=366))), rng.random() < 0.5
        what = rng.choice(("calls", "sum", "approval", "clear"))
        if what == "calls":
            yield limit(calls=rng.randint(1, 9), per=per, tools=of, refund=back)
        elif what == "sum":
            place = rng.choice((*ARGUMENTS, "/a/f", "/b/a~1b", "/c/0", "/c/~0"))
            yield limit(sum_of=place, at_most=rng.choice((1, 2**53 - 1)), per=per, tools=of, refund=back)
        elif what == "clear":
            yield clear_of(
                *rng.sample(("PII:*", "PII:email", "untrusted", "data:*"), rng.randint(1, 2)), tools=of
            )
        else:
            asked = VOTERS[: rng.randint(1, 3)]
            yield approved_by(*(key.public for key in asked), need=rng.randint(1, len(asked)), tools=of)


def written(rng: Random) -> Written:
    """A random capability, and what was made of it block by block."""
    while True:
        found = Written()
        holder = rng.choice((None, None, *KEYS))
        loose = rng.random() < 0.7
        grants = [granted(rng, found, loose=loose) for _ in range(rng.randint(1, 3))]
        with suppress(ValueError):  # choices multiply, or one object has two operations
            first = issue(
                "agent:desk",
                [*grants, *conditions(rng)],
                key=ROOT,
                key_id=1,
                ttl=timedelta(seconds=rng.choice((1, 60, *[600] * 18))),
                audience=rng.choice((*["here"] * 58, "elsewhere", None)),
                holder=holder.public if holder else None,
                not_before=rng.choice(
                    (*[None] * 16, *(NOW + n for n in (1, PROOF_WINDOW, PROOF_WINDOW + 40)))
                ),
                designations=rng.choice((*[{}] * 6, {"tenant": "acme"}, {"region": "eu"})),
                approvals=[(TENANT,)] if rng.random() < 0.04 else (),
                activator=OFFICE.public if rng.random() < 0.04 else None,
                now=NOW,
            )
            found.chain.append((first, holder))
            for _ in range(rng.choice((0, 0, 1, 1, 2, 2, 3, 4, 15))):
                with suppress(ValueError):  # that step is not to be had
                    found.chain.append(grown(rng, found))
            return found


def grown(rng: Random, found: Written) -> tuple[Capability, KeyPair | None]:
    """The last capability with one block more."""
    above, key = found.chain[-1]
    if above.blocks[0].activators or any(one == (TENANT,) for b in above.blocks for one in b.attested):
        act = rng.choice(("activate", "complete", "state", "narrow"))
        if act == "activate":
            facet = rng.choice((None, "order-1"))
            return activate(above, key=OFFICE, ttl=timedelta(minutes=1), facet=facet, now=NOW), key
        if act == "complete":
            return complete(above, key=OFFICE, facet="order-1"), key
        if act == "state":
            block, signer = BlockBuilder(""), rng.choice((OFFICE, OFFICE, STRANGER))
            block.add_fact(designation_fact("tenant", rng.choice(("acme", "acme", "other"))))
            return above.with_signed_block(signer, block), key
    kept, loose = above.tools, rng.random() < 0.8
    narrower: list[Condition] = [granted(rng, found, loose=loose, of=kept) for _ in range(rng.randint(0, 2))]
    narrower += conditions(rng)
    more: dict[str, Any] = {
        "ttl": rng.choice((*[None] * 20, timedelta(seconds=30), timedelta(days=1))),
        "audience": rng.choice((*[None] * 50, "here", "here", "elsewhere")),
        "designations": rng.choice((*[{}] * 50, {"tenant": "acme"}, {"tenant": "acme"}, {"tenant": "other"})),
        "now": NOW,
    }
    if rng.random() < 0.4:
        to = rng.choice(KEYS)
        return above.delegate(*narrower, to=to.public, key=key, **more), to
    return above.attenuate(*narrower, **more), key


def called(rng: Random, found: Written, capability: Capability) -> Call:
    """A call of something that is granted, or nearly."""
    object_ = rng.choice(capability.tools if capability.tools and rng.random() < 0.9 else [*found.near])
    picks = rng.choice(found.near[object_])
    values = {name: pick() for name, pick in picks.items() if rng.random() < 0.97}
    if rng.random() < 0.1:
        values[rng.choice((*ARGUMENTS, "d"))] = rng.choice(ANY)
    kind, _, name = object_.partition(":")
    operation = {"tool": "invoke", "prompt": "get", "method": "call", "resource": "read"}[kind]
    if rng.random() < 0.02:
        operation = "invoke" if kind != "tool" else "get"
    return Call.of(name, values, kind=kind, operation=operation)
