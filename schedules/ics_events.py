"""The events of a calendar's file (iCalendar, RFC 5545), each as what it says of time; ics_import.py tells what for.

The only place that knows the library `icalendar`, which comes with the extra `ical`: its unfolding of lines, its taking
apart of parameters, and its table of what Windows calls zones. A line of ours is never in an error.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from importlib.util import find_spec
from typing import Final, NamedTuple

from schedules.cycle import DAY
from schedules.errors import Text
from schedules.recurrence import Recurrence, UnknownRuleError, Written, read, written
from schedules.roster import RosterFault
from schedules.walltime import Zone, zone

MAX_COMPONENTS: Final = 5_000
MAX_DEPTH: Final = 8

is_available: Final = find_spec("icalendar") is not None
"""Whether the extra `ical` is installed."""

_NO_CALENDAR: Final = Text(
    "This is no calendar file (iCalendar, .ics).", "Das ist keine Kalenderdatei (iCalendar, .ics)."
)
_CUT: Final = Text(
    "The calendar file is not complete. Please export it again.",
    "Die Kalenderdatei ist nicht vollständig. Bitte erneut exportieren.",
)
TOO_MANY: Final = Text(
    "There are too many entries in the file. Please export fewer months, and the roster alone.",
    "In der Datei sind zu viele Einträge. Bitte weniger Monate exportieren, und nur den Dienstplan.",
)


class Note(StrEnum):
    """Why an entry is no duty."""

    ALL_DAY = "all-day"
    FREE = "free"
    CANCELLED = "cancelled"
    EMPTY = "empty"
    """It does not end after its start."""
    ZONE = "zone"
    """It is in a time zone that nobody knows."""
    REPEATS = "repeats"
    """It recurs by a rule that is not read."""
    UNREADABLE = "unreadable"
    """Its times cannot be read."""


_Property = tuple[Mapping[str, object], str]
"""Parameters and value."""
Entry = dict[str, list[_Property]]
"""The properties of an event, by name."""

_NAME: Final = re.compile(r"([A-Za-z-]+)[;:]")
_READ: Final = {
    "VEVENT": frozenset({
        "UID", "DTSTART", "DTEND", "DURATION", "RRULE", "RDATE", "EXDATE", "EXRULE", "RECURRENCE-ID", "SEQUENCE",
        "STATUS", "TRANSP", "SUMMARY", "X-MICROSOFT-CDO-ALLDAYEVENT",
    }),
    "VTIMEZONE": frozenset({"TZID", "X-LIC-LOCATION"}),
}  # fmt: skip


def components(text: str) -> tuple[list[Entry], Mapping[str, str]]:
    """The events, and what zones of the file say they are called."""
    from icalendar.parser import Contentlines  # an extra, and only here

    events: list[Entry] = []
    zones: dict[str, str] = {}
    open_: list[tuple[str, Entry]] = []
    number = 0
    for line in Contentlines.from_ical(text):  # type: ignore[no-untyped-call]
        match = _NAME.match(line)
        name = match[1].upper() if match else ""
        if name == "BEGIN":
            open_.append((line[6:].strip().upper(), {}))
            number += 1
            if open_[0][0] != "VCALENDAR":
                raise RosterFault(_NO_CALENDAR)
            if number > MAX_COMPONENTS or len(open_) > MAX_DEPTH:
                raise RosterFault(TOO_MANY)
        elif name == "END":
            if not open_ or open_[-1][0] != line[4:].strip().upper():
                raise RosterFault(_CUT)
            kind, entry = open_.pop()
            if kind == "VEVENT":
                events.append(entry)
            elif kind == "VTIMEZONE" and entry.keys() >= {"TZID", "X-LIC-LOCATION"}:
                zones[entry["TZID"][0][1]] = entry["X-LIC-LOCATION"][0][1]
        elif open_ and name in _READ.get(open_[-1][0], ()):
            try:
                _, parameters, value = line.parts()
            except ValueError:  # repeats the line
                parameters, value = {}, ""
            open_[-1][1].setdefault(name, []).append((parameters, value.strip()))
    if open_:
        raise RosterFault(_CUT)
    if not number:
        raise RosterFault(_NO_CALENDAR)
    return events, zones


class LeftOutError(Exception):
    """An event that cannot be used."""

    def __init__(self, note: Note) -> None:
        super().__init__(note)
        self.note = note


class Zones:
    """Zones by the names that a file has for them."""

    def __init__(self, own: Zone, names: Mapping[str, str]) -> None:
        from icalendar.timezone.windows_to_olson import WINDOWS_TO_OLSON

        self._names = names
        self._windows = WINDOWS_TO_OLSON
        self._known: dict[str | None, Zone | None] = {None: own}

    def of(self, name: str | None, moment: Written) -> Zone:
        """Raises LeftOutError."""
        if moment.is_utc:
            name = "UTC"
        if name not in self._known:
            self._known[name] = self._looked_up(name)
        found = self._known[name]
        if found is None:
            raise LeftOutError(Note.ZONE)
        return found

    def _looked_up(self, name: str | None) -> Zone | None:
        for called in (name, self._windows.get(name or ""), self._names.get(name or "")):
            try:
                return zone(called or "")
            except KeyError:
                continue
        return None


# --- events


Key = tuple[str, int]


class Moment(NamedTuple):
    """A date or a wall time, and the zone it is in."""

    wall: int
    zone: Zone
    is_date: bool

    def __repr__(self) -> str:
        return "<Moment>"  # of somebody's duty

    @property
    def key(self) -> Key:
        """Equal for the same start, however it is written."""
        return self.day if self.is_date else ("at", self.zone.opens(self.wall))

    @property
    def day(self) -> Key:
        return "day", self.wall // DAY


@dataclass(frozen=True, slots=True, repr=False)
class Event:
    uid: str
    start: Moment
    length: int
    """Seconds on the wall."""
    note: Note | None
    """Why it is no duty."""
    rule: Recurrence | None
    more: tuple[Moment, ...]
    without: frozenset[Key]
    """Starts that it has not."""
    replaces: Moment | None
    name: str
    sequence: int


def event_of(entry: Entry, zones: Zones) -> Event:
    """Raises LeftOutError."""
    start = _one(entry, "DTSTART", zones)
    replaces = _one(entry, "RECURRENCE-ID", zones) if "RECURRENCE-ID" in entry else None
    if "EXRULE" in entry or len(entry.get("RRULE", ())) > 1 or (replaces and "RANGE" in entry["RECURRENCE-ID"][0][0]):
        raise LeftOutError(Note.REPEATS)
    note = _note(entry, start)
    length = 0 if note else _length(entry, start, zones)
    if not note and length <= 0:
        note = Note.EMPTY
    more = tuple(_many(entry, "RDATE", zones))
    if any(moment.is_date for moment in more) and not note:
        raise LeftOutError(Note.REPEATS)
    rule, sequence = None, said(entry, "SEQUENCE")
    try:
        if "RRULE" in entry and not note:
            rule = read(entry["RRULE"][0][1], start.zone)
    except UnknownRuleError:
        raise LeftOutError(Note.REPEATS) from None
    return Event(
        said(entry, "UID"), start, length, note, rule, more,
        frozenset(moment.key for moment in _many(entry, "EXDATE", zones)), replaces, _plain(said(entry, "SUMMARY")),
        int(sequence) if _SEQUENCE.fullmatch(sequence) else 0,
    )  # fmt: skip


def _note(entry: Entry, start: Moment) -> Note | None:
    if said(entry, "STATUS").upper() == "CANCELLED":
        return Note.CANCELLED
    if start.is_date or said(entry, "X-MICROSOFT-CDO-ALLDAYEVENT").upper() == "TRUE":
        return Note.ALL_DAY
    return Note.FREE if said(entry, "TRANSP").upper() == "TRANSPARENT" else None


def _length(entry: Entry, start: Moment, zones: Zones) -> int:
    if "DTEND" in entry:
        end = _one(entry, "DTEND", zones)
        if end.is_date:
            raise LeftOutError(Note.UNREADABLE)
        if end.zone is start.zone:
            return end.wall - start.wall
        return start.zone.wall(end.zone.closes(end.wall)) - start.wall
    if "DURATION" not in entry:
        return 0
    match = _DURATION.fullmatch(said(entry, "DURATION").upper())
    if match is None:
        raise LeftOutError(Note.UNREADABLE)
    weeks, days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return (weeks * 7 + days) * DAY + hours * 3600 + minutes * 60 + seconds


_SEQUENCE: Final = re.compile(r"\d{1,9}", re.ASCII)
_DURATION: Final = re.compile(
    r"\+?P(?:(\d{1,3})W)?(?:(\d{1,3})D)?(?:T(?:(\d{1,4})H)?(?:(\d{1,5})M)?(?:(\d{1,6})S)?)?", re.ASCII
)


def _one(entry: Entry, name: str, zones: Zones) -> Moment:
    if name not in entry:
        raise LeftOutError(Note.UNREADABLE)
    parameters, value = entry[name][0]
    return _moment(value, parameters, zones)


def _many(entry: Entry, name: str, zones: Zones) -> Iterator[Moment]:
    """Raises LeftOutError also for periods, which are not read."""
    for parameters, values in entry.get(name, ()):
        for value in values.split(","):
            if "/" in value:
                raise LeftOutError(Note.REPEATS)
            yield _moment(value.strip(), parameters, zones)


_YEARS: Final = (written("19000101").wall, written("23000101").wall)
"""Zones are not asked beyond."""


def _moment(value: str, parameters: Mapping[str, object], zones: Zones) -> Moment:
    try:
        moment = written(value.upper())
    except ValueError:
        raise LeftOutError(Note.UNREADABLE) from None
    if not _YEARS[0] <= moment.wall < _YEARS[1]:
        raise LeftOutError(Note.UNREADABLE)
    name = parameters.get("TZID")
    return Moment(moment.wall, zones.of(None if name is None else str(name), moment), moment.is_date)


def said(entry: Entry, name: str) -> str:
    """The value of a property; empty where there is none."""
    return entry[name][0][1] if name in entry else ""


def _plain(text: str) -> str:
    """A text on one line, with nothing that does not print."""
    return " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())
