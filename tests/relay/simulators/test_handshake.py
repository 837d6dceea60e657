"""Telling simulators from the real thing: every simulator says what it is, and nobody else is taken for one."""

from __future__ import annotations

import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial

import pytest
import trio
import trustme

from relay.simulators.certificates import Authority
from relay.simulators.fcm import FakeFcm
from relay.simulators.handshake import PROTOCOL, doubt, is_simulator
from relay.simulators.oauth import FakeOauth
from relay.simulators.oauth_server import OauthServer
from relay.simulators.sink import Sink
from tests.relay.simulators.assertions import ACCOUNT
from tests.relay.simulators.test_certificates import trusting
from tests.relay.simulators.wakeups import fake_apns

pytestmark = pytest.mark.sockets
Serve = Callable[[trio.abc.Stream], Awaitable[None]]


@asynccontextmanager
async def listening(serve: Serve, context: ssl.SSLContext | None) -> AsyncIterator[int]:
    """A server on loopback, with TLS or without: its port."""
    async with trio.open_nursery() as nursery:
        [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
        port = listener.socket.getsockname()[1]
        shown: trio.abc.Listener[trio.abc.Stream] = listener
        if context is not None:
            shown = trio.SSLListener(listener, context, https_compatible=True)
        await nursery.start(partial(trio.serve_listeners, serve, [shown]))
        yield port
        nursery.cancel_scope.cancel()


async def talkative(stream: trio.abc.Stream) -> None:
    """Answers whatever comes, in a protocol without TLS, and hangs up."""
    async with stream:
        await stream.receive_some()
        await stream.send_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")


async def mute(stream: trio.abc.Stream) -> None:
    await trio.sleep_forever()


async def polite(stream: trio.abc.Stream) -> None:
    """Any server behind TLS: it waits for a request. None may come."""
    async with stream:
        try:
            assert await stream.receive_some() == b""
        except trio.BrokenResourceError:
            pass


def no_simulator(*protocols: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    if protocols:
        context.set_alpn_protocols(protocols)
    return context


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_every_simulator_says_what_it_is_and_counts_no_request(host: str) -> None:
    apns, sink, oauth = fake_apns(), Sink(time.time), FakeOauth([ACCOUNT], time.time)
    fcm = FakeFcm("project", oauth.is_good, time.time)
    authority = Authority("127.0.0.1", "localhost")
    services: list[tuple[Serve, str]] = [
        (apns.serve_stream, "h2"),
        (fcm.serve_stream, "h2"),
        (sink.serve_stream, "h2"),
        (OauthServer(oauth).serve_stream, "http/1.1"),
    ]
    for serve, protocol in services:
        async with listening(serve, authority.server_context(protocol)) as port:
            assert await doubt(host, port) is None
            assert await is_simulator(host, port)
    assert apns.journal.connections == fcm.journal.connections == sink.totals.connections == 0
    assert not apns.journal.violations
    assert not fcm.journal.violations


async def test_one_that_wants_to_be_named_is_asked_by_its_name() -> None:
    fake = fake_apns()
    async with listening(fake.serve_stream, Authority("localhost").server_context()) as port:
        assert await is_simulator("localhost", port)
        assert not await is_simulator("127.0.0.1", port)
    assert fake.journal.violations == {"no_server_name": 1}


async def test_a_simulator_that_was_asked_sends_nothing_and_hangs_up() -> None:
    authority = Authority("localhost")
    for serve in (fake_apns().serve_stream, Sink(time.time).serve_stream):
        async with listening(serve, authority.server_context()) as port:
            plain = await trio.open_tcp_stream("127.0.0.1", port)
            context = trusting(authority, PROTOCOL)
            stream = trio.SSLStream(plain, context, server_hostname="localhost", https_compatible=True)
            assert await stream.receive_some() == b""
            assert stream.selected_alpn_protocol() == PROTOCOL
            await trio.aclose_forcefully(stream)


@pytest.mark.parametrize(
    ("serve", "context", "reason"),
    [
        (polite, no_simulator("h2", "http/1.1"), "does not agree"),
        (polite, no_simulator(), "does not agree"),
        (talkative, None, "refuses a TLS handshake"),
    ],
    ids=["HTTP/2", "TLS", "no TLS"],
)
async def test_nobody_else_is_taken_for_one(serve: Serve, context: ssl.SSLContext | None, reason: str) -> None:
    async with listening(serve, context) as port:
        assert reason in str(await doubt("127.0.0.1", port))
        assert not await is_simulator("127.0.0.1", port)


async def test_a_server_that_refuses_the_protocol_by_an_alert_is_none() -> None:
    """As Apple's and Google's may: alert 120 of RFC 7301, written by hand, for Python cannot send it."""

    async def alerting(stream: trio.abc.Stream) -> None:
        async with stream:
            await stream.receive_some()
            await stream.send_all(b"\x15\x03\x03\x00\x02\x02\x78")

    async with listening(alerting, None) as port:
        assert "refuses" in str(await doubt("127.0.0.1", port))


async def test_where_nothing_listens_there_is_none() -> None:
    async with listening(mute, None) as port:
        pass
    assert await doubt("127.0.0.1", port) == "nothing listens there"
    assert not await is_simulator("127.0.0.1", port)


async def test_a_server_that_says_nothing_is_waited_for_as_long_as_the_caller_likes() -> None:
    async with listening(mute, None) as port:
        with trio.move_on_after(0.05) as scope:
            await doubt("127.0.0.1", port)
        assert scope.cancelled_caught
