"""One seed: a force, its relay and its providers, some virtual days in which things go wrong, and the verdict."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

import structlog
import trio

from bench.simulation import scheduling
from bench.simulation.asking import Asker
from bench.simulation.backend import Backend
from bench.simulation.caller import Caller
from bench.simulation.calm import Calm
from bench.simulation.clock import HOUR, Clocks, Times, TrueTime
from bench.simulation.configuration import SCOPES, SECRET, a_tenant, config_of
from bench.simulation.database import Server
from bench.simulation.disk import Disk
from bench.simulation.force import KINDS, Force
from bench.simulation.judge import Judge
from bench.simulation.ledger import Answered, Ledger
from bench.simulation.machine import LoneMachine, Machine, Parts
from bench.simulation.network import Network
from bench.simulation.node import Cluster, Node, Owners
from bench.simulation.pace import ALONE, GAP_WEIGHTS, TOGETHER
from bench.simulation.providers import Providers
from bench.simulation.scheduling import chance
from bench.simulation.stations import Registry, Station
from bench.simulation.storms import NodeWeather
from bench.simulation.trace import Trace
from bench.simulation.weather import LoneWeather, Weather
from relay.config import TenantConfig

FIRST_DAY: Final = 1_793_836_800.0
"""5 November 2026, 0:00 UTC; runs begin within the 50 days after it."""
NOTICED: Final = 4.0
"""Seconds within which nodes notice that their clocks were moved: a relay looks within thirty."""
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


def simulate(seed: int, parts: Parts | None = None, nodes: int = 1) -> Result:
    """Play one seed from its beginning to its end: one relay alone, or so many nodes on a database."""
    with _silent_logs():
        return scheduling.run(partial(_play, seed, parts or Parts(), nodes), seed)


@contextmanager
def _silent_logs() -> Iterator[None]:
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    try:
        yield
    finally:
        structlog.configure(**before)


async def _play(seed: int, parts: Parts, nodes: int) -> Result:
    async with trio.open_nursery() as nursery:
        world = World(seed, parts, nursery, nodes)
        for machine in world.machines:
            nursery.start_soon(machine.run)
        await world.play()
        nursery.cancel_scope.cancel()
    return world.result()


class World:
    """Everything of one run."""

    def __init__(self, seed: int, parts: Parts, nursery: trio.Nursery, nodes: int) -> None:
        rng = self._rng = chance(seed, "run")
        self._seed = seed
        self._nursery = nursery
        self._is_rough = True
        self._start = FIRST_DAY + rng.randrange(50 * 24) * HOUR + rng.uniform(0.0, HOUR)
        self.trace = Trace()
        self._calm = Calm()
        self._time = TrueTime(self._start)
        self._pace = ALONE if nodes == 1 else TOGETHER
        self._ledger = Ledger(f"u{number}" for number in range(rng.choice((10, 10, 12, 25))))
        tenant = a_tenant(rng)
        if tenant.jitter_seconds > self._pace.jitter:
            tenant = replace(tenant, jitter_seconds=self._pace.jitter)
        self._jitter = tenant.jitter_seconds
        self._network = Network(chance(seed, "network"))
        self._providers = Providers(self._time.now, chance(seed, "providers"), nursery)
        if nodes == 1:
            self._stand_alone(seed, parts, tenant)
        else:
            self._stand_together(seed, parts, tenant, nodes)
        keys = {key: f"{key}.{SECRET}" for key in SCOPES}
        self._asker = Asker(self._caller, self._clocks, self.trace, chance(seed, "asker"), keys)
        self._backend = Backend(
            self._asker, self._ledger, self._judge, self._clocks, self.trace, chance(seed, "backend"), nursery,
            self._delivered,
        )  # fmt: skip
        self._force = Force(self._ledger, self._backend, self._clocks, chance(seed, "force"))

    def _stand_alone(self, seed: int, parts: Parts, tenant: TenantConfig) -> None:
        times = Times(self._time, chance(seed, "clock"))
        self._clocks = Clocks([times])
        self._judge = self._a_judge(tenant)
        station = Station(self._judge, times)
        disk = Disk(chance(seed, "disk"), station, lambda where: machine.trip(where))
        machine = LoneMachine(
            config_of(tenant), disk, self._network, self._providers, station, self.trace, self._calm,
            chance(seed, "machine"), parts,
        )  # fmt: skip
        self.machines: Sequence[Machine] = [machine]
        self._delivered: Callable[[], Awaitable[None]] | None = None
        self._caller = Caller(self._network, lambda: machine.door, chance(seed, "caller"))
        self._weather: Weather = LoneWeather(
            self.machines, self._network, self._providers, self._judge, self.trace, self._calm,
            chance(seed, "weather"), self._nursery, disk,
        )  # fmt: skip

    def _stand_together(self, seed: int, parts: Parts, tenant: TenantConfig, nodes: int) -> None:
        names, config = [f"node-{number}" for number in range(1, nodes + 1)], config_of(tenant)
        times = {name: Times(self._time, chance(seed, f"clock of {name}"), NOTICED) for name in names}
        self._clocks = Clocks(list(times.values()))
        registry = Owners(config)
        self._judge = self._a_judge(tenant, registry)
        self._judge.conduct.forgiven.add("token_refreshed_too_often")  # each node has a token of its own
        server = Server(
            Times(self._time, chance(seed, "clock of the database")), chance(seed, "database"), self._nursery,
            self._judge.conduct.ended,
        )  # fmt: skip
        made = [
            Node(
                name, config, server, self._network, self._providers, self._judge, times[name], self.trace, self._calm,
                chance(seed, name), parts,
            )
            for name in names
        ]  # fmt: skip
        registry.server = server
        cluster = Cluster(server, made, chance(seed, "load balancer"))
        self.machines = made
        self._delivered = server.delivered
        self._caller = Caller(self._network, cluster.door, chance(seed, "caller"))
        weather = NodeWeather(
            cluster, self._network, self._providers, self._judge, self.trace, self._calm, chance(seed, "weather"),
            self._nursery, parts.faults,
        )  # fmt: skip
        weather.begin()
        self._weather = weather

    def _a_judge(self, tenant: TenantConfig, registry: Registry | None = None) -> Judge:
        return Judge(
            self._ledger, self._clocks, self.trace, self._calm, lambda: self._providers.tell(self._judge),
            self._pace, echoes=tenant.posts_seen, registry=registry,
        )  # fmt: skip

    # --- the script

    async def play(self) -> None:
        rng = self._rng
        await self._force.enlist()
        chance_of_fault = rng.choice((0.05, 0.2, 0.4))
        self._is_rough = chance_of_fault > 0.1
        for _ in range(rng.choice((30, 45, 70))):
            await trio.sleep(rng.uniform(*rng.choices(self._pace.gaps, GAP_WEIGHTS)[0]))
            if rng.random() < chance_of_fault:
                if self._pace.crowds and rng.random() < self._pace.crowds:
                    self._nursery.start_soon(self._crowd)
                    await trio.sleep(rng.uniform(0.0, 2.0))
                self._weather.strike()
            else:
                self._nursery.start_soon(self._force.act)
            if rng.random() < self._pace.leaps:
                self._leap(rng.uniform(1.0, 20.0) * HOUR)
            self._providers.tell(self._judge)
        await self._last_words()
        await self._come_to_rest()

    async def _crowd(self) -> None:
        """Everybody has something waiting as things go wrong, and plans change meanwhile."""
        rng = self._rng
        for _ in range(rng.choice((1, 2, 3))):
            self._nursery.start_soon(self._force.tell_everybody)
            await trio.sleep(rng.uniform(0.2, 3.0))
        for _ in range(rng.choice((0, 3, 6))):
            await trio.sleep(rng.uniform(0.0, 3.0))
            self._nursery.start_soon(self._force.edit)

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
        await trio.sleep(rng.choice(self._pace.hush))

    def _leap(self, seconds: float) -> None:
        """The machine is suspended for hours."""
        self.trace.fault(f"suspended for {seconds:.0f} s")
        self._calm.disturb()
        self._time.leap(seconds)

    async def _come_to_rest(self) -> None:
        """All faults are over, and time goes on until everything is due and quiet."""
        self.trace.say("from here on nothing goes wrong")
        self._weather.clear()
        self._judge.well()
        self._asker.hurries = True
        while self._asker.open:  # noqa: ASYNC110 (requests end, and others begin)
            await trio.sleep(10.0)
        await self._pass(self._pace.after)
        await self._force.hear()
        for user in self._ledger.users.values():
            if user.plans[-1].devices or any(
                user.plans[-1].release(self._time.now(), k) is None for k in KINDS.values()
            ):
                await self._backend.plan(user, None)
        for _ in range(MOST_LEAPS):
            await trio.sleep(self._pace.turn + self._jitter)
            self._providers.tell(self._judge)
            release = self._next_release()
            if release is None:
                break
            self._time.leap(max(0.0, release - self._time.now()))
        await self._pass(self._pace.quiet)
        orders, since = self._judge.orders(), trio.current_time()
        for _ in range(2):
            self._time.leap(RENEWAL)
            await trio.sleep(self._pace.nap)
        self._judge.news()
        self._judge.check_renewal(orders, since)
        for user in self._ledger.users.values():
            if any(notice.kind.renewal for notice in user.notices):
                await self._backend.confirm(user)
        await trio.sleep(10.0)
        self._judge.finish()

    async def _pass(self, spans: Sequence[tuple[float, float]]) -> None:
        for leap, seconds in spans:
            if leap:
                self._time.leap(leap)
            await trio.sleep(seconds)

    def _next_release(self) -> float | None:
        """When the next of those who rest can be rung, of those for whom something may be pending."""
        now, waiting = self._time.now(), self._judge.books.waiting()
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
        hours = (self._time.now() - self._start) / HOUR
        trace = self.trace
        return Result(
            self._seed, self._force.events, trace.faults, self._judge.departures, hours, trace.digest,
            tuple(trace.failures), tuple(trace.lines),
        )  # fmt: skip
