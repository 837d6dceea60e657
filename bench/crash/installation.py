"""What an operator would have put up, and the processes: two strict fakes, the fast sink, and one relay after the other.

Whoever watches a relay from outside (metrics.py aside) reads its log, which is a file, and the kernel's list of sockets.
"""

from __future__ import annotations

import base64
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

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
        return {
            name: httpx.get(f"http://{fake['control']}/journal", timeout=60, trust_env=False).json()
            for name, fake in strict.items()
        }

    def wait_until_left(self, patience: float) -> None:
        """Until no connection to them is open: what the dead relay had sent is read and judged then."""
        ports = {stage.port_of(fake["listening"]) for fake in (self.apns, self.fcm, self.sink)}
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            if not any(port in ports for port in _open_ports()):
                return
            time.sleep(LOOK)
        raise SystemExit("a fake holds a connection of a dead relay open")


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


@dataclass(frozen=True, slots=True)
class Installation:
    """One relay's files. `launcher`: what is run in the place of `python -m relay`."""

    folder: Path
    providers: Providers
    door: int
    ops: int
    launcher: Sequence[str] = ("-m", "relay")

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
    def running(self, database: Path, log: Path) -> Iterator[Relay]:
        """A relay on this database, just started; killed at the end of the block if it is not dead yet."""
        command = [sys.executable, *self.launcher, "serve", "--config", str(self.configure(database))]
        with log.open("wb") as said:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=said, stderr=said)
        try:
            yield Relay(process, log, database, self.ops)
        finally:
            process.kill()
            process.wait()


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
    index: int = 0
    """What the log's index had as wanted when the relay was ready."""

    def has_said(self, words: str) -> bool:
        return words in self.log.read_text()

    @property
    def is_ready(self) -> bool:
        return self.has_said('"relay_started"')

    @property
    def is_moving(self) -> bool:
        """It moves its log into the file, or did so when it died. A start leaves the index as if a move had begun."""
        done, wanted = moved(self.database)
        return done < wanted != self.index

    @property
    def is_over(self) -> bool:
        return self.process.poll() is not None

    def wait_until_ready(self, patience: float) -> None:
        deadline = time.monotonic() + patience
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
        return stage.Node("", f"http://127.0.0.1:{self.ops}", "", "").metrics()

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
