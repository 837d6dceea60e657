"""All lanes of the relay: one per (tenant, app), each with its links."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from random import Random

import trio

from relay.core.flight import Flight
from relay.lanes.crew import Crew
from relay.lanes.dialer import Dialer
from relay.lanes.health import Health
from relay.lanes.lane import Lane, LaneStatistics
from relay.lanes.link import Link, Turns
from relay.lanes.session import OpenToken, Session
from relay.wire import OriginTrust

LaneKey = tuple[str, str]
"""(tenant, app)"""
Keeper = Callable[..., Awaitable[None]]
"""A service, started with `task_status`, that runs until it is cancelled."""


class Pool:
    """Hands wakeups to their lanes, and runs the links."""

    def __init__(self, open_token: OpenToken, rng: Random) -> None:
        self._open_token = open_token
        self._rng = rng
        self._lanes: dict[LaneKey, Lane] = {}
        self._crews: list[Crew] = []
        self._keepers: list[Keeper] = []

    def add(self, tenant: str, lane: Lane, dialer: Dialer, connections: int, most: int = 0) -> None:
        """Add a lane with `connections` links, or up to `most`; the last of the first is for alarms.

        `dialer` opens streams.
        """
        self._lanes[(tenant, lane.app)] = lane
        turns = Turns()
        make = partial(Session, lane, open_token=self._open_token, trust=OriginTrust())
        hire = partial(Link, lane, dialer, make, turns, self._rng)
        links = [hire() for _ in range(connections)]
        if connections > 1:
            links[-1] = Link(lane, dialer, partial(make, for_alarms=True), turns, self._rng)
        self._crews.append(Crew(lane, links, hire, most))

    def keep(self, keeper: Keeper) -> None:
        """Run this as long as the links run: it keeps a credential of theirs fresh."""
        self._keepers.append(keeper)

    def send(self, flights: Sequence[Flight]) -> None:
        """Queue wakeups at the lanes of their devices' apps, in the order given."""
        by_lane: defaultdict[LaneKey, list[Flight]] = defaultdict(list)
        for flight in flights:
            by_lane[(flight.person.tenant.name, flight.device.app)].append(flight)
        for key, some in by_lane.items():
            self._lanes[key].send(some)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Run all links until drained."""
        async with trio.open_nursery() as keepers:
            for keeper in self._keepers:
                await keepers.start(keeper)
            async with trio.open_nursery() as nursery:
                for crew in self._crews:
                    await nursery.start(crew.run)
                task_status.started()
            keepers.cancel_scope.cancel()

    def drain(self) -> None:
        for lane in self._lanes.values():
            lane.drain()

    def nudge(self) -> None:
        """The clock was stepped: let the connections look at it."""
        for lane in self._lanes.values():
            lane.nudge()

    def health(self, tenant: str, app: str) -> Health | None:
        """Of a lane; None when there is none."""
        lane = self._lanes.get((tenant, app))
        return lane.health if lane is not None else None

    @property
    def is_busy(self) -> bool:
        return any(lane.is_busy for lane in self._lanes.values())

    def statistics(self) -> list[LaneStatistics]:
        return [lane.statistics() for lane in self._lanes.values()]
