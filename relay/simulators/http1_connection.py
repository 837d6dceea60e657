"""One client's connection to a fake that speaks HTTP/1.1 beside HTTP/2: the same service, the same injections.

A request is told to the service as HTTP/2 would tell it, method, path and authority first, so that nothing is judged
twice. Streams are counted 1, 2, 3; forms of fields and the size of a block there are none.
"""

from __future__ import annotations

import trio

from relay.simulators import http1
from relay.simulators.h2_service import Reply, Request, Service
from relay.simulators.http1 import Requests, Unreadable


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
        self.scope = trio.CancelScope()

    async def run(self) -> None:
        with self.scope:
            try:
                while (request := await self._next()) is not None and await self._serve(request):
                    self._service.journal.flush()
            except Unreadable as error:
                self._service.journal.violate("protocol_error")
                await self._stream.send_all(http1.head(error.status, (), 0, keep=False))

    async def _next(self) -> http1.Request | None:
        """None: the client has ended, or says nothing for too long."""
        with trio.move_on_after(self._service.limits.idle):
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
        if faults.drop_after is not None and self._processed >= faults.drop_after:
            faults.drop_after = None
            return False
        if faults.silence or reply.is_silent:
            await self._wait_for_its_end()
            return False
        await trio.sleep(faults.latency() + reply.delay + faults.connection_delays.get(self._number, 0.0))
        keep = request.keep and not self._is_last
        await self._answer(reply, faults.body_delay, keep=keep)
        return keep

    async def _answer(self, reply: Reply, body_delay: float, *, keep: bool) -> None:
        (_, status), *fields = reply.headers
        head = http1.head(int(status), fields, len(reply.body), keep=keep)
        if body_delay:
            await self._stream.send_all(head)
            await trio.sleep(body_delay)
            head = b""
        await self._stream.send_all(head + reply.body)

    async def _wait_for_its_end(self) -> None:
        """Read, and answer nothing, until the client has had enough."""
        while await self._stream.receive_some(http1.READ):
            pass

    async def goaway(self, debug: bytes, *, graceful: bool, code: int) -> None:
        """HTTP/1.1 has no word for it but `connection: close`, with the next answer."""
        self._is_last = True

    async def announce(self, streams: int) -> None:
        """There is one request at a time, whatever is announced."""


def _headers(request: http1.Request) -> tuple[tuple[bytes, bytes], ...]:
    pseudo = ((b":method", request.method), (b":path", request.target), (b":authority", request.value(b"host")))
    return (*pseudo, *((name, value) for name, value in request.fields if name != b"host"))
