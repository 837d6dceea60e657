"""What an operator would have put up, and the processes: two strict fakes, the fast sink, one relay after the other.

A relay is watched from outside: its log, which is a file, the kernel's list of sockets, its database's files.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from bench import stage
from bench.crash.leavings import moved
from bench.crash.people import DESK
from relay.doors.keys import digest_of

KEYS = {"backend": ("events", "alarms", "devices", "admin"), "settings": ("rest",)}
"""Name of a key → its scopes."""
SINK_STREAMS, SINK_CONNECTIONS = 100, 2
"""The sink keeps no count of what it did not answer; so much can be in flight to it at most."""
LATENCY_MS = 15
"""Of the strict fakes."""
GRACE = 5.0
LOOK = 0.003
"""Seconds between two looks at something that may happen at any moment."""
PATIENCE = 60.0
"""Seconds after which something that must happen is taken for missing; nothing takes so long when all is well."""
LISTENING, ENDED = {"0A"}, {"06", "07"}
"""States in the kernel's list: LISTEN; TIME_WAIT and CLOSE."""


@dataclass(frozen=True, slots=True)
class Providers:
    """Where the fakes are. `control`: of the strict ones."""

    apns: dict[str, str]
    fcm: dict[str, str]
    sink: dict[str, str]
    folder: Path

    def journals(self) -> dict[str, dict[str, Any]]:
        """What the strict fakes have counted so far. They have then written down all of it."""
        strict = {"apns": self.apns, "fcm": self.fcm}
        return {name: json.loads(_fetched(fake["control"], "/journal")) for name, fake in strict.items()}

    def wait_until_left(self) -> None:
        """Until no connection to them is open: what the dead relay had sent is read and judged then."""
        ports = {stage.port_of(fake["listening"]) for fake in (self.apns, self.fcm, self.sink)}
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            if not any(port in ports for port in _open_ports()):
                return
            time.sleep(LOOK)
        raise SystemExit("a fake holds a connection of a dead relay open")


def _fetched(address: str, path: str) -> bytes:
    with closing(http.client.HTTPConnection(address, timeout=60)) as connection:
        connection.request("GET", path)
        return connection.getresponse().read()


def _open_ports() -> Iterator[int]:
    """Local ports of connections, as the kernel lists them."""
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[3] not in LISTENING | ENDED:
            yield int(fields[1].rpartition(":")[2], 16)


@contextlib.contextmanager
def providers(folder: Path, seed: int) -> Iterator[Providers]:
    """All three as processes, for the length of the block."""
    strict = ("--control", "0", "--latency-ms", str(LATENCY_MS), "--seed", str(seed))
    sink = ("--dead-every", "0", "--streams", str(SINK_STREAMS), "--stamps", str(folder / "sink.stamps"))
    with (
        stage.fake("apns", folder / "apns", *strict, "--journal", str(folder / "apns.journal")) as apns,
        stage.fake("fcm", folder / "fcm", *strict, "--journal", str(folder / "fcm.journal")) as fcm,
        stage.fake("sink", folder / "sink", *sink) as desk,
    ):
        yield Providers(apns, fcm, desk, folder)


@dataclass(slots=True)
class Installation:
    """One relay's files, and its processes. `launcher`: what is run in the place of the relay's own program."""

    folder: Path
    providers: Providers
    door: int
    ops: int
    launcher: Path | None = None
    _spare: Relay | None = None
    """Made ready for the main database (warm.py)."""
    _made: int = 0

    @property
    def database(self) -> Path:
        """The main one."""
        return self.folder / "relay.db"

    @property
    def keys(self) -> dict[str, str]:
        return {name: f"{name}.{_secret(name)}" for name in KEYS}

    def configure(self, database: Path) -> Path:
        """Write the configuration for a database; returns its path."""
        masters = self.folder / "master"
        masters.touch(0o600)
        masters.write_text(f"0:{base64.b64encode(stage.MASTER).decode()}\n")
        path = self.folder / f"{database.stem}.toml"
        path.write_text("".join(self._sections(database)))
        return path

    def _sections(self, database: Path) -> Iterator[str]:
        yield f"""
[store]
path = "{database}"
key_file = "master"
[door]
listen = ["127.0.0.1:{self.door}"]
[ops]
listen = ["127.0.0.1:{self.ops}"]
[shutdown]
grace_seconds = {GRACE}
[[tenants]]
name = "{stage.TENANT}"
jitter_seconds = 0
"""
        for name, scopes in KEYS.items():
            digest = digest_of(_secret(name).encode()).hex()
            yield f'[[tenants.keys]]\nid = "{name}"\nsha256 = "{digest}"\nscopes = {list(scopes)}\n'
        for name in ("alarm", "control"):
            yield f"""
[[tenants.classes]]
name = "{name}"
roles = ["{stage.ROLE}"]
reasons = ["{stage.REASON}"]
rate_per_hour = 100000
"""
        key_file = Path(self.providers.apns["ca"]).parent / "AuthKey.p8"
        for app, fake, connections in (
            (stage.APP, self.providers.apns, 2),
            (DESK, self.providers.sink, SINK_CONNECTIONS),
        ):
            yield f"""
[[tenants.apps]]
name = "{app}"
topic = "{stage.TOPIC}"
team_id = "{stage.TEAM}"
key_id = "{stage.KEY}"
key_file = "{key_file}"
connections = {connections}
most_connections = {connections}
{_where(fake)}"""
        yield f"""
[[tenants.apps]]
name = "{stage.ANDROID}"
provider = "fcm"
service_account_file = "{self.providers.fcm["service_account"]}"
connections = 2
{_where(self.providers.fcm)}"""

    @contextlib.contextmanager
    def running(self, database: Path | None = None) -> Iterator[Relay]:
        """A relay, just started, on the main database or another; killed at the end if it is not dead yet."""
        if database is None:
            relay, self._spare = self._spare or self._made_ready(self.database), None
        else:
            relay = self._made_ready(database)
        try:
            relay.begin()
            if database is None:
                self._spare = self._made_ready(self.database)
            yield relay
        finally:
            relay.end()

    def _made_ready(self, database: Path) -> Relay:
        self._made += 1
        log = self.folder / f"relay-{self._made}.log"
        launcher = ["--launcher", str(self.launcher)] if self.launcher else []
        command = ["-m", "bench.crash.warm", *launcher, "serve", "--config", str(self.configure(database))]
        with log.open("wb") as said:
            process = subprocess.Popen([sys.executable, *command], stdin=subprocess.PIPE, stdout=said, stderr=said)
        return Relay(process, log, database, self.ops)

    def __enter__(self) -> Self:
        self._spare = self._made_ready(self.database)
        return self

    def __exit__(self, *_: object) -> None:
        if self._spare is not None:
            self._spare.end()


def _secret(name: str) -> str:
    return f"{stage.SECRET}-{name}"


def _where(fake: dict[str, str]) -> str:
    return f'endpoint = "{fake["listening"]}"\nca_file = "{fake["ca"]}"\n'


@dataclass(slots=True)
class Relay:
    """A relay process, from outside."""

    process: subprocess.Popen[bytes]
    log: Path
    database: Path
    ops: int
    index: int | None = None
    """What the log's index had as wanted when the relay was ready; None before."""

    def begin(self) -> None:
        """Let a process that was made ready be a relay."""
        assert self.process.stdin is not None
        self.process.stdin.write(b"\n")
        self.process.stdin.close()

    def end(self) -> None:
        """Kill it if it is not dead yet."""
        self.process.kill()
        self.process.wait()
        if self.process.stdin is not None:
            self.process.stdin.close()

    def has_said(self, words: str) -> bool:
        return words in self.log.read_text()

    @property
    def is_ready(self) -> bool:
        return self.has_said('"relay_started"')

    @property
    def is_moving(self) -> bool:
        """It moves its log into the file, or did so when it died. A start leaves the index as if a move had begun."""
        done, wanted = moved(self.database)
        return self.index is not None and done < wanted != self.index

    @property
    def is_over(self) -> bool:
        return self.process.poll() is not None

    def wait_until_ready(self) -> None:
        deadline = time.monotonic() + PATIENCE
        while not self.is_ready:
            if self.is_over or time.monotonic() > deadline:
                raise SystemExit(f"the relay did not start:\n{self.log.read_text()[-2000:]}")
            time.sleep(LOOK)
        self.index = moved(self.database)[1]

    def kill(self) -> float:
        """SIGKILL; returns when (UTC seconds)."""
        at = time.time()
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()
        return at

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def metrics(self) -> dict[str, float]:
        """What /metrics tells, by name and labels as they are written there."""
        lines = _fetched(f"127.0.0.1:{self.ops}", "/metrics").decode().splitlines()
        return {n: float(v) for n, v in (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))}

    def is_quiet(self) -> bool:
        """No wakeup is queued or without an answer, and all verdicts are booked."""
        names = ("feierabend_lane_queued", "feierabend_lane_in_flight", "feierabend_verdicts_waiting")
        return not any(value for name, value in self.metrics().items() if name.startswith(names))

    @property
    def log_bytes(self) -> int:
        """Size of the write-ahead log."""
        try:
            return os.stat(f"{self.database}-wal").st_size
        except OSError:
            return 0
