"""The machine on which the relay runs: processes that begin, are stopped, or die, one after the other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Final

import trio

from bench.simulation.calm import Calm
from bench.simulation.clock import Times
from bench.simulation.disk import Disk, Mount
from bench.simulation.frames import Departure, ProviderTap
from bench.simulation.judge import Judge
from bench.simulation.network import End, Line, Listener, Network
from bench.simulation.providers import Providers
from bench.simulation.trace import Trace
from relay.clock import Clock
from relay.config import AnyAppConfig, Config
from relay.lanes.dialer import Connect
from relay.service import Relay, Seams

Store = Callable[[Disk], Mount]
DOOR: Final = "door"


@dataclass(slots=True)
class Parts:
    """What can be replaced by something broken, to show that the judge notices."""

    mount: Store = Mount
    clock: Callable[[Times], Clock] = lambda times: times


class Machine:
    """Runs one process at a time."""

    def __init__(
        self, config: Config, disk: Disk, network: Network, providers: Providers, times: Times, judge: Judge,
        trace: Trace, calm: Calm, rng: Random, parts: Parts,
    ) -> None:  # fmt: skip
        self._config = config
        self._disk = disk
        self._network = network
        self._providers = providers
        self._times = times
        self._judge = judge
        self._trace = trace
        self._calm = calm
        self._rng = rng
        self._parts = parts
        self._process: _Process | None = None
        self._down = 0.0
        """Seconds for which it stays down after this process."""
        self._trap: tuple[str, int] | None = None

    @property
    def door(self) -> Listener | None:
        """Where it listens; None while it does not."""
        return None if self._process is None else self._process.listener

    async def run(self) -> None:
        """Process after process, until cancelled."""
        while True:
            self._process = _Process(self._parts.mount(self._disk))
            await self._live(self._process)
            self._process = None
            self._judge.crashed()
            await trio.sleep(self._down)

    async def _live(self, process: _Process) -> None:
        with process.scope:
            try:
                relay = Relay(self._config, process.mount, self._parts.clock(self._times), self._seams(process))
                people = relay.people
                if people.books.balance(people.pending()):
                    self._trace.fail("the books do not balance after a start")
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(relay.door.run, [process.listener])
                    await relay.run(process.stop)
                    nursery.cancel_scope.cancel()
            except* Exception as errors:
                if not process.mount.is_dead:
                    self._trace.fail(f"the relay ended by itself: {_names(errors)}")
        self._bury(process, loses=False)

    def _seams(self, process: _Process) -> Seams:
        def connect(app: AnyAppConfig) -> Connect:
            async def dial(_address: str, _port: int) -> trio.abc.Stream:
                tap = ProviderTap(app.name, self)
                line = await self._network.dial(app.name, lambda line: self._providers.answer(app.name, tap, line), tap)
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

    def _bury(self, process: _Process, *, loses: bool) -> None:
        process.mount.die()
        process.listener.is_open = False
        for line in self._network.lines:
            line.die(self._end(line), loses=loses)

    @staticmethod
    def _end(line: Line) -> End:
        return line.far if line.name == DOOR else line.near

    # --- what its processes do, as seen from outside

    def departed(self, departure: Departure) -> None:
        self._judge.departed(departure)
        self.trip("left")

    def answered(self, departure: Departure, *, accepted: bool) -> None:
        self._judge.answered(departure, accepted=accepted)
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
            self._trace.fault(f"it dies when something is {where}")
            self.kill(self._rng.choice((0.5, 3.0, 60.0)))


class _Process:
    """One life."""

    def __init__(self, mount: Mount) -> None:
        self.mount = mount
        self.listener = Listener()
        self.stop = trio.Event()
        self.scope = trio.CancelScope()


def _names(errors: BaseExceptionGroup[BaseException]) -> str:
    return ", ".join(
        sorted({_names(e) if isinstance(e, BaseExceptionGroup) else type(e).__name__ for e in errors.exceptions})
    )
