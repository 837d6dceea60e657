"""A clock that stands still until it is stepped. A step has two halves, so that at an instant the events come first.

    clock.set(t)        now() is t; who sleeps goes on sleeping
    ...                 what happens at t is told to the relay, which answers 202
    clock.release()     who slept until t or earlier wakes up

With that, and no step while anything is under way, the order of a night is exact: at each instant first the events,
then the wakeups that follow from them, each of which stands for all that was accepted until then.
"""

from __future__ import annotations

import heapq
from itertools import count

import trio


class SteppedClock:
    """The relay's clock and the simulators'. UTC seconds."""

    __slots__ = ("_now", "_order", "_released", "_sleepers")

    def __init__(self, start: float) -> None:
        self._now = self._released = start
        self._order = count()
        self._sleepers: list[tuple[float, int, trio.Event]] = []
        """A heap. Who is cancelled is marked by setting the event."""

    def now(self) -> float:
        return self._now

    async def sleep_until(self, instant: float) -> None:
        await trio.lowlevel.checkpoint()
        if instant <= self._released:
            return
        over = trio.Event()
        heapq.heappush(self._sleepers, (instant, next(self._order), over))
        try:
            await over.wait()
        finally:
            over.set()

    def set(self, instant: float) -> None:
        """Move on to an instant; nobody wakes up yet. Raises ValueError for one that is past."""
        if instant < self._now:
            raise ValueError("the clock does not go back")
        self._now = instant

    def release(self) -> None:
        """Wake up everybody who slept until now."""
        self._released = self._now
        while self._sleepers and self._sleepers[0][0] <= self._now:
            heapq.heappop(self._sleepers)[2].set()

    def next_wake(self) -> float:
        """The earliest instant that somebody sleeps until; infinite if nobody sleeps."""
        sleepers = self._sleepers
        while sleepers and sleepers[0][2].is_set():
            heapq.heappop(sleepers)
        return sleepers[0][0] if sleepers else float("inf")
