"""Several times in one form: each row a rule, each fault beside its row."""

from __future__ import annotations

from schedules.walltime import zone
from schedules.web import weekly_rows
from schedules.web.fields import Fields
from tests.schedules.documents import Document

BERLIN = zone("Europe/Berlin")
ROWS: Fields = {
    "d": ["1"], "from": ["22:00"], "to": ["06:00"], "rest": ["night"], "label": ["Ruhe"],
    "d_2": ["6", "7"], "all_2": ["on"], "from_5": [""], "to_5": [""],
}  # fmt: skip


def test_rows_are_known_by_their_controls() -> None:
    assert weekly_rows.suffixes({}) == [""]
    assert weekly_rows.suffixes(ROWS) == ["", "_2", "_5"]
    assert weekly_rows.suffixes(ROWS, more=1) == ["", "_2", "_5", "_6"]
    assert weekly_rows.suffixes({f"d_{n}": () for n in range(99)}, more=1)[-1] == f"_{weekly_rows.MOST}"


def test_the_first_row_keeps_what_its_rule_was() -> None:
    base: Document = {"id": "x", "kind": "weekly", "end": "06:00", "start": "22:00", "days": [1], "label": "Ruhe"}
    entries, errors = weekly_rows.read(ROWS, BERLIN.name, BERLIN, base)
    assert errors == ()
    assert entries == [
        base, {"kind": "weekly", "start": "00:00", "end": "24:00", "days": [6, 7], "label": "Ruhe"}
    ]  # fmt: skip
    assert list(entries[0]) == list(base)


def test_a_fault_stands_beside_its_row_and_one_of_all_rows_once() -> None:
    wrong = {**ROWS, "d": (), "d_5": ["3"], "from_5": ["9:00"], "to_5": ["10:00"], "rest": ["soon"]}
    _, errors = weekly_rows.read(wrong, BERLIN.name, BERLIN)
    assert {error.field for error in errors} == {
        "d", "rest", "from_5",
    }  # fmt: skip
    assert len(errors) == 3
