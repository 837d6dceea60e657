"""A fake APNs: strict where Apple is, and stricter where a client can be wrong unnoticed.

What is refused and why is told by apns_judge.py, conduct on a connection by conduct.py; the connection itself is
h2_connection.py. Excess streams get RST_STREAM(REFUSED_STREAM).
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Mapping
from enum import StrEnum
from random import Random
from typing import Final

import trio

from relay.simulators.apns_answer import Verdict
from relay.simulators.apns_faults import ANSWERS, GOING, weight
from relay.simulators.apns_judge import Judge
from relay.simulators.apns_rules import Wakeup, notes
from relay.simulators.h2_server import Server
from relay.simulators.h2_service import Limits, Reply, Request
from relay.simulators.injections import DropHow, Injections
from relay.simulators.journal import Entry, Journal
from relay.simulators.provider_token import Bound, TeamKey

HEADER_LIST: Final = 8_000
"""Bytes of a request's fields, as SETTINGS_MAX_HEADER_LIST_SIZE counts them."""
LIMITS: Final = Limits(
    settings={1: 4096, 4: 65_535, 5: 16_384, 6: HEADER_LIST},
    header_list=HEADER_LIST,
    idle_debug=b'{"reason":"IdleTimeout"}',
)
"""As observed at Apple: table size, window, frame size, header list size."""


class StreamLimit(StrEnum):
    """When the full stream limit is announced."""

    DOC = "doc"
    """1 until the first valid provider token, then all."""
    OBSERVED = "observed"
    """All at once."""


class FakeApns:
    """The service: shared by all of its connections. `now`: UTC seconds.

    `topics`: bundle ids known here. `not_json`: reason for a body that is none, which Apple does not document.
    """

    def __init__(
        self,
        keys: Mapping[str, TeamKey],
        topics: set[str],
        now: Callable[[], float],
        *,
        streams: int = 1000,
        limit: StreamLimit = StreamLimit.DOC,
        sandbox: bool = False,
        not_json: str = "PayloadEmpty",
        journal: Journal | None = None,
        seed: int = 0,
    ) -> None:
        self.now = now
        self.streams = streams
        self.limit = limit
        self.sandbox = sandbox
        self.journal = journal or Journal()
        self.limits = LIMITS
        self.injections: Injections[tuple[int, str]] = Injections(Random(seed))
        """Answers are (status, reason)."""
        environment = "sandbox" if sandbox else "production"
        self.judge = Judge(keys, topics, environment, not_json, self.journal.violate)
        self.registry = self.judge.registry
        self.tokens = self.judge.tokens
        self.accepting = True
        """False: connections are closed at once."""
        self.server = Server(self)
        self._ids = Random(f"{seed}/ids")

    def new_id(self) -> str:
        """Follows from the seed, as everything does that is said."""
        return str(uuid.UUID(int=self._ids.getrandbits(128), version=4))

    async def serve_stream(self, stream: trio.abc.Stream) -> None:
        """Serve one connection until it ends; `stream` is closed afterwards."""
        await self.server.serve_stream(stream)

    def session(self) -> _Session:
        return _Session(self)

    @property
    def connections(self) -> int:
        return self.server.connections

    async def goaway(self, *, graceful: bool = True, reason: str = "Shutdown") -> None:
        """GOAWAY on every connection: graceful announces first and names the last stream after that."""
        await self.server.goaway(json.dumps({"reason": reason}).encode(), graceful=graceful)

    async def set_streams(self, streams: int) -> None:
        """Announce another stream limit on every connection."""
        self.streams = streams
        await self.server.announce(streams)

    def cut(self, how: DropHow = DropHow.FIN) -> None:
        """Cut every connection without a word."""
        self.server.cut(how)


class _Session:
    """What was said on one connection."""

    def __init__(self, fake: FakeApns) -> None:
        self._fake = fake
        self._bound = Bound()

    @property
    def streams(self) -> int:
        is_held_back = self._fake.limit is StreamLimit.DOC and not self._bound.team_id
        return 1 if is_held_back else self._fake.streams

    def handle(self, received: Request) -> Reply:
        fake = self._fake
        request = Wakeup(received.headers, received.body, fake.judge.topics)
        verdict, name = self._verdict(request)
        doubts = notes(request) if verdict.status == 200 else ()
        token = request.token.lower()
        fake.journal.add(
            Entry(
                t=fake.now(), connection=received.connection, stream=received.stream, token=token,
                status=verdict.status, reason=verdict.reason, headers=received.headers, forms=received.forms,
                block_bytes=received.block_bytes, body=received.body, notes=doubts,
            )
        )  # fmt: skip
        if verdict.status == 200 and not doubts:
            fake.judge.deliver(request, fake.now())
        headers = verdict.headers(request.get("apns-id"), fake.new_id, sandbox=fake.sandbox)
        farewell = b'{"reason":"Shutdown"}' if name == GOING else None
        return Reply(headers, verdict.body, token, weight(verdict), farewell)

    def _verdict(self, request: Wakeup) -> tuple[Verdict, str | None]:
        """What is answered, and by which name if it was injected."""
        fake, injections, now = self._fake, self._fake.injections, self._fake.now()
        if injections.answers:
            return Verdict(*injections.answers.pop(0)), None
        if injections.is_gone(request.token.lower()):
            fake.registry.unregistered[request.token.lower()] = now
        verdict = fake.judge.judge(request, self._bound, now)
        name = injections.drawn(now) if verdict.status == 200 else None
        return (verdict, None) if name is None else (ANSWERS[name](now), name)
