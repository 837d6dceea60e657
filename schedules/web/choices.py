"""What "off duty now" offers: until when, as instants that the server has worked out and the form sends back.

An offer that would change nothing, because the rest that holds lasts as long, is not made. Lengths that the law counts
are elapsed (11 hours); times of the clock are the wall's.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from schedules.table import DAY
from schedules.web.visit import Visit

MORNING: Final = 6 * 3600
"""On the wall."""
SHORTEST: Final = 4 * 3600
"""Seconds until the morning that is offered; less is a nap."""
ELEVEN: Final = 11 * 3600
NEAR: Final = 4 * DAY
"""Seconds within which the end of the next rest is offered."""
_EPOCH: Final = date(1970, 1, 1)


@dataclass(frozen=True, slots=True)
class Choice:
    """A button of two lines, and what it sends."""

    until: int
    """UTC seconds."""
    first: str
    second: str


def off_duty(visit: Visit) -> list[Choice]:
    """At most three, none twice."""
    dates, table, now = visit.dates, visit.plan.table, int(visit.now)
    rest = table.at(now)
    lasts = rest.until if rest.resting else now
    if lasts is None:
        return []
    offers: list[Choice] = []
    ends = table.at(rest.next_start).until if rest.next_start is not None else None
    if ends is not None and ends < now + NEAR:
        planned = visit.gettext("%(date)s, as planned", date=dates.day(dates.date_of(ends)))
        offers.append(Choice(ends, _until(visit, ends), planned))
    else:
        morning = _morning(visit, now + SHORTEST)
        offers.append(Choice(morning, _until(visit, morning), dates.day(dates.date_of(morning))))
    eleven = -(-(now + ELEVEN) // 60) * 60  # whole minutes, and never less
    offers.append(
        Choice(
            eleven, visit.ngettext("%(num)s hour", "%(num)s hours", 11),
            visit.gettext("until %(edge)s", edge=dates.edge(eleven)),
        )
    )  # fmt: skip
    monday = _monday(visit)
    day = dates.date_of(monday)
    offers.append(
        Choice(
            monday, visit.gettext("until %(edge)s", edge=dates.long_weekday(day)),
            visit.gettext("%(date)s at %(time)s", date=dates.short(day), time=dates.clock(monday)),
        )
    )  # fmt: skip
    return list({offer.until: offer for offer in offers if offer.until > lasts}.values())


def wall_instant(visit: Visit, day: str, time: str) -> int | None:
    """The instant at which the officer's wall clock shows this; None for what is no date or time."""
    try:
        hours, minutes = time.split(":")[:2]
        number = (date.fromisoformat(day) - _EPOCH).days
        wall = number * DAY + int(hours) * 3600 + int(minutes) * 60
    except (ValueError, OverflowError):
        return None
    if not (0 <= int(hours) < 24 and 0 <= int(minutes) < 60 and 2000 <= date.fromisoformat(day).year < 2200):
        return None
    return visit.plan.rules.zone.closes(wall)


def _until(visit: Visit, at: int) -> str:
    return visit.gettext("until %(edge)s", edge=visit.dates.clock(at))


def _morning(visit: Visit, after: int) -> int:
    """The first 06:00 on the wall from then on."""
    zone = visit.plan.rules.zone
    day = zone.wall(after) // DAY
    found = zone.closes(day * DAY + MORNING)
    return found if found >= after else zone.closes((day + 1) * DAY + MORNING)


def _monday(visit: Visit) -> int:
    """06:00 of the next Monday that is not today."""
    today = visit.dates.today()
    ahead = 7 - today.weekday()
    day = (today + timedelta(days=ahead) - _EPOCH).days
    return visit.plan.rules.zone.closes(day * DAY + MORNING)
