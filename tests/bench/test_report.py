"""Percentiles, and what stands beside every figure."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.report import in_ms, percentile, surroundings


@pytest.mark.parametrize(
    ("percent", "expected"), [(0, 1), (50, 50), (50.5, 51), (98, 98), (99, 99), (99.1, 100), (100, 100)]
)
def test_a_percentile_of_a_hundred(percent: float, expected: int) -> None:
    assert percentile([float(value) for value in reversed(range(1, 101))], percent) == expected


def test_of_nothing_there_is_none() -> None:
    assert percentile([], 99) is None
    assert in_ms([], 99) is None
    assert in_ms([1.23456], 50) == 1.23


@given(values=st.lists(st.floats(0, 1e6), min_size=1, max_size=300), percent=st.integers(1, 100))
def test_a_percentile_is_the_smallest_value_that_so_many_do_not_exceed(values: list[float], percent: int) -> None:
    found = percentile(values, percent)
    assert found in values
    needed = math.ceil(percent / 100 * len(values))
    assert sum(value <= found for value in values) >= needed
    assert all(sum(value <= less for value in values) < needed for less in values if less < found)


def test_every_figure_has_its_surroundings() -> None:
    found = surroundings(7)
    assert set(found) >= {"cpu", "kernel", "python", "sqlite", "trio", "feierabend", "fsyncs_per_s", "commit", "seed"}
    assert all(found.values())
