"""The public face: `schedules.state`, and the 45 vectors through it and through a table."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from types import MappingProxyType
from zoneinfo import ZoneInfo

import pytest

import schedules
from schedules import NoRest, Problem, RestState, RuleError, compile_table, parse, state
from tests.schedules.vectors import VECTORS, Vector

NIGHT: dict[str, object] = {
    "timezone": "Europe/Berlin",
    "windows": [{"kind": "cron", "start": "0 22 * * *", "duration_minutes": 480}],
}
NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
SIGHT = timedelta(days=50)
"""How far ahead the vectors looked for the next rest; null means: none within."""


def moment(second: int | None) -> datetime | None:
    return None if second is None else datetime.fromtimestamp(second, UTC)


def in_sight(next_start: datetime | None, instant: datetime) -> datetime | None:
    return next_start if next_start is not None and next_start - instant <= SIGHT else None


def test_there_are_45_vectors_and_each_rule_of_clock_changes_has_some() -> None:
    """A file that was emptied or cut must not pass as a file of which all vectors hold."""
    assert [vector.id for vector in VECTORS] == [f"V{number:02}" for number in range(1, 46)]
    assert sum(vector.elapsed is not None for vector in VECTORS) == 12
    assert [vector.id for vector in VECTORS if vector.is_endless] == ["V17"]


@pytest.mark.parametrize("vector", VECTORS, ids=str)
def test_state_answers_as_the_vector_says(vector: Vector) -> None:
    found = state(vector.document, vector.instant)
    assert found.resting == vector.resting
    assert found.until == vector.until
    assert in_sight(found.next_start, vector.instant) == vector.next_start
    assert (found.resting and found.until is None) == vector.is_endless


@pytest.mark.parametrize("made", [timedelta(0), timedelta(days=-6), timedelta(days=-40), timedelta(days=3)], ids=str)
@pytest.mark.parametrize("vector", VECTORS, ids=str)
def test_a_table_made_at_another_time_answers_as_the_vector_says(vector: Vector, made: timedelta) -> None:
    rest = compile_table(parse(vector.document), (vector.instant + made).timestamp()).at(vector.instant.timestamp())
    assert rest.resting == vector.resting
    assert moment(rest.until) == vector.until
    assert in_sight(moment(rest.next_start), vector.instant) == vector.next_start


@pytest.mark.parametrize("vector", [vector for vector in VECTORS if vector.elapsed], ids=str)
def test_the_length_of_a_window_is_not_elapsed_time(vector: Vector) -> None:
    """The other reading, `start + duration` on the time line, would wake people an hour early in autumn."""
    found = state(vector.document, vector.instant)
    assert (found.resting, found.until) != vector.elapsed


def test_a_naive_instant_is_refused() -> None:
    with pytest.raises(ValueError, match="time zone") as caught:
        state(NIGHT, datetime(2026, 11, 24, 12))
    assert not isinstance(caught.value, RuleError)


def test_an_instant_whose_zone_knows_no_offset_is_naive_too() -> None:
    class Nowhere(tzinfo):
        def utcoffset(self, moment: datetime | None, /) -> None:
            return None

        dst = utcoffset

        def tzname(self, moment: datetime | None, /) -> None:
            return None

    with pytest.raises(ValueError, match="time zone"):
        state(NIGHT, datetime(2026, 11, 24, 12, tzinfo=Nowhere()))


@pytest.mark.parametrize(
    "zone", [UTC, timezone(timedelta(hours=-9, minutes=-30)), ZoneInfo("Asia/Kathmandu"), ZoneInfo("America/New_York")]
)
def test_the_instant_may_come_in_any_zone_and_answers_are_in_utc(zone: tzinfo) -> None:
    night = NOON + timedelta(hours=11)
    resting, reachable = state(NIGHT, night.astimezone(zone)), state(NIGHT, NOON.astimezone(zone))
    assert resting == state(NIGHT, night)
    assert reachable == state(NIGHT, NOON)
    assert resting.until is not None
    assert reachable.next_start is not None
    assert resting.until.tzinfo is UTC
    assert reachable.next_start.tzinfo is UTC


def test_the_second_reading_of_a_repeated_hour_is_another_instant() -> None:
    """02:15 exists twice on 25 October 2026; a window from 02:30 has begun at the second one only."""
    document = {"windows": [{"kind": "cron", "start": "30 2 * * *", "duration_minutes": 60}]}
    first = datetime(2026, 10, 25, 2, 15, tzinfo=ZoneInfo("Europe/Berlin"))
    assert not state(document, first).resting
    assert state(document, first.replace(fold=1)).resting


@pytest.mark.parametrize("year", [2026, 2600])
def test_an_instant_is_floored_to_the_second(year: int) -> None:
    """R1. In 2600 a float cannot tell the last microsecond from the edge any more."""
    edge = datetime(year, 11, 25, 5, tzinfo=UTC)
    assert state(NIGHT, edge - timedelta(microseconds=1)).until == edge
    assert not state(NIGHT, edge).resting
    start = datetime(year, 11, 25, 21, tzinfo=UTC)
    assert not state(NIGHT, start - timedelta(microseconds=1)).resting
    assert state(NIGHT, start + timedelta(microseconds=1)).resting


@pytest.mark.parametrize(
    "instant",
    [
        datetime.min.replace(tzinfo=UTC),
        datetime.min.replace(tzinfo=timezone(timedelta(hours=14))),
        datetime.max.replace(tzinfo=UTC),
        datetime.max.replace(tzinfo=timezone(-timedelta(hours=12))),
        datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
    ],
    ids=str,
)
def test_any_instant_that_can_be_written_has_an_answer(instant: datetime) -> None:
    longest = {"windows": [{"kind": "cron", "start": "59 23 * * *", "duration_minutes": 20_160}]}
    for document in (NIGHT, longest):
        assert isinstance(state(document, instant), RestState)


def test_before_1970_the_night_is_the_night() -> None:
    assert state(NIGHT, datetime(1969, 12, 31, 22, tzinfo=UTC)).until == datetime(1970, 1, 1, 5, tzinfo=UTC)


@pytest.mark.parametrize("document", [{}, {"timezone": "Asia/Tokyo"}, {"windows": [], "overrides": []}])
def test_without_rules_everybody_is_reachable(document: dict[str, object]) -> None:
    """R11."""
    assert state(document, NOON) == RestState(False, None, None, ())
    assert isinstance(compile_table(parse(document), NOON.timestamp()), NoRest)


def test_without_a_zone_the_document_means_berlin() -> None:
    document = {"windows": NIGHT["windows"]}
    assert state(document, NOON) == state(NIGHT, NOON)


def test_a_bad_document_raises_a_value_error_with_paths() -> None:
    with pytest.raises(ValueError, match=r"windows\[0\]\.start") as caught:
        state({"windows": [{"kind": "cron", "start": "0 22 * * 3-3", "duration_minutes": 60}]}, NOON)
    assert isinstance(caught.value, RuleError)
    (problem,) = caught.value.problems
    assert isinstance(problem, Problem)
    assert problem.path == "windows[0].start"
    assert "equal ends" in problem.sentence


def test_the_document_is_only_read() -> None:
    """A read-only mapping with tuples will do, and nobody's document is changed."""
    window = MappingProxyType({"kind": "cron", "start": "0 22 * * *", "duration_minutes": 480})
    document = MappingProxyType({"timezone": "Europe/Berlin", "windows": (window,), "overrides": ()})
    assert state(document, NOON) == state(NIGHT, NOON)


def test_an_answer_is_a_value() -> None:
    answer = state(NIGHT, NOON)
    assert answer == state(NIGHT, NOON)
    assert hash(answer) == hash(state(NIGHT, NOON))
    with pytest.raises(FrozenInstanceError):
        answer.resting = True  # type: ignore[misc]


def test_everything_public_is_there() -> None:
    for name in schedules.__all__:
        assert hasattr(schedules, name)


REASONS = {
    "timezone": "UTC",
    "windows": [
        {"kind": "cron", "start": "0 22 * * *", "duration_minutes": 480},
        {"kind": "cron", "start": "0 5 * * *", "duration_minutes": 180},
        {"kind": "once", "start": "2026-11-24T00:00", "end": "2026-11-26T00:00"},
    ],
    "overrides": [
        {"kind": "rest", "start": "2026-11-25T05:30", "end": "2026-11-27T12:00"},
        {"kind": "reachable", "start": "2026-11-25T05:45", "end": "2026-11-25T05:50"},
        {"kind": "reachable", "start": "2026-11-28T12:00", "end": "2026-11-28T13:00"},
    ],
}


@pytest.mark.parametrize(
    ("instant", "resting", "reasons"),
    [
        ("2026-11-23T12:00Z", False, ()),
        ("2026-11-23T23:00Z", True, ("windows[0]",)),
        ("2026-11-24T12:00Z", True, ("windows[2]",)),
        ("2026-11-25T05:00Z", True, ("windows[0]", "windows[1]", "windows[2]")),
        ("2026-11-25T05:30Z", True, ("windows[0]", "windows[1]", "windows[2]", "overrides[0]")),
        ("2026-11-25T05:45Z", False, ("overrides[1]",)),
        ("2026-11-25T05:50Z", True, ("windows[0]", "windows[1]", "windows[2]", "overrides[0]")),
        ("2026-11-25T08:00Z", True, ("windows[2]", "overrides[0]")),
        ("2026-11-26T12:00Z", True, ("overrides[0]",)),
        ("2026-11-27T12:00Z", False, ()),
        # Reachable anyway, but an override says so.
        ("2026-11-28T12:30Z", False, ("overrides[2]",)),
        # Far outside every horizon.
        ("2031-02-03T05:00Z", True, ("windows[0]", "windows[1]")),
    ],
)
def test_the_reasons_are_the_rules_that_hold(instant: str, resting: bool, reasons: tuple[str, ...]) -> None:
    at = datetime.fromisoformat(instant)
    found = state(REASONS, at)
    assert (found.resting, found.reasons) == (resting, reasons)
    table = compile_table(parse(REASONS), NOON.timestamp())
    assert table.reasons(at.timestamp()) == reasons
