"""The stream door on the real inside of a House, and a client that says exactly what a test wants said."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import msgpack
import trio

from relay.doors.keys import Keys
from relay.doors.stream import StreamDoor
from tests.relay.doors.house import House, secret_of, usual_keys
from tests.relay.doors.http_client import MemoryListener


def packed(*messages: object) -> bytes:
    return b"".join(msgpack.packb(message) for message in messages)


def hello(key: str = "backend") -> dict[str, object]:
    return {"stream": 1, "key": f"{key}.{secret_of(key).decode()}"}


class Talk:
    """One stream, as its client has it."""

    def __init__(self, stream: trio.abc.HalfCloseableStream) -> None:
        self.stream = stream
        self._unpacker = msgpack.Unpacker(strict_map_key=False)

    async def say(self, *messages: object) -> None:
        await self.stream.send_all(packed(*messages))

    async def hear(self) -> Any:  # noqa: ANN401 (MessagePack)
        """The next answer; None at the end."""
        while True:
            try:
                return self._unpacker.unpack()
            except msgpack.OutOfData:
                pass
            try:
                data = await self.stream.receive_some()
            except trio.BrokenResourceError:
                return None
            if not data:
                return None
            self._unpacker.feed(data)

    async def hear_up_to(self, number: int) -> list[Any]:
        """All answers until the one that covers a message."""
        heard: list[Any] = []
        while not heard or not _is_answer(heard[-1]) or heard[-1][0] < number:
            answer = await self.hear()
            assert answer is not None, heard
            heard.append(answer)
        return heard

    async def rest(self) -> list[Any]:
        """All answers until the end."""
        heard: list[Any] = []
        while (answer := await self.hear()) is not None:
            heard.append(answer)
        return heard

    async def aclose(self) -> None:
        await self.stream.aclose()


def _is_answer(told: Any) -> bool:  # noqa: ANN401 (MessagePack)
    return isinstance(told, list) and isinstance(told[0], int) and isinstance(told[1], int)


@dataclass(slots=True)
class Streams:
    house: House
    door: StreamDoor
    listener: MemoryListener
    failures: list[BaseException] = field(default_factory=list)
    ended: trio.Event = field(default_factory=trio.Event)
    """Set when `StreamDoor.run` has returned."""

    def connect(self, *, lockstep: bool = False) -> Talk:
        return Talk(self.listener.connect(lockstep=lockstep).stream)

    async def open(self, key: str = "backend") -> Talk:
        """A stream that has been greeted."""
        talk = self.connect()
        await talk.say(hello(key))
        greeting = await talk.hear()
        assert (greeting["stream"], greeting["most"]) == (1, 25_000)
        return talk

    async def people(self, *users: str) -> None:
        for user in users:
            assert (await self.house.register(user)).status == 201


@asynccontextmanager
async def streaming(house: House, keys: Sequence[Any] = (), connections: int = 8) -> AsyncIterator[Streams]:
    """No fault of ours was reported at the end."""
    failures: list[BaseException] = []
    found = Keys([*keys] or usual_keys(next(iter(house.tenants.values()))))
    door = StreamDoor(
        found, house.engine, lambda owner: house.records[owner.name], house.clock.now, failures.append, connections
    )
    streams = Streams(house, door, MemoryListener(), failures)

    async def run(task_status: trio.TaskStatus[None]) -> None:
        await door.run([streams.listener], task_status=task_status)
        streams.ended.set()

    async with trio.open_nursery() as nursery:
        await nursery.start(partial(run))
        yield streams
        nursery.cancel_scope.cancel()
    assert failures == []
