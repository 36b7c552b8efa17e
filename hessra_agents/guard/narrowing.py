"""Check what a toolbox hands on: a sub-agent's conditions, and one exact call."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ..grants.clauses import Test
from ..grants.constraints import Constraint
from ..grants.grants import Grant, grant
from ..grants.limits import Limit, limit
from ..grants.must import must
from ..tools.tool import Tool

__all__ = ["check_conditions", "exact_call"]

_OMITTED = Constraint("omitted", lambda at: ((at.names(Test("lacks", at.name)),),), wants_value=False)


def check_conditions(conditions: Iterable[object], tools: Mapping[str, Tool]) -> None:
    """Check that these conditions grant tools of the guard, with arguments that the tools have.

    Raises:
        ValueError: nothing is granted, or a tool or an argument is unknown.
    """
    grants = [condition for condition in conditions if isinstance(condition, Grant)]
    if not grants:
        raise ValueError("a sub-agent needs at least one grant")
    unknown = sorted({granted.tool for granted in grants} - tools.keys())
    if unknown:
        raise ValueError(f"this guard has no tool {', '.join(map(repr, unknown))}")
    for granted in grants:
        _check_arguments(tools[granted.tool], [name for name, _ in granted.constraints])


def exact_call(tool: Tool, values: Mapping[str, object]) -> tuple[Grant, Limit]:
    """Return conditions that permit one call with exactly these arguments; all others must be omitted.

    Raises:
        ValueError: the tool has no such argument, or requires an argument that has no value here.
    """
    _check_arguments(tool, values)
    missing = sorted({*tool.schema.get("required", ())}.difference(values))
    if missing:
        raise ValueError(f"{tool.name} cannot be called without {', '.join(missing)}")
    if any(isinstance(value, Constraint) for value in values.values()):
        raise ValueError("narrow takes the values of one call, not constraints")
    rest = {name: _OMITTED for name in tool.schema["properties"] if name not in values}
    exact = {name: must.exact(value) for name, value in values.items()}
    return grant(tool.name, {**exact, **rest}), limit(calls=1)


def _check_arguments(tool: Tool, names: Iterable[str]) -> None:
    unknown = sorted({*names}.difference(tool.schema["properties"]))
    if unknown:
        raise ValueError(f"{tool.name} has no argument {', '.join(map(repr, unknown))}")
