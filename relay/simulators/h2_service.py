"""What a fake is to its connections: what it announces, and what it answers a complete request."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from relay.simulators.injections import Injections
from relay.simulators.journal import Journal

WINDOW: Final = 65_535
"""Bytes of every window before anything is said about it (RFC 9113, 6.9.2)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a service announces, and how it treats a client that does not keep to it."""

    settings: Mapping[int, int]
    """SETTINGS by number, without the stream limit."""
    header_list: int
    """Bytes of a request's fields, as SETTINGS_MAX_HEADER_LIST_SIZE counts them."""
    stream_window: int = WINDOW
    connection_window: int = WINDOW
    """Bytes; more than HTTP/2's default is announced by a WINDOW_UPDATE."""
    excess: bytes = b""
    """Debug data of the GOAWAY that a stream too many brings. Empty: only the stream is refused."""
    idle_debug: bytes = b"session_timed_out"
    """What a GOAWAY for idleness says."""
    idle: float = math.inf
    """Seconds without an open stream after which the connection ends; PINGs do not count."""
    ping_apart: float = 0.0
    """Seconds that should lie between PINGs with nothing answered between; sooner is a strike."""
    ping_strikes: int = 0
    """So many are borne; the next one ends the connection."""
    is_path_secret: bool = True
    """The path names a device, so that no table may keep it."""
    speaks_http1: bool = False
    """Beside HTTP/2, to clients that ask for it by ALPN or do not ask."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A complete request."""

    connection: int
    stream: int
    headers: tuple[tuple[bytes, bytes], ...]
    """In order, as decoded."""
    body: bytes
    forms: tuple[str, ...]
    """HPACK representation of each field."""
    block_bytes: int
    """Length of the encoded header block."""


@dataclass(frozen=True, slots=True)
class Reply:
    """`headers`: status first."""

    headers: Sequence[tuple[str, str]]
    body: bytes = b""
    token: str = ""
    """Whom the request was for."""
    errors: int = 0
    """What it weighs in the budget of errors."""
    farewell: bytes | None = None
    """Debug data of a GOAWAY that follows at once."""

    @property
    def status(self) -> int:
        return int(self.headers[0][1])


class Session(Protocol):
    """What a service is to one connection."""

    @property
    def streams(self) -> int:
        """The stream limit to announce by now. A higher one than before is announced after the next answer."""

    def handle(self, request: Request) -> Reply: ...


class Service(Protocol):
    """What is served. `now`: UTC seconds. `accepting` False: connections are closed at once."""

    now: Callable[[], float]
    journal: Journal
    accepting: bool
    limits: Limits

    @property
    def injections(self) -> Injections[Any]: ...

    def session(self) -> Session: ...
