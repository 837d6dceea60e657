"""What every process of the relay needs around its work: its limits, how it is stopped, how threads share it."""

from __future__ import annotations

import gc
import os
import resource
import signal
import sys
from typing import Final

import trio

SWITCH_INTERVAL: Final = 0.0005
"""Seconds. The store's thread and the event loop share the GIL; at Python's default of 5 ms a commit beside a busy loop
waits 5 ms each time it wants the interpreter back."""
YOUNG: Final = 50_000
"""New objects after which the collector looks for cycles among them (3 ms). Python's default, 700, makes it look at a
release of 69,000 wakeups over and over: a tenth of all work, and nothing of it is garbage."""


def prepare() -> None:
    """Set up this process for the event loop and the store's thread, with as many descriptors as it may have.

    The usual soft limit of 1,024 is there for programs that use select(); the door alone may take 1,000 connections.
    """
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    sys.setswitchinterval(SWITCH_INTERVAL)
    gc.set_threshold(YOUNG, 10, 10)


def settle() -> None:
    """Everything is loaded: the collector need not look at what is alive now again."""
    gc.collect()
    gc.freeze()


async def watch_signals(stop: trio.Event, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
    """The first SIGTERM or SIGINT begins the drain, the second ends the process."""
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        task_status.started()
        async for _ in signals:
            if stop.is_set():
                os._exit(1)
            stop.set()
