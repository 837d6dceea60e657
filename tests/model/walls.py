"""The clock on the wall in Berlin, by the law and not by a database, and how its times become instants (R3, R4).

It is an hour ahead of UTC, and two hours from the last Sunday in March to the last one in October, 01:00 UTC.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import Final

HOUR: Final = 3600
DAY: Final = 24 * HOUR
BERLIN: Final = "Europe/Berlin"
AHEAD: Final = {"UTC": (0,), BERLIN: (2 * HOUR, HOUR)}
"""By how much a clock may be ahead; where two instants show the same, the first of them is further ahead."""


def shown(zone: str, second: int) -> int:
    """What the clock reads at an instant, as seconds since 1970-01-01T00:00."""
    spring, autumn = _changes(datetime.fromtimestamp(second, UTC).year)
    summer, winter = AHEAD[zone][0], AHEAD[zone][-1]
    return second + (summer if spring <= second < autumn else winter)


def opens(zone: str, wall: int) -> int:
    """When a rest begins that opens at a wall time: the first time it is shown, or the jump over it."""
    return next(iter(_showing(zone, wall)), _jump(wall))


def closes(zone: str, wall: int) -> int:
    """When a rest ends that closes at a wall time: the last time it is shown, or the jump over it."""
    return next(reversed(_showing(zone, wall)), _jump(wall))


def _showing(zone: str, wall: int) -> list[int]:
    """The instants at which the clock reads this: one, two, or none."""
    return [wall - ahead for ahead in AHEAD[zone] if shown(zone, wall - ahead) == wall]


def _jump(wall: int) -> int:
    return _changes(datetime.fromtimestamp(wall, UTC).year)[0]


@cache
def _changes(year: int) -> tuple[int, int]:
    """To summer time, and back from it."""
    return _last_sunday(year, 3) + HOUR, _last_sunday(year, 10) + HOUR


def _last_sunday(year: int, month: int) -> int:
    last = date(year, month, 31)
    return (last - timedelta(days=last.isoweekday() % 7) - date(1970, 1, 1)).days * DAY
