"""The chains in a SQLite file: how they grow, and how they are read.

One process writes, so the last link is looked up and the next ones are made here. The key of a link is the tenant, a
zero byte, and the number.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from relay.core.chain import INSTALLATION, Filed, Link, LinkKind, Notary, grown
from relay.core.private import UserKey
from relay.store import rows
from relay.store.evidence import RECORDS_TOGETHER
from relay.store.filing import TABLES, entries, read_filed, visits_erased
from relay.store.statements import LINKS_WITH, VISITS_OF, Row, packed

_COLUMNS: Final = "key, at, kind, digest, chained"
_NEWEST: Final = f"SELECT {_COLUMNS} FROM link WHERE key > ? AND key < ? ORDER BY key DESC LIMIT 1"
_OLDER: Final = (
    "SELECT max(at) FROM (SELECT max(at) AS at FROM bypass UNION ALL SELECT max(at) FROM act "
    "UNION ALL SELECT max(at) FROM visit)"
)


def beginning(db: sqlite3.Connection, notary: Notary) -> list[Row]:
    """The first link there is, when nothing but what older programs have written is in the file."""
    (newest,) = db.execute(_OLDER).fetchone()
    entry = notary.beginning(rows.read_number(newest or b""))
    return [_row(link) for link in grown(INSTALLATION, None, [entry])]


def growing(db: sqlite3.Connection, records: Iterable[Filed], notary: Notary) -> list[Row]:
    """The links that follow these records, to be written with them."""
    return [
        _row(link)
        for tenant, new in entries(records, notary)
        for link in grown(tenant, _newest(db, tenant), new)
    ]  # fmt: skip


def erasing(db: sqlite3.Connection, users: Iterable[UserKey], now: float, notary: Notary) -> list[Filed]:
    """The records that say which looks go with these people; to be asked before they go."""
    found = db.execute(VISITS_OF, packed((user, rows.visits_end(user)) for user in users))
    visits = [read_filed(LinkKind.VISIT, key, rows.read_number(at), body) for key, at, body in found]
    return list(visits_erased(visits, now, notary))


def filing(records: Iterable[Filed]) -> Iterator[tuple[str, list[Row]]]:
    """(table, rows) of records."""
    by_table: dict[str, list[Row]] = {}
    for record in records:
        at = rows.number(record.at)
        by_table.setdefault(TABLES[LinkKind(record.kind)], []).append((record.key, at + record.body))
        if record.kind == LinkKind.BYPASS:
            by_table.setdefault("bypass_recipients", []).append((record.key, at + record.beside))
    return iter(by_table.items())


def _newest(db: sqlite3.Connection, tenant: str) -> Link | None:
    found = db.execute(_NEWEST, _bounds(tenant)).fetchone()
    return None if found is None else _link(*found)


def _bounds(tenant: str) -> tuple[bytes, bytes]:
    """No link has the number 0."""
    return _key(tenant, 0), tenant.encode() + b"\x01"


def _key(tenant: str, number: int) -> bytes:
    return tenant.encode() + b"\x00" + rows.number(number)


def _place(key: bytes) -> tuple[str, int]:
    """(tenant, number). Raises ValueError for what is no key of a link: no next one could be looked up from there."""
    if key[-9:-8] != b"\x00":
        raise ValueError("no key of a link")
    return key[:-9].decode(), rows.read_number(key[-8:])


def _row(link: Link) -> Row:
    said = rows.number(link.at) + link.kind.to_bytes(2, "big") + link.digest + link.chained
    return _key(link.tenant, link.number), said


def _link(key: bytes, at: bytes, kind: bytes, digest: bytes, chained: bytes) -> Link:
    tenant, number = _place(key)
    _are_bytes((at, kind, digest, chained))
    return Link(tenant, number, rows.read_number(at), rows.read_number(kind), digest, chained)


def _are_bytes(columns: Iterable[bytes | None]) -> None:
    """SQLite keeps a value of any type in any column. Raises TypeError."""
    if not all(isinstance(column, bytes | None) for column in columns):
        raise TypeError("not of bytes")


def link_row(key: bytes, at: bytes, kind: bytes, digest: bytes, chained: bytes) -> tuple[bytes | int, ...]:
    """As a row of PostgreSQL's table."""
    link = _link(key, at, kind, digest, chained)
    return link.tenant.encode(), link.number, link.at, link.kind, digest, chained


class SqliteEvidence:
    """Of an open file, inside a transaction of the caller's (evidence.py)."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def newest(self) -> Sequence[Link]:
        with rows.reading():
            return [link for tenant in self._tenants() if (link := _newest(self._db, tenant)) is not None]

    def ends(self) -> dict[str, tuple[int, bytes]]:
        """A file goes on from the links themselves."""
        return {link.tenant: (link.number, link.chained) for link in self.newest()}

    def _tenants(self) -> Iterator[str]:
        """One look-up for each, for links are many."""
        after = b""
        while found := self._db.execute("SELECT key FROM link WHERE key > ? ORDER BY key LIMIT 1", (after,)).fetchone():
            tenant, _ = _place(found[0])
            yield tenant
            _, after = _bounds(tenant)

    def links(self, tenant: str) -> Iterator[Link]:
        query = f"SELECT {_COLUMNS} FROM link WHERE key >= ? AND key < ? ORDER BY key"
        with rows.reading():
            yield from (_link(*found) for found in self._db.execute(query, _bounds(tenant)))

    def records(self, kind: LinkKind) -> Iterator[list[Filed]]:
        cursor = self._db.execute(_RECORDS[kind])
        while page := cursor.fetchmany(RECORDS_TOGETHER):
            with rows.reading():
                for columns in page:
                    _are_bytes(columns)
                records = [read_filed(kind, key, rows.read_number(at), *bodies) for key, at, *bodies in page]
            yield records

    def links_with(self, digests: Sequence[bytes]) -> list[Link]:
        found = self._db.execute(LINKS_WITH, packed((digest, b"") for digest in digests))
        with rows.reading():
            return [_link(*columns) for columns in found]


_RECORDS: Final[dict[LinkKind, str]] = {
    **{kind: f"SELECT key, at, body FROM {table} ORDER BY key" for kind, table in TABLES.items()},
    LinkKind.BYPASS: (
        "SELECT key, bypass.at, bypass.body, bypass_recipients.body FROM bypass "
        "LEFT JOIN bypass_recipients USING (key) ORDER BY key"
    ),
}
