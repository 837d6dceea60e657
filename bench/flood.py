"""More than a relay can take: an open loop on many connections, meant for a process of its own.

Every request has its instant, whatever the relay answers (door.py has the reasons), and is sent then, on a connection
that is free, or on a new one while there are fewer than allowed. Where all of them wait for answers it is not sent at
all, and counted (`unsent`): a client with so many connections has no other one. Nothing is repeated: whoever is told
429 or 503 has been told. A relay that turns a connection away answers 503 and closes it; the next request that finds
none free opens another.

One thread on `epoll`, for thousands of connections; its timeouts are whole milliseconds, and so is what they add.
"""

from __future__ import annotations

import contextlib
import resource
import select
import socket
import time
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from bench.door import PATIENCE, schedule, status_of

REFUSALS = (429, 503)
EMPTY = memoryview(b"")
GONE = 0
"""In place of a status: the connection ended without an answer."""


@dataclass(frozen=True, slots=True)
class Flood:
    """What to send: requests in turn, so many per second from an instant of CLOCK_MONOTONIC on (nanoseconds)."""

    door: tuple[str, int]
    requests: Sequence[bytes]
    rate: float
    seconds: float
    start: int
    connections: int


@dataclass(slots=True)
class Tally:
    """What became of it."""

    planned: int = 0
    unsent: int = 0
    unanswered: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    retry_after: Counter[int] = field(default_factory=Counter)
    """Seconds of each refusal; 0: it named none."""
    accepted: int = 0
    """Notices, as the 202s say."""
    accepted_ms: list[float] = field(default_factory=list)
    """From the planned instant to the 202."""
    seconds: float = 0.0
    """From the first instant to the last answer."""

    @property
    def sent(self) -> int:
        return self.planned - self.unsent


@dataclass(slots=True, eq=False)
class _Line:
    """One connection."""

    socket: socket.socket
    instant: int | None = None
    """Of the request that waits for its answer; None: it is free."""
    left: memoryview = EMPTY
    """Of the request, not sent yet."""
    received: bytes = b""


def flood(plan: Flood) -> Tally:
    """Send everything at its instant; return when all is answered, or nothing has come for a while."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with contextlib.closing(select.epoll()) as poll:
        return _Player(plan, poll).play()


class _Player:
    def __init__(self, plan: Flood, poll: select.epoll) -> None:
        self._plan = plan
        self._poll = poll
        self._lines: dict[int, _Line] = {}
        """By descriptor."""
        self._free: deque[_Line] = deque()
        self._busy = 0
        self._tally = Tally()

    def play(self) -> Tally:
        instants = schedule(self._plan.rate, self._plan.seconds, self._plan.start)
        self._tally.planned = len(instants)
        due, heard = 0, time.monotonic_ns()
        try:
            while due < len(instants) or self._busy:
                now = time.monotonic_ns()
                while due < len(instants) and instants[due] <= now:
                    self._post(self._plan.requests[due % len(self._plan.requests)], instants[due])
                    due += 1
                wait = max(0.0, (instants[due] - now) / 1e9) if due < len(instants) else 1.0
                for descriptor, events in self._poll.poll(wait):
                    heard = time.monotonic_ns()
                    self._turn(self._lines[descriptor], events)
                if due == len(instants) and time.monotonic_ns() - heard > PATIENCE * 1e9:
                    break
        finally:
            for line in list(self._lines.values()):
                self._close(line)
        self._tally.unanswered = self._busy
        self._tally.seconds = max(self._plan.seconds, (heard - self._plan.start) / 1e9)
        return self._tally

    def _post(self, request: bytes, instant: int) -> None:
        if self._free:
            line = self._free.popleft()
        elif len(self._lines) < self._plan.connections:
            line = self._open()
        else:
            self._tally.unsent += 1
            return
        line.instant, line.left, line.received = instant, memoryview(request), b""
        self._busy += 1
        self._send(line)

    def _open(self) -> _Line:
        made = socket.socket()
        made.setblocking(False)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        made.connect_ex(self._plan.door)
        line = self._lines[made.fileno()] = _Line(made)
        self._poll.register(made, select.EPOLLIN)
        return line

    def _send(self, line: _Line) -> None:
        try:
            line.left = line.left[line.socket.send(line.left) :]
        except BlockingIOError:
            pass
        except OSError:
            line.left = EMPTY  # an answer may be there to read all the same
        self._poll.modify(line.socket, select.EPOLLIN | (select.EPOLLOUT if line.left else 0))

    def _turn(self, line: _Line, events: int) -> None:
        if events & ~select.EPOLLOUT:
            self._receive(line)
        elif line.left:
            self._send(line)

    def _receive(self, line: _Line) -> None:
        try:
            data = line.socket.recv(65_536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        line.received += data
        status = status_of(line.received)
        if status:
            self._answered(line, status)
        elif not data:
            if line.instant is not None:
                self._tally.statuses[GONE] += 1
            self._drop(line)

    def _answered(self, line: _Line, status: int) -> None:
        head, _, body = line.received.partition(b"\r\n\r\n")
        self._tally.statuses[status] += 1
        if status == 202 and line.instant is not None:
            self._tally.accepted += number_after(b'"accepted":', body)
            self._tally.accepted_ms.append((time.monotonic_ns() - line.instant) / 1e6)
        elif status in REFUSALS:
            self._tally.retry_after[number_after(b"retry-after: ", head.lower())] += 1
        if b"connection: close" in head.lower():
            self._drop(line)
        elif line.instant is not None:
            line.instant, line.received = None, b""
            self._busy -= 1
            self._free.append(line)

    def _drop(self, line: _Line) -> None:
        """It is of no more use."""
        if line.instant is None:
            self._free.remove(line)
        else:
            self._busy -= 1
        self._close(line)

    def _close(self, line: _Line) -> None:
        del self._lines[line.socket.fileno()]
        line.socket.close()


def number_after(name: bytes, text: bytes) -> int:
    """The whole number behind this; 0 when there is none."""
    digits = text.partition(name)[2][:12]
    count = next((index for index, byte in enumerate(digits) if not 0x30 <= byte <= 0x39), len(digits))
    return int(digits[:count] or b"0")
