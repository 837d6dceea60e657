"""HTTP/1.1 for the fake token endpoint, on any trio stream: one path, one method, nothing clever."""

from __future__ import annotations

import json
from email.utils import formatdate
from typing import Final
from urllib.parse import urlsplit

import trio

from relay.simulators import handshake, http1
from relay.simulators.http1 import Request, Requests, Unreadable
from relay.simulators.oauth import FakeOauth

_FIELDS: Final = (
    ("content-type", "application/json; charset=utf-8"),
    ("cache-control", "no-cache, no-store, max-age=0, must-revalidate"),
)


class OauthServer:
    """Serves a fake's token URL."""

    def __init__(self, fake: FakeOauth) -> None:
        self.fake = fake

    async def serve_stream(self, stream: trio.abc.Stream) -> None:
        """Serve one connection until it ends; `stream` is closed afterwards."""
        requests = Requests(stream)
        try:
            if await handshake.is_question(stream):
                return
            while (request := await requests.next()) is not None:
                if not (await self._serve(request, stream) and request.keep):
                    break
        except (Unreadable, trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # the client went away, or speaks something else
        finally:
            await trio.aclose_forcefully(stream)

    async def _serve(self, request: Request, stream: trio.abc.Stream) -> bool:
        """Answer one request; False when the connection is dropped instead."""
        counts, injections = self.fake.counts, self.fake.injections
        counts.outstanding += 1
        counts.most_outstanding = max(counts.most_outstanding, counts.outstanding)
        try:
            if injections.silence:
                while await stream.receive_some(http1.READ):
                    pass  # until the client has had enough
                return False
            if injections.drop_after is not None and counts.exchanges + 1 >= injections.drop_after:
                injections.drop_after = None
                counts.exchanges += 1
                return False  # and nothing was given out: no client could know of a token
            status, body = self._answer(request)
            await trio.sleep(injections.latency())
        finally:
            counts.outstanding -= 1
        date = formatdate(self.fake.now() + self.fake.skew, usegmt=True)
        await stream.send_all(http1.head(status, (*_FIELDS, ("date", date)), len(body), keep=request.keep) + body)
        return True

    def _answer(self, request: Request) -> tuple[int, bytes]:
        if request.target.decode("latin-1") != (urlsplit(self.fake.token_uri).path or "/"):
            return 404, json.dumps({"error": "not_found"}).encode()
        if request.method != b"POST":
            return 405, json.dumps({"error": "method_not_allowed"}).encode()
        return self.fake.exchange(request.body, request.value(b"content-type").decode("latin-1"))
