"""The fast sink: answers every request at once and looks at nothing. For measuring senders, not for checking them.

Walks frame headers only. A request is complete with the frame that carries END_STREAM, and is answered `:status 200` in
ten bytes; every `dead_every`-th with 410 and Apple's error body, so that verdicts other than 200 are part of the load,
and their exact number is known. The first answer block begins with 0x20, as a server's must that was told table size 0.

With `latency` all that it says after its greeting comes so many seconds later, in its order: as a provider that is far
away, and as strong as ever.

With `echo_ids` it reads the request's header block after all and repeats its `apns-id`, as Apple does: some clients
find the request of an answer by that field. It costs about 30 µs a request. With `stamps` it notes when each request
has arrived (stamps.py).
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import trio
from hpack import Decoder, HPACKError

from relay.simulators import handshake
from relay.simulators.stamps import Stamps, TokenReader

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
REFILL: Final = 2**22
_WINDOW: Final = 2**30


@dataclass(slots=True)
class SinkTotals:
    requests: int = 0
    dead: int = 0
    connections: int = 0


class Sink:
    """Counts and answers. `dead_every` 0: nobody is dead. `now`: UTC seconds, for the timestamp of a 410."""

    def __init__(
        self,
        now: Callable[[], float],
        *,
        dead_every: int = 1000,
        streams: int = 1000,
        echo_ids: bool = False,
        stamps: Stamps | None = None,
        latency: float = 0.0,
    ) -> None:
        self.totals = SinkTotals()
        self._now = now
        self._dead_every = dead_every
        self._streams = streams
        self._latency = latency
        self.echo_ids = echo_ids
        self.stamps = stamps

    async def serve_stream(self, stream: trio.abc.Stream) -> None:
        """Serve one connection until it ends."""
        try:
            if await handshake.is_question(stream):
                return
            self.totals.connections += 1
            connection = SinkConnection(self)
            await stream.send_all(connection.greeting(self._streams))
            if self._latency:
                await self._serve_late(stream, connection)
            else:
                while data := await stream.receive_some(1 << 20):
                    if out := connection.receive(bytes(data)):
                        await stream.send_all(out)
        except (trio.BrokenResourceError, trio.ClosedResourceError, ValueError):
            pass  # the client went away, or speaks something else
        finally:
            await trio.aclose_forcefully(stream)

    async def _serve_late(self, stream: trio.abc.Stream, connection: SinkConnection) -> None:
        """What waits is bounded by the streams that the client may open."""
        due, coming = trio.open_memory_channel[tuple[float, bytes]](math.inf)
        failed: Exception | None = None
        async with trio.open_nursery() as nursery:

            async def speak() -> None:
                nonlocal failed
                try:
                    async for instant, out in coming:
                        await trio.sleep_until(instant)
                        await stream.send_all(out)
                except trio.BrokenResourceError as error:
                    failed = error
                nursery.cancel_scope.cancel()

            nursery.start_soon(speak)
            async with due:
                try:
                    while data := await stream.receive_some(1 << 20):
                        if out := connection.receive(bytes(data)):
                            due.send_nowait((trio.current_time() + self._latency, out))
                except (trio.BrokenResourceError, ValueError) as error:
                    failed = error
                    nursery.cancel_scope.cancel()
        if failed is not None:
            raise failed

    def answer(self, stream: bytes, more: bytes = b"") -> bytes:
        """The answer to one request; `stream` as four bytes, `more` fields for its header block."""
        self.totals.requests += 1
        if self._dead_every and self.totals.requests % self._dead_every == 0:
            self.totals.dead += 1
            body = b'{"reason":"Unregistered","timestamp":%d}' % int(self._now() * 1000)
            head = b"\x08\x03410" + more
            return (
                len(head).to_bytes(3, "big") + b"\x01\x04" + stream + head
                + len(body).to_bytes(3, "big") + b"\x00\x01" + stream + body
            )  # fmt: skip
        return (1 + len(more)).to_bytes(3, "big") + b"\x01\x05" + stream + b"\x88" + more


class SinkConnection:
    """Frames of one connection."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._buffer = b""
        self._preface = True
        self._first = True
        self._consumed = 0
        self._decoder = Decoder() if sink.echo_ids else None
        self._ids: dict[bytes, bytes] = {}
        """stream → the field to repeat in its answer"""
        self._reader = TokenReader() if sink.stamps is not None else None
        self._tokens: dict[bytes, bytes] = {}
        """stream → the token of its request"""
        self._reads = self._decoder is not None or self._reader is not None

    @staticmethod
    def greeting(streams: int) -> bytes:
        settings = struct.pack(">HIHI", 3, streams, 4, _WINDOW)
        window = struct.pack(">I", _WINDOW)
        return b"\x00\x00\x0c\x04\x00\x00\x00\x00\x00" + settings + b"\x00\x00\x04\x08\x00\x00\x00\x00\x00" + window

    def receive(self, data: bytes) -> bytes:
        """Answers to the requests that became complete. Raises ValueError for what is not HTTP/2."""
        if self._buffer:
            data = self._buffer + data
        position, size = 0, len(data)
        if self._preface:
            if not PREFACE.startswith(data[: len(PREFACE)]):
                raise ValueError("no HTTP/2 preface")
            if size < len(PREFACE):
                self._buffer = data
                return b""
            position, self._preface = len(PREFACE), False
        out: list[bytes] = []
        arrived: list[bytes] = []
        answer, stamps = self._sink.answer, self._sink.stamps
        instant = stamps.instant() if stamps is not None else 0
        while size - position >= 9:
            length = data[position] << 16 | data[position + 1] << 8 | data[position + 2]
            end = position + 9 + length
            if end > size:
                break
            kind, flags = data[position + 3], data[position + 4]
            if kind <= 1:
                stream = data[position + 5 : position + 9]
                if kind == 0:
                    self._consumed += length
                elif self._reads:
                    self._read(stream, data[position + 9 : end])
                if flags & 1:
                    if stamps is not None:
                        arrived.append(self._tokens.pop(stream, b""))
                    out.append(answer(stream, self._ids.pop(stream, b"")))
            elif kind == 4 and not flags & 1:
                out.append(b"\x00\x00\x00\x04\x01\x00\x00\x00\x00")
            elif kind == 6 and not flags & 1:
                out.append(b"\x00\x00\x08\x06\x01\x00\x00\x00\x00" + data[position + 9 : end])
            position = end
        self._buffer = data[position:]
        if stamps is not None:
            stamps.note(arrived, instant)
        if self._consumed >= REFILL:
            out.append(b"\x00\x00\x04\x08\x00\x00\x00\x00\x00" + struct.pack(">I", self._consumed))
            self._consumed = 0
        return self._marked(out)

    def _read(self, stream: bytes, block: bytes) -> None:
        """Keep of a header block what is wanted of it."""
        if self._reader is not None:
            self._tokens[stream] = self._reader.token(block)
        if self._decoder is not None:
            self._ids[stream] = _id_field(self._decoder, block)

    def _marked(self, out: list[bytes]) -> bytes:
        """The first header block of the connection says that the table has size 0."""
        if self._first:
            for index, frame in enumerate(out):
                if frame[3] == 1:
                    self._first = False
                    length = int.from_bytes(frame[:3], "big") + 1
                    out[index] = length.to_bytes(3, "big") + frame[3:9] + b"\x20" + frame[9:]
                    break
        return b"".join(out)


def _id_field(decoder: Decoder, block: bytes) -> bytes:
    """`apns-id` of a request as a literal field; empty when it has none. Raises ValueError."""
    try:
        decoded = decoder.decode(block, raw=True)
    except HPACKError:
        raise ValueError("a header block that cannot be read") from None
    for name, value in decoded:
        if name == b"apns-id" and len(value) < 127:
            return b"\x00\x07apns-id" + bytes((len(value),)) + value
    return b""
