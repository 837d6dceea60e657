"""One client's connection: stream limit, GOAWAY, idleness, and what is injected.

`h2` is fed one frame at a time, so that each is answered before the next one is read: its state is never ahead of what
is being handled. As a server it announces and enforces the stream limit in ways a fake cannot use (its violation ends
the connection), so SETTINGS are written by hand and the limit is kept here. A client is held to a limit, and to GOAWAY,
once it has acknowledged that it knows of it.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from typing import Final

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import trio
from h2.settings import SettingCodes, Settings

from relay.simulators import frames
from relay.simulators.conduct import Conduct, PingStrikes
from relay.simulators.h2_service import WINDOW, Limits, Reply, Request, Service

_MAX_CONCURRENT_STREAMS: Final = 3
_AFTER_GOAWAY: Final = b"goodbye!"


class Connection:
    """Serves what it receives until either side ends it."""

    def __init__(self, service: Service, stream: trio.abc.Stream, number: int) -> None:
        self._service = service
        self._limits = limits = service.limits
        self._session = service.session()
        self._stream = stream
        self._number = number
        self._h2 = _h2_connection(limits)
        self._splitter = frames.Splitter()
        self._conduct = Conduct(service.journal.violate, service.now, is_path_secret=limits.is_path_secret)
        self._strikes = PingStrikes(service.now, limits.ping_apart, limits.ping_strikes)
        self._headers: dict[int, tuple[tuple[bytes, bytes], ...]] = {}
        self._bodies: dict[int, bytearray] = {}
        self._open: set[int] = set()
        self._waiting: dict[int, bytes] = {}
        """Bodies of answers for which the client has left no window."""
        self._announced = self._session.streams
        self._unacknowledged: deque[int] = deque()
        """Limits of the SETTINGS that the client has not acknowledged."""
        self._enforced = frames.LAST_STREAM
        self._processed = 0
        self._last_stream = frames.LAST_STREAM
        self._knows_goaway = False
        self._is_over = False
        self._sending = trio.Lock()
        self._out = b""
        self._idle = trio.CancelScope()
        self.scope = trio.CancelScope()

    async def run(self) -> None:
        self._h2.initiate_connection()
        self._h2.clear_outbound_data_buffer()
        self._announce(self._announced, self._limits.settings)
        if self._limits.connection_window > WINDOW:
            self._h2.increment_flow_control_window(self._limits.connection_window - WINDOW)
        with self.scope:
            await self._flush()
            async with trio.open_nursery() as nursery:
                if self._limits.idle < math.inf:
                    nursery.start_soon(self._end_when_idle)
                while not self._is_over and (data := await self._stream.receive_some(65_536)):
                    self._take(bytes(data), nursery)
                    await self._flush()
                    self._service.journal.flush()
                nursery.cancel_scope.cancel()

    async def _end_when_idle(self) -> None:
        self._mind_idleness()
        with self._idle:
            await trio.sleep_forever()
        self._end(0, b"session_timed_out")
        await self._flush()
        self.scope.cancel()

    def _mind_idleness(self) -> None:
        self._idle.deadline = math.inf if self._open else trio.current_time() + self._limits.idle

    def _end(self, code: int, debug: bytes = b"", last_stream: int | None = None) -> None:
        last = self._h2.highest_inbound_stream_id if last_stream is None else last_stream
        self._out += self._h2.data_to_send() + frames.goaway(last, debug, code)
        self._is_over = True

    def _take(self, data: bytes, nursery: trio.Nursery) -> None:
        """Handle what arrived, up to where the connection is over."""
        for piece, is_frame in self._splitter.split(data):
            if is_frame and not self._conduct.see(piece):
                self._end(frames.PROTOCOL_ERROR)
                return
            try:
                events = self._h2.receive_data(piece)
            except h2.exceptions.ProtocolError:
                self._service.journal.violate("protocol_error")
                self._is_over = True
            else:
                for event in events:
                    if not self._is_over:
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
            case h2.events.PingReceived() if not self._strikes.ping():
                self._service.journal.violate("too_many_pings")
                self._end(frames.ENHANCE_YOUR_CALM, b"too_many_pings")
            case h2.events.WindowUpdated() | h2.events.RemoteSettingsChanged():
                self._send_waiting()
            case h2.events.ConnectionTerminated():
                self._is_over = True
            case _:
                pass

    def _opened(self, stream: int, headers: tuple[tuple[bytes, bytes], ...]) -> None:
        if stream > self._last_stream:
            if self._knows_goaway:
                self._service.journal.violate("stream_after_goaway")
            self._forget(stream)
            return
        if len(self._open) >= self._enforced:
            self._service.journal.violate("too_many_streams")
            if self._limits.excess:
                self._end(frames.PROTOCOL_ERROR, self._limits.excess, max(0, stream - 2))
            else:
                self._refuse(stream)
            return
        most_at_once = self._service.injections.most_at_once
        if most_at_once is not None and len(self._open) >= most_at_once:
            self._refuse(stream)
            return
        self._open.add(stream)
        self._headers[stream] = headers
        self._bodies[stream] = bytearray()
        self._mind_idleness()

    def _refuse(self, stream: int) -> None:
        self._h2.reset_stream(stream, frames.REFUSED_STREAM)
        self._forget(stream)

    def _forget(self, stream: int) -> None:
        """The stream is closed, or never was one."""
        if stream in self._open:
            self._open.remove(stream)
            self._mind_idleness()
        for known in (self._headers, self._bodies, self._waiting, self._conduct.forms):
            known.pop(stream, None)

    def _complete(self, stream: int, nursery: trio.Nursery) -> None:
        forms, block_bytes = self._conduct.forms.pop(stream, ((), 0))
        reply = self._session.handle(
            Request(
                connection=self._number, stream=stream, headers=self._headers.pop(stream),
                body=bytes(self._bodies.pop(stream)), forms=forms, block_bytes=block_bytes,
            )
        )  # fmt: skip
        self._processed += 1
        faults = self._service.injections
        if faults.drop_after is not None and self._processed >= faults.drop_after:
            faults.drop_after = None
            self._is_over = True
            return
        if faults.goaway_after is not None and self._processed >= faults.goaway_after:
            faults.goaway_after = None
            self._say_goaway(*faults.farewell)
        if faults.silence or reply.is_silent:
            return
        latency = faults.latency() + reply.delay + faults.connection_delays.get(self._number, 0.0)
        if latency > 0 or faults.body_delay > 0:
            nursery.start_soon(self._answer_later, latency, faults.body_delay, stream, reply)
        else:
            self._answer(stream, reply)
            self._give(stream, reply.body)

    async def _answer_later(self, latency: float, body_delay: float, stream: int, reply: Reply) -> None:
        await trio.sleep(latency)
        if stream in self._open:
            self._answer(stream, reply)
        if body_delay:
            await self._flush()
            await trio.sleep(body_delay)
        if stream in self._open:
            self._give(stream, reply.body)
        await self._flush()

    def _answer(self, stream: int, reply: Reply) -> None:
        """The head of an answer, which is all of it if there is no body."""
        self._strikes.forgive()
        self._h2.send_headers(stream, reply.headers, end_stream=not reply.body)
        if not reply.body:
            self._forget(stream)
        if self._announced < self._session.streams:
            self._out += self._h2.data_to_send()
            self._announce(self._session.streams)

    def _give(self, stream: int, body: bytes) -> None:
        """The body; nothing if there is none."""
        if body:
            self._waiting[stream] = body
            self._send_waiting()

    def _send_waiting(self) -> None:
        for stream, body in list(self._waiting.items()):
            if self._h2.local_flow_control_window(stream) < len(body):
                continue
            size = self._h2.max_outbound_frame_size
            for start in range(0, len(body), size):
                self._h2.send_data(stream, body[start : start + size], end_stream=start + size >= len(body))
            self._forget(stream)

    def _announce(self, streams: int, more: Mapping[int, int] | None = None) -> None:
        self._announced = streams
        self._unacknowledged.append(streams)
        self._out += frames.settings({**(more or {}), _MAX_CONCURRENT_STREAMS: streams})

    async def announce(self, streams: int) -> None:
        self._announce(streams)
        await self._tell()

    async def goaway(self, debug: bytes, *, graceful: bool, code: int) -> None:
        if graceful:
            self._out += frames.goaway(frames.LAST_STREAM, debug)
            await self._tell()
        self._say_goaway(code, debug)
        await self._tell()

    def _say_goaway(self, code: int, debug: bytes) -> None:
        """With the last stream there was; the PING tells when the client knows."""
        self._last_stream = self._h2.highest_inbound_stream_id
        farewell = frames.goaway(self._last_stream, debug, code) + frames.ping(_AFTER_GOAWAY)
        self._out += self._h2.data_to_send() + farewell

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


def _h2_connection(limits: Limits) -> h2.connection.H2Connection:
    config = h2.config.H2Configuration(client_side=False, header_encoding=None, validate_inbound_headers=False)
    connection = h2.connection.H2Connection(config)
    connection.local_settings = Settings(
        client=False,
        initial_values={
            SettingCodes.MAX_CONCURRENT_STREAMS: frames.LAST_STREAM,
            SettingCodes.INITIAL_WINDOW_SIZE: limits.stream_window,
        },
    )
    connection.decoder.max_header_list_size = limits.header_list
    return connection
