"""The files of a database: who may have them, how they are opened, and what SQLite's errors mean.

The file belongs to one process: a lock on the file beside it, taken before the database is touched at all. For closing
*any* descriptor of the database drops every lock this process holds on it (POSIX), SQLite's among them.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final
from urllib.parse import quote

from relay.store.port import StoreError, StoreMismatch
from relay.store.schema import APPLICATION_ID

PATIENCE: Final = 5_000
"""Milliseconds a commit waits for another program that holds the file."""
BESIDE: Final = ("", "-wal", "-shm", "-journal", ".lock", ".erased")
"""Ends of the names of what belongs to a database."""
_CREATE: Final = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC


class InUse(StoreError):
    """Another process has the database."""

    def __init__(self) -> None:
        super().__init__("the database file is in use by another process")


def lock(path: Path) -> int:
    """Take the file for this process; the kernel gives it back when the process ends, however it ends.

    Returns the descriptor that holds the lock. Raises InUse, StoreError.
    """
    try:
        descriptor = os.open(f"{path}.lock", _CREATE, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BaseException:
            os.close(descriptor)
            raise
    except BlockingIOError:
        raise InUse from None
    except OSError as error:
        raise cannot_open(error) from None
    return descriptor


def make_private(path: Path) -> None:
    """Make the file if it is missing, for SQLite would let others read it. Under the lock only. Raises StoreError."""
    try:
        os.close(os.open(path, _CREATE, 0o600))
    except OSError as error:
        raise cannot_open(error) from None


def cannot_open(error: OSError) -> StoreError:
    return StoreError(f"the database file cannot be opened: {os.strerror(error.errno or 0)}")


def give_like(path: Path, other: Path) -> None:
    """root may make a file for the relay, whose user must be able to open it then. Raises OSError."""
    if os.geteuid() == 0:
        owner = other.stat()
        os.chown(path, owner.st_uid, owner.st_gid)


def connect(path: Path, mode: str) -> sqlite3.Connection:
    """`mode`: ro or rw. For one thread at a time, whichever; transactions are the caller's. Raises sqlite3.Error."""
    uri = f"file:{quote(os.fsencode(path))}?mode={mode}"
    return sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False, timeout=PATIENCE / 1000)


def version_of(db: sqlite3.Connection, known: int) -> int:
    """The version of a file that has shown to be ours; 0 when it is empty. Raises StoreMismatch, sqlite3.Error."""
    (tables,) = db.execute("SELECT count(*) FROM sqlite_master").fetchone()
    (application,) = db.execute("PRAGMA application_id").fetchone()
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if application != APPLICATION_ID and (tables or application or version):
        raise StoreMismatch("the database file belongs to another program")
    if version > known:
        raise StoreMismatch(f"the database has version {version}; this program knows versions up to {known}")
    return int(version)


@contextmanager
def transaction(db: sqlite3.Connection, kind: str = "IMMEDIATE") -> Iterator[None]:
    db.execute(f"BEGIN {kind}")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


@contextmanager
def translated() -> Iterator[None]:
    """sqlite3's errors as ours; by name only, for its texts may hold content."""
    try:
        yield
    except sqlite3.Error as error:
        name = getattr(error, "sqlite_errorname", "") or type(error).__name__
        sentence = _SENTENCES.get(name.removeprefix("SQLITE_").partition("_")[0])
        if sentence is not None:
            raise StoreMismatch(sentence) from None
        if name == "SQLITE_FULL":
            raise StoreError("the disk is full") from None
        raise StoreError(f"the database refused ({name})") from None


_SENTENCES: Final = {
    "NOTADB": "the file is not a database",
    "CORRUPT": "the database file is damaged",
}


def check(db: sqlite3.Connection, how: str) -> None:
    """`how`: quick_check, or integrity_check, which compares the indices too. Raises StoreMismatch, sqlite3.Error."""
    if db.execute(f"PRAGMA {how}(1)").fetchone() != ("ok",):
        raise StoreMismatch("the database file is damaged")


@contextmanager
def new_file(path: Path) -> Iterator[int]:
    """A file that only its owner may read, and that was not there before; its descriptor. Gone if the block fails.

    Raises OSError.
    """
    descriptor = os.open(path, _CREATE | os.O_EXCL, 0o600)
    try:
        yield descriptor
    except BaseException:
        discard(path)
        raise
    finally:
        os.close(descriptor)


def discard(path: Path) -> None:
    """Remove a database, and what SQLite and the store keep beside it, as far as it is there. Raises OSError."""
    for end in BESIDE:
        with suppress(FileNotFoundError):
            os.unlink(f"{path}{end}")


def sync(path: Path) -> None:
    """Make the content of a file, or the names in a folder, durable. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
