"""The event door from outside: requests built beforehand, and two loops that send them.

One sends each at its instant (`play`). It is open: what is sent when does not depend on the answers. Where a closed
loop waits for a slow answer it does not ask meanwhile, and so leaves out of its figures the very requests that would
have waited ("coordinated omission"). Here an instant that finds all connections busy still counts from itself. One
thread with `select`, whose timeout has the resolution of the kernel's timers (`epoll` in Python rounds up to
milliseconds); so a few dozen connections at most.

The other one asks again as soon as it is answered, on each connection (`repeat`): how much the door can take. It shares
a core with others, so it is as short as it can be; a loop of trio tasks would cost as much as the door itself does.
"""

from __future__ import annotations

import json
import select
import socket
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle
from urllib.parse import urlsplit

PATIENCE = 30.0
"""Seconds for an answer once everything has been sent."""


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    at: int
    """Nanoseconds of CLOCK_MONOTONIC."""


def address(url: str) -> tuple[str, int]:
    """Host and port of an `http://` URL. Raises ValueError with a sentence."""
    parts = urlsplit(url)
    if parts.scheme != "http" or not parts.hostname or parts.path.strip("/"):
        raise ValueError("must be http://host:port: the scripts write to the door itself, not to a proxy")
    return parts.hostname, parts.port or 80


def request(
    key: str,
    body: object = None,
    *,
    method: str = "POST",
    path: str = "/v1/events",
    headers: Mapping[str, str] | None = None,
) -> bytes:
    """The bytes of a request. A body of bytes is JSON already."""
    content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    fields = {
        "host": "relay",
        "authorization": f"Bearer {key}",
        **({} if body is None else {"content-type": "application/json", "content-length": str(len(content))}),
        **(headers or {}),
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + content


def status_of(received: bytes) -> int:
    """The status of an answer; 0 while it is not complete."""
    head, found, body = received.partition(b"\r\n\r\n")
    if not found:
        return 0
    first, *lines = head.lower().split(b"\r\n")
    length = next((int(line[15:]) for line in lines if line.startswith(b"content-length:")), 0)
    return int(first[9:12]) if len(body) >= length else 0


def schedule(rate: float, seconds: float, start: int) -> list[int]:
    """Instants in nanoseconds, evenly spaced from `start` on."""
    return [start + round(number * 1e9 / rate) for number in range(round(rate * seconds))]


def play(door: tuple[str, int], requests: Sequence[bytes], instants: Sequence[int], connections: int) -> list[Answer]:
    """Send each request at its instant (CLOCK_MONOTONIC, ascending), or as soon after it as a connection is free.

    Raises OSError when the door closes a connection, or does not answer any more.
    """
    with _connected(door, connections) as every:
        return _play(deque(every), requests, instants)


def repeat(door: tuple[str, int], requests: Sequence[bytes], connections: int, seconds: float) -> list[float]:
    """Send them again and again, on each connection the next one after an answer; milliseconds from request to 202.

    Raises OSError when the door closes a connection, or gives another answer.
    """
    with _connected(door, connections) as every:
        return _repeat({each.fileno(): each for each in every}, requests, time.perf_counter() + seconds)


@contextmanager
def _connected(door: tuple[str, int], connections: int) -> Iterator[list[socket.socket]]:
    every = [socket.create_connection(door, PATIENCE) for _ in range(connections)]
    try:
        for each in every:
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield every
    finally:
        for each in every:
            each.close()


def _repeat(every: Mapping[int, socket.socket], requests: Sequence[bytes], until: float) -> list[float]:
    took: list[float] = []
    began: dict[int, float] = {}
    received = dict.fromkeys(every, b"")
    following = cycle(requests)
    with select.epoll() as poll:
        for number, each in every.items():
            poll.register(number, select.EPOLLIN)
            began[number] = time.perf_counter()
            each.sendall(next(following))
        while (now := time.perf_counter()) < until:
            for number, _ in poll.poll(until - now):
                each = every[number]
                data = each.recv(65_536)
                answer = received[number] + data
                status = status_of(answer)
                if not data or status not in (0, 202):
                    raise OSError(f"not accepted: {answer[:80]!r}")
                received[number] = b"" if status else answer
                if status:
                    now = time.perf_counter()
                    took.append((now - began[number]) * 1000)
                    began[number] = now
                    each.sendall(next(following))
    return took


def _play(free: deque[socket.socket], requests: Sequence[bytes], instants: Sequence[int]) -> list[Answer]:
    answers: dict[int, Answer] = {}
    busy: dict[socket.socket, tuple[int, bytes]] = {}
    due = 0
    """How many instants have passed."""
    sent = 0
    while len(answers) < len(requests):
        now = time.monotonic_ns()
        while due < len(instants) and instants[due] <= now:
            due += 1
        while free and sent < due:
            connection = free.popleft()
            connection.sendall(requests[sent])
            busy[connection] = (sent, b"")
            sent += 1
        wait = max(0.0, (instants[due] - time.monotonic_ns()) / 1e9) if due < len(instants) else PATIENCE
        readable, _, _ = select.select(list(busy), [], [], wait)
        if not readable and due == len(instants):
            raise OSError(f"no answer for {PATIENCE:g} s")
        for connection in readable:
            number, received = busy[connection]
            data = connection.recv(65_536)
            at = time.monotonic_ns()
            if not data:
                raise OSError("the door closed a connection")
            if status := status_of(received + data):
                answers[number] = Answer(status, at)
                del busy[connection]
                free.append(connection)
            else:
                busy[connection] = (number, received + data)
    return [answers[number] for number in range(len(requests))]
