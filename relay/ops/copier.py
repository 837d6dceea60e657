"""The copies an operator asks the running relay for (`feierabend backup`): one at a time, in a thread of its own."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import structlog
import trio

from relay.store import copying
from relay.store.port import StoreError

PAUSE: Final = 0.005
"""Seconds after each step: more than half of the time the disk and the processor are for others."""
SPARE: Final = 128 * 2**20
"""Bytes that must stay free beside a copy: the log of the database grows while it is made."""

log = structlog.get_logger()


class Copier:
    """Copies one database to a place beside it. `pause`: seconds after each step; `spare`: bytes to be left free."""

    def __init__(self, database: Path, now: Callable[[], float], *, pause: float = PAUSE, spare: int = SPARE) -> None:
        self._database = Path(os.path.realpath(database))
        self._now = now
        self._pause = pause
        self._spare = spare
        self._is_busy = False

    async def copy(self) -> float:
        """Make a copy; return the instant of which it is. Raises StoreError."""
        if self._is_busy:
            raise StoreError("another copy is being made")
        self._is_busy = True
        try:
            at = self._now()
            size = await trio.to_thread.run_sync(self._copy)
        finally:
            self._is_busy = False
        log.info("copied", bytes=size)
        return at

    def _copy(self) -> int:
        """Its bytes."""
        try:
            return copying.put_beside(self._database, self._breathe, self._look_for_room)
        except OSError as error:
            raise StoreError(f"the copy: {error.strerror or type(error).__name__}") from None

    def _look_for_room(self) -> None:
        """A relay whose disk is full takes nothing more: better no backup. Raises StoreError, OSError."""
        files = [Path(f"{self._database}{end}") for end in ("", "-wal")]
        needed = sum(file.stat().st_size for file in files if file.exists()) + self._spare
        disk = os.statvfs(self._database.parent)
        if disk.f_bavail * disk.f_frsize < needed:
            raise StoreError(f"there is no room beside the database for a copy: {needed // 2**20 + 1} MB must be free")

    def _breathe(self) -> None:
        """Raises Cancelled when the relay ends."""
        trio.from_thread.check_cancelled()
        time.sleep(self._pause)
