"""What holds for every request and answer, whichever page it is for: a layer around the app.

Only requests to our own host are heard: a page that is reached by another name could be framed in somebody's trust. A
body has at most `LARGEST` bytes, with a file in it `LARGEST_WITH_FILE`. Every answer says what a browser may do with
it: load from here and nowhere else, no frames, no sniffing, and no referrer, since a link that signs in stands in an
address. Pages are not kept by anybody; files are (assets.py), and what has said so itself is left alone.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

LARGEST: Final = 65_536
"""Bytes of a form."""
LARGEST_WITH_FILE: Final = 5 * LARGEST
"""Bytes of a form in parts; only officers who are signed in may send one (app.py)."""

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

HEADERS: Final = (
    (
        b"content-security-policy",
        b"default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'",
    ),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=()"),
)
_NO_STORE: Final = (b"cache-control", b"no-store")


class TooLarge(Exception):
    """The body has more bytes than it may."""


class Guard:
    """The app with the guard around it."""

    def __init__(self, app: App, host: str) -> None:
        self._app = app
        self._host = host.lower().encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1000})
            return
        if scope["type"] != "http":
            return
        hosts = [value for name, value in scope["headers"] if name == b"host"]
        if [host.lower() for host in hosts] != [self._host]:
            await _plain(_guarded(send), 421, b"This is not the address of this page.\n")
            return
        await self._app(scope, _counted(receive, _most(scope)), _guarded(send))


def _most(scope: Scope) -> int:
    """Bytes that a body may have."""
    types = [value for name, value in scope["headers"] if name == b"content-type"]
    return LARGEST_WITH_FILE if types and types[0].lower().startswith(b"multipart/") else LARGEST


def _counted(receive: Receive, most: int) -> Receive:
    """Raises TooLarge in whoever reads the body, once it is."""
    taken = 0

    async def counted() -> Message:
        nonlocal taken
        message = await receive()
        taken += len(message.get("body", b""))
        if taken > most:
            raise TooLarge
        return message

    return counted


def _guarded(send: Send) -> Send:
    async def guarded(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = list(message.get("headers", ()))
            names = {name.lower() for name, _ in headers}
            headers += [header for header in (*HEADERS, _NO_STORE) if header[0] not in names]
            message = {**message, "headers": headers}
        await send(message)

    return guarded


async def _plain(send: Send, status: int, text: bytes) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"%d" % len(text))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": text})
