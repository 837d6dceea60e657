"""HTTP/1.1 for the event door: trio listeners, httptools (llhttp) for the grammar, and limits on everything.

One task per connection; requests of a connection are answered one after the other, in order, also when pipelined. A
connection that is slow, silent, too large or malformed costs itself and nothing else. Deadlines are plain numbers,
looked at once a second by one task for all connections: a trio deadline armed and disarmed per request would cost more
than parsing the request. Where the grammar is broken the answer is 400 and the connection ends, since nobody can know
where the next request would begin (request smuggling).

Draining (`Server.drain`): no new connections, idle ones end, running requests are answered with `connection: close`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final, Protocol

import httptools
import trio

READ: Final = 65_536
TICK: Final = 1.0
"""Seconds between two looks at the deadlines."""
NEVER: Final = float("inf")


@dataclass(frozen=True, slots=True)
class Limits:
    """Bytes and seconds."""

    head: int = 16_384
    body: int = 4 * 2**20
    connections: int = 1_000
    pipelined: int = 64
    """Requests of one connection that may wait for their turn."""
    head_seconds: float = 10.0
    body_seconds: float = 30.0
    idle_seconds: float = 75.0
    answer_seconds: float = 30.0
    """For the client to take an answer."""


@dataclass(slots=True)
class Request:
    """One request. `headers`: lower-case names; a repeated field is joined by ", " (RFC 9110, 5.3)."""

    method: bytes
    target: bytes
    headers: Mapping[bytes, bytes]
    body: bytes

    def __repr__(self) -> str:
        return f"<Request {self.method.decode('latin-1')}>"


@dataclass(frozen=True, slots=True)
class Response:
    status: int
    body: bytes = field(default=b"", repr=False)
    content_type: bytes = b"application/json"
    headers: tuple[tuple[bytes, bytes], ...] = ()


Handler = Callable[[Request], Awaitable[Response]]
Refusal = Callable[[int, str], Response]
"""(status, sentence) → the answer to what never became a request."""


class _Listener(Protocol):
    async def accept(self) -> trio.abc.Stream: ...


class _Refused(Exception):
    """Raised inside the parser's callbacks: the request ends here."""


class _Parser:
    """Callbacks of llhttp for one connection; finished requests are in `ready`."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._parser = httptools.HttpRequestParser(self)
        self.ready: deque[tuple[Request, bool]] = deque()
        """(request, keep the connection)"""
        self.refusal: tuple[int, str] | None = None
        self.in_head = False
        self.in_body = False
        self.wants_continue = False
        self._head_bytes = 0
        self._reset()

    def _reset(self) -> None:
        self._url = b""
        self._headers: dict[bytes, bytes] = {}
        self._body: list[bytes] = []
        self._size = 0

    def feed(self, data: bytes) -> None:
        """Parse; what is wrong stands in `refusal` afterwards."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._refuse(400, "upgrades are not offered here")
        except httptools.HttpParserError:
            self.refusal = self.refusal or (400, "the request is not valid HTTP/1.1")
        if self.in_head:
            self._head_bytes += len(data)
            if self._head_bytes > self._limits.head:
                self.refusal = self.refusal or (431, "the request head is too large")

    def _refuse(self, status: int, sentence: str) -> None:
        self.refusal = self.refusal or (status, sentence)

    def on_message_begin(self) -> None:
        self._reset()
        self.in_head = True
        self._head_bytes = 0
        if len(self.ready) >= self._limits.pipelined:
            self._refuse(429, "too many requests are waiting on this connection")
            raise _Refused

    def on_url(self, url: bytes) -> None:
        self._url += url
        self._count(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        name = name.lower()
        self._count(len(name) + len(value) + 4)
        before = self._headers.get(name)
        if before is not None and name in (b"authorization", b"content-type", b"idempotency-key", b"host"):
            self._refuse(400, f"the field {name.decode()} is given twice")
            raise _Refused
        self._headers[name] = value if before is None else before + b", " + value

    def _count(self, length: int) -> None:
        self._size += length
        if self._size > self._limits.head:
            self._refuse(431, "the request head is too large")
            raise _Refused

    def on_headers_complete(self) -> None:
        self.in_head = False
        self.in_body = True
        self._size = 0
        declared = self._headers.get(b"content-length", b"0")
        if declared.isdigit() and int(declared) > self._limits.body:
            self._too_large()
        self.wants_continue = self._headers.get(b"expect", b"").lower() == b"100-continue"

    def on_body(self, body: bytes) -> None:
        self._size += len(body)
        if self._size > self._limits.body:
            self._too_large()
        self._body.append(body)

    def _too_large(self) -> None:
        self._refuse(413, f"the body is larger than {self._limits.body} bytes")
        raise _Refused

    def on_message_complete(self) -> None:
        self.in_body = False
        self.wants_continue = False
        request = Request(self._parser.get_method(), self._url, self._headers, b"".join(self._body))
        self.ready.append((request, bool(self._parser.should_keep_alive())))


@dataclass(slots=True, eq=False)
class _Place:
    """One connection, as the server sees it."""

    scope: trio.CancelScope
    deadline: float
    idle: bool = True


class Server:
    """Serves one handler. `refuse` makes the answers to what never became a request."""

    def __init__(self, handler: Handler, refuse: Refusal, limits: Limits) -> None:
        self._handler = handler
        self._refuse = refuse
        self._limits = limits
        self._places: set[_Place] = set()
        self._draining = False
        self._accepting = trio.CancelScope()
        self.answered: dict[int, int] = {}
        """Answers by status; for the metrics."""

    @property
    def connections(self) -> int:
        return len(self._places)

    async def run(
        self,
        listeners: Sequence[trio.abc.Listener[trio.abc.Stream]],
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Serve until drained: no new connections, and the last one has ended."""
        async with trio.open_nursery() as watch:
            watch.start_soon(self._watch)
            async with trio.open_nursery() as connections:
                with self._accepting:
                    await trio.serve_listeners(
                        self._serve, [*listeners], handler_nursery=connections, task_status=_Started(task_status)
                    )
            watch.cancel_scope.cancel()

    def drain(self) -> None:
        """Stop accepting, end idle connections, answer what is running."""
        self._draining = True
        self._accepting.cancel()
        for place in self._places:
            if place.idle:
                place.scope.cancel()

    async def _watch(self) -> None:
        while True:
            await trio.sleep(TICK)
            now = trio.current_time()
            for place in self._places:
                if place.deadline <= now:
                    place.scope.cancel()

    async def _serve(self, stream: trio.abc.Stream) -> None:
        try:
            if len(self._places) >= self._limits.connections:
                await self._turn_away(stream)
                return
            with trio.CancelScope() as scope:
                place = _Place(scope, trio.current_time() + self._limits.idle_seconds)
                self._places.add(place)
                try:
                    await self._converse(stream, place)
                finally:
                    self._places.discard(place)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # the client went away
        finally:
            await trio.aclose_forcefully(stream)

    async def _turn_away(self, stream: trio.abc.Stream) -> None:
        with trio.move_on_after(1.0):
            await stream.send_all(self._bytes(self._refuse(503, "too many connections"), b"", keep=False))

    async def _converse(self, stream: trio.abc.Stream, place: _Place) -> None:
        """Read, answer, read on; return when the connection is to end."""
        parser = _Parser(self._limits)
        limits = self._limits
        while True:
            while parser.ready:
                request, keep = parser.ready.popleft()
                place.deadline, place.idle = NEVER, False
                response = await self._handler(request)
                keep = keep and not self._draining
                place.deadline = trio.current_time() + limits.answer_seconds
                await stream.send_all(self._bytes(response, request.method, keep=keep))
                if not keep:
                    return
            if parser.refusal is not None:
                place.deadline = trio.current_time() + limits.answer_seconds
                await self._part(stream, self._refuse(*parser.refusal))
                return
            if self._draining:
                return
            self._rearm(place, parser)
            if parser.wants_continue:
                parser.wants_continue = False
                await stream.send_all(b"HTTP/1.1 100 Continue\r\n\r\n")
            data = await stream.receive_some(READ)
            if not data:
                return
            parser.feed(bytes(data))

    def _rearm(self, place: _Place, parser: _Parser) -> None:
        """Set the deadline of the state the connection is in; a running head or body keeps the one it has."""
        now, limits = trio.current_time(), self._limits
        if parser.in_head:
            place.deadline = min(place.deadline, now + limits.head_seconds)
        elif parser.in_body:
            place.deadline = now + limits.body_seconds if place.idle else place.deadline
            place.deadline = min(place.deadline, now + limits.body_seconds)
        else:
            place.deadline = now + limits.idle_seconds
        place.idle = not (parser.in_head or parser.in_body)

    async def _part(self, stream: trio.abc.Stream, response: Response) -> None:
        """Answer and end. What the client still sends is read for a moment, or a reset would eat the answer."""
        await stream.send_all(self._bytes(response, b"", keep=False))
        if isinstance(stream, trio.abc.HalfCloseableStream):
            await stream.send_eof()
        with trio.move_on_after(1.0):
            while await stream.receive_some(READ):
                pass

    def _bytes(self, response: Response, method: bytes, *, keep: bool) -> bytes:
        self.answered[response.status] = self.answered.get(response.status, 0) + 1
        head = _STATUS_LINES[response.status]
        if response.status not in _BODYLESS:
            head += b"content-type: " + response.content_type + b"\r\ncontent-length: %d\r\n" % len(response.body)
        for name, value in response.headers:
            head += name + b": " + value + b"\r\n"
        if not keep:
            head += b"connection: close\r\n"
        return head + b"\r\n" + (b"" if method == b"HEAD" or response.status in _BODYLESS else response.body)


class _Started:
    """trio.serve_listeners reports its listeners; our callers need only know that it listens."""

    def __init__(self, task_status: trio.TaskStatus[None]) -> None:
        self._task_status = task_status

    def started(self, value: object = None) -> None:
        self._task_status.started()


_STATUS_LINES: Final = {s.value: f"HTTP/1.1 {s.value} {s.phrase}\r\n".encode() for s in HTTPStatus}
_BODYLESS: Final = frozenset({204, 304})
