"""The server: which node has whom, what the next owner would load from it, and whether it is sound.

Each node has an address of its own, by which its row is known; of several, the newest is the process that runs, or has
just died. What is read is of one instant, so the books must balance whenever that is: what a node has taken for people
of another one, and that has not fetched yet, is pending too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import psycopg

from bench.postgres import Cluster
from relay.core.batch import PostKind
from relay.core.books import Account
from relay.core.private import DeviceKey, UserKey
from relay.store import rows
from relay.store.port import Loaded
from relay.store.postgres_migrating import migrate
from relay.store.postgres_nodes import summed

Connection = psycopg.Connection[tuple[Any, ...]]
Rows = Mapping[str, Sequence[tuple[Any, ...]]]
"""By table."""
OPTIONS: Final = "-c search_path=feierabend,public"
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
    "inbox": "SELECT body FROM inbox",
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
    _eyes: Connection | None = None

    def prepare(self) -> None:
        migrate(self.cluster.url)
        self._asked("CREATE EXTENSION amcheck")

    def url(self, port: int) -> str:
        """For a node, by the port of its way."""
        return f"postgresql://postgres@127.0.0.1:{port}/postgres"

    @contextmanager
    def _connected(self) -> Iterator[Connection]:
        if self._eyes is None or self._eyes.broken or self._eyes.closed:
            self._eyes = psycopg.connect(self.cluster.url, autocommit=True, options=OPTIONS)
        yield self._eyes

    def _asked(self, query: str, *bound: object) -> list[tuple[Any, ...]]:
        with self._connected() as db:
            found = db.execute(query, bound)
            return found.fetchall() if found.description else []

    # --- nodes

    def node(self, address: str) -> tuple[int, frozenset[int]]:
        """(epoch, partitions) of the newest process there."""
        ((epoch,),) = self._asked("SELECT coalesce(max(id), 0) FROM node WHERE address = %s", address)
        return epoch, frozenset(part for (part,) in self._asked("SELECT id FROM partition WHERE owner = %s", epoch))

    def is_buried(self, epoch: int) -> bool:
        """And somebody else has all that was its."""
        left = "SELECT (SELECT count(*) FROM node WHERE id = %s) + (SELECT count(*) FROM partition WHERE owner IS NULL)"
        return self._asked(left, epoch) == [(0,)]

    def is_written(self) -> bool:
        """Whether a commit is under way."""
        return self._asked(_WRITING) != [(0,)]

    def is_fetched(self) -> bool:
        """Nothing that a node has taken waits for its owner."""
        return self._asked("SELECT count(*) FROM inbox") == [(0,)]

    # --- the server

    def crash(self) -> None:
        self.cluster.stop("immediate")
        self.close()

    def is_sound(self) -> bool:
        """By the server's own check of its tables and indexes."""
        try:
            ((damages, _),) = self._asked(_DAMAGED)
        except psycopg.Error:
            return False
        return bool(damages == 0)

    # --- what is in it

    def rows(self) -> Rows:
        """What is judged, as it lies there."""
        with self._connected() as db, db.transaction():
            db.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            return {name: db.execute(query, binary=True).fetchall() for name, query in _READ.items()}

    def close(self) -> None:
        if self._eyes is not None:
            self._eyes.close()


def loaded(found: Rows) -> Loaded:
    """The books are those of all nodes together, and receipts too."""
    made = Loaded()
    with rows.reading():
        for tenant, name, body in found["account"]:
            made.accounts.setdefault((tenant, name), Account()).add(rows.read_account(body))
        made.devices = {DeviceKey(key): rows.read_device(key, body) for key, body in found["device"]}
        made.rests = {UserKey(key): rows.read_rest(body) for key, body in found["rest"]}
        made.slots = {rows.read_slot_key(key): rows.read_slot(body) for key, body in found["slot"]}
        made.receipts = summed((key, rows.read_receipt(body)) for key, body in found["receipt"])
    return made


def posted(found: Rows) -> Counter[str]:
    """By class, what was taken and not fetched."""
    with rows.reading():
        waiting = [rows.read_posted(body) for (body,) in found["inbox"]]
    return Counter(each.event_class for each in waiting if each.kind is PostKind.EVENT)
