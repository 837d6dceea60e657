"""A steady mixture of all that is asked of a relay: what is posted when, portion by portion. Pure, but for the bytes.

Every kind is spread evenly over a portion; who is meant is drawn. What the relay keeps does not grow by it: the same
few users get rests (which end within a minute, so that somebody is released all the time), the same few get a second
phone and lose it again. Only what is remembered for a day grows: a record for each alarm, for its Idempotency-Key.
"""

from __future__ import annotations

import random
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from bench import door, stage

ROSTER = "roster"
ROSTER_SECRET = "roster-secret"
ROSTER_KEY = f"{ROSTER}.{ROSTER_SECRET}"
"""API key for rests; a key for events may not write them."""
FEW = 500
"""Users, at most, who get rests, and as many who get second phones."""
SHORTEST, LONGEST = 5.0, 60.0
"""Seconds for which somebody goes on resting."""
BATCH = 100
SECOND = "second"
"""Name of a second phone."""


@dataclass(frozen=True, slots=True)
class Post:
    kind: str
    instant: int
    """Nanoseconds of CLOCK_MONOTONIC."""
    request: bytes


@dataclass(frozen=True, slots=True)
class Crowd:
    """Who can be meant. `now`: UTC seconds at the beginning of a portion."""

    users: int
    rng: random.Random
    now: float

    def anybody(self) -> str:
        return stage.user_id(self.rng.randrange(self.users))

    def one_of_few(self) -> str:
        return stage.user_id(self.rng.randrange(min(FEW, self.users)))


def event(crowd: Crowd) -> bytes:
    return door.request(stage.BACKEND, {"user": crowd.anybody()})


def batch(crowd: Crowd) -> bytes:
    return door.request(stage.BACKEND, {"events": [{"user": crowd.anybody()} for _ in range(BATCH)]})


def alarm(crowd: Crowd) -> bytes:
    body = {"user": crowd.anybody(), "class": "alarm", "role": stage.ROLE, "reason": stage.REASON}
    return door.request(stage.BACKEND, body, headers={"idempotency-key": secrets.token_urlsafe(24)})


def seen(crowd: Crowd) -> bytes:
    return door.request(stage.BACKEND, {"user": crowd.anybody()}, path="/v1/seen")


def registration(crowd: Crowd) -> bytes:
    body = {"platform": "apns", "app": stage.APP, "token": stage.apns_token(crowd.rng)}
    return door.request(stage.BACKEND, body, method="PUT", path=_second(crowd))


def deletion(crowd: Crowd) -> bytes:
    return door.request(stage.BACKEND, method="DELETE", path=_second(crowd))


def _second(crowd: Crowd) -> str:
    return f"/v1/users/{crowd.one_of_few()}/devices/{SECOND}"


def rest(crowd: Crowd) -> bytes:
    end = crowd.now + crowd.rng.uniform(SHORTEST, LONGEST)
    edges = (datetime.fromtimestamp(edge, UTC).isoformat(timespec="seconds") for edge in (crowd.now - 3600, end))
    document = {"windows": [dict(zip(("kind", "start", "end"), ("once", *edges), strict=True))]}
    return door.request(ROSTER_KEY, document, method="PUT", path=f"/v1/users/{crowd.one_of_few()}/rest")


@dataclass(frozen=True, slots=True)
class Kind:
    """`rate`: how many per second. `good`: the answers that there should be."""

    make: Callable[[Crowd], bytes]
    rate: float
    good: frozenset[int]


KINDS = {
    "events": Kind(event, 200.0, frozenset({202})),
    "batches": Kind(batch, 4.0, frozenset({202})),
    "alarms": Kind(alarm, 4.0, frozenset({202})),
    "seen": Kind(seen, 40.0, frozenset({202})),
    "registrations": Kind(registration, 6.0, frozenset({200, 201})),
    "deletions": Kind(deletion, 6.0, frozenset({204, 404})),
    "rests": Kind(rest, 6.0, frozenset({200, 201})),
}


def portion(crowd: Crowd, start: int, seconds: float, force: float = 1.0) -> list[Post]:
    """All posts of so many seconds from an instant on, by their instants. `force`: times the usual rates."""
    return sorted(_posts(crowd, start, seconds, force), key=lambda post: post.instant)


def _posts(crowd: Crowd, start: int, seconds: float, force: float) -> Iterator[Post]:
    for name, kind in KINDS.items():
        for instant in door.schedule(kind.rate * force, seconds, start):
            yield Post(name, instant, kind.make(crowd))
