"""What is measured, and what would not be a measurement."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import stage
from bench.door import Answer
from bench.latency import measured, objection
from bench.scene import Scene
from bench.stamps import Arrivals

MS = 1_000_000
NODE = stage.Node("http://127.0.0.1:1", "http://127.0.0.1:2", "backend.secret", "ios")


@pytest.mark.parametrize(
    ("rate", "seconds", "users", "is_fine"),
    [
        (1000, 20, 23_000, True),
        (1000, 22, 23_000, True),  # everybody once
        (1000, 60, 23_000, True),  # three times, 23 s apart
        (1000, 69, 23_000, False),  # somebody a fourth time
        (1000, 30, 20_000, False),  # twice, 20 s apart
        (50, 1, 100, True),
        (50, 1, 99, False),
    ],
)
def test_events_that_would_wait_for_holds_are_not_measured(
    rate: float, seconds: float, users: int, *, is_fine: bool
) -> None:
    assert (objection(rate, seconds, users) is None) == is_fine


def test_an_event_counts_from_the_instant_it_was_planned_for() -> None:
    """However late it was sent: 202 and arrival, both. Refused ones are counted, and never missing."""
    arrivals = Arrivals(Path("/dev/null"))
    arrivals.by_token = {"a": [12 * MS], "b": [40 * MS]}
    place = Scene(NODE, [["a"], ["b"], ["c"], ["d"]], Path("/dev/null"))
    answers = [Answer(202, 11 * MS), Answer(202, 35 * MS), Answer(503, 36 * MS), Answer(202, 45 * MS)]
    found = measured(place, [0, 1, 2, 3], [10 * MS, 20 * MS, 30 * MS, 40 * MS], answers, arrivals)
    assert found.arrived == [2.0, 20.0]
    assert found.accepted == [1.0, 15.0, 5.0]
    assert (found.missing, found.refused) == (1, 1)
