"""A PostgreSQL server for bench scripts and tests: private directory, private port, no network but loopback.

`initdb` and `postgres` refuse to run as root; who is root runs them as the user that Debian's package made.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import psycopg

from bench.ports import free_port

DEBIAN: Final = Path("/usr/lib/postgresql")
SETTINGS: Final = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "40",
    "shared_buffers": "64MB",
    "autovacuum_naptime": "5s",
    "log_min_messages": "fatal",
}
"""What `cluster` is told afterwards goes before."""


def binaries(path: str | None = None, debian: Path = DEBIAN) -> Path | None:
    """Those in PATH, else the newest that Debian has; None: there are none. `path`: another PATH."""
    if found := shutil.which("initdb", path=path):
        return Path(found).resolve().parent
    places = [found.parent for found in debian.glob("*/bin/initdb")]
    return max(places, key=lambda place: float(place.parent.name), default=None)


@dataclass(slots=True)
class Cluster:
    """A server that runs, and can be stopped as hard as one likes."""

    folder: Path
    port: int
    programs: Path
    process: subprocess.Popen[bytes] | None = None
    created: int = 0

    @property
    def url(self) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/postgres"

    def url_of(self, database: str) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    def create(self, database: str | None = None) -> str:
        """A new empty database; its URL."""
        self.created += 1
        database = database or f"new{self.created}"
        with psycopg.connect(self.url, autocommit=True) as db:
            db.execute(f'CREATE DATABASE "{database}"')  # a name that the tests make
        return self.url_of(database)

    def start(self) -> None:
        """Return when it answers. Raises RuntimeError."""
        self.process = subprocess.Popen(
            [self.programs / "postgres", "-D", self.folder, "-p", str(self.port)], stdin=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, **_as_postgres(),
        )  # fmt: skip
        ready: list[str | Path] = [self.programs / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        for _ in range(600):
            if subprocess.run(ready, check=False).returncode == 0:
                return
            if self.process.poll() is not None:
                raise RuntimeError(f"postgres ended with {self.process.returncode}")
            try:
                self.process.wait(0.05)
            except subprocess.TimeoutExpired:
                continue
        raise RuntimeError("postgres does not answer")

    def cpu_seconds(self) -> float:
        """CPU that all its processes have used so far, also those that have ended."""
        assert self.process is not None
        ours = self.process.pid
        ticks = sum(_ticks(ours))
        for place in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                if _parent(int(place.name)) == ours:
                    ticks += sum(_ticks(int(place.name))[:2])
        return ticks / os.sysconf("SC_CLK_TCK")

    def stop(self, how: str = "fast") -> None:
        """`immediate`: as in a crash; the next start recovers from the log."""
        _run(self.programs / "pg_ctl", "-D", self.folder, "-m", how, "-w", "stop")
        if self.process is not None:
            self.process.wait()


@contextmanager
def cluster(*settings: str) -> Iterator[Cluster]:
    """`settings`: lines for postgresql.conf. Raises RuntimeError without PostgreSQL."""
    programs = binaries()
    if programs is None:
        raise RuntimeError("PostgreSQL is not installed (apt-get install postgresql)")
    with tempfile.TemporaryDirectory(prefix="feierabend-postgres-", ignore_cleanup_errors=True) as name:
        folder = Path(name) / "data"
        if os.geteuid() == 0:
            owner = pwd.getpwnam("postgres")
            os.chown(name, owner.pw_uid, owner.pw_gid)
        _run(
            programs / "initdb", "-D", folder, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"
        )
        with (folder / "postgresql.conf").open("a") as file:
            file.writelines(f"{name} = '{value}'\n" for name, value in SETTINGS.items())
            file.writelines(f"{line}\n" for line in settings)
        made = Cluster(folder, free_port(), programs)
        made.start()
        try:
            yield made
        finally:
            if made.process is not None and made.process.poll() is None:
                made.stop("immediate")


def emptied(url: str) -> None:
    """As after `migrate`, whatever was in it."""
    with psycopg.connect(url, options="-c search_path=feierabend") as db:
        tables = db.execute(
            "SELECT relname FROM pg_class WHERE relnamespace = 'feierabend'::regnamespace AND relkind = 'r'"
        )
        names = [name for (name,) in tables if name not in ("version", "partition", "mark")]
        db.execute("UPDATE mark SET generation = 0, revision = 0, feedback = 0")
        db.execute(f"UPDATE partition SET owner = NULL; TRUNCATE {', '.join(names)}, partition RESTART IDENTITY")
        db.execute("INSERT INTO partition SELECT number, NULL FROM generate_series(0, 63) AS number")


def _fields(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def _parent(pid: int) -> int:
    return int(_fields(pid)[1])


def _ticks(pid: int) -> tuple[int, int, int, int]:
    """Of itself, as a program and in the kernel; of its children that have ended, likewise."""
    user, system, ended_user, ended_system = map(int, _fields(pid)[11:15])
    return user, system, ended_user, ended_system


def _run(*command: str | Path) -> None:
    done = subprocess.run(command, check=False, capture_output=True, text=True, **_as_postgres())
    if done.returncode:
        raise RuntimeError(f"{Path(command[0]).name} failed: {done.stderr.strip()}")


def _as_postgres() -> dict[str, Any]:
    if os.geteuid() != 0:
        return {}
    owner = pwd.getpwnam("postgres")
    return {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": [], "cwd": "/", "umask": 0o077}
