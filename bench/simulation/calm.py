"""When nothing went wrong: what must be done in time then, need not while something does, nor for a while after."""

from __future__ import annotations

import trio

AFTERMATH = 2400.0
"""Seconds after a fault for which it may still be felt: the longest back-off of a phone, and a bit."""


class Calm:
    """By trio's clock."""

    def __init__(self) -> None:
        self._disturbed: list[tuple[float, float]] = []

    def disturb(self, seconds: float = 0.0, *, after: float = AFTERMATH) -> None:
        """Something goes wrong from now on, for so long."""
        now = trio.current_time()
        self._disturbed.append((now, now + seconds + after))

    def holds(self, first: float, last: float) -> bool:
        """Nothing was wrong from the first instant to the last."""
        return all(end < first or start > last for start, end in self._disturbed)
