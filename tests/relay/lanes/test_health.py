"""Health: when a lane may send, from verdicts alone."""

from __future__ import annotations

import pytest

from relay.core.breaker import FAILURES, State
from relay.core.verdicts import Action, Scope, Verdict
from relay.lanes.health import BUGS, NOT_TAKEN, PAUSE, Health
from tests.relay.world import NOON

BUG = Verdict(Action.GIVE_UP, Scope.MESSAGE)
SUSPECT = Verdict(Action.SUSPECT, Scope.DEVICE)
LOOK = 3600.0


class _Hand:
    """A clock set by hand."""

    def __init__(self) -> None:
        self.at = NOON

    def now(self) -> float:
        return self.at

    async def sleep_until(self, instant: float) -> None:
        raise AssertionError("nobody sleeps here")


def _stopped(reason: str = "Forbidden") -> tuple[Health, _Hand]:
    clock = _Hand()
    health = Health("ios", clock)
    health.stop(reason)
    return health, clock


def _probe(health: Health, clock: _Hand) -> None:
    clock.at += PAUSE
    assert health.allowance() == 1
    health.probing()


def test_a_healthy_lane_sends_without_limit_and_has_nothing_to_wait_for() -> None:
    health = Health("ios", _Hand())
    assert health.allowance() is None
    health.probing()
    health.probe_again()
    assert health.state is State.CLOSED
    assert health.look_in(LOOK, may_probe=True) == LOOK


def test_a_stopped_lane_lets_one_probe_through_at_a_time() -> None:
    health, clock = _stopped()
    assert health.allowance() == 0
    assert health.look_in(LOOK, may_probe=True) == PAUSE
    assert health.look_in(LOOK, may_probe=False) == LOOK
    _probe(health, clock)
    assert health.allowance() == 0
    assert health.recovered()
    assert (health.state, health.opened_for) == (State.CLOSED, "")


def test_a_probe_that_did_not_leave_is_followed_by_another_at_once() -> None:
    health, clock = _stopped()
    _probe(health, clock)
    health.probe_again()
    assert (health.allowance(), health.opened_for) == (1, "Forbidden")


def test_who_is_stopped_and_told_to_wait_a_moment_stays_stopped() -> None:
    """Both may come in one flight: many were refused, and one was told to come back in a second."""
    health, clock = _stopped()
    health.wait("QUOTA_EXCEEDED", 1.0)
    clock.at += 2
    assert (health.allowance(), health.opened_for, health.word) == (0, "Forbidden", "stopped")
    health.wait("QUOTA_EXCEEDED", 2 * PAUSE)
    clock.at += 2 * PAUSE - 1
    assert health.allowance() == 0
    clock.at += 1
    assert health.allowance() == 1


def test_who_waits_and_is_stopped_sends_no_probe_before_the_wait_is_over() -> None:
    clock = _Hand()
    health = Health("ios", clock)
    health.wait("QUOTA_EXCEEDED", 2 * PAUSE)
    health.stop("Forbidden")
    clock.at += 2 * PAUSE - 1
    assert (health.allowance(), health.word) == (0, "stopped")
    clock.at += 1
    assert health.allowance() == 1


@pytest.mark.parametrize("longer", [60.0, 2 * PAUSE])
def test_a_short_wait_does_not_shorten_a_longer_one(longer: float) -> None:
    """Answers of one flight: the quota is used up, which takes a minute, and one says "in two seconds"."""
    clock = _Hand()
    health = Health("android", clock)
    health.wait("QUOTA_EXCEEDED", longer)
    health.wait("QUOTA_EXCEEDED", 2.0)
    clock.at += longer - 1
    assert (health.allowance(), health.word) == (0, "paused")
    clock.at += 1
    assert health.allowance() == 1


def test_nor_does_a_wait_that_a_clock_ahead_has_planned_lengthen_another() -> None:
    clock = _Hand()
    health = Health("android", clock)
    health.wait("QUOTA_EXCEEDED", 60.0)
    clock.at -= 86400.0
    health.wait("QUOTA_EXCEEDED", 60.0)
    clock.at += 60.0
    assert health.allowance() == 1


def test_a_probe_without_an_answer_is_followed_by_another_after_a_pause() -> None:
    health, clock = _stopped()
    _probe(health, clock)
    health.unknown()
    assert health.allowance() == 0
    assert 0 < health.look_in(LOOK, may_probe=True) <= PAUSE


@pytest.mark.parametrize("news", ["accepted", "recovered", "failed"])
def test_answers_to_what_left_before_do_not_move_an_open_breaker(news: str) -> None:
    health, _ = _stopped()
    if news == "accepted":
        assert not health.accepted(100)
    elif news == "recovered":
        assert not health.recovered()
    else:
        for _ in range(2 * FAILURES):
            health.failed("InternalServerError")
    assert (health.state, health.opened_for) == (State.OPEN, "Forbidden")
    assert health.look_in(LOOK, may_probe=True) == PAUSE


def test_malformed_requests_in_a_row_are_the_lanes_fault_and_one_success_ends_the_row() -> None:
    health = Health("ios", _Hand())
    for _ in range(3):
        assert {health.judge(BUG) for _ in range(BUGS)} == {Action.GIVE_UP}
        health.accepted(1)
    assert {health.judge(BUG) for _ in range(BUGS)} == {Action.GIVE_UP}
    assert health.judge(BUG) is Action.STOP
    assert health.judge(SUSPECT) is Action.SUSPECT
    assert health.judge(BUG) is Action.GIVE_UP


@pytest.mark.parametrize("verdict", [BUG, SUSPECT])
def test_a_probe_that_repeats_what_stopped_the_lane_is_no_news_about_a_device(verdict: Verdict) -> None:
    health, clock = _stopped("BadDeviceToken")
    assert not health.still_stopped(verdict, "BadDeviceToken"), "not a probe"
    _probe(health, clock)
    assert not health.still_stopped(verdict, "Other")
    assert health.still_stopped(verdict, "BadDeviceToken")
    assert health.state is State.OPEN
    assert health.look_in(LOOK, may_probe=True) == PAUSE


def test_a_clock_set_back_does_not_postpone_the_probe() -> None:
    health, clock = _stopped()
    clock.at -= 7200.0
    assert health.allowance() == 1
    assert health.look_in(LOOK, may_probe=True) <= NOT_TAKEN


def test_a_probe_that_is_due_and_could_not_leave_is_not_looked_for_without_pause() -> None:
    """There is no access token yet: whoever gets one says so, and until then looking again at once is a busy loop."""
    health, clock = _stopped()
    clock.at += PAUSE - 0.5
    assert health.look_in(LOOK, may_probe=True) == 0.5
    clock.at += 0.5
    assert health.allowance() == 1
    assert health.look_in(LOOK, may_probe=True) == NOT_TAKEN


def test_one_word_says_who_must_act() -> None:
    """Whether the provider comes back by itself, or somebody must mend what is ours; a probe changes nothing yet."""
    health, clock = _stopped()
    words = [health.word]
    _probe(health, clock)
    words.append(health.word)
    assert health.recovered()
    words.append(health.word)
    health.wait("TooManyRequests")
    words.append(health.word)
    _probe(health, clock)
    assert health.recovered()
    for _ in range(FAILURES):
        words.append(health.word)
        health.failed("InternalServerError")
    words.append(health.word)
    assert words == ["stopped", "stopped", "up", "paused", *["up"] * FAILURES, "paused"]
