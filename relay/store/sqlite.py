"""SQLite: the journal of one node, on one disk.

Write-ahead log with `synchronous=FULL`: a commit that returned is on the disk (fsync). With NORMAL the last commits can
vanish on power loss, and 202 would be a lie.

A batch is one statement and one blob per table (relay/store/statements.py). Append-only records are followed by the
links of their chains (relay/store/sqlite_chain.py); a batch without any pays nothing for that.

One writer connection, used by one thread at a time; one read-only connection for the change feed and feedback. The log
is moved into the file by hand when nothing waits (`idle`), or when it has grown beyond a limit under steady load;
SQLite's own checkpoint would fall into the middle of whichever commit crosses 1,000 pages. Moving it is housekeeping:
where that fails, what is committed stands in the log, and the next occasion tries again.

What owners erase is written down apart too, before the commit (relay/store/erasures.py); a batch that erases nothing
pays nothing for that. The file belongs to one process (relay/store/files.py).
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import Final

from relay.core.batch import Batch, Bypass, Feedback
from relay.core.chain import UNKEYED, Notary
from relay.core.devices import Device, RestRecord
from relay.core.erasing import Erased, erased_by
from relay.core.halts import Act
from relay.core.passes import Visit
from relay.core.private import DeviceKey, PassKey, ReceiptKey, UserKey
from relay.store import erasures, rows, sqlite_chain
from relay.store.erasures import Erasures
from relay.store.files import PATIENCE, connect, lock, make_private, transaction, translated, version_of
from relay.store.filing import filed
from relay.store.port import (
    LIVES,
    TOMBSTONES,
    Changes,
    FeedbackRange,
    Loaded,
    Purged,
    StaleEpoch,
    StoreStatistics,
    purged,
)
from relay.store.schema import APPLICATION_ID, CHAINED, MIGRATIONS
from relay.store.statements import (
    DELETE_HALTS,
    DELETE_PASSES,
    DELETE_PEOPLE,
    DELETE_SLOTS,
    DELETE_VISITS,
    MARKS,
    NOTE_ERASED,
    NOTE_NEW,
    NOTE_PURGED,
    PUT,
    Row,
    packed,
)

QUIET_WAL: Final = 4 * 2**20
"""Bytes of log worth moving into the file when nothing waits."""
LARGEST_WAL: Final = 64 * 2**20
"""Bytes of log beyond which a commit moves it even under load."""
NODE: Final = 0
"""In the keys of records; nodes of a shared database have other numbers."""
PAGE: Final = 2048
"""Bytes of a database page: slots are small and scattered, so each touched page is mostly written for one row."""


class SqliteStore:
    """The store in one file.

    Raises StoreError when the file is in use or cannot be opened, StoreMismatch when it is foreign, damaged or too new.
    """

    def __init__(
        self,
        path: Path,
        notary: Notary = UNKEYED,
        *,
        migrations: Sequence[Sequence[str]] = MIGRATIONS,
        largest_wal: int = LARGEST_WAL,
    ) -> None:
        self._path = Path(os.path.realpath(path))  # the log lies beside the file, not beside a link to it
        self._migrations = migrations
        self._notary = notary
        self._largest_wal = largest_wal
        self._commits = 0
        with ExitStack() as opened:
            opened.callback(os.close, lock(self._path))
            make_private(self._path)
            with translated():
                self._writer = opened.enter_context(closing(connect(self._path, "rw")))
                self._open()
                self._erasures = opened.enter_context(closing(self._keep_erasures()))
                self._reader = opened.enter_context(closing(connect(self._path, "ro")))
            self._opened = opened.pop_all()

    def _open(self) -> None:
        """Nothing is written before the file has shown to be ours."""
        db = self._writer
        version = version_of(db, len(self._migrations))
        db.execute(f"PRAGMA page_size = {PAGE}")
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        db.execute("PRAGMA wal_autocheckpoint = 0")
        db.execute(f"PRAGMA journal_size_limit = {QUIET_WAL}")
        db.execute("PRAGMA secure_delete = FAST")
        self._migrate(version)

    def _migrate(self, version: int) -> None:
        db = self._writer
        for number, statements in enumerate(self._migrations[version:], version + 1):
            with transaction(db):
                for statement in statements:
                    db.execute(statement)
                if number == CHAINED:
                    self._put("link", sqlite_chain.beginning(db, self._notary))
                db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                db.execute(f"PRAGMA user_version = {number}")

    def _keep_erasures(self) -> Erasures:
        """The file beside this one. Whose it is, and how far it went, stands in both from the first opening on.

        A number of 1, which no erasure has, tells a file that has seen none from one of a program that noted none.
        """
        path = erasures.path_of(self._path)
        marks = dict(self._writer.execute("SELECT name, value FROM meta WHERE name IN ('identity', 'erased')"))
        if len(marks) < 2:
            kept = erasures.read(path)
            marks = {"identity": kept.identity, "erased": 0} if kept else {"identity": _new_identity(), "erased": 1}
            with transaction(self._writer):
                self._writer.executemany(NOTE_NEW, list(marks.items()))
        return Erasures(path, marks["identity"], marks["erased"])

    # --- reading

    def load(self, partition: int = 0) -> Loaded:
        """Everything, under a new epoch."""
        db = self._writer
        with translated(), transaction(db), rows.reading():
            db.execute("UPDATE meta SET value = value + 1 WHERE name = 'epoch'")
            marks = dict(db.execute("SELECT name, value FROM meta"))
            return Loaded(
                people={UserKey(k): rows.read_person(b) for k, b in db.execute("SELECT key, body FROM person")},
                devices={
                    DeviceKey(k): rows.read_device(k, b)
                    for k, b in db.execute("SELECT key, body FROM device WHERE body <> x''")
                },
                rests={
                    UserKey(k): rows.read_rest(b) for k, b in db.execute("SELECT key, body FROM rest WHERE body <> x''")
                },
                slots={rows.read_slot_key(k): rows.read_slot(b) for k, b in db.execute("SELECT key, body FROM slot")},
                requests={k: rows.read_request(b) for k, b in db.execute("SELECT key, body FROM request")},
                receipts={ReceiptKey(k): rows.read_receipt(b) for k, b in db.execute("SELECT key, body FROM receipt")},
                passes={PassKey(k): rows.read_pass(b) for k, b in db.execute("SELECT key, body FROM pass")},
                accounts={
                    rows.read_account_key(k): rows.read_account(b)
                    for k, b in db.execute("SELECT key, body FROM account")
                },
                halts={rows.read_number(k): rows.read_halt(b) for k, b in db.execute("SELECT key, body FROM halt")},
                generation=marks["generation"],
                revision=marks["revision"],
                feedback_seq=marks["feedback"],
                epoch=marks["epoch"],
            )

    def changes(self, since: int) -> Changes:
        """Both tables as of one instant, or a change of one could be skipped for a newer one of the other."""
        db, bound = self._reader, (rows.number(since),)
        devices: dict[DeviceKey, tuple[UserKey, Device | None]] = {}
        rests: dict[UserKey, RestRecord | None] = {}
        newest = since
        query = "SELECT key, revision, user, body FROM {} WHERE revision > ? ORDER BY revision"
        with translated(), transaction(db, "DEFERRED"), rows.reading():
            for key, revision, user, body in db.execute(query.format("device"), bound):
                newest = max(newest, rows.read_number(revision))
                devices[DeviceKey(key)] = (UserKey(user), rows.read_device(key, body) if body else None)
            for key, revision, _, body in db.execute(query.format("rest"), bound):
                newest = max(newest, rows.read_number(revision))
                rests[UserKey(key)] = rows.read_rest(body) if body else None
        return Changes(newest, devices, rests)

    def feedback(self, tenant: str, after: int, limit: int) -> Sequence[Feedback]:
        query = "SELECT body FROM feedback WHERE key > ? AND key < ? ORDER BY key LIMIT ?"
        bounds = (rows.feedback_key(tenant, after), tenant.encode() + b"\x01", limit)
        with translated(), rows.reading():
            return [rows.read_feedback(body) for (body,) in self._reader.execute(query, bounds)]

    def feedback_range(self, tenant: str) -> FeedbackRange:
        purged = "SELECT seq FROM feedback_purged WHERE tenant = ?"
        query = f"SELECT ({purged}), (SELECT value FROM meta WHERE name = 'feedback')"
        with translated():
            last, newest = self._reader.execute(query, (tenant,)).fetchone()
        return FeedbackRange(last or 0, newest)

    def bypasses_of(self, tenant: str, wanted: Callable[[Bypass], bool], limit: int) -> Sequence[Bypass]:
        query = (
            "SELECT bypass.body, bypass_recipients.body FROM bypass JOIN bypass_recipients USING (key) "
            "ORDER BY bypass.key DESC"
        )
        found: list[Bypass] = []
        with translated(), rows.reading():
            for body, recipients in self._reader.execute(query):
                record = rows.read_bypass(body, recipients)
                if record.tenant == tenant and wanted(record):
                    found.append(record)
                if len(found) == limit:
                    break
        return found

    def acts(self, limit: int) -> Sequence[Act]:
        with translated(), rows.reading():
            found = self._reader.execute("SELECT body FROM act ORDER BY key DESC LIMIT ?", (limit,))
            return [rows.read_act(body) for (body,) in found]

    def visits(self, user: UserKey, limit: int) -> Sequence[Visit]:
        query = "SELECT body FROM visit WHERE key > ? AND key < ? ORDER BY key DESC LIMIT ?"
        with translated(), rows.reading():
            found = self._reader.execute(query, (user, rows.visits_end(user), limit))
            return [rows.read_visit(body) for (body,) in found]

    # --- writing

    def commit(self, batch: Batch) -> None:
        """One transaction; durable when it returns. What it erases is written down apart before."""
        erased = erased_by(batch)
        self._commit(batch, (lambda: self._erasures.add(erased, batch.now)) if erased else None)

    @property
    def unknown_erasures(self) -> Erased | None:
        """What stands in the file of erasures and not in this database, which must be an older one. None: all does.

        It must be erased again, and committed by `commit_erased_again`, before anything else may be erased.
        """
        return self._erasures.unknown

    @property
    def knows_all_erasures(self) -> bool:
        """Whether none of the unknown erasures is missing in the file: some are, where 35 days have passed."""
        return self._erasures.knows_all

    def commit_erased_again(self, batch: Batch) -> None:
        """Commit what has erased the unknown erasures: nothing is written down anew, and none is unknown any more."""
        self._commit(batch, lambda: self._erasures.newest)

    def _commit(self, batch: Batch, note: Callable[[], int] | None) -> None:
        """`note`: gives the number of what is erased."""
        number: int | None = None
        try:
            with translated(), transaction(self._writer):
                (epoch,) = self._writer.execute("SELECT value FROM meta WHERE name = 'epoch'").fetchone()
                if epoch != batch.epoch:
                    raise StaleEpoch("another process has taken over this store")
                self._write(batch)
                if note is not None:
                    number = note()
                    self._writer.execute(NOTE_ERASED, (number,))
        except BaseException:
            self._erasures.take_back()
            raise
        if number is not None:
            self._erasures.keep(number)
        self._commits += 1
        if self._wal_bytes() > self._largest_wal:
            self._checkpoint("PASSIVE")

    def _write(self, batch: Batch) -> None:
        revision, now = rows.number(batch.revision), rows.instant(batch.now)
        self._put("person", ((key, rows.person(p)) for key, p in batch.people.items() if p is not None))
        self._delete(DELETE_PEOPLE, [(key, b"") for key, record in batch.people.items() if record is None])
        self._put("slot", [(rows.slot_key(k), rows.slot(s)) for k, s in batch.slots.items() if s is not None])
        self._delete(DELETE_SLOTS, [(rows.slot_key(k), b"") for k, s in batch.slots.items() if s is None])
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
        self._put("receipt", ((key, rows.instant(r.at) + rows.receipt(r)) for key, r in batch.receipts.items()))
        self._put(
            "feedback",
            ((rows.feedback_key(f.tenant, f.seq), rows.instant(f.at) + rows.feedback(f)) for f in batch.feedback),
        )
        self._delete(DELETE_PASSES, [(key, b"") for key, known in batch.passes.items() if known is None])
        self._put("pass", ((k, rows.instant(p.expires_at) + rows.pass_(p)) for k, p in batch.passes.items() if p))
        if batch.is_on_record:
            self._file(batch)
        self._put("halt", ((rows.number(k), rows.halt(h)) for k, h in batch.halts.items() if h is not None))
        over = [(rows.number(k), b"") for k, h in batch.halts.items() if h is None]
        if over:
            self._writer.execute(DELETE_HALTS, packed(over))
        self._put("account", ((rows.account_key(k), rows.account(a)) for k, a in batch.accounts.items()))
        seq = max((f.seq for f in batch.feedback), default=0)
        self._writer.execute(MARKS, (batch.generation, batch.revision, seq))

    def _file(self, batch: Batch) -> None:
        """Records, and a link for each; a file of an older version, as tests make them, takes none."""
        records, is_chained = filed(batch, NODE), len(self._migrations) >= CHAINED
        if batch.forgotten and is_chained:
            records += sqlite_chain.erasing(self._writer, batch.forgotten, batch.now, self._notary)
        self._delete(DELETE_VISITS, [(user, rows.visits_end(user)) for user in batch.forgotten])
        for table, found in sqlite_chain.filing(records):
            self._put(table, found)
        if is_chained:
            self._put("link", sqlite_chain.growing(self._writer, records, self._notary))

    def _put(self, table: str, pairs: Iterable[Row]) -> None:
        blob, cuts = packed(pairs)
        if blob:
            self._writer.execute(PUT[table], (blob, cuts))

    def _delete(self, statement: str, keys: list[Row]) -> None:
        if keys:
            self._writer.execute(statement, packed(keys))

    def purge(self, now: float, limit: int) -> Purged:
        """Delete what has outlived its purpose, by the lives in LIVES."""
        with translated(), transaction(self._writer):
            gone = {
                table: self._delete_some(table, "at < ?", rows.instant(max(0.0, now - life)), limit)
                for table, life in LIVES.items()
            }
            for key in gone["feedback"]:
                self._writer.execute(NOTE_PURGED, rows.read_feedback_key(key))
            old = rows.instant(max(0.0, now - TOMBSTONES))
            devices = len(self._delete_some("device", "body = x'' AND at < ?", old, limit))
            rests = len(self._delete_some("rest", "body = x'' AND at < ?", old, limit - devices))
        self._erasures.purge(now)
        return purged(gone, devices + rests)

    def _delete_some(self, table: str, condition: str, bound: bytes, limit: int) -> list[bytes]:
        """Delete the oldest records that fulfil a condition; return their keys."""
        chosen = f"SELECT key FROM {table} WHERE {condition} ORDER BY at, key LIMIT ?"
        statement = f"DELETE FROM {table} WHERE key IN ({chosen}) RETURNING key"
        return [key for (key,) in self._writer.execute(statement, (bound, limit)).fetchall()]

    # --- housekeeping

    def idle(self) -> None:
        if self._wal_bytes() > QUIET_WAL:
            self._checkpoint("TRUNCATE")

    def statistics(self) -> StoreStatistics:
        return StoreStatistics(self._commits, self._wal_bytes())

    def close(self) -> None:
        with translated():
            self._opened.close()

    def _checkpoint(self, mode: str) -> None:
        """Move the log into the file, as far as other readers allow without being waited for.

        A failure loses nothing, and must not look like a failed commit.
        """
        db = self._writer
        with suppress(sqlite3.Error):
            try:
                db.execute("PRAGMA busy_timeout = 0")
                db.execute(f"PRAGMA wal_checkpoint({mode})").fetchone()
            finally:
                db.execute(f"PRAGMA busy_timeout = {PATIENCE}")

    def _wal_bytes(self) -> int:
        try:
            return os.stat(f"{self._path}-wal").st_size
        except OSError:
            return 0


def _new_identity() -> int:
    return int.from_bytes(os.urandom(7), "big")
