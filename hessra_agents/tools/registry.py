"""Register the tools of a guard, by name and by function."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from types import MappingProxyType, MethodType
from typing import Any

from ..errors import Denied, Reason
from .tool import Tool
from .wrappers import refusing_wrapper

__all__ = ["Registry"]


class Registry:
    """The tools of one guard."""

    def __init__(self) -> None:
        self._tools: dict[str, Tool] = {}
        self._names: dict[Any, str] = {}

    @property
    def tools(self) -> Mapping[str, Tool]:
        """Return the registered tools, by name."""
        return MappingProxyType(self._tools)

    def registered_name(self, tool: Any) -> str:
        """Return the name of a tool, given the registered function or its guarded double.

        Raises:
            ValueError: the function is not a tool of this guard, whatever its name says.
        """
        for function in (tool, getattr(tool, "__func__", None)):
            try:
                return self._names[function]
            except (KeyError, TypeError):
                continue
        raise ValueError(f"{getattr(tool, '__name__', 'this')!r} is not a tool of this guard")

    def tool_name(self, tool: str | Callable[..., Any]) -> str:
        """Return the name of a tool, given the name or the function.

        Raises:
            ValueError: this guard has no such tool.
        """
        name = tool if isinstance(tool, str) else self.registered_name(tool)
        if name not in self._tools:
            raise ValueError(f"this guard has no tool {name}")
        return name

    def find(self, name: object) -> Tool:
        """Return the tool of this name.

        Raises:
            Denied: ``not_granted``, because this guard has no such tool.
        """
        tool = self._tools.get(name) if type(name) is str else None
        if tool is None:
            raise Denied(Reason.NOT_GRANTED, "there is no such tool")
        return tool

    def add(
        self,
        function: Callable[..., Any],
        *,
        name: str | None = None,
        inject: Iterable[str] = (),
        exposes_labels: Iterable[str] = (),
        untrusted: bool = False,
    ) -> Any:
        """Register a function, and return its guarded double: see `Guard.tool` and `Guard.add`.

        Raises:
            TypeError: the function cannot be a tool (see `Tool.of`).
            ValueError: the function is guarded already, or another tool has its name.
        """
        receiver = getattr(function, "__self__", None)
        if receiver is not None and hasattr(function, "__hessra_tool__"):
            return self._add_bound(function, receiver)
        if hasattr(function, "__hessra_tool__"):
            raise ValueError("this function is guarded already")
        tool = Tool.of(
            function, name=name, inject=tuple(inject), exposes_labels=exposes_labels, untrusted=untrusted
        )
        if tool.name in self._tools:
            raise ValueError(f"there is a tool named {tool.name!r} already")
        double = refusing_wrapper(tool)
        self._tools[tool.name] = tool
        self._names |= {function: tool.name, double: tool.name}
        return double

    def _add_bound(self, function: Any, receiver: object) -> Any:
        """Bind a decorated method to the object on which calls by name run it."""
        tool = self._tools[self.registered_name(function)]
        if not tool.method:
            raise ValueError(f"{tool.name!r} has its object already")
        bound = Tool.of(MethodType(tool.function, receiver), name=tool.name, inject=tuple(tool.injected))
        self._tools[tool.name] = replace(bound, exposes_labels=tool.exposes_labels, untrusted=tool.untrusted)
        return function
