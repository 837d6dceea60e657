"""A disk that keeps what was synced, and of the rest what chance will have it."""

from __future__ import annotations

from functools import partial
from random import Random

import pytest
import trio
from trio.testing import MockClock

from bench.simulation.disk import Disk, Mount
from relay.core.batch import Batch
from relay.store.port import StoreError


class Notes:
    """Who is told of what is on the disk."""

    def __init__(self) -> None:
        self.written: list[int] = []

    def drafted(self) -> int:
        return 0

    def durable(self, batch: Batch, _mark: int | None) -> None:
        self.written.append(batch.generation)


def a_disk(seed: int = 1) -> tuple[Disk, Notes]:
    notes = Notes()
    return Disk(Random(seed), notes, lambda _: None), notes


def a_batch(mount: Mount, generation: int) -> Batch:
    return Batch(0.0, epoch=mount.load().epoch, generation=generation)


async def test_a_commit_is_on_the_disk_when_the_executor_returns(autojump_clock: MockClock) -> None:
    disk, notes = a_disk()
    mount = Mount(disk)
    await mount.execute(partial(mount.commit, a_batch(mount, 1)))
    assert trio.current_time() > 0
    assert notes.written == [1]
    assert disk.durable.load().generation == 1


async def test_what_was_not_synced_is_lost_or_kept(autojump_clock: MockClock) -> None:
    """In one piece, and for good."""
    kept = set()
    for seed in range(20):
        disk, notes = a_disk(seed)
        mount = Mount(disk)
        with trio.move_on_after(0.0001):
            await mount.execute(partial(mount.commit, a_batch(mount, 1)))
        mount.die()
        mount.die()
        assert len(notes.written) == disk.durable.load().generation <= 1
        kept.add(bool(notes.written))
        with pytest.raises(StoreError):
            await mount.execute(partial(mount.commit, a_batch(mount, 2)))
    assert kept == {True, False}


async def test_a_failed_commit_may_come_back_after_a_crash_but_not_after_another_commit(
    autojump_clock: MockClock,
) -> None:
    returned = set()
    for seed in range(40):
        disk, notes = a_disk(seed)
        mount, disk.failing = Mount(disk), 1
        with pytest.raises(StoreError):
            await mount.execute(partial(mount.commit, a_batch(mount, 1)))
        if seed % 2:
            await mount.execute(partial(mount.commit, a_batch(mount, 2)))
        mount.die()
        returned.add((seed % 2, tuple(notes.written)))
    assert returned == {(0, ()), (0, (1,)), (1, (2,))}


async def test_other_work_on_the_store_writes_nothing(autojump_clock: MockClock) -> None:
    disk, notes = a_disk()
    mount = Mount(disk)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(mount.execute, partial(mount.commit, a_batch(mount, 1)))
        nursery.start_soon(mount.execute, lambda: None)
    assert notes.written == [1]
