"""A fake APNs: strict where Apple is, and stricter where a client can be wrong unnoticed.

Over any trio stream, so that it runs in virtual time and memory as well as on TLS. What is refused and why is told by
apns_judge.py, conduct on a connection by conduct.py; here are the connection itself (on `h2`) and the stream limit.

`h2` is fed one frame at a time, so that each is answered before the next one is read: its state is never ahead of what
is being handled. As a server it announces and enforces the stream limit in ways a fake cannot use (its violation ends
the connection), so SETTINGS are written by hand and the limit is kept here: excess streams get
RST_STREAM(REFUSED_STREAM). A client is held to a limit, and to GOAWAY, once it has acknowledged that it knows of it.
"""

from __future__ import annotations

import json
import ssl
from collections import deque
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Final

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import trio
from h2.settings import SettingCodes, Settings

from relay.simulators import frames
from relay.simulators.apns_answer import Verdict
from relay.simulators.apns_judge import Judge
from relay.simulators.apns_rules import Wakeup, notes
from relay.simulators.conduct import Conduct
from relay.simulators.injections import Injections
from relay.simulators.journal import Entry, Journal
from relay.simulators.provider_token import Bound, TeamKey

CONNECTIONS_A_MINUTE: Final = 60
"""More new connections in a minute count as a breach ("rapid open/close is treated as denial of service")."""
HEADER_LIST: Final = 8_000
"""Bytes of a request's fields, as SETTINGS_MAX_HEADER_LIST_SIZE counts them."""
_SETTINGS: Final = {1: 4096, 4: 65_535, 5: 16_384, 6: HEADER_LIST}
"""As observed at Apple: table size, window, frame size, header list size."""
_MAX_CONCURRENT_STREAMS: Final = 3
_AFTER_GOAWAY: Final = b"goodbye!"


class StreamLimit(StrEnum):
    """When the full stream limit is announced."""

    DOC = "doc"
    """1 until the first valid provider token, then all."""
    OBSERVED = "observed"
    """All at once."""


class FakeApns:
    """The service: shared by all of its connections. `now`: UTC seconds.

    `topics`: bundle ids known here. `not_json`: reason for a body that is none, which Apple does not document.
    """

    def __init__(
        self,
        keys: Mapping[str, TeamKey],
        topics: set[str],
        now: Callable[[], float],
        *,
        streams: int = 1000,
        limit: StreamLimit = StreamLimit.DOC,
        sandbox: bool = False,
        not_json: str = "PayloadEmpty",
        journal: Journal | None = None,
    ) -> None:
        self.now = now
        self.streams = streams
        self.limit = limit
        self.sandbox = sandbox
        self.journal = journal or Journal()
        self.injections = Injections()
        environment = "sandbox" if sandbox else "production"
        self.judge = Judge(keys, topics, environment, not_json, self.journal.violate)
        self.registry = self.judge.registry
        self.tokens = self.judge.tokens
        self.accepting = True
        """False: connections are closed at once."""
        self._open: set[_Connection] = set()
        self._opened_at: deque[float] = deque()

    async def serve_stream(self, stream: trio.abc.Stream) -> None:
        """Serve one connection until it ends; `stream` is closed afterwards."""
        self._count_opening()
        try:
            if self.accepting and await self._speaks_http2(stream):
                await self._serve(stream)
        finally:
            await trio.aclose_forcefully(stream)

    async def _speaks_http2(self, stream: trio.abc.Stream) -> bool:
        if not isinstance(stream, trio.SSLStream):
            return True
        try:
            await stream.do_handshake()
        except trio.BrokenResourceError as error:
            if isinstance(error.__cause__, ssl.SSLError) and error.__cause__.reason == "CALLBACK_FAILED":
                self.journal.violate("no_server_name")
            return False
        if stream.selected_alpn_protocol() != "h2":
            self.journal.violate("no_http2")
            return False
        return True

    async def _serve(self, stream: trio.abc.Stream) -> None:
        self.journal.connections += 1
        connection = _Connection(self, stream, self.journal.connections)
        self._open.add(connection)
        try:
            await connection.run()
        except* (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        finally:
            self._open.discard(connection)
            self.journal.flush()

    def _count_opening(self) -> None:
        now = self.now()
        self._opened_at.append(now)
        while self._opened_at[0] <= now - 60:
            self._opened_at.popleft()
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


class _Connection:
    """One client's connection."""

    def __init__(self, fake: FakeApns, stream: trio.abc.Stream, number: int) -> None:
        self._fake = fake
        self._stream = stream
        self._number = number
        config = h2.config.H2Configuration(client_side=False, header_encoding=None, validate_inbound_headers=False)
        self._h2 = h2.connection.H2Connection(config)
        self._h2.local_settings = Settings(
            client=False, initial_values={SettingCodes.MAX_CONCURRENT_STREAMS: frames.LAST_STREAM}
        )
        self._h2.decoder.max_header_list_size = HEADER_LIST
        self._splitter = frames.Splitter()
        self._conduct = Conduct(fake.journal.violate, fake.now)
        self._bound = Bound()
        self._headers: dict[int, tuple[tuple[bytes, bytes], ...]] = {}
        self._bodies: dict[int, bytearray] = {}
        self._open: set[int] = set()
        self._waiting: dict[int, bytes] = {}
        """Bodies of answers for which the client has left no window."""
        self._announced = 1 if fake.limit is StreamLimit.DOC else fake.streams
        self._unacknowledged: deque[int] = deque()
        """Limits of the SETTINGS that the client has not acknowledged."""
        self._enforced = frames.LAST_STREAM
        self._processed = 0
        self._last_stream = frames.LAST_STREAM
        self._knows_goaway = False
        self._is_over = False
        self._sending = trio.Lock()
        self._out = b""
        self.scope = trio.CancelScope()

    async def run(self) -> None:
        self._h2.initiate_connection()
        self._h2.clear_outbound_data_buffer()
        self._announce(self._announced, _SETTINGS)
        with self.scope:
            await self._flush()
            async with trio.open_nursery() as nursery:
                while not self._is_over and (data := await self._stream.receive_some(65_536)):
                    self._take(bytes(data), nursery)
                    await self._flush()
                    self._fake.journal.flush()
                nursery.cancel_scope.cancel()

    def _take(self, data: bytes, nursery: trio.Nursery) -> None:
        """Handle what arrived, up to where the connection is over."""
        for piece, is_frame in self._splitter.split(data):
            if is_frame and not self._conduct.see(piece):
                self._out += frames.goaway(0, code=frames.PROTOCOL_ERROR)
                self._is_over = True
                return
            try:
                events = self._h2.receive_data(piece)
            except h2.exceptions.ProtocolError:
                self._fake.journal.violate("protocol_error")
                self._is_over = True
            else:
                for event in events:
                    self._on_event(event, nursery)
            self._out += self._h2.data_to_send()
            if self._is_over:
                return

    def _on_event(self, event: h2.events.Event, nursery: trio.Nursery) -> None:
        match event:
            case h2.events.RequestReceived():
                self._opened(event.stream_id, tuple((bytes(name), bytes(value)) for name, value in event.headers))
            case h2.events.DataReceived():
                self._h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                if event.stream_id in self._bodies:
                    self._bodies[event.stream_id] += event.data
            case h2.events.StreamEnded():
                if event.stream_id in self._headers:
                    self._complete(event.stream_id, nursery)
            case h2.events.StreamReset():
                self._forget(event.stream_id)
            case h2.events.SettingsAcknowledged() if self._unacknowledged:
                self._enforced = self._unacknowledged.popleft()
            case h2.events.PingAckReceived() if event.ping_data == _AFTER_GOAWAY:
                self._knows_goaway = True
            case h2.events.WindowUpdated() | h2.events.RemoteSettingsChanged():
                self._send_waiting()
            case h2.events.ConnectionTerminated():
                self._is_over = True
            case _:
                pass

    def _opened(self, stream: int, headers: tuple[tuple[bytes, bytes], ...]) -> None:
        if stream > self._last_stream:
            if self._knows_goaway:
                self._fake.journal.violate("stream_after_goaway")
            self._forget(stream)
            return
        if len(self._open) >= self._enforced:
            self._fake.journal.violate("too_many_streams")
            self._h2.reset_stream(stream, frames.REFUSED_STREAM)
            self._forget(stream)
            return
        self._open.add(stream)
        self._headers[stream] = headers
        self._bodies[stream] = bytearray()

    def _forget(self, stream: int) -> None:
        """The stream is closed, or never was one."""
        self._open.discard(stream)
        for known in (self._headers, self._bodies, self._waiting, self._conduct.forms):
            known.pop(stream, None)

    def _complete(self, stream: int, nursery: trio.Nursery) -> None:
        fake, injections = self._fake, self._fake.injections
        request = Wakeup(self._headers.pop(stream), bytes(self._bodies.pop(stream)), fake.judge.topics)
        if injections.answers:
            verdict = Verdict(*injections.answers.pop(0))
        else:
            verdict = fake.judge.judge(request, self._bound, fake.now())
        self._processed += 1
        forms, block_bytes = self._conduct.forms.pop(stream, ((), 0))
        doubts = notes(request) if verdict.status == 200 else ()
        fake.journal.add(
            Entry(
                t=fake.now(), connection=self._number, stream=stream, token=request.token.lower(),
                status=verdict.status, reason=verdict.reason, headers=request.headers, forms=forms,
                block_bytes=block_bytes, body=request.body, notes=doubts,
            )
        )  # fmt: skip
        if verdict.status == 200 and not doubts:
            fake.judge.deliver(request, fake.now())
        if injections.drop_after is not None and self._processed >= injections.drop_after:
            injections.drop_after = None
            self._is_over = True
        elif injections.silence or request.token.lower() in injections.silent:
            return
        elif (latency := injections.latency()) > 0:
            nursery.start_soon(self._answer_later, latency, stream, verdict, request)
        else:
            self._answer(stream, verdict, request)

    async def _answer_later(self, latency: float, stream: int, verdict: Verdict, request: Wakeup) -> None:
        await trio.sleep(latency)
        if stream in self._open:
            self._answer(stream, verdict, request)
            await self._flush()

    def _answer(self, stream: int, verdict: Verdict, request: Wakeup) -> None:
        body = verdict.body
        self._h2.send_headers(
            stream, verdict.headers(request.get("apns-id"), sandbox=self._fake.sandbox), end_stream=not body
        )
        if body:
            self._waiting[stream] = body
            self._send_waiting()
        else:
            self._open.discard(stream)
        if self._bound.team_id and self._announced < self._fake.streams:
            self._out += self._h2.data_to_send()
            self._announce(self._fake.streams)

    def _send_waiting(self) -> None:
        for stream, body in list(self._waiting.items()):
            if self._h2.local_flow_control_window(stream) >= len(body):
                self._h2.send_data(stream, body, end_stream=True)
                self._forget(stream)

    def _announce(self, streams: int, more: Mapping[int, int] | None = None) -> None:
        self._announced = streams
        self._unacknowledged.append(streams)
        self._out += frames.settings({**(more or {}), _MAX_CONCURRENT_STREAMS: streams})

    async def announce(self, streams: int) -> None:
        self._announce(streams)
        await self._tell()

    async def goaway(self, *, graceful: bool, reason: str) -> None:
        debug = json.dumps({"reason": reason}).encode()
        if graceful:
            self._out += frames.goaway(frames.LAST_STREAM, debug)
            await self._tell()
        self._last_stream = self._h2.highest_inbound_stream_id
        self._out += frames.goaway(self._last_stream, debug) + frames.ping(_AFTER_GOAWAY)
        await self._tell()

    async def _tell(self) -> None:
        """Send what is to be said from outside of the connection's own task, which will notice if it is broken."""
        try:
            await self._flush()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass

    async def _flush(self) -> None:
        out, self._out = self._out + self._h2.data_to_send(), b""
        if out:
            async with self._sending:
                await self._stream.send_all(out)
