"""The client's connections, and the doors of several nodes as a load balancer in front of them sees those.

A balancer asks every node's /readyz, and sends to those that say yes, in turn. A request to a node that is silent is
given up after a while, and the next one goes to another. With a single relay there is nothing to ask: it is there or it
is not.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import trio

from bench import door

PATIENCE = 60.0
"""Seconds for an answer, where there is nobody else to ask."""
SHORTER, FORWARDED = 2.0, 10.0
"""And where there is; the second for what only the node that has somebody can answer, which may have to be found."""
EVERY, HEALTHY = 0.1, 0.5
"""Seconds between two questions whether a node is ready, and for the answer."""
GONE = (trio.BrokenResourceError, trio.ClosedResourceError, OSError)
_READY = b"GET /readyz HTTP/1.1\r\nhost: relay\r\nconnection: close\r\n\r\n"


class NoAnswer(Exception):
    """It left, and no answer came: the connection ended before, or the node is silent."""


@dataclass(slots=True)
class Connection:
    """Asks one node one thing after the other."""

    node: int
    _stream: trio.abc.Stream | None

    async def ask(self, request: bytes, patience: float, sent: Callable[[], None] | None = None) -> tuple[int, bytes]:
        """(status, body). `sent` is called when all bytes have left. Raises NoAnswer; then it is closed."""
        assert self._stream is not None
        try:
            with trio.fail_after(patience):
                await self._stream.send_all(request)
                if sent is not None:
                    sent()
                received = b""
                while not (status := door.status_of(received)):
                    data = await self._stream.receive_some()
                    if not data:
                        raise NoAnswer
                    received += data
        except (*GONE, trio.TooSlowError):
            raise NoAnswer from None
        head, _, body = received.partition(b"\r\n\r\n")
        if b"connection: close" in head.lower():
            await self.aclose()
        return status, body

    @property
    def is_open(self) -> bool:
        return self._stream is not None

    async def aclose(self) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            with trio.CancelScope(shield=True):
                await trio.aclose_forcefully(stream)


class Doors:
    """`ports` of the doors and `ops` ports, by node."""

    def __init__(self, ports: Sequence[int], ops: Sequence[int]) -> None:
        self._ports = ports
        self._ops = ops
        self._ready = dict.fromkeys(range(len(ports)), not self.are_several)
        self._turn = 0

    @property
    def are_several(self) -> bool:
        return len(self._ports) > 1

    def patience(self, *, is_forwarded: bool) -> float:
        """Seconds for which an answer is waited for."""
        return (FORWARDED if is_forwarded else SHORTER) if self.are_several else PATIENCE

    async def watch(self) -> None:
        """Ask all nodes again and again, where there are several."""
        async with trio.open_nursery() as nursery:
            for node in self._ready if self.are_several else ():
                nursery.start_soon(self._watch, node)

    async def _watch(self, node: int) -> None:
        while True:
            self._ready[node] = await self._is_ready(node)
            await trio.sleep(EVERY)

    async def _is_ready(self, node: int) -> bool:
        with trio.move_on_after(HEALTHY):
            try:
                async with await trio.open_tcp_stream("127.0.0.1", self._ops[node]) as stream:
                    await stream.send_all(_READY)
                    return (await stream.receive_some()).startswith(b"HTTP/1.1 200")
            except GONE:
                pass
        return False

    def failed(self, node: int) -> None:
        """It did not take something: it is asked first whether it is ready."""
        self._ready[node] = not self.are_several

    async def connect(self) -> Connection | None:
        """To a node that is ready; None: there is none at the moment."""
        ready = [node for node, is_ready in self._ready.items() if is_ready]
        self._turn += 1
        for node in (*ready[self._turn % 2 :], *ready[: self._turn % 2]):
            try:
                with trio.fail_after(SHORTER):
                    stream = await trio.open_tcp_stream("127.0.0.1", self._ports[node])
            except (OSError, trio.TooSlowError):
                self.failed(node)
                continue
            return Connection(node, stream)
        return None
