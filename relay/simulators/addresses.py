"""Addresses that are no good: a name that leads to several is tried by its client one after the other.

The port is that of a fake which listens elsewhere on loopback, as the addresses of one service have the same port.
"""

from __future__ import annotations

import socket

import trio


async def refuse(host: str, port: int, *, task_status: trio.TaskStatus[None]) -> None:
    """Answer every attempt to connect with a reset: the port is taken, and nobody listens."""
    with _bound(host, port):
        task_status.started()
        await trio.sleep_forever()


async def swallow(host: str, port: int, *, task_status: trio.TaskStatus[None]) -> None:
    """Let every attempt to connect go unanswered: the queue of connections is full, so Linux drops what comes."""
    with _bound(host, port) as listener:
        listener.listen(0)
        with _bound(host, 0) as first, _bound(host, 0) as second:
            for own in (first, second):
                own.setblocking(False)
                own.connect_ex((host, port))
            task_status.started()
            await trio.sleep_forever()


def _bound(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    found = socket.socket(family, socket.SOCK_STREAM)
    found.bind((host, port))
    return found
