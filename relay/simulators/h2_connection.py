"""One client's connection: stream limit, GOAWAY, idleness, and what is injected.

`h2` is fed one frame at a time, so that each is answered before the next one is read: its state is never ahead of what
is being handled. Limits are announced by hand; a client is held to them, and to GOAWAY, once it has
acknowledged that it knows of it. What is announced is decided by h2_announcer.py, how answers are written by
h2_answers.py, how it ends by h2_goodbye.py and h2_ends.py; all of them write through one h2_writer.py.

A connection that plays dead (`half_open`, or `goaway_silence` after its GOAWAY) goes on reading, and that is all.
"""

from __future__ import annotations

import math
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
from relay.simulators.h2_announcer import Announcer
from relay.simulators.h2_answers import Answers
from relay.simulators.h2_ends import Ends, reset_at_close
from relay.simulators.h2_goodbye import AFTER_GOAWAY, Goodbye
from relay.simulators.h2_service import WINDOW, Limits, Reply, Request, Service
from relay.simulators.h2_settings import STREAMS
from relay.simulators.h2_writer import Writer
from relay.simulators.injections import DropAt, DropHow

_READ: Final = 65_536
_SIP: Final = 0.1
"""Seconds between two reads of a slow reader."""


class Connection:
    """Serves what it receives until either side ends it."""

    def __init__(self, service: Service, stream: trio.abc.Stream, number: int) -> None:
        self._service = service
        self._faults = service.injections
        self._limits = limits = service.limits
        self._session = service.session()
        self._stream = stream
        self._number = number
        self._h2 = _h2_connection(limits)
        self._answers = Answers(self._h2)
        self._writer = Writer(stream, self._h2)
        self._announcer = Announcer(self._writer, self._faults, limits, self._session)
        self._announced = self._announcer.announced
        self._ends = Ends(self._faults, service.journal, trio.current_time)
        self._goodbye = Goodbye(self._writer, self._faults, self._ends, lambda: self._h2.highest_inbound_stream_id)
        self._splitter = frames.Splitter()
        self._conduct = Conduct(service.journal.violate, service.now, is_path_secret=limits.is_path_secret)
        self._strikes = PingStrikes(service.now, limits.ping_apart, limits.ping_strikes)
        self._headers: dict[int, tuple[tuple[bytes, bytes], ...]] = {}
        self._bodies: dict[int, bytearray] = {}
        self._open: set[int] = set()
        self._owed: dict[int, int] = {}
        """Stream → bytes for which no window was given back."""
        self._is_over = False
        self._idle = trio.CancelScope()
        self.scope = trio.CancelScope()

    async def run(self) -> None:
        try:
            with self.scope:
                if self._faults.drops(DropAt.SETTINGS):
                    self._drop()
                else:
                    await self._serve()
        finally:
            self._ends.over()

    async def _serve(self) -> None:
        self._h2.initiate_connection()
        self._h2.clear_outbound_data_buffer()
        self._writer.add(self._announced.first)
        if self._limits.connection_window > WINDOW:
            self._h2.increment_flow_control_window(self._limits.connection_window - WINDOW)
        await self._writer.flush()
        self._writer.is_dead = self._ends.plays_dead()
        announcer = self._announcer
        tasks = (
            self._end_when_idle, announcer.change_at_random, announcer.raise_window, self._goodbye.leave_in_time,
        )  # fmt: skip
        async with trio.open_nursery() as nursery:
            for task in tasks:
                nursery.start_soon(task)
            while not self._is_over and (data := await self._read()):
                if not self._writer.is_dead:
                    self._take(data, nursery)
                await self._writer.flush()
                self._service.journal.flush()
            if not self._is_over:
                self._ends.is_clean = True
            nursery.cancel_scope.cancel()

    async def _read(self) -> bytes:
        pace = self._faults.read_pace
        if pace is None:
            return bytes(await self._stream.receive_some(_READ))
        await trio.sleep(_SIP)
        return bytes(await self._stream.receive_some(max(1, int(pace * _SIP))))

    # --- in

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
            self._writer.add()
            if self._is_over or self._writer.is_dead:
                return

    def _on_event(self, event: h2.events.Event, nursery: trio.Nursery) -> None:
        match event:
            case h2.events.RequestReceived():
                self._opened(event.stream_id, tuple((bytes(name), bytes(value)) for name, value in event.headers))
            case h2.events.DataReceived():
                self._body(event.stream_id, event.data, event.flow_controlled_length)
            case h2.events.StreamEnded():
                if event.stream_id in self._headers:
                    self._complete(event.stream_id, nursery)
            case h2.events.StreamReset():
                self._writer.add(self._answers.reset(event.stream_id))
                self._forget(event.stream_id)
            case h2.events.SettingsAcknowledged():
                self._acknowledged()
            case h2.events.PingAckReceived() if event.ping_data == AFTER_GOAWAY:
                self._goodbye.is_known = True
            case h2.events.PingReceived() if not self._strikes.ping():
                self._service.journal.violate("too_many_pings")
                self._end(frames.ENHANCE_YOUR_CALM, b"too_many_pings")
            case h2.events.WindowUpdated() | h2.events.RemoteSettingsChanged():
                self._given(self._answers.go_on())
            case h2.events.ConnectionTerminated():
                self._is_over = self._ends.is_clean = True
            case _:
                pass

    def _acknowledged(self) -> None:
        self._announced.acknowledged()
        if self._announced.table_size is not None:
            self._h2.decoder.max_allowed_table_size = self._announced.table_size

    def _opened(self, stream: int, headers: tuple[tuple[bytes, bytes], ...]) -> None:
        if stream > self._goodbye.last_stream:
            if self._goodbye.is_known:
                self._service.journal.violate("stream_after_goaway")
            self._forget(stream)
            self._goodbye.ignored()
            return
        if len(self._open) >= self._announced.most_streams:
            self._service.journal.violate("too_many_streams")
            if self._limits.excess:
                self._end(frames.PROTOCOL_ERROR, self._limits.excess, max(0, stream - 2))
            else:
                self._refuse(stream)
            return
        most_at_once = self._faults.most_at_once
        if most_at_once is not None and len(self._open) >= most_at_once:
            self._refuse(stream)
            return
        held_to = self._announcer.held_to
        if self._faults.dance and held_to is not None and len(self._open) >= held_to:
            self._refuse(stream)  # and its DATA bring a second reset, as at Apple: `h2` answers them with STREAM_CLOSED
            return
        self._open.add(stream)
        self._headers[stream] = headers
        self._bodies[stream] = bytearray()
        self._mind_idleness()

    def _refuse(self, stream: int) -> None:
        self._h2.reset_stream(stream, frames.REFUSED_STREAM)
        self._forget(stream)

    def _body(self, stream: int, data: bytes, size: int) -> None:
        """`size`: what it takes of the windows."""
        if self._faults.withhold_window:
            self._owed[stream] = self._owed.get(stream, 0) + size
        else:
            self._h2.acknowledge_received_data(size, stream)
        if stream in self._bodies:
            self._bodies[stream] += data
            if data and not self._announced.allows(len(self._bodies[stream])):
                self._service.journal.violate("window_exceeded")

    def _forget(self, stream: int) -> None:
        """The stream is closed, or never was one."""
        self._ends.settled(stream, was_told=False)
        if stream in self._open:
            self._open.remove(stream)
            self._mind_idleness()
        for known in (self._headers, self._bodies, self._conduct.forms):
            known.pop(stream, None)
        self._answers.forget(stream)

    # --- out

    def _complete(self, stream: int, nursery: trio.Nursery) -> None:
        faults = self._faults
        forms, block_bytes = self._conduct.forms.pop(stream, ((), 0))
        reply = self._session.handle(
            Request(
                connection=self._number, stream=stream, headers=self._headers.pop(stream),
                body=bytes(self._bodies.pop(stream)), forms=forms, block_bytes=block_bytes,
            )
        )  # fmt: skip
        self._ends.processed(stream, reply)
        if self._ends.cuts_now():
            self._drop()
            return
        if self._ends.leaves_now():
            self._goodbye.leave(stream, nursery)
        self._writer.is_dying = self._writer.is_dying or self._ends.plays_dead()
        if faults.is_silent(reply.token):
            if faults.late:
                self._answers.keep_back(stream, reply)
            return
        latency = faults.wait(self._number, reply.token)
        if latency > 0 or faults.body_delay > 0:
            nursery.start_soon(self._answer_later, latency, faults.body_delay, stream, reply)
        else:
            self._answer(stream, reply)
            self._give(stream, reply)

    async def _answer_later(self, latency: float, body_delay: float, stream: int, reply: Reply) -> None:
        await trio.sleep(latency)
        if stream in self._open:
            self._answer(stream, reply)
        if body_delay:
            await self._writer.flush()
            await trio.sleep(body_delay)
        if stream in self._open:
            self._give(stream, reply)
        await self._writer.flush()
        if self._is_over:
            self.scope.cancel()

    def _answer(self, stream: int, reply: Reply) -> None:
        """The head of an answer, which is all of it if there is no body."""
        self._strikes.forgive()
        before = self._writer.so_far()
        more = self._answers.head(stream, reply, self._faults.oddities())
        if self._faults.drops(DropAt.HEAD) and self._writer.add_half(before):
            self._drop()
            return
        self._writer.add(more)
        self._ends.settled(stream, was_told=True)
        if not reply.body:
            self._forget(stream)
        elif self._faults.drops(DropAt.BODY):
            self._drop()
            return
        self._announcer.dance(reply.status)
        if self._ends.is_overdrawn(reply.errors):
            self._is_over = True
        if reply.farewell is not None:
            self._goodbye.say(0, reply.farewell)

    def _give(self, stream: int, reply: Reply) -> None:
        """The body; nothing if there is none."""
        if reply.body and not self._is_over:
            self._given(self._answers.body(stream, reply.body))

    def _given(self, streams: list[int]) -> None:
        for stream in streams:
            self._forget(stream)

    # --- what is told from outside

    async def announce(self, streams: int) -> None:
        await self._announcer.tell({STREAMS: streams})

    async def announce_settings(self, settings: Mapping[int, int]) -> None:
        """Any, by number; until something else is announced."""
        await self._announcer.tell(settings)

    async def goaway(self, debug: bytes, *, graceful: bool, code: int) -> None:
        await self._goodbye.everybody(debug, graceful=graceful, code=code)

    async def refresh(self) -> None:
        """The injections have changed: what they say about windows, tables and idleness holds from now on."""
        if not self._faults.withhold_window:
            owed, self._owed = self._owed, {}
            for stream, size in owed.items():
                self._h2.acknowledge_received_data(size, stream)
        self._mind_idleness()
        await self._announcer.refresh()

    # --- the end

    async def _end_when_idle(self) -> None:
        self._mind_idleness()
        with self._idle:
            await trio.sleep_forever()
        if self._faults.idle_goaway:
            self._end(0, self._limits.idle_debug)
        self._ends.is_clean = True
        await self._writer.flush()
        self.scope.cancel()

    def _mind_idleness(self) -> None:
        idle = self._limits.idle if self._faults.idle is None else self._faults.idle
        self._idle.deadline = math.inf if self._open else trio.current_time() + idle

    def _end(self, code: int, debug: bytes = b"", last_stream: int | None = None) -> None:
        last = self._h2.highest_inbound_stream_id if last_stream is None else last_stream
        self._writer.add(frames.goaway(last, debug, code))
        self._is_over = True

    def _drop(self) -> None:
        """End without a word; what is written goes out before, if it is to be a FIN."""
        self._is_over = True
        if self._faults.drop_how is DropHow.RESET:
            reset_at_close(self._stream)


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
