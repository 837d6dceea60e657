"""The evaluator that asks rule by rule, against the table and the vectors."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schedules import RestKind, compile_table, parse
from schedules.pointwise import rests
from tests.schedules.documents import PLACES, Place, documents, examples, instants
from tests.schedules.vectors import VECTORS, Vector


@pytest.mark.parametrize("vector", VECTORS, ids=str)
def test_it_knows_the_vectors(vector: Vector) -> None:
    assert rests(parse(vector.document), vector.instant.timestamp()) == vector.resting


@pytest.mark.parametrize("place", PLACES, ids=str)
@examples(0.5)
@given(data=st.data())
def test_it_agrees_with_the_table_at_edges_and_between(place: Place, data: st.DataObject) -> None:
    """For every class; asked where the table changes its mind, and a second before."""
    rules = parse(data.draw(documents(place)))
    name = data.draw(st.sampled_from(("", "roster", "alarm")))
    pierced = data.draw(st.frozensets(st.sampled_from(list(RestKind)), max_size=2))
    table = compile_table(rules, place.change).for_class(name, pierced)
    for second in data.draw(st.lists(instants(place), min_size=2, max_size=4)):
        state = table.at(second)
        assert rests(rules, second, name, pierced) == state.resting
        edge = state.until or state.next_start
        if edge is not None:
            assert rests(rules, edge - 1, name, pierced) == state.resting
            assert rests(rules, edge, name, pierced) != state.resting


def test_an_instant_is_floored() -> None:
    night = parse({"windows": [{"kind": "weekly", "start": "22:00", "end": "06:00"}]})
    ten = datetime(2026, 11, 24, 21, tzinfo=UTC).timestamp()
    assert [rests(night, ten + by) for by in (-1, -0.001, 0, 0.999)] == [False, False, True, True]


@pytest.mark.parametrize(
    "window",
    [
        {"kind": "once", "start": "2026-10-25T01:00", "end": "2026-10-25T02:00"},
        {"kind": "weekly", "start": "01:00", "end": "02:00"},
        {
            "kind": "cycle", "anchor": "2026-10-24", "days": ["N", "F"],
            "shifts": {"N": {"start": "20:00", "end": "01:00"}, "F": {"start": "02:00", "end": "10:00"}},
        },
    ],
)  # fmt: skip
def test_what_ends_at_the_very_hour_that_is_shown_again_ends_the_second_time(window: dict[str, object]) -> None:
    """02:00 in Berlin, R4; the clock goes back from 03:00 to it."""
    rules = parse({"windows": [window]})
    second = datetime(2026, 10, 25, 1, tzinfo=UTC).timestamp()
    table = compile_table(rules, second)
    for at in (second - 3601, second - 3600, second - 1, second, second + 1):
        assert rests(rules, at) == table.at(at).resting == (at < second)
