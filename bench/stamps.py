"""What the sink has noted (`feierabend fake sink --stamps`), and which event each line belongs to."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Sequence
from pathlib import Path

LOOK = 0.05
"""Seconds between two looks at the file."""
QUIET = 5.0
"""Seconds without a new line after which nothing more is expected."""


class Arrivals:
    """Instants by token, in nanoseconds of CLOCK_MONOTONIC; of lines written after this was made."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = path.stat().st_size
        self.by_token: dict[str, list[int]] = {}
        self.count = 0

    def read(self) -> bool:
        """Take in what is new; whether anything was. A line half written waits for the next time."""
        with self._path.open("rb") as file:
            file.seek(self._offset)
            data = file.read()
        whole = data[: data.rfind(b"\n") + 1]
        self._offset += len(whole)
        for line in whole.splitlines():
            token, _, instant = line.decode().partition(" ")
            self.by_token.setdefault(token, []).append(int(instant))
            self.count += 1
        return bool(whole)

    def wait(self, count: int) -> None:
        """Until there are so many lines, or none has come for a while."""
        last = time.monotonic()
        while self.count < count and time.monotonic() - last < QUIET:
            if self.read():
                last = time.monotonic()
            else:
                time.sleep(LOOK)

    def first_after(self, token: str, instant: int) -> int | None:
        """When the phone was woken for an event of this instant: the first time since. Several events may share it."""
        found = self.by_token.get(token, [])
        position = bisect_left(found, instant)
        return found[position] if position < len(found) else None


def delays(arrivals: Arrivals, tokens: Sequence[str], instants: Sequence[int]) -> tuple[list[float], int]:
    """(milliseconds from each instant to the arrival at its token, how many never arrived)."""
    found = [arrivals.first_after(token, instant) for token, instant in zip(tokens, instants, strict=True)]
    arrived = [(at - instant) / 1e6 for at, instant in zip(found, instants, strict=True) if at is not None]
    return arrived, len(found) - len(arrived)
