"""Constrain one argument, by the namespace `must`.

    grant("send_email",
        to=must.email("acme.com"),
        body=must.max_length(2000),
        cc=must.optional("boss@acme.com"))

Nothing is coerced: a number is not a string, ``True`` is not an integer, and a value that is not canonical (a
path with ``..``, a URL with user info) is refused, not repaired. In `typing.Annotated`, a constraint is a
tool's own bound and holds for every capability.
"""

from __future__ import annotations

from .commands import Commands
from .locations import Locations
from .numbers import Numbers
from .strings import Strings
from .structures import Structures
from .values import AnyValue

__all__ = ["must"]


class must(AnyValue, Strings, Numbers, Locations, Structures, Commands):  # noqa: N801 -- read as a word: to=must.one_of(...)
    """Constraints on one argument. Every method returns a `Constraint`; join them with ``&`` and ``|``."""
