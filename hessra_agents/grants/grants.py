"""Grant a tool, and say what each of its arguments must be.

    grant("send_email", to="ana@acme.com", body=must.max_length(2000))

At issue a grant is *closed*: an argument that it does not name is refused. In an attenuation or a
delegation it is *relative*: an argument that it does not name keeps its earlier bounds, because the new
block only adds a condition.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from types import UnionType
from typing import Any, Literal, Union, cast, get_args, get_origin, get_type_hints

from ..call.facts import OF_MANY
from ..call.templates import variables
from .clauses import Branch, Clause, Pattern, Test
from .vocabulary.constraints import Alternatives, Constraint, Parts, Place, merged
from .vocabulary.values import as_constraint

__all__ = ["Grant", "grant", "method", "prompt", "resource", "tool_name", "tool_resources"]


@dataclass(frozen=True, slots=True)
class Grant:
    """An object, an operation, and a constraint for each argument that may occur."""

    resource: str
    operation: str
    constraints: tuple[tuple[str, Constraint], ...]
    required: frozenset[str] = field(default=frozenset(), compare=False, repr=False)
    """The arguments without which the tool cannot be called, if the tool is known."""
    listed: frozenset[str] = field(default=frozenset(), compare=False, repr=False)
    """The arguments of which the tool itself lists the values."""

    @property
    def tool(self) -> str:
        """Return the name without its kind."""
        return self.resource.partition(":")[2]

    def parts(self, *, closed: bool) -> Parts:
        """Return what must all hold; if ``closed``, no argument may occur that the grant does not name.

        The first part has one alternative.

        Raises:
            ValueError: an argument that the tool requires could not occur.
        """
        parts: list[Alternatives] = []
        if closed:
            names = frozenset(name for name, _ in self.constraints)
            missing = sorted(self.required - names)
            if missing:
                raise ValueError(
                    f"{self.tool} cannot be called without {', '.join(map(repr, missing))}, and what a grant"
                    " does not name is refused: name it, with must.anything() if any value will do"
                )
            parts.append(((Clause("arg_names", "", None, (Test("in", names),)),),))
        for name, constraint in self.constraints:
            parts += constraint.parts(Place.argument(name, free=closed and name not in self.listed))
        return merged(parts)

    def patterns(self, *, closed: bool) -> tuple[Pattern, ...]:
        """Return the same as patterns of the one object, without those that always match."""
        parts = [part for part in self.parts(closed=closed) if () not in part]
        return tuple(tuple(Branch(self.resource, way) for way in part) for part in parts)

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
        ValueError: an argument is named twice, the function has no such argument, or what it takes there can
            never be what the grant says.
    """
    made = _grant("tool", tool_name(tool), "invoke", arguments or {}, named)
    if isinstance(tool, str):
        return made
    made = replace(made, listed=_listed(tool))
    check = getattr(tool, "__hessra_check__", None)  # of a guarded function
    if check is not None:
        return replace(made, required=check(made))
    _refuse_unknown_arguments(tool, made)
    return made


def resource(uri: str, arguments: Mapping[str, object] | None = None, /, **named: object) -> Grant:
    """Grant the right to read one resource by its whole URI, or the resources of a template.

    ``resource("crm://customers/{id}", id=must.matches("[0-9]{1,8}"))`` grants those customers. A value in a
    URI is a string of letters, digits and ``-._~`` (RFC 6570, level 1).

    Args:
        uri: the URI, or a template with a variable in braces for each part that may differ.
        arguments: constraints on the variables by name.
        named: constraints on the variables by name; each variable needs one.

    Raises:
        ValueError: the URI is empty, has a ``*``, which stands for itself, or is a template that cannot be
            read in one way only; or the constraints are not those of its variables.
    """
    made = _grant("resource", uri, "read", arguments or {}, named)
    if uri.endswith("*") or "/*" in uri:
        raise ValueError("a URI with '*' matches no other: write a template, such as 'crm://customers/{id}'")
    known = variables(uri) or ()
    if not known and ("{" in uri or "}" in uri):
        raise ValueError(
            "a template of a resource has each variable once, as in 'crm://customers/{id}', a literal in"
            " front, and between two variables a character that no value has, such as '/'"
        )
    given = {name for name, _ in made.constraints}
    if given != {*known}:
        missing = ", ".join(sorted(given.symmetric_difference(known)))
        raise ValueError(f"a constraint for each variable of the template, and no other: see {missing}")
    for name, constraint in made.constraints:
        if not _takes_text(constraint, name):
            raise ValueError(f"{name} is a part of a URI, so always a string: {constraint} never holds")
    return made


def prompt(name: str, arguments: Mapping[str, object] | None = None, /, **named: object) -> Grant:
    """Grant the right to get one prompt; arguments as for `grant`."""
    return _grant("prompt", name, "get", arguments or {}, named)


def method(name: str, arguments: Mapping[str, object] | None = None, /, **named: object) -> Grant:
    """Grant the right to send one request by its method, if it is not about a tool, a resource or a prompt.

    The request's parameters are the arguments: ``method("completion/complete", ref=must.anything(), ...)``.
    """
    return _grant("method", name, "call", arguments or {}, named)


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
    return Grant(f"{kind}:{name}", operation, tuple(constraints.items()))


def _refuse_unknown_arguments(tool: Callable[..., Any], made: Grant) -> None:
    parameters = inspect.signature(tool).parameters
    if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return
    unknown = sorted({name for name, _ in made.constraints} - parameters.keys())
    if unknown:
        raise ValueError(f"{made.tool} has no argument {', '.join(map(repr, unknown))}")


def _listed(tool: Callable[..., Any]) -> frozenset[str]:
    """Return the arguments that a `Literal` or an `Enum` lists."""
    try:
        hints = get_type_hints(tool)
    except Exception:  # of names that are not to be found, and whatever an annotation does
        return frozenset()
    return frozenset(name for name, hint in hints.items() if _is_listed(hint))


def _is_listed(hint: object) -> bool:
    if get_origin(hint) in (Union, UnionType):
        return all(_is_listed(one) for one in get_args(hint) if one is not type(None))
    return get_origin(hint) is Literal or (isinstance(hint, type) and issubclass(hint, Enum))


def _takes_text(constraint: Constraint, name: str) -> bool:
    """Return whether a string could satisfy a constraint, as far as the kinds of its facts tell."""
    ways = constraint.parts(Place.argument(name))
    facts = [[{clause.fact for clause in way} for way in part] for part in ways]
    return constraint.wants_value and all(any(not way & _NOT_OF_TEXT for way in part) for part in facts)


_NOT_OF_TEXT = {"arg_int", "arg_bool", "arg_null", "arg_json", "arg_number", "arg_fixed", "arg_fields"}
_NOT_OF_TEXT |= {"arg_argv", "arg_size", "arg_distinct", "arg_path", "arg_url", "arg_email", *OF_MANY}


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
