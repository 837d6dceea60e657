"""Faults that no control shows, in words without a path."""

from __future__ import annotations

import pytest

from schedules.errors import Problem
from schedules.web import faults


@pytest.mark.parametrize(
    ("problem", "told"),
    [
        (Problem("overrides", "has more than 50 entries", "…"), "There are too many rules for one more."),
        (Problem("windows[3].swaps", "has more than 200 entries", "…"), "Too many days are swapped."),
        (Problem("devices", "has more than 20 entries", "…"), "No more than 20 devices can be set one by one."),
        (Problem("until", "must lie in the future", "…"), "The end must lie in the future."),
        (Problem("windows[3].end", "must be later than the start", "…"),
         "Nothing was saved, because a rule has a fault."),
    ],
)  # fmt: skip
def test_what_no_control_shows_is_told_without_a_path(problem: Problem, told: str) -> None:
    assert faults.alone(problem).english == told
