"""The ops port of a node that waits for its turn: alive, not ready, and nothing else to tell."""

from __future__ import annotations

from typing import Final

from relay.doors.http1 import Limits, Request, Response, Server
from relay.doors.problems import problem, refusal

_ANSWERS: Final = {
    b"/healthz": Response(200, b'{"alive":true}'),
    b"/readyz": Response(503, b'{"ready":false,"reasons":["standing_by"]}'),
    b"/metrics": Response(
        200,
        b"# HELP feierabend_standing_by 1 while another node holds the database\n"
        b"# TYPE feierabend_standing_by gauge\nfeierabend_standing_by 1\n",
        b"text/plain; version=0.0.4; charset=utf-8",
    ),
}


def server() -> Server:
    return Server(_answer, refusal, Limits(body=1024, connections=50))


async def _answer(request: Request) -> Response:
    if request.method not in (b"GET", b"HEAD"):
        return problem("method-not-allowed", headers=((b"allow", b"GET, HEAD"),))
    return _ANSWERS.get(request.target.partition(b"?")[0]) or problem("not-found")
