"""Wall clock → instants, by the zones of the pinned `tzdata` wheel.

A wall time is an int: seconds since 1970-01-01T00:00 as the clock on the wall reads them. Three cases (R3, R4):

    exists once    that instant
    exists twice   the first opens a rest, the second closes it: the rest has no hole and never ends early
    never          the jump, i.e. the first instant whose wall clock reads later; it is monotone, as `fold=0` is not

`zoneinfo.ZoneInfo(name)` would read the machine's own database before the wheel; two machines would disagree. So zones
are read from the wheel's files, and nothing process-wide is changed.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from importlib import resources
from typing import Final
from zoneinfo import ZoneInfo

import tzdata

TZDATA: Final = tzdata.IANA_VERSION
"""Version of the time zone data in use; to be logged at start."""

FIRST_DAY: Final = (date.min - date(1970, 1, 1)).days + 2
LAST_DAY: Final = (date.max - date(1970, 1, 1)).days - 16
"""Days, since 1970, on which a window may begin: Python's calendar less the longest window and offset."""

_EPOCH: Final = datetime(1970, 1, 1)
_NAME: Final = re.compile(r"[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+){0,2}")


class Zone:
    """One time zone. About 2 µs for an edge away from clock changes."""

    __slots__ = ("_info", "name")

    def __init__(self, name: str, info: ZoneInfo) -> None:
        self.name = name
        self._info = info

    def opens(self, wall: int) -> int:
        """Instant at which a rest that starts at `wall` begins (R3)."""
        early, late = self._readings(wall)
        return early if early <= late else self._jump(late, early)

    def closes(self, wall: int) -> int:
        """Instant at which a rest that ends at `wall` is over (R4)."""
        early, late = self._readings(wall)
        return late if early <= late else self._jump(late, early)

    def wall(self, instant: int) -> int:
        """What the wall clock reads at an instant."""
        return instant + self._offset(instant)

    def _readings(self, wall: int) -> tuple[int, int]:
        """The instants by the offset before and after a change nearby; equal away from changes."""
        moment = _EPOCH + timedelta(seconds=wall)
        before = self._info.utcoffset(moment)
        after = self._info.utcoffset(moment.replace(fold=1))
        assert before is not None
        assert after is not None
        first = wall - int(before.total_seconds())
        return first, first if after == before else wall - int(after.total_seconds())

    def _jump(self, low: int, high: int) -> int:
        """First instant in (low, high] with the offset of `high`."""
        after = self._offset(high)
        while high - low > 1:
            middle = (low + high) // 2
            if self._offset(middle) == after:
                high = middle
            else:
                low = middle
        return high

    def _offset(self, instant: int) -> int:
        offset = datetime.fromtimestamp(instant, UTC).astimezone(self._info).utcoffset()
        assert offset is not None
        return int(offset.total_seconds())


@lru_cache(maxsize=600)
def zone(name: str) -> Zone:
    """The zone of an IANA name. Raises KeyError for names the wheel does not have, and for anything like a path."""
    if not _NAME.fullmatch(name) or name == "localtime":
        raise KeyError("no such time zone")
    try:
        with resources.files("tzdata").joinpath("zoneinfo", *name.split("/")).open("rb") as file:
            return Zone(name, ZoneInfo.from_file(file, key=name))
    except (OSError, ValueError):
        raise KeyError("no such time zone") from None


def wall_of(moment: datetime) -> int:
    """Wall time of a naive datetime."""
    return (moment - _EPOCH) // timedelta(seconds=1)
