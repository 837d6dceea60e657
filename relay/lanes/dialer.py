"""Opening a connection: a fresh lookup, then the provider's addresses, the best first (addresses.py).

An attempt that has not come to its end (TCP and TLS) within a second gets a rival at the next address; the first that
is there wins, and the others are given up. trio's own happy eyeballs do the same, but for TCP only: a host that accepts
and then says nothing would win there. Whoever failed, or was overtaken by a later one, is put aside.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Final, NamedTuple

import structlog
import trio

from relay.lanes.addresses import Addresses
from relay.wire import ConnectionLost

RIVAL: Final = 1.0
"""Seconds after which an attempt gets a rival; a handshake across the globe takes half of it."""
ATTEMPTS: Final = 4
"""Most addresses tried by one connect: providers take bursts of connections for an attack."""

log = structlog.get_logger()
Connect = Callable[[str, int], Awaitable[trio.abc.Stream]]
"""(address, port) → a stream. Raises OSError, ConnectionLost."""
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""(host, port) → its addresses now. Raises OSError."""


class Dialled(NamedTuple):
    stream: trio.abc.Stream
    address: str


async def no_lookup(host: str, _port: int) -> Sequence[str]:
    """For networks that know their hosts by name: the name is the address."""
    return [host]


class Dialer:
    """Of one lane. `addresses` wants to be told how the connections end."""

    def __init__(self, app: str, connect: Connect, resolve: Resolve) -> None:
        self.addresses = Addresses()
        self._app = app
        self._connect = connect
        self._resolve = resolve

    async def dial(self, host: str, port: int) -> Dialled:
        """A stream to the best address that can be reached. Raises OSError, ConnectionLost: the first there was."""
        found = self.addresses.order(await self._resolve(host, port), trio.current_time())
        race = _Race(self, port, found[:ATTEMPTS])
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(race.run, nursery)
        except BaseException:
            if race.winner is not None:
                await trio.aclose_forcefully(race.winner.stream)
            raise
        finally:
            for address in race.running:  # overtaken, or the caller has waited long enough
                self.failed(address, "slow")
        if race.winner is None:
            raise race.error or OSError("no address")
        self.addresses.opened(race.winner.address)
        return race.winner

    def failed(self, address: str, reason: str) -> None:
        """Put an address aside."""
        now = trio.current_time()
        if not self.addresses.is_aside(address, now):
            log.info("address_put_aside", app=self._app, address=address, reason=reason)
        self.addresses.failed(address, now)

    async def connect(self, address: str, port: int) -> trio.abc.Stream:
        return await self._connect(address, port)


class _Race:
    """One connect: attempts that begin one after the other, until one is there."""

    def __init__(self, dialer: Dialer, port: int, addresses: Sequence[str]) -> None:
        self.winner: Dialled | None = None
        self.error: Exception | None = None
        self.running: list[str] = []
        self._dialer = dialer
        self._port = port
        self._addresses = addresses

    async def run(self, nursery: trio.Nursery) -> None:
        for address in self._addresses:
            ended = trio.Event()
            self.running.append(address)
            nursery.start_soon(self._attempt, address, ended, nursery.cancel_scope)
            with trio.move_on_after(RIVAL):
                await ended.wait()

    async def _attempt(self, address: str, ended: trio.Event, race: trio.CancelScope) -> None:
        try:
            stream = await self._dialer.connect(address, self._port)
        except (OSError, ConnectionLost) as error:
            self.error = self.error or error
            self.running.remove(address)
            reason = error.reason if isinstance(error, ConnectionLost) else type(error).__name__
            self._dialer.failed(address, reason)
            ended.set()
            return
        if self.winner is not None:  # two in one instant
            await trio.aclose_forcefully(stream)
            return
        begun = self._addresses.index(address)
        self.running = [a for a in self.running if self._addresses.index(a) < begun]
        self.winner = Dialled(stream, address)
        race.cancel()
