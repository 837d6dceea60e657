"""What "off duty now" offers: useful, not twice, and by the clock on the wall."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request

from schedules import compile_table, parse
from schedules.web import assets, choices, legal, texts
from schedules.web.logins import logins
from schedules.web.memory import Memory
from schedules.web.port import Document
from schedules.web.sky import began, sky, title
from schedules.web.visit import Door, Plan, Visit
from tests.schedules.documents import PLACES, documents, instants
from tests.schedules.web.browser import SETTINGS
from tests.schedules.web.paper_relay import PaperRelay

NIGHTS = {"windows": [{"kind": "weekly", "start": "22:00", "end": "06:00"}]}
ALWAYS = {"windows": [{"kind": "weekly", "start": "00:00", "end": "24:00"}]}


def instant(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def visit(document: Document, now: float, language: str = "de") -> Visit:
    rules = parse(document)
    plan = Plan(document, 1, rules, compile_table(rules, now))
    door = Door(
        SETTINGS, PaperRelay(now), texts.load(), assets.Assets(), Memory(), lambda: now, lambda event: None,
        logins(SETTINGS, ()), legal.load({}),
    )  # fmt: skip
    request = Request({"type": "http", "method": "GET", "path": f"/{language}/", "headers": []})
    return Visit(door, request, language, now, read=plan)


def offered(document: Document, now: str, language: str = "de") -> list[tuple[str, str]]:
    return [(offer.first, offer.second) for offer in choices.off_duty(visit(document, instant(now), language))]


def test_without_a_rule_the_morning_eleven_hours_and_monday() -> None:
    assert offered({}, "2026-11-25T21:40+01:00") == [
        ("bis 06:00", "Do 26.11."), ("11 Stunden", "bis Do 08:40"), ("bis Montag", "30.11. um 06:00"),
    ]  # fmt: skip
    assert offered({}, "2026-11-25T21:40+01:00", "en") == [
        ("until 06:00", "Thu 26 Nov"), ("11 hours", "until Thu 08:40"), ("until Monday", "30 Nov at 06:00"),
    ]  # fmt: skip


def test_with_a_rest_to_come_its_end_takes_the_place_of_the_morning() -> None:
    (first, *_) = offered(NIGHTS, "2026-11-25T17:00+01:00")
    assert first == ("bis 06:00", "Do 26.11., wie geplant")


def test_what_would_change_nothing_is_not_offered() -> None:
    assert [first for first, _ in offered(NIGHTS, "2026-11-25T23:00+01:00")] == ["11 Stunden", "bis Montag"]
    assert offered(ALWAYS, "2026-11-25T23:00+01:00") == []


def test_shortly_before_the_morning_the_next_one_is_meant() -> None:
    (first, *_) = offered({}, "2026-11-25T05:30+01:00")
    assert first == ("bis 06:00", "Do 26.11.")


def test_on_a_monday_the_next_one_is_meant() -> None:
    assert offered({}, "2026-11-23T03:00+01:00")[-1] == ("bis Montag", "30.11. um 06:00")


def test_eleven_hours_are_elapsed_where_the_clock_is_changed() -> None:
    assert offered({}, "2026-10-24T20:00+02:00")[0] == ("11 Stunden", "bis So 06:00")


@given(data=st.data())
def test_every_offer_lengthens_the_rest_and_none_is_made_twice(data: st.DataObject) -> None:
    place = data.draw(st.sampled_from(PLACES))
    document, now = data.draw(documents(place)), data.draw(instants(place))
    asked = visit(document, now)
    rest = asked.plan.table.at(now)
    offers = choices.off_duty(asked)
    assert len({offer.until for offer in offers}) == len(offers) <= 3
    if rest.resting and rest.until is None:
        assert offers == []
    for offer in offers:
        assert offer.until > (rest.until or now)


@pytest.mark.parametrize(
    ("day", "time"),
    [
        ("", "12:00"), ("2026-11-25", ""), ("2026-11-25", "24:00"), ("2026-11-25", "12:60"), ("2026-02-30", "12:00"),
        ("9999-12-31", "12:00"), ("1999-12-31", "12:00"), ("x", "y"), ("2026-11-25", "-1:00"), ("2026-11-25", "12"),
    ],
)  # fmt: skip
def test_what_is_no_time_is_none(day: str, time: str) -> None:
    assert choices.wall_instant(visit({}, 0), day, time) is None


def test_a_time_is_that_of_the_wall_and_a_repeated_one_the_later() -> None:
    asked = visit({}, 0)
    assert choices.wall_instant(asked, "2026-11-25", "12:00") == instant("2026-11-25T12:00+01:00")
    assert choices.wall_instant(asked, "2026-10-25", "02:30") == instant("2026-10-25T02:30+01:00")
    assert choices.wall_instant(asked, "2026-03-29", "02:30") == instant("2026-03-29T03:00+02:00")


# --- the sky


@given(data=st.data())
def test_the_sky_says_what_the_gate_does(data: st.DataObject) -> None:
    place = data.draw(st.sampled_from(PLACES))
    document, now = data.draw(documents(place)), data.draw(instants(place))
    asked = visit(document, now)
    above, rest = sky(asked), asked.plan.table.at(now)
    assert above.resting is rest.resting
    assert above.until == (rest.until if rest.resting else rest.next_start)
    assert above.passed == 0 or 1 <= above.passed <= 99
    assert title(asked, above)
    if above.since is not None:
        before = compile_table(asked.plan.rules, above.since)
        assert above.since <= now
        assert before.at(above.since - 1).resting is not before.at(above.since).resting is rest.resting


def test_a_state_of_more_than_a_week_has_no_beginning() -> None:
    assert began(parse(ALWAYS), int(instant("2026-11-25T12:00+01:00"))) is None
    assert began(parse(NIGHTS), int(instant("2026-11-25T12:00+01:00"))) == instant("2026-11-25T06:00+01:00")


def test_the_end_of_the_rest_that_comes_next_is_told() -> None:
    above = sky(visit(NIGHTS, instant("2026-11-25T12:00+01:00")))
    assert (above.resting, above.until, above.then) == (
        False, instant("2026-11-25T22:00+01:00"), instant("2026-11-26T06:00+01:00"),
    )  # fmt: skip


def test_a_change_of_the_clock_is_noted() -> None:
    assert sky(visit(NIGHTS, datetime(2026, 10, 24, 21, tzinfo=UTC).timestamp())).note == " (Zeitumstellung)"
    assert sky(visit(NIGHTS, datetime(2026, 10, 23, 21, tzinfo=UTC).timestamp())).note == ""
