"""An HTTP/1.1 client for the simulators that shares nothing with their server: `h11` over any trio stream."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import h11
import trio
from trio.testing import memory_stream_pair

Fields = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def content(self) -> dict[str, Any]:
        content = json.loads(self.body)
        assert isinstance(content, dict)
        return content


class Caller:
    """One connection of a client."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self.stream = stream
        self._connection = h11.Connection(h11.CLIENT)

    async def ask(
        self, path: str, fields: Fields, body: bytes = b"", *, method: str = "POST", is_chunked: bool = False
    ) -> Answer:
        """One request, and its answer. Raises h11.RemoteProtocolError when the connection ends before that."""
        if self._connection.our_state is h11.DONE:
            self._connection.start_next_cycle()
        framing = ("transfer-encoding", "chunked") if is_chunked else ("content-length", str(len(body)))
        request = h11.Request(method=method, target=path, headers=[("host", "x"), *fields, framing])
        half = len(body) // 2
        for part in (request, h11.Data(body[:half]), h11.Data(body[half:]), h11.EndOfMessage()):
            if data := self._connection.send(part):
                await self.stream.send_all(data)
        status, headers, content = 0, {}, b""
        while not isinstance(event := await self._next(), h11.EndOfMessage):
            if isinstance(event, h11.Response):
                status = event.status_code
                headers = {name.decode(): value.decode() for name, value in event.headers}
            elif isinstance(event, h11.Data):
                content += bytes(event.data)
        return Answer(status, headers, content)

    async def _next(self) -> h11.Event:
        while (event := self._connection.next_event()) is h11.NEED_DATA:
            self._connection.receive_data(bytes(await self.stream.receive_some(65_536)))
        assert not isinstance(event, type)
        return event


@asynccontextmanager
async def calling(serve: Callable[[trio.abc.Stream], Awaitable[None]]) -> AsyncIterator[Caller]:
    """A client joined to a server by a pair of streams in memory. The server is awaited at the end."""
    here, there = memory_stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve, there)
        yield Caller(here)
        await here.aclose()
