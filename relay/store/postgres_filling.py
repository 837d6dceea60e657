"""An empty database filled with what another store holds: all of it in one transaction, or nothing.

Nobody may serve on it, and who wants to join waits for the end. What nodes count for themselves stands under number 0,
which no node has.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Final

from relay.core.chain import Entry
from relay.store.figures import KINDS
from relay.store.port import StoreError
from relay.store.postgres_chain import said
from relay.store.postgres_connection import Connection, columns, connect, translated
from relay.store.postgres_migrating import check_version
from relay.store.postgres_nodes import is_vacant
from relay.store.postgres_statements import LINK, NOTE_PURGED, PUT

Row = tuple[bytes | int, ...]
CHUNK: Final = 1_000
"""Rows of one statement: a megabyte perhaps, of the largest rest documents 64."""


class NotEmpty(StoreError):
    """There is something in the database, or somebody at work."""


class Filling:
    """`node`: under whose number the books stand."""

    node: Final = 0

    def __init__(self, db: Connection) -> None:
        self._db = db
        check_version(db)
        db.execute("LOCK TABLE node IN EXCLUSIVE MODE")  # nobody begins to serve meanwhile
        if not is_vacant(db):
            raise NotEmpty("a relay serves on the database: stop it first")
        for table in (*KINDS, "feedback_purged"):
            born_with = 1 if table == "link" else 0  # the beginning of the chain
            if self._one(f"SELECT EXISTS (SELECT FROM {table} OFFSET {born_with})"):
                raise NotEmpty(f"the database is not empty: there are rows in {table}")
        db.execute("UPDATE partition SET owner = NULL")
        db.execute("DELETE FROM node")
        db.execute("DELETE FROM link")  # the source has a beginning of its own
        db.execute("DELETE FROM chain")

    def put(self, table: str, rows: Iterable[Row], told: Callable[[int], None]) -> None:
        """Write rows, as `sqlite_source` turns them; `told` hears how many, after each statement."""
        left = iter(rows)
        while chunk := list(islice(left, CHUNK)):
            self._db.execute(PUT[table], columns(chunk))
            told(len(chunk))

    def go_on(self, links: Sequence[tuple[str, Sequence[Entry]]]) -> None:
        """Where the chains that were put end, by tenant, more links follow."""
        self._db.execute(
            "INSERT INTO chain SELECT DISTINCT ON (tenant) tenant, number, chained FROM link "
            "ORDER BY tenant, number DESC"
        )
        for tenant, entries in links:
            self._db.execute(LINK, said(tenant, entries))

    def note_purged(self, purged: Sequence[tuple[str, int]]) -> None:
        """(tenant, newest number of feedback that was purged)."""
        self._db.execute(NOTE_PURGED, ([tenant for tenant, _ in purged], [number for _, number in purged]))

    def set_marks(self, generation: int, revision: int, feedback: int) -> None:
        self._db.execute(
            "UPDATE mark SET generation = %s, revision = %s, feedback = %s", (generation, revision, feedback)
        )

    def count(self, table: str) -> int:
        return self._one(f"SELECT count(*) FROM {table}")

    def _one(self, query: str) -> int:
        (found,) = self._db.execute(query).fetchone() or (0,)
        return int(found)


@contextmanager
def filling(url: str, password: str | None) -> Iterator[Filling]:
    """Committed when the block ends well; psycopg's errors in it are translated too.

    Raises NotEmpty, StoreError, StoreMismatch.
    """
    with translated(), connect(url, password, "feierabend copy") as db, db.transaction():
        yield Filling(db)
