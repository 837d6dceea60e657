"""An HTTP/2 server that does what a test tells it, right or wrong, and checks nothing.

The fake APNs behaves as Apple does; this one is for what no good server does: no SETTINGS, a GOAWAY that disowns
requests, refused streams, no window. Frames by hyperframe, so that it can disagree with our wire.

    peer = Peer(reply)                       # `reply` is called for each request
    async with world(serve={"ios": peer.serve}) as w: …
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

import hpack
import trio
from hyperframe.frame import (
    DataFrame,
    Frame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
REFUSED: Final = 7
CANCEL: Final = 8


@dataclass(frozen=True, slots=True)
class Arrival:
    """One request, as it came."""

    at: float
    """By trio's clock."""
    talk: int
    """Number of the connection, from 0."""
    stream: int
    token: str


class Talk:
    """One connection."""

    def __init__(self, stream: trio.abc.Stream, number: int) -> None:
        self._stream = stream
        self._sending = trio.Lock()
        self.number = number
        self.began = trio.current_time()
        self.ended: float | None = None
        """When the client was gone."""
        self.streams: list[int] = []
        self.cancelled: list[int] = []
        """Streams the client has reset."""
        self.pings = 0
        self.acknowledged = 0
        """SETTINGS the client has acknowledged."""
        self._encoder = hpack.Encoder()
        self._encoder.header_table_size = 0
        self._decoder = hpack.Decoder()

    async def send(self, *frames: Frame) -> None:
        async with self._sending:
            await self._stream.send_all(b"".join(frame.serialize() for frame in frames))

    async def settings(self, **values: int) -> None:
        """`streams`, `window`: what the client may do."""
        codes = {"streams": SettingsFrame.MAX_CONCURRENT_STREAMS, "window": SettingsFrame.INITIAL_WINDOW_SIZE}
        await self.send(SettingsFrame(0, settings={codes[name]: value for name, value in values.items()}))

    async def answer(self, *streams: int, status: int = 200, body: bytes = b"") -> None:
        frames: list[Frame] = []
        for stream in streams:
            headers = HeadersFrame(stream, flags=["END_HEADERS"] if body else ["END_HEADERS", "END_STREAM"])
            headers.data = self._encoder.encode([(":status", str(status))], huffman=False)
            frames += [headers, *([DataFrame(stream, body, flags=["END_STREAM"])] if body else [])]
        await self.send(*frames)

    async def reset(self, stream: int, code: int) -> None:
        await self.send(RstStreamFrame(stream, error_code=code))

    async def goaway(self, last_stream: int, code: int = 0) -> None:
        await self.send(GoAwayFrame(0, last_stream_id=last_stream, error_code=code))

    async def window(self, octets: int) -> None:
        await self.send(WindowUpdateFrame(0, window_increment=octets))

    async def close(self) -> None:
        await trio.aclose_forcefully(self._stream)


Reply = Callable[[Talk, Arrival], Awaitable[None]]


async def accept(talk: Talk, arrival: Arrival) -> None:
    await talk.answer(arrival.stream)


async def ignore(_talk: Talk, _arrival: Arrival) -> None:
    """Never answer."""


class Peer:
    """The server. `greets`: sends SETTINGS at the start; `acknowledges_pings`: answers a PING."""

    def __init__(
        self, reply: Reply = accept, *, greets: bool = True, streams: int = 1000, acknowledges_pings: bool = True
    ) -> None:
        self.reply = reply
        self.greets = greets
        self.streams = streams
        self.acknowledges_pings = acknowledges_pings
        self.talks: list[Talk] = []
        self.arrivals: list[Arrival] = []

    @property
    def open_talks(self) -> list[Talk]:
        return [talk for talk in self.talks if talk.ended is None]

    async def serve(self, stream: trio.abc.Stream) -> None:
        talk = Talk(stream, len(self.talks))
        self.talks.append(talk)
        try:
            if self.greets:
                await talk.settings(streams=self.streams)
            await self._listen(talk, stream)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        finally:
            talk.ended = trio.current_time()
            await trio.aclose_forcefully(stream)

    async def _listen(self, talk: Talk, stream: trio.abc.Stream) -> None:
        buffer, preface = b"", len(PREFACE)
        while data := await stream.receive_some():
            buffer += data
            if preface and len(buffer) >= preface:
                assert buffer.startswith(PREFACE)
                buffer, preface = buffer[preface:], 0
            while not preface and len(buffer) >= 9:
                frame, length = Frame.parse_frame_header(memoryview(buffer[:9]))
                if len(buffer) < 9 + length:
                    break
                frame.parse_body(memoryview(buffer[9 : 9 + length]))
                buffer = buffer[9 + length :]
                await self._take(talk, frame)

    async def _take(self, talk: Talk, frame: Frame) -> None:
        if isinstance(frame, HeadersFrame):
            headers = dict(talk._decoder.decode(frame.data, raw=True))
            token = bytes(headers[b":path"]).decode().removeprefix("/3/device/")
            arrival = Arrival(trio.current_time(), talk.number, frame.stream_id, token)
            talk.streams.append(frame.stream_id)
            self.arrivals.append(arrival)
            await self.reply(talk, arrival)
        elif isinstance(frame, SettingsFrame) and "ACK" in frame.flags:
            talk.acknowledged += 1
        elif isinstance(frame, SettingsFrame):
            await talk.send(SettingsFrame(0, flags=["ACK"]))
        elif isinstance(frame, PingFrame) and "ACK" not in frame.flags:
            talk.pings += 1
            if self.acknowledges_pings:
                await talk.send(PingFrame(0, frame.opaque_data, flags=["ACK"]))
        elif isinstance(frame, RstStreamFrame):
            talk.cancelled.append(frame.stream_id)
