"""What goes wrong among several nodes: their processes, their clocks, their database, and the ways between them.

Clocks are mostly within half a minute of one another, as is asked of them (README.md), and sometimes beyond: then what
one node sends to another is refused, and all promises hold. The database's clock drifts and is set back; it is not set
forward, for leases are counted by it, and would be over before those who hold them know.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import Final

import trio

from bench.simulation.caller import DOOR
from bench.simulation.calm import Calm
from bench.simulation.clock import HOUR
from bench.simulation.database import WAY
from bench.simulation.disk import USUAL
from bench.simulation.judge import Judge
from bench.simulation.machine import Faults
from bench.simulation.network import Network
from bench.simulation.node import NEIGHBOURS, Cluster, Node
from bench.simulation.providers import ANDROID, IOS, Providers
from bench.simulation.trace import Trace
from bench.simulation.weather import COMMON, Weather, later, suspended

AGREED: Final = 14.0
"""Seconds by which a clock may be wrong, so that two are within half a minute of one another."""
DRIFT: Final = 2e-4
"""Share of the time, at most."""


class NodeWeather(Weather):
    names = (IOS, ANDROID, DOOR, NEIGHBOURS, NEIGHBOURS)

    def __init__(
        self, cluster: Cluster, network: Network, providers: Providers, judge: Judge, trace: Trace, calm: Calm,
        rng: Random, nursery: trio.Nursery, faults: Faults,
    ) -> None:  # fmt: skip
        super().__init__(cluster.nodes, network, providers, judge, trace, calm, rng, nursery)
        self._faults = faults or FAULTS
        self.cluster = cluster
        self.server = cluster.server

    @property
    def node(self) -> Node:
        return next(node for node in self.cluster.nodes if node is self.machine)

    def begin(self) -> None:
        """Clocks that are a little wrong from the start, half of the time."""
        if self.rng.random() < 0.5:
            for machine in self.machines:
                machine.times.step(self.rng.uniform(-AGREED, AGREED))
                machine.times.drift(self.rng.uniform(-DRIFT, DRIFT))
            self.server.times.step(self.rng.uniform(-AGREED, AGREED))
            self.server.times.drift(self.rng.uniform(-DRIFT, DRIFT))
            self.calm.disturb(HOUR)

    def faults(self) -> Faults:
        return self._faults

    def clear(self) -> None:
        for node in self.cluster.nodes:
            node.copies = False
            node.go_on()
            node.come()
        for app, fake in self.providers.fakes.items():
            self.nursery.start_soon(fake.set_streams, self.streams[app])
        self.server.mend()
        self.server.times.drift(0.0)  # not set right, for that may be forward
        super().clear()


# --- processes


def held(weather: NodeWeather, _seconds: float) -> None:
    """Stopped from outside, for less than its lease, or for longer; it goes on with whatever it was about to do."""
    seconds = weather.rng.choice((0.3, 1.5, 4.0, 4.0, 20.0, 90.0)) * weather.rng.uniform(0.5, 1.5)
    weather.calm.disturb(seconds)
    weather.nursery.start_soon(weather.node.hold_for, seconds)


def held_at(weather: NodeWeather, _seconds: float) -> None:
    """The same at an instant at which it is instructive, for a little longer than its lease."""
    where = weather.rng.choice(("written", "synced", "left", "heard", "renewed", "renewed"))
    weather.node.set_hold(where, weather.rng.choice((1, 1, 2, 4)), weather.rng.choice((3.2, 4.0, 6.0)))


def _rolling(weather: NodeWeather, _seconds: float) -> None:
    """One after the other is renewed."""
    weather.nursery.start_soon(_roll, weather.cluster.nodes, weather.rng.choice((0.5, 5.0)))


async def _roll(nodes: Sequence[Node], down: float) -> None:
    for node in nodes:
        await node.restart(down)


def _clock_of_a_node(weather: NodeWeather, _seconds: float) -> None:
    """Within what is asked of it, mostly; or right again."""
    size = weather.rng.choice((2.0, AGREED, AGREED, AGREED, 120.0, HOUR)) * weather.rng.uniform(0.5, 1.0)
    weather.times.step(weather.rng.choice((0.0, size, -size)) - weather.times.error)
    weather.times.drift(weather.rng.uniform(-DRIFT, DRIFT))
    weather.calm.disturb(HOUR)


# --- the database


def _no_database(weather: NodeWeather, _seconds: float) -> Callable[[], None]:
    """For all."""
    server = weather.server
    if weather.rng.random() < 0.5:
        server.is_refusing = True
    else:
        server.is_silent = True

    def end() -> None:
        server.is_refusing = server.is_silent = False

    return end


def cut_off(weather: NodeWeather, _seconds: float) -> Callable[[], None]:
    """One node; it goes on with the database when the way is open again, unless it is buried by then."""
    store = weather.node.store
    if store is not None:
        store.is_cut = True

    def end() -> None:
        if store is not None:
            store.is_cut = False

    return end


def _slow_database(weather: NodeWeather, _seconds: float) -> Callable[[], None]:
    server = weather.server
    server.seconds = weather.rng.choice(((0.05, 0.5), (0.5, 3.0), (2.0, 12.0)))
    if weather.rng.random() < 0.3:
        server.way = weather.rng.choice(((0.01, 0.2), (0.2, 1.5)))

    def end() -> None:
        server.way, server.seconds = WAY, USUAL

    return end


def _lost_commits(weather: NodeWeather, _seconds: float) -> None:
    """They do not arrive."""
    weather.server.losing_commits += weather.rng.choice((1, 1, 2, 5))


def _lost_answers(weather: NodeWeather, _seconds: float) -> None:
    """They are written, and nobody is told."""
    weather.server.losing_answers += weather.rng.choice((1, 1, 2))


def _restart(weather: NodeWeather, seconds: float) -> Callable[[], None]:
    """All connections end; and it is away a while."""
    weather.server.restart()
    weather.server.is_refusing = True

    def end() -> None:
        weather.server.is_refusing = False

    weather.nursery.start_soon(later, min(seconds, weather.rng.uniform(0.2, 5.0)), end)
    return end


def _clock_of_the_database(weather: NodeWeather, _seconds: float) -> None:
    weather.server.times.step(-weather.rng.choice((0.5, 5.0, 120.0)))
    weather.server.times.drift(weather.rng.uniform(-DRIFT, DRIFT))


# --- between nodes


def copies(weather: NodeWeather, _seconds: float) -> Callable[[], None]:
    """What was answered is sent again, later."""
    node = weather.node
    node.copies = True

    def end() -> None:
        node.copies = False

    return end


_OWN: Final[Faults] = (
    held, held, held_at, held_at, held_at, _rolling, _rolling, _clock_of_a_node, _clock_of_a_node, _no_database,
    _no_database, cut_off, cut_off, cut_off, _slow_database, _slow_database, _lost_commits, _lost_commits,
    _lost_answers, _lost_answers, _restart, _clock_of_the_database, copies,
)  # fmt: skip
FAULTS: Final[Faults] = (*COMMON, suspended, *_OWN, *_OWN)
