"""HTTP/1.1 as the fakes speak it, over any trio stream: requests out of bytes, and answers into bytes.

`httptools` (llhttp) has the grammar: keep-alive, pipelining, content-length, chunks. Left to us are limits on what is
not complete yet, the version, the host, and codings that nobody asked for. After a fault nothing more is read: nobody
can know where the next request would begin.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

import httptools
import trio

READ: Final = 65_536
"""Most bytes read at a time."""
LARGEST_HEAD: Final = 16_384
LARGEST_BODY: Final = 65_536
"""Bytes."""
PIPELINED: Final = 100
"""Most requests that may have come before the first of them was answered."""
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Request:
    """A complete request. `fields` in order, names in lower case. `keep`: another may follow on the connection."""

    method: bytes
    target: bytes
    fields: tuple[tuple[bytes, bytes], ...]
    body: bytes
    keep: bool

    def value(self, name: bytes) -> bytes:
        """The first field of that name; empty when there is none."""
        return next((value for known, value in self.fields if known == name), b"")


class Unreadable(Exception):
    """What came is no request that can be answered but with `status`."""

    def __init__(self, status: int) -> None:
        super().__init__(f"status {status}")
        self.status = status


class Requests:
    """The requests of one connection, in order."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self._stream = stream
        self._parser = httptools.HttpRequestParser(self)
        self._ready: deque[Request] = deque()
        self._refusal = 0
        """Status."""
        self._untold = 0
        """Bytes since the parser last told of progress: a head, a chunk's size or a trailer without end."""
        self._reset()

    def _reset(self) -> None:
        self._target = b""
        self._fields: list[tuple[bytes, bytes]] = []
        self._body = bytearray()
        self._head = 0
        """Bytes of it."""
        self._is_body = False
        self._wants_continue = False

    async def next(self) -> Request | None:
        """The next request; None when the client has ended. Raises Unreadable, trio.BrokenResourceError."""
        while not self._ready:
            if self._refusal:
                raise Unreadable(self._refusal)
            data = await self._stream.receive_some(READ)
            if not data:
                return None
            self._feed(bytes(data))
            if self._wants_continue and not self._refusal:
                self._wants_continue = False
                await self._stream.send_all(_CONTINUE)
        return self._ready.popleft()

    def _feed(self, data: bytes) -> None:
        self._untold += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._refusal = self._refusal or 400
        if self._untold > LARGEST_HEAD:
            self._refusal = self._refusal or 431

    def _refuse(self, status: int) -> None:
        self._refusal = status
        raise Unreadable(status)  # ends the parser; it does not come any further

    # Callbacks of llhttp.

    def on_message_begin(self) -> None:
        self._reset()
        if len(self._ready) >= PIPELINED:
            self._refuse(429)

    def on_url(self, url: bytes) -> None:
        self._target += url
        self._count(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count(len(name) + len(value) + 4)
        if not self._is_body:  # else it is a trailer, and nothing is asked for in one
            self._fields.append((name.lower(), value))

    def _count(self, size: int) -> None:
        self._head += size
        if self._head > LARGEST_HEAD:
            self._refuse(431)

    def on_headers_complete(self) -> None:
        self._is_body, self._untold, self._head = True, 0, 0
        fields, version = dict(self._fields), self._parser.get_http_version()
        is_current = version == "1.1"
        if version not in ("1.0", "1.1") or (is_current and b"host" not in fields):
            self._refuse(400)
        if fields.get(b"transfer-encoding", b"chunked").lower() != b"chunked":
            self._refuse(501)
        if int(fields.get(b"content-length", b"0")) > LARGEST_BODY:
            self._refuse(413)
        self._wants_continue = is_current and fields.get(b"expect", b"").lower() == b"100-continue"

    def on_body(self, body: bytes) -> None:
        self._untold = 0
        self._body += body
        if len(self._body) > LARGEST_BODY:
            self._refuse(413)

    def on_message_complete(self) -> None:
        self._untold, self._wants_continue = 0, False
        if self._parser.should_upgrade():
            return  # what follows is of another protocol
        keep = bool(self._parser.should_keep_alive())
        self._ready.append(
            Request(self._parser.get_method(), self._target, tuple(self._fields), bytes(self._body), keep)
        )


def head(status: int, fields: Iterable[tuple[str, str]], size: int, *, keep: bool) -> bytes:
    """What stands before a body of so many bytes; `keep`: the connection stays open after it."""
    phrase = HTTPStatus(status).phrase if status in set(HTTPStatus) else ""
    lines = [f"HTTP/1.1 {status} {phrase}", *(f"{name}: {value}" for name, value in fields), f"content-length: {size}"]
    if not keep:
        lines.append("connection: close")
    return "".join(f"{line}\r\n" for line in lines).encode("latin-1") + b"\r\n"
