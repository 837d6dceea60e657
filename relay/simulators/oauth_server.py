"""HTTP/1.1 for the fake token endpoint, on `h11` and any trio stream: one path, one method, nothing clever."""

from __future__ import annotations

import json
from urllib.parse import urlsplit

import h11
import trio

from relay.simulators import handshake
from relay.simulators.oauth import FakeOauth

LARGEST_FORM = 65_536
"""Bytes."""
_Event = h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]


class OauthServer:
    """Serves a fake's token URL."""

    def __init__(self, fake: FakeOauth) -> None:
        self.fake = fake

    async def serve_stream(self, stream: trio.abc.Stream) -> None:
        """Serve one connection until it ends; `stream` is closed afterwards."""
        connection = h11.Connection(h11.SERVER)
        try:
            if await handshake.is_question(stream):
                return
            while await self._request(connection, stream) and connection.our_state is h11.DONE:
                connection.start_next_cycle()
        except (h11.ProtocolError, trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # the client went away, or speaks something else
        finally:
            await trio.aclose_forcefully(stream)

    async def _request(self, connection: h11.Connection, stream: trio.abc.Stream) -> bool:
        """Answer one request; False when there is none any more."""
        request = await _next(connection, stream)
        if not isinstance(request, h11.Request):
            return False
        form = b""
        while not isinstance(event := await _next(connection, stream), h11.EndOfMessage):
            if not isinstance(event, h11.Data) or len(form) > LARGEST_FORM:
                return False
            form += bytes(event.data)
        counts, injections = self.fake.counts, self.fake.injections
        counts.outstanding += 1
        counts.most_outstanding = max(counts.most_outstanding, counts.outstanding)
        try:
            status, body = self._answer(request, form)
            if injections.drop_after is not None and counts.exchanges >= injections.drop_after:
                injections.drop_after = None
                return False
            if injections.silence:
                await trio.sleep_forever()
            await trio.sleep(injections.latency())
        finally:
            counts.outstanding -= 1
        await stream.send_all(_response(connection, status, body))
        return True

    def _answer(self, request: h11.Request, form: bytes) -> tuple[int, bytes]:
        if request.target.decode() != (urlsplit(self.fake.token_uri).path or "/"):
            return 404, json.dumps({"error": "not_found"}).encode()
        if request.method != b"POST":
            return 405, json.dumps({"error": "method_not_allowed"}).encode()
        content_type = next((value for name, value in request.headers if name == b"content-type"), b"")
        return self.fake.exchange(form, content_type.decode("latin-1"))


async def _next(connection: h11.Connection, stream: trio.abc.Stream) -> _Event:
    while (event := connection.next_event()) is h11.NEED_DATA:
        if connection.they_are_waiting_for_100_continue:
            await stream.send_all(connection.send(h11.InformationalResponse(status_code=100, headers=[])) or b"")
        connection.receive_data(bytes(await stream.receive_some(65_536)))
    return event


def _response(connection: h11.Connection, status: int, body: bytes) -> bytes:
    headers = [
        ("content-type", "application/json; charset=utf-8"),
        ("content-length", str(len(body))),
        ("cache-control", "no-cache, no-store, max-age=0, must-revalidate"),
    ]
    events = (h11.Response(status_code=status, headers=headers), h11.Data(data=body), h11.EndOfMessage())
    return b"".join(connection.send(event) or b"" for event in events)
