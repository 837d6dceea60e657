"""A TCP proxy between a store and its server, which breaks the connection of the next commit, and says where.

Its threads end when the sockets do.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from enum import Enum
from types import TracebackType
from typing import Final
from urllib.parse import urlsplit

from relay.store.postgres_connection import STALE
from tests.e2e.processes import PATIENCE

_COMMIT: Final = b"COMMIT\0"
_PARSE: Final = b"P\x00\x00\x00"
"""How a short message begins that makes a statement. A connection sends COMMIT as text twice, and then by a name."""
_SYNC: Final = b"S\x00\x00\x00\x04"
"""The end of a pipeline."""
_READY: Final = b"Z\x00\x00\x00\x05I"
"""ReadyForQuery, outside of a transaction."""
_STALE: Final = STALE.encode()


class Break(Enum):
    """What becomes of a commit whose connection breaks."""

    BEFORE = "the server gets nothing of it, and sees the connection end"
    AFTER = "the server does it, and its answer is lost"
    LATE = "all of it lies in some buffer, and the server gets it later: `deliver`"
    HALF = "the server has it but for COMMIT, and may get that later: `deliver`, or `forget`"


class Between:
    def __init__(self, url: str) -> None:
        self._there = urlsplit(url)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._next: Break | None = None
        self._left: tuple[socket.socket, bytes] | None = None
        self._unheard = b""
        self._is_over = threading.Event()
        self._open: list[socket.socket] = [self._listener]
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        port = self._listener.getsockname()[1]
        return self._there._replace(netloc=f"{self._there.username}@127.0.0.1:{port}").geturl()

    def break_next(self, how: Break) -> None:
        self._next = how

    def deliver(self) -> bytes:
        """What was held back arrives now; the server's answer, which nobody else hears."""
        assert self._left is not None
        server, held = self._left
        server.sendall(held)
        assert self._is_over.wait(PATIENCE)
        return self._unheard

    def forget(self) -> None:
        """The server learns that the connection is gone."""
        assert self._left is not None
        self._left[0].shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> Between:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for opened in self._open:
            with suppress(OSError):
                opened.shutdown(socket.SHUT_RDWR)
            opened.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection((self._there.hostname or "", self._there.port or 0))
                self._open += [client, server]
                lost = threading.Event()
                for way in (self._up, self._down):
                    threading.Thread(target=way, args=(client, server, lost), daemon=True).start()

    def _up(self, client: socket.socket, server: socket.socket, lost: threading.Event) -> None:
        held = b""
        with _ending(client):
            while data := client.recv(65_536):
                held += data
                how = self._next
                if how is not None and _SYNC not in held.partition(_COMMIT)[2]:
                    continue
                if how is None:
                    server.sendall(held)
                    held = b""
                    continue
                self._next = None
                if how is Break.BEFORE:
                    server.shutdown(socket.SHUT_RDWR)
                    break
                lost.set()
                cut = {Break.AFTER: len(held), Break.LATE: 0, Break.HALF: _before_commit(held)}[how]
                self._left = server, held[cut:]
                server.sendall(held[:cut])
                if how is Break.AFTER:
                    self._is_over.wait(PATIENCE)
                break

    def _down(self, client: socket.socket, server: socket.socket, lost: threading.Event) -> None:
        with _ending(server):
            while data := server.recv(65_536):
                if not lost.is_set():
                    client.sendall(data)
                    continue
                self._unheard += data
                if _STALE in self._unheard or (_COMMIT in self._unheard and _READY in self._unheard):
                    self._is_over.set()
                    break


def _before_commit(held: bytes) -> int:
    return held.rindex(_PARSE, 0, held.index(_COMMIT))


@contextmanager
def _ending(end: socket.socket) -> Iterator[None]:
    """It is closed with the block."""
    with suppress(OSError):
        yield
    with suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    end.close()
