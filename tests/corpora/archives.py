"""Read the corpora: archives in ``data/``, and one wheel that ``make`` downloads by its hash.

Each archive holds the files of one source, unmodified, with their licence. README.md says where
they are from.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["CORPORA", "Corpus"]

_TOP = Path(__file__).parents[2]
_DATA = Path(__file__).parent / "data"


@dataclass(frozen=True)
class Corpus:
    """One archive. ``digest`` is the SHA-256 of the file."""

    name: str
    source: str
    version: str
    licence: str
    digest: str
    path: Path

    def read(self, member: str) -> bytes:
        with zipfile.ZipFile(self._checked()) as archive:
            return archive.read(member)

    def json(self, member: str) -> Any:
        return json.loads(self.read(member))

    def files(self, suffix: str, under: str = "") -> Iterator[tuple[str, bytes]]:
        """Yield the files below a folder whose names end so, in order."""
        with zipfile.ZipFile(self._checked()) as archive:
            for name in sorted(archive.namelist()):
                if name.startswith(under) and name.endswith(suffix):
                    yield name, archive.read(name)

    def _checked(self) -> Path:
        if not self.path.exists():
            raise FileNotFoundError(
                f"{self.path}: run `make {self.path.parent.relative_to(_TOP)}/.downloaded`"
            )
        found = hashlib.sha256(self.path.read_bytes()).hexdigest()
        if found != self.digest:
            raise ValueError(f"{self.path.name} is not the file that was judged: its SHA-256 is {found}")
        return self.path


def _kept(name: str, source: str, version: str, licence: str, digest: str) -> Corpus:
    return Corpus(name, f"https://github.com/{source}", version, licence, digest, _DATA / f"{name}.zip")


CORPORA = {
    corpus.name: corpus
    for corpus in (
        _kept(
            "json-test-suite",
            "nst/JSONTestSuite",
            "1ef36fa01286573e846ac449e8683f8833c5b26a",
            "MIT",
            "f93f3f583de5ff5a00d1b1063bd750e874f10234e527d61cdd8addef37a9f5e3",
        ),
        _kept(
            "jsonpath-compliance",
            "jsonpath-standard/jsonpath-compliance-test-suite",
            "7be7c1fc28057c91e8eefaf197060fba7ed43acd",
            "BSD-2-Clause",
            "e714ecb3a2481684ebc2da6cf5f66684f264351910a0a7abd425486a69c1f432",
        ),
        _kept(
            "wpt-urls",
            "web-platform-tests/wpt",
            "876fe001f2279b96e7c6b9e8970dc92c484835ff",
            "BSD-3-Clause",
            "ef4241cda20aa79887bad4e62605920ef10f19bd07af5a0e57878b2f18f75648",
        ),
        _kept(
            "path-traversal",
            "swisskyrepo/PayloadsAllTheThings",
            "f9fa51417886ac11476cb62db2dff21773dc570b",
            "MIT",
            "40dcd686b82cf60ec95afb0f24aa0375d1335f880f5c85166f303c74cc87b75e",
        ),
        _kept(
            "wycheproof-ed25519",
            "C2SP/wycheproof",
            "dac1dd4729fd1f8dd9e1e9f3dce51d783da6c166",
            "Apache-2.0",
            "17e885871835646250189914c2b287c557ae09c68949b5ed5379c633d61d6c8a",
        ),
        _kept(
            "json-schema-test-suite",
            "json-schema-org/JSON-Schema-Test-Suite",
            "44401e0c046704b476ec9d2e2fccdaee618f259d",
            "MIT",
            "57b804807a650bab4f9d2b19da73bb27ab7c2f486e9b6f99f68c6aefe4c0cbc2",
        ),
        Corpus(
            "function-calls",
            "https://github.com/ShishirPatil/gorilla",
            "2026.3.23",
            "Apache-2.0",
            "3bb6dfa5f0c68ad403c9ec50b00db2bb3b4cc9b38ab1ff33f48fe30d853d3a0a",
            _TOP / "build/corpora/bfcl_eval-2026.3.23-py3-none-any.whl",
        ),
    )
}
"""By their names."""
