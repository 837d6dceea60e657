"""The files of a database that takes the place of another: at any instant one of the two is there, whole."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from relay.core.batch import Batch
from relay.store import erasures
from relay.store.port import StoreError
from relay.store.replacing import Marks, marks_if_readable, put_in_place, scratch, take_in
from relay.store.sqlite import SqliteStore
from tests.relay.store.batches import NOW, a_full_batch, user
from tests.relay.store.test_sqlite import loaded_from


@pytest.fixture
def ready(path: Path) -> Path:
    """A database with something in it, which is to take the place of an empty one."""
    made = path.with_name("relay.db.restoring")
    with closing(SqliteStore(made)) as store:
        store.commit(a_full_batch(store.load().epoch))
    SqliteStore(path).close()
    erasures.path_of(path).unlink()
    return made


def test_one_takes_the_place_of_the_other(path: Path, ready: Path) -> None:
    aside = path.with_name("aside")
    assert put_in_place(ready, path, aside)
    assert len(loaded_from(path).people) == 2
    with closing(sqlite3.connect(aside)) as former:
        assert former.execute("SELECT count(*) FROM person").fetchone() == (0,)
    assert not ready.exists()


@pytest.mark.parametrize("step", ["link", "unlink", "rename"])
def test_a_crash_at_any_step_leaves_one_of_the_two(
    path: Path, ready: Path, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And all of the former one, also what stood in its log only."""
    with closing(SqliteStore(path)) as store:
        store.commit(Batch(NOW, store.load().epoch, rests={user(9): None}, generation=77))

    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(os, step, crash)
        with pytest.raises(KeyboardInterrupt):
            put_in_place(ready, path, path.with_name("aside"))
    assert loaded_from(path).generation == 77


def test_what_is_not_one_file_takes_nobodys_place(path: Path, ready: Path) -> None:
    Path(f"{ready}-wal").write_bytes(b"more")
    with pytest.raises(StoreError, match=r"^the restored database could not be written whole$"):
        put_in_place(ready, path, path.with_name("aside"))
    assert loaded_from(path).people == {}
    assert not path.with_name("aside").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_what_root_has_made_belongs_to_whoever_the_former_belonged_to(path: Path, ready: Path) -> None:
    for end in ("", ".lock"):
        os.chown(f"{path}{end}", 65_534, 65_533)
    os.chown(f"{path}.lock", 0, 0)
    put_in_place(ready, path, path.with_name("aside"))
    for end in ("", ".lock"):
        owner = os.stat(f"{path}{end}")
        assert (owner.st_uid, owner.st_gid, owner.st_mode & 0o777) == (65_534, 65_533, 0o600)


def test_nothing_is_left_of_what_was_made_ready(path: Path) -> None:
    def fail() -> None:
        with scratch(path) as name:
            SqliteStore(name).close()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert list(path.parent.iterdir()) == []


def test_a_file_is_taken_in_with_its_log(path: Path, tmp_path: Path) -> None:
    with closing(SqliteStore(path)) as store:
        store.commit(a_full_batch(store.load().epoch))
        take_in(path, tmp_path / "copy")
    assert {file.name for file in tmp_path.iterdir() if file.name.startswith("copy")} == {"copy", "copy-wal"}
    assert (tmp_path / "copy").stat().st_mode & 0o777 == 0o600
    assert len(loaded_from(tmp_path / "copy").people) == 2


def test_the_marks_of_what_cannot_be_read_are_none(path: Path) -> None:
    assert marks_if_readable(path) is None
    assert not path.exists()
    with closing(SqliteStore(path)) as store:
        store.commit(Batch(NOW, store.load().epoch, generation=7, revision=9, people={user(1): None}))
        found = marks_if_readable(path)
        assert found is not None
        assert found == Marks(9, found.identity, 2)
    path.write_bytes(b"a canary" * 1000)
    assert marks_if_readable(path) is None
