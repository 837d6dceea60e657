"""SQLite: the journal of one node, on one disk.

Write-ahead log with `synchronous=FULL`: a commit that returned is on the disk (fsync). With NORMAL the last commits can
vanish on power loss, and 202 would be a lie.

A batch is one blob per table. Its rows are laid end to end, and one statement cuts them out (`substr`) by a JSON list
of integers (offset, key length, row length). Not `executemany`: each row would hand the GIL over to the busy event
loop and wait to get it back, seconds for a large batch.

One writer connection, used by one thread at a time; one read-only connection for the change feed and feedback. The log
is moved into the file by hand when nothing waits (`idle`), or when it has grown beyond a limit under steady load;
SQLite's own checkpoint would fall into the middle of whichever commit crosses 1,000 pages.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from relay.core.batch import Batch, Feedback
from relay.core.devices import Device, RestRecord
from relay.core.private import DeviceKey, UserKey
from relay.store import rows
from relay.store.port import Changes, Loaded, Purged, StaleEpoch, StoreError, StoreMismatch, StoreStatistics
from relay.store.schema import APPLICATION_ID, MIGRATIONS, VERSION

QUIET_WAL: Final = 4 * 2**20
"""Bytes of log worth moving into the file when nothing waits."""
LARGEST_WAL: Final = 64 * 2**20
"""Bytes of log beyond which a commit moves it even under load."""
PAGE: Final = 2048
"""Bytes of a database page: slots are small and scattered, so each touched page is mostly written for one row."""
DAY: Final = 86400.0
LIVES: Final = {"request": DAY, "feedback": 30 * DAY, "bypass": 90 * DAY, "bypass_recipients": 90 * DAY}
TOMBSTONES: Final = DAY

_CUT: Final = "WITH row(o, k, n) AS (SELECT value >> 28, value >> 20 & 255, value & 1048575 FROM json_each(?2)) "
_PUT: Final = {
    table: _CUT + f"INSERT INTO {table} SELECT substr(?1, o + 1, k), {columns} FROM row WHERE true {conflict}"
    for table, columns, conflict in (
        *(
            (table, "substr(?1, o + 1 + k, n - k)", "ON CONFLICT (key) DO UPDATE SET body = excluded.body")
            for table in ("person", "slot", "account")
        ),
        *(
            (
                table,
                "substr(?1, o + 1 + k, 8), substr(?1, o + 9 + k, 8), substr(?1, o + 17 + k, 16), "
                "substr(?1, o + 33 + k, n - k - 32)",
                "ON CONFLICT (key) DO UPDATE SET revision = excluded.revision, at = excluded.at, body = excluded.body",
            )
            for table in ("device", "rest")
        ),
        *(
            (table, "substr(?1, o + 1 + k, 8), substr(?1, o + 9 + k, n - k - 8)", "ON CONFLICT (key) DO NOTHING")
            for table in ("feedback", "bypass", "bypass_recipients")
        ),
        (
            "request",
            "substr(?1, o + 1 + k, 8), substr(?1, o + 9 + k, n - k - 8)",
            "ON CONFLICT (key) DO UPDATE SET at = excluded.at, body = excluded.body",
        ),
    )
}
_DELETE_SLOTS: Final = _CUT + "DELETE FROM slot WHERE key IN (SELECT substr(?1, o + 1, k) FROM row)"
_MARKS: Final = (
    "UPDATE meta SET value = max(value, CASE name WHEN 'generation' THEN ?1 WHEN 'revision' THEN ?2 ELSE ?3 END) "
    "WHERE name IN ('generation', 'revision', 'feedback')"
)
Row = tuple[bytes, bytes]
"""(key, the rest of the row)"""


class SqliteStore:
    """The store in one file. Raises StoreMismatch when the file is in use, foreign, damaged or too new."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._commits = 0
        self._lock = _lock(path)
        try:
            with _translated():
                self._writer = self._connect(f"file:{_quoted(path)}")
                self._open()
                self._reader = self._connect(f"file:{_quoted(path)}?mode=ro")
        except BaseException:
            os.close(self._lock)
            raise

    @staticmethod
    def _connect(uri: str) -> sqlite3.Connection:
        return sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False, timeout=5.0)

    def _open(self) -> None:
        db = self._writer
        (tables,) = db.execute("SELECT count(*) FROM sqlite_master").fetchone()
        (application,) = db.execute("PRAGMA application_id").fetchone()
        if tables and application != APPLICATION_ID:
            raise StoreMismatch("the database file belongs to another program")
        db.execute(f"PRAGMA page_size = {PAGE}")
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        db.execute("PRAGMA wal_autocheckpoint = 0")
        db.execute("PRAGMA secure_delete = FAST")
        self._migrate()

    def _migrate(self) -> None:
        db = self._writer
        (version,) = db.execute("PRAGMA user_version").fetchone()
        if version > len(MIGRATIONS):
            raise StoreMismatch(f"the database has version {version}; this program knows versions up to {VERSION}")
        for number, statements in enumerate(MIGRATIONS[version:], version + 1):
            with self._transaction():
                for statement in statements:
                    db.execute(statement)
                db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                db.execute(f"PRAGMA user_version = {number}")

    # --- reading

    def load(self, partition: int = 0) -> Loaded:
        """Everything, under a new epoch."""
        with _translated(), self._transaction():
            db = self._writer
            db.execute("UPDATE meta SET value = value + 1 WHERE name = 'epoch'")
            marks = dict(db.execute("SELECT name, value FROM meta"))
            return Loaded(
                people={UserKey(k): rows.read_person(b) for k, b in db.execute("SELECT key, body FROM person")},
                devices={
                    DeviceKey(k): rows.read_device(k, b)
                    for k, b in db.execute("SELECT key, body FROM device WHERE body <> x''")
                },
                rests={
                    UserKey(k): rows.read_rest(b)
                    for k, b in db.execute("SELECT key, body FROM rest WHERE body <> x''")
                },
                slots={
                    rows.read_slot_key(k): rows.read_slot(b) for k, b in db.execute("SELECT key, body FROM slot")
                },
                requests={k: rows.read_request(b) for k, b in db.execute("SELECT key, body FROM request")},
                accounts={
                    rows.read_account_key(k): rows.read_account(b)
                    for k, b in db.execute("SELECT key, body FROM account")
                },
                generation=marks["generation"],
                revision=marks["revision"],
                feedback_seq=marks["feedback"],
                epoch=marks["epoch"],
            )

    def changes(self, since: int) -> Changes:
        with _translated():
            bound = (rows.number(since),)
            devices: dict[DeviceKey, tuple[UserKey, Device | None]] = {}
            newest = since
            query = "SELECT key, revision, user, body FROM {} WHERE revision > ? ORDER BY revision"
            for key, revision, user, body in self._reader.execute(query.format("device"), bound):
                newest = max(newest, int.from_bytes(revision, "big"))
                devices[DeviceKey(key)] = (UserKey(user), rows.read_device(key, body) if body else None)
            rests: dict[UserKey, RestRecord | None] = {}
            for key, revision, _, body in self._reader.execute(query.format("rest"), bound):
                newest = max(newest, int.from_bytes(revision, "big"))
                rests[UserKey(key)] = rows.read_rest(body) if body else None
            return Changes(newest, devices, rests)

    def feedback(self, tenant: str, after: int, limit: int) -> Sequence[Feedback]:
        with _translated():
            query = "SELECT body FROM feedback WHERE key > ? AND key < ? ORDER BY key LIMIT ?"
            bounds = (rows.feedback_key(tenant, after), tenant.encode() + b"\x01", limit)
            return [rows.read_feedback(body) for (body,) in self._reader.execute(query, bounds)]

    # --- writing

    def commit(self, batch: Batch) -> None:
        """One transaction; durable when it returns."""
        with _translated():
            with self._transaction():
                (epoch,) = self._writer.execute("SELECT value FROM meta WHERE name = 'epoch'").fetchone()
                if epoch != batch.epoch:
                    raise StaleEpoch("another process has taken over this store")
                self._write(batch)
            self._commits += 1
            if self._wal_bytes() > LARGEST_WAL:
                self._checkpoint("PASSIVE")

    def _write(self, batch: Batch) -> None:
        revision, now = rows.number(batch.revision), rows.instant(batch.now)
        self._put("person", ((key, rows.person(record)) for key, record in batch.people.items()))
        self._put("slot", [(rows.slot_key(k), rows.slot(s)) for k, s in batch.slots.items() if s is not None])
        ended = [(rows.slot_key(k), b"") for k, s in batch.slots.items() if s is None]
        if ended:
            self._writer.execute(_DELETE_SLOTS, _packed(ended))
        stamp = revision + now
        self._put(
            "device",
            ((k, stamp + user + (rows.device(d) if d else b"")) for k, (user, d) in batch.devices.items()),
        )
        self._put(
            "rest",
            ((user, stamp + user + (rows.rest(r) if r else b"")) for user, r in batch.rests.items()),
        )
        self._put("request", ((key, rows.instant(r.at) + rows.request(r)) for key, r in batch.requests.items()))
        self._put(
            "feedback",
            ((rows.feedback_key(f.tenant, f.seq), rows.instant(f.at) + rows.feedback(f)) for f in batch.feedback),
        )
        mark = now + rows.number(batch.generation)
        bypasses = [(mark + rows.number(i), b) for i, b in enumerate(batch.bypasses)]
        self._put("bypass", ((key, key[:8] + rows.bypass(b)) for key, b in bypasses))
        self._put("bypass_recipients", ((key, key[:8] + b"".join(b.recipients)) for key, b in bypasses))
        self._put("account", ((rows.account_key(k), rows.account(a)) for k, a in batch.accounts.items()))
        seq = batch.feedback[-1].seq if batch.feedback else 0
        self._writer.execute(_MARKS, (batch.generation, batch.revision, seq))

    def _put(self, table: str, pairs: Iterable[Row]) -> None:
        pairs = list(pairs)
        if pairs:
            self._writer.execute(_PUT[table], _packed(pairs))

    def purge(self, now: float, limit: int) -> Purged:
        """Delete what has outlived its purpose, by the lives in LIVES."""
        with _translated(), self._transaction():
            gone = {
                table: self._delete_some(table, "at < ?", rows.instant(max(0.0, now - life)), limit)
                for table, life in LIVES.items()
            }
            old = rows.instant(max(0.0, now - TOMBSTONES))
            tombstones = sum(self._delete_some(t, "body = x'' AND at < ?", old, limit) for t in ("device", "rest"))
        return Purged(gone["request"], gone["bypass"], gone["feedback"], tombstones)

    def _delete_some(self, table: str, condition: str, bound: bytes, limit: int) -> int:
        statement = f"DELETE FROM {table} WHERE key IN (SELECT key FROM {table} WHERE {condition} LIMIT ?)"
        return self._writer.execute(statement, (bound, limit)).rowcount

    # --- housekeeping

    def idle(self) -> None:
        if self._wal_bytes() > QUIET_WAL:
            with _translated():
                self._checkpoint("TRUNCATE")

    def statistics(self) -> StoreStatistics:
        return StoreStatistics(self._commits, self._wal_bytes())

    def close(self) -> None:
        with _translated():
            self._reader.close()
            self._writer.close()
        os.close(self._lock)

    def _checkpoint(self, mode: str) -> None:
        self._writer.execute(f"PRAGMA wal_checkpoint({mode})").fetchone()

    def _wal_bytes(self) -> int:
        try:
            return os.stat(f"{self._path}-wal").st_size
        except OSError:
            return 0

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        db = self._writer
        db.execute("BEGIN IMMEDIATE")
        try:
            yield
            db.execute("COMMIT")
        except BaseException:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise


def _packed(pairs: Sequence[Row]) -> tuple[bytes, str]:
    """Rows end to end, and the list that cuts them out again."""
    cuts: list[int] = []
    position = 0
    for key, rest in pairs:
        length = len(key) + len(rest)
        if length >= 2**20:
            raise StoreError("a record is larger than 1 MiB")
        cuts.append(position << 28 | len(key) << 20 | length)
        position += length
    return b"".join([part for pair in pairs for part in pair]), str(cuts)


def _lock(path: Path) -> int:
    """Take the file for this process; the kernel gives it back when the process ends, however it ends."""
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        descriptor = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StoreError(f"the database file cannot be opened: {os.strerror(error.errno or 0)}") from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise StoreError("the database file is in use by another process") from None
    return descriptor


def _quoted(path: Path) -> str:
    return str(path.absolute()).replace("%", "%25").replace("?", "%3f").replace("#", "%23")


@contextmanager
def _translated() -> Iterator[None]:
    """sqlite3's errors as ours; by name only, for its texts may hold content."""
    try:
        yield
    except sqlite3.Error as error:
        name = getattr(error, "sqlite_errorname", "") or type(error).__name__
        sentence = _SENTENCES.get(name.removeprefix("SQLITE_").partition("_")[0])
        if sentence is not None:
            raise StoreMismatch(sentence) from None
        raise StoreError(f"the database refused ({name})") from None


_SENTENCES: Final = {
    "NOTADB": "the file is not a database",
    "CORRUPT": "the database file is damaged",
}
