"""The server side of HTTP/2 that the fakes share: all connections of a service, over any trio stream.

So it runs in virtual time and memory as well as on TLS. One connection is h2_connection.py; what a request is answered
is the service's business (h2_service.py).
"""

from __future__ import annotations

import ssl
from collections import deque
from typing import Final

import trio

from relay.simulators import handshake
from relay.simulators.h2_connection import Connection
from relay.simulators.h2_service import Service

CONNECTIONS_A_MINUTE: Final = 60
"""More new connections in a minute count as a breach ("rapid open/close is treated as denial of service")."""


class Server:
    """All connections of a service."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._open: set[Connection] = set()
        self._opened_at: deque[float] = deque()

    async def serve_stream(self, stream: trio.abc.Stream) -> None:
        """Serve one connection until it ends; `stream` is closed afterwards."""
        self._count_opening()
        try:
            if self._service.accepting and await self._speaks_http2(stream):
                await self._serve(stream)
        finally:
            await trio.aclose_forcefully(stream)

    async def _speaks_http2(self, stream: trio.abc.Stream) -> bool:
        if not isinstance(stream, trio.SSLStream):
            return True
        journal = self._service.journal
        try:
            if await handshake.is_question(stream):
                return False
        except trio.BrokenResourceError as error:
            if isinstance(error.__cause__, ssl.SSLError) and error.__cause__.reason == "CALLBACK_FAILED":
                journal.violate("no_server_name")
            return False
        if stream.selected_alpn_protocol() != "h2":
            journal.violate("no_http2")
            return False
        return True

    async def _serve(self, stream: trio.abc.Stream) -> None:
        journal = self._service.journal
        journal.connections += 1
        connection = Connection(self._service, stream, journal.connections)
        self._open.add(connection)
        try:
            await connection.run()
        except* (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        finally:
            self._open.discard(connection)
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

    def cut(self) -> None:
        """Cut every connection without a word."""
        for connection in list(self._open):
            connection.scope.cancel()
