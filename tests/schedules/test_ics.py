"""The calendar of an officer's rests: exact to the second, and a label is never anything but a label."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schedules import Rest, compile_table, parse
from schedules.ics import export
from schedules.intervals import Interval
from tests.schedules.documents import DAY, PLACES, Document, Entry, Place, documents, examples, instants, places
from tests.schedules.second_evaluator import paint, row

NIGHT: Entry = {"kind": "weekly", "start": "22:00", "end": "06:00"}
FREE: Entry = {"kind": "weekly", "start": "06:00", "end": "22:00", "days": [6, 7], "rest": "free"}
LEAVE: Entry = {"kind": "dates", "from": "2026-12-21", "to": "2027-01-03"}


def utc(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


NOW = utc("2026-03-28T12:00")
"""A Saturday. In the night that follows, the clock changes in Berlin."""


# --- a reader of our own


@dataclass(frozen=True, slots=True)
class Calendar:
    properties: dict[str, str]
    events: list[dict[str, str]]

    def intervals(self) -> list[Interval]:
        return [(_instant(event["DTSTART"]), _instant(event["DTEND"])) for event in self.events]

    def uids(self) -> dict[Interval, str]:
        return dict(zip(self.intervals(), (event["UID"] for event in self.events), strict=True))


def _instant(text: str) -> int:
    assert re.fullmatch(r"\d{8}T\d{6}Z", text, re.ASCII)
    return int(datetime.strptime(text, "%Y%m%dT%H%M%S%z").timestamp())


def lines(text: str) -> Iterator[str]:
    """The lines of the text, unfolded; each physical line is checked first."""
    octets = text.encode()
    assert octets.endswith(b"\r\n")
    for physical in octets.removesuffix(b"\r\n").split(b"\r\n"):
        assert len(physical) <= 75
        assert not re.search(rb"[\x00-\x1f\x7f]", physical)
        physical.decode()
    for line in octets.replace(b"\r\n ", b"").removesuffix(b"\r\n").split(b"\r\n"):
        # No reader may see another line's end in it, not even one that goes by Unicode.
        assert len(line.decode().splitlines()) == 1
        yield line.decode()


def read(text: str) -> Calendar:
    calendar = Calendar({}, [])
    place: dict[str, str] | None = None
    for line in lines(text):
        name, _, value = line.partition(":")
        assert re.fullmatch(r"[A-Z-]+", name)
        if (name, value) == ("BEGIN", "VCALENDAR"):
            assert place is None
            place = calendar.properties
        elif (name, value) == ("BEGIN", "VEVENT"):
            assert place is calendar.properties
            place = {}
        elif (name, value) == ("END", "VEVENT"):
            assert place is not None
            assert list(place) == ["UID", "DTSTAMP", "DTSTART", "DTEND", "SUMMARY", "CLASS", "TRANSP"]
            calendar.events.append(place)
            place = calendar.properties
        elif (name, value) == ("END", "VCALENDAR"):
            assert place is calendar.properties
            place = None
        else:
            assert name not in ("BEGIN", "END")
            assert place is not None
            assert name not in place
            place[name] = value
    assert place is None
    assert list(calendar.properties) == ["VERSION", "PRODID", "CALSCALE", "NAME", "X-WR-CALNAME"]
    return calendar


def unescaped(value: str) -> str:
    """Of a TEXT; what is not escaped as it should be is an error."""
    assert re.fullmatch(r"(?:[^\\,;]|\\[\\,;n])*", value)
    return re.sub(r"\\(.)", lambda match: "\n" if match[1] == "n" else match[1], value)


def summaries(document: Document, now: float = NOW, days: int = 1, language: str = "de") -> list[str]:
    events = read(export(parse(document), now, days, language=language)).events
    return [unescaped(event["SUMMARY"]) for event in events]


# --- by hand

UIDS = ("77b78a9d-e1cc-522b-a9d7-afa98f97d59e", "20b1558c-3480-5e2b-b9d1-24fda91fa6b1")
"""Written down: they must not change from one version to the next, or calendars would show every rest twice."""


def event(uid: str, stamp: str, start: str, end: str, summary: str) -> str:
    return (
        f"BEGIN:VEVENT\r\nUID:{uid}\r\nDTSTAMP:{stamp}\r\nDTSTART:{start}\r\nDTEND:{end}\r\nSUMMARY:{summary}\r\n"
        "CLASS:PRIVATE\r\nTRANSP:TRANSPARENT\r\nEND:VEVENT\r\n"
    )


def test_the_text_of_two_nights_in_spring() -> None:
    """From Saturday 22:00, winter time, until Sunday 06:00, summer time: seven hours; the next night has eight."""
    document: Document = {"windows": [NIGHT, LEAVE]}
    assert export(parse(document), NOW + 0.9, 2, name="Ruhe, A;B") == (
        "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//Feierabend//schedules//EN\r\nCALSCALE:GREGORIAN\r\n"
        "NAME:Ruhe\\, A\\;B\r\nX-WR-CALNAME:Ruhe\\, A\\;B\r\n"
        + event(UIDS[0], "20260328T120000Z", "20260328T210000Z", "20260329T040000Z", "Ruhe: Nachtruhe")
        + event(UIDS[1], "20260328T120000Z", "20260329T200000Z", "20260330T040000Z", "Ruhe: Nachtruhe")
        + "END:VCALENDAR\r\n"
    )


def test_ninety_days_of_a_calendar_called_feierabend_unless_it_is_said() -> None:
    rules = parse({"windows": [NIGHT]})
    assert export(rules, NOW) == export(rules, NOW, 90, language="de", name="Feierabend")


def test_a_line_has_75_octets_and_is_not_cut_within_a_character() -> None:
    """The blank that begins the next line is one of its octets; "SUMMARY:Ruhe: " is fourteen."""

    def physical(label: str) -> list[str]:
        text = export(parse({"windows": [NIGHT | {"label": label}]}), NOW, 1)
        return text.partition("SUMMARY:Ruhe: ")[2].partition("\r\nCLASS")[0].split("\r\n")

    assert physical("x" * 61) == ["x" * 61]
    assert physical("x" * 62) == ["x" * 61, " x"]
    assert physical("x" * 136) == ["x" * 61, " " + "x" * 74, " x"]
    assert physical("ä" * 68) == ["ä" * 30, " " + "ä" * 37, " ä"]
    assert physical("\U0001f634" * 34) == ["\U0001f634" * 15, " " + "\U0001f634" * 18, " \U0001f634"]


def test_the_night_in_autumn_has_nine_hours() -> None:
    calendar = read(export(parse({"windows": [NIGHT]}), utc("2026-10-24T12:00"), 2))
    assert [(event["DTSTART"], event["DTEND"]) for event in calendar.events] == [
        ("20261024T200000Z", "20261025T050000Z"),
        ("20261025T210000Z", "20261026T050000Z"),
    ]


def test_an_edge_in_the_hour_that_is_skipped_or_repeated_is_read_by_r3_and_r4() -> None:
    window: Entry = {"kind": "weekly", "start": "01:00", "end": "02:30"}
    for now, start, end in (
        ("2026-03-28T12:00", "20260329T000000Z", "20260329T010000Z"),
        ("2026-10-24T12:00", "20261024T230000Z", "20261025T013000Z"),
    ):
        (rest,) = read(export(parse({"windows": [window]}), utc(now), 1)).events
        assert (rest["DTSTART"], rest["DTEND"]) == (start, end)


def test_rests_at_the_edges_are_cut_there() -> None:
    """From the start of now's second until so many days later; a rest that only touches them is not shown."""
    night = parse({"timezone": "UTC", "windows": [NIGHT]})

    def shown(now: str) -> list[Interval]:
        return read(export(night, utc(now) + 0.5, 1)).intervals()

    assert shown("2026-05-01T23:00:07") == [
        (utc("2026-05-01T23:00:07"), utc("2026-05-02T06:00")),
        (utc("2026-05-02T22:00"), utc("2026-05-02T23:00:07")),
    ]
    assert shown("2026-05-01T22:00") == [(utc("2026-05-01T22:00"), utc("2026-05-02T06:00"))]
    assert shown("2026-05-01T06:00") == [(utc("2026-05-01T22:00"), utc("2026-05-02T06:00"))]


@pytest.mark.parametrize("days", [1, 90, 400])
def test_a_rest_without_end_is_cut_at_the_horizon(days: int) -> None:
    endless: Document = {"windows": [{"kind": "cron", "start": "0 0 * * *", "duration_minutes": 1440}]}
    assert read(export(parse(endless), NOW, days)).intervals() == [(NOW, NOW + days * DAY)]


def test_without_rest_there_is_no_event() -> None:
    past: Document = {"windows": [LEAVE]}
    for document, now in (({}, NOW), ({"devices": {"phone": {"wake": "never"}}}, NOW), (past, utc("2027-01-03T23:00"))):
        assert read(export(parse(document), now)).events == []


def test_a_rest_far_ahead_is_found() -> None:
    leave = (utc("2026-12-20T23:00"), utc("2027-01-03T23:00"))
    assert read(export(parse({"windows": [LEAVE]}), NOW, 400)).intervals() == [leave]
    assert read(export(parse({"windows": [LEAVE]}), NOW)).intervals() == []


def test_a_time_on_call_is_no_rest() -> None:
    """It may part one: here an hour of the night in which the clock changes."""
    on_call: Entry = {"kind": "reachable", "start": "2026-03-28T23:00Z", "end": "2026-03-29T00:00Z"}
    calendar = read(export(parse({"windows": [NIGHT], "overrides": [on_call]}), NOW, 1))
    assert [(event["DTSTART"], event["DTEND"]) for event in calendar.events] == [
        ("20260328T210000Z", "20260328T230000Z"),
        ("20260329T000000Z", "20260329T040000Z"),
    ]
    only_some = on_call | {"classes": ["alarm"]}
    assert len(read(export(parse({"windows": [NIGHT], "overrides": [only_some]}), NOW, 1)).events) == 1


# --- SUMMARY


@pytest.mark.parametrize(
    ("rest", "german", "english"),
    [
        ("night", "Nachtruhe", "night rest"),
        ("free", "dienstfreie Zeit", "free time"),
        ("leave", "Urlaub", "leave"),
        ("sick", "Krankheit", "sick leave"),
    ],
)
def test_a_window_without_a_label_is_called_by_its_kind(rest: str, german: str, english: str) -> None:
    document: Document = {"windows": [NIGHT | {"rest": rest}]}
    assert summaries(document) == [f"Ruhe: {german}"]
    assert summaries(document, language="en") == [f"Rest: {english}"]


def test_an_override_without_a_label_is_called_feierabend() -> None:
    document: Document = {"overrides": [{"kind": "rest", "start": "2026-03-28T18:00", "end": "2026-03-28T20:00"}]}
    assert summaries(document) == ["Ruhe: Feierabend"]
    assert summaries(document, language="en") == ["Rest: off duty now"]


def test_the_rules_that_hold_at_the_start_are_named_once_each_and_in_order() -> None:
    late: Entry = {"kind": "weekly", "start": "23:00", "end": "06:00", "label": "late"}
    now: Entry = {"kind": "rest", "start": "2026-03-28T22:00", "end": "2026-03-28T23:00", "label": "Training"}
    windows = [NIGHT | {"label": "N"}, late, NIGHT, NIGHT | {"label": "N", "rest": "free"}, NIGHT | {"label": "A, B"}]
    assert summaries({"windows": windows, "overrides": [now]}) == ["Ruhe: N, Nachtruhe, A, B, Training"]


@pytest.mark.parametrize(
    ("label", "said"),
    [
        ("plain", "plain"),
        ("  plain ", "plain"),
        ("a\nb", "a\nb"),
        ("a\r\nb", "a\nb"),
        ("a\rb", "a\nb"),
        ("a\u2028b\x85c\x0bd\x1ce", "a\nb\nc\nd\ne"),
        ("a\tb", "a b"),
        ("a\0b\x1b[31mc\x7fd\x9be", "ab[31mcde"),
        ("\ud800a\udfff", "a"),
        (r"a\nb;c,d\\", r"a\nb;c,d\\"),
        ("\r\nEND:VEVENT\r\nBEGIN:VEVENT", "END:VEVENT\nBEGIN:VEVENT"),
        ("\U0001f469‍\U0001f692 Nächte", "\U0001f469‍\U0001f692 Nächte"),
        ("", "Nachtruhe"),
        (" \0\r\n\t", "Nachtruhe"),
    ],
)
def test_a_label_is_only_ever_a_label(label: str, said: str) -> None:
    assert summaries({"windows": [NIGHT | {"label": label}]}) == [f"Ruhe: {said}"]
    calendar = read(export(parse({}), NOW, name=label))
    assert unescaped(calendar.properties["NAME"]) == ("" if said == "Nachtruhe" else said)
    assert calendar.properties["NAME"] == calendar.properties["X-WR-CALNAME"]


@pytest.mark.parametrize("language", ["", "fr", "DE", "de-DE", "Kanarienvogel"])
def test_only_german_and_english_are_spoken(language: str) -> None:
    with pytest.raises(ValueError, match="language must be de or en") as caught:
        export(parse({}), NOW, language=language)
    assert "Kanarien" not in str(caught.value)


@pytest.mark.parametrize("days", [-1, 0, 401])
def test_no_more_days_than_a_table_sees(days: int) -> None:
    with pytest.raises(ValueError, match="days must be from 1 to 400"):
        export(parse({}), NOW, days)


# --- UID


def uids(document: Document, now: int, days: int = 30, language: str = "de") -> dict[Interval, str]:
    return read(export(parse(document), now, days, language=language)).uids()


def test_a_rest_has_the_same_uid_in_every_export() -> None:
    """Also when it is under way, cut at the horizon, or told in another language; and no other rest has it."""
    document: Document = {"windows": [NIGHT | {"label": "N"}, FREE, LEAVE]}
    rules = parse(document)
    known: dict[int, str] = {}
    for now in range(utc("2026-12-01T00:00"), utc("2027-01-12T00:00"), 19 * 3600 + 11):
        for days, language in ((45, "de"), (3, "en")):
            for (_, end), uid in uids(document, now, days, language).items():
                until = compile_table(rules, end - 1).at(end - 1).until
                assert until is not None
                assert known.setdefault(until, uid) == uid
    assert len(set(known.values())) == len(known) > 30


def test_other_rests_have_other_uids() -> None:
    """Also if only the start, or only the end, is another."""
    starts = [NIGHT | {"start": start} for start in ("21:00", "22:00", "22:01")]
    ends = [NIGHT | {"end": end} for end in ("05:00", "06:01")]
    found = [uid for entry in starts + ends for uid in uids({"windows": [entry]}, NOW, 3).values()]
    assert len(set(found)) == len(found) == 15


def test_a_uid_tells_nothing_of_a_person_but_when_they_rest() -> None:
    labelled: Document = {"windows": [NIGHT | {"label": "Frau Muster", "id": "4711", "rest": "sick"}]}
    assert uids(labelled, NOW) == uids({"windows": [NIGHT]}, NOW)
    for uid in uids(labelled, NOW).values():
        assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", uid)


def test_a_rest_of_many_months_keeps_its_uid_until_its_end() -> None:
    """Its start is out of sight when its end comes into sight."""
    years: Entry = {"kind": "dates", "from": "2025-01-01", "to": "2027-12-31"}
    endless, first, last = (
        list(uids({"windows": [years]}, utc(now)).values())
        for now in ("2026-03-01T00:00", "2027-01-01T00:00", "2027-12-30T00:00")
    )
    assert first == last != endless
    assert list(uids({"windows": [years]}, utc("2025-02-01T00:00")).values()) == endless


# --- properties

LABELS = st.one_of(
    st.text(max_size=200),
    st.text("äöüßÄ€\U0001f634\U0001f469‍\U0001f692,;\\\n\r\u2028 x", max_size=200),
    st.sampled_from(("\r\nBEGIN:VEVENT\r\n" * 10, "\nEND:VCALENDAR", "ä" * 200, "\U0001f634" * 200, "\\" * 200)),
)


def visible(text: str) -> str:
    return "".join(sign for sign in text if not sign.isspace() and unicodedata.category(sign) not in ("Cc", "Cs"))


@examples(1)
@given(LABELS, LABELS, st.sampled_from((("de", "Ruhe", "Nachtruhe"), ("en", "Rest", "night rest"))))
def test_whatever_a_label_holds_the_text_stays_whole(one: str, other: str, words: tuple[str, str, str]) -> None:
    """`read` refuses long lines, halves of characters, lines of no property, and events in events."""
    language, rest, night = words
    document: Document = {"windows": [NIGHT | {"label": one}, NIGHT | {"label": other}]}
    calendar = read(export(parse(document), NOW, 3, language=language, name=other))
    assert calendar.uids() == uids({"windows": [NIGHT]}, NOW, 3)
    said = [visible(label) or visible(night) for label in (one, other)]
    for event in calendar.events:
        summary = visible(unescaped(event["SUMMARY"]))
        assert summary == f"{rest}:{','.join(said)}" or (said[0] == said[1] and summary == f"{rest}:{said[0]}")


@pytest.fixture(scope="module", params=[PLACES[0], PLACES[1], PLACES[5], PLACES[11]], ids=str)
def place(request: pytest.FixtureRequest) -> Place:
    assert isinstance(request.param, Place)
    return request.param


@examples(0.3)
@given(data=st.data(), days=st.integers(1, 5))
def test_the_events_are_the_rests_of_the_second_evaluator(place: Place, data: st.DataObject, days: int) -> None:
    """Runs of painted minutes, cut where the export is."""
    document, now = data.draw(documents(place)), data.draw(instants(place))
    first = place.change - 6 * DAY
    painted = paint(document, row(place.zone, first // 60, 16 * DAY // 60)).rest
    runs = [(first + run.start() * 60, first + run.end() * 60) for run in re.finditer(rb"\x01+", painted)]
    expected = [(max(start, now), min(end, now + days * DAY)) for start, end in runs]
    found = read(export(parse(document), now, days)).intervals()
    assert found == [(start, end) for start, end in expected if start < end]


@examples(0.4)
@given(places().flatmap(lambda place: st.tuples(documents(place), instants(place))), st.sampled_from((1, 30, 90)))
def test_the_events_are_what_the_table_says(case: tuple[Document, int], days: int) -> None:
    """Within the horizon, apart from each other, at rest within and reachable beside."""
    document, now = case
    rules, horizon = parse(document), now + days * DAY
    events = read(export(rules, now, days)).intervals()

    def at(second: int) -> Rest:
        return compile_table(rules, second).at(second)

    assert all(now <= start < end <= horizon for start, end in events)
    assert all(before[1] < after[0] for before, after in pairwise(events))
    for start, end in events[:4] + events[-4:]:
        assert at(start).resting
        assert at(end - 1).resting
        assert end == horizon or at(start).until == end
        assert start == now or not at(start - 1).resting
    following = at(events[-1][1]) if events else at(now)
    assert following.resting or following.next_start is None or following.next_start >= horizon
