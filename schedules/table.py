"""Rest is a table: rules expanded once into sorted intervals, then a lookup is a bisect.

A table covers a horizon of about two weeks around its making (R10). The recurring part is the same for everybody with
the same windows and zone, and is shared; leave and overrides are merged on top and are few. Where an answer would need
to know what lies beyond the horizon (a rest that reaches its end, a next rest that is not inside), the table is
extended once, to 400 days; a rest that does not end there is endless.

    rest = (windows ∪ overrides of kind rest) \\ overrides of kind reachable          (R7)

Classes of events may see less rest: a class pierces kinds of windows by configuration, and an override may be for some
classes only. `for_class` gives the table that a class sees; for nearly all people and classes that is the same one.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Mapping
from functools import lru_cache
from typing import Final, NamedTuple

from schedules.intervals import Interval, merge, subtract
from schedules.reader import Span, instant
from schedules.rules import NO_WAKES, Override, Rules, Wake, Window
from schedules.walltime import FIRST_DAY, LAST_DAY, Zone
from schedules.windows import Repeating, RestKind

DAY: Final = 86_400
BEFORE: Final = 1
AHEAD: Final = 15
"""Days of the horizon before and after the day of making."""
FAR: Final = 400
"""Days to which an answer looks ahead, counted from the instant asked about, so that every table says the same."""
FRESH: Final = 7 * DAY
"""Seconds after which a table should be made anew."""


class Rest(NamedTuple):
    """The state of an instant; instants in whole UTC seconds."""

    resting: bool
    until: int | None
    """End of the current rest (R9); None when reachable, or when no end lies within 400 days."""
    next_start: int | None
    """Start of the next rest; None when resting, or when none lies within 400 days."""


class View(NamedTuple):
    """Which rules count for a class of events."""

    pierced: frozenset[str] = frozenset()
    """Rest of these kinds (RestKind) is none."""
    event_class: str = ""
    """Overrides for this class count, beside those for all."""

    def counts(self, rule: Window | Override) -> bool:
        if isinstance(rule, Window):
            return rule.kind not in self.pierced
        if rule.rests and RestKind.OFF in self.pierced:
            return False
        return rule.classes is None or self.event_class in rule.classes


_ALL: Final = View()


class Reason(NamedTuple):
    """A rule that holds at an instant: its path, and the rule."""

    path: str
    rule: Window | Override


class RestTable:
    """Compiled rest of one set of rules. Answers for any instant; fast within the horizon."""

    __slots__ = (
        "_ends",
        "_far",
        "_from",
        "_rules",
        "_starts",
        "_to",
        "_view",
        "_views",
        "is_uniform",
        "stale_at",
        "wakes",
    )

    def __init__(self, rules: Rules, first: int, last: int, stale_at: float, view: View = _ALL) -> None:
        self._rules = rules
        self._view = view
        self._from = first * DAY
        self._to = (last + 1) * DAY
        self.stale_at = stale_at
        self._far: RestTable | None = None
        self._views: dict[View, RestTable] | None = None
        self.is_uniform = all(override.classes is None for override in rules.overrides)
        """Classes that pierce nothing see the same rest."""
        self.wakes = rules.wakes
        self._starts, self._ends = _edges(rules, first, last, view)

    def for_class(self, name: str, pierced: frozenset[str] = frozenset()) -> RestTable:
        """The table as this class sees it, which pierces rest of these kinds. Made once."""
        named = any(o.classes is not None and name in o.classes for o in self._rules.overrides)
        view = View(pierced & _kinds(self._rules), name if named else "")
        if view == _ALL:
            return self
        if self._views is None:
            self._views = {}
        table = self._views.get(view)
        if table is None:
            first, last = self._from // DAY, self._to // DAY - 1
            table = self._views[view] = RestTable(self._rules, first, last, self.stale_at, view)
        return table

    def at(self, now: float) -> Rest:
        """The state at `now` (UTC seconds, floored to the second, R1)."""
        second = int(now // 1)
        if not self._from <= second < self._to:
            return _around(self._rules, second, self._view).at(second)
        index = bisect_right(self._starts, second)
        if index and second < (end := self._ends[index - 1]):
            return Rest(True, end, None) if end < self._to else self._far_end(second)
        if index < len(self._starts) and (start := self._starts[index]) < self._to:
            return Rest(False, None, start)
        return self._far_start(second)

    def reasons(self, now: float) -> tuple[str, ...]:
        """Paths of the rules that make the state: `windows[0]`, `overrides[2]`; empty when nothing applies."""
        return tuple(reason.path for reason in self.holding(now))

    def holding(self, now: float) -> tuple[Reason, ...]:
        """The rules that make the state: windows, then overrides. If an override `reachable` holds, only those."""
        second = int(now // 1)
        rules, counts = self._rules, self._view.counts
        overrides = [
            Reason(f"overrides[{i}]", override)
            for i, override in enumerate(rules.overrides)
            if counts(override) and _holds(rules.zone, override.span, second)
        ]
        opened = tuple(reason for reason in overrides if isinstance(reason.rule, Override) and not reason.rule.rests)
        if opened:
            return opened
        windows = (
            Reason(f"windows[{i}]", window)
            for i, window in enumerate(rules.windows)
            if counts(window) and _holds(rules.zone, window.times, second)
        )
        return (*windows, *overrides)

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
            self._far = RestTable(self._rules, first, last, self.stale_at, self._view)
        return self._far


class NoRest:
    """The table of rules that say nothing: always reachable (R11)."""

    __slots__ = ("wakes",)
    stale_at: Final = float("inf")
    is_uniform: Final = True

    def __init__(self, wakes: Mapping[str, Wake] = NO_WAKES) -> None:
        self.wakes = wakes

    def for_class(self, name: str, pierced: frozenset[str] = frozenset()) -> NoRest:
        return self

    def at(self, now: float) -> Rest:
        return _REACHABLE

    def reasons(self, now: float) -> tuple[str, ...]:
        return ()

    def holding(self, now: float) -> tuple[Reason, ...]:
        return ()


_REACHABLE: Final = Rest(False, None, None)


def compile_table(rules: Rules, now: float, ahead: int = AHEAD) -> RestTable | NoRest:
    """Table of `rules`, made at `now` (UTC seconds). About 0.2 ms, less when the windows are shared.

    `ahead`: days of its horizon, and it is fresh for as many more as these are more than usual. It changes no answer.
    """
    if not rules.windows and not rules.overrides:
        return NoRest(rules.wakes)
    day = int(now // DAY)
    return RestTable(rules, day - BEFORE, day + ahead, now + FRESH + (ahead - AHEAD) * DAY)


def _around(rules: Rules, second: int, view: View) -> RestTable:
    """Table for one question outside a horizon."""
    day = second // DAY
    return RestTable(rules, day - BEFORE, day + AHEAD, float(second), view)


def _kinds(rules: Rules) -> frozenset[str]:
    """What a class could pierce in these rules."""
    off = [RestKind.OFF] if any(override.rests for override in rules.overrides) else []
    return frozenset([*(window.kind for window in rules.windows), *off])


def _edges(rules: Rules, first: int, last: int, view: View) -> tuple[array[int], array[int]]:
    """Starts and ends of the merged rest whose occurrences touch the days first..last."""
    windows = [w.times for w in rules.windows if view.counts(w)]
    overrides = [o for o in rules.overrides if view.counts(o)]
    repeating = tuple(times for times in windows if not isinstance(times, Span))
    shared = occurrences(rules.zone, repeating, first, last) if repeating else _NONE
    own = [_resolve(rules.zone, times) for times in windows if isinstance(times, Span)]
    own += [_resolve(rules.zone, o.span) for o in overrides if o.rests]
    holes = [_resolve(rules.zone, o.span) for o in overrides if not o.rests]
    if not own and not holes:
        return shared
    rest = merge([*zip(*shared, strict=True), *own])
    return _arrays(subtract(rest, merge(holes)) if holes else rest)


@lru_cache(maxsize=1024)
def occurrences(zone: Zone, windows: tuple[Repeating, ...], first: int, last: int) -> tuple[array[int], array[int]]:
    """Starts and ends of the rests of windows that touch the days first..last (of UTC), merged; the shared part.

    A day of margin and one more, because a day of the wall clock is not a day of UTC.
    """
    return _arrays(
        merge(
            (zone.opens(start), zone.closes(end))
            for times in windows
            for start, end in times.walls(max(first - 2, FIRST_DAY), min(last + 2, LAST_DAY))
        )
    )


def _arrays(intervals: list[Interval]) -> tuple[array[int], array[int]]:
    return array("q", [start for start, _ in intervals]), array("q", [end for _, end in intervals])


_NONE: Final = _arrays([])


def _resolve(zone: Zone, span: Span) -> Interval:
    return instant(span.start, zone.opens), instant(span.end, zone.closes)


def _holds(zone: Zone, times: Repeating | Span, second: int) -> bool:
    if isinstance(times, Span):
        start, end = _resolve(zone, times)
        return start <= second < end
    day = second // DAY
    starts, ends = occurrences(zone, (times,), day - 1, day + 1)
    index = bisect_right(starts, second)
    return index > 0 and second < ends[index - 1]
