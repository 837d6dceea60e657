"""A fake APNs or FCM as a process, and what it has seen: one line of its journal for each wakeup."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import trio

from bench.ports import free_port
from tests.e2e.processes import PATIENCE, running

POLL = 0.02
"""Seconds between two looks at a file that another process writes."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A wakeup at the fake."""

    t: float
    token: str
    status: int


class Sightings:
    """The journals of one or several fakes, read as far as they are written."""

    def __init__(self, *journals: Path) -> None:
        self._read = dict.fromkeys(journals, 0)
        self.all: list[Seen] = []
        self.by_token: dict[str, list[float]] = {}
        """token → instants (UTC seconds) of its accepted wakeups"""

    def also(self, journal: Path) -> None:
        self._read.setdefault(journal, 0)

    def look(self) -> list[Seen]:
        """What is new."""
        new = [seen for journal in self._read for seen in self._new_in(journal)]
        self.all += new
        for seen in new:
            if seen.status == 200:
                self.by_token.setdefault(seen.token, []).append(seen.t)
        return new

    def _new_in(self, journal: Path) -> Iterator[Seen]:
        with journal.open("rb") as file:
            file.seek(self._read[journal])
            written = file.read()
        whole = written[: written.rfind(b"\n") + 1]
        self._read[journal] += len(whole)
        for line in whole.splitlines():
            entry = json.loads(line)
            yield Seen(entry["t"], entry["token"], entry["status"])

    async def until(self, satisfied: Callable[[], bool]) -> None:
        """Wait until the journals satisfy a condition."""
        with trio.fail_after(PATIENCE):
            while True:
                self.look()
                if satisfied():
                    return
                await trio.sleep(POLL)

    async def of(self, token: str, times: int = 1) -> None:
        """Wait until a phone was woken so many times."""
        await self.until(lambda: len(self.by_token.get(token, ())) >= times)


@dataclass(frozen=True, slots=True)
class Provider:
    """A fake that listens on `port`."""

    port: int
    credentials: Path
    journal: Path


@asynccontextmanager
async def _fake(command: str, folder: Path, *options: str) -> AsyncIterator[Provider]:
    provider = Provider(free_port(), folder / "credentials", folder / "journal")
    where = ("--port", str(provider.port), "--credentials", provider.credentials, "--journal", provider.journal)
    async with running("fake", command, *where, *options) as fake:
        await fake.line('"listening"')
        yield provider
        fake.terminate()
        assert await fake.ended() == 0
        assert json.loads(await fake.line('"violations"'))["violations"] == {}


def fake_apns(folder: Path, *options: str) -> AbstractAsyncContextManager[Provider]:
    """`feierabend fake apns`, listening; in the end it must have seen no breach of conduct."""
    return _fake("apns", folder, *options)


def fake_fcm(folder: Path, *options: str) -> AbstractAsyncContextManager[Provider]:
    """`feierabend fake fcm` with its token endpoint, likewise."""
    return _fake("fcm", folder, *options)


def token(number: int) -> str:
    """A device token of classic length."""
    return f"{number:064x}"
