"""Frames as a server's bytes, written with `struct` alone: the wire's own writer must not vouch for its own reader."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Final, NamedTuple

DATA: Final = 0
HEADERS: Final = 1
PRIORITY: Final = 2
RST_STREAM: Final = 3
SETTINGS: Final = 4
PUSH_PROMISE: Final = 5
PING: Final = 6
GOAWAY: Final = 7
WINDOW_UPDATE: Final = 8
CONTINUATION: Final = 9

END_STREAM: Final = 0x01
ACK: Final = 0x01
END_HEADERS: Final = 0x04
PADDED: Final = 0x08
PRIORITIZED: Final = 0x20
WHOLE: Final = END_STREAM | END_HEADERS
"""An answer in one frame."""

TABLE: Final = 1
PUSH: Final = 2
STREAMS: Final = 3
WINDOW: Final = 4
FRAME_SIZE: Final = 5

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
GRACEFUL: Final = 2**31 - 1

OK: Final = b"\x88"
"""`:status 200`, one byte."""
OK_OBEDIENT: Final = b"\x20\x88"
"""The same as the first block of a peer that has taken our table size 0 to heart."""


class Frame(NamedTuple):
    kind: int
    flags: int
    stream: int
    payload: bytes


def frame(kind: int, flags: int = 0, stream: int = 0, payload: bytes = b"", *, length: int | None = None) -> bytes:
    """One frame; `length` for one that lies about it."""
    size = len(payload) if length is None else length
    return struct.pack(">BHBBI", size >> 16, size & 0xFFFF, kind, flags, stream) + payload


def settings(values: Mapping[int, int]) -> bytes:
    return settings_in_order(*values.items())


def settings_in_order(*pairs: tuple[int, int]) -> bytes:
    """SETTINGS that may name one twice; they are to be processed in their order (RFC 9113, 6.5.3)."""
    return frame(SETTINGS, payload=b"".join(struct.pack(">HI", *pair) for pair in pairs))


def ping(payload: bytes = b"mornings", flags: int = 0) -> bytes:
    return frame(PING, flags, 0, payload)


def goaway(last: int, code: int = 0, debug: bytes = b"") -> bytes:
    return frame(GOAWAY, payload=struct.pack(">II", last, code) + debug)


def window_update(stream: int, increment: int) -> bytes:
    return frame(WINDOW_UPDATE, 0, stream, struct.pack(">I", increment))


def rst(stream: int, code: int) -> bytes:
    return frame(RST_STREAM, 0, stream, struct.pack(">I", code))


def headers(stream: int, block: bytes, flags: int = WHOLE) -> bytes:
    return frame(HEADERS, flags, stream, block)


def continuation(stream: int, block: bytes, flags: int = END_HEADERS) -> bytes:
    return frame(CONTINUATION, flags, stream, block)


def data(stream: int, body: bytes, flags: int = END_STREAM) -> bytes:
    return frame(DATA, flags, stream, body)


def status(code: int) -> bytes:
    """A block that says so without any table: a literal without indexing under name 8."""
    return b"\x08\x03%d" % code


def split(sent: bytes) -> list[Frame]:
    """The frames in `sent`, which must be whole."""
    found, position = [], 0
    while position < len(sent):
        high, low, kind, flags, stream = struct.unpack_from(">BHBBI", sent, position)
        position += 9
        end = position + (high << 16 | low)
        assert end <= len(sent), "a frame is cut"
        found.append(Frame(kind, flags, stream, sent[position:end]))
        position = end
    return found
