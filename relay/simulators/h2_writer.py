"""What leaves on one connection: frames of `h2` and frames written by hand, in the order in which they were meant."""

from __future__ import annotations

from typing import Protocol

import trio


class Makes(Protocol):
    def data_to_send(self) -> bytes: ...


class Writer:
    """Collects, and sends when it is told to. One that plays dead sends nothing any more, and closes nothing."""

    def __init__(self, stream: trio.abc.Stream, connection: Makes) -> None:
        self._stream = stream
        self._h2 = connection
        self._out = b""
        self._sending = trio.Lock()
        self.is_dying = False
        """What is collected now is the last that is said."""
        self.is_dead = False

    def add(self, data: bytes = b"") -> None:
        """Behind what `h2` has to say by now."""
        self._out += self._h2.data_to_send() + data

    def add_half(self, before: bytes) -> bool:
        """Take back what `h2` has added since `before`, but for its first half. True."""
        new = self._h2.data_to_send()
        self._out = before + new[: len(new) // 2]
        return True

    def so_far(self) -> bytes:
        """Everything that is collected."""
        self.add()
        return self._out

    async def flush(self) -> None:
        """Raises trio.BrokenResourceError, trio.ClosedResourceError."""
        out, self._out = self.so_far(), b""
        if self.is_dead:
            return
        self.is_dead = self.is_dying
        if out:
            async with self._sending:
                await self._stream.send_all(out)

    async def tell(self) -> None:
        """Flush from outside of the connection's own task, which will notice if it is broken."""
        try:
            await self.flush()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
