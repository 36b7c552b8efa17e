"""`Pins`: the definitions of a server's tools, as a person approved them.

A server may change a tool after it was approved: a new argument that carries secrets out, a description that
tells a model what to do. A pin is a digest of everything that a model reads about a tool; a tool whose
definition has another digest is neither shown nor called until it is approved again.

    Pins.of("files", tools).save("files.pins.json")
    pins = Pins.load("files.pins.json")
    pins.approves(tool)                                          # one definition of tools/list
    pins.changes(tools)                                          # new, changed, gone

Not protected: what a tool does behind the same definition.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from ...call.call import digest
from ...call.canonical import MAX_BYTES, MalformedError, encode, parse, to_json
from ...files import replace_file

__all__ = ["Changes", "Pins", "pin"]

_READ_BY_MODELS = ("name", "title", "description", "inputSchema", "outputSchema", "annotations")
_FORMAT = "hessra-agents/pins/1"


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
    """The approved definitions of one server: a digest for each tool's name."""

    server: str
    digests: Mapping[str, str]

    def __post_init__(self) -> None:
        object.__setattr__(self, "digests", MappingProxyType(dict(self.digests)))

    @classmethod
    def of(cls, server: str, tools: Iterable[Mapping[str, object]]) -> Pins:
        """Approve these definitions, as ``tools/list`` has them.

        Raises:
            ValueError: a definition has no name or no canonical form, or two have the same name.
        """
        found: dict[str, str] = {}
        for tool in tools:
            name = _name(tool)
            if name in found:
                raise ValueError("two tools have the same name")
            found[name] = pin(tool)
        return cls(server, found)

    def approves(self, tool: Mapping[str, object]) -> bool:
        """Return whether exactly this definition was approved."""
        try:
            return self.digests.get(_name(tool)) == pin(tool)
        except ValueError:
            return False

    def changes(self, tools: Iterable[Mapping[str, object]]) -> Changes:
        """Return how these definitions differ from the approved ones.

        Raises:
            ValueError: as for `of`.
        """
        now = Pins.of(self.server, tools).digests
        return Changes(
            tuple(sorted(now.keys() - self.digests.keys())),
            tuple(sorted(n for n in now.keys() & self.digests.keys() if now[n] != self.digests[n])),
            tuple(sorted(self.digests.keys() - now.keys())),
        )

    def save(self, path: str | Path) -> None:
        """Write a file that `load` reads. A reader sees the old file or the new one, never a part.

        Raises:
            OSError: the file cannot be written.
        """
        data = {"format": _FORMAT, "server": self.server, "tools": dict(sorted(self.digests.items()))}
        replace_file(Path(path), json.dumps(data, indent=2).encode() + b"\n", mode=0o600)

    @classmethod
    def load(cls, path: str | Path) -> Pins:
        """Read what `save` wrote.

        Raises:
            ValueError: the file holds anything else, or is larger than 1 MiB.
            OSError: the file cannot be read.
        """
        try:
            with open(path, "rb") as file:
                data = parse(file.read(MAX_BYTES + 1))
            if not isinstance(data, dict) or data.keys() != {"format", "server", "tools"}:
                raise ValueError("the fields must be format, server and tools")
            server, tools = data["server"], data["tools"]
            if data["format"] != _FORMAT or not isinstance(server, str) or not isinstance(tools, dict):
                raise ValueError("a field has a wrong value")
            return cls(server, {name: _digest(text) for name, text in tools.items()})
        except (MalformedError, ValueError) as error:
            raise ValueError(f"{path} is not a file of pinned tools: {error}") from error


def pin(tool: Mapping[str, object]) -> str:
    """Return the digest of everything that a model reads of one definition, in hexadecimal.

    Raises:
        ValueError: the definition has no canonical form.
    """
    told = {word: tool[word] for word in _READ_BY_MODELS if tool.get(word) is not None}
    return digest("hessra-agents/tool-definition/1", encode(to_json(told))).hex()


def _name(tool: Mapping[str, object]) -> str:
    name = tool.get("name") if isinstance(tool, Mapping) else None
    if not isinstance(name, str) or not name:
        raise ValueError("a tool has no name")
    return name


def _digest(text: object) -> str:
    if not isinstance(text, str) or not re.fullmatch(r"[0-9a-f]{64}", text):
        raise ValueError("a digest must be 64 hexadecimal digits")
    return text
