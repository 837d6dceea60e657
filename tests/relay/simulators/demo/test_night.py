"""The driver and the judge over a whole small night, on real sockets; and with relays that were tampered with."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import pytest
import trio

import relay.dispatch
from relay.core.events import NEVER
from relay.core.fanout import Considered, consider
from relay.core.people import Person
from relay.core.tables import Tables
from relay.simulators.demo import night
from relay.simulators.demo.ledger import Ledger
from relay.simulators.demo.night import MOST_RECIPIENTS, Arrivals, Coming
from relay.simulators.demo.report import Report
from relay.simulators.demo.show import Judgement, play_night
from relay.simulators.demo.stage import Destinations, Stage, Telling
from relay.simulators.demo.stepped import SteppedClock
from relay.simulators.stage import Providers, providers
from relay.simulators.world import BEGINS, INCIDENT, Moment, World, at

Shown = Callable[[float, Providers], None]


def moments(*sizes: int) -> Iterator[Moment]:
    return (Moment(BEGINS + i, "message", range(size)) for i, size in enumerate(sizes))


def test_what_is_written_until_an_instant_is_taken_in_order() -> None:
    coming = Coming(moments(1, 2, 3))
    assert coming.t == BEGINS
    assert [len(m.recipients) for m in coming.until(BEGINS + 1)] == [1, 2]
    assert coming.t == BEGINS + 2
    assert [len(m.recipients) for m in coming.until(BEGINS + 9)] == [3]
    assert coming.t == math.inf


def test_what_one_request_cannot_hold_waits_for_the_next_step() -> None:
    coming = Coming(moments(MOST_RECIPIENTS - 1, 2, 1))
    assert [len(m.recipients) for m in coming.until(BEGINS + 9)] == [MOST_RECIPIENTS - 1]
    assert coming.t == BEGINS + 1
    assert [len(m.recipients) for m in coming.until(BEGINS + 9)] == [2, 1]


class Silent:
    """A view that tells somebody else how far the night has come."""

    def __init__(self, shown: Callable[[float], None]) -> None:
        self._shown = shown

    def running(self) -> AbstractContextManager[object]:
        return nullcontext()

    def say(self, line: str) -> None: ...

    def show(self, t: float, ledger: Ledger) -> None:
        self._shown(t)

    def end(self, report: Report) -> None: ...


async def judged(folder: Path, shown: Shown = lambda _t, _simulators: None) -> tuple[Judgement, Providers]:
    """Play a small night to its end."""
    world, clock, arrivals = World(seed=1, officers=200), SteppedClock(BEGINS), Arrivals()
    stage, journal = Stage(folder, 1), Telling(arrivals.seen)
    async with trio.open_nursery() as nursery:
        simulators = await providers(nursery, folder, clock.now, journal, journal)
        destinations = Destinations(simulators.apns_port, simulators.fcm_port, folder / "ca.pem")
        view = Silent(lambda t: shown(t, simulators))
        judgement = await play_night(world, clock, stage, destinations, arrivals, view)
        nursery.cancel_scope.cancel()
    return judgement, simulators


@pytest.mark.sockets
async def test_a_night_ends_with_nobody_woken_in_rest_and_nothing_lost(tmp_path: Path) -> None:
    judgement, simulators = await judged(tmp_path)
    ledger = judgement.ledger
    assert (ledger.in_rest_without_bypass, judgement.lost, judgement.books_balance) == (0, 0, True)
    assert ledger.wakeups > 100
    assert ledger.merged > 50
    assert ledger.deferred > 100
    assert ledger.alarms == 20
    assert simulators.oauth.counts.fetches > 9  # a token of an hour is renewed all night
    assert not simulators.apns.journal.violations


@pytest.mark.thorough
@pytest.mark.sockets
async def test_a_gate_that_lets_everybody_through_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Tables, "__call__", lambda *_: None)
    judgement, _ = await judged(tmp_path)
    assert judgement.ledger.in_rest_without_bypass > 100


@pytest.mark.sockets
async def test_a_dispatcher_that_forgets_people_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its books balance all the same: what was forgotten stays pending there."""

    def forgetful(person: Person, now: float, table: object) -> Considered:
        return Considered([], [], NEVER) if person.key[0] < 64 else consider(person, now, table)  # type: ignore[arg-type]

    monkeypatch.setattr(relay.dispatch, "consider", forgetful)
    judgement, _ = await judged(tmp_path)
    assert judgement.lost > 10
    assert judgement.books_balance


@pytest.mark.thorough
@pytest.mark.sockets
async def test_the_night_goes_on_while_a_lane_is_paused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is queued there waits for the clock, and the clock must not wait for it."""
    monkeypatch.setattr(night, "PATIENCE", 0.02)
    trouble = [(503, "ServiceUnavailable")] * 12

    def fail(t: float, simulators: Providers) -> None:
        if t >= at(INCIDENT - 5) and trouble:
            simulators.apns.injections.answers.extend(trouble)
            trouble.clear()

    judgement, simulators = await judged(tmp_path, fail)
    assert not trouble
    assert not simulators.apns.injections.answers
    assert (judgement.ledger.in_rest_without_bypass, judgement.lost, judgement.books_balance) == (0, 0, True)


@pytest.mark.thorough
@pytest.mark.sockets
async def test_connections_that_are_cut_in_the_night_cost_nothing(tmp_path: Path) -> None:
    left = [at(23 * 60), at(30 * 60 + 2)]

    def cut(t: float, simulators: Providers) -> None:
        if left and t >= left[0]:
            left.pop(0)
            simulators.apns.cut()
            simulators.fcm.cut()

    judgement, _ = await judged(tmp_path, cut)
    assert not left
    assert (judgement.ledger.in_rest_without_bypass, judgement.lost, judgement.books_balance) == (0, 0, True)
