"""Little's law: as many connections as the queue and the answer time ask for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.lanes.sizing import FULL, SOON, UNMEASURED, AnswerTime, connections


@pytest.mark.parametrize(
    ("waiting", "answer_time", "streams", "needed"),
    [
        (0, 0.1, 100, 1),
        (5_000, 0.1, 100, 1),
        (5_001, 0.1, 100, 2),
        (69_000, 0.1, 100, 14),
        (69_000, 0.1, 1_000, 2),
        (69_000, 0.4, 100, 56),
        (69_000, 0.0, 100, 1),
        (10_000, None, 100, 2),
        (100, 0.1, 0, 2),
    ],
)
def test_what_waits_is_to_leave_soon(waiting: int, answer_time: float | None, streams: int, needed: int) -> None:
    assert connections(waiting, answer_time, streams) == needed


@given(st.integers(0, 10**6), st.floats(0, 60), st.integers(1, 2_000))
def test_so_many_are_enough_and_one_less_is_not(waiting: int, seconds: float, streams: int) -> None:
    needed = connections(waiting, seconds, streams)
    assert needed * streams * SOON >= waiting * seconds * (1 - 1e-9)
    assert needed == 1 or (needed - 1) * streams * SOON <= waiting * seconds * (1 + 1e-9)


def test_the_mean_follows_what_is_measured() -> None:
    time = AnswerTime()
    time.measured(0.1, load=0.0)
    assert time.mean == 0.1
    for _ in range(100):
        time.measured(0.4, load=0.5)
    assert time.mean == pytest.approx(0.4, rel=0.01)


def test_a_full_lane_measures_its_own_queue_and_is_not_listened_to() -> None:
    time = AnswerTime()
    time.measured(30.0, load=FULL)
    assert time.mean is None
    assert UNMEASURED < 1
