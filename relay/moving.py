"""`feierabend store copy`: what a SQLite file holds, into an empty database of PostgreSQL's.

The bodies of records are the same bytes in both stores, so rows go over as they are, under the same keys and numbers:
versions of rest documents, cursors of feedback, receipts and Idempotency-Keys stay good. The file is read and not
touched, under its lock, so that no relay acknowledges anything in it meanwhile; all of it is one transaction, and its
rows are counted against the file's before that ends.

The copy is held, as a restored database is (restoring.py): nothing but what pierces rest leaves before an operator has
seen that the right relay runs on it, and that the old one does not.

Refused: a file that is a backup, or older than the erasures beside it: who was erased since would be there again, and
PostgreSQL has no such file that would tell. Another first master key, or tenants that are not configured: nobody could
use the copy.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from relay import trust
from relay.config import Config, PostgresConfig
from relay.core.batch import Batch
from relay.core.chain import UNKEYED, Notary
from relay.core.errors import RelayError
from relay.core.halts import Act, Halt
from relay.loading import Household
from relay.opening import driver
from relay.ops.control import LONGEST
from relay.store import erasures, sqlite_source
from relay.store.figures import KINDS
from relay.store.filing import entries, filed
from relay.store.port import Loaded, StoreError
from relay.store.sqlite_source import Source

BY: Final = "copy"
"""Who holds everything, in the record."""


class CannotCopy(RelayError):
    """Nothing was written."""


@dataclass(frozen=True, slots=True)
class Moved:
    rows: dict[str, int]
    """By kind, as they were in the file."""
    held_until: float


Told = Callable[[int, int], None]
"""Hears how many rows are written, and of how many."""


def copy(config: Config, place: PostgresConfig, file: Path, now: float, told: Told) -> Moved:
    """Fill an empty, migrated database, and hold it. Raises CannotCopy, ClockIsWrong, InUse, StoreError."""
    trust.check(now)
    with sqlite_source.locked(file) as source:
        _check(config, source, file)
        notary = config.store.masters.notary()
        return Moved(carry(source, place, _held(source, file, now), told, notary), now + LONGEST)


def carry(source: Source, place: PostgresConfig, more: Batch, told: Told, notary: Notary = UNKEYED) -> dict[str, int]:
    """All of it, and a batch on top, in one transaction; returns how many rows of each kind there were.

    The chains go over as they are, and on with what the batch has on record.

    Raises NotEmpty, NoDriver, StoreError, StoreMismatch.
    """
    with driver():
        from relay.store.postgres_filling import filling
        from relay.store.postgres_rows import written
    counted = {table: source.count(table) for table in KINDS}
    total, done = sum(counted.values()), 0

    def heard(count: int) -> None:
        nonlocal done
        done += count
        told(done, total)

    with filling(place.url, place.password) as target:
        for table in KINDS:
            target.put(table, source.rows(table, target.node), heard)
            if target.count(table) != counted[table]:
                raise StoreError(f"not all rows of {table} have arrived; nothing was written")
        target.note_purged(source.purged())
        records = filed(more, target.node)
        for table, rows in written(more, target.node, records):
            target.put(table, rows, lambda _: None)
        target.go_on(entries(records, notary))
        target.set_marks(more.generation, source.marks["revision"], source.marks["feedback"])
    return counted


def _check(config: Config, source: Source, file: Path) -> None:
    """Raises CannotCopy, StoreMismatch."""
    if "copied" in source.marks:
        raise CannotCopy(f"{file}: is a backup; who was erased since would be there again: restore it first")
    kept = erasures.read(erasures.path_of(file.resolve()))
    is_its_own = kept is not None and kept.identity == source.marks.get("identity")
    if kept is not None and is_its_own and kept.confirmed > source.marks.get("erased", 0):
        raise CannotCopy(f"{file}: is older than what was erased in it; let the relay serve from it once")
    Household(config.store.masters, config.tenants).fill(Loaded(people=source.people()))


def _held(source: Source, file: Path, now: float) -> Batch:
    """As an operator holds everything (core/operating.py)."""
    until, reason = now + LONGEST, f"copied from {file.name}"
    number = source.marks["generation"] + 1
    halt = Halt(number, None, None, None, reason, BY, now, until)
    act = Act(now, BY, "hold", None, None, None, reason, until)
    return Batch(now, halts={number: halt}, acts=[act], generation=number)
