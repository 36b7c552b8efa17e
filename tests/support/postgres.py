"""A real PostgreSQL server for tests, on a loopback port of its own, that can be stopped, killed and frozen.

    with Postgres() as server:
        dsn = server.fresh()  # a new, empty database
        server.kill()
        server.start()

It runs as the user ``postgres`` when we are root, because PostgreSQL refuses to be root, and as ourselves
otherwise. Whatever ends the tests, a process that watches them ends the server and removes its files.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from tests.support import folders, processes
from tests.support.network import held_port

OWNER = "hessra"
"""The owner of fresh databases: no superuser, as no guard in service should be one."""

SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "fsync": "on",
    "shared_buffers": "32MB",
    "max_connections": "200",
}
ENVIRONMENT = {"PATH": os.defpath, "LC_ALL": "C.UTF-8", "PGCONNECT_TIMEOUT": "10"}
"""None of the caller's own: PGHOST and its like would lead elsewhere."""

AS_POSTGRES = {"user": "postgres", "group": "postgres", "extra_groups": ()}
STOP = {"fast": signal.SIGINT, "immediate": signal.SIGQUIT}


class Postgres:
    """One server and its data folder. ``dsn`` is the superuser's; tests take `fresh` ones.

    Its programs are those of npm's ``package``, which has no clients; else the newest that are installed.
    """

    def __init__(self, package: Path | None = None) -> None:
        self._package = package
        self._programs = programs()
        self._runs_as: dict[str, Any] = {} if os.getuid() else AS_POSTGRES
        self._password = secrets.token_urlsafe(24)
        self._process: subprocess.Popen[bytes] | None = None
        self._made = 0
        self._held = held_port()
        self.port: int = self._held.getsockname()[1]
        self.dsn = self._dsn("postgres", "postgres")

    def __enter__(self) -> Self:
        self._folder = Path(tempfile.mkdtemp(prefix="hessra-postgres-", dir=folders.light()))
        self._watcher = subprocess.Popen(
            [sys.executable, "-I", "-S", processes.__file__, self._folder],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is for us: it stops the server after us
        )
        try:
            if self._package:
                self._programs = self._copied(self._package)
            self._initialize()
            self.start()
            self._sql(f"CREATE ROLE {OWNER} LOGIN PASSWORD '{self._password}'")
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the server, whatever state it is in, and remove its files."""
        try:
            self.kill()
        finally:
            self._watcher.communicate()  # closes its standard input: it removes the folder
            self._held.close()

    def fresh(self) -> str:
        """The DSN of a new, empty database."""
        self._made += 1
        name = f"test_{self._made}"
        self._sql(f"CREATE DATABASE {name} OWNER {OWNER}")
        return self._dsn(OWNER, name)

    def restored(self, dsn: str, *, into: str = "") -> str:
        """The DSN of a database, new if none is named, with what another one holds, of any server."""
        into = into or self.fresh()
        self._run("psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", into, input=self._run("pg_dump", dsn))
        return into

    def start(self) -> None:
        """Start the server, on the same port each time, and wait until it is ready. It may already run."""
        if self.pid is not None:
            return
        settings = [f"--{name}={value}" for name, value in {**SETTINGS, "port": self.port}.items()]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._programs / "postgres", "-D", self._data, *settings],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._folder,
                env=ENVIRONMENT,
                start_new_session=True,
                **self._runs_as,
            )
        end = time.monotonic() + processes.PATIENCE
        while not self._ready():
            if self.pid is None or time.monotonic() > end:
                self.kill()
                raise RuntimeError(f"PostgreSQL does not start:\n{self.log()}")
            time.sleep(0.01)

    def stop(self, mode: Literal["fast", "immediate"] = "fast") -> None:
        """Stop the server, and wait until it has stopped: ``immediate`` leaves it to recover at its start."""
        if self._process and self.pid is not None:
            self.thaw()
            self._process.send_signal(STOP[mode])
            self._process.wait(processes.PATIENCE)

    def kill(self) -> None:
        """End all the server's processes at once, as when the machine fails."""
        if self._process and self.pid is not None:
            processes.kill(self._process.pid)
            self._process.wait(processes.PATIENCE)

    def freeze(self) -> None:
        """Stop all the server's processes where they are: connections stay open, and nothing answers."""
        if self.pid is not None:
            processes.freeze(self.pid)

    def thaw(self) -> None:
        """Let a frozen server go on. It may already run."""
        if self.pid is not None:
            processes.thaw(self.pid)

    @property
    def pid(self) -> int | None:
        """The id of the server's first process, if it runs."""
        return self._process.pid if self._process and self._process.poll() is None else None

    def log(self) -> str:
        """All that the server wrote."""
        return (self._folder / "log").read_text(encoding="utf-8", errors="replace")

    @property
    def _data(self) -> Path:
        return self._folder / "data"

    def _dsn(self, user: str, database: str) -> str:
        return f"postgresql://{user}:{self._password}@127.0.0.1:{self.port}/{database}"

    def _copied(self, package: Path) -> Path:
        """Copy a package to where the server's user can read it; add the links that npm does not keep."""
        shutil.copytree(package / "native", self._folder / "native")
        for link in json.loads((package / "native" / "pg-symlinks.json").read_text()):
            (self._folder / link["target"]).symlink_to(self._folder / link["source"])
        return self._folder / "native" / "bin"

    def _initialize(self) -> None:
        """Make the data folder. Text sorts by language, as it does on most servers, and not by bytes."""
        told = self._folder / "password"
        told.touch(mode=0o600)
        told.write_text(self._password)
        if self._runs_as:
            for path in (self._folder, told):
                shutil.chown(path, "postgres", "postgres")
        options = (
            "--auth=scram-sha-256 --encoding=UTF8 --locale=C.UTF-8 --locale-provider=icu --icu-locale=en"
        )
        where = ("-D", self._data, "-U", "postgres", f"--pwfile={told}")
        self._run("initdb", *where, *options.split(), "--no-sync", **self._runs_as)  # the server itself syncs
        told.unlink()

    def _sql(self, statement: str) -> None:
        """As the superuser. The statement is no argument, because it may hold the password."""
        server = ("-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres", "-d", "postgres")
        secret = {**ENVIRONMENT, "PGPASSWORD": self._password}
        self._run("psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", *server, env=secret, input=statement.encode())

    def _run(self, name: str, *arguments: str | Path, **options: Any) -> bytes:
        own = self._programs / name
        command = [own if own.exists() else programs() / name, *arguments]
        options = {"env": ENVIRONMENT, "cwd": self._folder, **options}
        done: subprocess.CompletedProcess[bytes] = subprocess.run(
            command, capture_output=True, timeout=processes.PATIENCE, check=False, **options
        )
        if done.returncode:
            raise RuntimeError(f"{name} failed:\n{done.stderr.decode(errors='replace')}")
        return done.stdout

    def _ready(self) -> bool:
        """What the server itself says in its eighth line, if this is not the file of one that was killed."""
        try:
            lines = (self._data / "postmaster.pid").read_text().splitlines()
        except OSError:
            return False
        return len(lines) > 7 and lines[0] == str(self.pid) and lines[7].strip() == "ready"


def programs() -> Path:
    """The folder of PostgreSQL's programs, of the newest version that is installed."""
    found = {initdb.parent for initdb in Path("/usr/lib/postgresql").glob("*/bin/initdb")}
    if found:
        return max(found, key=lambda folder: int(folder.parent.name))
    elsewhere = shutil.which("initdb")
    if elsewhere is None:
        raise RuntimeError("the tests need PostgreSQL: .ci/programs postgresql installs it")
    return Path(elsewhere).resolve().parent
