"""A fake APNs: strict where Apple is, and stricter where a client can be wrong unnoticed.

Over any trio stream, so that it runs in virtual time and memory as well as on TLS. Validations in apns_rules.py,
provider_token.py and registry.py; here are the connection (on `h2`), the stream limit, and what can be injected.

`h2` as a server announces and enforces the stream limit in ways a fake cannot use (its violation ends the connection),
so SETTINGS are written by hand and the limit is kept here: excess streams get RST_STREAM(REFUSED_STREAM).
"""

from __future__ import annotations

import json
import struct
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import trio

from relay.simulators.apns_rules import AFTER_TOKEN, BEFORE_TOKEN, Wakeup, notes
from relay.simulators.conduct import Conduct
from relay.simulators.journal import Entry, Journal
from relay.simulators.provider_token import Bound, TeamKey, TokenChecks
from relay.simulators.registry import Phone, Registry

REFUSED_STREAM: Final = 7
GRACEFUL: Final = 2**31 - 1
CONNECTIONS_A_MINUTE: Final = 60
"""More new connections in a minute count as a breach ("rapid open/close is treated as denial of service")."""
_SETTINGS: Final = {1: 4096, 4: 65_535, 5: 16_384, 6: 8_000}
"""As observed at Apple: table size, window, frame size, header list size."""


class StreamLimit(StrEnum):
    """When the full stream limit is announced."""

    DOC = "doc"
    """1 until the first valid provider token, then all."""
    OBSERVED = "observed"
    """All at once."""


@dataclass(slots=True)
class Injections:
    """What goes wrong, changeable while it runs."""

    latency: Callable[[], float] = lambda: 0.0
    """Seconds until an answer."""
    answers: list[tuple[int, str]] = field(default_factory=list)
    """(status, reason) for the next requests, one each; overrides every check."""
    silent: set[str] = field(default_factory=set)
    """Tokens that never get an answer."""
    silence: bool = False
    """Nothing gets an answer."""
    drop_after: int | None = None
    """Processed requests after which the connection is cut, before the last one's answer."""


class FakeApns:
    """The service: shared by all of its connections. `now`: UTC seconds."""

    def __init__(
        self,
        keys: Mapping[str, TeamKey],
        topics: set[str],
        now: Callable[[], float],
        *,
        streams: int = 1000,
        limit: StreamLimit = StreamLimit.DOC,
        sandbox: bool = False,
        journal: Journal | None = None,
    ) -> None:
        self.now = now
        self.topics = topics
        self.streams = streams
        self.limit = limit
        self.sandbox = sandbox
        self.journal = journal or Journal()
        self.registry = Registry()
        self.injections = Injections()
        self.tokens = TokenChecks(keys, "sandbox" if sandbox else "production")
        self.accepting = True
        """False: connections are closed at once."""
        self._open: set[_Connection] = set()
        self._opened_at: list[float] = []

    async def serve_stream(self, stream: trio.abc.Stream) -> None:
        """Serve one connection until it ends; `stream` is closed afterwards."""
        if isinstance(stream, trio.SSLStream):
            try:
                await stream.do_handshake()
            except trio.BrokenResourceError:
                return
            if stream.selected_alpn_protocol() != "h2":
                self.journal.violate("no_http2")
                await trio.aclose_forcefully(stream)
                return
        if not self.accepting:
            await trio.aclose_forcefully(stream)
            return
        self._count_connection()
        connection = _Connection(self, stream, self.journal.connections)
        self._open.add(connection)
        try:
            await connection.run()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        finally:
            self._open.discard(connection)
            self.journal.flush()
            await trio.aclose_forcefully(stream)

    def _count_connection(self) -> None:
        self.journal.connections += 1
        now = self.now()
        self._opened_at = [at for at in self._opened_at if at > now - 60] + [now]
        if len(self._opened_at) > CONNECTIONS_A_MINUTE:
            self.journal.violate("too_many_connections")

    @property
    def connections(self) -> int:
        return len(self._open)

    async def goaway(self, *, graceful: bool = True, reason: str = "Shutdown") -> None:
        """GOAWAY on every connection: graceful announces first and names the last stream after that."""
        for connection in list(self._open):
            await connection.goaway(graceful=graceful, reason=reason)

    async def set_streams(self, streams: int) -> None:
        """Announce another stream limit on every connection."""
        self.streams = streams
        for connection in list(self._open):
            await connection.announce(streams)

    def cut(self) -> None:
        """Cut every connection without a word."""
        for connection in list(self._open):
            connection.scope.cancel()

    def judge(self, request: Wakeup, bound: Bound) -> tuple[int, str, int | None]:
        """(status, reason, timestamp): 200, or what Apple would answer."""
        if self.injections.answers:
            return (*self.injections.answers.pop(0), None)
        for check in BEFORE_TOKEN:
            if (refusal := check(request)) is not None:
                return (*refusal, None)
        authorization = next((v for n, v in request.headers if n == b"authorization"), None)
        if (refusal := self.tokens.check(authorization, bound, self.now())) is not None:
            return (*refusal, None)
        for check in AFTER_TOKEN:
            if (refusal := check(request)) is not None:
                return (*refusal, None)
        return self.registry.check(request.token.lower(), self.now()) or (200, "", None)

    def deliver(self, request: Wakeup) -> None:
        expiration = request.get("apns-expiration")
        phone = self.registry.phones.setdefault(request.token.lower(), Phone())
        phone.push(self.now(), request.get("apns-collapse-id") or "", None if expiration is None else int(expiration))


class _Connection:
    """One client's connection."""

    def __init__(self, fake: FakeApns, stream: trio.abc.Stream, number: int) -> None:
        self._fake = fake
        self._stream = stream
        self._number = number
        config = h2.config.H2Configuration(client_side=False, header_encoding=None, validate_inbound_headers=False)
        self._h2 = h2.connection.H2Connection(config)
        self._conduct = Conduct(fake.journal.violate, fake.now)
        self._bound = Bound()
        self._headers: dict[int, tuple[tuple[bytes, bytes], ...]] = {}
        self._bodies: dict[int, bytearray] = {}
        self._open: set[int] = set()
        self._announced = 0
        self._enforced = GRACEFUL
        """The limit once the client has acknowledged it."""
        self._processed = 0
        self._last_stream = GRACEFUL
        self._sending = trio.Lock()
        self._by_hand = b""
        """Frames of our own, sent behind what `h2` has ready."""
        self.scope = trio.CancelScope()

    async def run(self) -> None:
        self._h2.initiate_connection()
        self._h2.clear_outbound_data_buffer()
        fake = self._fake
        self._announced = 1 if fake.limit is StreamLimit.DOC else fake.streams
        await self._send(_settings({**_SETTINGS, 3: self._announced}))
        with self.scope:
            async with trio.open_nursery() as nursery:
                while data := await self._stream.receive_some(65_536):
                    if not await self._take(bytes(data), nursery):
                        break
                nursery.cancel_scope.cancel()

    async def _take(self, data: bytes, nursery: trio.Nursery) -> bool:
        """Handle one chunk; False when the connection is over."""
        acknowledged = self._conduct.settings_acknowledged
        self._conduct.feed(data)
        if self._conduct.settings_acknowledged > acknowledged:
            self._enforced = self._announced
        try:
            events = self._h2.receive_data(data)
        except h2.exceptions.ProtocolError:
            self._fake.journal.violate("protocol_error")
            await self._send(self._h2.data_to_send())
            return False
        for event in events:
            if isinstance(event, h2.events.ConnectionTerminated):
                return False
            self._on_event(event, nursery)
        if self._fake.injections.drop_after is not None and self._processed >= self._fake.injections.drop_after:
            self._fake.injections.drop_after = None
            return False
        await self._flush()
        self._fake.journal.flush()
        return True

    def _on_event(self, event: h2.events.Event, nursery: trio.Nursery) -> None:
        if isinstance(event, h2.events.RequestReceived):
            assert event.stream_id is not None
            self._opened(event.stream_id, tuple((bytes(n), bytes(v)) for n, v in event.headers or ()))
        elif isinstance(event, h2.events.DataReceived):
            assert event.stream_id is not None
            self._h2.acknowledge_received_data(event.flow_controlled_length or 0, event.stream_id)
            if event.stream_id in self._bodies:
                self._bodies[event.stream_id] += event.data or b""
        elif isinstance(event, h2.events.StreamEnded):
            assert event.stream_id is not None
            if event.stream_id in self._headers:
                self._complete(event.stream_id, nursery)
        elif isinstance(event, h2.events.StreamReset):
            assert event.stream_id is not None
            self._headers.pop(event.stream_id, None)
            self._open.discard(event.stream_id)

    def _opened(self, stream: int, headers: tuple[tuple[bytes, bytes], ...]) -> None:
        if stream > self._last_stream:
            self._fake.journal.violate("stream_after_goaway")
            return
        if len(self._open) >= self._enforced:
            self._fake.journal.violate("too_many_streams")
            self._h2.reset_stream(stream, REFUSED_STREAM)
            return
        self._open.add(stream)
        self._headers[stream] = headers
        self._bodies[stream] = bytearray()

    def _complete(self, stream: int, nursery: trio.Nursery) -> None:
        fake = self._fake
        request = Wakeup(self._headers.pop(stream), bytes(self._bodies.pop(stream)), fake.topics)
        status, reason, timestamp = fake.judge(request, self._bound)
        self._processed += 1
        forms, block_bytes = self._conduct.forms.pop(stream, ((), 0))
        fake.journal.add(
            Entry(
                t=fake.now(), connection=self._number, stream=stream, token=request.token.lower(), status=status,
                reason=reason, headers=request.headers, forms=forms, block_bytes=block_bytes, body=request.body,
                notes=notes(request) if status == 200 else (),
            )
        )  # fmt: skip
        if status == 200:
            fake.deliver(request)
        if fake.injections.silence or request.token in fake.injections.silent:
            return
        if fake.injections.drop_after is not None and self._processed >= fake.injections.drop_after:
            return
        latency = fake.injections.latency()
        if latency > 0:
            nursery.start_soon(self._answer_later, latency, stream, status, reason, timestamp, request)
        else:
            self._answer(stream, status, reason, timestamp, request)

    async def _answer_later(
        self, latency: float, stream: int, status: int, reason: str, timestamp: int | None, request: Wakeup
    ) -> None:
        await trio.sleep(latency)
        if stream in self._open:
            self._answer(stream, status, reason, timestamp, request)
            await self._flush()

    def _answer(self, stream: int, status: int, reason: str, timestamp: int | None, request: Wakeup) -> None:
        """As Apple answers (A-16): 200 has no body; errors have a JSON body, 410 with a timestamp."""
        apns_id = request.get("apns-id") or str(uuid.uuid4()).upper()
        headers = [(":status", str(status)), ("apns-id", apns_id)]
        if self._fake.sandbox and status == 200:
            headers.append(("apns-unique-id", str(uuid.uuid4())))
        if status == 200:
            self._h2.send_headers(stream, headers, end_stream=True)
        else:
            content: dict[str, object] = {"reason": reason}
            if timestamp is not None:
                content["timestamp"] = timestamp
            self._h2.send_headers(stream, [*headers, ("content-type", "application/json")])
            self._h2.send_data(stream, json.dumps(content).encode(), end_stream=True)
        self._open.discard(stream)
        if self._bound.team_id and self._announced < self._fake.streams:
            self._announced = self._fake.streams
            self._by_hand += _settings({3: self._announced})

    async def announce(self, streams: int) -> None:
        self._announced = streams
        await self._send(_settings({3: streams}))

    async def goaway(self, *, graceful: bool, reason: str) -> None:
        debug = json.dumps({"reason": reason}).encode()
        if graceful:
            await self._send(_goaway(GRACEFUL, debug))
            await trio.lowlevel.checkpoint()
        self._last_stream = max([*self._open, self._h2.highest_inbound_stream_id])
        await self._send(_goaway(self._last_stream, debug))

    async def _flush(self) -> None:
        by_hand, self._by_hand = self._by_hand, b""
        await self._send(self._h2.data_to_send() + by_hand)

    async def _send(self, data: bytes) -> None:
        if data:
            async with self._sending:
                await self._stream.send_all(data)


def _settings(values: Mapping[int, int]) -> bytes:
    payload = b"".join(struct.pack(">HI", key, value) for key, value in values.items())
    return _frame(4, 0, 0, payload)


def _goaway(last_stream: int, debug: bytes) -> bytes:
    return _frame(7, 0, 0, struct.pack(">II", last_stream, 0) + debug)


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return struct.pack(">I", len(payload))[1:] + bytes((kind, flags)) + struct.pack(">I", stream) + payload
