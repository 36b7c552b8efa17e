"""A tool: a Python function, and what its own signature says about its arguments.

The signature is read once. Arguments are then validated from their canonical bytes, strictly: nothing is
coerced, nothing unknown is let through, and the function gets a fresh value built from those very bytes.
A constraint in `typing.Annotated` is the tool's own bound, whatever a capability says:

    async def send_email(to: Annotated[str, must.email("acme.com")], body: str) -> str: ...
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, NotRequired, get_args, get_origin, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError
from typing_extensions import TypedDict  # pydantic asks for this one below Python 3.12

from .call import Call
from .clauses import Pattern
from .constraints import Constraint
from .errors import Denied, Problem, Reason
from .grants import Grant
from .must import must

__all__ = ["Tool"]

_KINDS = {
    Reason.UNNAMED_ARGUMENT: ("extra_forbidden",),
    Reason.MISSING_ARGUMENT: ("missing",),
}


@dataclass(frozen=True, slots=True, eq=False)
class Tool:
    """One registered function. ``kind`` is ``async``, ``sync`` (run in a thread) or ``generator``."""

    name: str
    function: Callable[..., Any]
    kind: str
    method: bool
    injected: frozenset[str]
    positional: tuple[str, ...]
    bounds: Pattern
    schema: dict[str, Any]
    description: str
    hints: dict[str, Any]
    signature: inspect.Signature
    _adapter: TypeAdapter[dict[str, Any]]

    @classmethod
    def of(
        cls, function: Callable[..., Any], *, name: str | None = None, inject: tuple[str, ...] = ()
    ) -> Tool:
        """Read a function's signature.

        Raises:
            TypeError: a parameter cannot be named by a capability (``*args``, ``**kwargs``), a type is
                unknown, or it is no function.
        """
        if not (inspect.isfunction(function) or inspect.ismethod(function)):
            raise TypeError(
                "a tool is a function or a bound method; decorate below @classmethod or @staticmethod"
            )
        if inspect.isgeneratorfunction(function):
            raise TypeError(f"{function.__name__}: write a generator tool as an async generator")
        called = name or function.__name__
        signature = inspect.signature(function)
        hints = _hints(function)
        parameters = dict(signature.parameters)
        method = _is_method(function, tuple(parameters))
        if method:
            parameters.pop(next(iter(parameters)))
        unknown = set(inject) - parameters.keys()
        if unknown:
            raise TypeError(f"{called} has no parameter {', '.join(sorted(unknown))} to inject")
        open_ended = [p.name for p in parameters.values() if p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
        if open_ended:
            raise TypeError(
                f"{called}: *{open_ended[0]} cannot be named by a capability: name every argument"
            )
        told = {n: p for n, p in parameters.items() if n not in inject}
        adapter = _adapter(called, told, hints)
        return cls(
            called,
            function,
            _kind(function),
            method,
            frozenset(inject),
            tuple(n for n, p in parameters.items() if p.kind is p.POSITIONAL_ONLY),
            _bounds(called, told, hints),
            _schema(adapter),
            inspect.getdoc(function) or "",
            hints,
            signature,
            adapter,
        )

    def read(self, call: Call) -> dict[str, Any]:
        """The values that the function gets, built from the call's canonical bytes.

        Raises:
            Denied: ``unnamed_argument``, ``missing_argument`` or ``malformed``; no value is told.
        """
        try:
            return self._adapter.validate_json(call.text, strict=True)
        except ValidationError as error:
            raise _refused(self.name, error) from None

    def arguments(
        self, values: Mapping[str, Any], injected: Mapping[str, Any]
    ) -> tuple[list[Any], dict[str, Any]]:
        """Positional and keyword arguments of the function."""
        missing = sorted(self.injected - injected.keys())
        if missing:
            raise Denied(Reason.UNAVAILABLE, f"the host provides no {missing[0]}", tool=self.name)
        named = {**values, **{name: injected[name] for name in self.injected}}
        return [named.pop(name) for name in self.positional if name in named], named


def _is_method(function: Callable[..., Any], names: tuple[str, ...]) -> bool:
    scope = function.__qualname__.rpartition(".")[0]
    in_class = bool(scope) and not scope.endswith("<locals>")
    return in_class and inspect.isfunction(function) and names[:1] in (("self",), ("cls",))


def _kind(function: Callable[..., Any]) -> str:
    if inspect.isasyncgenfunction(function):
        return "generator"
    return "async" if inspect.iscoroutinefunction(function) else "sync"


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    try:
        return get_type_hints(function, include_extras=True)
    except Exception as error:
        raise TypeError(f"{function.__name__}: its type hints cannot be read: {error}") from error


def _adapter(
    name: str, parameters: Mapping[str, inspect.Parameter], hints: Mapping[str, Any]
) -> TypeAdapter[dict[str, Any]]:
    fields = {}
    for one, parameter in parameters.items():
        hint = hints.get(one, Any)
        fields[one] = hint if parameter.default is parameter.empty else NotRequired[hint]
    make: Any = TypedDict
    arguments = make(name, fields)
    arguments.__pydantic_config__ = ConfigDict(extra="forbid", strict=True, arbitrary_types_allowed=False)
    try:
        return TypeAdapter(arguments)
    except Exception as error:
        raise TypeError(
            f"{name}: a type cannot be validated; declare what the host injects: {error}"
        ) from error


def _schema(adapter: TypeAdapter[dict[str, Any]]) -> dict[str, Any]:
    schema = adapter.json_schema()
    schema.pop("title", None)
    for field in schema.get("properties", {}).values():
        field.pop("title", None)
    return schema


def _bounds(name: str, parameters: Mapping[str, inspect.Parameter], hints: Mapping[str, Any]) -> Pattern:
    found: list[tuple[str, Constraint]] = []
    for one, parameter in parameters.items():
        hint = hints.get(one)
        extras = get_args(hint)[1:] if get_origin(hint) is Annotated else ()
        own = [extra for extra in extras if isinstance(extra, Constraint)]
        if own:
            joined = own[0]
            for other in own[1:]:
                joined = joined & other
            required = parameter.default is parameter.empty
            found.append((one, joined if required or not joined.wants_value else must.optional(joined)))
    return Grant(f"tool:{name}", "invoke", tuple(found)).branches(closed=False) if found else ()


def _refused(name: str, error: ValidationError) -> Denied:
    problems = []
    for fault in error.errors(include_url=False, include_context=False, include_input=False):
        place = "/".join(map(str, fault["loc"])) or None
        reason = next((r for r, types in _KINDS.items() if fault["type"] in types), Reason.MALFORMED)
        # a validator's own text may hold the value, pydantic's texts about types do not
        own = fault["type"] in ("value_error", "assertion_error")
        allowed = "" if reason is not Reason.MALFORMED or own else fault["msg"][:1].lower() + fault["msg"][1:]
        problems.append(Problem(reason, place, allowed))
    order = (Reason.UNNAMED_ARGUMENT, Reason.MISSING_ARGUMENT, Reason.MALFORMED)
    return Denied(min((p.reason for p in problems), key=order.index), tool=name, problems=problems[:16])
