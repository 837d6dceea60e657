"""A year in the life of officers: the document that each hands in, and when each rests, told apart from one another.

Both come from the same draw of patterns, but the rests are made here by hand, as minutes of the wall clock, and become
instants by a search through all minutes of the year: the first minute that the clock shows opens a rest, the last one
closes it, and where no minute shows it the first that shows a later one does. So nothing is shared with schedules/ but
the names of the members.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import groupby
from random import Random
from typing import Final
from zoneinfo import ZoneInfo

DAY: Final = 1440
"""Minutes."""
ZONE: Final = "Europe/Berlin"
Document = dict[str, object]
Span = tuple[int, int]
"""From one minute of the wall clock to another, counted from the year's first midnight; or two instants."""


class WallClock:
    """The minutes of a year, and what the clock on the wall shows in each."""

    def __init__(self, year: int) -> None:
        self.midnight = datetime(year, 1, 1)
        zone = ZoneInfo(ZONE)
        self.first = int(datetime(year, 1, 1, tzinfo=zone).timestamp()) - 40 * 86_400
        count = (365 + 80) * DAY
        self._shown = array("i", bytes(4 * count))
        self._opens: dict[int, int] = {}
        self._closes: dict[int, int] = {}
        for index in range(0, count, 15):  # offsets change at quarters of an hour
            moment = datetime.fromtimestamp(self.first + index * 60, UTC).astimezone(zone)
            label = int((moment.replace(tzinfo=None) - self.midnight).total_seconds()) // 60
            for minute in range(15):
                self._shown[index + minute] = label + minute
        for index, label in enumerate(self._shown):
            self._opens.setdefault(label, index)
            self._closes[label] = index

    def opens(self, label: int) -> int:
        """UTC seconds."""
        return self._instant(self._opens, label)

    def closes(self, label: int) -> int:
        return self._instant(self._closes, label)

    def _instant(self, indices: dict[int, int], label: int) -> int:
        while label not in indices:
            label += 1
        return self.first + indices[label] * 60

    def text(self, label: int) -> str:
        return (self.midnight + timedelta(minutes=label)).isoformat(timespec="minutes")

    def date(self, day: int) -> str:
        return (self.midnight + timedelta(days=day)).date().isoformat()

    def weekday(self, day: int) -> int:
        return (self.midnight + timedelta(days=day)).isoweekday()


@dataclass(frozen=True, slots=True)
class Rests:
    """Merged rests of somebody, as instants."""

    starts: Sequence[int]
    ends: Sequence[int]

    def holds(self, instant: float) -> bool:
        index = bisect_right(self.starts, instant)
        return index > 0 and instant < self.ends[index - 1]

    def is_reachable(self, first: float, last: float) -> bool:
        """All the time."""
        index = bisect_right(self.starts, last)
        return index == 0 or self.ends[index - 1] <= first

    def reachable_from(self, instant: float) -> float:
        """The first instant from this on at which there is no rest."""
        index = bisect_right(self.starts, instant)
        return max(instant, self.ends[index - 1]) if index else instant


@dataclass(frozen=True, slots=True)
class Life:
    """What somebody hands in from an instant on, and the rests it means."""

    document: Document
    rests: Rests


def life(clock: WallClock, rng: Random, pattern: str) -> Life:
    windows, rests = _PATTERNS[pattern](clock, rng)
    overrides: list[Document] = []
    reachable: list[Span] = []
    for _ in range(rng.randrange(3)):  # leave
        first = rng.randrange(0, 360)
        last = first + rng.randrange(1, 15)
        windows.append({"kind": "dates", "from": clock.date(first), "to": clock.date(last)})
        rests.append((first * DAY, (last + 1) * DAY))
    for _ in range(rng.randrange(4)):  # on call
        start = rng.randrange(360) * DAY + rng.choice((0, 120, 1080, 1320))
        end = start + rng.choice((60, 180, 720))
        if clock.opens(start) >= clock.closes(end):
            continue  # in the hour that is skipped: nothing, and refused as such (R6)
        overrides.append({"kind": "reachable", "start": clock.text(start), "end": clock.text(end)})
        reachable.append((start, end))
    for _ in range(rng.randrange(4)):  # off duty now
        start = rng.randrange(365 * DAY)
        end = start + 660
        overrides.append({"kind": "rest", "start": clock.text(start), "end": clock.text(end)})
        rests.append((start, end))
    document: Document = {"timezone": ZONE, "windows": windows, "overrides": overrides}
    return Life(document, _without(clock, rests, reachable))


def _without(clock: WallClock, rests: list[Span], reachable: list[Span]) -> Rests:
    """The rests less the times on call: edges in order, and how many of each kind hold after them."""
    edges: list[tuple[int, int, int]] = []
    for spans, resting, on_call in ((rests, 1, 0), (reachable, 0, 1)):
        for start, end in spans:
            opened, closed = clock.opens(start), clock.closes(end)
            if opened < closed:
                edges += [(opened, resting, on_call), (closed, -resting, -on_call)]
    starts, ends = array("q"), array("q")
    depth = calls = 0
    for instant, together in groupby(sorted(edges), key=lambda edge: edge[0]):
        for _, resting, on_call in together:
            depth, calls = depth + resting, calls + on_call
        is_rest = depth > 0 and calls == 0
        if is_rest and len(starts) == len(ends):
            starts.append(instant)
        elif not is_rest and len(starts) > len(ends):
            ends.append(instant)
    return Rests(starts, ends)


# --- patterns

_Drawn = tuple[list[Document], list[Span]]
_DAYS: Final = range(-10, 376)


def _every_day(start: int, end: int) -> list[Span]:
    return [(day * DAY + start, day * DAY + end) for day in _DAYS]


def _day_duty(clock: WallClock, rng: Random) -> _Drawn:
    evening, morning = rng.choice((16, 17, 18)), rng.choice((6, 7, 8))
    windows: list[Document] = [
        {"kind": "weekly", "start": f"{evening}:00", "end": f"0{morning}:00", "days": [1, 2, 3, 4, 5]},
        {"kind": "cron", "start": "0 0 * * 0,6", "duration_minutes": DAY, "rest": "free"},
    ]
    rests = [
        (day * DAY, (day + 1) * DAY)
        if clock.weekday(day) > 5
        else (day * DAY + evening * 60, (day + 1) * DAY + morning * 60)
        for day in _DAYS
    ]
    return windows, rests


def _nights(_clock: WallClock, rng: Random) -> _Drawn:
    start = rng.choice((22 * 60, 21 * 60 + 30))
    end = rng.choice((DAY + 6 * 60, DAY + 2 * 60 + 30))  # half past two is skipped in spring, and comes twice in autumn
    written = {"start": f"{start // 60}:{start % 60:02}", "end": f"0{end // 60 - 24}:{end % 60:02}"}
    return [{"kind": "weekly", **written}], _every_day(start, end)


def _night_work(_clock: WallClock, _rng: Random) -> _Drawn:
    return [{"kind": "cron", "start": "0 8 * * *", "duration_minutes": 480}], _every_day(8 * 60, 16 * 60)


def _cycle(clock: WallClock, rng: Random) -> _Drawn:
    """Early, late, night, free, free, from some day on; half an hour before and after is no rest."""
    shift = rng.randrange(5)
    duties = {"F": ("06:00", "14:00"), "S": ("14:00", "22:00"), "N": ("22:00", "06:00")}
    window: Document = {
        "kind": "cycle", "anchor": clock.date(shift), "days": ["F", "S", "N", "-", "-"], "lead_minutes": 30,
        "lag_minutes": 30, "shifts": {name: {"start": start, "end": end} for name, (start, end) in duties.items()},
    }  # fmt: skip
    rests: list[Span] = []
    for first in range(shift - 15, 376, 5):
        begin = first * DAY
        rests += [
            (begin + 14 * 60 + 30, begin + DAY + 13 * 60 + 30),
            (begin + DAY + 22 * 60 + 30, begin + 2 * DAY + 21 * 60 + 30),
            (begin + 3 * DAY + 6 * 60 + 30, begin + 5 * DAY + 5 * 60 + 30),
        ]
    return [window], rests


def _no_rules(_clock: WallClock, _rng: Random) -> _Drawn:
    return [], []


_PATTERNS: Final[dict[str, Callable[[WallClock, Random], _Drawn]]] = {
    "day duty": _day_duty,
    "nights": _nights,
    "night work": _night_work,
    "cycle": _cycle,
    "no rules": _no_rules,
}
PATTERNS: Final = tuple(_PATTERNS)
