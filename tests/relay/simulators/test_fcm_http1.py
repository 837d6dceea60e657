"""The fake FCM by HTTP/1.1 (F-01): the same checks and answers; and what only that protocol has."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import h11
import httpx
import pytest
import trio
from trio.testing import MockClock

from relay.simulators.certificates import Authority
from relay.simulators.fcm import IDLE, FakeFcm
from relay.simulators.fcm_answer import Answer
from relay.simulators.http1 import LARGEST_BODY, LARGEST_HEAD, PIPELINED
from relay.simulators.injections import DropAt, DropHow
from tests.relay.simulators.h1_client import Caller, calling
from tests.relay.simulators.h2_client import Fields, connected
from tests.relay.simulators.messages import BEARER, DEVICE, PROJECT, devices, fake_fcm, message, send

PATH = f"/v1/projects/{PROJECT}/messages:send"
FIELDS = [("content-type", "application/json"), ("authorization", f"Bearer {BEARER}")]
HEAD = f"POST {PATH} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\nauthorization: Bearer {BEARER}\r\n"


def http1(fake: FakeFcm) -> AbstractAsyncContextManager[Caller]:
    return calling(fake.serve_http1_stream)


def as_http1(fields: Fields) -> tuple[str, str, Fields]:
    """(method, path, the other fields) of what would be said by HTTP/2."""
    given = dict(fields)
    rest = [(str(name), str(value)) for name, value in fields if not name.startswith(":")]
    return given[":method"], given[":path"], rest


@pytest.mark.parametrize(
    ("fields", "body"),
    [
        (send(), message()),
        (send(), message(validate_only=True)),
        (send(method="PUT"), message()),
        (send(path="/v1/projects/another/messages:send"), message()),
        (send(None), message()),
        (send("ya29.old"), message()),
        (send(authorization=BEARER), message()),
        (send(content_type="text/plain"), message()),
        (send(content_type=None), message()),
        (send(), b""),
        (send(), b"{"),
        (send(), message(ttl="1h")),
        (send(), message("short")),
    ],
)
async def test_what_is_asked_by_http1_is_answered_as_by_http2(
    autojump_clock: MockClock, fields: Fields, body: bytes
) -> None:
    one, other = fake_fcm(), fake_fcm()
    async with connected(one) as client:
        expected = await client.ask(fields, body)
    async with http1(other) as caller:
        method, path, rest = as_http1(fields)
        answer = await caller.ask(path, rest, body, method=method)
    assert (answer.status, answer.body) == (expected.status, expected.body)
    assert answer.headers == {**dict(expected.headers[1:]), "content-length": str(len(answer.body))}
    seen, also_seen = one.journal.entries, other.journal.entries
    assert [(e.token, e.status, e.reason, e.body) for e in seen] == [
        (e.token, e.status, e.reason, e.body) for e in also_seen
    ]
    assert one.registry.phones.keys() == other.registry.phones.keys()


async def test_a_connection_is_kept_and_takes_bodies_of_either_framing(autojump_clock: MockClock) -> None:
    fake = fake_fcm()
    async with http1(fake) as caller:
        for is_chunked in (False, True, False, True):
            assert (await caller.ask(PATH, FIELDS, message(), is_chunked=is_chunked)).status == 200
        assert fake.connections == 1
        answer = await caller.ask(PATH, [*FIELDS, ("connection", "close")], message())
        assert (answer.status, answer.headers["connection"]) == (200, "close")
        assert await caller.stream.receive_some() == b""
    assert [(entry.connection, entry.stream) for entry in fake.journal.entries] == [(1, n) for n in range(1, 6)]
    assert fake.journal.entries[0].value(b":authority") == b"x"
    assert {entry.body for entry in fake.journal.entries} == {message()}
    assert not fake.journal.violations


async def raw(fake: FakeFcm, *pieces: bytes) -> bytes:
    """What comes back on a connection that says this and then no more."""
    answer = b""
    async with http1(fake) as caller:
        for piece in pieces:
            await caller.stream.send_all(piece)
        with trio.move_on_after(10):
            while data := await caller.stream.receive_some():
                answer += data
    return answer


async def test_requests_in_one_flight_are_answered_in_order(autojump_clock: MockClock) -> None:
    fake = fake_fcm()
    body = message()
    one = f"{HEAD}content-length: {len(body)}\r\n\r\n".encode() + body
    answer = await raw(fake, one * 3 + one[:30], one[30:])
    assert answer.count(b"HTTP/1.1 200 OK\r\n") == 4
    assert len(fake.registry.phones[DEVICE].delivered) == 4


async def test_who_asks_first_whether_to_go_on_is_told_to(autojump_clock: MockClock) -> None:
    fake = fake_fcm()
    body = message()
    head = f"{HEAD}expect: 100-continue\r\ncontent-length: {len(body)}\r\n\r\n".encode()
    async with http1(fake) as caller:
        await caller.stream.send_all(head)
        assert await caller.stream.receive_some() == b"HTTP/1.1 100 Continue\r\n\r\n"
        await caller.stream.send_all(body)
        assert (await caller.stream.receive_some()).startswith(b"HTTP/1.1 200 OK\r\n")


LONG = b"a" * (LARGEST_HEAD + 1)
NOT_READ = [
    (b"\x16\x03\x01 what is this\r\n\r\n", 400),
    (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\n\r\n", 400),
    (HEAD.encode() + b"content-length: 1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    (HEAD.encode() + b"content-length: x\r\n\r\n", 400),
    (HEAD.encode() + b"transfer-encoding: chunked\r\n\r\nx\r\n", 400),
    (HEAD.encode() + b"connection: upgrade\r\nupgrade: h2c\r\ncontent-length: 0\r\n\r\n", 400),
    (b"GET / HTTP/3.7\r\nhost: x\r\n\r\n", 400),
    (b"GET /" + LONG + b" HTTP/1.1\r\nhost: x\r\n\r\n", 431),
    (b"GET / HTTP/1.1\r\nhost: x\r\nx: " + LONG, 431),
    (HEAD.encode() + b"transfer-encoding: chunked\r\n\r\n0\r\nx: " + LONG * 6, 431),
    (HEAD.encode() + b"content-length: %d\r\n\r\n" % (LARGEST_BODY + 1), 413),
    (HEAD.encode() + b"transfer-encoding: chunked\r\n\r\n%x\r\n" % (LARGEST_BODY + 1) + b" " * (LARGEST_BODY + 1), 413),
    (b"GET / HTTP/1.1\r\nhost: x\r\n\r\n" * (PIPELINED + 1), 429),
]


@pytest.mark.parametrize(("sent", "status"), NOT_READ)
async def test_what_cannot_be_read_ends_the_connection(autojump_clock: MockClock, sent: bytes, status: int) -> None:
    fake = fake_fcm()
    last = (await raw(fake, sent)).rpartition(b"HTTP/1.1 ")[2]
    assert last.startswith(b"%d " % status)
    assert last.endswith(b"content-length: 0\r\nconnection: close\r\n\r\n")
    assert fake.journal.violations == {"protocol_error": 1}
    assert not fake.registry.phones


async def test_a_connection_without_a_request_ends_after_three_minutes(autojump_clock: MockClock) -> None:
    async with http1(fake_fcm()) as caller:
        assert (await caller.ask(PATH, FIELDS, message())).status == 200
        began = trio.current_time()
        assert await caller.stream.receive_some() == b""
        assert trio.current_time() - began == pytest.approx(IDLE)


async def test_what_is_injected_happens_by_http1_too(autojump_clock: MockClock) -> None:
    fake = fake_fcm()
    slow, silent, dropped = devices(3)
    page = Answer(502, b"<html>", [("content-type", "text/html")])
    fake.injections.answers.append(page)
    fake.injections.delays[slow] = 7.0
    fake.injections.silent.add(silent)
    async with http1(fake) as caller:
        answer = await caller.ask(PATH, FIELDS, message())
        assert (answer.status, answer.body, answer.headers["content-type"]) == (502, b"<html>", "text/html")
        began = trio.current_time()
        fake.injections.body_delay = 5.0
        assert (await caller.ask(PATH, FIELDS, message(slow))).status == 200
        assert trio.current_time() - began == pytest.approx(12)
        with trio.move_on_after(100) as scope:
            await caller.ask(PATH, FIELDS, message(silent))
        assert scope.cancelled_caught
    fake.injections.drop_after = 1
    async with http1(fake) as caller:
        with pytest.raises(h11.RemoteProtocolError):
            await caller.ask(PATH, FIELDS, message(dropped))
    assert len(fake.registry.phones[dropped].delivered) == 1


async def test_a_farewell_is_said_with_the_next_answer(autojump_clock: MockClock) -> None:
    fake = fake_fcm()
    async with http1(fake) as caller:
        assert "connection" not in (await caller.ask(PATH, FIELDS, message())).headers
        await fake.set_streams(7)
        await fake.goaway(b"bye")
        assert (await caller.ask(PATH, FIELDS, message())).headers["connection"] == "close"
        assert await caller.stream.receive_some() == b""
    async with http1(fake) as caller:
        fake.cut()
        assert await caller.stream.receive_some() == b""


@asynccontextmanager
async def listening(fake: FakeFcm, authority: Authority) -> AsyncIterator[int]:
    """The port of a fake that speaks both, over TLS."""
    async with trio.open_nursery() as nursery:
        context = authority.server_context("h2", "http/1.1")
        listeners = await trio.open_ssl_over_tcp_listeners(0, context, host="127.0.0.1", https_compatible=True)
        await nursery.start(trio.serve_listeners, fake.serve_stream, listeners)
        inner = listeners[0].transport_listener
        assert isinstance(inner, trio.SocketListener)
        yield inner.socket.getsockname()[1]
        nursery.cancel_scope.cancel()


@pytest.mark.sockets
async def test_httpx_is_served_over_tls() -> None:
    """It offers http/1.1 by ALPN."""
    fake, authority = fake_fcm(), Authority("127.0.0.1")
    trust = ssl.create_default_context(cadata=authority.pem.decode())
    async with listening(fake, authority) as port, httpx.AsyncClient(verify=trust, trust_env=False) as web:
        for _ in range(2):
            answer = await web.post(f"https://127.0.0.1:{port}{PATH}", content=message(), headers=dict(FIELDS))
            assert (answer.status_code, answer.http_version) == (200, "HTTP/1.1")
    assert (fake.journal.requests, fake.journal.connections) == (2, 1)
    assert not fake.journal.violations


@pytest.mark.sockets
@pytest.mark.parametrize(
    ("alpn", "spoken"), [((), None), (("http/1.0",), None), (("http/1.1",), "http/1.1"), (("http/1.1", "h2"), "h2")]
)
async def test_which_of_the_two_is_spoken_is_for_alpn_to_say(alpn: tuple[str, ...], spoken: str | None) -> None:
    """Who does not ask is spoken to by HTTP/1.1; who would take either by HTTP/2."""
    fake, authority = fake_fcm(), Authority("127.0.0.1")
    trust = ssl.create_default_context(cadata=authority.pem.decode())
    if alpn:
        trust.set_alpn_protocols(alpn)
    async with listening(fake, authority) as port:
        stream = await trio.open_ssl_over_tcp_stream("127.0.0.1", port, ssl_context=trust, https_compatible=True)
        async with stream:
            await stream.do_handshake()
            assert stream.selected_alpn_protocol() == spoken
            if spoken != "h2":
                assert (await Caller(stream).ask(PATH, FIELDS, message())).status == 200


@pytest.mark.parametrize("how", DropHow)
@pytest.mark.parametrize("at", [DropAt.ANSWER, DropAt.HEAD, DropAt.BODY])
async def test_where_a_connection_is_dropped(autojump_clock: MockClock, at: DropAt, how: DropHow) -> None:
    fake = fake_fcm()
    fake.injections.drop_share, fake.injections.drop_at, fake.injections.drop_how = 1.0, at, how
    if at is DropAt.BODY:
        fake.injections.answers.append(Answer(503, b"busy"))
    async with http1(fake) as caller:
        with pytest.raises(h11.RemoteProtocolError):
            await caller.ask(PATH, FIELDS, message())
    assert fake.journal.unanswered == (1 if at is DropAt.ANSWER else fake.journal.by_status[200])
