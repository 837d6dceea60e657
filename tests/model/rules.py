"""Rest rules simple enough to be judged by arithmetic, and the documents that say the same to the real compiler.

Everything in UTC, so that a window is `(t - offset) % period < length`. Zones have tests of their own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

DAY: Final = 86_400
MARGIN: Final = 10
"""Seconds before a rest in which nothing may leave any more."""
HORIZON: Final = 400 * DAY
"""A rest that does not end within this is without end."""


@dataclass(frozen=True, slots=True)
class Window:
    """Recurs every `days` (1 or 7); begins `offset` seconds after midnight (of Thursday, when weekly)."""

    days: int
    offset: int
    length: int

    @property
    def period(self) -> int:
        return self.days * DAY

    def cron(self) -> str:
        day, second = divmod(self.offset, DAY)
        weekday = "*" if self.days == 1 else str((4 + day) % 7)
        return f"{second // 60 % 60} {second // 3600} * * {weekday}"


@dataclass(frozen=True, slots=True)
class Rules:
    windows: tuple[Window, ...] = ()
    leave: tuple[tuple[int, int], ...] = ()
    reachable: tuple[tuple[int, int], ...] = ()

    def document(self) -> dict[str, object]:
        recurring = [{"kind": "cron", "start": w.cron(), "duration_minutes": w.length // 60} for w in self.windows]
        once = [{"kind": "once", "start": _iso(start), "end": _iso(end)} for start, end in self.leave]
        overrides = [{"kind": "reachable", "start": _iso(start), "end": _iso(end)} for start, end in self.reachable]
        return {"timezone": "UTC", "windows": recurring + once, "overrides": overrides}

    def rests(self, instant: float) -> bool:
        second = int(instant // 1)
        if any(start <= second < end for start, end in self.reachable):
            return False
        return any((second - w.offset) % w.period < w.length for w in self.windows) or any(
            start <= second < end for start, end in self.leave
        )

    def changes(self, after: float, until: float) -> list[int]:
        """Instants in (after, until] at which the state may change."""
        edges = {edge for span in (*self.leave, *self.reachable) for edge in span}
        for w in self.windows:
            first = int(after // w.period - 1) * w.period + w.offset
            starts = range(first, int(until) + w.period, w.period)
            edges.update(edge for start in starts for edge in (start, start + w.length))
        return sorted(edge for edge in edges if after < edge <= until)

    def next_rest(self, instant: float) -> float | None:
        """Start of the next rest after an instant at which one is reachable."""
        return next((edge for edge in self._ahead(instant) if self.rests(edge)), None)

    def release(self, instant: float) -> float | None:
        """The first reachable instant from this one on; None for a rest without end."""
        if not self.rests(instant):
            return instant
        return next((edge for edge in self._ahead(instant) if not self.rests(edge)), None)

    def passes(self, instant: float) -> bool:
        """Whether an ordinary wakeup may leave: reachable, and for long enough."""
        return not self.rests(instant) and not any(self.rests(e) for e in self.changes(instant, instant + MARGIN))

    def first_pass(self, start: float, end: float) -> float | None:
        """The first instant in [start, end] at which an ordinary wakeup may leave."""
        return next((float(t) for t in (start, *self.changes(start, end)) if self.passes(t)), None)

    def _ahead(self, instant: float) -> Iterator[int]:
        near = instant + 8 * DAY
        yield from self.changes(instant, near)
        yield from self.changes(near, instant + HORIZON)


NONE: Final = Rules()


def _iso(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
