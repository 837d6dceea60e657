"""GOAWAY on one connection, in the ways in which servers say it.

The last stream that a GOAWAY names is the last one that is processed: what comes behind it is ignored, and counts
against the client once it has acknowledged the PING that follows.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import trio

from relay.simulators import frames
from relay.simulators.h2_ends import Ends
from relay.simulators.h2_writer import Writer
from relay.simulators.injections import Injections

AFTER_GOAWAY: Final = b"goodbye!"
"""Of the PING that tells when the client knows."""
_HELD: Final = 0.1
"""Seconds that a GOAWAY waits for what it is to exclude, or for its announcement to arrive."""


class Goodbye:
    """`highest`: number of the latest stream of the client."""

    def __init__(self, writer: Writer, faults: Injections[Any], ends: Ends, highest: Callable[[], int]) -> None:
        self._writer = writer
        self._faults = faults
        self._ends = ends
        self._highest = highest
        self._due = trio.Event()
        self.last_stream = frames.LAST_STREAM
        self.is_known = False
        """The client has acknowledged it."""

    def ignored(self) -> None:
        """A stream came behind the last one."""
        if self._ends.excludes():
            self._due.set()

    def leave(self, stream: int, nursery: trio.Nursery) -> None:
        """Say it as it is injected, with this one as the last stream."""
        if not (self._faults.goaway_graceful or self._faults.goaway_unprocessed):
            self.say(*self._faults.farewell)
            return
        if not self._faults.goaway_graceful:
            self.last_stream = stream
        nursery.start_soon(self._leave_soon)

    async def leave_in_time(self) -> None:
        """When the connection has lived long enough."""
        lifetime = self._faults.goaway_lifetime
        if lifetime is not None:
            await trio.sleep(lifetime)
            self.last_stream = self._highest()
            await self._leave_soon()

    async def _leave_soon(self) -> None:
        """Two GOAWAYs, the first of which excludes nothing; or one that comes after what it excludes."""
        code, debug = self._faults.farewell
        if self._faults.goaway_graceful:
            self.last_stream = frames.LAST_STREAM
            self._writer.add(frames.goaway(frames.LAST_STREAM, debug))
            await self._writer.tell()
            await trio.sleep(_HELD)
            self.last_stream = self._highest()
        elif self._faults.goaway_unprocessed:
            with trio.move_on_after(_HELD):
                await self._due.wait()
        self.say(code, debug, self.last_stream)
        await self._writer.tell()

    async def everybody(self, debug: bytes, *, graceful: bool, code: int) -> None:
        """The service says it on all connections."""
        if graceful:
            self._writer.add(frames.goaway(frames.LAST_STREAM, debug))
            await self._writer.tell()
        self.say(code, debug)
        await self._writer.tell()

    def say(self, code: int, debug: bytes, last: int | None = None) -> None:
        """With the last stream there was, unless one is named."""
        self.last_stream = self._highest() if last is None else last
        named = self._faults.goaway_last_stream
        shown = self.last_stream if named is None else named
        self._writer.add(frames.goaway(shown, debug, code) + frames.ping(AFTER_GOAWAY))
        self._ends.disowned(shown)
        self._writer.is_dying = self._writer.is_dying or self._faults.goaway_silence
