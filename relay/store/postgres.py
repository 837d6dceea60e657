"""PostgreSQL: the journal of nodes that share a database.

The same port as SQLite's, the same bytes in the records (rows.py), and the same shape of a commit: one statement a
table, whatever the number of rows, here over one array for each column (`unnest`). All statements of a batch and its
COMMIT go out in one piece (pipeline), so a batch costs one round trip and one flush of the server's log
(`synchronous_commit = on`, which is checked at the start: without it a 202 would be a lie).

Append-only records are followed by links of their tenants' chains, in the same piece (postgres_chain.py); a batch
without any sends what it always did.

**Fencing.** A process that joins gets a number, the epoch, and its row in `node` (postgres_nodes.py). Whoever finds its
lease over removes that row, once the commit under way is over, and none comes after. The database alone decides that: a
process that was stopped in between writes nothing.

**Doubt.** A connection that breaks during COMMIT leaves open whether the batch was written. The row counts commits, so
the next connection tells: it waits for the commit under way, and counts one of its own, so that what may still lie in
the buffers of the broken connection finds another number than it expects, and fails. If the batch was written, and who
waited was told that it was not, memory is older than the store: Outdated, the process ends and reads everything anew.
Rejected: taking it for failed, for numbers of feedback would then be given twice.

Rejected: not waiting for the log where a batch holds verdicts only. Waking 23,000 people was no faster (3.0 s against
2.9, five runs in turns), a crash of the server would repeat more wakeups than one batch, and count fewer commits than
we know of, so the process would end too.

One connection for commits, and one for each thing that must not wait for them: reading, the lease, adopting partitions,
the call when something is posted. One that has failed is made anew at the next call.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Any, Final, LiteralString

import psycopg

from relay.core.batch import Batch, Bypass, Feedback, Fetched, Receipt, Remembered
from relay.core.chain import UNKEYED, Filed, Notary
from relay.core.devices import Device
from relay.core.halts import Act
from relay.core.partitions import part_of
from relay.core.passes import Visit
from relay.core.private import DeviceKey, PassKey, ReceiptKey, TokenHash, UserKey
from relay.store import postgres_asking as asking
from relay.store import postgres_chain as chain
from relay.store import postgres_nodes as nodes
from relay.store import rows
from relay.store.filing import entries, filed, visits_erased
from relay.store.port import (
    LEASE,
    LIVES,
    TOMBSTONES,
    Changes,
    FeedbackRange,
    Loaded,
    Outdated,
    Purged,
    StaleEpoch,
    Standing,
    StoreError,
    StoreMismatch,
    StoreStatistics,
    purged,
)
from relay.store.postgres_connection import (
    FORGETFUL,
    TAKEN_OVER,
    Connection,
    columns,
    connect,
    translated,
)
from relay.store.postgres_migrating import check_version
from relay.store.postgres_reading import bytes_of, fill
from relay.store.postgres_rows import ended, written
from relay.store.postgres_statements import CHANNEL, DELETE, LINK, NOTE_PURGED, NOTIFY, PUT, RELEASE, SHARED

OUTDATED: Final = "a commit was written as its connection broke: the store must be read anew, by a new start"

Statement = tuple[LiteralString, tuple[Any, ...]]


class PostgresStore:
    """The store in a database that was migrated (postgres_migrating.py).

    Raises StoreError when it cannot be reached, StoreMismatch when it is foreign, empty, or of another version.
    """

    def __init__(self, url: str, password: str | None = None, notary: Notary = UNKEYED) -> None:
        self._url, self._password, self._notary = url, password, notary
        self._writer: Connection | None = None
        self._reader: Connection | None = None
        self._keeper: Connection | None = None
        self._loader: Connection | None = None
        self._listener: Connection | None = None
        self._is_listening = False
        self._heard = nodes.Heard()
        self._is_shared = False
        """With other nodes: numbers of feedback are given by the database, and requests remembered by it."""
        self._node = 0
        """Our epoch."""
        self._commits = 0
        self._under_epoch = 0
        """What our row counts, as far as it is known."""
        self._in_doubt = False
        """Whether the last one was written is not known."""
        try:
            with translated(), self._writing() as db:
                check_version(db)
                (durable,) = db.execute("SHOW synchronous_commit").fetchone() or ("",)
                if durable in FORGETFUL:
                    raise StoreMismatch("the database has synchronous_commit off: what is acknowledged could be lost")
        except BaseException:
            self.close()
            raise

    # --- connections

    @contextmanager
    def _made(self, which: str, name: str) -> Iterator[Connection]:
        """One of the connections, made if it is not there; forgotten when it has failed."""
        db: Connection | None = getattr(self, which)
        if db is None:
            db = connect(self._url, self._password, name, by_key=which == "_writer")
            if which in ("_writer", "_keeper") and self._node:
                nodes.sign(db, self._node)
            setattr(self, which, db)
        try:
            yield db
        finally:
            if db.broken or db.closed:
                db.close()
                setattr(self, which, None)
                self._is_listening = self._is_listening and which != "_listener"

    def _writing(self) -> AbstractContextManager[Connection]:
        return self._made("_writer", "feierabend")

    def _reading(self) -> AbstractContextManager[Connection]:
        return self._as_of_one_instant("_reader", "feierabend reader")

    @contextmanager
    def _as_of_one_instant(self, which: str, name: str) -> Iterator[Connection]:
        with translated(), self._made(which, name) as db:
            db.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            with db.transaction(), rows.reading():
                yield db

    # --- reading

    def load(self, partition: int = 0) -> Loaded:
        """Everything, under a new epoch, whoever had it: for one process at a time."""
        with translated(), self._writing() as db:
            try:
                with db.transaction():
                    node, marks, accounts = nodes.take(db, LEASE)
            except psycopg.errors.LockNotAvailable:
                nodes.end_commits(db)
                with db.transaction():
                    node, marks, accounts = nodes.take(db, LEASE)
            self._begin(node, is_shared=False)
            loaded = Loaded(
                generation=marks.generation, revision=marks.revision, feedback_seq=marks.feedback, accounts=accounts,
                epoch=node,
            )  # fmt: skip
            with db.transaction(), rows.reading():
                fill(loaded, db)
        return loaded

    def _begin(self, node: int, *, is_shared: bool) -> None:
        self._node, self._is_shared = node, is_shared
        self._under_epoch, self._in_doubt = 0, False

    # --- one of many nodes

    def join(self, address: str) -> Loaded:
        """Be one of the nodes, for the time being without partitions. `address`: where others ask this one."""
        with translated(), self._writing() as db:
            with db.transaction():
                node = nodes.join(db, address, LEASE)
                marks = nodes.marks(db)
            self._begin(node, is_shared=True)
            nodes.sign(db, node)
            with db.transaction(), rows.reading():
                halts = {number: rows.read_halt(b) for number, b in bytes_of(db, "SELECT number, body FROM halt")}
        return Loaded(
            generation=marks.generation, revision=marks.revision, feedback_seq=marks.feedback, halts=halts, epoch=node
        )

    def tend(self) -> Standing:
        """Renew the lease, bury who is dead, ask for what is ours; in a thread of its own.

        Raises StaleEpoch when this node was buried.
        """
        with translated(), self._made("_keeper", "feierabend lease") as db:
            return nodes.tend(db, self._node, LEASE, self._heard)

    def retire(self) -> None:
        """Take no more partitions, for this node is about to leave; where `tend` is called. Forgives a database that is
        away."""
        with suppress(StoreError), translated(), self._made("_keeper", "feierabend lease") as db:
            db.execute("UPDATE node SET is_leaving = true WHERE id = %s", (self._node,))

    def leave(self) -> None:
        """Let the others have everything at once, when all is committed. Forgives a database that is away."""
        with suppress(StoreError), translated(), self._writing() as db:
            nodes.leave(db, self._node)

    def load_parts(self, parts: Collection[int]) -> Loaded:
        """The people of partitions that have become ours, and how far all nodes have come."""
        loaded = Loaded(epoch=self._node)
        with self._as_of_one_instant("_loader", "feierabend loader") as db:
            fill(loaded, db, parts)
            loaded.receipts = nodes.receipts_of(db, loaded.slots.values())
            marks = nodes.marks(db)
        loaded.generation, loaded.revision, loaded.feedback_seq = marks.generation, marks.revision, marks.feedback
        return loaded

    def devices_of(self, users: Collection[UserKey]) -> dict[UserKey, list[Device]]:
        """Of people whom other nodes have; of those who have none, none."""
        if not users:
            return {}
        with self._reading() as db:
            return asking.devices_of(db, users)

    def holders_of(self, tokens: Collection[TokenHash]) -> dict[TokenHash, tuple[UserKey, DeviceKey]]:
        """Who has these tokens, on whatever node."""
        if not tokens:
            return {}
        with self._reading() as db:
            return asking.holders_of(db, tokens)

    def owner_of(self, passes: Collection[PassKey]) -> UserKey | None:
        """Whose one of these passes is, on whatever node."""
        with self._reading() as db:
            return asking.owner_of(db, passes)

    def remembered(self, key: bytes) -> Remembered | None:
        """What a request was answered, on whatever node."""
        with self._reading() as db:
            return asking.remembered(db, key)

    def receipt(self, key: ReceiptKey) -> Receipt | None:
        """What all nodes together know of an alarm."""
        with self._reading() as db:
            return asking.receipt(db, key)

    def posted(self, parts: Collection[int], limit: int) -> list[Fetched]:
        """What was posted for these partitions and is not fetched, the oldest first."""
        with self._reading() as db:
            return asking.posted(db, parts, limit)

    def wait_for_post(self, seconds: float) -> None:
        """Return when something was posted for this node, or after so long; in a thread of its own."""
        with translated(), self._made("_listener", "feierabend post") as db:
            if not self._is_listening:
                db.execute(f"LISTEN {CHANNEL}_{self._node}")
                self._is_listening = True
                return  # what came before
            for _ in db.notifies(timeout=seconds, stop_after=1):
                pass

    def changes(self, since: int) -> Changes:
        """Both tables as of one instant, or a change of one could be skipped for a newer one of the other."""
        with self._reading() as db:
            return asking.changes(db, since)

    def feedback(self, tenant: str, after: int, limit: int) -> Sequence[Feedback]:
        with self._reading() as db:
            return asking.feedback(db, tenant, after, limit)

    def feedback_range(self, tenant: str) -> FeedbackRange:
        with self._reading() as db:
            return asking.feedback_range(db, tenant)

    def bypasses_of(self, tenant: str, wanted: Callable[[Bypass], bool], limit: int) -> Sequence[Bypass]:
        with self._reading() as db:
            return asking.bypasses_of(db, tenant, wanted, limit)

    def acts(self, limit: int) -> Sequence[Act]:
        with self._reading() as db:
            return asking.acts(db, limit)

    def visits(self, user: UserKey, limit: int) -> Sequence[Visit]:
        with self._reading() as db:
            return asking.visits(db, user, limit)

    # --- writing

    def commit(self, batch: Batch) -> None:
        """One transaction; durable when it returns."""
        if batch.epoch != self._node:
            raise StaleEpoch("this process has not loaded the store, or has loaded it again")
        with translated():
            self._resolve()
            statements = list(self._statements(batch, self._filed(batch)))
            try:
                with self._writing() as db:
                    _in_one_piece(db, statements)
            except psycopg.Error:
                self._in_doubt = self._writer is None
                raise
        self._commits += 1
        self._under_epoch += 1

    def _filed(self, batch: Batch) -> list[Filed]:
        """What the batch has on record. Where visits are forgotten, which is rare, the server is asked for them."""
        if not batch.is_on_record:
            return []
        records = filed(batch, self._node)
        if batch.forgotten:
            with self._writing() as db, rows.reading():
                records += visits_erased(chain.visits_of(db, batch.forgotten), batch.now, self._notary)
        return records

    def _statements(self, batch: Batch, records: Sequence[Filed]) -> Iterator[Statement]:
        """What writes a batch. Raises StoreError for a record that does not fit."""
        seq = 0 if self._is_shared else max((f.seq for f in batch.feedback), default=0)
        yield "SELECT hold(%s, %s, %s, %s, %s)", (
            self._node, self._under_epoch, batch.generation, batch.revision, seq,
        )  # fmt: skip
        for table, keys in ended(batch):
            yield DELETE[table], columns(keys)
        puts = SHARED if self._is_shared else PUT
        for table, found in written(batch, self._node, records):
            if found:
                yield puts[table], columns(found)
        for tenant, new in entries(records, self._notary):
            yield LINK, chain.said(tenant, new)
        if batch.posted:
            yield NOTIFY, (CHANNEL, sorted({part_of(posted.user) for posted in batch.posted}))
        if batch.released:
            yield RELEASE, (sorted(batch.released), self._node)

    def _resolve(self) -> None:
        """After a connection that broke during a commit: was it written?"""
        if not self._in_doubt:
            return
        with self._writing() as db:
            found = db.execute(
                "UPDATE node SET commits = commits + 1 WHERE id = %s AND commits = %s RETURNING commits",
                (self._node, self._under_epoch),
            ).fetchone()
            if found is None:
                is_ours = db.execute("SELECT 1 FROM node WHERE id = %s", (self._node,)).fetchone()
                raise Outdated(OUTDATED) if is_ours else StaleEpoch(TAKEN_OVER)
        self._under_epoch, self._in_doubt = found[0], False

    def purge(self, now: float, limit: int) -> Purged:
        """Delete what has outlived its purpose, by the lives in LIVES; and join the books of nodes that have gone."""
        if self._is_shared:
            with translated(), self._writing() as db, db.transaction():
                nodes.join_books(db)
        with translated(), self._writing() as db, db.transaction():
            gone = {table: self._delete_some(db, table, "true", now - life, limit) for table, life in LIVES.items()}
            if gone["feedback"]:
                tenants, numbers = zip(*gone["feedback"], strict=True)
                db.execute(NOTE_PURGED, (list(tenants), list(numbers)))
            devices = len(self._delete_some(db, "device", "body = ''", now - TOMBSTONES, limit))
            rests = len(self._delete_some(db, "rest", "body = ''", now - TOMBSTONES, limit - devices))
        return purged(gone, devices + rests)

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
        for db in (self._writer, self._reader, self._keeper, self._loader, self._listener):
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
    **dict.fromkeys(("act", "visits_erased"), "key"),
    "visit": "part, owner, seq",
}
