"""A roster as a rhythm: what comes of duties, what does not fit, and what any bytes at all may do."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schedules import RestTable, compile_table, parse
from schedules.cycle import DAY
from schedules.roster import AHEAD, BACK, Duty, Roster, RosterFault, roster
from schedules.walltime import wall_of
from schedules.web import rosters
from tests.schedules.calendars import BERLIN, NOW, TODAY


def duty(start: str, end: str, name: str = "") -> Duty:
    """26 22:00 and 27 06:00, of November 2026; 31 is the first of December."""
    return Duty(_wall(start), _wall(end), name)


def _wall(text: str) -> int:
    day, clock = text.split()
    return wall_of(datetime(2026, 11, 1) + timedelta(days=int(day) - 1, hours=int(clock[:2]), minutes=int(clock[3:])))


def made(*listed: Duty, last: int = TODAY + AHEAD - 1) -> Roster:
    found = roster(listed, TODAY, last)
    assert found is not None
    return found


def row(*listed: Duty) -> dict[int, str]:
    """Day of the month → shift."""
    days = cast("list[str]", made(*listed).row["days"])
    return {25 - BACK + n: name for n, name in enumerate(days) if name != "-"}


def shifts(*listed: Duty) -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", made(*listed).row["shifts"])


# --- days


def test_a_row_has_each_day_once() -> None:
    found = made(duty("26 06:00", "26 14:00"), duty("27 22:00", "28 06:00"))
    assert found.row["anchor"] == "2026-11-23"
    assert len(cast("list[str]", found.row["days"])) == BACK + AHEAD
    assert row(duty("26 06:00", "26 14:00"), duty("27 22:00", "28 06:00")) == {26: "06:00–14:00", 27: "22:00–06:00"}
    assert found.doubled == 0


def test_two_duties_of_a_day_are_one_and_told() -> None:
    found = made(duty("26 06:00", "26 10:00"), duty("26 16:00", "26 20:00"), duty("27 06:00", "27 10:00"))
    assert found.row["shifts"] == {
        "06:00–20:00": {"start": "06:00", "end": "20:00"}, "06:00–10:00": {"start": "06:00", "end": "10:00"},
    }  # fmt: skip
    assert found.doubled == 1


@pytest.mark.parametrize("second", ["10:00", "09:00"])
def test_duties_without_a_pause_are_one_and_nothing_is_to_be_told(second: str) -> None:
    found = made(duty("26 06:00", "26 10:00"), duty(f"26 {second}", "26 14:00"))
    assert (list(cast("Mapping[str, Any]", found.row["shifts"])), found.doubled) == (["06:00–14:00"], 0)


def test_a_night_that_a_calendar_has_cut_at_midnight_is_one_again() -> None:
    nights = [duty("26 22:00", "27 00:00"), duty("27 00:00", "27 06:00"), duty("27 22:00", "28 00:00"),
              duty("28 00:00", "28 06:00")]  # fmt: skip
    assert row(*nights) == {26: "22:00–06:00", 27: "22:00–06:00"}
    assert made(*nights).doubled == 0


def test_a_duty_of_a_whole_day_and_one_to_midnight() -> None:
    assert shifts(duty("26 07:00", "27 07:00"), duty("28 16:00", "29 00:00"), duty("30 00:00", "31 00:00")) == {
        "07:00–07:00": {"start": "07:00", "end": "07:00"}, "16:00–24:00": {"start": "16:00", "end": "24:00"},
        "00:00–24:00": {"start": "00:00", "end": "24:00"},
    }  # fmt: skip


# --- names


def test_a_shift_is_called_as_the_file_calls_it_if_that_is_plain() -> None:
    assert list(shifts(duty("26 06:00", "26 14:00", "F"), duty("27 06:00", "27 14:00", "F"))) == ["F"]


@pytest.mark.parametrize(
    "listed",
    [
        [duty("26 06:00", "26 14:00", "F"), duty("27 06:00", "27 14:00", "Streife")],
        [duty("26 06:00", "26 14:00", "F"), duty("27 06:00", "27 15:00", "F")],
        [duty("26 06:00", "26 14:00", "-")],
        [duty("26 06:00", "26 14:00", "x" * 21)],
        [duty("26 06:00", "26 14:00", "06:00–15:00"), duty("27 06:00", "27 15:00", "")],
        [duty("26 06:00", "26 10:00", "F"), duty("26 10:00", "26 14:00", "S")],
    ],
)
def test_else_by_its_hours(listed: list[Duty]) -> None:
    assert all(re.fullmatch(r"06:00–1[45]:00", name) for name in shifts(*listed))
    assert {(hours["start"], hours["end"]): name for name, hours in shifts(*listed).items()} == {
        (hours["start"], hours["end"]): f"{hours['start']}–{hours['end']}" for hours in shifts(*listed).values()
    }


# --- what does not fit


def test_more_than_a_day_in_one_piece() -> None:
    with pytest.raises(RosterFault, match="more than 24 hours in one piece") as fault:
        made(duty("26 06:00", "27 06:01"))
    assert fault.value.day == TODAY + 1
    assert "2026" not in str(fault.value), "days are personal"


def test_two_duties_of_a_day_that_are_too_far_apart() -> None:
    with pytest.raises(RosterFault, match="two duties start on this day") as fault:
        made(duty("27 00:00", "27 06:00"), duty("27 22:00", "28 06:00"))
    assert fault.value.day == TODAY + 2


def test_more_than_twenty_shifts_name_the_day_before_which_it_may_end() -> None:
    listed = [duty(f"{day} 06:00", f"{day} 14:{day}") for day in range(25, 46)]
    with pytest.raises(RosterFault, match="more than 20 different duty times") as fault:
        made(*listed)
    assert fault.value.day == TODAY + 20
    assert len(cast("Any", made(*listed, last=TODAY + 19).row["shifts"])) == 20


def test_what_is_over_or_later_than_the_last_day_does_not_matter() -> None:
    listed = [duty("01 06:00", "20 06:00"), duty("26 06:00", "26 14:00"), duty("40 06:00", "60 06:00")]
    assert len(cast("Any", made(*listed, last=TODAY + 5).row["shifts"])) == 1
    with pytest.raises(RosterFault, match="in one piece"):
        made(duty("20 06:00", "26 06:00"))


def test_no_duty_is_no_roster() -> None:
    assert roster([], TODAY, TODAY + 5) is None
    assert roster([duty("23 06:00", "23 14:00"), duty("24 22:00", "25 06:00")], TODAY, TODAY + 5) is None


# --- as a window


def rests(window: Mapping[str, object], now: float = NOW) -> RestTable:
    table = compile_table(parse({"windows": [window]}), now)
    assert isinstance(table, RestTable)
    return table


def test_a_night_from_yesterday_is_not_silent_today() -> None:
    found = made(duty("24 22:00", "25 06:00"), duty("26 06:00", "26 14:00"))
    window = rosters.window(found.row, TODAY, TODAY + 1, 0, 30)
    assert (window["from"], window["to"]) == ("2026-11-24", "2026-11-26")
    table, midnight = rests(window), BERLIN.opens(TODAY * DAY)
    assert not table.at(midnight).resting
    assert table.at(midnight + 6 * 3600 + 1799).resting is False
    assert table.at(midnight + 6 * 3600 + 1800).resting is True


def test_the_minutes_after_a_duty_reach_into_the_first_day_too() -> None:
    found = made(duty("24 16:00", "25 00:00"), duty("26 06:00", "26 14:00"))
    assert rosters.window(found.row, TODAY, TODAY + 1, 0, 0)["from"] == "2026-11-25"
    assert rosters.window(found.row, TODAY, TODAY + 1, 0, 1)["from"] == "2026-11-24"


def is_duty(wall: int, listed: list[Duty], lead: int, lag: int) -> bool:
    return any(start - lead * 60 <= wall < end + lag * 60 for start, end, _ in listed)


starts = st.integers(-4 * 96, (AHEAD + 2) * 96).map(lambda quarter: TODAY * DAY + quarter * 900)
lengths = st.sampled_from([1, 15, 60, 240, 480, 600, 720, 1439, 1440])
listed_duties = st.lists(
    st.tuples(starts, lengths, st.sampled_from(["", "F", "N"])).map(lambda t: Duty(t[0], t[0] + t[1] * 60, t[2])),
    min_size=1,
    max_size=8,
)


@settings(max_examples=150)
@given(listed_duties, st.sampled_from([0, 30, 720]), st.sampled_from([0, 45, 720]), st.data())
def test_a_duty_is_never_silent_and_between_duties_there_is_rest(
    listed: list[Duty], lead: int, lag: int, data: st.DataObject
) -> None:
    try:
        found = roster(listed, TODAY, TODAY + AHEAD - 1)
    except RosterFault:
        return
    if found is None:
        return
    low, high = rosters.bounds(found.row)
    first = data.draw(st.integers(low, high))
    last = data.draw(st.integers(first, high))
    table = rests(rosters.window(found.row, first, last, lead, lag))
    near = [duty for duty in listed if (first - BACK) * DAY <= duty.start and duty.start // DAY <= last]
    for wall in range(first * DAY, (last + 1) * DAY, 7200):
        on_duty = is_duty(wall, near, lead, lag)
        assert not (on_duty and table.at(wall - 3600).resting), "no clock is changed in these months"
        assert on_duty or found.doubled or table.at(wall - 3600).resting
    for each in near:
        inside = range(max(each.start, first * DAY), min(each.end, (last + 1) * DAY))
        assert not inside or not (table.at(inside[0] - 3600).resting or table.at(inside[-1] - 3600).resting)
