"""`Worker`: a guard's process that is told and heard line by line, and can be killed at any moment."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from copy import copy
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from hessra_agents import grant, limit, must
from tests.support.processes import PATIENCE
from tests.support.world import World

ROOT = Path(__file__).parents[2]


@dataclass
class Scene:
    """A store, its folder, and a capability with a limit that all processes share."""

    folder: Path
    most: int
    where: str = ""
    world: World = field(default_factory=World)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.where = self.where or str(self.folder / "hessra.db")
        self.state = self.folder / "log"
        conditions = (grant("pay", amount=must.anything()), limit(calls=self.most))
        self.token = self.world.issue(*conditions).token
        self.trust = self.folder / "trust.json"
        self.world.authority.trust.save(self.trust)

    def beside(self, name: str) -> Scene:
        """Another store, for the same capability."""
        other = copy(self)
        folder = self.folder / name
        folder.mkdir()
        other.where, other.state = str(folder / "hessra.db"), folder / "log"
        return other

    @property
    def place(self) -> dict[str, str]:
        """Where a worker opens the ledger."""
        return {"where": self.where, "state": str(self.state)}


class Worker:
    """One process. ``permitted`` are the calls of its store that it said are permitted."""

    def __init__(self, scene: Scene, *, busy: bool = False, under: Sequence[str] = ()) -> None:
        ours, its = socket.socketpair()
        with its:
            self._process = subprocess.Popen(
                [*under, sys.executable, "-m", "tests.faults.child", str(its.fileno())],
                cwd=ROOT,
                pass_fds=[its.fileno()],
                stdin=subprocess.DEVNULL,
            )
        ours.settimeout(PATIENCE)
        self._wire = ours
        self._buffer = b""
        self._where = ""
        self.permitted: set[str] = set()
        self.denied: dict[str, str] = {}
        self.foreign: list[str] = []
        trust = {"trust": str(scene.trust), "token": scene.token, "now": scene.world.now, "busy": busy}
        self._send(trust)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
        self._wire.close()

    @property
    def pid(self) -> int:
        return self._process.pid

    def _send(self, what: dict[str, Any]) -> None:
        with suppress(BrokenPipeError, ConnectionResetError):  # it has ended: whoever listens hears that
            self._wire.sendall(json.dumps(what).encode() + b"\n")

    def tell(self, do: str, **what: Any) -> None:
        """Have it do something."""
        self._send({"do": do, **what})

    def hear(self) -> dict[str, Any]:
        """Its next line; nothing, if it has ended."""
        while b"\n" not in self._buffer:
            try:
                more = self._wire.recv(65_536)
            except ConnectionResetError:
                more = b""
            if not more:
                return {}
            self._buffer += more
        line, _, self._buffer = self._buffer.partition(b"\n")
        said: dict[str, Any] = json.loads(line)
        if "permitted" in said:
            self.permitted.add(said["permitted"])
        if "denied" in said:
            self.denied[said["op"]] = said["denied"]
        if "foreign" in said:
            self.foreign.append(said["foreign"])
        return said

    def hear_until(self, *names: str, when: Callable[[], bool] = lambda: False) -> dict[str, Any]:
        """Its lines up to one that has one of these names; nothing, if it has ended."""
        while (said := self.hear()) and not any(name in said for name in names) and not when():
            pass
        return said

    def ready(self) -> Self:
        """Wait until it has read the code."""
        self.hear_until("here")
        return self

    def open(self, scene: Scene) -> str:
        """Have it open the ledger; why not, if it does not."""
        if scene.where != self._where:
            self._where = scene.where
            self.permitted, self.denied = set(), {}
        self.tell("open", **scene.place)
        said = self.hear_until("opened", "refused", "foreign")
        return "" if "opened" in said else str(said or "it ended")

    def does(self, do: str, **what: Any) -> dict[str, Any]:
        """Tell, and wait until it is done; nothing, if it has ended."""
        self.tell(do, **what)
        return self.hear_until("done")

    def kill(self) -> None:
        """End it at once; what it said before is heard."""
        self._process.kill()
        self._process.wait(PATIENCE)
        while self.hear():
            pass

    def ended(self) -> int:
        """Wait until it has ended; its exit code."""
        return self._process.wait(PATIENCE)


@contextmanager
def workers(scene: Scene, count: int, **options: Any) -> Iterator[list[Worker]]:
    """So many processes that have opened the ledger."""
    with ExitStack() as stack:
        found = [stack.enter_context(Worker(scene, **options)) for _ in range(count)]
        for one in found:
            assert one.ready().open(scene) == ""
        yield found
