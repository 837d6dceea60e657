"""Tenure: whether this process may still believe that the people in its memory are its own.

Where nodes share a database, each holds its partitions for a while (a lease on the database's clock) and renews that;
when it does not, others take them. The database fences what is written (store/postgres.py). What is *sent* it cannot
fence: a process that was stopped, or cut off, would go on waking people by rest documents of before. So what leaves is
asked here too, last thing before the bytes, and the answer depends on nothing but two clocks: neither a task that has
not run yet, nor a message that has not come. When the tenure is over, only alarms leave. They pierce rest anyway, and
one that rings twice is better than none.

It is counted from the instant at which the renewal was *asked* for, and ends a margin before the lease, so that it ends
here before it ends there. By the count of seconds and by the clock, whichever is first: the count stands still in a
machine that sleeps, and the clock may be set back.

Rejected: asking the database before each write (a round trip for what the lease says anyway).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import structlog
import trio

from relay.clock import Clock
from relay.store.port import LEASE

MARGIN: Final = 0.5
"""Seconds by which the belief ends earlier."""
EVERY: Final = 0.75
"""Seconds between renewals: three may fail."""

log = structlog.get_logger()


class Tenure:
    """To be made when the store was taken, inside trio."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.goes_on: Callable[[], None] = _nothing
        """Called when it was over and was renewed after all."""
        self._was_over = False
        self._count_from(trio.current_time(), clock.now())

    def holds(self) -> bool:
        return trio.current_time() < self._until and self._clock.now() < self._until_by_clock

    def renewed(self, asked_at: float, clock_then: float) -> None:
        """It was renewed, when that was asked for then."""
        self.tell()  # it may have been over until now: whatever was held back meanwhile waits for being told
        self._count_from(asked_at, clock_then)

    def _count_from(self, asked_at: float, clock_then: float) -> None:
        self._until = asked_at + LEASE - MARGIN
        self._until_by_clock = clock_then + LEASE - MARGIN

    def tell(self) -> None:
        """To be called after each attempt."""
        is_over = not self.holds()
        if is_over == self._was_over:
            return
        self._was_over = is_over
        if is_over:
            log.error("tenure_is_over")
        else:
            log.warning("tenure_goes_on")
            self.goes_on()


def _nothing() -> None:
    pass
