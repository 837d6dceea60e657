"""The cage around croniter: which expressions may name the starts of a rest, and on which days they fall.

croniter decides what the text means; it is asked once, for the value sets, and never for a date. Reasons (all seen in
7.0.0): its ranges with equal ends mean the whole field (`3-3` = every day), `is_valid` accepts what never matches or
is random (`R R * * *`), a long list takes a second to parse, iterators keep state, and its answers around clock changes
are not ours. So: five fields, one minute and one hour, lists and ranges of numbers, no steps, at most 64 characters;
then our own walk over the days, which has no clock changes in it at all.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import Final

from croniter import CroniterError, croniter

from schedules.errors import Fault, Text
from schedules.walltime import FIRST_DAY, LAST_DAY

LONGEST: Final = 64
REACH_DAYS: Final = 400
"""An expression must match within so many days of any day."""

_LIST: Final = r"\d{1,2}(?:-\d{1,2})?(?:,\d{1,2}(?:-\d{1,2})?)*"
_GRAMMAR: Final = re.compile(rf"(\d{{1,2}}) (\d{{1,2}}) (\*|{_LIST}) (\*|{_LIST}) (\*|{_LIST})", re.ASCII)
_EPOCH_ORDINAL: Final = date(1970, 1, 1).toordinal()
_LIMITS: Final = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
_FIELDS: Final = (
    Text("minute", "Minute"), Text("hour", "Stunde"), Text("day", "Tag"), Text("month", "Monat"),
    Text("weekday", "Wochentag"),
)  # fmt: skip
_WEEKDAY: Final = 4

_LONG: Final = Text("is longer than {most} characters", "ist länger als {most} Zeichen")
_FORM: Final = Text(
    "must have five fields: one minute, one hour, and for day, month and weekday * or numbers like 1,3-5",
    "muss fünf Felder haben: eine Minute, eine Stunde, und für Tag, Monat und Wochentag * oder Zahlen wie 1,3-5",
)
_NEVER: Final = Text("is not an expression that can ever match", "ist kein Ausdruck, der je zutreffen kann")
_OUTSIDE: Final = Text("has a {field} outside {low}-{high}", "hat im Feld {field} etwas außerhalb von {low}-{high}")
_EQUAL: Final = Text(
    "has a {field} range with equal ends; write the single value",
    "hat im Feld {field} einen Bereich mit gleichen Enden; schreiben Sie den einzelnen Wert",
)
_BACKWARDS: Final = Text(
    "has a {field} range that runs backwards", "hat im Feld {field} einen rückwärts laufenden Bereich"
)
_FAR: Final = Text("never matches within {days} days", "trifft innerhalb von {days} Tagen nie zu")


@dataclass(frozen=True, slots=True)
class Cron:
    """Wall-clock starts of a window. None: every day, month or weekday. Weekdays: 0 = Sunday."""

    minute: int
    hour: int
    days: frozenset[int] | None
    months: frozenset[int] | None
    weekdays: frozenset[int] | None

    def starts(self, first: int, last: int) -> Iterator[int]:
        """Wall times of the starts on the days `first`..`last` (days since 1970-01-01, both included)."""
        offset = self.hour * 3600 + self.minute * 60
        for day in range(max(first, FIRST_DAY), min(last, LAST_DAY) + 1):
            if self.matches(day):
                yield day * 86400 + offset

    def matches(self, day: int) -> bool:
        """Whether a day has a start. Day and weekday both restricted: either matches (R2, as Vixie's cron)."""
        weekday_fits = self.weekdays is None or (day + 4) % 7 in self.weekdays
        if self.days is None and self.months is None:
            return weekday_fits
        calendar = date.fromordinal(day + _EPOCH_ORDINAL)
        if self.months is not None and calendar.month not in self.months:
            return False
        if self.days is None:
            return weekday_fits
        day_fits = calendar.day in self.days
        return day_fits if self.weekdays is None else day_fits or weekday_fits


@lru_cache(maxsize=4096)
def parse(text: str) -> Cron:
    """Read an expression. Raises Fault, a ValueError with a sentence. Remembered: most people use the same few."""
    if len(text) > LONGEST:
        raise Fault(_LONG.filled(most=LONGEST))
    stripped = text.strip(" ")
    match = _GRAMMAR.fullmatch(stripped)
    if match is None:
        raise Fault(_FORM)
    for index, field in enumerate(match.groups()):
        _check_field(index, field)
    try:
        expanded, _ = croniter.expand(stripped, strict=True)
    except (CroniterError, ValueError, KeyError):
        raise Fault(_NEVER) from None
    sets = [None if values == ["*"] else frozenset(int(value) for value in values) for values in expanded]
    minute, hour, days, months, weekdays = sets
    assert minute is not None
    assert hour is not None
    cron = Cron(min(minute), min(hour), days, months, weekdays and frozenset(value % 7 for value in weekdays))
    _check_reach(cron)
    return cron


def _check_field(index: int, field: str) -> None:
    low, high = _LIMITS[index]
    name = _FIELDS[index]
    for part in () if field == "*" else field.split(","):
        ends = [int(end) for end in part.split("-")]
        if any(not low <= end <= high for end in ends):
            raise Fault(_of(_OUTSIDE, name).filled(low=low, high=high))
        if len(ends) == 2 and (ends[0] == ends[1] or (index == _WEEKDAY and ends[0] % 7 == ends[1] % 7)):
            raise Fault(_of(_EQUAL, name))
        if len(ends) == 2 and ends[0] > ends[1] and index != _WEEKDAY:
            raise Fault(_of(_BACKWARDS, name))


def _of(text: Text, field: Text) -> Text:
    return Text(text.english.replace("{field}", field.english), text.german.replace("{field}", field.german))


def _check_reach(cron: Cron) -> None:
    """29 February apart, what matches at all matches within 400 days; what does not is refused."""
    start = date(2026, 1, 1).toordinal() - _EPOCH_ORDINAL
    if not any(cron.matches(day) for day in range(start, start + REACH_DAYS)):
        raise Fault(_FAR.filled(days=REACH_DAYS))
