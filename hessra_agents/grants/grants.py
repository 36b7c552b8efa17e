"""A grant: one tool and what each of its arguments must be.

    grant("send_email", to="ana@acme.com", body=must.max_length(2000))

At issue a grant is *closed*: an argument that it does not name is refused. In an attenuation or a
delegation it is *relative*: an argument that it does not name keeps its earlier bounds, since the new
block is only one more condition.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from .clauses import Branch, Clause, Pattern, Test
from .constraints import MAX_BRANCHES, Alternatives, Constraint, Place, combine
from .must import as_constraint

__all__ = ["MAX_BRANCHES", "MAX_OPTIONAL", "Grant"]
__all__ += ["grant", "method", "pattern", "prompt", "resource", "tool_name"]

MAX_OPTIONAL = 6
"""Arguments of one grant that may be left out and have a bound: each doubles the branches."""


@dataclass(frozen=True, slots=True)
class Grant:
    """One object, one operation, and a constraint for each argument that may occur."""

    resource: str
    operation: str
    constraints: tuple[tuple[str, Constraint], ...]

    @property
    def tool(self) -> str:
        """The name without its kind."""
        return self.resource.partition(":")[2]

    def branches(self, *, closed: bool) -> Pattern:
        """The ways to satisfy this grant; with ``closed``, each says which argument names there may be."""
        parts: list[Alternatives] = []
        if closed:
            names = frozenset(name for name, _ in self.constraints)
            parts.append(((Clause("arg_names", "", None, (Test("in", names),)),),))
        parts += [constraint.alternatives(Place.argument(name)) for name, constraint in self.constraints]
        return tuple(Branch(self.resource, _merged(clauses)) for clauses in combine(*parts))

    def __str__(self) -> str:
        inner = ", ".join(f"{name}: {constraint}" for name, constraint in self.constraints)
        return f"{self.tool}({inner})"


def grant(
    tool: str | Callable[..., Any], arguments: Mapping[str, object] | None = None, /, **named: object
) -> Grant:
    """The right to call one tool, with what each argument must be.

    Args:
        tool: its name, or the guarded function. A function that was added under another name is granted
            by that name.
        arguments: constraints by name, for names that are no Python identifiers.
        named: constraints by name; a plain value means exactly that value. An argument that is not named
            must not occur in the call.

    Raises:
        ValueError: the tool has no such argument, an argument is named twice, or too many are optional.
    """
    found = _object("tool", tool_name(tool), "invoke", arguments or {}, named)
    if not isinstance(tool, str):
        _known(tool, found)
    return found


def resource(uri: str) -> Grant:
    """The right to read one resource, by its whole URI.

    Raises:
        ValueError: the URI is empty.
    """
    return _object("resource", uri, "read", {}, {})


def prompt(name: str, arguments: Mapping[str, object] | None = None, /, **named: object) -> Grant:
    """The right to get one prompt, with what each of its arguments must be: as for `grant`."""
    return _object("prompt", name, "get", arguments or {}, named)


def method(name: str, arguments: Mapping[str, object] | None = None, /, **named: object) -> Grant:
    """The right to send one request that is neither of a tool, a resource nor a prompt, by its method.

    Its parameters are its arguments: ``method("completion/complete", ref=must.anything(), ...)``.
    """
    return _object("method", name, "call", arguments or {}, named)


def pattern(grants: tuple[Grant, ...], *, closed: bool) -> Pattern:
    """One condition that these grants together allow: a call must match one branch.

    Raises:
        ValueError: there are too many branches, or an object is granted under two operations, which no
            branch could tell apart.
    """
    operations = {(one.resource, one.operation) for one in grants}
    if len({resource for resource, _ in operations}) != len(operations):
        raise ValueError("one object under two operations: issue two capabilities")
    branches = tuple(branch for one in grants for branch in one.branches(closed=closed))
    if len(branches) > MAX_BRANCHES:
        raise ValueError(f"these grants need {len(branches)} branches, at most {MAX_BRANCHES} are read")
    return branches


def _merged(clauses: tuple[Clause, ...]) -> tuple[Clause, ...]:
    """The same clauses, with all tests of one fact in one place: shorter tokens, fewer facts to ask for."""
    found: dict[object, Clause] = {}
    for clause in clauses:
        place: object = (clause.fact, clause.key) if clause.equal is None else clause
        known = found.get(place)
        if known is None:
            found[place] = clause
        elif clause.equal is None:
            more = tuple(test for test in clause.tests if test not in known.tests)
            found[place] = Clause(clause.fact, clause.key, None, known.tests + more)
    return tuple(found.values())


def tool_name(tool: str | Callable[..., Any]) -> str:
    """The name under which a tool is granted and called."""
    name = tool if isinstance(tool, str) else getattr(tool, "__hessra_tool__", None) or tool.__name__
    if not name:
        raise ValueError("a tool needs a name")
    return cast(str, name)


def _object(
    kind: str, name: str, operation: str, arguments: Mapping[str, object], named: Mapping[str, object]
) -> Grant:
    if not isinstance(name, str) or not name:
        raise ValueError(f"a {kind} is granted by its name, a text")
    both = {*arguments} & {*named}
    if both:
        raise ValueError(f"named twice: {', '.join(sorted(both))}")
    constraints = {one: as_constraint(value) for one, value in {**arguments, **named}.items()}
    for one in constraints:
        if not isinstance(one, str) or not one or one[0] == "/":
            raise ValueError("an argument's name is a text that starts with no '/'")
    bounded = [n for n, c in constraints.items() if len(c.alternatives(Place.argument(n))) > 1]
    if len(bounded) > MAX_OPTIONAL:
        raise ValueError(f"{name}: at most {MAX_OPTIONAL} arguments with a choice, here {len(bounded)}")
    return Grant(f"{kind}:{name}", operation, tuple(constraints.items()))


def _known(tool: Callable[..., Any], found: Grant) -> None:
    parameters = inspect.signature(tool).parameters
    if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return
    unknown = sorted({name for name, _ in found.constraints} - parameters.keys())
    if unknown:
        raise ValueError(f"{found.tool} has no argument {', '.join(unknown)}")
