"""Somebody else may have the database: nothing leaves but alarms, whatever is queued, due or half made."""

from __future__ import annotations

import inspect

import pytest
import trio
from trio.testing import MockClock

from relay.lanes.session import GATE_TO_SOCKET
from tests.relay.world import virtual, world


class Switch:
    """Whether it holds, and how often that was asked."""

    def __init__(self) -> None:
        self.holds = True
        self.asked = 0

    def __call__(self) -> bool:
        self.asked += 1
        return self.holds


@virtual
async def test_messages_wait_until_it_goes_on_and_are_lost_by_nobody() -> None:
    switch = Switch()
    async with world(holds=switch) as w:
        for user in ("anna", "bert"):
            await w.register(user)
        switch.holds = False
        for user in ("anna", "bert"):
            await w.post(user)
        await w.pass_time(60)
        assert w.requests() == []
        before = switch.asked
        await w.pass_time(60)
        assert switch.asked < before + 1000, "nobody asks over and over"
        switch.holds = True
        w.relay.pool.nudge()
        await w.pass_time(1)
        assert len(w.requests()) == 2


@virtual
async def test_alarms_leave() -> None:
    switch = Switch()
    async with world(holds=switch) as w:
        for user in ("anna", "bert"):
            await w.register(user)
        switch.holds = False
        await w.post("bert")
        await w.alarm("anna")
        await w.pass_time(1)
        assert len(w.requests("anna")) == 1
        assert w.requests("bert") == []


class LastMoment(Switch):
    """It ends between what is taken from the queue and its last look."""

    def __call__(self) -> bool:
        if inspect.stack(context=0)[1].function == "_last_look" and self.asked == 0:
            self.asked, self.holds = 1, False
        return self.holds


@virtual
async def test_it_is_asked_last_thing_before_the_bytes() -> None:
    switch = LastMoment()
    async with world(holds=switch) as w:
        await w.register("anna")
        await w.post("anna")
        await w.pass_time(30)
        assert (switch.asked, w.requests()) == (1, [])
        switch.holds = True
        w.relay.pool.nudge()
        await w.pass_time(1)
        assert len(w.requests()) == 1


class Stopped(Switch):
    """The process is stopped between the last look and the bytes, once, for so many seconds; afterwards it holds."""

    def __init__(self, seconds: float, *, is_taken: bool) -> None:
        super().__init__()
        self.seconds, self.is_taken = seconds, is_taken

    def __call__(self) -> bool:
        caller = inspect.stack(context=0)[1].function
        if caller == "_last_look" and self.asked == 0:
            self.asked = 1
            clock = trio.lowlevel.current_clock()
            assert isinstance(clock, MockClock)
            clock.jump(self.seconds)
            return True
        if caller == "may_leave" and self.asked == 1:
            self.asked = 2
            return not self.is_taken
        return True


@virtual
@pytest.mark.parametrize(
    ("seconds", "is_taken", "connections"),
    [(3.0, True, 2), (GATE_TO_SOCKET, False, 2), (GATE_TO_SOCKET - 0.1, False, 1)],
)
async def test_what_was_composed_before_a_stop_does_not_leave_after_it(
    seconds: float, is_taken: bool, connections: int
) -> None:
    """It leaves over another connection, after another look."""
    async with world(holds=Stopped(seconds, is_taken=is_taken)) as w:
        await w.register("anna")
        await w.post("anna")
        await w.pass_time(30)
        assert len(w.requests("anna")) == 1
        assert w.fake.journal.connections == connections
