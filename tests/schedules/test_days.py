"""Days in pieces: they say what the table says, at every instant and with the same reasons, and leave no hole."""

from __future__ import annotations

from datetime import date
from itertools import pairwise
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schedules import compile_table, parse
from schedules.days import MOST, days
from schedules.explain import day_lines
from tests.schedules.documents import PLACES, Place, documents, examples, instants
from tests.schedules.test_acts import utc

NIGHT: Final = {"kind": "weekly", "start": "22:00", "end": "06:00"}


@pytest.fixture(scope="module", params=PLACES, ids=str)
def place(request: pytest.FixtureRequest) -> Place:
    assert isinstance(request.param, Place)
    return request.param


@examples(0.2)
@given(data=st.data())
def test_pieces_say_what_the_table_says(place: Place, data: st.DataObject) -> None:
    rules = parse(data.draw(documents(place)))
    now = data.draw(instants(place)) + data.draw(st.sampled_from((0, 0.5)))
    count = data.draw(st.sampled_from((1, 2, 3, 9)))
    table = compile_table(rules, now)
    told = days(rules, now, count)
    assert told[0].start <= now < told[0].end
    for day, following in pairwise(told):
        assert day.end == following.start
        assert day.date < following.date
    for day in told:
        assert (day.pieces[0].start, day.pieces[-1].end) == (day.start, day.end)
        for piece, neighbour in pairwise(day.pieces):
            assert piece.end == neighbour.start
            assert piece.reasons != neighbour.reasons
        for piece in day.pieces:
            assert piece.start < piece.end
            for second in {piece.start, (piece.start + piece.end) // 2, piece.end - 1}:
                assert (table.at(second).resting, table.reasons(second)) == (piece.resting, piece.reasons)


def test_what_meets_in_one_rest_is_told_apart() -> None:
    """A night, then leave, and time on call within; Berlin is an hour ahead."""
    leave = {"kind": "once", "start": "2026-11-25T05:00", "end": "2026-11-25T09:00"}
    on_call = {"kind": "reachable", "start": "2026-11-25T08:00", "end": "2026-11-25T10:00"}
    roster = {"kind": "reachable", "start": "2026-11-25T02:00", "end": "2026-11-25T03:00", "classes": ["roster"]}
    rules = parse({"windows": [NIGHT, leave], "overrides": [roster, on_call]})
    (day,) = days(rules, utc("2026-11-25T12:00"), 1)
    assert day.date == date(2026, 11, 25)
    assert [(s.start, s.resting, s.reasons) for s in day.pieces] == [
        (utc("2026-11-24T23:00"), True, ("windows[0]",)),
        (utc("2026-11-25T04:00"), True, ("windows[0]", "windows[1]")),
        (utc("2026-11-25T05:00"), True, ("windows[1]",)),
        (utc("2026-11-25T07:00"), False, ("overrides[1]",)),
        (utc("2026-11-25T09:00"), False, ()),
        (utc("2026-11-25T21:00"), True, ("windows[0]",)),
    ]


@pytest.mark.parametrize(("day", "hours"), [("2026-03-29", 23), ("2026-10-25", 25), ("2026-11-24", 24)])
def test_a_day_is_as_long_as_it_is(day: str, hours: int) -> None:
    (told,) = days(parse({"windows": [NIGHT]}), utc(f"{day}T12:00"), 1)
    assert (told.date.isoformat(), told.end - told.start) == (day, hours * 3600)


def test_a_day_that_the_zone_left_out_does_not_appear() -> None:
    told = days(parse({"timezone": "Pacific/Apia"}), utc("2011-12-30T00:00"), 3)
    assert [day.date.isoformat() for day in told] == ["2011-12-29", "2011-12-31", "2012-01-01"]


def test_an_hour_before_midnight_that_comes_after_it_is_of_the_new_day() -> None:
    """A minute after midnight it was a minute past eleven again; lines and pieces are of the same days."""
    rules, now = parse({"timezone": "America/St_Johns"}), utc("2010-11-07T02:40")
    told = days(rules, now, 2)
    assert told[0].start <= now < told[0].end
    assert [day.date.isoformat() for day in told] == ["2010-11-07", "2010-11-08"]
    assert len(day_lines(rules, compile_table(rules, now), now, told[-1].end, "en")) == len(told)


def test_two_months_of_thirty_windows_are_told() -> None:
    windows = [{"kind": "cron", "start": f"{minute} 22 * * *", "duration_minutes": 20_160} for minute in range(30)]
    told = days(parse({"windows": windows}), utc("2026-11-24T12:00"), MOST)
    assert len(told) == MOST
    assert all(piece.resting for day in told for piece in day.pieces)
