"""Our answers against those of an evaluator that shares nothing with them but the rules."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schedules import RestKind, RuleError, compile_table, parse, state
from tests.schedules.documents import DAY, PLACES, Place, documents, examples, instants
from tests.schedules.second_evaluator import Answer, Row, empty_spans, paint, row
from tests.schedules.vectors import VECTORS, Vector

SEEN_BEFORE, SEEN = 6, 24
"""Days of the row of minutes that lie before the change, and in all."""


def faults(document: dict[str, object]) -> set[str]:
    try:
        parse(document)
    except RuleError as error:
        return {problem.path for problem in error.problems}
    return set()


@pytest.fixture(scope="module", params=PLACES, ids=str)
def place(request: pytest.FixtureRequest) -> Place:
    """Of module scope, so that the tests of one place follow each other and share its row of minutes."""
    assert isinstance(request.param, Place)
    return request.param


def around(place: Place) -> Row:
    return row(place.zone, (place.change - SEEN_BEFORE * DAY) // 60, SEEN * DAY // 60)


def agree(document: dict[str, object], second: int, expected: Answer, end_of_sight: int) -> None:
    """Compare with `state`; what the other evaluator did not see must lie beyond its sight."""
    found = state(document, datetime.fromtimestamp(second, UTC))
    assert (found.resting, found.reasons) == (expected.resting, expected.reasons)
    for ours, theirs in ((found.until, expected.until), (found.next_start, expected.next_start)):
        if theirs is not None:
            assert ours is not None
            assert ours.timestamp() == theirs
        elif ours is not None:
            assert ours.timestamp() >= end_of_sight
    assert found.until is None or found.resting
    assert found.next_start is None or not found.resting


@examples(0.16)
@given(data=st.data())
def test_both_evaluators_agree_around_the_change(place: Place, data: st.DataObject) -> None:
    document = data.draw(documents(place))
    painted = paint(document, around(place))
    end_of_sight = (painted.row.first + len(painted.row.labels)) * 60
    seconds = data.draw(st.lists(instants(place), min_size=3, max_size=3))
    for second in seconds:
        answer = painted.at(second)
        agree(document, second, answer, end_of_sight)
        # The edges are where an evaluator errs, and where a person is woken.
        edge = answer.until or answer.next_start
        if edge is not None and edge < end_of_sight - DAY:
            agree(document, edge - 1, painted.at(edge - 1), end_of_sight)
            agree(document, edge, painted.at(edge), end_of_sight)


@examples(0.08)
@given(data=st.data())
def test_both_evaluators_agree_on_every_change_of_state(place: Place, data: st.DataObject) -> None:
    """The whole row, edge by edge, from one table: neither misses a rest, neither has one more."""
    document = data.draw(documents(place))
    painted = paint(document, around(place))
    second = place.change - 2 * DAY
    table = compile_table(parse(document), second)
    while second < place.change + 12 * DAY:
        ours, theirs = table.at(second), painted.at(second)
        assert ours.resting == theirs.resting
        following = theirs.until if theirs.resting else theirs.next_start
        if following is None:
            return
        assert following == (ours.until if ours.resting else ours.next_start)
        second = following


@examples(0.08)
@given(
    data=st.data(),
    name=st.sampled_from(("message", "roster", "alarm", "")),
    pierced=st.frozensets(st.sampled_from(list(RestKind)), max_size=3),
)
def test_both_evaluators_agree_on_what_a_class_sees(
    place: Place, data: st.DataObject, name: str, pierced: frozenset[RestKind]
) -> None:
    document = data.draw(documents(place))
    painted = paint(document, around(place), frozenset(kind.value for kind in pierced), name)
    second = place.change - 2 * DAY
    whole = compile_table(parse(document), second)
    table = whole.for_class(name, pierced)
    assert whole.is_uniform or any("classes" in override for override in document["overrides"])  # type: ignore[attr-defined]
    if whole.is_uniform and not pierced:
        assert table is whole
    while second < place.change + 12 * DAY:
        ours, theirs = table.at(second), painted.at(second)
        assert (ours.resting, table.reasons(second)) == (theirs.resting, theirs.reasons)
        following = theirs.until if theirs.resting else theirs.next_start
        if following is None:
            return
        assert following == (ours.until if ours.resting else ours.next_start)
        second = following


@examples(0.12)
@given(data=st.data())
def test_a_one_off_is_refused_exactly_when_it_ends_before_it_begins(place: Place, data: st.DataObject) -> None:
    """R6, judged by instants: 02:15-02:45 on the wall is nothing in spring, 02:45-02:15 is half an hour in autumn."""
    document = data.draw(documents(place, any_order=True))
    assert faults(document) == empty_spans(document, around(place))


@pytest.mark.parametrize("vector", VECTORS, ids=str)
def test_the_second_evaluator_knows_the_vectors(vector: Vector) -> None:
    """Whoever contradicts us must first be right himself."""
    second = int(vector.instant.timestamp())
    first = (second // DAY - 2) * DAY // 60
    painted = paint(vector.document, row(str(vector.document["timezone"]), first, 16 * 1440))
    answer = painted.at(second)
    assert answer.resting == vector.resting
    assert answer.until == (vector.until and vector.until.timestamp())
    assert answer.next_start == (vector.next_start and vector.next_start.timestamp())
