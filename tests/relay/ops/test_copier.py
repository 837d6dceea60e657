"""Copies of a store that is in use, as the control socket asks for them: in a thread, one at a time, never for ever."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import trio
import trio.testing

from relay.core.batch import Batch
from relay.core.devices import RestRecord
from relay.ops.copier import Copier
from relay.store import copying
from relay.store.copying import beside
from relay.store.port import StoreError
from relay.store.sqlite import SqliteStore
from tests.relay.ops.test_control import control_of
from tests.relay.store.batches import NOW, user
from tests.relay.world import world


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "relay.db"


@pytest.fixture
def store(path: Path) -> Iterator[SqliteStore]:
    with closing(SqliteStore(path)) as opened:
        for number in range(3):
            people = range(20 * number, 20 * number + 20)
            opened.commit(
                Batch(NOW, opened.load().epoch, rests={user(n): RestRecord(bytes(50_000), 1) for n in people})
            )
        yield opened


def copier_of(path: Path, *, spare: int = 0) -> Copier:
    return Copier(path, lambda: NOW, pause=0, spare=spare)


async def test_a_copy_is_made_beside_the_database_while_it_is_written(path: Path, store: SqliteStore) -> None:
    epoch, ended = store.load().epoch, trio.Event()
    commits = 0

    async def write() -> None:
        nonlocal commits
        while not ended.is_set():
            commits += 1
            await trio.to_thread.run_sync(store.commit, Batch(NOW, epoch, generation=commits))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(write)
        assert await copier_of(path).copy() == NOW
        ended.set()
    assert commits > 0
    assert copying.finish(beside(path), NOW).people == 0
    with closing(SqliteStore(beside(path))) as copied:
        assert len(copied.load().rests) == 60


async def test_one_copy_at_a_time_and_the_last_one_is_replaced(path: Path, store: SqliteStore) -> None:
    beside(path).write_text("nobody has fetched it")
    copier, refused = copier_of(path), list[str]()

    async def ask() -> None:
        try:
            await copier.copy()
        except StoreError as error:
            refused.append(str(error))

    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(ask)
    assert refused == ["another copy is being made"] * 2
    assert beside(path).stat().st_size > 3_000_000
    await copier.copy()


class Endless(Copier):
    """Never comes to its second step."""

    def _breathe(self) -> None:
        while True:
            super()._breathe()


async def test_a_relay_that_ends_does_not_wait_for_a_copy(path: Path, store: SqliteStore) -> None:
    copier = Endless(path, lambda: NOW, pause=0, spare=0)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(copier.copy)
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert not beside(path).exists()
    assert await copier_of(path).copy() == NOW


class Crowded(Copier):
    """Somebody looks at the place of the copy while it is made, as who has asked for another one would."""

    seen: tuple[bytes, ...] = ()

    def _breathe(self) -> None:
        place = beside(self._database)
        self.seen += (place.read_bytes(),) if place.exists() else ()
        super()._breathe()


async def test_what_lies_beside_the_database_is_a_whole_copy_or_nothing(path: Path, store: SqliteStore) -> None:
    copier = Crowded(path, lambda: NOW, pause=0, spare=0)
    await copier.copy()
    await copier.copy()
    assert copier.seen == ()
    assert sorted(found.name for found in path.parent.glob("*.copy*")) == ["relay.db.copy"]


def test_one_that_was_not_finished_and_one_that_nobody_fetched_are_removed(tmp_path: Path) -> None:
    for name in ("relay.db.copy", "relay.db.copy.part", "relay.db.copy-wal"):
        (tmp_path / name).touch()
    copying.clear(tmp_path / "relay.db")
    assert list(tmp_path.iterdir()) == []


class Broken(Copier):
    """A fault of ours."""

    async def copy(self) -> float:
        raise LookupError("canary")


async def test_a_fault_of_ours_fails_the_request_and_not_the_relay(path: Path) -> None:
    async with world(running=False) as w:
        w.relay.control._copier = Broken(path, lambda: NOW)
        async with control_of(w) as control:
            for _ in range(2):
                answer = await control.ask("POST", "/backup")
                assert answer.status == 500
                assert b"canary" not in answer.body
            assert (await control.ask("GET", "/holds")).status == 200


async def test_the_disk_is_not_filled_by_a_copy(path: Path, store: SqliteStore) -> None:
    with pytest.raises(StoreError, match=r"^there is no room beside the database for a copy: \d+ MB must be free$"):
        await copier_of(path, spare=2**60).copy()
    assert not beside(path).exists()


async def test_where_no_copy_can_be_is_said(path: Path, store: SqliteStore) -> None:
    beside(path).mkdir()
    with pytest.raises(StoreError, match=r"^the copy: Is a directory$"):
        await copier_of(path).copy()


async def test_the_control_socket_says_why_there_is_no_copy() -> None:
    async with world(running=False) as w, control_of(w) as control:
        answer = await control.ask("POST", "/backup")
        assert (answer.status, answer.json()["detail"]) == (503, "there is no database")


async def test_the_control_socket_says_of_which_instant_a_copy_is(path: Path, store: SqliteStore) -> None:
    async with world(running=False) as w:
        w.relay.control._copier = copier_of(path)
        async with control_of(w) as control:
            answer = await control.ask("POST", "/backup")
    assert (answer.status, answer.json()) == (200, {"at": NOW})
