"""A disk with a layer that is not synced: what a commit writes is there after a crash only if its fsync has ended.

`Disk` is what outlives a process. A `Mount` is the store of one process: `commit` writes into the unsynced layer, and
the executor, in which the relay runs its store, syncs it after a while of virtual time. A crash in between loses the
batch or keeps it, as chance will have it. A commit may fail at once, or at its fsync; then nobody knows what is on the
disk until the next commit that succeeds (a real one's log is overwritten by that), and a crash may bring it back. When
its process is dead a mount writes nothing any more.

What the relay reads back while it runs (feedback, bypasses) is what is synced, as with SQLite's log.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import Final, Protocol

import trio

from relay.core.batch import Batch, Bypass, Feedback
from relay.core.halts import Act
from relay.core.passes import Visit
from relay.core.private import UserKey
from relay.store.memory import MemoryStore
from relay.store.port import Changes, FeedbackRange, Loaded, Purged, StoreError, StoreStatistics

Range = tuple[float, float]
USUAL: Final = (0.0002, 0.004)
"""Seconds of an fsync, least and most."""


class Watches(Protocol):
    """Who sees what becomes durable."""

    def drafted(self) -> int:
        """A batch was made; a mark for `durable`."""

    def durable(self, batch: Batch, mark: int | None) -> None:
        """It is on the disk. None: its process did not live to know."""


Trip = Callable[[str], None]
"""Told of each instant at which a crash would be instructive."""


class Disk:
    """What is durable, and how the disk is at present."""

    def __init__(self, rng: Random, watches: Watches, trip: Trip) -> None:
        self.rng = rng
        self.watches = watches
        self.trip = trip
        self.seconds = USUAL
        self.failing = 0
        """So many commits fail."""
        self.durable = MemoryStore()

    def write(self, batch: Batch, mark: int | None) -> None:
        self.durable.commit(batch)
        self.watches.durable(batch, mark)


class Mount:
    """The store of one process (relay/store/port.py)."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self._unsynced: Batch | None = None
        self._doubtful: Batch | None = None
        """Its fsync has failed."""
        self.is_dead = False

    # --- the process

    async def execute(self, work: Callable[[], None]) -> None:
        """The relay's executor: run this, and sync what it wrote."""
        disk = self._disk
        mark = disk.watches.drafted()
        await trio.lowlevel.checkpoint()
        self._check()
        before = self._unsynced
        work()
        batch = self._unsynced
        if batch is None or batch is before:  # it was about something else
            return
        disk.trip("written")
        await trio.sleep(disk.rng.uniform(*disk.seconds))
        self._check()
        self._unsynced = None
        if disk.failing:
            disk.failing -= 1
            self._doubtful = batch
            raise StoreError("the fsync has failed")
        self._doubtful = None
        disk.write(batch, mark)
        disk.trip("synced")

    def die(self) -> None:
        """Its process is no more: what was not synced is lost, or not."""
        if self.is_dead:
            return
        self.is_dead = True
        batch = self._unsynced or self._doubtful
        if batch is not None and self._disk.rng.random() < 0.5:
            self._disk.write(batch, None)

    def _check(self) -> None:
        if self.is_dead:
            raise StoreError("the process is dead")

    # --- the port

    def load(self, partition: int = 0) -> Loaded:
        return self._disk.durable.load(partition)

    def commit(self, batch: Batch) -> None:
        self._check()
        disk = self._disk
        if disk.failing and disk.rng.random() < 0.5:
            disk.failing -= 1
            raise StoreError("the disk is full")
        self._unsynced = batch

    def changes(self, since: int) -> Changes:
        return self._disk.durable.changes(since)

    def purge(self, now: float, limit: int) -> Purged:
        self._check()
        return self._disk.durable.purge(now, limit)

    def feedback(self, tenant: str, after: int, limit: int) -> Sequence[Feedback]:
        return self._disk.durable.feedback(tenant, after, limit)

    def feedback_range(self, tenant: str) -> FeedbackRange:
        return self._disk.durable.feedback_range(tenant)

    def bypasses_of(self, tenant: str, wanted: Callable[[Bypass], bool], limit: int) -> Sequence[Bypass]:
        return self._disk.durable.bypasses_of(tenant, wanted, limit)

    def acts(self, limit: int) -> Sequence[Act]:
        return self._disk.durable.acts(limit)

    def visits(self, user: UserKey, limit: int) -> Sequence[Visit]:
        return self._disk.durable.visits(user, limit)

    def idle(self) -> None:
        """Nothing to tidy."""

    def statistics(self) -> StoreStatistics:
        return self._disk.durable.statistics()

    def close(self) -> None:
        """Nothing to close."""
