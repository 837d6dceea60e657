"""What `Connection.receive` hands out: lists, made once per call, not an event per frame."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple


class Answer(NamedTuple):
    """An answer other than 200, complete or cut by a reset after complete headers."""

    tag: object
    status: int
    body: bytes
    """At most 4 KiB are kept."""
    headers: tuple[tuple[bytes, bytes], ...] = ()


class GoAway(NamedTuple):
    code: int
    last_stream: int
    debug: bytes
    """At most 1 KiB is kept."""


@dataclass(slots=True)
class Received:
    """Everything one `receive` learned about requests, by tag."""

    accepted: list[object] = field(default_factory=list)
    """Status 200, counted when its headers are complete; a reset afterwards changes nothing."""
    answers: list[Answer] = field(default_factory=list)
    unprocessed: list[object] = field(default_factory=list)
    """Refused, or above the last stream of a GOAWAY: never processed, may be sent again at once."""
    unknown: list[tuple[object, str]] = field(default_factory=list)
    """Reset without an answer: may have been processed; with a word for the reason."""
    goaway: GoAway | None = None
    ping_acknowledged: bool = False
