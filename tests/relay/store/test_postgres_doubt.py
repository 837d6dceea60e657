"""A connection that breaks during a commit: what was written is never taken for lost, nor the other way round."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import LiteralString

import psycopg
import pytest

from relay.core.batch import Batch, SlotKey
from relay.core.slots import Slot
from relay.store.port import Outdated, StaleEpoch, StoreError
from relay.store.postgres import PostgresStore
from relay.store.postgres_migrating import migrate
from tests.e2e.processes import PATIENCE
from tests.relay.store.batches import NOW, a_full_batch, a_slot, user
from tests.relay.store.between import Between, Break

KEY = (user(1), "message")


@dataclass
class Scene:
    """A store behind the proxy, and another one that sees what is really written."""

    between: Between
    store: PostgresStore
    url: str
    epoch: int = field(init=False)

    def __post_init__(self) -> None:
        self.epoch = self.store.load().epoch

    def commit(self, number: int) -> None:
        self.store.commit(Batch(NOW, self.epoch, slots={KEY: a_slot(number)}, generation=number))

    def written(self) -> dict[SlotKey, Slot]:
        """By a process that takes over."""
        other = PostgresStore(self.url)
        try:
            return other.load().slots
        finally:
            other.close()


@pytest.fixture
def scene(fresh: str) -> Iterator[Scene]:
    migrate(fresh)
    with Between(fresh) as between:
        store = PostgresStore(between.url)
        scene = Scene(between, store, fresh)
        scene.commit(1)
        yield scene
        store.close()


def test_a_commit_that_never_arrived_has_failed_and_the_next_one_works(scene: Scene) -> None:
    scene.between.break_next(Break.BEFORE)
    with pytest.raises(StoreError) as failed:
        scene.commit(2)
    assert not isinstance(failed.value, StaleEpoch)
    scene.commit(3)
    scene.commit(4)
    assert scene.written() == {KEY: a_slot(4)}


def test_a_commit_whose_answer_was_lost_ends_the_process(scene: Scene) -> None:
    """Who waited was told that it failed: memory is behind the store, so nothing more is written by it."""
    scene.between.break_next(Break.AFTER)
    with pytest.raises(StoreError) as failed:
        scene.commit(2)
    assert not isinstance(failed.value, StaleEpoch)
    for number in (3, 4):
        with pytest.raises(Outdated, match="read anew"):
            scene.commit(number)
    assert scene.written() == {KEY: a_slot(2)}


def test_a_commit_that_arrives_later_than_the_next_one_is_not_written(scene: Scene) -> None:
    scene.between.break_next(Break.LATE)
    with pytest.raises(StoreError):
        scene.commit(2)
    scene.commit(3)
    assert b"stale epoch" in scene.between.deliver()
    scene.commit(4)
    assert scene.written() == {KEY: a_slot(4)}


def test_a_commit_that_arrives_before_the_next_one_ends_the_process(scene: Scene) -> None:
    scene.between.break_next(Break.LATE)
    with pytest.raises(StoreError):
        scene.commit(2)
    scene.between.deliver()
    with pytest.raises(Outdated):
        scene.commit(3)
    assert scene.written() == {KEY: a_slot(2)}


@pytest.mark.parametrize("is_written", [True, False])
def test_one_that_is_under_way_is_waited_for(scene: Scene, is_written: bool) -> None:
    scene.between.break_next(Break.HALF)
    with pytest.raises(StoreError):
        scene.commit(2)
    _until(scene.url, HAS_WRITTEN)
    caught: list[StoreError] = []

    def next_one() -> None:
        try:
            scene.commit(3)
        except StoreError as error:
            caught.append(error)

    waiting = threading.Thread(target=next_one)
    waiting.start()
    _until(scene.url, WAITS)
    if is_written:
        scene.between.deliver()
    else:
        scene.between.forget()
    waiting.join(PATIENCE)
    assert [type(error) for error in caught] == ([Outdated] if is_written else [])
    assert scene.written() == {KEY: a_slot(2 if is_written else 3)}


HAS_WRITTEN = "SELECT count(*) FROM pg_locks WHERE relation = 'feierabend.slot'::regclass AND mode = 'RowExclusiveLock'"
WAITS = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"


def _until(url: str, query: LiteralString) -> None:
    """Somebody does so."""
    pause = threading.Event()
    with psycopg.connect(url, autocommit=True) as db:
        for _ in range(int(PATIENCE / 0.01)):
            if db.execute(query).fetchone() != (0,):
                return
            pause.wait(0.01)
    pytest.fail(f"nobody: {query}")


def test_in_doubt_when_another_process_takes_over(scene: Scene) -> None:
    scene.between.break_next(Break.AFTER)
    with pytest.raises(StoreError):
        scene.commit(2)
    assert scene.written() == {KEY: a_slot(2)}
    with pytest.raises(StaleEpoch, match="taken over") as failed:
        scene.commit(3)
    assert not isinstance(failed.value, Outdated)


def test_doubt_ends_with_a_new_load(scene: Scene) -> None:
    """A process that reads everything anew need not be another one."""
    scene.between.break_next(Break.AFTER)
    with pytest.raises(StoreError):
        scene.commit(2)
    loaded = scene.store.load()
    assert loaded.slots == {KEY: a_slot(2)}
    scene.store.commit(a_full_batch(loaded.epoch))
