"""Load the capability that a proxy serves all clients with, and narrow it at once."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..extras import require
from . import inputs
from .terminal import UsageError

if TYPE_CHECKING:
    from ..guard.guard import Guard
    from ..guard.toolbox import Toolbox

__all__ = ["BoundCapability"]

DEFAULT_TTL = "8h"


@dataclass(frozen=True, slots=True)
class BoundCapability:
    """The options that name the capability for clients that send none."""

    file: Path | None
    variable: str | None
    keyring: str | None
    key: Path | None
    passphrase_file: Path | None
    ttl: str | None
    grants: Path | None

    def toolbox(self, guard: Guard) -> Toolbox | None:
        """Return the capability as a toolbox of this guard; None if none is given.

        Raises:
            UsageError: the options contradict each other, or the capability cannot be read.
            Denied: the guard does not accept the capability.
        """
        # first of all: a process that is started later must not find it there
        from_environment = None if self.variable is None else os.environ.pop(self.variable, None)
        ways = [self.file, self.variable, self.keyring]
        if sum(way is not None for way in ways) > 1:
            raise UsageError("give one of --capability, --capability-env and --capability-keyring")
        if all(way is None for way in ways):
            if self.key or self.ttl or self.grants:
                raise UsageError(
                    "--key, --ttl and --grants require a capability, and none is given",
                    "give --capability, --capability-env or --capability-keyring",
                )
            return None
        if self.file is not None:
            text = inputs.read_text(self.file, "--capability", inputs.MAX_INPUT, secret=True)
            token = _one_line(text, "--capability")
        elif self.keyring is not None:
            token = _from_keyring(self.keyring)
        else:
            token = _one_line(from_environment, "--capability-env")
        return self._narrowed(token, guard)

    def _narrowed(self, token: str, guard: Guard) -> Toolbox:

        key, grants = self.key, inputs.grants(self.grants)
        ttl = inputs.duration(self.ttl or DEFAULT_TTL, "--ttl")
        pair = None
        if key is not None:
            pair = inputs.key_pair(key, self.passphrase_file)
        guard.check_capability(token)
        return guard.toolbox(token, key=pair).attenuate(*grants, ttl=ttl)


def _from_keyring(place: str) -> str:
    service, _, user = place.rpartition("/")
    if not (service and user):
        raise UsageError("--capability-keyring: must be written SERVICE/USER")
    require("keyring", "keyring", purpose="--capability-keyring")
    import keyring

    try:
        found = keyring.get_password(service, user)
    except Exception as error:  # each backend has its own errors, with unknown texts
        raise UsageError(f"--capability-keyring: the keyring failed with {type(error).__name__}") from None
    return _one_line(found, "--capability-keyring")


def _one_line(text: str | None, option: str) -> str:
    found = (text or "").strip()
    if not found:
        raise UsageError(f"{option}: no token found")
    if len(found.split()) > 1 or len(found) > inputs.MAX_INPUT:
        raise UsageError(f"{option}: must be one token")
    return found
