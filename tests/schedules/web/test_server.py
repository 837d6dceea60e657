"""HTTP/1.1 by real sockets: what ends, what is not spoken, and that one client cannot hold up the end of all."""

from __future__ import annotations

import socket
import struct
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest
import trio
from hypercorn.typing import ASGIFramework

from schedules.web import server
from schedules.web.server import Address, serve

pytestmark = pytest.mark.sockets

LARGE = 64 * 1024 * 1024
"""Bytes that no socket buffer takes."""
LONG = 30.0
"""Seconds that are never waited for."""


class App:
    """Answers `/large` with more than buffers hold, `/slow` when it is told to, and everything else at once."""

    def __init__(self) -> None:
        self.begun = trio.Event()
        self.go_on = trio.Event()
        self.large_over = trio.Event()
        self.scopes: list[dict[str, Any]] = []

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:  # noqa: ANN401 (ASGI)
        self.scopes.append(scope)
        if scope["path"] == "/form":
            while (await receive()).get("more_body"):
                pass
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1000})
            return
        body = b"x" * LARGE if scope["path"] == "/large" else b"done\n"
        self.begun.set()
        if scope["path"] == "/slow":
            await self.go_on.wait()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
        await send({"type": "http.response.body", "body": body})
        if scope["path"] == "/large":
            self.large_over.set()


class Serving:
    def __init__(self, app: App, stop: trio.Event) -> None:
        self.app = app
        self.stop = stop
        self.ended = trio.Event()
        self.address = Address("127.0.0.1", 0)
        self.streams: list[trio.SocketStream] = []
        self.told: list[Mapping[str, object]] = []

    async def connect(self) -> trio.SocketStream:
        stream = await trio.open_tcp_stream(self.address.host, self.address.port)
        assert isinstance(stream, trio.SocketStream)
        self.streams.append(stream)
        return stream

    async def ask(self, path: str, headers: str = "") -> tuple[trio.SocketStream, bytes]:
        """The connection, and the head of the answer."""
        stream = await self.connect()
        await stream.send_all(f"GET {path} HTTP/1.1\r\nHost: x\r\n{headers}\r\n".encode())
        return stream, await stream.receive_some(4096)


async def received(stream: trio.SocketStream) -> bytes:
    """Until the connection ends, in whichever way."""
    found = bytearray()
    try:
        while part := await stream.receive_some(65_536):
            found += part
    except trio.BrokenResourceError:
        pass
    return bytes(found)


@asynccontextmanager
async def serving(grace: float = LONG, patience: float = LONG) -> AsyncIterator[Serving]:
    """A server until the block ends; it must end then, within the time that a test is given."""
    made = Serving(App(), trio.Event())

    async def run(*, task_status: trio.TaskStatus[list[Address]]) -> None:
        app = cast("ASGIFramework", made.app)
        given = {"grace": grace, "patience": patience, "tell": made.told.append}
        await serve(app, [made.address], made.stop, **given, task_status=task_status)  # type: ignore[arg-type]
        made.ended.set()

    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            (made.address,) = await nursery.start(run)
            try:
                yield made
            finally:
                made.stop.set()
                for stream in made.streams:
                    await trio.aclose_forcefully(stream)


async def test_it_answers_and_ends_at_once_when_nobody_is_served() -> None:
    async with serving() as made:
        _, answer = await made.ask("/")
        assert answer.startswith(b"HTTP/1.1 200")
        assert b"server:" not in answer.lower()
        made.stop.set()
        await made.ended.wait()  # the connection is open, and idle


async def test_an_answer_under_way_is_finished_within_the_grace() -> None:
    async with serving() as made, trio.open_nursery() as nursery:
        stream = await made.connect()
        await stream.send_all(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
        await made.app.begun.wait()
        made.stop.set()
        nursery.start_soon(made.ended.wait)
        made.app.go_on.set()
        answer = b""
        while part := await stream.receive_some(4096):
            answer += part
        assert answer.endswith(b"done\n")


async def test_a_client_that_stops_reading_does_not_outlive_the_grace() -> None:
    """With hypercorn's own server the process stays for as long as the client does."""
    async with serving(grace=0.05) as made:
        stream, answer = await made.ask("/large")
        assert answer.startswith(b"HTTP/1.1 200")
        made.stop.set()
        await made.ended.wait()
        assert len(await received(stream)) < LARGE


async def test_a_client_that_stops_reading_loses_its_connection_while_others_are_served() -> None:
    async with serving(patience=0.05) as made:
        stream, _ = await made.ask("/large")
        _, answer = await made.ask("/")
        assert answer.startswith(b"HTTP/1.1 200")
        await made.app.large_over.wait()
        assert len(await received(stream)) < LARGE


@pytest.mark.parametrize(
    "headers",
    [
        "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n",
        "Connection: close\r\n",
    ],
)
async def test_no_other_protocol_is_spoken(headers: str) -> None:
    async with serving() as made:
        _, answer = await made.ask("/", headers)
        assert answer.startswith(b"HTTP/1.1 200")
        assert {scope["http_version"] for scope in made.app.scopes} == {"1.1"}


UPGRADE = (
    b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
TEXT = b"\x81\x85" + b"a" * 16
"""A frame of a WebSocket, before anybody has agreed to be one."""


@pytest.mark.parametrize("frames", [b"", TEXT, TEXT * 5_000])
async def test_a_websocket_is_a_page_like_others_and_ends_nobody_else(frames: bytes) -> None:
    async with serving() as made:
        stream = await made.connect()
        await stream.send_all(UPGRADE + frames)
        assert (await stream.receive_some(4096)).startswith(b"HTTP/1.1 200")
        _, answer = await made.ask("/")
        assert answer.startswith(b"HTTP/1.1 200")
        assert {scope["type"] for scope in made.app.scopes} == {"http"}
        assert made.told == []


async def test_a_connection_that_fails_ends_nobody_else_and_is_told_once_in_a_while() -> None:
    """A body that is no chunk, and a client that is gone when it is told so: two tasks write at once, now and then."""
    async with serving() as made:
        for _ in range(200):
            with trio.socket.socket() as client:
                await client.connect((made.address.host, made.address.port))
                await client.send(
                    b"POST /form HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nsecret\r\n"
                )
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        _, answer = await made.ask("/")
        assert answer.startswith(b"HTTP/1.1 200")
        assert [event["event"] for event in made.told] == ["connections_failed"]
        assert "secret" not in str(made.told)


async def test_http2_without_a_request_to_upgrade_is_no_request() -> None:
    async with serving() as made:
        stream = await made.connect()
        await stream.send_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00\x00\x00\x04\x00\x00\x00\x00\x00")
        answer = b""
        while part := await stream.receive_some(4096):
            answer += part
        assert not answer.startswith(b"\x00")
        assert {scope["http_version"] for scope in made.app.scopes} <= {"1.1", "2.0"}


async def test_a_head_is_bounded() -> None:
    """One that is not complete with what was read, 64 KiB at a time."""
    async with serving() as made:
        stream = await made.connect()
        await stream.send_all(b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"x" * (server.HEAD + 1))
        assert (await stream.receive_some(4096)).startswith(b"HTTP/1.1 431")
        assert made.app.scopes == []


async def test_connections_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "CONNECTIONS", 2)
    async with serving() as made:
        for _ in range(2):
            await made.ask("/")
        third = await made.connect()
        await third.send_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert await received(third) == b""


@pytest.mark.parametrize("text", ["127.0.0.1", "localhost:80", "127.0.0.1:x", "127.0.0.1:70000", "", ":80"])
def test_an_address_is_a_number_and_a_port(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        Address.of(text)


@pytest.mark.parametrize("text", ["127.0.0.1:8081", "[::1]:0"])
def test_an_address_is_written_as_it_is_read(text: str) -> None:
    assert str(Address.of(text)) == text
