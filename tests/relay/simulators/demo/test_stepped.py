"""The stepped clock: nobody moves it but the driver, and who sleeps wakes up at the second half of a step."""

from __future__ import annotations

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from relay.clock import Clock
from relay.simulators.demo.stepped import SteppedClock

START = 1_000.0


class Sleeper:
    """Sleeps on a clock, and notes when it woke up."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.woke: list[tuple[float, float]] = []

    async def __call__(self, instant: float) -> None:
        await self._clock.sleep_until(instant)
        self.woke.append((instant, self._clock.now()))


async def test_time_does_not_pass_by_itself(nursery: trio.Nursery) -> None:
    clock = SteppedClock(START)
    sleeper = Sleeper(clock)
    nursery.start_soon(sleeper, START + 0.001)
    await wait_all_tasks_blocked()
    assert clock.now() == START
    assert not sleeper.woke


async def test_a_sleeper_wakes_up_at_the_release_not_when_the_clock_is_set(nursery: trio.Nursery) -> None:
    clock = SteppedClock(START)
    sleeper = Sleeper(clock)
    nursery.start_soon(sleeper, START + 5)
    await wait_all_tasks_blocked()
    clock.set(START + 10)
    await wait_all_tasks_blocked()
    assert clock.now() == START + 10
    assert not sleeper.woke
    clock.release()
    await wait_all_tasks_blocked()
    assert sleeper.woke == [(START + 5, START + 10)]


async def test_who_begins_to_sleep_between_the_halves_of_a_step_waits_for_the_second(nursery: trio.Nursery) -> None:
    clock = SteppedClock(START)
    sleeper = Sleeper(clock)
    clock.set(START + 10)
    nursery.start_soon(sleeper, START + 10)
    await wait_all_tasks_blocked()
    assert not sleeper.woke
    clock.release()
    await wait_all_tasks_blocked()
    assert sleeper.woke == [(START + 10, START + 10)]


async def test_an_instant_that_is_past_is_not_waited_for() -> None:
    clock = SteppedClock(START)
    await clock.sleep_until(START)
    await clock.sleep_until(START - 1)
    assert clock.next_wake() == float("inf")


async def test_only_those_wake_up_whose_time_has_come(nursery: trio.Nursery) -> None:
    clock = SteppedClock(START)
    sleeper = Sleeper(clock)
    for seconds in (30, 10, 20):
        nursery.start_soon(sleeper, START + seconds)
    await wait_all_tasks_blocked()
    assert clock.next_wake() == START + 10
    clock.set(START + 20)
    clock.release()
    await wait_all_tasks_blocked()
    assert sorted(sleeper.woke) == [(START + 10, START + 20), (START + 20, START + 20)]
    assert clock.next_wake() == START + 30
    nursery.cancel_scope.cancel()


async def test_a_sleeper_that_was_cancelled_is_nobody_to_step_for(nursery: trio.Nursery) -> None:
    clock = SteppedClock(START)
    scope = trio.CancelScope()

    async def cancelled() -> None:
        with scope:
            await clock.sleep_until(START + 10)

    nursery.start_soon(cancelled)
    nursery.start_soon(clock.sleep_until, START + 20)
    await wait_all_tasks_blocked()
    scope.cancel()
    await wait_all_tasks_blocked()
    assert clock.next_wake() == START + 20
    nursery.cancel_scope.cancel()


def test_the_clock_does_not_go_back() -> None:
    clock = SteppedClock(START)
    clock.set(START)
    with pytest.raises(ValueError, match="does not go back"):
        clock.set(START - 1)
