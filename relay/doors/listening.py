"""Accepting connections, all that knock at a time.

trio accepts one connection for each pass of its loop. A pass takes a millisecond, or a hundred when the relay has more
to do than it can: then a thousand clients that come back at once would be let in over minutes, and whoever has an alarm
stands among them. So after each connection that was waited for, those that are there already are taken too, without
another pass.
"""

from __future__ import annotations

import os
import socket
from collections import deque
from typing import Final

import trio

from relay.doors.sockets import CallersSocket

AT_ONCE: Final = 64
"""Connections taken in one pass: some 20 µs each."""


class CrowdListener(trio.abc.Listener[CallersSocket]):
    """A listener whose `accept` returns at once as long as somebody of the last crowd is left."""

    def __init__(self, listener: trio.SocketListener) -> None:
        self._listener = listener
        self._socket = socket.socket(fileno=os.dup(listener.socket.fileno()))
        """The same one, to be asked without waiting: it does not block, as the first does not."""
        self._crowd: deque[CallersSocket] = deque()

    async def accept(self) -> CallersSocket:
        """Raises OSError, trio.ClosedResourceError."""
        if not self._crowd:
            first = await self._listener.accept()
            self._crowd.append(CallersSocket(socket.socket(fileno=first.socket.detach())))
            self._gather()
        return self._crowd.popleft()

    def _gather(self) -> None:
        while len(self._crowd) < AT_ONCE:
            try:
                accepted, _ = self._socket.accept()
            except OSError:
                return  # nobody is there, or it is told by the next one that is waited for
            self._crowd.append(CallersSocket(accepted))

    async def aclose(self) -> None:
        self._socket.close()
        while self._crowd:
            await trio.aclose_forcefully(self._crowd.popleft())
        await self._listener.aclose()
