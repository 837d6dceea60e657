"""One HTTP/2 connection of a client that sends identical requests. Sans-IO: bytes in, bytes and lists out.

    initiate() ─▶ bytes            once, first
    take(requests) ─▶ (n, bytes)   as many whole requests as fit into one write, the windows and the stream limit
    receive(bytes) ─▶ Received     answers by tag; frames may be split anywhere
    control() ─▶ bytes             acknowledgements and resets due; after every receive, and before take: what we have
                                   cancelled is closed for the peer only when it has our reset

Law: a request is written whole, headers and body, or not at all, so a stream never waits for window; nothing is opened
beyond the peer's limit, not even for a moment (rule 8), and nothing before its SETTINGS (rule 9). The hot path is a
request of four concatenations and an answer of one dict lookup; everything else goes through `_frame`, a table of frame
types. What a peer can make us keep is bounded: one frame, one block, 4 KiB of an error body per open stream.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import Final

from relay.wire import frames
from relay.wire.answers import Answer, GoAway, Received
from relay.wire.errors import ErrorCode, WireError
from relay.wire.hpack_trust import STATUS_200, BlockReader, Headers, OriginTrust
from relay.wire.template import DEFAULT_TABLE, BlockWriter, Request, Template

WRITE: Final = 16_384
"""Largest write, in bytes of plain text: one TLS record (rule 14: Tomcat loses sync on frames across records)."""
OWN_STREAMS: Final = 1_000
"""Streams we open at most, whatever the peer allows."""
BODY_KEPT: Final = 4_096
BLOCK_KEPT: Final = 65_536
CALM: Final = 10_000
"""Frames in a row that belong to no answer, after which the peer is taken for hostile."""
REFILL: Final = 2**24
"""Bytes received before the connection window is refilled (rule 1: many small updates are punished)."""
CANCELS: Final = 100
"""Resets we send on one connection (rule 16: servers end connections that cancel much)."""
LAST_CODE: Final = 13
"""Highest error code of RFC 9113. Reasons become labels of metrics: a peer must not invent them."""
_NOT_OPEN: Final = object()
_ZERO: Final = 0x30


class _Partial:
    """An answer that is not complete yet. 200s have no body worth keeping: `answer` is False."""

    __slots__ = ("answer", "body", "headers", "status", "tag")

    def __init__(self, tag: object, status: int, headers: Headers, *, answer: bool) -> None:
        self.tag = tag
        self.status = status
        self.headers = headers
        self.body = bytearray()
        self.answer = answer


class Connection:
    """State of one connection. Not thread-safe; every method is synchronous."""

    def __init__(self, template: Template, *, trust: OriginTrust | None = None, streams: int = OWN_STREAMS) -> None:
        self._template = template
        self._reader = BlockReader(trust or OriginTrust())
        self._writer: BlockWriter | None = None
        self._own_streams = streams
        self._peer_streams = streams
        self._proven = False
        """An answer has come; until then one stream only (Apple, token authentication)."""
        self._credit = frames.FIRST_WINDOW
        self._has_window = True
        """False when the last request did not fit into the peer's windows; until the peer enlarges one."""
        self._stream_window = frames.FIRST_WINDOW
        self._next_stream = 1
        self._open: dict[int, object] = {}
        """Streams without answer headers, by id → tag."""
        self._partial: dict[int, _Partial] = {}
        self._buffer = b""
        self._block: tuple[int, int, bytearray] | None = None
        """(stream, flags, bytes) of a header block that awaits CONTINUATION."""
        self._out: list[bytes] = []
        self._consumed = 0
        self._restless = 0
        self._cancelled = 0
        self._last_allowed = frames.LAST_STREAM
        self.going_away = False
        self.closed = False

    # --- out

    def initiate(self) -> bytes:
        """Preface, SETTINGS, and windows so large that bodies of answers never stall (rule 1)."""
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
        return len(self._open) + len(self._partial)

    @property
    def is_ready(self) -> bool:
        """The peer's SETTINGS have come."""
        return self._writer is not None

    @property
    def is_starved(self) -> bool:
        """Nothing can be sent, and no answer changes that: no window for a request, or no stream number is left."""
        return not self._has_window or self._next_stream > frames.LAST_STREAM

    def oldest(self) -> list[object]:
        """Tags of the two requests that have waited longest: for their answer's headers, and for its end."""
        found = [*islice(self._open.values(), 1)]
        return found + [partial.tag for partial in islice(self._partial.values(), 1)]

    def waiting(self) -> list[object]:
        """Tags of all requests without a complete answer."""
        return [*self._open.values(), *(partial.tag for partial in self._partial.values())]

    def room(self) -> int:
        """How many requests may be opened now, flow control aside."""
        if self._writer is None or not self._has_window or self.going_away or self.closed:
            return 0
        limit = min(self._peer_streams, self._own_streams) if self._proven else min(self._peer_streams, 1)
        unused = (frames.LAST_STREAM + 2 - self._next_stream) // 2
        return max(0, min(limit - len(self._open) - len(self._partial), unused))

    def take(self, requests: Sequence[Request]) -> tuple[int, bytes]:
        """Open as many of `requests`, in order, as fit into one write; return their number and its bytes.

        Only the first block of a write can change the state of the compression, so a later one that turns out too long
        for this write is thrown away and encoded again in the next.
        """
        room = self.room()
        if not room or self._writer is None:
            return 0, b""
        block_of, open_, credit, window = self._writer.block, self._open, self._credit, self._stream_window
        stream, size = self._next_stream, 0
        out: list[bytes] = []
        for request in requests[:room]:
            tag, _path, _varying, body = request
            length = len(body)
            if length > credit or length > window:
                self._has_window = bool(out)
                break
            block = block_of(request)
            size += len(block) + length + 18
            if size > WRITE:
                if not out:
                    raise ValueError("a request larger than one write")
                break
            identifier = stream.to_bytes(4, "big")
            out.append(
                len(block).to_bytes(3, "big") + b"\x01\x04" + identifier + block
                + length.to_bytes(3, "big") + b"\x00\x01" + identifier + body
            )  # fmt: skip
            open_[stream] = tag
            stream += 2
            credit -= length
        self._next_stream, self._credit = stream, credit
        return len(out), b"".join(out)

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
        wanted = {id(tag) for tag in tags}
        silent = [stream for stream, tag in self._open.items() if id(tag) in wanted]
        unended = [stream for stream, partial in self._partial.items() if id(partial.tag) in wanted]
        self._cancelled += len(silent) + len(unended)
        if self._cancelled > CANCELS:
            return None
        received = Received()
        received.unknown = [(self._open.pop(stream), "no_answer") for stream in silent]
        for stream in unended:
            self._finish(stream, received)
        self._out += [frames.rst_stream(stream, ErrorCode.CANCEL) for stream in silent + unended]
        return received

    def close(self, code: ErrorCode = ErrorCode.NO_ERROR) -> bytes:
        """Our GOAWAY; nothing may be opened any more."""
        self.closed = True
        return frames.goaway(0, code)

    def cut(self) -> Received:
        """The connection is gone. Where headers have come they are the answer (rule 6), with the body there was."""
        received = Received()
        for stream in [*self._partial]:
            self._finish(stream, received)
        self.closed = True
        return received

    def lost(self) -> list[object]:
        """The connection is gone: tags of all streams without a complete answer, outcome unknown."""
        tags = [*self._open.values(), *(p.tag for p in self._partial.values() if p.answer)]
        self._open.clear()
        self._partial.clear()
        self.closed = True
        return tags

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
        accepted, open_, partial = received.accepted, self._open, self._partial
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
                and self._reader.trusts
                and flags & 0x2C == frames.END_HEADERS
                and self._block is None
            ):
                stream = int.from_bytes(data[position + 5 : position + 9], "big")
                tag = open_.pop(stream, _NOT_OPEN)
                if tag is not _NOT_OPEN:
                    accepted.append(tag)
                    if not flags & frames.END_STREAM:
                        partial[stream] = _Partial(tag, 200, (), answer=False)
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
        if self._block is not None and (kind != frames.CONTINUATION or stream != self._block[0]):
            raise WireError(ErrorCode.PROTOCOL_ERROR, "a header block is interrupted")
        if self._writer is None and kind != frames.SETTINGS:
            raise WireError(ErrorCode.PROTOCOL_ERROR, "the first frame is not SETTINGS")
        handle = _FRAMES.get(kind)
        if handle is not None:  # unknown types are ignored (RFC 9113, 4.1)
            handle(self, flags, stream, payload, received)

    def _on_headers(self, flags: int, stream: int, payload: bytes, received: Received) -> None:
        self._check_opened(stream)
        payload = _unpadded(flags, payload)
        if flags & frames.PRIORITIZED:
            if len(payload) < 5:
                raise WireError(ErrorCode.FRAME_SIZE_ERROR, "HEADERS too short for its priority")
            payload = payload[5:]
        if flags & frames.END_HEADERS:
            self._on_block(flags, stream, payload, received)
        else:
            self._block = (stream, flags, bytearray(payload))

    def _on_continuation(self, flags: int, stream: int, payload: bytes, received: Received) -> None:
        if self._block is None:
            raise WireError(ErrorCode.PROTOCOL_ERROR, "CONTINUATION without HEADERS")
        _, first_flags, block = self._block
        block += payload
        if len(block) > BLOCK_KEPT:
            raise WireError(ErrorCode.ENHANCE_YOUR_CALM, "a header block without end")
        if flags & frames.END_HEADERS:
            self._block = None
            self._on_block(first_flags, stream, bytes(block), received)

    def _on_block(self, flags: int, stream: int, block: bytes, received: Received) -> None:
        """A whole header block: an answer, an interim one, or trailers (rule 5)."""
        headers = self._reader.read(block)
        ends = bool(flags & frames.END_STREAM)
        if stream in self._partial:
            if not ends:
                raise WireError(ErrorCode.PROTOCOL_ERROR, "trailers that do not end the stream")
            self._finish(stream, received)
            return
        if stream not in self._open:
            return  # cancelled by us, or refused and answered all the same
        status = _status(headers)
        if 100 <= status < 200:
            if ends:
                raise WireError(ErrorCode.PROTOCOL_ERROR, "an interim answer that ends the stream")
            return
        tag = self._open.pop(stream)
        if status == 200:
            received.accepted.append(tag)
        self._partial[stream] = _Partial(tag, status, headers, answer=status != 200)
        if ends:
            self._finish(stream, received)

    def _on_data(self, flags: int, stream: int, payload: bytes, received: Received) -> None:
        self._check_opened(stream)
        self._consumed += len(payload)
        if self._consumed >= REFILL:
            self._out.append(frames.window_update(0, self._consumed))
            self._consumed = 0
        body = _unpadded(flags, payload)
        partial = self._partial.get(stream)
        if partial is None:
            if stream in self._open:
                raise WireError(ErrorCode.PROTOCOL_ERROR, "DATA before HEADERS")
            return
        if partial.answer:
            partial.body += body[: BODY_KEPT - len(partial.body)]
        if flags & frames.END_STREAM:
            self._finish(stream, received)

    def _on_rst(self, _flags: int, stream: int, payload: bytes, received: Received) -> None:
        self._check_opened(stream)
        if len(payload) != 4:
            raise WireError(ErrorCode.FRAME_SIZE_ERROR, "RST_STREAM of a wrong length")
        code = int.from_bytes(payload, "big")
        if stream in self._partial:
            self._finish(stream, received)
        elif stream in self._open:
            tag = self._open.pop(stream)
            if code == ErrorCode.REFUSED_STREAM:
                received.unprocessed.append(tag)
            else:
                received.unknown.append((tag, f"reset_{code}" if code <= LAST_CODE else "reset_other"))

    def _finish(self, stream: int, received: Received) -> None:
        partial = self._partial.pop(stream)
        if partial.answer:
            received.answers.append(Answer(partial.tag, partial.status, bytes(partial.body), partial.headers))

    def _on_settings(self, flags: int, stream: int, payload: bytes, _received: Received) -> None:
        if stream:
            raise WireError(ErrorCode.PROTOCOL_ERROR, "SETTINGS on a stream")
        if flags & frames.ACK:
            if payload:
                raise WireError(ErrorCode.FRAME_SIZE_ERROR, "an acknowledgement with content")
            return
        if len(payload) % 6:
            raise WireError(ErrorCode.FRAME_SIZE_ERROR, "SETTINGS of a wrong length")
        pairs = [*struct.iter_unpack(">HI", payload)]
        for key, value in pairs:
            self._check_setting(key, value)
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

    @staticmethod
    def _check_setting(key: int, value: int) -> None:
        if key == frames.ENABLE_PUSH and value:
            raise WireError(ErrorCode.PROTOCOL_ERROR, "a server that wants to be pushed to")
        if key == frames.INITIAL_WINDOW_SIZE and value > frames.LARGEST_WINDOW:
            raise WireError(ErrorCode.FLOW_CONTROL_ERROR, "a window beyond 2^31-1")
        if key == frames.MAX_FRAME_SIZE and not 16_384 <= value < 2**24:
            raise WireError(ErrorCode.PROTOCOL_ERROR, "a frame size out of range")

    def _on_ping(self, flags: int, stream: int, payload: bytes, received: Received) -> None:
        if stream:
            raise WireError(ErrorCode.PROTOCOL_ERROR, "PING on a stream")
        if len(payload) != 8:
            raise WireError(ErrorCode.FRAME_SIZE_ERROR, "PING of a wrong length")
        if flags & frames.ACK:
            received.ping_acknowledged = True
        else:
            self._out.append(frames.frame(frames.PING, frames.ACK, 0, payload))

    def _on_goaway(self, _flags: int, stream: int, payload: bytes, received: Received) -> None:
        """Open nothing more, from the first one on (rule 11); what is above the last stream was never processed."""
        if stream:
            raise WireError(ErrorCode.PROTOCOL_ERROR, "GOAWAY on a stream")
        if len(payload) < 8:
            raise WireError(ErrorCode.FRAME_SIZE_ERROR, "GOAWAY of a wrong length")
        last, code = struct.unpack(">II", payload[:8])
        self.going_away = True
        self._last_allowed = min(self._last_allowed, last & frames.LAST_STREAM)
        received.goaway = GoAway(code, self._last_allowed, payload[8 : 8 + 1024])
        for above in [s for s in self._open if s > self._last_allowed]:
            received.unprocessed.append(self._open.pop(above))

    def _on_window_update(self, _flags: int, stream: int, payload: bytes, _received: Received) -> None:
        if len(payload) != 4:
            raise WireError(ErrorCode.FRAME_SIZE_ERROR, "WINDOW_UPDATE of a wrong length")
        increment = int.from_bytes(payload, "big") & frames.LARGEST_WINDOW
        if not increment:
            raise WireError(ErrorCode.PROTOCOL_ERROR, "WINDOW_UPDATE of nothing")
        if stream:
            self._check_opened(stream)
            return  # our streams are written whole: their windows do not matter any more
        self._has_window = True
        self._credit += increment
        if self._credit > frames.LARGEST_WINDOW:
            raise WireError(ErrorCode.FLOW_CONTROL_ERROR, "a window beyond 2^31-1")

    def _on_push(self, _flags: int, _stream: int, _payload: bytes, _received: Received) -> None:
        raise WireError(ErrorCode.PROTOCOL_ERROR, "PUSH_PROMISE, which we switched off")

    def _check_opened(self, stream: int) -> None:
        if stream % 2 == 0 or stream >= self._next_stream:
            raise WireError(ErrorCode.PROTOCOL_ERROR, "a frame on a stream that was never opened")


_FRAMES: Final[dict[int, Callable[[Connection, int, int, bytes, Received], None]]] = {
    frames.DATA: Connection._on_data,
    frames.HEADERS: Connection._on_headers,
    frames.RST_STREAM: Connection._on_rst,
    frames.SETTINGS: Connection._on_settings,
    frames.PUSH_PROMISE: Connection._on_push,
    frames.PING: Connection._on_ping,
    frames.GOAWAY: Connection._on_goaway,
    frames.WINDOW_UPDATE: Connection._on_window_update,
    frames.CONTINUATION: Connection._on_continuation,
}


def _unpadded(flags: int, payload: bytes) -> bytes:
    if not flags & frames.PADDED:
        return payload
    if not payload or payload[0] >= len(payload):
        raise WireError(ErrorCode.PROTOCOL_ERROR, "more padding than frame")
    return payload[1 : len(payload) - payload[0]]


def _status(headers: Headers) -> int:
    for name, value in headers:
        if name == b":status" and len(value) == 3 and value.isdigit() and value[0] != _ZERO:
            return int(value)
    raise WireError(ErrorCode.PROTOCOL_ERROR, "an answer without a status")
