"""Where two documents begin to differ, in which rules, and what each does next."""

from __future__ import annotations

from typing import Final

from hypothesis import given
from hypothesis import strategies as st

from schedules import compile_table, parse
from schedules.web import versions
from schedules.web.versions import Part, Turn
from tests.schedules.documents import DAY, Document, documents, examples, instants, places

NIGHT: Document = {"kind": "weekly", "start": "22:00", "end": "06:00"}
LEAVE: Document = {"kind": "dates", "from": "2000-01-05", "to": "2000-01-06"}
START: Final = 10_957 * DAY
"""1 January 2000."""
UTC_: Document = {"timezone": "UTC"}


def test_a_day_more_of_leave_differs_when_the_first_is_over() -> None:
    one: Document = {**UTC_, "windows": [LEAVE]}
    other: Document = {**UTC_, "windows": [{**LEAVE, "to": "2000-01-07"}]}
    assert versions.first_difference(one, other, START) == START + 6 * DAY
    assert versions.first_difference(one, one, START) is None
    assert versions.first_difference(one, other, START, 6 * DAY) is None
    always: Document = {"windows": [{"kind": "weekly", "start": "00:00", "end": "24:00"}]}
    assert versions.first_difference({}, always, 7) == 7
    assert versions.turn(one, START + 6 * DAY) == Turn(False, START + 6 * DAY)
    assert versions.turn(other, START + 6 * DAY) == Turn(False, START + 7 * DAY)
    assert versions.turn({}, START) == Turn(True, None)


@examples(0.3)
@given(places().flatmap(lambda place: st.tuples(documents(place), documents(place), instants(place))))
def test_before_the_first_difference_there_is_none(case: tuple[Document, Document, int]) -> None:
    one, other, now = case
    at = versions.first_difference(one, other, now, 10 * DAY)
    tables = [compile_table(parse(document), now) for document in (one, other)]
    edges = [second for second in range(now, now + 10 * DAY, 3600) if at is None or second < at]
    assert all(len({table.at(second).resting for table in tables}) == 1 for second in edges)
    if at is not None:
        assert len({table.at(at).resting for table in tables}) == 2


def test_rules_that_both_have_are_not_told() -> None:
    one: Document = {"windows": [NIGHT, LEAVE], "overrides": []}
    other: Document = {"windows": [LEAVE, NIGHT, NIGHT]}
    assert versions.differing(one, other) == ([], [NIGHT])
    assert versions.differing(other, one) == ([NIGHT], [])


def test_of_an_edited_rule_the_words_that_differ_are_marked() -> None:
    other = {**LEAVE, "to": "2000-01-07"}
    told = {1: "Mo 5.1. bis Di 6.1.", 2: "Mo 5.1. bis Mi 7.1."}
    (line,) = versions.lines([LEAVE], [other], lambda entry: told[1 if entry is LEAVE else 2])
    assert line == (Part("Mo 5.1. bis", False), Part("Di 6.1.", True))
    (line,) = versions.lines([LEAVE], [NIGHT], lambda entry: told[1])
    assert line == (Part(told[1], True),)
