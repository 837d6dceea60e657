"""Wake the force: the morning after goes on in real time, on the same database, against the fast sink.

The sink is a process of its own, which answers everything at once. One alarm for everybody is posted; measured from the
first byte of the POST to the moment at which nothing is queued, in flight or unbooked any more.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import trio

from relay.clock import Clock
from relay.core.errors import RelayError
from relay.simulators.demo.ledger import ALARM
from relay.simulators.demo.stage import Backstage, Destinations, Stage
from relay.simulators.stage import REASON, ROLE
from relay.simulators.world import Officer

MOST_RECIPIENTS: Final = 25_000
"""Of one alarm; the door takes no more."""
LOOK: Final = 0.005
"""Seconds between two looks at whether all is done."""
PATIENCE: Final = 60.0
"""Seconds for the lanes to connect, and again for everything to be booked."""


class ForceFailed(RelayError):
    """The force could not be woken."""


@dataclass(frozen=True, slots=True)
class Woken:
    """What came of it."""

    seconds: float
    accepted: int
    """Notices, as the 202 said."""
    requests: int
    """That reached the sink; a little more than the alarm's, if the morning released something meanwhile."""
    books_balance: bool


class Sink:
    """The fast sink as a process. `requests`: how many it has answered, once it has ended."""

    def __init__(self, process: trio.Process) -> None:
        self._process = process
        self.requests = 0

    async def listening(self) -> dict[str, str]:
        """Its first line: where it listens, and its certificate. Raises ForceFailed."""
        assert self._process.stdout is not None
        line = b""
        while not line.endswith(b"\n"):
            if not (piece := await self._process.stdout.receive_some()):
                raise ForceFailed("the sink did not start")
            line += piece
        said: dict[str, str] = json.loads(line)
        return said

    async def end(self) -> None:
        self._process.terminate()
        assert self._process.stdout is not None
        said = b"".join([piece async for piece in self._process.stdout])
        await self._process.wait()
        self.requests = json.loads(said)["requests"] if said else 0


@asynccontextmanager
async def sink(folder: Path) -> AsyncIterator[Sink]:
    """Run the fast sink for as long as the body."""
    command = [sys.executable, "-m", "relay", "fake", "sink", "--credentials", str(folder), "--dead-every", "0"]
    async with trio.open_nursery() as nursery:
        process = await nursery.start(lambda task_status: _run(command, task_status))
        yield Sink(process)
        nursery.cancel_scope.cancel()


async def _run(command: Sequence[str], task_status: trio.TaskStatus[trio.Process]) -> None:
    await trio.run_process(command, stdout=subprocess.PIPE, check=False, task_status=task_status)


async def wake_force(folder: Path, stage: Stage, clock: Clock, officers: Sequence[Officer]) -> Woken:
    """Start the relay anew, post the alarm, wait until it is booked. Raises RelayError, RelayFailure, OSError."""
    async with sink(folder / "sink") as running:
        said = await running.listening()
        port = int(said["listening"].rpartition(":")[2])
        both = _both(folder / "both.pem", folder / "ca.pem", Path(said["ca"]))
        async with stage.relay(clock, Destinations(port, port, both)) as backstage:
            await _until(backstage, lambda: all(lane.connections for lane in backstage.relay.pool.statistics()))
            seconds, accepted = await _post(stage, backstage, officers)
            balance = backstage.balances()
        await running.end()
    return Woken(seconds, accepted, running.requests, balance)


def _both(path: Path, tokens: Path, sink_ca: Path) -> Path:
    """Certificates of an app whose access tokens come from the simulator, and whose requests go to the sink."""
    path.write_bytes(tokens.read_bytes() + sink_ca.read_bytes())
    return path


async def _post(stage: Stage, backstage: Backstage, officers: Sequence[Officer]) -> tuple[float, int]:
    """(seconds until everything was booked, notices accepted)."""
    names = [officer.id for officer in officers]
    async with backstage.client(stage.backend) as client:
        began, accepted = trio.current_time(), 0
        for first in range(0, len(names), MOST_RECIPIENTS):
            taken = await client.wake(names[first : first + MOST_RECIPIENTS], ALARM, role=ROLE, reason=REASON)
            accepted += taken.accepted
        await _until(backstage, lambda: not backstage.account(ALARM).pending)
        return trio.current_time() - began, accepted


async def _until(backstage: Backstage, is_done: Callable[[], bool]) -> None:
    """Return when this is so and nothing is under way. Raises ForceFailed when that takes too long."""
    with trio.move_on_after(PATIENCE):
        while not (is_done() and backstage.is_quiet()):
            await backstage.errands.wait(LOOK)
        return
    raise ForceFailed(f"the lanes did not come to rest within {PATIENCE:.0f} s")
