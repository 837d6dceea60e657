"""Rest is a table: rules expanded once into sorted intervals, then a lookup is a bisect.

A table covers a horizon of about two weeks around its making (R10). The recurring part is the same for everybody with
the same windows and zone, and is shared; leave and overrides are merged on top and are few. Where an answer would need
to know what lies beyond the horizon (a rest that reaches its end, a next rest that is not inside), the table is
extended once, to 400 days; a rest that does not end there is endless.

    rest = (windows ∪ overrides of kind rest) \\ overrides of kind reachable          (R7)
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from datetime import date
from functools import lru_cache
from typing import Final, NamedTuple

from schedules.intervals import Interval, merge, subtract
from schedules.rules import Recurring, Rules, Span, instant
from schedules.walltime import Zone

DAY: Final = 86_400
BEFORE: Final = 1
AHEAD: Final = 15
"""Days of the horizon before and after the day of making."""
FAR: Final = 400
"""Days to which an answer looks ahead, counted from the instant asked about, so that every table says the same."""
FRESH: Final = 7 * DAY
"""Seconds after which a table should be made anew."""
_EPOCH: Final = date(1970, 1, 1)
_CALENDAR: Final = ((date.min - _EPOCH).days + 2, (date.max - _EPOCH).days - 16)
"""First and last day with a window: Python's calendar less the longest window and offset."""


class Rest(NamedTuple):
    """The state of an instant; instants in whole UTC seconds."""

    resting: bool
    until: int | None
    """End of the current rest (R9); None when reachable, or when no end lies within 400 days."""
    next_start: int | None
    """Start of the next rest; None when resting, or when none lies within 400 days."""


class RestTable:
    """Compiled rest of one set of rules. Answers for any instant; fast within the horizon."""

    __slots__ = ("_ends", "_far", "_from", "_rules", "_starts", "_to", "stale_at")

    def __init__(self, rules: Rules, first: int, last: int, stale_at: float) -> None:
        self._rules = rules
        self._from = first * DAY
        self._to = (last + 1) * DAY
        self.stale_at = stale_at
        self._far: RestTable | None = None
        self._starts, self._ends = _edges(rules, first, last)

    def at(self, now: float) -> Rest:
        """The state at `now` (UTC seconds, floored to the second, R1)."""
        second = int(now // 1)
        if not self._from <= second < self._to:
            return _around(self._rules, second).at(second)
        index = bisect_right(self._starts, second)
        if index and second < (end := self._ends[index - 1]):
            return Rest(True, end, None) if end < self._to else self._far_end(second)
        if index < len(self._starts) and (start := self._starts[index]) < self._to:
            return Rest(False, None, start)
        return self._far_start(second)

    def reasons(self, now: float) -> tuple[str, ...]:
        """Paths of the rules that make the state: `windows[0]`, `overrides[2]`; empty when nothing applies."""
        second = int(now // 1)
        rules = self._rules
        overrides = [(i, o.rests) for i, o in enumerate(rules.overrides) if _holds(rules, o.span, second)]
        opened = tuple(f"overrides[{i}]" for i, rests in overrides if not rests)
        if opened:
            return opened
        windows = tuple(f"windows[{i}]" for i, w in enumerate(rules.windows) if _holds(rules, w, second))
        return windows + tuple(f"overrides[{i}]" for i, _ in overrides)

    def _far_end(self, second: int) -> Rest:
        far = self._extended(second)
        index = bisect_right(far._starts, second)
        end = far._ends[index - 1]
        return Rest(True, end if end < second + FAR * DAY else None, None)

    def _far_start(self, second: int) -> Rest:
        far = self._extended(second)
        index = bisect_right(far._starts, second)
        inside = index < len(far._starts) and far._starts[index] < second + FAR * DAY
        return Rest(False, None, far._starts[index] if inside else None)

    def _extended(self, second: int) -> RestTable:
        """This table to 400 days after its own horizon; made once."""
        if self._far is None:
            first, last = self._from // DAY, self._to // DAY + FAR
            self._far = RestTable(self._rules, first, last, self.stale_at)
        return self._far


class NoRest:
    """The table of rules that say nothing: always reachable (R11)."""

    __slots__ = ()
    stale_at: Final = float("inf")

    def at(self, now: float) -> Rest:
        return _REACHABLE

    def reasons(self, now: float) -> tuple[str, ...]:
        return ()


_REACHABLE: Final = Rest(False, None, None)


def compile_table(rules: Rules, now: float) -> RestTable | NoRest:
    """Table of `rules`, made at `now` (UTC seconds). About 0.2 ms, less when the windows are shared."""
    if not rules.windows and not rules.overrides:
        return NoRest()
    day = int(now // DAY)
    return RestTable(rules, day - BEFORE, day + AHEAD, now + FRESH)


def _around(rules: Rules, second: int) -> RestTable:
    """Table for one question outside a horizon."""
    day = second // DAY
    return RestTable(rules, day - BEFORE, day + AHEAD, float(second))


def _edges(rules: Rules, first: int, last: int) -> tuple[array[int], array[int]]:
    """Starts and ends of the merged rest whose occurrences touch the days first..last."""
    windows = tuple(w for w in rules.windows if isinstance(w, Recurring))
    shared = _recurring(rules.zone, windows, first, last) if windows else _NONE
    own = [_resolve(rules.zone, w) for w in rules.windows if isinstance(w, Span)]
    own += [_resolve(rules.zone, o.span) for o in rules.overrides if o.rests]
    holes = [_resolve(rules.zone, o.span) for o in rules.overrides if not o.rests]
    if not own and not holes:
        return shared
    rest = merge([*zip(*shared, strict=True), *own])
    return _arrays(subtract(rest, merge(holes)) if holes else rest)


@lru_cache(maxsize=1024)
def _recurring(zone: Zone, windows: tuple[Recurring, ...], first: int, last: int) -> tuple[array[int], array[int]]:
    """The shared part. Two days of margin, because a day of the wall clock is not a day of UTC."""
    occurrences: list[Interval] = []
    for window in windows:
        seconds = window.minutes * 60
        reach = -(-seconds // DAY)
        walls = window.cron.starts(max(first - reach - 1, _CALENDAR[0]), min(last + 1, _CALENDAR[1]))
        occurrences.extend((zone.opens(wall), zone.closes(wall + seconds)) for wall in walls)
    return _arrays(merge(occurrences))


def _arrays(intervals: list[Interval]) -> tuple[array[int], array[int]]:
    return array("q", [start for start, _ in intervals]), array("q", [end for _, end in intervals])


_NONE: Final = _arrays([])


def _resolve(zone: Zone, span: Span) -> Interval:
    return instant(span.start, zone.opens), instant(span.end, zone.closes)


def _holds(rules: Rules, window: Recurring | Span, second: int) -> bool:
    if isinstance(window, Span):
        start, end = _resolve(rules.zone, window)
        return start <= second < end
    day = second // DAY
    starts, ends = _recurring(rules.zone, (window,), day - 1, day + 1)
    index = bisect_right(starts, second)
    return index > 0 and second < ends[index - 1]
