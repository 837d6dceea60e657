"""The store that a configuration names, opened for the process that serves it.

SQLite: copies that nobody has fetched are removed, and what was erased is erased again if somebody has put an older
file there. PostgreSQL: nothing of that is ours; but another process may take the store over while this one has nothing
to write, so that is asked for (`Opened.watched`). psycopg is imported here and only then: who stays with SQLite need
not have it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, Protocol

import trio

from relay.config import Config, PostgresConfig
from relay.loading import Household, erase_again
from relay.store import copying
from relay.store.port import StaleEpoch, Store, StoreError
from relay.store.sqlite import SqliteStore

NO_DRIVER: Final = "store.postgresql needs the package psycopg: pip install 'feierabend[postgres]'"
LOOK_EVERY: Final = 1.0
"""Seconds. One that has lost the store sends so long, and no longer, by what people had set before."""


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


class Watch(Protocol):
    def look(self) -> None:
        """Raises StaleEpoch when another process has taken over, StoreError when nobody knows."""

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Opened:
    store: Store
    watch: Callable[[], Watch] | None = None
    """Over what was loaded last; None: nobody can take it over."""

    async def watched(self) -> None:
        """Look, for ever, whether the store is still ours; to be run after `load`. Raises StaleEpoch.

        That it cannot be reached is for who writes to tell.
        """
        if self.watch is None:
            return
        watch = self.watch()
        try:
            while True:
                await trio.sleep(LOOK_EVERY)
                await trio.to_thread.run_sync(_look, watch)
        finally:
            watch.close()


def _look(watch: Watch) -> None:
    try:
        watch.look()
    except StaleEpoch:
        raise
    except StoreError:
        pass


def open_store(config: Config, now: float) -> Opened:
    """Raises StoreError, StoreMismatch, NoDriver, ClockIsWrong, OSError."""
    if config.store.postgresql is not None:
        return _open_postgres(config.store.postgresql)
    store = SqliteStore(config.store.file)
    try:
        copying.clear(config.store.file)
        erase_again(Household(config.store.masters, config.tenants), store, now)
    except BaseException:
        store.close()
        raise
    return Opened(store)


def _open_postgres(place: PostgresConfig) -> Opened:
    with driver():
        from relay.store.postgres import PostgresStore
    store = PostgresStore(place.url, place.password)
    return Opened(store, store.watch)
