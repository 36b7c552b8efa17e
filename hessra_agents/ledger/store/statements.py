"""The SQL of a store: named statements and numbered migrations, in files."""

from __future__ import annotations

import hashlib
import re
from functools import cache
from importlib import resources

__all__ = ["migrations", "statements"]

_NAME = re.compile(r"^-- name: (\w+)$", re.MULTILINE)


@cache
def statements(store: str) -> dict[str, str]:
    """Return the statements of ``sqlite`` or ``postgres``, by name."""
    parts = _NAME.split(_text(f"{store}.sql"))[1:]
    return {name: body.strip() for name, body in zip(parts[::2], parts[1::2], strict=True)}


@cache
def migrations(store: str) -> tuple[tuple[int, str, str], ...]:
    """Return number, text and checksum of every migration, from 1 on."""
    names = sorted(
        file.name
        for file in resources.files(__package__).joinpath("sql").iterdir()
        if re.fullmatch(rf"{store}-\d{{4}}\.sql", file.name)
    )
    texts = [_text(name) for name in names]
    return tuple((n, text, hashlib.sha256(text.encode()).hexdigest()) for n, text in enumerate(texts, 1))


def _text(name: str) -> str:
    return resources.files(__package__).joinpath("sql", name).read_text("utf-8")
