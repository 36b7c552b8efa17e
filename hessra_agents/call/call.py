"""Represent one tool call, made canonical once.

What is checked is what runs: a `Call` keeps the canonical bytes of its arguments, the digest and every
fact are computed from those bytes, and the tool gets a value built from them. A call shares nothing with
the caller, so no later change by the caller can alter what was decided.

    call = Call.of("send_email", {"to": "ana@acme.com", "subject": "hi"})
    call.digest.hex()
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..errors import Denied, Reason
from .canonical import Json, MalformedError, parse_lenient, to_json, to_json_and_text, to_json_fast
from .facts import WORK, Values, fact, work
from .places import MISSING, find

__all__ = ["MAX_ARGUMENTS", "MAX_NAME", "Call", "digest"]

MAX_NAME = 256
"""Characters in the name of a tool or of an argument."""

MAX_ARGUMENTS = 256
"""Arguments of one call."""


def digest(domain: str, *parts: bytes) -> bytes:
    """Return sha256 over a domain tag and parts, each with its length in front (4 bytes, big-endian).

    The lengths keep two different lists of parts from having the same bytes.
    """
    text = hashlib.sha256()
    for part in (domain.encode(), *parts):
        text.update(len(part).to_bytes(4, "big"))
        text.update(part)
    return text.digest()


MAX_WORK = 8 << 20
"""Work that the facts about one call may cost, in bytes of text that are encoded once (see `facts.work`)."""

_DIGEST, _SPENT = "digest", "spent"  # keys among what is computed; no pointer and no fact has them


@dataclass(frozen=True, slots=True)
class Call:
    """An operation on an object with arguments: ``invoke`` on ``tool:send_email`` with ``{...}``.

    Create a call with `Call.of`. Two calls are equal when their canonical bytes are equal. ``repr`` shows no
    argument.
    """

    resource: str
    operation: str
    canonical_json: bytes = field(repr=False)
    """The canonical JSON of the arguments (RFC 8785; integers with all their digits)."""
    _arguments: dict[str, Json] = field(repr=False, compare=False)
    _known: dict[Any, Any] = field(default_factory=dict, init=False, repr=False, compare=False)
    # facts by predicate and key, values by pointer, the digest, and the work that all this was

    @classmethod
    def of(
        cls,
        tool: str,
        arguments: Mapping[str, object] | str | bytes,
        *,
        kind: str = "tool",
        operation: str = "invoke",
    ) -> Call:
        """Create a call of ``tool`` with ``arguments``: a mapping, or the text of a JSON object.

        Raises:
            MalformedError: the name or the arguments have no canonical form (see `canonical`).
        """
        if type(tool) is not str or not tool or len(tool) > MAX_NAME:
            raise MalformedError(f"a tool's name is a string of 1 to {MAX_NAME} characters")
        if not tool.isascii():
            to_json(tool)  # refuses a lone surrogate
        values, text = (to_json_fast(arguments) if type(arguments) is dict else None) or _read(arguments)
        if len(values) > MAX_ARGUMENTS:
            raise MalformedError(f"more than {MAX_ARGUMENTS} arguments")
        for name in values:
            if not name or name[0] == "/" or len(name) > MAX_NAME:
                raise MalformedError(
                    f"an argument's name has 1 to {MAX_NAME} characters and does not start with '/'"
                )
        return cls(f"{kind}:{tool}", operation, text, values)

    @property
    def tool(self) -> str:
        """Return the name without its kind: ``send_email``."""
        return self.resource.partition(":")[2]

    @property
    def arguments(self) -> dict[str, Json]:
        """Return a fresh copy of the canonical arguments."""
        values: dict[str, Json] = json.loads(self.canonical_json)
        return values

    @property
    def values(self) -> dict[str, Json]:
        """Return the canonical arguments themselves, without a copy. The caller must not change them."""
        return self._arguments

    @property
    def names(self) -> frozenset[str]:
        """Return the names of the arguments."""
        return frozenset(self._arguments)

    @property
    def digest(self) -> bytes:
        """Return the 32 bytes that a proof or an approval of this call signs.

        ``digest("hessra-agents/call/1", object, operation, canonical arguments)``; the object is written
        with its kind (``tool:``), so a proof for a prompt does not serve for a tool of the same name.
        """
        known = self._known.get(_DIGEST)
        if known is None:
            parts = self.resource.encode(), self.operation.encode(), self.canonical_json
            known = self._known[_DIGEST] = (digest("hessra-agents/call/1", *parts),)
        return known[0]

    def fact(self, predicate: str, key: str, parameter: int | str | None = None) -> Values | None:
        """Return the values of one typed fact about this call, or None if the fact is not stated.

        Raises:
            Denied: ``too_large``, if the token requires too many facts about large arguments.
        """
        named = (predicate, key, parameter)
        known = self._known.get(named, MISSING)
        if known is MISSING:  # computed once for all branches, and within a budget
            value = self._at(key)
            if predicate == "arg_same":  # it is about two places
                other = self._at(str(parameter))
                value = MISSING if MISSING in (value, other) else [value, other]
            spent = self._known.get(_SPENT, 0)
            if predicate in WORK:
                spent = self._known[_SPENT] = spent + work(value, predicate)
            if spent > MAX_WORK:
                raise Denied(Reason.TOO_LARGE, "the arguments are too large for the checks on them")
            known = self._known[named] = None if value is MISSING else fact(value, predicate, parameter)
        return known  # type: ignore[no-any-return]

    def has(self, key: str) -> bool:
        """Return whether the call has a value at a place."""
        return self._at(key) is not MISSING

    def _at(self, key: str) -> Any:
        if key[:1] != "/":
            return self._arguments.get(key, MISSING) if key else self._arguments
        if key not in self._known:
            self._known[key], cost = find(self._arguments, key)
            self._known[_SPENT] = self._known.get(_SPENT, 0) + cost
        return self._known[key]


def _read(arguments: object) -> tuple[dict[str, Json], bytes]:
    """Return the arguments and their canonical text."""
    if isinstance(arguments, (str, bytes)):
        arguments = parse_lenient(arguments)
    if not isinstance(arguments, Mapping):
        raise MalformedError("the arguments are not an object")
    values, text = to_json_and_text(dict(arguments))
    assert isinstance(values, dict)  # the canonical form of a dict
    return values, text
