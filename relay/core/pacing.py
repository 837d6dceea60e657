"""Pace: how long the next wakeup of a user, and the next attempt of a device, must wait.

The first event after silence goes out at once. Then a hold runs, so that fifty messages ring once; while the backend
reports nothing as seen the hold grows (5, 15, 60, 300 s). After as long a silence as the longest hold it starts anew:
a tenant whose backend never posts `seen` must not be held at 300 s for ever. Back-off follows FCM's rule that a first
retry is never earlier than 10 s (Google, "Best practices when sending FCM messages at scale") and serves APNs as well.
"""

from __future__ import annotations

from typing import Final

GAPS: Final = (5.0, 15.0, 60.0, 300.0)
"""Seconds until the next wakeup of a user may leave."""

FIRST_RETRY: Final = 10.0
"""Seconds before the first retry after an answer of 429 or 5xx."""
CONNECTION_RETRY: Final = 1.0
"""Seconds before the first retry after a connection was lost: nobody asked us to wait."""
LONGEST_RETRY: Final = 900.0


class Hold:
    """Hold of one user; lives in memory only: a restart may cost one extra wakeup."""

    __slots__ = ("left_at", "step", "until")

    def __init__(self) -> None:
        self.left_at = 0.0
        self.until = 0.0
        self.step = 0

    def left(self, now: float) -> None:
        """A wakeup left: hold what comes next."""
        if now >= self.until + GAPS[-1]:
            self.step = 0
        self.left_at = now
        self.until = now + GAPS[self.step]
        self.step = min(self.step + 1, len(GAPS) - 1)

    def set_back(self, now: float) -> None:
        """The clock was set back, before what it said when a wakeup left perhaps."""
        self.left_at = min(self.left_at, now)
        self.until = min(self.until, now + GAPS[-1])

    def seen(self) -> None:
        """The user is reading: the next hold is the shortest, and a long one running is cut to that."""
        self.until = min(self.until, self.left_at + GAPS[0])
        self.step = 0


def backoff(attempt: int, noise: float, first: float = FIRST_RETRY) -> float:
    """Seconds to wait after the `attempt`-th failure (1, 2, …); `noise` in [0, 1) spreads over half the step."""
    step = min(first * 2.0 ** min(attempt - 1, 30), LONGEST_RETRY)
    return step * (1.0 + noise / 2)
