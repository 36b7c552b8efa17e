"""Functions that stand in a tool's place and wear its face: name, docstring, signature, type hints, kind.

A double does not lead back to the function: it has no ``__wrapped__``, which frameworks would unwrap and
call. Within one process that is a habit, not a wall.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

from ..errors import Denied, Reason
from .tool import Tool

__all__ = ["argument_binder", "refusing_wrapper", "with_signature_of"]


def refusing_wrapper(tool: Tool) -> Callable[..., Any]:
    """The tool as it stands in its module: whoever calls it, with no capability, is refused."""

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
    return with_signature_of(doubles[tool.kind], tool, tool.signature)


def with_signature_of(double: Any, tool: Tool, signature: inspect.Signature) -> Callable[..., Any]:
    """The double with the tool's face, under this signature."""
    functools.update_wrapper(double, tool.function)
    del double.__wrapped__
    double.__signature__ = signature
    told = {*signature.parameters, "return"}
    double.__annotations__ = {name: hint for name, hint in tool.hints.items() if name in told}
    double.__hessra_tool__ = tool.name
    found: Callable[..., Any] = double
    return found


def argument_binder(
    signature: inspect.Signature,
) -> Callable[[tuple[Any, ...], dict[str, Any]], dict[str, Any]]:
    """What reads the arguments of one call. Keywords that fit are what the signature would make of them."""
    told = signature.parameters.values()
    known = frozenset(one.name for one in told if one.kind in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY))
    needed = frozenset(one.name for one in told if one.default is one.empty)

    def read(args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        if not args and needed <= kwargs.keys() <= known:
            return kwargs
        return signature.bind(*args, **kwargs).arguments

    return read
