"""The post office: fetches what other nodes have posted for our people (core/abroad.py), and hands it to the journal.

Posting wakes us (NOTIFY); what was missed is found by looking now and then, and after partitions were adopted. What is
fetched goes into slots by a commit that deletes it, so it is taken once, whatever fails in between.
"""

from __future__ import annotations

from functools import partial
from typing import Final

import structlog
import trio

from relay.core.batch import Fetched
from relay.core.errors import Overloaded, Unavailable
from relay.core.people import People
from relay.journal import Executor, Journal
from relay.store.port import SharedStore, StoreError, StoreMismatch

MOST: Final = 500
"""Fetched together."""
LOOK_EVERY: Final = 1.0
"""Seconds without a call after which we look all the same; as long is not looked at a store that has failed."""

log = structlog.get_logger()


class PostOffice:
    """`listener`, `reader`: where the store is waited for, and read."""

    def __init__(
        self, people: People, journal: Journal, store: SharedStore, *, listener: Executor, reader: Executor
    ) -> None:
        self._people = people
        self._journal = journal
        self._store = store
        self._listen, self._read = listener, reader
        self._called = trio.Event()

    def call(self) -> None:
        """Look soon: partitions have come."""
        self._called.set()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Until cancelled."""
        task_status.started()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._hear)
            while True:
                self._called = trio.Event()
                if not await self._fetch():
                    with trio.move_on_after(LOOK_EVERY):
                        await self._called.wait()

    async def _hear(self) -> None:
        while True:
            try:
                await self._listen(partial(self._store.wait_for_post, LOOK_EVERY))
            except StoreError:
                await trio.sleep(LOOK_EVERY)
            self.call()

    async def _fetch(self) -> bool:
        """Whether there was something, and there may be more."""
        owned = self._people.owned
        if not owned:
            return False
        found: list[Fetched] = []
        try:
            await self._read(lambda: found.extend(self._store.posted(owned, MOST)))
            return bool(found) and await self._journal.fetch(found) > 0
        except StoreMismatch as error:  # of a newer version, or damaged: whoever can read it may have it
            log.error("post_unreadable", reason=str(error))
        except (StoreError, Unavailable, Overloaded):
            pass
        await trio.sleep(LOOK_EVERY)
        return False
