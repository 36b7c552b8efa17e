"""Memory of things that are held: ``python -m benchmarks.held <kind> <count>`` prints bytes for each."""

from __future__ import annotations

import gc
import resource
import sys
from collections.abc import Callable
from typing import Any

KINDS = (
    "Capability of 1 block",
    "Capability of 4 blocks",
    "Toolbox, bearer",
    "Toolbox, key in process",
    "tenuo: warrant",
)


def maker(kind: str) -> Callable[[], Any]:
    """What makes one from its text."""
    if kind.startswith("tenuo"):
        from .peers import installed

        tenuo = installed().tenuo
        assert tenuo is not None, "tenuo is not installed"
        text, read = tenuo.mint().to_base64(), tenuo.library.Warrant.from_base64
        return lambda: read(text)
    from hessra_agents import Capability

    from .ours import Ours

    here = Ours()
    if kind.startswith("Toolbox"):
        key = here.key if "key" in kind else None
        token = here.issue(key).token
        return lambda: here.guard.toolbox(token, key=key)
    token, trust = here.attenuated(4 if "4" in kind else 1).token, here.authority.trust
    return lambda: Capability.parse(token, trust)


def _resident() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


def main(kind: str, count: int) -> None:
    """Hold ``count`` of them."""
    make = maker(kind)
    held = [make() for _ in range(200)]
    gc.collect()
    before = _resident()
    held += [make() for _ in range(count)]
    print(round((_resident() - before) / count))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
