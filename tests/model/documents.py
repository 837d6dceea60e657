"""Documents of rest to draw from: every form of window, every kind, overrides for all and for some, devices.

They are written as schedules/README.md writes them, but with times that lie near the instant at which they are put, so
that rests begin and end while a machine runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Protocol, runtime_checkable

import hypothesis.strategies as st

from tests.model.rules import Rules
from tests.model.walls import BERLIN, DAY, HOUR, shown


@runtime_checkable
class Near(Protocol):
    """A time to be written once it is known when and where the document is put."""

    def written(self, zone: str, now: int) -> object: ...


@dataclass(frozen=True, slots=True)
class At:
    """An instant, so many seconds after."""

    seconds: int

    def written(self, _zone: str, now: int) -> object:
        return datetime.fromtimestamp(now + self.seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(frozen=True, slots=True)
class Wall:
    """What the clock on the wall reads in this minute, and so many minutes and days more; in parts, `form`."""

    minutes: int
    days: int = 0
    form: str = "%Y-%m-%dT%H:%M"

    def written(self, zone: str, now: int) -> object:
        wall = shown(zone, now) + 60 * self.minutes + DAY * self.days
        return datetime.fromtimestamp(wall, UTC).strftime(self.form)


@dataclass(frozen=True, slots=True)
class Weekday:
    days: int

    def written(self, zone: str, now: int) -> object:
        return datetime.fromtimestamp(shown(zone, now) + DAY * self.days, UTC).isoweekday()


def _clock(minutes: int) -> Wall:
    return Wall(minutes, form="%H:%M")


def _day(days: int) -> Wall:
    return Wall(0, days, "%Y-%m-%d")


Entry = Mapping[str, Any]
NIGHT: Final[Entry] = {"kind": "weekly", "start": "22:00", "end": "06:00"}
ALL_DAY: Final[Entry] = {"kind": "weekly", "start": "00:00", "end": "24:00"}
DUTIES: Final[Entry] = {
    "kind": "cycle", "anchor": _day(-40), "days": ["D", "-", "D", "-", "-"],
    "shifts": {"D": {"start": _clock(10), "end": _clock(130)}}, "lead_minutes": 5, "lag_minutes": 30,
}  # fmt: skip
NIGHT_DUTIES: Final[Entry] = {
    "kind": "cycle", "anchor": _day(-40), "days": ["D", "N", "N", "-"],
    "shifts": {"D": {"start": _clock(-600), "end": _clock(5)}, "N": {"start": _clock(-60), "end": _clock(420)}},
    "swaps": [{"date": _day(0), "shift": "D"}, {"date": _day(1), "shift": "-"}], "lag_minutes": 1,
}  # fmt: skip
DUTIES_TOMORROW: Final[Entry] = {
    "kind": "cycle", "anchor": _day(-40), "days": ["D"], "shifts": {"D": {"start": _clock(60), "end": _clock(60)}},
    "swaps": [{"date": _day(2), "shift": "-"}], "from": _day(1), "to": _day(1), "rest": "night",
}  # fmt: skip
WINDOWS: Final[tuple[Entry, ...]] = (
    NIGHT,
    {"kind": "weekly", "start": _clock(1), "end": _clock(2)},
    {"kind": "weekly", "start": _clock(1), "end": _clock(61), "rest": "free"},
    {"kind": "weekly", "start": _clock(-30), "end": _clock(20), "rest": "sick"},
    {"kind": "weekly", "start": _clock(5), "end": _clock(300), "days": [Weekday(0), Weekday(2)], "rest": "leave"},
    {"kind": "weekly", "start": "01:30", "end": "02:30"},
    {"kind": "weekly", "start": "02:15", "end": "02:45", "rest": "free"},
    {"kind": "cron", "start": "30 2 * * *", "duration_minutes": 45},
    {"kind": "cron", "start": "0 18 * * 5", "duration_minutes": 3600, "rest": "free"},
    {"kind": "cron", "start": "0 20 * 3,10-12 6-1", "duration_minutes": 700},
    {"kind": "cron", "start": Wall(2, form="%M %H %d * 7,1-2"), "duration_minutes": 40, "rest": "sick"},
    {"kind": "cron", "start": Wall(-3, form="%M %H * * 1-5"), "duration_minutes": 1443},
    DUTIES,
    NIGHT_DUTIES,
    DUTIES_TOMORROW,
    {"kind": "holidays", "land": "NI"},
    {"kind": "holidays", "land": "NI", "start": "17:00", "end": "07:00", "rest": "night"},
    {"kind": "once", "start": At(0), "end": At(11 * HOUR)},
    {"kind": "once", "start": At(30), "end": At(21 * DAY)},
    {"kind": "once", "start": At(12), "end": At(3 * HOUR), "rest": "sick"},
    {"kind": "once", "start": At(-5), "end": At(40 * DAY), "rest": "free"},
    {"kind": "once", "start": Wall(1), "end": Wall(181), "rest": "night"},
    {"kind": "dates", "from": _day(0), "to": _day(0)},
    {"kind": "dates", "from": _day(1), "to": _day(12), "rest": "sick"},
)
OVERRIDES: Final[tuple[Entry, ...]] = (
    {"kind": "reachable", "start": At(0), "end": At(2 * HOUR)},
    {"kind": "rest", "start": At(-10), "end": At(HOUR)},
    {"kind": "rest", "start": Wall(1), "end": Wall(121)},
    {"kind": "reachable", "start": At(7 * DAY), "end": At(7 * DAY + 8)},
    {"kind": "reachable", "start": Wall(600), "end": Wall(1200)},
    {"kind": "rest", "start": At(-10), "end": At(2 * HOUR), "classes": ["message"]},
    {"kind": "rest", "start": At(0), "end": At(5 * HOUR), "classes": ["duty", "callout"]},
    {"kind": "reachable", "start": At(-10), "end": At(5 * HOUR), "classes": ["message"]},
    {"kind": "reachable", "start": Wall(1), "end": Wall(181), "classes": ["roster", "duty"]},
)
WAKES: Final = (
    (), (), (), ("always",), ("never",), ("follow", "never"), ("always", "never"), ("never", "always"),
    ("never", "never", "never", "never"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Document:
    """What somebody puts."""

    windows: tuple[Entry, ...] = ()
    overrides: tuple[Entry, ...] = ()
    wakes: tuple[str, ...] = ()
    """Of device0, device1, …"""
    zone: str = BERLIN

    def put_at(self, now: int) -> Rules:
        return Rules(
            {
                "timezone": self.zone,
                "windows": _written(self.windows, self.zone, now),
                "overrides": _written(self.overrides, self.zone, now),
                "devices": {f"device{i}": {"wake": wake} for i, wake in enumerate(self.wakes)},
            }
        )


def _written(value: object, zone: str, now: int) -> object:
    match value:
        case Near():
            return value.written(zone, now)
        case Mapping():
            return {name: _written(member, zone, now) for name, member in value.items()}
        case list() | tuple():
            return [_written(item, zone, now) for item in value]
    return value


NIGHTLY: Final = Document((NIGHT,))
SEASONS: Final = (
    ("2026-11-24T12:00Z", None),
    ("2026-11-24T20:59:24Z", Document(({**DUTIES, "to": _day(-1)}, DUTIES_TOMORROW))),
    ("2026-11-25T00:00Z", Document((DUTIES,))),
    ("2026-03-28T20:00Z", Document(({"kind": "weekly", "start": "01:30", "end": "02:30"},))),
    ("2026-03-29T00:30Z", Document(({"kind": "cron", "start": "30 2 * * *", "duration_minutes": 45},))),
    ("2026-10-24T19:59:24Z", NIGHTLY),
    ("2026-10-25T00:30Z", Document(({"kind": "weekly", "start": "01:30", "end": "02:30"},))),
    ("2026-10-25T00:40Z", Document(({"kind": "weekly", "start": "02:15", "end": "02:45", "rest": "free"},))),
    ("2026-12-24T22:30Z", Document(({"kind": "holidays", "land": "NI"},))),
    ("2026-12-25T16:30Z", Document(({"kind": "holidays", "land": "NI", "start": "17:00", "end": "07:00"},))),
)
"""When a machine starts, and what many have put then: a Tuesday and its night, where the clock goes forward, where it
goes back, and Christmas."""
DOCUMENTS: Final = (
    NIGHTLY,
    None,
    Document(),
    Document(
        ({"kind": "weekly", "start": "22:00", "end": "24:00"}, {"kind": "weekly", "start": "00:00", "end": "06:00"})
    ),
    Document((NIGHT, {"kind": "cron", "start": "0 18 * * 5", "duration_minutes": 3600})),
    Document((NIGHT,), ({"kind": "reachable", "start": At(0), "end": At(2 * HOUR)},)),
    Document((NIGHT, {"kind": "once", "start": At(30), "end": At(21 * DAY)})),
    Document(
        ({"kind": "once", "start": At(11), "end": At(600)}, {"kind": "once", "start": At(605), "end": At(700)}),
    ),
    Document(
        ({"kind": "once", "start": At(-5), "end": At(40 * DAY)},),
        ({"kind": "reachable", "start": At(7 * DAY), "end": At(7 * DAY + 8)},),
    ),
    Document((ALL_DAY,)),
    Document(
        ({"kind": "once", "start": At(-10), "end": At(3000 * DAY)},),
        ({"kind": "reachable", "start": At(36 * DAY), "end": At(37 * DAY)},),
    ),
    Document((ALL_DAY,), wakes=("always", "never")),
    Document((NIGHT, {"kind": "holidays", "land": "NI"})),
    Document((DUTIES,)),
    Document((NIGHT_DUTIES,)),
    Document((DUTIES_TOMORROW,), wakes=("follow", "never")),
    Document(
        (NIGHT, {"kind": "once", "start": At(0), "end": At(11 * HOUR), "rest": "free"}), wakes=("follow", "always")
    ),
)
"""Whole ones, each with a story; None: the document is deleted."""


def composed() -> st.SearchStrategy[Document]:
    """Any windows with any overrides."""
    return st.builds(
        lambda windows, overrides, wakes, zone: Document(tuple(windows), tuple(overrides), wakes, zone),
        st.lists(st.sampled_from(WINDOWS), max_size=3),
        st.lists(st.sampled_from(OVERRIDES), max_size=2),
        st.sampled_from(WAKES),
        st.sampled_from((BERLIN, BERLIN, "UTC")),
    )
