"""The one clock. Every `now` in the relay comes from here: UTC seconds as float.

Sleeping until an instant is done in slices, because a suspended machine and a stepped clock make "sleep for the
difference" wrong; each slice reads the clock anew, so what fell due meanwhile is found at once. trio's own clock is
used for I/O deadlines only.
"""

from __future__ import annotations

import time
from typing import Final, Protocol

import trio

SLICE: Final = 30.0
"""Longest sleep between two looks at the clock, in seconds."""


class Clock(Protocol):
    def now(self) -> float:
        """UTC seconds."""

    async def sleep_until(self, instant: float) -> None:
        """Return when `now() >= instant`; at once if it is past."""


class WallClock:
    """The machine's clock, optionally shifted by a constant: `offset` seconds are added (for `feierabend dev --at`)."""

    __slots__ = ("_offset",)

    def __init__(self, offset: float = 0.0) -> None:
        self._offset = offset

    def now(self) -> float:
        return time.time() + self._offset

    async def sleep_until(self, instant: float) -> None:
        await trio.lowlevel.checkpoint()
        while (left := instant - self.now()) > 0:  # noqa: ASYNC110 (waits for an instant, not for a condition)
            await trio.sleep(min(left, SLICE))


class TrioClock:
    """Follows trio's clock from a start instant: with trio's MockClock this is virtual time. Inside trio only."""

    __slots__ = ("_start", "_zero")

    def __init__(self, start: float) -> None:
        self._start = start
        self._zero = trio.current_time()

    def now(self) -> float:
        return self._start + trio.current_time() - self._zero

    async def sleep_until(self, instant: float) -> None:
        await trio.lowlevel.checkpoint()
        while (left := instant - self.now()) > 0:  # noqa: ASYNC110 (waits for an instant, not for a condition)
            await trio.sleep(left)
