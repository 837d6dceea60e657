"""The demo in order: register, play the night, judge it, wake the force."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import trio

from relay.clock import WallClock
from relay.ops import logs
from relay.process import watch_signals
from relay.simulators.demo.force import wake_force
from relay.simulators.demo.ledger import Ledger
from relay.simulators.demo.night import Arrivals, Night, register
from relay.simulators.demo.report import Report
from relay.simulators.demo.stage import Destinations, Stage, Telling
from relay.simulators.demo.stepped import SteppedClock
from relay.simulators.demo.view import View
from relay.simulators.stage import providers
from relay.simulators.world import BEGINS, ENDS, World

OFFICERS: Final = 23_000
FEW: Final = 2_000
"""Officers of `--quick`."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the ledger says of the night, and whether the relay's books agree with it."""

    ledger: Ledger
    lost: int
    books_balance: bool


async def run(officers: int, seed: int, view: View, keep: Callable[[str], object]) -> Report | None:
    """Show it; None when a signal ended it. `keep` takes the relay's log lines. Raises RelayError, OSError."""
    stop = trio.Event()
    report: Report | None = None
    async with trio.open_nursery() as nursery:
        await nursery.start(watch_signals, stop)
        nursery.start_soon(_cancelled_by, stop, nursery.cancel_scope)
        with tempfile.TemporaryDirectory(prefix="feierabend-demo-") as folder, view.running():
            report = await _show(Path(folder), officers, seed, view, keep)
        nursery.cancel_scope.cancel()
    return report


async def _cancelled_by(stop: trio.Event, scope: trio.CancelScope) -> None:
    await stop.wait()
    scope.cancel()


async def _show(folder: Path, officers: int, seed: int, view: View, keep: Callable[[str], object]) -> Report:
    began = trio.current_time()
    world, clock, arrivals = World(seed=seed, officers=officers), SteppedClock(BEGINS), Arrivals()
    logs.configure(clock.now, keep)
    async with trio.open_nursery() as nursery:
        stage, journal = Stage(folder, seed), Telling(arrivals.seen)
        simulators = await providers(nursery, folder, clock.now, journal, journal)
        destinations = Destinations(simulators.apns_port, simulators.fcm_port, folder / "ca.pem")
        judged = await play_night(world, clock, stage, destinations, arrivals, view)
        for breach, count in journal.violations.items():
            view.say(f"The simulators object: {breach} ({count:,} times).")
        view.say("Waking the force, in real time.")
        simulators.oauth.now = (morning := WallClock(ENDS - WallClock().now())).now
        woken = await wake_force(folder, stage, morning, world.officers)
        nursery.cancel_scope.cancel()
    ledger, devices = judged.ledger, world.devices()
    report = Report(
        users=officers,
        devices=devices,
        events=ledger.events,
        wakeups=ledger.wakeups,
        deferred=ledger.deferred,
        merged=ledger.merged,
        alarms=ledger.alarms,
        in_rest_without_bypass=ledger.in_rest_without_bypass,
        lost=judged.lost + officers - woken.accepted + max(0, devices - woken.requests),
        books_balance=judged.books_balance and woken.books_balance,
        force_seconds=round(woken.seconds, 2),
        seconds=round(trio.current_time() - began, 1),
    )
    view.end(report)
    return report


async def play_night(
    world: World, clock: SteppedClock, stage: Stage, destinations: Destinations, arrivals: Arrivals, view: View
) -> Judgement:
    """Register everybody, play the night, judge it."""
    ledger = Ledger(world.officers)
    async with stage.relay(clock, destinations) as backstage:
        view.say(f"Registering {len(world.officers):,} officers with {world.devices():,} phones.")
        began = trio.current_time()
        await register(world, stage, backstage)
        view.say(f"Registered in {trio.current_time() - began:.1f} s. The night begins.")
        night = Night(world, ledger, clock, backstage, arrivals, lambda t: view.show(t, ledger))
        async with backstage.client(stage.backend) as client:
            await night.play(client)
        agree = backstage.balances() and ledger.agrees(backstage.books()) and not ledger.strangers
    return Judgement(ledger, ledger.lost(ENDS), agree)
