"""A whole relay and a fake APNs in one task tree: streams in memory, the store inline, so that time may be virtual."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from random import Random

import trio
import trio.testing

from relay.clock import Clock
from relay.config import AnyAppConfig, Config
from relay.journal import inline
from relay.lanes.dialer import Connect
from relay.service import Relay, Seams
from relay.simulators.apns import FakeApns
from relay.store.sqlite import SqliteStore
from tests.e2e.tap import Tap


class MemoryListener(trio.abc.Listener[trio.abc.Stream]):
    """A door without an address."""

    def __init__(self) -> None:
        self._send, self._receive = trio.open_memory_channel[trio.abc.Stream](10)

    async def accept(self) -> trio.abc.Stream:
        return await self._receive.receive()

    async def connect(self) -> trio.abc.Stream:
        ours, theirs = trio.testing.memory_stream_pair()
        await self._send.send(theirs)
        return ours

    async def aclose(self) -> None:
        await self._receive.aclose()


class Line:
    """The way from the relay to a fake APNs. `taps` have what the relay sent, one for each connection."""

    def __init__(self, apns: FakeApns, nursery: trio.Nursery) -> None:
        self._apns = apns
        self._nursery = nursery
        self.taps: list[Tap] = []

    async def _connect(self, _host: str, _port: int) -> trio.abc.Stream:
        await trio.lowlevel.checkpoint()
        ours, theirs = trio.testing.memory_stream_pair()
        self._nursery.start_soon(self._apns.serve_stream, theirs)
        self.taps.append(Tap(ours))
        return self.taps[-1]

    def of(self, _app: AnyAppConfig) -> Connect:
        return self._connect


@asynccontextmanager
async def relay_in_memory(config: Config, clock: Clock, apns: FakeApns) -> AsyncIterator[tuple[MemoryListener, Line]]:
    """All parts of a node, running as `Relay.run` has them, but for the doors' addresses."""
    store = SqliteStore(config.store.file, config.store.masters.notary())
    try:
        async with trio.open_nursery() as nursery:
            listener, line = MemoryListener(), Line(apns, nursery)
            relay = Relay(config, store, clock, Seams(executor=inline, connect=line.of, rng=Random(1)))
            await nursery.start(relay.journal.run)
            await nursery.start(relay.dispatcher.run)
            await nursery.start(relay.pool.run)
            await nursery.start(partial(relay.door.run, [listener]))
            yield listener, line
            nursery.cancel_scope.cancel()
    finally:
        store.close()
