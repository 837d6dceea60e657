"""Answers as they leave on one connection: heads, bodies as far as the client's windows go, and what is odd in them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Protocol

from relay.simulators import frames
from relay.simulators.h2_service import Reply
from relay.simulators.injections import Oddity

_PROBE: Final = b"simulate"
_TRAILERS: Final = (("x-simulated", "trailer"),)
Fields = Sequence[tuple[str, str]]


class Writes(Protocol):
    """The part of an `h2` connection that answers need."""

    encoder: Any
    """Of `hpack`."""

    @property
    def max_outbound_frame_size(self) -> int: ...
    def local_flow_control_window(self, stream_id: int) -> int: ...
    def send_headers(self, stream_id: int, headers: Fields, end_stream: bool = ...) -> None: ...
    def send_data(self, stream_id: int, data: bytes, end_stream: bool = ...) -> None: ...


class Answers:
    """Writes them into an `h2` connection. What is returned are bytes that `h2` cannot be made to write."""

    def __init__(self, connection: Writes) -> None:
        self._h2 = connection
        self._waiting: dict[int, bytes] = {}
        """Bodies for which the client has left no window."""
        self._odd: dict[int, frozenset[Oddity]] = {}
        self._late: dict[int, Reply] = {}
        """What was kept back until the client gives up."""

    def keep_back(self, stream: int, reply: Reply) -> None:
        self._late[stream] = reply

    def head(self, stream: int, reply: Reply, odd: frozenset[Oddity]) -> bytes:
        """The head of an answer, which is all of it if there is no body."""
        fields = reply.headers
        if Oddity.NO_ID in odd:
            fields = [pair for pair in fields if pair[0] != "apns-id"]
        if Oddity.INTERIM in odd:
            self._h2.send_headers(stream, [(":status", "103")])
        has_trailers = Oddity.TRAILERS in odd
        self._h2.send_headers(stream, fields, end_stream=not (reply.body or has_trailers))
        if has_trailers and not reply.body:
            self._h2.send_headers(stream, _TRAILERS, end_stream=True)
        if reply.body:
            self._odd[stream] = odd
        return frames.ping(_PROBE) if Oddity.PING in odd else b""

    def body(self, stream: int, body: bytes) -> list[int]:
        """Send it as soon as there is window for it; returns what is complete now."""
        self._waiting[stream] = body
        return self.go_on()

    def go_on(self) -> list[int]:
        """Send the bodies for which there is window; returns their streams."""
        sent = [s for s, body in self._waiting.items() if self._h2.local_flow_control_window(s) >= len(body)]
        for stream in sent:
            if self._h2.local_flow_control_window(stream) < len(self._waiting[stream]):
                continue  # those before it have used up the connection's
            self._send(stream, self._waiting.pop(stream))
        return [stream for stream in sent if stream not in self._waiting]

    def _send(self, stream: int, body: bytes) -> None:
        odd = self._odd.get(stream, frozenset())
        size = 1 if Oddity.SPLIT_BODY in odd else self._h2.max_outbound_frame_size
        has_trailers = Oddity.TRAILERS in odd
        for start in range(0, len(body), size):
            is_last = start + size >= len(body) and not has_trailers
            self._h2.send_data(stream, body[start : start + size], end_stream=is_last)
        if has_trailers:
            self._h2.send_headers(stream, _TRAILERS, end_stream=True)

    def reset(self, stream: int) -> bytes:
        """The client has given up: the answer that was kept back for just that."""
        reply = self._late.pop(stream, None)
        if reply is None:
            return b""
        block: bytes = self._h2.encoder.encode(reply.headers)
        return frames.headers(stream, block, ended=True)

    def forget(self, stream: int) -> None:
        for known in (self._waiting, self._odd, self._late):
            known.pop(stream, None)
