"""The simulation can fail: with a part that breaks a promise, the judge says so.

The parts are replaced where they are parameters (`Parts`): the store of a process, and its clock.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import replace
from typing import Any

import pytest

from bench.simulation.clock import Times
from bench.simulation.disk import Disk, Mount
from bench.simulation.machine import Parts
from bench.simulation.run import simulate
from relay.core.batch import Batch
from relay.service import Relay
from relay.store.port import Loaded

SEEDS = range(1, 13)
AHEAD = 240.0
"""Seconds; not so many that the providers would take no token any more."""


def failures(parts: Parts, expected: Sequence[str] = ()) -> set[str]:
    """Of the first seeds, up to one that finds as much as was expected, or of all."""
    found: set[str] = set()
    for seed in SEEDS:
        found.update(simulate(seed, parts).failures)
        if any(sentence.startswith(some) for sentence in found for some in expected):
            break
    return found


class Forgetful(Mount):
    """Forgets with its process what was synced last."""

    def __init__(self, disk: Disk) -> None:
        super().__init__(disk)
        self._before = disk.durable

    def commit(self, batch: Batch) -> None:
        super().commit(batch)
        self._before = deepcopy(self._disk.durable)

    def die(self) -> None:
        if not self.is_dead:
            super().die()
            self._disk.durable = self._before


class Hasty(Mount):
    """Says that a batch is written, and writes it with the next one."""

    async def execute(self, work: Callable[[], None]) -> None:
        late, self._unsynced = self._unsynced, None
        if late is not None:
            self._disk.write(late, None)
        work()


class Restless(Mount):
    """Has lost all plans when a process begins."""

    def load(self, partition: int = 0) -> Loaded:
        loaded = super().load(partition)
        loaded.rests.clear()
        return loaded


class Cooked(Mount):
    """Books one more notice than there was."""

    def commit(self, batch: Batch) -> None:
        batch = deepcopy(batch)
        for account in batch.accounts.values():
            account.woken += account.accepted > 3
        super().commit(batch)


class Early:
    """A clock that is ahead of what it says to others."""

    def __init__(self, times: Times) -> None:
        self._times = times

    def now(self) -> float:
        return self._times.now() + AHEAD

    async def sleep_until(self, instant: float) -> None:
        await self._times.sleep_until(instant - AHEAD)


class Hurried(Relay):
    """Gives an alarm up as soon as it has come."""

    def __init__(self, *taken: Any, **named: Any) -> None:  # noqa: ANN401 (whatever the relay takes)
        super().__init__(*taken, **named)
        for tenant in self.tenants.values():
            assert isinstance(tenant.classes, dict)
            tenant.classes["alarm"] = replace(tenant.classes["alarm"], deadline=0.0)


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        (Parts(mount=Forgetful), ["a notice of the class", "an account has shrunk", "the books"]),
        (Parts(mount=Hasty), ["a 202 was told before it was on the disk"]),
        (Parts(mount=Restless), ["the relay knows another plan than was handed in", "somebody was woken in rest"]),
        (Parts(mount=Cooked), ["the books do not balance"]),
        (Parts(clock=Early), ["somebody was woken in rest without a bypass"]),
        (Parts(relay=Hurried), ["somebody was not rung in time", "the books call more notices expired than can be"]),
    ],
    ids=[
        "forgets what was synced", "acknowledges before the sync", "loses plans", "cooks the books", "rings in rest",
        "gives alarms up",
    ],
)  # fmt: skip
def test_a_broken_part_is_noticed(parts: Parts, expected: Sequence[str]) -> None:
    found = failures(parts, expected)
    assert any(sentence.startswith(some) for sentence in found for some in expected), found


def test_nothing_is_noticed_where_nothing_is_broken() -> None:
    assert {failure for seed in SEEDS[:4] for failure in simulate(seed).failures} == set()
