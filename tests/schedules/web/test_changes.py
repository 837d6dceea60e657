"""Edits of a document: each changes what it names and nothing else, and a rule is found again or not at all."""

from __future__ import annotations

import copy
import json
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schedules import parse
from schedules.web import changes, shifts
from schedules.web.changes import List, NoSuchRuleError, Place
from schedules.web.shifts import Entry, day_of, entries
from tests.schedules.documents import Document, documents, examples, places

RHYTHM: Document = {
    "kind": "cycle", "anchor": "2026-01-05", "days": ["F", "S", "N", "-", "-"],
    "shifts": {"F": {"start": "06:00", "end": "14:00"}, "S": {"start": "14:00", "end": "22:00"},
               "N": {"start": "22:00", "end": "06:00"}},
    "swaps": [{"date": "2026-11-20", "shift": "-"}, {"date": "2026-12-21", "shift": "-"}], "label": "Rhythmus",
}  # fmt: skip
SPORT: Document = {"kind": "weekly", "days": [5], "start": "15:00", "end": "17:00"}
CRON: Document = {"kind": "cron", "start": "0 22 * * *", "duration_minutes": 480}
LEAVE: Document = {"kind": "dates", "from": "2026-12-21", "to": "2027-01-03"}
CALL: Document = {"kind": "reachable", "start": "2026-11-26T18:00", "end": "2026-11-26T22:00"}
PLAN: Document = {
    "timezone": "Europe/Berlin", "windows": [RHYTHM, SPORT, CRON, LEAVE], "overrides": [CALL],
    "devices": {"tablet": {"wake": "never"}},
}  # fmt: skip
TODAY = day_of("2026-11-25")

LISTS: tuple[List, List] = ("windows", "overrides")


def written(value: object) -> str:
    return json.dumps(value)


@examples(0.5)
@given(places().flatmap(documents), st.sampled_from(LISTS), st.integers(0, 3), st.booleans())
def test_other_rules_stay_as_they_were(document: Document, where: List, index: int, removes: bool) -> None:
    before = copy.deepcopy(document)
    place = Place(where, index)
    if index >= len(entries(document, where)):
        with pytest.raises(NoSuchRuleError):
            changes.removed(document, place)
        return
    edited = changes.removed(document, place) if removes else changes.replaced(document, place, [SPORT])
    kept = [entry for n, entry in enumerate(entries(edited, where)) if removes or n != index]
    assert written(kept) == written([entry for n, entry in enumerate(entries(before, where)) if n != index])
    assert written({**edited, where: 0}) == written({**before, where: 0})
    assert written(document) == written(before)


def test_a_rule_is_added_at_the_end_of_its_list() -> None:
    assert changes.added(PLAN, "overrides", [CALL])["overrides"] == [CALL, CALL]
    assert changes.added({}, "windows", [SPORT, LEAVE]) == {"windows": [SPORT, LEAVE]}


def test_there_is_no_rule_before_the_first() -> None:
    with pytest.raises(NoSuchRuleError, match=r"windows\[-1\]"):
        changes.rule(PLAN, Place("windows", -1))


def test_a_preset_takes_the_place_of_what_recurs_and_of_nothing_else() -> None:
    night: Document = {"kind": "weekly", "start": "22:00", "end": "06:00"}
    replaced = changes.with_preset(PLAN, [night], replaces=True)
    assert replaced == {**PLAN, "windows": [night, LEAVE]}
    assert changes.with_preset(PLAN, [night], replaces=False) == {
        **PLAN,
        "windows": [RHYTHM, SPORT, CRON, LEAVE, night],
    }


def test_a_shift_is_swapped_for_a_day() -> None:
    edited = changes.with_shift(PLAN, 0, TODAY, "N", TODAY)
    (_, rhythm), *_ = shifts.cycles(edited)
    assert rhythm["swaps"] == [{"date": "2026-11-25", "shift": "N"}, {"date": "2026-12-21", "shift": "-"}], (
        "the one of last week is over, the one to come stays"
    )
    assert list(rhythm) == list(RHYTHM)
    assert shifts.on(rhythm, TODAY) == "N"
    assert shifts.planned(rhythm, TODAY) == "-"
    back = changes.with_shift(edited, 0, TODAY, "-", TODAY)
    assert entries(back, "windows")[0]["swaps"] == [{"date": "2026-12-21", "shift": "-"}]
    last = changes.with_shift(back, 0, day_of("2026-12-21"), shifts.planned(rhythm, day_of("2026-12-21")), TODAY)
    assert "swaps" not in entries(last, "windows")[0]
    parse(last)


def test_a_shift_is_swapped_in_rhythms_only() -> None:
    with pytest.raises(NoSuchRuleError):
        changes.with_shift(PLAN, 1, TODAY, "N", TODAY)


def test_a_rhythm_has_no_shift_outside_of_its_dates() -> None:
    bound = {**RHYTHM, "from": "2026-11-23", "to": "2026-11-24"}
    days = range(TODAY - 4, TODAY + 2)
    assert [shifts.on(bound, day) for day in days] == ["-", "-", "N", "-", "-", "-"]


# --- found again


def test_a_rule_is_found_where_it_stands_now() -> None:
    before = changes.marks(PLAN, "windows")
    moved = changes.removed(PLAN, Place("windows", 0))
    assert changes.followed(moved, Place("windows", 3), before) == Place("windows", 2)
    assert changes.followed(PLAN, Place("windows", 3), before) == Place("windows", 3)


def test_a_rule_that_was_changed_is_found_at_its_place() -> None:
    before = changes.marks(PLAN, "windows")
    edited = changes.replaced(PLAN, Place("windows", 3), [{**LEAVE, "to": "2027-01-05"}])
    assert changes.followed(edited, Place("windows", 3), before) == Place("windows", 3)


def test_a_rule_that_is_gone_is_not_taken_for_another() -> None:
    before = changes.marks(PLAN, "windows")
    gone = changes.removed(PLAN, Place("windows", 1))
    assert changes.followed(gone, Place("windows", 1), before) is None
    reordered = {**PLAN, "windows": [SPORT, RHYTHM, LEAVE, {**CRON, "duration_minutes": 60}]}
    assert changes.followed(reordered, Place("windows", 2), before) is None
    assert changes.followed(PLAN, Place("windows", 4), before) is None
    assert changes.followed({}, Place("windows", 0), before) is None


def test_of_twins_the_nearer_one_is_found() -> None:
    twins: Document = {"windows": [SPORT, LEAVE, SPORT]}
    before = changes.marks(twins, "windows")
    assert changes.followed(twins, Place("windows", 2), before) == Place("windows", 2)


@given(places().flatmap(documents), st.sampled_from(LISTS), st.integers(0, 2), st.data())
def test_never_is_a_rule_that_was_there_before_taken_for_another(
    document: Document, where: List, index: int, data: st.DataObject
) -> None:
    """Whatever an other tab has done to the list."""
    listed = entries(document, where)
    if index >= len(listed):
        return
    now: list[Entry] = data.draw(st.lists(st.sampled_from([*listed, SPORT, CALL]), max_size=4))
    found = changes.followed({where: now}, Place(where, index), changes.marks(document, where))
    if found is not None:
        taken = now[found.index]
        assert written(taken) == written(listed[index]) or taken in (SPORT, CALL)


def test_a_mark_tells_nothing_and_is_the_same_for_the_same_rule() -> None:
    assert changes.mark(LEAVE) == changes.mark(dict(reversed(LEAVE.items())))
    assert changes.mark(LEAVE) != changes.mark({**LEAVE, "to": "2027-01-04"})
    assert "2026" not in changes.mark(LEAVE)
    assert len({changes.mark(cast("Entry", {"n": n})) for n in range(1000)}) == 1000
