"""A copy in the place of its database: made ready beside it, and put there by one rename.

Numbers. A restored database counts on from an older state, and would give numbers again that were given since: to
events, versions of rest documents (`ETag`), feedback. So its counters go on from the restore's own instant in
microseconds, beyond all that was ever given: nothing here is counted faster than that, and the clock was checked. Then
no version is that of another document, and no cursor of feedback is good that was told before: each is answered 410,
so that every backend learns that it must compare its devices. What feedback is kept is told again, under new numbers.
In slots and their `done` everything is of one state and stays as it is: a new event is newer than all of it.

Files. The former database is linked to a name of its own with its log, before the log's name is removed and the rename
puts the new one there. So at any instant there is a database, or all of the former one under its new name.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, Final

from relay.store import rows
from relay.store.files import (
    check,
    connect,
    discard,
    give_like,
    new_file,
    sync,
    transaction,
    translated,
    version_of,
)
from relay.store.port import StoreError
from relay.store.schema import VERSION

LOG: Final = "-wal"
_CHUNK: Final = 2**20
_MICROSECONDS: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Marks:
    """Counters of a database."""

    newest: int
    """The highest of those for events, edits and feedback."""
    identity: int | None
    erased: int
    """Number of its last erasure; 0 for a file of a program that noted none."""


def marks_of(path: Path) -> Marks:
    """Raises StoreMismatch, StoreError."""
    with translated(), closing(connect(path, "ro")) as db:
        found = dict(db.execute("SELECT name, value FROM meta"))
    counters = [found.get(name, 0) for name in ("generation", "revision", "feedback")]
    return Marks(max(counters), found.get("identity"), found.get("erased", 0))


def marks_if_readable(path: Path) -> Marks | None:
    """None: there is no such file, or no database in it."""
    try:
        return marks_of(path)
    except StoreError:
        return None


@contextmanager
def scratch(database: Path) -> Iterator[Path]:
    """A name beside the database for one that is made ready; whatever is left there at the end is removed."""
    path = database.with_name(f"{database.name}.restoring")
    discard(path)
    try:
        yield path
    finally:
        discard(path)


def take_in(backup: Path, path: Path) -> None:
    """Copy a file, with its log where it has one: a copy by hand of a database in use. Raises OSError."""
    for end in ("", LOG):
        source = Path(f"{backup}{end}")
        if end and not source.exists():
            continue
        with source.open("rb") as read, new_file(Path(f"{path}{end}")) as file:
            pour(read, file)


def pour(source: BinaryIO, target: int) -> None:
    """All of a file into a descriptor. Raises OSError."""
    with open(target, "wb", closefd=False) as file:
        shutil.copyfileobj(source, file, _CHUNK)


def renumber(
    path: Path, tenants: Iterable[str], given: int, now: float, erased: int | None, identity: int | None
) -> None:
    """Let a database of today's version count on from now.

    `given`: the highest number that is known to be; `erased`: of the last erasure, None when nobody knows: then no
    backup of before counts as one since which all are known. `identity`: what the database goes by; None: as before.
    Raises StoreError.
    """
    start = max(int(now * _MICROSECONDS), given + 1)
    with translated(), closing(connect(path, "rw")) as db, transaction(db), rows.reading():
        feedback = db.execute("SELECT body FROM feedback").fetchall()
        records = sorted((rows.read_feedback(body) for (body,) in feedback), key=lambda record: record.seq)
        db.execute("DELETE FROM feedback")
        for number, record in enumerate(records, start + 1):
            moved = replace(record, seq=number)
            key = rows.feedback_key(moved.tenant, number)
            db.execute("INSERT INTO feedback VALUES (?, ?, ?)", (key, rows.instant(moved.at), rows.feedback(moved)))
        db.execute("DELETE FROM feedback_purged")
        db.executemany("INSERT INTO feedback_purged VALUES (?, ?)", [(tenant, start) for tenant in tenants])
        values = {"generation": start, "revision": start, "feedback": start + len(records)}
        values["erased"] = start if erased is None else erased
        if identity is not None:
            values["identity"] = identity
        db.executemany("UPDATE meta SET value = ? WHERE name = ?", [(value, name) for name, value in values.items()])
        db.execute("DELETE FROM meta WHERE name = 'copied'")


def put_in_place(ready: Path, database: Path, aside: Path) -> bool:
    """Let a database take the place of another, which is kept under the name `aside`; False: there was none.

    Both are this process's alone. Raises OSError, and StoreError when the new one is not one file.
    """
    if Path(f"{ready}{LOG}").exists():
        raise StoreError("the restored database could not be written whole")
    for made in (ready, Path(f"{database}.lock")):
        give_like(made, database if database.exists() else database.parent)
    sync(ready)
    is_there = database.exists()
    if is_there:
        _fold(database)
        for end in ("", LOG):
            if os.path.lexists(f"{database}{end}"):
                os.link(f"{database}{end}", f"{aside}{end}")
        sync(database.parent)
    for end in (LOG, "-shm"):
        with suppress(FileNotFoundError):
            os.unlink(f"{database}{end}")
    os.rename(ready, database)
    sync(database.parent)
    return is_there


def _fold(database: Path) -> None:
    """Bring the log of a database into it. One that is damaged stays as it is: SQLite might remove what it cannot read.

    Raises StoreError.
    """
    try:
        with translated(), closing(connect(database, "ro")) as db:
            version_of(db, VERSION)
            check(db, "quick_check")
    except StoreError:
        return
    with translated(), closing(connect(database, "rw")) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
