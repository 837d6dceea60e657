"""A second evaluator, which never makes an interval: is there rest at this instant, asked rule by rule.

Law: of an instant only two readings of the wall clock matter, the latest it has shown up to then and the second before
the earliest it will show afterwards; they are the same but where a clock goes back. A rest that opens at S has begun
when the latest reading is S or later (R3: the first of two, or the jump), and one that closes at E goes on while the
other is before E (R4: the second of two, or the jump; E may be the very reading that a clock goes back to). So a set of
wall times, whatever its windows, holds at the instants between whose two readings it has a member.

The table (table.py) merges, subtracts, caches and bisects; none of that is here, and no other module's walk over the
days. It costs a hundred times as much, which is why the relay asks it of a sample of what it sends, and says how often
the two disagreed: never, if both are right. Not for answers to people: it knows no end and no reason.
"""

from __future__ import annotations

from typing import Final

from schedules.cycle import DAY, Cycle
from schedules.holidays import is_holiday
from schedules.reader import Edge, Span
from schedules.rules import Override, Rules, Window
from schedules.walltime import Zone
from schedules.windows import OnHolidays, Recurring, RestKind

_AROUND: Final = 3 * 3600
"""No clock goes back by more, in seconds."""
_STEP: Final = 900
"""Clocks change at whole quarters of an hour of UTC."""
Readings = tuple[int, int]
"""The second before the earliest wall time that is still to be shown, and the latest that was."""


def rests(rules: Rules, now: float, event_class: str = "", pierced: frozenset[str] = frozenset()) -> bool:
    """Whether there is rest at an instant (UTC seconds) for a class that pierces these kinds of rest (R7, R14)."""
    second = int(now // 1)
    readings = _readings(rules.zone, second)
    is_rest = any(window.kind not in pierced and _window_holds(window, second, readings) for window in rules.windows)
    for override in rules.overrides:
        if _counts(override, event_class) and _span_holds(override.span, second, readings):
            if not override.rests:
                return False
            is_rest = is_rest or RestKind.OFF not in pierced
    return is_rest


def _readings(zone: Zone, second: int) -> Readings:
    here = zone.wall(second)
    quarters = range(second - second % _STEP - _AROUND, second + _AROUND + _STEP, _STEP)
    latest = max([here, *(zone.wall(quarter - 1) for quarter in quarters if quarter <= second)])
    earliest = min([here, *(zone.wall(quarter) - 1 for quarter in quarters if quarter > second)])
    return earliest, latest


def _counts(override: Override, event_class: str) -> bool:
    return override.classes is None or event_class in override.classes


def _window_holds(window: Window, second: int, readings: Readings) -> bool:
    times = window.times
    if isinstance(times, Span):
        return _span_holds(times, second, readings)
    earliest, latest = readings
    if earliest >= latest:
        return _shown(times, latest)
    # Edges of windows are whole minutes, so of each minute one second is enough.
    return any(_shown(times, label) for label in (*range(earliest, latest, 60), latest))


def _span_holds(span: Span, second: int, readings: Readings) -> bool:
    return _reached(span.start, second, readings[1]) and not _reached(span.end, second, readings[0])


def _reached(edge: Edge, second: int, reading: int) -> bool:
    return edge.at <= (reading if edge.is_wall else second)


def _shown(times: Recurring | OnHolidays | Cycle, label: int) -> bool:
    """Whether a wall time is rest."""
    day = label // DAY
    if isinstance(times, Cycle):
        return _is_free(times, label, day)
    start, seconds = _start_of_day(times), times.minutes * 60
    days = range(day, day - seconds // DAY - 2, -1)
    return any(0 <= label - d * DAY - start < seconds and _opens_on(times, d) for d in days)


def _start_of_day(times: Recurring | OnHolidays) -> int:
    return times.start * 60 if isinstance(times, OnHolidays) else times.cron.hour * 3600 + times.cron.minute * 60


def _opens_on(times: Recurring | OnHolidays, day: int) -> bool:
    return bool(is_holiday(times.land, day)) if isinstance(times, OnHolidays) else times.cron.matches(day)


def _is_free(cycle: Cycle, label: int, day: int) -> bool:
    if (cycle.first is not None and day < cycle.first) or (cycle.last is not None and day > cycle.last):
        return False
    for began in range(day - 2, day + 3):
        shift = cycle.on(began)
        if shift is not None:
            start = began * DAY + shift.start * 60
            if start - cycle.lead * 60 <= label < start + (shift.minutes + cycle.lag) * 60:
                return False
    return True
