"""Dates and times as each language writes them."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schedules import explain
from schedules.walltime import zone
from schedules.web.dates import Dates

BERLIN = zone("Europe/Berlin")
NOW = datetime(2026, 11, 24, 11, 30, tzinfo=UTC).timestamp()
"""A Tuesday, 12:30 on the wall."""


def instant(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


@pytest.mark.parametrize(
    ("language", "near", "edge", "stamp"),
    [
        ("de", "morgen, Mi 25.11.", "Mi 05:30", "Mi 25.11. 05:30"),
        ("en", "tomorrow, Wed 25 Nov", "Wed 05:30", "Wed 25 Nov 05:30"),
    ],
)
def test_an_instant_is_said_shorter_or_longer(language: str, near: str, edge: str, stamp: str) -> None:
    dates = Dates(BERLIN, language, NOW)
    at = instant("2026-11-25T05:30:00+01:00")
    assert (dates.near(at), dates.edge(at), dates.stamp(at)) == (near, edge, stamp)
    assert dates.machine(at) == "2026-11-25T05:30:00+01:00"


@given(st.integers(0, 290 * 24 * 60), st.sampled_from(("de", "en")))
def test_sentences_of_the_evaluator_write_an_instant_alike(minutes: int, language: str) -> None:
    at = int(NOW) + minutes * 60
    assert explain.stamp(BERLIN, at, language) == Dates(BERLIN, language, NOW).stamp(at)


def test_a_weekday_alone_never_means_another_week() -> None:
    dates = Dates(BERLIN, "de", NOW)
    assert dates.edge(instant("2026-11-29T06:00:00+01:00")) == "So 06:00"
    assert dates.edge(instant("2026-12-01T06:00:00+01:00")) == "Di 1.12. 06:00"
    assert dates.edge(instant("2026-11-17T06:00:00+01:00")) == "Di 17.11. 06:00"


def test_a_date_far_away_has_its_year() -> None:
    dates = Dates(BERLIN, "de", NOW)
    assert dates.short(date(2027, 8, 1)) == "1.8."
    assert dates.short(date(2027, 11, 24)) == "24.11.2027"
    assert Dates(BERLIN, "en", NOW).short(date(2028, 1, 2)) == "2 Jan 2028"


def test_today_is_said_with_its_date() -> None:
    assert Dates(BERLIN, "de", NOW).near(NOW) == "heute, Di 24.11."
    assert Dates(BERLIN, "en", NOW).near(NOW + 3 * 86_400) == "Fri 27 Nov"


def test_seconds_are_said_where_there_are_any_and_not_of_what_has_happened() -> None:
    dates = Dates(BERLIN, "de", NOW)
    assert dates.clock(NOW + 7) == "12:30:07"
    assert dates.minute(NOW + 7.9) == "12:30"
    assert dates.happened(NOW + 7.9) == "Di 24.11. 12:30"


@given(st.integers(0, 4_000_000_000), st.sampled_from(["Europe/Berlin", "Asia/Kolkata", "America/St_Johns", "UTC"]))
def test_what_a_machine_reads_is_the_same_instant(at: int, name: str) -> None:
    assert instant(Dates(zone(name), "de", NOW).machine(at)) == at
