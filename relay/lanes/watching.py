"""Credential files, looked at once a minute: what has changed is read, checked, and only then used.

A file that is gone, half written or wrong changes nothing: the credential in use stays, and the log says once what is
wrong with which app's file, in words that tell nothing of what is inside. A look is one `stat`, and costs a few
microseconds; a link that was pointed elsewhere is a change too.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final, Generic, TypeVar

import structlog
import trio

from relay.clock import Clock

EVERY: Final = 60.0
"""Seconds between two looks."""

log = structlog.get_logger()
T = TypeVar("T")
Signature = tuple[int, int, int]
"""(instant of the last change in ns, size, inode)"""


class Watched(Generic[T]):
    """One app's file. `read` and `take` raise ValueError with a sentence, `read` OSError too; then nothing changes."""

    def __init__(
        self, app: str, path: Path, read: Callable[[Path], T], take: Callable[[T], None], clock: Clock
    ) -> None:
        self._app = app
        self._path = path
        self._read = read
        self._take = take
        self._clock = clock
        self._seen: Signature | str = ""
        """How the file was when it was read last, or why it could not be looked at."""

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Look until cancelled."""
        task_status.started()
        while True:
            await self._clock.sleep_until(self._clock.now() + EVERY)
            self.look()

    def look(self) -> None:
        """Use what the file holds, if it has changed since the last look and is good."""
        try:
            found = self._path.stat()
            signature: Signature | str = (found.st_mtime_ns, found.st_size, found.st_ino)
        except OSError as error:
            signature = error.strerror or type(error).__name__
        if signature == self._seen:
            return
        self._seen = signature
        try:
            self._take(self._read(self._path))
        except OSError as error:
            self._rejected(f"cannot be read: {error.strerror}")
        except ValueError as error:
            self._rejected(str(error))

    def _rejected(self, reason: str) -> None:
        log.error("credential_rejected", app=self._app, reason=reason)
