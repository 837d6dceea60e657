"""The door in front of a whole relay, in one process: what it asks goes through the relay's real door, in memory.

With `tests.relay.world` both live in its time, virtual or not.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import httpx
import trio

from relay.core.passes import PassKind
from relay.core.private import Private
from schedules.web.http import HttpClient
from schedules.web.relay_client import LARGEST, RelayClient
from tests.relay.doors.http_client import MemoryListener, request
from tests.relay.world import World

NOT_HANDED_ON = ("host", "content-length", "connection")
"""Fields that are of a connection, and made anew."""


class Wire(httpx.AsyncBaseTransport):
    """Each request is a connection of its own."""

    def __init__(self, listener: MemoryListener) -> None:
        self._listener = listener

    async def handle_async_request(self, asked: httpx.Request) -> httpx.Response:
        fields = [(name, value) for name, value in asked.headers.items() if name not in NOT_HANDED_ON]
        content = request(asked.method, asked.url.raw_path.decode(), await asked.aread(), fields)
        client = self._listener.connect()
        answer = await client.ask(content)
        await client.aclose()
        return httpx.Response(answer.status, headers=answer.headers, stream=httpx.ByteStream(answer.body))


@asynccontextmanager
async def door_of(world: World) -> AsyncIterator[RelayClient]:
    """What the door's process has instead of a relay, for the length of the block."""
    listener = MemoryListener()
    http = httpx.AsyncClient(transport=Wire(listener), base_url="http://relay", timeout=None)
    async with trio.open_nursery() as nursery:
        await nursery.start(partial(world.relay.web_door.run, [listener]))
        async with HttpClient(http, LARGEST) as client:
            yield RelayClient(client)
        nursery.cancel_scope.cancel()


async def link_for(world: World, user: str) -> str:
    """The path of a fresh link, as the settings service hands it on."""
    secret = secrets.token_urlsafe(32)
    await world.relay.engine.issue(world.tenant, world.key(user), PassKind.LINK, Private(secret))
    return f"/link/{secret}"
