"""Rotating shifts: a cycle of days from an anchor date, and the rest between its duties.

A weekday cannot say "five days: early, late, night, off, off". A cycle can: a row of shifts that repeats from an anchor
day, with dated exceptions (a swap). Rest is what lies between duties, from a while after the end of one (`lag`) until a
while before the next (`lead`), all on the wall clock; within the dates from which and until which the cycle holds, and
nothing outside of them. Where lag and lead leave nothing, there is no rest.

Rejected: recurrence rules (RFC 5545). One rule per duty day, a swap is two exceptions in two rules, and nobody can read
from them that today is "day 3 of 5".
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

DAY: Final = 86_400
_REACH: Final = 3
"""Days around a stretch whose duties may reach into it: a shift has a day at most, lead and lag half a day."""


@dataclass(frozen=True, slots=True)
class Shift:
    """Duty from `start` on, in minutes of the day, for so many minutes (at most a day)."""

    start: int
    minutes: int


@dataclass(frozen=True, slots=True)
class Cycle:
    """Days count from 1970-01-01."""

    anchor: int
    """A day with the first shift of the row."""
    row: tuple[Shift | None, ...]
    swaps: tuple[tuple[int, Shift | None], ...]
    """(day, what is done instead), by day."""
    lead: int
    lag: int
    """Minutes kept before a duty and after it."""
    first: int | None
    last: int | None
    """First and last day for which the cycle holds; None: without such a bound."""

    def on(self, day: int) -> Shift | None:
        """The shift of a day; None: free."""
        if (self.first is not None and day < self.first) or (self.last is not None and day > self.last):
            return None
        for swapped, shift in self.swaps:
            if swapped == day:
                return shift
        return self.row[(day - self.anchor) % len(self.row)]

    def duties(self, first: int, last: int) -> Iterator[tuple[int, int]]:
        """Wall times, in seconds, from and until which there is duty, of the shifts that begin on these days."""
        for day in range(first, last + 1):
            shift = self.on(day)
            if shift is not None:
                start = day * DAY + shift.start * 60
                yield start, start + shift.minutes * 60

    def walls(self, first: int, last: int) -> Iterator[tuple[int, int]]:
        """Rests, in wall times, that touch the days; those at the ends are cut there."""
        began, over = first * DAY, (last + 1) * DAY
        if self.first is not None:
            began = max(began, self.first * DAY)
        if self.last is not None:
            over = min(over, (self.last + 1) * DAY)
        for start, end in self.duties(first - _REACH, last + _REACH):
            if began < min(start - self.lead * 60, over):
                yield began, min(start - self.lead * 60, over)
            began = max(began, end + self.lag * 60)
        if began < over:
            yield began, over
