"""Every implementation of the store, as the contract suite asks for it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, LiteralString, Protocol

import msgpack
import psycopg
import pytest

from bench.postgres import Cluster, emptied
from relay.core.batch import Bypass
from relay.core.books import Account, AccountKey
from relay.store import postgres, rows
from relay.store.memory import MemoryStore
from relay.store.memory_nodes import MemoryDatabase, MemoryNode
from relay.store.port import LEASE, SharedStore, Store, StoreError
from relay.store.postgres import PostgresStore
from relay.store.postgres_migrating import migrate
from relay.store.sqlite import SqliteStore
from tests.relay.store.batches import NOW

BypassRow = tuple[str, str, float, str, str, str, int, bool, bytes]


@dataclass
class Keeper:
    """One store, and how to take it up again after its process ended. `bypasses`: the records, oldest first."""

    store: Store
    take_up: Callable[[], Store]
    bypasses: Callable[[], list[BypassRow]]
    break_next: Callable[[], None]
    """The next commit fails after it has begun to write."""

    def reopen(self) -> Store:
        self.store = self.take_up()
        return self.store


def bypass_row(bypass: Bypass) -> BypassRow:
    return (
        bypass.tenant, bypass.event_class, bypass.at, bypass.key_id, bypass.role, bypass.reason, bypass.recipients,
        bypass.over_rate, bypass.sealed,
    )  # fmt: skip


def _memory() -> Keeper:
    store = MemoryStore()

    def break_next() -> None:
        store.fail_next = StoreError("no room")

    return Keeper(store, lambda: store, lambda: [bypass_row(bypass) for bypass in store.bypasses], break_next)


def _memory_node() -> Keeper:
    database = MemoryDatabase(lambda: NOW)

    def break_next() -> None:
        database.tables.fail_next = StoreError("no room")

    def take_up() -> Store:
        return MemoryNode(database)

    return Keeper(take_up(), take_up, lambda: [bypass_row(b) for b in database.tables.bypasses], break_next)


def bypasses_in(path: Path) -> list[BypassRow]:
    """The bypass records as an auditor finds them: the record and its recipients, joined by their key."""
    query = "SELECT b.body, r.body FROM bypass b JOIN bypass_recipients r USING (key) ORDER BY key"
    with closing(sqlite3.connect(path)) as db:
        rows = [(msgpack.unpackb(record), recipients) for record, recipients in db.execute(query)]
        (alone,) = db.execute("SELECT count(*) FROM bypass_recipients").fetchone()
    assert alone == len(rows), "recipients without their record"
    result: list[BypassRow] = []
    for (version, tenant, name, at, key_id, role, reason, count, over_rate), joined in rows:
        assert (version, joined[:1]) == (1, b"\x02")
        result.append((tenant, name, at, key_id, role, reason, count, over_rate, joined[1:]))
    return result


def _sqlite(path: Path) -> tuple[Keeper, Callable[[], None]]:
    def break_next() -> None:
        """The account is the last row a commit writes."""
        with closing(sqlite3.connect(path)) as db:
            db.execute("CREATE TRIGGER broken BEFORE INSERT ON account BEGIN SELECT RAISE(ABORT, 'canary'); END")
            db.commit()

    def take_up() -> Store:
        made.store.close()
        return SqliteStore(path)

    made = Keeper(SqliteStore(path), take_up, lambda: bypasses_in(path), break_next)
    return made, lambda: made.store.close()


def bypasses_at(url: str) -> list[BypassRow]:
    """The same in PostgreSQL."""
    query = "SELECT b.body, r.body FROM bypass b FULL JOIN bypass_recipients r USING (tenant, key) ORDER BY key"
    with psycopg.connect(url, options="-c search_path=feierabend") as db:
        return [bypass_row(rows.read_bypass(*found)) for found in db.execute(query, binary=True)]


def _postgres(url: str) -> tuple[Keeper, Callable[[], None]]:
    def break_next() -> None:
        """The account is the last row a commit writes."""
        with psycopg.connect(url, options="-c search_path=feierabend") as db:
            db.execute("CREATE TRIGGER broken BEFORE INSERT ON account EXECUTE FUNCTION refuse_update()")

    def take_up() -> Store:
        made.store.close()
        return PostgresStore(url)

    def close() -> None:
        made.store.close()
        with psycopg.connect(url, options="-c search_path=feierabend") as db:
            db.execute("DROP TRIGGER IF EXISTS broken ON account")

    emptied(url)
    made = Keeper(PostgresStore(url), take_up, lambda: bypasses_at(url), break_next)
    return made, close


@pytest.fixture(params=["memory", "memory node", "sqlite", "postgres"])
def keeper(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Keeper]:
    if request.param.startswith("memory"):
        yield _memory() if request.param == "memory" else _memory_node()
        return
    if request.param == "postgres":
        found, close = _postgres(request.getfixturevalue("database"))
    else:
        found, close = _sqlite(tmp_path / "relay.db")
    yield found
    close()


# --- a store that several nodes share


class Shared(Protocol):
    """A database, and nodes on it."""

    def node(self) -> SharedStore:
        """As a process has it that has just been started."""

    def pass_time(self, seconds: float) -> None:
        """Of the database's clock: leases get older."""

    def books(self) -> dict[AccountKey, Account]:
        """Of all nodes together."""

    def close(self) -> None: ...


class SharedMemory:
    def __init__(self) -> None:
        self._now = NOW
        self._database = MemoryDatabase(lambda: self._now)

    def node(self) -> SharedStore:
        return MemoryNode(self._database)

    def pass_time(self, seconds: float) -> None:
        self._now += seconds

    def books(self) -> dict[AccountKey, Account]:
        return self._database.books()

    def close(self) -> None:
        pass


SLOWER: Final = 1000
"""By so much leases are longer in these tests, so that none is over because the machine is slow."""


class SharedPostgres:
    def __init__(self, url: str) -> None:
        self._url = url
        self._nodes: list[PostgresStore] = []
        emptied(url)

    def node(self) -> SharedStore:
        made = PostgresStore(self._url)
        self._nodes.append(made)
        return made

    def _ask(self, query: LiteralString, *bound: object) -> list[tuple[Any, ...]]:
        with psycopg.connect(self._url, options="-c search_path=feierabend") as db:
            found = db.execute(query, bound, binary=True)
            return found.fetchall() if found.description else []

    def pass_time(self, seconds: float) -> None:
        self._ask("UPDATE lease SET until = until - make_interval(secs => %s)", seconds * SLOWER)

    def books(self) -> dict[AccountKey, Account]:
        sums: dict[AccountKey, Account] = {}
        for tenant, name, body in self._ask("SELECT tenant, class, body FROM account"):
            sums.setdefault((tenant, name), Account()).add(rows.read_account(body))
        return sums

    def close(self) -> None:
        for node in self._nodes:
            node.close()


@contextmanager
def on_postgres(url: str) -> Iterator[Shared]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(postgres, "LEASE", LEASE * SLOWER)
        made = SharedPostgres(url)
        yield made
        made.close()


@pytest.fixture(params=["memory", "postgres"])
def shared(request: pytest.FixtureRequest) -> Iterator[Shared]:
    if request.param == "memory":
        yield SharedMemory()
        return
    with on_postgres(request.getfixturevalue("database")) as made:
        yield made


@pytest.fixture(scope="session")
def database(postgres: Cluster) -> str:
    """A migrated database, for all tests of a worker."""
    migrate(postgres.url)
    return postgres.url


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "relay.db"
