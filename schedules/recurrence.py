"""Recurrence rules of iCalendar (RFC 5545, 3.3.10), as far as duty rosters need them.

The law. Only DAILY and WEEKLY are read, with INTERVAL, COUNT, UNTIL, BYDAY and WKST; every other rule is refused by
name, before anything is counted. What is read costs what is asked for: the starts of ten years ago are numbered, for
COUNT, and not walked through.

All is done in wall times, as everything in this library: 22:00 every day is 22:00 in both nights in which the clock
changes. An event's first start counts also where its own rule has no place for it (the RFC leaves that open, calendars
show it).

Rejected: dateutil's `rrule`, which walks from the first start, second by second if a rule says so, and of which a file
could ask for every second since 1970; BYSETPOS, MONTHLY and the rest, which no roster of the next sixty days needs and
which nobody could be told about in a sentence.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import count
from typing import Final, NamedTuple

from schedules.cycle import DAY
from schedules.walltime import Zone, wall_of

_WEEKDAYS: Final = {"MO": 0, "TU": 1, "WE": 2, "TH": 3, "FR": 4, "SA": 5, "SU": 6}
_KNOWN: Final = frozenset({"FREQ", "INTERVAL", "COUNT", "UNTIL", "BYDAY", "WKST"})
_MOMENT: Final = re.compile(r"(\d{4})(\d\d)(\d\d)(?:T(\d\d)(\d\d)(\d\d)(Z?))?", re.ASCII)
_NUMBER: Final = re.compile(r"0*[1-9]\d{0,5}", re.ASCII)
_THURSDAY: Final = 3
"""1970-01-01."""


class Written(NamedTuple):
    """A DATE or DATE-TIME (3.3.4, 3.3.5) without its zone."""

    wall: int
    """Seconds since 1970 as it is written."""
    is_date: bool
    is_utc: bool


def written(text: str) -> Written:
    """Raises ValueError for what is neither, or not in the calendar."""
    match = _MOMENT.fullmatch(text)
    if match is None:
        raise ValueError("neither a date nor a time")
    year, month, day, hour, minute, second = (int(part or 0) for part in match.groups()[:6])
    return Written(wall_of(datetime(year, month, day, hour, minute, second)), match[4] is None, match[7] == "Z")


class UnknownRuleError(ValueError):
    """A rule that is not read. Says nothing of it."""


@dataclass(frozen=True, slots=True)
class Recurrence:
    interval: int
    """Days; weeks where there are weekdays."""
    weekdays: frozenset[int] | None
    """0 is Monday; None: every day."""
    week_start: int
    count: int | None
    until: int | None
    """The last wall time that may be a start."""

    def starts(self, first: int, low: int, high: int) -> Iterator[int]:
        """Wall times (seconds) in [low, high), in order, of what starts at `first` for the first time."""
        clock = first % DAY
        for number, day in self._days(first // DAY, max(low, first) // DAY):
            wall = day * DAY + clock
            is_over = (self.count is not None and number >= self.count) or (
                self.until is not None and wall > self.until
            )
            if is_over or wall >= high:
                return
            if wall >= low:
                yield wall

    def _days(self, first: int, low: int) -> Iterator[tuple[int, int]]:
        """(number among all, day), from a day not after the first that is asked for, without an end."""
        if self.weekdays is None:
            for number in count((low - first) // self.interval):
                yield number, first + number * self.interval
        week = first - (_weekday(first) - self.week_start) % 7
        places = sorted((weekday - self.week_start) % 7 for weekday in self.weekdays or ())
        before = sum(week + place < first for place in places)
        if _weekday(first) not in (self.weekdays or ()):
            before -= 1  # the first start has number 0 and no place
            if low <= first:
                yield 0, first
        for turn in count((low - week) // (7 * self.interval)):
            for index, place in enumerate(places):
                day = week + turn * 7 * self.interval + place
                if day >= first:
                    yield turn * len(places) + index - before, day


def read(text: str, zone: Zone) -> Recurrence:
    """The rule of an RRULE's value; `zone`: of the start. Raises UnknownRuleError."""
    parts = _parts(text)
    frequency, by_day = parts["FREQ"], parts.get("BYDAY")
    interval = _number(parts["INTERVAL"]) if "INTERVAL" in parts else 1
    weekdays = frozenset(map(_day, by_day.split(","))) if by_day is not None else None
    week_start = _day(parts.get("WKST", "MO"))
    if frequency == "WEEKLY" and weekdays is None:
        interval *= 7
    # Every day that is one of some weekdays is the same as every week on these.
    elif frequency != "WEEKLY" and not (frequency == "DAILY" and (weekdays is None or interval == 1)):
        raise UnknownRuleError
    most = _number(parts["COUNT"]) if "COUNT" in parts else None
    return Recurrence(interval, weekdays, week_start, most, _until(parts["UNTIL"], zone) if "UNTIL" in parts else None)


def _parts(text: str) -> Mapping[str, str]:
    pairs = [part.partition("=") for part in text.strip().upper().split(";") if part]
    parts = {name: value for name, _, value in pairs}
    if (
        len(parts) < len(pairs)
        or "FREQ" not in parts
        or not parts.keys() <= _KNOWN
        or parts.keys() >= {"COUNT", "UNTIL"}
    ):
        raise UnknownRuleError
    return parts


def _number(text: str) -> int:
    if not _NUMBER.fullmatch(text):
        raise UnknownRuleError
    return int(text)


def _day(name: str) -> int:
    if name not in _WEEKDAYS:  # so is the second Monday, 2MO, which no week has
        raise UnknownRuleError
    return _WEEKDAYS[name]


def _until(text: str, zone: Zone) -> int:
    """A date is meant to its end. An instant is the wall time that it is where the event starts."""
    try:
        moment = written(text)
        if moment.is_date:
            return moment.wall + DAY - 1
        return zone.wall(moment.wall) if moment.is_utc else moment.wall
    except (ValueError, OverflowError):
        raise UnknownRuleError from None


def _weekday(day: int) -> int:
    return (day + _THURSDAY) % 7
