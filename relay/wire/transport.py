"""The trio side of a connection: one reader, writers one at a time.

The reader never waits for the lock: whoever holds it sends what has become due before letting go. A `send_all` that
fails or is cancelled leaves TLS in an undefined state, so the connection is dropped at once; nothing is sent on it
again, not even a goodbye.

Between a write that is composed and its first byte lies the event loop: TLS lets others run before it hands the bytes
down. A process that is stopped there would send, when it runs again, what was allowed long ago. So a write may be asked
once more, in the stream beneath TLS, by whoever composed it (`Beneath`).
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

import trio

from relay.wire.answers import Received
from relay.wire.connection import Connection
from relay.wire.errors import ConnectionLost, WireError
from relay.wire.template import Request

READ: Final = 262_144
RECORDS: Final = 4
"""TLS records of one write, each of whole requests: a system call, and the tasks that wait for it, cost as much as the
requests of one record."""
GOODBYE: Final = 1.0
"""Seconds for the last frames of a connection that is closed in order."""
UNSENT: Final = 65_536
"""Bytes that may wait in the kernel for their turn on the way; more would be out of reach of gate and alarms."""
UNACKNOWLEDGED: Final = 10_000
"""Milliseconds after which the kernel gives a connection up whose peer confirms nothing: what it still holds must not
arrive when the way is open again, perhaps in somebody's rest."""
_OPTIONS: Final = [
    (getattr(socket, name), value)
    for name, value in (("TCP_NOTSENT_LOWAT", UNSENT), ("TCP_USER_TIMEOUT", UNACKNOWLEDGED))
    if hasattr(socket, name)
]
_GONE: Final = (trio.BrokenResourceError, trio.ClosedResourceError, OSError, ssl.SSLError)


def always() -> bool:
    return True


class Beneath(trio.abc.Stream):
    """The TCP stream beneath TLS; sends only while `may_leave` says so, and is asked just before the system call."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self.transport_stream = stream
        self._early = b""
        self._held: list[bytes | bytearray | memoryview] | None = None
        self.may_leave: Callable[[], bool] = always

    @contextmanager
    def together(self) -> Iterator[None]:
        """Keep what TLS hands down until `release`: several of its records then leave by one system call."""
        self._held = []
        try:
            yield
        finally:
            self._held = None

    async def release(self) -> None:
        """Send what was kept, in its order. What TLS hands down meanwhile, for its reader perhaps, follows."""
        while self._held:
            held, self._held = self._held, []
            await self._send(b"".join(held))

    def unread(self, data: bytes) -> None:
        """What was read before its reader came: it is received first."""
        self._early = data + self._early

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        if self._held is not None:
            self._held.append(data)
        else:
            await self._send(data)

    async def _send(self, data: bytes | bytearray | memoryview) -> None:
        if not self.may_leave():
            raise trio.BrokenResourceError
        await self.transport_stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self.transport_stream.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        if not self._early:
            return await self.transport_stream.receive_some(max_bytes)
        await trio.lowlevel.checkpoint()
        size = len(self._early) if max_bytes is None else max_bytes
        given, self._early = self._early[:size], self._early[size:]
        return given

    async def aclose(self) -> None:
        await self.transport_stream.aclose()


class Transport:
    """Moves bytes between a stream and a `Connection`."""

    def __init__(self, stream: trio.abc.Stream, connection: Connection) -> None:
        self._stream = stream
        beneath = stream.transport_stream if isinstance(stream, trio.SSLStream) else None
        self._beneath = beneath if isinstance(beneath, Beneath) else None
        self._connection = connection
        self._writing = trio.Lock()
        self._broken = False
        """A write has failed, or is under way: nothing may be sent."""
        self._ended = False
        """Our goodbye is said, or nobody is there to hear it."""

    async def run(
        self,
        received: Callable[[Received], None],
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Read until the connection ends; always ends by ConnectionLost, or by cancellation."""
        async with self._writing:  # cancelled while it waits for that, nothing was said, and no goodbye will be
            await self._send_locked(self._connection.initiate())
        task_status.started()
        while True:
            try:
                data = await self._stream.receive_some(READ)
            except _GONE:
                self._broken = True
                raise ConnectionLost("connection_reset") from None
            if not data:
                self._ended = True
                raise ConnectionLost("connection_closed")
            try:
                news = self._connection.receive(bytes(data))
            except WireError as error:
                received(error.received)
                await self._say_goodbye(self._connection.close(error.code))
                raise ConnectionLost(f"wire_{error.code.name.lower()}") from error
            received(news)
            if not self._writing.locked():
                await self._flush()

    async def write(
        self,
        compose: Callable[[], Sequence[Request]],
        leaving: Callable[[int], None],
        may_leave: Callable[[], bool] = always,
    ) -> int:
        """Write as many requests as fit; return their number.

        `compose` makes them when the stream is free and control frames are sent; `leaving` is called with the number
        just before the first byte, and then `may_leave`, more than once: when it says no, the connection is dropped
        with all that was composed. So does cancelling a write that has begun.
        """
        async with self._writing:
            await self._send_control()
            if self._broken:
                raise ConnectionLost("connection_reset")
            records, count = self._records(compose())
            if count:
                leaving(count)
                await self._send_while(may_leave, records)
            await self._send_control()
        return count

    def _records(self, requests: Sequence[Request]) -> tuple[list[bytes], int]:
        """As many of the requests as one write may hold, in pieces of one TLS record; and their number."""
        records: list[bytes] = []
        taken = 0
        while len(records) < RECORDS:
            count, data = self._connection.take(requests[taken:])
            if not count:
                break
            records.append(data)
            taken += count
        return records, taken

    async def flush(self) -> None:
        """Send control frames that are due."""
        await self._flush()

    async def aclose(self) -> None:
        """End the connection: a goodbye if that is possible within a second, then close."""
        if not self._broken and not self._ended:
            await self._say_goodbye(self._connection.close())
        await trio.aclose_forcefully(self._stream)

    async def _flush(self) -> None:
        async with self._writing:
            await self._send_control()

    async def _send_control(self) -> None:
        while control := self._connection.control():
            await self._send_locked(control)

    async def _send(self, data: bytes) -> None:
        async with self._writing:
            await self._send_locked(data)

    async def _send_while(self, may_leave: Callable[[], bool], records: list[bytes]) -> None:
        if not may_leave():
            self._broken = True  # the peer would miss what it has not been sent
            raise ConnectionLost("too_late")
        if self._beneath is None:
            await self._send_locked(*records)
            return
        self._beneath.may_leave = may_leave
        try:
            await self._send_locked(*records)
        except ConnectionLost:
            raise ConnectionLost("connection_reset" if may_leave() else "too_late") from None
        finally:
            self._beneath.may_leave = always

    async def _send_locked(self, *records: bytes) -> None:
        if self._broken:
            raise ConnectionLost("connection_reset")
        self._broken = True
        try:
            if self._beneath is None or len(records) == 1:
                for data in records:
                    await self._stream.send_all(data)
            else:
                with self._beneath.together():
                    for data in records:
                        await self._stream.send_all(data)
                    await self._beneath.release()
        except _GONE:
            raise ConnectionLost("connection_reset") from None
        self._broken = False

    async def _say_goodbye(self, data: bytes) -> None:
        self._ended = True
        if not data:
            return
        with trio.move_on_after(GOODBYE, shield=True):
            try:
                await self._send(data)
            except ConnectionLost:
                return


async def resolve(host: str, port: int) -> list[str]:
    """The addresses of a host, looked up now, in the order of the resolver. Raises OSError."""
    found = await trio.socket.getaddrinfo(host, port, type=trio.socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


async def connect(host: str, port: int, context: ssl.SSLContext, address: str = "") -> trio.abc.Stream:
    """TCP and TLS to a host, HTTP/2 agreed by ALPN. Raises OSError, ConnectionLost.

    `context` must offer "h2". `address`: the one to connect to; without it the host is looked up.
    """
    return await secure(await open_tcp(address or host, port), host, context)


async def open_tcp(address: str, port: int) -> Beneath:
    """TCP as it lies beneath TLS. Raises OSError."""
    stream = await trio.open_tcp_stream(address, port)
    for option, value in _OPTIONS:
        stream.socket.setsockopt(socket.IPPROTO_TCP, option, value)
    return Beneath(stream)


async def secure(tcp: Beneath, host: str, context: ssl.SSLContext) -> trio.abc.Stream:
    """TLS over what leads to a host, HTTP/2 agreed by ALPN. Raises OSError, ConnectionLost; `tcp` is closed then."""
    stream = trio.SSLStream(tcp, context, server_hostname=host, https_compatible=True)
    try:
        await stream.do_handshake()
        if stream.selected_alpn_protocol() != "h2":
            raise ConnectionLost("no_http2")
    except BaseException as error:
        await trio.aclose_forcefully(stream)
        if isinstance(error, (trio.BrokenResourceError, ssl.SSLError)):
            raise ConnectionLost("tls_failed") from error
        raise
    return stream
