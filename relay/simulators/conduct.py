"""Reads a client's raw bytes beside `h2`, for what `h2` does not tell: how fields were encoded, which frames came."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_HEADERS, _PRIORITY, _SETTINGS, _PING, _CONTINUATION = 1, 2, 4, 6, 9
_END_HEADERS, _ACK, _PADDED, _PRIORITIZED = 0x04, 0x01, 0x08, 0x20
PINGS_APART: Final = 10.0
"""Seconds that should lie between two PINGs of a client."""


class Conduct:
    """Follows one connection's frames. `violate` is told of breaches; `forms` has the encodings by stream."""

    def __init__(self, violate: Callable[[str], None], now: Callable[[], float]) -> None:
        self._violate = violate
        self._now = now
        self._buffer = b""
        self._preface = True
        self._pinged_at = float("-inf")
        self._block = b""
        self.forms: dict[int, tuple[tuple[str, ...], int]] = {}
        """stream → (representation of each field, bytes of the block)"""
        self.settings_acknowledged = 0

    def feed(self, data: bytes) -> None:
        data = self._buffer + data
        position = 0
        if self._preface:
            if len(data) < len(PREFACE):
                self._buffer = data
                return
            position, self._preface = len(PREFACE), False
        while len(data) - position >= 9:
            length = int.from_bytes(data[position : position + 3], "big")
            if len(data) - position < 9 + length:
                break
            stream = int.from_bytes(data[position + 5 : position + 9], "big")
            self._frame(data[position + 3], data[position + 4], stream, data[position + 9 : position + 9 + length])
            position += 9 + length
        self._buffer = data[position:]

    def _frame(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if kind == _PRIORITY or (kind == _HEADERS and flags & _PRIORITIZED):
            self._violate("priority_sent")
        elif kind == _SETTINGS and flags & _ACK:
            self.settings_acknowledged += 1
        elif kind == _SETTINGS:
            pairs = [payload[i : i + 6] for i in range(0, len(payload), 6)]
            if b"\x00\x02\x00\x00\x00\x01" in pairs:
                self._violate("push_enabled")
        elif kind == _PING and not flags & _ACK:
            if self._now() - self._pinged_at < PINGS_APART:
                self._violate("pings_too_often")
            self._pinged_at = self._now()
        if kind == _HEADERS:
            self._block = payload[1 : len(payload) - payload[0]] if flags & _PADDED else payload
            if flags & _PRIORITIZED:
                self._block = self._block[5:]
        elif kind == _CONTINUATION:
            self._violate("continuation_sent")
            self._block += payload
        if kind in (_HEADERS, _CONTINUATION) and flags & _END_HEADERS:
            self._fields(stream)

    def _fields(self, stream: int) -> None:
        forms = []
        for form, index, name in fields(self._block):
            forms.append(form)
            secret = index in (4, 5, 23) or name in (b":path", b"authorization")
            if form == "incremental" and secret:
                self._violate("path_indexed" if index in (4, 5) or name == b":path" else "authorization_indexed")
        self.forms[stream] = (tuple(forms), len(self._block))


def fields(block: bytes) -> Iterator[tuple[str, int, bytes]]:
    """(representation, name index or 0, literal name) of each field of an HPACK block (RFC 7541, 6)."""
    position = 0
    while position < len(block):
        first = block[position]
        form, bits = _form(first)
        index, position = _integer(block, position, bits)
        name = b""
        if form in ("indexed", "update"):
            if form == "indexed":
                yield form, index, name
            continue
        if not index:
            name, position = _string(block, position)
        _, position = _string(block, position)
        yield form, index, name


def _form(first: int) -> tuple[str, int]:
    if first & 0x80:
        return "indexed", 7
    if first & 0x40:
        return "incremental", 6
    if first & 0x20:
        return "update", 5
    return ("never" if first & 0x10 else "without"), 4


def _integer(block: bytes, position: int, bits: int) -> tuple[int, int]:
    limit = (1 << bits) - 1
    value = block[position] & limit
    position += 1
    shift = 0
    while value >= limit and position < len(block):
        byte = block[position]
        position += 1
        value += (byte & 127) << shift
        shift += 7
        if not byte & 128:
            break
    return value, position


def _string(block: bytes, position: int) -> tuple[bytes, int]:
    length, position = _integer(block, position, 7)
    return block[position : position + length], position + length
