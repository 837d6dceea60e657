"""What SQLite adds to the contract: the file, its neighbours on the disk, its versions, and what an accident leaves."""

from __future__ import annotations

import os
import resource
import signal
import sqlite3
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from relay.core.batch import Batch, PersonRecord
from relay.core.books import Account
from relay.core.devices import RestRecord
from relay.core.passes import PassKind
from relay.core.private import UserKey
from relay.core.slots import Slot, Stub
from relay.store.port import FeedbackRange, Loaded, StoreError, StoreMismatch
from relay.store.schema import APPLICATION_ID, MIGRATIONS
from relay.store.sqlite import LARGEST_WAL, QUIET_WAL, SqliteStore
from tests.relay.store.batches import (
    DAY,
    NOW,
    a_bypass,
    a_device,
    a_feedback,
    a_full_batch,
    a_pass,
    a_receipt,
    a_slot,
    a_visit,
    device_key,
    pass_key,
    receipt_key,
    user,
)  # fmt: skip

ROOT = Path(__file__).parents[3]
BESIDE = ("", "-wal", "-shm", ".lock", ".erased")
FILES = {"relay.db" + end for end in BESIDE}


@pytest.fixture
def store(path: Path) -> Iterator[SqliteStore]:
    with closing(SqliteStore(path)) as opened:
        yield opened


def sql(path: Path, statement: str, *values: object) -> list[tuple[object, ...]]:
    """As somebody with another program would."""
    with closing(sqlite3.connect(path)) as db:
        found: list[tuple[object, ...]] = db.execute(statement, values).fetchall()
        db.commit()
    return found


def fill(store: SqliteStore, megabytes: int) -> None:
    """Commits of about 1 MB each, about twenty people more with each."""
    loaded = store.load()
    for number in range(loaded.revision, loaded.revision + megabytes):
        rests: dict[UserKey, RestRecord | None] = {
            user(20 * number + n): RestRecord(bytes(50_000), 1) for n in range(20)
        }
        store.commit(Batch(NOW, loaded.epoch, rests=rests, revision=number + 1))


def loaded_from(path: Path) -> Loaded:
    with closing(SqliteStore(path)) as opened:
        return opened.load()


# --- durability


def test_a_commit_is_synced_to_the_disk(store: SqliteStore) -> None:
    """WAL with FULL: with NORMAL the last commits can vanish on power loss, and 202 would be a lie."""
    ask = store._writer.execute
    assert ask("PRAGMA journal_mode").fetchone() == ("wal",)
    assert ask("PRAGMA synchronous").fetchone() == (2,)
    assert ask("PRAGMA wal_autocheckpoint").fetchone() == (0,)
    assert ask("PRAGMA secure_delete").fetchone() == (2,)


def test_the_second_connection_cannot_write(store: SqliteStore) -> None:
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        store._reader.execute("DELETE FROM slot")


@pytest.mark.processes
def test_what_was_committed_survives_sigkill(path: Path) -> None:
    """At any instant: every acknowledged commit is there, and none of which a half is missing."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.relay.store.child", str(path)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        for _ in range(25):
            child.stdout.readline()
        child.send_signal(signal.SIGKILL)
        rest = child.stdout.read().split()
    acknowledged = int(rest[-1]) if rest else 25
    loaded = loaded_from(path)
    written = loaded.accounts[("city", "message")].accepted
    assert written in (acknowledged, acknowledged + 1)
    assert loaded.generation == written
    assert loaded.slots == {(user(n), "message"): a_slot(written) for n in range(written)}
    assert loaded.passes == {pass_key(written): a_pass(written)}
    with closing(SqliteStore(path)) as store:
        assert [visit.seq for visit in store.visits(user(1), 10**6)] == list(range(written, 0, -1))


# --- who may have the file


def test_the_files_are_private(path: Path, store: SqliteStore) -> None:
    """Whatever the umask of whoever starts it."""
    fill(store, 1)
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    assert modes == dict.fromkeys(FILES, 0o600)


def test_a_file_in_use_is_refused(path: Path, store: SqliteStore) -> None:
    with pytest.raises(StoreError, match=r"^the database file is in use by another process$") as caught:
        SqliteStore(path)
    assert not isinstance(caught.value, StoreMismatch)


def test_a_file_in_use_is_refused_under_another_name(path: Path, store: SqliteStore) -> None:
    link = path.with_name("link.db")
    link.symlink_to(path)
    with pytest.raises(StoreError, match="in use"):
        SqliteStore(link)


def test_the_log_of_a_linked_file_is_seen(path: Path) -> None:
    """It lies beside the file, not beside the link; a log nobody sees is never moved."""
    link = path.with_name("link.db")
    link.symlink_to(path)
    with closing(SqliteStore(link)) as opened:
        fill(opened, 1)
        assert opened.statistics().wal_bytes == path.with_name("relay.db-wal").stat().st_size > 0


def test_a_closed_file_is_free_again_and_closing_twice_is_no_error(path: Path) -> None:
    first = SqliteStore(path)
    first.close()
    with closing(SqliteStore(path)):
        first.close()
        with pytest.raises(StoreError, match="in use"):
            SqliteStore(path)


@pytest.mark.processes
def test_a_second_process_is_refused_until_the_first_is_gone(path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "tests.relay.store.child", str(path)], cwd=ROOT, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        child.stdout.readline()
        with pytest.raises(StoreError, match="in use"):
            SqliteStore(path)
        child.kill()
        child.stdout.read()
    assert loaded_from(path).generation > 0


@pytest.mark.processes
def test_a_refused_second_look_leaves_the_first_its_locks(path: Path, store: SqliteStore) -> None:
    """Closing any descriptor of the database would drop SQLite's own locks: the next program that opens and closes the
    file would then take itself for the last one, and remove the log under our feet."""
    epoch = store.load().epoch
    with pytest.raises(StoreError):
        SqliteStore(path)
    script = "import sqlite3, sys; db = sqlite3.connect(sys.argv[1]); db.execute('SELECT * FROM meta'); db.close()"
    subprocess.run([sys.executable, "-c", script, str(path)], check=True)
    store.commit(Batch(NOW, epoch, generation=7))
    assert path.with_name("relay.db-wal").exists()
    assert sql(path, "SELECT value FROM meta WHERE name = 'generation'") == [(7,)]


@pytest.mark.parametrize(
    "name", ["a?b=c.db", "a#b.db", "a%41.db", "a b & c.db", "Übung.db", "a\udcff.db", ":memory:", "'\".db"]
)
def test_any_file_name_will_do(tmp_path: Path, name: str) -> None:
    """The name goes through a URI."""
    folder = tmp_path / "a folder?#%20"
    folder.mkdir()
    with closing(SqliteStore(folder / name)) as opened:
        opened.commit(a_full_batch(opened.load().epoch))
        assert {file.name for file in folder.iterdir()} == {name + end for end in BESIDE}
        assert opened.statistics().wal_bytes > 0
        assert len(opened.changes(0).devices) == 3


def test_a_relative_path_stays_what_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with closing(SqliteStore(Path("relay.db"))) as opened:
        monkeypatch.chdir("/")
        fill(opened, 1)
        assert opened.statistics().wal_bytes > 0


# --- files that cannot be opened


@contextmanager
def as_nobody() -> Iterator[Path]:
    """A folder, and no right to override its permissions: root has that right, and must not have it here."""
    with tempfile.TemporaryDirectory() as name:
        folder, me = Path(name), os.geteuid()
        if me == 0:
            os.chown(folder, 65_534, -1)
            os.seteuid(65_534)
        try:
            yield folder
        finally:
            os.seteuid(me)
            folder.chmod(0o700)


def test_a_folder_that_may_not_be_written_is_named_so() -> None:
    with as_nobody() as folder:
        folder.chmod(0o500)
        with pytest.raises(StoreError, match=r"^the database file cannot be opened: Permission denied$"):
            SqliteStore(folder / "relay.db")


def test_a_file_that_may_not_be_written_is_named_so() -> None:
    with as_nobody() as folder:
        SqliteStore(folder / "relay.db").close()
        (folder / "relay.db").chmod(0o400)
        for _ in range(2):
            with pytest.raises(StoreError, match=r"^the database file cannot be opened: Permission denied$"):
                SqliteStore(folder / "relay.db")


def test_a_folder_that_became_read_only_is_named_so() -> None:
    with as_nobody() as folder:
        SqliteStore(folder / "relay.db").close()
        folder.chmod(0o500)
        with pytest.raises(StoreError):
            SqliteStore(folder / "relay.db").load()


def a_loop(path: Path) -> None:
    path.symlink_to(path)


@pytest.mark.parametrize(
    ("place", "prepare", "sentence"),
    [
        ("missing/relay.db", lambda path: None, "No such file or directory"),
        ("relay.db", lambda path: path.mkdir(), "Is a directory"),
        ("relay.db", a_loop, "Too many levels of symbolic links"),
    ],
    ids=["missing folder", "a folder", "a loop"],
)
def test_a_place_where_no_file_can_be_is_named_so(
    tmp_path: Path, place: str, prepare: Callable[[Path], None], sentence: str
) -> None:
    prepare(tmp_path / place)
    for _ in range(2):
        with pytest.raises(StoreError, match=f"^the database file cannot be opened: {sentence}$"):
            SqliteStore(tmp_path / place)


# --- files that are not ours


def a_text(path: Path) -> None:
    path.write_text("a canary in a text file, long enough to be taken for a page\n" * 100)


def a_truncated_header(path: Path) -> None:
    SqliteStore(path).close()
    path.write_bytes(path.read_bytes()[:50])


def a_foreign_database(path: Path) -> None:
    sql(path, "CREATE TABLE canary (content)")


def a_foreign_database_without_tables(path: Path) -> None:
    sql(path, "PRAGMA application_id = 7")


def a_foreign_version(path: Path) -> None:
    sql(path, "PRAGMA user_version = 1")


NEWEST = len(MIGRATIONS)


def a_newer_version(path: Path) -> None:
    SqliteStore(path).close()
    sql(path, f"PRAGMA user_version = {len(MIGRATIONS) + 1}")


@pytest.mark.parametrize(
    ("prepare", "sentence"),
    [
        (a_text, "the file is not a database"),
        (a_truncated_header, "the database file is damaged"),
        (a_foreign_database, "the database file belongs to another program"),
        (a_foreign_database_without_tables, "the database file belongs to another program"),
        (a_foreign_version, "the database file belongs to another program"),
        (a_newer_version, f"the database has version {NEWEST + 1}; this program knows versions up to {NEWEST}"),
    ],
)
def test_a_file_that_is_not_ours_is_refused_and_left_alone(
    path: Path, prepare: Callable[[Path], None], sentence: str
) -> None:
    prepare(path)
    before = path.read_bytes()
    with pytest.raises(StoreMismatch) as caught:
        SqliteStore(path)
    assert str(caught.value) == sentence
    assert path.read_bytes() == before
    path.unlink()
    SqliteStore(path).close()  # the lock was given back


def corrupt(path: Path, *, skip_pages: int) -> None:
    """Everything but the first pages overwritten."""
    SqliteStore(path).close()
    content = path.read_bytes()
    keep = 2048 * skip_pages
    path.write_bytes(content[:keep] + b"\xa5" * (len(content) - keep))


def test_a_damaged_file_is_called_damaged(path: Path) -> None:
    corrupt(path, skip_pages=1)
    with pytest.raises(StoreMismatch, match=r"^the database file is damaged$"):
        loaded_from(path)


def test_a_page_damaged_meanwhile_is_a_store_error(path: Path) -> None:
    """Whatever fails below, callers know StoreError only."""
    with closing(SqliteStore(path)) as store:
        fill(store, 1)
    content = bytearray(path.read_bytes())
    content[4096:] = bytes(len(content) - 4096)
    path.write_bytes(content)
    with pytest.raises(StoreMismatch):
        loaded_from(path)


@pytest.mark.parametrize(
    ("statement", "sentence"),
    [
        ("UPDATE device SET body = CAST(x'9902' || substr(body, 3) AS BLOB)", "newer version"),
        ("UPDATE slot SET body = CAST(x'04' || substr(body, 2) AS BLOB)", "newer version"),
        ("UPDATE account SET body = CAST(x'02' || substr(body, 2) AS BLOB)", "newer version"),
        ("UPDATE rest SET body = CAST(x'9302' || substr(body, 3) AS BLOB)", "newer version"),
        ("UPDATE person SET body = substr(body, 1, 4)", "damaged records"),
        ("UPDATE device SET body = 'canary'", "damaged records"),
        ("UPDATE device SET body = x'90'", "damaged records"),
        ("UPDATE device SET body = x'9201c0'", "damaged records"),
        ("UPDATE rest SET body = x'01'", "damaged records"),
        ("UPDATE request SET body = CAST(x'930102' || substr(body, 3) AS BLOB)", "damaged records"),
        ("UPDATE slot SET body = substr(body, 1, 20)", "damaged records"),
        ("UPDATE slot SET body = CAST(body || x'00' AS BLOB)", "damaged records"),
        ("UPDATE slot SET key = CAST(substr(key, 1, 17) || x'ff' AS BLOB)", "damaged records"),
        ("UPDATE account SET body = x''", "damaged records"),
        ("UPDATE receipt SET body = x'9301'", "damaged records"),
        ("UPDATE slot SET body = CAST(x'02' || substr(body, 2) AS BLOB)", "damaged records"),
        ("DELETE FROM meta WHERE name = 'revision'", "damaged records"),
    ],
)
def test_records_that_cannot_be_read_are_a_mismatch_and_no_traceback(path: Path, statement: str, sentence: str) -> None:
    """Newer than this program, or damaged in a way that SQLite cannot see."""
    with closing(SqliteStore(path)) as store:
        store.commit(a_full_batch(store.load().epoch))
    sql(path, statement)
    with closing(SqliteStore(path)) as store, pytest.raises(StoreMismatch, match=sentence) as caught:
        store.load()
    assert "canary" not in str(caught.value)


def test_damaged_feedback_and_changes_are_a_mismatch_too(path: Path, store: SqliteStore) -> None:
    store.commit(a_full_batch(store.load().epoch))
    sql(path, "UPDATE feedback SET body = x'90'")
    sql(path, "UPDATE rest SET body = x'90'")
    with pytest.raises(StoreMismatch):
        store.feedback("city", 0, 10)
    for _ in range(2):
        with pytest.raises(StoreMismatch):
            store.changes(0)


# --- versions

VERSION_1 = MIGRATIONS[:1]

ONE_MORE = (*MIGRATIONS, ("ALTER TABLE person ADD COLUMN note TEXT", "UPDATE person SET note = 'moved'"))
BROKEN = (*MIGRATIONS, ("CREATE TABLE extra (a)", "INSERT INTO extra VALUES (1)", "ALTER TABLE nothing ADD COLUMN b"))


def version_of(path: Path) -> tuple[object, object]:
    return sql(path, "PRAGMA user_version")[0][0], sql(path, "PRAGMA application_id")[0][0]


def test_an_empty_file_becomes_a_database_of_the_newest_version(path: Path) -> None:
    path.touch()
    SqliteStore(path).close()
    assert version_of(path) == (len(MIGRATIONS), APPLICATION_ID)


@pytest.mark.parametrize("known", range(1, len(MIGRATIONS) + 1))
def test_a_file_of_an_older_version_is_moved_forward(tmp_path: Path, known: int) -> None:
    """From each version there was to the newest; the schema is then that of a new file."""
    old, new = tmp_path / "old.db", tmp_path / "new.db"
    SqliteStore(old, migrations=MIGRATIONS[:known]).close()
    SqliteStore(old).close()
    SqliteStore(new).close()
    query = "SELECT type, name, sql FROM sqlite_master ORDER BY name"
    assert version_of(old) == version_of(new)
    assert sql(old, query) == sql(new, query)


def test_migrations_run_in_order_once_and_keep_what_is_there(path: Path) -> None:
    with closing(SqliteStore(path)) as store:
        store.commit(a_full_batch(store.load().epoch))
        before = store.load()
    SqliteStore(path, migrations=ONE_MORE).close()
    SqliteStore(path, migrations=ONE_MORE).close()
    assert version_of(path) == (len(ONE_MORE), APPLICATION_ID)
    assert sql(path, "SELECT DISTINCT note FROM person") == [("moved",)]
    with closing(SqliteStore(path, migrations=ONE_MORE)) as store:
        assert replace(store.load(), epoch=before.epoch) == before


def test_a_file_of_version_1_keeps_what_it_holds_and_learns_what_is_purged(path: Path) -> None:
    """Written as version 1 wrote it: by its schema, and with the feedback whose loss nobody could note."""
    with closing(SqliteStore(path, migrations=VERSION_1)) as store:
        store.commit(without_receipts())
    assert version_of(path) == (1, APPLICATION_ID)
    with closing(SqliteStore(path)) as store:
        check_without_receipts(store)
        assert store.feedback_range("city") == FeedbackRange(0, 3)
        assert [record.seq for record in store.feedback("city", 0, 10)] == [1, 3]
        store.purge(NOW + 31 * DAY, 100)
        assert store.feedback_range("city") == FeedbackRange(3, 3)
        assert store.feedback_range("county") == FeedbackRange(2, 3)
    assert version_of(path) == (NEWEST, APPLICATION_ID)


def test_a_file_of_version_2_keeps_what_it_holds_and_takes_receipts(path: Path) -> None:
    """The alarm that is open in it has none; the next one for the same person has, and both are in one slot."""
    with closing(SqliteStore(path, migrations=MIGRATIONS[:2])) as store:
        store.commit(without_receipts())
    assert version_of(path) == (2, APPLICATION_ID)
    with closing(SqliteStore(path)) as store:
        check_without_receipts(store)
        merged = {(user(1), "alarm"): a_slot(4, stubs=(Stub(receipt_key(1), 404, 404),))}
        store.commit(Batch(NOW, store.load().epoch, slots={**merged}, receipts={receipt_key(1): a_receipt(1)}))
    assert version_of(path) == (NEWEST, APPLICATION_ID)
    loaded = loaded_from(path)
    assert loaded.slots == without_receipts().slots | merged
    assert loaded.receipts == {receipt_key(1): a_receipt(1)}


def test_a_file_of_version_3_keeps_what_it_holds_and_takes_passes_and_visits(path: Path) -> None:
    with closing(SqliteStore(path, migrations=MIGRATIONS[:3])) as store:
        store.commit(without_passes())
    assert version_of(path) == (3, APPLICATION_ID)
    with closing(SqliteStore(path)) as store:
        loaded = store.load()
        assert (loaded.people, loaded.receipts) == (without_passes().people, without_passes().receipts)
        assert (loaded.passes, list(store.visits(user(1), 10))) == ({}, [])
        store.commit(Batch(NOW, loaded.epoch, passes={pass_key(1): a_pass(1)}, visits=[a_visit(1)]))
    assert version_of(path) == (NEWEST, APPLICATION_ID)
    with closing(SqliteStore(path)) as store:
        assert (store.load().passes, list(store.visits(user(1), 10))) == ({pass_key(1): a_pass(1)}, [a_visit(1)])


def test_a_file_of_version_6_keeps_its_passes_and_takes_sessions(path: Path) -> None:
    """No last use was written down in it."""
    with closing(SqliteStore(path, migrations=MIGRATIONS[:6])) as store:
        store.commit(Batch(NOW, store.load().epoch, passes={pass_key(1): a_pass(1)}))
    assert version_of(path) == (6, APPLICATION_ID)
    session = a_pass(2, kind=PassKind.SESSION, noted=NOW)
    with closing(SqliteStore(path)) as store:
        loaded = store.load()
        assert loaded.passes == {pass_key(1): a_pass(1)}
        noted = {pass_key(1): a_pass(1, noted=NOW + 60), pass_key(2): session}
        store.commit(Batch(NOW, loaded.epoch, passes={**noted}))
    assert version_of(path) == (NEWEST, APPLICATION_ID)
    assert loaded_from(path).passes == noted


def without_passes() -> Batch:
    """A full batch as the programs of version 3 wrote it."""
    batch = a_full_batch(0)
    batch.passes.clear()
    batch.visits.clear()
    batch.halts.clear()
    batch.acts.clear()
    return batch


def without_receipts() -> Batch:
    """A full batch as the programs of versions 1 and 2 wrote it, first owner of their file."""
    batch = without_passes()
    batch.receipts.clear()
    batch.slots = {key: slot and replace(slot, stubs=(), orders={}) for key, slot in batch.slots.items()}
    for key, known in batch.requests.items():
        batch.requests[key] = replace(known, answer=replace(known.answer, receipt=None))
    return batch


def check_without_receipts(store: SqliteStore) -> None:
    loaded, batch = store.load(), without_receipts()
    assert (loaded.people, loaded.slots, loaded.requests) == (batch.people, batch.slots, batch.requests)
    assert (loaded.rests, loaded.accounts, loaded.receipts) == (batch.rests, batch.accounts, {})
    assert loaded.devices == {key: device for key, (_, device) in batch.devices.items()}
    assert (loaded.generation, loaded.revision, loaded.feedback_seq) == (batch.generation, batch.revision, 3)


def test_an_older_program_refuses_the_newer_file(path: Path) -> None:
    SqliteStore(path, migrations=ONE_MORE).close()
    sentence = f"^the database has version {NEWEST + 1}; this program knows versions up to {NEWEST}$"
    with pytest.raises(StoreMismatch, match=sentence):
        SqliteStore(path)


def test_a_migration_that_fails_half_way_leaves_the_old_version(path: Path) -> None:
    with closing(SqliteStore(path)) as store:
        store.commit(a_full_batch(store.load().epoch))
        before = store.load()
    with pytest.raises(StoreError):
        SqliteStore(path, migrations=BROKEN)
    assert version_of(path) == (len(MIGRATIONS), APPLICATION_ID)
    assert sql(path, "SELECT name FROM sqlite_master WHERE name = 'extra'") == []
    assert replace(loaded_from(path), epoch=before.epoch) == before


def test_a_first_migration_that_fails_leaves_an_empty_file(path: Path) -> None:
    with pytest.raises(StoreError):
        SqliteStore(path, migrations=[["CREATE TABLE meta (name)", "nonsense"]])
    assert version_of(path) == (0, 0)
    SqliteStore(path).close()


def test_of_several_migrations_the_good_ones_stay(path: Path) -> None:
    """Each is a transaction of its own: the next start goes on where this one failed."""
    with pytest.raises(StoreError):
        SqliteStore(path, migrations=[*ONE_MORE, BROKEN[-1]])
    assert version_of(path) == (len(ONE_MORE), APPLICATION_ID)


# --- the audit


@pytest.mark.parametrize("table", ["bypass", "bypass_recipients", "act", "visit"])
@pytest.mark.parametrize("change", ["body = x''", "at = x'00'", "key = key || x'00'"])
def test_a_record_of_a_bypass_or_a_visit_cannot_be_changed(path: Path, table: str, change: str) -> None:
    with closing(SqliteStore(path)) as store:
        store.commit(a_full_batch(store.load().epoch))
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        sql(path, f"UPDATE {table} SET {change}")


def test_recipients_go_with_their_record(path: Path, store: SqliteStore) -> None:
    epoch = store.load().epoch
    for number in range(1, 5):
        store.commit(Batch(NOW + number, epoch, bypasses=[a_bypass(number)], generation=number))
    store.purge(NOW + 90 * DAY + 2.5, 1)
    assert sql(path, "SELECT (SELECT count(*) FROM bypass), (SELECT count(*) FROM bypass_recipients)") == [(3, 3)]
    store.purge(NOW + 90 * DAY + 2.5, 100)
    assert sql(path, "SELECT key FROM bypass") == sql(path, "SELECT key FROM bypass_recipients") != []


def test_recipients_that_lie_in_an_older_file_are_kept_and_told_apart(path: Path) -> None:
    """They are pseudonyms in clear there, and nobody is found in them any more."""
    with closing(SqliteStore(path, migrations=MIGRATIONS[:3])) as store:
        store.commit(Batch(NOW, bypasses=[a_bypass(1)], generation=1))
    sql(path, "DROP TRIGGER recipients_are_append_only")
    sql(path, "UPDATE bypass_recipients SET body = x'01020304'")
    sql(path, MIGRATIONS[0][-1])
    with closing(SqliteStore(path)) as store:
        assert store.bypasses_of("city", lambda b: True, 9) == [replace(a_bypass(1), sealed=b"")]
    assert sql(path, "SELECT body FROM bypass_recipients") == [(b"\x01\x01\x02\x03\x04",)]
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        sql(path, "UPDATE bypass_recipients SET body = x''")


# --- the log


def test_a_quiet_moment_empties_a_large_log(path: Path, store: SqliteStore) -> None:
    fill(store, 3)
    small = store.statistics().wal_bytes
    store.idle()
    assert store.statistics().wal_bytes == small < QUIET_WAL
    fill(store, 3)
    assert store.statistics().wal_bytes > QUIET_WAL
    store.idle()
    assert store.statistics().wal_bytes == 0
    assert len(store.load().rests) == 120


def test_a_log_that_grows_too_large_is_moved_under_load_and_shrinks(store: SqliteStore) -> None:
    """It must shrink too: a file that stayed large would have every later commit move it again."""
    fill(store, LARGEST_WAL // 2**20 - 5)
    sizes = [store.statistics().wal_bytes]
    for _ in range(8):
        fill(store, 1)
        sizes.append(store.statistics().wal_bytes)
    assert LARGEST_WAL < max(sizes) < 1.1 * LARGEST_WAL
    assert sizes[-1] < LARGEST_WAL / 4


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """The disk is full beyond this offset."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_fails_the_commit_and_loses_nothing(path: Path, store: SqliteStore) -> None:
    fill(store, 1)
    before = store.load()
    with largest_file(store.statistics().wal_bytes + 5_000):
        with pytest.raises(StoreError, match=r"^the database refused \(SQLITE_"):
            store.commit(a_full_batch(before.epoch))
        assert store.changes(0).rests.keys() == before.rests.keys()
    assert replace(store.load(), epoch=before.epoch) == before
    epoch = store.load().epoch
    store.commit(a_full_batch(epoch))
    store.close()
    assert loaded_from(path).slots == a_full_batch(epoch).slots


def test_a_log_that_cannot_be_moved_is_no_failure_of_a_quiet_moment(store: SqliteStore) -> None:
    """The journal calls `idle` outside any batch: an error there would end the relay."""
    fill(store, 5)
    with largest_file(100_000):
        store.idle()
    assert store.statistics().wal_bytes > QUIET_WAL
    assert store._writer.execute("PRAGMA busy_timeout").fetchone() == (5000,)
    store.idle()
    assert store.statistics().wal_bytes == 0
    assert len(store.load().rests) == 100


def test_somebody_who_reads_for_long_is_not_waited_for(path: Path, store: SqliteStore) -> None:
    """A backup. It keeps what it sees, the log keeps the rest, and the next commit goes through."""
    fill(store, 2)
    with closing(sqlite3.connect(path, isolation_level=None)) as backup:
        backup.execute("BEGIN")
        assert backup.execute("SELECT count(*) FROM rest").fetchone() == (40,)
        fill(store, 4)
        store.idle()
        assert store.statistics().wal_bytes > QUIET_WAL
        fill(store, 1)
        assert backup.execute("SELECT count(*) FROM rest").fetchone() == (40,)
    store.idle()
    assert store.statistics().wal_bytes == 0
    assert len(store.load().rests) == 140


def test_a_log_that_cannot_be_moved_is_no_failure_of_the_commit(path: Path) -> None:
    """The batch is durable: whoever is told otherwise books its verdicts twice."""
    with closing(SqliteStore(path)) as store:
        fill(store, 2)
    with closing(SqliteStore(path, largest_wal=0)) as store:
        epoch = store.load().epoch
        with largest_file(1_000_000):
            store.commit(Batch(NOW, epoch, rests={user(39): RestRecord(bytes(50_001), 2)}, generation=5))
        assert store.statistics().commits == 1
        assert store.statistics().wal_bytes > 0
    loaded = loaded_from(path)
    assert loaded.generation == 5
    assert loaded.rests[user(39)] == RestRecord(bytes(50_001), 2)


# --- batches of every size


def test_a_release_of_the_whole_force_is_one_commit(path: Path) -> None:
    """25,000 recipients of one request, each with a slot, and the next batch ends them all."""
    slots: dict[tuple[UserKey, str], Slot | None] = {(user(n), "message"): a_slot(n % 7) for n in range(25_000)}
    with closing(SqliteStore(path)) as store:
        epoch = store.load().epoch
        store.commit(Batch(NOW, epoch, slots=slots, bypasses=[a_bypass(1, recipients=25_000)], generation=1))
        assert store.statistics().commits == 1
    with closing(SqliteStore(path)) as store:
        loaded = store.load()
        assert loaded.slots == slots
        store.commit(Batch(NOW, loaded.epoch, slots=dict.fromkeys(slots)))
        assert store.load().slots == {}


@pytest.mark.parametrize(
    "batch",
    [
        Batch(NOW, people={user(9): PersonRecord("city", bytes(2**20))}),
        Batch(NOW, rests={user(9): RestRecord(bytes(2**20), 1)}),
        Batch(NOW, devices={device_key(9): (user(9), a_device(9, user(9), sealed=bytes(2**20)))}),
        Batch(NOW, feedback=[replace(a_feedback(9), sealed=bytes(2**20))]),
        Batch(NOW, bypasses=[a_bypass(1, recipients=2**16)]),
        Batch(NOW, accounts={("city", "c" * 300): Account(1)}),
        Batch(NOW, slots={(user(9), "c" * 240): a_slot()}),
        Batch(NOW, slots={(user(9), "c" * 240): None}),
    ],
    ids=["person", "rest", "device", "feedback", "bypass", "account's key", "slot's key", "key of an ended slot"],
)
def test_a_record_that_does_not_fit_is_refused_with_its_whole_batch(store: SqliteStore, batch: Batch) -> None:
    """Never cut, never written under another key."""
    before = store.load()
    full = a_full_batch(before.epoch)
    for name in ("people", "rests", "devices", "accounts", "slots"):
        getattr(full, name).update(getattr(batch, name))
    full.feedback += batch.feedback
    full.bypasses += batch.bypasses
    with pytest.raises(StoreError, match=r"^a (record is larger than 1 MiB|key is longer than 255 bytes)$"):
        store.commit(full)
    assert replace(store.load(), epoch=before.epoch) == before


def test_the_largest_record_that_fits_comes_back_whole(path: Path) -> None:
    largest = {user(n): RestRecord(bytes((n,)) * (2**20 - 100), n) for n in range(3)}
    with closing(SqliteStore(path)) as store:
        store.commit(Batch(NOW, store.load().epoch, rests=dict(largest), slots={(user(1), "c" * 239): a_slot()}))
    loaded = loaded_from(path)
    assert loaded.rests == largest
    assert loaded.slots == {(user(1), "c" * 239): a_slot()}


# --- errors and readers


def test_an_error_says_its_name_and_none_of_the_content(path: Path, store: SqliteStore) -> None:
    sql(path, "CREATE TRIGGER t BEFORE INSERT ON person BEGIN SELECT RAISE(ABORT, 'canary'); END")
    with pytest.raises(StoreError) as caught:
        store.commit(a_full_batch(store.load().epoch))
    assert str(caught.value) == "the database refused (SQLITE_CONSTRAINT_TRIGGER)"
    assert caught.value.__suppress_context__


def test_a_store_that_is_closed_is_a_store_error(path: Path) -> None:
    store = SqliteStore(path)
    store.close()
    calls: Sequence[Callable[[], object]] = (
        store.load, lambda: store.commit(Batch(NOW)), lambda: store.changes(0), lambda: store.purge(NOW, 1),
        lambda: store.feedback("city", 0, 1),
    )  # fmt: skip
    for call in calls:
        with pytest.raises(StoreError):
            call()
    store.idle()


def test_the_change_feed_sees_one_instant(store: SqliteStore) -> None:
    """A commit between its two queries must not raise the revision above a change that was not read."""
    epoch = store.load().epoch
    anna = user(1)
    store.commit(Batch(NOW, epoch, rests={anna: RestRecord(b"first", 1)}, revision=1))

    def interrupt(statement: str) -> None:
        if "FROM rest" in statement:
            store._reader.set_trace_callback(None)
            device, rest = a_device(1, anna), RestRecord(b"second", 2)
            store.commit(Batch(NOW, epoch, devices={device.key: (anna, device)}, rests={anna: rest}, revision=2))

    store._reader.set_trace_callback(interrupt)
    first = store.changes(0)
    assert (first.revision, first.devices, first.rests) == (1, {}, {anna: RestRecord(b"first", 1)})
    second = store.changes(first.revision)
    assert second.revision == 2
    assert second.devices.keys() == {device_key(1)}
    assert second.rests == {anna: RestRecord(b"second", 2)}
