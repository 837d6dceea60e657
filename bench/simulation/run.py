"""One seed: a force, its relay and its providers, some virtual days in which things go wrong, and the verdict."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from random import Random
from typing import Final

import structlog
import trio

from bench.simulation import scheduling
from bench.simulation.asking import Asker
from bench.simulation.backend import Backend
from bench.simulation.caller import Caller
from bench.simulation.calm import Calm
from bench.simulation.clock import HOUR, Times
from bench.simulation.disk import Disk
from bench.simulation.force import KINDS, Force
from bench.simulation.judge import Judge
from bench.simulation.ledger import Answered, Ledger
from bench.simulation.machine import Machine, Parts
from bench.simulation.network import Network
from bench.simulation.providers import ANDROID, IOS, KEY_ID, TEAM_ID, TOPIC, Providers, account, team_key
from bench.simulation.scheduling import chance
from bench.simulation.trace import Trace
from bench.simulation.weather import Weather
from relay.config import AppConfig, Config, DoorConfig, FcmAppConfig, KeyConfig, MasterKeys, StoreConfig, TenantConfig
from relay.core.events import EventClass
from relay.doors.keys import Scope

FIRST_DAY: Final = 1_793_836_800.0
"""5 November 2026, 0:00 UTC; runs begin within the 50 days after it."""
SECRET: Final = "s" * 43
SCOPES: Final = {
    "backend": frozenset({Scope.EVENTS, Scope.ALARMS, Scope.DEVICES, Scope.ADMIN}),
    "rest": frozenset({Scope.REST}),
}
GAPS: Final = ((0.0, 0.05), (0.05, 3.0), (3.0, 60.0), (60.0, 600.0), (600.0, 3600.0))
GAP_WEIGHTS: Final = (40, 25, 20, 10, 4)
"""Seconds between two acts, and how often."""
AFTER: Final = 3000.0
"""Seconds of calm at the end: the longest back-off, and an hour of probes."""
MOST_LEAPS: Final = 40
RENEWAL: Final = 25 * HOUR
"""After twice as long an open order was sent anew: once, a wakeup for something else may have stood for it too."""


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a seed."""

    seed: int
    events: int
    faults: int
    wakeups: int
    hours: float
    """Of true time."""
    digest: str
    failures: Sequence[str]
    trace: Sequence[str]

    def without_trace(self) -> Result:
        return replace(self, trace=())


def simulate(seed: int, parts: Parts | None = None) -> Result:
    """Play one seed from its beginning to its end."""
    with _silent_logs():
        return scheduling.run(partial(_play, seed, parts or Parts()), seed)


@contextmanager
def _silent_logs() -> Iterator[None]:
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    try:
        yield
    finally:
        structlog.configure(**before)


async def _play(seed: int, parts: Parts) -> Result:
    async with trio.open_nursery() as nursery:
        world = World(seed, parts, nursery)
        nursery.start_soon(world.machine.run)
        await world.play()
        nursery.cancel_scope.cancel()
    return world.result()


class World:
    """Everything of one run."""

    def __init__(self, seed: int, parts: Parts, nursery: trio.Nursery) -> None:
        rng = self._rng = chance(seed, "run")
        self._seed = seed
        self._nursery = nursery
        self._is_rough = True
        self._start = FIRST_DAY + rng.randrange(50 * 24) * HOUR + rng.uniform(0.0, HOUR)
        self.trace = Trace()
        self._calm = Calm()
        self._times = Times(self._start, chance(seed, "clock"))
        self._ledger = Ledger(f"u{number}" for number in range(rng.choice((10, 10, 12, 25))))
        tenant = _tenant(rng)
        self._jitter = tenant.jitter_seconds
        self._judge = Judge(
            self._ledger, self._times, self.trace, self._calm, lambda: self._providers.tell(self._judge),
            echoes=tenant.posts_seen,
        )  # fmt: skip
        self._disk = Disk(chance(seed, "disk"), self._judge, self._trip)
        network = Network(chance(seed, "network"))
        self._providers = Providers(self._times.true, chance(seed, "providers"), nursery)
        self.machine = Machine(
            _config(tenant), self._disk, network, self._providers, self._times, self._judge, self.trace,
            self._calm, chance(seed, "machine"), parts,
        )  # fmt: skip
        caller = Caller(network, lambda: self.machine.door, chance(seed, "caller"))
        keys = {key: f"{key}.{SECRET}" for key in SCOPES}
        self._asker = Asker(caller, self._times, self.trace, chance(seed, "asker"), keys)
        self._backend = Backend(
            self._asker, self._ledger, self._judge, self._times, self.trace, chance(seed, "backend"), nursery
        )
        self._force = Force(self._ledger, self._backend, self._times, chance(seed, "force"))
        self._weather = Weather(
            self.machine, network, self._disk, self._times, self._providers, self._judge, self.trace, self._calm,
            chance(seed, "weather"), nursery,
        )  # fmt: skip

    def _trip(self, where: str) -> None:
        self.machine.trip(where)

    # --- the script

    async def play(self) -> None:
        rng = self._rng
        await self._force.enlist()
        chance_of_fault = rng.choice((0.05, 0.2, 0.4))
        self._is_rough = chance_of_fault > 0.1
        for _ in range(rng.choice((30, 45, 70))):
            await trio.sleep(rng.uniform(*rng.choices(GAPS, GAP_WEIGHTS)[0]))
            if rng.random() < chance_of_fault:
                self._weather.strike()
            else:
                self._nursery.start_soon(self._force.act)
            if rng.random() < 0.01:
                self._leap(rng.uniform(1.0, 20.0) * HOUR)
            self._providers.tell(self._judge)
        await self._last_words()
        await self._come_to_rest()

    async def _last_words(self) -> None:
        """Something for everybody while plans change and things go wrong, and nothing after it that makes up for it."""
        rng = self._rng
        for _ in range(rng.choice((0, 4, 8))):
            self._nursery.start_soon(self._force.edit)
        await trio.sleep(rng.choice((0.0, 0.2, 2.0)))
        for _ in range(2 if self._is_rough else 0):
            self._weather.strike()
        self._nursery.start_soon(self._force.tell_everybody)
        await trio.sleep(rng.choice((0.01, 0.1, 1.0, 5.0)))
        for _ in range(rng.choice((0, 2))):
            self._nursery.start_soon(self._force.edit)
        if self._is_rough:
            self._weather.strike()
        await trio.sleep(rng.choice((1.0, 30.0, 300.0)))

    def _leap(self, seconds: float) -> None:
        """The machine is suspended for hours."""
        self.trace.fault(f"suspended for {seconds:.0f} s")
        self._calm.disturb()
        self._times.suspend(seconds)

    async def _come_to_rest(self) -> None:
        """All faults are over, and time goes on until everything is due and quiet."""
        self.trace.say("from here on nothing goes wrong")
        self._weather.clear()
        self._asker.hurries = True
        while self._asker.open:  # noqa: ASYNC110 (requests end, and others begin)
            await trio.sleep(10.0)
        await trio.sleep(AFTER)
        await self._force.hear()
        for user in self._ledger.users.values():
            if user.plans[-1].devices or any(
                user.plans[-1].release(self._times.true(), k) is None for k in KINDS.values()
            ):
                await self._backend.plan(user, None)
        for _ in range(MOST_LEAPS):
            await trio.sleep(30.0 + self._jitter)
            self._providers.tell(self._judge)
            release = self._next_release()
            if release is None:
                break
            self._times.suspend(max(0.0, release - self._times.true()))
        await trio.sleep(700.0)
        orders, since = self._judge.orders(), trio.current_time()
        for _ in range(2):
            self._times.suspend(RENEWAL)
            await trio.sleep(60.0)
        self._judge.news()
        self._judge.check_renewal(orders, since)
        for user in self._ledger.users.values():
            if any(notice.kind.renewal for notice in user.notices):
                await self._backend.confirm(user)
        await trio.sleep(10.0)
        self._judge.finish()

    def _next_release(self) -> float | None:
        """When the next of those who rest can be rung, of those for whom something may be pending."""
        now, waiting = self._times.true(), self._judge.books.waiting()
        releases = [
            release
            for notice in self._ledger.notices
            if notice.state is not Answered.REFUSED
            and notice.kind.name in waiting
            and (release := notice.user.plans[-1].release(now, notice.kind)) is not None
            and release > now
        ]
        return min(releases, default=None)

    def result(self) -> Result:
        hours = (self._times.true() - self._start) / HOUR
        trace = self.trace
        return Result(
            self._seed, self._force.events, trace.faults, self._judge.departures, hours, trace.digest,
            tuple(trace.failures), tuple(trace.lines),
        )  # fmt: skip


# --- the configuration


def _tenant(rng: Random) -> TenantConfig:
    digest = hashlib.sha256(SECRET.encode()).digest()
    ios = AppConfig(
        name=IOS, topic=TOPIC, team_id=TEAM_ID, key_id=KEY_ID, key=team_key()[0], environment="production",
        connections=rng.choice((1, 1, 2)), endpoint=None, ca_file=None,
    )  # fmt: skip
    android = FcmAppConfig(
        name=ANDROID, account=account()[0], connections=1, endpoint=None, token_uri_is_overridden=False, ca_file=None
    )
    return TenantConfig(
        name="city", posts_seen=rng.random() < 0.5, device_limit=3, evict=True,
        jitter_seconds=rng.choice((0.0, 20.0, 300.0)),
        keys=tuple(KeyConfig(name, digest, scopes) for name, scopes in SCOPES.items()), apps=(ios, android),
        classes=tuple(_event_class(name) for name in KINDS),
    )  # fmt: skip


def _event_class(name: str) -> EventClass:
    kind = KINDS[name]
    answers = kind.pierces or bool(kind.through)
    return EventClass(
        name=name, scope=Scope.ADMIN if kind.renewal else Scope.ALARMS if answers else Scope.EVENTS,
        pierces=kind.pierces, through=kind.through, cancellable=kind.cancellable, deadline=kind.deadline,
        renewal=kind.renewal, roles=frozenset({"dispatch"} if answers else ()),
        reasons=frozenset({"incident"} if answers else ()),
    )  # fmt: skip


def _config(tenant: TenantConfig) -> Config:
    masters = MasterKeys({1: b"m" * 32}, 1, 1)
    store = StoreConfig(Path("nowhere.db"), Path("nowhere.key"), masters)
    return Config(store, DoorConfig((), 100, 2**20), (), 10.0, (tenant,))
