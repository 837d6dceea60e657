"""Erasures kept apart: what stands in their file after commits, failures, crashes, damage, and 35 days."""

from __future__ import annotations

import os
import resource
import signal
import struct
import subprocess
import sys
import zlib
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.core.batch import Batch, PersonRecord
from relay.core.devices import RestRecord
from relay.core.erasing import Erased
from relay.store import erasures
from relay.store.erasures import LIFE, Erasures, Kept
from relay.store.port import StoreError, StoreMismatch
from relay.store.sqlite import SqliteStore
from tests.relay.store.batches import (
    DAY,
    NOW,
    a_device,
    a_feedback,
    a_full_batch,
    a_pass,
    device_key,
    pass_key,
    user,
)  # fmt: skip
from tests.relay.store.test_sqlite import ROOT, sql

HEAD, MARK = 32, "SELECT value FROM meta WHERE name = 'erased'"


@pytest.fixture
def store(path: Path) -> Iterator[SqliteStore]:
    with closing(SqliteStore(path)) as opened:
        opened.commit(a_full_batch(opened.load().epoch))
        yield opened


def kept(path: Path) -> Kept:
    found = erasures.read(erasures.path_of(path))
    assert found is not None
    return found


def numbers(path: Path) -> list[int]:
    return [block.number for block in kept(path).blocks]


def mark(path: Path) -> int:
    ((value,),) = sql(path, MARK)
    assert isinstance(value, int)
    return value


def gone(*users: int) -> Erased:
    return Erased(users=frozenset(map(user, users)))


def forgetting(store: SqliteStore, *users: int, at: float = NOW) -> Batch:
    return Batch(at, store.load().epoch, people=dict.fromkeys(map(user, users)))


# --- what is written down


def test_what_owners_erase_is_written_down_by_pseudonyms_and_an_instant(path: Path, store: SqliteStore) -> None:
    anna, bert = user(1), user(2)
    batch = Batch(NOW + 0.125, store.load().epoch, people={bert: None}, rests={anna: None, bert: None})
    batch.devices = {device_key(1): (anna, None), device_key(3): (bert, None), device_key(2): (anna, a_device(2, anna))}
    batch.passes = {pass_key(1): None, pass_key(9): a_pass(9)}
    batch.forgotten = {anna, bert}
    store.commit(batch)
    (block,) = kept(path).blocks
    assert (block.number, block.at) == (2, NOW + 0.125)
    assert block.erased == Erased(
        frozenset({bert}), frozenset({device_key(1)}), frozenset({anna}), frozenset({pass_key(1)}), frozenset({anna})
    )
    assert mark(path) == 2


def test_a_batch_that_erases_nothing_leaves_the_file_alone(path: Path, store: SqliteStore) -> None:
    file = erasures.path_of(path)
    before = (file.read_bytes(), file.stat().st_mtime_ns)
    batch = a_full_batch(store.load().epoch)
    batch.slots = dict.fromkeys(batch.slots)
    store.commit(batch)
    assert (file.read_bytes(), file.stat().st_mtime_ns) == before
    assert len(before[0]) == HEAD


def test_a_device_that_was_reported_to_the_backend_was_not_erased_by_its_owner(path: Path, store: SqliteStore) -> None:
    """An older state has neither: it dies again, and is told of again."""
    batch = Batch(NOW, store.load().epoch, devices={device_key(1): (user(1), None)}, feedback=[a_feedback(1)])
    store.commit(batch)
    assert numbers(path) == []


def test_who_is_deleted_and_comes_back_in_one_commit_was_deleted(path: Path, store: SqliteStore) -> None:
    batch = Batch(NOW, store.load().epoch, people={user(1): PersonRecord("city", b"new")}, forgotten={user(1)})
    store.commit(batch)
    assert kept(path).blocks[0].erased == gone(1)


def test_the_file_says_nothing_and_is_private(path: Path, store: SqliteStore) -> None:
    store.commit(forgetting(store, 1))
    content = erasures.path_of(path).read_bytes()
    assert len(content) == HEAD + 20 + 17 + 4
    assert content.count(user(1)) == 1
    assert erasures.path_of(path).stat().st_mode & 0o777 == 0o600


def test_blocks_are_numbered_on_after_a_restart(path: Path) -> None:
    for number in range(1, 4):
        with closing(SqliteStore(path)) as store:
            store.commit(forgetting(store, number))
    assert numbers(path) == [2, 3, 4]
    assert (kept(path).confirmed, mark(path)) == (4, 4)


# --- commits that fail


def test_a_commit_that_fails_takes_its_block_back(path: Path, store: SqliteStore) -> None:
    store.commit(forgetting(store, 1))
    before = kept(path)
    sql(path, "CREATE TRIGGER t BEFORE UPDATE ON meta WHEN NEW.name = 'erased' BEGIN SELECT RAISE(ABORT, 'no'); END")
    with pytest.raises(StoreError):
        store.commit(forgetting(store, 2))
    assert kept(path) == before
    assert user(2) in store.load().people
    sql(path, "DROP TRIGGER t")
    store.commit(forgetting(store, 1, 2))
    assert [block.erased for block in kept(path).blocks] == [gone(1), gone(1, 2)]


def test_a_commit_that_fails_before_has_written_no_block(path: Path, store: SqliteStore) -> None:
    before = erasures.path_of(path).stat().st_mtime_ns
    batch = forgetting(store, 1)
    batch.rests = {user(3): RestRecord(bytes(2**20), 1)}
    with pytest.raises(StoreError, match="1 MiB"):
        store.commit(batch)
    assert erasures.path_of(path).stat().st_mtime_ns == before


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_where_the_file_cannot_grow_nothing_is_erased(tmp_path: Path) -> None:
    """The disk is full: a piece of the block is written, and taken back."""
    path = tmp_path / "relay.erased"
    with closing(Erasures(path, 7, 1)) as file:
        with largest_file(HEAD + 25):
            with pytest.raises(StoreError, match=r"^relay\.erased: File too large$"):
                file.add(gone(1, 2, 3), NOW)
            assert path.stat().st_size == HEAD + 25
            file.take_back()
        assert path.stat().st_size == HEAD
        file.keep(file.add(gone(4), NOW))
    assert [block.erased for block in erasures.read(path).blocks] == [gone(4)]  # type: ignore[union-attr]


def test_what_could_not_be_taken_back_is_written_over(tmp_path: Path) -> None:
    path = tmp_path / "relay.erased"
    with closing(Erasures(path, 7, 1)) as file:
        file.add(gone(1, 2, 3), NOW)
        file._added = 0  # as if truncating had failed
        file.keep(file.add(gone(4), NOW))
    assert [(block.number, block.erased) for block in erasures.read(path).blocks] == [(2, gone(4))]  # type: ignore[union-attr]


# --- crashes


def cut_off(path: Path, erased: Erased) -> None:
    """A process writes a block and dies before its commit."""
    with closing(SqliteStore(path)) as store:
        store._erasures.add(erased, NOW)


def test_a_block_whose_commit_a_crash_has_cut_off_is_dropped(path: Path, store: SqliteStore) -> None:
    store.commit(forgetting(store, 1))
    store.close()
    cut_off(path, gone(2))
    assert numbers(path) == [2, 3]
    with closing(SqliteStore(path)) as again:
        assert again.unknown_erasures is None
        assert numbers(path) == [2]
        assert user(2) in again.load().people
        again.commit(forgetting(again, 2))
    assert (numbers(path), mark(path)) == ([2, 3], 3)


@pytest.mark.parametrize("bytes_there", [1, 19, 20, 36, 40])
def test_a_piece_of_a_block_is_none(path: Path, store: SqliteStore, bytes_there: int) -> None:
    store.commit(forgetting(store, 1))
    store.close()
    cut_off(path, gone(2))
    file = erasures.path_of(path)
    os.truncate(file, HEAD + 41 + bytes_there)
    with closing(SqliteStore(path)) as again:
        again.commit(forgetting(again, 2))
    assert [block.erased for block in kept(path).blocks] == [gone(1), gone(2)]


def test_a_block_that_is_committed_needs_no_word_of_the_head(path: Path, store: SqliteStore) -> None:
    """The head is not synced with each commit: a power cut may leave an old one."""
    store.commit(forgetting(store, 1))
    store.commit(forgetting(store, 2))
    store.close()
    file = erasures.path_of(path)
    content = bytearray(file.read_bytes())
    content[24:32] = (1).to_bytes(8, "big")
    file.write_bytes(content)
    with closing(SqliteStore(path)) as again:
        assert again.unknown_erasures is None
        again.commit(forgetting(again, 3))
    assert numbers(path) == [2, 3, 4]


@pytest.mark.processes
def test_what_was_acknowledged_stands_in_both_after_sigkill(path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "tests.relay.store.child", str(path)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        for _ in range(25):
            child.stdout.readline()
        child.send_signal(signal.SIGKILL)
        rest = child.stdout.read().split()
    acknowledged = int(rest[-1]) if rest else 25
    with closing(SqliteStore(path)) as store:
        assert store.unknown_erasures is None
        written = store.load().accounts[("city", "message")].accepted
    ended = [key for block in kept(path).blocks for key in block.erased.passes]
    assert ended == [pass_key(number) for number in range(written)]
    assert written in (acknowledged, acknowledged + 1)


# --- an older database


def test_an_older_database_knows_what_it_must_erase_again(path: Path, tmp_path: Path, store: SqliteStore) -> None:
    store.commit(forgetting(store, 1))
    store.close()
    older = path.read_bytes()
    with closing(SqliteStore(path)) as newer:
        newer.commit(forgetting(newer, 2, 3))
        newer.commit(Batch(NOW, newer.load().epoch, rests={user(4): None}, passes={pass_key(1): None}))
    path.write_bytes(older)
    with closing(SqliteStore(path)) as again:
        expected = Erased(frozenset({user(2), user(3)}), rests=frozenset({user(4)}), passes=frozenset({pass_key(1)}))
        assert again.unknown_erasures == expected
        assert again.knows_all_erasures
        epoch = again.load().epoch
        with pytest.raises(StoreError, match=r"^what was erased before must be erased again first$"):
            again.commit(Batch(NOW, epoch, people={user(2): None}))
        again.commit(Batch(NOW, epoch, people={user(5): PersonRecord("city", b"")}))
        again.commit_erased_again(Batch(NOW, epoch, people=dict.fromkeys([user(2), user(3)])))
        again.commit(forgetting(again, 5))
    assert (numbers(path), mark(path)) == ([2, 3, 4, 5], 5)
    with closing(SqliteStore(path)) as again:
        assert again.unknown_erasures is None


def test_a_database_that_is_older_than_what_is_kept_says_so(path: Path, store: SqliteStore) -> None:
    store.close()
    older = path.read_bytes()
    with closing(SqliteStore(path)) as newer:
        newer.commit(forgetting(newer, 1))
        newer.commit(forgetting(newer, 2, at=NOW + 30 * DAY))
        newer.purge(NOW + 40 * DAY, 100)
    path.write_bytes(older)
    with closing(SqliteStore(path)) as again:
        assert (again.unknown_erasures, again.knows_all_erasures) == (gone(2), False)


def test_a_new_database_beside_an_old_file_goes_on_from_it(path: Path, store: SqliteStore) -> None:
    store.commit(forgetting(store, 1))
    store.close()
    before = kept(path)
    path.unlink()
    with closing(SqliteStore(path)) as new:
        assert new.unknown_erasures == gone(1)
        new.commit_erased_again(Batch(NOW, new.load().epoch))
        new.commit(forgetting(new, 7))
    assert (kept(path).identity, numbers(path)) == (before.identity, [2, 3])


# --- files that are lost, foreign or damaged


def test_a_lost_file_is_made_anew_and_knows_that_it_does_not_know(path: Path, store: SqliteStore) -> None:
    for number in (1, 2, 3):
        store.commit(forgetting(store, number))
    identity = kept(path).identity
    store.close()
    erasures.path_of(path).unlink()
    with closing(SqliteStore(path)) as again:
        again.commit(forgetting(again, 4))
    assert (kept(path).identity, kept(path).base, numbers(path)) == (identity, 4, [5])
    assert [kept(path).knows_all_since(number, 5) for number in (1, 3, 4, 5, 6)] == [False, False, True, True, False]


def test_a_file_that_was_removed_under_our_feet_is_made_anew(path: Path, store: SqliteStore) -> None:
    store.commit(forgetting(store, 1))
    erasures.path_of(path).unlink()
    store.commit(forgetting(store, 2))
    assert (kept(path).base, numbers(path), mark(path)) == (2, [3], 3)


@pytest.mark.parametrize("content", [b"", b"FEerased", b"a canary " * 20])
def test_a_file_that_is_not_ours_is_refused_and_left_alone(path: Path, store: SqliteStore, content: bytes) -> None:
    store.close()
    erasures.path_of(path).write_bytes(content)
    with pytest.raises(StoreMismatch, match=r"^relay\.db\.erased: is damaged, or no file of erasures$"):
        SqliteStore(path)
    assert erasures.path_of(path).read_bytes() == content
    erasures.path_of(path).unlink()
    SqliteStore(path).close()  # the lock was given back


def test_the_file_of_another_database_is_refused(path: Path, store: SqliteStore) -> None:
    store.close()
    other = path.with_name("other.db")
    SqliteStore(other).close()
    erasures.path_of(other).rename(erasures.path_of(path))
    with pytest.raises(
        StoreMismatch, match=r"^relay\.db\.erased: holds the erasures of another database; move it away$"
    ):
        SqliteStore(path)


def test_the_file_of_a_newer_program_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "relay.erased"
    with closing(Erasures(path, 7, 1)) as file:
        file.keep(file.add(gone(1), NOW))
    content = bytearray(path.read_bytes())
    content[HEAD + 20] = 99
    content[-4:] = struct.pack(">I", zlib.crc32(bytes(content[HEAD:-4])))
    path.write_bytes(content)
    with pytest.raises(StoreMismatch, match="newer program"):
        erasures.read(path)


def test_behind_damage_everything_counts_as_missing(path: Path, store: SqliteStore) -> None:
    for number in (1, 2, 3):
        store.commit(forgetting(store, number))
    store.close()
    file = erasures.path_of(path)
    content = bytearray(file.read_bytes())
    content[HEAD + 41 + 25] ^= 1
    file.write_bytes(content)
    with closing(SqliteStore(path)) as again:
        again.commit(forgetting(again, 4))
    found = kept(path)
    assert [block.number for block in found.blocks] == [2, 5]
    assert [found.knows_all_since(number, 5) for number in (1, 2, 4, 5)] == [False, False, True, True]
    assert found.since(1, 5) == gone(1, 4)


# --- 35 days


def test_erasures_are_forgotten_after_35_days(path: Path, store: SqliteStore) -> None:
    for number in range(1, 5):
        store.commit(forgetting(store, number, at=NOW + number * DAY))
    store.purge(NOW + DAY + LIFE, 100)
    assert numbers(path) == [2, 3, 4, 5]
    store.purge(NOW + 2 * DAY + LIFE + 1, 100)
    assert (kept(path).base, numbers(path)) == (3, [4, 5])
    assert [kept(path).knows_all_since(number, 5) for number in (2, 3)] == [False, True]
    store.commit(forgetting(store, 6, at=NOW + 40 * DAY))
    assert numbers(path) == [4, 5, 6]
    store.purge(NOW + 90 * DAY, 100)
    assert (kept(path).base, numbers(path), kept(path).confirmed) == (6, [], 6)
    assert erasures.path_of(path).stat().st_mode & 0o777 == 0o600
    store.close()
    with closing(SqliteStore(path)) as again:
        again.commit(forgetting(again, 7, at=NOW + 91 * DAY))
    assert numbers(path) == [7]


def test_a_purge_that_fails_changes_nothing(path: Path, store: SqliteStore) -> None:
    for number in range(1, 5):
        store.commit(forgetting(store, number, at=NOW + number * DAY))
    before = erasures.path_of(path).read_bytes()
    erasures.path_of(path).with_name("relay.db.erased.new").mkdir()
    with pytest.raises(StoreError, match=r"^relay\.db\.erased: Is a directory$"):
        store.purge(NOW + LIFE + 3 * DAY, 100)
    assert erasures.path_of(path).read_bytes() == before
    store.commit(forgetting(store, 5))
    assert numbers(path) == [2, 3, 4, 5, 6]


def test_nothing_is_forgotten_before_it_was_erased_again(path: Path, store: SqliteStore) -> None:
    store.close()
    older = path.read_bytes()
    with closing(SqliteStore(path)) as newer:
        newer.commit(forgetting(newer, 1))
    path.write_bytes(older)
    with closing(SqliteStore(path)) as again:
        again.purge(NOW + 90 * DAY, 100)
        assert again.unknown_erasures == gone(1)
    assert numbers(path) == [2]


# --- the bytes

keys = st.binary(min_size=16, max_size=16)
sets = st.frozensets(keys, max_size=4)
some = st.builds(Erased, sets, sets, sets, sets, sets)


@given(st.lists(st.tuples(some, st.integers(0, 2**40)), max_size=5), st.binary(max_size=60))
def test_blocks_come_back_as_they_were_whatever_is_behind_them(
    tmp_path_factory: pytest.TempPathFactory, blocks: list[tuple[Erased, int]], tail: bytes
) -> None:
    path = tmp_path_factory.mktemp("erased") / "file"
    with closing(Erasures(path, 7, 3)) as file:
        for erased, at in blocks:
            file.keep(file.add(erased, at))
    size = path.stat().st_size
    with path.open("ab") as behind:
        behind.write(tail)
    found = erasures.read(path)
    assert found is not None
    assert [(block.erased, block.at) for block in found.blocks[: len(blocks)]] == [(e, float(at)) for e, at in blocks]
    assert [block.number for block in found.blocks[: len(blocks)]] == list(range(4, 4 + len(blocks)))
    assert (found.end, found.confirmed, found.base) == (size, 3 + len(blocks), 3)


def test_who_was_erased_is_not_told_by_accident() -> None:
    assert repr(gone(1, 2)) == "<2 erasures>"
