"""The server: what the next start would load from it, whether it is sound, and a gate before the take-over.

Whoever takes over asks for a lock on `node` that waits for commits under way (relay/store/postgres_lease.py). The gate
holds another one, which lets commits pass and that one wait. So it is seen who wants to take over, what the last one
has left is read at exactly the instant from which the next one goes on, and nobody takes over unnoticed; nothing of
that needs a word in the relay.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import psycopg

from bench.postgres import Cluster
from relay.core.books import Account
from relay.core.private import DeviceKey, ReceiptKey, UserKey
from relay.store import rows
from relay.store.port import Loaded
from relay.store.postgres_migrating import migrate

Connection = psycopg.Connection[tuple[Any, ...]]
Rows = Mapping[str, Sequence[tuple[Any, ...]]]
"""By table."""
OPTIONS: Final = "-c search_path=feierabend,public"
_WAITING: Final = (
    "WITH waiting AS (SELECT pid FROM pg_locks WHERE relation = 'feierabend.node'::regclass "
    "AND mode = 'ExclusiveLock' AND NOT granted) SELECT usename FROM waiting JOIN pg_stat_activity USING (pid) "
    "WHERE NOT pg_blocking_pids(pid) && (SELECT array_agg(pid) FROM waiting)"
)
"""The first in the line."""
_LIVING: Final = (
    "SELECT max(id), coalesce(extract(epoch FROM max(until) FILTER (WHERE alive) - clock_timestamp()), 0) "
    "FROM node LEFT JOIN lease ON lease.node = node.id"
)
_WRITING: Final = (
    "SELECT count(*) FROM pg_locks WHERE relation = 'feierabend.node'::regclass "
    "AND mode = 'RowExclusiveLock' AND granted"
)
_READ: Final = {
    "account": "SELECT tenant, class, body FROM account",
    "device": "SELECT key, body FROM device WHERE body <> ''",
    "rest": "SELECT key, body FROM rest WHERE body <> ''",
    "slot": "SELECT key, body FROM slot",
    "receipt": "SELECT key, body FROM receipt",
}
_DAMAGED: Final = (
    "SELECT (SELECT count(*) FROM pg_class, LATERAL verify_heapam(pg_class.oid) WHERE relkind = 'r' "
    "AND relnamespace = 'feierabend'::regnamespace), (SELECT count(bt_index_check(indexrelid, true)) FROM pg_index "
    "JOIN pg_class ON pg_class.oid = indexrelid WHERE relnamespace = 'feierabend'::regnamespace)"
)


@dataclass(slots=True)
class Database:
    """`cluster`: runs, and is empty at first."""

    cluster: Cluster
    _gate: Connection | None = None
    _eyes: Connection | None = None

    def prepare(self, nodes: int) -> None:
        """The schema, and a role for each node, by which it is known who waits."""
        migrate(self.cluster.url)
        with self._connected() as db:
            db.execute("CREATE EXTENSION amcheck")
            for node in range(nodes):
                db.execute(f"CREATE ROLE node{node} SUPERUSER LOGIN")

    def url(self, node: int, port: int) -> str:
        """For a node, by the port of its way."""
        return f"postgresql://node{node}@127.0.0.1:{port}/postgres"

    @contextmanager
    def _connected(self) -> Iterator[Connection]:
        with psycopg.connect(self.cluster.url, autocommit=True, options=OPTIONS) as db:
            yield db

    # --- the gate

    def shut(self) -> None:
        """Return when nobody can take over any more: after those who waited already."""
        if self._gate is None or self._gate.broken:
            self._gate = psycopg.connect(self.cluster.url, options=OPTIONS)
        if self._eyes is None or self._eyes.broken:
            self._eyes = psycopg.connect(self.cluster.url, autocommit=True, options=OPTIONS)
        self._gate.execute("LOCK TABLE node IN ROW SHARE MODE")

    def let_pass(self) -> None:
        """Let in who waits, and shut it again."""
        assert self._gate is not None
        self._gate.commit()
        self.shut()

    def waiting(self) -> int | None:
        """The node that wants to take over."""
        assert self._eyes is not None
        found = self._eyes.execute(_WAITING).fetchone()
        return None if found is None else int(found[0].removeprefix("node"))

    def tenure(self) -> tuple[int, float]:
        """(epoch, seconds until the end of its lease); 0: nobody has been there."""
        assert self._eyes is not None
        ((epoch, left),) = self._eyes.execute(_LIVING).fetchall()
        return epoch or 0, float(left)

    def is_written(self) -> bool:
        """Whether a commit is under way."""
        assert self._eyes is not None
        return self._eyes.execute(_WRITING).fetchone() != (0,)

    # --- the server

    def crash(self) -> None:
        self.cluster.stop("immediate")
        for db in (self._gate, self._eyes):
            if db is not None:
                db.close()
        self._gate = self._eyes = None

    def start(self) -> None:
        """From its log; with the gate shut."""
        self.cluster.start()
        self.shut()

    # --- what is in it

    def is_sound(self) -> bool:
        """By the server's own check of its tables and indexes."""
        with self._connected() as db:
            try:
                found = db.execute(_DAMAGED).fetchone()
            except psycopg.Error:
                return False
        return found is not None and found[0] == 0

    def rows(self) -> Rows:
        """What a start reads, as far as it is judged: of one instant, and as it lies there."""
        with self._connected() as db:
            db.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            with db.transaction():
                return {name: db.execute(query, binary=True).fetchall() for name, query in _READ.items()}

    def close(self) -> None:
        for db in (self._gate, self._eyes):
            if db is not None:
                db.close()


def loaded(found: Rows) -> Loaded:
    """The books are those of all nodes together."""
    made = Loaded()
    with rows.reading():
        for tenant, name, body in found["account"]:
            made.accounts.setdefault((tenant, name), Account()).add(rows.read_account(body))
        made.devices = {DeviceKey(key): rows.read_device(key, body) for key, body in found["device"]}
        made.rests = {UserKey(key): rows.read_rest(body) for key, body in found["rest"]}
        made.slots = {rows.read_slot_key(key): rows.read_slot(body) for key, body in found["slot"]}
        made.receipts = {ReceiptKey(key): rows.read_receipt(body) for key, body in found["receipt"]}
    return made
