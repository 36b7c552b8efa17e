"""The capability that a proxy is bound to: from a file, the environment or a keyring; narrowed at once."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from . import inputs
from .terminal import UsageError, warn

if TYPE_CHECKING:
    from ..guard.guard import Guard
    from ..guard.toolbox import Toolbox

__all__ = ["BoundCapability"]

DEFAULT_TTL = "8h"


@dataclass(frozen=True, slots=True)
class BoundCapability:
    """The options that say which capability serves clients that send none."""

    file: Path | None
    variable: str | None
    keyring: str | None
    key: Path | None
    passphrase_file: Path | None
    ttl: str | None
    grants: Path | None

    def toolbox(self, guard: Guard) -> Toolbox | None:
        """The capability in the hands of this guard; None if none is given.

        Raises:
            UsageError: it is given twice, or not as it is said.
            Denied: the guard would not honour it.
        """
        # first of all: nobody who is started later may find it there
        from_environment = None if self.variable is None else os.environ.pop(self.variable, None)
        ways = [self.file, self.variable, self.keyring]
        if sum(way is not None for way in ways) > 1:
            raise UsageError("--capability, --capability-env and --capability-keyring exclude each other")
        if all(way is None for way in ways):
            if self.key or self.ttl or self.grants:
                raise UsageError(
                    "--key, --ttl and --grants are about a capability, and none is given",
                    "give it with --capability, --capability-env or --capability-keyring",
                )
            return None
        if self.file is not None:
            token = _from_file(self.file)
        elif self.keyring is not None:
            token = _from_keyring(self.keyring)
        else:
            token = _one_line(from_environment, "--capability-env")
        return self._narrowed(token, guard)

    def _narrowed(self, token: str, guard: Guard) -> Toolbox:
        from ..keys.keyfile import read_key

        key, grants = self.key, inputs.grants(self.grants)
        ttl = inputs.duration(self.ttl or DEFAULT_TTL, "--ttl")
        pair = None
        if key is not None:
            pair = inputs.with_passphrase(lambda secret: read_key(key, secret), self.passphrase_file)
        guard.check_capability(token)
        return guard.toolbox(token, key=pair).attenuate(*grants, ttl=ttl)


def _from_file(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            data = opened.read(inputs.MAX_INPUT + 1)
            about = os.fstat(opened.fileno())
    except OSError as error:
        raise UsageError(f"--capability: {(error.strerror or 'cannot be read').lower()}") from None
    if stat.S_ISREG(about.st_mode) and about.st_mode & 0o077:
        warn("--capability: other users can read this file")
    try:
        return _one_line(data.decode(), "--capability")
    except UnicodeDecodeError:
        raise UsageError("--capability: is not text in utf-8") from None


def _from_keyring(place: str) -> str:
    service, _, user = place.rpartition("/")
    if not (service and user):
        raise UsageError("--capability-keyring: is written SERVICE/USER")
    try:
        import keyring
    except ImportError:
        raise UsageError(
            "--capability-keyring: there is no keyring here", "pip install 'hessra-agents[keyring]'"
        ) from None
    try:
        found = keyring.get_password(service, user)
    except Exception as error:  # each backend has its own, and their texts may say anything
        raise UsageError(f"--capability-keyring: the keyring fails with {type(error).__name__}") from None
    return _one_line(found, "--capability-keyring")


def _one_line(text: str | None, option: str) -> str:
    found = (text or "").strip()
    if not found:
        raise UsageError(f"{option}: there is no token")
    if len(found.split()) > 1 or len(found) > inputs.MAX_INPUT:
        raise UsageError(f"{option}: is not one token")
    return found
