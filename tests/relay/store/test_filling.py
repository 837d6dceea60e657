"""From SQLite to PostgreSQL: whatever has happened to a file, the database holds the same, and goes on from there."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import psycopg
import pytest
from hypothesis import given, settings

from bench.postgres import emptied
from relay.config import PostgresConfig
from relay.core.batch import Batch
from relay.moving import carry
from relay.store import postgres_filling
from relay.store.figures import KINDS
from relay.store.port import StoreError, StoreMismatch
from relay.store.postgres import PostgresStore
from relay.store.postgres_filling import NotEmpty
from relay.store.postgres_migrating import migrate
from relay.store.sqlite import SqliteStore
from relay.store.sqlite_source import locked
from tests.effort import examples
from tests.relay.store.batches import NOW, a_full_batch, a_visit, an_act, user
from tests.relay.store.conftest import bypass_row, bypasses_at, bypasses_in
from tests.relay.store.test_contract import as_loaded
from tests.relay.store.test_sequences import Pair, Step, histories, play, steps


def carried(path: Path, url: str) -> dict[str, int]:
    """With nothing on top."""
    with locked(path) as source:
        more = Batch(NOW, generation=source.marks["generation"])
        return carry(source, PostgresConfig(url, None, "here"), more, lambda *_: None)


@settings(max_examples=examples(15))
@given(history=histories, later=histories)
def test_a_random_history_goes_on_where_it_was(database: str, history: list[Step], later: list[Step]) -> None:
    """Rows, numbers, tombstones and what was purged: all that the port tells, before and after more has happened."""
    emptied(database)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "relay.db"
        pair = Pair(lambda: SqliteStore(path), lambda: bypasses_in(path))
        play(pair, history)
        carried(path, database)
        pair.move(lambda: PostgresStore(database), lambda: bypasses_at(database))
        pair.check()
        steps(pair, later)
        pair.other.close()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """At least one row in every table."""
    path = tmp_path / "relay.db"
    store = SqliteStore(path)
    epoch = store.load().epoch
    store.commit(Batch(NOW - 2, epoch, visits=[a_visit(9, user(9))], generation=9))
    store.commit(Batch(NOW - 1, epoch, forgotten={user(9)}, generation=9))
    store.commit(a_full_batch(epoch))
    store.close()
    return path


@pytest.fixture
def target(fresh: str) -> str:
    migrate(fresh)
    return fresh


def test_every_kind_of_row_is_taken_along(file: Path, target: str) -> None:
    assert set(carried(file, target)) == set(KINDS)
    assert min(carried_again(file).values()) > 0
    batch, store = a_full_batch(0), PostgresStore(target)
    loaded = store.load()
    assert replace(loaded, epoch=0) == as_loaded(batch, 0)
    before = SqliteStore(file)
    assert store.changes(0) == before.changes(0)
    for tenant in ("city", "county"):
        assert list(store.feedback(tenant, 0, 10)) == list(before.feedback(tenant, 0, 10))
        assert store.feedback_range(tenant) == before.feedback_range(tenant)
    for person in (user(1), user(2), user(3)):
        assert list(store.visits(person, 10)) == list(before.visits(person, 10))
    assert list(store.acts(10)) == list(before.acts(10)) == batch.acts[::-1]
    assert bypasses_at(target) == bypasses_in(file) == [bypass_row(bypass) for bypass in batch.bypasses]
    store.commit(Batch(NOW, loaded.epoch, acts=[an_act(9)], generation=2**62 + 1))
    store.close()
    before.close()


def carried_again(file: Path) -> dict[str, int]:
    with locked(file) as source:
        return {table: source.count(table) for table in KINDS}


def test_many_rows_are_written_in_pieces_and_told(file: Path, target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_filling, "CHUNK", 2)
    told: list[tuple[int, int]] = []
    with locked(file) as source:
        more = Batch(NOW, generation=source.marks["generation"])
        counted = carry(source, PostgresConfig(target, None, "here"), more, lambda done, of: told.append((done, of)))
    total = sum(counted.values())
    assert told[-1] == (total, total)
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert max(b[0] - a[0] for a, b in pairwise(told)) <= 2


def rows_in(url: str) -> int:
    """But for the beginning of the chain."""
    with psycopg.connect(url, options="-c search_path=feierabend") as db:
        query = " + ".join(f"(SELECT count(*) FROM {table})" for table in (*KINDS, "feedback_purged"))
        (count,) = db.execute(f"SELECT {query}").fetchone() or (0,)
        return int(count) - 1


def test_a_failure_in_the_middle_leaves_nothing_and_can_be_repeated(file: Path, target: str) -> None:
    with psycopg.connect(target, options="-c search_path=feierabend") as db:
        db.execute("CREATE TRIGGER broken BEFORE INSERT ON account EXECUTE FUNCTION refuse_update()")
    with pytest.raises(StoreError, match="refused"):
        carried(file, target)
    assert rows_in(target) == 0
    with psycopg.connect(target, options="-c search_path=feierabend") as db:
        db.execute("DROP TRIGGER broken ON account")
    carried(file, target)
    assert rows_in(target) > 0


def test_rows_that_do_not_arrive_are_missed(file: Path, target: str) -> None:
    with psycopg.connect(target, options="-c search_path=feierabend") as db:
        db.execute("CREATE RULE lose AS ON INSERT TO visit DO INSTEAD NOTHING")
    with pytest.raises(StoreError, match="not all rows of visit have arrived; nothing was written"):
        carried(file, target)
    assert rows_in(target) == 0


def test_only_an_empty_database_is_filled(file: Path, target: str) -> None:
    carried(file, target)
    count = rows_in(target)
    with pytest.raises(NotEmpty, match="not empty: there are rows in person"):
        carried(file, target)
    assert rows_in(target) == count


def test_one_that_was_never_migrated_is_not_filled(file: Path, fresh: str) -> None:
    with pytest.raises(StoreMismatch, match="run feierabend store migrate"):
        carried(file, fresh)


def test_nobody_may_serve_on_it(file: Path, target: str) -> None:
    store = PostgresStore(target)
    store.join("here")
    with pytest.raises(NotEmpty, match="a relay serves on the database: stop it first"):
        carried(file, target)
    store.leave()
    store.close()
    carried(file, target)


def test_who_has_served_on_it_before_writes_nothing_more(file: Path, target: str) -> None:
    """It was stopped for longer than its lease, or thought so."""
    store = PostgresStore(target)
    epoch = store.load().epoch
    with psycopg.connect(target, options="-c search_path=feierabend") as db:
        db.execute("UPDATE lease SET until = now()")
    carried(file, target)
    with pytest.raises(StoreError, match="taken over"):
        store.commit(Batch(NOW, epoch, generation=1))
    store.close()
