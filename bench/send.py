"""How fast wakeups go out: our lanes, TLS, every verdict booked; beside others as shipped, in turns in the same run.

    apns      our lane for APNs: the relay starts on a SQLite file with one pending slot per user, three devices each;
              from the first look at the due slots to the last verdict booked. So what is measured is: due, gate, last
              look, token opened, request written, answer judged, verdict committed; the books must balance. Every
              1,000th answer is 410
    fcm       our lane for FCM, measured the same way. A connection takes 100 requests at a time, as Google's do, but
              the quota of 10,000 a second is lifted; the access token is there at once. All answers are good: the sink
              says only Apple's way that one is dead
    apns_nghttpd
              our lane for APNs against nghttpd, a server in C: tells what our own sink, which is Python, holds back

The others, and what they do and do not do, stand at the head of bench/peers.py. The provider is the fast sink in a
process of its own, which answers at once. Real life adds answers of 40-400 ms, which cost streams, not CPU.

    python -m bench.send [--runs 5] [--apns 100000] [--pyfcm 0] [--json]
"""

from __future__ import annotations

import json
import time
from itertools import chain
from pathlib import Path

import trio

from bench import contest, peers, stage
from bench.contest import Contender, Sent, Turn
from relay import process
from relay.clock import WallClock
from relay.config import (
    Address,
    AnyAppConfig,
    AppConfig,
    Config,
    DoorConfig,
    FcmAppConfig,
    MasterKeys,
    StoreConfig,
    TenantConfig,
)
from relay.core.devices import Platform
from relay.core.events import DEFAULT_CLASSES
from relay.lanes.oauth import PostForm, ServiceAccount
from relay.service import Relay, Seams
from relay.simulators.certificates import account_key, provider_key
from relay.simulators.commands import ACCOUNT, ACCOUNT_KEY_ID, PROJECT
from relay.store.sqlite import SqliteStore

APNS_CONNECTIONS, FCM_CONNECTIONS = 2, 4
"""Defaults of the configuration."""
FCM_STREAMS = 100
LIFTED = 10**8
"""Messages a minute: Google's 600,000 would be all there is to measure."""


def apns(turn: Turn) -> Sent:
    path, _ = filled(turn, Platform.APNS)
    with stage.sink(turn.folder) as (port, ca):
        return trio.run(measure, configuration(path, apns_app(port, ca)))


def apns_nghttpd(turn: Turn) -> Sent:
    path, tokens = filled(turn, Platform.APNS)
    with peers.nghttpd(turn.folder, chain.from_iterable(tokens)) as (port, ca):
        return trio.run(measure, configuration(path, apns_app(port, ca)))


def fcm(turn: Turn) -> Sent:
    path, _ = filled(turn, Platform.FCM)
    account = ServiceAccount(PROJECT, ACCOUNT, account_key()[0].decode(), ACCOUNT_KEY_ID, "https://127.0.0.1:1/token")
    with stage.sink(turn.folder, "--streams", str(FCM_STREAMS), "--dead-every", "0") as (port, ca):
        app = FcmAppConfig(
            name=stage.ANDROID, account=account, connections=FCM_CONNECTIONS, rate_per_minute=LIFTED,
            endpoint=Address("127.0.0.1", port), token_uri_is_overridden=True, ca_file=ca,
        )  # fmt: skip
        return trio.run(measure, configuration(path, app), Seams(post=token_at_once))


def filled(turn: Turn, platform: Platform) -> tuple[Path, stage.Tokens]:
    """A store in which three phones each of many users wait for a wakeup."""
    path = turn.folder / "relay.db"
    tokens = stage.new_tokens(stage.phones(-(-turn.wakeups // 3), turn.wakeups), turn.rng, platform)
    stage.fill(path, tokens, pending=True)
    return path, tokens


def apns_app(port: int, ca_file: Path) -> AppConfig:
    return AppConfig(
        name=stage.APP, topic=stage.TOPIC, team_id=stage.TEAM, key_id=stage.KEY, key=provider_key()[0],
        environment="production", connections=APNS_CONNECTIONS, endpoint=Address("127.0.0.1", port), ca_file=ca_file,
    )  # fmt: skip


def configuration(path: Path, app: AnyAppConfig) -> Config:
    tenant = TenantConfig(
        name=stage.TENANT, posts_seen=False, device_limit=3, evict=True, jitter_seconds=0, keys=(), apps=(app,),
        classes=DEFAULT_CLASSES,
    )  # fmt: skip
    store = StoreConfig(path, path, MasterKeys({0: stage.MASTER}, 0, 0))
    door = DoorConfig((Address("127.0.0.1", 0),), 10, 4096)
    return Config(store, door, (Address("127.0.0.1", 0),), 5.0, (tenant,))


def token_at_once(_app: FcmAppConfig) -> PostForm:
    """Access tokens, as long as Google's, from nowhere."""

    async def post(_uri: str, _form: dict[str, str]) -> tuple[int, bytes]:
        return 200, json.dumps({"access_token": "ya29." + "a" * 219, "expires_in": 3599}).encode()

    return post


async def measure(config: Config, seams: Seams | None = None) -> Sent:
    """From the first look at the due slots to the last verdict booked."""
    store = SqliteStore(config.store.file)
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


def is_done(relay: Relay, devices: int) -> bool:
    """Every device has its answer, and every answer is booked. The dear question is asked last."""
    lane = relay.pool.statistics()[0]
    if lane.accepted + sum(lane.answers.values()) < devices or relay.journal.statistics().unsettled:
        return False
    return not any(person.flights or person.slots for person in relay.people.by_key.values())


CONTENDERS = {
    "apns": Contender(apns, 100_000),
    "fcm": Contender(fcm, 50_000),
    "apns_nghttpd": Contender(apns_nghttpd, 50_000, needs=("nghttpd",)),
}
RATIOS = {
    "apns_ratio_aioapns": ("apns", "aioapns"),
    "apns_ratio_httpx": ("apns", "httpx"),
    "apns_ratio_h2load": ("apns", "h2load"),
    "fcm_ratio_pyfcm": ("fcm", "pyfcm"),
}

if __name__ == "__main__":
    contest.run(__doc__, CONTENDERS | peers.CONTENDERS, RATIOS, runs=5)
