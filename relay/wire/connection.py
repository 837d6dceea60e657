"""One HTTP/2 connection of a client that sends identical requests. Sans-IO: bytes in, bytes and lists out.

    initiate() ─▶ bytes            once, first
    take(requests) ─▶ (n, bytes)   as many whole requests as fit into one write, the windows and the stream limit
    receive(bytes) ─▶ Received     answers by tag; frames may be split anywhere
    control() ─▶ bytes             acknowledgements and resets due; after every receive, and before take: what we have
                                   cancelled is closed for the peer only when it has our reset

Law: a request is written whole, headers and body, or not at all, so a stream never waits for window; nothing is opened
beyond the peer's limit, not even for a moment (rule 8), and nothing before its SETTINGS (rule 9). The hot path is a
request of four concatenations and an answer of one dict lookup; everything else goes through `_frame`: what concerns a
stream to streams.py, which keeps what has become of each request, and what concerns the connection to the table below.
What a peer can make us keep is bounded: one frame, one block, 4 KiB of an error body per open stream.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from relay.wire import frames, payloads
from relay.wire.answers import GoAway, Received
from relay.wire.errors import ErrorCode, WireError
from relay.wire.hpack_trust import STATUS_200, BlockReader, OriginTrust
from relay.wire.streams import HANDLERS, Partial, Streams
from relay.wire.template import DEFAULT_TABLE, BlockWriter, Request, Template

WRITE: Final = 16_384
"""Largest write, in bytes of plain text: one TLS record (rule 14: Tomcat loses sync on frames across records)."""
OWN_STREAMS: Final = 1_000
"""Streams we open at most, whatever the peer allows."""
DEBUG_KEPT: Final = 1_024
CALM: Final = 10_000
"""Frames in a row that belong to no answer, after which the peer is taken for hostile."""
REFILL: Final = 2**24
"""Bytes received before the connection window is refilled (rule 1: many small updates are punished)."""
CANCELS: Final = 100
"""Resets we send on one connection (rule 16: servers end connections that cancel much)."""
_NOT_OPEN: Final = object()


class Connection:
    """State of one connection. Not thread-safe; every method is synchronous."""

    def __init__(self, template: Template, *, trust: OriginTrust | None = None, streams: int = OWN_STREAMS) -> None:
        self._template = template
        self._streams = Streams(BlockReader(trust or OriginTrust()))
        self._writer: BlockWriter | None = None
        self._own_streams = streams
        self._peer_streams = streams
        self._proven = False
        """An answer has come; until then one stream only (Apple, token authentication)."""
        self._credit = frames.FIRST_WINDOW
        self._has_window = True
        """False when the last request did not fit into the peer's windows; until the peer enlarges one."""
        self._stream_window = frames.FIRST_WINDOW
        self._buffer = b""
        self._out: list[bytes] = []
        self._consumed = 0
        self._restless = 0
        self._cancelled = 0
        self._last_allowed = frames.LAST_STREAM
        self._began = False
        self.going_away = False
        self.closed = False

    # --- out

    def initiate(self) -> bytes:
        """Preface, SETTINGS, and windows so large that bodies of answers never stall (rule 1)."""
        self._began = True
        return (
            frames.PREFACE
            + frames.settings(
                {
                    frames.HEADER_TABLE_SIZE: 0,
                    frames.ENABLE_PUSH: 0,
                    frames.INITIAL_WINDOW_SIZE: frames.LARGEST_WINDOW,
                }
            )
            + frames.window_update(0, frames.LARGEST_WINDOW - frames.FIRST_WINDOW)
        )

    @property
    def open_streams(self) -> int:
        return len(self._streams.open) + len(self._streams.partial)

    @property
    def is_ready(self) -> bool:
        """The peer's SETTINGS have come."""
        return self._writer is not None

    @property
    def is_starved(self) -> bool:
        """Nothing can be sent, and no answer changes that: no window for a request, or no stream number is left."""
        return not self._has_window or self._streams.next > frames.LAST_STREAM

    def oldest(self) -> list[object]:
        """Tags of the two requests that have waited longest: for their answer's headers, and for its end."""
        return self._streams.oldest()

    def waiting(self) -> list[object]:
        """Tags of all requests without a complete answer."""
        return self._streams.waiting()

    def room(self) -> int:
        """How many requests may be opened now, flow control aside."""
        if self._writer is None or not self._has_window or self.going_away or self.closed:
            return 0
        limit = min(self._peer_streams, self._own_streams) if self._proven else min(self._peer_streams, 1)
        streams = self._streams
        unused = (frames.LAST_STREAM + 2 - streams.next) // 2
        return max(0, min(limit - len(streams.open) - len(streams.partial), unused))

    def take(self, requests: Sequence[Request]) -> tuple[int, bytes]:
        """Open as many of `requests`, in order, as fit into one write; return their number and its bytes.

        Only the first block of a write can change the state of the compression, so a later one that turns out too long
        for this write is thrown away and encoded again in the next.
        """
        room = self.room()
        if not room or self._writer is None:
            return 0, b""
        block_of, open_, credit, window = self._writer.block, self._streams.open, self._credit, self._stream_window
        first = stream = self._streams.next
        size = 0
        parts: list[bytes] = []
        for request in requests[:room]:
            tag, _path, _varying, body = request
            length = len(body)
            if length > credit or length > window:
                self._has_window = stream != first
                break
            block = block_of(request)
            size += len(block) + length + 18
            if size > WRITE:
                if stream == first:
                    raise ValueError("a request larger than one write")
                break
            identifier = stream.to_bytes(4, "big")
            parts += (
                len(block).to_bytes(3, "big"), b"\x01\x04", identifier, block,
                length.to_bytes(3, "big"), b"\x00\x01", identifier, body,
            )  # fmt: skip
            open_[stream] = tag
            stream += 2
            credit -= length
        self._streams.next, self._credit = stream, credit
        return (stream - first) // 2, b"".join(parts)

    def control(self) -> bytes:
        """Acknowledgements, window updates and resets that are due."""
        if not self._out:
            return b""
        out, self._out = b"".join(self._out), []
        return out

    def ping(self, payload: bytes) -> None:
        """Queue a PING (8 bytes); `Received.ping_acknowledged` tells of the answer."""
        self._out.append(frames.frame(frames.PING, 0, 0, payload))

    def cancel(self, tags: Iterable[object]) -> Received | None:
        """Reset the streams of these tags. None: too many; drop the connection.

        Where headers have come they are the answer (rule 6); where not, the outcome is unknown.
        """
        streams = self._streams.of(tags)
        self._cancelled += len(streams)
        if self._cancelled > CANCELS:
            return None
        self._out += [frames.rst_stream(stream, ErrorCode.CANCEL) for stream in streams]
        return self._streams.give_up(streams)

    def close(self, code: ErrorCode = ErrorCode.NO_ERROR) -> bytes:
        """Our GOAWAY; nothing may be opened any more. Nothing before our preface, which a peer needs to hear first."""
        self.closed = True
        return frames.goaway(0, code) if self._began else b""

    def cut(self) -> Received:
        """The connection is gone. Where headers have come they are the answer (rule 6), with the body there was."""
        self.closed = True
        return self._streams.cut()

    def lost(self) -> list[object]:
        """The connection is gone: tags of all streams without a complete answer, outcome unknown."""
        self.closed = True
        return self._streams.lost()

    # --- in

    def receive(self, data: bytes) -> Received:
        """Take bytes from the peer. Raises WireError, with what was learned until then, when it breaks the protocol."""
        received = Received()
        try:
            self._walk(self._buffer + data if self._buffer else data, received)
        except WireError as error:
            error.received = received
            raise
        if received.accepted or received.answers:
            self._proven = True
            self._restless = len(self._out)  # what we owe and cannot get rid of still counts
        return received

    def _walk(self, data: bytes, received: Received) -> None:
        """Handle all whole frames; keep the rest."""
        streams = self._streams
        accepted, open_, partial, reader = received.accepted, streams.open, streams.partial, streams.reader
        position, end_of_data = 0, len(data)
        while end_of_data - position >= 9:
            length = data[position] << 16 | data[position + 1] << 8 | data[position + 2]
            if length > frames.OUR_FRAME_SIZE:
                raise WireError(ErrorCode.FRAME_SIZE_ERROR, "a frame is larger than we announced")
            end = position + 9 + length
            if end > end_of_data:
                break
            flags = data[position + 4]
            if (
                data[position + 3] == frames.HEADERS
                and length
                and data[position + 9] == STATUS_200
                and reader.trusts
                and flags & 0x2C == frames.END_HEADERS
                and streams.block is None
            ):
                stream = int.from_bytes(data[position + 5 : position + 9], "big")
                tag = open_.pop(stream, _NOT_OPEN)
                if tag is not _NOT_OPEN:
                    accepted.append(tag)
                    if not flags & frames.END_STREAM:
                        partial[stream] = Partial(tag, 200, (), answer=False)
                    position = end
                    continue
            self._frame(
                data[position + 3],
                flags,
                int.from_bytes(data[position + 5 : position + 9], "big") & frames.LAST_STREAM,
                data[position + 9 : end],
                received,
            )
            position = end
        self._buffer = data[position:]

    def _frame(self, kind: int, flags: int, stream: int, payload: bytes, received: Received) -> None:
        self._restless += 1
        if self._restless > CALM:
            raise WireError(ErrorCode.ENHANCE_YOUR_CALM, "a flood of frames without an answer")
        streams = self._streams
        if streams.block is not None and (kind != frames.CONTINUATION or stream != streams.block[0]):
            raise WireError(ErrorCode.PROTOCOL_ERROR, "a header block is interrupted")
        if self._writer is None and kind != frames.SETTINGS:
            raise WireError(ErrorCode.PROTOCOL_ERROR, "the first frame is not SETTINGS")
        if (of_stream := HANDLERS.get(kind)) is not None:
            streams.check_opened(stream)
            if kind == frames.DATA:
                self._consume(len(payload))
            of_stream(streams, flags, stream, payload, received)
        elif (of_connection := _HANDLERS.get(kind)) is not None:  # unknown types are ignored (RFC 9113, 4.1)
            if stream and kind != frames.WINDOW_UPDATE:
                raise WireError(ErrorCode.PROTOCOL_ERROR, "a frame of the connection on a stream")
            of_connection(self, flags, stream, payload, received)

    def _consume(self, size: int) -> None:
        """DATA uses up our window, whosever it is."""
        self._consumed += size
        if self._consumed >= REFILL:
            self._out.append(frames.window_update(0, self._consumed))
            self._consumed = 0

    def _on_settings(self, flags: int, _stream: int, payload: bytes, _received: Received) -> None:
        if flags & frames.ACK:
            if payload:
                raise WireError(ErrorCode.FRAME_SIZE_ERROR, "an acknowledgement with content")
            return
        pairs = payloads.settings(payload)
        values = dict(pairs)  # of one that comes twice the last counts; but a table that was smaller has lost entries
        self._peer_streams = values.get(frames.MAX_CONCURRENT_STREAMS, self._peer_streams)
        self._stream_window = values.get(frames.INITIAL_WINDOW_SIZE, self._stream_window)
        self._has_window = True
        table = min((value for key, value in pairs if key == frames.HEADER_TABLE_SIZE), default=DEFAULT_TABLE)
        if self._writer is None:
            self._writer = BlockWriter(self._template, table)
        else:
            self._writer.resize(table)
        self._out.append(frames.frame(frames.SETTINGS, frames.ACK, 0))

    def _on_ping(self, flags: int, _stream: int, payload: bytes, received: Received) -> None:
        opaque = payloads.ping(payload)
        if flags & frames.ACK:
            received.ping_acknowledged = True
        else:
            self._out.append(frames.frame(frames.PING, frames.ACK, 0, opaque))

    def _on_goaway(self, _flags: int, _stream: int, payload: bytes, received: Received) -> None:
        """Open nothing more, from the first one on (rule 11); what is above the last stream was never processed."""
        last, code, debug = payloads.goaway(payload)
        self.going_away = True
        self._last_allowed = min(self._last_allowed, last)
        received.goaway = GoAway(code, self._last_allowed, debug[:DEBUG_KEPT])
        self._streams.disown(self._last_allowed, received)

    def _on_window_update(self, _flags: int, stream: int, payload: bytes, _received: Received) -> None:
        increment = payloads.increment(payload)
        if stream:
            self._streams.check_opened(stream)
            return  # our streams are written whole: their windows do not matter any more
        self._has_window = True
        self._credit += increment
        if self._credit > frames.LARGEST_WINDOW:
            raise WireError(ErrorCode.FLOW_CONTROL_ERROR, "a window beyond 2^31-1")

    def _on_push(self, _flags: int, _stream: int, _payload: bytes, _received: Received) -> None:
        raise WireError(ErrorCode.PROTOCOL_ERROR, "PUSH_PROMISE, which we switched off")


_HANDLERS: Final[dict[int, Callable[[Connection, int, int, bytes, Received], None]]] = {
    frames.SETTINGS: Connection._on_settings,
    frames.PUSH_PROMISE: Connection._on_push,
    frames.PING: Connection._on_ping,
    frames.GOAWAY: Connection._on_goaway,
    frames.WINDOW_UPDATE: Connection._on_window_update,
}
