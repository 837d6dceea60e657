"""What an audit reads in PostgreSQL (evidence.py)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from relay.core.chain import Filed, Link, LinkKind
from relay.core.private import UserKey
from relay.store import rows
from relay.store.evidence import LINKS_TOGETHER, RECORDS_TOGETHER, Evidence
from relay.store.filing import TABLES, read_filed
from relay.store.postgres_connection import Connection, bytes_array, connect, translated
from relay.store.postgres_migrating import check_version
from relay.store.postgres_reading import bytes_of

_COLUMNS: Final = "tenant, number, at, kind, digest, chained"


class PostgresEvidence:
    """Inside a transaction of the caller's, as of one instant (evidence.py)."""

    def __init__(self, db: Connection) -> None:
        self._db = db

    def newest(self) -> Sequence[Link]:
        """One look-up for each tenant, for links are many."""
        query = (
            "WITH RECURSIVE known AS ((SELECT tenant FROM link ORDER BY tenant LIMIT 1) UNION ALL "
            "SELECT (SELECT tenant FROM link WHERE link.tenant > known.tenant ORDER BY tenant LIMIT 1) FROM known "
            "WHERE known.tenant IS NOT NULL) "
            f"SELECT last.* FROM known, LATERAL (SELECT {_COLUMNS} FROM link WHERE link.tenant = known.tenant "
            'ORDER BY number DESC LIMIT 1) AS last ORDER BY last.tenant COLLATE "C"'
        )
        return [Link(*found) for found in bytes_of(self._db, query)]

    def ends(self) -> dict[str, tuple[int, bytes]]:
        found = bytes_of(self._db, "SELECT tenant, number, chained FROM chain")
        return {tenant: (number, chained) for tenant, number, chained in found}

    def links(self, tenant: str) -> Iterator[Link]:
        query = f"SELECT {_COLUMNS} FROM link WHERE tenant = %s AND number > %s ORDER BY number LIMIT %s"
        after = -(2**63)
        while page := [Link(*found) for found in bytes_of(self._db, query, tenant, after, LINKS_TOGETHER)]:
            yield from page
            after = page[-1].number

    def records(self, kind: LinkKind) -> Iterator[list[Filed]]:
        with self._db.cursor(f"records {kind}", binary=True) as cursor:
            cursor.execute(_RECORDS[kind])
            while page := cursor.fetchmany(RECORDS_TOGETHER):
                yield [_filed(kind, *found) for found in page]

    def links_with(self, digests: Sequence[bytes]) -> list[Link]:
        query = f"SELECT {_COLUMNS} FROM link WHERE digest = ANY(%s::bytea[]) ORDER BY tenant, number"
        return [Link(*found) for found in bytes_of(self._db, query, bytes_array(digests))]


def _filed(kind: LinkKind, key: bytes, at: int, body: bytes, *more: bytes | int | None) -> Filed:
    """`more`: the number of a visit; what is beside a bypass."""
    if kind == LinkKind.VISIT:
        (number,) = more
        return read_filed(kind, rows.visit_key(UserKey(key), int(number or 0)), at, body)
    (beside,) = more or (None,)
    return read_filed(kind, key, at, body, beside if isinstance(beside, bytes) else None)


_RECORDS: Final = {
    **{kind: f"SELECT key, at, body FROM {table}" for kind, table in TABLES.items()},
    LinkKind.VISIT: "SELECT owner, at, body, seq FROM visit",
    LinkKind.BYPASS: (
        "SELECT key, bypass.at, bypass.body, bypass_recipients.body FROM bypass "
        "LEFT JOIN bypass_recipients USING (tenant, key)"
    ),
}


@contextmanager
def evidence(url: str, password: str | None) -> Iterator[Evidence]:
    """As of one instant, also while nodes serve. Raises StoreError, StoreMismatch, also in the block."""
    with translated(), connect(url, password, "feierabend audit") as db, db.transaction():
        db.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        check_version(db)
        yield PostgresEvidence(db)
