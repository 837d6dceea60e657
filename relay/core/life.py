"""Life: how long Apple and Google may keep a wakeup for a phone that is offline.

A push handed over at 21:59 for a phone without coverage would ring at 23:10. So the life of a wakeup ends before the
user's next rest. It comes from a ladder, never from the person's schedule itself: a computed value would tell the
providers everybody's roster.
"""

from __future__ import annotations

from typing import Final

LADDER: Final = (300, 900, 3600, 4 * 3600, 12 * 3600, 7 * 86400)
"""Seconds; the last step is "as long as anybody wants it"."""

NOW_OR_NEVER: Final = 0
TOP: Final = LADDER[-1]
TICK: Final = 300
"""APNs expirations are rounded down to this, so that they do not tell the second of sending (P2)."""

_DOWNWARDS: Final = tuple(reversed(LADDER))


def life(seconds: float) -> int:
    """The longest step that fits into `seconds`; under five minutes now or never (0)."""
    for step in _DOWNWARDS:
        if step <= seconds:
            return step
    return NOW_OR_NEVER


def apns_expiration(now: float, step: int) -> int:
    """Value of `apns-expiration`: 0 is a single attempt, else UTC seconds (Apple, "Sending notification requests")."""
    return int(now + step) // TICK * TICK if step else 0
