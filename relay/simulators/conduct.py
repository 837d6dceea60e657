"""Reads a client's frames beside `h2`, for what `h2` does not tell: how fields were encoded, what it should not send.

Validation A-02. Malformed frames and blocks are `h2`'s business: here they are read as far as they go.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from hpack.exceptions import HPACKDecodingError
from hpack.huffman_table import decode_huffman

_HEADERS, _PRIORITY, _SETTINGS, _PING, _CONTINUATION = 1, 2, 4, 6, 9
_END_HEADERS, _ACK, _PADDED, _PRIORITIZED = 0x04, 0x01, 0x08, 0x20
PINGS_APART: Final = 10.0
"""Seconds that should lie between two PINGs of a client."""


class Conduct:
    """Follows one connection's frames. `violate` is told of breaches; `forms` has the encodings by stream.

    `is_path_secret`: the path names a device, so that no table may keep it.
    """

    def __init__(
        self, violate: Callable[[str], None], now: Callable[[], float], *, is_path_secret: bool = True
    ) -> None:
        self._violate = violate
        self._now = now
        self._is_path_secret = is_path_secret
        self._pinged_at = float("-inf")
        self._block = b""
        self._is_first = True
        self.forms: dict[int, tuple[tuple[str, ...], int]] = {}
        """stream → (representation of each field, bytes of the block); of trailers nothing is kept"""

    def see(self, frame: bytes) -> bool:
        """Judge one whole frame. False when the connection cannot go on, for a reason that `h2` would not mind."""
        kind, flags, payload = frame[3], frame[4], frame[9:]
        stream = int.from_bytes(frame[5:9], "big")
        if self._is_first and (kind != _SETTINGS or flags & _ACK):
            self._violate("settings_not_first")
            return False
        self._is_first = False
        if kind == _SETTINGS and not flags & _ACK:
            pairs = [payload[i : i + 6] for i in range(0, len(payload), 6)]
            if b"\x00\x02\x00\x00\x00\x01" in pairs:
                self._violate("push_enabled")
        elif kind == _PING and not flags & _ACK:
            self._pinged()
        elif kind == _PRIORITY or (kind == _HEADERS and flags & _PRIORITIZED):
            self._violate("priority_sent")
        if kind == _HEADERS:
            self._block = _without_padding(payload) if flags & _PADDED else payload
            if flags & _PRIORITIZED:
                self._block = self._block[5:]
        elif kind == _CONTINUATION:
            self._violate("continuation_sent")
            self._block += payload
        if kind in (_HEADERS, _CONTINUATION) and flags & _END_HEADERS:
            self._fields(stream)
        return True

    def _pinged(self) -> None:
        now = self._now()
        if now - self._pinged_at < PINGS_APART:
            self._violate("pings_too_often")
        self._pinged_at = now

    def _fields(self, stream: int) -> None:
        forms = []
        for form, index, name in fields(self._block):
            forms.append(form)
            if form != "incremental":
                continue
            if self._is_path_secret and (index in (4, 5) or name == b":path"):
                self._violate("path_indexed")
            if index == 23 or name == b"authorization":
                self._violate("authorization_indexed")
        self.forms.setdefault(stream, (tuple(forms), len(self._block)))


class PingStrikes:
    """A client's PINGs as gRPC servers count them: one within `apart` seconds of the last is a strike.

    Whatever the server has answered in between forgives all of them.
    """

    def __init__(self, now: Callable[[], float], apart: float, most: int) -> None:
        self._now = now
        self._apart = apart
        self._most = most
        self.forgive()

    def forgive(self) -> None:
        self._strikes = 0
        self._pinged_at = float("-inf")

    def ping(self) -> bool:
        """False when there were too many."""
        now = self._now()
        if now - self._pinged_at < self._apart:
            self._strikes += 1
        self._pinged_at = now
        return self._strikes <= self._most


def fields(block: bytes) -> Iterator[tuple[str, int, bytes]]:
    """(representation, name index or 0, literal name) of each field of an HPACK block (RFC 7541, 6).

    Ends where the block does not go on as it should.
    """
    position = 0
    try:
        while position < len(block):
            form, bits = _form(block[position])
            index, position = _integer(block, position, bits)
            name = b""
            if form == "update":
                continue
            if form != "indexed":
                if not index:
                    name, position = _string(block, position)
                _, position = _string(block, position, is_read=False)
            yield form, index, name
    except (IndexError, HPACKDecodingError):
        return


def _form(first: int) -> tuple[str, int]:
    if first & 0x80:
        return "indexed", 7
    if first & 0x40:
        return "incremental", 6
    if first & 0x20:
        return "update", 5
    return ("never" if first & 0x10 else "without"), 4


def _integer(block: bytes, position: int, bits: int) -> tuple[int, int]:
    """Raises IndexError where the block ends too early."""
    limit = (1 << bits) - 1
    value = block[position] & limit
    position += 1
    if value < limit:
        return value, position
    shift = 0
    while True:
        byte = block[position]
        position += 1
        value += (byte & 127) << shift
        shift += 7
        if not byte & 128:
            return value, position


def _string(block: bytes, position: int, *, is_read: bool = True) -> tuple[bytes, int]:
    """Raises IndexError where the block ends too early. Not read: only passed over."""
    is_huffman = block[position] & 0x80
    length, position = _integer(block, position, 7)
    end = position + length
    if end > len(block):
        raise IndexError
    if not is_read:
        return b"", end
    return bytes(decode_huffman(block[position:end])) if is_huffman else block[position:end], end


def _without_padding(payload: bytes) -> bytes:
    return payload[1 : max(1, len(payload) - payload[0])] if payload else b""
