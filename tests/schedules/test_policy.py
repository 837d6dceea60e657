"""Presets that mean what they are called, short rests by elapsed hours, and who is never reachable."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schedules import Rest, RestKind, RuleError, compile_table, parse
from schedules.explain import lines
from schedules.holidays import LAENDER
from schedules.policy import (
    PRESETS,
    Document,
    ShortRest,
    confirmation,
    day_duty,
    hint,
    is_never_reachable,
    leave,
    nights_only,
    report,
    rotating,
    short_rests,
)
from tests.schedules.documents import DAY, Entry, Place, cycles, examples

HOUR = 3600
NOON = "2026-11-24T12:00+01:00"
"""A Tuesday."""
DUTIES = {
    "E": {"start": "06:00", "end": "14:00"},
    "L": {"start": "14:00", "end": "22:00"},
    "N": {"start": "22:00", "end": "06:00"},
}


def at(text: str) -> int:
    moment = datetime.fromisoformat(text)
    assert moment.tzinfo is not None
    return int(moment.timestamp())


def rest(document: Document, now: str) -> Rest:
    return compile_table(parse(document), at(now)).at(at(now))


def told(document: Document, now: str, days: int) -> list[str]:
    rules = parse(document)
    return lines(rules, compile_table(rules, at(now)), at(now), days)


# --- presets


def test_the_table_has_the_presets_by_their_names() -> None:
    assert dict(PRESETS) == {
        "day_duty": day_duty, "nights_only": nights_only, "rotating": rotating, "leave": leave,
    }  # fmt: skip


@pytest.mark.parametrize(
    "document",
    [
        *(day_duty(land) for land in LAENDER),
        day_duty("NI", "06:00", "14:30"),
        nights_only(),
        nights_only("20:00", "08:00"),
        rotating("2026-01-05", "ELN--", DUTIES),
        rotating("2026-01-05", ["E"], DUTIES, 0, 720),
        leave("2026-12-21", "2027-01-03"),
    ],
    ids=lambda document: json.dumps(document)[:60],
)
def test_a_preset_is_a_document_in_no_language(document: Document) -> None:
    """It goes through JSON unchanged, parses, and its kinds speak for it."""
    assert json.loads(json.dumps(document)) == document
    assert [window.label for window in parse(document).windows] == [""] * len(parse(document).windows)


def test_day_duty_is_a_week() -> None:
    assert told(day_duty("NI"), "2026-11-23T00:00+01:00", 8) == [
        "Mo 23.11. 07:00-17:00 erreichbar",
        "Di 24.11. 07:00-17:00 erreichbar",
        "Mi 25.11. 07:00-17:00 erreichbar",
        "Do 26.11. 07:00-17:00 erreichbar",
        "Fr 27.11. 07:00-17:00 erreichbar",
        "Sa 28.11. ganztags Ruhe",
        "So 29.11. ganztags Ruhe",
        "Mo 30.11. 07:00-17:00 erreichbar",
    ]


@pytest.mark.parametrize(
    ("land", "begins", "ends"),
    [
        # From Friday evening to Monday morning, also while the clock is changed.
        ("NI", "2026-11-27T17:00+01:00", "2026-11-30T07:00+01:00"),
        ("NI", "2026-03-27T17:00+01:00", "2026-03-30T07:00+02:00"),
        ("NI", "2026-10-23T17:00+02:00", "2026-10-26T07:00+01:00"),
        # Reformation Day is a Wednesday in 2029; in Bavaria it is none.
        ("NI", "2029-10-30T17:00+01:00", "2029-11-01T07:00+01:00"),
        ("BY", "2029-10-30T17:00+01:00", "2029-10-31T07:00+01:00"),
        # Easter: from Maundy Thursday to Tuesday.
        ("NI", "2026-04-02T17:00+02:00", "2026-04-07T07:00+02:00"),
    ],
)
def test_day_duty_rests_in_one_piece(land: str, begins: str, ends: str) -> None:
    document = day_duty(land)
    start, end = at(begins), at(ends)
    table = compile_table(parse(document), start)
    assert table.at(start - 1) == Rest(False, None, start)
    assert table.at(start) == table.at(end - 1) == Rest(True, end, None)
    assert not table.at(end).resting


def test_day_duty_has_the_hours_it_is_given() -> None:
    document = day_duty("NI", "06:00", "14:30")
    assert told(document, "2026-11-27T00:00+01:00", 4) == [
        "Fr 27.11. 06:00-14:30 erreichbar",
        "Sa 28.11. ganztags Ruhe",
        "So 29.11. ganztags Ruhe",
        "Mo 30.11. 06:00-14:30 erreichbar",
    ]


def test_a_duty_may_begin_at_midnight() -> None:
    assert told(day_duty("NI", "00:00", "08:00"), "2026-11-28T00:00+01:00", 3) == [
        "Sa 28.11. ganztags Ruhe",
        "So 29.11. ganztags Ruhe",
        "Mo 30.11. 00:00-08:00 erreichbar",
    ]


def test_a_class_that_pierces_what_is_free_reaches_nobody_at_night() -> None:
    """Nor does the night reach into a duty: one that ends at eleven leaves a shorter night."""
    table = compile_table(parse(day_duty("NI")), at(NOON)).for_class("roster", frozenset({RestKind.FREE}))
    saturday = at("2026-11-28T00:00+01:00")
    reachable = [hour for hour in range(48) if not table.at(saturday + hour * 3600).resting]
    assert reachable == [hour for hour in range(48) if 6 <= hour % 24 < 22]
    long_duty = day_duty("NI", "05:00", "23:00")["windows"]
    assert isinstance(long_duty, list)
    assert long_duty[-1] == {"kind": "weekly", "start": "23:00", "end": "05:00"}


def test_what_the_other_presets_are_for() -> None:
    assert {window.kind for window in parse(nights_only()).windows} == {RestKind.NIGHT}
    assert {window.kind for window in parse(rotating("2026-01-05", "E-", DUTIES)).windows} == {RestKind.FREE}
    assert {window.kind for window in parse(leave("2026-12-21", "2026-12-21")).windows} == {RestKind.LEAVE}


def test_nights_are_every_night() -> None:
    assert rest(nights_only(), "2026-11-28T23:00+01:00") == Rest(True, at("2026-11-29T06:00+01:00"), None)
    assert rest(nights_only("20:00", "08:00"), NOON) == Rest(False, None, at("2026-11-24T20:00+01:00"))


def test_shifts_go_round_from_their_anchor_with_half_an_hour_before_and_after() -> None:
    """Early, late, night, and two days off: 24 November 2026 is the first day."""
    assert told(rotating("2026-11-24", "ELN--", DUTIES), "2026-11-23T00:00+01:00", 7) == [
        "Mo 23.11. ganztags Ruhe",
        "Di 24.11. 05:30-14:30 erreichbar",
        "Mi 25.11. 13:30-22:30 erreichbar",
        "Do 26.11. 21:30-24:00 erreichbar",
        "Fr 27.11. 00:00-06:30 erreichbar",
        "Sa 28.11. ganztags Ruhe",
        "So 29.11. 05:30-14:30 erreichbar",
    ]
    document = rotating("2026-11-24", "E", DUTIES, 60, 0)
    assert told(document, "2026-11-24T00:00+01:00", 1) == ["Di 24.11. 05:00-14:00 erreichbar"]


def test_leave_is_from_its_first_day_to_its_last() -> None:
    document = leave("2026-12-21", "2027-01-03")
    start, end = at("2026-12-21T00:00+01:00"), at("2027-01-04T00:00+01:00")
    assert compile_table(parse(document), start).at(start - 1) == Rest(False, None, start)
    assert compile_table(parse(document), start).at(start) == Rest(True, end, None)


@pytest.mark.parametrize(
    "make",
    [
        lambda: day_duty("XX"),
        lambda: day_duty("NI", "7:00", "17:00"),
        lambda: day_duty("NI", "17:00", "07:00"),
        lambda: day_duty("NI", "07:00", "07:00"),
        lambda: day_duty("NI", "07:00", "24:00"),
        lambda: nights_only("22:00", "22:00"),
        lambda: rotating("2026-11-24", "EX", DUTIES),
        lambda: rotating("24.11.2026", "E", DUTIES),
        lambda: rotating("2026-11-24", "--", DUTIES),
        lambda: rotating("2026-11-24", "E", DUTIES, lead_minutes=721),
        lambda: rotating("2026-11-24", "E", DUTIES, lag_minutes=721),
        lambda: leave("2026-12-21", "2026-12-20"),
    ],
)
def test_a_preset_that_would_not_parse_is_not_made(make: object) -> None:
    assert callable(make)
    with pytest.raises(ValueError):  # noqa: PT011 (RuleError, or the one fault that parse cannot see)
        make()


def test_faults_of_a_preset_have_paths() -> None:
    with pytest.raises(RuleError) as caught:
        leave("2026-12-21", "2026-12-20")
    assert [problem.path for problem in caught.value.problems] == ["windows[0].to"]


# --- short rests


def shifts(days: str, anchor: str = "2026-01-01", **times: str) -> Document:
    """A cycle: letters, and their hours like 20:00-07:00."""
    duties = {name: dict(zip(("start", "end"), hours.split("-"), strict=True)) for name, hours in times.items()}
    return rotating(anchor, days, duties)


def windows(*documents: Document) -> Document:
    """The windows of several documents in one."""
    together: list[object] = []
    for document in documents:
        own = document["windows"]
        assert isinstance(own, list)
        together += own
    return {"windows": together}


def changed(document: Document, **members: object) -> Document:
    """The document of one window, with other members of it."""
    own = document["windows"]
    assert isinstance(own, list)
    return {"windows": [own[0] | members]}


def hints(document: Document, now: str, days: int = 35, language: str = "de") -> list[str]:
    rules = parse(document)
    return [hint(short, rules, language) for short in short_rests(rules, at(now), days)]


def test_late_before_early_is_short() -> None:
    document = rotating("2026-11-24", "LE---", DUTIES)
    (first, second, *_) = short_rests(parse(document), at(NOON))
    assert (first.end, first.start, first.hours) == (at("2026-11-24T22:00+01:00"), at("2026-11-25T06:00+01:00"), 8.0)
    assert second.end == first.end + 5 * DAY
    assert hints(document, NOON)[0] == "Zwischen Di 24.11. 22:00 und Mi 25.11. 06:00 liegen 8 h (unter 11 h)."
    assert hints(document, NOON, language="en")[0] == (
        "Between Tue 24 Nov 22:00 and Wed 25 Nov 06:00 there are 8 h (less than 11 h)."
    )


def test_early_late_night_is_not() -> None:
    assert hints(rotating("2026-11-24", "ELN--", DUTIES), NOON) == []


@pytest.mark.parametrize(
    ("hours", "lengths"),
    [
        ("07:00-20:00", set()),  # eleven hours are enough
        ("07:00-20:01", {"10 h 59 min"}),
        ("06:30-20:00", {"10 h 30 min"}),
        ("07:01-00:00", {"7 h 1 min"}),
        ("06:00-05:15", {"0 h 45 min"}),
    ],
)
def test_less_than_eleven_hours_is_by_the_minute(hours: str, lengths: set[str]) -> None:
    """What is nearly eleven is not told as eleven."""
    found = hints(shifts("A", A=hours), NOON, 3)
    assert {text.partition(" liegen ")[2] for text in found} == {f"{length} (unter 11 h)." for length in lengths}


def test_eleven_hours_on_the_wall_are_ten_in_the_night_of_march() -> None:
    document = shifts("A", A="07:00-20:00")
    (short,) = short_rests(parse(document), at("2026-03-10T00:00+01:00"))
    assert (short.end, short.start) == (at("2026-03-28T20:00+01:00"), at("2026-03-29T07:00+02:00"))
    assert short.hours == 10.0
    assert hints(document, "2026-03-10T00:00+01:00") == [
        "Zwischen Sa 28.3. 20:00 und So 29.3. 07:00 liegen 10 h (unter 11 h) (Zeitumstellung)."
    ]
    assert hints(document, "2026-03-10T00:00+01:00", language="en") == [
        "Between Sat 28 Mar 20:00 and Sun 29 Mar 07:00 there are 10 h (less than 11 h) (clock change)."
    ]


def test_eleven_hours_on_the_wall_are_twelve_in_the_night_of_october() -> None:
    """So ten on the wall are enough in that night, and in no other."""
    assert hints(shifts("A", A="07:00-20:00"), "2026-10-10T00:00+02:00") == []
    found = short_rests(parse(shifts("A", A="06:00-20:00")), at("2026-10-20T00:00+02:00"), 10)
    assert [short.hours for short in found] == [10.0] * 10  # eleven nights, and one of them is long enough
    assert at("2026-10-24T20:00+02:00") not in [short.end for short in found]


@pytest.mark.parametrize("day", ["2026-03-29T07:00+02:00", "2026-10-25T07:00+01:00", "2026-11-24T07:00+01:00"])
def test_a_night_duty_over_a_change_ends_at_its_hour_on_the_wall(day: str) -> None:
    """20:00-07:00 is ten hours of duty in March and twelve in October; the rest after it is as long as ever."""
    eve = date.fromisoformat(day[:10]) - timedelta(days=1)
    document = shifts("NT-", eve.isoformat(), N="20:00-07:00", T="17:59-18:30")
    (short,) = short_rests(parse(document), at(day) - HOUR, 1)
    assert (short.end, short.start) == (at(day), at(day) + 10 * HOUR + 59 * 60)


@pytest.mark.parametrize(
    ("times", "hours"),
    [
        # Until half past two, the second one: ten and a half hours, and not eleven and a half.
        ({"A": "18:30-02:30", "B": "13:00-20:00"}, 10.5),
        # From half past two on, the first one: ten hours and three quarters.
        ({"A": "08:00-15:45", "B": "02:30-08:00"}, 10.75),
    ],
)
def test_in_the_repeated_hour_a_duty_is_as_long_as_it_may_be(times: dict[str, str], hours: float) -> None:
    rules = parse(shifts("AB-", "2026-10-24", **times))
    assert [short.hours for short in short_rests(rules, at("2026-10-24T12:00+02:00"), 1)] == [hours]


def test_a_duty_inside_of_the_skipped_hour_is_none() -> None:
    document = shifts("LA--", "2026-03-28", L="14:00-22:00", A="02:15-02:45")
    assert hints(document, "2026-03-28T12:00+01:00", 2) == []
    assert len(hints(changed(document, anchor="2026-03-27"), "2026-03-27T12:00+01:00", 2)) == 1


def test_duties_that_touch_or_overlap_have_no_rest_between_them() -> None:
    """24 hours and again 24 hours, and one hour more: never a negative rest."""
    assert hints(shifts("A", A="08:00-08:00"), NOON, 1) == [
        "Mi 25.11. 08:00 folgt ein Dienst ohne Ruhe auf den vorigen (unter 11 h)."
    ]
    overlapping = shifts("AB--", A="08:00-08:00", B="07:00-09:00")
    (short,) = short_rests(parse(overlapping), at("2026-11-24T00:00+01:00"), 4)
    assert (short.end, short.hours) == (short.start, 0.0)
    assert hints(overlapping, "2026-11-24T00:00+01:00", 4, "en")[0].endswith(
        " 07:00 one duty follows another without a rest (less than 11 h)."
    )


def test_a_duty_inside_of_another_does_not_end_it() -> None:
    """A day and a night until eight; at six somebody comes for an hour; at noon it goes on: four hours of rest."""
    document = windows(
        shifts("A--", "2026-11-24", A="08:00-08:00"),
        shifts("B--", "2026-11-25", B="06:00-07:00"),
        shifts("C--", "2026-11-25", C="12:00-13:00"),
    )
    found = short_rests(parse(document), at(NOON), 1)
    assert [short.hours for short in found] == [0.0, 4.0]


def test_duties_of_two_cycles_are_one_row() -> None:
    """One plan ends on Tuesday evening, the next one begins on Wednesday morning."""
    document = windows(
        changed(rotating("2026-11-24", "L", DUTIES), to="2026-11-24"),
        changed(rotating("2026-11-25", "E", DUTIES), **{"from": "2026-11-25"}),
    )
    found = short_rests(parse(document), at(NOON))
    assert [(short.end, short.hours) for short in found] == [(at("2026-11-24T22:00+01:00"), 8.0)]


def test_a_swap_may_make_a_rest_short() -> None:
    document = changed(rotating("2026-11-24", "E", DUTIES), swaps=[{"date": "2026-11-30", "shift": "L"}])
    assert [short.end for short in short_rests(parse(document), at(NOON))] == [at("2026-11-30T22:00+01:00")]


@pytest.mark.parametrize(
    ("now", "days", "found"),
    [
        ("2026-11-24T21:59:59+01:00", 1, 1),
        ("2026-11-25T05:59:59+01:00", 1, 1),
        ("2026-11-25T06:00+01:00", 1, 0),  # it is past
        ("2026-11-23T22:00+01:00", 1, 0),  # it begins when the days are over
        ("2026-11-23T22:00:01+01:00", 1, 1),
        ("2026-11-25T06:00+01:00", 35, 7),
        ("2026-11-24T12:00+01:00", 0, 0),
    ],
)
def test_only_rests_of_the_days_asked_about_are_told(now: str, days: int, found: int) -> None:
    document = rotating("2026-11-24", "LE---", DUTIES)
    assert len(short_rests(parse(document), at(now), days)) == found


def test_other_windows_have_no_duties() -> None:
    assert hints(day_duty("NI", "05:00", "23:00"), NOON) == []


def test_a_hint_speaks_two_languages() -> None:
    rules = parse({})
    with pytest.raises(ValueError, match="language must be one of"):
        hint(ShortRest(0, HOUR), rules, "fr")
    with pytest.raises(ValueError, match="language must be one of"):
        confirmation("fr")


def test_a_short_rest_is_shown_by_no_accident() -> None:
    assert str(at(NOON)) not in repr(ShortRest(at(NOON), at(NOON) + HOUR))


UTC_NOON = Place("UTC", int(datetime(2027, 2, 28, 12, tzinfo=UTC).timestamp()))


@examples(0.5)
@given(cycles(UTC_NOON), st.integers(-5 * DAY, 5 * DAY), st.integers(0, 12))
def test_short_rests_are_those_of_a_plain_model(entry: Entry, by: int, days: int) -> None:
    """In UTC, where elapsed hours are those of the wall: gaps of a list of duties by `datetime`."""
    now = UTC_NOON.change + by
    found = short_rests(parse({"timezone": "UTC", "windows": [entry]}), now, days)
    assert [(short.end, short.start) for short in found] == _model(entry, now, now + days * DAY)


def _model(entry: Entry, now: int, over: int) -> list[tuple[int, int]]:
    row, duties = entry["days"], entry["shifts"]
    anchor = date.fromisoformat(str(entry["anchor"]))
    swaps = entry["swaps"]
    assert isinstance(row, list)
    assert isinstance(duties, dict)
    assert isinstance(swaps, list)
    swapped = {swap["date"]: swap["shift"] for swap in swaps}
    done: list[tuple[datetime, datetime]] = []
    for number in range(-30, 31):
        day = date(2027, 2, 28) + timedelta(days=number)
        name = swapped.get(day.isoformat(), row[(day - anchor).days % len(row)])
        if name == "-" or not str(entry.get("from", "")) <= day.isoformat() <= str(entry.get("to", "9")):
            continue
        start, end = (datetime.fromisoformat(f"{day}T{duties[name][edge]}Z") for edge in ("start", "end"))
        end += timedelta(days=end <= start)
        done.append((start, end))
    gaps: list[tuple[int, int]] = []
    for index, (start, _) in enumerate(done[1:], 1):
        ended = min(start, max(end for _, end in done[:index]))  # an earlier duty may outlast a later one
        gaps.append((int(ended.timestamp()), int(start.timestamp())))
    return [(end, start) for end, start in gaps if start - end < 11 * HOUR and now < start and end < over]


# --- never reachable


ALWAYS: Entry = {"kind": "weekly", "start": "00:00", "end": "24:00"}


def reachable(seconds: int, start: str) -> Entry:
    first = datetime.fromisoformat(start).astimezone(UTC)
    last = first + timedelta(seconds=seconds)
    written = [moment.strftime("%Y-%m-%dT%H:%M:%SZ") for moment in (first, last)]
    return {"kind": "reachable", "start": written[0], "end": written[1]}


@pytest.mark.parametrize(
    ("document", "never"),
    [
        ({}, False),
        (nights_only(), False),
        ({"windows": [ALWAYS]}, True),
        (leave("2026-11-24", "2026-12-29"), True),
        (leave("2026-11-24", "2026-12-28"), False),  # reachable in the last twelve hours of the 35 days
        (leave("2026-11-25", "2027-12-31"), False),
        ({"windows": [ALWAYS], "overrides": [reachable(59, "2026-12-01T08:00Z")]}, True),
        ({"windows": [ALWAYS], "overrides": [reachable(60, "2026-12-01T08:00Z")]}, False),
        (
            {
                "windows": [ALWAYS],
                "overrides": [reachable(59, "2026-12-01T08:00Z"), reachable(59, "2026-12-01T08:01Z")],
            },
            True,
        ),
        # Only what lies in the days counts: 35 of them from noon on.
        ({"windows": [ALWAYS], "overrides": [reachable(90, "2026-11-24T10:59:29Z")]}, True),
        ({"windows": [ALWAYS], "overrides": [reachable(90, "2026-11-24T10:59:30Z")]}, False),
        ({"windows": [ALWAYS], "overrides": [reachable(90, "2026-12-29T10:59:01Z")]}, True),
        ({"windows": [ALWAYS], "overrides": [reachable(90, "2026-12-29T10:59:00Z")]}, False),
    ],
)
def test_never_reachable_is_without_a_minute_in_35_days(document: Document, never: bool) -> None:
    """R10, at noon of 24 November."""
    table = compile_table(parse(document), at(NOON))
    assert is_never_reachable(table, at(NOON)) == never


def test_the_days_asked_about_are_given() -> None:
    table = compile_table(parse(leave("2026-11-24", "2026-11-24")), at(NOON))
    assert not is_never_reachable(table, at(NOON), 1)
    assert is_never_reachable(table, at("2026-11-24T00:00+01:00"), 1)


def test_the_confirmation_names_the_days() -> None:
    assert confirmation("de") == "In den nächsten 35 Tagen sind Sie keine einzige Minute erreichbar."
    assert confirmation("en", 7) == "In the next 7 days you are not reachable for a single minute."


# --- all of it


def test_the_report_is_all_that_is_to_be_told() -> None:
    rules = parse(rotating("2026-11-24", "LE---", DUTIES))
    start = at("2026-11-24T00:00+01:00")
    assert report(rules, start, start + 2 * DAY, "de") == [
        "Ruhe bis heute 13:30 wegen: dienstfreie Zeit [Europe/Berlin]",
        "Di 24.11. 13:30-22:30 erreichbar",
        "Mi 25.11. 05:30-14:30 erreichbar",
        "Zwischen Di 24.11. 22:00 und Mi 25.11. 06:00 liegen 8 h (unter 11 h).",
    ]
    away = parse(leave("2026-11-24", "2027-02-28") | {"timezone": "UTC"})
    start = at("2026-11-24T00:00Z")
    assert report(away, start, start + 1, "en") == [
        "Rest until Mon 1 Mar 00:00 because of: leave [UTC]",
        "Tue 24 Nov rest all day",
        "In the next 35 days you are not reachable for a single minute.",
    ]
