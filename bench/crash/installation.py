"""What an operator would have put up: the files of a relay; and its providers: two strict fakes, and the fast sink."""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

from bench import stage
from bench.crash.people import DESK
from bench.crash.sightings import JOURNALS, STAMPS
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
        return {name: json.loads(fetched(fake["control"], "/journal")) for name, fake in strict.items()}

    def call_dead(self, tokens: Sequence[str]) -> None:
        """From now on these are answered as those of phones that are gone."""
        for fake in (self.apns, self.fcm):
            with closing(http.client.HTTPConnection(fake["control"], timeout=60)) as connection:
                body = json.dumps({"tokens": list(tokens)})
                connection.request("POST", "/tokens/gone", body, {"content-type": "application/json"})
                if connection.getresponse().status != HTTPStatus.NO_CONTENT:
                    raise SystemExit("a fake does not let itself be told which phones are gone")

    def wait_until_left(self) -> None:
        """Until no connection to them is open: what the dead relay had sent is read and judged then."""
        ports = {stage.port_of(fake["listening"]) for fake in (self.apns, self.fcm, self.sink)}
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            if not any(port in ports for port in _open_ports()):
                return
            time.sleep(LOOK)
        raise SystemExit("a fake holds a connection of a dead relay open")


def fetched(address: str, path: str) -> bytes:
    """What is answered there to a plain GET."""
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
    sink = ("--dead-every", "0", "--streams", str(SINK_STREAMS), "--stamps", str(folder / STAMPS))
    with (
        stage.fake("apns", folder / "apns", *strict, "--journal", str(folder / JOURNALS[0])) as apns,
        stage.fake("fcm", folder / "fcm", *strict, "--journal", str(folder / JOURNALS[1])) as fcm,
        stage.fake("sink", folder / "sink", *sink) as desk,
    ):
        yield Providers(apns, fcm, desk, folder)


@dataclass(frozen=True, slots=True)
class Installation:
    """One relay's files and ports."""

    folder: Path
    providers: Providers
    door: int
    ops: int
    nodes: int = 0
    """Where other nodes ask it, if there are some."""

    @property
    def database(self) -> Path:
        """The main one."""
        return self.folder / "relay.db"

    @property
    def keys(self) -> dict[str, str]:
        return {name: f"{name}.{_secret(name)}" for name in KEYS}

    @property
    def nodes_address(self) -> str:
        return f"127.0.0.1:{self.nodes}"

    def configure(self, database: Path | str) -> Path:
        """Write the configuration for a file, or for a database by its address; returns its path."""
        masters = self.folder / "master"
        masters.touch(0o600)
        masters.write_text(f"0:{base64.b64encode(stage.MASTER).decode()}\n")
        is_file = isinstance(database, Path)
        path = self.folder / f"{database.stem if isinstance(database, Path) else 'relay'}.toml"
        path.write_text("".join(self._sections(f'{"path" if is_file else "postgresql"} = "{database}"')))
        return path

    def _sections(self, store: str) -> Iterator[str]:
        yield f"""
[store]
{store}
key_file = "master"
[door]
listen = ["127.0.0.1:{self.door}"]
[ops]
listen = ["127.0.0.1:{self.ops}"]
{'socket = "ops.sock"' if self.nodes else ""}
[shutdown]
grace_seconds = {GRACE}
[[tenants]]
name = "{stage.TENANT}"
jitter_seconds = 0
"""
        if self.nodes:
            yield f'[nodes]\nlisten = "{self.nodes_address}"\n'
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


def _secret(name: str) -> str:
    return f"{stage.SECRET}-{name}"


def _where(fake: dict[str, str]) -> str:
    return f'endpoint = "{fake["listening"]}"\nca_file = "{fake["ca"]}"\n'
