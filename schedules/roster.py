"""A duty roster as a rhythm: the duties that a file names, as one window of the kind `cycle`, with a row day by day.

The law. In the days for which the window holds, every minute of a duty of the file, with `lead` before and `lag` after,
is none of the window's rest, and every other minute is, but for pauses between two duties that start on one day. They
are counted (`doubled`), for a row has one duty a day. What has no place in a row is a fault that names the day; nothing
of such a file is used.

A window of the kind there is already, so swaps, hints, previews and every evaluator know it. It is marked by its id,
and the next file takes its place.

Where a file says nothing there must be no rest, or a phone is silent in duties of which nobody told us: the window
begins with the first day that the file speaks of, and ends with the last. A duty from before the first day which
reaches into it has to be in the row as well, so some days in front are.

Rejected: one `once` window for each rest (at most 30 windows, no names, no swaps); windows that touch at midnight,
since each would rest during a night duty that the other has begun.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final, NamedTuple

from schedules.cycle import DAY
from schedules.errors import Fault, Text
from schedules.windows import FREE, MAX_SHIFTS

Document = dict[str, object]

ID: Final = "ics"
"""Of the window that an import makes."""
AHEAD: Final = 60
"""Days, today included."""
BACK: Final = 2
"""Days before today in a row: a duty has a day at most, and the time after it half a day."""
_NAME: Final = 20
"""Characters of a text that is taken for the name of a shift."""
_EPOCH: Final = date(1970, 1, 1)

_LONG: Final = Text(
    "{day}: more than 24 hours in one piece. A duty has 24 hours at most. If it is none, mark it as all-day or as free "
    "in your calendar and export it again; or choose an earlier last day.",
    "{day}: mehr als 24 Stunden am Stück. Ein Dienst hat höchstens 24 Stunden. Ist es keiner, kennzeichnen Sie den "
    "Eintrag im Kalender als ganztägig oder als frei und exportieren Sie erneut; oder wählen Sie einen früheren "
    "letzten Tag.",
)
_APART: Final = Text(
    "{day}: two duties start on this day, and there are more than 24 hours from the start of the one to the end of the "
    "other. A rhythm has one duty a day. Please change one of them in your calendar and export it again; or choose an "
    "earlier last day.",
    "{day}: An diesem Tag beginnen zwei Dienste, und vom Beginn des einen bis zum Ende des anderen sind es mehr als 24 "
    "Stunden. Ein Rhythmus hat einen Dienst am Tag. Bitte einen davon im Kalender ändern und erneut exportieren; oder "
    "wählen Sie einen früheren letzten Tag.",
)
_SHIFTS: Final = Text(
    f"There are more than {MAX_SHIFTS} different duty times; the next one is on {{day}}. Please choose an earlier last "
    "day.",
    f"Es gibt mehr als {MAX_SHIFTS} verschiedene Dienstzeiten, am {{day}} die nächste. Bitte wählen Sie einen früheren "
    "letzten Tag.",
)


class RosterFault(Fault):
    """The file cannot be used. Where there is a day, `text` has a place `{day}` for it: days are personal."""

    def __init__(self, text: Text, day: int | None = None) -> None:
        super().__init__(text)
        self.day = day
        """Since 1970."""


class Duty(NamedTuple):
    """From start to end in wall times of the document's zone (seconds since 1970, whole minutes)."""

    start: int
    end: int
    name: str = ""

    def __repr__(self) -> str:
        return "<Duty>"  # personal


@dataclass(frozen=True, slots=True, repr=False)
class Roster:
    """No `repr`: duties are personal."""

    row: Document
    """A cycle without bounds, whose row has each day once: BACK days, then from the first that was asked for on."""
    doubled: int
    """Days with two duties or more, and a pause between that is lost."""


def roster(duties: Iterable[Duty], first: int, last: int) -> Roster | None:
    """The row for these days, since 1970; None if no duty starts in them. Raises RosterFault."""
    near = [duty for duty in duties if first - BACK <= duty.start // DAY <= last or duty.start < first * DAY < duty.end]
    for duty in near:
        if duty.end - duty.start > DAY and duty.end > first * DAY:
            raise RosterFault(_LONG, duty.start // DAY)
    days = _by_day([duty for duty in near if duty.start // DAY >= first - BACK and duty.end - duty.start <= DAY])
    if max(days, default=first - 1) < first:
        return None
    single = {day: _joined(listed, day) for day, listed in days.items()}
    names = _names(single)
    row: Document = {
        "kind": "cycle",
        "anchor": (_EPOCH + timedelta(days=first - BACK)).isoformat(),
        "days": [names[_hours(single[day])] if day in single else FREE for day in range(first - BACK, last + 1)],
        "shifts": {name: {"start": _clock(start), "end": _clock(end)} for (start, end), name in names.items()},
        "id": ID,
    }
    return Roster(row, sum(map(_has_pause, days.values())))


def _by_day(duties: Sequence[Duty]) -> dict[int, list[Duty]]:
    """By the day they start on. What many calendars cut at midnight is one duty again."""
    days: dict[int, list[Duty]] = {}
    for duty in sorted(duties):
        day = duty.start // DAY
        before = max(days.get(day - 1, ()), key=lambda each: each.end, default=None)
        if duty.start == day * DAY and before and duty.start <= before.end and duty.end - before.start <= DAY:
            name = before.name if before.name == duty.name else ""
            days[day - 1].append(Duty(before.start, max(before.end, duty.end), name))
            days[day - 1].remove(before)
        else:
            days.setdefault(day, []).append(duty)
    return days


def _joined(listed: Sequence[Duty], day: int) -> Duty:
    start, end = min(duty.start for duty in listed), max(duty.end for duty in listed)
    if end - start > DAY:
        raise RosterFault(_APART, day)
    names = {duty.name for duty in listed}
    return Duty(start, end, names.pop() if len(names) == 1 else "")


def _has_pause(listed: Sequence[Duty]) -> bool:
    ordered = sorted(listed)
    until = ordered[0].end
    for duty in ordered:
        if duty.start > until:
            return True
        until = max(until, duty.end)
    return False


# --- names


_Hours = tuple[int, int]
"""Start and end in minutes of the day; the end is 1 to 1440."""


def _hours(duty: Duty) -> _Hours:
    return duty.start % DAY // 60, duty.end % DAY // 60 or 1440


def _names(days: Mapping[int, Duty]) -> dict[_Hours, str]:
    """A shift is called by its hours, or as the file calls it, if it calls so these hours and no others."""
    said: dict[_Hours, set[str]] = {}
    for day in sorted(days):
        hours = _hours(days[day])
        if hours not in said and len(said) == MAX_SHIFTS:
            raise RosterFault(_SHIFTS, day)
        said.setdefault(hours, set()).add(days[day].name)
    plain = {hours: f"{_clock(hours[0])}–{_clock(hours[1])}" for hours in said}
    taken = {FREE, "", *plain.values()}
    single = {hours: next(iter(names)) for hours, names in said.items() if len(names) == 1}
    meant = {
        hours: name
        for hours, name in single.items()
        if name not in taken and len(name) <= _NAME and sum(name in names for names in said.values()) == 1
    }
    return {hours: meant.get(hours, plain[hours]) for hours in said}


def _clock(minutes: int) -> str:
    return f"{minutes // 60:02}:{minutes % 60:02}"
