"""Which addresses are this machine's only; and some that are no good, as a name that leads to several may have.

Its client tries one after the other. The port is that of a fake which listens elsewhere on loopback, as the addresses
of one service have the same port.
"""

from __future__ import annotations

import ipaddress
import socket

import trio


def is_loopback(host: str) -> bool:
    """Whether it is an address of this machine only; a name is none, for what it stands for is not in our hands."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


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
