"""The store that a configuration names, opened for the process that serves it.

SQLite: copies that nobody has fetched are removed, and what was erased is erased again if somebody has put an older
file there. PostgreSQL: nothing of that is ours. psycopg is imported here and only then: who stays with SQLite need not
have it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from relay.config import Config, PostgresConfig
from relay.core.chain import Notary
from relay.loading import Household, erase_again
from relay.store import copying
from relay.store.port import SharedStore, StoreError
from relay.store.sqlite import SqliteStore

NO_DRIVER: Final = "store.postgresql needs the package psycopg: pip install 'feierabend[postgres]'"


class NoDriver(StoreError):
    def __init__(self) -> None:
        super().__init__(NO_DRIVER)


@contextmanager
def driver() -> Iterator[None]:
    """For imports of what imports psycopg. Raises NoDriver, also where its own libraries are missing."""
    try:
        yield
    except ImportError as error:
        if error.name not in (None, "psycopg"):
            raise
        raise NoDriver from None


def open_file(config: Config, now: float) -> SqliteStore:
    """Raises StoreError, StoreMismatch, ClockIsWrong, OSError."""
    store = SqliteStore(config.store.file, config.store.masters.notary())
    try:
        copying.clear(config.store.file)
        erase_again(Household(config.store.masters, config.tenants), store, now)
    except BaseException:
        store.close()
        raise
    return store


def open_database(place: PostgresConfig, notary: Notary) -> SharedStore:
    """Raises StoreError, StoreMismatch, NoDriver."""
    with driver():
        from relay.store.postgres import PostgresStore
    return PostgresStore(place.url, place.password, notary)
