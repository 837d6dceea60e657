"""The streams of one connection: what has become of each request, from its HEADERS to the end of its answer.

    open ──headers of an answer──▶ partial ──its end, or a reset──▶ told, and forgotten
      └──reset, GOAWAY──▶ told: refused and above the last stream is "unprocessed", all else "unknown"

The verdict is the status when the headers are complete (rule 6): a 200 is told at once, everything else with its body.
What comes for a stream that is forgotten is read, for the sake of the compression, and means nothing (rule 7).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import islice
from typing import Final

from relay.wire import frames, payloads
from relay.wire.answers import Answer, Received
from relay.wire.errors import ErrorCode, WireError
from relay.wire.hpack_trust import BlockReader, Headers

BODY_KEPT: Final = 4_096
BLOCK_KEPT: Final = 65_536
LAST_CODE: Final = 13
"""Highest error code of RFC 9113. Reasons become labels of metrics: a peer must not invent them."""
_ZERO: Final = 0x30


class Partial:
    """An answer that is not complete yet. 200s have no body worth keeping: `answer` is False."""

    __slots__ = ("answer", "body", "headers", "status", "tag")

    def __init__(self, tag: object, status: int, headers: Headers, *, answer: bool) -> None:
        self.tag = tag
        self.status = status
        self.headers = headers
        self.body = bytearray()
        self.answer = answer


class Streams:
    """Handlers of frames take (flags, stream, payload, received) and raise WireError."""

    __slots__ = ("block", "next", "open", "partial", "reader")

    def __init__(self, reader: BlockReader) -> None:
        self.reader = reader
        self.next = 1
        """The first number that is not used yet."""
        self.open: dict[int, object] = {}
        """Streams without answer headers, by id → tag."""
        self.partial: dict[int, Partial] = {}
        self.block: tuple[int, int, bytearray] | None = None
        """(stream, flags, bytes) of a header block that awaits CONTINUATION."""

    # --- frames

    def check_opened(self, stream: int) -> None:
        if stream % 2 == 0 or stream >= self.next:
            raise WireError(ErrorCode.PROTOCOL_ERROR, "a frame on a stream that was never opened")

    def on_headers(self, flags: int, stream: int, payload: bytes, received: Received) -> None:
        block = payloads.header_block(flags, payload)
        if flags & frames.END_HEADERS:
            self._on_block(flags, stream, block, received)
        else:
            self.block = (stream, flags, bytearray(block))

    def on_continuation(self, flags: int, stream: int, payload: bytes, received: Received) -> None:
        if self.block is None:
            raise WireError(ErrorCode.PROTOCOL_ERROR, "CONTINUATION without HEADERS")
        _, first_flags, block = self.block
        block += payload
        if len(block) > BLOCK_KEPT:
            raise WireError(ErrorCode.ENHANCE_YOUR_CALM, "a header block without end")
        if flags & frames.END_HEADERS:
            self.block = None
            self._on_block(first_flags, stream, bytes(block), received)

    def _on_block(self, flags: int, stream: int, block: bytes, received: Received) -> None:
        """A whole header block: an answer, an interim one, or trailers (rule 5)."""
        headers = self.reader.read(block)
        ends = bool(flags & frames.END_STREAM)
        if stream in self.partial:
            if not ends:
                raise WireError(ErrorCode.PROTOCOL_ERROR, "trailers that do not end the stream")
            self._finish(stream, received)
            return
        if stream not in self.open:
            return  # cancelled by us, or refused and answered all the same
        status = _status(headers)
        if status < 200:
            if ends:
                raise WireError(ErrorCode.PROTOCOL_ERROR, "an interim answer that ends the stream")
            return
        tag = self.open.pop(stream)
        if status == 200:
            received.accepted.append(tag)
        self.partial[stream] = Partial(tag, status, headers, answer=status != 200)
        if ends:
            self._finish(stream, received)

    def on_data(self, flags: int, stream: int, payload: bytes, received: Received) -> None:
        body = payloads.unpadded(flags, payload)
        partial = self.partial.get(stream)
        if partial is None:
            if stream in self.open:
                raise WireError(ErrorCode.PROTOCOL_ERROR, "DATA before HEADERS")
            return
        if partial.answer:
            partial.body += body[: BODY_KEPT - len(partial.body)]
        if flags & frames.END_STREAM:
            self._finish(stream, received)

    def on_reset(self, _flags: int, stream: int, payload: bytes, received: Received) -> None:
        code = payloads.reset_code(payload)
        if stream in self.partial:
            self._finish(stream, received)
        elif stream in self.open:
            tag = self.open.pop(stream)
            if code == ErrorCode.REFUSED_STREAM:
                received.unprocessed.append(tag)
            else:
                received.unknown.append((tag, f"reset_{code}" if code <= LAST_CODE else "reset_other"))

    def _finish(self, stream: int, received: Received) -> None:
        partial = self.partial.pop(stream)
        if partial.answer:
            received.answers.append(Answer(partial.tag, partial.status, bytes(partial.body), partial.headers))

    # --- ends that come from elsewhere

    def disown(self, last: int, received: Received) -> None:
        """GOAWAY: what is above the last stream was never processed."""
        for above in [stream for stream in self.open if stream > last]:
            received.unprocessed.append(self.open.pop(above))

    def of(self, tags: Iterable[object]) -> list[int]:
        """The streams of these tags, the silent ones first. Tags are compared by identity."""
        wanted = {id(tag) for tag in tags}
        silent = [stream for stream, tag in self.open.items() if id(tag) in wanted]
        return silent + [stream for stream, partial in self.partial.items() if id(partial.tag) in wanted]

    def give_up(self, streams: Iterable[int]) -> Received:
        """We cancel them. Where headers have come they are the answer (rule 6); where not, the outcome is unknown."""
        received = Received()
        for stream in streams:
            if stream in self.open:
                received.unknown.append((self.open.pop(stream), "no_answer"))
            else:
                self._finish(stream, received)
        return received

    def cut(self) -> Received:
        """The connection is gone. Where headers have come they are the answer (rule 6), with the body there was."""
        return self.give_up([*self.partial])

    def lost(self) -> list[object]:
        """The connection is gone: tags of all without a complete answer, outcome unknown."""
        tags = [*self.open.values(), *(partial.tag for partial in self.partial.values() if partial.answer)]
        self.open.clear()
        self.partial.clear()
        return tags

    # --- who waits

    def oldest(self) -> list[object]:
        """Tags of the two requests that have waited longest: for their answer's headers, and for its end."""
        found = [*islice(self.open.values(), 1)]
        return found + [partial.tag for partial in islice(self.partial.values(), 1)]

    def waiting(self) -> list[object]:
        """Tags of all requests without a complete answer."""
        return [*self.open.values(), *(partial.tag for partial in self.partial.values())]


HANDLERS: Final[dict[int, Callable[[Streams, int, int, bytes, Received], None]]] = {
    frames.DATA: Streams.on_data,
    frames.HEADERS: Streams.on_headers,
    frames.RST_STREAM: Streams.on_reset,
    frames.CONTINUATION: Streams.on_continuation,
}


def _status(headers: Headers) -> int:
    for name, value in headers:
        if name == b":status" and len(value) == 3 and value.isdigit() and value[0] != _ZERO:
            return int(value)
    raise WireError(ErrorCode.PROTOCOL_ERROR, "an answer without a status")
