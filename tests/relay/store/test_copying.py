"""Copies of a database: of one instant, one private file, and nothing at all when something goes wrong."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from relay.core.batch import Batch
from relay.core.devices import RestRecord
from relay.core.private import UserKey
from relay.store.copying import Contents, beside, copy, examine, finish
from relay.store.port import Loaded, StoreError, StoreMismatch
from relay.store.schema import MIGRATIONS, VERSION
from relay.store.sqlite import SqliteStore
from tests.relay.store.batches import NOW, a_full_batch, user
from tests.relay.store.test_sqlite import (
    a_foreign_database,
    a_newer_version,
    a_text,
    largest_file,
    loaded_from,
    sql,
)  # fmt: skip


@pytest.fixture
def store(path: Path) -> Iterator[SqliteStore]:
    with closing(SqliteStore(path)) as opened:
        opened.commit(a_full_batch(opened.load().epoch))
        yield opened


@pytest.fixture
def target(tmp_path: Path) -> Path:
    (tmp_path / "backups").mkdir()
    return tmp_path / "backups" / "monday"


def nothing() -> None:
    """Between two steps."""


def copied(path: Path, target: Path, between: Callable[[], None] = nothing) -> Contents:
    copy(path, target, between)
    return finish(target, NOW + 0.25)


def grow(store: SqliteStore, megabytes: int) -> None:
    """Rest documents of many people more."""
    for number in range(megabytes):
        rests: dict[UserKey, RestRecord | None] = {
            user(1_000 + 20 * number + n): RestRecord(bytes(50_000), 1) for n in range(20)
        }
        store.commit(Batch(NOW, store.load().epoch, rests=rests))


def same(found: Loaded, expected: Loaded) -> bool:
    return replace(found, epoch=0) == replace(expected, epoch=0)


def files(target: Path) -> set[str]:
    return {file.name for file in target.parent.iterdir()}


def test_a_copy_holds_everything_and_says_what_it_is(path: Path, target: Path, store: SqliteStore) -> None:
    before = store.load()
    contents = copied(path, target)
    assert contents == Contents(NOW + 0.25, VERSION, 2, target.stat().st_size)
    assert examine(target) == contents
    assert same(loaded_from(target), before)


def test_a_copy_is_one_file_that_only_its_owner_can_read(path: Path, target: Path, store: SqliteStore) -> None:
    """It can be opened where nothing can be written."""
    copied(path, target)
    assert files(target) == {"monday"}
    assert target.stat().st_mode & 0o777 == 0o600
    assert sql(target, "PRAGMA journal_mode") == [("delete",)]


def test_commits_that_come_in_between_do_not_show(path: Path, target: Path, store: SqliteStore) -> None:
    """And nobody waits for the other: neither the commits, nor the copy, which would else begin anew with each."""
    grow(store, 3)
    before, steps = store.load(), 0

    def change() -> None:
        nonlocal steps
        steps += 1
        rests: dict[UserKey, RestRecord | None] = {user(n): None for n in range(1_000, 1_030)}
        rests[user(steps)] = RestRecord(b"new", 1)
        store.commit(Batch(NOW, before.epoch, rests=rests, generation=before.generation + 5))

    copied(path, target, change)
    assert 5 < steps < 20
    assert same(loaded_from(target), before)
    after = store.load()
    assert after.rests[user(steps)] == RestRecord(b"new", 1)
    assert user(1_002) not in after.rests


def test_a_copy_knows_the_erasures_it_has_seen(path: Path, target: Path, store: SqliteStore) -> None:
    store.commit(Batch(NOW, store.load().epoch, people={user(1): None}))
    copied(path, target)
    store.commit(Batch(NOW, store.load().epoch, people={user(2): None}))
    for file, number in ((target, 2), (path, 3)):
        assert sql(file, "SELECT value FROM meta WHERE name = 'erased'") == [(number,)]


def test_a_log_that_a_killed_process_has_left_is_copied_along(path: Path, tmp_path: Path, target: Path) -> None:
    with closing(SqliteStore(path)) as store:
        store.commit(a_full_batch(store.load().epoch))
        before = store.load()
        left = tmp_path / "left"
        left.mkdir()
        for end in ("", "-wal"):
            shutil.copyfile(f"{path}{end}", left / f"relay.db{end}")
    copied(left / "relay.db", target)
    assert same(loaded_from(target), before)
    assert same(loaded_from(left / "relay.db"), before)


def test_an_older_file_is_copied_as_it_is(path: Path, target: Path) -> None:
    """Before an update."""
    SqliteStore(path, migrations=MIGRATIONS[:3]).close()
    assert copied(path, target).version == 3
    for file in (path, target):
        assert sql(file, "PRAGMA user_version") == [(3,)]


def test_a_link_is_followed(path: Path, target: Path, store: SqliteStore) -> None:
    link = path.with_name("link.db")
    link.symlink_to(path)
    assert copied(link, target).people == 2
    assert beside(link) == path.with_name("relay.db.copy")


# --- when something goes wrong


def test_nothing_is_overwritten(path: Path, target: Path, store: SqliteStore) -> None:
    target.write_text("precious")
    with pytest.raises(FileExistsError):
        copy(path, target, nothing)
    assert target.read_text() == "precious"


def test_a_full_disk_leaves_nothing(path: Path, target: Path, store: SqliteStore) -> None:
    grow(store, 3)
    with largest_file(1_000_000), pytest.raises(StoreError, match=r"^the database refused \(SQLITE_IOERR_WRITE\)$"):
        copy(path, target, nothing)
    assert files(target) == set()
    assert copied(path, target).people == 2


def test_a_disk_that_is_full_is_named_so(path: Path, store: SqliteStore) -> None:
    store._writer.execute("PRAGMA max_page_count = 60")
    with pytest.raises(StoreError, match=r"^the disk is full$"):
        grow(store, 1)


def test_a_copy_that_is_given_up_leaves_nothing(path: Path, target: Path, store: SqliteStore) -> None:
    def give_up() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        copy(path, target, give_up)
    assert files(target) == set()
    store.commit(a_full_batch(store.load().epoch))


@pytest.mark.parametrize(
    ("prepare", "sentence"),
    [
        (a_text, "the file is not a database"),
        (a_foreign_database, "the database file belongs to another program"),
        (a_newer_version, f"the database has version {VERSION + 1}; this program knows versions up to {VERSION}"),
    ],
)
def test_what_is_no_database_of_ours_is_not_copied(
    path: Path, target: Path, prepare: Callable[[Path], None], sentence: str
) -> None:
    prepare(path)
    with pytest.raises(StoreMismatch) as caught:
        copy(path, target, nothing)
    assert str(caught.value) == sentence
    assert files(target) == set()


def test_where_there_is_no_database_none_is_made(path: Path, target: Path) -> None:
    with pytest.raises(StoreError, match=r"^there is no database$"):
        copy(path, target, nothing)
    assert not path.exists()


def test_a_copy_of_a_damaged_database_is_none(path: Path, target: Path) -> None:
    with closing(SqliteStore(path)) as store:
        grow(store, 1)
    with path.open("r+b") as file:
        file.seek(-300 * 2048, os.SEEK_END)
        file.write(bytes(200 * 2048))
    copy(path, target, nothing)
    with pytest.raises(StoreMismatch, match=r"^the database file is damaged$"):
        finish(target, NOW)


def test_an_empty_file_holds_nothing(target: Path) -> None:
    target.touch()
    with pytest.raises(StoreError, match=r"^the file is empty$"):
        examine(target)


@pytest.mark.processes
def test_a_copy_leaves_the_store_its_locks(path: Path, target: Path, store: SqliteStore) -> None:
    """The next program that opens and closes the file would else take itself for the last one, and remove the log."""
    copied(path, target)
    script = "import sqlite3, sys; db = sqlite3.connect(sys.argv[1]); db.execute('SELECT * FROM meta'); db.close()"
    subprocess.run([sys.executable, "-c", script, str(path)], check=True)
    store.commit(Batch(NOW, store.load().epoch, generation=2**62 + 7))
    assert path.with_name("relay.db-wal").exists()
    assert sql(path, "SELECT value FROM meta WHERE name = 'generation'") == [(2**62 + 7,)]
