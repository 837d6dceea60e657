"""Every implementation of the store, as the contract suite asks for it."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import msgpack
import psycopg
import pytest

from bench.postgres import cluster, emptied
from relay.core.batch import Bypass
from relay.store import rows
from relay.store.memory import MemoryStore
from relay.store.port import Store, StoreError
from relay.store.postgres import PostgresStore
from relay.store.postgres_migrating import migrate
from relay.store.sqlite import SqliteStore
from tests.needs import require

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


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def keeper(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Keeper]:
    if request.param == "memory":
        yield _memory()
        return
    if request.param == "postgres":
        found, close = _postgres(request.getfixturevalue("database"))
    else:
        found, close = _sqlite(tmp_path / "relay.db")
    yield found
    close()


@pytest.fixture(scope="session")
def database() -> Iterator[str]:
    """A migrated database on a server of our own. Without fsync: what is durable is shown elsewhere."""
    require("postgres", os.environ)
    with cluster("fsync = off") as server:
        migrate(server.url)
        yield server.url


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "relay.db"
