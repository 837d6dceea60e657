"""The ops port: /healthz, /readyz, /metrics, /providers. On loopback unless configured otherwise."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import trio

from relay.core.holding import Holds, for_ever
from relay.core.overdue import Oldest, measure
from relay.doors.http1 import Limits, Request, Response, Server
from relay.doors.problems import problem, refusal
from relay.ops.metrics import Sources, exposition

PART: Final = 500
"""People looked at between two checkpoints: less than a millisecond."""
FRESH: Final = 5.0
"""Seconds for which what a look has found is told again: a look at 23,000 people who wait costs some 60 ms of CPU, and
what it finds is told in steps of 20 seconds anyway."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """Where an app's requests go, as `host:port`."""

    tenant: str
    app: str
    provider: str
    """apns or fcm."""
    address: str
    token_address: str | None = None
    """Where access tokens come from."""
    proxy: str | None = None
    """Through which both are reached."""

    def told(self) -> dict[str, str]:
        named = {"tenant": self.tenant, "app": self.app, "provider": self.provider, "address": self.address}
        more = {"token_address": self.token_address, "proxy": self.proxy}
        return named | {name: value for name, value in more.items() if value is not None}


class Ops:
    """Answers for the node. `ready` is set by the service when all parts run, and cleared when it drains."""

    def __init__(
        self,
        sources: Sources,
        destinations: Sequence[Destination],
        now: Callable[[], float],
        holds: Holds = for_ever,
    ) -> None:
        """`holds`: whether the people are still this node's (relay/tenure.py)."""
        self._sources = sources
        self._holds = holds
        self._now = now
        self._providers = json.dumps({"providers": [destination.told() for destination in destinations]}).encode()
        self._oldest, self._looked_at = Oldest(), float("-inf")
        self.ready = False
        self.clock_is_wrong = False
        self.server = Server(self._answer, refusal, Limits(body=1024, connections=50))

    def reasons(self) -> list[str]:
        """Why the node should get no traffic; empty when it should."""
        reasons = [] if self.ready else ["not_running"]
        if not self._sources.journal().healthy:
            reasons.append("store_fails")
        if not self._holds():
            reasons.append("tenure_is_over")
        if self.clock_is_wrong:
            reasons.append("clock_is_wrong")
        return reasons

    async def _overdue(self) -> Oldest:
        """Everybody is looked at, a part at a time: alarms leave in between."""
        began = self._now()
        if abs(began - self._looked_at) < FRESH:
            return self._oldest
        persons, oldest = list(self._sources.people.by_key.values()), Oldest()
        for first in range(0, len(persons), PART):
            measure(persons[first : first + PART], self._now(), oldest)
            await trio.lowlevel.checkpoint()
        self._oldest, self._looked_at = oldest, began
        return oldest

    async def _answer(self, request: Request) -> Response:
        path = request.target.partition(b"?")[0]
        if request.method not in (b"GET", b"HEAD"):
            return problem("method-not-allowed", headers=((b"allow", b"GET, HEAD"),))
        if path == b"/healthz":
            return Response(200, b'{"alive":true}')
        if path == b"/readyz":
            reasons = self.reasons()
            return Response(503 if reasons else 200, json.dumps({"ready": not reasons, "reasons": reasons}).encode())
        if path == b"/metrics":
            oldest = await self._overdue()
            return Response(200, exposition(self._sources, oldest), b"text/plain; version=0.0.4; charset=utf-8")
        if path == b"/providers":
            return Response(200, self._providers)
        return problem("not-found")
