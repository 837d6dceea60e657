"""Whatever a file is: a roster that can be used, or a fault of our own, and soon."""

from __future__ import annotations

import time
from datetime import datetime
from typing import Final, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schedules import RestTable, compile_table, parse
from schedules.cycle import DAY
from schedules.ics_events import Note
from schedules.ics_import import MAX_BYTES, duties
from schedules.roster import AHEAD, RosterFault, roster
from schedules.walltime import zone
from schedules.web import rosters
from tests.schedules.calendars import GOOGLE, OUTLOOK, ROSTER_SYSTEM, calendar

SECONDS: Final = 3.0
"""Of a processor, for the worst file; what was measured is 0.6 on one core of a shared machine."""
DOCUMENTS: Final = ("Europe/Berlin", "UTC", "America/New_York", "Australia/Lord_Howe")


def use(content: bytes, now: float = 1_795_639_200, own: str = "Europe/Berlin") -> None:
    """As the page does. Raises what the page does not expect."""
    try:
        said = duties(content, now, zone(own))
        today = zone(own).wall(int(now)) // DAY
        found = roster(said.duties, today, today + AHEAD - 1)
    except RosterFault:
        return
    assert all(many > 0 for many in said.left_out.values())
    if found is None:
        return
    row = rosters.read(rosters.written(found.row))
    assert row == found.row
    assert today <= said.first <= said.last <= today + AHEAD - 1
    first, last = rosters.bounds(row)
    assert (first, last) == (today, today + AHEAD - 1)
    window = rosters.window(row, said.first, said.last, 30, 30)
    table = compile_table(parse({"timezone": own, "windows": [window]}), now)
    assert isinstance(table, RestTable)
    low, high = said.first * DAY, (said.last + 1) * DAY
    for start, end, _ in said.duties:
        # From the last instant that can be its start to the first that can be its end: the edges are the outer ones.
        opens, closes = zone(own).closes(max(start, low)), zone(own).opens(min(end, high))
        if opens < closes:
            rest = table.at(opens)
            assert not rest.resting
            assert rest.next_start is None or rest.next_start >= closes


@given(st.binary(max_size=200))
def test_any_bytes(content: bytes) -> None:
    use(content)
    use(b"BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\n" + content + b"\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n")


# --- calendars with something wrong somewhere

days = st.sampled_from(
    ["20261125", "20261126", "20261024", "20261025", "20261026", "20270327", "20270328", "19000101", "22991231"]
)
clocks = st.sampled_from(
    ["T000000", "T013000", "T020000", "T023000", "T030000", "T060000", "T140000", "T220000", "T235959"]
)
moments = st.builds("{}{}{}".format, days, clocks, st.sampled_from(["", "Z"])) | days
odd = st.text(max_size=8) | st.sampled_from(
    ['"', ";", "\\", "=", ",", "T240000", "99999999T999999", "-PT1H", "P9W", "\x00"]
)
zones = st.sampled_from(
    [
        "",
        "",
        ";TZID=Europe/Berlin",
        ";TZID=America/New_York",
        ";TZID=W. Europe Standard Time",
        ";TZID=Mond",
        ";VALUE=DATE",
    ]
)
rules = st.builds(
    "FREQ={};INTERVAL={};{}".format,
    st.sampled_from(["DAILY", "WEEKLY", "MONTHLY", "SECONDLY"]),
    st.sampled_from(["1", "2", "5", "0", "999999", "-1"]),
    st.sampled_from(
        ["", "COUNT=3", "COUNT=9999", "UNTIL=20261201", "BYDAY=MO,FR", "BYDAY=1MO", "WKST=SU", "BYSETPOS=1"]
    ),
)
values = (
    moments
    | odd
    | rules
    | st.sampled_from(["PT8H", "P1D", "PT30H", "OPAQUE", "TRANSPARENT", "CANCELLED", "a", "b", "1"])
)
names = st.sampled_from(
    ["DTSTART", "DTEND", "DURATION", "RRULE", "RDATE", "EXDATE", "RECURRENCE-ID", "UID", "SEQUENCE", "STATUS", "TRANSP",
     "SUMMARY", "BEGIN", "END", "EXRULE"]
)  # fmt: skip
lines = st.builds("{}{}:{}".format, names, zones, values)
starts = st.builds("DTSTART{}:{}".format, zones, moments)
ends = st.builds("DTEND{}:{}".format, zones, moments) | st.sampled_from(
    ["DURATION:PT8H", "DURATION:P1D", "DURATION:PT10M"]
)
events = st.builds(
    lambda start, end, more: "\n".join([start, end, *more]), starts, ends,
    st.lists(st.builds("RRULE:{}".format, rules) | lines, max_size=4),
)  # fmt: skip
nows = st.sampled_from(
    ["2026-11-25T21:40+01:00", "2026-10-24T23:00+02:00", "2026-10-25T02:30+01:00", "2027-03-20T00:00Z"]
)


@settings(max_examples=200)
@given(st.lists(events, max_size=6), nows, st.sampled_from(DOCUMENTS))
def test_any_events(listed: list[str], now: str, own: str) -> None:
    use(calendar(*listed), datetime.fromisoformat(now).timestamp(), own)


@given(st.sampled_from([ROSTER_SYSTEM, OUTLOOK, GOOGLE]), st.data())
def test_what_programs_write_with_something_wrong_in_it(content: bytes, data: st.DataObject) -> None:
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content)))
        over = data.draw(st.integers(at, min(at + 20, len(content))))
        copied = data.draw(st.integers(0, len(content)))
        other = data.draw(st.binary(max_size=6) | st.just(content[copied : copied + 40]))
        content = content[:at] + other + content[over:]
    use(content)


# --- the worst that we could think of


def filled(part: str, around: str = "{}") -> bytes:
    """A file as large as may be, of one part again and again."""
    room = MAX_BYTES - len(calendar(around.format("")))
    return calendar(around.format(part * (room // len(part.replace("\n", "\r\n").encode()))))


SHORT: Final = "DTSTART:20000101T060000\nDTEND:20000101T140000"
LONG: Final = (
    b"BEGIN:VEVENT\nDTSTART:19010101T060000\nDTEND:22990101T070000\nRRULE:FREQ=DAILY;COUNT=999999\nEND:VEVENT\n"
)
WORST: Final = {
    "events": filled("BEGIN:VEVENT\nDTSTART:20261201T060000\nEND:VEVENT\n"),
    "zones": b"BEGIN:VCALENDAR\n%sEND:VCALENDAR\n"
    % b"".join(b"BEGIN:VEVENT\nDTSTART;TZID=Europe/X%d:20261201T060000\nEND:VEVENT\n" % n for n in range(4000)),
    "series": b"BEGIN:VCALENDAR\n%sEND:VCALENDAR\n" % (LONG * 2400),
    "dates": filled("20000101T060000,", SHORT + "\nRDATE:{}20000101T060000"),
    "dates left out": filled("20000101T060000,", SHORT + "\nEXDATE:{}20000101T060000"),
    "parameters": filled(";X=1", "DTSTART{}:20261201T060000"),
    "quotes": filled('"', "DTSTART;X={}:20261201T060000"),
    "commas": filled(",b", "DTSTART;X=a{}:20261201T060000"),
    "blanks": filled(" =", "DTSTART;X=a{}:20261201T060000"),
    "backslashes": filled("\\", "SUMMARY;X=a{}:b"),
    "folds": filled("\n x", "SUMMARY:{}"),
    "lines": b"\n" * MAX_BYTES,
    "depth": b"BEGIN:VCALENDAR\n" * (MAX_BYTES // 16),
    "rule": filled("FREQ=DAILY;", "DTSTART:20261201T060000\nDURATION:PT8H\nRRULE:{}"),
    "digits": filled("9", "DTSTART:20261201T060000\nDURATION:PT8H\nSEQUENCE:{}"),
    "length": filled("9", "DTSTART:20261201T060000\nDURATION:PT{}H"),
}  # fmt: skip


@pytest.mark.parametrize("name", WORST)
def test_the_worst_file_takes_a_moment(name: str) -> None:
    assert MAX_BYTES * 0.8 < len(WORST[name]) <= MAX_BYTES or name in ("zones", "series")
    began = time.process_time()
    use(WORST[name])
    assert time.process_time() - began < SECONDS


def test_what_was_found_once() -> None:
    """By the tests above, or by hand."""
    for line in ("SEQUENCE:" + "9" * 5000, "DTSTART;TZID=a,b:20261201T060000", "DTSTART;TZID=:20261201T060000"):
        use(calendar(f"{line}\nDTSTART:20261201T060000\nDURATION:PT8H"))
    assert cast(
        "object", duties(calendar("DTSTART;TZID=a,b:20261201T060000"), 1_795_639_200, zone("UTC")).left_out
    ) == {Note.ZONE: 1}
