"""Describe a grant in one line: a tool with what each of its arguments must be, whatever its choices.

search(query: a string (at most 200 characters); limit: omitted or an integer from 1 to 50)
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from ..call.places import escape, unescape
from .clauses import Branch, Clause, Pattern, Test, by_argument
from .describe import all_of, describe_clauses, describe_place, describe_test, safe_word

__all__ = ["describe_branch"]


def describe_branch(branch: Branch, choices: Iterable[Pattern] = ()) -> str:
    """Return one way to call one tool: ``send_email(to: one of 'a', 'b'; body: anything)``.

    Args:
        branch: a branch of a pattern.
        choices: what must hold besides, about the same tool, each by one of its branches.
    """
    words = _values(branch.clauses)
    for choice in choices:
        ways = [way.clauses for way in choice if not _excluded(way.clauses, branch.clauses)]
        if any(_implied(way, branch.clauses) for way in ways):
            continue  # it is about another grant of this tool
        place = _place(ways)
        told = " or ".join(dict.fromkeys(_way(way, place) for way in ways))
        words[place] = all_of([words.get(place, ""), told])
    _add_containers(words, branch.clauses)
    parts = ["; ".join(f"{describe_place(key)}: {text}" for key, text in words.items())]
    parts += [f"names {edges}" for edges in [_edges(_tests(branch.clauses, ""))] if edges]
    arguments = ", ".join(part for part in parts if part)
    if not branch.closes:
        arguments = f"{arguments}, other arguments unchanged" if arguments else "arguments unchanged"
    return f"{safe_word(branch.resource.removeprefix('tool:'))}({arguments})"


def describe_way(clauses: Sequence[Clause]) -> str:
    """Return what all of these clauses require, whatever places they are about: ``cents: at most 9999``."""
    return _way(clauses, "")


def _values(clauses: Sequence[Clause]) -> dict[str, str]:
    """Return what each place must be, and an empty text for a container that only its names describe."""
    words = {clause.key: "" for clause in clauses if clause.fact != "arg_names"}
    return words | {key: describe_clauses(own) for key, own in by_argument(clauses).items()}


def _way(way: Sequence[Clause], place: str) -> str:
    """Return what one way requires of the place that its choice is about, and of any other place."""
    words = _values(way)
    _add_containers(words, way)
    own = words.pop(place, "")
    # that the container is an object is said where the container is
    rest = [(key, text) for key, text in words.items() if text != "an object" or not own]
    return all_of([own, *(f"{describe_place(key)}: {text}" for key, text in rest)])


def _place(ways: Iterable[Sequence[Clause]]) -> str:
    """Return the place that most clauses of a choice are about."""
    counted: Counter[str] = Counter()
    for clause in (clause for way in ways for clause in way):
        named = [str(test.operand) for test in clause.tests if test.op in ("has", "lacks")]
        if clause.fact in ("arg_names", "arg_fields") and named:
            counted.update(_member(clause.key, name) for name in named)
        elif clause.key:
            counted[clause.key] += 1
    return counted.most_common(1)[0][0] if counted else ""


def _member(container: str, name: str) -> str:
    """Return the key of a place by the key of its container, which is empty for an argument."""
    if not container:
        return name
    return f"{container if container.startswith('/') else f'/{escape(container)}'}/{escape(name)}"


def _listed(clause: Clause) -> frozenset[object] | None:
    """Return the few values that a clause leaves, or None."""
    if clause.equal is not None:
        return frozenset({clause.equal})
    sets = [test.operand for test in clause.tests if test.op == "in" and isinstance(test.operand, frozenset)]
    return frozenset(sets[0]) if sets else None


def _relations(way: Sequence[Clause], skeleton: Sequence[Clause]) -> list[bool | None]:
    """Return for each clause of a way whether the skeleton implies it, rules it out, or neither (None)."""
    known = {(c.fact, c.key): values for c in skeleton if (values := _listed(c)) is not None}
    found: list[bool | None] = []
    for clause in way:
        values, here = _listed(clause), known.get((clause.fact, clause.key))
        if values is None or here is None or clause.fact not in ("arg_str", "arg_int"):
            found.append(None)
        else:
            found.append(True if here <= values else False if not here & values else None)
    return found


def _excluded(way: Sequence[Clause], skeleton: Sequence[Clause]) -> bool:
    return False in _relations(way, skeleton)


def _implied(way: Sequence[Clause], skeleton: Sequence[Clause]) -> bool:
    return all(_relations(way, skeleton))


def _add_containers(words: dict[str, str], clauses: Sequence[Clause]) -> None:
    """Add what the tests on the names in each container say."""
    for container in dict.fromkeys(c.key for c in clauses if c.fact == "arg_fields"):
        tests = _tests(clauses, container)
        edges = _edges(tests)
        closed, names = _names(tests)
        noun = "an object" if not closed else f"an object {'with only these' if names else 'without'} fields"
        noun = f"omitted or {noun}" if container.endswith("~?") else noun
        words[container] = all_of([words[container], f"{noun} with names {edges}" if edges else noun])
        _add_members(words, container, tests)
    _add_members(words, "", _tests(clauses, ""))


def _tests(clauses: Iterable[Clause], container: str) -> list[Test]:
    fact = "arg_fields" if container else "arg_names"
    return [test for c in clauses if c.fact == fact and c.key == container for test in c.tests]


def _edges(tests: list[Test]) -> str:
    return all_of([describe_test("names", test) for test in tests if test.each])


def _names(tests: list[Test]) -> tuple[bool, frozenset[str]]:
    """Return whether these tests list the names that may occur, and the listed names."""
    sets = [frozenset(map(str, t.operand)) for t in tests if isinstance(t.operand, frozenset)]
    return bool(sets), frozenset.intersection(*sets) if sets else frozenset()


def _add_members(words: dict[str, str], container: str, tests: list[Test]) -> None:
    """Add, for each name in a container, what only the tests on the container's names say about it."""
    closed, listed = _names(tests)
    required = {str(test.operand) for test in tests if test.op == "has"}
    absent = {str(test.operand) for test in tests if test.op == "lacks"}
    top = _member(container, "").rpartition("/")[0]
    described = {name for key in words for above, name in [_split(key.partition("/~w")[0])] if above == top}
    for name in sorted(listed | required | absent | described):
        key = _member(container, name)
        barred = name in absent or (closed and name not in listed)
        if barred and (name in described or name in required or not closed):
            # a name that is also required gets both words: no call matches
            words[key] = all_of([words.get(key) or ("anything" if name in required else ""), "omitted"])
        elif not barred and name not in described and (closed or name in required):
            words[key] = "anything" if name in required else "anything, or omitted"


def _split(key: str) -> tuple[str, str]:
    """Return the pointer of the container of a place, and the name of the place in it."""
    if not key.startswith("/"):
        return "", key
    above, _, name = key.rpartition("/")
    return above, unescape(name.removesuffix("~?"))
