"""Union and difference of half-open intervals, against sets of seconds."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schedules.intervals import Interval, merge, subtract

POINT = st.integers(-30, 30)
INTERVALS = st.lists(st.tuples(POINT, POINT), max_size=8)
"""Also empty and reversed ones."""


def seconds(intervals: list[Interval]) -> set[int]:
    return {second for start, end in intervals for second in range(start, end)}


def is_normal(intervals: list[Interval]) -> bool:
    """Sorted, none empty, none touching the next."""
    return all(start < end for start, end in intervals) and all(
        end < following for (_, end), (following, _) in pairwise(intervals)
    )


@pytest.mark.parametrize(
    ("given_", "merged"),
    [
        ([], []),
        ([(5, 5)], []),
        ([(5, 4)], []),
        ([(1, 2), (2, 3)], [(1, 3)]),
        ([(2, 3), (1, 2)], [(1, 3)]),
        ([(1, 2), (3, 4)], [(1, 2), (3, 4)]),
        ([(1, 9), (2, 3), (8, 10)], [(1, 10)]),
        ([(1, 9), (4, 4), (4, 2)], [(1, 9)]),
        ([(1, 2), (2, 2), (3, 4)], [(1, 2), (3, 4)]),
    ],
)
def test_touching_intervals_become_one_and_empty_ones_vanish(given_: list[Interval], merged: list[Interval]) -> None:
    """R5, R8."""
    assert merge(given_) == merged


@pytest.mark.parametrize(
    ("whole", "holes", "left"),
    [
        ([(0, 10)], [], [(0, 10)]),
        ([(0, 10)], [(3, 5)], [(0, 3), (5, 10)]),
        ([(0, 10)], [(0, 10)], []),
        ([(0, 10)], [(-5, 3), (7, 15)], [(3, 7)]),
        ([(0, 10)], [(10, 12), (-3, 0)], [(0, 10)]),
        ([(0, 4), (6, 9)], [(3, 7)], [(0, 3), (7, 9)]),
        ([(0, 4)], [(1, 2), (2, 3)], [(0, 1), (3, 4)]),
        ([], [(1, 2)], []),
    ],
)
def test_a_hole_cuts_what_it_covers_and_nothing_else(
    whole: list[Interval], holes: list[Interval], left: list[Interval]
) -> None:
    assert subtract(whole, merge(holes)) == left


@given(INTERVALS)
def test_merge_is_the_union_in_normal_form(intervals: list[Interval]) -> None:
    merged = merge(intervals)
    assert seconds(merged) == seconds(intervals)
    assert is_normal(merged)
    assert merge(merged) == merged


@given(INTERVALS, INTERVALS)
def test_subtract_is_the_difference_in_normal_form(whole: list[Interval], holes: list[Interval]) -> None:
    left = subtract(merge(whole), merge(holes))
    assert seconds(left) == seconds(whole) - seconds(holes)
    assert is_normal(left)


@given(INTERVALS)
def test_the_arguments_stay_as_they_are(intervals: list[Interval]) -> None:
    """The merged windows are shared by everybody with the same schedule."""
    before = list(intervals)
    merged = merge(intervals)
    copy = list(merged)
    subtract(merged, merge([(0, 5)]))
    assert intervals == before
    assert merged == copy
