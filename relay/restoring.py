"""`feierabend restore`: a backup in the place of the database, for a relay that does not run.

Everything is made ready in a file beside the database, and takes its place by one rename (store/replacing.py): before
that nothing has changed, whatever goes wrong. What was erased since the backup was made is erased again, from the file
that is kept apart (store/erasures.py). And everything is held: a restored relay does not know what it has sent since,
nor what people have set. It sends nothing but what pierces rest until an operator has seen to that, for seven days at
most from the restore (`LONGEST`).

Where it is not known what was erased since, because the backup is older than erasures are kept, or their file is lost,
the backup is refused, unless whoever restores it has said that it must be.
"""

from __future__ import annotations

import os
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from relay import trust
from relay.config import Config
from relay.core.erasing import Erased
from relay.core.errors import RelayError
from relay.core.operating import Selection, hold
from relay.loading import Household, draft_without
from relay.ops.control import LONGEST
from relay.store import erasures
from relay.store.copying import Contents, examine
from relay.store.files import lock
from relay.store.port import StoreMismatch
from relay.store.replacing import Marks, marks_if_readable, marks_of, put_in_place, renumber, scratch, take_in
from relay.store.sqlite import SqliteStore

BY: Final = "restore"
"""Who holds everything, in the record."""


class CannotRestore(RelayError):
    """Nothing has changed."""


class UnknownErasures(CannotRestore):
    """Somebody who was erased might come back."""


@dataclass(frozen=True, slots=True)
class Restored:
    contents: Contents
    erased_again: int
    """Erasures since the backup, of what was in it or not."""
    aside: Path | None
    """Where the former database is; None: there was none."""
    held_until: float


@dataclass(frozen=True, slots=True)
class _Since:
    """What was erased since a backup."""

    erased: Erased
    number: int | None
    """Of the last erasure; None: nobody knows."""
    identity: int | None
    """Of the database, as the file of erasures has it."""
    is_all: bool


def restore(config: Config, backup: Path, now: float, *, whatever_was_erased: bool = False) -> Restored:
    """Put a backup in the place of the database. Raises CannotRestore, ClockIsWrong, StoreError, OSError."""
    trust.check(now)
    database = Path(os.path.realpath(config.store.file))
    if not backup.is_file():
        raise CannotRestore(f"{backup}: is no file")
    if database.exists() and backup.samefile(database):
        raise CannotRestore(f"{backup}: is the database itself")
    aside = database.with_name(f"{database.name}.before-{datetime.fromtimestamp(now, UTC):%Y%m%dT%H%M%SZ}")
    if os.path.lexists(aside):
        raise CannotRestore(f"{aside}: is there already")
    held = lock(database)
    try:
        with scratch(database) as ready:
            take_in(backup, ready)
            contents = examine(ready)
            marks, present = marks_of(ready), marks_if_readable(database)
            since = _since(erasures.path_of(database), marks, present)
            if not (since.is_all or whatever_was_erased):
                raise UnknownErasures("it is not known what was erased since this backup was made")
            given = max(marks.newest, present.newest if present is not None else 0)
            until = _make_ready(config, ready, contents, since, given, now)
            was_there = put_in_place(ready, database, aside)
    finally:
        os.close(held)
    return Restored(contents, since.erased.count, aside if was_there else None, until)


def _since(path: Path, marks: Marks, present: Marks | None) -> _Since:
    """What stands in the file of erasures and not in a backup. `present`: what the former database says.

    Raises StoreMismatch, StoreError.
    """
    kept = erasures.read(path)
    if kept is None:
        return _Since(Erased(), None, None, is_all=False)
    if marks.identity not in (None, kept.identity):
        raise StoreMismatch(f"the backup is of another database than {path.name}")
    is_it = present is not None and present.identity == kept.identity
    committed = present.erased if present is not None and is_it else None
    newest = max(marks.erased, kept.confirmed, kept.last if committed is None else committed)
    is_all = kept.knows_all_since(marks.erased, committed)
    return _Since(kept.since(marks.erased, committed), newest, kept.identity, is_all)


def _make_ready(config: Config, ready: Path, contents: Contents, since: _Since, given: int, now: float) -> float:
    """A database of today's version that counts on from now, has nothing that was erased, and holds everything.

    `given`: the highest number that is known to be. Returns until when it holds. Raises StoreMismatch, StoreError.
    """
    notary = config.store.masters.notary()
    SqliteStore(ready, notary).close()  # migrated
    household = Household(config.store.masters, config.tenants)
    renumber(ready, household.tenants, given, now, since.number, since.identity)
    erasures.path_of(ready).unlink()  # the real ones lie beside the database
    until = now + LONGEST
    with closing(SqliteStore(ready, notary)) as store:
        epoch = household.fill(store.load())
        draft = draft_without(household, since.erased, epoch, now)
        hold(draft, Selection(None, None, None), f"restored from {_named(contents)}", BY, until)
        store.commit_erased_again(draft.batch)
    return until


def _named(contents: Contents) -> str:
    if contents.at is None:
        return "a copy that does not say when it was made"
    return f"a backup of {datetime.fromtimestamp(contents.at, UTC).isoformat(timespec='seconds')}"
