"""What all fakes share of HTTP/2, at a service that is none of them. Most of it is tested through theirs."""

from __future__ import annotations

import math

import pytest
import trio
from h2.errors import ErrorCodes
from h2.settings import SettingCodes
from trio.testing import MockClock

from relay.clock import TrioClock
from relay.simulators.h2_server import CONNECTIONS_A_MINUTE, Server
from relay.simulators.h2_service import Limits, Reply, Request
from relay.simulators.injections import Injections
from relay.simulators.journal import Journal
from tests.relay.simulators.h2_client import Goaway, connected

LIMIT = SettingCodes.MAX_CONCURRENT_STREAMS
FIELDS = ((":method", "GET"), (":scheme", "https"), (":authority", "x"), (":path", "/x"))


class Echo:
    """Answers with what it got. It announces another stream after each answer."""

    def __init__(self, *, streams: int = 10, excess: bytes = b"", idle: float = math.inf) -> None:
        self.now = TrioClock(0.0).now
        self.journal = Journal()
        self.injections: Injections[None] = Injections()
        self.accepting = True
        self.limits = Limits(settings={}, header_list=8_000, excess=excess, idle=idle, is_path_secret=False)
        self.streams = streams
        self.requests: list[Request] = []

    def session(self) -> Echo:
        return self

    def handle(self, request: Request) -> Reply:
        self.requests.append(request)
        self.streams += 1
        return Reply([(":status", "200")], request.body)


async def test_a_request_is_handed_over_whole_and_answered_as_told(autojump_clock: MockClock) -> None:
    echo = Echo()
    async with connected(Server(echo)) as client:
        empty = await client.ask(FIELDS)
        stream = client.request(FIELDS, b"a" * 15_000, ended=False)
        client.h2.send_data(stream, b"b" * 15_000)
        client.h2.send_data(stream, b"c" * 15_000, end_stream=True)
        await client.flush()
        full = await client.answer(stream)
    assert (empty.with_headers, empty.body) == (True, b"")
    assert (full.with_headers, full.body) == (False, b"a" * 15_000 + b"b" * 15_000 + b"c" * 15_000)
    assert [(request.connection, request.stream) for request in echo.requests] == [(1, 1), (1, 3)]
    assert echo.requests[0].headers == tuple((name.encode(), value.encode()) for name, value in FIELDS)
    assert len(echo.requests[0].forms) == len(FIELDS)
    assert echo.requests[0].block_bytes > 0


async def test_a_limit_that_has_grown_is_announced_after_the_answer(autojump_clock: MockClock) -> None:
    async with connected(Server(Echo())) as client:
        await client.ask(FIELDS)
        await client.pump_for(1)
    assert [settings[LIMIT] for settings in client.settings] == [10, 11]


@pytest.mark.parametrize(("excess", "ends"), [(b"", False), (b"too many", True)])
async def test_a_stream_too_many_is_refused_or_ends_the_connection(
    autojump_clock: MockClock, excess: bytes, ends: bool
) -> None:
    echo = Echo(streams=1, excess=excess)
    async with connected(Server(echo)) as client:
        await client.pump_for(1)
        client.allow_streams(5)
        client.request(FIELDS, ended=False)
        second = client.request(FIELDS)
        await client.flush()
        await client.pump_for(100)
        assert client.closed is ends
        assert client.answers[second].reset == (None if ends else ErrorCodes.REFUSED_STREAM)
    assert client.goaways == ([Goaway(1, ErrorCodes.PROTOCOL_ERROR, excess)] if ends else [])
    assert echo.journal.violations == {"too_many_streams": 1}


async def test_a_stream_that_was_reset_or_refused_does_not_keep_an_idle_connection(autojump_clock: MockClock) -> None:
    async with connected(Server(Echo(idle=60))) as client:
        stream = client.request(FIELDS, ended=False)
        await client.flush()
        await client.pump_for(100)
        assert not client.goaways
        client.h2.reset_stream(stream)
        await client.flush()
        reset = trio.current_time()
        await client.pump_for(100)
        assert client.closed
        assert trio.current_time() - reset == pytest.approx(60)


async def test_too_many_connections_in_a_minute_are_a_breach(autojump_clock: MockClock) -> None:
    echo = Echo()
    server = Server(echo)
    for _ in range(CONNECTIONS_A_MINUTE):
        async with connected(server):
            pass
    assert not echo.journal.violations
    async with connected(server):
        pass
    assert echo.journal.violations == {"too_many_connections": 1}
    await trio.sleep(60)
    async with connected(server):
        pass
    assert echo.journal.violations == {"too_many_connections": 1}
