"""The one clock: instants by the machine's clock, also when it is stepped; and virtual time."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import SimpleNamespace

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from relay import clock as module
from relay.clock import SLICE, Clock, TrioClock, WallClock

NOON = 1_795_608_000.0


class Machine:
    """A machine's clock that runs with trio's, and can be stepped."""

    def __init__(self) -> None:
        self.stepped = 0.0

    def time(self) -> float:
        return NOON + trio.current_time() + self.stepped


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    made = Machine()
    monkeypatch.setattr(module, "time", SimpleNamespace(time=made.time))
    return made


def test_the_wall_clock_is_the_machines_clock() -> None:
    before = time.time()
    assert before <= WallClock().now() <= time.time()


@pytest.mark.parametrize("offset", [-86_400.0, 0.0, 0.5, 12_345.0])
async def test_an_offset_shifts_the_wall_clock_by_a_constant(
    machine: Machine, autojump_clock: MockClock, offset: float
) -> None:
    clock = WallClock(offset)
    assert clock.now() == machine.time() + offset
    await clock.sleep_until(machine.time() + offset + 10)
    assert trio.current_time() == pytest.approx(10)


CLOCKS: list[Callable[[], Clock]] = [WallClock, lambda: TrioClock(NOON)]


@pytest.mark.parametrize("make", CLOCKS, ids=["wall", "trio"])
@pytest.mark.parametrize("seconds", [0.001, 1, SLICE, SLICE + 1, 3600, 86_400])
async def test_sleep_ends_at_the_instant(
    machine: Machine, autojump_clock: MockClock, make: Callable[[], Clock], seconds: float
) -> None:
    clock = make()
    instant = clock.now() + seconds
    await clock.sleep_until(instant)
    assert clock.now() >= instant
    assert trio.current_time() == pytest.approx(seconds, abs=1e-6)


@pytest.mark.parametrize("make", CLOCKS, ids=["wall", "trio"])
@pytest.mark.parametrize("seconds", [0, -1, -86_400, float("-inf")])
async def test_sleep_until_the_past_is_a_checkpoint_and_nothing_more(
    machine: Machine, autojump_clock: MockClock, make: Callable[[], Clock], seconds: float
) -> None:
    clock = make()
    with trio.testing.assert_checkpoints():
        await clock.sleep_until(clock.now() + seconds)
    assert trio.current_time() == 0


@pytest.mark.parametrize("make", CLOCKS, ids=["wall", "trio"])
async def test_sleep_until_never_ends_by_cancellation_only(
    machine: Machine, autojump_clock: MockClock, make: Callable[[], Clock]
) -> None:
    with trio.move_on_after(86_400) as scope:
        await make().sleep_until(float("inf"))
    assert scope.cancelled_caught


@pytest.mark.parametrize(
    ("step", "ends"),
    [
        (95.0, SLICE),  # the instant is past: found at the next look
        (60.0, 40.0),
        (-50.0, 150.0),
        (-1000.0, 1100.0),
        (1e6, SLICE),
    ],
)
async def test_a_stepped_clock_is_noticed_within_a_slice(
    machine: Machine, autojump_clock: MockClock, step: float, ends: float
) -> None:
    """Forward: nothing is late by more than a slice. Backward: nothing is early."""
    clock = WallClock()
    instant = clock.now() + 100
    async with trio.open_nursery() as nursery:
        nursery.start_soon(clock.sleep_until, instant)
        await trio.sleep(10)
        machine.stepped += step
    assert clock.now() >= instant
    assert trio.current_time() == pytest.approx(ends)


async def test_trios_clock_counts_from_its_start_and_not_from_zero(autojump_clock: MockClock) -> None:
    await trio.sleep(1000)
    clock = TrioClock(NOON)
    assert clock.now() == NOON
    await trio.sleep(7.5)
    assert clock.now() == NOON + 7.5


async def test_many_sleepers_wake_in_the_order_of_their_instants(machine: Machine, autojump_clock: MockClock) -> None:
    clock = WallClock()
    start, woken = clock.now(), list[int]()

    async def sleeper(seconds: int) -> None:
        await clock.sleep_until(start + seconds)
        woken.append(seconds)

    async with trio.open_nursery() as nursery:
        for seconds in (95, 5, 61, 29, 31):
            nursery.start_soon(sleeper, seconds)
        await wait_all_tasks_blocked()
    assert woken == [5, 29, 31, 61, 95]
