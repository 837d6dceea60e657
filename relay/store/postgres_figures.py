"""What can be told of a database without taking it over: for `feierabend check` and `feierabend store stats`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from relay.store import rows
from relay.store.figures import KINDS, WITH_TOMBSTONES, Churn, Figures, Owner, longest_wait
from relay.store.postgres_connection import FORGETFUL, Connection, connect, translated
from relay.store.postgres_migrating import check_version, version_of
from relay.store.postgres_schema import SCHEMA


@dataclass(frozen=True, slots=True)
class Server:
    program: str
    """Its version."""
    schema: int | None
    """None: it was never migrated."""
    synchronous_commit: str
    is_durable: bool


def server(url: str, password: str | None) -> Server:
    """Raises StoreError, StoreMismatch."""
    with translated(), connect(url, password, "feierabend check") as db:
        waits = _setting(db, "synchronous_commit")
        return Server(_program(db), version_of(db), waits, waits not in FORGETFUL)


def figures(url: str, password: str | None, now: float) -> Figures:
    """As of one instant. Raises StoreError, StoreMismatch."""
    with translated(), connect(url, password, "feierabend stats") as db, db.transaction():
        db.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        check_version(db)
        counted = {table: _one(db, f"SELECT count(*) FROM {table}") for table in KINDS}
        dead = {table: _one(db, f"SELECT count(*) FROM {table} WHERE body = ''") for table in WITH_TOMBSTONES}
        living = {table: count - dead.get(table, 0) for table, count in counted.items()}
        with rows.reading(), db.cursor("slots", binary=True) as slots:
            oldest = longest_wait((body for (body,) in slots.execute("SELECT body FROM slot")), now)
        owners = _owners(db)
        return Figures(
            "postgresql", _program(db), version_of(db) or 0, _size(db),
            max((owner.epoch for owner in owners), default=0), {**living, "tombstone": sum(dead.values())}, oldest,
            owners=owners, churn=_churn(db),
        )  # fmt: skip


def _one(db: Connection, query: str, *bound: object) -> Any:  # noqa: ANN401
    (found,) = db.execute(query, bound).fetchone() or (None,)
    return found


def _setting(db: Connection, name: str) -> str:
    return str(_one(db, "SELECT current_setting(%s)", name))


def _program(db: Connection) -> str:
    """Without the words that packagers add."""
    return _setting(db, "server_version").partition(" ")[0]


def _size(db: Connection) -> int:
    query = (
        "SELECT sum(pg_total_relation_size(oid)) FROM pg_class WHERE relnamespace = %s::regnamespace AND relkind = 'r'"
    )
    return int(_one(db, query, SCHEMA) or 0)


def _owners(db: Connection) -> tuple[Owner, ...]:
    query = (
        "SELECT id, CASE WHEN until > clock_timestamp() THEN extract(epoch FROM until)::float8 END, "
        "extract(epoch FROM began)::float8, (SELECT count(*) FROM partition WHERE owner = node.id) "
        "FROM node LEFT JOIN lease ON lease.node = node.id ORDER BY id"
    )
    return tuple(Owner(*found) for found in db.execute(query))


def _churn(db: Connection) -> dict[str, Churn]:
    query = (
        "SELECT relname, n_dead_tup, extract(epoch FROM last_autovacuum)::float8 FROM pg_stat_user_tables "
        "WHERE schemaname = %s ORDER BY relname"
    )
    return {table: Churn(dead, vacuumed) for table, dead, vacuumed in db.execute(query, (SCHEMA,))}
