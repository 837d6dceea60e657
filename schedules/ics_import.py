"""A duty roster from a calendar's file (iCalendar, RFC 5545): the duties of the next sixty days.

The law. Whatever the bytes are, the result is duties or a RosterFault, after a bounded time. A duty is an event with
times that blocks its owner: not for whole days, not free (TRANSP:TRANSPARENT), not cancelled. Its edges are the wall
times of the document's zone; where the clock is changed they are the outermost ones, so that no rest of R3 and R4
reaches into it. What is left out is counted by its reason (`Note`), for its times will be rest, and whoever uploads has
to know.

Theory of operation. The library `icalendar` unfolds the lines and takes them apart, and knows which zone Windows means
by a name; it comes with the extra `ical`, and without it `is_available` says so. Components are counted and nested by
us, and of each event the dozen properties are read that say when it is; the others are not even taken apart. Rules are
read before they are expanded (recurrence.py), and only for the days looked at, so that no file costs more than it is
long.

    wall time and zone of the first start      UTC, a name of the IANA database or of Windows, or the document's zone
    + RRULE + RDATE - EXDATE                    each start as an instant; EXDATE and RECURRENCE-ID are compared as such
    - starts of events with a RECURRENCE-ID     which are events of their own
    start, start + length                       the length on the wall, as everywhere here: 22:00-06:00 ends at 06:00

Zones are taken by name, never from the file's own VTIMEZONE, but that one may tell the name (X-LIC-LOCATION): what
rests is decided by the wheel's zones alone. An event in a zone of no known name is left out and told, never guessed at.

Nothing of a text goes anywhere but into a shift's name: no fault, no `repr` and no log has a SUMMARY.

Rejected: `Calendar.from_ical`, which expands rules of zones for as many years as a file likes; an address from which
the roster is fetched now and then (it is a secret of the roster system's, and a request of ours to wherever somebody
says).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from schedules.cycle import DAY
from schedules.errors import Text
from schedules.ics_events import (
    TOO_MANY,
    Entry,
    Event,
    Key,
    LeftOutError,
    Moment,
    Note,
    Zones,
    components,
    event_of,
    said,
)
from schedules.recurrence import written
from schedules.roster import AHEAD, BACK, Duty, RosterFault
from schedules.walltime import Zone

MAX_BYTES: Final = 262_144
MAX_STARTS: Final = 2_000
"""Of all events, in the days looked at."""

_AROUND: Final = 2 * DAY
"""Seconds by which wall times of two zones may differ, and more."""
_BEYOND: Final = 400 * DAY

_LARGE: Final = Text(
    f"The file is larger than {MAX_BYTES // 1024} KiB. Please export fewer months.",
    f"Die Datei ist größer als {MAX_BYTES // 1024} KiB. Bitte weniger Monate exportieren.",
)


@dataclass(frozen=True, slots=True, repr=False)
class Found:
    """What a file says of the days from today on. No `repr`: duties are personal."""

    duties: tuple[Duty, ...]
    """In order, from two days before today on."""
    left_out: Mapping[Note, int]
    first: int
    last: int
    """The days, since 1970, of which it speaks; at most today and the 59 that follow, none if the last is before."""


def duties(content: bytes, now: float, own: Zone) -> Found:
    """The duties in a file; `own` is the document's zone, `now` UTC seconds. Raises RosterFault, and no other error.

    An entry outside of the days looked at is not counted among those that are left out, where its days can be read.
    """
    if len(content) > MAX_BYTES:
        raise RosterFault(_LARGE)
    today = own.wall(int(now // 1)) // DAY
    search = _Search(own, today)
    entries, names = components(_text(content))
    zones = Zones(own, names)
    events = [event for entry in entries if (event := search.event(entry, zones)) is not None]
    for event in search.current(events):
        search.look(event)
    return search.found()


def _text(content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("cp1252", "replace")  # only names suffer: all that says when is ASCII


# --- the days looked at


class _Search:
    """Collects what events say of the days around today."""

    def __init__(self, own: Zone, today: int) -> None:
        self._own = own
        self._today = today
        self._low, self._high = (today - BACK) * DAY, (today + AHEAD) * DAY
        self._duties: list[Duty] = []
        self._days = {today + AHEAD}
        self._left_out: Counter[Note] = Counter()
        self._starts = 0
        self._own_events: dict[str, set[Key]] = {}
        """By UID: starts of what recurs that are events of their own."""

    def event(self, entry: Entry, zones: Zones) -> Event | None:
        """None for one that is left out."""
        note: Note | None
        try:
            event = event_of(entry, zones)
            note = event.note
        except LeftOutError as error:
            event, note = None, error.note
        if note is not None and self._may_be_near(entry):
            self._left_out[note] += 1
        return event

    def _may_be_near(self, entry: Entry) -> bool:
        try:
            wall = written(said(entry, "DTSTART").upper()).wall
        except ValueError:
            return True
        return wall < self._high and (wall >= self._today * DAY or "RRULE" in entry or "RDATE" in entry)

    def current(self, events: Sequence[Event]) -> list[Event]:
        """The events without those that a later one replaces."""
        latest: dict[tuple[str, Key], Event] = {}
        others: list[Event] = []
        for event in events:
            if event.replaces is None or not event.uid:
                others.append(event)
                continue
            known = latest.get((event.uid, event.replaces.key))
            if known is None or event.sequence >= known.sequence:
                latest[event.uid, event.replaces.key] = event
        for uid, key in latest:
            self._own_events.setdefault(uid, set()).add(key)
        return [*others, *latest.values()]

    def look(self, event: Event) -> None:
        """Raises RosterFault when there are too many starts."""
        start = event.start
        self._speak(start)
        if event.note is not None:
            return
        low, high = self._low - event.length - _AROUND, self._high + _AROUND
        walls: Iterable[int] = (start.wall,)
        if event.rule is not None:
            walls = event.rule.starts(start.wall, low, high)
            for beyond in event.rule.starts(start.wall, high, high + _BEYOND):
                self._speak(start._replace(wall=beyond))
                break
        seen: set[Key] = set()
        gone = self._own_events.get(event.uid, seen) if event.replaces is None else seen
        for moment in (*(start._replace(wall=wall) for wall in walls), *event.more):
            if not low <= moment.wall < high:
                self._speak(moment)
                continue
            self._starts += 1
            if self._starts > MAX_STARTS:
                raise RosterFault(TOO_MANY)
            keys = {moment.key, moment.day}
            if moment.key not in seen and keys.isdisjoint(event.without) and keys.isdisjoint(gone):
                seen.add(moment.key)
                self._add(moment, event)

    def _speak(self, moment: Moment) -> None:
        wall = moment.wall if moment.is_date else self._own.wall(moment.zone.opens(moment.wall))
        self._days.add(wall // DAY)

    def _add(self, moment: Moment, event: Event) -> None:
        start, end = moment.zone.opens(moment.wall), moment.zone.closes(moment.wall + event.length)
        self._speak(moment)
        if end <= start:  # in an hour that is skipped
            self._left_out[Note.EMPTY] += 1
            return
        first, last = self._outer(start, end)
        if first < self._high and self._low < last:
            self._duties.append(Duty(first, last, event.name))

    def _outer(self, start: int, end: int) -> tuple[int, int]:
        """Wall times of whole minutes, between which no rest of R3 and R4 reaches into a duty."""
        first, last = self._own.wall(start) // 60 * 60, -(-self._own.wall(end) // 60) * 60
        while self._own.closes(first) > start:  # the first of two readings
            first -= 60
        while self._own.opens(last) < end:  # the second
            last += 60
        return first, last

    def found(self) -> Found:
        today = self._today
        return Found(
            tuple(sorted(self._duties)), dict(sorted(self._left_out.items())), max(min(self._days), today),
            min(max(self._days - {today + AHEAD}, default=today), today + AHEAD - 1),
        )  # fmt: skip
