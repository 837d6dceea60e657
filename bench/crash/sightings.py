"""What reached the providers, by the journals of the strict fakes and the stamps of the sink, and in which life."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ACCEPTED = 200
JOURNALS, STAMPS = ("apns.journal", "fcm.journal"), "sink.stamps"
"""In the folder of the providers."""


class Seen(NamedTuple):
    """An accepted wakeup. `t` in UTC seconds; `life`: number of the relay that sent it; `node`: at whose provider."""

    t: float
    life: int
    node: int = 0


class Sightings:
    """The files, read as far as they are written. What a look finds new was sent by the relay that it names.

    `folders`: of the providers, each with the journals of the strict fakes and the stamps of the sink.
    """

    def __init__(self, *folders: Path) -> None:
        self._folders = folders
        self._read: dict[Path, int] = {}
        self.by_token: dict[str, list[Seen]] = {}
        self.count = 0
        self.refused = 0
        """Answers that were no acceptance."""

    def look(self, life: int) -> None:
        for node, folder in enumerate(self._folders):
            self._look(life, node, folder)

    def _look(self, life: int, node: int, folder: Path) -> None:
        for journal in JOURNALS:
            for line in self._new(folder / journal):
                entry = json.loads(line)
                if entry["status"] == ACCEPTED:
                    self._note(entry["token"], Seen(entry["t"], life, node))
                else:
                    self.refused += 1
        epoch = time.time() - time.monotonic()
        for line in self._new(folder / STAMPS):
            token, _, instant = line.decode().partition(" ")
            self._note(token, Seen(int(instant) / 1e9 + epoch, life, node))

    def _note(self, token: str, seen: Seen) -> None:
        self.by_token.setdefault(token, []).append(seen)
        self.count += 1

    def _new(self, path: Path) -> Iterator[bytes]:
        if not path.exists():
            return
        with path.open("rb") as file:
            file.seek(self._read.get(path, 0))
            data = file.read()
        whole = data[: data.rfind(b"\n") + 1]
        self._read[path] = self._read.get(path, 0) + len(whole)
        yield from whole.splitlines()

    def of(self, token: str, life: int | None = None) -> list[Seen]:
        """Wakeups of a phone; in one life only."""
        return [seen for seen in self.by_token.get(token, ()) if life is None or seen.life == life]

    def since(self, token: str, instant: float) -> bool:
        """Whether it was woken after an instant."""
        return any(seen.t >= instant - ROUNDING for seen in reversed(self.by_token.get(token, ())))


ROUNDING = 0.002
"""Seconds: journals have milliseconds."""
