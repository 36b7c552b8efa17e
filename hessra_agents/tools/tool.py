"""Represent a tool: a Python function, and what its own signature says about its arguments.

The signature is read once. Arguments are then validated strictly from their canonical bytes: nothing is
coerced, an unknown argument is refused, and the function gets a fresh value built from those bytes. A value
that would not reach the function unchanged is refused. A constraint in `typing.Annotated` is the tool's own
bound, and holds for every capability:

    async def send_email(to: Annotated[str, must.email("acme.com")], body: str) -> str: ...
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from types import MethodType
from typing import Any, NotRequired, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError
from typing_extensions import TypedDict  # pydantic requires this class below Python 3.12

from ..call.call import Call
from ..call.canonical import Json, MalformedError, to_json
from ..errors import Denied, Problem, Reason
from ..grants.clauses import Pattern
from ..grants.describe import unknown_place
from ..grants.exposure import UNTRUSTED
from ..grants.grants import Grant
from ..grants.labels import plain_label
from ..grants.vocabulary.constraints import Constraint
from ..grants.vocabulary.must import must
from .schema_words import at_place, describe_schema, unknown_member
from .type_hints import (
    annotated_constraint,
    equals_request,
    is_lossless,
    refuse_hidden_readings,
    refuse_late_readings,
    refuse_recursive_unions,
)

__all__ = ["Tool"]

MAX_PROBLEMS = 16
"""Arguments, and places inside arguments, that one refusal names."""

MAX_FAULTS = 64
"""If pydantic finds more faults, the refusal names none: listing them would cost more than finding them."""

_TYPED = "a value of the declared type"
_UNCHANGED = "a value that reaches the tool unchanged"

_NAME = re.compile(r"[A-Za-z0-9_./-]{1,128}")


@dataclass(frozen=True, slots=True, eq=False)
class Tool:
    """A registered function. ``kind`` is ``async``, ``sync`` (run in a thread) or ``generator``.

    Not protected: an argument that a call omits gets the function's own default, which a capability does not
    constrain, so give defaults that are harmless. A default is one object for all calls: a list or dict that
    the function changes stays changed for the next caller.

    ``bounds`` has one pattern for each parameter with a bound of its own. ``none_defaults`` are the arguments
    whose default is None: to omit one and to pass None is one invocation. ``exposes_labels`` are the labels
    of what the tool's results hold; ``untrusted`` says that others can write the results.
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
    none_defaults: frozenset[str]
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
        """Create a tool from a function, by its signature.

        Raises:
            TypeError: the function is not a Python function; a capability cannot name a parameter (``*args``,
                ``**kwargs``, an alias); a default is hidden in `Field`; a type is unknown, or would be read
                after the check; or a bound stands where it would be lost.
        """
        if not (inspect.isfunction(function) or inspect.ismethod(function)):
            raise TypeError(
                "a tool must be a Python function or a bound method: wrap other callables in a function,"
                " and decorate below @classmethod or @staticmethod"
            )
        if _kind(function) == "sync" and _kind(inspect.unwrap(function)) != "sync":
            raise TypeError(
                f"{function.__name__} is a plain function around an async one: write what wraps it as async"
                " def, or, if that runs it to its end, without functools.wraps"
            )
        if inspect.isgeneratorfunction(function):
            raise TypeError(f"{function.__name__}: write a generator tool as an async generator")
        called = name or function.__name__
        if not _NAME.fullmatch(called):
            raise TypeError(f"{called!r} is not a tool's name: use 1 to 128 letters, digits and _ . / -")
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
                f"{called}: a capability cannot name the open-ended {open_ended[0]}: wrap {called} in a"
                " function that names every argument"
            )
        arguments = {n: p for n, p in parameters.items() if n not in inject}
        adapter = _adapter(called, arguments, hints)
        compared = _compared(called, adapter)
        return cls(
            called,
            function,
            _kind(function),
            method,
            frozenset(inject),
            tuple(n for n, p in parameters.items() if p.kind is p.POSITIONAL_ONLY),
            _bounds(called, arguments, hints),
            _schema(called, adapter, arguments),
            inspect.getdoc(function) or "",
            hints,
            signature,
            adapter,
            compared,
            frozenset(n for n, p in arguments.items() if p.default is None),
            _exposes(exposes_labels, untrusted=untrusted),
            untrusted,
        )

    def prepare(
        self, call: Call, injected: Mapping[str, Any], receiver: object | None = None
    ) -> partial[Any]:
        """Return the function with the values of this call, built from its canonical bytes.

        Args:
            injected: values for the parameters that the host injects.
            receiver: the object that a method is called on; for a tool that has its object, that object if
                omitted.

        Raises:
            Denied: the arguments do not fit the function's signature, or the host does not provide a value.
        """
        positional, named = self.arguments(self.read(call), injected)
        if not self.method:
            function = self.function
            if receiver is not None and isinstance(function, MethodType):
                function = MethodType(function.__func__, receiver)
            return partial(function, *positional, **named)
        if receiver is None:
            raise Denied(
                Reason.UNAVAILABLE, "a method needs its object: use guard.add(the_object.method), or bind it"
            )
        return partial(self.function, receiver, *positional, **named)

    def read(self, call: Call) -> dict[str, Any]:
        """Return the values that the function gets, built from the call's canonical bytes.

        Raises:
            Denied: ``unnamed_argument``, ``missing_argument`` or ``malformed``; the refusal shows no value.
        """
        try:
            values: dict[str, Any] = self._adapter.validator.validate_json(call.canonical_json, strict=True)
        except ValidationError as error:
            refused = _refused(self.name, error, self.schema)
        else:
            changed = self._changed(call, values) if self._compared else ()
            if not changed:
                return values
            problems = [self._unchanged(name, call) for name in changed[:MAX_PROBLEMS]]
            refused = Denied(problems[0].reason, tool=self.name, problems=problems)
        raise refused  # outside the handler, because the error holds the values

    def _changed(self, call: Call, values: Mapping[str, Any]) -> list[str]:
        """Return the arguments that would not reach the tool as the call requests them."""
        names = sorted(self._compared & values.keys())
        requested = call.arguments if names else {}
        return [
            name
            for name in names
            if not equals_request(requested[name], values[name])
            and not self._serializes_to(requested[name], name, values[name])
        ]

    def _unchanged(self, name: str, call: Call) -> Problem:
        """Return the problem of an argument that would not reach the tool as requested."""
        own = self.schema["properties"][name]
        steps = unknown_member(own, self.schema, call.values[name])
        if steps is None:
            return Problem(Reason.MALFORMED, name, _UNCHANGED)
        _, taken = at_place(own, self.schema, steps[:-1])
        return Problem(Reason.UNNAMED_ARGUMENT, unknown_place("/".join([name, *taken]), steps[-1]))

    def _serializes_to(self, requested: Json, name: str, value: object) -> bool:
        """Return whether the type's own serializer writes the value as requested, if no rule of ours does."""
        try:
            form = self._adapter.dump_python({name: value}, mode="json", by_alias=True, warnings=False)
        except Exception:  # a type's serializer may raise anything; then the value does not pass
            return False
        return any(equals_request(requested, written) for written in form.values())

    def arguments(
        self, values: Mapping[str, Any], injected: Mapping[str, Any]
    ) -> tuple[list[Any], dict[str, Any]]:
        """Return the positional and the keyword arguments of the function.

        An omitted positional argument gets its default, so that the next argument does not take its place.

        Raises:
            Denied: ``unavailable``, if the host does not provide an injected value.
        """
        if self.injected:
            missing = sorted(self.injected - injected.keys())
            if missing:
                raise Denied(Reason.UNAVAILABLE, f"the host does not provide {missing[0]}", tool=self.name)
        named = dict(values)
        for name in self.injected:
            named[name] = injected[name]
        if not self.positional:
            return [], named
        defaults = self.signature.parameters
        return [named.pop(name, defaults[name].default) for name in self.positional], named


def _exposes(labels: Iterable[str], *, untrusted: bool) -> frozenset[str]:
    if isinstance(labels, str) or type(untrusted) is not bool:
        raise TypeError("exposes_labels must be a list of labels, and untrusted True or False")
    return frozenset(map(plain_label, labels)) | ({UNTRUSTED} if untrusted else set())


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
    from pydantic.fields import FieldInfo  # imports modules that only a tool's schema needs

    fields = {}
    for argument, parameter in parameters.items():
        if isinstance(parameter.default, (FieldInfo, Constraint)):
            raise TypeError(f"{name}: put the description of {argument} in Annotated, not in its default")
        hint = hints.get(argument, Any)
        fields[argument] = hint if parameter.default is parameter.empty else NotRequired[hint]
    make: Any = TypedDict
    arguments = make(name, fields)
    arguments.__pydantic_config__ = ConfigDict(extra="forbid", strict=True, arbitrary_types_allowed=False)
    try:
        return TypeAdapter(arguments)
    except Exception as error:
        raise TypeError(
            f"{name}: a type cannot be validated; name in inject= what the host provides: {error}"
        ) from error


def _compared(name: str, adapter: TypeAdapter[dict[str, Any]]) -> frozenset[str]:
    """Return the parameters whose values are compared with the request.

    Raises:
        TypeError: the value of a parameter cannot be compared.
    """
    schema: Any = adapter.core_schema
    if schema["type"] == "definitions":
        refuse_late_readings(name, schema["definitions"])
        refuse_recursive_unions(name, schema["definitions"])
        schema = schema["schema"]
    fields = schema["fields"].items()
    for argument, field in fields:
        refuse_hidden_readings(f"{name}: {argument}", field)
    return frozenset(argument for argument, field in fields if not is_lossless(field["schema"]))


def _schema(
    name: str, adapter: TypeAdapter[dict[str, Any]], parameters: Mapping[str, inspect.Parameter]
) -> dict[str, Any]:
    try:
        schema = adapter.json_schema()
    except Exception as error:
        raise TypeError(f"{name}: a type has no JSON Schema: {error}") from error
    schema.pop("title", None)
    for defined in schema.get("$defs", {}).values():
        if "properties" in defined:  # a member that a type drops does not reach the tool, and is refused
            defined.setdefault("additionalProperties", False)
    for argument, field in schema.get("properties", {}).items():
        field.pop("title", None)
        default = parameters[argument].default
        if default is not inspect.Parameter.empty:
            with suppress(MalformedError):  # a default that JSON cannot say is not told
                field["default"] = to_json(default)
    return schema


def _bounds(
    name: str, parameters: Mapping[str, inspect.Parameter], hints: Mapping[str, Any]
) -> tuple[Pattern, ...]:
    bounds: list[Pattern] = []
    for argument, parameter in parameters.items():
        try:
            bound = annotated_constraint(hints.get(argument))
        except (TypeError, ValueError, NameError, RecursionError) as error:
            raise TypeError(f"{name}: {argument}: {error}") from error
        if bound is not None:
            if parameter.default is not parameter.empty and bound.wants_value:
                bound = must.optional(bound)
            bounds += Grant(f"tool:{name}", "invoke", ((argument, bound),)).patterns(closed=False)
    return tuple(bounds)


def _refused(tool: str, error: ValidationError, schema: Mapping[str, Any]) -> Denied:
    """Return the refusal in declared names and our own words; the text of a fault may hold a value."""
    if error.error_count() > MAX_FAULTS:
        return Denied(Reason.MALFORMED, "the arguments have too many faults to list", tool=tool)
    reasons: dict[str | None, Reason] = {}
    words: dict[str | None, dict[str, None]] = {}  # several words for one place are alternatives
    for fault in error.errors(include_url=False, include_context=False, include_input=False):
        place, reason, allowed = _problem(fault["type"], fault["loc"] or ("",), schema)
        reasons.setdefault(place, reason)
        words.setdefault(place, {})[allowed] = None
    problems = [Problem(reasons[place], place, " or ".join(words[place])) for place in reasons]
    order = (Reason.UNNAMED_ARGUMENT, Reason.MISSING_ARGUMENT, Reason.MALFORMED)
    return Denied(min(reasons.values(), key=order.index), tool=tool, problems=problems[:MAX_PROBLEMS])


def _problem(
    fault: str, steps: Sequence[str | int], schema: Mapping[str, Any]
) -> tuple[str | None, Reason, str]:
    """Return the place of a fault of pydantic's, the reason, and what is allowed there."""
    first, *rest = steps
    if first not in schema.get("properties", {}):
        unknown = not rest and fault == "extra_forbidden"
        reason = Reason.UNNAMED_ARGUMENT if unknown else Reason.MALFORMED
        return None, reason, "the tool has no such argument" if unknown else _TYPED
    within = rest[:-1] if fault == "extra_forbidden" else rest
    own, taken = at_place(schema["properties"][first], schema, within)
    place = "/".join([str(first), *taken])
    if fault == "extra_forbidden":
        return unknown_place(place, rest[-1]), Reason.UNNAMED_ARGUMENT, ""
    if fault == "missing":
        return place, Reason.MISSING_ARGUMENT, ""
    told = "" if fault in ("value_error", "assertion_error") else describe_schema(own, schema)
    return place, Reason.MALFORMED, told or _TYPED
