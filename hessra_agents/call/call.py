"""One tool call, made canonical once.

What is checked is what runs: a `Call` keeps the canonical bytes of its arguments, the digest and every
fact are computed from them, and the tool gets a value built from those very bytes. Nothing is shared
with the caller, so nothing that the caller changes later can change what was decided.

    call = Call.of("send_email", {"to": "ana@acme.com", "subject": "hi"})
    call.digest.hex()
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from ..errors import Denied, Reason
from .canonical import Json, MalformedError, parse_lenient, to_json, to_json_and_text, to_json_fast
from .facts import SIGNATURES, Values, fact

__all__ = ["MAX_ARGUMENTS", "MAX_NAME", "Call", "digest"]

MAX_NAME = 256
"""Code points in the name of a tool or of an argument."""

MAX_ARGUMENTS = 256
"""Arguments of one call."""


def digest(domain: str, *parts: bytes) -> bytes:
    """sha256 over a domain tag and parts, each with its length in front (4 bytes, big-endian).

    The lengths keep two different lists of parts from having the same bytes.
    """
    text = hashlib.sha256()
    for part in (domain.encode(), *parts):
        text.update(len(part).to_bytes(4, "big"))
        text.update(part)
    return text.digest()


MAX_WORK = 8 << 20
"""Bytes of arguments, times the facts about whole lists and objects that a token may ask for."""

_DIGEST = ("", "")  # no fact has this place
_COSTLY = frozenset({"arg_json", *(name for name, types in SIGNATURES.items() if types[0].endswith("s"))})


@dataclass(frozen=True, slots=True)
class Call:
    """An operation on an object with arguments: ``invoke`` on ``tool:send_email`` with ``{...}``.

    Make one with `Call.of`. Two calls are equal when their canonical bytes are.
    """

    resource: str
    operation: str
    canonical_json: bytes
    """The canonical JSON of the arguments (RFC 8785; integers with all their digits)."""
    _arguments: dict[str, Json] = field(repr=False, compare=False)
    _known: dict[tuple[str, str], Values | None] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )
    _work: list[int] = field(default_factory=lambda: [0], init=False, repr=False, compare=False)

    @classmethod
    def of(
        cls,
        tool: str,
        arguments: Mapping[str, object] | str | bytes,
        *,
        kind: str = "tool",
        operation: str = "invoke",
    ) -> Call:
        """The call of ``tool`` with ``arguments``: a mapping, or the text of a JSON object.

        Raises:
            MalformedError: the name or the arguments have no canonical form (see `canonical`).
        """
        if type(tool) is not str or not tool or len(tool) > MAX_NAME:
            raise MalformedError(f"a tool's name is a text of 1 to {MAX_NAME} characters")
        if not tool.isascii():
            to_json(tool)  # refuses a lone surrogate
        values, text = (to_json_fast(arguments) if type(arguments) is dict else None) or _read(arguments)
        if len(values) > MAX_ARGUMENTS:
            raise MalformedError(f"more than {MAX_ARGUMENTS} arguments")
        for name in values:
            if not name or name[0] == "/" or len(name) > MAX_NAME:
                raise MalformedError(
                    f"an argument's name is 1 to {MAX_NAME} characters and starts with no '/'"
                )
        return cls(f"{kind}:{tool}", operation, text, values)

    @property
    def tool(self) -> str:
        """The name without its kind: ``send_email``."""
        return self.resource.partition(":")[2]

    @property
    def arguments(self) -> dict[str, Json]:
        """A fresh copy of the canonical arguments."""
        values: dict[str, Json] = json.loads(self.canonical_json)
        return values

    @property
    def values(self) -> dict[str, Json]:
        """The canonical arguments themselves, for who decides: not to be changed."""
        return self._arguments

    @property
    def names(self) -> frozenset[str]:
        """The names of the arguments."""
        return frozenset(self._arguments)

    @property
    def digest(self) -> bytes:
        """What a proof or an approval of this call signs: 32 bytes.

        ``digest("hessra-agents/call/1", object, operation, canonical arguments)``; the object is
        written with its kind (``tool:``), so that a proof for a prompt is none for a tool of that name.
        """
        known = self._known.get(_DIGEST)
        if known is None:
            parts = self.resource.encode(), self.operation.encode(), self.canonical_json
            known = self._known[_DIGEST] = (digest("hessra-agents/call/1", *parts),)
        return known[0]  # type: ignore[return-value]

    def fact(self, predicate: str, key: str) -> Values | None:
        """The values of one typed fact about this call, or None where it is not stated.

        Raises:
            Denied: ``too_large``, where facts about whole lists and objects of a large call are asked for
                again and again.
        """
        known = self._known
        place = (predicate, key)
        if place not in known:
            # once for all branches that ask, and not too often: a digest of a megabyte is not free
            if predicate in _COSTLY or ":" in key:
                self._spend()
            known[place] = fact(self._arguments, predicate, key)
        return known[place]

    def _spend(self) -> None:
        self._work[0] += len(self.canonical_json)
        if self._work[0] > MAX_WORK:
            raise Denied(Reason.TOO_LARGE, "the arguments are too large for the checks on them")


def _read(arguments: object) -> tuple[dict[str, Json], bytes]:
    """The arguments and their canonical text."""
    if isinstance(arguments, (str, bytes)):
        arguments = parse_lenient(arguments)
    elif isinstance(arguments, Mapping):
        arguments = dict(arguments)
    else:
        arguments = None
    values, text = to_json_and_text(arguments)
    if not isinstance(values, dict):
        raise MalformedError("the arguments are not an object")
    return values, text
