"""The machine on which the relay runs: processes that begin, are stopped, or die, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Protocol

import trio

from bench.simulation.calm import Calm
from bench.simulation.clock import Times
from bench.simulation.database import NodeStore, Server
from bench.simulation.disk import Disk, Mount
from bench.simulation.frames import Departure, ProviderTap
from bench.simulation.network import Listener, Network
from bench.simulation.providers import Providers
from bench.simulation.stations import Station
from bench.simulation.trace import Trace
from relay.clock import Clock
from relay.config import AnyAppConfig, Config
from relay.journal import Executor
from relay.lanes.dialer import Connect
from relay.service import Relay, Seams
from relay.tenure import Tenure

Faults = Sequence[Callable[..., Callable[[], None] | None]]
"""Functions of (weather, seconds); what they return ends it (weather.py)."""


class Mounted(Protocol):
    """The store of one process."""

    is_dead: bool

    @property
    def execute(self) -> Executor:
        """Where the relay commits."""

    def die(self) -> None:
        """Its process is no more."""


@dataclass(slots=True)
class Parts:
    """What can be replaced by something broken, to show that the judge notices."""

    mount: Callable[[Disk], Mount] = Mount
    clock: Callable[[Times], Clock] = lambda times: times
    store: Callable[[Server, Station, Callable[[str], None]], NodeStore] = NodeStore
    """Of a node; and so is the tenure."""
    tenure: Callable[[Clock], Tenure] = Tenure
    relay: type[Relay] = Relay
    faults: Faults = ()
    """Nothing but these goes wrong; empty: anything."""


class Machine:
    """Runs one process at a time: of a machine that is alone, or of a node (node.py)."""

    def __init__(
        self, config: Config, network: Network, providers: Providers, station: Station, trace: Trace, calm: Calm,
        rng: Random, parts: Parts,
    ) -> None:  # fmt: skip
        self._config = config
        self._network = network
        self._providers = providers
        self.station = station
        self._trace = trace
        self._calm = calm
        self._rng = rng
        self._parts = parts
        self._process: Process | None = None
        self._down = 0.0
        """Seconds for which it stays down after this process."""
        self._trap: tuple[str, int] | None = None

    @property
    def times(self) -> Times:
        return self.station.times

    @property
    def door(self) -> Listener | None:
        """Where it listens; None while it does not."""
        return None if self._process is None else self._process.listener

    async def run(self) -> None:
        """Process after process, until cancelled."""
        while True:
            self._process = self._made()
            await self._live(self._process)
            self._process = None
            self.station.crashed()
            await self._stay_down(self._down)

    async def _stay_down(self, seconds: float) -> None:
        await trio.sleep(seconds)

    def _made(self) -> Process:
        raise NotImplementedError

    async def _live(self, process: Process) -> None:
        with process.scope:
            try:
                await self._serve(process)
            except* Exception as errors:
                if not process.mount.is_dead and not self._may_end_by(errors):
                    self._trace.fail(f"the relay ended by itself: {_names(errors)}")
        self._bury(process, loses=False)

    async def _serve(self, process: Process) -> None:
        """Until it has stopped by itself."""
        raise NotImplementedError

    def _may_end_by(self, errors: BaseExceptionGroup[BaseException]) -> bool:
        return False

    def _seams(self, process: Process) -> Seams:
        def connect(app: AnyAppConfig) -> Connect:
            async def dial(_address: str, _port: int) -> trio.abc.Stream:
                tap = ProviderTap(app.name, self)
                line = await self._network.dial(app.name, lambda line: self._providers.answer(app.name, tap, line), tap)
                line.near.owner = process
                if process.mount.is_dead:
                    line.die(line.near, loses=True)
                return line.near

            return dial

        return Seams(
            executor=process.mount.execute, connect=connect, post=lambda _app: self._providers.post,
            rng=Random(self._rng.getrandbits(64)),
        )  # fmt: skip

    # --- ends

    def kill(self, down: float) -> None:
        """The process dies now. Nothing that it does from here on is seen by anybody."""
        process = self._process
        if process is not None and not process.mount.is_dead:
            self._down = down
            self._calm.disturb(down)
            self._bury(process, loses=self._rng.random() < 0.5)
            process.scope.cancel()

    def stop(self, down: float) -> None:
        """The process is asked to stop, drains, and ends."""
        if self._process is not None:
            self._down = down
            self._calm.disturb(down)
            self._process.stop.set()

    def _bury(self, process: Process, *, loses: bool) -> None:
        process.mount.die()
        process.listener.is_open = False
        self._network.bury(process, loses=loses)

    # --- what its processes do, as seen from outside

    def departed(self, departure: Departure) -> None:
        self.station.departed(departure)
        self.trip("left")

    def answered(self, departure: Departure, *, accepted: bool) -> None:
        self.station.answered(departure, accepted=accepted)
        self.trip("heard")

    # --- traps

    def set_trap(self, where: str, after: int) -> None:
        """Die when it has happened so often: a batch was `written` or `synced`, a wakeup `left`, its answer `heard`."""
        self._trap = where, after

    def spring_trap(self) -> None:
        """Nothing kills it any more."""
        self._trap = None

    def trip(self, where: str) -> None:
        if self._trap is None or self._trap[0] != where:
            return
        after = self._trap[1] - 1
        self._trap = (where, after) if after else None
        if not after:
            self._sprung(where)

    def _sprung(self, where: str) -> None:
        self._trace.fault(f"it dies when something is {where}")
        self.kill(self._rng.choice((0.5, 3.0, 60.0)))


class Process:
    """One life."""

    def __init__(self, mount: Mounted) -> None:
        self.mount = mount
        self.listener = Listener(self)
        self.stop = trio.Event()
        self.scope = trio.CancelScope()


class LoneMachine(Machine):
    """One relay, with its store on a disk of its own."""

    def __init__(
        self, config: Config, disk: Disk, network: Network, providers: Providers, station: Station, trace: Trace,
        calm: Calm, rng: Random, parts: Parts,
    ) -> None:  # fmt: skip
        super().__init__(config, network, providers, station, trace, calm, rng, parts)
        self._disk = disk

    def _made(self) -> Process:
        return Process(self._parts.mount(self._disk))

    async def _serve(self, process: Process) -> None:
        assert isinstance(process.mount, Mount)
        relay = self._parts.relay(self._config, process.mount, self._parts.clock(self.times), self._seams(process))
        people = relay.people
        if people.books.balance(people.pending()):
            self._trace.fail("the books do not balance after a start")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(relay.door.run, [process.listener])
            await relay.run(process.stop)
            nursery.cancel_scope.cancel()


def _names(errors: BaseExceptionGroup[BaseException]) -> str:
    return ", ".join(
        sorted({_names(e) if isinstance(e, BaseExceptionGroup) else type(e).__name__ for e in errors.exceptions})
    )
