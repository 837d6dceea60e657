"""Random rest documents, most of whose edges lie where clocks change."""

from __future__ import annotations

import operator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from functools import cache
from typing import Final

import whenever
from hypothesis import settings
from hypothesis import strategies as st

from tests.schedules.second_evaluator import shown

DAY: Final = 86_400
Entry = dict[str, object]
Document = dict[str, object]


@dataclass(frozen=True, slots=True)
class Place:
    """A zone and an instant (UTC seconds) around which its documents turn: a clock change where it has any."""

    zone: str
    change: int

    def __str__(self) -> str:
        return f"{self.zone} {datetime.fromtimestamp(self.change, UTC):%Y-%m-%dT%H:%MZ}"

    def walls(self) -> tuple[int, int]:
        """What the clock on the wall would have read at the change, and what it reads; minutes since 1970."""
        return shown(self.zone, self.change - 60) // 60 + 1, shown(self.zone, self.change) // 60


def _changes(zone: str, year: int, count: int) -> list[Place]:
    """The next changes of the offset from a year on; fewer when the zone has no more."""
    found: list[Place] = []
    moment = whenever.ZonedDateTime(year, 1, 1, tz=zone)
    while len(found) < count and (following := moment.next_transition()) is not None:
        if following.offset != following.subtract(seconds=1).offset:
            found.append(Place(zone, int(following.timestamp())))
        moment = following
    return found


def _noon(year: int, month: int, day: int) -> int:
    return int(datetime(year, month, day, 12, tzinfo=UTC).timestamp())


PLACES: Final = [
    *_changes("Europe/Berlin", 2026, 2),
    *_changes("America/New_York", 2026, 2),
    *_changes("Australia/Lord_Howe", 2026, 2),  # by half an hour
    *_changes("America/St_Johns", 2026, 2),  # offsets with half an hour
    *_changes("Africa/Casablanca", 2025, 2),  # Ramadan: the clock goes back for four weeks
    *_changes("Antarctica/Troll", 2028, 2),  # by two hours
    Place("Asia/Kathmandu", _noon(2026, 12, 31)),  # an offset with a quarter of an hour, no changes
    Place("Europe/Berlin", _noon(2028, 2, 29)),
    Place("UTC", _noon(2027, 2, 28)),
]

_NEAR: Final = (-150, -91, -90, -61, -60, -59, -45, -31, -30, -29, -1, 0, 1, 15, 29, 30, 31, 59, 60, 61, 90, 119, 120)
_LENGTHS: Final = (1, 15, 29, 30, 31, 59, 60, 61, 90, 120, 480, 1439, 1440, 1441, 2880, 20_159, 20_160)

# Strategies are made once: hypothesis spends more on making one than on drawing from it.
_NEARBY: Final = st.one_of(st.sampled_from(_NEAR), st.integers(-300, 300))
_SOME_DAYS: Final = st.one_of(st.just(0), st.integers(-3, 3))
_LENGTH: Final = st.one_of(st.sampled_from(_LENGTHS), st.integers(1, 4000))
_SPAN: Final = {
    False: st.one_of(st.integers(300, 400), st.integers(300, 6000)),
    True: st.one_of(st.integers(-200, 400), st.integers(300, 6000)),
}
_OFFSET: Final = st.sampled_from((0, 60, 120, -300, 345, -150, 630))
_DAYS: Final = st.sampled_from(
    (
        "* * *", "* * *", "* * *", "* * {w}", "* * {w},{w3}", "* * {w}-{w2}", "* * {w5}-{w}", "* * 7", "* * 1-5",
        "* * 0-6", "{d} * *", "{d} {m},{m1} *", "{d} * {w1}", "1-31 * 1", "29,31 * *", "* {m} *", "* {m} {w}",
        "* {m1} *",
    )
)  # fmt: skip
"""Day fields of a window whose first start is on weekday w, day d, month m; w2 is two weekdays later."""


def examples(share: float) -> settings:
    """A share of the profile's number of examples: less where each is dear, and yet more in a hunt."""
    return settings(max_examples=int(settings().max_examples * share))


def places() -> st.SearchStrategy[Place]:
    return st.sampled_from(PLACES)


@cache
def near_walls(place: Place) -> st.SearchStrategy[int]:
    """Wall times, in minutes, around the change; some days off now and then."""
    walls = st.sampled_from(place.walls())
    return st.builds(lambda wall, by, days: wall + by + days * 1440, walls, _NEARBY, _SOME_DAYS)


@cache
def instants(place: Place) -> st.SearchStrategy[int]:
    """UTC seconds: around the change, and days away from it."""
    seconds = st.sampled_from((-1, 0, 1, 30))
    near = st.builds(lambda by, second: place.change + by * 60 + second, _NEARBY, seconds)
    return st.one_of(near, st.integers(place.change - 4 * DAY, place.change + 4 * DAY))


@cache
def documents(place: Place, *, any_order: bool = False) -> st.SearchStrategy[Document]:
    """A document without a fault; with `any_order` its one-offs may end before they begin."""
    of_all_kinds = st.one_of(
        recurring(place), recurring(place), spans(place, ("once",), any_order=any_order), weekly(place), cycles(place),
        dates(place), _ON_HOLIDAYS,
    )  # fmt: skip
    windows = st.builds(operator.or_, of_all_kinds, _KIND)
    overrides = st.builds(operator.or_, spans(place, ("rest", "reachable"), any_order=any_order), _CLASSES)
    return st.builds(
        lambda windows, overrides: {"timezone": place.zone, "windows": windows, "overrides": overrides},
        st.lists(windows, max_size=3),
        st.lists(overrides, max_size=3),
    )


def _written_date(day: int) -> str:
    return (date(1970, 1, 1) + timedelta(days=day)).isoformat()


def _clock(minute: int) -> str:
    return f"{minute // 60 % 24:02}:{minute % 60:02}"


@cache
def weekly(place: Place) -> st.SearchStrategy[Entry]:
    """A window in the friendly form that starts or ends near the change, of less than a day."""

    def build(wall: int, length: int, ends_there: bool, weekdays: list[int] | None) -> Entry:
        start = wall - length if ends_there else wall
        days = {} if weekdays is None else {"days": weekdays}
        return {"kind": "weekly", "start": _clock(start), "end": _clock(start + length), **days}

    weekdays = st.none() | st.lists(st.integers(1, 7), min_size=1, max_size=7, unique=True)
    return st.builds(build, near_walls(place), st.integers(1, 1439), st.booleans(), weekdays)


@cache
def dates(place: Place) -> st.SearchStrategy[Entry]:
    day = place.change // DAY

    def build(first: int, count: int) -> Entry:
        return {"kind": "dates", "from": _written_date(day + first), "to": _written_date(day + first + count)}

    return st.builds(build, st.integers(-4, 4), st.integers(0, 4))


@cache
def cycles(place: Place) -> st.SearchStrategy[Entry]:
    """Shifts that start or end near the change; swaps and bounds of validity near it too."""
    day = place.change // DAY

    def build(
        walls: list[int], lengths: list[int], row: list[str], anchor: int, swaps: dict[int, str], lead: int, lag: int,
        bounds: tuple[int | None, int | None],
    ) -> Entry:  # fmt: skip
        shifts = {
            name: {"start": _clock(wall), "end": _clock(wall + length)}
            for name, wall, length in zip("AB", walls, lengths, strict=True)
        }
        first, last = bounds
        if first is not None and last is not None and last < first:
            first, last = last, first
        held = {name: _written_date(day + d) for name, d in (("from", first), ("to", last)) if d is not None}
        return {
            "kind": "cycle", "anchor": _written_date(day + anchor), "days": row, "shifts": shifts,
            "swaps": [{"date": _written_date(day + d), "shift": name} for d, name in swaps.items()],
            "lead_minutes": lead, "lag_minutes": lag, **held,
        }  # fmt: skip

    names = st.sampled_from("AAB-")
    bound = st.none() | st.integers(-5, 5)
    return st.builds(
        build,
        st.lists(near_walls(place), min_size=2, max_size=2),
        st.lists(st.integers(1, 1440), min_size=2, max_size=2),
        st.lists(names, min_size=1, max_size=8).filter(lambda row: set(row) != {"-"}),
        st.integers(-400, 400),
        st.dictionaries(st.integers(-5, 5), names, max_size=2),
        st.sampled_from((0, 0, 1, 30, 720)),
        st.sampled_from((0, 0, 1, 30, 720)),
        st.tuples(bound, bound),
    )


_ON_HOLIDAYS: Final = st.builds(
    lambda land, hours: {"kind": "holidays", "land": land, **hours},
    st.sampled_from(("NI", "BY", "SN", "BE", "SL", "BB")),
    st.sampled_from(({}, {"start": "02:30"}, {"end": "02:30"}, {"start": "17:00", "end": "07:00"})),
)
_KIND: Final = st.sampled_from(({}, {}, {"rest": "night"}, {"rest": "free"}, {"rest": "sick"}))
_CLASSES: Final = st.sampled_from(({}, {}, {"classes": ["roster"]}, {"classes": ["alarm", "message"]}))


@dataclass(frozen=True, slots=True)
class Case:
    """A document, instants worth asking about, and more to say: one rest, one time on call."""

    document: Document
    instants: tuple[int, ...]
    rest: Entry
    on_call: Entry


@cache
def cases(place: Place) -> st.SearchStrategy[Case]:
    rest = st.one_of(recurring(place), spans(place, ("once", "rest")))
    asked = st.tuples(instants(place), instants(place), instants(place))
    return st.builds(Case, documents(place), asked, rest, spans(place, ("reachable",)))


@cache
def recurring(place: Place) -> st.SearchStrategy[Entry]:
    """A window that starts or ends near the change, on some set of days that mostly holds the start."""

    def build(wall: int, length: int, ends_there: bool, days: str) -> Entry:
        start = wall - length if ends_there else wall
        return window(start, length, days)

    return st.builds(build, near_walls(place), _LENGTH, st.booleans(), _DAYS)


def window(start: int, length: int, days: str) -> Entry:
    """A cron window that starts at a wall time, on the days of the template."""
    day = date(1970, 1, 1) + timedelta(days=start // 1440)
    weekdays = {f"w{n or ''}": (day.isoweekday() + n) % 7 for n in range(7)}
    fields = days.format(d=day.day, m=day.month, m1=day.month % 12 + 1, **weekdays)
    return {"kind": "cron", "start": f"{start % 60} {start // 60 % 24} {fields}", "duration_minutes": length}


@cache
def spans(place: Place, kinds: tuple[str, ...], *, any_order: bool = False) -> st.SearchStrategy[Entry]:
    """A one-off that starts or ends near the change: wall times, instants, or one of each.

    Only with `any_order` may it end before it begins.
    """
    offset_there = place.walls()[1] - place.change // 60

    def build(
        kind: str, wall: int, length: int, ends_there: bool, start_offset: int | None, end_offset: int | None
    ) -> Entry:
        wall -= length if ends_there else 0
        start = wall if start_offset is None else wall - offset_there
        end = (wall if end_offset is None else wall - offset_there) + length
        return {"kind": kind, "start": written(start, start_offset), "end": written(end, end_offset)}

    offsets = st.none() | _OFFSET
    lengths = _SPAN[any_order]
    return st.builds(build, st.sampled_from(kinds), near_walls(place), lengths, st.booleans(), offsets, offsets)


def written(minute: int, offset: int | None) -> str:
    """A minute since 1970: of the wall clock without an offset, else of UTC, written in that offset (in minutes)."""
    moment = datetime(1970, 1, 1) + timedelta(minutes=minute + (offset or 0))
    if offset is None:
        return moment.isoformat(timespec="minutes")
    text = moment.replace(tzinfo=timezone(timedelta(minutes=offset))).isoformat(timespec="seconds")
    return text.replace("+00:00", "Z")
