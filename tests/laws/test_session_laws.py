"""What a session tells: our own decision and the Datalog engine's are one, over random places and labels."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from hessra_agents import Call, Capability, Denied, KeyPair, Session, clear_of, from_result, grant, must
from hessra_agents.grants.clauses import Results
from hessra_agents.grants.conditions import Condition
from hessra_agents.grants.exposure import NoExposure
from hessra_agents.grants.labels import label_means
from hessra_agents.grants.vocabulary.constraints import Constraint
from hessra_agents.tokens.engine import authorize
from hessra_agents.tokens.issue import issue
from hessra_agents.verify.verifier import verify

ROOT = KeyPair.generate()
NOW = 1_800_000_000
follows = st.builds(
    from_result,
    st.sampled_from(["a", "b"]),
    st.sampled_from(["$", "$[*]"]),
    starts_with=st.sampled_from([{}, {"@": "x"}]),
    untrusted=st.booleans(),
)
asked = st.one_of(
    follows,
    follows.map(must.optional),
    follows.map(must.each),
    follows.map(lambda one: must.fields(f=one)),
    st.builds(lambda one, other: one & other, follows, follows),
    st.builds(lambda one: one & must.starts_with("x"), follows),
)
bounds = st.fixed_dictionaries({"x": asked})
scopes = st.sampled_from([None, "t", "u"])
conditions = st.lists(st.builds(clear_of, st.sampled_from(["l:*", "l:1", "m"]), tools=scopes), max_size=1)
seen = st.sampled_from([None, (), ("n",), ("l:1",), ("l:2&m",)])
kept = st.lists(
    st.tuples(st.sampled_from(["a", "b"]), st.sampled_from(["x", ["x"], ["x", "y"]]), st.booleans()),
    min_size=1,
    max_size=4,
)
values = st.sampled_from(["x", "x", "y", "", 1, ["x"], ["x"], ["x", "y"], [], {"f": "x"}, {"f": "y"}, {}])
calls = values.map(lambda value: Call.of("t", {"x": value}))


@given(st.lists(st.tuples(bounds, conditions), min_size=1, max_size=2), kept, seen, calls)
def test_the_engine_decides_as_we_do(
    blocks: list[tuple[dict[str, Constraint], list[NoExposure]]],
    results: list[tuple[str, Any, bool]],
    labels: tuple[str, ...] | None,
    call: Call,
) -> None:
    """Told of the same session, over random places, labels and blocks."""
    written: list[list[Condition]] = [[grant("t", bounds), grant("u"), *clear] for bounds, clear in blocks]
    first, *more = written
    told: Any = {"key": ROOT, "key_id": 1, "ttl": timedelta(hours=1), "audience": "here", "now": NOW}
    capability = issue("agent:desk", first, **told)
    for one in more:
        capability = capability.attenuate(*one, now=NOW)
    session = Session(labels or ())
    for tool, result, untrusted in results:
        session.record_result(tool, result, untrusted=untrusted)
    looking = session.result_lookup()
    try:
        verify(capability, call, now=NOW, audience="here", results=looking, labels=labels)
        ours = True
    except Denied:
        ours = False
    assert ours == engine(capability, call, looking, labels)


def engine(capability: Capability, call: Call, results: Results, labels: tuple[str, ...] | None) -> bool:
    """What the engine says, told of each pattern of which no label is one."""
    asked = {pattern for block in capability.blocks for pattern, _ in block.clear}
    clear = [
        one for one in asked if labels is not None and not any(label_means(one, seen) for seen in labels)
    ]
    patterns = capability.about(call.resource)
    told: Any = {"now": NOW, "audience": "here", "designations": (), "patterns": patterns}
    try:
        authorize(capability.biscuit, call, **told, results=results, clear=clear)
    except Denied as denied:
        return denied.detail != "the Datalog engine refuses"  # and did not fail
    return True
