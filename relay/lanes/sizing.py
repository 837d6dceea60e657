"""How many connections a lane needs: Little's law.

What is in flight on average is the rate times the answer time (Little, 1961). With an answer time *a* and *s* streams
per connection, *n* connections carry n·s/a wakeups a second. What is queued is to leave within `SOON`, so the rate that
is wanted follows from the queue, and from it the number of connections. At 100 ms and FCM's 100 streams one connection
carries 1,000 a second: 69,000 wakeups would take more than a minute over it, and 17 seconds over four.

Only answer times that were measured while the lane was not full count: a full one measures its own queue at the peer,
and would ask for more and more. Connections are opened while the queue is long, and those that had nothing to do for
a while are closed again, for Apple asks for few and long-lived ones.

Rejected: a fixed number (too few for FCM in the morning, too many at night); growing by what was refused (FCM answers
too many streams with GOAWAY).
"""

from __future__ import annotations

from math import ceil
from typing import Final

SOON: Final = 5.0
"""Seconds within which what is queued should have left."""
WEIGHT: Final = 0.1
"""Of a new answer time in the running mean."""
FULL: Final = 0.8
"""Part of the streams from which on a lane counts as full: its answer times say nothing then."""
STREAMS: Final = 100
"""Of a connection, where none has told yet."""
UNMEASURED: Final = 0.1
"""Seconds to an answer, where none was measured yet."""


class AnswerTime:
    """Running mean of the seconds between a wakeup's bytes and its answer."""

    __slots__ = ("mean",)

    def __init__(self) -> None:
        self.mean: float | None = None

    def measured(self, seconds: float, *, load: float) -> None:
        """`load`: part of the lane's streams that is in use."""
        if load < FULL:
            self.mean = seconds if self.mean is None else self.mean + (seconds - self.mean) * WEIGHT


def connections(waiting: int, answer_time: float | None, streams: int) -> int:
    """How many are needed for what waits, queued or in flight; `streams`: how many one of them has. At least one."""
    seconds = UNMEASURED if answer_time is None else answer_time
    return max(1, ceil(waiting * seconds / SOON / max(1, streams)))
