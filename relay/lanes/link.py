"""A link: one connection of a lane, kept alive for as long as the relay runs.

    connect ─▶ pump: take from the lane, last look, write ─▶ answers to the lane ─▶ ended: what had no answer goes back
       ▲                                                                                │
       └──────────── back-off with jitter, one connect in progress per lane ◀───────────┘

One write is whole requests of at most 16,384 bytes and has one look at the gate; a write that is not finished ten
seconds after that look aborts the connection, so a wakeup cannot leave long after it was allowed to. A link that is
retired (GOAWAY, an answer that says so, drain) opens nothing more, waits for the answers it is owed, and closes.
"""

from __future__ import annotations

import ssl
from collections import deque
from collections.abc import Awaitable, Callable
from random import Random
from typing import Final

import structlog
import trio

from relay.core.fanout import depart, left
from relay.core.flight import Flight
from relay.core.seal import SealBroken
from relay.lanes.lane import Lane
from relay.wire import ConnectionLost, Connection, OriginTrust, Received, Request, Template, Transport

GATE_TO_SOCKET: Final = 10.0
"""Seconds from the last look to the end of the write."""
ANSWER: Final = 30.0
"""Seconds to wait for an answer; then its outcome is unknown."""
CONNECT: Final = 15.0
"""Seconds for name lookup, TCP and TLS together."""
FIRST_WAIT: Final = 1.0
LONGEST_WAIT: Final = 60.0
"""Back-off between attempts to connect, in seconds."""
WRITE: Final = 110
"""Requests taken for one write: more than fit into 16,384 bytes are put back."""
FEW_OVERDUE: Final = 10
"""Overdue requests that are cancelled one by one; more, and the connection is dropped."""

log = structlog.get_logger()
Connect = Callable[[str, int], Awaitable[trio.abc.Stream]]
OpenToken = Callable[[Flight], str]
"""Opens the sealed token of a flight's device; raises SealBroken."""


class Link:
    """Runs connections of one lane, one after the other."""

    def __init__(
        self, lane: Lane, connect: Connect, open_token: OpenToken, trust: OriginTrust, turn: trio.Lock, rng: Random
    ) -> None:
        self._lane = lane
        self._connect = connect
        self._open_token = open_token
        self._trust = trust
        self._turn = turn
        """One connect in progress per lane."""
        self._rng = rng
        self._wait = 0.0

    async def run(self) -> None:
        """Connect, carry, connect again; return when the lane drains."""
        while not self._lane.draining:
            stream = await self._open()
            if stream is None:
                continue
            session = _Session(self._lane, stream, self._open_token, self._trust)
            await session.run()
            if session.was_useful:
                self._wait = 0.0

    async def _open(self) -> trio.abc.Stream | None:
        async with self._turn:
            await self._back_off()
            if self._lane.draining:
                return None
            provider = self._lane.provider
            try:
                with trio.fail_after(CONNECT):
                    return await self._connect(provider.host, provider.port)
            except (OSError, ssl.SSLError, trio.BrokenResourceError, trio.TooSlowError, ConnectionLost) as error:
                log.warning("connect_failed", app=self._lane.app, error=type(error).__name__)
                return None

    async def _back_off(self) -> None:
        wait, self._wait = self._wait, min(max(self._wait * 2, FIRST_WAIT), LONGEST_WAIT)
        if wait:
            with trio.move_on_after(wait * (0.5 + self._rng.random() / 2)):
                await self._lane.drain_began.wait()


class _Session:
    """One connection, from the handshake to its end."""

    def __init__(self, lane: Lane, stream: trio.abc.Stream, open_token: OpenToken, trust: OriginTrust) -> None:
        self._lane = lane
        self._open_token = open_token
        self._connection = Connection(lane.provider.template(), trust=trust)
        self._transport = Transport(stream, self._connection)
        self._retired = ""
        """Why no new request may be opened; empty while it may."""
        self._changed = trio.Event()
        self._writes: deque[tuple[float, list[Flight]]] = deque()
        """(deadline, wakeups) of writes whose answers are not all in, oldest first."""
        self._answered: set[Flight] = set()
        self.was_useful = False

    async def run(self) -> None:
        lane = self._lane
        lane.connections += 1
        reason = "connection_lost"
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._pump)
                nursery.start_soon(self._watch)
                try:
                    await self._transport.run(self._received)
                except ConnectionLost as error:
                    reason = error.reason
                nursery.cancel_scope.cancel()
        finally:
            lane.connections -= 1
            flights = self._connection.lost()
            lane.in_flight -= len(flights)
            lane.lost([f for f in flights if isinstance(f, Flight)], reason)
            await self._transport.aclose()
'''
'''
