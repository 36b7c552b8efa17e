"""`Registry`: the tools of a guard, by name and by function."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from types import MappingProxyType, MethodType
from typing import Any, TypeVar, cast, overload

from .tool import Tool
from .wrappers import refusing_wrapper

__all__ = ["Registry"]

F = TypeVar("F", bound=Callable[..., Any])


class Registry:
    """What a guard knows of its tools."""

    def __init__(self) -> None:
        self._tools: dict[str, Tool] = {}
        self._names: dict[Any, str] = {}

    @property
    def tools(self) -> Mapping[str, Tool]:
        """The registered tools by name."""
        return MappingProxyType(self._tools)

    def registered_name(self, tool: Any) -> str:
        """The name of a tool of this guard, given the function that was registered, or its double.

        Raises:
            ValueError: it is no tool of this guard, whatever its name says.
        """
        for function in (tool, getattr(tool, "__func__", None)):
            try:
                return self._names[function]
            except (KeyError, TypeError):
                continue
        raise ValueError(f"{getattr(tool, '__name__', 'this')!r} is no tool of this guard")

    def tool_name(self, tool: str | Callable[..., Any]) -> str:
        """The name of a tool of this guard, given the name or the function.

        Raises:
            ValueError: it is none.
        """
        name = tool if isinstance(tool, str) else self.registered_name(tool)
        if name not in self._tools:
            raise ValueError(f"this guard has no tool {name}")
        return name

    @overload
    def tool(self, function: F, /) -> F: ...
    @overload
    def tool(
        self,
        *,
        name: str | None = None,
        inject: Iterable[str] = (),
        exposes_labels: Iterable[str] = (),
        untrusted: bool = False,
    ) -> Callable[[F], F]: ...
    def tool(  # type: ignore[misc]
        self,
        function: Any = None,
        /,
        *,
        name: str | None = None,
        inject: Iterable[str] = (),
        exposes_labels: Iterable[str] = (),
        untrusted: bool = False,
    ) -> Any:
        """Register a function as a tool and return it guarded: to call it directly is refused.

        Async functions, sync functions (run in a worker thread), async generators and methods. Signature,
        docstring, type hints and `inspect.iscoroutinefunction` stay as they were.

        Args:
            name: the name under which it is granted; the function's own if left out.
            inject: parameters that the host provides (a context, a database handle): hidden from schema,
                facts and digest, and never settable by the caller.
            exposes_labels: labels of what its results hold, such as ``PII:email``: whoever calls it has seen
                that.
            untrusted: others can write what it returns: a label, too, and no argument follows its results
                unless a capability says so.

        Raises:
            TypeError, ValueError: it cannot be guarded, or the name is taken.
        """
        if function is not None:
            return self.add(function)
        labels: Any = {"exposes_labels": exposes_labels, "untrusted": untrusted}
        return lambda found: self.add(found, name=name, inject=inject, **labels)

    def add(
        self,
        function: F,
        *,
        name: str | None = None,
        inject: Iterable[str] = (),
        exposes_labels: Iterable[str] = (),
        untrusted: bool = False,
    ) -> F:
        """Register a function written elsewhere, or a bound method; like `tool`.

        Returns the guarded double; the function itself stays as it was. Of a method that is decorated,
        ``guard.add(the_object.method)`` says on which object calls by name run it.
        """
        receiver = getattr(function, "__self__", None)
        if receiver is not None and hasattr(function, "__hessra_tool__"):
            return cast(F, self._add_bound(function, receiver))
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
        return cast(F, double)

    def _add_bound(self, function: Any, receiver: object) -> Any:
        """Give a method that is decorated the object that it is called on by name."""
        tool = self._tools[self.registered_name(function)]
        if not tool.method:
            raise ValueError(f"{tool.name!r} has its object already")
        whole = MethodType(tool.function, receiver)
        found = Tool.of(whole, name=tool.name, inject=tuple(tool.injected))
        self._tools[tool.name] = replace(found, exposes_labels=tool.exposes_labels, untrusted=tool.untrusted)
        return function
