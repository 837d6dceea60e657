"""The relay, assembled by hand. Read this first: every part is made here, and started and stopped here.

    doors ──▶ journal ──commit──▶ people ──▶ dispatcher ──▶ lanes ──▶ providers
                 ▲                                            │
                 └──────────────── verdicts ◀─────────────────┘

Start: the store is read, the journal and the dispatcher run, the lanes connect, and only then the doors open. Stop, in
the order of the arrows: doors take nothing more and finish what they answer, the officers' door among them, and then
its socket; lanes open nothing more and wait for their answers; the journal commits what is left; the store is closed.
All of it within the grace period: whoever hangs then, a client or a provider, is left hanging, for nothing acknowledged
is lost by that. The ops port opens first, closes last.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from random import Random
from typing import Any, Final
from urllib.parse import urlsplit

import structlog
import trio

from relay import trust, unix
from relay.clock import Clock
from relay.compiling import compile_ahead
from relay.config import Address, AnyAppConfig, AppConfig, Config, FcmAppConfig
from relay.config_reader import key_id_of, read_provider_key, read_service_account
from relay.config_web import document
from relay.core.errors import CannotListen
from relay.core.events import NEVER, EventClass
from relay.core.fanout import set_back, set_right
from relay.core.flight import Flight
from relay.core.halts import Halt
from relay.core.holding import Holds, for_ever
from relay.core.people import Person
from relay.core.records import Records
from relay.core.sampling import Sample
from relay.core.tenants import Tenant
from relay.dispatch import Dispatcher
from relay.doors.door import event_door
from relay.doors.http1 import Limits, Server
from relay.doors.keys import ApiKey, Keys
from relay.doors.listening import CrowdListener
from relay.doors.port import LaneCondition
from relay.doors.problems import refusal
from relay.doors.sessions import for_the_web
from relay.doors.stream import StreamDoor
from relay.doors.turns import Turns
from relay.engine import RelayEngine
from relay.journal import Executor, Journal, in_thread
from relay.lanes.apns import Apns
from relay.lanes.credentials import ProviderTokens
from relay.lanes.dialer import Connect, Dialer, Resolve, no_lookup
from relay.lanes.fcm import Fcm
from relay.lanes.lane import Lane
from relay.lanes.oauth import AccessToken, PostForm, ServiceAccount
from relay.lanes.pool import Pool
from relay.lanes.provider import Provider
from relay.lanes.quota import Quota
from relay.lanes.skew import Skew
from relay.lanes.watching import Watched
from relay.loading import Household, bring_back
from relay.neighbours import Neighbours
from relay.ops.control import Control
from relay.ops.copier import Copier
from relay.ops.door import Destination, Ops
from relay.ops.metrics import Sources
from relay.sharing import Shared, Sharing
from relay.store.port import Store
from relay.trust import Trust
from relay.ways import HTTPS, Ways, address_of
from relay.web import COMMAND, Web
from schedules import TZDATA, parse, pointwise

DOORS: Final = 0.4
"""Part of the grace period after which a door does not wait for its clients any more."""
WEB: Final = 0.3
"""Part of the grace period that the officers' door may take; it needs its socket while it drains, so it is less."""
LANES: Final = 0.8
"""Part of the grace period after which a lane does not wait for answers any more."""
WEB_BODY: Final = 256 * 1024
"""Bytes of a request of the officers' door: more than any rest document has."""
WEB_CONNECTIONS: Final = 200
"""Of the officers' door at a time: it uses fewer, over and over."""
NOTE_EVERY: Final = 300.0
"""Seconds of use that a restart takes from a session, at most, when it comes without a drain."""
PURGE_EVERY: Final = 3600.0
PURGE_LIMIT: Final = 10_000
"""Records of each kind removed at a time."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Bound:
    """Where the relay listens, once it does."""

    door: tuple[tuple[str, int], ...]
    ops: tuple[tuple[str, int], ...]
    stream: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Seams:
    """What tests and simulators replace: how to reach a provider, where the store runs, chance."""

    executor: Executor | None = None
    """None: a thread of its own."""
    connect: Callable[[AnyAppConfig], Connect] | None = None
    """None: TLS over TCP, or through a proxy (relay/ways.py)."""
    resolve: Resolve | None = None
    """None: the resolver of the machine; with another `connect` none, and what is connected to is the host's name."""
    post: Callable[[FcmAppConfig], PostForm] | None = None
    """How to fetch access tokens. None: HTTPS."""
    rng: Random | None = None
    web: Sequence[str] = COMMAND
    """The officers' door as a command."""


Filled = tuple[Household, int]
"""Everybody, and the epoch to write under."""


def fill(config: Config, store: Store) -> Filled:
    """Read everything; in any thread. Raises StoreError."""
    household = Household(config.store.masters, config.tenants)
    return household, household.fill(store.load())


class Relay:
    """All parts of one node, made but not running. `run` starts and stops them."""

    def __init__(
        self,
        config: Config,
        store: Store,
        clock: Clock,
        seams: Seams = Seams(),
        filled: Filled | None = None,
        holds: Holds = for_ever,
        sharing: Sharing | None = None,
    ) -> None:
        """`filled`: what was read from the store already. `holds`: whether it is still ours (relay/tenure.py).
        `sharing`: with other nodes; people come by membership then.
        """
        self._config = config
        self._holds = holds
        self._store = store
        self._clock = self.clock = clock
        rng = seams.rng or Random()
        household, epoch = filled or fill(config, store)
        self.tenants, self._records = household.tenants, household.records
        self.people, self.tables = household.people, household.tables
        self.sample = Sample(self._is_resting)
        self._purged = 0
        """Records removed by the last piece of housekeeping."""
        trust.check(clock.now())
        bring_back(self.people, clock.now())
        self.trust = Trust(clock, self._clock_changed, self._set_back)
        self.pool = Pool(self._open_token, rng)
        self.dispatcher = Dispatcher(self.tables, clock, self.pool, rng, self._expired)
        self.journal = Journal(
            self.people, store, self.tables, clock,
            epoch=epoch, executor=seams.executor or in_thread(),
            reader=sharing.reader if sharing is not None else seams.executor or in_thread(),
            applied=self.dispatcher.touched,
        )  # fmt: skip
        self._quotas: list[Quota] = []
        self._add_lanes(rng, seams)
        self.shared: Shared | None = None
        if sharing is not None:
            self.shared = Shared(
                sharing, household, self.journal, clock, epoch,
                touched=self.dispatcher.touched, nudge=self.pool.nudge, share=self.share,
            )  # fmt: skip
        neighbours = None if self.shared is None else self.shared.neighbours
        self.engine = RelayEngine(self.journal, self.people, self._records, self.tables, self._lane, neighbours)
        self._add_doors(neighbours)
        self.web: Web | None = None
        if config.web is not None:
            grace = config.grace_seconds * WEB
            self.web = Web(document(config.web, grace), grace, seams.web)
        copier = Copier(config.store.path, clock.now) if config.store.path is not None else None
        self.control = Control(self.people, self.journal, copier, clock.now, _log_failure)
        destinations = [_destination(tenant.name, app) for tenant in config.tenants for app in tenant.apps]
        self.ops = Ops(self._sources(), destinations, clock.now, holds)

    def _add_doors(self, neighbours: Neighbours | None) -> None:
        """The backends' and the officers' door; with other nodes, one for these too."""
        config, keys = self._config, Keys(_api_keys(self._config, self.tenants))
        door = partial(
            event_door, keys, self.engine, self._clock.now, self._records_of, parse, _log_failure, turns=Turns(),
            forward=None if neighbours is None else neighbours.forward,
        )  # fmt: skip
        self.stream: StreamDoor | None = None
        if config.stream is not None:
            most = config.stream.max_connections
            self.stream = StreamDoor(keys, self.engine, self._records_of, self._clock.now, _log_failure, most)
        limits = Limits(body=config.door.max_body, connections=config.door.max_connections)
        self.door = Server(door(), refusal, limits)
        vouched = {provider.tenant for provider in config.web.oidc} if config.web is not None else ()
        web_router = door(for_the_web(vouched))
        self.web_door = Server(web_router, refusal, Limits(body=WEB_BODY, connections=WEB_CONNECTIONS))
        if self.shared is not None:
            self.shared.open(web_router.here, self.engine, limits, _log_failure)

    def _records_of(self, tenant: Tenant) -> Records:
        return self._records[tenant.name]

    def _sources(self) -> Sources:
        return Sources(
            self.people, self.pool.statistics, self.journal.statistics, self._store.statistics, self.door, self.tables,
            lambda: self.engine.unreadable_feedback, self.sample, _tasks,
            lambda: None if self.stream is None else self.stream.connections,
            lambda: None if self.web is None else self.web.is_up,
            lambda: None if self.shared is None else self.shared.membership.count,
        )  # fmt: skip

    def _add_lanes(self, rng: Random, seams: Seams) -> None:
        """A lane for each app, with its credentials: one provider token per team, one access token per app."""
        tokens, ways = ProviderTokens(), Ways()
        connect = seams.connect or ways.connect
        for tenant in self._config.tenants:
            for app in tenant.apps:
                access: AccessToken | None = None
                quota: Quota | None = None
                skew = Skew(app.name)
                if isinstance(app, FcmAppConfig):
                    post = seams.post(app) if seams.post is not None else ways.post(app, self._dated(skew))
                    access = AccessToken(app.account, post, self._clock, rng)
                    quota = Quota(app.rate_per_minute)
                    self._quotas.append(quota)
                    provider: Provider = Fcm(app.account.project_id, access, *address_of(app))
                else:
                    token = tokens.of(app.team_id, app.key_id, app.key)
                    provider = Apns(app.topic, token, *address_of(app))
                lane = Lane(
                    app.name,
                    provider,
                    self.journal,
                    self.tables,
                    self._clock,
                    rng,
                    self.dispatcher.touched,
                    quota,
                    skew,
                    self.sample,
                    self._holds,
                )
                resolve = seams.resolve or (no_lookup if seams.connect else ways.resolve(app))
                dialer = Dialer(app.name, connect(app), resolve)
                self.pool.add(tenant.name, lane, dialer, app.connections, app.most_connections)
                if access is not None:
                    self.pool.keep(partial(access.run, lane.nudge))
                watched = _watched(app, lane, tokens, access, self._clock)
                if watched is not None:
                    self.pool.keep(watched.run)
        for credentials in ways.watched(self._clock):
            self.pool.keep(credentials.run)

    def _dated(self, skew: Skew) -> Callable[[str], None]:
        return lambda date: skew.heard(date, self._clock.now())

    def share(self, nodes: int) -> None:
        """So many send with the same credentials."""
        for quota in self._quotas:
            quota.share(nodes)

    def _lane(self, tenant: str, app: str) -> LaneCondition | None:
        health = self.pool.health(tenant, app)
        return LaneCondition(app, health.word, health.opened_for) if health is not None else None

    def _is_resting(self, person: Person, event_class: EventClass, now: float) -> bool:
        """By the stored document, and by no table (core/sampling.py)."""
        if person.rest is None:
            return False
        rules = parse(self._records[person.tenant.name].open_rest(person.key, person.rest.sealed))
        return pointwise.rests(rules, now, event_class.name, event_class.through)

    def _open_token(self, flight: Flight) -> str:
        device, person = flight.device, flight.person
        return self._records[person.tenant.name].open_token(person.key, device.key, device.sealed).reveal()

    def _expired(self, person: Person, names: Sequence[str]) -> None:
        if not self.trust.is_lost:
            self.journal.expire(person, names)

    def _set_back(self) -> None:
        now, waiting = self._clock.now(), [person for person in self.people.by_key.values() if person.slots]
        for person in waiting:
            set_back(person, now)
        self.dispatcher.touched(waiting)

    def _clock_changed(self, is_lost: bool) -> None:
        """By a wrong clock nobody knows who rests: only what pierces rest leaves."""
        self.ops.clock_is_wrong = is_lost
        halt = Halt(0, None, None, None, "the clock is wrong", "relay", self._clock.now(), NEVER)
        self.people.halt({halt.number: halt if is_lost else None})
        waiting = [person for person in self.people.by_key.values() if person.slots]
        for person in waiting if not is_lost else ():
            set_right(person, halt.at, trust.FURTHEST)
        self.dispatcher.touched(waiting)

    async def run(self, stop: trio.Event, *, task_status: trio.TaskStatus[Bound] = trio.TASK_STATUS_IGNORED) -> None:
        """Run until `stop` is set, then drain within the grace period. Return means fully stopped."""
        async with trio.open_nursery() as core:
            ops = await listen(core, self.ops.server, self._config.ops)
            await core.start(self.journal.run)
            if self._config.control is not None:
                await core.start(unix.serve, self.control.server, self._config.control)
            await core.start(self.dispatcher.run)
            core.start_soon(self._housekeeping)
            core.start_soon(self._note_uses)
            core.start_soon(self.trust.run)
            core.start_soon(self.dispatcher.ask_again, self.people.by_key.values())
            core.start_soon(compile_ahead, self.people.by_key.values(), self.tables, self._clock)
            async with trio.open_nursery() as lanes:
                await lanes.start(self.pool.run)
                self.dispatcher.touched(list(self.people.by_key.values()))
                if self.shared is not None:
                    await core.start(self.shared.run)
                async with trio.open_nursery() as doors:
                    door = await listen(doors, self.door, self._config.door.listen)
                    if self._config.web is not None:
                        await doors.start(unix.serve, self.web_door, self._config.web.socket, WEB_CONNECTIONS)
                        doors.start_soon(self._serve_web)
                    streams = await self._open_stream(doors)
                    self.ops.ready = True
                    log.info("relay_started", tzdata=TZDATA, people=len(self.people.by_key))
                    task_status.started(Bound(door, ops, streams))
                    await stop.wait()
                    self.ops.ready = False
                    log.info("drain_began")
                    began, grace = trio.current_time(), self._config.grace_seconds
                    self.door.drain()
                    if self.stream is not None:
                        self.stream.drain()
                    if self.shared is not None:
                        core.start_soon(self.shared.retire)
                    if self.web is not None:
                        self.web.drain()
                    doors.cancel_scope.deadline = began + grace * DOORS
                self.pool.drain()
                lanes.cancel_scope.deadline = began + grace * LANES
            core.cancel_scope.deadline = began + grace
            await self.engine.note_uses()
            self.journal.close()
            await self.journal.closed.wait()
            core.cancel_scope.cancel()
        log.info("relay_stopped")

    async def _open_stream(self, nursery: trio.Nursery) -> tuple[tuple[str, int], ...]:
        """Return where streams come in over TCP."""
        config = self._config.stream
        if self.stream is None or config is None:
            return ()
        for path in config.sockets:
            await nursery.start(unix.serve, self.stream, path, config.max_connections, unix.FOR_THE_GROUP)
        return await listen(nursery, self.stream, config.listen)

    async def _serve_web(self) -> None:
        """Its socket outlives the process: what is being answered there asks here."""
        assert self.web is not None
        await self.web.run()
        self.web_door.drain()

    async def _note_uses(self) -> None:
        while True:
            await trio.sleep(NOTE_EVERY)
            await self.engine.note_uses()

    async def _housekeeping(self) -> None:
        """Forget what has outlived its purpose."""
        while True:
            await trio.sleep(PURGE_EVERY)  # not until an instant, which a clock that is set might move far away
            if self.trust.is_lost:
                continue
            self.people.forget(self._clock.now())
            self._purged = PURGE_LIMIT
            while self._purged >= PURGE_LIMIT:  # a piece at a time: commits go in between
                self._purged = 0
                await self.journal.housekeep(self._purge)

    def _purge(self) -> None:
        self._purged = self._store.purge(self._clock.now(), PURGE_LIMIT).total
        log.info("purged", records=self._purged)


async def listen(
    nursery: trio.Nursery, server: unix.Serves, addresses: Sequence[Address]
) -> tuple[tuple[str, int], ...]:
    """Serve on these addresses; return where that is, once it listens. Raises CannotListen."""
    listeners: list[trio.SocketListener] = []
    for address in addresses:
        listeners += await opened(address)
    if listeners:
        await nursery.start(partial(server.run, [CrowdListener(each) for each in listeners]))
    return tuple(name_of(listener) for listener in listeners)


async def opened(address: Address) -> list[trio.SocketListener]:
    """Listen; on all addresses that a name stands for. Raises CannotListen."""
    try:
        return await trio.open_tcp_listeners(address.port, host=address.host)
    except OSError as error:
        raise CannotListen(str(address), error.strerror or type(error).__name__) from None


def _api_keys(config: Config, tenants: dict[str, Tenant]) -> list[ApiKey]:
    return [ApiKey(key.id, key.digest, key.scopes, tenants[t.name]) for t in config.tenants for key in t.keys]


def _destination(tenant: str, app: AnyAppConfig) -> Destination:
    address = str(Address(*address_of(app)))
    proxy = None if app.proxy is None else str(app.proxy.address)
    if not isinstance(app, FcmAppConfig):
        return Destination(tenant=tenant, app=app.name, provider="apns", address=address, proxy=proxy)
    try:
        tokens = urlsplit(app.account.token_uri)
        token_address = str(Address(tokens.hostname or "", tokens.port or HTTPS))
    except ValueError:  # it will be told when a token is fetched
        token_address = ""
    return Destination(
        tenant=tenant, app=app.name, provider="fcm", address=address, token_address=token_address, proxy=proxy
    )


def _watched(
    app: AnyAppConfig, lane: Lane, tokens: ProviderTokens, access: AccessToken | None, clock: Clock
) -> Watched[Any] | None:
    """What looks after the file of an app's credential; None when it does not come from a file."""
    if isinstance(app, FcmAppConfig):
        if app.account_file is None or access is None:
            return None
        return Watched(app.name, app.account_file, partial(_read_account, app), access.renew, clock)
    if app.key_file is None:
        return None

    def take(found: tuple[str, bytes]) -> None:
        token, provider = tokens.of(app.team_id, *found), lane.provider
        assert isinstance(provider, Apns)
        if provider.token is not token:
            lane.renew(provider.with_token(token))
            log.info("key_replaced", app=app.name)

    return Watched(app.name, app.key_file, partial(_read_key, app), take, clock)


def _read_key(app: AppConfig, path: Path) -> tuple[str, bytes]:
    """(id, PEM) of an app's key. Raises ValueError, OSError."""
    named = key_id_of(path)
    if app.key_id_is_fixed and named not in (None, app.key_id):
        raise ValueError("is named after another key than the configuration; leave out key_id there to rotate keys")
    return app.key_id if app.key_id_is_fixed else named or app.key_id, read_provider_key(path)


def _read_account(app: FcmAppConfig, path: Path) -> ServiceAccount:
    """An app's account; where tokens come from stays as configured. Raises ValueError, OSError."""
    account = read_service_account(path)
    return replace(account, token_uri=app.account.token_uri) if app.token_uri_is_overridden else account


def _tasks() -> int:
    return trio.lowlevel.current_statistics().tasks_living


def name_of(listener: trio.SocketListener) -> tuple[str, int]:
    """(address, port)."""
    name = listener.socket.getsockname()
    return str(name[0]), int(name[1])


def _log_failure(error: BaseException) -> None:
    """A request failed by a fault of ours: the kind and the place, never the text, which may hold content."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    log.error("request_failed", kind=type(error).__name__, place=place)
