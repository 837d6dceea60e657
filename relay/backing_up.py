"""`feierabend backup`: a copy of the database in a file of the operator's, while the relay serves and when it does not.

A relay that runs has the database to itself. So it makes the copy, in its own folder, and it is taken from there: the
relay may be confined to that folder, and what it would write elsewhere nobody would find. Otherwise the copy is made
here, under the lock. Either way it is then finished here: noted of which instant it is, checked, synced and renamed; no
file has the name of a backup that is not a whole one.
"""

from __future__ import annotations

import os
from pathlib import Path

from relay import unix
from relay.config import Config
from relay.core.errors import RelayError
from relay.store import copying
from relay.store.copying import Contents
from relay.store.files import InUse, discard, give_like, lock, new_file, sync
from relay.store.port import StoreMismatch
from relay.store.replacing import pour


class CannotBackUp(RelayError):
    """There is no backup, and nothing is left of it."""


def back_up(config: Config, target: Path, now: float) -> Contents:
    """Write a backup to a new file. Raises CannotBackUp, StoreError, OSError."""
    _must_be_new(target)
    part = target.with_name(f"{target.name}.part")
    _must_be_new(part)
    at = _copied(config, part, now)
    try:
        try:
            contents = copying.finish(part, at)
        except StoreMismatch as error:
            raise CannotBackUp(f"the copy cannot be used, and perhaps the database cannot: {error}") from None
        sync(part)
        _must_be_new(target)
        os.rename(part, target)
        sync(target.parent)
    except BaseException:
        discard(part)
        raise
    return contents


def _must_be_new(path: Path) -> None:
    if os.path.lexists(path):
        raise CannotBackUp(f"{path}: is there already; nothing was written")


def _copied(config: Config, part: Path, now: float) -> float:
    """A copy in a new file; returns its instant. Leaves nothing if it fails."""
    database = Path(os.path.realpath(config.store.file))
    if not database.is_file():
        raise CannotBackUp(f"{database}: there is no database")
    try:
        held = lock(database)
    except InUse:
        with new_file(part) as file:
            return _fetched(config, database, file)
    try:
        give_like(Path(f"{database}.lock"), database)
        copying.copy(database, part, lambda: None)
    finally:
        os.close(held)
    return now


def _fetched(config: Config, database: Path, file: int) -> float:
    """The copy that the running relay makes, into an open file."""
    try:
        status, answer = unix.ask(config.control or Path(), "POST", "/backup")
    except OSError as error:
        raise CannotBackUp(f"{config.control}: {error.strerror or error}; but the database is in use") from None
    if status != 200:
        raise CannotBackUp(str(answer.get("detail") or answer.get("title")))
    staged = copying.beside(database)
    try:
        with staged.open("rb") as read:
            staged.unlink()
            pour(read, file)
    except FileNotFoundError:
        raise CannotBackUp(f"{staged}: is gone; is another backup under way?") from None
    return float(answer["at"])
