"""Bands: the days of the design, recomputed; every day 96 quarters, and no rest painted where somebody is reachable."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest
from hypothesis import given

from schedules import compile_table, parse
from schedules.web import bands
from schedules.web.bands import QUARTER, QUARTERS, Day
from schedules.web.looks import Look
from schedules.web.shifts import day_of
from tests.schedules.documents import DAY, Case, Document, cases, examples, places

PLAN: Document = {
    "timezone": "Europe/Berlin",
    "windows": [
        {"kind": "cycle", "anchor": "2026-01-05", "days": ["Früh", "Spät", "Nacht", "-", "-"],
         "shifts": {"Früh": {"start": "06:00", "end": "14:00"}, "Spät": {"start": "14:00", "end": "22:00"},
                    "Nacht": {"start": "22:00", "end": "06:00"}}, "lead_minutes": 30, "lag_minutes": 30},
        {"kind": "weekly", "start": "15:00", "end": "17:00", "days": [5], "label": "Dienstsport"},
        {"kind": "dates", "from": "2026-11-28", "to": "2026-11-30"},
    ],
    "overrides": [{"kind": "reachable", "start": "2026-11-26T18:00", "end": "2026-11-26T22:00"}],
}  # fmt: skip
NOW = datetime(2026, 11, 25, 20, 40, tzinfo=UTC).timestamp()  # Wednesday, 21:40


def drawn(day: Day) -> str:
    """The cells as `86c 10l`; with labels and times, and a bar where now is."""
    return " ".join(
        f"{'|' if c.begins_now else ''}{c.quarters}{c.look}"
        + (f"({f'{c.label} {c.times}'.strip()})" if c.label else "")
        for c in day.cells
    )


def test_the_week_of_the_design() -> None:
    days = bands.week(PLAN, NOW, "de")
    assert [f"{day.weekday} {day.short}" for day in days] == [
        "Mo 23.11.", "Di 24.11.", "Mi 25.11.", "Do 26.11.", "Fr 27.11.", "Sa 28.11.", "So 29.11.",
    ]  # fmt: skip
    assert [drawn(day) for day in days] == [
        "86c 10l",
        "26l(Nacht bis 06:30) 70c",
        "87c |9c",
        "22c 36l(Früh 05:30–14:30) 14c 16o(Ruf 18:00–22:00) 8c",
        "54c 6l 8r 22l(Spät 17:00–22:30) 6c",
        "96r(Urlaub)",
        "96r(Urlaub)",
    ]
    assert [day.sentence for day in days] == [
        "erreichbar ab 21:30",
        "erreichbar bis 06:30",
        "Ruhe",
        "erreichbar 05:30–14:30, Rufbereitschaft 18:00–22:00",
        "erreichbar 13:30–15:00 und 17:00–22:30",
        "Ruhe, Urlaub",
        "Ruhe, Urlaub",
    ]
    assert [day.is_today for day in days] == [day.date == date(2026, 11, 25) for day in days]


def test_the_fortnight_of_the_design_in_english() -> None:
    days = bands.fortnight(PLAN, NOW, "en")
    assert [f"{day.weekday} {day.short}: {day.sentence}" for day in days] == [
        "Wed 25 Nov: rest",
        "Thu 26 Nov: reachable 05:30–14:30, on call 18:00–22:00",
        "Fri 27 Nov: reachable 13:30–15:00 and 17:00–22:30",
        "Sat 28 Nov: rest, leave",
        "Sun 29 Nov: rest, leave",
        "Mon 30 Nov: rest, leave",
        "Tue 1 Dec: reachable 05:30–14:30",
        "Wed 2 Dec: reachable 13:30–22:30",
        "Thu 3 Dec: reachable from 21:30",
        "Fri 4 Dec: reachable until 06:30",
        "Sat 5 Dec: rest",
        "Sun 6 Dec: reachable 05:30–14:30",
        "Mon 7 Dec: reachable 13:30–22:30",
        "Tue 8 Dec: reachable from 21:30",
    ]
    assert days[3].reason == "leave"
    assert [(span.times, span.on_call) for span in days[1].spans] == [("05:30–14:30", False), ("18:00–22:00", True)]


def test_who_has_pressed_reachable_now_is_reachable_and_not_on_call() -> None:
    document: Document = {
        "windows": [{"kind": "weekly", "start": "00:00", "end": "08:00"}],
        "overrides": [{"kind": "reachable", "start": "2026-11-26T02:00:00Z", "end": "2026-11-26T05:00:00Z"}],
    }
    (day,) = bands.bands(document, day_of("2026-11-26"), 1, "en")
    assert day.sentence == "reachable 03:00–06:00 and from 08:00"


def test_who_has_no_rule_is_always_reachable() -> None:
    (day,) = bands.bands({}, 0, 1, "de")
    assert (drawn(day), day.sentence) == ("96l", "ganztags erreichbar")


@pytest.mark.parametrize(
    ("day", "painted", "sentence"),
    [
        ("2026-03-29", "16r 8l 8r 64l", "reachable 04:00–06:00 and from 08:00 (clock change)"),
        ("2026-10-25", "8r 1o 1r 2o 4r 8l 8r 64l",
         "reachable 04:00–06:00 and from 08:00, on call 02:30–02:15 (clock change)"),
        ("2026-10-26", "16r 8l 8r 64l", "reachable 04:00–06:00 and from 08:00"),
    ],
)  # fmt: skip
def test_where_the_clock_is_changed_a_band_shows_the_wall(day: str, painted: str, sentence: str) -> None:
    """The skipped hour looks like what comes after it, the repeated one is light if either is."""
    document: Document = {
        "windows": [
            {"kind": "weekly", "start": "00:00", "end": "04:00"},
            {"kind": "weekly", "start": "06:00", "end": "08:00"},
        ],
        "overrides": [
            {"kind": "reachable", "start": "2026-10-25T00:30Z", "end": "2026-10-25T01:15Z", "label": "on call"}
        ],
    }
    (found,) = bands.bands(document, day_of(day), 1, "en")
    assert (drawn(found), found.sentence) == (painted, sentence)


def test_now_is_never_outside_of_its_day() -> None:
    for second in (0, 1, DAY - 1):
        (day,) = bands.bands({"timezone": "UTC"}, 0, 1, "de", now=second)
        assert drawn(day) in ("|96l", "95l |1l")


def test_a_label_stands_once_where_now_splits_its_cell() -> None:
    (day,) = bands.bands(PLAN, day_of("2026-11-26"), 1, "de", now=NOW + 12 * 3600)  # 09:40
    assert drawn(day) == "22c 17l(Früh 05:30–14:30) |19l 14c 16o(Ruf 18:00–22:00) 8c"


def test_a_swap_that_is_not_saved_has_a_star() -> None:
    (day,) = bands.bands(PLAN, day_of("2026-12-01"), 1, "de", starred={day_of("2026-12-01")})
    assert drawn(day) == "22c 36l(Früh* 05:30–14:30) 38c"
    assert day.sentence == "erreichbar 05:30–14:30, getauscht"


def test_a_night_that_is_called_on_from_midnight_to_midnight() -> None:
    document: Document = {
        **PLAN,
        "overrides": [{"kind": "reachable", "start": "2026-11-28T00:00", "end": "2026-11-30T00:00"}],
    }
    days = bands.bands(document, day_of("2026-11-28"), 2, "de")
    assert [drawn(day) for day in days] == ["96o(Ruf)"] * 2
    assert days[0].sentence == "ganztags Rufbereitschaft"


@examples(0.5)
@given(places().flatmap(cases))
def test_a_band_is_96_quarters_and_never_dark_where_its_owner_is_reachable(case: Case) -> None:
    """For half a quarter at least: at its middle."""
    rules = parse(case.document)
    zone, table = rules.zone, compile_table(rules, case.instants[0])
    first = zone.wall(case.instants[0]) // DAY
    for day in bands.bands(case.document, first, 3, "de", now=case.instants[1]):
        assert sum(cell.quarters for cell in day.cells) == QUARTERS
        assert all(cell.quarters > 0 for cell in day.cells)
        assert sum(cell.begins_now for cell in day.cells) == day.is_today
        looks = [cell.look for cell in day.cells for _ in range(cell.quarters)]
        began = day_of(day.date.isoformat()) * DAY
        for quarter, look in enumerate(looks):
            wall = began + quarter * QUARTER + QUARTER // 2
            readings = {zone.opens(wall), zone.closes(wall)}
            rests = all(table.at(at).resting for at in readings)
            assert (look in (Look.FIXED, Look.RHYTHM)) == rests


@examples(0.3)
@given(places().flatmap(cases))
def test_a_sentence_tells_rest_where_there_is_nothing_else(case: Case) -> None:
    rules = parse(case.document)
    zone, table = rules.zone, compile_table(rules, case.instants[0])
    first = zone.wall(case.instants[0]) // DAY
    for day in bands.bands(case.document, first, 2, "en"):
        number = day_of(day.date.isoformat())
        start, end = zone.opens(number * DAY), zone.opens((number + 1) * DAY)
        resting, until, _ = table.at(start)
        whole = resting and (until is None or until >= end)
        assert (not day.spans) == whole
        assert day.sentence.startswith("rest") == whole
