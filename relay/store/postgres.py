"""PostgreSQL: the journal of nodes that share a database.

The same port as SQLite's, the same bytes in the records (rows.py), and the same shape of a commit: one statement a
table, whatever the number of rows, here over one array for each column (`unnest`). All statements of a batch and its
COMMIT go out in one piece (pipeline), so a batch costs one round trip and one flush of the server's log
(`synchronous_commit = on`, which is checked at the start: without it a 202 would be a lie).

**Fencing.** A process that loads gets a number, the epoch, and its row in `node`; who loads after it removes that row,
once the commit under way is over, and none comes after. The database alone decides that, so a process that was stopped
in between writes nothing.

**Doubt.** A connection that breaks during COMMIT leaves open whether the batch was written. The row counts commits, so
the next connection tells: it waits for the commit under way, and counts one of its own, so that what may still lie in
the buffers of the broken connection finds another number than it expects, and fails. If the batch was written, and who
waited was told that it was not, memory is older than the store: Outdated, the process ends and reads everything anew.
Rejected: taking it for failed, for numbers of feedback would then be given twice.

One connection for commits, one for reading in another thread; one that has failed is made anew at the next call.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, LiteralString

import psycopg

from relay.core.batch import Batch, Bypass, Feedback
from relay.core.books import Account
from relay.core.devices import Device, RestRecord
from relay.core.halts import Act
from relay.core.passes import VISIT_LIFE, Visit
from relay.core.private import DeviceKey, PassKey, ReceiptKey, UserKey
from relay.store import rows
from relay.store.port import (
    Changes,
    FeedbackRange,
    Loaded,
    Outdated,
    Purged,
    StaleEpoch,
    StoreMismatch,
    StoreStatistics,
)
from relay.store.postgres_connection import FORGETFUL, TAKEN_OVER, Connection, columns, connect, translated
from relay.store.postgres_migrating import check_version
from relay.store.postgres_rows import ended, written
from relay.store.postgres_statements import DELETE, NOTE_PURGED, PUT
from relay.store.postgres_watching import Watch

DAY: Final = 86400.0
LIVES: Final = {
    "request": DAY,
    "receipt": DAY,
    "feedback": 30 * DAY,
    "bypass": 90 * DAY,
    "bypass_recipients": 90 * DAY,
    "act": 400 * DAY,
    "pass": 0.0,
    "visit": VISIT_LIFE,
}
TOMBSTONES: Final = DAY
PAGE: Final = 500
"""Records of bypasses looked at together."""
OUTDATED: Final = "a commit was written as its connection broke: the store must be read anew, by a new start"

Statement = tuple[LiteralString, tuple[Any, ...]]


class PostgresStore:
    """The store in a database that was migrated (postgres_migrating.py).

    Raises StoreError when it cannot be reached, StoreMismatch when it is foreign, empty, or of another version.
    """

    def __init__(self, url: str, password: str | None = None) -> None:
        self._url, self._password = url, password
        self._writer: Connection | None = None
        self._reader: Connection | None = None
        self._node = 0
        """Our epoch."""
        self._commits = 0
        self._under_epoch = 0
        """What our row counts, as far as it is known."""
        self._in_doubt = False
        """Whether the last one was written is not known."""
        with translated(), self._writing() as db:
            check_version(db)
            (durable,) = db.execute("SHOW synchronous_commit").fetchone() or ("",)
            if durable in FORGETFUL:
                raise StoreMismatch("the database has synchronous_commit off: what is acknowledged could be lost")

    # --- connections

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        if self._writer is None:
            self._writer = connect(self._url, self._password, "feierabend")
        try:
            yield self._writer
        except BaseException:
            if self._writer.broken or self._writer.closed:
                self._writer = None
            raise

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        """As of one instant."""
        if self._reader is None:
            self._reader = connect(self._url, self._password, "feierabend reader")
            self._reader.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            self._reader.read_only = True
        try:
            with translated(), self._reader.transaction(), rows.reading():
                yield self._reader
        finally:
            if self._reader.broken or self._reader.closed:
                self._reader = None

    # --- reading

    def load(self, partition: int = 0) -> Loaded:
        """Everything, under a new epoch."""
        with translated(), self._writing() as db:
            with db.transaction():
                loaded = self._take(db)
            with db.transaction(), rows.reading():
                _fill(loaded, db)
        self._node, self._under_epoch, self._in_doubt = loaded.epoch, 0, False
        return loaded

    def _take(self, db: Connection) -> Loaded:
        """End all other nodes, and take over their books."""
        db.execute("LOCK TABLE node IN EXCLUSIVE MODE")  # waits for commits under way
        marks = db.execute("SELECT max(generation), max(revision), max(feedback) FROM node").fetchone()
        generation, revision, feedback = (mark or 0 for mark in marks or (0, 0, 0))
        found = db.execute(
            "INSERT INTO node (generation, revision, feedback) VALUES (%s, %s, %s) RETURNING id",
            (generation, revision, feedback),
        ).fetchone()
        assert found is not None
        loaded = Loaded(generation=generation, revision=revision, feedback_seq=feedback, epoch=found[0])
        for tenant, name, body in db.execute("DELETE FROM account RETURNING tenant, class, body", binary=True):
            loaded.accounts.setdefault((tenant, name), Account()).add(rows.read_account(body))
        put = [
            (found[0], tenant.encode(), name.encode(), rows.account(a)) for (tenant, name), a in loaded.accounts.items()
        ]
        if put:
            db.execute(PUT["account"], columns(put))
        db.execute("UPDATE partition SET owner = %s", (found[0],))
        db.execute("DELETE FROM node WHERE id <> %s", (found[0],))
        return loaded

    def changes(self, since: int) -> Changes:
        """Both tables as of one instant, or a change of one could be skipped for a newer one of the other."""
        devices: dict[DeviceKey, tuple[UserKey, Device | None]] = {}
        rests: dict[UserKey, RestRecord | None] = {}
        newest = since
        query = "SELECT key, revision, owner, body FROM {} WHERE revision > %s ORDER BY revision"
        with self._reading() as db:
            for key, revision, user, body in _rows(db, query.format("device"), since):
                newest = max(newest, revision)
                devices[DeviceKey(key)] = (UserKey(user), rows.read_device(key, body) if body else None)
            for key, revision, _, body in _rows(db, query.format("rest"), since):
                newest = max(newest, revision)
                rests[UserKey(key)] = rows.read_rest(body) if body else None
        return Changes(newest, devices, rests)

    def feedback(self, tenant: str, after: int, limit: int) -> Sequence[Feedback]:
        query = "SELECT body FROM feedback WHERE tenant = %s AND seq > %s ORDER BY seq LIMIT %s"
        with self._reading() as db:
            return [rows.read_feedback(body) for (body,) in _rows(db, query, tenant, after, limit)]

    def feedback_range(self, tenant: str) -> FeedbackRange:
        purged = "SELECT seq FROM feedback_purged WHERE tenant = %s"
        with self._reading() as db:
            ((last, newest),) = _rows(db, f"SELECT ({purged}), (SELECT max(feedback) FROM node)", tenant)
        return FeedbackRange(last or 0, newest or 0)

    def bypasses_of(self, tenant: str, wanted: Callable[[Bypass], bool], limit: int) -> Sequence[Bypass]:
        query = (
            "SELECT key, bypass.body, bypass_recipients.body FROM bypass JOIN bypass_recipients USING (tenant, key) "
            "WHERE tenant = %s AND key < %s ORDER BY key DESC LIMIT %s"
        )
        found: list[Bypass] = []
        before = b"\xff" * 25
        with self._reading() as db:
            while page := list(_rows(db, query, tenant, before, PAGE)):
                before = page[-1][0]
                for _, body, recipients in page:
                    record = rows.read_bypass(body, recipients)
                    if wanted(record):
                        found.append(record)
                    if len(found) == limit:
                        return found
        return found

    def acts(self, limit: int) -> Sequence[Act]:
        with self._reading() as db:
            return [
                rows.read_act(body) for (body,) in _rows(db, "SELECT body FROM act ORDER BY key DESC LIMIT %s", limit)
            ]

    def visits(self, user: UserKey, limit: int) -> Sequence[Visit]:
        query = "SELECT body FROM visit WHERE part = part_of(%s) AND owner = %s ORDER BY seq DESC LIMIT %s"
        with self._reading() as db:
            return [rows.read_visit(body) for (body,) in _rows(db, query, user, user, limit)]

    # --- writing

    def commit(self, batch: Batch) -> None:
        """One transaction; durable when it returns."""
        if batch.epoch != self._node:
            raise StaleEpoch("this process has not loaded the store, or has loaded it again")
        statements = list(self._statements(batch))
        with translated():
            self._resolve()
            try:
                with self._writing() as db:
                    _in_one_piece(db, statements)
            except psycopg.Error:
                self._in_doubt = self._writer is None
                raise
        self._commits += 1
        self._under_epoch += 1

    def _statements(self, batch: Batch) -> Iterator[Statement]:
        """What writes a batch. Raises StoreError for a record that does not fit."""
        seq = max((f.seq for f in batch.feedback), default=0)
        marks = (self._node, self._under_epoch, batch.generation, batch.revision, seq)
        yield "SELECT hold(%s, %s, %s, %s, %s)", marks
        for table, keys in ended(batch):
            yield DELETE[table], columns((key,) for key in keys)
        for table, found in written(batch, self._node):
            if found:
                yield PUT[table], columns(sorted(found))

    def _resolve(self) -> None:
        """After a connection that broke during a commit: was it written?"""
        if not self._in_doubt:
            return
        with self._writing() as db:
            found = db.execute(
                "UPDATE node SET commits = commits + 1 WHERE id = %s AND alive AND commits = %s RETURNING commits",
                (self._node, self._under_epoch),
            ).fetchone()
            if found is None:
                is_ours = db.execute("SELECT 1 FROM node WHERE id = %s AND alive", (self._node,)).fetchone()
                raise Outdated(OUTDATED) if is_ours else StaleEpoch(TAKEN_OVER)
        self._under_epoch, self._in_doubt = found[0], False

    def purge(self, now: float, limit: int) -> Purged:
        """Delete what has outlived its purpose, by the lives in LIVES."""
        with translated(), self._writing() as db, db.transaction():
            gone = {table: self._delete_some(db, table, "true", now - life, limit) for table, life in LIVES.items()}
            if gone["feedback"]:
                tenants, numbers = zip(*gone["feedback"], strict=True)
                db.execute(NOTE_PURGED, (list(tenants), list(numbers)))
            devices = len(self._delete_some(db, "device", "body = ''", now - TOMBSTONES, limit))
            rests = len(self._delete_some(db, "rest", "body = ''", now - TOMBSTONES, limit - devices))
        kinds = ("request", "bypass", "feedback", "receipt", "act", "pass", "visit")
        requests, bypasses, feedback, receipts, acts, passes, visits = (len(gone[table]) for table in kinds)
        return Purged(requests, bypasses, feedback, devices + rests, receipts, acts, passes, visits)

    @staticmethod
    def _delete_some(db: Connection, table: str, condition: str, before: float, limit: int) -> list[tuple[Any, ...]]:
        """Delete the oldest records that fulfil a condition; return their keys."""
        key = _KEYS[table]
        chosen = f"SELECT {key} FROM {table} WHERE {condition} AND at < %s ORDER BY at, {key} LIMIT %s FOR UPDATE"
        statement = f"DELETE FROM {table} WHERE ({key}) IN ({chosen}) RETURNING {key}"
        return db.execute(statement, (int(max(0.0, before) * 1000), limit)).fetchall()

    # --- housekeeping

    def idle(self) -> None:
        """The server looks after itself."""

    def statistics(self) -> StoreStatistics:
        return StoreStatistics(self._commits, 0)

    def watch(self) -> Watch:
        """Over what was loaded."""
        return Watch(self._url, self._password, self._node)

    def close(self) -> None:
        for db in (self._writer, self._reader):
            if db is not None:
                db.close()


def _in_one_piece(db: Connection, statements: Iterable[Statement]) -> None:
    """One transaction in one trip. psycopg's own `transaction` waits for an answer to BEGIN, and for one before COMMIT.

    After an error the server skips what follows, COMMIT too. Raises psycopg.Error.
    """
    try:
        with db.pipeline():
            db.execute("BEGIN")
            for statement, bound in statements:
                db.execute(statement, bound)
            db.execute("COMMIT")
    except psycopg.Error:
        if not db.closed:
            db.execute("ROLLBACK")
        raise


_KEYS: Final = {
    **dict.fromkeys(("request", "receipt", "pass", "device", "rest"), "part, key"),
    **dict.fromkeys(("bypass", "bypass_recipients"), "tenant, key"),
    "feedback": "tenant, seq",
    "act": "key",
    "visit": "part, owner, seq",
}


def _rows(db: Connection, query: str, *bound: object) -> Iterator[tuple[Any, ...]]:
    return iter(db.execute(query, bound, binary=True))


def _fill(loaded: Loaded, db: Connection) -> None:
    """Read everything of everybody."""
    loaded.people = {UserKey(k): rows.read_person(b) for k, b in _rows(db, "SELECT key, body FROM person")}
    loaded.devices = {
        DeviceKey(k): rows.read_device(k, b) for k, b in _rows(db, "SELECT key, body FROM device WHERE body <> ''")
    }
    loaded.rests = {UserKey(k): rows.read_rest(b) for k, b in _rows(db, "SELECT key, body FROM rest WHERE body <> ''")}
    loaded.slots = {rows.read_slot_key(k): rows.read_slot(b) for k, b in _rows(db, "SELECT key, body FROM slot")}
    loaded.requests = {k: rows.read_request(b) for k, b in _rows(db, "SELECT key, body FROM request")}
    loaded.receipts = {ReceiptKey(k): rows.read_receipt(b) for k, b in _rows(db, "SELECT key, body FROM receipt")}
    loaded.passes = {PassKey(k): rows.read_pass(b) for k, b in _rows(db, "SELECT key, body FROM pass")}
    loaded.halts = {number: rows.read_halt(b) for number, b in _rows(db, "SELECT number, body FROM halt")}
