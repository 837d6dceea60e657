"""Words for rest: every form of the sentence, hand-checked days around clock changes, and agreement with the table."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schedules import compile_table, parse
from schedules.explain import Stretch, day_lines, lines, moment, phases, preview, sentence, stamp
from schedules.walltime import zone
from tests.schedules.documents import DAY, Case, Document, Entry, Place, cases, examples, places
from tests.schedules.second_evaluator import shown

NIGHT: Entry = {"kind": "weekly", "start": "22:00", "end": "06:00"}
ALWAYS: Entry = {"kind": "weekly", "start": "00:00", "end": "24:00"}
NOON = "2026-11-24T12:00+01:00"
"""A Tuesday."""
CASES = places().flatmap(lambda place: st.tuples(st.just(place), cases(place)))


def at(text: str) -> int:
    moment = datetime.fromisoformat(text)
    assert moment.tzinfo is not None
    return int(moment.timestamp())


def off(first: str, last: str, **more: object) -> Entry:
    return {"kind": "dates", "from": first, "to": last, **more}


def override(kind: str, start: str, end: str, **more: object) -> Entry:
    return {"kind": kind, "start": start, "end": end, **more}


def rest(*windows: Entry, overrides: tuple[Entry, ...] = (), timezone: str = "Europe/Berlin") -> Document:
    return {"timezone": timezone, "windows": [*windows], "overrides": [*overrides]}


def sentences(document: Document, now: float) -> tuple[str, str]:
    rules = parse(document)
    table = compile_table(rules, now)
    german, english = (sentence(rules, table, now, language) for language in ("de", "en"))
    return german, english


def told(document: Document, now: str, days: int, language: str = "de") -> list[str]:
    rules = parse(document)
    return lines(rules, compile_table(rules, at(now)), at(now), days, language)


def stretches(document: Document, now: str, days: int, language: str = "de") -> list[Stretch]:
    rules = parse(document)
    return preview(rules, compile_table(rules, at(now)), at(now), days, language)


# --- the sentence


@pytest.mark.parametrize(
    ("document", "now", "german", "english"),
    [
        (
            rest(NIGHT), "2026-11-24T02:00+01:00",
            "Ruhe bis heute 06:00 wegen: Nachtruhe", "Rest until today 06:00 because of: night rest",
        ),
        (
            rest(NIGHT), "2026-11-24T22:00+01:00",
            "Ruhe bis morgen 06:00 wegen: Nachtruhe", "Rest until tomorrow 06:00 because of: night rest",
        ),
        (rest(NIGHT), NOON, "Erreichbar, nächste Ruhe heute 22:00", "Reachable, next rest today 22:00"),
        (
            rest(NIGHT), "2026-11-24T06:00+01:00",
            "Erreichbar, nächste Ruhe heute 22:00", "Reachable, next rest today 22:00",
        ),
        (
            rest(off("2026-11-25", "2026-11-25")), NOON,
            "Erreichbar, nächste Ruhe morgen 00:00", "Reachable, next rest tomorrow 00:00",
        ),
        (
            rest(off("2026-11-24", "2026-11-25")), NOON,
            "Ruhe bis Do 00:00 wegen: Urlaub", "Rest until Thu 00:00 because of: leave",
        ),
        (
            rest(off("2026-11-24", "2026-11-29")), NOON,
            "Ruhe bis Mo 00:00 wegen: Urlaub", "Rest until Mon 00:00 because of: leave",
        ),
        (
            rest(off("2026-11-24", "2026-11-30")), NOON,
            "Ruhe bis Di 1.12. 00:00 wegen: Urlaub", "Rest until Tue 1 Dec 00:00 because of: leave",
        ),
        (
            rest(off("2026-11-24", "2027-11-22")), NOON,
            "Ruhe bis Di 23.11. 00:00 wegen: Urlaub", "Rest until Tue 23 Nov 00:00 because of: leave",
        ),
        (
            rest(off("2026-11-24", "2027-11-23")), NOON,
            "Ruhe bis Mi 24.11.2027 00:00 wegen: Urlaub", "Rest until Wed 24 Nov 2027 00:00 because of: leave",
        ),
        (rest(ALWAYS), NOON, "Ruhe ohne Ende wegen: Nachtruhe", "Rest without end because of: night rest"),
        (rest(), NOON, "Erreichbar", "Reachable"),
        (rest(off("2026-01-01", "2026-01-01")), NOON, "Erreichbar", "Reachable"),
        (
            rest(NIGHT, timezone="America/New_York"), NOON,
            "Erreichbar, nächste Ruhe heute 22:00", "Reachable, next rest today 22:00",
        ),
        (
            rest(NIGHT, timezone="Asia/Tokyo"), "2026-11-24T18:00Z",
            "Ruhe bis heute 06:00 wegen: Nachtruhe", "Rest until today 06:00 because of: night rest",
        ),
    ],
)  # fmt: skip
def test_the_sentence_says_until_when_and_why(document: Document, now: str, german: str, english: str) -> None:
    assert sentences(document, at(now)) == (german, english)


ON_CALL = {"label": "Rufbereitschaft"}


@pytest.mark.parametrize(
    ("windows", "overrides", "german", "english"),
    [
        (  # The rest goes on where the override ends.
            (NIGHT,), (override("reachable", "2026-11-24T18:00", "2026-11-25T02:00", **ON_CALL),),
            "Erreichbar bis morgen 02:00 wegen: Rufbereitschaft",
            "Reachable until tomorrow 02:00 because of: Rufbereitschaft",
        ),
        (
            (NIGHT,), (override("reachable", "2026-11-24T18:00", "2026-11-25T02:00"),),
            "Erreichbar bis morgen 02:00 trotz Ruhe", "Reachable until tomorrow 02:00 despite rest",
        ),
        (  # Once it is over, they are reachable without it.
            (NIGHT,), (override("reachable", "2026-11-24T18:00", "2026-11-25T07:00", **ON_CALL),),
            "Erreichbar wegen: Rufbereitschaft; nächste Ruhe morgen 22:00",
            "Reachable because of: Rufbereitschaft; next rest tomorrow 22:00",
        ),
        (
            (NIGHT,), (override("reachable", "2026-11-24T23:00", "2026-11-25T06:00"),),
            "Erreichbar trotz Ruhe; nächste Ruhe morgen 22:00", "Reachable despite rest; next rest tomorrow 22:00",
        ),
        (
            (off("2026-11-24", "2026-11-25"),), (override("reachable", "2026-11-24T18:00", "2026-11-26T00:00"),),
            "Erreichbar trotz Ruhe", "Reachable despite rest",
        ),
        (
            (off("2026-11-24", "2026-11-25"),),
            (override("reachable", "2026-11-24T18:00", "2026-11-26T00:00", **ON_CALL),),
            "Erreichbar wegen: Rufbereitschaft", "Reachable because of: Rufbereitschaft",
        ),
        (  # One override takes over from another.
            (ALWAYS,),
            (
                override("reachable", "2026-11-25T01:00", "2026-11-25T05:00", label="B"),
                override("reachable", "2026-11-24T18:00", "2026-11-25T01:30", label="A"),
            ),
            "Erreichbar bis morgen 05:00 wegen: A, B", "Reachable until tomorrow 05:00 because of: A, B",
        ),
        (  # A label says more than none.
            (ALWAYS,),
            (
                override("reachable", "2026-11-24T18:00", "2026-11-25T05:00"),
                override("reachable", "2026-11-24T18:00", "2026-11-25T04:00", **ON_CALL),
            ),
            "Erreichbar bis morgen 05:00 wegen: Rufbereitschaft",
            "Reachable until tomorrow 05:00 because of: Rufbereitschaft",
        ),
        (  # Nothing to lift.
            (off("2026-11-26", "2026-11-26"),),
            (override("reachable", "2026-11-24T18:00", "2026-11-25T02:00", **ON_CALL),),
            "Erreichbar, nächste Ruhe Do 00:00", "Reachable, next rest Thu 00:00",
        ),
        (  # Not for everything.
            (NIGHT,), (override("reachable", "2026-11-24T18:00", "2026-11-25T02:00", classes=["roster"]),),
            "Ruhe bis morgen 06:00 wegen: Nachtruhe", "Rest until tomorrow 06:00 because of: night rest",
        ),
        (  # What is lifted may be an override too.
            (), (
                override("rest", "2026-11-24T18:00", "2026-11-25T07:00"),
                override("reachable", "2026-11-24T23:00", "2026-11-25T02:00"),
            ),
            "Erreichbar bis morgen 02:00 trotz Ruhe", "Reachable until tomorrow 02:00 despite rest",
        ),
        (  # But not one for a single class.
            (), (
                override("rest", "2026-11-24T18:00", "2026-11-25T07:00", classes=["roster"]),
                override("reachable", "2026-11-24T23:00", "2026-11-25T02:00"),
            ),
            "Erreichbar", "Reachable",
        ),
    ],
)  # fmt: skip
def test_an_override_that_lifts_a_rest_is_named(
    windows: tuple[Entry, ...], overrides: tuple[Entry, ...], german: str, english: str
) -> None:
    """ "Until" names an instant at which rest really begins, and the cause holds until then."""
    assert sentences(rest(*windows, overrides=overrides), at("2026-11-24T23:30+01:00")) == (german, english)


@pytest.mark.parametrize(
    ("document", "german", "english"),
    [
        (rest({**NIGHT, "rest": "free"}), "dienstfreie Zeit", "free time"),
        (rest({**NIGHT, "rest": "leave"}), "Urlaub", "leave"),
        (rest({**NIGHT, "rest": "sick"}), "Krankheit", "sick leave"),
        (rest({"kind": "once", "start": "2026-11-24T00:00", "end": "2026-11-26T00:00"}), "Urlaub", "leave"),
        (rest(overrides=(override("rest", "2026-11-24T18:00", "2026-11-25T06:00"),)), "Feierabend", "off duty now"),
        (rest({**NIGHT, "label": "Schlaf"}), "Schlaf", "Schlaf"),
        (rest({**NIGHT, "label": " \t\n"}), "Nachtruhe", "night rest"),
        (rest({**NIGHT, "label": "a\nb\x1b[2Jc \ud800 {at}"}), "a b [2Jc {at}", "a b [2Jc {at}"),
        # Each word once, in the order of the document.
        (rest(NIGHT, {**NIGHT, "start": "21:00"}), "Nachtruhe", "night rest"),
        (rest({**NIGHT, "label": "Nachtruhe"}, NIGHT), "Nachtruhe", "Nachtruhe, night rest"),
        (rest(off("2026-11-24", "2026-11-24", label="Kur"), NIGHT), "Kur, Nachtruhe", "Kur, night rest"),
        # What carries the rest to its end is named, and what lies inside is not.
        (rest(NIGHT, off("2026-11-25", "2026-11-27")), "Nachtruhe, Urlaub", "night rest, leave"),
        (rest(off("2026-11-24", "2026-11-24"), {**NIGHT, "start": "00:00"}), "Urlaub, Nachtruhe", "leave, night rest"),
        (rest(NIGHT, {**ALWAYS, "rest": "free"}), "Nachtruhe, dienstfreie Zeit", "night rest, free time"),
        (rest({**ALWAYS, "rest": "free"}, off("2026-12-01", "2026-12-24")), "dienstfreie Zeit", "free time"),
    ],
)
def test_reasons_are_labels_and_else_kinds(document: Document, german: str, english: str) -> None:
    """At half past ten in the evening."""
    told_german, told_english = sentences(document, at("2026-11-24T22:30+01:00"))
    assert told_german.partition(" wegen: ")[2] == german
    assert told_english.partition(" because of: ")[2] == english


def test_what_begins_inside_of_a_longer_rest_is_not_named() -> None:
    """B carries until eight; C begins before A ends, and is over before B."""
    hours = {"A": ("22:00", "00:00"), "B": ("22:00", "08:00"), "C": ("23:30", "07:00")}
    windows: list[Entry] = [
        {"kind": "weekly", "start": start, "end": end, "label": name} for name, (start, end) in hours.items()
    ]
    assert sentences(rest(*windows), at("2026-11-24T22:30+01:00"))[0] == "Ruhe bis morgen 08:00 wegen: A, B"


def test_a_one_off_carries_to_the_second_reading_of_its_end() -> None:
    """R4: until the second 02:30; what lies between the two readings carries nothing."""
    between: Entry = {"kind": "once", "start": "2026-10-25T02:30+02:00", "end": "2026-10-25T02:15+01:00", "label": "B"}
    leave: Entry = {"kind": "once", "start": "2026-10-24T00:00", "end": "2026-10-25T02:30"}
    german, _ = sentences(rest(leave, between), at("2026-10-24T12:00+02:00"))
    assert german == "Ruhe bis morgen 02:30 wegen: Urlaub (Zeitumstellung)"


def test_rests_that_relieve_each_other_without_end_have_an_end_as_reasons() -> None:
    day: Entry = {"kind": "weekly", "start": "06:00", "end": "22:00", "rest": "free"}
    german, _ = sentences(rest(NIGHT, day), at(NOON))
    assert german == "Ruhe ohne Ende wegen: dienstfreie Zeit, Nachtruhe"


@pytest.mark.parametrize(
    ("document", "now", "german", "english"),
    [
        (
            rest(NIGHT), "2026-03-28T23:00+01:00",
            "Ruhe bis morgen 06:00 wegen: Nachtruhe (Zeitumstellung)",
            "Rest until tomorrow 06:00 because of: night rest (clock change)",
        ),
        (  # One second before the jump, and at it.
            rest(NIGHT), "2026-03-29T01:59:59+01:00",
            "Ruhe bis heute 06:00 wegen: Nachtruhe (Zeitumstellung)",
            "Rest until today 06:00 because of: night rest (clock change)",
        ),
        (
            rest(NIGHT), "2026-03-29T03:00+02:00",
            "Ruhe bis heute 06:00 wegen: Nachtruhe", "Rest until today 06:00 because of: night rest",
        ),
        (  # A rest until an hour that is skipped ends at the jump, when the clock shows three.
            rest({**NIGHT, "end": "02:30"}), "2026-03-29T01:00+01:00",
            "Ruhe bis heute 03:00 wegen: Nachtruhe (Zeitumstellung)",
            "Rest until today 03:00 because of: night rest (clock change)",
        ),
        (
            rest(NIGHT), "2026-10-25T02:30+02:00",
            "Ruhe bis heute 06:00 wegen: Nachtruhe (Zeitumstellung)",
            "Rest until today 06:00 because of: night rest (clock change)",
        ),
        (
            rest(NIGHT), "2026-10-25T02:30+01:00",
            "Ruhe bis heute 06:00 wegen: Nachtruhe", "Rest until today 06:00 because of: night rest",
        ),
        (
            rest({**NIGHT, "end": "00:30"}), "2026-10-25T01:00+02:00",
            "Erreichbar, nächste Ruhe heute 22:00 (Zeitumstellung)", "Reachable, next rest today 22:00 (clock change)",
        ),
        (
            rest(ALWAYS, overrides=(override("reachable", "2026-10-25T00:00", "2026-10-25T04:00"),)),
            "2026-10-25T01:00+02:00",
            "Erreichbar bis heute 04:00 trotz Ruhe (Zeitumstellung)",
            "Reachable until today 04:00 despite rest (clock change)",
        ),
        (
            rest(ALWAYS), "2026-10-25T01:00+02:00",
            "Ruhe ohne Ende wegen: Nachtruhe", "Rest without end because of: night rest",
        ),
    ],
)  # fmt: skip
def test_the_sentence_notes_that_the_clock_is_changed_until_then(
    document: Document, now: str, german: str, english: str
) -> None:
    assert sentences(document, at(now)) == (german, english)


def test_the_second_is_told_only_where_there_is_one() -> None:
    document = rest(overrides=(override("rest", "2026-11-24T10:00:05", "2026-11-24T12:00:30"),))
    assert sentences(document, at(NOON))[0] == "Ruhe bis heute 12:00:30 wegen: Feierabend"


def test_now_is_floored_to_the_second() -> None:
    """R1."""
    start = at("2026-11-24T22:00+01:00")
    assert sentences(rest(NIGHT), start - 0.001)[0] == "Erreichbar, nächste Ruhe heute 22:00"
    assert sentences(rest(NIGHT), start + 0.999)[0] == "Ruhe bis morgen 06:00 wegen: Nachtruhe"


def test_a_date_is_written_as_people_write_it() -> None:
    """Monday first; days and months without a nought before them, as on the page (`schedules.web.dates`)."""
    berlin, now = zone("Europe/Berlin"), at("2026-02-01T00:00+01:00")
    week = [now + (29 + day) * DAY for day in range(7)]
    german = ["Mo 2.3.", "Di 3.3.", "Mi 4.3.", "Do 5.3.", "Fr 6.3.", "Sa 7.3.", "So 8.3."]
    english = ["Mon 2 Mar", "Tue 3 Mar", "Wed 4 Mar", "Thu 5 Mar", "Fri 6 Mar", "Sat 7 Mar", "Sun 8 Mar"]
    assert [moment(berlin, day, now, "de") for day in week] == [f"{day} 00:00" for day in german]
    assert [stamp(berlin, day, "en") for day in week] == [f"{day} 00:00" for day in english]


def test_the_months_are_those_of_the_calendar() -> None:
    for month in range(1, 13):
        day = datetime(2026, month, 15, 12, tzinfo=UTC)
        assert stamp(zone("UTC"), int(day.timestamp()), "en") == f"{day:%a %d %b} 12:00"
        assert stamp(zone("UTC"), int(day.timestamp()), "de")[3:] == f"15.{month}. 12:00"


def test_what_is_past_is_named_by_its_date() -> None:
    berlin = zone("Europe/Berlin")
    assert moment(berlin, at("2026-11-23T12:00+01:00"), at(NOON), "de") == "Mo 23.11. 12:00"


@pytest.mark.parametrize("language", ["", "fr", "DE", "german", "english"])
def test_other_languages_are_refused(language: str) -> None:
    rules = parse(rest(NIGHT))
    table, now = compile_table(rules, at(NOON)), at(NOON)
    for call in (
        lambda: sentence(rules, table, now, language),
        lambda: preview(rules, table, now, 1, language),
        lambda: lines(rules, table, now, 1, language),
    ):
        with pytest.raises(ValueError, match="language must be one of en, de"):
            call()


# --- lines


def test_a_line_lists_when_its_owner_is_reachable() -> None:
    document = rest(
        NIGHT,
        {"kind": "weekly", "start": "12:00", "end": "13:30", "days": [3]},
        off("2026-11-26", "2026-11-26"),
        overrides=(override("reachable", "2026-11-27T22:00", "2026-11-29T22:00"),),
    )
    assert told(document, "2026-11-24T00:00+01:00", 7) == [
        "Di 24.11. 06:00-22:00 erreichbar",
        "Mi 25.11. 06:00-12:00, 13:30-22:00 erreichbar",
        "Do 26.11. ganztags Ruhe",
        "Fr 27.11. 06:00-24:00 erreichbar",
        "Sa 28.11. ganztags erreichbar",
        "So 29.11. 00:00-22:00 erreichbar",
        "Mo 30.11. 06:00-22:00 erreichbar",
    ]
    assert told(document, "2026-11-24T00:00+01:00", 7, "en") == [
        "Tue 24 Nov 06:00-22:00 reachable",
        "Wed 25 Nov 06:00-12:00, 13:30-22:00 reachable",
        "Thu 26 Nov rest all day",
        "Fri 27 Nov 06:00-24:00 reachable",
        "Sat 28 Nov reachable all day",
        "Sun 29 Nov 00:00-22:00 reachable",
        "Mon 30 Nov 06:00-22:00 reachable",
    ]


@pytest.mark.parametrize(
    ("now", "german", "english"),
    [
        ("2026-11-24T12:00+01:00", "Di 24.11. 12:00-22:00 erreichbar", "Tue 24 Nov 12:00-22:00 reachable"),
        ("2026-11-24T12:00:59+01:00", "Di 24.11. 12:00-22:00 erreichbar", "Tue 24 Nov 12:00-22:00 reachable"),
        ("2026-11-24T05:00+01:00", "Di 24.11. 06:00-22:00 erreichbar", "Tue 24 Nov 06:00-22:00 reachable"),
        ("2026-11-24T23:00+01:00", "Di 24.11. 23:00-24:00 Ruhe", "Tue 24 Nov 23:00-24:00 rest"),
        ("2026-11-24T23:59:59+01:00", "Di 24.11. 23:59-24:00 Ruhe", "Tue 24 Nov 23:59-24:00 rest"),
    ],
)
def test_the_first_day_begins_now_and_the_last_is_told_whole(now: str, german: str, english: str) -> None:
    """A cut through the last day would look like the start of a rest."""
    assert told(rest(NIGHT), now, 1) == [german, "Mi 25.11. 06:00-22:00 erreichbar"]
    assert told(rest(NIGHT), now, 1, "en") == [english, "Wed 25 Nov 06:00-22:00 reachable"]


def test_who_is_always_reachable_is_so_from_now_on() -> None:
    assert told(rest(), NOON, 1) == ["Di 24.11. 12:00-24:00 erreichbar", "Mi 25.11. ganztags erreichbar"]


def test_a_hole_of_seconds_does_not_look_empty() -> None:
    """R8: a hole of one second is a hole."""
    document = rest(ALWAYS, overrides=(override("reachable", "2026-11-25T08:00:10", "2026-11-25T08:00:11"),))
    assert told(document, "2026-11-25T00:00+01:00", 1) == ["Mi 25.11. 08:00:10-08:00:11 erreichbar"]


def test_no_days_are_no_lines() -> None:
    assert told(rest(NIGHT), "2026-11-24T00:00+01:00", 0) == []
    assert stretches(rest(NIGHT), NOON, 0) == []
    rules = parse(rest(NIGHT))
    assert day_lines(rules, compile_table(rules, at(NOON)), at(NOON), at(NOON) - DAY, "de") == []


EARLY: Entry = {"kind": "weekly", "start": "01:30", "end": "02:30"}
LATE: Entry = {"kind": "weekly", "start": "02:30", "end": "04:00"}


@pytest.mark.parametrize(
    ("windows", "spring", "autumn"),
    [
        ((NIGHT,), "06:00-22:00 erreichbar", "06:00-22:00 erreichbar"),
        # In spring until the jump and from it, when the clock shows three; in autumn the outermost readings.
        ((EARLY,), "00:00-01:30, 03:00-24:00 erreichbar", "00:00-01:30, 02:30-24:00 erreichbar"),
        ((LATE,), "00:00-03:00, 04:00-24:00 erreichbar", "00:00-02:30, 04:00-24:00 erreichbar"),
        ((), "ganztags erreichbar", "ganztags erreichbar"),
        ((ALWAYS,), "ganztags Ruhe", "ganztags Ruhe"),
    ],
)
def test_the_days_of_the_clock_change_are_noted(windows: tuple[Entry, ...], spring: str, autumn: str) -> None:
    """23 hours on 29 March, 25 on 25 October; wall times are what the clock shows."""
    document = rest(*windows)
    plain = told(document, "2026-03-24T00:00+01:00", 1)[0].removeprefix("Di 24.3. ")
    assert told(document, "2026-03-28T00:00+01:00", 2) == [
        f"Sa 28.3. {plain}",
        f"So 29.3. {spring} (Zeitumstellung)",
        f"Mo 30.3. {plain}",  # of which 48 hours from Saturday's start touch one
    ]
    assert told(document, "2026-10-24T00:00+02:00", 2) == [
        f"Sa 24.10. {plain}",
        f"So 25.10. {autumn} (Zeitumstellung)",
    ]


def test_the_note_stays_when_the_change_is_past() -> None:
    """It is about the day: its times may differ from those of the Sunday before."""
    assert told(rest(NIGHT), "2026-10-25T12:00+01:00", 1) == [
        "So 25.10. 12:00-22:00 erreichbar (Zeitumstellung)",
        "Mo 26.10. 06:00-22:00 erreichbar",
    ]


def test_the_note_is_english_in_english() -> None:
    assert told(rest(NIGHT), "2026-03-29T00:00+01:00", 1, "en")[0] == "Sun 29 Mar 06:00-22:00 reachable (clock change)"


def test_both_readings_of_an_hour_are_told_as_the_clock_shows_them() -> None:
    """Reachable from the first 02:50 to the second 02:10: twenty minutes."""
    called = override("reachable", "2026-10-25T02:50+02:00", "2026-10-25T02:10+01:00")
    document = rest(ALWAYS, overrides=(called,))
    assert told(document, "2026-10-25T00:00+02:00", 1) == ["So 25.10. 02:50-02:10 erreichbar (Zeitumstellung)"]


@pytest.mark.parametrize(
    ("place", "now", "leave", "found"),
    [
        (  # Midnight is skipped: the day begins at one.
            "Africa/Cairo", "2026-04-23T00:00+02:00", "2026-04-25",
            ["Do 23.4. ganztags erreichbar", "Fr 24.4. ganztags erreichbar (Zeitumstellung)"],
        ),
        (
            "Africa/Cairo", "2026-04-23T00:00+02:00", "2026-04-24",
            ["Do 23.4. ganztags erreichbar", "Fr 24.4. ganztags Ruhe (Zeitumstellung)"],
        ),
        (  # At midnight it is eleven again, on the day before.
            "Africa/Cairo", "2026-10-29T00:00+03:00", "2026-10-30",
            ["Do 29.10. ganztags erreichbar (Zeitumstellung)", "Fr 30.10. ganztags Ruhe"],
        ),
        (  # A minute after midnight it was a minute past eleven again: the day has begun, and goes on.
            "America/St_Johns", "2010-11-06T00:00-02:30", "2010-11-08",
            ["Sa 6.11. ganztags erreichbar", "So 7.11. ganztags erreichbar (Zeitumstellung)"],
        ),
        (
            "America/St_Johns", "2010-11-06T23:30-03:30", "2010-11-08",
            ["So 7.11. 23:30-24:00 erreichbar (Zeitumstellung)", "Mo 8.11. ganztags Ruhe"],
        ),
        (  # Friday the 30th did not happen.
            "Pacific/Apia", "2011-12-29T00:00-10:00", "2011-12-31",
            ["Do 29.12. ganztags erreichbar", "Sa 31.12. ganztags Ruhe (Zeitumstellung)"],
        ),
    ],
)  # fmt: skip
def test_days_that_begin_at_odd_times_have_their_line(place: str, now: str, leave: str, found: list[str]) -> None:
    assert told(rest(off(leave, leave), timezone=place), now, 2)[:2] == found


def test_a_day_that_begins_at_one_shows_it() -> None:
    late = rest({"kind": "weekly", "start": "22:00", "end": "24:00"}, timezone="Africa/Cairo")
    assert told(late, "2026-04-24T01:00+03:00", 1)[0] == "Fr 24.4. 01:00-22:00 erreichbar (Zeitumstellung)"


# --- stretches


def test_the_preview_has_times_reasons_and_the_change_of_the_clock() -> None:
    document = rest(
        NIGHT,
        off("2026-03-30", "2026-03-30", label="Umzug"),
        overrides=(override("reachable", "2026-03-28T23:00", "2026-03-29T01:00", label="Ruf"),),
    )
    edges = [
        ("2026-03-28T12:00+01:00", False, (), False),
        ("2026-03-28T22:00+01:00", True, ("Nachtruhe",), False),
        ("2026-03-28T23:00+01:00", False, ("Ruf",), False),
        ("2026-03-29T01:00+01:00", True, ("Nachtruhe",), True),
        ("2026-03-29T06:00+02:00", False, (), False),
        ("2026-03-29T22:00+02:00", True, ("Nachtruhe", "Umzug"), False),
    ]
    ends = [*(at(edge[0]) for edge in edges[1:]), at("2026-03-30T13:00+02:00")]
    assert stretches(document, "2026-03-28T12:00+01:00", 2) == [
        Stretch(at(start), end, resting, reasons, change)
        for (start, resting, reasons, change), end in zip(edges, ends, strict=True)
    ]
    assert stretches(document, "2026-03-28T12:00+01:00", 2, "en")[1].reasons == ("night rest",)


@pytest.mark.parametrize(
    ("start", "end", "reasons"),
    [
        ("2026-11-24T20:00", "2026-11-25T04:00", ("trotz Ruhe",)),
        ("2026-11-24T20:00", "2026-11-24T22:00", ()),
        ("2026-11-24T20:00", "2026-11-24T22:01", ("trotz Ruhe",)),
        ("2026-11-25T05:59", "2026-11-25T08:00", ("trotz Ruhe",)),
        ("2026-11-25T06:00", "2026-11-25T08:00", ()),
    ],
)
def test_a_reachable_stretch_names_the_overrides_that_lift_a_rest_in_it(
    start: str, end: str, reasons: tuple[str, ...]
) -> None:
    found = stretches(rest(NIGHT, overrides=(override("reachable", start, end),)), "2026-11-24T19:00+01:00", 1)
    assert [stretch.reasons for stretch in found if not stretch.resting and stretch.reasons] == [reasons] * bool(
        reasons
    )


@pytest.mark.parametrize(
    ("start", "end"),
    [("2026-10-25T02:30+02:00", "2026-10-25T02:40+02:00"), ("2026-10-25T02:35+01:00", "2026-10-25T02:40+01:00")],
)
def test_an_override_in_the_repeated_hour_lifts_from_the_first_reading_to_the_second(start: str, end: str) -> None:
    """R6: by the wall from 02:30 to 02:45, which is an hour and a quarter."""
    document = rest(
        {"kind": "once", "start": start, "end": end},
        overrides=(override("reachable", "2026-10-25T02:30", "2026-10-25T02:45"),),
    )
    (stretch,) = stretches(document, "2026-10-25T00:00+02:00", 1)
    assert (stretch.resting, stretch.reasons) == (False, ("trotz Ruhe",))


def test_a_second_before_an_override_lifts_a_rest_it_is_no_reason_yet() -> None:
    document = rest(NIGHT, overrides=(override("reachable", "2026-11-24T22:00", "2026-11-25T02:00"),))
    start = at("2026-11-24T22:00+01:00")
    assert sentences(document, start - 1)[0] == "Erreichbar, nächste Ruhe morgen 02:00"
    assert sentences(document, start)[0] == "Erreichbar bis morgen 02:00 trotz Ruhe"


def test_unless_asked_it_is_fourteen_days_in_german() -> None:
    rules, now = parse(rest(NIGHT)), at("2026-11-24T00:00+01:00")
    table = compile_table(rules, now)
    assert preview(rules, table, now)[-1].end == now + 14 * DAY
    assert preview(rules, table, now)[0].reasons == ("Nachtruhe",)
    assert lines(rules, table, now)[-1] == "Mo 7.12. 06:00-22:00 erreichbar"


def test_a_stretch_tells_nothing_by_accident() -> None:
    (stretch,) = stretches(rest(off("2026-11-20", "2026-11-30", label="Kur")), NOON, 1)
    assert "Kur" not in repr(stretch)


def test_a_state_that_lasts_longer_than_answers_look_is_one_phase() -> None:
    """R10: one answer looks 400 days ahead. A leave of two years, and nothing after it, are two phases."""
    rules = parse(rest({"kind": "once", "start": "2026-01-01T00:00Z", "end": "2028-01-01T00:00Z"}))
    start, end = at("2026-01-01T00:00Z"), at("2031-01-01T00:00Z")
    found = [*phases(compile_table(rules, start), start, end)]
    assert found == [(start, at("2028-01-01T00:00Z"), True), (at("2028-01-01T00:00Z"), end, False)]


def test_a_state_that_ends_after_400_days_to_the_second_ends_there() -> None:
    """What is not in an answer may still be true a second later."""
    start = at("2026-01-01T00:00Z")
    edge = start + 400 * DAY
    written = datetime.fromtimestamp(edge, UTC).strftime("%Y-%m-%dT%H:%MZ")
    rules = parse(rest({"kind": "once", "start": "2026-01-01T00:00Z", "end": written}))
    assert [*phases(compile_table(rules, start), start, edge + 1)] == [(start, edge, True), (edge, edge + 1, False)]


# --- properties


@examples(0.5)
@given(CASES, st.integers(0, 20), st.integers(-3, 3), st.data())
def test_the_preview_tiles_its_days_and_agrees_with_the_table(
    case_: tuple[Place, Case], days: int, made: int, data: st.DataObject
) -> None:
    """Also where the table was made on another day, and beyond its horizon."""
    case = case_[1]
    rules = parse(case.document)
    for now in case.instants[:2]:
        table = compile_table(rules, now + made * DAY)
        found = preview(rules, table, now, days)
        assert [stretch.start for stretch in found] + [now + days * DAY] == [now, *(stretch.end for stretch in found)]
        assert all(stretch.start < stretch.end for stretch in found)
        assert all(one.resting != other.resting for one, other in pairwise(found))
        for stretch in found:
            inside = data.draw(st.integers(stretch.start, stretch.end - 1))
            for second in (stretch.start, inside, stretch.end - 1):
                assert compile_table(rules, second).at(second).resting == stretch.resting


@examples(0.5)
@given(CASES)
def test_every_rest_has_reasons_and_they_hold(case_: tuple[Place, Case]) -> None:
    """A rest: what holds at its start, and what else holds in it. Reachable: overrides, where one lifts a rest."""
    document = _labelled(case_[1].document)
    now = case_[1].instants[0]
    table = compile_table(parse(document), now)
    lifted = compile_table(parse(document | {"overrides": _rests(document)}), now)
    for stretch in preview(parse(document), table, now):
        if stretch.resting:
            held = [reason.rule.label for reason in table.holding(stretch.start)]
            assert held
            assert [*stretch.reasons[: len(held)]] == held
            for label in stretch.reasons:
                alone = compile_table(parse(_only(document, label)), stretch.start)
                assert any(phase.resting for phase in phases(alone, stretch.start, stretch.end))
        else:
            assert all(label.startswith("overrides") for label in stretch.reasons)
            would_rest = any(phase.resting for phase in phases(lifted, stretch.start, stretch.end))
            assert bool(stretch.reasons) == would_rest


def _entries(document: Document, part: str) -> list[Entry]:
    entries = document[part]
    assert isinstance(entries, list)
    return entries


def _labelled(document: Document) -> Document:
    """Each rule labelled with its path."""
    parts = ("windows", "overrides")
    return document | {
        part: [entry | {"label": f"{part}[{i}]"} for i, entry in enumerate(_entries(document, part))] for part in parts
    }


def _only(document: Document, label: str) -> Document:
    """The document with one of its rules."""
    parts = ("windows", "overrides")
    return document | {part: [entry for entry in _entries(document, part) if entry["label"] == label] for part in parts}


def _rests(document: Document) -> list[Entry]:
    return [entry for entry in _entries(document, "overrides") if entry["kind"] == "rest"]


@examples(0.5)
@given(CASES, st.integers(1, 10))
def test_lines_cover_every_local_day_once_and_in_order(case_: tuple[Place, Case], days: int) -> None:
    """The calendar of another library, hour by hour."""
    place, case = case_
    rules = parse(case.document)
    now = case.instants[0]
    seconds = [*range(now, now + days * DAY, 900), now + days * DAY - 1]
    calendar = dict.fromkeys(_local_date(place.zone, second) for second in seconds)
    found = lines(rules, compile_table(rules, now), now, days, "en")
    assert [line.split()[:3] for line in found] == [[*f"{day:%a} {day.day} {day:%b}".split()] for day in calendar]


@examples(0.5)
@given(CASES, st.lists(st.integers(0, 6 * DAY), min_size=5, max_size=5))
def test_lines_agree_with_the_table(case_: tuple[Place, Case], later: list[int]) -> None:
    """Read back: on a day without a change of the clock a minute lies in a span exactly if it is reachable."""
    place, case = case_
    rules = parse(case.document)
    now = case.instants[0]
    found = {line.split()[1]: line for line in lines(rules, compile_table(rules, now), now, 7, "en")}
    for second in (now + by for by in later):
        line = found[str(_local_date(place.zone, second).day)]
        if "clock change" not in line:
            wall = shown(place.zone, second) % DAY
            assert _is_in(line, wall) == (not compile_table(rules, second).at(second).resting), (line, wall)


def _local_date(name: str, second: int) -> date:
    return date(1970, 1, 1) + timedelta(days=shown(name, second) // DAY)


def _is_in(line: str, wall: int) -> bool:
    """Whether a second of the day is reachable by an English line."""
    _, _, _, *words = line.split()
    if "all" in words:
        return "reachable" in words
    if words[-1] == "rest":
        return False
    spans = [[_seconds(edge) for edge in span.split("-")] for span in " ".join(words[:-1]).split(", ")]
    return any(first <= wall < last for first, last in spans)


def _seconds(clock: str) -> int:
    return sum(int(part) * unit for part, unit in zip(clock.split(":"), (3600, 60, 1), strict=False))


@examples(0.5)
@given(CASES)
def test_the_sentence_begins_with_the_state(case_: tuple[Place, Case]) -> None:
    case = case_[1]
    for now in case.instants:
        german, english = sentences(case.document, now)
        resting, until, next_start = compile_table(parse(case.document), now).at(now)
        assert german.startswith("Ruhe " if resting else "Erreichbar")
        assert english.startswith("Rest " if resting else "Reachable")
        edge = until if resting else next_start
        if edge is None:
            assert not any(letter.isdigit() for letter in german)
        else:
            clock = datetime.fromtimestamp(shown(str(case.document["timezone"]), edge), UTC)
            assert f"{clock:%H:%M}" in german
            assert f"{clock:%H:%M}" in english
