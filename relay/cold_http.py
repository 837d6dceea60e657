"""HTTP off the hot path, by httpx: one request now and then, never a wakeup. The only place of the relay that knows it.

Deadlines are the caller's. Proxies and netrc of the environment are not used: what carries a credential goes where the
configuration says.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Final

import httpx

from relay.lanes.oauth import PostForm

KEPT: Final = 20
"""Idle connections to other nodes."""


def form_poster(ca_file: Path | None, dated: Callable[[str], None] = lambda _: None) -> PostForm:
    """How to post a form over TLS: with the system's trust store, or the file named for a simulator.

    `dated` is told the date of each answer that bears one.
    """
    context = ssl.create_default_context(cafile=str(ca_file) if ca_file else None)

    async def post(uri: str, form: dict[str, str]) -> tuple[int, bytes]:
        """(status, body). Raises OSError when there is no answer."""
        try:
            async with httpx.AsyncClient(verify=context, trust_env=False, timeout=None) as client:
                response = await client.post(uri, data=form)
        except httpx.HTTPError as error:
            raise OSError(type(error).__name__) from None
        if "date" in response.headers:
            dated(response.headers["date"])
        return response.status_code, response.content

    return post


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
