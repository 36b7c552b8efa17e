"""`Pins`: what a model reads of a server, as a person approved it.

A server may change a tool after it was approved: a new argument that carries secrets out, a description that
tells a model what to do. Pins keep everything that a model reads of each tool, and the server's instructions.
A tool with another definition is neither shown nor called, and other instructions are not shown, until they
are approved again.

    Pins.of("files", tools, instructions).save("files.pins.json")
    pins = Pins.load("files.pins.json")
    pins.approves(tool)                                          # one definition of tools/list
    pins.changes(tools)                                          # new, changed, gone
    pins.approving(now, ["read_file"]).save("files.pins.json")   # one tool as it is now

Not protected: what a tool does behind the same definition.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ...call.call import digest
from ...call.canonical import Json, MalformedError, encode, parse_lenient, to_json
from ...files import replace_file

__all__ = ["Changes", "Pins", "pin"]

_READ_BY_MODELS = ("name", "title", "description", "inputSchema", "outputSchema", "annotations")
_FORMAT = "hessra-agents/pins/1"

MAX_FILE = 16 << 20
"""Bytes of a file of pins; a server's list of tools has at most half as many."""

Definition = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Changes:
    """The names of tools whose definitions differ from the pinned ones, each list sorted."""

    new: tuple[str, ...]
    changed: tuple[str, ...]
    gone: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.new or self.changed or self.gone)


@dataclass(frozen=True, slots=True)
class Pins:
    """The approved definitions of one server by the tools' names, and its approved instructions."""

    server: str
    tools: Mapping[str, Definition]
    instructions: str | None = None
    _digests: Mapping[str, str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "tools", MappingProxyType(dict(self.tools)))
        object.__setattr__(self, "_digests", {name: pin(tool) for name, tool in self.tools.items()})

    @classmethod
    def of(cls, server: str, tools: Iterable[Mapping[str, object]], instructions: str | None = None) -> Pins:
        """Approve these definitions, as ``tools/list`` has them, and the server's instructions.

        Raises:
            ValueError: a definition has no name or no canonical form, or two have the same name.
        """
        found: dict[str, Definition] = {}
        for tool in tools:
            name = _name(tool)
            if name in found:
                raise ValueError(f"several tools have the name {name!r}")
            found[name] = _read_by_models(tool)
        return cls(server, found, instructions)

    def approves(self, tool: Mapping[str, object]) -> bool:
        """Return whether exactly this definition was approved."""
        return not self.objection(tool)

    def objection(self, tool: Mapping[str, object]) -> str:
        """Return in words why this definition is not approved; nothing if it is."""
        try:
            known, now = self._digests.get(_name(tool)), pin(tool)
        except ValueError:
            return "the tool's definition cannot be compared with an approved one"
        if known is None:
            return "the tool was never approved"
        return "" if known == now else "the tool's definition has changed since it was approved"

    def changes(self, tools: Iterable[Mapping[str, object]]) -> Changes:
        """Return how these definitions differ from the approved ones.

        Raises:
            ValueError: as for `of`.
        """
        known, now = self._digests, Pins.of(self.server, tools)._digests
        return Changes(
            tuple(sorted(now.keys() - known.keys())),
            tuple(sorted(name for name in now.keys() & known.keys() if now[name] != known[name])),
            tuple(sorted(known.keys() - now.keys())),
        )

    def approving(self, now: Pins, names: Collection[str]) -> Pins:
        """Return these pins, with the tools of these names as other pins have them, or without them."""
        kept = {name: tool for name, tool in self.tools.items() if name not in names}
        taken = {name: tool for name, tool in now.tools.items() if name in names}
        return replace(self, tools={**kept, **taken})

    def save(self, path: str | Path) -> None:
        """Write a file that `load` reads. A reader sees the old file or the new one, never a part.

        Raises:
            OSError: the file cannot be written.
        """
        tools = dict(sorted(self.tools.items()))
        data = {"format": _FORMAT, "server": self.server, "instructions": self.instructions, "tools": tools}
        replace_file(Path(path), json.dumps(data, indent=2).encode() + b"\n", mode=0o600)

    @classmethod
    def load(cls, path: str | Path) -> Pins:
        """Read what `save` wrote.

        Raises:
            ValueError: the file holds anything else, or is larger than 16 MiB.
            OSError: the file cannot be read.
        """
        try:
            with open(path, "rb") as file:
                data = parse_lenient(file.read(MAX_FILE + 1), max_bytes=MAX_FILE)
            if not isinstance(data, dict) or data.keys() != {"format", "server", "instructions", "tools"}:
                raise ValueError("the fields must be format, server, instructions and tools")
            server, instructions, tools = data["server"], data["instructions"], data["tools"]
            if (
                data["format"] != _FORMAT
                or not isinstance(server, str)
                or not isinstance(instructions, str | None)
                or not isinstance(tools, dict)
            ):
                raise ValueError("a field has a wrong value")
            found = cls.of(server, tools.values(), instructions)
            if found.tools != tools:
                raise ValueError("a definition has another name, or what no model reads")
            return found
        except (MalformedError, ValueError) as error:
            raise ValueError(f"{path} is not a file of pinned tools: {error}") from error


def pin(tool: Mapping[str, object]) -> str:
    """Return the digest of everything that a model reads of one definition, in hexadecimal.

    Raises:
        ValueError: the definition has no canonical form.
    """
    return digest("hessra-agents/tool-definition/1", encode(_read_by_models(tool))).hex()


def _read_by_models(tool: Mapping[str, object]) -> dict[str, Json]:
    found = to_json({word: tool[word] for word in _READ_BY_MODELS if tool.get(word) is not None})
    assert isinstance(found, dict)
    return found


def _name(tool: Mapping[str, object]) -> str:
    name = tool.get("name") if isinstance(tool, Mapping) else None
    if not isinstance(name, str) or not name:
        raise ValueError("a tool has no name")
    return name
