"""Many lives of one relay on one database: started, asked, killed, looked at, and started again.

What each kill is aimed at, and what it hit, is the business of aims.py; what came of all of it that of judge.py.
"""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Any

from bench.crash.aims import AIMS, Remains, fell, until
from bench.crash.case import Life
from bench.crash.installation import Installation
from bench.crash.leavings import Reader, torn_frames
from bench.crash.people import ROUND, Force, Officer
from bench.crash.record import Record
from bench.crash.relays import Helper, Relay, Relays
from bench.crash.sightings import Sightings

COMMIT = 0.1
"""Seconds from a large post to its answer, until one has been measured."""
PAUSE = 0.05
"""Seconds between two looks while everything is worked off."""


class Client(Helper):
    """The recording client's process."""

    def __init__(self, installation: Installation, rounds: int, crowd: int, seed: int) -> None:
        path = installation.folder / "record.jsonl"
        settings = {
            "rounds": rounds, "crowd": crowd, "seed": seed, "pace": ROUND, "keys": installation.keys,
            "ports": [installation.door], "ops": [], "record": str(path),
        }  # fmt: skip
        super().__init__("bench.crash.backend", json.dumps(settings))
        self.record = Record(path)
        self._open = 0
        assert self.hear()["ready"]

    def tell(self, **command: object) -> None:
        super().tell(**command)
        self._open += command["do"] not in ("life", "rest")

    def hear(self) -> Any:  # noqa: ANN401 (JSON)
        said = super().hear()
        self._open -= "ended" in said
        return said

    def wait(self) -> None:
        """Until all that it was told is done."""
        while self._open:
            self.hear()


@dataclass(slots=True)
class Trial:
    """All lives so far. `patience`: seconds without any wakeup after which what is still owed is taken for lost."""

    installation: Installation
    relays: Relays
    force: Force
    client: Client
    sightings: Sightings
    rng: Random
    patience: float
    began: float = field(default_factory=time.time)
    lives: list[Life] = field(default_factory=list)
    metrics: dict[str, float] = field(default_factory=dict)
    """As told when everything owed had come."""
    faults: list[str] = field(default_factory=list)
    """Of relay processes that ended by themselves."""
    start_seconds: float = 1.0
    """From the start of a process to its readiness, as measured last."""
    commit_seconds: float = COMMIT
    reader: Reader = field(init=False)
    _started_at: float = 0.0

    def __post_init__(self) -> None:
        self.reader = Reader(self.force.everybody())

    @property
    def folder(self) -> Path:
        return self.installation.folder

    @property
    def database(self) -> Path:
        return self.installation.database

    @property
    def record(self) -> Record:
        return self.client.record

    @property
    def number(self) -> int:
        """Of the life that goes on, or comes next."""
        return len(self.lives)

    # --- lives

    def enlist(self) -> None:
        """Phones and rests of everybody; killed as soon as the last answer is there."""
        with self._relay() as relay:
            self.wait_until_ready(relay)
            self.client.tell(do="enlist", began=self.began)
            self.client.wait()
            self._kill(relay, "enlist")

    def round(self, number: int, aim: str) -> None:
        """A life that ends by SIGKILL. `aim`: of AIMS."""
        with self._relay() as relay:
            AIMS[aim](self, relay, number)
            self._kill(relay, aim, number)

    def finish(self, missing: Callable[[], Sequence[object]]) -> None:
        """Repeat what may be repeated, wait for what is owed, and stop in order."""
        with self._relay() as relay:
            self.wait_until_ready(relay)
            for do in ("repeat", "farewell"):
                self.client.tell(do=do)
                self.client.wait()
            self.wait_for(missing)
            self.wait_until_quiet(relay)
            self.metrics = relay.metrics()
            self._stop(relay, "finish")

    def once_more(self) -> None:
        """What is settled stays settled: after another start only something new wakes anybody."""
        with self._relay() as relay:
            self.wait_until_ready(relay)
            self.client.tell(do="witness")
            self.client.wait()
            tokens = [phone.token for phone in self.force.witness.phones]
            self.wait_for(lambda: [token for token in tokens if not self.sightings.of(token)])
            self.wait_until_quiet(relay)
            self._stop(relay, "once more")

    def know(self, people: Iterable[Officer]) -> None:
        """They are new in the life that goes on."""
        self.reader.know(people)

    def _relay(self) -> AbstractContextManager[Relay]:
        self.client.tell(do="life", life=self.number)
        self._started_at = time.time()
        return self.relays.running(self.database)

    def _kill(self, relay: Relay, aim: str, number: int = 0) -> None:
        ended = relay.kill()
        if relay.code not in (0, -signal.SIGKILL):
            self.faults.append(f"life {self.number}: the relay ended by itself: {relay.log.read_text()[-500:]}")
        remains = Remains(relay, relay.is_moving, torn_frames(self.database))
        life = self._looked_at(aim, ended)
        group = [phone.token for officer in self.force.released.get(number, ()) for phone in officer.phones]
        self.lives.append(replace(life, fell=fell(self, life, remains, group if aim == "release" else ())))

    def _stop(self, relay: Relay, aim: str) -> None:
        if relay.stop() != 0:
            self.faults.append(f"life {self.number}: ended with {relay.code}")
        self.lives.append(self._looked_at(aim, time.time()))

    def _looked_at(self, aim: str, ended: float) -> Life:
        """Everything about a relay that is dead, but what it was doing."""
        self.client.tell(do="rest")
        self.client.wait()
        self.record.look()
        providers = self.installation.providers
        providers.wait_until_left()
        unanswered = sum(journal["unanswered"] for journal in providers.journals().values())
        self.sightings.look(self.number)
        left = self.reader.snapshot(self.database, self.folder / "copy", ended)
        counted = sum(life.unanswered for life in self.lives)
        return Life(number=self.number, aim=aim, ended=ended, left=left, unanswered=unanswered - counted)

    # --- waiting

    def wait_for(self, missing: Callable[[], Sequence[object]]) -> None:
        """Until nothing is missing; or nothing has come for so long that nothing will."""
        moved_at, count = time.monotonic(), -1
        while time.monotonic() - moved_at < self.patience:
            self.sightings.look(self.number)
            self.record.look()
            if not missing():
                return
            if self.sightings.count != count:
                moved_at, count = time.monotonic(), self.sightings.count
            time.sleep(PAUSE)

    def wait_until_ready(self, relay: Relay) -> None:
        relay.wait_until_ready()
        self.start_seconds = time.time() - self._started_at

    def wait_until_quiet(self, relay: Relay) -> None:
        """Until everything is booked. What a commit holds that is being written is counted nowhere, so something is
        asked whose answer comes after that commit."""
        until(relay.is_quiet, PAUSE)
        self.client.tell(do="nothing")
        self.client.wait()
        until(relay.is_quiet, PAUSE)
