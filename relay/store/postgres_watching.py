"""Whether a process still has the store: asked for, because one that has nothing to write would not notice.

It would go on waking by what people set before another process took over. A connection of its own, for a thread of its
own: neither a commit nor a reader that is waiting says anything about who has the store.
"""

from __future__ import annotations

from relay.store.port import StaleEpoch
from relay.store.postgres_connection import TAKEN_OVER, Connection, connect, translated


class Watch:
    """Over one epoch."""

    def __init__(self, url: str, password: str | None, epoch: int) -> None:
        self._url, self._password, self._epoch = url, password, epoch
        self._db: Connection | None = None

    def look(self) -> None:
        """Raises StaleEpoch when another process has taken over, StoreError when nobody knows."""
        try:
            with translated():
                if self._db is None:
                    self._db = connect(self._url, self._password, "feierabend watch")
                found = self._db.execute("SELECT 1 FROM node WHERE id = %s AND alive", (self._epoch,)).fetchone()
        finally:
            if self._db is not None and (self._db.broken or self._db.closed):
                self._db = None
        if found is None:
            raise StaleEpoch(TAKEN_OVER)

    def close(self) -> None:
        if self._db is not None:
            self._db.close()
