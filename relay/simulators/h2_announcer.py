"""SETTINGS of one connection: the service's, what is injected in their place, and what changes under way."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import trio

from relay.simulators import h2_settings
from relay.simulators.h2_service import WINDOW, Limits, Session
from relay.simulators.h2_settings import STREAMS, TABLE_SIZE, Announced
from relay.simulators.h2_writer import Writer
from relay.simulators.injections import Injections

_CHANGED_FOR: Final = 1.0
"""Most seconds that a change at random lasts."""
_DEFAULTS: Final = {TABLE_SIZE: 4096, h2_settings.WINDOW: WINDOW}
"""Of HTTP/2: what holds for a client that was told nothing."""


class Announcer:
    """Decides what is announced; `announced` keeps the record."""

    def __init__(self, writer: Writer, faults: Injections[Any], limits: Limits, session: Session) -> None:
        self._writer = writer
        self._faults = faults
        self._limits = limits
        self._session = session
        self.announced = Announced({**limits.settings, **self._injected(), STREAMS: session.streams}, WINDOW)
        self.held_to: int | None = None
        """Stream limit for the moment, in the place of the session's."""
        self._refreshed = trio.Event()

    def announce(self, changes: Mapping[int, int]) -> None:
        self._writer.add(self.announced.announce(changes))

    async def tell(self, changes: Mapping[int, int]) -> None:
        """The same, at once; until something else is announced."""
        self.announce(changes)
        await self._writer.tell()

    def dance(self, status: int) -> None:
        """What an answer changes about the stream limit: one that has grown is announced after it."""
        if self._faults.dance and 400 <= status < 500:
            self.held_to = 1
        elif status == 200 or not self._faults.dance:
            self.held_to = None
        limit = self._session.streams if self.held_to is None else self.held_to
        if limit > self.announced.now[STREAMS] or self.held_to is not None:
            self.announce({STREAMS: limit})

    async def refresh(self) -> None:
        """The injections have changed."""
        event, self._refreshed = self._refreshed, trio.Event()
        event.set()
        await self.tell(self._usual())

    async def change_at_random(self) -> None:
        """Something else at random times, for a while; then the usual again."""
        while True:
            every, refreshed = self._faults.settings_every, self._refreshed
            if every is None:
                await refreshed.wait()
                continue
            await trio.sleep(self._faults.rng.expovariate(1 / every))
            change = h2_settings.at_random(self._faults.rng, self._session.streams)
            self.held_to = change.get(STREAMS, self.held_to)
            await self.tell(change)
            await trio.sleep(_CHANGED_FOR * self._faults.rng.random())
            self.held_to = None
            await self.tell(self._usual())

    async def raise_window(self) -> None:
        """Some time after the connection was opened."""
        after = self._faults.window_raised_after
        if after is not None:
            await trio.sleep(after)
            await self.tell({h2_settings.WINDOW: self._limits.stream_window})

    def _injected(self) -> dict[int, int]:
        """In the place of the service's."""
        given = {h2_settings.WINDOW: self._faults.initial_window, TABLE_SIZE: self._faults.table_size}
        return {key: value for key, value in given.items() if value is not None}

    def _usual(self) -> dict[int, int]:
        """What holds when nothing else does; of that, what the client was ever told about."""
        usual, injected = {**_DEFAULTS, **self._limits.settings, **self._injected()}, self._injected()
        kept = {key: value for key, value in usual.items() if key in self.announced.now or key in injected}
        return kept if self.held_to is not None else {**kept, STREAMS: self._session.streams}
