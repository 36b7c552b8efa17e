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
from hessra_agents.grants.grants import grant, method, prompt, resource
from hessra_agents.grants.vocabulary.constraints import Constraint, Place
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
        "https://a.h.de/p", "https://a.b.h.de:444/p", "https://h.de.evil.io/p", "https://u@h.de/p",
        "https://h.de:444/p", "https://i.de/p")  # fmt: skip
RELATIVE = ("d", "d/e", "d/a.csv", "d2/a.csv", "../d", "d/../e.csv", "/d/a.csv", "d/", "-d", "C:/d/a.csv")
ADDRESSES = ("https://10.0.0.5", "https://10.0.0.5/p", "http://10.0.0.5:8080/p/q", "http://10.0.0.5/p", "https://[::1]/",
         "https://[::01]/", "https://010.0.0.5", "https://[::ffff:a00:5]/", "https://10.0.0.5.")  # fmt: skip
MAILS = ("a@b.x.de", "a@x.de", "b@x.de", "a@y.de", "a@x.de.io", "A@x.de", "a@x.de,b@x.de", "a@x.de\n", "x.de")
NUMBERS = (-(2**63) - 1, -(2**63), -1, 0, 1, 2, 3, 2**53, 2**63 - 1, 2**63, 0.5, 1e300, True, None)
FRACTIONS = (0, 1, 2, 0.5, 1.25, 1.24, 1.2500000001, -0.01, 0.1 + 0.2, 1e300, 5e-324, 2**63, "1.25", True)
DAYS = ("2026-12-24", "2026-12-25", "2026-12-26", "2026-02-30", "0001-01-01", "2026-12-24T10:00:00Z", 20811)
MOMENTS = ("2026-12-24T10:00:00Z", "2026-12-24T11:00:00+01:00", "2026-12-24T10:00:00.5Z",
           "2026-12-24T10:00:01Z", "2026-12-24T10:00:00", "2026-12-24t10:00:00z", "2026-12-24")  # fmt: skip
ARGV = (["/bin/ls"], ["/bin/ls", "x"], ["/bin/ls", "-x"], ["/bin/ls", "x", "y"], ["/bin/ls", "x", "-y"],
        ["ls", "x"], ["/bin/rm", "x"], "/bin/ls x")  # fmt: skip
ROWS: tuple[Any, ...] = (
    [], [{}], [{"f": 1}], [{"f": 1, "g": "x"}, {"f": 0}], [{"f": 1, "g": "x"}, {"f": 2}], [["x"], []],
    [{"f": [0]}, {"f": [1]}], [{"f": [0]}, {"f": [0]}], [{"f": 1, "h": 1}], [["x"], ["x", "x"]], "x",
    {"~*": [{"f": 1}]}, {"0": {"f": 1}}, [{"f": 1}, "x"], [{"f": 1}] * 513,
)  # fmt: skip
MAPPINGS: tuple[Any, ...] = (
    {}, {"a": 1}, {"a": 1, "b": 0}, {"a": 1, "b": 0, "c": 0}, {"ab": 1}, {"a": 2}, {"~": 1, "/": 0},
    {"a": ["x"], "b": ["xy", "x"]}, {"a": []}, {"~v": 1}, {"a": None}, [1], [["x"]], "x",
    {str(number): 1 for number in range(513)},
)  # fmt: skip
CODES = ("AB-1", "AB-12", "AB-123", "ab-1", "AB-1\n", "AB-", "A\N{CYRILLIC CAPITAL LETTER VE}-1", 1, ["AB-1"])
HEX = ("ab12", "AB12", "aB12", "ab12 ", "0xab12", "ab1", "\N{FULLWIDTH LATIN SMALL LETTER A}b12", 12)
HOSTS = (
    "h.de",
    "H.de",
    "h.de.",
    "h.de:443",
    "\N{KELVIN SIGN}.de",
    "k.de",
    "xn--k.de",
    "a.h.de",
    "127.0.0.1",
    ["h.de"],
)
LINES = ("/bin/ls", "/bin/ls x", "/bin/ls -x", "/bin/ls  x", "/bin/ls x\n", "/bin/ls x;y", "/bin/ls $x",
         "ls x", ["/bin/ls", "x"])  # fmt: skip
ANY: tuple[Any, ...] = (*TEXTS, *PATHS, *URLS, *MAILS, *NUMBERS, *ARGV, [], {}, [1], ["x", 1], {"f": 1})

SEEN: tuple[Any, ...] = ("x", "a@x.de", "/d/e", 1, 2**53, True, None, 0.5, ["x", 1], {"f": 1})
"""What the session with results has seen: the first half of it from a tool that others write to."""


def said(*clauses: Clause) -> Constraint:
    """What no constraint of ours writes, and a token may say all the same."""
    return Constraint("said", lambda at: ((tuple(replace(one, key=at.key) for one in clauses),),))


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
    (must.under("/d", ending="e"), PATHS),
    (must.directly_in("/d"), PATHS),
    (must.directly_in("/", ending="d"), PATHS),
    (must.relative(), (*PATHS, *RELATIVE)),
    (must.relative("d", ending=".csv"), RELATIVE),
    (must.between(0, 2), NUMBERS),
    (must.between(-(2**63), 2**63 - 1), NUMBERS),
    (must.at_least(1), NUMBERS),
    (must.at_most(1), NUMBERS),
    (must.between(0, 1.25), FRACTIONS),
    (must.number(above=0.3, below=1.25), FRACTIONS),
    (must.number(low=-1, places=2), FRACTIONS),
    (must.number(high=1, places=0), FRACTIONS),
    (must.date(not_before="2026-12-25"), DAYS),
    (must.date(after="2026-12-24", before="2026-12-26"), DAYS),
    (must.instant(not_before="2026-12-24T10:00:00Z", not_after="2026-12-24T10:00:00Z"), MOMENTS),
    (must.instant(after="2026-12-24T10:00:00Z", before="2026-12-24T10:00:01Z"), MOMENTS),
    (must.length(1, 2), ANY),
    (must.length(2, 2), ANY),
    (must.non_empty(), ANY),
    (must.max_length(0), ANY),
    (must.max_length(2), ANY),
    (must.email("x.de"), MAILS),
    (must.email("a@x.de", "y.de"), MAILS),
    (must.email("*.x.de", "a@x.de"), MAILS),
    (must.url("*.h.de", under="/p"), URLS),
    (must.url("*.h.de", "h.de", ports=[443, 444]), URLS),
    (must.ip_url("10.0.0.5", "::1"), (*ADDRESSES, *URLS)),
    (must.ip_url("10.0.0.5", scheme="http", ports=[80, 8080], under="/p"), ADDRESSES),
    (must.url("h.de", under="/p"), URLS),
    (must.url("h.de", "i.de", scheme="https"), URLS),
    (must.subset_of("x", "xy", empty=True), ([], ["x"], ["x", "xy"], ["x", "yx"], ["x", 1])),
    (must.subset_of(0, 1), ([], [0], [0, 1], [0, 2], [0, "0"])),
    (from_result("search", "$[*].v"), (*SEEN, "y", 2)),
    (from_result("search", "$[*].v", untrusted=True), (*SEEN, "y", 2)),
    (from_result("search", "$[*].v", where={"n": 7}), SEEN[6:]),
    (from_result("search", "$[*].v", largest="n"), SEEN[8:]),
    (said(Clause("arg_len", "k", 2)), (*TEXTS, *ARGV)),
    (said(Clause("arg_parent", "k", None, (Test("starts", "/d/"), Test("ends", "/")))), PATHS),
    (said(Clause("arg_ip_url", "k", None, (Test("ends", ".5:443"),))), ADDRESSES),
    (said(Clause("arg_len", "k", None, (Test("in", frozenset({0, 2})),))), (*TEXTS, *ARGV)),
    (said(Clause("arg_fixed", "k", 125, (), 2)), FRACTIONS),
    (said(Clause("arg_fixed", "k", None, (Test("in", frozenset({0, 13})),), 1)), FRACTIONS),
    (said(Clause("arg_number", "k", None, (Test("in", frozenset({1})),), 0)), FRACTIONS),
    (said(Clause("arg_number", "k", None, (), 9), Clause("arg_number", "k", None, (), 0)), FRACTIONS),
    (said(Clause("arg_date", "k", 20811)), DAYS),
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
    (must.each(must.fields(f=must.at_most(1), g=must.optional("x"))), ROWS),
    (must.each(must.fields(f=must.subset_of(0, 1)), unique=True), ROWS),
    (must.each(must.each("x"), empty=True), ROWS),
    (must.mapping(keys=must.max_length(1), values=must.at_most(1), at_most=2), MAPPINGS),
    (must.mapping(values=must.each(must.starts_with("x"))), MAPPINGS),
    (must.matches("[A-Z]{2}-[0-9]{1,2}"), CODES),
    (must.matches("x?y?"), TEXTS),
    (must.each(must.matches("x{1,2}"), empty=True), ([], ["x"], ["x", "xx"], ["x", "y"], ["x", 1], "x")),
    (must.contains("x"), TEXTS),
    (must.hex("AB12", "00"), HEX),
    (must.host("H.de", "k.de"), HOSTS),
    (must.not_one_of(1, 2), NUMBERS),
    (must.not_one_of("x", "", free_text=True), (*TEXTS, *NUMBERS)),
    (must.same_as("a"), TEXTS),
    (must.same_as("b"), NUMBERS),
    (must.same_as("/a/f"), (1, True, "x")),
    (must.command_line("/bin/ls", must.max_length(2)), LINES),
    (must.command_line("/bin/ls", rest="x"), LINES),
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


FORMS = (
    "plain",
    "plain",
    "plain",
    "plain",
    "optional",
    "both",
    "each",
    "fields",
    "null",
    "either",
    "omitted",
)


def bound(rng: Random, *, inner: bool = False) -> tuple[Constraint, Pick]:
    """A constraint, and values of which some meet it."""
    constraint, values = rng.choice(BOUNDS) if rng.random() < 0.8 else anything_said(rng)
    form = "plain" if inner else rng.choice(FORMS)
    if form == "optional":
        return must.optional(constraint), lambda: rng.choice(values)
    if form == "omitted":
        return must.omitted(), lambda: rng.choice(values)
    if form == "null":
        return must.nullable(constraint), lambda: rng.choice((None, *values))
    if form == "either":
        other, more = bound(rng, inner=True)
        return constraint | other, lambda: rng.choice(values) if rng.random() < 0.5 else more()
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
        return replace(one, key={"": "", "a": at.key}.get(one.key, at.pointer + one.key[2:]))

    return Constraint("said", lambda at: (((clause(at),),),)), tuple(VALUES)


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


def conditions(rng: Random, *, first: bool = False) -> Iterator[Condition]:
    """Limits, approvals and exposures that stand beside grants; the first block may name budgets."""
    while rng.random() < 0.35:
        of = rng.choice((None, None, ("send",), ("send", "pay")))
        per, back = rng.choice((None, timedelta(seconds=1), timedelta(days=366))), rng.random() < 0.5
        what = rng.choice(("calls", "sum", "approval", "clear"))
        budget = rng.choice((None, "eur")) if first else None
        if what == "calls":
            yield limit(calls=rng.randint(1, 9), per=per, tools=of, refund=back, budget=budget)
        elif what == "sum":
            place = rng.choice((*ARGUMENTS, "/a/f", "/b/a~1b", "/c/0", "/c/~0"))
            most = rng.choice(({"at_most": 1}, {"at_most": 2**53 - 1}, {"at_most": 5.5, "places": 2}))
            yield limit(sum_of=place, per=per, tools=of, refund=back, budget=budget, **most)
        elif what == "clear":
            yield clear_of(
                *rng.sample(("PII:*", "PII:email", "untrusted", "data:*"), rng.randint(1, 2)), tools=of
            )
        else:
            asked = VOTERS[: rng.randint(1, 3)]
            need, unless = rng.randint(1, len(asked)), rng.choice((None, None, spared(rng)))
            yield approved_by(*(key.public for key in asked), need=need, tools=of, unless=unless)


def spared(rng: Random) -> dict[str, object]:
    """What calls need no approval: of a kind that can be met in one way."""
    ways = (must.at_most(2), must.one_of("x", "y"), must.max_length(1), must.exact(0.5), must.under("/d"))
    return {name: rng.choice(ways) for name in rng.sample(ARGUMENTS, rng.choice((1, 1, 2)))}


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
                [*grants, *conditions(rng, first=True)],
                key=ROOT,
                key_id=1,
                ttl=timedelta(seconds=rng.choice((1, 60, *[600] * 18))),
                audience=rng.choice((*["here"] * 58, "elsewhere", None)),
                holder=holder.public if holder else None,
                authority="0a" * 16,
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
        more["known_as"] = rng.choice((None, f"{above.name}:a", f"{above.name}:b:c"))
        more["hops"] = rng.choice((*[None] * 20, 0, 2))
        more["only_to"] = rng.choice((*[None] * 20, [one.public for one in KEYS[:2]]))
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
