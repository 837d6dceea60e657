"""The ladder: what Apple and Google are told of how long a wakeup may live."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.core.life import LADDER, NOW_OR_NEVER, TICK, apns_expiration, life
from tests.relay.core.scene import DAY, HOUR, MINUTE, NOON


def test_the_ladder_is_the_one_of_the_design() -> None:
    assert LADDER == (5 * MINUTE, 15 * MINUTE, HOUR, 4 * HOUR, 12 * HOUR, 7 * DAY)


@pytest.mark.parametrize(
    ("seconds", "step"),
    [
        (-1.0, 0), (0.0, 0), (299.999, 0),
        (300.0, 300), (899.999, 300),
        (900.0, 900), (3599.999, 900),
        (3600.0, 3600), (14_399.999, 3600),
        (14_400.0, 14_400), (43_199.999, 14_400),
        (43_200.0, 43_200), (604_799.999, 43_200),
        (604_800.0, 604_800), (1e9, 604_800), (float("inf"), 604_800),
    ],
)  # fmt: skip
def test_the_longest_step_that_fits_is_taken(seconds: float, step: int) -> None:
    assert life(seconds) == step


@given(st.floats(allow_nan=False))
def test_nothing_but_a_step_of_the_ladder_is_ever_said(seconds: float) -> None:
    """A computed value would tell the providers everybody's roster."""
    assert life(seconds) in (NOW_OR_NEVER, *LADDER)
    assert life(seconds) <= max(seconds, 0)


@pytest.mark.parametrize(
    ("now", "step", "expiration"),
    [
        (NOON, 0, 0),
        (NOON + 17.5, 0, 0),
        (NOON, 300, NOON + 300),
        (NOON + 299.999, 300, NOON + 300),
        (NOON + 300, 300, NOON + 600),
        (NOON + 1, 3600, NOON + 3600),
        (NOON + 301, 604_800, NOON + 300 + 604_800),
    ],
)
def test_an_expiration_is_send_time_and_step_rounded_down_to_five_minutes(
    now: float, step: int, expiration: float
) -> None:
    assert apns_expiration(now, step) == expiration


@given(now=st.floats(NOON, NOON + DAY), step=st.sampled_from(LADDER))
def test_an_expiration_never_tells_the_second_nor_outlives_its_step(now: float, step: int) -> None:
    value = apns_expiration(now, step)
    assert value % TICK == 0
    assert now + step - TICK < value <= now + step
    assert value > now - TICK
