"""HTTP/1.1 requests out of bytes, without I/O: httptools (llhttp) for the grammar, and limits on everything.

llhttp is strict where leniency lets requests be smuggled: lengths, codings, line ends, folded fields. Left to us are
the version, the host, fields that decide and stand twice, and how much is kept of what is not complete. What is offered
and need not be taken is declined quietly: upgrades (Java's client offers h2c on the first request of every connection),
trailers, chunk extensions. After a fault nothing more is parsed: nobody can know where the next request would begin.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import httptools

READ: Final = 65_536
"""Most bytes of one `feed`."""

IDLE: Final = 0
HEAD: Final = 1
BODY: Final = 2
ANSWER: Final = 3
"""What a connection is doing. Numbers, because they are looked at for every field, and an Enum is slow to look at."""


@dataclass(slots=True)
class Request:
    """One request. `headers`: lower-case names; a repeated field is joined by ", " (RFC 9110, 5.3)."""

    method: bytes
    target: bytes
    headers: Mapping[bytes, bytes]
    body: bytes

    def __repr__(self) -> str:
        return f"<Request {self.method.decode('latin-1')}>"


class _Refused(Exception):
    """Raised inside the parser's callbacks: the request ends here."""


class Parser:
    """Callbacks of llhttp for one connection; finished requests are in `ready`."""

    def __init__(self, *, head: int, body: int, pipelined: int) -> None:
        """Most bytes of a head and of a body; most requests in `ready`."""
        self._most_head, self._most_body, self._most_ready = head, body, pipelined
        self._parser = httptools.HttpRequestParser(self)
        self.ready: deque[tuple[Request, bool]] = deque()
        """(request, keep the connection)"""
        self.refusal: tuple[int, str] | None = None
        self.phase = IDLE
        self.wants_continue = False
        self.kept = 0
        """Bytes of bodies, from the first one read to the last answer (`answered`)."""
        self._untold = 0
        """Bytes read since the parser last told of progress: a head, a chunk's size or a trailer without end."""
        self._reset()

    def _reset(self) -> None:
        self._url = b""
        self._headers: dict[bytes, bytes] = {}
        self._body = bytearray()
        self._size = 0
        self._is_current = False

    def feed(self, data: bytes) -> None:
        """Parse; what is wrong stands in `refusal` afterwards."""
        before = len(self.ready)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            return self._decline(data[upgrade.args[0] :])
        except httptools.HttpParserError as error:
            if isinstance(error.__context__, MemoryError):
                raise error.__context__ from None
            self._refuse(400, "the request is not valid HTTP/1.1")
        # When a request ended within these bytes, nobody knows how many of them belong to the next one.
        self._untold = self._untold + len(data) if len(self.ready) == before else 0
        if self._untold > self._most_head + (READ if self.phase == BODY else 0):
            self._refuse(431, "the request head is too large")
        return None

    def answered(self, request: Request) -> None:
        """One of `ready` is done with."""
        self.kept -= len(request.body)

    def refuse(self, status: int, sentence: str) -> None:
        """Let go of what is not complete; nothing may be fed any more."""
        self.kept -= len(self._body)
        self._body = bytearray()
        self._refuse(status, sentence)

    def _decline(self, rest: bytes) -> None:
        """An upgrade is an offer (RFC 9110, 7.8). llhttp takes it and skips the body, so the head is parsed anew."""
        method = self._parser.get_method()
        if method == b"CONNECT":
            return self._refuse(400, "no tunnels are opened here")
        version = b" HTTP/1.1\r\n" if self._is_current else b" HTTP/1.0\r\n"
        fields = (name + b": " + value + b"\r\n" for name, value in self._headers.items() if name != b"upgrade")
        head = method + b" " + self._url + version + b"".join(fields) + b"\r\n"
        self._parser = httptools.HttpRequestParser(self)
        return self.feed(head + rest)

    def _refuse(self, status: int, sentence: str) -> None:
        self.refusal = self.refusal or (status, sentence)

    def on_message_begin(self) -> None:
        self._reset()
        self.phase = HEAD
        self._untold = 0
        if len(self.ready) >= self._most_ready:
            self._refuse(429, "too many requests are waiting on this connection")
            raise _Refused

    def on_url(self, url: bytes) -> None:
        self._url += url
        self._count(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.phase == BODY:
            return  # a trailer; nothing here is asked for in one (RFC 9110, 6.5.1)
        name = name.lower()
        self._count(len(name) + len(value) + 4)
        before = self._headers.get(name)
        if before is not None and name in _SINGLE:
            self._refuse(400, f"the field {name.decode()} is given twice")
            raise _Refused
        self._headers[name] = value if before is None else before + b", " + value

    def _count(self, length: int) -> None:
        self._size += length
        if self._size > self._most_head:
            self._refuse(431, "the request head is too large")
            raise _Refused

    def on_headers_complete(self) -> None:
        self.phase = BODY
        self._untold = self._size = 0
        self._check_framing()
        declared = self._headers.get(b"content-length", b"0")
        if declared.isdigit() and int(declared) > self._most_body:
            self._too_large()

    def _check_framing(self) -> None:
        """What llhttp leaves to the server: the version, the host, the codings that can be undone here."""
        version, headers = self._parser.get_http_version(), self._headers
        coding = headers.get(b"transfer-encoding")
        if version not in ("1.1", "1.0"):
            self._refuse(400, "the request is not valid HTTP/1.1")
        elif version == "1.1" and b"host" not in headers:
            self._refuse(400, "the field host is missing")
        elif coding is not None and (coding.lower() != b"chunked" or version == "1.0"):
            self._refuse(400, "chunked is the only transfer coding, and it needs HTTP/1.1")
        if self.refusal is not None:
            raise _Refused
        self._is_current = version == "1.1"
        self.wants_continue = self._is_current and headers.get(b"expect", b"").lower() == b"100-continue"

    def on_body(self, body: bytes) -> None:
        self._untold = 0
        self._size += len(body)
        if self._size > self._most_body:
            self._too_large()
        self.kept += len(body)
        self._body += body

    def _too_large(self) -> None:
        self._refuse(413, f"the body is larger than {self._most_body} bytes")
        raise _Refused

    def on_message_complete(self) -> None:
        if self._parser.should_upgrade():
            return
        self.phase = IDLE
        self.wants_continue = False
        request = Request(self._parser.get_method(), self._url, self._headers, bytes(self._body))
        self._body = bytearray()
        self.ready.append((request, self._is_current and bool(self._parser.should_keep_alive())))


_SINGLE: Final = frozenset({b"authorization", b"content-type", b"host", b"idempotency-key"})
"""Fields of which a second one would make it unclear what was asked."""
