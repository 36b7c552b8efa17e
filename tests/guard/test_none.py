"""An argument that is None where the function's own default is None is an omitted argument."""

from __future__ import annotations

import json
from types import MappingProxyType
from typing import Annotated, Any

import pytest
from pydantic import BaseModel

from hessra_agents import Call, Grant, KeyPair, approved_by, grant, must
from tests.support.world import World

pytestmark = pytest.mark.anyio

SEARCH = grant("search", query=must.anything(), limit=must.optional(must.at_most(50)))
UNSET: Any = object()


class Filter(BaseModel):
    """A model that tells what was said from what was not."""

    word: str | None = None


@pytest.fixture
def asked(world: World) -> list[dict[str, Any]]:
    """What really reached each tool of the world, and these tools."""
    found: list[dict[str, Any]] = []

    @world.guard.tool
    async def search(query: str, limit: int | None = None, note: str | None = None) -> int:
        found.append({"query": query, "limit": limit, "note": note})
        return len(found)

    @world.guard.tool
    async def page(size: int | None = 100) -> int:
        found.append({"size": size})
        return len(found)

    @world.guard.tool
    async def sift(where: Filter) -> int:
        found.append({"said": sorted(where.model_fields_set)})
        return len(found)

    @world.guard.tool
    async def mark(state: str | None = UNSET) -> int:
        found.append({"state": "unset" if state is UNSET else state})
        return len(found)

    @world.guard.tool(inject=("db",))
    async def look(key: str, db: Any = None) -> int:
        found.append({"key": key})
        return len(found)

    @world.guard.tool
    async def tell(note: Annotated[str, must.max_length(3)] | None = None, /) -> int:
        found.append({"note": note})
        return len(found)

    return found


def function(world: World, name: str) -> Any:
    """Return the guarded function of this name."""
    tools = world.guard._registry
    return next(double for double, known in tools._names.items() if known == name)


async def test_each_way_into_a_toolbox_leaves_out_none(world: World, asked: list[dict[str, Any]]) -> None:
    """A framework passes every default, a strict model writes null for each field that it does not want."""
    desk = world.guard.toolbox(world.issue(SEARCH))
    given = {"query": "x", "limit": None, "note": None}
    bound: Any = desk.bind(function(world, "search"))
    assert [await bound(**given), await bound("x", None, None), await bound("x", note=None)] == [1, 2, 3]
    assert await desk.call("search", given) == 4
    assert await desk.call("search", MappingProxyType(given)) == 5
    assert await desk.call("search", json.dumps(given)) == 6
    assert await desk.call("search", json.dumps(given).encode()) == 7
    assert asked == [given] * 7


CALLS: dict[str, Any] = {
    "openai": {"id": "1", "type": "function", "function": {"name": "search", "arguments": "ARGUMENTS"}},
    "openai-responses": {"type": "function_call", "call_id": "1", "name": "search", "arguments": "ARGUMENTS"},
    "openai-function": {"function_call": {"name": "search", "arguments": "ARGUMENTS"}},
    "anthropic": {"type": "tool_use", "id": "1", "name": "search", "input": "ARGUMENTS"},
    "mcp": {"method": "tools/call", "params": {"name": "search", "arguments": "ARGUMENTS"}},
}


@pytest.mark.parametrize("provider", CALLS)
async def test_a_model_of_each_provider_may_write_null(
    world: World, asked: list[dict[str, Any]], provider: str
) -> None:
    """As text and as an object, whichever the provider sends."""
    given: Any = {"query": "x", "limit": None, "note": None}
    if provider.startswith("openai"):
        given = json.dumps(json.dumps(given))
    call = json.loads(
        json.dumps(CALLS[provider]).replace(
            '"ARGUMENTS"', given if isinstance(given, str) else json.dumps(given)
        )
    )
    await world.guard.toolbox(world.issue(SEARCH)).answer([call])
    assert asked == [{"query": "x", "limit": None, "note": None}]


async def test_the_record_and_the_approval_are_of_the_call_without_it(
    world: World, asked: list[dict[str, Any]]
) -> None:
    """One invocation has one digest, however it is written."""
    boss = KeyPair.generate()
    token = world.issue(SEARCH, approved_by(boss.public))
    desk = world.guard.toolbox(token)
    plain = Call.of("search", {"query": "x"})
    approval = token.approve(plain, key=boss, now=world.now)
    with world.refuses("not_approved"):
        await desk.call("search", {"query": "x", "note": None})
    assert await desk.call("search", {"query": "x", "note": None}, approvals=approval) == 1


async def test_none_stays_where_it_means_something(world: World, asked: list[dict[str, Any]]) -> None:
    """Another default, a sentinel, and what stands inside of a model are not the function's default None."""
    grants = grant("page", size=must.optional(5)), grant("mark", state=must.optional("x"))
    desk = world.guard.toolbox(
        world.issue(*grants, grant("sift", where=must.fields(word=must.optional("x"))))
    )
    with world.refuses("constraint", "size"):
        await desk.call("page", {"size": None})  # None is "all of it", and 5 was granted
    with world.refuses("constraint", "state"):
        await desk.call("mark", {"state": None})
    with world.refuses("constraint", "where/word"):
        await desk.call("sift", {"where": {"word": None}})
    for name in ("page", "mark"):
        assert await desk.call(name, {})
    assert await desk.call("sift", {"where": {}})
    assert asked == [{"size": 100}, {"state": "unset"}, {"said": []}]


async def test_what_the_host_injects_is_never_an_argument(world: World, asked: list[dict[str, Any]]) -> None:
    """Also None is refused for it."""
    desk = world.guard.toolbox(world.issue(grant("look", key="k")), inject={"db": 1})
    with world.refuses("unnamed_argument", "db"):
        await desk.call("look", {"key": "k", "db": None})


async def test_an_unknown_argument_is_refused_as_null_too(world: World, asked: list[dict[str, Any]]) -> None:
    """Only what the function has can be its default."""
    with world.refuses("unnamed_argument", "offset"):
        await world.guard.toolbox(world.issue(SEARCH)).call("search", {"query": "x", "offset": None})


REQUIRED: list[Grant] = [
    grant("search", query="x", note=must.anything()),
    grant("search", query="x", note=None),
    grant("search", query="x", note=must.one_of("a", None)),
    grant("search", query="x", note=must.nullable("a")),
    grant("search", query="x", note=must.exact("a") | must.exact(None)),
]


@pytest.mark.parametrize("granted", REQUIRED, ids=str)
async def test_an_argument_that_must_be_there_stays(
    world: World, asked: list[dict[str, Any]], granted: Grant
) -> None:
    """The capability wants to see a value, and null is one that it takes."""
    desk = world.guard.toolbox(world.issue(granted))
    assert await desk.call("search", {"query": "x", "note": None}) == 1
    with world.refuses("missing_argument", "note"):
        await desk.call("search", {"query": "x"})


async def test_the_refusal_of_null_says_what_would_pass(world: World, asked: list[dict[str, Any]]) -> None:
    """Not that an argument is missing, which is there."""
    desk = world.guard.toolbox(world.issue(grant("search", query="x", note="a")))
    with world.refuses("constraint", "exactly 'a'"):
        await desk.call("search", {"query": "x", "note": None})


async def test_of_several_capabilities_one_may_do_without(world: World, asked: list[dict[str, Any]]) -> None:
    """An argument stays only where each of them wants it."""
    wants = world.issue(grant("search", query="x", note="a"))
    plain = world.issue(grant("search", query="x"))
    assert await world.guard.toolbox(wants, plain).call("search", {"query": "x", "note": None}) == 1
    assert await world.guard.toolbox(plain, wants).call("search", {"query": "x", "note": None}) == 2
    with world.refuses("constraint", "note"):
        await world.guard.toolbox(wants).call("search", {"query": "x", "note": None})


async def test_a_bound_of_the_tool_itself_holds_for_what_is_there(
    world: World, asked: list[dict[str, Any]]
) -> None:
    """A positional argument too."""
    desk = world.guard.toolbox(world.issue(grant("tell", note=must.optional(must.starts_with("a")))))
    assert await desk.call("tell", {"note": None}) == 1
    assert await desk.call("tell", {"note": "abc"}) == 2
    with world.refuses("constraint"):
        await desk.call("tell", {"note": "abcd"})


async def test_a_call_is_narrowed_to_as_it_will_be_made(world: World, asked: list[dict[str, Any]]) -> None:
    """With None, or without: it is one call."""
    desk = world.guard.toolbox(world.issue(SEARCH))
    for given in ({"query": "x"}, {"query": "x", "note": None, "limit": None}):
        for made in ({"query": "x"}, {"query": "x", "note": None}):
            once = desk.narrow("search", given)
            assert await once.call("search", made)
            with world.refuses("spent"):
                await once.call("search", made)
    with world.refuses("unnamed_argument", "limit"):
        await desk.narrow("search", query="x", limit=None).call("search", {"query": "x", "limit": 3})
    wants = world.guard.toolbox(world.issue(grant("search", query="x", note=must.anything())))
    assert await wants.narrow("search", query="x", note=None).call("search", {"query": "x", "note": None})


async def test_a_caller_from_elsewhere_is_taken_at_its_word(
    world: World, asked: list[dict[str, Any]]
) -> None:
    """It has signed these arguments, so none is left out; a grant can say that null is fine."""
    key = KeyPair.generate()
    for holder in (None, key.public):
        nulls = must.optional(must.nullable(must.at_most(50)))
        strict = world.issue(SEARCH, holder=holder)
        loose = world.issue(grant("search", query="x", limit=nulls), holder=holder)
        given = {"query": "x", "limit": None}
        proofs = [world.prove(one, key, "search", given) if holder else None for one in (strict, loose)]
        with world.refuses("constraint", "limit"):
            await world.call(strict, "search", given, proof=proofs[0])
        assert await world.call(loose, "search", given, proof=proofs[1])
    call = Call.of("search", {"query": "x", "limit": None})
    with world.refuses("constraint", "limit"):
        world.guard.toolbox(world.issue(SEARCH)).decide(call)
