"""Days as bands of 24 hours: rest is dark, reachability is light. What is painted is what the table says.

A band is a row of 96 quarter hours of the wall clock, run together to cells with a width in quarters, so that a page
needs no inline style and prints. Four looks: reachable; fixed rest; rest that only a rhythm makes; and on call, which
is being reachable where there would be rest otherwise. A quarter shows what holds at its middle, so edges move to the
nearest quarter. In the hour that is repeated it is light if either reading is; the hour that is skipped shows what
comes after it. Hence a band never shows rest where somebody can be rung for half a quarter, but it is a picture: exact
times stand beside it, in `Day.spans` and `Day.sentence`, which is the band for those who do not see it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import groupby, pairwise
from typing import Final, NamedTuple, cast

from schedules.cycle import Cycle
from schedules.errors import Text
from schedules.explain import calendar_days, called, clock, said
from schedules.rules import Rules, parse
from schedules.table import DAY, compile_table
from schedules.walltime import Zone
from schedules.web import shifts
from schedules.web.fields import shown
from schedules.web.looks import DARK, Look, Looks, Stretch
from schedules.web.switch import was_pressed

QUARTER: Final = 900
"""Seconds of a quarter hour."""
QUARTERS: Final = 96
LABELLED: Final = 16
"""Quarters that a cell needs for a label: four hours."""

_WEEKDAYS: Final = Text("Mon Tue Wed Thu Fri Sat Sun", "Mo Di Mi Do Fr Sa So")
_MONTHS: Final = Text("Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec", "1. 2. 3. 4. 5. 6. 7. 8. 9. 10. 11. 12.")
_DATE: Final = Text("{day} {month}", "{day}.{month}")
_ON_CALL: Final = Text("Call", "Ruf")
_UNTIL: Final = Text("until {end}", "bis {end}")
_FROM: Final = Text("from {start}", "ab {start}")
_BETWEEN: Final = Text("{start}–{end}", "{start}–{end}")
_AND: Final = Text("{first} and {last}", "{first} und {last}")
_ALL_DAY: Final = Text("reachable all day", "ganztags erreichbar")
_REACHABLE: Final = Text("reachable {spans}", "erreichbar {spans}")
_CALLED: Final = Text("on call {spans}", "Rufbereitschaft {spans}")
_CALLED_ALL_DAY: Final = Text("on call all day", "ganztags Rufbereitschaft")
_REST: Final = Text("rest", "Ruhe")
_SWAPPED: Final = Text("swapped", "getauscht")
_CLOCK_CHANGE: Final = Text("(clock change)", "(Zeitumstellung)")


@dataclass(frozen=True, slots=True, repr=False)
class Cell:
    """Quarters in a row that look alike. No `repr`: labels are personal."""

    quarters: int
    look: Look
    label: str
    """The shift, the rule or "on call"; empty under four hours and on rest that a rhythm makes."""
    times: str
    """Of what is reachable, beside the label: 05:30–14:30, bis 06:30. Empty without a label, and on rest."""
    begins_now: bool
    """Its left edge is now."""


@dataclass(frozen=True, slots=True, repr=False)
class Open:
    """A time of a day at which its owner is reachable."""

    times: str
    """05:30–14:30, bis 06:30, ab 21:30; empty where it is the whole day."""
    on_call: bool


@dataclass(frozen=True, slots=True, repr=False)
class Day:
    """A day of the calendar, painted and in words."""

    date: date
    weekday: str
    short: str
    """The date without its year: 24.11., 24 Nov."""
    is_today: bool
    cells: tuple[Cell, ...]
    """Their quarters are 96 together."""
    spans: tuple[Open, ...]
    """Exact to the minute; empty on a day of rest."""
    reason: str
    """What a day of fixed rest is for; else empty."""
    clock_change: bool
    sentence: str
    """All of it in words, without the date: "erreichbar 05:30–14:30, Rufbereitschaft 18:00–22:00"."""


def week(document: Mapping[str, object], now: float, language: str) -> list[Day]:
    """Monday to Sunday around `now` (UTC seconds). Raises RuleError."""
    zone = parse(document).zone
    today = zone.wall(int(now // 1)) // DAY
    return bands(document, today - (today + 3) % 7, 7, language, now=now)


def fortnight(document: Mapping[str, object], now: float, language: str) -> list[Day]:
    """Today and thirteen more. Raises RuleError."""
    zone = parse(document).zone
    return bands(document, zone.wall(int(now // 1)) // DAY, 14, language, now=now)


def bands(
    document: Mapping[str, object],
    first: int,
    count: int,
    language: str,
    *,
    now: float | None = None,
    starred: Collection[int] = (),
) -> list[Day]:
    """So many days from `first` (days since 1970) on. Raises RuleError.

    With `now` the day it lies in is split there. Days in `starred` have a swap that is not saved yet: their shifts get
    a star, and their sentence says so. A day that the zone left out does not appear.
    """
    rules = parse(document)
    zone = rules.zone
    start, end = zone.opens(first * DAY), zone.opens((first + count) * DAY)
    painter = _Painter(
        Looks.of(rules, start, end, _pressed(document)), list(_duties(document, zone, first, count)), rules, language,
        None if now is None else int(now // 1), starred,
    )  # fmt: skip
    return [painter.day(*day) for day in calendar_days(zone, start, end)]


def _pressed(document: Mapping[str, object]) -> list[int]:
    """Places of the overrides that a button has made: being reachable by them is not being on call."""
    overrides = cast("Sequence[Mapping[str, object]]", document.get("overrides", ()))
    return [place for place, entry in enumerate(overrides) if was_pressed(entry)]


class _Duty(NamedTuple):
    name: str
    day: int
    start: int
    end: int
    """UTC seconds, without lead and lag."""


def _duties(document: Mapping[str, object], zone: Zone, first: int, count: int) -> Iterator[_Duty]:
    for _, window in shifts.cycles(document):
        for name, start, end in shifts.duties(window, first - 2, first + count + 1):
            yield _Duty(shown(name), start // DAY, zone.opens(start), zone.closes(end))


@dataclass(frozen=True, slots=True, repr=False)
class _Painter:
    looks: Looks
    duties: Sequence[_Duty]
    rules: Rules
    language: str
    now: int | None
    starred: Collection[int]

    def day(self, number: int, began: int, over: int) -> Day:
        zone, calendar = self.rules.zone, shifts.date_of(number)
        changed = zone.wall(over - 1) - zone.wall(began - 1) != over - began
        stretches = self.looks.within(began, over)
        spans = tuple(self._open(stretch, began, over) for stretch in stretches if stretch.look not in DARK)
        is_fixed = all(stretch.look is Look.FIXED for stretch in stretches)
        reason = self._rule((began + over) // 2) if is_fixed else ""
        month = said(_MONTHS, self.language).split()[calendar.month - 1]
        return Day(
            date=calendar,
            weekday=said(_WEEKDAYS, self.language).split()[calendar.weekday()],
            short=said(_DATE, self.language, day=calendar.day, month=month),
            is_today=self.now is not None and began <= self.now < over,
            cells=self._cells(number, began, over),
            spans=spans,
            reason=reason,
            clock_change=changed,
            sentence=self._sentence(number, spans, reason, changed),
        )

    def _cells(self, number: int, began: int, over: int) -> tuple[Cell, ...]:
        looks = self._quarters(number, began, over)
        split = None
        if self.now is not None and began <= self.now < over:
            split = min(QUARTERS - 1, round((self.rules.zone.wall(self.now) - number * DAY) / QUARTER))
        cells: list[Cell] = []
        at = 0
        for look, run in groupby(looks):
            width = len(list(run))
            cuts = [at, *([split] if split is not None and at < split < at + width else []), at + width]
            labelled = False
            for first, last in pairwise(cuts):
                label, times = "", ""
                if not labelled and last - first >= LABELLED:
                    label, times = self._label(look, number, (at + at + width) / 2, began, over)
                    label, times = (label, times) if _fits(label, last - first) else ("", "")
                    labelled = bool(label)
                cells.append(Cell(last - first, look, label, times, first == split))
            at += width
        return tuple(cells)

    def _quarters(self, number: int, began: int, over: int) -> list[Look]:
        """The looks at the middles of the quarters."""
        zone, at = self.rules.zone, self.looks.at
        middles = range(QUARTER // 2, DAY, QUARTER)
        if over - began == DAY and zone.wall(began) == number * DAY:
            return [at(began + middle) for middle in middles]
        found = []
        for wall in (number * DAY + middle for middle in middles):
            first, last = (at(min(max(read, began), over - 1)) for read in (zone.opens(wall), zone.closes(wall)))
            found.append(last if first in DARK else first)
        return found

    def _label(self, look: Look, number: int, quarter: float, began: int, over: int) -> tuple[str, str]:
        """The label and the times of a run of cells around a quarter."""
        middle = min(max(self.rules.zone.opens(number * DAY + int(quarter * QUARTER)), began), over - 1)
        if look is Look.RHYTHM:
            return "", ""
        if look is Look.FIXED:
            return self._rule(middle), ""
        stretch = next(s for s in self.looks.within(began, over) if s.end > middle)
        if look is Look.ON_CALL:
            return said(_ON_CALL, self.language), self._open(stretch, began, over).times
        first, last = max(stretch.start, began), min(stretch.end, over)
        held = [duty for duty in self.duties if duty.start < last and first < duty.end]
        names = dict.fromkeys(f"{duty.name}*" if duty.day in self.starred else duty.name for duty in held)
        return ", ".join(names), self._open(stretch, began, over).times if names else ""

    def _rule(self, instant: int) -> str:
        """What the rest of an instant is called; the first that holds."""
        fixed = [
            reason.rule
            for reason in compile_table(self.rules, instant).holding(instant)
            if not isinstance(getattr(reason.rule, "times", None), Cycle)
        ]
        return called(fixed[0], self.language) if fixed else ""

    def _open(self, stretch: Stretch, began: int, over: int) -> Open:
        zone = self.rules.zone
        start, end = clock(zone.wall(stretch.start)), clock(zone.wall(stretch.end))
        early, late = stretch.start <= began, stretch.end >= over
        if early and late:
            times = ""
        else:
            times = said(_UNTIL if early else _FROM if late else _BETWEEN, self.language, start=start, end=end)
        return Open(times, stretch.look is Look.ON_CALL)

    def _sentence(self, number: int, spans: Sequence[Open], reason: str, changed: bool) -> str:
        told = [self._told(group, on_call) for on_call in (False, True) if (group := _times(spans, on_call))]
        if not told:
            told = [said(_REST, self.language), *([reason] if reason else [])]
        if number in self.starred:
            told.append(said(_SWAPPED, self.language))
        return ", ".join(told) + (f" {said(_CLOCK_CHANGE, self.language)}" if changed else "")

    def _told(self, times: Sequence[str], on_call: bool) -> str:
        if not times[0]:
            return said(_CALLED_ALL_DAY if on_call else _ALL_DAY, self.language)
        listed = times[0]
        if len(times) > 1:
            listed = said(_AND, self.language, first=", ".join(times[:-1]), last=times[-1])
        return said(_CALLED if on_call else _REACHABLE, self.language, spans=listed)


def _fits(label: str, quarters: int) -> bool:
    """Whether it can be read on a phone, where a letter is as wide as three quarters; a whole day may cut it."""
    return quarters == QUARTERS or quarters >= 3 * len(label) + 3


def _times(spans: Sequence[Open], on_call: bool) -> list[str]:
    return [span.times for span in spans if span.on_call is on_call]
