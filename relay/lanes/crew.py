"""The crew: the links of one lane, as many as sizing.py asks for, between the configured least and most.

It looks once a second while something is queued, and sleeps else. More links are hired at once, but they connect one
after the other. They are let go again one by one, when nothing was queued for a while; those of the beginning stay, the
one for alarms among them. A lane that may not send hires nobody: its queue is long for another reason.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import trio

from relay.core.breaker import State
from relay.lanes import sizing
from relay.lanes.lane import Lane
from relay.lanes.link import Link

LOOK: Final = 1.0
"""Seconds between two looks while something is queued."""
CALM: Final = 60.0
"""Seconds without a queue after which one link is let go; Apple asks for few changes."""


class Crew:
    """Runs the links. `hire` makes one more of them."""

    def __init__(self, lane: Lane, links: list[Link], hire: Callable[[], Link], most: int) -> None:
        self._lane = lane
        self._links = links
        self._hire = hire
        self._least = len(links)
        self._most = max(most, self._least)
        self._calm_since = float("inf")

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Run until the lane is drained and all links have ended."""
        async with trio.open_nursery() as nursery:
            for link in self._links:
                await nursery.start(link.run)
            task_status.started()
            while not self._lane.draining.is_set():
                if not (self._has_hired or self._lane.queued):
                    await self._lane.wanting()
                self._look(nursery, trio.current_time())
                with trio.move_on_after(LOOK):
                    await self._lane.draining.wait()

    @property
    def _has_hired(self) -> bool:
        return len(self._links) > self._least

    def _look(self, nursery: trio.Nursery, now: float) -> None:
        lane = self._lane
        if lane.queued:
            self._calm_since = now
            if lane.health.state is State.CLOSED:
                self._grow(nursery)
        elif self._has_hired and now >= self._calm_since + CALM:
            self._calm_since = now
            self._links.pop().dismiss()

    def _grow(self, nursery: trio.Nursery) -> None:
        lane = self._lane
        needed = sizing.connections(lane.queued + lane.in_flight, lane.answer_time.mean, lane.streams)
        while len(self._links) < min(needed, self._most):
            link = self._hire()
            self._links.append(link)
            nursery.start_soon(link.run)
