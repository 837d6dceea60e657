"""Relay processes, one after the other, and how each is watched from outside: by its log, which is a file, by its
metrics, and by the files of its database."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from bench.crash.installation import LOOK, PATIENCE, Installation, fetched
from bench.crash.leavings import moved
from bench.crash.starter import READY


class Helper:
    """A process of ours that is told things, and says things, in JSON lines; it ends with the block."""

    def __init__(self, module: str, *arguments: str) -> None:
        command = [sys.executable, "-m", module, *arguments]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
        self._name = module

    def tell(self, **command: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(command) + "\n")

    def hear(self) -> Any:  # noqa: ANN401 (JSON)
        """The next thing it says."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"{self._name} has ended")
        return json.loads(line)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(PATIENCE)
        assert self._process.stdout is not None
        self._process.stdout.close()


class Relays(Helper):
    """Starts relays of an installation. `launcher`: a program to run in the place of the relay's own."""

    def __init__(self, installation: Installation, launcher: Path | None = None) -> None:
        super().__init__("bench.crash.starter")
        self._installation = installation
        self._launcher = str(launcher) if launcher else None
        self._count = 0
        assert self.hear() == READY

    @contextlib.contextmanager
    def running(self, database: Path) -> Iterator[Relay]:
        """A relay, just started; killed at the end if it is not dead yet."""
        self._count += 1
        log = self._installation.folder / f"relay-{self._count}.log"
        log.touch()
        arguments = ["serve", "--config", str(self._installation.configure(database))]
        self.tell(start=arguments, log=str(log), launcher=self._launcher)
        pid = self.hear()
        assert isinstance(pid, int)
        relay = Relay(pid, log, database, self._installation.ops, self._ended)
        try:
            yield relay
        finally:
            relay.kill()

    def _ended(self, pid: int, *, wait: bool) -> int | None:
        self.tell(**{"wait" if wait else "poll": pid})
        code: int | None = self.hear()
        return code


@dataclass(slots=True)
class Relay:
    """A relay process, from outside."""

    pid: int
    log: Path
    database: Path
    ops: int
    ended: Callable[..., int | None]
    code: int | None = None
    """Its exit code; None while it runs, as far as is known."""
    index: int | None = None
    """What the log's index had as wanted when the relay was ready; None before."""

    def has_said(self, words: str) -> bool:
        return words in self.log.read_text()

    @property
    def is_ready(self) -> bool:
        return self.has_said('"relay_started"')

    @property
    def is_over(self) -> bool:
        if self.code is None:
            self.code = self.ended(self.pid, wait=False)
        return self.code is not None

    def wait_until_ready(self) -> None:
        deadline = time.monotonic() + PATIENCE
        while not self.is_ready:
            if self.is_over or time.monotonic() > deadline:
                raise SystemExit(f"the relay did not start:\n{self.log.read_text()[-2000:]}")
            time.sleep(2 * LOOK)
        self.index = moved(self.database)[1]

    def kill(self) -> float:
        """SIGKILL, at once: nothing is asked before. Returns when (UTC seconds)."""
        at = time.time()
        if self.code is None:
            os.kill(self.pid, signal.SIGKILL)
            self.code = self.ended(self.pid, wait=True)
        return at

    def terminate(self) -> None:
        os.kill(self.pid, signal.SIGTERM)

    def stop(self) -> int | None:
        """SIGTERM; the exit code."""
        self.terminate()
        self.code = self.ended(self.pid, wait=True)
        return self.code

    # --- what it is doing

    def metrics(self) -> dict[str, float]:
        """What /metrics tells, by name and labels as they are written there."""
        lines = fetched(f"127.0.0.1:{self.ops}", "/metrics").decode().splitlines()
        return {n: float(v) for n, v in (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))}

    def is_quiet(self) -> bool:
        """No wakeup is queued or without an answer, and all verdicts are booked."""
        names = ("feierabend_lane_queued", "feierabend_lane_in_flight", "feierabend_verdicts_waiting")
        return not any(value for name, value in self.metrics().items() if name.startswith(names))

    @property
    def is_moving(self) -> bool:
        """It moves its log into the file, or did so when it died. A start leaves the index as if a move had begun."""
        done, wanted = moved(self.database)
        return self.index is not None and done < wanted != self.index

    @property
    def log_bytes(self) -> int:
        """Size of the write-ahead log."""
        try:
            return os.stat(f"{self.database}-wal").st_size
        except OSError:
            return 0
