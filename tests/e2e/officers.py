"""The officers' door in front of a real relay: the pages in this process, the relay asked over its Unix socket.

async with world() as w, office(w, tmp_path) as door:
    anna = await door.sign_in("anna")
    await anna.go("/de/")
    await anna.press("11 Stunden")
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import trio

from relay import unix
from relay.core.passes import PassKind
from relay.core.private import Private
from schedules.web.app import application
from schedules.web.guard import App
from schedules.web.port import Secret
from schedules.web.relay_client import RelayClient, connected
from tests.relay.world import World
from tests.schedules.web.browser import BASE, SETTINGS, Browser


@dataclass(slots=True)
class Office:
    """The door, and browsers in front of it."""

    world: World
    client: RelayClient
    app: App
    told: list[object]
    """Events for operators; none is expected."""
    _browsers: AsyncExitStack
    _numbers: count[int] = field(default_factory=count)

    async def link(self, user: str) -> Secret:
        """As a settings service hands it over."""
        secret = f"a-link-that-nobody-can-guess-{next(self._numbers)}"
        await self.world.relay.engine.issue(
            self.world.tenant, self.world.key(user), PassKind.LINK, Private(secret)
        )  # fmt: skip
        return Secret(secret)

    async def browser(self) -> Browser:
        return await self._browsers.enter_async_context(Browser(self.app, base=BASE))

    async def sign_in(self, user: str) -> Browser:
        """A browser with a session, by a link."""
        made = await self.browser()
        made.show_session((await self.client.redeem(await self.link(user))).session)
        return made


@asynccontextmanager
async def office(world: World, folder: Path) -> AsyncIterator[Office]:
    told: list[object] = []
    socket = folder / "door.sock"
    async with trio.open_nursery() as nursery, AsyncExitStack() as browsers:
        await nursery.start(unix.serve, world.relay.web_door, socket)
        async with connected(socket) as client:
            app = application(client, SETTINGS, lambda: world.now, told.append)
            yield Office(world, client, app, told, browsers)
        nursery.cancel_scope.cancel()
    assert not told, told
