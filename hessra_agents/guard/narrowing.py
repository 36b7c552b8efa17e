"""What a toolbox checks before it hands on less: a sub-agent's conditions, and one exact call."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ..grants.clauses import Test
from ..grants.constraints import Constraint
from ..grants.grants import Grant, grant
from ..grants.limits import Limit, limit
from ..grants.must import must
from ..tools.tool import Tool

__all__ = ["check_conditions", "exact_call"]

_LEFT_OUT = Constraint("left out", lambda at: ((at.names(Test("lacks", at.name)),),), wants_value=False)


def check_conditions(conditions: Iterable[object], tools: Mapping[str, Tool]) -> None:
    """Return if these conditions name tools of the guard, and arguments that they have.

    Raises:
        ValueError: nothing is granted, or a tool or an argument is unknown.
    """
    grants = [one for one in conditions if isinstance(one, Grant)]
    if not grants:
        raise ValueError("a sub-agent needs at least one grant")
    strangers = sorted({one.tool for one in grants} - tools.keys())
    if strangers:
        raise ValueError(f"this guard has no tool {', '.join(strangers)}")
    for one in grants:
        _check_arguments(tools[one.tool], [name for name, _ in one.constraints])


def exact_call(tool: Tool, values: Mapping[str, object]) -> tuple[Grant, Limit]:
    """One call with exactly these arguments, once: what is not named is left out.

    Raises:
        ValueError: the tool has no such argument, or cannot be called without another.
    """
    _check_arguments(tool, values)
    missing = sorted({*tool.schema.get("required", ())}.difference(values))
    if missing:
        raise ValueError(f"{tool.name} cannot be called without {', '.join(missing)}")
    if any(isinstance(value, Constraint) for value in values.values()):
        raise ValueError("narrow takes the values of one call, no constraints")
    rest = {name: _LEFT_OUT for name in tool.schema["properties"] if name not in values}
    exact = {name: must.exact(value) for name, value in values.items()}
    return grant(tool.name, {**exact, **rest}), limit(calls=1)


def _check_arguments(tool: Tool, names: Iterable[str]) -> None:
    unknown = sorted({*names}.difference(tool.schema["properties"]))
    if unknown:
        raise ValueError(f"{tool.name} has no argument {', '.join(unknown)}")
