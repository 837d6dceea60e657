"""The way from each node to the database: a TCP relay of our own, as a process, that can be cut.

    {"way": 0, "be": "open"}     what was held back arrives, and new connections are made
    {"way": 0, "be": "refuse"}   connections are closed, and new ones refused
    {"way": 0, "be": "hole"}     neither bytes nor an end of any connection pass, in either direction; new ones are
                                 taken by the kernel, and hear nothing

Each is answered with itself, once it holds. What a node had written into a hole arrives when that is open again, as
bytes do that were on their way: the database must refuse them then.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Final

import trio

PIECE: Final = 65_536
GONE: Final = (trio.BrokenResourceError, trio.ClosedResourceError, OSError)


class Way:
    """One, from a port of ours to the server's."""

    def __init__(self, port: int, server: int) -> None:
        self._port = port
        self._server = server
        self._open = trio.Event()
        self._open.set()
        self._running: trio.CancelScope | None = None
        self._closed = trio.Event()

    async def be(self, what: str, nursery: trio.Nursery) -> None:
        """Return when it holds."""
        if what == "refuse" and self._running is not None:
            self._running.cancel()
            await self._closed.wait()
            self._running = None
        if what != "refuse" and self._running is None:
            self._running = await nursery.start(self._serve)
        if what == "hole":
            self._open = trio.Event()
        else:
            self._open.set()

    async def _serve(self, *, task_status: trio.TaskStatus[trio.CancelScope]) -> None:
        self._closed = trio.Event()
        with trio.CancelScope() as scope:
            listeners = await trio.open_tcp_listeners(self._port, host="127.0.0.1")
            try:
                task_status.started(scope)
                async with trio.open_nursery() as nursery:
                    while True:
                        stream = await listeners[0].accept()
                        nursery.start_soon(self._join, stream)
            finally:
                for listener in listeners:
                    listener.socket.close()
        self._closed.set()

    async def _join(self, node: trio.SocketStream) -> None:
        server: trio.SocketStream | None = None
        try:
            await self._open.wait()
            server = await trio.open_tcp_stream("127.0.0.1", self._server)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._pass, node, server, nursery.cancel_scope)
                nursery.start_soon(self._pass, server, node, nursery.cancel_scope)
        except OSError:
            pass
        finally:
            for stream in (node, server):
                if stream is not None:
                    stream.socket.close()

    async def _pass(self, source: trio.SocketStream, target: trio.SocketStream, scope: trio.CancelScope) -> None:
        """Until either end is gone; then the other one is too, but not through a hole."""
        try:
            while data := await source.receive_some(PIECE):
                await self._open.wait()
                await target.send_all(data)
        except GONE:
            pass
        await self._open.wait()
        scope.cancel()


async def main(ports: Sequence[str]) -> None:
    """The server's port, and those of the ways."""
    server, *ours = map(int, ports)
    rest = b""
    async with trio.open_nursery() as nursery:
        ways = [Way(port, server) for port in ours]
        for way in ways:
            await way.be("open", nursery)
        _say(ready=True)
        async for data in trio.lowlevel.FdStream(0):
            *lines, rest = (rest + bytes(data)).split(b"\n")
            for command in map(json.loads, lines):
                await ways[command["way"]].be(command["be"], nursery)
                _say(**command)
        nursery.cancel_scope.cancel()


def _say(**members: object) -> None:
    sys.stdout.write(json.dumps(members) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    trio.run(main, sys.argv[1:])
