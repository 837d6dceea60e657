"""The chains in PostgreSQL: how they grow though many nodes write.

A chain has one end, and whoever appends must know it. So the function `link` (postgres_schema.py) locks that row, gives
the numbers and makes the hashes; the digests, which need the key, come with the statement. No answer is waited for, and
a commit stays one trip. The lock lasts until the transaction is on the disk: commits of two nodes that have something
on record for one tenant go one after the other, and no other does.

It is the last of a commit's locks that another node may want, but for partitions that are handed over, which nobody
holds while waiting; and tenants are taken in the order of their names: so there is no circle.

Rejected: a chain for each node and tenant (a works council would compare as many hashes as there were processes); the
server's own order of commits (nobody can tell it afterwards).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

from relay.core.chain import INSTALLATION, Entry, Filed, LinkKind, Notary
from relay.core.private import UserKey
from relay.store import rows
from relay.store.filing import read_filed
from relay.store.postgres_connection import Bytes, Connection, Numbers, bytes_array, numbers_array
from relay.store.postgres_reading import bytes_of
from relay.store.postgres_statements import LINK

_OLDER: Final = (
    "SELECT greatest(0, (SELECT max(at) FROM bypass), (SELECT max(at) FROM act), (SELECT max(at) FROM visit))"
)


def said(tenant: str, entries: Sequence[Entry]) -> tuple[bytes, Numbers, Numbers, Bytes]:
    """The parameters of LINK."""
    return (
        tenant.encode(),
        numbers_array([entry.at for entry in entries]),
        numbers_array([entry.kind for entry in entries]),
        bytes_array([entry.digest for entry in entries]),
    )


def begin(db: Connection, notary: Notary) -> None:
    """The first link there is, when nothing but what older programs have written is in the database."""
    (newest,) = db.execute(_OLDER).fetchone() or (0,)
    db.execute(LINK, said(INSTALLATION, [notary.beginning(newest)]))


def visits_of(db: Connection, users: Collection[UserKey]) -> list[Filed]:
    query = (
        "SELECT owner, seq, at, body FROM visit JOIN unnest(%s::bytea[]) AS asked(person) "
        "ON visit.part = part_of(person) AND visit.owner = person ORDER BY owner, seq"
    )
    found = bytes_of(db, query, bytes_array(sorted(users)))
    return [
        read_filed(LinkKind.VISIT, rows.visit_key(UserKey(owner), seq), at, body) for owner, seq, at, body in found
    ]  # fmt: skip
