"""Both nodes from outside: which process is which, what it logs, and how it ended."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.crash.installation import Installation, fetched
from bench.crash.relays import Helper
from bench.crash.starter import READY


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

    def has_said(self, words: str) -> bool:
        return words in self.log.read_text()

    @property
    def is_ready(self) -> bool:
        return self.has_said('"relay_started"')

    @property
    def stands_by(self) -> bool:
        """Or did, before it took over."""
        return self.has_said('"standing_by"')

    @property
    def is_over(self) -> bool:
        return self.code is not None

    def send(self, number: signal.Signals) -> None:
        """What may end it is meant to."""
        self.is_doomed |= number in (signal.SIGKILL, signal.SIGTERM)
        if not self.is_over:
            os.kill(self.pid, number)

    def metrics(self) -> dict[str, float]:
        """What /metrics tells, by name and labels as they are written there."""
        lines = fetched(f"127.0.0.1:{self.ops}", "/metrics").decode().splitlines()
        return {n: float(v) for n, v in (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))}

    def is_quiet(self) -> bool:
        """No wakeup is queued or without an answer, and all verdicts are booked."""
        names = ("feierabend_lane_queued", "feierabend_lane_in_flight", "feierabend_verdicts_waiting")
        try:
            return not any(value for name, value in self.metrics().items() if name.startswith(names))
        except OSError:
            return False


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

    def fallen(self) -> Iterator[Process]:
        """Those that have ended of themselves."""
        return (process for process in self.every if process.is_over and not process.is_doomed)
