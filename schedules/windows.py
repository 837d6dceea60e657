"""The kinds of windows: how each is written in a document, and which wall times it is.

A window that repeats gives its rests as stretches of the wall clock that touch some days (`walls`); clock changes are
the table's business (R3, R4). What is written is checked by one reader for each kind (`FORMS`), which lists all faults.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from schedules import cron
from schedules.cron import Cron
from schedules.cycle import DAY, Cycle, Shift
from schedules.errors import Fault, Text
from schedules.holidays import LAENDER, is_holiday
from schedules.reader import Edge, Reader, Span

MAX_MINUTES: Final = 20_160
"""Longest recurring window (14 days); longer absences are `once`."""
MAX_ROW: Final = 126
"""Days of a cycle: eighteen weeks."""
MAX_SWAPS: Final = 200
MAX_SHIFTS: Final = 20
MAX_LEAD: Final = 720
"""Minutes kept free before and after duty."""
FREE: Final = "-"
"""In a cycle's row and swaps: no duty."""

_TEXT: Final = Text("must be a text", "muss ein Text sein")
_SPAN: Final = Text("must differ from the start", "muss sich vom Beginn unterscheiden")
_START: Final = Text("must be earlier than 24:00", "muss vor 24:00 liegen")
_WEEKDAYS: Final = Text(
    "must be different whole numbers from 1, Monday, to 7, Sunday",
    "müssen verschiedene ganze Zahlen von 1, Montag, bis 7, Sonntag sein",
)
_NO_SHIFT: Final = Text(
    'must be the name of a shift of this cycle, or "-" for a free day',
    "muss der Name einer Schicht dieses Rhythmus sein, oder „-“ für einen freien Tag",
)
_RESERVED: Final = Text(
    'must not be called "-": that is a free day', "darf nicht „-“ heißen, denn das ist ein freier Tag"
)
_NO_DUTY: Final = Text(
    "must hold a duty: a row of free days only is no cycle",
    "muss einen Dienst enthalten, denn eine Reihe nur freier Tage ist kein Rhythmus",
)
_TWICE: Final = Text("is the date of another entry too", "ist auch das Datum eines anderen Eintrags")


class RestKind(StrEnum):
    """What a rest is for. Classes of events may be configured to pierce some kinds and not others."""

    NIGHT = "night"
    FREE = "free"
    LEAVE = "leave"
    SICK = "sick"
    OFF = "off"
    """Of overrides: "off duty now"."""


@dataclass(frozen=True, slots=True)
class Recurring:
    """Starts by cron, each `minutes` long on the wall clock (R2)."""

    cron: Cron
    minutes: int

    def walls(self, first: int, last: int) -> Iterator[tuple[int, int]]:
        """Windows, in wall times (seconds), that touch these days."""
        seconds = self.minutes * 60
        for wall in self.cron.starts(first - -(-seconds // DAY), last):
            yield wall, wall + seconds


@dataclass(frozen=True, slots=True)
class OnHolidays:
    """On each public holiday of a Land, from `start` on, in minutes of the day."""

    land: str
    start: int
    minutes: int

    def walls(self, first: int, last: int) -> Iterator[tuple[int, int]]:
        for day in range(first - 1, last + 1):
            if is_holiday(self.land, day):
                start = day * DAY + self.start * 60
                yield start, start + self.minutes * 60


Repeating = Recurring | OnHolidays | Cycle
"""Windows without an end: those that tables share."""


def _read_cron(reader: Reader, window: Mapping[str, object], path: str) -> Recurring | None:
    starts: Cron | None = None
    text = window.get("start", "")
    if not isinstance(text, str):
        reader.fault(f"{path}.start", _TEXT)
    elif "start" in window:
        try:
            starts = cron.parse(text)
        except Fault as fault:
            reader.fault(f"{path}.start", fault.text)
    minutes = None
    if "duration_minutes" in window:
        minutes = reader.whole(window["duration_minutes"], f"{path}.duration_minutes", 1, MAX_MINUTES)
    return Recurring(starts, minutes) if starts is not None and minutes is not None else None


def _read_weekly(reader: Reader, window: Mapping[str, object], path: str) -> Recurring | None:
    times = _times_of_day(reader, window, path)
    weekdays = _weekdays(reader, window["days"], f"{path}.days") if "days" in window else frozenset(range(7))
    if times is None or weekdays is None:
        return None
    start, minutes = times
    return Recurring(Cron(start % 60, start // 60, None, None, None if len(weekdays) == 7 else weekdays), minutes)


def _weekdays(reader: Reader, value: object, path: str) -> frozenset[int] | None:
    """Weekdays as cron counts them, 0 is Sunday."""
    listed = reader.items(value, path, 7, least=1)
    days = {day for day in listed if isinstance(day, int) and not isinstance(day, bool) and 1 <= day <= 7}
    if len(days) < len(listed):
        reader.fault(path, _WEEKDAYS)
    return frozenset(day % 7 for day in days) or None


def _times_of_day(
    reader: Reader, value: Mapping[str, object], path: str, *, whole_day: bool = False
) -> tuple[int, int] | None:
    """Start, and minutes until the end, which is on the next day when it is not later than the start."""
    start = reader.clock(value["start"], f"{path}.start") if "start" in value else None
    end = reader.clock(value["end"], f"{path}.end") if "end" in value else None
    if start == 1440:
        reader.fault(f"{path}.start", _START)
        return None
    if start is None or end is None:
        return None
    if start == end and not whole_day:
        reader.fault(f"{path}.end", _SPAN)
        return None
    return start, end - start if end > start else end - start + 1440


def _read_holidays(reader: Reader, window: Mapping[str, object], path: str) -> OnHolidays | None:
    times = _times_of_day(reader, {"start": "00:00", "end": "24:00", **window}, path)
    land = reader.one_of(window["land"], f"{path}.land", {code: code for code in LAENDER}) if "land" in window else None
    return OnHolidays(land, *times) if land is not None and times is not None else None


def _read_once(reader: Reader, window: Mapping[str, object], path: str) -> Span | None:
    return reader.span(window, path)


def _read_dates(reader: Reader, window: Mapping[str, object], path: str) -> Span | None:
    first, last = reader.days(window, "from", "to", path)
    if first is None or last is None:
        return None
    return Span(Edge(first * DAY, is_wall=True), Edge((last + 1) * DAY, is_wall=True))


def _read_cycle(reader: Reader, window: Mapping[str, object], path: str) -> Cycle | None:
    faults = len(reader.problems)
    anchor = reader.day(window["anchor"], f"{path}.anchor") if "anchor" in window else None
    shifts: dict[str, Shift | None] = {FREE: None}
    for place, name, value in reader.named(window.get("shifts", {}), f"{path}.shifts", MAX_SHIFTS):
        shifts[name] = _read_shift(reader, value, place, name)
    row = [
        _shift(reader, name, f"{path}.days[{i}]", shifts)
        for i, name in enumerate(reader.items(window.get("days", ()), f"{path}.days", MAX_ROW))
    ]
    if len(reader.problems) == faults and not any(row):
        reader.fault(f"{path}.days", _NO_DUTY)
    swaps = _read_swaps(reader, window.get("swaps", ()), f"{path}.swaps", shifts)
    lead, lag = (
        reader.whole(window.get(name, 0), f"{path}.{name}", 0, MAX_LEAD) for name in ("lead_minutes", "lag_minutes")
    )
    first, last = reader.days(window, "from", "to", path)
    if len(reader.problems) > faults or anchor is None or lead is None or lag is None:
        return None
    return Cycle(anchor, tuple(row), swaps, lead, lag, first, last)


def _read_shift(reader: Reader, value: object, path: str, name: str) -> Shift | None:
    shift = reader.members(value, path, frozenset({"start", "end"}), frozenset())
    if name == FREE:
        reader.fault(path, _RESERVED)
    times = _times_of_day(reader, shift, path, whole_day=True)
    return Shift(*times) if times is not None else None


def _shift(reader: Reader, name: object, path: str, shifts: Mapping[str, Shift | None]) -> Shift | None:
    if not isinstance(name, str) or name not in shifts:
        reader.fault(path, _NO_SHIFT)
        return None
    return shifts[name]


def _read_swaps(
    reader: Reader, value: object, path: str, shifts: Mapping[str, Shift | None]
) -> tuple[tuple[int, Shift | None], ...]:
    swaps: dict[int, Shift | None] = {}
    for i, item in enumerate(reader.items(value, path, MAX_SWAPS)):
        swap = reader.members(item, f"{path}[{i}]", frozenset({"date", "shift"}), frozenset())
        day = reader.day(swap["date"], f"{path}[{i}].date") if "date" in swap else None
        shift = _shift(reader, swap["shift"], f"{path}[{i}].shift", shifts) if "shift" in swap else None
        if day in swaps:
            reader.fault(f"{path}[{i}].date", _TWICE)
        if day is not None:
            swaps[day] = shift
    return tuple(sorted(swaps.items(), key=lambda swap: swap[0]))


@dataclass(frozen=True, slots=True)
class Form:
    """A kind of window: its members beside those that all have, and what it is for unless it says so."""

    read: Callable[[Reader, Mapping[str, object], str], Repeating | Span | None]
    default: RestKind
    required: frozenset[str]
    optional: frozenset[str] = frozenset()


FORMS: Final[Mapping[str, Form]] = {
    "weekly": Form(_read_weekly, RestKind.NIGHT, frozenset({"start", "end"}), frozenset({"days"})),
    "cron": Form(_read_cron, RestKind.NIGHT, frozenset({"start", "duration_minutes"})),
    "cycle": Form(
        _read_cycle, RestKind.FREE, frozenset({"anchor", "days", "shifts"}),
        frozenset({"swaps", "lead_minutes", "lag_minutes", "from", "to"}),
    ),
    "holidays": Form(_read_holidays, RestKind.FREE, frozenset({"land"}), frozenset({"start", "end"})),
    "once": Form(_read_once, RestKind.LEAVE, frozenset({"start", "end"})),
    "dates": Form(_read_dates, RestKind.LEAVE, frozenset({"from", "to"})),
}  # fmt: skip
