"""The command line as real processes: started, listened to, and ended whatever happens.

Everything a process says is printed when it has ended, so that pytest shows it beside a failure.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import trio

PATIENCE = 60.0
"""Seconds after which something that must happen is taken for missing; nothing here waits so long when all is well."""
ROOT = Path(__file__).parents[2]


class Child:
    """A running process, and what it has said so far."""

    def __init__(self, process: trio.Process) -> None:
        self.process = process
        self.lines: list[str] = []
        self._news = trio.Event()
        self._open = 0
        """Streams on which it may still say something: what it said last may be read after it has ended."""

    async def line(self, words: str) -> str:
        """The first line that holds `words`, now or later."""
        with trio.fail_after(PATIENCE):
            while True:
                for line in self.lines:
                    if words in line:
                        return line
                assert self._open, f"ended before it said {words!r}"
                await self._news.wait()

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.process.kill()

    def interrupt(self) -> None:
        """As Ctrl-C does."""
        self.process.send_signal(signal.SIGINT)

    async def ended(self) -> int:
        """The exit code."""
        with trio.fail_after(PATIENCE):
            return await self.process.wait()

    async def close_log(self) -> None:
        """Read standard error no more, so that writing to it fails."""
        assert self.process.stderr is not None
        await self.process.stderr.aclose()

    async def listen(
        self, stream: trio.abc.ReceiveStream, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        rest = b""
        self._open += 1
        task_status.started()
        try:
            async for data in stream:
                *lines, rest = (rest + bytes(data)).split(b"\n")
                self.lines += [line.decode() for line in lines]
                self._tell()
        except trio.ClosedResourceError:
            pass
        if rest:
            self.lines.append(rest.decode())
        self._open -= 1
        self._tell()

    def _tell(self) -> None:
        self._news.set()
        self._news = trio.Event()


def running(*arguments: str | Path, zone: str = "UTC") -> AbstractAsyncContextManager[Child]:
    """`feierabend ARGUMENTS` as a process, for the length of the block; killed at its end. `zone`: the machine's."""
    return started(sys.executable, "-m", "relay", *arguments, zone=zone)


@asynccontextmanager
async def started(*command: str | Path, zone: str = "UTC") -> AsyncIterator[Child]:
    """Any program as a process, likewise."""
    process = await trio.lowlevel.open_process(
        [*map(str, command)],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT,
        env={**os.environ, "TZ": zone},
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stderr is not None
    child = Child(process)
    try:
        async with trio.open_nursery() as nursery:
            await nursery.start(child.listen, process.stdout)
            await nursery.start(child.listen, process.stderr)
            try:
                yield child
            finally:
                process.kill()
    finally:
        with trio.CancelScope(shield=True):
            await process.wait()
            await trio.aclose_forcefully(process.stdout)
            await trio.aclose_forcefully(process.stderr)
        print(f"--- {' '.join(map(str, command))}: ended with {process.returncode}", *child.lines, sep="\n")
