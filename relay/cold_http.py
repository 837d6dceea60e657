"""HTTP off the hot path, by httpx: one request now and then, never a wakeup. The only place of the relay that knows it.

Deadlines are the caller's. Proxies and netrc of the environment are not used: what carries a credential goes where the
configuration says, and through the proxy that it names.
"""

from __future__ import annotations

import math
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Final, NoReturn

import httpx
import trio

from relay.lanes.oauth import PostForm
from relay.lanes.proxy import ANSWER, Proxy, verdict
from relay.wire import ConnectionLost

KEPT: Final = 20
"""Idle connections to other nodes."""


def form_poster(
    ca_file: Path | None, dated: Callable[[str], None] = lambda _: None, proxy: Proxy | None = None
) -> PostForm:
    """How to post a form over TLS: with the system's trust store, or the file named for a simulator.

    `dated` is told the date of each answer that bears one.
    """
    context = ssl.create_default_context(cafile=str(ca_file) if ca_file else None)

    async def post(uri: str, form: dict[str, str]) -> tuple[int, bytes]:
        """(status, body). Raises OSError, ConnectionLost when there is no answer."""
        way = None if proxy is None else httpx.Proxy(f"http://{proxy.authority}", auth=proxy.login)
        has_tunnel = proxy is None
        until_tunnel = trio.CancelScope(deadline=math.inf if has_tunnel else trio.current_time() + ANSWER)

        async def trace(event: str, _: object) -> None:
            nonlocal has_tunnel
            if event.endswith("start_tls.started"):
                has_tunnel, until_tunnel.deadline = True, math.inf

        response: httpx.Response | None = None
        try:
            async with httpx.AsyncClient(verify=context, trust_env=False, timeout=None, proxy=way) as client:
                with until_tunnel:
                    response = await client.post(uri, data=form, extensions={"trace": trace})
        except (httpx.InvalidURL, UnicodeError) as error:
            raise OSError(type(error).__name__) from None  # the name of its host is none
        except httpx.HTTPError as error:
            if proxy is not None and not has_tunnel:
                _blame(error, proxy)
            raise OSError(type(error).__name__) from None
        if response is None:
            raise ConnectionLost("proxy_silent")
        if "date" in response.headers:
            dated(response.headers["date"])
        return response.status_code, response.content

    return post


def _blame(error: httpx.HTTPError, proxy: Proxy) -> NoReturn:
    """Raises ConnectionLost: the tunnel was not there yet, so the fault is the proxy's, in the words of the lanes."""
    word = str(error)[:3] if isinstance(error, httpx.ProxyError) else ""  # its text begins with the status
    if word.isdecimal() and (reason := verdict(int(word), had_credentials=proxy.login is not None)):
        raise ConnectionLost(reason) from None
    raise ConnectionLost(_BLAMED.get(type(error), "proxy_speaks_no_http")) from None


_BLAMED: Final[dict[type[httpx.HTTPError], str]] = {
    httpx.ConnectError: "proxy_unreachable",
    httpx.ReadError: "proxy_closed",
}


class Asker:
    """Posts to other nodes over connections that are kept. Used as a context.

    As many connections as there are questions: a node that does not answer must not take those that others need. The
    door bounds them (`max_connections`).
    """

    def __init__(self) -> None:
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=KEPT)
        self._client = httpx.AsyncClient(trust_env=False, timeout=None, limits=limits)

    async def __aenter__(self) -> Asker:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()

    async def post(self, address: str, body: bytes) -> tuple[int, bytes]:
        """(status, body). Raises OSError when there is no answer."""
        try:
            response = await self._client.post(f"http://{address}/", content=body)
        except httpx.HTTPError as error:
            raise OSError(type(error).__name__) from None
        return response.status_code, response.content
