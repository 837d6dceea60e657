"""Lines in memory: what is lost, what is late, and who learns of it."""

from __future__ import annotations

from random import Random

import pytest
import trio
from trio.testing import MockClock

from bench.simulation.network import FOREVER, Climate, Line, Network


class Notes:
    """A tap that writes down what passes."""

    def __init__(self) -> None:
        self.sent: list[tuple[bytes, float, float]] = []
        self.received = b""

    def left(self, data: bytes, called: float) -> None:
        self.sent.append((data, called, trio.current_time()))

    def arrived(self, data: bytes) -> None:
        self.received += data


def a_line(tap: Notes | None = None, delay: tuple[float, float] = (0.1, 0.2), cut: float = 0.0) -> Line:
    return Line("a", Climate(delay, cut), Random(1), tap)


async def everything(line: Line) -> bytes:
    """What arrives at the far end until it ends."""
    found = b""
    while data := await line.far.receive_some():
        found += data
    return found


async def test_bytes_arrive_late_in_order_and_in_pieces(autojump_clock: MockClock) -> None:
    line = a_line(cut=1.0)
    for number in range(10):
        await line.near.send_all(b"%d," % number)
    await line.near.send_eof()
    assert trio.current_time() == 0
    assert await everything(line) == b"0,1,2,3,4,5,6,7,8,9,"
    assert 0.1 <= trio.current_time() <= 0.2


async def test_a_reset_loses_what_is_under_way_and_both_learn_of_it(autojump_clock: MockClock) -> None:
    line = a_line()
    await line.near.send_all(b"lost")
    line.reset()
    for end in (line.near, line.far):
        with pytest.raises(trio.BrokenResourceError):
            await end.receive_some()
        with pytest.raises(trio.BrokenResourceError):
            await end.send_all(b"more")
    assert not line.is_open


async def test_nothing_arrives_over_a_silent_line(autojump_clock: MockClock) -> None:
    line = a_line()
    line.silence(100.0)
    await line.near.send_all(b"late")
    assert await line.far.receive_some() == b"late"
    assert trio.current_time() == 100.0
    line.silence(FOREVER)
    await line.near.send_all(b"never")
    with trio.move_on_after(10_000) as scope:
        await line.far.receive_some()
    assert scope.cancelled_caught


async def test_a_jammed_write_leaves_in_part_and_then_waits(autojump_clock: MockClock) -> None:
    notes = Notes()
    line = a_line(notes)
    line.out.jam(5.0)
    await line.near.send_all(b"0123456789")
    assert b"".join(data for data, _, _ in notes.sent) == b"0123456789"
    assert [(called, left) for _, called, left in notes.sent] == [(0.0, 0.0), (0.0, 5.0)]
    line.out.jam(60.0)
    with trio.move_on_after(1):
        await line.near.send_all(b"0123456789")
    left = b"".join(data for data, _, _ in notes.sent[2:])
    assert len(left) < 10
    assert b"0123456789".startswith(left)


@pytest.mark.parametrize("loses", [False, True])
async def test_a_dead_process_writes_nothing_any_more(autojump_clock: MockClock, loses: bool) -> None:
    line = a_line()
    await line.near.send_all(b"before")
    line.die(line.near, loses=loses)
    await line.near.send_all(b"after")
    if not loses:
        assert await line.far.receive_some() == b"before"
    with pytest.raises(trio.BrokenResourceError):
        await line.far.receive_some()
    with pytest.raises(trio.ClosedResourceError):
        await line.near.receive_some()


async def test_closing_is_an_end_after_all_that_was_said(autojump_clock: MockClock) -> None:
    line = a_line()
    await line.far.send_all(b"goodbye")
    await line.far.aclose()
    assert await line.near.receive_some() == b"goodbye"
    assert await line.near.receive_some() == b""
    with pytest.raises(trio.BrokenResourceError):
        await line.near.send_all(b"anybody?")


async def test_lines_that_cannot_be_had(autojump_clock: MockClock) -> None:
    network = Network(Random(1))
    network.refusing.add("apple")
    network.swallowing.add("google")
    for name in ("apple", "nobody"):
        with pytest.raises(ConnectionRefusedError):
            await network.dial(name, lambda line: line.name != "nobody")
    with trio.move_on_after(1_000) as scope:
        await network.dial("google", lambda _: True)
    assert scope.cancelled_caught
    line = await network.dial("anybody", lambda _: True)
    assert network.open("anybody") == [line]
