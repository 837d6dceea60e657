"""How long a process may believe that the people in its memory are its own."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from relay.clock import TrioClock
from relay.journal import inline
from relay.store.port import LEASE, StaleEpoch, StoreError
from relay.tenure import EVERY, MARGIN, Tenure

START = 1_795_000_000.0


class Server:
    """Renews, or does not."""

    def __init__(self) -> None:
        self.asked: list[float] = []
        self.error: StoreError | None = None

    def renew(self) -> None:
        self.asked.append(trio.current_time())
        if self.error is not None:
            raise self.error


class SetClock:
    """A clock that somebody sets."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def now(self) -> float:
        return START + trio.current_time() + self.ahead

    async def sleep_until(self, instant: float) -> None:
        await trio.sleep(instant - self.now())


async def test_it_goes_on_while_it_is_renewed(autojump_clock: MockClock) -> None:
    server, tenure = Server(), Tenure(TrioClock(START))
    async with trio.open_nursery() as nursery:
        await nursery.start(tenure.keep, server.renew, inline)
        for _ in range(100):
            await trio.sleep(0.31)
            assert tenure.holds()
        nursery.cancel_scope.cancel()
    assert len(server.asked) == pytest.approx(100 * 0.31 / EVERY, abs=2)


async def test_it_ends_before_the_lease_does_and_goes_on_when_it_is_renewed(autojump_clock: MockClock) -> None:
    server, tenure = Server(), Tenure(TrioClock(START))
    told: list[float] = []
    tenure.goes_on = lambda: told.append(trio.current_time())
    async with trio.open_nursery() as nursery:
        await nursery.start(tenure.keep, server.renew, inline)
        await trio.sleep(10 * EVERY + 0.1)
        server.error = StoreError("away")
        renewed_at = server.asked[-1]
        await trio.sleep_until(renewed_at + LEASE - MARGIN - 0.01)
        assert tenure.holds()
        await trio.sleep_until(renewed_at + LEASE - MARGIN)
        assert not tenure.holds()
        await trio.sleep(60)
        assert not tenure.holds()
        assert told == []
        server.error = None
        await trio.sleep(EVERY + 0.1)
        assert tenure.holds()
        assert len(told) == 1
        nursery.cancel_scope.cancel()


async def test_an_answer_that_comes_late_counts_from_when_it_was_asked_for(autojump_clock: MockClock) -> None:
    """The server may have answered at once, and the process been stopped since."""
    tenure = Tenure(TrioClock(START))

    async def slow(_renew: object) -> None:
        await trio.sleep(2.0)

    async with trio.open_nursery() as nursery:
        await nursery.start(tenure.keep, Server().renew, slow)
        await trio.sleep(2.0 + 0.1)
        assert tenure.holds()
        await trio.sleep_until(LEASE - MARGIN + 0.001)
        assert not tenure.holds()
        nursery.cancel_scope.cancel()


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


async def test_who_was_replaced_ends(autojump_clock: MockClock) -> None:
    server, tenure = Server(), Tenure(TrioClock(START))
    server.error = StaleEpoch("another")
    with pytest.raises(StaleEpoch):
        await tenure.keep(server.renew, inline)
