"""One client's connection: stream limit, GOAWAY, idleness, and what is injected.

`h2` is fed one frame at a time, so that each is answered before the next one is read: its state is never ahead of what
is being handled. Limits are announced by hand (h2_settings.py); a client is held to them, and to GOAWAY, once it has
acknowledged that it knows of it. How answers are written is told by h2_answers.py, how a connection comes to its end
by h2_ends.py.

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

from relay.simulators import frames, h2_settings
from relay.simulators.conduct import Conduct, PingStrikes
from relay.simulators.h2_answers import Answers
from relay.simulators.h2_ends import Ends, reset_at_close
from relay.simulators.h2_service import WINDOW, Limits, Reply, Request, Service
from relay.simulators.h2_settings import STREAMS, Announced
from relay.simulators.injections import DropAt, DropHow

_AFTER_GOAWAY: Final = b"goodbye!"
_READ: Final = 65_536
_SIP: Final = 0.1
"""Seconds between two reads of a slow reader."""
_HELD: Final = 0.1
"""Seconds that a GOAWAY waits for what it is to exclude, or for its announcement to arrive."""
_CHANGED_FOR: Final = 1.0
"""Most seconds that a change at random lasts."""


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
        self._announced = Announced({**limits.settings, **self._injected(), STREAMS: self._session.streams}, WINDOW)
        self._ends = Ends(self._faults, service.journal, trio.current_time)
        self._splitter = frames.Splitter()
        self._conduct = Conduct(service.journal.violate, service.now, is_path_secret=limits.is_path_secret)
        self._strikes = PingStrikes(service.now, limits.ping_apart, limits.ping_strikes)
        self._headers: dict[int, tuple[tuple[bytes, bytes], ...]] = {}
        self._bodies: dict[int, bytearray] = {}
        self._open: set[int] = set()
        self._owed: dict[int, int] = {}
        """Stream → bytes for which no window was given back."""
        self._held_to: int | None = None
        """Stream limit announced for the moment, in the place of the session's."""
        self._last_stream = frames.LAST_STREAM
        self._knows_goaway = False
        self._is_over = False
        self._is_dying = False
        """This is the last that is said."""
        self._is_dead = False
        """It reads, and that is all."""
        self._sending = trio.Lock()
        self._out = b""
        self._idle = trio.CancelScope()
        self._refreshed = trio.Event()
        self._goaway_due = trio.Event()
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
        self._out += self._announced.first
        if self._limits.connection_window > WINDOW:
            self._h2.increment_flow_control_window(self._limits.connection_window - WINDOW)
        await self._flush()
        self._is_dead = self._ends.plays_dead()
        async with trio.open_nursery() as nursery:
            for task in (self._end_when_idle, self._change_settings, self._raise_window, self._leave_in_time):
                nursery.start_soon(task)
            while not self._is_over and (data := await self._read()):
                if not self._is_dead:
                    self._take(data, nursery)
                await self._flush()
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
            self._out += self._h2.data_to_send()
            if self._is_over or self._is_dead:
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
                self._out += self._h2.data_to_send() + self._answers.reset(event.stream_id)
                self._forget(event.stream_id)
            case h2.events.SettingsAcknowledged():
                self._acknowledged()
            case h2.events.PingAckReceived() if event.ping_data == _AFTER_GOAWAY:
                self._knows_goaway = True
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
        if stream > self._last_stream:
            if self._knows_goaway:
                self._service.journal.violate("stream_after_goaway")
            self._forget(stream)
            if self._ends.excludes():
                self._goaway_due.set()
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
        if self._faults.dance and self._held_to is not None and len(self._open) >= self._held_to:
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
            self._leave(stream, nursery)
        self._is_dying = self._is_dying or self._ends.plays_dead()
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
            await self._flush()
            await trio.sleep(body_delay)
        if stream in self._open:
            self._give(stream, reply)
        await self._flush()
        if self._is_over:
            self.scope.cancel()

    def _answer(self, stream: int, reply: Reply) -> None:
        """The head of an answer, which is all of it if there is no body."""
        self._strikes.forgive()
        before = self._out + self._h2.data_to_send()
        more = self._answers.head(stream, reply, self._faults.oddities())
        head = self._h2.data_to_send()
        if self._faults.drops(DropAt.HEAD):
            self._out = before + head[: len(head) // 2]
            self._drop()
            return
        self._out = before + head + more
        self._ends.settled(stream, was_told=True)
        if not reply.body:
            self._forget(stream)
        elif self._faults.drops(DropAt.BODY):
            self._drop()
            return
        self._dance(reply.status)
        if self._ends.is_overdrawn(reply.errors):
            self._is_over = True
        if reply.farewell is not None:
            self._say_goaway(0, reply.farewell)

    def _dance(self, status: int) -> None:
        """What an answer changes about the stream limit."""
        if self._faults.dance and 400 <= status < 500:
            self._held_to = 1
        elif status == 200 or not self._faults.dance:
            self._held_to = None
        limit = self._session.streams if self._held_to is None else self._held_to
        if limit > self._announced.now[STREAMS] or self._held_to is not None:
            self._announce({STREAMS: limit})

    def _give(self, stream: int, reply: Reply) -> None:
        """The body; nothing if there is none."""
        if reply.body and not self._is_over:
            self._given(self._answers.body(stream, reply.body))

    def _given(self, streams: list[int]) -> None:
        for stream in streams:
            self._forget(stream)

    # --- what is announced

    def _injected(self) -> dict[int, int]:
        """SETTINGS in the place of the service's."""
        faults = self._faults
        given = {h2_settings.WINDOW: faults.initial_window, h2_settings.TABLE_SIZE: faults.table_size}
        return {key: value for key, value in given.items() if value is not None}

    def _announce(self, changes: Mapping[int, int]) -> None:
        self._out += self._h2.data_to_send() + self._announced.announce(changes)

    async def announce(self, streams: int) -> None:
        self._announce({STREAMS: streams})
        await self._tell()

    async def announce_settings(self, settings: Mapping[int, int]) -> None:
        """Any, by number; until something else is announced."""
        self._announce(settings)
        await self._tell()

    async def refresh(self) -> None:
        """The injections have changed: what they say about windows and tables holds from now on."""
        if not self._faults.withhold_window:
            owed, self._owed = self._owed, {}
            for stream, size in owed.items():
                self._h2.acknowledge_received_data(size, stream)
        self._announce(self._usual())
        self._mind_idleness()
        event, self._refreshed = self._refreshed, trio.Event()
        event.set()
        await self._tell()

    def _usual(self) -> dict[int, int]:
        """What holds when nothing else does. Whoever was told nothing has HTTP/2's defaults."""
        usual = {h2_settings.TABLE_SIZE: 4096, h2_settings.WINDOW: WINDOW, **self._limits.settings, **self._injected()}
        known = self._announced.now
        kept = {key: value for key, value in usual.items() if key in known or key in self._injected()}
        return kept if self._held_to is not None else {**kept, STREAMS: self._session.streams}

    async def _change_settings(self) -> None:
        """Something else at random times, for a while; then the usual again."""
        while True:
            every, refreshed = self._faults.settings_every, self._refreshed
            if every is None:
                await refreshed.wait()
                continue
            await trio.sleep(self._faults.rng.expovariate(1 / every))
            change = h2_settings.at_random(self._faults.rng, self._session.streams)
            self._held_to = change.get(STREAMS, self._held_to)
            await self.announce_settings(change)
            await trio.sleep(_CHANGED_FOR * self._faults.rng.random())
            self._held_to = None
            await self.announce_settings(self._usual())

    async def _raise_window(self) -> None:
        after = self._faults.window_raised_after
        if after is not None:
            await trio.sleep(after)
            await self.announce_settings({h2_settings.WINDOW: self._limits.stream_window})

    # --- the end

    async def _end_when_idle(self) -> None:
        self._mind_idleness()
        with self._idle:
            await trio.sleep_forever()
        if self._faults.idle_goaway:
            self._end(0, self._limits.idle_debug)
        self._ends.is_clean = True
        await self._flush()
        self.scope.cancel()

    def _mind_idleness(self) -> None:
        idle = self._limits.idle if self._faults.idle is None else self._faults.idle
        self._idle.deadline = math.inf if self._open else trio.current_time() + idle

    def _end(self, code: int, debug: bytes = b"", last_stream: int | None = None) -> None:
        last = self._h2.highest_inbound_stream_id if last_stream is None else last_stream
        self._out += self._h2.data_to_send() + frames.goaway(last, debug, code)
        self._is_over = True

    def _drop(self) -> None:
        """End without a word; what is written goes out before, if it is to be a FIN."""
        self._is_over = True
        if self._faults.drop_how is DropHow.RESET:
            reset_at_close(self._stream)

    async def _leave_in_time(self) -> None:
        lifetime = self._faults.goaway_lifetime
        if lifetime is not None:
            await trio.sleep(lifetime)
            await self._leave_soon(self._h2.highest_inbound_stream_id)

    def _leave(self, stream: int, nursery: trio.Nursery) -> None:
        """GOAWAY, as it is injected, with this one as the last stream."""
        if self._faults.goaway_graceful or self._faults.goaway_unprocessed:
            nursery.start_soon(self._leave_soon, stream)
            if not self._faults.goaway_graceful:
                self._last_stream = stream  # what comes behind it is not processed from now on
        else:
            self._say_goaway(*self._faults.farewell)

    async def _leave_soon(self, stream: int) -> None:
        """Two GOAWAYs, the first of which excludes nothing; or one that comes after what it excludes."""
        code, debug = self._faults.farewell
        if self._faults.goaway_graceful:
            self._out += self._h2.data_to_send() + frames.goaway(frames.LAST_STREAM, debug)
            await self._tell()
            await trio.sleep(_HELD)
            stream = self._h2.highest_inbound_stream_id
        else:
            self._last_stream = stream
            with trio.move_on_after(_HELD if self._faults.goaway_unprocessed else 0):
                await self._goaway_due.wait()
        self._say_goaway(code, debug, stream)
        await self._tell()

    async def goaway(self, debug: bytes, *, graceful: bool, code: int) -> None:
        if graceful:
            self._out += frames.goaway(frames.LAST_STREAM, debug)
            await self._tell()
        self._say_goaway(code, debug)
        await self._tell()

    def _say_goaway(self, code: int, debug: bytes, last: int | None = None) -> None:
        """With the last stream there was; the PING tells when the client knows."""
        self._last_stream = self._h2.highest_inbound_stream_id if last is None else last
        named = self._faults.goaway_last_stream
        shown = self._last_stream if named is None else named
        farewell = frames.goaway(shown, debug, code) + frames.ping(_AFTER_GOAWAY)
        self._out += self._h2.data_to_send() + farewell
        self._ends.disowned(shown)
        self._is_dying = self._is_dying or self._faults.goaway_silence

    async def _tell(self) -> None:
        """Send what is to be said from outside of the connection's own task, which will notice if it is broken."""
        try:
            await self._flush()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass

    async def _flush(self) -> None:
        out, self._out = self._out + self._h2.data_to_send(), b""
        if self._is_dead:
            return
        self._is_dead = self._is_dying
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
