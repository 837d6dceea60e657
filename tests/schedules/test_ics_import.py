"""Duty rosters from calendars' files: what programs write, each part of the rules, and another program's opinion."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from dateutil.rrule import DAILY, WEEKLY, rrule, rruleset
from hypothesis import given, settings
from hypothesis import strategies as st

from schedules import ics, ics_events, ics_import, parse
from schedules.ics_events import Note
from schedules.ics_import import duties
from schedules.roster import Duty, RosterFault
from schedules.walltime import Zone, wall_of, zone
from tests.schedules.calendars import BERLIN, GOOGLE, NOW, OUTLOOK, ROSTER_SYSTEM, TODAY, calendar, event, told


def found(content: bytes, now: float = NOW, own: Zone = BERLIN) -> list[str]:
    return [told(duty) for duty in duties(content, now, own).duties]


def left_out(*events: str) -> dict[Note, int]:
    return dict(duties(calendar(*events), NOW, BERLIN).left_out)


def at(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


# --- what programs write


def test_a_month_of_a_roster_system() -> None:
    said = duties(ROSTER_SYSTEM, NOW, BERLIN)
    assert [told(duty) for duty in said.duties] == [
        "2026-11-25 06:00 to 14:30 F", "2026-11-26 13:30 to 22:00 S", "2026-11-27 21:30 to 06:30 N",
        "2026-11-28 21:30 to 06:30 N", "2026-12-04 06:00 to 14:30 F",
    ]  # fmt: skip
    assert said.left_out == {Note.ALL_DAY: 1, Note.CANCELLED: 1}
    assert (said.first - TODAY, said.last - TODAY) == (0, 9)


def test_a_series_of_outlook() -> None:
    said = duties(OUTLOOK, NOW, BERLIN)
    days = [told(duty) for duty in said.duties]
    assert days[:8] == [
        "2026-11-23 07:00 to 15:30 Tagdienst", "2026-11-24 07:00 to 15:30 Tagdienst",
        "2026-11-25 07:00 to 15:30 Tagdienst", "2026-11-30 07:00 to 15:30 Tagdienst",
        "2026-12-01 12:00 to 20:00 Tagdienst", "2026-12-02 07:00 to 15:30 Tagdienst",
        "2026-12-03 07:00 to 15:30 Tagdienst", "2026-12-08 07:00 to 15:30 Tagdienst",
    ]  # fmt: skip
    assert days[-1] == "2027-01-21 07:00 to 15:30 Tagdienst"
    assert said.left_out == {Note.FREE: 1}
    assert said.last - TODAY == 59, "it goes on after the days looked at"


def test_google() -> None:
    assert found(GOOGLE) == [
        "2026-11-24 22:00 to 06:00 Nachtdienst", "2026-11-26 06:00 to 14:00 Frühdienst",
        "2026-11-28 22:00 to 06:00 Nachtdienst", "2026-12-06 22:00 to 06:00 Nachtdienst",
    ]  # fmt: skip


def test_our_own_export_is_no_roster() -> None:
    rules = parse({"windows": [{"kind": "weekly", "start": "22:00", "end": "06:00"}]})
    said = duties(ics.export(rules, NOW).encode(), NOW, BERLIN)
    assert said.duties == ()
    assert said.left_out.keys() == {Note.FREE}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_umlauts_and_ends_of_lines_as_they_come(encoding: str, line_end: str) -> None:
    content = calendar(event("20261201T060000", "20261201T140000", "SUMMARY:Frühdienst"))
    written = content.decode().replace("\r\n", line_end).encode(encoding)
    assert found(written) == ["2026-12-01 06:00 to 14:00 Frühdienst"]


# --- clocks that are changed


def test_a_night_ends_when_the_clock_on_the_wall_says_so() -> None:
    """In both nights: nine hours in October, seven in March."""
    series = calendar(event("20260101T220000", "20260102T060000", "RRULE:FREQ=WEEKLY;BYDAY=SA"))
    assert "2026-10-24 22:00 to 06:00" in found(series, at("2026-10-20T12:00+02:00"))
    assert "2027-03-27 22:00 to 06:00" in found(series, at("2027-03-20T12:00+01:00"))
    once = calendar("DTSTART:20261024T200000Z\nDTEND:20261025T050000Z", "DTSTART:20270327T210000Z\nDURATION:PT7H",
                    "DTSTART;TZID=Europe/Berlin:20270401T220000\nDURATION:PT8H")  # fmt: skip
    assert found(once, at("2026-10-20T12:00+02:00")) == ["2026-10-24 22:00 to 06:00"]
    assert found(once, at("2027-03-20T12:00+01:00")) == [
        "2027-03-27 22:00 to 06:00", "2027-04-01 22:00 to 06:00",
    ]  # fmt: skip
    shown = calendar("DTSTART;TZID=Europe/Berlin:20261024T220000\nDURATION:PT8H")
    assert found(shown, at("2026-10-20T12:00+02:00")) == ["2026-10-24 22:00 to 06:00"], "a length is one of the wall"


def test_edges_in_the_hour_that_is_repeated_are_the_outer_ones() -> None:
    first, second = "DTSTART:20261025T003000Z", "DTEND:20261025T013000Z"
    assert found(calendar(f"{first}\nDTEND:20261025T080000Z"), at("2026-10-20T12:00Z")) == ["2026-10-25 01:59 to 09:00"]
    assert found(calendar(f"DTSTART:20261024T200000Z\n{second}"), at("2026-10-20T12:00Z")) == [
        "2026-10-24 22:00 to 03:00"
    ]
    assert found(calendar("DTSTART:20261025T013000Z\nDTEND:20261025T080000Z"), at("2026-10-20T12:00Z")) == [
        "2026-10-25 02:30 to 09:00"
    ]


def test_a_duty_inside_of_the_skipped_hour_is_none() -> None:
    content = calendar(event("20270328T020000", "20270328T023000"))
    said = duties(content, at("2027-03-20T12:00Z"), BERLIN)
    assert (said.duties, said.left_out) == ((), {Note.EMPTY: 1})


def test_seconds_are_rounded_outwards() -> None:
    assert found(calendar(event("20261201T060030", "20261201T140030"))) == ["2026-12-01 06:00 to 14:01"]


# --- zones


@pytest.mark.parametrize(
    ("start", "expected"),
    [
        ("DTSTART:20261201T060000", "06:00"),
        ("DTSTART:20261201T050000Z", "06:00"),
        ("DTSTART;TZID=Europe/Berlin:20261201T060000", "06:00"),
        ('DTSTART;TZID="Europe/Berlin":20261201T060000', "06:00"),
        ("dtstart;tzid=America/New_York:20261201T000000", "06:00"),
        ("DTSTART;TZID=W. Europe Standard Time:20261201T060000", "06:00"),
        ("DTSTART;TZID=GMT Standard Time:20261201T050000", "06:00"),
        ("DTSTART;TZID=UTC:20261201T050000", "06:00"),
        ("DTSTART;TZID=Heimat:20261201T060000", "06:00"),
    ],
)
def test_a_zone_by_any_of_its_names(start: str, expected: str) -> None:
    named = "BEGIN:VTIMEZONE\nTZID:Heimat\nX-LIC-LOCATION:Europe/Vienna\nEND:VTIMEZONE\n"
    assert found(calendar(f"{start}\nDURATION:PT2H", head=named)) == [f"2026-12-01 {expected} to 08:00"]


def test_a_floating_time_is_one_of_the_document() -> None:
    content = calendar("DTSTART:20261201T060000\nDTEND:20261201T140000")
    assert found(content, own=zone("Asia/Tokyo")) == ["2026-12-01 06:00 to 14:00"]


@pytest.mark.parametrize(
    "name", ["Mitteleuropa", "../../etc/passwd", "localtime", "/Europe/Berlin", "Europe", "x" * 5000, ""]
)
def test_a_zone_that_means_nothing_is_told_and_never_guessed(name: str) -> None:
    content = calendar(
        event("20261201T060000", "20261201T140000", zone=name), event("20261202T060000", "20261202T140000")
    )
    said = duties(content, NOW, BERLIN)
    assert [told(duty) for duty in said.duties] == ["2026-12-02 06:00 to 14:00"]
    assert said.left_out == {Note.ZONE: 1}


def test_start_and_end_in_two_zones() -> None:
    content = calendar("DTSTART;TZID=Europe/Berlin:20261201T220000\nDTEND:20261202T050000Z")
    assert found(content) == ["2026-12-01 22:00 to 06:00"]


# --- what is no duty


@pytest.mark.parametrize(
    ("event_", "note"),
    [
        ("DTSTART;VALUE=DATE:20261201", Note.ALL_DAY),
        ("DTSTART:20261201\nRRULE:FREQ=YEARLY", Note.ALL_DAY),
        (event("20261201T000000", "20261202T000000", "X-MICROSOFT-CDO-ALLDAYEVENT:TRUE"), Note.ALL_DAY),
        (event("20261201T060000", "20261201T140000", "TRANSP:TRANSPARENT"), Note.FREE),
        (event("20261201T060000", "20261201T140000", "STATUS:cancelled"), Note.CANCELLED),
        ("DTSTART:20261201T060000", Note.EMPTY),
        (event("20261201T060000", "20261201T060000"), Note.EMPTY),
        (event("20261201T060000", "20261130T060000"), Note.EMPTY),
        ("DTSTART:20261201T060000\nDURATION:-PT1H", Note.UNREADABLE),
        ("DTSTART:20261201T060000\nDURATION:PT", Note.EMPTY),
        ("DTSTART:20261201T060000\nDTEND:20261202", Note.UNREADABLE),
        ("DTSTART:20261301T060000\nDURATION:PT8H", Note.UNREADABLE),
        ("DTSTART:morgen früh", Note.UNREADABLE),
        ("DTSTART", Note.UNREADABLE),
        ("SUMMARY:Dienst", Note.UNREADABLE),
        (event("20261201T060000", "20261201T140000", "RRULE:FREQ=MONTHLY"), Note.REPEATS),
        (event("20261201T060000", "20261201T140000", "RRULE:FREQ=SECONDLY"), Note.REPEATS),
        (event("20261201T060000", "20261201T140000", "RRULE:FREQ=DAILY", "RRULE:FREQ=DAILY"), Note.REPEATS),
        (event("20261201T060000", "20261201T140000", "RRULE:FREQ=DAILY", "EXRULE:FREQ=WEEKLY"), Note.REPEATS),
        (event("20261201T060000", "20261201T140000", "RDATE;VALUE=PERIOD:20261202T060000/PT8H"), Note.REPEATS),
        (event("20261201T060000", "20261201T140000", "RDATE;VALUE=DATE:20261202"), Note.REPEATS),
        (
            event("20261201T060000", "20261201T140000", "UID:a", "RECURRENCE-ID;RANGE=THISANDFUTURE:20261201T050000"),
            Note.REPEATS,
        ),
        (event("20261201T060000", "20261201T140000", "RRULE:FREQ=DAILY", "EXDATE:gestern"), Note.UNREADABLE),
    ],
)  # fmt: skip
def test_what_is_left_out_is_told_with_its_reason(event_: str, note: Note) -> None:
    said = duties(calendar(event_), NOW, BERLIN)
    assert (said.duties, said.left_out) == ((), {note: 1})


def test_what_is_over_or_far_ahead_is_not_told() -> None:
    assert left_out("DTSTART;VALUE=DATE:20261120", "DTSTART;VALUE=DATE:20270301", "DTSTART:20200101T060000") == {}


# --- series


def test_what_is_taken_from_a_series_and_added_to_it() -> None:
    content = calendar(
        event("20261201T060000", "20261201T140000", "RRULE:FREQ=DAILY;COUNT=4", "EXDATE:20261202T050000Z",
              "EXDATE;VALUE=DATE:20261203", "RDATE:20261210T060000,20261204T060000"),
    )  # fmt: skip
    assert found(content) == [f"2026-12-{day} 06:00 to 14:00" for day in ("01", "04", "10")]


def test_a_day_of_a_series_that_is_an_event_of_its_own() -> None:
    series = event("20261201T060000", "20261201T140000", "UID:a", "RRULE:FREQ=DAILY;COUNT=4")
    content = calendar(
        event("20261202T100000", "20261202T180000", "UID:a", "RECURRENCE-ID:20261202T050000Z", "SEQUENCE:2"),
        event("20261202T110000", "20261202T190000", "UID:a", "SEQUENCE:1",
              "RECURRENCE-ID;TZID=Europe/Berlin:20261202T060000"),
        event("20261203T060000", "20261203T140000", "UID:a", "RECURRENCE-ID:20261203T050000Z", "STATUS:CANCELLED"),
        event("20261204T060000", "20261204T140000", "UID:b", "RECURRENCE-ID:20261204T050000Z"),
        series,
    )  # fmt: skip
    assert found(content) == [
        "2026-12-01 06:00 to 14:00", "2026-12-02 10:00 to 18:00", "2026-12-04 06:00 to 14:00",
        "2026-12-04 06:00 to 14:00",
    ]  # fmt: skip


def test_a_series_from_long_ago_costs_no_more() -> None:
    content = calendar(*[event("19010101T060000", "19010101T140000", "RRULE:FREQ=DAILY;COUNT=999999")] * 30)
    assert len(duties(content, NOW, BERLIN).duties) == 30 * 62


def test_the_first_start_counts_where_its_rule_has_no_place_for_it() -> None:
    content = calendar(event("20261201T060000", "20261201T140000", "RRULE:FREQ=WEEKLY;BYDAY=FR;COUNT=3"))
    assert [day[:10] for day in found(content)] == ["2026-12-01", "2026-12-04", "2026-12-11"]


WEEKDAYS = ["MO", "TU", "WE", "TH", "FR", "SA", "SU"]
walls = st.integers(-800, 70).flatmap(
    lambda day: st.sampled_from([0, 150, 360, 840, 1320, 1439]).map(
        lambda minutes: datetime(2026, 11, 25) + timedelta(days=day, minutes=minutes)
    )
)


@st.composite
def series(draw: st.DrawFn) -> tuple[bytes, list[datetime], int]:
    """A file of one series, its starts by another program, and the length in minutes."""
    start, minutes = draw(walls), draw(st.sampled_from([1, 480, 600, 1440]))
    by_day = draw(st.none() | st.sets(st.integers(0, 6), min_size=1))
    rule: dict[str, Any] = {"freq": draw(st.sampled_from([DAILY, WEEKLY])), "interval": draw(st.integers(1, 5))}
    if by_day is not None:
        rule |= {"byweekday": sorted(by_day)}
        if rule["freq"] == DAILY:
            rule["interval"] = 1
    text = f"FREQ={'DAILY' if rule['freq'] == DAILY else 'WEEKLY'};INTERVAL={rule['interval']}"
    if by_day is not None:
        text += ";BYDAY=" + ",".join(WEEKDAYS[day] for day in sorted(by_day))
    if draw(st.booleans()):
        rule["wkst"] = draw(st.integers(0, 6))
        text += f";WKST={WEEKDAYS[rule['wkst']]}"
    bound = draw(st.sampled_from(["", "count", "until"]))
    if bound == "count":
        rule["count"] = draw(st.integers(1, 400))
        text += f";COUNT={rule['count']}"
    elif bound == "until":
        rule["until"] = draw(walls)
        text += f";UNTIL={rule['until']:%Y%m%dT%H%M%S}"
    expected = rruleset()
    matches = by_day is None or start.weekday() in by_day
    if not matches:  # the first start counts, and is one of COUNT
        if bound == "count":
            rule["count"] -= 1
        if bound != "until" or rule["until"] >= start:
            expected.rdate(start)
    if rule.get("count") != 0:
        expected.rrule(rrule(dtstart=start, **rule))
    lines = [f"RRULE:{text}"]
    for name, add in (("RDATE", expected.rdate), ("EXDATE", expected.exdate)):
        dates = draw(st.lists(walls | st.integers(0, 60).map(lambda n: start + timedelta(days=n)), max_size=4))
        for moment in dates:
            add(moment)
            lines.append(f"{name};TZID=Europe/Berlin:{moment:%Y%m%dT%H%M%S}")
    end = start + timedelta(minutes=minutes)
    low, high = datetime(2026, 11, 20), datetime(2027, 2, 1)
    content = calendar(event(f"{start:%Y%m%dT%H%M%S}", f"{end:%Y%m%dT%H%M%S}", *lines))
    return content, expected.between(low, high, inc=True), minutes


@settings(max_examples=100)
@given(series())
def test_a_series_is_what_another_program_makes_of_it(made: tuple[bytes, list[datetime], int]) -> None:
    content, starts, minutes = made
    expected = [Duty(wall_of(start), wall_of(start) + minutes * 60) for start in starts]
    low, high = (TODAY - 2) * 86_400, (TODAY + 60) * 86_400
    assert duties(content, NOW, BERLIN).duties == tuple(d for d in expected if d.start < high and d.end > low)


# --- bounds


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "This is no calendar file"),
        (b"%PDF-1.7", "This is no calendar file"),
        (b"BEGIN:VCARD\r\nEND:VCARD\r\n", "This is no calendar file"),
        (ROSTER_SYSTEM[:-200], "The calendar file is not complete"),
        (b"BEGIN:VCALENDAR\r\nEND:VEVENT\r\n", "The calendar file is not complete"),
        (b" " * (ics_import.MAX_BYTES + 1), "The file is larger than 256 KiB"),
        (b"BEGIN:VCALENDAR\r\n" * (ics_events.MAX_DEPTH + 1), "There are too many entries"),
        (calendar(*[""] * ics_events.MAX_COMPONENTS), "There are too many entries"),
        (calendar(*[event("20261125T060000", "20261125T070000", "RRULE:FREQ=DAILY")] * 40), "There are too many"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_a_fault(content: bytes, sentence: str) -> None:
    with pytest.raises(RosterFault, match=sentence):
        duties(content, NOW, BERLIN)


def test_a_calendar_without_events_has_no_duties() -> None:
    said = duties(calendar(), NOW, BERLIN)
    assert (said.duties, said.left_out) == ((), {})


def test_nothing_of_a_text_is_in_what_is_printed() -> None:
    content = calendar(event("20261201T060000", "20261203T140000", "SUMMARY:canary", "DESCRIPTION:canary"))
    said = duties(content, NOW, BERLIN)
    assert "canary" not in repr(said)
    broken = calendar('SUMMARY;canary="canary:canary\nDTSTART;canary:canary\nDURATION:canary')
    assert "canary" not in repr(duties(broken, NOW, BERLIN))


def test_what_a_file_speaks_of() -> None:
    """No rest where it says nothing: neither before its first day nor after its last."""
    ahead = duties(calendar(event("20261201T060000", "20261201T140000"), "DTSTART;VALUE=DATE:20261205"), NOW, BERLIN)
    assert (ahead.first - TODAY, ahead.last - TODAY) == (6, 10)
    around = duties(
        calendar(event("20261101T060000", "20261101T140000"), event("20270301T060000", "20270301T140000")), NOW, BERLIN
    )
    assert (around.first - TODAY, around.last - TODAY) == (0, 59)
    assert datetime.fromtimestamp(TODAY * 86_400, UTC).date().isoformat() == "2026-11-25"
