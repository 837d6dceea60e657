"""HTTP requests of the door, by httpx: to the relay over its Unix socket, and to OpenID Connect providers.

The only place of the door that knows httpx. A request is sent once, to where it was addressed and nowhere else: no
redirect is followed, no proxy, netrc or cookie is used, no answer is read beyond a bound or unpacked. Deadlines are the
caller's.

Rejected: httpx's own types in the rest of the door. Its errors carry the request, and with it codes and secrets, into
whatever prints them.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.cookiejar import CookieJar, DefaultCookiePolicy
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Final, Self

import httpx
import trio

RELAY: Final = "http://relay"
"""What the relay is called in requests over its socket; a name must stand there, and it is never looked up."""
MOST_CONNECTIONS: Final = 20
"""To one peer at a time; further requests wait for one of them."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer, read to its end."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    """By name in lower case; of several with one name all, with commas between."""
    body: bytes = field(repr=False)


class NoAnswer(OSError):
    """There was none, or it was none of HTTP, or too long. Names the kind of failure and nothing of the request."""


class HttpClient:
    """Connections to one peer or some; an async context manager, for the connections are kept."""

    def __init__(self, client: httpx.AsyncClient, most_bytes: int) -> None:
        self._client = client
        self._most_bytes = most_bytes

    def __repr__(self) -> str:
        return "<HttpClient>"

    async def send(
        self,
        method: str,
        target: str,
        *,
        headers: Mapping[str, str] = MappingProxyType({}),
        content: bytes | None = None,
        form: Mapping[str, str] | None = None,
    ) -> Answer:
        """One request with a body as it is, or a form, or none. Raises NoAnswer."""
        body = bytearray()
        # An answer that is left unread leaves generators of httpcore behind, so it is cancelled like one that is late.
        with trio.CancelScope() as scope:
            try:
                async with self._client.stream(method, target, headers=headers, content=content, data=form) as response:
                    async for part in response.aiter_raw():
                        body += part
                        if len(body) > self._most_bytes:
                            scope.cancel()
            except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:  # ValueError: an address that is none
                raise NoAnswer(type(error).__name__) from None
        if len(body) > self._most_bytes:
            raise NoAnswer("too long")
        return Answer(response.status_code, MappingProxyType(dict(response.headers.items())), bytes(body))

    async def __aenter__(self) -> Self:
        await self._client.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._client.__aexit__(kind, error, traceback)


def over_socket(path: Path, *, most_bytes: int, most_connections: int = MOST_CONNECTIONS) -> HttpClient:
    """To the relay: targets are paths, `/v1/me/rest`. An answer of more than `most_bytes` is NoAnswer."""
    transport = httpx.AsyncHTTPTransport(uds=str(path), limits=_limits(most_connections))
    return HttpClient(_client(transport, base_url=RELAY), most_bytes)


def over_tls(ca_file: Path | None, *, most_bytes: int, most_connections: int = MOST_CONNECTIONS) -> HttpClient:
    """To providers: targets are whole addresses. With the system's trust store, or the file named instead."""
    context = ssl.create_default_context(cafile=str(ca_file) if ca_file else None)
    transport = httpx.AsyncHTTPTransport(verify=context, trust_env=False, limits=_limits(most_connections))
    return HttpClient(_client(transport), most_bytes)


def _client(transport: httpx.AsyncHTTPTransport, base_url: str = "") -> httpx.AsyncClient:
    keeps_none = CookieJar(DefaultCookiePolicy(allowed_domains=[]))
    return httpx.AsyncClient(
        transport=transport,
        base_url=base_url,
        cookies=keeps_none,
        headers={"user-agent": "feierabend", "accept-encoding": "identity"},
        trust_env=False,
        follow_redirects=False,
        timeout=None,
    )


def _limits(most_connections: int) -> httpx.Limits:
    return httpx.Limits(max_connections=most_connections, max_keepalive_connections=most_connections)
