"""HTTP/2 frames for the simulators: a client's bytes cut into them, and those that `h2` cannot be made to write."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from typing import Final

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
LARGEST_FRAME: Final = 16_384
"""Payload in bytes; what every endpoint must take and this one announces (RFC 9113, 4.2)."""
LAST_STREAM: Final = 2**31 - 1
PROTOCOL_ERROR: Final = 1
REFUSED_STREAM: Final = 7
ENHANCE_YOUR_CALM: Final = 11


class Splitter:
    """Cuts bytes into pieces that `h2` can be fed one by one: parts of the preface, then whole frames."""

    def __init__(self) -> None:
        self._buffer = b""
        self._preface = len(PREFACE)
        """Bytes of it still to come."""

    def split(self, data: bytes) -> Iterator[tuple[bytes, bool]]:
        """(piece, whether it is a frame). A frame that is too large is handed on as it comes, for `h2` to refuse."""
        if self._preface and data:
            piece, data = data[: self._preface], data[self._preface :]
            self._preface -= len(piece)
            yield piece, False
        data = self._buffer + data
        position = 0
        while len(data) - position >= 9:
            length = int.from_bytes(data[position : position + 3], "big")
            if length > LARGEST_FRAME:
                yield data[position:], False
                position = len(data)
            elif len(data) - position < 9 + length:
                break
            else:
                yield data[position : position + 9 + length], True
                position += 9 + length
        self._buffer = data[position:]


def settings(values: Mapping[int, int]) -> bytes:
    return _frame(4, b"".join(struct.pack(">HI", key, value) for key, value in values.items()))


def ping(payload: bytes) -> bytes:
    return _frame(6, payload)


def goaway(last_stream: int, debug: bytes = b"", code: int = 0) -> bytes:
    return _frame(7, struct.pack(">II", last_stream, code) + debug)


def headers(stream: int, block: bytes, *, ended: bool) -> bytes:
    """A complete block in one frame."""
    return _frame(1, block, stream, 0x05 if ended else 0x04)


def _frame(kind: int, payload: bytes, stream: int = 0, flags: int = 0) -> bytes:
    """A frame; of the connection, unless a stream is named."""
    return struct.pack(">I", len(payload))[1:] + bytes((kind, flags)) + struct.pack(">I", stream) + payload
