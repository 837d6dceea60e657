"""One bad token is a dead device, many are our own mistake (S5)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.core.brake import FEW, PATIENCE, SHARE, WINDOW, Brake, Ruling
from tests.relay.core.scene import NOON


def first_ruling(brake: Brake, answers: list[tuple[int, int]], now: float = NOON) -> tuple[Ruling, int]:
    """The first ruling that is not HOLD, and after how many suspects."""
    suspects = 0
    for good, suspect in answers:
        brake.saw(good, suspect, now)
        suspects += suspect
        if (ruling := brake.rule(now)) is not Ruling.HOLD:
            return ruling, suspects
    return Ruling.HOLD, suspects


def test_without_suspects_there_is_nothing_to_rule() -> None:
    brake = Brake()
    brake.saw(1000, 0, NOON)
    assert (brake.rule(NOON + 1e6), brake.due_at()) == (Ruling.HOLD, None)


@pytest.mark.parametrize("size", [1, 5, 48, 200])
def test_when_every_token_is_bad_the_lane_stops_within_two_hundred(size: int) -> None:
    """S5."""
    ruling, suspects = first_ruling(Brake(), [(0, size)] * 300)
    assert ruling is Ruling.STOP
    assert suspects <= 200


@pytest.mark.parametrize("history", [[(1, 0)] * 5000, [(5000, 0)], [(199, 0), (200, 0)], [(190, 0), (20_000, 0)]])
def test_a_good_past_does_not_delay_the_stop(history: list[tuple[int, int]]) -> None:
    """Only the last two hundred answers count, in whatever batches they came."""
    brake = Brake()
    for good, suspect in history:
        brake.saw(good, suspect, NOON)
    ruling, suspects = first_ruling(brake, [(0, 1)] * 300)
    assert ruling is Ruling.STOP
    assert suspects <= 11


def test_a_good_past_does_not_bury_a_slow_flood_either() -> None:
    """One wakeup in three seconds, all of them refused: at the end of the patience there are ten in the window."""
    brake = Brake()
    brake.saw(20_000, 0, NOON)
    for second in range(0, 30, 3):
        brake.saw(0, 1, NOON + second)
        assert brake.rule(NOON + second) is Ruling.HOLD
    assert brake.rule(NOON + PATIENCE) is Ruling.STOP


def test_one_bad_among_many_is_buried() -> None:
    brake = Brake()
    brake.saw(20, 1, NOON)
    assert brake.rule(NOON) is Ruling.HOLD
    brake.saw(WINDOW - 21, 0, NOON + 1)
    assert brake.rule(NOON + 1) is Ruling.HOLD
    brake.saw(1, 0, NOON + 1)
    assert brake.rule(NOON + 1) is Ruling.BURY


def test_on_a_quiet_lane_it_is_buried_after_a_while() -> None:
    brake = Brake()
    brake.saw(0, 1, NOON)
    assert brake.due_at() == NOON + PATIENCE
    assert brake.rule(NOON + PATIENCE - 0.001) is Ruling.HOLD
    assert brake.rule(NOON + PATIENCE) is Ruling.BURY


def test_the_patience_runs_from_the_first_that_is_held() -> None:
    brake = Brake()
    brake.saw(0, 1, NOON)
    brake.saw(0, 1, NOON + PATIENCE - 1)
    assert brake.rule(NOON + PATIENCE) is Ruling.BURY


def test_after_a_burial_the_next_suspect_has_patience_of_its_own() -> None:
    brake = Brake()
    brake.saw(0, 1, NOON)
    brake.released()
    assert (brake.due_at(), brake.rule(NOON + 60)) == (None, Ruling.HOLD)
    brake.saw(0, 1, NOON + 100)
    assert brake.rule(NOON + 100) is Ruling.HOLD
    assert brake.rule(NOON + 100 + PATIENCE) is Ruling.BURY


def test_few_are_buried_though_they_are_all_there_is() -> None:
    """A small tenant's dead devices; else they would stop its lane."""
    brake = Brake()
    brake.saw(0, FEW, NOON)
    assert brake.rule(NOON + PATIENCE) is Ruling.BURY


def test_more_than_few_of_a_quiet_lane_stop_it() -> None:
    brake = Brake()
    brake.saw(0, FEW + 1, NOON)
    assert brake.rule(NOON) is Ruling.HOLD
    assert brake.rule(NOON + PATIENCE) is Ruling.STOP


def test_what_was_buried_counts_for_the_next_judgement() -> None:
    """A wrong environment on a quiet lane costs a few tokens, and no more."""
    brake = Brake()
    brake.saw(0, FEW, NOON)
    assert brake.rule(NOON + PATIENCE) is Ruling.BURY
    brake.released()
    brake.saw(0, FEW, NOON + 100)
    assert brake.rule(NOON + 100 + PATIENCE) is Ruling.STOP


@pytest.mark.parametrize(("suspects", "ruling"), [(9, Ruling.BURY), (10, Ruling.STOP), (11, Ruling.STOP)])
def test_five_percent_of_the_last_two_hundred_are_many(suspects: int, ruling: Ruling) -> None:
    brake = Brake()
    brake.saw(WINDOW - suspects, suspects, NOON)
    assert brake.rule(NOON + PATIENCE) is ruling


def test_after_a_reset_the_past_is_forgotten() -> None:
    brake = Brake()
    brake.saw(0, 200, NOON)
    brake.reset()
    assert (brake.rule(NOON + 1e6), brake.due_at()) == (Ruling.HOLD, None)
    brake.saw(0, 1, NOON + 60)
    assert brake.rule(NOON + 60 + PATIENCE) is Ruling.BURY


batches = st.lists(st.tuples(st.integers(0, 300), st.integers(0, 12)), max_size=30)


@given(answers=batches)
def test_it_never_buries_when_many_of_the_last_answers_are_suspect(answers: list[tuple[int, int]]) -> None:
    """Judged by a list of the single answers, in the order least in favour of a burial: the good ones first."""
    brake, single = Brake(), list[bool]()
    for index, (good, suspect) in enumerate(answers):
        brake.saw(good, suspect, NOON + index)
        single += [False] * good + [True] * suspect
        last = single[-WINDOW:]
        ruling = brake.rule(NOON + index)
        if ruling is Ruling.BURY:
            assert sum(last) <= FEW or sum(last) < SHARE * len(last)
            brake.released()
        elif ruling is Ruling.STOP:
            assert sum(last) > FEW
            assert sum(last) >= SHARE * len(last)
            brake.reset()
            single.clear()
