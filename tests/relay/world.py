"""A whole relay in virtual time and memory, with a strict APNs at the other end.

    async with world() as w:
        await w.register("anna")
        await w.rest("anna", rest_between(w.now, w.now + HOUR))
        await w.post("anna")
        await w.pass_time(HOUR + 1)
        assert w.rang("anna") == [HOUR]

Everything is the real part: relay/service.py assembles it, the store is the memory reference, the clock is trio's
virtual one (mark the test with `@virtual`). Only the network is made of memory (`Network`, `Line`), so that it can
be cut, jammed and muted. Leaving the block checks what must hold at any instant: the books balance, and the simulator
saw no breach of Apple's rules.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cache, partial, wraps
from itertools import count
from pathlib import Path
from random import Random
from typing import Final, ParamSpec

import trio
import trio.testing

from relay.clock import SLICE, Clock, TrioClock
from relay.config import (
    AnyAppConfig,
    AppConfig,
    Config,
    DoorConfig,
    FcmAppConfig,
    KeyConfig,
    MasterKeys,
    StoreConfig,
    TenantConfig,
)
from relay.core.devices import Platform, Registration
from relay.core.events import DEFAULT_CLASSES, HOUR, NEVER, Accepted, Authority, Event, EventClass, Request
from relay.core.holding import Holds, for_ever
from relay.core.people import Person
from relay.core.private import DeviceKey, Private, UserKey
from relay.core.records import Records
from relay.core.seal import Seals
from relay.core.tenants import Tenant
from relay.doors.keys import Scope
from relay.journal import Executor, inline
from relay.lanes.lane import LaneStatistics
from relay.lanes.oauth import PostForm
from relay.lanes.proxy import Proxy
from relay.service import Relay, Seams
from relay.simulators.apns import FakeApns
from relay.simulators.certificates import provider_key
from relay.simulators.journal import Entry
from relay.simulators.provider_token import TeamKey
from relay.store.memory import MemoryStore
from relay.store.port import StoreError
from relay.ways import address_of
from relay.wire import Beneath

NOON: Final = datetime(2026, 11, 24, 11, 0, tzinfo=UTC).timestamp()
"""A Tuesday, 12:00 in Berlin."""
TENANT: Final = "example"
APP: Final = "ios"
TOPIC: Final = "de.example.messenger"
TEAM_ID: Final = "ABCDE12345"
KEY_ID: Final = "FGHIJ67890"
SECRET: Final = "s" * 43
"""Secret of the API key `backend`, for tests that open the door."""
P = ParamSpec("P")


def virtual(test: Callable[P, Awaitable[None]]) -> Callable[P, None]:
    """Decorator: run an async test on a clock that jumps to the next deadline whenever all tasks wait.

    Not pytest-trio's fixture, because hypothesis needs a synchronous function and a new clock for each example.
    """

    @wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        trio.run(partial(test, *args, **kwargs), clock=trio.testing.MockClock(autojump_threshold=0))

    return run


@cache
def signing_key() -> tuple[bytes, bytes]:
    """The team's key, private and public; one for the whole run, because making it is slow."""
    return provider_key()


class SettableClock:
    """Follows trio's clock from a start instant, and can be set wrong; sleepers notice within a slice, as at a wall."""

    def __init__(self, start: float = NOON) -> None:
        self._zero = start - trio.current_time()
        self.error = 0.0
        """Seconds by which it is ahead."""

    def now(self) -> float:
        return self._zero + trio.current_time() + self.error

    async def sleep_until(self, instant: float) -> None:
        await trio.lowlevel.checkpoint()
        while (left := instant - self.now()) > 0:  # noqa: ASYNC110 (waits for an instant, not for a condition)
            await trio.sleep(min(left, SLICE))


def token_of(user: str, device: str = "phone", generation: int = 0) -> str:
    """The APNs token of a device; another `generation` is another token."""
    return hashlib.sha256(f"{user}/{device}/{generation}".encode()).hexdigest()


# --- rest documents


def rest_between(*edges: float) -> dict[str, object]:
    """Rest from the first instant to the second, from the third to the fourth, …"""
    pairs = zip(edges[::2], edges[1::2], strict=True)
    windows = [{"kind": "once", "start": _iso(start), "end": _iso(end)} for start, end in pairs]
    return {"timezone": "Europe/Berlin", "windows": windows}


def nightly(start: str = "0 22 * * *", minutes: int = 480) -> dict[str, object]:
    """Rest every night, by the wall clock of Berlin."""
    windows = [{"kind": "cron", "start": start, "duration_minutes": minutes}]
    return {"timezone": "Europe/Berlin", "windows": windows}


ENDLESS: Final = nightly("0 0 * * *", 1440)
"""Every day, all day."""


def _iso(instant: float) -> str:
    assert abs(instant - round(instant)) < 0.001, "rules have whole seconds"
    return datetime.fromtimestamp(round(instant), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


# --- the network


class Line(trio.abc.Stream):
    """The relay's end of one connection."""

    def __init__(self, inner: trio.abc.Stream, far: trio.abc.Stream) -> None:
        self._inner = inner
        self._far = far
        self._flows = trio.Event()
        self._flows.set()
        self.muted = False
        self.address = ""
        self.sent: list[bytes] = []
        """What each write handed over."""
        self.closed = False

    def jam(self) -> None:
        """Writes hang from now on, before their first byte has left."""
        self._flows = trio.Event()

    def flow(self) -> None:
        """Writes go on."""
        self._flows.set()

    def mute(self) -> None:
        """Nothing of what the provider says arrives any more."""
        self.muted = True

    async def cut(self) -> None:
        """The connection breaks."""
        await trio.aclose_forcefully(self._far)

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self._flows.wait()
        self.sent.append(bytes(data))
        await self._inner.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self._flows.wait()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        while True:
            data = await self._inner.receive_some(max_bytes)
            if not (self.muted and data):
                return data

    async def aclose(self) -> None:
        self.closed = True
        await self._inner.aclose()


Serve = Callable[[trio.abc.Stream], Awaitable[None]]


class Network:
    """How the relay reaches its providers. `serve` maps an app's name to what answers there."""

    def __init__(self, nursery: trio.Nursery, serve: Mapping[str, Serve]) -> None:
        self._nursery = nursery
        self.serve = dict(serve)
        self.reachable = True
        self.addresses: list[str] = []
        """What a lookup finds; when empty, the host's name."""
        self.refusing: set[str] = set()
        """Addresses that refuse."""
        self.swallowing: set[str] = set()
        """Addresses that do not answer."""
        self.tried: list[str] = []
        """The address of each attempt."""
        self.connect_seconds = 0.0
        self.attempts: list[float] = []
        """When each attempt to connect began, by trio's clock."""
        self.most_at_once = 0
        self._in_progress = 0
        self.proxy: Proxy | None = None
        """Of the app that was connected last, if it has one."""
        self.lines: list[Line] = []
        """Every connection there was, oldest first."""

    def connect(self, app: AnyAppConfig) -> Callable[[str, int], Awaitable[trio.abc.Stream]]:
        """Through a proxy where the app has one: `serve` is that proxy then."""
        reach = partial(self._connect, app.name)
        if app.proxy is None:
            return reach

        async def beneath(address: str, port: int) -> Beneath:
            return Beneath(await reach(address, port))

        async def as_it_is(stream: trio.abc.Stream) -> trio.abc.Stream:
            return stream

        way = app.proxy
        self.proxy = Proxy(way.address.host, way.address.port, way.credentials)
        return self.proxy.connecting(beneath, *address_of(app), as_it_is)

    async def resolve(self, host: str, _port: int) -> list[str]:
        return list(self.addresses) or [host]

    async def _connect(self, app: str, address: str, _port: int) -> trio.abc.Stream:
        self.attempts.append(trio.current_time())
        self.tried.append(address)
        self._in_progress += 1
        self.most_at_once = max(self.most_at_once, self._in_progress)
        try:
            await trio.sleep(float("inf") if address in self.swallowing else self.connect_seconds)
        finally:
            self._in_progress -= 1
        if not self.reachable or address in self.refusing:
            raise ConnectionRefusedError
        near, far = trio.testing.memory_stream_pair()
        line = Line(near, far)
        line.address = address
        self.lines.append(line)
        self._nursery.start_soon(self.serve[app], far)
        return line

    async def unplug(self) -> None:
        """Every connection breaks, and no new one succeeds until `reachable` is true again."""
        self.reachable = False
        for line in self.open_lines:
            await line.cut()

    @property
    def open_lines(self) -> list[Line]:
        return [line for line in self.lines if not line.closed]


# --- the store's thread


class Gate:
    """An executor with a door: commits wait while it is shut. With `fails` none succeeds. Each takes `seconds`."""

    def __init__(self) -> None:
        self._open = trio.Event()
        self.open()
        self.waiting = 0
        self.fails = False
        self.seconds = 0.0

    def open(self) -> None:
        self._open.set()

    def shut(self) -> None:
        self._open = trio.Event()

    async def __call__(self, commit: Callable[[], None]) -> None:
        self.waiting += 1
        try:
            await self._open.wait()
            if self.seconds:
                await trio.sleep(self.seconds)
        finally:
            self.waiting -= 1
        if self.fails:
            raise StoreError("no")
        await inline(commit)


# --- the configuration


def app(name: str = APP, *, connections: int = 1, topic: str = TOPIC) -> AppConfig:
    return AppConfig(
        name=name, topic=topic, team_id=TEAM_ID, key_id=KEY_ID, key=signing_key()[0], environment="production",
        connections=connections, endpoint=None, ca_file=None,
    )  # fmt: skip


CLASSES: Final = (
    *DEFAULT_CLASSES[:2],
    EventClass(name="brief", deadline=600.0),
    EventClass(
        name="alarm", pierces=True, cancellable=False, deadline=HOUR, roles=frozenset({"dispatch"}),
        reasons=frozenset({"incident"}),
    ),
    replace(DEFAULT_CLASSES[-1], roles=frozenset({"administration"}), reasons=frozenset({"device_lost"})),
)  # fmt: skip
"""The default classes, alarms and orders that somebody may send, and one class that is given up after ten minutes."""


def tenant(*apps: AnyAppConfig, name: str = TENANT, posts_seen: bool = False, jitter: float = 0.0) -> TenantConfig:
    key = KeyConfig("backend", hashlib.sha256(SECRET.encode()).digest(), frozenset({Scope.EVENTS, Scope.DEVICES}))
    return TenantConfig(
        name=name, posts_seen=posts_seen, device_limit=3, evict=True, jitter_seconds=jitter, keys=(key,), apps=apps,
        classes=CLASSES,
    )  # fmt: skip


def configuration(*tenants: TenantConfig, grace: float = 10.0) -> Config:
    """A configuration that listens nowhere."""
    masters = MasterKeys({1: b"m" * 32}, 1, 1)
    store = StoreConfig(Path("nowhere.db"), Path("nowhere.key"), masters)
    return Config(store, DoorConfig((), 100, 2**20), (), grace, tenants)


# --- the world


@dataclass(slots=True, repr=False)
class World:
    """A running relay, its provider, and short words for what happens to them."""

    relay: Relay
    config: Config
    store: MemoryStore
    clock: Clock
    fake: FakeApns
    network: Network
    nursery: trio.Nursery
    stop: trio.Event
    stopped: trio.Event
    """Set when `Relay.run` has returned."""
    start: float
    forgiven: set[str] = field(default_factory=set)
    """Breaches the test provokes on purpose."""
    _running: trio.CancelScope = field(default_factory=trio.CancelScope)
    _numbers: count[int] = field(default_factory=count)
    _owners: dict[str, str] = field(default_factory=dict)
    """token → user"""

    # what happens

    async def register(
        self, user: str, *devices: str, app: str = APP, generation: int = 0, platform: Platform = Platform.APNS
    ) -> None:
        """Register devices of a user ("phone" if none is named), or refresh them."""
        for device in devices or ("phone",):
            await self.relay.engine.put_device(self.tenant, self._registration(user, device, app, generation, platform))

    async def crowd(self, size: int, rest: Mapping[str, object] | None = None) -> list[str]:
        """Register so many users at once, each with a phone; return their names."""
        names = [f"user{number}" for number in range(size)]
        async with trio.open_nursery() as nursery:
            for name in names:
                nursery.start_soon(self.register, name)
                if rest is not None:
                    nursery.start_soon(self.rest, name, rest)
        return names

    def _registration(self, user: str, device: str, app: str, generation: int, platform: Platform) -> Registration:
        names, records = self.tenant.pseudonyms, self.records
        key, device_key, token = names.user(user), names.device(user, device), token_of(user, device, generation)
        self._owners[token] = user
        return Registration(
            user=key, sealed_id=records.seal_user(key, Private(user)), device=device_key, app=app, platform=platform,
            token_hash=names.token(app, token),
            sealed=records.seal_device(key, device_key, Private(user), Private(device), Private(token)),
        )  # fmt: skip

    async def unregister(self, user: str, device: str = "phone") -> None:
        await self.relay.engine.delete_device(self.tenant, self.key(user), self.device_key(user, device))

    async def post(
        self, *users: str, event_class: str = "message", at: float | None = None, ttl: float | None = None,
        device: str | None = None,
    ) -> Accepted:  # fmt: skip
        """Post one event; return when it is committed."""
        of = self.tenant.classes[event_class]
        at = self.now if at is None else at
        recipients = self.records.seal_recipients([self.key(user) for user in users])
        authority = Authority("backend", "dispatch", "incident", recipients) if of.pierces else None
        one = None if device is None else self.device_key(users[0], device)
        event = Event(of, [self.key(user) for user in users], at, NEVER if ttl is None else at + ttl, authority, one)
        identity = None
        if of.pierces:
            identity = Request(self.tenant.pseudonyms.request("backend", f"n{next(self._numbers)}"), b"body")
        return await self.relay.engine.accept(self.tenant, [event], identity)

    async def alarm(self, *users: str) -> Accepted:
        return await self.post(*users, event_class="alarm")

    async def confirm(self, user: str, device: str | None = None) -> None:
        one = None if device is None else self.device_key(user, device)
        await self.relay.engine.confirm(self.tenant, self.key(user), self.tenant.classes["control"], one, self.now)

    async def forget(self, user: str) -> None:
        await self.relay.engine.delete_user(self.tenant, self.key(user))

    async def seen(self, user: str, at: float | None = None, active_for: float | None = None) -> None:
        active = {} if active_for is None else {self.key(user): self.now + active_for}
        await self.relay.engine.seen(self.tenant, [(self.key(user), self.now if at is None else at)], active)

    async def rest(self, user: str, document: Mapping[str, object]) -> None:
        sealed_id = self.records.seal_user(self.key(user), Private(user))
        await self.relay.engine.put_rest(self.tenant, self.key(user), sealed_id, document, None)

    async def no_rest(self, user: str) -> None:
        await self.relay.engine.delete_rest(self.tenant, self.key(user), None)

    async def pass_time(self, seconds: float) -> None:
        await trio.sleep(seconds)

    async def until(self, instant: float) -> None:
        """Let everything before `instant` (of the relay's clock) happen, and nothing of it."""
        await trio.sleep(instant - self.now)

    async def quiet(self) -> None:
        """Let everything happen that can happen now."""
        await trio.testing.wait_all_tasks_blocked()

    def kill(self) -> None:
        """The process dies: nothing is drained, nothing is committed any more."""
        self._running.cancel()

    async def restart(self) -> None:
        """A new process on the same store."""
        self.kill()
        await self.stopped.wait()
        self.relay = Relay(self.config, self.store, self.clock, self._seams)
        await self.begin()

    # what is seen

    @property
    def now(self) -> float:
        return self.clock.now()

    @property
    def tenant(self) -> Tenant:
        return next(iter(self.relay.tenants.values()))

    @property
    def records(self) -> Records:
        masters = self.config.store.masters
        return Records(Seals(masters.keys, masters.current), self.tenant.name)

    def key(self, user: str) -> UserKey:
        return self.tenant.pseudonyms.user(user)

    def device_key(self, user: str, device: str = "phone") -> DeviceKey:
        return self.tenant.pseudonyms.device(user, device)

    def person(self, user: str) -> Person:
        return self.relay.people.by_key[self.key(user)]

    def requests(self, user: str | None = None) -> list[Entry]:
        """Every request that reached the provider, for one user or for all."""
        return [e for e in self.fake.journal.entries if user is None or self._owners.get(e.token) == user]

    def owner(self, entry: Entry) -> str:
        """Whose device a request was for."""
        return self._owners[entry.token]

    def wakeups(self, user: str | None = None) -> list[Entry]:
        """Requests the provider accepted."""
        return [entry for entry in self.requests(user) if entry.status == 200]

    def rang(self, user: str, device: str | None = None) -> list[float]:
        """When the devices of a user were woken, in seconds since the start."""
        token = None if device is None else token_of(user, device)
        return [round(e.t - self.start, 3) for e in self.wakeups(user) if token in (None, e.token)]

    @property
    def lane(self) -> LaneStatistics:
        """Of the first app."""
        return self.relay.pool.statistics()[0]

    @property
    def account(self) -> dict[str, int]:
        """The books, summed over all classes; what is zero is left out."""
        sums: dict[str, int] = {}
        for account in self.relay.people.books.accounts.values():
            for name in ("accepted", "woken", "merged", "cancelled", "expired", "undeliverable", "pending"):
                sums[name] = sums.get(name, 0) + getattr(account, name)
        return {name: value for name, value in sums.items() if value}

    def check(self) -> None:
        """What must hold at any instant."""
        people = self.relay.people
        assert people.books.balance(people.pending()) == []
        breaches = {what: n for what, n in self.fake.journal.violations.items() if what not in self.forgiven}
        assert not breaches, breaches

    # inside

    _seams: Seams = field(default_factory=Seams)

    async def begin(self) -> None:
        """Start the relay."""
        self.stop, self.stopped = trio.Event(), trio.Event()
        self._running = trio.CancelScope()
        await self.nursery.start(self._run)

    async def _run(self, *, task_status: trio.TaskStatus[object]) -> None:
        try:
            with self._running:
                await self.relay.run(self.stop, task_status=task_status)
        finally:
            self.stopped.set()


@asynccontextmanager
async def world(
    *tenants: TenantConfig,
    start: float = NOON,
    clock: Clock | None = None,
    provider_has_it: bool = False,
    jitter: float = 0.0,
    posts_seen: bool = False,
    connections: int = 1,
    streams: int = 1000,
    grace: float = 10.0,
    store: MemoryStore | None = None,
    serve: Mapping[str, Serve] | None = None,
    executor: Executor = inline,
    post: Callable[[FcmAppConfig], PostForm] | None = None,
    keys: Mapping[str, TeamKey] = {},
    seed: int = 1,
    running: bool = True,
    holds: Holds = for_ever,
) -> AsyncIterator[World]:
    """Without `tenants`: one, with one app. `keys`: what Apple knows besides the usual one.

    `clock`: the relay's, when it shall be wrong; the provider's never is. With `provider_has_it` it is not wrong, and a
    step of it is time that the machine slept through.
    """
    provider_clock: Clock = clock if clock is not None and provider_has_it else TrioClock(start)
    clock = clock or provider_clock
    config = configuration(
        *(tenants or (tenant(app(connections=connections), posts_seen=posts_seen, jitter=jitter),)), grace=grace
    )
    apps = [an_app for a_tenant in config.tenants for an_app in a_tenant.apps]
    topics = {a.topic for a in apps if isinstance(a, AppConfig)}
    fake = FakeApns(
        {KEY_ID: TeamKey(team_id=TEAM_ID, key_id=KEY_ID, public_pem=signing_key()[1]), **keys}, topics,
        provider_clock.now, streams=streams,
    )  # fmt: skip
    store = store or MemoryStore()
    async with trio.open_nursery() as nursery:
        network = Network(nursery, {a.name: fake.serve_stream for a in apps} | dict(serve or {}))
        seams = Seams(executor=executor, connect=network.connect, resolve=network.resolve, post=post, rng=Random(seed))
        relay = Relay(config, store, clock, seams, holds=holds)
        made = World(
            relay, config, store, clock, fake, network, nursery, trio.Event(), trio.Event(), start, _seams=seams
        )
        if running:
            await made.begin()
        yield made
        made.check()
        nursery.cancel_scope.cancel()
