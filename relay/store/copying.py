"""A copy of a database that is in use: one file, as of one instant, for a backup.

SQLite's online backup copies page by page; here under a read transaction that lasts from the first page to the last, so
that commits which come in between neither show nor make it begin anew. They go on meanwhile: a reader is not waited for
in a write-ahead log, only the log itself cannot shrink so long. The steps are small, with a pause after each, and the
copy is synced as it grows: one sync of all of it would make the fsyncs of the commits wait.

The relay makes such a copy beside its database, where it may write (`beside`); whoever has asked for it takes it from
there. Rejected: VACUUM INTO, which cannot pause, and a second program that opens the database for itself, which would
make files there that the relay's own user cannot open.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from relay.store.files import check, connect, discard, new_file, transaction, translated, version_of
from relay.store.port import StoreError
from relay.store.schema import VERSION

STEP: Final = 256
"""Pages copied at a time, half a megabyte: a millisecond or two."""
SYNC_EVERY: Final = 8
"""Steps after which what was written is synced."""
_MICROSECONDS: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Contents:
    """What a copy holds."""

    at: float | None
    """The instant of which it is; None when it does not say."""
    version: int
    people: int
    size: int
    """Bytes."""


def beside(database: Path) -> Path:
    """Where the relay puts a copy for whoever has asked for one."""
    return Path(f"{os.path.realpath(database)}.copy")


def put_beside(database: Path, between: Callable[[], None], look_for_room: Callable[[], None]) -> int:
    """Put a copy beside the database, and return its bytes. Whole, or not there: somebody may be fetching the last one.

    `look_for_room` is called when what nobody has fetched is gone, and may raise. Raises what `copy` does.
    """
    clear(database)
    look_for_room()
    target = beside(database)
    making = _making(target)
    copy(database, making, between)
    size = making.stat().st_size
    os.rename(making, target)
    return size


def clear(database: Path) -> None:
    """Remove copies that nobody has fetched, or that were not finished. Raises OSError."""
    target = beside(database)
    discard(target)
    discard(_making(target))


def _making(target: Path) -> Path:
    return target.with_name(f"{target.name}.part")


def copy(database: Path, target: Path, between: Callable[[], None]) -> None:
    """Copy a database into a new file. `between` is called after each step and may raise; nothing is left then.

    Raises StoreError, StoreMismatch for a foreign or damaged file, OSError, what `between` raises.
    """
    source_path = Path(os.path.realpath(database))
    if not source_path.is_file():
        raise StoreError("there is no database")
    with (
        new_file(target) as file,
        translated(),
        closing(connect(source_path, "ro")) as source,
        closing(connect(target, "rw")) as copied,
    ):
        version_of(source, VERSION)
        copied.execute("PRAGMA journal_mode = OFF")
        copied.execute("PRAGMA synchronous = OFF")
        _copy(source, copied, file, between)


def _copy(source: sqlite3.Connection, copied: sqlite3.Connection, file: int, between: Callable[[], None]) -> None:
    steps = 0

    def after_step(_status: int, _remaining: int, _total: int) -> None:
        nonlocal steps
        steps += 1
        if steps % SYNC_EVERY == 0:
            os.fdatasync(file)
        between()

    with transaction(source, "DEFERRED"):
        source.execute("SELECT count(*) FROM sqlite_master").fetchone()  # from here on it sees one instant
        source.backup(copied, pages=STEP, progress=after_step)


def finish(copied: Path, at: float) -> Contents:
    """Make a copy stand alone, without a log; note its instant in it; check it. Raises StoreMismatch, StoreError."""
    with translated(), closing(connect(copied, "rw")) as db:
        db.execute("PRAGMA journal_mode = DELETE")
        version_of(db, VERSION)
        db.execute(
            "INSERT INTO meta VALUES ('copied', ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            (int(at * _MICROSECONDS),),
        )
        check(db, "quick_check")
    return examine(copied, thoroughly=False)


def examine(path: Path, *, thoroughly: bool = True) -> Contents:
    """What a copy holds; checked to its last page when `thoroughly`. Raises StoreMismatch, StoreError."""
    with translated(), closing(connect(path, "rw")) as db:
        version = version_of(db, VERSION)
        if version == 0:
            raise StoreError("the file is empty")
        if thoroughly:
            check(db, "integrity_check")
        (at,) = db.execute("SELECT max(value) FROM meta WHERE name = 'copied'").fetchone()
        (people,) = db.execute("SELECT count(*) FROM person").fetchone()
    return Contents(None if at is None else at / _MICROSECONDS, version, people, path.stat().st_size)
