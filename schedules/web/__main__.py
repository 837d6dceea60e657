"""The process: settings on standard input, pages on its addresses, events as JSON lines on standard output.

    {"socket": …, "listen": ["127.0.0.1:8081"], …}                  read: one line (settings.py)
    {"event": "ready", "listen": ["127.0.0.1:8081"]}                said, once it listens

It ends on SIGTERM and SIGINT, and when its standard input closes: then whoever started it is gone. What cannot be
used, settings or addresses, is said as an event, and the process ends with 1; so is any exception that ends it.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Final, cast

import trio
from hypercorn.typing import ASGIFramework

from schedules.web import failures
from schedules.web import settings as settings_of
from schedules.web.app import application
from schedules.web.logins import providers
from schedules.web.relay_client import connected
from schedules.web.server import Address, serve
from schedules.web.settings import BadSettings, Settings

LARGEST: Final = 1024 * 1024
"""Bytes of the settings."""
SERVING: Final = 0.8
"""Part of the grace for answers under way; the rest is for the end of the process, which is killed when it is over."""


def tell(event: Mapping[str, object]) -> None:
    """One line for whoever started this."""
    print(json.dumps(event), flush=True)


async def run(
    settings: Settings,
    addresses: Sequence[Address],
    stop: trio.Event,
    *,
    task_status: trio.TaskStatus[list[Address]] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve until `stop`, then for the grace. Raises OSError."""
    async with connected(Path(settings.socket)) as relay, providers(settings.oidc) as known:
        app = cast("ASGIFramework", application(relay, settings, time.time, tell, known))
        grace = settings.grace_seconds * SERVING
        await serve(app, addresses, stop, grace=grace, tell=tell, task_status=task_status)


async def main() -> int:
    """The exit code."""
    stdin = trio.lowlevel.FdStream(os.dup(sys.stdin.fileno()))
    try:
        settings = settings_of.read(await _line(stdin))
        addresses = [Address.of(text) for text in settings.listen]
    except ValueError as error:  # BadSettings among them
        tell({"event": "settings_rejected", "why": str(error)})
        return 1
    stop = trio.Event()
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async with trio.open_nursery() as watching:
            watching.start_soon(_watch_signals, signals, stop)
            watching.start_soon(_watch_parent, stdin, stop)
            failed = await _served(settings, addresses, stop)
            watching.cancel_scope.cancel()
    return 1 if failed else 0


async def _served(settings: Settings, addresses: Sequence[Address], stop: trio.Event) -> bool:
    """Serve to the end; whether it could not."""
    failed = False
    try:
        async with trio.open_nursery() as serving:
            bound = await serving.start(partial(run, settings, addresses, stop))
            tell({"event": "ready", "listen": [str(address) for address in bound]})
    except* OSError as errors:
        failed = True
        tell({"event": "cannot_serve", "why": str(errors.exceptions[0])})
    return failed


async def _line(stdin: trio.abc.ReceiveStream) -> bytes:
    """Raises BadSettings."""
    line = bytearray()
    while b"\n" not in line:
        part = await stdin.receive_some(65_536)
        line += part
        if not part:
            break
        if len(line) > LARGEST:
            raise BadSettings("too long")
    return bytes(line)


async def _watch_signals(signals: AsyncIterator[int], stop: trio.Event) -> None:
    """The first begins the drain, the second ends the process."""
    async for _ in signals:
        if stop.is_set():
            os._exit(1)
        stop.set()


async def _watch_parent(stdin: trio.abc.ReceiveStream, stop: trio.Event) -> None:
    """Nothing more is read; the end is what is waited for."""
    while await stdin.receive_some(1024):
        pass
    stop.set()


def start() -> int:
    """The exit code. An exception would be printed with its message, and a group with a page of them: it is told."""
    try:
        return trio.run(main)
    except Exception as error:  # the edge of the process
        with suppress(OSError):  # nobody listens any more
            tell({"event": "failed", "level": "error", **failures.told(error)})
        return 1


if __name__ == "__main__":
    sys.exit(start())
