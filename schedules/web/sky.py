"""The top of the page, as values: dark while resting, light while reachable, and until when.

Everything is asked of the officer's table, as the gate asks it. How long a state lasts already is looked for in the
last week only; a longer one is told without its beginning, and without the line that shows how much of it is over.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from schedules.explain import clock_change, phases
from schedules.rules import Rules
from schedules.table import DAY, compile_table
from schedules.web.visit import Visit

_BACK: Final = 7 * DAY


@dataclass(frozen=True, slots=True, repr=False)
class Sky:
    resting: bool
    until: int | None
    """When the state ends; None when no end is in sight."""
    then: int | None
    """When the rest that comes next ends."""
    since: int | None
    """None: longer ago than a week."""
    passed: int
    """Hundredths of the state that are over; 0 where that is not known."""
    note: str
    """That the clock is changed before it ends."""

    @property
    def kind(self) -> str:
        """Its class in the style sheet."""
        return "rest" if self.resting else "day"


def sky(visit: Visit) -> Sky:
    rules, table, now = visit.plan.rules, visit.plan.table, int(visit.now)
    resting, end, start = table.at(now)
    until = end if resting else start
    then = None if resting or start is None else table.at(start).until
    since = began(rules, now)
    passed = 0
    if since is not None and until is not None:
        passed = max(1, min(99, round(100 * (now - since) / (until - since))))
    note = "" if until is None else clock_change(rules.zone, now, until, visit.language)
    return Sky(resting, until, then, since, passed, note)


def began(rules: Rules, now: int) -> int | None:
    """Since when it has been as it is; None: longer than a week."""
    first = now - _BACK
    *_, last = phases(compile_table(rules, first), first, now + 1, rules)
    return None if last.start == first else last.start


def title(visit: Visit, sky: Sky) -> str:
    """The state in a few words, for the window's name and for other pages."""
    edge = "" if sky.until is None else visit.dates.edge(sky.until)
    if sky.resting:
        return visit.gettext("Rest until %(edge)s", edge=edge) if edge else visit.gettext("Rest until further notice")
    return visit.gettext("Reachable until %(edge)s", edge=edge) if edge else visit.gettext("Always reachable")
