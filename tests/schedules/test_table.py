"""What must hold of every document: the properties of rest, the horizon, and the sharing of tables."""

from __future__ import annotations

from datetime import UTC, datetime
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schedules import NoRest, Rest, RestTable, compile_table, parse, state
from tests.schedules.documents import (
    DAY,
    PLACES,
    Case,
    Document,
    Entry,
    cases,
    examples,
    places,
    window,
    written,
)

MINUTE = 60
NIGHT: Entry = {"kind": "cron", "start": "0 22 * * *", "duration_minutes": 480}


def at(document: Document, second: int) -> Rest:
    """The direct answer: a table made for this instant."""
    return compile_table(parse(document), second).at(second)


def utc(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


CASES = places().flatmap(cases)


# The properties. Each is said of rest as such, not of how we compute it.


@examples(0.5)
@given(CASES)
def test_a_rest_lasts_until_its_end_and_not_longer(case: Case) -> None:
    """R9: the end lies ahead, is reachable itself, and everything before it is the same rest."""
    for second in case.instants:
        resting, until, next_start = at(case.document, second)
        if resting:
            assert next_start is None
            if until is None:
                continue
            assert until > second
            assert not at(case.document, until).resting
            for inside in (until - 1, (second + until) // 2):
                assert at(case.document, inside) == Rest(True, until, None)


@examples(0.5)
@given(CASES)
def test_the_next_rest_starts_when_told_and_not_before(case: Case) -> None:
    for second in case.instants:
        resting, until, next_start = at(case.document, second)
        if not resting:
            assert until is None
            if next_start is None:
                continue
            assert next_start > second
            assert at(case.document, next_start).resting
            for before in (next_start - 1, (second + next_start) // 2):
                assert at(case.document, before) == Rest(False, None, next_start)


@examples(0.5)
@given(CASES, st.randoms(use_true_random=False))
def test_the_order_of_windows_and_overrides_does_not_matter(case: Case, random: Random) -> None:
    """R7 is set algebra."""
    windows, overrides = case.document["windows"], case.document["overrides"]
    assert isinstance(windows, list)
    assert isinstance(overrides, list)
    shuffled = case.document | {
        "windows": random.sample(windows, len(windows)),
        "overrides": random.sample(overrides, len(overrides)),
    }
    for second in case.instants:
        assert at(shuffled, second) == at(case.document, second)


@examples(0.5)
@given(CASES)
def test_saying_something_twice_changes_nothing(case: Case) -> None:
    windows, overrides = case.document["windows"], case.document["overrides"]
    assert isinstance(windows, list)
    assert isinstance(overrides, list)
    doubled = case.document | {"windows": windows * 2, "overrides": overrides * 2}
    for second in case.instants:
        assert at(doubled, second) == at(case.document, second)


def _with(document: Document, name: str, entry: Entry) -> Document:
    entries = document[name]
    assert isinstance(entries, list)
    return document | {name: [*entries, entry]}


@examples(0.5)
@given(CASES)
def test_adding_rest_never_makes_anybody_reachable(case: Case) -> None:
    """Nor does it end a rest earlier, or start one later."""
    more = _with(case.document, "overrides" if case.rest["kind"] == "rest" else "windows", case.rest)
    for second in case.instants:
        before, after = at(case.document, second), at(more, second)
        if before.resting:
            assert after.resting
            assert after.until is None or (before.until is not None and after.until >= before.until)
        elif not after.resting and before.next_start is not None:
            assert after.next_start is not None
            assert after.next_start <= before.next_start


@examples(0.5)
@given(CASES)
def test_being_on_call_never_makes_anybody_rest(case: Case) -> None:
    for second in case.instants:
        before, after = at(case.document, second), at(_with(case.document, "overrides", case.on_call), second)
        if not before.resting:
            assert not after.resting
        elif after.resting and before.until is not None:
            assert after.until is not None
            assert after.until <= before.until


@given(
    CASES,
    st.sampled_from(("*", "*", "1-5", "0,3,6", "2")),
    st.floats(0, 1),
    st.integers(0, 1439),
    st.integers(2, 20_160),
)
def test_a_window_split_at_any_minute_is_the_same_window(
    case: Case, weekdays: str, part: float, start: int, length: int
) -> None:
    """R8, also when the seam lies in the skipped hour (both halves meet at the jump) or the repeated one (overlap)."""
    if case.rest["kind"] == "cron" and case.rest["duration_minutes"] != 1:
        # Near the change.
        minute, hour = str(case.rest["start"]).split()[:2]
        start, length = int(hour) * 60 + int(minute), int(str(case.rest["duration_minutes"]))
    seam = 1 + int(part * (length - 2))
    here: Document = {"timezone": case.document["timezone"]}
    whole = here | {"windows": [_window(start, length, weekdays)]}
    halves = here | {"windows": [_window(start, seam, weekdays), _window(start + seam, length - seam, weekdays)]}
    for second in case.instants:
        assert at(halves, second) == at(whole, second)


def _window(start: int, length: int, weekdays: str) -> Entry:
    """A window from a minute of the day on; one beyond midnight moves the weekdays along."""
    days, minute = divmod(start, 1440)
    named = {"1-5": (1, 2, 3, 4, 5), "0,3,6": (0, 3, 6), "2": (2,)}
    fields = "*" if weekdays == "*" else ",".join(str((day + days) % 7) for day in named[weekdays])
    return {"kind": "cron", "start": f"{minute % 60} {minute // 60} * * {fields}", "duration_minutes": length}


WEEK = 7 * 1440
MINUTES = st.integers(utc("2028-02-20T00:00") // 60, utc("2028-03-10T00:00") // 60)
"""Around a 29 February."""


@given(
    starts=st.lists(
        st.tuples(MINUTES, st.integers(1, 3000), st.sampled_from(("* * *", "* * {w}", "* * {w}-{w3}"))), max_size=3
    ),
    spans_=st.lists(st.tuples(MINUTES, st.integers(1, 6000), st.sampled_from(("rest", "reachable"))), max_size=3),
    seconds=st.lists(MINUTES.map(lambda minute: minute * 60 + 17), min_size=3, max_size=3),
    weeks=st.integers(-500, 500),
)  # fmt: skip
def test_in_utc_everything_moves_with_the_week(
    starts: list[tuple[int, int, str]], spans_: list[tuple[int, int, str]], seconds: list[int], weeks: int
) -> None:
    """Weekly rules have no other memory of the date: leap days, month ends and years leave no trace."""

    def document(by: int) -> Document:
        return {
            "timezone": "UTC",
            "windows": [window(start + by, length, days) for start, length, days in starts],
            "overrides": [
                {"kind": kind, "start": written(start + by, None), "end": written(start + length + by, None)}
                for start, length, kind in spans_
            ],
        }

    by = weeks * WEEK
    for second in seconds:
        here, there = at(document(0), second), at(document(by), second + by * 60)
        moved = [None if edge is None else edge + by * 60 for edge in here[1:]]
        assert there == Rest(here.resting, *moved)


@given(
    day=st.integers(-20_000, 80_000),
    second=st.integers(0, DAY - 1),
    minute=st.integers(0, 1439),
    length=st.integers(1, 1439),
)
def test_in_utc_a_daily_window_is_the_same_every_day(day: int, second: int, minute: int, length: int) -> None:
    document: Document = {"timezone": "UTC", "windows": [window(minute, length, "* * *")]}
    first, then = at(document, second), at(document, second + day * DAY)
    assert then == Rest(first.resting, *(None if edge is None else edge + day * DAY for edge in first[1:]))


# One-offs.


@pytest.mark.parametrize(
    ("start", "end", "opens", "closes"),
    [
        ("2026-11-24T18:00", "2026-11-24T19:00", "2026-11-24T17:00", "2026-11-24T18:00"),
        ("2026-11-24T18:00Z", "2026-11-24T21:00+02:00", "2026-11-24T18:00", "2026-11-24T19:00"),
        # Autumn: from the first 02:30, until the second.
        ("2026-10-25T02:30", "2026-10-25T12:00", "2026-10-25T00:30", "2026-10-25T11:00"),
        ("2026-10-24T12:00", "2026-10-25T02:30", "2026-10-24T10:00", "2026-10-25T01:30"),
        ("2026-10-25T02:30", "2026-10-25T02:31", "2026-10-25T00:30", "2026-10-25T01:31"),
        ("2026-10-25T02:50", "2026-10-25T02:10", "2026-10-25T00:50", "2026-10-25T01:10"),
        # An instant in the repeated hour is that instant.
        ("2026-10-25T02:30+01:00", "2026-10-25T12:00", "2026-10-25T01:30", "2026-10-25T11:00"),
        ("2026-10-24T12:00", "2026-10-25T02:30+02:00", "2026-10-24T10:00", "2026-10-25T00:30"),
        # Spring: from the jump, until the jump.
        ("2026-03-29T02:30", "2026-03-29T12:00", "2026-03-29T01:00", "2026-03-29T10:00"),
        ("2026-03-28T12:00", "2026-03-29T02:30", "2026-03-28T11:00", "2026-03-29T01:00"),
    ],
)
def test_a_one_off_goes_from_the_first_reading_of_its_start_to_the_second_of_its_end(
    start: str, end: str, opens: str, closes: str
) -> None:
    """R6, for leave, for a rest override, and for being on call."""
    times: Entry = {"start": start, "end": end}
    first, last = utc(opens), utc(closes)
    leave: Document = {"windows": [times | {"kind": "once"}]}
    pause: Document = {"overrides": [times | {"kind": "rest"}]}
    for document in (leave, pause):
        assert at(document, first - 1) == Rest(False, None, first)
        assert at(document, first) == at(document, last - 1) == Rest(True, last, None)
        assert at(document, last) == Rest(False, None, None)
        table = compile_table(parse(document), first)
        assert [bool(table.reasons(second)) for second in (first - 1, first, last - 1, last)] == [
            False,
            True,
            True,
            False,
        ]
    called: Document = {
        "windows": [{"kind": "once", "start": "2026-01-01T00:00Z", "end": "2026-12-31T00:00Z"}],
        "overrides": [times | {"kind": "reachable"}],
    }
    assert at(called, first - 1) == Rest(True, first, None)
    assert at(called, first) == at(called, last - 1) == Rest(False, None, last)
    assert at(called, last).resting


# Table and direct answer.


@examples(0.5)
@given(CASES, st.integers(-500, 500), st.integers(0, DAY - 1))
def test_a_table_made_at_any_time_answers_like_one_made_now(case: Case, days: int, second: int) -> None:
    """Inside the horizon, outside, long before, long after: the horizon is about speed, not about answers."""
    rules = parse(case.document)
    here = case.instants[0]
    tables = [compile_table(rules, here + by) for by in (0, days * DAY + second, -15 * DAY, -8 * DAY, 2 * DAY)]
    for now in (*case.instants, here + days * DAY):
        direct = compile_table(rules, now)
        for table in tables:
            assert table.at(now) == direct.at(now)
            assert table.reasons(now) == direct.reasons(now)


@examples(0.5)
@given(CASES)
def test_a_table_gives_the_same_answer_twice(case: Case) -> None:
    """The extension to 400 days is kept, and must not colour what is asked later."""
    table = compile_table(parse(case.document), case.instants[0])
    first = [table.at(second) for second in case.instants]
    assert [table.at(second) for second in reversed(case.instants)] == first[::-1]


@pytest.mark.parametrize("second", [-1, 0, 1])
@pytest.mark.parametrize("start_day", range(-3, 20))
def test_a_rest_at_an_edge_of_the_horizon_is_seen_whole(start_day: int, second: int) -> None:
    """Edges of the rest on and beside each midnight around the horizon, whose own edges are midnights."""
    made = utc("2026-11-24T12:34")
    start = utc("2026-11-24T00:00") + start_day * DAY + second
    for length in (1, DAY, 5 * DAY, 30 * DAY):
        end = start + length
        document: Document = {
            "timezone": "UTC",
            "overrides": [{"kind": "rest", "start": _instant(start), "end": _instant(end)}],
        }
        table = compile_table(parse(document), made)
        assert table.at(start - 1) == Rest(False, None, start)
        assert table.at(start) == table.at(end - 1) == Rest(True, end, None)
        assert table.at(end) == Rest(False, None, None)
        if start <= made < end:
            assert table.at(made) == Rest(True, end, None)
        assert table.at(start - 399 * DAY) == Rest(False, None, start)


def _instant(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@pytest.mark.parametrize("start", range(24))
def test_a_nightly_rest_is_seen_whole_on_every_day_of_the_horizon(start: int) -> None:
    """At any hour of the start, so that some rest lies on each midnight of UTC, in zones on both sides of it."""
    for name, offset in (("Pacific/Kiritimati", 14), ("Etc/GMT+12", -12), ("UTC", 0)):
        document: Document = {
            "timezone": name,
            "windows": [NIGHT | {"start": f"0 {start} * * *", "duration_minutes": 720}],
        }
        table = compile_table(parse(document), utc("2026-11-24T12:34"))
        for day in range(-30, 40):
            opened = utc("2026-11-24T00:00") + day * DAY + (start - offset) * 3600
            closed = opened + DAY // 2
            assert table.at(opened) == table.at(closed - 1) == Rest(True, closed, None)
            assert table.at(closed) == table.at(opened + DAY - 1) == Rest(False, None, opened + DAY)


@pytest.mark.parametrize(("name", "offset"), [("Pacific/Kiritimati", 14), ("Etc/GMT+12", -12), ("UTC", 0)])
@pytest.mark.parametrize("minutes", [1, 1439, 1440, 1441, 20_160])
def test_a_rest_and_its_reason_begin_and_end_together(name: str, offset: int, minutes: int) -> None:
    """Far from Greenwich the day on the wall is another than that of the instant: neither may miss a start for it."""
    for hour in range(24):
        start = utc("2026-11-05T00:00") + (hour - offset) * 3600
        end = start + minutes * 60
        document: Document = {
            "timezone": name,
            "windows": [{"kind": "cron", "start": f"0 {hour} 5 11 *", "duration_minutes": minutes}],
        }
        table = compile_table(parse(document), end)
        for second, resting in ((start - 1, False), (start, True), (end - 1, True), (end, False)):
            assert table.at(second).resting == at(document, second).resting == resting
            assert table.reasons(second) == (("windows[0]",) if resting else ())


# 400 days.


NOW = utc("2026-11-24T12:00")
MADE = pytest.mark.parametrize(
    "made", [NOW, NOW - 7 * DAY, NOW - 12 * DAY, NOW + DAY, NOW - 100 * DAY, NOW + 100 * DAY]
)
"""Whenever the table was made: seven days is when it should be made anew, the others are late or odd."""


@MADE
def test_an_end_within_400_days_is_told_and_a_later_one_is_none(made: int) -> None:
    """R10. Counted from the instant asked about, so that it does not matter who asks which table."""
    for seconds, seen in ((400 * DAY - 1, True), (400 * DAY, False), (410 * DAY, False), (2000 * DAY, False)):
        end = NOW + seconds
        document: Document = {"overrides": [{"kind": "rest", "start": "2026-01-01T00:00Z", "end": _instant(end)}]}
        assert compile_table(parse(document), made).at(NOW) == Rest(True, end if seen else None, None)


@MADE
def test_a_start_within_400_days_is_told_and_a_later_one_is_none(made: int) -> None:
    for seconds, seen in ((400 * DAY - 1, True), (400 * DAY, False), (410 * DAY, False), (2000 * DAY, False)):
        start = NOW + seconds
        document: Document = {
            "windows": [{"kind": "once", "start": _instant(start), "end": _instant(start + DAY)}],
        }
        assert compile_table(parse(document), made).at(NOW) == Rest(False, None, start if seen else None)


@pytest.mark.parametrize(
    "name",
    # Days that begin late, because the clock changes at midnight, are days without a hole, too.
    [
        "Europe/Berlin",
        "UTC",
        "Africa/Cairo",
        "America/Havana",
        "America/Santiago",
        "Asia/Beirut",
        "Australia/Lord_Howe",
    ],
)
def test_day_after_day_of_rest_is_a_rest_without_end(name: str) -> None:
    """R10, R8: through both clock changes, and whoever asks when."""
    document: Document = {"timezone": name, "windows": [NIGHT | {"start": "0 0 * * *", "duration_minutes": 1440}]}
    table = compile_table(parse(document), NOW)
    for day in range(-20, 400, 19):
        assert table.at(NOW + day * DAY) == Rest(True, None, None)
    assert state(document, datetime.fromtimestamp(NOW, UTC)).until is None


def test_a_rest_without_end_ends_where_the_officer_is_on_call() -> None:
    """R9: what is waiting goes out there, even 300 days away."""
    called = NOW + 300 * DAY
    document: Document = {
        "windows": [NIGHT | {"start": "0 0 * * *", "duration_minutes": 1440}],
        "overrides": [{"kind": "reachable", "start": _instant(called), "end": _instant(called + 3600)}],
    }
    for made in (NOW, NOW - 7 * DAY):
        table = compile_table(parse(document), made)
        assert table.at(NOW) == Rest(True, called, None)
        assert table.at(called) == Rest(False, None, called + 3600)
        assert table.at(called + 3600) == Rest(True, None, None)


def test_one_reachable_minute_a_year_is_the_end_of_a_rest() -> None:
    """366 days of it in the leap year 2028, seen from the other side of New Year."""
    document: Document = {
        "timezone": "UTC",
        "windows": [
            {"kind": "cron", "start": "1 0 1 1 *", "duration_minutes": 20_160},
            *({"kind": "cron", "start": f"0 0 {day} * *", "duration_minutes": 20_160} for day in (10, 20, 28)),
            {"kind": "cron", "start": "0 0 * 2-12 *", "duration_minutes": 1440},
            {"kind": "cron", "start": "0 0 11-31 1 *", "duration_minutes": 1440},
        ],
        "overrides": [
            {"kind": "reachable", "start": f"{year}-01-01T00:00", "end": f"{year}-01-01T00:01"} for year in (2028, 2029)
        ],
    }
    until, after = utc("2029-01-01T00:00"), utc("2028-01-01T00:01")
    assert at(document, after) == Rest(True, until, None)
    assert at(document, after - 1) == Rest(False, None, after)
    assert compile_table(parse(document), after - 30 * DAY).at(after) == Rest(True, until, None)


def test_a_window_of_fourteen_days_is_remembered_to_its_last_second() -> None:
    """The longest there is: a table made on its last day must know its first."""
    document: Document = {
        "timezone": "Europe/Berlin",
        "windows": [{"kind": "cron", "start": "30 23 5 10 *", "duration_minutes": 20_160}],
    }
    start, end = utc("2026-10-05T21:30"), utc("2026-10-19T21:30")
    for made in (start, end - 1, end - 5 * DAY, end + DAY, start - DAY):
        table = compile_table(parse(document), made)
        assert table.at(start - 1) == Rest(False, None, start)
        assert table.at(start) == table.at(end - 1) == Rest(True, end, None)
        assert not table.at(end).resting
        assert table.reasons(end - 1) == ("windows[0]",)
        assert table.reasons(end) == ()


def test_fourteen_days_over_the_clock_change_are_fourteen_days_on_the_wall() -> None:
    document: Document = {
        "timezone": "Europe/Berlin",
        "windows": [{"kind": "cron", "start": "0 6 17 10 *", "duration_minutes": 20_160}],
    }
    assert at(document, utc("2026-10-20T00:00")) == Rest(True, utc("2026-10-31T05:00"), None)


@pytest.mark.parametrize(
    ("text", "now", "start"),
    [
        ("0 0 29 * *", "2027-01-30T00:00", "2027-03-29T00:00"),
        ("0 0 29 * *", "2028-01-30T00:00", "2028-02-29T00:00"),
        ("0 0 29 * *", "2100-01-30T00:00", "2100-03-29T00:00"),
        ("0 0 31 * *", "2026-04-01T00:00", "2026-05-31T00:00"),
        ("0 0 1 1 *", "2027-01-02T00:00", "2028-01-01T00:00"),
        ("0 0 1 1 *", "2028-01-02T00:00", "2029-01-01T00:00"),
        ("0 0 28,29 2 *", "2028-02-29T00:00", "2029-02-28T00:00"),
    ],
)
def test_the_next_rest_knows_the_calendar(text: str, now: str, start: str) -> None:
    document: Document = {"timezone": "UTC", "windows": [{"kind": "cron", "start": text, "duration_minutes": 1}]}
    assert at(document, utc(now) + 60).next_start == utc(start)


# Life of a table.


def test_a_table_says_when_it_should_be_made_anew() -> None:
    """While there is still a week of horizon left."""
    table = compile_table(parse({"windows": [NIGHT]}), NOW)
    assert isinstance(table, RestTable)
    assert table.stale_at == NOW + 7 * DAY


def test_rules_that_say_nothing_need_no_table() -> None:
    table = compile_table(parse({}), NOW)
    assert isinstance(table, NoRest)
    assert table.stale_at == float("inf")
    assert table.at(NOW) == Rest(False, None, None)
    assert table.reasons(NOW) == ()


def test_fractions_of_a_second_are_floored() -> None:
    """R1."""
    table = compile_table(parse({"windows": [NIGHT]}), NOW + 0.75)
    end = utc("2026-11-25T05:00")
    assert table.at(end - 0.001) == Rest(True, end, None)
    assert not table.at(end + 0.0).resting
    midnight: Document = {"timezone": "UTC", "windows": [NIGHT | {"start": "0 0 * * *"}]}
    assert compile_table(parse(midnight), -0.5).at(-0.5) == Rest(False, None, 0)


def test_people_with_the_same_windows_do_not_see_each_others_overrides() -> None:
    """The recurring part is shared: what is merged on top must stay on top."""
    leave: Entry = {"kind": "rest", "start": "2026-11-24T00:00", "end": "2026-12-01T00:00"}
    called: Entry = {"kind": "reachable", "start": "2026-11-24T18:00", "end": "2026-11-25T18:00"}
    plain: Document = {"windows": [NIGHT]}
    alone = at(plain, NOW)
    for override in (leave, called):
        at(plain | {"overrides": [override]}, NOW)
        assert at(plain, NOW) == alone == Rest(False, None, utc("2026-11-24T21:00"))
        assert not at(plain, utc("2026-11-25T12:00")).resting
        assert at(plain, utc("2026-11-25T02:00")).resting


def test_people_with_the_same_windows_in_other_zones_rest_at_other_times() -> None:
    """Asked in turn, so that a table kept under too small a key would show."""
    for _ in range(2):
        for name, opened in (("Europe/Berlin", "21:00"), ("UTC", "22:00"), ("Asia/Kathmandu", "16:15")):
            document: Document = {"timezone": name, "windows": [NIGHT]}
            assert at(document, NOW).next_start == utc(f"2026-11-24T{opened}")


def test_the_fullest_document_is_answered() -> None:
    """30 windows and 50 overrides, each cutting."""
    first = utc("2026-11-24T00:10")
    document: Document = {
        "timezone": "UTC",
        "windows": [window(minute * 48, 24, "* * *") for minute in range(30)],
        "overrides": [
            {"kind": "reachable", "start": _instant(first + n * DAY), "end": _instant(first + n * DAY + 240)}
            for n in range(50)
        ],
    }
    table = compile_table(parse(document), NOW)
    for n in (0, 1, 13, 14, 15, 49):
        midnight = utc("2026-11-24T00:00") + n * DAY
        edges = [midnight, midnight + 600, midnight + 840, midnight + 1440]
        assert [table.at(edge).resting for edge in edges] == [True, False, True, False]
        assert table.at(midnight).until == midnight + 600
        assert table.at(midnight + 600).next_start == midnight + 840


def test_places_are_what_they_claim() -> None:
    """The documents are only as good as the changes they turn around."""
    changes = {str(place) for place in PLACES}
    assert {"Europe/Berlin 2026-03-29T01:00Z", "Europe/Berlin 2026-10-25T01:00Z"} <= changes
    assert {"America/New_York 2026-03-08T07:00Z", "Australia/Lord_Howe 2026-10-03T15:30Z"} <= changes
    assert sum(place.walls()[0] != place.walls()[1] for place in PLACES) >= 12
