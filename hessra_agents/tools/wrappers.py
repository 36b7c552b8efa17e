"""Replace a tool by a function with its name, docstring, signature, type hints and kind.

`refusing_wrapper` makes the function that refuses every call, `bound_wrapper` the one that carries a toolbox.

A double has no ``__wrapped__``, which frameworks would unwrap and call. Not protected: code in the same
process can still reach the function in other ways.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any, Protocol, cast

from ..errors import Denied, Reason
from ..grants.grants import Grant
from .json_schema import check_grant, own_schema
from .tool import Tool

__all__ = ["RunnableCall", "bound_wrapper", "refusing_wrapper"]


def refusing_wrapper(tool: Tool) -> Callable[..., Any]:
    """Return the double that takes the tool's place in its module: it refuses every call."""

    def refuse() -> Denied:
        return Denied(Reason.NO_CAPABILITY, tool=tool.name)

    async def refused(*args: Any, **kwargs: Any) -> Any:
        raise refuse()

    async def refused_generator(*args: Any, **kwargs: Any) -> Any:
        raise refuse()
        yield

    def refused_sync(*args: Any, **kwargs: Any) -> Any:
        raise refuse()

    doubles = {"async": refused, "generator": refused_generator, "sync": refused_sync}
    return _with_signature_of(doubles[tool.kind], tool, tool.signature)


class RunnableCall(Protocol):
    """A call of a tool that can be decided and run once."""

    async def result(self) -> Any:
        """Return what the tool returns."""
        ...

    def items(self) -> AsyncGenerator[Any, None]:
        """Yield the items of a generator tool."""
        ...


def bound_wrapper(tool: Tool, prepare: Callable[[dict[str, Any]], RunnableCall]) -> Callable[..., Any]:
    """Return the double that runs the call which ``prepare`` makes of its arguments.

    Its signature omits what a caller does not pass: injected values, and a method's object.
    """
    parameters = list(tool.signature.parameters.values())[1 if tool.method else 0 :]
    signature = tool.signature.replace(parameters=[p for p in parameters if p.name not in tool.injected])
    bind = _argument_binder(signature)

    async def bound(*args: Any, **kwargs: Any) -> Any:
        return await prepare(bind(args, kwargs)).result()

    async def bound_generator(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, None]:
        async with aclosing(prepare(bind(args, kwargs)).items()) as items:
            async for item in items:
                yield item

    return _with_signature_of(bound_generator if tool.kind == "generator" else bound, tool, signature)


def _with_signature_of(double: Any, tool: Tool, signature: inspect.Signature) -> Callable[..., Any]:
    """Give a double the tool's name, docstring and type hints, and this signature; return the double."""
    functools.update_wrapper(double, tool.function)
    del double.__wrapped__
    double.__signature__ = signature
    shown = {*signature.parameters, "return"}
    double.__annotations__ = {name: hint for name, hint in tool.hints.items() if name in shown}
    double.__hessra_tool__ = tool.name
    double.__hessra_check__ = functools.partial(_checked, tool)
    return cast("Callable[..., Any]", double)


def _checked(tool: Tool, granted: Grant) -> frozenset[str]:
    """Check a grant of the tool, and return the arguments that the tool requires."""
    check_grant(granted, own_schema(tool), tool.bounds)
    return frozenset(tool.schema.get("required", ()))


def _argument_binder(
    signature: inspect.Signature,
) -> Callable[[tuple[Any, ...], dict[str, Any]], dict[str, Any]]:
    """Return a function that binds ``args, kwargs`` to parameter names.

    A call with keywords only skips `Signature.bind`, which would give the same result.
    """
    parameters = signature.parameters.values()
    known = frozenset(p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY))
    needed = frozenset(p.name for p in parameters if p.default is p.empty)

    def bind(args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        if not args and needed <= kwargs.keys() <= known:
            return kwargs
        return signature.bind(*args, **kwargs).arguments

    return bind
