"""Grant a tool, and say what each of its arguments must be.

    grant("send_email", to="ana@acme.com", body=must.max_length(2000))

At issue a grant is *closed*: an argument that it does not name is refused. In an attenuation or a
delegation it is *relative*: an argument that it does not name keeps its earlier bounds, because the new
block only adds a condition.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from .clauses import Branch, Clause, Pattern, Test
from .constraints import MAX_BRANCHES, Alternatives, Constraint, Place, combine
from .must import as_constraint

__all__ = ["MAX_BRANCHES", "MAX_OPTIONAL", "Grant"]
__all__ += ["grant", "method", "pattern", "prompt", "resource", "tool_name", "tool_resources"]

MAX_OPTIONAL = 6
"""Arguments of one grant that may be omitted and have a constraint: each doubles the branches."""


@dataclass(frozen=True, slots=True)
class Grant:
    """An object, an operation, and a constraint for each argument that may occur."""

    resource: str
    operation: str
    constraints: tuple[tuple[str, Constraint], ...]

    @property
    def tool(self) -> str:
        """Return the name without its kind."""
        return self.resource.partition(":")[2]

    def branches(self, *, closed: bool) -> Pattern:
        """Return the ways to satisfy this grant; if ``closed``, each lists the arguments that may occur."""
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
    """Grant the right to call one tool, and say what each argument must be.

    Args:
        tool: the tool's name, or the guarded function. A function that was added under another name is
            granted by that name.
        arguments: constraints by name, for names that are not Python identifiers.
        named: constraints by name; a plain value means exactly that value. An argument that is not named
            must not occur in the call.

    Raises:
        ValueError: the tool has no such argument, an argument is named twice, or too many are optional.
    """
    made = _grant("tool", tool_name(tool), "invoke", arguments or {}, named)
    if not isinstance(tool, str):
        _refuse_unknown_arguments(tool, made)
    return made


def resource(uri: str) -> Grant:
    """Grant the right to read one resource, by its whole URI.

    Raises:
        ValueError: the URI is empty.
    """
    return _grant("resource", uri, "read", {}, {})


def prompt(name: str, arguments: Mapping[str, object] | None = None, /, **named: object) -> Grant:
    """Grant the right to get one prompt; arguments as for `grant`."""
    return _grant("prompt", name, "get", arguments or {}, named)


def method(name: str, arguments: Mapping[str, object] | None = None, /, **named: object) -> Grant:
    """Grant the right to send one request by its method, if it is not about a tool, a resource or a prompt.

    The request's parameters are the arguments: ``method("completion/complete", ref=must.anything(), ...)``.
    """
    return _grant("method", name, "call", arguments or {}, named)


def pattern(grants: tuple[Grant, ...], *, closed: bool) -> Pattern:
    """Return one condition for all these grants: a call must match one of its branches.

    Raises:
        ValueError: there are too many branches, or an object is granted under two operations, which a
            branch cannot tell apart.
    """
    operations = {(one.resource, one.operation) for one in grants}
    if len({resource for resource, _ in operations}) != len(operations):
        raise ValueError("an object is granted under two operations: issue two capabilities")
    branches = tuple(branch for one in grants for branch in one.branches(closed=closed))
    if len(branches) > MAX_BRANCHES:
        raise ValueError(
            f"these grants need {len(branches)} branches, and a guard reads at most {MAX_BRANCHES}"
        )
    return branches


def _merged(clauses: tuple[Clause, ...]) -> tuple[Clause, ...]:
    """Return the clauses with all tests of one fact in one clause: shorter tokens, fewer facts to compute."""
    merged: dict[object, Clause] = {}
    for clause in clauses:
        place: object = (clause.fact, clause.key) if clause.equal is None else clause
        known = merged.get(place)
        if known is None:
            merged[place] = clause
        elif clause.equal is None:
            more = tuple(test for test in clause.tests if test not in known.tests)
            merged[place] = Clause(clause.fact, clause.key, None, known.tests + more)
    return tuple(merged.values())


def tool_name(tool: str | Callable[..., Any]) -> str:
    """Return the name under which a tool is granted and called."""
    name = tool if isinstance(tool, str) else getattr(tool, "__hessra_tool__", None) or tool.__name__
    if not name:
        raise ValueError("a tool needs a name")
    return cast(str, name)


def _grant(
    kind: str, name: str, operation: str, arguments: Mapping[str, object], named: Mapping[str, object]
) -> Grant:
    if not isinstance(name, str) or not name:
        raise ValueError(f"the name of a {kind} must be a string of at least one character")
    both = {*arguments} & {*named}
    if both:
        raise ValueError(f"named twice: {', '.join(sorted(both))}")
    constraints = {argument: as_constraint(value) for argument, value in {**arguments, **named}.items()}
    for argument in constraints:
        if not isinstance(argument, str) or not argument or argument[0] == "/":
            raise ValueError("an argument's name must be a string that is not empty and has no '/' in front")
    choices = [n for n, c in constraints.items() if len(c.alternatives(Place.argument(n))) > 1]
    if len(choices) > MAX_OPTIONAL:
        raise ValueError(
            f"{name}: at most {MAX_OPTIONAL} arguments may be optional or have a choice, not {len(choices)}"
        )
    return Grant(f"{kind}:{name}", operation, tuple(constraints.items()))


def _refuse_unknown_arguments(tool: Callable[..., Any], made: Grant) -> None:
    parameters = inspect.signature(tool).parameters
    if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return
    unknown = sorted({name for name, _ in made.constraints} - parameters.keys())
    if unknown:
        raise ValueError(f"{made.tool} has no argument {', '.join(map(repr, unknown))}")


def tool_resources(
    tools: str | Callable[..., Any] | Iterable[str | Callable[..., Any]] | None,
) -> frozenset[str] | None:
    """Return the resources of these tools; None, which means all tools, for None.

    Raises:
        ValueError: the list names no tool.
    """
    if tools is None:
        return None
    tools = [tools] if isinstance(tools, str) or callable(tools) else list(tools)
    if not tools:
        raise ValueError("name at least one tool, or omit the list to mean all tools")
    return frozenset(f"tool:{tool_name(one)}" for one in tools)
