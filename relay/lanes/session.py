"""A session: one connection, from its first bytes to its end.

Three tasks share it, and the first that ends takes the others along: one reads, one writes what the lane has (`_pump`),
one watches the time (`_watch`). One write is up to four records of whole requests with one look at the gate; a write
that is not finished ten seconds after that look drops the connection, so a wakeup cannot leave long after it was
allowed to. If the process was stopped between that look and the write, so that ten seconds are over or the store is
another node's by now, the write does not begin: its requests cannot be taken back, so that too drops the connection. A
session that is retired (GOAWAY, an answer that says so, drain) opens nothing more, waits for the answers it is owed
while its link already opens the next one, and closes.

A connection can die without a word, and at night nobody would notice until an alarm goes out on it. So an idle one is
pinged every ten minutes, and the first write after a minute of silence is accompanied by a PING: ten seconds without
any byte then are enough, where an answer of the provider may take thirty.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Final

import structlog
import trio

from relay.core.fanout import depart, left, table_for
from relay.core.flight import Flight
from relay.core.seal import SealBroken
from relay.lanes.lane import Lane
from relay.wire import Connection, ConnectionLost, OriginTrust, Received, Request, Transport

GATE_TO_SOCKET: Final = 10.0
"""Seconds from the last look to the end of the write."""
ANSWER: Final = 30.0
"""Seconds to wait for an answer; then its outcome is unknown."""
PER_WRITE: Final = 256
"""Most requests looked at for one write; a session learns how many fit into its records (wire/transport.py)."""
SETTINGS: Final = 10.0
"""Seconds for the provider's first SETTINGS; without them nothing may be sent (rule 9)."""
STARVED: Final = 1.0
"""Seconds without window and without anything in flight, after which a connection is replaced (rule 17)."""
FEW: Final = 10
"""Overdue requests that are cancelled one by one; when there are more, the connection is dropped."""
CROWD: Final = 50
"""Requests in flight from which on an alarm does not stand behind them."""
RESERVED: Final = 20
"""One of so many streams is for alarms only."""
CEILING: Final = 1_000
"""Streams a session starts with, the peer's limit aside; halved when the peer refuses some."""
IDLE: Final = 600.0
"""Seconds of silence after which an idle connection is pinged."""
QUIET: Final = 60.0
"""Seconds of silence after which a write is accompanied by a PING (rule 18: never more often than every 15 s)."""
PONG: Final = 10.0
"""Seconds for the answer to a PING; any byte counts."""
RENEWALS_APART: Final = 1200.0
"""Seconds in which a connection may take one new credential (Apple, "Establishing a token-based connection")."""
_PING: Final = b"feierabd"

log = structlog.get_logger()
OpenToken = Callable[[Flight], str]
"""Opens the sealed token of a flight's device; raises SealBroken."""


class Session:
    """Carries the lane's wakeups over one connection."""

    def __init__(
        self,
        lane: Lane,
        stream: trio.abc.Stream,
        open_token: OpenToken,
        trust: OriginTrust,
        *,
        for_alarms: bool = False,
    ) -> None:
        """`for_alarms`: kept for alarms that would stand behind many, as long as the lane has another connection."""
        self._lane = lane
        self.is_for_alarms = for_alarms
        self.provider = lane.provider
        """As it was when the connection was opened: one connection carries the credentials of one key only (S8)."""
        self._open_token = open_token
        self._stream = stream
        self._connection = Connection(self.provider.template(), trust=trust)
        self._transport = Transport(stream, self._connection)
        self._changed = trio.Event()
        self._flying = trio.Event()
        """Set when the next look is due earlier than was thought."""
        self._looks_at = float("inf")
        self.retired = trio.Event()
        """Set when nothing new may be opened here."""
        self.worn = trio.Event()
        """Set when another connection should take its place: retired, or of a key that was replaced."""
        self.ready = trio.Event()
        """Set when requests may be opened, or never will be."""
        self.ended = trio.Event()
        self.was_useful = False
        self.was_lost = False
        """It ended otherwise than by agreement."""
        self._fitting = PER_WRITE
        self._ceiling = CEILING
        self._starved_at = float("inf")
        self._heard_at = trio.current_time()
        self._pinged_at: float | None = None
        """When the PING was sent after which nothing was heard yet."""
        self._credential = b""
        self._renewed_at = float("-inf")
        """When this connection last took a credential other than its first, by the lane's clock."""
        self._reason = "connection_lost"

    @property
    def in_flight(self) -> int:
        return self._connection.open_streams

    def nudge(self) -> None:
        self._changed.set()

    def retire(self, reason: str) -> None:
        """Open nothing more; end when the answers are in."""
        self._reason = reason
        self._retired()
        self._changed.set()

    def wear(self) -> None:
        """Ask for another connection to take the place of this one; until it is there, go on."""
        self.worn.set()

    def _retired(self) -> None:
        self.retired.set()
        self.worn.set()
        self.ready.set()

    async def run(self) -> None:
        """Carry wakeups until retired or lost. What has no answer then is told to the lane as lost."""
        self._lane.sessions.add(self)
        if self.provider is not self._lane.provider:
            self.wear()  # the key was replaced before this task began
        try:
            async with trio.open_nursery() as nursery:
                for part in (self._read, self._pump, self._watch):
                    nursery.start_soon(self._until_lost, part, nursery.cancel_scope)
        finally:
            self._lane.sessions.discard(self)
            self._retired()
            self._judge(self._connection.cut())
            self._lane.lost(_flights(self._connection.lost()), self._reason)
            if trio.current_effective_deadline() == float("-inf"):
                await trio.aclose_forcefully(self._stream)  # cancelled: no time for a goodbye
            else:
                await self._transport.aclose()
            self.ended.set()

    async def _until_lost(self, part: Callable[[], Awaitable[None]], scope: trio.CancelScope) -> None:
        """The first part that returns, or loses the connection, ends the others."""
        try:
            await part()
        except ConnectionLost as error:
            self._reason = error.reason
            self.was_lost = not self.retired.is_set()
            log.info("connection_ended", app=self._lane.app, reason=error.reason)
        scope.cancel()

    # --- in

    async def _read(self) -> None:
        await self._transport.run(self._received)

    def _received(self, news: Received) -> None:
        self._heard_at = trio.current_time()
        self._pinged_at = None
        self._judge(news)
        self._changed.set()

    def _judge(self, news: Received) -> None:
        """Hand what was learned to the lane."""
        lane = self._lane
        if news.accepted:
            self.was_useful = True
            first = news.accepted[0]
            if isinstance(first, Flight):
                lane.answered_after(self._heard_at - first.sent_at)
            self._ceiling = min(CEILING, self._ceiling + len(news.accepted))
            lane.accepted(news.accepted)  # type: ignore[arg-type]  # tags are flights: only this session sends here
        if news.answers:
            lane.answered(news.answers, self.retire, self.provider)
        if news.unprocessed:
            if news.goaway is None:
                self._refused(len(news.unprocessed))
            lane.again(_flights(news.unprocessed))
        for tag, reason in news.unknown:
            lane.lost(_flights([tag]), reason)
        if news.goaway is not None:
            log.info("goaway_received", app=lane.app, code=news.goaway.code)
            self.retire("goaway")

    def _refused(self, count: int) -> None:
        """The peer takes fewer streams than it announces: half as many; and none at all is no connection."""
        if self._ceiling == 1 and not self.in_flight:
            self.retire("refused")
        self._ceiling = max(1, (self.in_flight + count) // 2)

    # --- out

    async def _pump(self) -> None:
        """Write what the lane has and the connection has room for; return when retired and nothing is in flight."""
        lane, connection = self._lane, self._connection
        await self._settings()
        while not (self.retired.is_set() or lane.draining.is_set()):
            if lane.available() and not self._may_authorise(lane.clock.now()):
                self.retire("renewed_twice")
                break
            flights = self._take()
            if flights:
                await self._write(flights)
                if self.is_for_alarms and lane.has_alarms and not self.is_open_for_alarms:
                    lane.nudge()  # the others left them to us, and we have no room for all
                continue
            await self._idle(has_room=self._room() > 0)
            lane.judge_suspects()
        self._retired()
        with trio.move_on_after(ANSWER):
            while connection.open_streams:
                self._changed = trio.Event()
                await self._changed.wait()

    def _take(self) -> list[Flight]:
        """What goes into the next write, alarms first.

        Alarms go where they stand behind few: with the others, or over the connection that is kept for them while all
        others are crowded. That one was idle, perhaps for long, so it is not the first choice; and when it is alone it
        carries everything.
        """
        lane, free = self._lane, self._free()
        others = [session for session in lane.sessions if not session.is_for_alarms]
        is_crowded = all(session.in_flight >= CROWD for session in others)
        flights: list[Flight] = []
        if is_crowded == self.is_for_alarms or not lane.is_open_for_alarms:
            flights = lane.take(min(free, self._fitting), others=False)
        room = min(self._room(), self._fitting) - len(flights)
        if room > 0 and not (self.is_for_alarms and others):
            flights += lane.take(room, alarms=False)
        return flights

    def _free(self) -> int:
        """How many streams may be opened."""
        return min(self._connection.room(), self._ceiling - self.in_flight)

    def _room(self) -> int:
        """How many of them for others than alarms: the last ones are kept for those."""
        free = self._free()
        return free - (self.in_flight + free) // RESERVED

    @property
    def streams(self) -> int:
        return self.in_flight + max(0, self._free())

    @property
    def is_open_for_alarms(self) -> bool:
        return self.is_for_alarms and not self.retired.is_set() and self._free() > 0

    def _may_authorise(self, now: float) -> bool:
        """Take the current credential; False when it would be the second new one within twenty minutes here.

        A connection that slept through a renewal comes late to it, and soon after comes the next.
        """
        credential = self.provider.credential(now)
        if credential != self._credential:
            if now < self._renewed_at + RENEWALS_APART:
                return False
            if self._credential:
                self._renewed_at = now
            self._credential = credential
        return True

    async def _settings(self) -> None:
        with trio.move_on_after(SETTINGS):
            while not (self._connection.is_ready or self._lane.draining.is_set()):
                self._changed = trio.Event()
                await self._changed.wait()
            self.ready.set()
            return
        raise ConnectionLost("no_settings")

    async def _idle(self, *, has_room: bool) -> None:
        """Wait until something changes or is due; retire when there is no window and nobody who could give it back."""
        now = trio.current_time()
        until = now + self._lane.pause(has_room=has_room)
        if self._connection.is_starved and not self.in_flight:
            self._starved_at = min(self._starved_at, now)
            until = self._starved_at + STARVED
            if until <= now:
                self.retire("starved")
                return
        else:
            self._starved_at = float("inf")
        self._changed = trio.Event()
        with trio.move_on_at(until):
            await self._changed.wait()

    async def _write(self, flights: list[Flight]) -> None:
        staying = flights
        are_alarms = True
        now = looked_at = 0.0

        def compose() -> list[Request]:
            nonlocal staying, now, looked_at
            now, looked_at = self._lane.clock.now(), trio.current_time()
            staying, requests = self._last_look(flights, now)
            return requests

        def leaving(count: int) -> None:
            nonlocal staying, are_alarms
            gone, staying = staying[:count], staying[count:]
            sent_at = trio.current_time()
            for flight in gone:
                flight.sent_at = sent_at
                left(flight, now)
            are_alarms = all(flight.is_alarm for flight in gone)
            self._lane.left(gone, now)
            if self._looks_at > sent_at + ANSWER:
                self._flying.set()

        def may_leave() -> bool:
            """The process was not stopped meanwhile, or not for so long that it matters."""
            return trio.current_time() < looked_at + GATE_TO_SOCKET and (are_alarms or self._lane.holds())

        if trio.current_time() - self._heard_at >= QUIET:
            self._ping()
        with trio.move_on_after(GATE_TO_SOCKET) as scope:
            try:
                count = await self._transport.write(compose, leaving, may_leave)
                if count:
                    self._fitting = count + 1 if staying else min(PER_WRITE, max(self._fitting, count + 1))
            finally:
                self._lane.again(staying)
        if scope.cancelled_caught:
            raise ConnectionLost("write_stalled")

    def _last_look(self, flights: list[Flight], now: float) -> tuple[list[Flight], list[Request]]:
        """Those that may leave, and their requests; the others go back. Nothing may come between this and the bytes."""
        lane, open_token, request = self._lane, self._open_token, self.provider.request
        tables = lane.tables
        leaving: list[Flight] = []
        requests: list[Request] = []
        refused: list[Flight] = []
        unreadable: list[Flight] = []
        only_alarms = not lane.holds()
        if only_alarms:
            lane.again([flight for flight in flights if not flight.urgent])
            flights = [flight for flight in flights if flight.urgent]
        for flight in flights:
            person = flight.person
            leaves = depart(flight, now, None if person.rest is None else table_for(person, now, tables))
            if not leaves or (only_alarms and not flight.is_alarm):  # an alarm that waited for too long is none
                refused.append(flight)
                continue
            try:
                token = open_token(flight)
            except SealBroken:
                unreadable.append(flight)
                continue
            leaving.append(flight)
            requests.append(request(flight, token, now))
        if refused:
            lane.refuse(refused)
        lane.unreadable(unreadable)
        return leaving, requests

    # --- time

    async def _watch(self) -> None:
        """Give up on answers that do not come, and on a connection that says nothing when it is spoken to."""
        while True:
            self._flying = trio.Event()
            self._looks_at = self._look_at()
            with trio.move_on_at(self._looks_at) as scope:
                await self._flying.wait()
            if scope.cancelled_caught:
                await self._look(trio.current_time())

    def _look_at(self) -> float:
        if self._pinged_at is not None:
            return self._pinged_at + PONG
        oldest = _flights(self._connection.oldest())
        if oldest:
            return min(flight.sent_at for flight in oldest) + ANSWER
        return self._heard_at + IDLE

    async def _look(self, now: float) -> None:
        if self._pinged_at is not None and self._pinged_at + PONG <= now:
            raise ConnectionLost("no_pong")
        overdue = [f for f in _flights(self._connection.waiting()) if f.sent_at + ANSWER <= now]
        if overdue:
            await self._give_up(overdue, now)
        elif not self.in_flight and self._heard_at + IDLE <= now:
            self._ping()
            await self._flush()

    async def _give_up(self, overdue: list[Flight], now: float) -> None:
        if self._heard_at + ANSWER <= now:
            raise ConnectionLost("silent")
        news = self._connection.cancel(overdue) if len(overdue) <= FEW else None
        if news is None:
            raise ConnectionLost("no_answers")
        self._judge(news)
        await self._flush()

    async def _flush(self) -> None:
        with trio.move_on_after(PONG):
            await self._transport.flush()
            return
        raise ConnectionLost("write_stalled")

    def _ping(self) -> None:
        """Queue a PING, unless one is under way."""
        if self._pinged_at is None:
            self._pinged_at = trio.current_time()
            self._connection.ping(_PING)
            self._flying.set()


def _flights(tags: Iterable[object]) -> list[Flight]:
    """Tags are opaque to the wire; all of ours are flights."""
    return [tag for tag in tags if isinstance(tag, Flight)]
