"""Choose what of our environment a foreign program gets: a server that somebody else wrote."""

from __future__ import annotations

import os
import re

__all__ = ["server_environment"]

_OURS = re.compile(r"HESSRA_\w*|PG[A-Z]+")
"""Our own variables, and those of PostgreSQL: the ledger's address and its password are among them."""


def server_environment() -> dict[str, str]:
    """Return our environment without what may lead to our ledger.

    A server that needs such variables of its own gets them from its command: ``env PGHOST=db server``.
    """
    return {name: value for name, value in os.environ.items() if not _OURS.fullmatch(name)}
