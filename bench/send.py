"""How fast wakeups go out: the real lane, TLS, every verdict booked; beside aioapns as shipped.

The provider is the fast sink in a process of its own (answers at once, every 1,000th is 410). The relay starts on
a SQLite file that holds one pending slot per user, three devices each, so what is measured is: due, gate, last look,
token opened, request written, answer judged, verdict committed. Real life adds answers of 40-400 ms, which cost
streams, not CPU, and 100 streams per connection at FCM. aioapns finds answers by `apns-id`, so its sink repeats that.

    python -m bench.send [--wakeups 100000] [--runs 5] [--json]
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import random
import resource
import ssl
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import trio
from aioapns import APNs, NotificationRequest, PushType
from aioapns.connection import APNsKeyConnectionPool, APNsTLSClientProtocol

from bench import stage
from bench.report import say, surroundings
from relay import process
from relay.clock import WallClock
from relay.config import Address, AnyAppConfig, AppConfig, Config, DoorConfig, MasterKeys, StoreConfig, TenantConfig
from relay.core.events import DEFAULT_CLASSES
from relay.ops import logs
from relay.service import Relay, Seams
from relay.simulators.certificates import provider_key
from relay.store.sqlite import SqliteStore

MESSAGE = {"aps": {"alert": {"loc-key": "W"}, "mutable-content": 1}}
"""What others send to Apple."""
IN_FLIGHT = 200
"""Requests that others are given at a time."""


@dataclass(frozen=True, slots=True)
class Sent:
    """So many wakeups, and what they took of the clock and of the processor, in seconds."""

    wakeups: int
    wall: float
    cpu: float

    @property
    def per_s(self) -> float:
        return self.wakeups / self.wall

    @property
    def cpu_s_per_10000(self) -> float:
        return self.cpu / self.wakeups * 10_000


def apns_app(port: int, ca_file: Path, connections: int) -> AppConfig:
    return AppConfig(
        name=stage.APP, topic=stage.TOPIC, team_id=stage.TEAM, key_id=stage.KEY, key=provider_key()[0],
        environment="production", connections=connections, endpoint=Address("127.0.0.1", port), ca_file=ca_file,
    )  # fmt: skip


def configuration(path: Path, app: AnyAppConfig) -> Config:
    tenant = TenantConfig(
        name=stage.TENANT, posts_seen=False, device_limit=3, evict=True, jitter_seconds=0, keys=(), apps=(app,),
        classes=DEFAULT_CLASSES,
    )  # fmt: skip
    store = StoreConfig(path, path, MasterKeys({0: stage.MASTER}, 0, 0))
    door = DoorConfig((Address("127.0.0.1", 0),), 10, 4096)
    return Config(store, door, (Address("127.0.0.1", 0),), 5.0, (tenant,))


def is_done(relay: Relay, devices: int) -> bool:
    """Every device has its answer, and every answer is booked. The dear question is asked last."""
    lane = relay.pool.statistics()[0]
    if lane.accepted + sum(lane.answers.values()) < devices or relay.journal.statistics().unsettled:
        return False
    return not any(person.flights or person.slots for person in relay.people.by_key.values())


async def measure(config: Config, seams: Seams | None = None) -> Sent:
    """From the first look at the due slots to the last verdict booked."""
    store = SqliteStore(config.store.path)
    relay = Relay(config, store, WallClock(), seams or Seams())
    devices = sum(len(person.phones) for person in relay.people.by_key.values())
    stop = trio.Event()
    async with trio.open_nursery() as nursery:
        await nursery.start(relay.run, stop)
        process.settle()
        began, cpu = time.perf_counter(), time.process_time()
        while not is_done(relay, devices):  # noqa: ASYNC110 (looks from outside, and rarely)
            await trio.sleep(0.01)
        wall, cpu = time.perf_counter() - began, time.process_time() - cpu
        stop.set()
    lane = relay.pool.statistics()[0]
    balanced = relay.people.books.balance(relay.people.pending()) == []
    if not balanced:
        raise SystemExit(f"the books do not balance: {lane}")
    store.close()
    return Sent(devices, wall, cpu)


async def aioapns_as_shipped(port: int, ca_file: Path, count: int, rng: random.Random) -> Sent:
    """Through aioapns, as many in flight as its pool takes."""

    class Protocol(APNsTLSClientProtocol):
        APNS_SERVER = "127.0.0.1"
        APNS_PORT = port

    context = ssl.create_default_context(cafile=str(ca_file))
    context.set_alpn_protocols(["h2"])
    private, _ = provider_key()
    client = APNs(key=private.decode(), key_id=stage.KEY, team_id=stage.TEAM, topic=stage.TOPIC, ssl_context=context)
    pool = client.pool
    assert isinstance(pool, APNsKeyConnectionPool)
    pool.protocol_class = Protocol

    async def send(requests: list[NotificationRequest]) -> None:
        for request in requests:
            await client.send_notification(request)

    requests = [
        NotificationRequest(device_token=stage.apns_token(rng), message=MESSAGE, push_type=PushType.ALERT)
        for _ in range(count)
    ]
    began, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(send(requests[i::IN_FLIGHT]) for i in range(IN_FLIGHT)))
    return Sent(count, time.perf_counter() - began, time.process_time() - cpu)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--wakeups", type=int, default=100_000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--connections", type=int, default=2)
    parser.add_argument("--aioapns", type=int, default=6_000, help="wakeups per run through aioapns; 0: leave it out")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="last line: one JSON object")
    options = parser.parse_args()
    logs.configure(time.time)
    process.prepare()
    rng = random.Random(options.seed)
    ours: list[Sent] = []
    theirs: list[Sent] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for run in range(options.runs):
            with stage.sink(folder) as (port, ca_file):
                path = folder / f"{run}.db"
                phones = stage.phones(-(-options.wakeups // 3), options.wakeups)
                stage.fill(path, stage.new_tokens(phones, rng), pending=True)
                ours.append(trio.run(measure, configuration(path, apns_app(port, ca_file, options.connections))))
            if options.aioapns:
                with stage.sink(folder, "--echo-ids") as (port, ca_file):
                    theirs.append(asyncio.run(aioapns_as_shipped(port, ca_file, options.aioapns, rng)))
            for suffix in ("", "-wal", "-shm", ".lock"):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(f"{path}{suffix}")
    figures: dict[str, object] = {
        "wakeups": options.wakeups,
        "runs": options.runs,
        "apns_per_s": round(statistics.median(sent.per_s for sent in ours)),
        "apns_per_s_all": [round(sent.per_s) for sent in ours],
        "cpu_s_per_10000": round(statistics.median(sent.cpu_s_per_10000 for sent in ours), 3),
        "rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }
    if theirs:
        figures["aioapns_per_s"] = round(statistics.median(sent.per_s for sent in theirs))
        ratios = [our.per_s / their.per_s for our, their in zip(ours, theirs, strict=True)]
        figures["apns_ratio_aioapns"] = round(statistics.median(ratios), 1)
    say({**figures, **surroundings(options.seed)}, as_json=options.json)


if __name__ == "__main__":
    main()
