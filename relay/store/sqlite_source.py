"""A SQLite file that is read and left as it is: for its figures, an audit, and to be copied into PostgreSQL.

A file that nobody uses and that has no log is opened as one that cannot change: then SQLite makes no files beside it.
With a log, of a process that runs or was killed, it is read as any reader of a write-ahead log does, which never moves
the log into the file.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from relay.core.batch import PersonRecord
from relay.core.private import KEY_BYTES, UserKey
from relay.store import rows
from relay.store.evidence import Evidence
from relay.store.figures import KINDS, WITH_TOMBSTONES, Figures, longest_wait
from relay.store.files import InUse, connect, give_like, lock, transaction, translated, version_of
from relay.store.port import StoreError, StoreMismatch
from relay.store.schema import VERSION
from relay.store.sqlite_chain import SqliteEvidence, link_row

Row = tuple[bytes | int, ...]
"""A row of PostgreSQL's table of the same name, without `part` (postgres_statements.py)."""
LOG: Final = "-wal"
_ALONE: Final = "ro&immutable=1"


class Source:
    """An open file, as of one instant."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self.db = db
        with translated():
            self.marks: dict[str, int] = dict(db.execute("SELECT name, value FROM meta"))
            """generation, revision, feedback, epoch; identity and erased; copied: it is a backup."""

    def count(self, table: str) -> int:
        with translated():
            (count,) = self.db.execute(f"SELECT count(*) FROM {table}").fetchone()
        return int(count)

    def people(self) -> dict[UserKey, PersonRecord]:
        with translated(), rows.reading():
            return {UserKey(k): rows.read_person(b) for k, b in self.db.execute("SELECT key, body FROM person")}

    def purged(self) -> list[tuple[str, int]]:
        """(tenant, newest number of feedback that was purged)."""
        with translated():
            return self.db.execute("SELECT tenant, seq FROM feedback_purged").fetchall()

    def rows(self, table: str, node: int) -> Iterator[Row]:
        """Of one of KINDS. `node`: whose the accounts are to be. Raises StoreError, StoreMismatch."""
        query, turned = _ROWS[table]
        with translated(), rows.reading():
            for found in self.db.execute(query):
                yield (node, *turned(*found)) if table == "account" else turned(*found)

    def slots(self) -> Iterator[bytes]:
        with translated():
            yield from (body for (body,) in self.db.execute("SELECT body FROM slot"))


@contextmanager
def opened(path: Path, *, alone: bool) -> Iterator[Source]:
    """`alone`: it is locked by this process. Raises StoreError, StoreMismatch, also for one of an older version."""
    mode = _ALONE if alone and not Path(f"{path}{LOG}").exists() else "ro"
    with translated(), closing(connect(path, mode)) as db, transaction(db, "DEFERRED"):
        version = version_of(db, VERSION)
        if version < VERSION:
            raise StoreMismatch(
                f"the database has version {version} and this program's is {VERSION}: let it serve from it once"
            )
        yield Source(db)


@contextmanager
def locked(path: Path) -> Iterator[Source]:
    """A file that no other process may use meanwhile. Raises InUse, StoreError, StoreMismatch."""
    database = _that_exists(path)
    held = lock(database)
    try:
        _give_lock_away(database)
        with opened(database, alone=True) as source:
            yield source
    finally:
        os.close(held)


@contextmanager
def as_it_is(path: Path) -> Iterator[tuple[Source, bool]]:
    """A file, also one in use; whether it is. Raises StoreError, StoreMismatch."""
    database = _that_exists(path)
    try:
        held: int | None = lock(database)
    except InUse:
        held = None
    try:
        if held is not None:
            _give_lock_away(database)
        with opened(database, alone=held is not None) as source:
            yield source, held is None
    finally:
        if held is not None:
            os.close(held)


def figures(path: Path, now: float) -> Figures:
    """Also of a file in use. Raises StoreError, StoreMismatch."""
    with as_it_is(path) as (source, is_in_use):
        counted = {table: source.count(table) for table in KINDS}
        dead = {table: source.count(f"{table} WHERE body = x''") for table in WITH_TOMBSTONES}
        with rows.reading():
            oldest = longest_wait(source.slots(), now)
            epoch = source.marks["epoch"]
    database = Path(os.path.realpath(path))
    size = sum(os.stat(f"{database}{end}").st_size for end in ("", LOG) if os.path.exists(f"{database}{end}"))
    living = {table: count - dead.get(table, 0) for table, count in counted.items()}
    return Figures(
        "sqlite", sqlite3.sqlite_version, VERSION, size, epoch, {**living, "tombstone": sum(dead.values())}, oldest,
        in_use=is_in_use,
    )  # fmt: skip


@contextmanager
def evidence(path: Path) -> Iterator[Evidence]:
    """Of a file, also of one in use, as of one instant. Raises StoreError, StoreMismatch, also in the block."""
    with as_it_is(path) as (source, _), translated():
        yield SqliteEvidence(source.db)


def _that_exists(path: Path) -> Path:
    database = Path(os.path.realpath(path))
    if not database.is_file():
        raise StoreError(f"{path}: there is no database")
    return database


def _give_lock_away(database: Path) -> None:
    try:
        give_like(Path(f"{database}.lock"), database)
    except OSError as error:
        raise StoreError(f"{database}.lock: {error.strerror}") from None


def _timed(key: bytes, at: bytes, body: bytes) -> Row:
    return key, rows.read_number(at), body


def _changing(key: bytes, revision: bytes, at: bytes, user: bytes, body: bytes) -> Row:
    return key, user, rows.read_number(revision), rows.read_number(at), body


def _device(key: bytes, revision: bytes, at: bytes, user: bytes, body: bytes) -> Row:
    token = rows.read_device(key, body).token_hash if body else b""
    return (*_changing(key, revision, at, user, body)[:-1], token, body)


def _receipt(key: bytes, at: bytes, body: bytes) -> Row:
    return key, NOBODY, rows.read_number(at), body


def _pass(key: bytes, at: bytes, body: bytes) -> Row:
    return key, rows.read_pass(body).user, rows.read_number(at), body


def _visit(key: bytes, at: bytes, body: bytes) -> Row:
    return key[:KEY_BYTES], rows.read_number(key[KEY_BYTES:]), rows.read_number(at), body


def _feedback(key: bytes, at: bytes, body: bytes) -> Row:
    tenant, seq = rows.read_feedback_key(key)
    return tenant.encode(), seq, rows.read_number(at), body


def _bypass(key: bytes, at: bytes, body: bytes, record: bytes) -> Row:
    return rows.read_bypass(record, b"").tenant.encode(), key, rows.read_number(at), body


def _account(key: bytes, body: bytes) -> Row:
    tenant, event_class = rows.read_account_key(key)
    return tenant.encode(), event_class.encode(), body


NOBODY: Final = 0
"""The number under which there is no node."""
_ROWS: Final[dict[str, tuple[str, Callable[..., Row]]]] = {
    **{table: (f"SELECT key, body FROM {table}", lambda *found: found) for table in ("person", "slot")},
    **{table: (f"SELECT key, at, body FROM {table}", _timed) for table in ("request", "act", "visits_erased")},
    "link": ("SELECT key, at, kind, digest, chained FROM link", link_row),
    "receipt": ("SELECT key, at, body FROM receipt", _receipt),
    "device": ("SELECT key, revision, at, user, body FROM device", _device),
    "rest": ("SELECT key, revision, at, user, body FROM rest", _changing),
    "pass": ("SELECT key, at, body FROM pass", _pass),
    "visit": ("SELECT key, at, body FROM visit", _visit),
    "feedback": ("SELECT key, at, body FROM feedback", _feedback),
    "bypass": ("SELECT key, at, body, body FROM bypass", _bypass),
    "bypass_recipients": (
        "SELECT r.key, r.at, r.body, b.body FROM bypass_recipients AS r JOIN bypass AS b USING (key)", _bypass,
    ),
    "halt": ("SELECT key, body FROM halt", lambda key, body: (rows.read_number(key), body)),
    "account": ("SELECT key, body FROM account", _account),
}  # fmt: skip
"""Table → what is read of it, and the row that becomes of it."""
