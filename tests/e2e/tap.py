"""A look at the bytes that pass."""

from __future__ import annotations

import trio


class Tap(trio.abc.Stream):
    """A stream that keeps what goes either way on it."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self._stream = stream
        self.sent = b""
        self.received = b""

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        self.sent += bytes(data)
        await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        data = await self._stream.receive_some(max_bytes)
        self.received += data
        return data

    async def aclose(self) -> None:
        await self._stream.aclose()
