"""What the scripts stand on: a filled store, the fast sink and the relay as processes of their own.

scene.py puts them together.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import httpx

from bench.ports import free_port
from relay.core.batch import Batch, PersonRecord
from relay.core.books import Account
from relay.core.devices import Device, Platform, RestRecord
from relay.core.events import NEVER
from relay.core.private import Private
from relay.core.pseudonym import Pseudonyms
from relay.core.records import Records
from relay.core.seal import Seals
from relay.core.slots import Slot
from relay.doors.keys import digest_of
from relay.simulators.certificates import provider_key
from relay.store.port import Store
from relay.store.postgres import PostgresStore
from relay.store.postgres_migrating import migrate
from relay.store.schema import MIGRATIONS
from relay.store.sqlite import SqliteStore

TENANT = "bench"
ANDROID = "android"
APP, TOPIC, TEAM, KEY = "ios", "example.feierabend.app", "FAKETEAM01", "FAKEKEY001"
MASTER = bytes(range(32))
SECRET = "bench-secret"
BACKEND = f"backend.{SECRET}"
"""API key of the relay process, with the scopes events, alarms and devices."""
ROLE = REASON = "bench"
"""What its alarms name."""
Tokens = list[list[str]]
"""Tokens of the phones of each user."""
DAY = 86400.0
NEW = 0
"""Epoch of a file that no relay has had yet."""
CHUNK = 5_000
"""Users of one commit while a store is filled."""


def user_id(number: int) -> str:
    return f"bench-{number}"


def phones(users: int, devices: int) -> list[int]:
    """Phones of each user: as many as any other has, or one more."""
    return [devices // users + (number < devices % users) for number in range(users)]


def apns_token(rng: random.Random) -> str:
    """64 characters, as Apple's are."""
    return rng.randbytes(32).hex()


def fcm_token(rng: random.Random) -> str:
    """163 characters, as Google's mostly are."""
    return f"{rng.randbytes(11).hex()}:APA91b{rng.randbytes(67).hex()}"


TOKENS: dict[Platform, Callable[[random.Random], str]] = {Platform.APNS: apns_token, Platform.FCM: fcm_token}


def new_tokens(phones: Sequence[int], rng: random.Random, platform: Platform = Platform.APNS) -> Tokens:
    new_token = TOKENS[platform]
    return [[new_token(rng) for _ in range(count)] for count in phones]


@contextlib.contextmanager
def sink(folder: Path, *options: str, cpu: int | None = None) -> Iterator[tuple[int, Path]]:
    """The fast sink in its own process: (port, CA file)."""
    with fake("sink", folder, *options, cpu=cpu) as listening:
        yield port_of(listening["listening"]), Path(listening["ca"])


def port_of(address: str) -> int:
    return int(address.rpartition(":")[2])


@contextlib.contextmanager
def fake(kind: str, folder: Path, *options: str, cpu: int | None = None) -> Iterator[dict[str, str]]:
    """A simulator in its own process: what its first line says."""
    command = [sys.executable, "-m", "relay", "fake", kind, "--credentials", str(folder), *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    if cpu is not None:
        os.sched_setaffinity(process.pid, {cpu})
    try:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=10)


RestEnd = Callable[[int], float | None]
"""When the rest of a user ends, by number: one that began yesterday. None: no rest."""


def nobody_rests(_number: int) -> None:
    return None


Place = Path | str
"""Where a store is: a file, or the address of a database of PostgreSQL's."""


def fill(
    place: Place,
    tokens: Tokens,
    *,
    pending: bool = False,
    rest_end: RestEnd = nobody_rests,
    migrations: Sequence[Sequence[str]] = MIGRATIONS,
) -> None:
    """Fill a new store with a user for each list of tokens, a phone for each token; `pending`: with a slot for each.

    A token with a colon is one of FCM. `migrations`: up to the version that a file is to have (a database: all).
    """
    store, epoch = _new_store(place, migrations)
    names, records = Pseudonyms(MASTER, TENANT), Records(Seals({0: MASTER}, 0), TENANT)
    now = time.time()
    for first in range(0, len(tokens), CHUNK):
        last = min(first + CHUNK, len(tokens))
        batch = Batch(now, epoch, generation=last if pending else 0, revision=last)
        for number in range(first, last):
            name = Private(user_id(number))
            user = names.user(name.reveal())
            batch.people[user] = PersonRecord(TENANT, records.seal_user(user, name))
            if pending:
                batch.slots[(user, "message")] = Slot(number + 1, number + 1, 1, 0, now, now, now, NEVER, now)
            if (end := rest_end(number)) is not None:
                batch.rests[user] = RestRecord(records.seal_rest(user, _rest(now - DAY, end)), last)
            for index, token in enumerate(map(Private, tokens[number])):
                device_id = Private(f"phone-{index}")
                device = names.device(name.reveal(), device_id.reveal())
                sealed = records.seal_device(user, device, name, device_id, token)
                is_fcm = ":" in token.reveal()
                app, platform = (ANDROID, Platform.FCM) if is_fcm else (APP, Platform.APNS)
                token_hash = names.token(app, token.reveal())
                batch.devices[device] = (user, Device(device, user, app, platform, token_hash, sealed, now))
        if pending:
            batch.accounts[(TENANT, "message")] = Account(accepted=last)
        store.commit(batch)
    if isinstance(store, PostgresStore):
        store.leave()  # who comes next need not wait for the end of our lease
    store.close()


def _new_store(place: Place, migrations: Sequence[Sequence[str]]) -> tuple[Store, int]:
    """A store that nobody has had yet, and the epoch of a first batch."""
    if isinstance(place, Path):
        return SqliteStore(place, migrations=migrations), NEW
    migrate(place)
    store = PostgresStore(place)
    return store, store.load().epoch


def _rest(*edges: float) -> dict[str, object]:
    start, end = (datetime.fromtimestamp(edge, UTC).isoformat(timespec="seconds") for edge in edges)
    return {"windows": [{"kind": "once", "start": start, "end": end}]}


@dataclass(frozen=True, slots=True)
class Node:
    """The relay in a process of its own."""

    url: str
    ops: str
    key: str
    app: str
    pid: int | None = None
    """None: somebody else's."""
    stream: str | None = None
    """Where its stream door is; None: not known."""

    def metrics(self) -> dict[str, float]:
        """What /metrics tells, by name and labels as they are written there."""
        lines = httpx.get(f"{self.ops}/metrics").text.splitlines()
        return {n: float(v) for n, v in (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))}

    def cpu_seconds(self) -> float | None:
        """CPU it has used so far: says more than the clock where others share the core."""
        if self.pid is None:
            return None
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def rss_mb(self) -> int | None:
        """Resident memory now."""
        if self.pid is None:
            return None
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") // 2**20


@contextlib.contextmanager
def node(
    folder: Path,
    database: Place,
    sink_port: int,
    ca_file: Path,
    *,
    cpu: int | None = None,
    sends: bool = True,
    key_file: Path | None = None,
    more: str = "",
    command: Sequence[str] = ("-m", "relay", "serve"),
) -> Iterator[Node]:
    """A relay on this database, sending to the sink. `sends`: it is waited for until it has a connection there.

    `key_file`: signing key that the provider knows; else one that nobody does. `more`: configuration of other apps.
    `command`: what Python runs; it is told `--config`.
    """
    door, ops, stream = free_port(), free_port(), free_port()
    if key_file is None:
        key_file = folder / "AuthKey.p8"
        key_file.write_bytes(provider_key()[0])
    configuration = _configuration(folder, database, sink_port, ca_file, (door, ops, stream), key_file, more)
    process = subprocess.Popen([sys.executable, *command, "--config", str(configuration)], stderr=subprocess.DEVNULL)
    if cpu is not None:
        os.sched_setaffinity(process.pid, {cpu})
    found = Node(
        f"http://127.0.0.1:{door}", f"http://127.0.0.1:{ops}", BACKEND, APP, process.pid, f"127.0.0.1:{stream}"
    )
    try:
        _wait_until_ready(found, sends=sends)
        yield found
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)


def _wait_until_ready(found: Node, *, sends: bool) -> None:
    for _ in range(2_400):
        with contextlib.suppress(httpx.HTTPError):
            lane = f'feierabend_lane_connections{{app="{found.app}"}}'
            if httpx.get(f"{found.ops}/readyz").status_code == 200 and (not sends or found.metrics().get(lane)):
                return
        time.sleep(0.05)
    raise SystemExit("the relay did not become ready")


def _configuration(
    folder: Path, database: Place, sink_port: int, ca_file: Path, ports: Sequence[int], key_file: Path, more: str
) -> Path:
    """`ports`: of the door, of operations, of streams."""
    door, ops, stream = ports
    masters = folder / "master"
    masters.touch(0o600)
    masters.write_text(f"0:{base64.b64encode(MASTER).decode()}\n")
    path = folder / "relay.toml"
    path.write_text(f"""
[store]
{"path" if isinstance(database, Path) else "postgresql"} = "{database}"
key_file = "master"
[door]
listen = ["127.0.0.1:{door}"]
[ops]
listen = ["127.0.0.1:{ops}"]
[stream]
listen = ["127.0.0.1:{stream}"]
[[tenants]]
name = "{TENANT}"
jitter_seconds = 0
[[tenants.keys]]
id = "backend"
sha256 = "{digest_of(SECRET.encode()).hex()}"
scopes = ["events", "alarms", "devices"]
[[tenants.classes]]
name = "alarm"
roles = ["{ROLE}"]
reasons = ["{REASON}"]
rate_per_hour = 100000
[[tenants.apps]]
name = "{APP}"
topic = "{TOPIC}"
team_id = "{TEAM}"
key_id = "{KEY}"
key_file = "{key_file}"
endpoint = "127.0.0.1:{sink_port}"
ca_file = "{ca_file}"
{more}""")
    return path
