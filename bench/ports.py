"""Ports for servers that scripts and tests start, and start again.

They lie below those that the kernel hands out to clients, so that what is started again finds its port free. And nobody
else gets one meanwhile: when they were drawn at random, a relay once found its door taken by the fake that was to be
its provider. So each process leases a block of them, and hands these out in turn. A lease is an abstract Unix socket of
the block's name (Linux only): the kernel gives it to one process, and takes it back when that ends, however it does.
"""

from __future__ import annotations

import os
import random
import socket
from collections.abc import Iterator
from itertools import cycle
from typing import Final

FIRST, LAST, BLOCK = 20_000, 31_999, 200
_STARTS: Final = range(FIRST, LAST, BLOCK)
_leased: dict[int, Iterator[int]] = {}
"""By process: a child that was forked has its parent's, and must not use it."""


def free_port() -> int:
    """A port on which nobody listens; no other process gets it, and this one only after all others of its block.

    Raises RuntimeError when none is left.
    """
    ports = _leased.get(os.getpid()) or _leased.setdefault(os.getpid(), _lease())
    for _ in range(BLOCK):
        port = next(ports)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise RuntimeError("there is no free port")


def _lease() -> Iterator[int]:
    for start in random.SystemRandom().sample(_STARTS, len(_STARTS)):
        lease = socket.socket(socket.AF_UNIX)
        try:
            lease.bind(f"\0feierabend-ports-{start}")
        except OSError:
            lease.close()
            continue
        lease.detach()  # open as long as the process lives
        return cycle(range(start, start + BLOCK))
    raise RuntimeError("all ports are leased")
