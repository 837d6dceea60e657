"""A link: one place of a lane's pool, holding one connection after the other for as long as the relay runs.

    connect ─▶ session: take from the lane, last look, write; answers to the lane ─▶ ended: what is unanswered goes back
       ▲                                                                               │
       └────────────── back-off with jitter, one connect in progress per lane ◀────────┘

One write is whole requests of at most 16,384 bytes with one look at the gate; a write that is not finished ten seconds
after that look drops the connection, so a wakeup cannot leave long after it was allowed to. A session that is retired
(GOAWAY, an answer that says so, drain) opens nothing more, waits for the answers it is owed while the link already
opens the next one, and closes.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from random import Random
from typing import Final

import structlog
import trio

from relay.core.fanout import depart, left
from relay.core.flight import Flight
from relay.core.seal import SealBroken
from relay.lanes.lane import Lane
from relay.wire import Connection, ConnectionLost, OriginTrust, Received, Request, Transport

GATE_TO_SOCKET: Final = 10.0
"""Seconds from the last look to the end of the write."""
ANSWER: Final = 30.0
"""Seconds to wait for an answer; then its outcome is unknown."""
CONNECT: Final = 15.0
"""Seconds for name lookup, TCP and TLS together."""
FIRST_WAIT: Final = 1.0
LONGEST_WAIT: Final = 60.0
"""Back-off between attempts to connect, in seconds."""
PER_WRITE: Final = 48
"""Requests looked at for one write; about as many fit into 16,384 bytes."""
SETTINGS: Final = 10.0
"""Seconds for the provider's first SETTINGS; without them nothing may be sent (rule 9)."""
STARVED: Final = 1.0
"""Seconds without window and without anything in flight, after which a connection is replaced (rule 17)."""
FEW: Final = 10
"""Overdue requests that are cancelled one by one; when there are more, the connection is dropped."""

log = structlog.get_logger()
Connect = Callable[[str, int], Awaitable[trio.abc.Stream]]
OpenToken = Callable[[Flight], str]
"""Opens the sealed token of a flight's device; raises SealBroken."""


class Link:
    """Keeps one connection of a lane open."""

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

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Connect, carry, connect again; return when the lane drains and all answers are in."""
        task_status.started()
        async with trio.open_nursery() as nursery:
            while not self._lane.draining.is_set():
                stream = await self._open()
                if stream is None:
                    continue
                session = _Session(self._lane, stream, self._open_token, self._trust)
                nursery.start_soon(session.run)
                await session.retired.wait()
                if session.was_useful:
                    self._wait = 0.0

    async def _open(self) -> trio.abc.Stream | None:
        async with self._turn:
            await self._back_off()
            if self._lane.draining.is_set():
                return None
            provider = self._lane.provider
            reason = "timeout"
            try:
                with trio.move_on_after(CONNECT):
                    return await self._connect(provider.host, provider.port)
            except OSError as error:
                reason = type(error).__name__
            except ConnectionLost as error:
                reason = error.reason
            log.warning("connect_failed", app=self._lane.app, reason=reason)
            return None

    async def _back_off(self) -> None:
        """Wait before an attempt: not at all after a connection that worked, else 1 s to 60 s."""
        wait, self._wait = self._wait, min(max(self._wait * 2, FIRST_WAIT), LONGEST_WAIT)
        if wait:
            with trio.move_on_after(wait * (0.5 + self._rng.random() / 2)):
                await self._lane.draining.wait()


class _Session:
    """One connection, from its first bytes to its end."""

    def __init__(self, lane: Lane, stream: trio.abc.Stream, open_token: OpenToken, trust: OriginTrust) -> None:
        self._lane = lane
        self._open_token = open_token
        self._connection = Connection(lane.provider.template(), trust=trust)
        self._transport = Transport(stream, self._connection)
        self._changed = trio.Event()
        self._flying = trio.Event()
        self.retired = trio.Event()
        """Set when nothing new may be opened here."""
        self.was_useful = False
        self._heard_at = trio.current_time()
        self._reason = "connection_lost"

    @property
    def in_flight(self) -> int:
        return self._connection.open_streams

    def nudge(self) -> None:
        self._changed.set()

    def retire(self, reason: str) -> None:
        """Open nothing more; end when the answers are in."""
        self._reason = reason
        self.retired.set()
        self._changed.set()

    async def run(self) -> None:
        """Carry wakeups until retired or lost. What has no answer then is told to the lane as lost."""
        self._lane.sessions.add(self)
        try:
            async with trio.open_nursery() as nursery:
                for part in (self._read, self._pump, self._watch):
                    nursery.start_soon(self._until_lost, part, nursery.cancel_scope)
        finally:
            self._lane.sessions.discard(self)
            self.retired.set()
            flights = _flights(self._connection.lost())
            self._lane.lost(flights, self._reason)
            await self._transport.aclose()

    async def _until_lost(self, part: Callable[[], Awaitable[None]], scope: trio.CancelScope) -> None:
        """The first part that returns, or loses the connection, ends the others."""
        try:
            await part()
        except ConnectionLost as error:
            self._reason = error.reason
            log.info("connection_ended", app=self._lane.app, reason=error.reason)
        scope.cancel()

    async def _read(self) -> None:
        await self._transport.run(self._received)

    def _received(self, news: Received) -> None:
        self._heard_at = trio.current_time()
        self._judge(news)
        self._changed.set()

    def _judge(self, news: Received) -> None:
        """Hand what was learned to the lane."""
        lane = self._lane
        if news.accepted:
            self.was_useful = True
            lane.accepted(news.accepted)  # type: ignore[arg-type]  # tags are flights: only this session sends here
        if news.answers:
            lane.answered(news.answers, self.retire)
        if news.unprocessed:
            lane.again(_flights(news.unprocessed))
        for tag, reason in news.unknown:
            lane.lost(_flights([tag]), reason)
        if news.goaway is not None:
            log.info("goaway_received", app=lane.app, code=news.goaway.code)
            self.retire("goaway")

    async def _pump(self) -> None:
        """Write what the lane has and the connection has room for; return when retired and nothing is in flight."""
        lane, connection = self._lane, self._connection
        await self._settings()
        while not (self.retired.is_set() or lane.draining.is_set()):
            room = min(connection.room(), PER_WRITE)
            flights = lane.take(room) if room else []
            if flights:
                await self._write(flights)
                continue
            is_stuck = connection.is_starved and not connection.open_streams
            if not await self._change_within(STARVED if is_stuck else lane.pause()) and is_stuck:
                self.retire("starved")
            lane.judge_suspects()
        self.retired.set()
        with trio.move_on_after(ANSWER):
            while connection.open_streams:
                self._changed = trio.Event()
                await self._changed.wait()

    async def _settings(self) -> None:
        with trio.move_on_after(SETTINGS):
            while not (self._connection.is_ready or self._lane.draining.is_set()):
                self._changed = trio.Event()
                await self._changed.wait()
            return
        raise ConnectionLost("no_settings")

    async def _change_within(self, seconds: float) -> bool:
        """Wait until something changes; False when nothing has."""
        self._changed = trio.Event()
        with trio.move_on_after(seconds):
            await self._changed.wait()
            return True
        return False

    async def _write(self, flights: list[Flight]) -> None:
        staying = flights
        now = 0.0

        def compose() -> list[Request]:
            nonlocal staying, now
            now = self._lane.clock.now()
            requests = self._last_look(flights, now)
            staying = _flights(request.tag for request in requests)
            return requests

        def leaving(count: int) -> None:
            nonlocal staying
            gone, staying = staying[:count], staying[count:]
            sent_at = trio.current_time()
            for flight in gone:
                flight.sent_at = sent_at
                left(flight, now)
            self._flying.set()

        with trio.move_on_after(GATE_TO_SOCKET) as scope:
            try:
                await self._transport.write(compose, leaving)
            finally:
                self._lane.again(staying)
        if scope.cancelled_caught:
            raise ConnectionLost("write_stalled")

    def _last_look(self, flights: list[Flight], now: float) -> list[Request]:
        """Requests for those that may leave; the others go back. Nothing may come between this and the bytes."""
        lane = self._lane
        requests: list[Request] = []
        refused: list[Flight] = []
        unreadable: list[Flight] = []
        for flight in flights:
            if not depart(flight, now, lane.tables(flight.person, now)):
                refused.append(flight)
                continue
            try:
                token = self._open_token(flight)
            except SealBroken:
                unreadable.append(flight)
                continue
            requests.append(lane.provider.request(flight, token, now))
        if refused:
            lane.refuse(refused)
        lane.unreadable(unreadable)
        return requests

    async def _watch(self) -> None:
        """Give up on answers that do not come."""
        while True:
            oldest = _flights(self._connection.oldest())
            if not oldest:
                self._flying = trio.Event()
                await self._flying.wait()
                continue
            await trio.sleep_until(min(flight.sent_at for flight in oldest) + ANSWER)
            await self._give_up_overdue(trio.current_time() - ANSWER)

    async def _give_up_overdue(self, sent_before: float) -> None:
        overdue = [f for f in _flights(self._connection.waiting()) if f.sent_at <= sent_before]
        if not overdue:
            return
        if self._heard_at <= sent_before:
            raise ConnectionLost("silent")
        news = self._connection.cancel(overdue) if len(overdue) <= FEW else None
        if news is None:
            raise ConnectionLost("no_answers")
        self._judge(news)
        await self._transport.flush()


def _flights(tags: Iterable[object]) -> list[Flight]:
    """Tags are opaque to the wire; all of ours are flights."""
    return [tag for tag in tags if isinstance(tag, Flight)]
