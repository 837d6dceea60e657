"""Words for what the table says, in German and English: a sentence for now, stretches, and a line for each day.

The law: the table alone knows when somebody rests. Here edges get names, never other instants, so that what an officer
reads and prints is what the gate does; a page that worked it out in a browser would be a second truth about clock
changes. Every time is what the clock on the wall of the document's zone shows; where it is changed, a note says so.

Reasons are the rules that carry a state: those that hold at its start, and where the last of them ends those that hold
there, until the state is over. So the night before a leave is "night rest, leave", and the nights inside of the leave
are not named. An override `reachable` is a reason only where somebody would rest without it.

A day's line tells when its owner is reachable, or that it is rest. The first day begins at `now`, by the minute; the
last one is told whole, because a cut would look like the start of a rest.

`table` is what `compile_table` made of `rules`, not the view of a class. Rejected: gettext (thirty texts; a catalogue
is one more thing to compile and forget), the machine's locale, and lengths beside times: twice a year they contradict.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import Final, NamedTuple

from schedules.errors import Text
from schedules.reader import Span, instant
from schedules.rules import Override, Rules, Window
from schedules.table import DAY, FAR, NoRest, RestTable, compile_table
from schedules.walltime import Zone
from schedules.windows import RestKind

Table = RestTable | NoRest

_COLUMN: Final = {"en": 0, "de": 1}
"""Language → its place in a Text."""

_WEEKDAYS: Final = Text("Mon Tue Wed Thu Fri Sat Sun", "Mo Di Mi Do Fr Sa So")
_MONTHS: Final = Text("Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec", "1. 2. 3. 4. 5. 6. 7. 8. 9. 10. 11. 12.")
_DATE: Final = Text("{weekday} {day} {month}", "{weekday} {day}.{month}")
_DATE_OF_YEAR: Final = Text("{weekday} {day} {month} {year}", "{weekday} {day}.{month}{year}")
_NEAR: Final = {0: Text("today", "heute"), 1: Text("tomorrow", "morgen")}
_WEEK: Final = 7
"""Days after which a weekday would name today."""
_YEAR: Final = 365
"""Days after which a date without its year might be this year's."""

_RESTING: Final = {
    "until": Text("Rest until {at} {cause}", "Ruhe bis {at} {cause}"),
    "ever": Text("Rest without end {cause}", "Ruhe ohne Ende {cause}"),
}
_REACHABLE: Final = {
    "next": Text("Reachable, next rest {at}", "Erreichbar, nächste Ruhe {at}"),
    "ever": Text("Reachable", "Erreichbar"),
}
_LIFTED: Final = {
    "until": Text("Reachable until {at} {cause}", "Erreichbar bis {at} {cause}"),
    "next": Text("Reachable {cause}; next rest {at}", "Erreichbar {cause}; nächste Ruhe {at}"),
    "ever": Text("Reachable {cause}", "Erreichbar {cause}"),
}
"""Sentences of rest, of no rest, and of a rest that an override lifts; by what is known of the state's end: the state
lasts until it, by the cause named; or a rest comes next, later than the cause is over; or no end is in sight."""

_BECAUSE: Final = Text("because of: {reasons}", "wegen: {reasons}")
_DESPITE: Final = Text("despite rest", "trotz Ruhe")
_KINDS: Final[Mapping[RestKind | None, Text]] = {
    RestKind.NIGHT: Text("night rest", "Nachtruhe"),
    RestKind.FREE: Text("free time", "dienstfreie Zeit"),
    RestKind.LEAVE: Text("leave", "Urlaub"),
    RestKind.SICK: Text("sick leave", "Krankheit"),
    RestKind.OFF: Text("off duty now", "Feierabend"),
    None: _DESPITE,  # an override `reachable`
}
_CLOCK_CHANGE: Final = Text(" (clock change)", " (Zeitumstellung)")

_DAY_REST: Final = Text("{date} rest all day", "{date} ganztags Ruhe")
_DAY_REACHABLE: Final = Text("{date} reachable all day", "{date} ganztags erreichbar")
_SPANS_REST: Final = Text("{date} {spans} rest", "{date} {spans} Ruhe")
_SPANS_REACHABLE: Final = Text("{date} {spans} reachable", "{date} {spans} erreichbar")

_HANDOVERS: Final = 20
"""From rule to rule, within one rest, that are followed for its reasons; nobody reads a longer list."""
_EPOCH_ORDINAL: Final = date(1970, 1, 1).toordinal()


class Phase(NamedTuple):
    """From `start` until `end` (UTC seconds) somebody rests, or does not."""

    start: int
    end: int
    resting: bool


@dataclass(frozen=True, slots=True, repr=False)
class Stretch:
    """A phase in words. No `repr`: reasons are personal."""

    start: int
    end: int
    """UTC seconds; half-open."""
    resting: bool
    reasons: tuple[str, ...]
    """Labels and kinds of the rules that carry it; empty when reachable, unless an override lifts a rest."""
    clock_change: bool
    """It lasts longer or shorter than the clock on the wall says."""


def said(text: Text, language: str, **values: object) -> str:
    """A text in one language, filled. Raises ValueError for a language that we do not speak."""
    if language not in _COLUMN:
        raise ValueError(f"language must be one of {', '.join(_COLUMN)}")
    return text.filled(**values)[_COLUMN[language]]


def sentence(rules: Rules, table: Table, now: float, language: str) -> str:
    """What holds now, until when, and why."""
    second = int(now // 1)
    resting, until, next_start = table.at(second)
    edge = until if resting else next_start
    carriers, reach = _carriers(rules, table, second, second + FAR * DAY if edge is None else edge)
    lifted = not resting and bool(_lifting(rules, table, second, second + 1))
    texts = _RESTING if resting else _LIFTED if lifted else _REACHABLE
    if edge is None:
        return said(texts["ever"], language, cause=_cause(carriers, language))
    form = "until" if resting or (lifted and reach >= edge) else "next"
    at = moment(rules.zone, edge, second, language)
    told = said(texts[form], language, at=at, cause=_cause(carriers, language))
    return told + clock_change(rules.zone, second, edge, language)


def preview(rules: Rules, table: Table, now: float, days: int = 14, language: str = "de") -> list[Stretch]:
    """The next days, without a hole, cut at both ends; neighbours differ in `resting`."""
    first = int(now // 1)
    told = []
    for start, end, resting in phases(table, first, first + days * DAY, rules):
        why = _carriers(rules, table, start, end)[0] if resting else _lifting(rules, table, start, end)
        changes = bool(clock_change(rules.zone, start, end, language))
        told.append(Stretch(start, end, resting, _words(why, language), changes))
    return told


def lines(rules: Rules, table: Table, now: float, days: int = 14, language: str = "de") -> list[str]:
    """A line for each day of the calendar that the next `days` times 24 hours touch."""
    first = int(now // 1)
    return day_lines(rules, table, first, first + days * DAY, language)


def day_lines(rules: Rules, table: Table, start: int, end: int, language: str) -> list[str]:
    """A line for each day of the zone's calendar that [start, end) touches."""
    zone = rules.zone
    days = list(calendar_days(zone, start, end))
    found = phases(table, start, days[-1][2], rules) if days else ()
    reachable = [phase for phase in found if not phase.resting]
    return [_line(zone, day, start, reachable, language) for day in days]


def phases(table: Table, start: int, end: int, rules: Rules | None = None) -> Iterator[Phase]:
    """What the table says of [start, end), in order and without a hole; neighbours differ. Quicker with its rules."""
    began = at = start
    while at < end:
        if rules is not None and at >= table.stale_at:
            table = compile_table(rules, at)
        resting, until, next_start = table.at(at)
        edge = until if resting else next_start
        at = min(end, at + FAR * DAY if edge is None else edge)
        if edge is not None or at == end or table.at(at).resting != resting:  # an answer looks 400 days ahead
            yield Phase(began, at, resting)
            began = at


def moment(zone: Zone, at: int, now: int, language: str) -> str:
    """An instant as somebody would say it now: heute 22:00, morgen 06:00, Di 06:00, Di 24.11. 06:00."""
    day = zone.wall(at) // DAY
    ahead = day - zone.wall(now) // DAY
    if ahead in _NEAR:
        named = said(_NEAR[ahead], language)
    elif 0 < ahead < _WEEK:
        named = _weekday(day, language)
    else:
        named = _date(day, language, _DATE if ahead < _YEAR else _DATE_OF_YEAR)
    return f"{named} {clock(zone.wall(at))}"


def stamp(zone: Zone, at: int, language: str) -> str:
    """An instant by its date: Di 24.11. 22:00."""
    wall = zone.wall(at)
    return f"{_date(wall // DAY, language)} {clock(wall)}"


def clock_change(zone: Zone, start: int, end: int, language: str) -> str:
    """The note, with a blank before it, where the offset at the end is another than at the start; else nothing."""
    return said(_CLOCK_CHANGE, language) if zone.wall(end) - zone.wall(start) != end - start else ""


# --- reasons


def _carriers(rules: Rules, table: Table, start: int, end: int) -> tuple[list[Window | Override], int]:
    """The rules that carry the state at `start` on, one after another, and until when; at most until `end`."""
    found: list[Window | Override] = []
    at = start
    for _ in range(_HANDOVERS):
        if at >= end or not (held := [reason.rule for reason in table.holding(at)]):
            break
        found += held
        at = max(_end(rules.zone, rule, at, end) for rule in held)
    return found, min(at, end)


def _end(zone: Zone, rule: Window | Override, at: int, far: int) -> int:
    """When a rule that holds stops to hold; `far` where it has no end."""
    times = rule.span if isinstance(rule, Override) else rule.times
    if isinstance(times, Span):
        return instant(times.end, zone.closes)
    until = compile_table(Rules(zone, (Window(times, RestKind.FREE, ""),), ()), at).at(at).until
    return far if until is None else until


def _lifting(rules: Rules, table: Table, start: int, end: int) -> list[Window | Override]:
    """The overrides `reachable` without which there would be a rest somewhere in [start, end)."""
    covered = compile_table(replace(rules, overrides=tuple(o for o in rules.overrides if o.rests)), start)
    found: list[Window | Override] = []
    for override in rules.overrides:
        first = max(start, instant(override.span.start, rules.zone.opens))
        last = min(end, instant(override.span.end, rules.zone.closes))
        if not override.rests and first < last and any(reason.rule == override for reason in table.holding(first)):
            resting, _, next_start = covered.at(first)
            if resting or (next_start is not None and next_start < last):
                found.append(override)
    return found


def _cause(carriers: Iterable[Window | Override], language: str) -> str:
    despite = said(_DESPITE, language)
    named = [word for word in _words(carriers, language) if word != despite]
    return said(_BECAUSE, language, reasons=", ".join(named)) if named else despite


def _words(carriers: Iterable[Window | Override], language: str) -> tuple[str, ...]:
    """What the rules are called; each word once."""
    return tuple(dict.fromkeys(called(rule, language) for rule in carriers))


def called(rule: Window | Override, language: str) -> str:
    """Its label, on one line (labels are anybody's text, and a terminal obeys control characters), else its kind."""
    label = " ".join("".join(letter if letter.isprintable() else " " for letter in rule.label).split())
    kind = rule.kind if isinstance(rule, Window) else RestKind.OFF if rule.rests else None
    return label or said(_KINDS[kind], language)


# --- the calendar


def calendar_days(zone: Zone, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """(day, its first instant, the next day's first instant) of the days that [start, end) touches.

    A day that the zone left out (Samoa, 30 December 2011) has no instant and does not appear.
    """
    day = zone.wall(start) // DAY
    while (began := zone.opens(day * DAY)) < end:
        over = zone.opens((day + 1) * DAY)
        if max(began, start) < over:
            yield day, began, over
        day += 1


def _line(zone: Zone, day: tuple[int, int, int], start: int, reachable: list[Phase], language: str) -> str:
    """One day's line, from `start` on where the day began before it."""
    number, began, over = day
    whole = (max(began, start), over)
    spans = [(max(p.start, whole[0]), min(p.end, over)) for p in reachable if p.start < over and whole[0] < p.end]
    if spans in ([], [whole]) and whole[0] == began:
        text = _DAY_REACHABLE if spans else _DAY_REST
    else:
        text = _SPANS_REACHABLE if spans else _SPANS_REST
    told = ", ".join(
        f"{clock(zone.wall(first), by_minute=first == start)}-{'24:00' if last == over else clock(zone.wall(last))}"
        for first, last in spans or [whole]
    )
    line = said(text, language, date=_date(number, language), spans=told)
    return line + clock_change(zone, began - 1, over - 1, language)


def _weekday(day: int, language: str) -> str:
    return said(_WEEKDAYS, language).split()[(day + 3) % _WEEK]


def _date(day: int, language: str, text: Text = _DATE) -> str:
    calendar = date.fromordinal(day + _EPOCH_ORDINAL)
    month = said(_MONTHS, language).split()[calendar.month - 1]
    return said(text, language, weekday=_weekday(day, language), day=calendar.day, month=month, year=calendar.year)


def clock(wall: int, *, by_minute: bool = False) -> str:
    """What the clock shows; its seconds only where there are any, so that two edges never read the same."""
    minutes, seconds = divmod(wall % DAY, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}" + (f":{seconds:02}" if seconds and not by_minute else "")
