"""Name the extra that brings an optional part of this package, where that part is missing.

    require("keyring", "keyring", purpose="--capability-keyring")
    import keyring

Modules are looked for and not imported, so a program pays nothing for what it does not use. Their versions
are the installer's work, but for those that a program may well have beside this package.
"""

from __future__ import annotations

import re
import sys
from importlib.util import find_spec

__all__ = ["MissingExtraError", "require"]

_REQUIREMENT = re.compile(r"([a-z0-9_]+)(?:>=([0-9.]+),<([0-9.]+))?")


class MissingExtraError(ImportError):
    """An optional part needs a package that is not installed, or another version of it."""


def require(extra: str, *requirements: str, purpose: str) -> None:
    """Raise an error that names the extra, unless everything that it brings is installed.

    Args:
        extra: the extra of this package that brings the requirements.
        requirements: ``name`` or, as in pyproject.toml, ``name>=2.3,<3``. A package and its module share
            the name.
        purpose: what the caller wants them for; the message begins with it.

    Raises:
        MissingExtraError: a package is missing, or has a version outside of these bounds.
    """
    unmet = [fault for requirement in requirements if (fault := _fault(requirement))]
    if unmet:
        raise MissingExtraError(
            f"{purpose} needs {' and '.join(unmet)}: pip install 'hessra-agents[{extra}]'"
        )


def _fault(requirement: str) -> str:
    """Return the requirement, and the version that is installed in its place; empty if it is met."""
    found = _REQUIREMENT.fullmatch(requirement)
    if found is None:
        raise ValueError(f"not a requirement that is read here: {requirement}")
    name, least, below = found.groups()
    if not _is_there(name):
        return requirement
    if least is None:
        return ""
    from importlib.metadata import PackageNotFoundError, version  # slow to load, and rarely needed

    try:
        installed = version(name)
    except PackageNotFoundError:
        return ""  # a program that was packed into one file has modules without metadata
    if _numbers(least) <= _numbers(installed) < _numbers(below):
        return ""
    return f"{requirement} ({installed} is installed)"


def _is_there(name: str) -> bool:
    return sys.modules[name] is not None if name in sys.modules else find_spec(name) is not None


def _numbers(version: str) -> tuple[int, ...]:
    """Return the release part of a version: (2, 3, 0) of ``2.3.0rc1``."""
    release = re.match(r"[0-9]+(\.[0-9]+)*", version)
    return tuple(map(int, release[0].split("."))) if release else ()
