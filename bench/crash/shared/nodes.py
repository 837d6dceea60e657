"""Both nodes from outside: which process is which, what it logs, and how it ended."""

from __future__ import annotations

import http.client
import json
import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.crash.installation import Installation, fetched
from bench.crash.relays import Helper
from bench.crash.starter import READY

EXPECTED = ("taken over", "the store must be read anew")
"""In the last line of a relay that ends by itself, and may: buried, or in doubt of what the database has."""
UNREACHED = "cannot be reached"
"""In that of one that was started without a database."""


@dataclass(slots=True)
class Process:
    """One process of a node."""

    node: int
    pid: int
    log: Path
    ops: int
    started_at: float
    code: int | None = None
    """Its exit code, negative for a signal; None while it runs, as far as is known."""
    ended_at: float = 0.0
    is_doomed: bool = False
    """We have ended it, or told it to end."""
    is_drained: bool = False
    """Told to end in order."""

    def has_said(self, words: str) -> bool:
        return words in self.log.read_text()

    @property
    def is_ready(self) -> bool:
        return self.has_said('"relay_started"')

    @property
    def has_explained_itself(self) -> bool:
        """It ended as it may. By its last words only: a log holds the same words where a relay went on."""
        last = "".join(self.log.read_text().splitlines()[-1:])
        return any(words in last for words in EXPECTED) or (UNREACHED in last and not self.is_ready)

    @property
    def is_over(self) -> bool:
        return self.code is not None

    def send(self, number: signal.Signals) -> None:
        """What may end it is meant to."""
        self.is_doomed |= number in (signal.SIGKILL, signal.SIGTERM)
        self.is_drained |= number == signal.SIGTERM
        if not self.is_over:
            os.kill(self.pid, number)

    def metrics(self) -> dict[str, float]:
        """What /metrics tells, by name and labels as they are written there."""
        lines = fetched(f"127.0.0.1:{self.ops}", "/metrics").decode().splitlines()
        return {n: float(v) for n, v in (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))}

    def is_quiet(self, share: int) -> bool:
        """It has so many partitions; no wakeup is queued or without an answer, and all verdicts are booked."""
        names = ("feierabend_lane_queued", "feierabend_lane_in_flight", "feierabend_verdicts_waiting")
        try:
            told = self.metrics()
        except (OSError, http.client.HTTPException):
            return False
        is_idle = not any(value for name, value in told.items() if name.startswith(names))
        return is_idle and told.get("feierabend_partitions") == share


class Nodes(Helper):
    """The supervisor's process, and what it has noted so far. `launcher`: as for a single relay."""

    def __init__(self, installations: Sequence[Installation], folder: Path, launcher: Path | None) -> None:
        self._diary = folder / "supervisor.jsonl"
        self._diary.touch()
        self._read = 0
        self._installations = installations
        self._launcher = str(launcher) if launcher else None
        self.now: dict[int, Process] = {}
        """By node, the last one that was started."""
        self.every: list[Process] = []
        super().__init__("bench.crash.shared.supervisor", str(self._diary))
        assert self.hear() == READY

    def keep(self, node: int, url: str) -> None:
        """Run a relay there, on this database, and another one whenever it has ended."""
        installation = self._installations[node]
        command = ["serve", "--config", str(installation.configure(url))]
        self.tell(keep=node, command=command, folder=str(installation.folder), launcher=self._launcher)

    def pause(self, seconds: float) -> None:
        """From the end of a process to the start of the next one."""
        self.tell(pause=seconds)

    def let(self, node: int) -> None:
        """The one that runs is the last one."""
        self.tell(let=node)

    def look(self) -> None:
        """Take in what is new."""
        with self._diary.open("rb") as file:
            file.seek(self._read)
            data = file.read()
        whole = data[: data.rfind(b"\n") + 1]
        self._read += len(whole)
        for line in map(json.loads, whole.splitlines()):
            if "ended" in line:
                process = next(each for each in reversed(self.every) if each.pid == line["pid"])
                process.code, process.ended_at = line["ended"], line["t"]
            else:
                ops = self._installations[line["node"]].ops
                process = Process(line["node"], line["pid"], Path(line["log"]), ops, line["t"])
                self.now[line["node"]] = process
                self.every.append(process)

    def next_start(self, process: Process) -> float:
        """When another one was started in its place, or never was."""
        later = (each.started_at for each in self.every if each.node == process.node)
        return min((at for at in later if at > process.started_at), default=float("inf"))
