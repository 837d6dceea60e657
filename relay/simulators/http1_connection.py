"""One client's connection to a fake that speaks HTTP/1.1 beside HTTP/2: the same service, the same injections.

A request is told to the service as HTTP/2 would tell it, method, path and authority first, so that nothing is judged
twice. Streams are counted 1, 2, 3; forms of fields and the size of a block there are none.
"""

from __future__ import annotations

from collections.abc import Mapping

import trio

from relay.simulators import http1
from relay.simulators.h2_ends import Ends, reset_at_close
from relay.simulators.h2_service import Reply, Request, Service
from relay.simulators.http1 import Requests, Unreadable
from relay.simulators.injections import DropAt, DropHow


class Connection:
    """Serves what it receives until either side ends it."""

    def __init__(self, service: Service, stream: trio.abc.Stream, number: int) -> None:
        self._service = service
        self._session = service.session()
        self._stream = stream
        self._number = number
        self._requests = Requests(stream)
        self._processed = 0
        self._is_last = False
        self._ends = Ends(service.injections, service.journal, trio.current_time)
        self.scope = trio.CancelScope()

    async def run(self) -> None:
        try:
            with self.scope:
                await self._serve_all()
        finally:
            self._ends.over()

    async def _serve_all(self) -> None:
        try:
            while (request := await self._next()) is not None and await self._serve(request):
                self._service.journal.flush()
        except Unreadable as error:
            self._service.journal.violate("protocol_error")
            await self._stream.send_all(http1.head(error.status, (), 0, keep=False))

    async def _next(self) -> http1.Request | None:
        """None: the client has ended, or says nothing for too long."""
        idle = self._service.injections.idle
        with trio.move_on_after(self._service.limits.idle if idle is None else idle):
            return await self._requests.next()
        return None

    async def _serve(self, request: http1.Request) -> bool:
        """Answer; False when the connection ends with that."""
        self._processed += 1
        reply = self._session.handle(
            Request(
                connection=self._number, stream=self._processed, headers=_headers(request), body=request.body,
                forms=(), block_bytes=0,
            )
        )  # fmt: skip
        faults = self._service.injections
        self._ends.processed(self._processed, reply)
        if self._ends.cuts_now():
            self._drop()
            return False
        if faults.is_silent(reply.token):
            await self._wait_for_its_end()
            return False
        await trio.sleep(faults.wait(self._number, reply.token))
        self._ends.settled(self._processed, was_told=True)
        keep = request.keep and not self._is_last and not self._ends.is_overdrawn(reply.errors)
        return await self._answer(reply, faults.body_delay, keep=keep) and keep

    async def _answer(self, reply: Reply, body_delay: float, *, keep: bool) -> bool:
        """False when the connection was dropped in the middle of it."""
        faults = self._service.injections
        head = http1.head(reply.status, reply.headers[1:], len(reply.body), keep=keep)
        cut = len(head) // 2 if faults.drops(DropAt.HEAD) else len(head)
        if cut < len(head) or (reply.body and reply.status >= 400 and faults.drops(DropAt.BODY)):
            await self._stream.send_all(head[:cut])
            self._drop()
            return False
        if body_delay:
            await self._stream.send_all(head)
            await trio.sleep(body_delay)
            head = b""
        await self._stream.send_all(head + reply.body)
        return True

    def _drop(self) -> None:
        if self._service.injections.drop_how is DropHow.RESET:
            reset_at_close(self._stream)

    async def _wait_for_its_end(self) -> None:
        """Read, and answer nothing, until the client has had enough."""
        while await self._stream.receive_some(http1.READ):
            pass

    async def goaway(self, debug: bytes, *, graceful: bool, code: int) -> None:
        """HTTP/1.1 has no word for it but `connection: close`, with the next answer."""
        self._is_last = True

    async def announce(self, streams: int) -> None:
        """There is one request at a time, whatever is announced."""

    async def announce_settings(self, settings: Mapping[int, int]) -> None:
        """There are none."""

    async def refresh(self) -> None:
        """Injections are looked at when they are due."""


def _headers(request: http1.Request) -> tuple[tuple[bytes, bytes], ...]:
    pseudo = ((b":method", request.method), (b":path", request.target), (b":authority", request.value(b"host")))
    return (*pseudo, *((name, value) for name, value in request.fields if name != b"host"))
