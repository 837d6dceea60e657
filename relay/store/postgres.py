"""PostgreSQL: the journal of nodes that share a database.

The same port as SQLite's, the same bytes in the records (rows.py), and the same shape of a commit: one statement a
table, whatever the number of rows, here over one array for each column (`unnest`). All statements of a batch and its
COMMIT go out in one piece (pipeline), so a batch costs one round trip and one flush of the server's log
(`synchronous_commit = on`, which is checked at the start: without it a 202 would be a lie).

**Fencing.** A process that takes the store gets a number, the epoch, and its row in `node` (postgres_lease.py); whoever
takes it after that removes that row, once the commit under way is over, and none comes after. The database alone
decides that: a process that was stopped in between writes nothing.

**Doubt.** A connection that breaks during COMMIT leaves open whether the batch was written. The row counts commits, so
the next connection tells: it waits for the commit under way, and counts one of its own, so that what may still lie in
the buffers of the broken connection finds another number than it expects, and fails. If the batch was written, and who
waited was told that it was not, memory is older than the store: Outdated, the process ends and reads everything anew.
Rejected: taking it for failed, for numbers of feedback would then be given twice.

Rejected: not waiting for the log where a batch holds verdicts only. Waking 23,000 people was no faster (3.0 s against
2.9, five runs in turns), a crash of the server would repeat more wakeups than one batch, and count fewer commits than
we know of, so the process would end too.

One connection for commits, one for reading in another thread; one that has failed is made anew at the next call.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Any, Final, LiteralString

import psycopg

from relay.core.batch import Batch, Bypass, Feedback
from relay.core.devices import Device, RestRecord
from relay.core.halts import Act
from relay.core.passes import VISIT_LIFE, Visit
from relay.core.private import DeviceKey, PassKey, ReceiptKey, UserKey
from relay.store import postgres_lease as lease
from relay.store import rows
from relay.store.port import (
    LEASE,
    Changes,
    FeedbackRange,
    Loaded,
    Outdated,
    Purged,
    StaleEpoch,
    StoreError,
    StoreMismatch,
    StoreStatistics,
)
from relay.store.postgres_connection import FORGETFUL, TAKEN_OVER, Connection, columns, connect, translated
from relay.store.postgres_lease import Taken
from relay.store.postgres_migrating import check_version
from relay.store.postgres_rows import ended, written
from relay.store.postgres_statements import DELETE, NOTE_PURGED, PUT

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
        self._keeper: Connection | None = None
        self._taken: Taken | None = None
        """By `enter`, and not loaded yet."""
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
    def _made(self, which: str, name: str) -> Iterator[Connection]:
        """One of the connections, made if it is not there; forgotten when it has failed."""
        db: Connection | None = getattr(self, which)
        if db is None:
            db = connect(self._url, self._password, name, by_key=which == "_writer")
            setattr(self, which, db)
        try:
            yield db
        finally:
            if db.broken or db.closed:
                setattr(self, which, None)

    def _writing(self) -> AbstractContextManager[Connection]:
        return self._made("_writer", "feierabend")

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        """As of one instant."""
        with translated(), self._made("_reader", "feierabend reader") as db:
            db.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            with db.transaction(), rows.reading():
                yield db

    # --- reading

    def load(self, partition: int = 0) -> Loaded:
        """Everything, under a new epoch; or under the one that `enter` has brought, the first time."""
        taken, self._taken = self._taken, None
        if taken is None:
            taken = self._take(by_force=True)
        assert taken is not None
        loaded = Loaded(
            generation=taken.generation, revision=taken.revision, feedback_seq=taken.feedback, accounts=taken.accounts,
            epoch=taken.node,
        )  # fmt: skip
        with translated(), self._writing() as db, db.transaction(), rows.reading():
            db.execute("SET LOCAL enable_seqscan = on")
            _fill(loaded, db)
        return loaded

    def _take(self, *, by_force: bool) -> Taken | None:
        with translated(), self._writing() as db, db.transaction():
            taken = lease.take(db, LEASE, by_force=by_force)
        if taken is not None:
            self._node, self._under_epoch, self._in_doubt = taken.node, 0, False
        return taken

    # --- one of several nodes

    def enter(self) -> bool:
        """Become the owner, if there is none; `load` reads then. False: a living process is."""
        with translated(), self._writing() as db:
            if not lease.is_vacant(db):
                return False
        self._taken = self._take(by_force=False)
        return self._taken is not None

    def renew(self) -> None:
        """Hold on for another while; in a thread of its own. Raises StaleEpoch when another process has taken over."""
        with translated(), self._made("_keeper", "feierabend lease") as db:
            lease.renew(db, self._node, LEASE)

    def leave(self) -> None:
        """Let the next one in at once, when all is committed. Forgives a database that is away."""
        with suppress(StoreError), translated(), self._writing() as db:
            lease.leave(db, self._node)

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
        with translated():
            self._resolve()
            statements = list(self._statements(batch))
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

    def close(self) -> None:
        for db in (self._writer, self._reader, self._keeper):
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
