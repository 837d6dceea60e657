"""A clock that is wrong is recognised by what providers say, and named with its seconds."""

from __future__ import annotations

from email.utils import formatdate

import pytest
import structlog.testing
import trio
from hpack import Encoder
from hyperframe.frame import HeadersFrame

from relay.lanes.skew import TOLERANCE, Skew
from tests.relay.lanes.peer import Arrival, Peer, Talk
from tests.relay.world import APP, NOON, SettableClock, virtual, world


def heard(*differences: float) -> tuple[int, list[tuple[str, int | None]]]:
    """The error in the end, and what was logged."""
    skew = Skew("ios")
    with structlog.testing.capture_logs() as lines:
        for difference in differences:
            skew.heard(formatdate(NOON, usegmt=True), NOON + difference)
    return skew.error, [(line["event"], line.get("seconds_ahead")) for line in lines]


def test_a_minute_is_nothing() -> None:
    assert heard(TOLERANCE, -TOLERANCE, 0.4) == (0, [])


def test_more_is_named_once_in_whole_seconds() -> None:
    assert heard(7200.4, 7201.2, 7190.0) == (7200, [("clock_is_wrong", 7200)])
    assert heard(-300.0) == (-300, [("clock_is_wrong", -300)])


def test_another_error_and_the_end_of_it_are_named_too() -> None:
    assert heard(7200, -7200, 1) == (
        0, [("clock_is_wrong", 7200), ("clock_is_wrong", -7200), ("clock_is_right", None)],
    )  # fmt: skip


@pytest.mark.parametrize("date", ["", "soon", "Tue, 24 Nov 2026 11:00:00 -0000", "Tue, 99 Nov 2026 11:00:00 GMT", "7"])
def test_what_is_no_date_with_a_zone_says_nothing(date: str) -> None:
    skew = Skew("ios")
    skew.heard(date, 0.0)
    assert skew.error == 0


@virtual
async def test_the_date_of_an_answer_shows_that_the_clock_is_wrong() -> None:
    clock = SettableClock()

    async def busy(talk: Talk, arrival: Arrival) -> None:
        headers = HeadersFrame(arrival.stream, flags=["END_HEADERS", "END_STREAM"])
        encoder = Encoder()
        encoder.header_table_size = 0
        said = formatdate(clock.now() - clock.error, usegmt=True)
        headers.data = encoder.encode([(":status", "503"), ("date", said)], huffman=False)
        await talk.send(headers)

    peer = Peer(busy)
    async with world(clock=clock, serve={APP: peer.serve}) as w:
        await w.register("anna")
        await w.alarm("anna")
        await trio.sleep(1)
        assert w.lane.clock_error == 0
        clock.error = 1200.0
        await trio.sleep(60)
        assert w.lane.clock_error in (1200, 1201)
