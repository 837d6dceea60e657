"""Unix sockets, wherever they lie, which only our own user and root can open; and how a command asks there.

A path in an address has 107 bytes at most; folders are often longer. So the folder is opened, and the socket named by
the descriptor (Linux: /proc/self/fd). A socket that a killed process left behind is removed: that nobody listens on it
is known from the lock on the database. Nothing else is ever removed: a path may name a key by mistake.
"""

from __future__ import annotations

import errno
import http.client
import json
import os
import socket
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, Final, Protocol

import trio

from relay.core.errors import CannotListen

PRIVATE: Final = 0o600
FOR_THE_GROUP: Final = 0o660
"""For who shows a key: whom the relay's group lets in, need not be the relay's user."""


class Serves(Protocol):
    async def run(
        self,
        listeners: Sequence[trio.abc.Listener[trio.abc.Stream]],
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None: ...


@contextmanager
def short(path: Path) -> Iterator[str]:
    """A short name of a path, for the length of the block. Raises OSError."""
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


async def serve(
    server: Serves,
    path: Path,
    backlog: int = 16,
    mode: int = PRIVATE,
    *,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve on a socket until cancelled, or the server has drained; remove it then. Raises CannotListen."""
    try:
        listening = trio.socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    except OSError as error:
        raise _cannot(path, error) from None
    try:
        with short(path) as name:
            _remove_stale(name)
            before = os.umask(0o777 & ~mode)
            try:
                await listening.bind(name)
            finally:
                os.umask(before)
        listening.listen(backlog)
    except OSError as error:
        listening.close()
        raise _cannot(path, error) from None
    try:
        async with trio.open_nursery() as nursery:
            await nursery.start(partial(server.run, [trio.SocketListener(listening)]))
            task_status.started()
    finally:
        with suppress(OSError), short(path) as name:
            os.unlink(name)


def _remove_stale(name: str) -> None:
    """Raises OSError, also for what is no socket."""
    with suppress(FileNotFoundError):
        if not stat.S_ISSOCK(os.lstat(name).st_mode):
            raise FileExistsError(errno.EEXIST, "something else than a socket is there")
        os.unlink(name)


def _cannot(path: Path, error: OSError) -> CannotListen:
    return CannotListen(str(path), error.strerror or type(error).__name__)


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("relay")
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        with short(self._path) as name:
            self.sock.connect(name)


def ask(path: Path, method: str, target: str, body: object = None) -> tuple[int, Any]:
    """One request to a server of ours, and its (status, JSON). Raises OSError."""
    connection = _Connection(path)
    try:
        headers = {} if body is None else {"content-type": "application/json"}
        connection.request(method, target, None if body is None else json.dumps(body), headers)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    except (http.client.HTTPException, ValueError):
        raise OSError("gave no proper answer") from None
    finally:
        connection.close()
