"""The ops port: /healthz, /readyz, /metrics. On loopback unless configured otherwise."""

from __future__ import annotations

import json

from relay.doors.http1 import Limits, Request, Response, Server
from relay.doors.problems import problem, refusal
from relay.ops.metrics import Sources, exposition


class Ops:
    """Answers for the node. `ready` is set by the service when all parts run, and cleared when it drains."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self.ready = False
        self.server = Server(self._answer, refusal, Limits(body=1024, connections=50))

    def reasons(self) -> list[str]:
        """Why the node should get no traffic; empty when it should."""
        reasons = [] if self.ready else ["not_running"]
        if not self._sources.journal().healthy:
            reasons.append("store_fails")
        return reasons

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
            return Response(200, exposition(self._sources), b"text/plain; version=0.0.4; charset=utf-8")
        return problem("not-found")
