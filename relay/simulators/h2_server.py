"""The server side of HTTP that the fakes share: all connections of a service, over any trio stream.

So it runs in virtual time and memory as well as on TLS. One connection is h2_connection.py, or http1_connection.py
where the service speaks HTTP/1.1 too; what a request is answered is the service's business (h2_service.py).
"""

from __future__ import annotations

import ssl
from collections import deque
from collections.abc import Callable, Mapping
from typing import Final, Protocol

import trio

from relay.simulators import h2_connection, handshake, http1_connection
from relay.simulators.h2_ends import reset_at_close
from relay.simulators.h2_service import Service
from relay.simulators.injections import DropHow

CONNECTIONS_A_MINUTE: Final = 60
"""More new connections in a minute count as a breach ("rapid open/close is treated as denial of service")."""


class Connection(Protocol):
    """One of them, of either protocol."""

    scope: trio.CancelScope

    async def run(self) -> None: ...
    async def goaway(self, debug: bytes, *, graceful: bool, code: int) -> None: ...
    async def announce(self, streams: int) -> None: ...
    async def announce_settings(self, settings: Mapping[int, int]) -> None: ...
    async def refresh(self) -> None: ...


_CONNECTIONS: Final[dict[str, Callable[[Service, trio.abc.Stream, int], Connection]]] = {
    "h2": h2_connection.Connection,
    "http/1.1": http1_connection.Connection,
}
"""By the name that ALPN has for the protocol."""


class Server:
    """All connections of a service."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._open: dict[Connection, trio.abc.Stream] = {}
        self._opened_at: deque[float] = deque()

    async def serve_stream(self, stream: trio.abc.Stream, protocol: str = "h2") -> None:
        """Serve one connection until it ends; `stream` is closed afterwards. `protocol`: spoken where TLS is not."""
        self._count_opening()
        try:
            if self._service.injections.happens(self._service.injections.stall):
                await _stall(stream)
            elif self._service.accepting and (spoken := await self._protocol(stream, protocol)):
                await self._serve(stream, spoken)
        finally:
            await trio.aclose_forcefully(stream)

    async def _protocol(self, stream: trio.abc.Stream, protocol: str) -> str:  # A-01, F-01
        """What is spoken; empty: nothing that is served."""
        if not isinstance(stream, trio.SSLStream):
            return protocol
        journal = self._service.journal
        try:
            if await handshake.is_question(stream):
                return ""
        except trio.BrokenResourceError as error:
            if isinstance(error.__cause__, ssl.SSLError) and error.__cause__.reason == "CALLBACK_FAILED":
                journal.violate("no_server_name")
            return ""
        spoken = stream.selected_alpn_protocol() or "http/1.1"
        if spoken != "h2" and not self._service.limits.speaks_http1:
            journal.violate("no_http2")
            return ""
        return spoken

    async def _serve(self, stream: trio.abc.Stream, protocol: str) -> None:
        journal = self._service.journal
        journal.connections += 1
        connection = _CONNECTIONS[protocol](self._service, stream, journal.connections)
        self._open[connection] = stream
        try:
            await connection.run()
        except* (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        finally:
            del self._open[connection]
            journal.flush()

    def _count_opening(self) -> None:
        now = self._service.now()
        self._opened_at.append(now)
        while self._opened_at[0] <= now - 60:
            self._opened_at.popleft()
        if len(self._opened_at) > CONNECTIONS_A_MINUTE:
            self._service.journal.violate("too_many_connections")

    @property
    def connections(self) -> int:
        return len(self._open)

    async def goaway(self, debug: bytes, *, graceful: bool = True, code: int = 0) -> None:
        """GOAWAY on every connection: graceful announces first and names the last stream after that."""
        for connection in list(self._open):
            await connection.goaway(debug, graceful=graceful, code=code)

    async def announce(self, streams: int) -> None:
        """Another stream limit on every connection."""
        for connection in list(self._open):
            await connection.announce(streams)

    async def announce_settings(self, settings: Mapping[int, int]) -> None:
        """Any SETTINGS, by number, on every connection; until something else is announced."""
        for connection in list(self._open):
            await connection.announce_settings(settings)

    async def refresh(self) -> None:
        """The injections have changed: every connection looks at them."""
        for connection in list(self._open):
            await connection.refresh()

    def cut(self, how: DropHow = DropHow.FIN) -> None:
        """Cut every connection without a word."""
        for connection, stream in list(self._open.items()):
            if how is DropHow.RESET:
                reset_at_close(stream)
            connection.scope.cancel()


async def _stall(stream: trio.abc.Stream) -> None:
    """Take what comes, and say nothing, not even in TLS."""
    inner = stream.transport_stream if isinstance(stream, trio.SSLStream) else stream
    try:
        while await inner.receive_some(65_536):
            pass
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        pass
