"""Holds between a user's wakeups, and back-off of a device."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.core.pacing import CONNECTION_RETRY, FIRST_RETRY, GAPS, LONGEST_RETRY, Hold, backoff
from tests.relay.core.scene import NOON


def test_the_first_wakeup_after_silence_is_not_held() -> None:
    assert Hold().until <= NOON


def test_the_hold_grows_while_nothing_is_seen() -> None:
    hold, now, gaps = Hold(), NOON, []
    for _ in range(6):
        hold.left(now)
        gaps.append(hold.until - now)
        now = hold.until
    assert gaps == [5, 15, 60, 300, 300, 300]


def test_seen_starts_it_anew_and_cuts_a_running_hold_to_the_shortest() -> None:
    hold = Hold()
    for now in (NOON, NOON + 5, NOON + 20, NOON + 80):
        hold.left(now)
    assert hold.until == NOON + 380
    hold.seen()
    assert hold.until == NOON + 85
    hold.left(NOON + 90)
    assert hold.until == NOON + 95


def test_seen_never_lengthens_a_hold() -> None:
    hold = Hold()
    hold.seen()
    assert hold.until <= NOON
    hold.left(NOON)
    hold.seen()
    assert hold.until == NOON + 5


@pytest.mark.parametrize(("silence", "gap"), [(299.999, 300), (300.0, 5)])
def test_as_long_a_silence_as_the_longest_hold_starts_it_anew(silence: float, gap: float) -> None:
    hold = Hold()
    for now in (NOON, NOON + 5, NOON + 20):
        hold.left(now)
    later = hold.until + silence
    hold.left(later)
    assert hold.until == later + gap


@pytest.mark.parametrize(
    ("attempt", "seconds"),
    [(1, 10), (2, 20), (3, 40), (4, 80), (5, 160), (6, 320), (7, 640), (8, 900), (9, 900), (1000, 900)],
)
def test_back_off_doubles_from_ten_seconds_to_fifteen_minutes(attempt: int, seconds: float) -> None:
    assert backoff(attempt, 0.0) == seconds


def test_a_lost_connection_is_tried_again_sooner() -> None:
    assert [backoff(attempt, 0.0, CONNECTION_RETRY) for attempt in (1, 2, 3)] == [1, 2, 4]


@given(attempt=st.integers(1, 10_000), noise=st.floats(0, 1, exclude_max=True))
def test_noise_only_lengthens_and_by_half_at_most(attempt: int, noise: float) -> None:
    plain = backoff(attempt, 0.0)
    assert FIRST_RETRY <= plain <= backoff(attempt, noise) <= plain * 1.5
    assert backoff(attempt, noise) <= LONGEST_RETRY * 1.5


def test_gaps_only_grow() -> None:
    assert list(GAPS) == sorted(GAPS)
