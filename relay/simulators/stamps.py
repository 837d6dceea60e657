"""When each wakeup arrived: the fast sink's record, cheap enough to be kept under load.

A line of the file is a device token, a space, and nanoseconds of the clock handed in (CLOCK_MONOTONIC in `feierabend
fake sink --stamps`, which all processes of a machine share). The instant is that at which the request's last byte had
been read; lines are written before the answer is.

The token is the end of `:path`. A client that sends it as a literal without Huffman coding, as the relay does so that
lengths tell nothing, is read by searching the block: about a microsecond. Any other one is decoded, 30 µs and more a
request. Which kind a client is shows in the first block of its connection, and it must stay so: a decoder that has not
seen all blocks can read none. A block with padding or priority fields, or in several frames, is read in the first way
only. What cannot be read is counted, and has no line. FCM's requests have their token in the body, and are not read.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Protocol

from hpack import Decoder, HPACKError

PATH: Final = b"/3/device/"


class Binary(Protocol):
    def write(self, data: bytes, /) -> object: ...


class Stamps:
    """Writes lines to a file without a buffer. `instant`: nanoseconds."""

    def __init__(self, file: Binary, instant: Callable[[], int]) -> None:
        self._file = file
        self.instant = instant
        self.unread = 0
        """Requests whose token could not be read."""

    def note(self, tokens: Sequence[bytes], instant: int) -> None:
        """These have arrived. An empty one is a token that could not be read."""
        known = [token for token in tokens if token]
        self.unread += len(tokens) - len(known)
        if known:
            end = b" %d\n" % instant
            self._file.write(end.join(known) + end)


class TokenReader:
    """Finds the tokens of one connection."""

    def __init__(self) -> None:
        self._is_first = True
        self._decoder: Decoder | None = None

    def token(self, block: bytes) -> bytes:
        """The device token of a request's header block; empty when it cannot be read."""
        if self._is_first:
            self._is_first = False
            if not _literal(block):
                self._decoder = Decoder()
        return _literal(block) if self._decoder is None else _decoded(self._decoder, block)


def _literal(block: bytes) -> bytes:
    """Looks for a path as long as the byte before it says, which has the bit for Huffman coding unset."""
    start = block.find(PATH)
    if start < 1:
        return b""
    length, end = block[start - 1], start + block[start - 1]
    return block[start + len(PATH) : end] if len(PATH) < length < 127 and end <= len(block) else b""


def _decoded(decoder: Decoder, block: bytes) -> bytes:
    try:
        fields = decoder.decode(block, raw=True)
    except HPACKError:
        return b""
    paths = [bytes(value) for name, value in fields if name == b":path"]
    return paths[0].removeprefix(PATH) if paths and paths[0].startswith(PATH) else b""
