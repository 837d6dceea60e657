"""How long a process may believe that the people in its memory are its own."""

from __future__ import annotations

import trio
from trio.testing import MockClock

from relay.clock import TrioClock
from relay.store.port import LEASE
from relay.tenure import MARGIN, Tenure

START = 1_795_000_000.0


class SetClock:
    """A clock that somebody sets."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def now(self) -> float:
        return START + trio.current_time() + self.ahead

    async def sleep_until(self, instant: float) -> None:
        await trio.sleep(instant - self.now())


async def test_it_ends_a_margin_before_the_lease_of_the_last_renewal(mock_clock: MockClock) -> None:
    tenure, clock = Tenure(TrioClock(START)), TrioClock(START)
    told: list[float] = []
    tenure.goes_on = lambda: told.append(trio.current_time())
    for _ in range(10):
        tenure.renewed(trio.current_time(), clock.now())
        tenure.tell()
        mock_clock.jump(LEASE - MARGIN - 0.01)
        assert tenure.holds()
    mock_clock.jump(0.01)
    assert not tenure.holds()
    tenure.tell()
    assert told == []
    tenure.renewed(trio.current_time(), clock.now())
    assert tenure.holds()
    tenure.tell()
    assert len(told) == 1


async def test_whoever_was_held_back_between_two_attempts_is_told_that_it_goes_on(mock_clock: MockClock) -> None:
    """A renewal may take so long, or the clock leap, that it was over when nobody looked."""
    clock = SetClock()
    tenure = Tenure(clock)
    told: list[float] = []
    tenure.goes_on = lambda: told.append(trio.current_time())
    tenure.tell()
    mock_clock.jump(LEASE)
    tenure.renewed(trio.current_time() - 1.0, clock.now() - 1.0)
    tenure.tell()
    assert len(told) == 1
    clock.ahead = 3600.0
    tenure.renewed(trio.current_time(), clock.now())
    tenure.tell()
    assert len(told) == 2
    tenure.renewed(trio.current_time(), clock.now())
    tenure.tell()
    assert len(told) == 2


async def test_an_answer_that_comes_late_counts_from_when_it_was_asked_for(mock_clock: MockClock) -> None:
    """The server may have answered at once, and the process been stopped since."""
    tenure, clock = Tenure(TrioClock(START)), TrioClock(START)
    asked_at, clock_then = trio.current_time(), clock.now()
    mock_clock.jump(LEASE)
    tenure.renewed(asked_at, clock_then)
    assert not tenure.holds()


async def test_a_process_that_was_stopped_knows_it_before_any_task_has_run(mock_clock: MockClock) -> None:
    tenure = Tenure(TrioClock(START))
    assert tenure.holds()
    mock_clock.jump(LEASE)
    assert not tenure.holds()


async def test_a_machine_that_slept_is_found_out_by_its_clock(mock_clock: MockClock) -> None:
    clock = SetClock()
    tenure = Tenure(clock)
    assert tenure.holds()
    clock.ahead = LEASE
    assert not tenure.holds()


async def test_a_clock_that_is_set_back_makes_no_tenure_longer(mock_clock: MockClock) -> None:
    clock = SetClock()
    tenure = Tenure(clock)
    clock.ahead = -3600.0
    mock_clock.jump(LEASE)
    assert not tenure.holds()
