"""What the door's HTTP client does and does not do, against a few lines of a server on a real Unix socket."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from schedules.web.http import HttpClient, NoAnswer, over_socket


class Peer:
    """Gives each request the same answer, and keeps what it was asked."""

    def __init__(self, answer: bytes) -> None:
        self.answer = answer
        self.asked: list[bytes] = []

    async def serve(self, stream: trio.SocketStream) -> None:
        async with stream:
            asked = b""
            while (part := await stream.receive_some()) != b"":
                asked += part
                head, gap, body = asked.partition(b"\r\n\r\n")
                length = re.search(rb"(?i)content-length: (\d+)", head)
                if gap and len(body) == (int(length[1]) if length else 0):
                    self.asked.append(asked)
                    asked = b""
                    await stream.send_all(self.answer)


def answer(body: bytes, *fields: str, status: str = "200 OK") -> bytes:
    head = "\r\n".join([f"HTTP/1.1 {status}", f"content-length: {len(body)}", *fields])
    return head.encode() + b"\r\n\r\n" + body


@asynccontextmanager
async def asking(directory: Path, peer: Peer, most_bytes: int = 1000) -> AsyncIterator[HttpClient]:
    path = directory / "door.sock"
    with trio.socket.socket(trio.socket.AF_UNIX) as listening:
        await listening.bind(str(path))
        listening.listen()
        async with trio.open_nursery() as nursery, over_socket(path, most_bytes=most_bytes) as client:
            nursery.start_soon(trio.serve_listeners, peer.serve, [trio.SocketListener(listening)])
            with trio.fail_after(10):
                yield client
            nursery.cancel_scope.cancel()


@pytest.mark.sockets
async def test_a_request_says_no_more_than_it_is_told_to(tmp_path: Path) -> None:
    peer = Peer(answer(b"{}", "ETag: 7", "Set-Cookie: a=1; Path=/", "Set-Cookie: b=2"))
    async with asking(tmp_path, peer) as client:
        first = await client.send("PUT", "/v1/me/rest", headers={"authorization": "Bearer s"}, content=b"{}")
        second = await client.send("POST", "/v1/me/test", form={"a b": "c&d"})
    assert (first.status, first.headers["etag"], first.body) == (200, "7", b"{}")
    assert second.status == 200
    assert peer.asked[0].startswith(b"PUT /v1/me/rest HTTP/1.1\r\n")
    names = {line.partition(b":")[0].lower() for line in peer.asked[0].split(b"\r\n\r\n")[0].split(b"\r\n")[1:]}
    assert names <= {b"host", b"accept", b"accept-encoding", b"connection", b"user-agent", b"authorization"} | {
        b"content-length"
    }
    assert peer.asked[1].endswith(b"\r\n\r\na+b=c%26d")
    assert b"ookie" not in peer.asked[1]
    assert b"uthorization" not in peer.asked[1]


@pytest.mark.sockets
async def test_a_redirect_is_an_answer_and_is_not_followed(tmp_path: Path) -> None:
    peer = Peer(answer(b"", "Location: http://elsewhere/", status="302 Found"))
    async with asking(tmp_path, peer) as client:
        assert (await client.send("GET", "/")).status == 302
    assert len(peer.asked) == 1


@pytest.mark.sockets
@pytest.mark.parametrize(
    "wrong", [answer(b"x" * 1001), b"SSH-2.0\r\n\r\n", b"HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n"]
)
async def test_an_answer_that_is_too_long_or_none_of_http_is_none(tmp_path: Path, wrong: bytes) -> None:
    async with asking(tmp_path, Peer(wrong)) as client:
        with pytest.raises(NoAnswer) as caught:
            await client.send("GET", "/v1/me/rest?secret")
    assert "secret" not in repr(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.sockets
async def test_nobody_listening_is_no_answer(tmp_path: Path) -> None:
    async with over_socket(tmp_path / "none.sock", most_bytes=1) as client:
        with trio.fail_after(10), pytest.raises(NoAnswer, match="ConnectError"):
            await client.send("GET", "/")
