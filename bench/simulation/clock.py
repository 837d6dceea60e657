"""Two notions of time: what time it is, and what the relay's machine thinks it is.

`Times.true` is the time of the world: of Apple, Google, the phones. The relay reads `Times.now`, which can be set
wrong, forward and back, can drift, and stands still while the machine is suspended: then the world moves on, and the
machine wakes up with its timers where they were and a wall clock that has leapt. Of several machines each has its own.

By which clock I2 is judged: by the relay's own, as it reads at the instant at which the bytes are handed to the
network. A relay cannot know better, and an operator whose clock is wrong is told so
(`feierabend_clock_error_seconds`). Whether somebody was rung in rest by true time is therefore not asked while the
clock is wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import Final

import trio

from relay.clock import SLICE

HOUR: Final = 3600.0


class TrueTime:
    """What time it is, whatever anybody believes. It leaps where all machines sleep at once."""

    def __init__(self, start: float) -> None:
        self._zero = start - trio.current_time()
        self.told: list[Callable[[], None]] = []
        """To be called after a leap."""

    def now(self) -> float:
        return self._zero + trio.current_time()

    def leap(self, seconds: float) -> None:
        self._zero += seconds
        for tell in self.told:
            tell()


class Times:
    """One machine's clock, and the relay's there (relay/clock.py). All instants in UTC seconds."""

    def __init__(self, world: TrueTime, rng: Random, longest: float = SLICE) -> None:
        """`longest`: seconds within which whoever sleeps notices that it was moved."""
        self._world = world
        self._rng = rng
        self._longest = longest
        self._ahead = 0.0
        self._drift = 0.0
        self._since = 0.0
        """True time since which it drifts so."""
        self.set_at = float("-inf")
        """When it was last set or slept through, by trio's clock."""
        self.set_back_at = float("-inf")
        self.steps = 0
        """How often it was set."""
        self._errors = [0.0]
        self._moved = trio.Event()
        world.told.append(self._move)

    @property
    def error(self) -> float:
        """Seconds by which it is ahead."""
        return self._ahead + self._drift * (self.true() - self._since) if self._drift else self._ahead

    @property
    def errors(self) -> tuple[float, float]:
        """The least and the greatest that there were."""
        return min(*self._errors, self.error), max(*self._errors, self.error)

    def true(self) -> float:
        return self._world.now()

    def now(self) -> float:
        return self.true() + self.error

    def step(self, seconds: float) -> None:
        """Set it forward, or back."""
        self._errors.append(self.error)
        self._ahead += seconds
        self._errors.append(self.error)
        self.steps += 1
        if seconds < 0:
            self.set_back_at = trio.current_time()
        self._move()

    def drift(self, share: float) -> None:
        """From now on it gains so much on true time; what it has gained stays."""
        self._errors.append(self.error)
        self._ahead, self._since, self._drift = self.error, self.true(), share

    def set_right(self) -> None:
        """It shows true time, and keeps it."""
        self.drift(0.0)
        if self._ahead:
            self.step(-self._ahead)
            self._ahead = 0.0  # to the last bit

    def suspend(self, seconds: float) -> None:
        """The machine stands still for so long, as all others, and nothing on it notices."""
        self._world.leap(seconds)

    def _move(self) -> None:
        self.set_at = trio.current_time()
        self._moved.set()
        self._moved = trio.Event()

    async def sleep_until(self, instant: float) -> None:
        """As at a wall: whoever sleeps looks again before long, wherever the clock was moved to."""
        await trio.lowlevel.checkpoint()
        while (left := instant - self.now()) > 0:
            with trio.move_on_after(left):
                await self._moved.wait()
                await trio.sleep(self._rng.random() * min(self._longest, left))


class Clocks:
    """Of all machines."""

    def __init__(self, machines: Sequence[Times]) -> None:
        self._machines = machines

    def true(self) -> float:
        return self._machines[0].true()

    def now(self) -> float:
        """By one of them: where they are right it does not matter by which."""
        return self._machines[0].now()

    @property
    def are_right(self) -> bool:
        return not any(times.error for times in self._machines)

    @property
    def spread(self) -> float:
        """Seconds by which a span may seem shorter than it was, to whoever began to count by one of them, and counts
        on by another, or by the same one later."""
        errors = [times.errors for times in self._machines]
        return max(most for _, most in errors) - min(least for least, _ in errors)

    @property
    def set_at(self) -> float:
        """When one of them was last set or slept through, by trio's clock."""
        return max(times.set_at for times in self._machines)
