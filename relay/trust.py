"""Whether the clock can be believed. By one that is years off everything has expired, and everybody rests or nobody.

At the start it must lie between the writing of this program and twenty years later, else the relay does not start. That
the database holds what is of the future is no reason not to: a clock that ran ahead and was set right leaves it so, and
it is mended then (loading.py). Afterwards it is compared with the machine's count of seconds: when it has gone half a
year from that, forwards or back, it was set wrong, for no machine sleeps that long. Then nothing is given up or purged,
nothing leaves but what pierces rest, and the node is not ready; until the clock is right again, or the relay is started
anew. Smaller steps, and machines that slept, are ordinary (clock.py); but after every step back what waits is asked
about anew (`fanout.set_back`), for it may wait for an instant of the wrong time.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

import structlog
import trio

from relay.clock import SLICE, Clock
from relay.core.errors import RelayError

EARLIEST: Final = datetime(2026, 11, 1, tzinfo=UTC).timestamp()
LATEST: Final = EARLIEST + 20 * 365.25 * 86_400
FURTHEST: Final = 180 * 86_400.0
"""Seconds by which the clock may leave the count of seconds."""
LOOK: Final = SLICE
"""Seconds between two looks: those who sleep until an instant look as often."""
STEP: Final = 2.0
"""Seconds; less is what every clock is corrected by now and then."""

log = structlog.get_logger()


class ClockIsWrong(RelayError):
    """The relay cannot start by this clock."""


def check(now: float) -> None:
    """Raises ClockIsWrong."""
    if not EARLIEST <= now < LATEST:
        raise ClockIsWrong(f"the clock says {_day(now)}; set it, and start again")


def _day(instant: float) -> str:
    try:
        return datetime.fromtimestamp(instant, UTC).date().isoformat()
    except (ValueError, OverflowError, OSError):
        return "a time beyond all calendars"


class Trust:
    """To be made inside trio, by a clock that is right.

    `changed` is told when trust is lost, and when it is back; before that `set_back` of every step back.
    """

    def __init__(self, clock: Clock, changed: Callable[[bool], None], set_back: Callable[[], None]) -> None:
        self._clock = clock
        self._changed = changed
        self._set_back = set_back
        self._zero = clock.now() - trio.current_time()
        self._error = 0.0
        """Seconds by which the clock was ahead of the count at the last look."""
        self._was_lost = False

    @property
    def is_lost(self) -> bool:
        return abs(self._clock.now() - trio.current_time() - self._zero) > FURTHEST

    async def run(self) -> None:
        """Look now and then, until cancelled."""
        while True:
            await trio.sleep(LOOK)
            before, self._error = self._error, self._clock.now() - trio.current_time() - self._zero
            if self._error < before - STEP and not self.is_lost:
                log.warning("clock_set_back", seconds=round(before - self._error))
                self._set_back()
            if self.is_lost != self._was_lost:
                self._was_lost = self.is_lost
                if self._was_lost:
                    log.error("clock_is_years_off", says=_day(self._clock.now()))
                else:
                    log.warning("clock_is_right_again")
                self._changed(self._was_lost)
