"""The forms of rules: what is shown and sent back is the same to the byte, and faults stand beside their controls."""

from __future__ import annotations

import json
import re
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schedules import RuleError, parse
from schedules.canonical import canonical
from schedules.errors import Text
from schedules.walltime import zone
from schedules.web import changes, shapes
from schedules.web.changes import List, Place
from schedules.web.fields import Fields
from schedules.web.rhythm_form import RHYTHM, exchange, take_back
from schedules.web.rule_forms import DATED, HOLIDAYS, OFF_DUTY, ON_CALL, SHAPES, WEEKLY, shape_of
from schedules.web.shapes import Shape
from schedules.web.shifts import Entry, day_of, entries
from tests.schedules.documents import Document, documents, places

LISTS: tuple[List, List] = ("windows", "overrides")
_TEXTS = st.text(max_size=30) | st.sampled_from(("", " ", "a\nb", "  two  ", "\ud800", "<b>&", "Urlaub"))
_MORE = st.fixed_dictionaries({}, optional={"label": _TEXTS, "id": st.sampled_from(("", "r1", "a" * 200))})


def written(value: object) -> str:
    return json.dumps(value)


@st.composite
def named(draw: st.DrawFn) -> Document:
    """Documents whose rules have labels, ids and shifts with any names."""
    document = draw(places().flatmap(documents))
    for where in LISTS:
        document[where] = [{**entry, **draw(_MORE)} for entry in entries(document, where)]
    if draw(st.booleans()):
        document["windows"] = [renamed(draw, w) if w["kind"] == "cycle" else w for w in entries(document, "windows")]
    return document


def renamed(draw: st.DrawFn, window: Entry) -> Entry:
    """A rhythm with other names for its shifts; such that an `input` can tell apart."""
    names = draw(st.lists(st.from_regex(r"[\wäß ]{0,5}[A-Za-z]\n?[\w ]{0,5}", fullmatch=True), min_size=2, max_size=2,
                          unique_by=lambda name: " ".join(name.split())))  # fmt: skip
    to = dict(zip("AB", names, strict=True)) | {"-": "-"}
    days = cast("list[str]", window["days"])
    shifts = cast("dict[str, object]", window["shifts"])
    swaps = cast("list[dict[str, str]]", window["swaps"])
    return {
        **window, "days": [to[n] for n in days], "shifts": {to[n]: s for n, s in shifts.items()},
        "swaps": [{**swap, "shift": to[swap["shift"]]} for swap in swaps],
    }  # fmt: skip


def forms(document: Document) -> list[tuple[Place, Shape, Entry]]:
    return [
        (Place(where, index), shape, entry)
        for where in LISTS
        for index, entry in enumerate(entries(document, where))
        if (shape := shape_of(where, entry)) is not None
    ]


def as_sent(fields: Fields) -> dict[str, list[str]]:
    """What a browser makes of it: line ends are the only thing it would change, and there must be none."""
    for values in fields.values():
        for value in values:
            assert value.isprintable()
            value.encode()
    return {name: list(values) for name, values in fields.items()}


@given(named())
def test_a_form_that_is_sent_as_it_was_shown_changes_nothing(document: Document) -> None:
    place_of = zone(str(document["timezone"]))
    for place, shape, entry in forms(document):
        sent = as_sent(shape.show(entry, place_of))
        found = shapes.read(shape, sent, place_of.name, place_of, entry)
        assert found.errors == ()
        assert found.entry is not None
        edited = changes.replaced(document, place, [found.entry])
        assert written(edited) == written(document)


@given(named(), st.data())
def test_an_edit_of_one_rule_leaves_all_others_as_they_were(document: Document, data: st.DataObject) -> None:
    known = forms(document)
    if not known:
        return
    place, shape, entry = data.draw(st.sampled_from(known))
    place_of = zone(str(document["timezone"]))
    sent = {**shape.show(entry, place_of), "label": ["edited"]}
    found = shapes.read(shape, sent, place_of.name, place_of, entry)
    assert found.entry is not None
    edited = changes.replaced(document, place, [found.entry])
    assert {**found.entry, "label": ""} == {**entry, "label": ""}
    assert list(found.entry)[: len(entry)] == list(entry)
    assert found.entry["label"] == "edited"
    for where in LISTS:
        for index, old in enumerate(entries(document, where)):
            if Place(where, index) != place:
                assert written(entries(edited, where)[index]) == written(old)
    assert written({**edited, place.where: ()}) == written({**document, place.where: ()})


@given(places().flatmap(documents))
def test_a_rule_that_is_typed_anew_means_the_same(document: Document) -> None:
    """But for offsets, which no control shows."""
    place_of = zone(str(document["timezone"]))
    for _, shape, entry in forms(document):
        if any(str(entry.get(edge, ""))[16:] for edge in ("start", "end")):
            continue
        found = shapes.read(shape, shape.show(entry, place_of), place_of.name, place_of)
        assert found.entry is not None
        plain = {name: value for name, value in entry.items() if name != "classes"}
        one, other = ({"timezone": place_of.name, shape.where: [rule]} for rule in (found.entry, plain))
        assert canonical(one) == canonical(other)
        (rule,) = entries(canonical(one), shape.where)
        assert list(rule) == list(found.entry), "the order in which it should be written"


def test_a_rule_by_cron_has_no_form() -> None:
    assert shape_of("windows", {"kind": "cron", "start": "0 22 * * *", "duration_minutes": 480}) is None


BERLIN = zone("Europe/Berlin")
WEEK: Fields = {"d": ["1", "5"], "from": ["22:00"], "to": ["06:00"], "rest": ["night"], "label": [""]}
LEAVE: Fields = {"day1": ["2026-12-21"], "time1": [""], "day2": ["2027-01-03"], "time2": [""], "rest": ["leave"]}
CYCLE: Fields = {
    "anchor": ["2026-01-05"], "length": ["3"], "d1": ["1"], "d2": ["2"], "d3": ["-"], "name1": ["Früh"],
    "from1": ["06:00"], "to1": ["14:00"], "name2": ["Nacht"], "from2": ["22:00"], "to2": ["06:00"], "name3": [""],
    "from3": [""], "to3": [""], "before": ["30"], "after": [""],
}  # fmt: skip


@pytest.mark.parametrize(
    ("shape", "fields", "rule"),
    [
        (WEEKLY, WEEK, {"kind": "weekly", "start": "22:00", "end": "06:00", "days": [1, 5]}),
        (WEEKLY, {**WEEK, "d": list("7654321")}, {"kind": "weekly", "start": "22:00", "end": "06:00"}),
        (WEEKLY, {**WEEK, "to": ["00:00"]}, {"kind": "weekly", "start": "22:00", "end": "24:00", "days": [1, 5]}),
        (WEEKLY, {**WEEK, "all": ["on"], "from": [""]},
         {"kind": "weekly", "start": "00:00", "end": "24:00", "days": [1, 5]}),
        (WEEKLY, {**WEEK, "rest": ["sick"], "label": [" Reha "]},
         {"kind": "weekly", "start": "22:00", "end": "06:00", "days": [1, 5], "rest": "sick", "label": "Reha"}),
        (HOLIDAYS, {"land": ["NI"], "all": ["on"], "rest": ["free"]}, {"kind": "holidays", "land": "NI"}),
        (HOLIDAYS, {"land": ["NI"], "from": ["06:00"], "to": ["00:00"], "rest": ["free"]},
         {"kind": "holidays", "land": "NI", "start": "06:00"}),
        (DATED, LEAVE, {"kind": "dates", "from": "2026-12-21", "to": "2027-01-03"}),
        (DATED, {**LEAVE, "time1": ["12:00"]},
         {"kind": "once", "start": "2026-12-21T12:00", "end": "2027-01-04T00:00"}),
        (DATED, {**LEAVE, "time2": ["12:00"]},
         {"kind": "once", "start": "2026-12-21T00:00", "end": "2027-01-03T12:00"}),
        (ON_CALL, LEAVE, {"kind": "reachable", "start": "2026-12-21T00:00", "end": "2027-01-04T00:00"}),
        (OFF_DUTY, {**LEAVE, "time2": ["06:00"]},
         {"kind": "rest", "start": "2026-12-21T00:00", "end": "2027-01-03T06:00"}),
        (RHYTHM, CYCLE, {
            "kind": "cycle", "anchor": "2026-01-05", "days": ["Früh", "Nacht", "-"], "lead_minutes": 30,
            "shifts": {"Früh": {"start": "06:00", "end": "14:00"}, "Nacht": {"start": "22:00", "end": "06:00"}}}),
    ],
)  # fmt: skip
def test_what_controls_say(shape: Shape, fields: Fields, rule: Document) -> None:
    assert shapes.read(shape, fields, BERLIN.name, BERLIN) == (rule, ())


@pytest.mark.parametrize(
    ("shape", "fields", "controls"),
    [
        (WEEKLY, {}, ["d", "from", "to"]),
        (WEEKLY, {**WEEK, "d": ["8", "x", "²"]}, ["d"]),
        (WEEKLY, {**WEEK, "to": ["22:00"]}, ["to"]),
        (WEEKLY, {**WEEK, "from": ["25:00"], "to": ["soon"]}, ["from", "to"]),
        (WEEKLY, {**WEEK, "rest": ["off"], "label": ["a" * 201]}, ["rest", "label"]),
        (HOLIDAYS, {"land": ["XX"], "all": ["on"], "rest": ["free"]}, ["land"]),
        (DATED, {}, ["day1", "day2"]),
        (DATED, {**LEAVE, "day2": ["2026-12-20"]}, ["day2"]),
        (DATED, {**LEAVE, "day1": ["21.12.2026"]}, ["day1"]),
        (DATED, {**LEAVE, "day2": ["9999-12-31"], "time1": ["12:00"]}, ["day2"]),
        (DATED, {**LEAVE, "day2": ["2026-02-30"], "time1": ["12:00"]}, ["day2"]),
        (ON_CALL, {**LEAVE, "time1": ["12h"]}, ["day1"]),
        (RHYTHM, {}, ["anchor", "length"]),
        (RHYTHM, {**CYCLE, "length": ["127"]}, ["length"]),
        (RHYTHM, {**CYCLE, "length": ["4"], "d4": ["7"]}, ["d4"]),
        (RHYTHM, {**CYCLE, "d1": ["-"], "d2": [""]}, ["d1"]),
        (RHYTHM, {**CYCLE, "name2": ["Früh"], "to1": [""]}, ["to1", "name2"]),
        (RHYTHM, {**CYCLE, "name2": [""]}, ["name2"]),
        (RHYTHM, {**CYCLE, "name2": ["-"]}, ["name2"]),
        (RHYTHM, {**CYCLE, "name1": [""], "from1": [""], "to1": [""], "to2": ["6"]}, ["d1"]),
        (RHYTHM, {**CYCLE, "name1": [""], "from1": [""], "to1": [""], "d1": ["2"], "to2": ["6"]}, ["to2"]),
        (RHYTHM, {**CYCLE, "before": ["721"], "after": ["-1"]}, ["before", "after"]),
        (RHYTHM, {**CYCLE, "first": ["2026-02-01"], "last": ["2026-01-01"]}, ["last"]),
        (RHYTHM, {**CYCLE, "swap": ["soon=1"]}, ["swap1"]),
    ],
)  # fmt: skip
def test_a_fault_stands_beside_the_control_it_was_typed_in(shape: Shape, fields: Fields, controls: list[str]) -> None:
    entry, errors = shapes.read(shape, fields, BERLIN.name, BERLIN)
    assert entry is None
    assert [error.field for error in errors] == controls
    for error in errors:
        assert is_for_people(error.text)


@given(
    st.sampled_from(((WEEKLY, WEEK), (HOLIDAYS, {**WEEK, "land": ["NI"]}), (DATED, LEAVE), (ON_CALL, LEAVE),
                     (OFF_DUTY, LEAVE), (RHYTHM, {**CYCLE, "swap": ["2026-12-01=1"]}))),
    st.data(),
)  # fmt: skip
def test_whatever_is_typed_is_answered_in_words_of_the_page(form: tuple[Shape, Fields], data: st.DataObject) -> None:
    shape, fields = form
    odd = st.sampled_from(("", "x", "-", "0", "7", "24:00", "6:00", "1.12.2026", "2026-02-30", "1999-01-01", "9" * 201))
    typed = data.draw(st.dictionaries(st.sampled_from((*fields, "time1", "time2", "rest")), odd, min_size=1))
    sent = {**fields, **{control: [text] for control, text in typed.items()}}
    for error in shapes.read(shape, sent, BERLIN.name, BERLIN).errors:
        assert is_for_people(error.text)
        assert error.field, "beside a control"


def is_for_people(text: Text) -> bool:
    """Whole sentences in which no member of a document is named, and nothing is asked to be written as in one."""
    foreign = re.compile(
        r"\d{4}-\d\d|[\[\]_{}]|\b(?:UTC|offset|object|Objekt|entries|Einträge|night, free|NI)\b|\bfrom\."
    )
    return all(sentence.endswith(".") and not foreign.search(sentence) for sentence in text)


def test_what_is_wrong_is_said_by_the_labels() -> None:
    wrong = (
        (DATED, {**LEAVE, "day2": ["2026-12-20"]}, "Der letzte Tag darf nicht vor dem ersten Tag liegen."),
        (ON_CALL, {**LEAVE, "time1": ["18:00"], "day2": ["2026-12-20"]}, "Das Ende muss nach dem Beginn liegen."),
        (ON_CALL, {**LEAVE, "time1": ["18 Uhr"]}, "Bitte Tag und Uhrzeit angeben."),
        (RHYTHM, {**CYCLE, "before": ["721"]}, "Die Zeit vor dem Dienst muss eine ganze Zahl von 0 bis 720 sein."),
        (HOLIDAYS, {"land": ["XX"], "all": ["on"], "rest": ["free"]}, "Bitte ein Bundesland wählen."),
    )
    for shape, fields, sentence in wrong:
        (error,) = shapes.read(shape, fields, BERLIN.name, BERLIN).errors
        assert error.text.german == sentence


def test_faults_of_the_whole_document_have_their_place_too() -> None:
    document: Document = {"windows": [{"kind": "weekly", "start": "22:00", "end": "06:00"}] * 31}
    with pytest.raises(ValueError, match="more than 30") as caught:
        parse(document)
    problems = cast("RuleError", caught.value).problems
    (error,) = shapes.located(WEEKLY, WEEK, problems, Place("windows", 30))
    assert (error.field, error.text.german) == ("", "Es sind zu viele Regeln für eine weitere.")


def test_an_instant_stays_one_as_long_as_nobody_touches_it() -> None:
    base = {"kind": "rest", "start": "2026-11-25T20:40:10Z", "end": "2026-11-26T05:00:00Z", "id": "off"}
    shown = OFF_DUTY.show(base, BERLIN)
    assert shown["time1"] == ["21:40"]
    found = shapes.read(OFF_DUTY, {**shown, "time2": ["07:00"]}, BERLIN.name, BERLIN, base)
    assert found.entry == {**base, "end": "2026-11-26T07:00"}


def test_times_make_a_leave_a_time_that_comes_once_and_back() -> None:
    base = {"kind": "dates", "from": "2026-12-21", "to": "2027-01-03", "label": "Meer", "id": "7"}
    sent = {**DATED.show(base, BERLIN), "time2": ["12:00"]}
    once = shapes.read(DATED, sent, BERLIN.name, BERLIN, base).entry
    assert once == {"kind": "once", "label": "Meer", "id": "7", "start": "2026-12-21T00:00", "end": "2027-01-03T12:00"}
    sent = {**DATED.show(once, BERLIN), "time1": [""], "time2": [""]}
    assert shapes.read(DATED, sent, BERLIN.name, BERLIN, once).entry == base


def test_a_shift_is_renamed_with_its_days_and_swaps() -> None:
    base = shapes.read(RHYTHM, {**CYCLE, "swap": ["2026-12-01=1"]}, BERLIN.name, BERLIN).entry
    assert base is not None
    sent = {**RHYTHM.show(base, BERLIN), "name1": ["Tag"]}
    entry = shapes.read(RHYTHM, sent, BERLIN.name, BERLIN, base).entry
    assert entry is not None
    assert entry["days"] == ["Tag", "Nacht", "-"]
    assert list(cast("Entry", entry["shifts"])) == ["Tag", "Nacht"]
    assert entry["swaps"] == [{"date": "2026-12-01", "shift": "Tag"}]


def test_two_days_exchange_their_shifts_and_take_it_back() -> None:
    first, second = day_of("2026-01-06"), day_of("2026-01-07")  # Nacht, then free
    entry = shapes.read(RHYTHM, CYCLE, BERLIN.name, BERLIN).entry
    assert entry is not None
    swapped = exchange(CYCLE, entry, None, (first, second), first)
    assert swapped["swap"] == ["2026-01-06=-", "2026-01-07=2"]
    entry = shapes.read(RHYTHM, swapped, BERLIN.name, BERLIN).entry
    assert entry is not None
    assert exchange(swapped, entry, None, (first, second), first)["swap"] == []
    assert take_back(swapped, "2026-01-06")["swap"] == swapped["swap"][1:]


def test_every_kind_of_rule_but_cron_has_a_form() -> None:
    assert {(s.where, kind) for s in SHAPES.values() for kind in s.kinds} == {
        ("windows", kind) for kind in ("weekly", "dates", "once", "holidays", "cycle")
    } | {("overrides", "rest"), ("overrides", "reachable")}
