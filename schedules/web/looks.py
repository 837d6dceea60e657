"""The looks of a stretch of time: reachable, fixed rest, rest that only a rhythm makes, and on call.

Three tables of the same evaluator tell them apart: that of the rules, that without overrides `reachable`, and that
without rhythms besides. Rejected: asking for the reasons of every quarter (1,344 questions a fortnight, each as dear as
a table), and working from windows instead of tables (a second truth about clock changes).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from enum import StrEnum
from itertools import groupby
from typing import Final, NamedTuple

from schedules.cycle import Cycle
from schedules.explain import phases
from schedules.rules import Rules
from schedules.table import compile_table


class Look(StrEnum):
    """How a cell is painted; the value is its class in the style sheet."""

    REACHABLE = "l"
    FIXED = "r"
    RHYTHM = "c"
    ON_CALL = "o"


DARK: Final = frozenset({Look.FIXED, Look.RHYTHM})


class Stretch(NamedTuple):
    start: int
    end: int
    look: Look


class Looks:
    """The looks of a stretch of time, as edges in order."""

    def __init__(self, stretches: Sequence[Stretch]) -> None:
        self._stretches = stretches
        self._starts = [stretch.start for stretch in stretches]

    @classmethod
    def of(cls, rules: Rules, start: int, end: int, pressed: Collection[int] = ()) -> Looks:
        """`pressed`: places of overrides by which somebody is reachable, but not on call."""
        kept = tuple(o for place, o in enumerate(rules.overrides) if o.rests or place in pressed)
        uncalled = replace(rules, overrides=kept)
        fixed = replace(uncalled, windows=tuple(w for w in rules.windows if not isinstance(w.times, Cycle)))
        tables = [_resting(variant, start, end) for variant in (rules, uncalled, fixed)]
        edges = sorted({start, *(edge for table in tables for edge, _ in table)})
        found = [
            Stretch(edge, over, _look(*(_at(table, edge) for table in tables)))
            for edge, over in zip(edges, [*edges[1:], end], strict=True)
        ]
        return cls([Stretch(run[0].start, run[-1].end, look) for look, run in _runs(found)])

    def at(self, instant: int) -> Look:
        return self._stretches[bisect_right(self._starts, instant) - 1].look

    def within(self, start: int, end: int) -> list[Stretch]:
        """The stretches that touch [start, end), not cut."""
        return [s for s in self._stretches if s.start < end and start < s.end]


def _runs(stretches: Sequence[Stretch]) -> Iterator[tuple[Look, list[Stretch]]]:
    for look, run in groupby(stretches, key=lambda stretch: stretch.look):
        yield look, list(run)


def _resting(rules: Rules, start: int, end: int) -> list[tuple[int, bool]]:
    """(edge, whether there is rest from it on)."""
    return [(phase.start, phase.resting) for phase in phases(compile_table(rules, start), start, end, rules)]


def _at(edges: Sequence[tuple[int, bool]], instant: int) -> bool:
    return edges[bisect_right(edges, (instant, True)) - 1][1]


def _look(resting: bool, uncalled: bool, fixed: bool) -> Look:
    if resting:
        return Look.FIXED if fixed else Look.RHYTHM
    return Look.ON_CALL if uncalled else Look.REACHABLE
