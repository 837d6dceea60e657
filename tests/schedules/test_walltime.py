"""Wall clock → instants: the three cases of R3 and R4, in every zone, from the wheel's data and no other."""

from __future__ import annotations

import zoneinfo
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from importlib import resources
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
import tzdata
import whenever
from hypothesis import given
from hypothesis import strategies as st

from schedules import TZDATA, parse, state, walltime
from schedules.walltime import Zone, wall_of
from tests.schedules.documents import PLACES, Place, near_walls, places
from tests.schedules.second_evaluator import shown


def zone(name: str) -> Zone:
    return walltime.zone(name)


def wall(text: str) -> int:
    return wall_of(datetime.fromisoformat(text))


def instant(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@pytest.mark.parametrize(
    ("name", "text", "opens", "closes"),
    [
        # Spring: the clock goes from 02:00 to 03:00. What is skipped is the jump.
        ("Europe/Berlin", "2026-03-29T01:59:59", "2026-03-29T00:59:59Z", "2026-03-29T00:59:59Z"),
        ("Europe/Berlin", "2026-03-29T02:00:00", "2026-03-29T01:00:00Z", "2026-03-29T01:00:00Z"),
        ("Europe/Berlin", "2026-03-29T02:30:00", "2026-03-29T01:00:00Z", "2026-03-29T01:00:00Z"),
        ("Europe/Berlin", "2026-03-29T02:59:59", "2026-03-29T01:00:00Z", "2026-03-29T01:00:00Z"),
        ("Europe/Berlin", "2026-03-29T03:00:00", "2026-03-29T01:00:00Z", "2026-03-29T01:00:00Z"),
        ("Europe/Berlin", "2026-03-29T03:00:01", "2026-03-29T01:00:01Z", "2026-03-29T01:00:01Z"),
        # Autumn: from 03:00 back to 02:00. What is repeated opens at once and closes late.
        ("Europe/Berlin", "2026-10-25T01:59:59", "2026-10-24T23:59:59Z", "2026-10-24T23:59:59Z"),
        ("Europe/Berlin", "2026-10-25T02:00:00", "2026-10-25T00:00:00Z", "2026-10-25T01:00:00Z"),
        ("Europe/Berlin", "2026-10-25T02:30:00", "2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z"),
        ("Europe/Berlin", "2026-10-25T02:59:59", "2026-10-25T00:59:59Z", "2026-10-25T01:59:59Z"),
        ("Europe/Berlin", "2026-10-25T03:00:00", "2026-10-25T02:00:00Z", "2026-10-25T02:00:00Z"),
        # No change.
        ("Europe/Berlin", "2026-07-01T22:00:00", "2026-07-01T20:00:00Z", "2026-07-01T20:00:00Z"),
        ("Europe/Berlin", "2199-12-31T23:59:59", "2199-12-31T22:59:59Z", "2199-12-31T22:59:59Z"),
        # By rule, beyond the listed changes: the last Sundays of March and October 2100.
        ("Europe/Berlin", "2100-03-28T02:30:00", "2100-03-28T01:00:00Z", "2100-03-28T01:00:00Z"),
        ("Europe/Berlin", "2100-10-31T02:30:00", "2100-10-31T00:30:00Z", "2100-10-31T01:30:00Z"),
        ("America/New_York", "2026-03-08T02:30:00", "2026-03-08T07:00:00Z", "2026-03-08T07:00:00Z"),
        ("America/New_York", "2026-11-01T01:30:00", "2026-11-01T05:30:00Z", "2026-11-01T06:30:00Z"),
        ("America/New_York", "2026-11-01T02:00:00", "2026-11-01T07:00:00Z", "2026-11-01T07:00:00Z"),
        # By half an hour: 02:00 → 02:30 in October, 02:00 → 01:30 in April.
        ("Australia/Lord_Howe", "2026-10-04T02:15:00", "2026-10-03T15:30:00Z", "2026-10-03T15:30:00Z"),
        ("Australia/Lord_Howe", "2026-04-05T01:29:59", "2026-04-04T14:29:59Z", "2026-04-04T14:29:59Z"),
        ("Australia/Lord_Howe", "2026-04-05T01:30:00", "2026-04-04T14:30:00Z", "2026-04-04T15:00:00Z"),
        ("Australia/Lord_Howe", "2026-04-05T01:59:59", "2026-04-04T14:59:59Z", "2026-04-04T15:29:59Z"),
        ("Australia/Lord_Howe", "2026-04-05T02:00:00", "2026-04-04T15:30:00Z", "2026-04-04T15:30:00Z"),
        # By two hours: 01:00 → 03:00.
        ("Antarctica/Troll", "2026-03-29T01:00:00", "2026-03-29T01:00:00Z", "2026-03-29T01:00:00Z"),
        ("Antarctica/Troll", "2026-03-29T02:59:59", "2026-03-29T01:00:00Z", "2026-03-29T01:00:00Z"),
        ("Antarctica/Troll", "2026-10-25T01:00:00", "2026-10-24T23:00:00Z", "2026-10-25T01:00:00Z"),
        # A whole day: 30 December 2011 did not happen in Samoa.
        ("Pacific/Apia", "2011-12-29T23:59:59", "2011-12-30T09:59:59Z", "2011-12-30T09:59:59Z"),
        ("Pacific/Apia", "2011-12-30T00:00:00", "2011-12-30T10:00:00Z", "2011-12-30T10:00:00Z"),
        ("Pacific/Apia", "2011-12-30T12:00:00", "2011-12-30T10:00:00Z", "2011-12-30T10:00:00Z"),
        ("Pacific/Apia", "2011-12-30T23:59:59", "2011-12-30T10:00:00Z", "2011-12-30T10:00:00Z"),
        ("Pacific/Apia", "2011-12-31T00:00:00", "2011-12-30T10:00:00Z", "2011-12-30T10:00:00Z"),
        # At midnight: 24 April 2026 begins at 01:00 in Cairo.
        ("Africa/Cairo", "2026-04-24T00:00:00", "2026-04-23T22:00:00Z", "2026-04-23T22:00:00Z"),
        # Winter time as the exception: in Dublin the summer has no DST, which must not matter.
        ("Europe/Dublin", "2026-03-29T01:30:00", "2026-03-29T01:00:00Z", "2026-03-29T01:00:00Z"),
        ("Europe/Dublin", "2026-10-25T01:30:00", "2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z"),
        ("Asia/Kathmandu", "2026-03-29T02:30:00", "2026-03-28T20:45:00Z", "2026-03-28T20:45:00Z"),
        ("UTC", "2026-03-29T02:30:00", "2026-03-29T02:30:00Z", "2026-03-29T02:30:00Z"),
    ],
)
def test_a_wall_time_opens_at_its_first_reading_and_closes_at_its_second(
    name: str, text: str, opens: str, closes: str
) -> None:
    """R3, R4: once, twice, never."""
    assert instant(zone(name).opens(wall(text))) == opens
    assert instant(zone(name).closes(wall(text))) == closes


def zone_names() -> list[str]:
    return resources.files("tzdata").joinpath("zones").read_text().split()


def test_every_zone_of_the_wheel_is_there() -> None:
    names = zone_names()
    assert len(names) > 500
    for name in names:
        assert zone(name).name == name


def changes(name: str, year: int, count: int) -> Iterator[whenever.ZonedDateTime]:
    moment = whenever.ZonedDateTime(year, 1, 1, tz=name)
    for _ in range(count):
        following = moment.next_transition()
        if following is None:
            return
        yield following
        moment = following


@pytest.mark.parametrize("year", [2000, 2026, 2098])
def test_every_change_of_every_zone_is_read_as_another_library_reads_it(year: int) -> None:
    """R3 and R4 by trial: the instants at which `whenever`'s clock shows the wall time; without any, the jump."""
    for name in zone_names():
        ours = zone(name)
        for change in changes(name, year, 4):
            jump = int(change.timestamp())
            before, after = (jump - 1 - shown(name, jump - 1)), (jump - shown(name, jump))
            for label in {jump - before + near for near in (-1, 0, 1)} | {jump - after + near for near in (-1, 0, 1)}:
                readings = [at for at in (label + before, label + after) if shown(name, at) == label] or [jump]
                assert (ours.opens(label), ours.closes(label)) == (min(readings), max(readings)), (name, label)


@cache
def two_walls(place: Place) -> st.SearchStrategy[tuple[Zone, list[int]]]:
    walls = st.tuples(near_walls(place), near_walls(place), st.integers(0, 59))
    return st.tuples(st.just(zone(place.zone)), walls.map(lambda w: sorted((w[0] * 60, w[1] * 60 + w[2]))))


@given(places().flatmap(two_walls))
def test_later_on_the_wall_is_never_earlier_in_time(drawn: tuple[Zone, list[int]]) -> None:
    """Monotone, which `fold=0` is not: a rest until 02:30 must not end after one until 03:00."""
    here, (first, second) = drawn
    assert here.opens(first) <= here.opens(second)
    assert here.closes(first) <= here.closes(second)
    assert here.opens(first) <= here.closes(first)


@given(places(), st.integers(-10_000, 10_000))
def test_what_the_wall_reads_now_has_opened_and_not_closed_early(place: Place, by: int) -> None:
    here = zone(place.zone)
    now = place.change + by
    assert here.opens(here.wall(now)) <= now <= here.closes(here.wall(now))
    assert now in (here.opens(here.wall(now)), here.closes(here.wall(now)))


@pytest.mark.parametrize("place", PLACES, ids=str)
def test_an_hour_by_hour_walk_around_a_change_loses_no_time(place: Place) -> None:
    """The rests from each quarter to the next cover the time line without a hole."""
    here = zone(place.zone)
    first = (place.walls()[0] - 300) * 60
    quarters = [first + n * 900 for n in range(41)]
    covered = here.opens(quarters[0])
    for start, end in pairwise(quarters):
        assert here.opens(start) <= covered
        covered = max(covered, here.closes(end))
    assert covered == here.closes(quarters[-1])


@pytest.mark.parametrize(
    "name",
    [
        "", " ", ".", "..", "/", "//", "~", "-", "+", "_",
        "/etc/localtime", "/usr/share/zoneinfo/Europe/Berlin", "../zoneinfo/Europe/Berlin", "Europe/../Europe/Berlin",
        "./UTC", "Europe/./Berlin", "..\\zoneinfo\\UTC", "C:\\zones\\UTC", "file:///etc/localtime",
        "Europe", "Europe/", "/Europe/Berlin", "Europe//Berlin", "Europe/Berlin/", "a/b/c/d", "America/Argentina",
        "localtime", "posixrules", "posix/Europe/Berlin", "right/Europe/Berlin",
        "tzdata.zi", "zone.tab", "zone1970.tab", "iso3166.tab", "leapseconds", "__init__.py", "__init__", "__pycache__",
        "Europe/Berlin ", " Europe/Berlin", "Europe/Berlin\n", "\nEurope/Berlin", "Europe/Berlin\0", "\0",
        "Europe/Köln", "Europe/Bеrlin", "ＵＴＣ", "Europe/Atlantis", "CEST", "+01:00", "UTC+1", "GMT+01:00", "<+01>-1",
        "CET-1CEST,M3.5.0,M10.5.0/3", "A" * 300, "A" * 100_000, "A/" * 50_000, "\ud800",
    ],
    ids=lambda name: repr(name[:20]),
)  # fmt: skip
def test_what_is_no_zone_of_the_wheel_is_refused(name: str) -> None:
    with pytest.raises(KeyError):
        zone(name)


def test_the_version_of_the_zone_data_is_that_of_the_wheel() -> None:
    assert TZDATA == tzdata.IANA_VERSION


@pytest.fixture
def false_machine(tmp_path: Path) -> Iterator[None]:
    """A machine whose own database says that Berlin keeps UTC, and that knows a zone the wheel does not."""
    (tmp_path / "Europe").mkdir()
    utc = resources.files("tzdata").joinpath("zoneinfo", "Etc", "UTC").read_bytes()
    for name in ("Europe/Berlin", "Europe/Atlantis"):
        (tmp_path / name).write_bytes(utc)
    zoneinfo.reset_tzpath([tmp_path])
    walltime.zone.cache_clear()
    yield
    zoneinfo.reset_tzpath()
    walltime.zone.cache_clear()


@pytest.mark.usefixtures("false_machine")
def test_the_machines_own_zones_are_never_asked() -> None:
    midnight = datetime(2026, 7, 1)
    assert ZoneInfo.no_cache("Europe/Berlin").utcoffset(midnight) == timedelta(0)  # the trap is set
    assert ZoneInfo.no_cache("Europe/Atlantis").utcoffset(midnight) == timedelta(0)
    assert instant(zone("Europe/Berlin").opens(wall_of(midnight))) == "2026-06-30T22:00:00Z"
    document = {"windows": [{"kind": "cron", "start": "0 22 * * *", "duration_minutes": 480}]}
    assert state(document, datetime(2026, 7, 1, 3, 59, tzinfo=UTC)).resting
    assert not state(document, datetime(2026, 7, 1, 4, tzinfo=UTC)).resting
    with pytest.raises(ValueError, match="timezone"):
        parse({"timezone": "Europe/Atlantis"})


def test_reading_a_zone_changes_nothing_process_wide() -> None:
    """Other code of the process may use `zoneinfo` as it likes."""
    walltime.zone.cache_clear()
    path = zoneinfo.TZPATH
    info = ZoneInfo("Europe/Berlin")
    zone("Europe/Berlin")
    assert path == zoneinfo.TZPATH
    assert ZoneInfo("Europe/Berlin") is info


def test_a_zone_that_gives_up_its_clock_changes_moves_wall_times_along() -> None:
    """What an end of summer time would look like: the same name, other data, and leave until 06:00 ends at 06:00."""
    with resources.files("tzdata").joinpath("zoneinfo", "Etc", "GMT-1").open("rb") as file:
        abolished = Zone("Europe/Berlin", ZoneInfo.from_file(file, key="Europe/Berlin"))
    summer = wall("2026-07-01T06:00:00")
    assert abolished.closes(summer) - zone("Europe/Berlin").closes(summer) == 3600
    assert instant(abolished.closes(summer)) == "2026-07-01T05:00:00Z"


def test_wall_of_counts_naive_seconds() -> None:
    assert wall_of(datetime(1970, 1, 1)) == 0
    assert wall_of(datetime(1970, 1, 2, 0, 0, 1)) == 86_401
    assert wall_of(datetime(1969, 12, 31, 23, 59, 59)) == -1
