"""`LongLine`: what is kept of a line that is too long to be read, to see which request it answers."""

from __future__ import annotations

import re
from dataclasses import dataclass
from json import JSONDecoder

__all__ = ["KEPT", "LongLine"]

KEPT = 1024
"""Bytes that are kept from the start of a long line, and from its end."""

_ID = rb'"id"\s*:\s*(-?[0-9]{1,18}|"[^"\\]*")\s*'
_LAST = re.compile(rb"[{,]\s*" + _ID + rb'(?:,\s*"jsonrpc"\s*:\s*"2\.0"\s*)?\}\s*$')
"""An id that is the last member of the whole message, or the last but for the protocol's name."""

_SCALAR = JSONDecoder()


@dataclass(frozen=True, slots=True)
class LongLine:
    """The start and the end of a line that is too long."""

    start: bytes
    end: bytes

    def answered_id(self) -> str | None:
        """Return the id of the request that this line answers; None if that is not to be seen.

        Some servers write the id before the result, some behind it. A message that asks something has an id
        of its own, which is not meant.
        """
        members = self._first_members()
        if not {"result", "error"} & members.keys():
            return None
        id = members.get("id")
        if "id" not in members and (found := _LAST.search(self.end)):
            id = found[1].decode(errors="replace").strip('"')
        return str(id) if type(id) in (str, int) else None

    def _first_members(self) -> dict[str, object]:
        """Return the members at the start of the message; the last one, which may be large, is None."""
        found: dict[str, object] = {}
        text = self.start.decode(errors="replace").lstrip("\ufeff \t\r{")
        try:
            while True:
                name, end = _SCALAR.raw_decode(text)
                text = text[end:].lstrip().removeprefix(":").lstrip()
                found[str(name)] = None
                if text[:1] in "{[":
                    return found
                found[str(name)], end = _SCALAR.raw_decode(text)
                text = text[end:].lstrip().removeprefix(",").lstrip()
        except (ValueError, RecursionError):  # it is cut here
            return found
