"""Python client for backends that have much to say: a stream of events, acknowledged once they are durable.

    with Stream("127.0.0.1:8082", key) as relay:            # or "unix:/run/feierabend/events.sock"
        relay.send(["u1", "u2", "u2"])                      # three messages for two people
        relay.send([{"user": "u3", "class": "roster"}])     # members as of POST /v1/events
        relay.flush()                                       # returns when all of it is durable
        relay.send([{"user": "u4", "class": "alarm", "role": "dispatch", "reason": "incident"}], idempotency_key="a17")
        relay.flush().receipts                              # for GET /v1/alarms/{receipt}

For one thread. `send` returns when the kernel has the bytes; it waits while the relay takes nothing more, which is how
the relay slows a backend down. A connection that breaks is made anew, and what was not acknowledged is sent again, at
least once: a repeated event is one more event for the same wakeup, and a message with an idempotency key counts once.
What of a process is lost when it dies before `flush`, its backend must know itself.
"""

from __future__ import annotations

import select
import socket
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final, NamedTuple, Self

import msgpack

VERSION: Final = 1
PAUSES: Final = (0.0, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 5.0, 5.0, 5.0)
"""Seconds before each attempt to connect; after the last one `send` and `flush` raise what the system said."""
_LOST: Final = select.POLLHUP | select.POLLERR
_PIECE: Final = 2**18


class StreamRefused(Exception):
    """The relay ended the stream: a wrong key, say. Doing the same again does not help."""

    def __init__(self, problem: Mapping[str, Any]) -> None:
        self.status = int(problem["refused"])
        self.problem = problem
        super().__init__(f"{self.status} {problem.get('title', '')} {problem.get('detail', '')}".strip())


class _TryAgain(OSError):
    """The relay is there, and does not serve now."""


@dataclass(slots=True)
class Acknowledged:
    """What became of the messages since the last `flush`, by number where one stands out."""

    accepted: int = 0
    """Notices taken."""
    unknown: int = 0
    """Recipients with nothing to wake."""
    receipts: dict[int, str] = field(default_factory=dict)
    refused: dict[int, Mapping[str, Any]] = field(default_factory=dict)
    """Problems of messages that are wrong as they are; nothing of them was taken."""


class _Sent(NamedTuple):
    number: int
    message: bytes
    recipients: int


class Stream:
    """A stream to one relay. `address`: `host:port`, or `unix:` and a path. Raises OSError, StreamRefused."""

    def __init__(self, address: str, key: str, pauses: Sequence[float] = PAUSES) -> None:
        self._address = address
        self._key = key
        self._pauses = pauses
        self._number = 0
        self._unanswered: deque[_Sent] = deque()
        self._recipients = 0
        """Of what is unanswered."""
        self._out = bytearray()
        self._told = Acknowledged()
        self.waits: str | None = None
        """Why the relay takes nothing now: `overloaded` or `unavailable`; None: it does, as far as it has said."""
        self._connect()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, _error: BaseException | None, _: TracebackType | None) -> None:
        """Flush, unless something has gone wrong already; close."""
        try:
            if kind is None:
                self.flush()
        finally:
            self.close()

    def close(self) -> None:
        self._socket.close()

    def send(self, events: Sequence[str | Mapping[str, object]], idempotency_key: str | None = None) -> int:
        """Send one message, user ids or events; return its number. Raises OSError, StreamRefused."""
        self._number += 1
        key = () if idempotency_key is None else (idempotency_key,)
        message: bytes = msgpack.packb([self._number, events, *key])
        recipients = sum(map(_recipients, events))
        self._unanswered.append(_Sent(self._number, message, recipients))
        self._recipients += recipients
        self._out += message
        self._until(lambda: not self._out and self._recipients <= self._ahead)
        return self._number

    def flush(self) -> Acknowledged:
        """Wait until everything sent is dealt with; what became of it. Raises OSError, StreamRefused."""
        self._until(lambda: not self._unanswered)
        told, self._told = self._told, Acknowledged()
        return told

    # --- the connection

    def _connect(self) -> None:
        """Connect, and send again what was not answered."""
        failure: OSError | None = None
        for pause in self._pauses:
            time.sleep(pause)
            try:
                self._socket = self._opened()
                self._greet()
            except OSError as error:
                failure = error
                continue
            self._socket.setblocking(False)
            self._out = bytearray().join(sent.message for sent in self._unanswered)
            return
        raise failure or OSError("no attempt was made")

    def _opened(self) -> socket.socket:
        if not self._address.startswith("unix:"):
            host, _, port = self._address.rpartition(":")
            return socket.create_connection((host.strip("[]"), int(port)))
        opened = socket.socket(socket.AF_UNIX)
        try:
            opened.connect(self._address.removeprefix("unix:"))
        except OSError:
            opened.close()
            raise
        return opened

    def _greet(self) -> None:
        self._unpacker = msgpack.Unpacker(strict_map_key=False)
        self._ahead = -1
        self.waits = None
        try:
            self._socket.sendall(msgpack.packb({"stream": VERSION, "key": self._key}))
            while self._ahead < 0:
                self._receive()
        except BaseException:
            self._socket.close()
            raise

    def _until(self, done: Callable[[], bool]) -> None:
        """Send and receive until something is so."""
        while not done():
            try:
                self._exchange()
            except OSError:
                self._socket.close()
                self._connect()

    def _exchange(self) -> None:
        poll = select.poll()
        poll.register(self._socket, select.POLLIN | (select.POLLOUT if self._out else 0))
        for _, what in poll.poll():
            if what & (select.POLLIN | _LOST):
                self._receive()
            if what & select.POLLOUT and self._out:
                del self._out[: self._socket.send(memoryview(self._out)[:_PIECE])]

    def _receive(self) -> None:
        received = self._socket.recv(65_536)
        if not received:
            raise ConnectionResetError("the relay has ended the stream")
        self._unpacker.feed(received)
        for answer in self._unpacker:
            self._hear(answer)

    def _hear(self, answer: Any) -> None:  # noqa: ANN401 (MessagePack)
        match answer:
            case {"stream": _, "ahead": ahead}:
                self._ahead = ahead
            case {"refused": status, **_rest}:
                raise _TryAgain(str(answer.get("detail"))) if status in (429, 503) else StreamRefused(answer)
            case ["wait", _, why]:
                self.waits = why
            case [number, {"status": _} as problem]:
                self._told.refused[number] = problem
            case [number, accepted, unknown, *receipts]:
                self.waits = None
                self._told.accepted += accepted
                self._told.unknown += unknown
                self._told.receipts.update(*receipts)
                while self._unanswered and self._unanswered[0].number <= number:
                    self._recipients -= self._unanswered.popleft().recipients


def _recipients(event: str | Mapping[str, object]) -> int:
    users = None if isinstance(event, str) else event.get("users")
    return len(users) if isinstance(users, list) else 1
