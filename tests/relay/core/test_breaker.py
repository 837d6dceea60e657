"""Whether a lane may send, driven by `now`."""

from __future__ import annotations

import pytest

from relay.core.breaker import FAILURES, LONGEST, Breaker, State
from tests.relay.core.scene import NOON


def opened(now: float = NOON) -> Breaker:
    """Opened by failures of the service."""
    breaker = Breaker()
    breaker.failed(FAILURES, "ServiceUnavailable", now)
    return breaker


def test_a_new_one_lets_everything_through() -> None:
    breaker = Breaker()
    assert (breaker.state, breaker.allowance(NOON), breaker.opened_for) == (State.CLOSED, None, "")


def test_it_takes_many_failures_in_a_row_to_open_it() -> None:
    breaker = Breaker()
    breaker.failed(FAILURES - 1, "ServiceUnavailable", NOON)
    assert breaker.allowance(NOON) is None
    breaker.failed(1, "ServiceUnavailable", NOON)
    assert (breaker.allowance(NOON), breaker.opened_for) == (0, "ServiceUnavailable")


def test_a_success_between_them_begins_a_new_row() -> None:
    breaker = Breaker()
    breaker.failed(FAILURES - 1, "ServiceUnavailable", NOON)
    breaker.succeeded()
    breaker.failed(FAILURES - 1, "ServiceUnavailable", NOON)
    assert breaker.state is State.CLOSED


@pytest.mark.parametrize(("later", "allowance"), [(0.0, 0), (9.999, 0), (10.0, 1), (1000.0, 1)])
def test_after_ten_seconds_one_probe_may_go(later: float, allowance: int) -> None:
    assert opened().allowance(NOON + later) == allowance


def test_while_the_probe_is_out_nothing_else_may_go() -> None:
    breaker = opened()
    breaker.probing()
    assert (breaker.state, breaker.allowance(NOON + 1000)) == (State.PROBING, 0)


def test_a_probe_that_is_answered_closes_it() -> None:
    breaker = opened()
    breaker.probing()
    breaker.succeeded()
    assert (breaker.state, breaker.allowance(NOON + 10), breaker.opened_for) == (State.CLOSED, None, "")


def test_probes_that_fail_or_get_no_answer_come_ever_more_slowly() -> None:
    breaker = opened()
    now, waits = breaker.probe_at, [breaker.probe_at - NOON]
    for turn in range(7):
        breaker.probing()
        if turn % 2:
            breaker.unknown(now)
        else:
            breaker.failed(1, "ServiceUnavailable", now)
        waits.append(breaker.probe_at - now)
        now = breaker.probe_at
    assert waits == [10, 20, 40, 80, 160, 300, 300, 300]


def test_after_a_success_it_begins_again_with_ten_seconds() -> None:
    breaker = opened()
    breaker.probing()
    breaker.failed(1, "ServiceUnavailable", NOON + 10)
    breaker.probing()
    breaker.succeeded()
    breaker.failed(FAILURES, "ServiceUnavailable", NOON + 100)
    assert breaker.probe_at == NOON + 110


def test_a_thousand_failures_at_once_cost_ten_seconds_and_not_five_minutes() -> None:
    """They are the answers to what was in flight when it opened."""
    breaker = Breaker()
    for _ in range(1000):
        breaker.failed(1, "ServiceUnavailable", NOON)
    assert breaker.probe_at == NOON + 10


def test_late_failures_do_not_cut_a_pause_short() -> None:
    breaker = Breaker()
    breaker.pause("TooManyProviderTokenUpdates", NOON + 300)
    breaker.failed(FAILURES, "ServiceUnavailable", NOON)
    assert (breaker.probe_at, breaker.opened_for) == (NOON + 300, "TooManyProviderTokenUpdates")


def test_a_wrong_configuration_is_probed_every_five_minutes() -> None:
    breaker = Breaker()
    now = NOON
    for _ in range(3):
        breaker.stop("InvalidProviderToken", now)
        assert breaker.allowance(now + LONGEST - 0.001) == 0
        assert breaker.allowance(now + LONGEST) == 1
        breaker.probing()
        now += LONGEST
    assert LONGEST == 300


def test_a_provider_that_says_wait_is_waited_for() -> None:
    breaker = Breaker()
    breaker.pause("TooManyProviderTokenUpdates", NOON + 77)
    assert (breaker.allowance(NOON + 76), breaker.allowance(NOON + 77)) == (0, 1)


@pytest.mark.parametrize("state", [State.CLOSED, State.OPEN])
def test_a_request_without_an_answer_says_nothing_unless_it_was_the_probe(state: State) -> None:
    breaker = Breaker() if state is State.CLOSED else opened()
    breaker.unknown(NOON + 5)
    assert breaker.state is state
    if state is State.OPEN:
        assert breaker.probe_at == NOON + 10
