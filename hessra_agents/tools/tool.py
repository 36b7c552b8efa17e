"""A tool: a Python function, and what its own signature says about its arguments.

The signature is read once. Arguments are then validated from their canonical bytes, strictly: nothing is
coerced, nothing unknown is let through, and the function gets a fresh value built from those very bytes.
A value that would not reach the function as it is written is refused. A constraint in `typing.Annotated` is
the tool's own bound, whatever a capability says:

    async def send_email(to: Annotated[str, must.email("acme.com")], body: str) -> str: ...
"""

from __future__ import annotations

import inspect
import itertools
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NotRequired, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError
from typing_extensions import TypedDict  # pydantic asks for this one below Python 3.12

from ..call.call import Call
from ..call.canonical import Json
from ..errors import Denied, Problem, Reason
from ..grants.clauses import Pattern
from ..grants.constraints import Constraint
from ..grants.exposure import UNTRUSTED
from ..grants.grants import Grant
from ..grants.labels import plain_label
from ..grants.must import must
from .type_hints import (
    annotated_constraint,
    equals_request,
    is_lossless,
    refuse_hidden_readings,
    refuse_late_readings,
)

__all__ = ["Tool"]

MAX_TOLD = 16
"""Places that one refusal names."""

MAX_FAULTS = 64
"""With more faults than these, a refusal names none: to list them would cost more than to find them."""

_WORDS = {  # our own words: the texts of pydantic, and of validators that borrow its codes, may hold values
    "string_type": "a text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "none_required": "null",
    "list_type": "a list",
    "tuple_type": "a list",
    "set_type": "a list",
    "dict_type": "an object",
    "model_type": "an object",
    "dataclass_type": "an object",
}
_TYPED = "a value of the declared type"
_AS_WRITTEN = "only what reaches the tool as it is written"


_NAME = re.compile(r"[A-Za-z0-9_./-]{1,128}")


@dataclass(frozen=True, slots=True, eq=False)
class Tool:
    """One registered function. ``kind`` is ``async``, ``sync`` (run in a thread) or ``generator``.

    An argument that a call leaves out runs with the function's own default, which no capability names: give
    defaults that are harmless. A default is one object for all calls: a list or dict that the function
    changes stays changed for the next caller.

    ``bounds`` has one pattern for each parameter with a bound of its own. ``exposes_labels`` are the labels
    of what its results hold; ``untrusted``: others can write them.
    """

    name: str
    function: Callable[..., Any]
    kind: str
    method: bool
    injected: frozenset[str]
    positional: tuple[str, ...]
    bounds: tuple[Pattern, ...]
    schema: dict[str, Any]
    description: str
    hints: dict[str, Any]
    signature: inspect.Signature
    _adapter: TypeAdapter[dict[str, Any]]
    _compared: frozenset[str]
    exposes_labels: frozenset[str] = frozenset()
    untrusted: bool = False

    @classmethod
    def of(
        cls,
        function: Callable[..., Any],
        *,
        name: str | None = None,
        inject: tuple[str, ...] = (),
        exposes_labels: Iterable[str] = (),
        untrusted: bool = False,
    ) -> Tool:
        """Read a function's signature.

        Raises:
            TypeError: a parameter cannot be named by a capability (``*args``, ``**kwargs``, an alias), its
                default is hidden in `Field`, a type is unknown or read unseen, a bound stands where it
                would be lost, or it is no function.
        """
        if not (inspect.isfunction(function) or inspect.ismethod(function)):
            raise TypeError(
                "a tool is a Python function or a bound method: write a function of your own around others,"
                " and decorate below @classmethod or @staticmethod"
            )
        if inspect.isgeneratorfunction(function):
            raise TypeError(f"{function.__name__}: write a generator tool as an async generator")
        called = name or function.__name__
        if not _NAME.fullmatch(called):
            raise TypeError(f"{called!r} is no name for a tool: letters, digits and _ . / - up to 128")
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
                f"{called}: the open-ended {open_ended[0]} cannot be named by a capability: write a function"
                " around it that names every argument"
            )
        told = {n: p for n, p in parameters.items() if n not in inject}
        adapter = _adapter(called, told, hints)
        compared = _compared(called, adapter)
        return cls(
            called,
            function,
            _kind(function),
            method,
            frozenset(inject),
            tuple(n for n, p in parameters.items() if p.kind is p.POSITIONAL_ONLY),
            _bounds(called, told, hints),
            _schema(called, adapter),
            inspect.getdoc(function) or "",
            hints,
            signature,
            adapter,
            compared,
            _exposes(exposes_labels, untrusted=untrusted),
            untrusted,
        )

    def read(self, call: Call) -> dict[str, Any]:
        """The values that the function gets, built from the call's canonical bytes.

        Raises:
            Denied: ``unnamed_argument``, ``missing_argument`` or ``malformed``; no value is told.
        """
        try:
            values = self._adapter.validate_json(call.canonical_json, strict=True)
        except ValidationError as error:
            refused = _refused(self.name, error, self.schema.get("properties", {}))
        else:
            changed = self._changed(call, values)
            if not changed:
                return values
            problems = [Problem(Reason.MALFORMED, name, _AS_WRITTEN) for name in changed[:MAX_TOLD]]
            refused = Denied(Reason.MALFORMED, tool=self.name, problems=problems)
        raise refused  # outside of the handler: the error holds the values

    def _changed(self, call: Call, values: Mapping[str, Any]) -> list[str]:
        """The arguments that would not reach the tool as they were asked for."""
        names = sorted(self._compared & values.keys()) if self._compared else ()
        asked = call.arguments if names else {}
        return [
            name
            for name in names
            if not equals_request(asked[name], values[name])
            and not self._writes(name, values[name], asked[name])
        ]

    def _writes(self, name: str, value: object, asked: Json) -> bool:
        """Whether the type itself writes the value as it was asked for, where no rule of ours reads it."""
        try:
            form = self._adapter.dump_python({name: value}, mode="json", by_alias=True, warnings=False)
        except Exception:  # whatever a type's own serializer raises: then it does not
            return False
        return any(equals_request(asked, one) for one in form.values())

    def arguments(
        self, values: Mapping[str, Any], injected: Mapping[str, Any]
    ) -> tuple[list[Any], dict[str, Any]]:
        """Positional and keyword arguments of the function.

        A positional one that was left out is given its default: the next must not take its place.
        """
        if self.injected:
            missing = sorted(self.injected - injected.keys())
            if missing:
                raise Denied(Reason.UNAVAILABLE, f"the host provides no {missing[0]}", tool=self.name)
        named = {**values, **{name: injected[name] for name in self.injected}}
        if not self.positional:
            return [], named
        defaults = self.signature.parameters
        return [named.pop(name, defaults[name].default) for name in self.positional], named


def _exposes(labels: Iterable[str], *, untrusted: bool) -> frozenset[str]:
    if isinstance(labels, str) or type(untrusted) is not bool:
        raise TypeError("exposes_labels is a list of labels, and untrusted True or False")
    return frozenset(plain_label(one) for one in labels) | ({UNTRUSTED} if untrusted else set())


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
    from pydantic.fields import FieldInfo  # brings what only a tool's schema needs

    fields = {}
    for one, parameter in parameters.items():
        if isinstance(parameter.default, (FieldInfo, Constraint)):
            raise TypeError(f"{name}: what describes {one} belongs into Annotated, not into its default")
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


def _compared(name: str, adapter: TypeAdapter[dict[str, Any]]) -> frozenset[str]:
    """The parameters whose values are compared with what was asked; refuses those that cannot be."""
    schema: Any = adapter.core_schema
    if schema["type"] == "definitions":
        refuse_late_readings(name, schema["definitions"])
        schema = schema["schema"]
    for one, field in schema["fields"].items():
        refuse_hidden_readings(f"{name}: {one}", field)
    return frozenset(one for one, field in schema["fields"].items() if not is_lossless(field["schema"]))


def _schema(name: str, adapter: TypeAdapter[dict[str, Any]]) -> dict[str, Any]:
    try:
        schema = adapter.json_schema()
    except Exception as error:
        raise TypeError(f"{name}: a type has no JSON Schema: {error}") from error
    schema.pop("title", None)
    for field in schema.get("properties", {}).values():
        field.pop("title", None)
    return schema


def _bounds(
    name: str, parameters: Mapping[str, inspect.Parameter], hints: Mapping[str, Any]
) -> tuple[Pattern, ...]:
    found = []
    for one, parameter in parameters.items():
        try:
            bound = annotated_constraint(hints.get(one))
        except (TypeError, ValueError, NameError, RecursionError) as error:
            raise TypeError(f"{name}: {one}: {error}") from error
        if bound is not None:
            if parameter.default is not parameter.empty and bound.wants_value:
                bound = must.optional(bound)
            found.append(Grant(f"tool:{name}", "invoke", ((one, bound),)).branches(closed=False))
    return tuple(found)


def _refused(tool: str, error: ValidationError, declared: Collection[str]) -> Denied:
    """The refusal: declared names and our own words only, since whatever else may hold a value."""
    if error.error_count() > MAX_FAULTS:
        return Denied(Reason.MALFORMED, "the arguments have too many faults to list", tool=tool)
    reasons: dict[str | None, Reason] = {}
    words: dict[str | None, dict[str, None]] = {}  # several for one place are ways to mend it
    for fault in error.errors(include_url=False, include_context=False, include_input=False):
        first, *rest = fault["loc"] or ("",)
        known = str(first) if first in declared else None
        indexes = itertools.takewhile(lambda step: isinstance(step, int), rest)
        place = None if known is None else "/".join([known, *map(str, indexes)])
        if not rest and known is None and fault["type"] == "extra_forbidden":
            reason, told = Reason.UNNAMED_ARGUMENT, "the tool has no such argument"
        elif not rest and known is not None and fault["type"] == "missing":
            reason, told = Reason.MISSING_ARGUMENT, ""
        else:
            reason, told = Reason.MALFORMED, _WORDS.get(fault["type"], _TYPED)
        reasons.setdefault(place, reason)
        words.setdefault(place, {})[told] = None
    problems = [Problem(reasons[place], place, " or ".join(words[place])) for place in reasons]
    order = (Reason.UNNAMED_ARGUMENT, Reason.MISSING_ARGUMENT, Reason.MALFORMED)
    return Denied(min(reasons.values(), key=order.index), tool=tool, problems=problems[:MAX_TOLD])
