"""Keeps relays running, as systemd would: one that has ended is started again a moment later.

It has imported all that a relay needs, and forks (starter.py). Told by JSON lines:

    {"keep": 0, "command": ["serve", …], "folder": "…", "launcher": null}   start, and start again whenever it ends
    {"let": 0}                                                              do not start it again when it has ended
    {"pause": 2.5}                                                          seconds from an end to the next start

What happens is appended to the file that it is given, with instants in UTC seconds. At the end of its input it kills
what runs, and ends.

    {"node": 0, "pid": 123, "log": "…", "t": …}
    {"node": 0, "pid": 123, "ended": -9, "t": …}
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import relay.store.postgres  # noqa: F401 (the relays import it, each in a process of its own otherwise)
from bench.crash.starter import READY, ended, started

PAUSE: Final = 0.1
"""Seconds from the end of a relay to its next start, until told otherwise."""


class Supervisor:
    """`diary`: descriptor of the file."""

    def __init__(self, diary: int) -> None:
        self._diary = diary
        self._kept: dict[int, dict[str, Any]] = {}
        self._running: dict[int, int] = {}
        """Process id → node."""
        self._due: dict[int, float] = {}
        """Node → when it is started again, by the monotonic clock."""
        self._starts = 0
        self._pause = PAUSE

    def obey(self, command: dict[str, Any]) -> None:
        if "keep" in command:
            self._kept[command["keep"]] = command
            self._start(command["keep"])
        elif "pause" in command:
            self._pause = command["pause"]
        else:
            self._kept.pop(command["let"])
            self._due.pop(command["let"], None)

    def _start(self, node: int) -> None:
        self._starts += 1
        command = self._kept[node]
        log = Path(command["folder"]) / f"relay-{self._starts}.log"
        log.touch()
        pid = started(command["command"], str(log), command["launcher"])
        self._running[pid] = node
        self._note(node=node, pid=pid, log=str(log))

    def look(self) -> float | None:
        """Bury what has ended, start what is due; seconds until the next start."""
        for pid in list(self._running):
            if (code := ended(pid, os.WNOHANG)) is not None:
                node = self._running.pop(pid)
                self._note(node=node, pid=pid, ended=code)
                if node in self._kept:
                    self._due[node] = time.monotonic() + self._pause
        for node, at in list(self._due.items()):
            if at <= time.monotonic():
                del self._due[node]
                self._start(node)
        return min(self._due.values()) - time.monotonic() if self._due else None

    def kill(self) -> None:
        for pid in self._running:
            os.kill(pid, signal.SIGKILL)

    def _note(self, **members: object) -> None:
        os.write(self._diary, json.dumps({**members, "t": time.time()}).encode() + b"\n")


def main(arguments: Sequence[str]) -> None:
    diary = os.open(arguments[0], os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    news, told = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(told, warn_on_full_buffer=False)
    supervisor = Supervisor(diary)
    sys.stdout.write(json.dumps(READY) + "\n")
    sys.stdout.flush()
    rest = b""
    while True:
        wait = supervisor.look()
        readable, _, _ = select.select([0, news], [], [], None if wait is None else max(0.0, wait))
        if news in readable:
            with contextlib.suppress(BlockingIOError):
                os.read(news, 512)
        if 0 in readable:
            data = os.read(0, 65_536)
            if not data:
                break
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                supervisor.obey(json.loads(line))
    supervisor.kill()


if __name__ == "__main__":
    main(sys.argv[1:])
