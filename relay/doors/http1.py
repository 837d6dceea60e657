"""HTTP/1.1 for the event door: trio listeners around the parser (parser.py), and limits on time and connections.

One task per connection; requests of a connection are answered one after the other, in order, also when pipelined. A
connection that is slow, silent, too large or malformed costs itself and nothing else. Deadlines are plain numbers,
looked at once a second by one task for all connections: a trio deadline armed and disarmed per request would cost more
than parsing the request. Where the grammar is broken the answer is 400 and the connection ends, since nobody can know
where the next request would begin (request smuggling).

A connection ends in two steps, our side first: a plain close while the client still sends would reset the connection,
and the client might never read why.

Draining (`Server.drain`): no new connections, idle ones end, requests that run or are arriving are answered with
`connection: close`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final, Protocol, runtime_checkable

import trio

from relay.doors.parser import ANSWER, BODY, HEAD, IDLE, READ, Parser
from relay.doors.parser import Request as Request

TICK: Final = 1.0
"""Seconds between two looks at the deadlines."""
LINGER: Final = 1.0
"""Seconds for a client to take the last answer of a connection before the connection ends."""
NEVER: Final = float("inf")


@dataclass(frozen=True, slots=True)
class Limits:
    """Bytes and seconds."""

    head: int = 16_384
    body: int = 4 * 2**20
    bodies: int = 64 * 2**20
    """Of all connections together, what they send and what is being answered; of each only what is beyond one read."""
    connections: int = 1_000
    pipelined: int = 64
    """Requests of one connection that may wait for their turn."""
    head_seconds: float = 10.0
    body_seconds: float = 30.0
    idle_seconds: float = 75.0
    answer_seconds: float = 30.0
    """For the client to take an answer."""


@dataclass(frozen=True, slots=True)
class Response:
    status: int
    body: bytes = field(default=b"", repr=False)
    content_type: bytes = b"application/json"
    headers: tuple[tuple[bytes, bytes], ...] = ()


NO_STORE: Final = ((b"cache-control", b"no-store"),)
"""Headers of an answer in which a secret stands, or all that is kept of somebody."""
Handler = Callable[[Request], Awaitable[Response]]
Refusal = Callable[[int, str], Response]
"""(status, sentence) → the answer to what never became a request."""


@runtime_checkable
class Patient(Protocol):
    """A handler whose requests may wait for something to happen. It is told when they must not any more."""

    def drain(self) -> None: ...


@dataclass(slots=True, eq=False)
class _Place:
    """One connection, as the server sees it."""

    scope: trio.CancelScope
    deadline: float
    phase: int = IDLE
    held: int = 0
    """Bytes of its bodies, beyond one read."""


class Server:
    """Serves one handler. `refuse` makes the answers to what never became a request."""

    def __init__(self, handler: Handler, refuse: Refusal, limits: Limits) -> None:
        self.handler = handler
        asked: object = handler
        self._patient = asked if isinstance(asked, Patient) else None
        self._refuse = refuse
        self._limits = limits
        self._seconds = {
            IDLE: limits.idle_seconds, HEAD: limits.head_seconds, BODY: limits.body_seconds
        }  # fmt: skip
        self._places: set[_Place] = set()
        self._held = 0
        """Sum over the places."""
        self._turned_away = 0
        """Connections that are told so at this moment."""
        self._arrived = trio.Event()
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
                        self._serve, [*listeners], handler_nursery=connections, task_status=Started(task_status)
                    )
            watch.cancel_scope.cancel()

    def drain(self) -> None:
        """Stop accepting, end idle connections, answer what is running."""
        self._draining = True
        if self._patient is not None:
            self._patient.drain()
        self._accepting.cancel()
        for place in self._places:
            if place.phase == IDLE:
                place.scope.cancel()

    async def _watch(self) -> None:
        """Look at the deadlines, as long as there are connections to have some."""
        while True:
            if not self._places:
                self._arrived = trio.Event()
                await self._arrived.wait()
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
                self._arrived.set()
                try:
                    await self._converse(stream, place)
                finally:
                    self._places.discard(place)
                    self._held -= place.held
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # the client went away
        except MemoryError:
            pass  # its request does not fit; the others do, perhaps
        finally:
            await trio.aclose_forcefully(stream)

    async def _turn_away(self, stream: trio.abc.Stream) -> None:
        """Say so, to as many at a time as may be connected; to more nothing is said."""
        if self._turned_away >= self._limits.connections:
            return
        self._turned_away += 1
        try:
            with trio.move_on_after(LINGER):
                await self._part(stream, self._refuse(503, "too many connections"))
        finally:
            self._turned_away -= 1

    async def _converse(self, stream: trio.abc.Stream, place: _Place) -> None:
        """Read, answer, read on; return when the connection is to end."""
        limits = self._limits
        parser = Parser(head=limits.head, body=limits.body, pipelined=limits.pipelined)
        while True:
            while parser.ready:
                if not await self._answer(stream, place, parser):
                    return None
                if parser.ready:  # nobody is waited for: neither by a handler that need not, nor by the write
                    await trio.lowlevel.checkpoint()
            if parser.refusal is not None:
                place.deadline, place.phase = trio.current_time() + limits.answer_seconds, ANSWER
                return await self._part(stream, self._refuse(*parser.refusal))
            if self._draining and parser.phase == IDLE:
                return None
            self._rearm(place, parser.phase)
            if parser.wants_continue:
                parser.wants_continue = False
                await stream.send_all(b"HTTP/1.1 100 Continue\r\n\r\n")
            data = await stream.receive_some(READ)
            if not data:
                return None
            parser.feed(bytes(data))
            del data  # or an idle connection would keep it
            self._hold(place, parser)

    async def _answer(self, stream: trio.abc.Stream, place: _Place, parser: Parser) -> bool:
        """Answer the next request; False: that was the last one. Else an idle connection would keep it."""
        request, keep = parser.ready.popleft()
        place.deadline, place.phase = NEVER, ANSWER
        response = await self.handler(request)
        parser.answered(request)
        self._hold(place, parser)
        place.deadline = trio.current_time() + self._limits.answer_seconds
        if keep and not self._draining:
            await stream.send_all(self._bytes(response, request.method, keep=True))
            return True
        await self._part(stream, response, request.method)
        return False

    def _hold(self, place: _Place, parser: Parser) -> None:
        """Note what a connection keeps. When all together keep too much, no large body is received any more."""
        self._held -= place.held
        if parser.kept > READ and parser.phase == BODY and self._held + parser.kept - READ > self._limits.bodies:
            parser.refuse(503, "too many large requests are under way")
        place.held = max(0, parser.kept - READ)
        self._held += place.held

    def _rearm(self, place: _Place, phase: int) -> None:
        """A phase that begins gets its deadline; one that goes on keeps the one it has."""
        if phase != place.phase:
            place.deadline = trio.current_time() + self._seconds[phase]
        place.phase = phase

    async def _part(self, stream: trio.abc.Stream, response: Response, method: bytes = b"") -> None:
        """Answer and end. What the client still sends is read for a moment, or a reset would eat the answer."""
        await stream.send_all(self._bytes(response, method, keep=False))
        if isinstance(stream, trio.abc.HalfCloseableStream):
            await stream.send_eof()
        with trio.move_on_after(LINGER):
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


class Started:
    """trio.serve_listeners reports its listeners; our callers need only know that it listens."""

    def __init__(self, task_status: trio.TaskStatus[None]) -> None:
        self._task_status = task_status

    def started(self, value: object = None) -> None:
        self._task_status.started()


_STATUS_LINES: Final = {s.value: f"HTTP/1.1 {s.value} {s.phrase}\r\n".encode() for s in HTTPStatus}
_BODYLESS: Final = frozenset({204, 304})
