"""Two notions of time: what time it is, and what the relay's machine thinks it is.

`Times.true` is the time of the world: of Apple, Google, the phones. The relay reads `Times.now`, which can be set
wrong, forward and back, and stands still while the machine is suspended: then the world moves on, and the machine wakes
up with its timers where they were and a wall clock that has leapt.

By which clock I2 is judged: by the relay's own, as it reads at the instant at which the bytes are handed to the
network. A relay cannot know better, and an operator whose clock is wrong is told so
(`feierabend_clock_error_seconds`). Whether somebody was rung in rest by true time is therefore not asked while the
clock is wrong.
"""

from __future__ import annotations

from random import Random
from typing import Final

import trio

from relay.clock import SLICE

HOUR: Final = 3600.0


class Times:
    """Also the relay's clock (relay/clock.py). All instants in UTC seconds."""

    def __init__(self, start: float, rng: Random) -> None:
        self._zero = start - trio.current_time()
        self._rng = rng
        self.error = 0.0
        """Seconds by which the relay's clock is ahead."""
        self.set_at = float("-inf")
        """When it was last set or slept through, by trio's clock."""
        self.set_back_at = float("-inf")
        self.steps = 0
        """How often it was set."""
        self._moved = trio.Event()

    def true(self) -> float:
        return self._zero + trio.current_time()

    def now(self) -> float:
        return self.true() + self.error

    def step(self, seconds: float) -> None:
        """Set the relay's clock forward, or back."""
        self.error += seconds
        self.steps += 1
        if seconds < 0:
            self.set_back_at = trio.current_time()
        self._move()

    def suspend(self, seconds: float) -> None:
        """The machine stands still for so long, and nothing on it notices."""
        self._zero += seconds
        self._move()

    def _move(self) -> None:
        self.set_at = trio.current_time()
        self._moved.set()
        self._moved = trio.Event()

    async def sleep_until(self, instant: float) -> None:
        """As at a wall: whoever sleeps looks again within a slice, wherever the clock was moved to."""
        await trio.lowlevel.checkpoint()
        while (left := instant - self.now()) > 0:
            with trio.move_on_after(left):
                await self._moved.wait()
                await trio.sleep(self._rng.random() * min(SLICE, left))
