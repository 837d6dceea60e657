"""The stream door: events in without an answer to each, acknowledged by number once they are durable.

Theory of operation. A stream has two tasks. One reads: what has arrived is cut into messages and gathered into a group
(stream_intake.py). The other hands the group to the journal, waits for the commit, answers with one write, and takes
the group that has come together meanwhile. So a group is what arrived during the last commit, as a batch of the journal
is: at low load one message and its own fsync, at high load thousands of events for each. Nothing is done per event but
reading it; a message with an Idempotency-Key has a task until its commit, for alarms overtake.

Law: what is acknowledged is committed. What cannot be taken now, for the room before the commit is full or the store
is away, is kept and tried again, and meanwhile nothing is read: TCP holds the backend back. Bytes that make no sense
end the stream, after what came before them has been acknowledged.

Fairness: of each tenant one group stands before the commit at a time, of all together two. The streams of one tenant
take turns, and tenants do; so however many streams there are, more than half of the waiting room is for requests.

Bounded by: streams (`connections`); people and recipients of a group, and one message more, of which a stream has one
at the journal and one that is gathered; messages with keys under way (`KEYED`); 4 MiB of a message that is not
complete; what the kernel keeps of answers that nobody reads. Whoever does not take an answer for half a minute is
disconnected.

Rejected: an answer for each message (a write each, where the client needs to know how far it is durable); HTTP/2 or
WebSocket around the messages (frames within frames); refusing when there is too much (the backend would have to keep
and repeat what TCP keeps in order for nothing).
"""

from __future__ import annotations

import socket
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Final

import trio

from relay.core.errors import IdempotencyMismatch, Overloaded, Unavailable
from relay.core.events import Accepted, Event
from relay.core.records import Records
from relay.core.tenants import Tenant
from relay.doors import stream_words as words
from relay.doors.http1 import Response, Started
from relay.doors.keys import ApiKey, Keys, Scope
from relay.doors.port import Engine
from relay.doors.problems import problem
from relay.doors.reading import MOST_RECIPIENTS
from relay.doors.sockets import CallersSocket
from relay.doors.stream_intake import RECIPIENTS, Intake, Keyed
from relay.doors.stream_words import Broken, Frames

READ: Final = 65_536
"""Bytes of one look at the socket: some 5,000 events, 5 ms of reading them."""
HELLO_SECONDS: Final = 10.0
ANSWER_SECONDS: Final = 30.0
"""For the client to take an answer."""
LINGER: Final = 1.0
"""Seconds for a client to take the last word before the connection ends."""
AGAIN: Final = 1.0
"""Seconds after which what could not be taken is tried again, at most."""
KEYED: Final = 256
"""Messages with keys of one stream that may wait for their commit."""
GROUPS: Final = 2
"""Groups of all streams that may stand before the commit: one is being written, and the next one is there."""
CONNECTIONS: Final = 32
_KEEPALIVE: Final = ((socket.TCP_KEEPIDLE, 60), (socket.TCP_KEEPINTVL, 15), (socket.TCP_KEEPCNT, 4))
"""Seconds of silence, between questions, and how many of these: a backend that vanished gives up its place."""


class StreamDoor:
    """Serves streams. `failed` is told of what should not happen, and must not raise."""

    def __init__(
        self,
        keys: Keys,
        engine: Engine,
        records: Callable[[Tenant], Records],
        now: Callable[[], float],
        failed: Callable[[BaseException], None],
        connections: int = CONNECTIONS,
    ) -> None:
        self.keys = keys
        self.engine = engine
        self.records = records
        self.now = now
        self.failed = failed
        self._most = connections
        self._open: set[_Stream] = set()
        self._accepting: set[trio.CancelScope] = set()
        self.is_draining = False
        self._turns: defaultdict[str, trio.Lock] = defaultdict(trio.Lock)
        self._room = trio.Semaphore(GROUPS)

    @property
    def connections(self) -> int:
        return len(self._open)

    async def run(
        self,
        listeners: Sequence[trio.abc.Listener[trio.abc.Stream]],
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Serve until drained, and the last stream of these listeners has ended. May run several times at once."""
        async with trio.open_nursery() as streams:
            with trio.CancelScope() as accepting:
                self._accepting.add(accepting)
                if self.is_draining:
                    accepting.cancel()
                await trio.serve_listeners(
                    self._serve, [*listeners], handler_nursery=streams, task_status=Started(task_status)
                )
            self._accepting.discard(accepting)

    def drain(self) -> None:
        """Accept and read nothing more; acknowledge what was taken, and end."""
        self.is_draining = True
        for accepting in self._accepting:
            accepting.cancel()
        for stream in self._open:
            stream.drain()

    async def take(self, tenant: Tenant, events: list[Event]) -> Accepted:
        """Commit a group when it is this tenant's turn. Raises Overloaded, Unavailable."""
        async with self._turns[tenant.name], self._room:
            return await self.engine.accept(tenant, events, None)

    async def _serve(self, transport: trio.abc.Stream) -> None:
        """The process boundary of one stream: the others go on."""
        try:
            await self._converse(transport)
        except* (trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # the client went away
        except* Exception as group:
            self.failed(_first(group))
        finally:
            await trio.aclose_forcefully(transport)

    async def _converse(self, transport: trio.abc.Stream) -> None:
        line = _Line(transport)
        if len(self._open) >= self._most or self.is_draining:
            return await line.part(problem("unavailable", "too many streams are open"))
        stream = _Stream(line, self)
        self._open.add(stream)
        try:
            await stream.run()
        finally:
            self._open.discard(stream)


class _Line:
    """What is written to one client, a piece at a time."""

    def __init__(self, transport: trio.abc.Stream) -> None:
        self._transport = transport
        self._writing = trio.Lock()
        if isinstance(transport, CallersSocket):  # over TCP
            transport.socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            for option, value in _KEEPALIVE:
                transport.socket.setsockopt(socket.IPPROTO_TCP, option, value)

    async def receive(self) -> bytes:
        return bytes(await self._transport.receive_some(READ))

    async def say(self, data: bytes) -> None:
        """Raises trio.BrokenResourceError for a client that does not read."""
        async with self._writing:
            with trio.move_on_after(ANSWER_SECONDS):
                await self._transport.send_all(data)
                return
        raise trio.BrokenResourceError("the client does not read")

    async def part(self, last: Response | None) -> None:
        """Say the last word and end. What the client still sends is read for a moment, or a reset would eat it."""
        if last is not None:
            await self.say(words.refused(last))
        if isinstance(self._transport, trio.abc.HalfCloseableStream):
            await self._transport.send_eof()
        with trio.move_on_after(LINGER):
            while await self.receive():
                pass


class _Stream:
    """One client. `run` returns when everything that was taken is acknowledged, and no more will be."""

    def __init__(self, line: _Line, door: StreamDoor) -> None:
        self._line = line
        self._door = door
        self._frames = Frames(words.LONGEST_HELLO)
        self._reading = trio.CancelScope()
        self._arrived = trio.Event()
        """There is something to commit, or nothing will be any more."""
        self._space = trio.Event()
        """A group was handed over, or a message with a key is committed: it is worth looking whether there is room."""
        self._settled = trio.Event()
        """A message with a key is committed."""
        self._keyed = 0
        self._over = False
        self._said_wait = False
        self._last: Response | None = None
        """What ends the stream."""

    def drain(self) -> None:
        self._reading.cancel()

    async def run(self) -> None:
        try:
            key = await self._greeted()
        except Broken as broken:
            return await self._line.part(broken.problem)
        if key is not None:
            await self._take(key)
            await self._line.part(self._last)

    # --- hello

    async def _greeted(self) -> ApiKey | None:
        """Whose stream it is; None when the client has gone. Raises Broken."""
        data: bytes | None = None
        with self._reading, trio.move_on_after(HELLO_SECONDS) as deadline:
            while (data := self._frames.next()) is None:
                received = await self._line.receive()
                if not received:
                    return None
                self._frames.feed(received)
        if data is None:
            if deadline.cancelled_caught:
                raise Broken(problem("malformed", f"no hello for {HELLO_SECONDS:.0f} seconds"))
            return None
        key = self._door.keys.find(b"Bearer " + words.read_hello(data).encode())
        if key is None:
            raise Broken(problem("unauthorized"))
        if Scope.EVENTS not in key.scopes:
            raise Broken(problem("forbidden", f"this needs the scope {Scope.EVENTS}"))
        self._frames.most = words.LONGEST_MESSAGE
        self._reading = trio.CancelScope()  # each is good for one block
        await self._line.say(words.welcome(MOST_RECIPIENTS, 2 * RECIPIENTS))
        return key

    # --- events

    async def _take(self, key: ApiKey) -> None:
        intake = Intake(key, self._door.records(key.tenant), self._door.now)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._read, intake, key.tenant, nursery)
            await self._acknowledge(intake, key.tenant)

    async def _read(self, intake: Intake, tenant: Tenant, nursery: trio.Nursery) -> None:
        try:
            with self._reading:
                if self._door.is_draining:
                    return
                await self._gather(intake, tenant, nursery)
        except Broken as broken:
            self._last = broken.problem
        finally:
            self._over = True
            self._arrived.set()

    async def _gather(self, intake: Intake, tenant: Tenant, nursery: trio.Nursery) -> None:
        """Return at the end of the client's messages. Raises Broken."""
        while True:
            while (data := self._frames.next()) is not None:
                while intake.group.is_full or self._keyed >= KEYED:
                    self._space = trio.Event()
                    await self._space.wait()
                keyed = intake.take(data)
                if keyed is not None:
                    self._keyed += 1
                    nursery.start_soon(self._commit_keyed, keyed, tenant)
                self._arrived.set()
            received = await self._line.receive()
            if not received:
                return
            self._frames.feed(received)

    async def _acknowledge(self, intake: Intake, tenant: Tenant) -> None:
        while True:
            if not intake.group.messages:
                if self._over:
                    return
                self._arrived = trio.Event()
                await self._arrived.wait()
                continue
            group = intake.hand_over()
            self._space.set()
            if events := intake.events_of(group):
                group.credit(await self._until_taken(partial(self._door.take, tenant, events)))
            while group.keyed:
                self._settled = trio.Event()
                await self._settled.wait()
            await self._line.say(group.answer.packed())
            self._said_wait = False

    async def _commit_keyed(self, keyed: Keyed, tenant: Tenant) -> None:
        engine = self._door.engine
        try:
            keyed.taken(await self._until_taken(partial(engine.accept, tenant, keyed.events, keyed.request)))
        except IdempotencyMismatch as error:
            keyed.refused(error)
        self._keyed -= 1
        self._space.set()
        self._settled.set()

    async def _until_taken(self, take: Callable[[], Awaitable[Accepted]]) -> Accepted:
        """Try until there is room and the store is there; the client is told once that it takes a while."""
        while True:
            try:
                return await take()
            except (Overloaded, Unavailable) as error:
                if not self._said_wait:
                    self._said_wait = True
                    why = "overloaded" if isinstance(error, Overloaded) else "unavailable"
                    await self._line.say(words.wait(error.retry_after, why))
                await trio.sleep(min(error.retry_after, AGAIN))


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """One of the faults, to be told of."""
    first = group.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first
