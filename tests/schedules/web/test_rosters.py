"""An import's place in a document: its own days, those of an earlier one beside them, and the other rules."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st

from schedules import parse
from schedules.roster import AHEAD, BACK, ID
from schedules.web import rosters, shifts
from schedules.web.shifts import date_of
from schedules.windows import MAX_SHIFTS
from tests.schedules.calendars import NOW, TODAY

HOURS = {
    "F": {"start": "06:00", "end": "14:00"}, "S": {"start": "14:00", "end": "22:00"},
    "N": {"start": "22:00", "end": "06:00"}, "06:00–14:00": {"start": "06:00", "end": "14:00"},
}  # fmt: skip
OTHERS = {"F": {"start": "07:00", "end": "15:00"}, "D": {"start": "06:00", "end": "14:00"}, "14:00–22:00": HOURS["S"]}
RHYTHM = {"kind": "cycle", "anchor": "2026-01-05", "days": ["F", "-"], "shifts": {"F": HOURS["F"]}}
NIGHT = {"kind": "weekly", "start": "22:00", "end": "06:00"}
LEAVE = {"kind": "dates", "from": "2026-12-20", "to": "2026-12-30"}


def imported(first: int, names: Sequence[str], hours: Mapping[str, Any], last: int | None = None) -> dict[str, Any]:
    """A window that holds from so many days after today on, for as many days as there are names."""
    row = {"kind": "cycle", "id": ID, "anchor": date_of(TODAY + first - BACK).isoformat(),
           "days": ["-"] * BACK + list(names), "shifts": dict(hours)}  # fmt: skip
    return rosters.window(row, TODAY + first, TODAY + first + len(names) - 1 if last is None else TODAY + last, 30, 30)


def placed(new: dict[str, Any], *windows: object, replaces: bool = False) -> list[dict[str, Any]]:
    document = rosters.placed({"windows": [*windows]}, new, TODAY, replaces=replaces)
    parse(document)
    return cast("list[dict[str, Any]]", document["windows"])


def held(windows: Sequence[Mapping[str, Any]], day: int) -> list[tuple[str, str]]:
    """The hours of a day in the windows of imports that hold then; ("", "") is a free day."""
    found = []
    for window in windows:
        if rosters.is_import(window) and shifts.is_bound(window, day):
            name = shifts.on(window, day)
            hours = window["shifts"].get(name, {"start": "", "end": ""})
            found.append((hours["start"], hours["end"]))
    return found


def imports(hours: Mapping[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    names = st.lists(st.sampled_from(["-", *hours]), min_size=1, max_size=20).filter(lambda row: set(row) != {"-"})
    return st.builds(imported, st.integers(0, AHEAD - 20), names, st.just(hours))


@given(imports(HOURS), imports(OTHERS), st.booleans())
def test_days_of_the_new_one_are_its_own_and_others_as_they_were(
    new: dict[str, Any], old: dict[str, Any], is_swapped: bool
) -> None:
    if is_swapped:
        old = {**old, "swaps": [{"date": old["to"], "shift": "D"}]}
    windows = placed(new, NIGHT, old, LEAVE)
    for day in range(TODAY, TODAY + AHEAD):
        assert held(windows, day) == (held([new], day) or held([old], day))
    assert [window for window in windows if not rosters.is_import(window)] == [NIGHT, LEAVE]
    starts = [window["from"] for window in windows if rosters.is_import(window)]
    assert starts == sorted(starts)


def test_a_night_from_the_old_one_into_the_new_one_is_one_window() -> None:
    old, new = imported(0, ["F", "N"], HOURS), imported(2, ["-", "S"], HOURS)
    (window,) = placed(new, old)
    assert (window["from"], window["to"]) == ("2026-11-25", "2026-11-28")
    assert window["days"] == ["F", "N", "-", "S"]


def test_what_does_not_touch_stays_apart_in_order() -> None:
    old, new = imported(0, ["F"], HOURS), imported(2, ["S"], HOURS)
    assert placed(new, old) == [old, new]
    assert placed(old, new) == [old, new]


def test_what_is_over_goes() -> None:
    new = imported(0, ["F"], HOURS)
    assert placed(new, imported(-9, ["F", "N"], HOURS)) == [new]


def test_other_rules_that_recur_go_if_that_is_wished() -> None:
    new = imported(0, ["F"], HOURS)
    assert placed(new, RHYTHM, NIGHT, LEAVE, replaces=True) == [new, LEAVE]
    assert placed(new, RHYTHM, NIGHT, LEAVE) == [new, RHYTHM, NIGHT, LEAVE]
    assert rosters.replaced({"windows": [RHYTHM, new, NIGHT, LEAVE]}) == [RHYTHM, NIGHT]


def test_an_earlier_one_whose_dates_were_taken_away_is_as_long_as_it_may_be() -> None:
    old = {name: value for name, value in imported(0, ["F", "S"], HOURS).items() if name not in ("from", "to")}
    (window,) = placed(imported(5, ["N"], HOURS), old)
    assert len(window["days"]) == BACK + AHEAD
    assert window["days"][BACK + 5] == "N"


def test_where_names_would_be_too_many_the_new_one_stands_alone() -> None:
    many = {f"{n}": {"start": f"{n:02}:00", "end": "23:30"} for n in range(MAX_SHIFTS)}
    other = {"x": {"start": "05:00", "end": "05:30"}}
    new = imported(1, [*many], many)
    assert placed(new, imported(0, ["x"], other)) == [new]


def test_duties_in_the_rest_of_other_rules() -> None:
    new = imported(0, ["F", "N", "-", "N"], HOURS)
    assert rosters.silenced({"windows": [new, NIGHT]}, new, NOW) == [TODAY + 1, TODAY + 3]
    assert rosters.silenced({"windows": [new]}, new, NOW) == []
    over = imported(-1, ["F", "F"], HOURS)
    assert rosters.silenced({"windows": [over, {"kind": "weekly", "start": "00:00", "end": "24:00"}]}, over, NOW) == []


LEAVES = st.none() | st.booleans() | st.integers() | st.text(max_size=3)
NAMES = st.sampled_from(["kind", "id", "days", "anchor", "shifts"])


@given(st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner)))
def test_what_comes_back_is_a_row_or_none(value: object) -> None:
    assert rosters.read(json.dumps(value)) is None
