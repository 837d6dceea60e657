"""What the relay tells a provider, read off the wire: which phone is written to, and when its answer is in.

In memory there is no TLS, so a tap at the relay's end of a line sees frames. A token stands in clear in them: at Apple
in the path, which the relay never compresses, at Google in the body. So a departure is known by what leaves the
process, and by nothing that the relay says of itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Protocol

import trio

_PREFACE: Final = 24
_HEAD: Final = 9
_DATA, _HEADERS, _RESET = 0, 1, 3
_TOKEN: Final = re.compile(rb"/3/device/([0-9a-f]{64})|\"token\":\s*\"([A-Za-z0-9_:-]+)\"")
_OK: Final = 0x88
"""":status 200" as one byte."""


@dataclass(slots=True, eq=False)
class Departure:
    """A wakeup that was handed to the network. Instants by trio's clock."""

    app: str
    connection: int
    """As its provider counts."""
    stream: int
    token: str
    called: float
    """When the write began, and so the last look at the gate was taken."""
    left: float
    """When the bytes were taken."""


class Watches(Protocol):
    """Who is told."""

    def departed(self, departure: Departure) -> None: ...
    def answered(self, departure: Departure, *, accepted: bool) -> None:
        """The head of its answer has reached the relay."""


class Frames:
    """Cuts one direction of a connection into frames."""

    def __init__(self, skip: int) -> None:
        self._skip = skip
        self._rest = b""

    def feed(self, data: bytes) -> Iterator[tuple[int, int, bytes]]:
        """(type, stream, payload) of each frame that is complete now."""
        self._rest += data
        if self._skip:
            if len(self._rest) < self._skip:
                return
            self._rest, self._skip = self._rest[self._skip :], 0
        while len(self._rest) >= _HEAD:
            end = _HEAD + int.from_bytes(self._rest[:3], "big")
            if len(self._rest) < end:
                return
            frame, self._rest = self._rest[:end], self._rest[end:]
            yield frame[3], int.from_bytes(frame[5:9], "big") & 0x7FFFFFFF, frame[_HEAD:]


class ProviderTap:
    """At the relay's end of a line to a provider."""

    def __init__(self, app: str, watches: Watches) -> None:
        self.connection = 0
        """Its number at the provider, once that has taken it."""
        self._app = app
        self._watches = watches
        self._out = Frames(_PREFACE)
        self._back = Frames(0)
        self._flying: dict[int, Departure] = {}

    def left(self, data: bytes, called: float) -> None:
        for kind, stream, payload in self._out.feed(data):
            if kind == _RESET:  # it has given up: an answer that comes all the same is not heard
                self._flying.pop(stream, None)
            found = _TOKEN.search(payload) if kind in (_DATA, _HEADERS) else None
            if found is not None:
                token = (found[1] or found[2]).decode()
                departure = Departure(self._app, self.connection, stream, token, called, trio.current_time())
                self._flying[stream] = departure
                self._watches.departed(departure)

    def arrived(self, data: bytes) -> None:
        for kind, stream, payload in self._back.feed(data):
            if kind == _HEADERS and (departure := self._flying.pop(stream, None)) is not None:
                self._watches.answered(departure, accepted=payload.lstrip(b"\x20")[:1] == bytes([_OK]))
