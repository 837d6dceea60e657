"""Days as they are painted: each day of the calendar in pieces, cut wherever the rules that hold change.

The law. The pieces of a day cover it from its first instant to the next day's, without a hole. At every instant of a
piece the table says `resting` as the piece does, and gives the same reasons; so a page can paint the night, the leave
and the time on call that meet in one rest, and needs no arithmetic of its own.

Theory of operation. A rule is a set of stretches; their edges, sorted, are swept once, with the set of those that hold.
R7 is asked of that set and of nothing else. Asking the table at each edge would do as well, and cost a thousandfold
where thirty windows meet two months. The tests hold the two together.

Overrides for single classes of events are not seen here: a page shows when somebody rests, not for whom they would get
up. A day that the zone left out has no instant and does not appear.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from datetime import date
from itertools import islice
from typing import Final

from schedules.explain import calendar_days
from schedules.intervals import Interval, merge
from schedules.reader import Span, instant
from schedules.rules import Override, Rules, Window
from schedules.table import DAY, occurrences
from schedules.walltime import Zone

MOST: Final = 62
"""Days that a page asks for at a time."""

_MORE: Final = 2
"""Days looked at beyond those asked for: one may be cut at the start, and one left out."""
_EPOCH_ORDINAL: Final = date(1970, 1, 1).toordinal()


@dataclass(frozen=True, slots=True, repr=False)
class Piece:
    """From `start` until `end` (UTC seconds, half-open) the same rules hold. No `repr`: it is personal."""

    start: int
    end: int
    resting: bool
    reasons: tuple[str, ...]
    """Their paths, as of `RestTable.reasons`."""


@dataclass(frozen=True, slots=True, repr=False)
class Day:
    date: date
    start: int
    end: int
    """Its first instant, and that of the next day."""
    pieces: tuple[Piece, ...]


def days(rules: Rules, now: float, count: int) -> list[Day]:
    """The day of `now` (UTC seconds), whole, and those that follow it, `count` in all."""
    start = int(now // 1)
    found = list(islice(calendar_days(rules.zone, start, start + (count + _MORE) * DAY), count))
    if not found:
        return []
    swept = _Sweep(rules, found[0][1], found[-1][2])
    return [
        Day(date.fromordinal(day + _EPOCH_ORDINAL), began, over, tuple(swept.until(over))) for day, began, over in found
    ]


class _Sweep:
    """Goes over the edges of all rules once, from an instant on."""

    def __init__(self, rules: Rules, start: int, end: int) -> None:
        self._rules: list[Window | Override] = [*rules.windows, *(o for o in rules.overrides if o.classes is None)]
        places = [i for i, override in enumerate(rules.overrides) if override.classes is None]
        self._paths = [f"windows[{i}]" for i in range(len(rules.windows))] + [f"overrides[{i}]" for i in places]
        edges: list[tuple[int, int, bool]] = []
        for number, rule in enumerate(self._rules):
            for first, last in _stretches(rules.zone, rule, start, end):
                edges += ((max(first, start), number, True), (last, number, False))
        self._edges = deque(sorted(edges))
        self._held: set[int] = set()
        self._at = start

    def until(self, end: int) -> list[Piece]:
        """The pieces from where the last call ended. What no reason tells apart is one."""
        told: list[Piece] = []
        while self._at < end:
            while self._edges and self._edges[0][0] <= self._at:
                _, number, holds = self._edges.popleft()
                (self._held.add if holds else self._held.discard)(number)
            following = min(self._edges[0][0], end) if self._edges else end
            resting, reasons = self._said()
            if told and told[-1].reasons == reasons:
                told[-1] = replace(told[-1], end=following)
            else:
                told.append(Piece(self._at, following, resting, reasons))
            self._at = following
        return told

    def _said(self) -> tuple[bool, tuple[str, ...]]:
        """What R7 says of the rules that hold now, and the reasons."""
        held = sorted(self._held)
        opened = [number for number in held if _opens(self._rules[number])]
        return bool(held) and not opened, tuple(self._paths[number] for number in opened or held)


def _opens(rule: Window | Override) -> bool:
    return isinstance(rule, Override) and not rule.rests


def _stretches(zone: Zone, rule: Window | Override, start: int, end: int) -> list[Interval]:
    """When a rule holds in [start, end), not cut at these; two of them neither touch nor overlap."""
    times = rule.span if isinstance(rule, Override) else rule.times
    if isinstance(times, Span):
        found = merge([(instant(times.start, zone.opens), instant(times.end, zone.closes))])
    else:
        found = list(zip(*occurrences(zone, (times,), start // DAY, end // DAY), strict=True))
    return [(began, over) for began, over in found if began < end and start < over]
