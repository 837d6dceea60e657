"""An HTTP/2 client for the simulators that shares nothing with the relay's wire: `h2` over any trio stream.

Frames are split here before `h2` sees them: tests look at SETTINGS and GOAWAY as sent, and `h2` takes a GOAWAY for the
end of everything, although answers to streams below the last one still follow.
"""

from __future__ import annotations

import json
import struct
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import h2.config
import h2.connection
import h2.events
import trio
from h2.settings import SettingCodes, Settings

Fields = Sequence[tuple[str, str]]
PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


class Serves(Protocol):
    async def serve_stream(self, stream: trio.abc.Stream) -> None: ...


@dataclass(slots=True)
class Answer:
    """What came back on one stream."""

    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""
    ended: bool = False
    reset: int | None = None
    """Error code of an RST_STREAM."""
    with_headers: bool = False
    """END_STREAM came on the HEADERS frame."""

    @property
    def status(self) -> int:
        return int(self.value(":status"))

    @property
    def content(self) -> dict[str, Any]:
        content = json.loads(self.body)
        assert isinstance(content, dict)
        return content

    @property
    def verdict(self) -> tuple[int, str]:
        """(status, reason); no reason with 200."""
        return self.status, self.content["reason"] if self.body else ""

    def value(self, name: str) -> str:
        return dict(self.headers)[name]


@dataclass(frozen=True, slots=True)
class Goaway:
    last_stream: int
    code: int
    debug: bytes


class Client:
    """One connection. `start` first; `request` queues, `flush` writes, `pump` reads what is there."""

    def __init__(self, stream: trio.abc.Stream, settings: Mapping[SettingCodes, int] | None = None) -> None:
        config = h2.config.H2Configuration(
            client_side=True,
            header_encoding="utf-8",
            validate_outbound_headers=False,
            normalize_outbound_headers=False,
        )
        self.stream = stream
        self.h2 = h2.connection.H2Connection(config)
        self.h2.local_settings = Settings(client=True, initial_values={SettingCodes.ENABLE_PUSH: 0, **(settings or {})})
        self.answers: dict[int, Answer] = {}
        self.settings: list[dict[int, int]] = []
        """Each SETTINGS frame of the server."""
        self.goaways: list[Goaway] = []
        self.closed = False
        self.is_mute = False
        """Read, but write nothing of its own accord: no acknowledgement of SETTINGS, no window."""
        self._buffer = b""

    async def start(self) -> None:
        """Preface and SETTINGS out, the server's SETTINGS in."""
        self.h2.initiate_connection()
        await self.flush()
        while not self.settings and not self.closed:
            await self.pump()

    def request(self, headers: Fields, body: bytes = b"", *, ended: bool = True) -> int:
        stream = self.h2.get_next_available_stream_id()
        self.answers[stream] = Answer()
        self.h2.send_headers(stream, headers, end_stream=ended and not body)
        if body:
            self.h2.send_data(stream, body, end_stream=ended)
        return stream

    async def ask(self, headers: Fields, body: bytes = b"") -> Answer:
        """Send one request and wait for its answer."""
        stream = self.request(headers, body)
        await self.flush()
        return await self.answer(stream)

    async def answer(self, stream: int) -> Answer:
        """Read until this stream has ended, or the connection has."""
        answer = self.answers[stream]
        while not (answer.ended or answer.reset is not None or self.closed):
            await self.pump()
        return answer

    async def flush(self) -> None:
        await self.send(self.h2.data_to_send())

    async def send(self, data: bytes) -> None:
        if data:
            await self.stream.send_all(data)

    async def pump(self) -> None:
        """Read once; `closed` when there is nothing more."""
        data = await self.stream.receive_some(65_536)
        if not data:
            self.closed = True
            return
        for event in self._receive(bytes(data)):
            self._take(event)
        if not self.is_mute:
            await self.flush()

    async def pump_for(self, seconds: float) -> None:
        """Read until nothing has come for some (virtual) time, or the connection has ended."""
        while not self.closed:
            with trio.move_on_after(seconds) as scope:
                await self.pump()
            if scope.cancelled_caught:
                return

    def allow_streams(self, streams: int) -> None:
        """Make `h2` believe in another stream limit than the server's, to be able to breach it."""
        self.h2.remote_settings.max_concurrent_streams = streams
        self.h2.remote_settings.acknowledge()

    def _receive(self, data: bytes) -> list[h2.events.Event]:
        data = self._buffer + data
        events: list[h2.events.Event] = []
        while len(data) >= 9 and len(data) >= 9 + int.from_bytes(data[:3], "big"):
            end = 9 + int.from_bytes(data[:3], "big")
            kind, flags, payload = data[3], data[4], data[9:end]
            if kind == 7:
                last, code = struct.unpack(">II", payload[:8])
                self.goaways.append(Goaway(last, code, payload[8:]))
            else:
                if kind == 4 and not flags & 1:
                    self.settings.append(dict(struct.iter_unpack(">HI", payload)))
                events += self.h2.receive_data(data[:end])
            data = data[end:]
        self._buffer = data
        return events

    def _take(self, event: h2.events.Event) -> None:
        match event:
            case h2.events.ResponseReceived():
                answer = self.answers[event.stream_id]
                answer.headers = [(str(name), str(value)) for name, value in event.headers]
                answer.with_headers = event.stream_ended is not None
            case h2.events.DataReceived():
                self.answers[event.stream_id].body += event.data
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            case h2.events.StreamEnded():
                self.answers[event.stream_id].ended = True
            case h2.events.StreamReset():
                self.answers[event.stream_id].reset = int(event.error_code)
            case _:
                pass


@asynccontextmanager
async def connected(
    server: Serves, settings: Mapping[SettingCodes, int] | None = None, *, started: bool = True
) -> AsyncIterator[Client]:
    """A client joined to `server` by a pair of streams in memory. The server is awaited at the end."""
    here, there = trio.testing.memory_stream_pair()
    client = Client(here, settings)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(server.serve_stream, there)
        if started:
            await client.start()
        yield client
        await here.aclose()
