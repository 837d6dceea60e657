"""Requests to the event door in numbers: `relay.client` makes them, this writes them pipelined on few connections.

For the rest documents only. The clients of `relay.client` wait for an answer before they send the next request; httpx
takes 5 ms for each when 32 are under way at a time (2,743 documents, 13.9 s), so 21,000 would take longer than all the
rest of the demo. This reads only what our own door writes: an answer with a content-length, in order.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

import trio

from relay.client import Call
from relay.core.errors import RelayError

WINDOW: Final = 32
"""Requests of one connection that are under way; the door takes 64."""
READ: Final = 65_536


class Unanswered(RelayError):
    """The door refused a request, or went away."""


class Doorway:
    """One connection to a door, for one API key."""

    def __init__(self, stream: trio.abc.Stream, key: str) -> None:
        self._stream = stream
        self._key = key.encode()
        self._received = bytearray()

    @classmethod
    async def open(cls, address: tuple[str, int], key: str) -> Doorway:
        return cls(await trio.open_tcp_stream(*address), key)

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def send_all(self, calls: Sequence[Call]) -> list[Any]:
        """Many requests; their answers, in order. Raises Unanswered at the first that is not 2xx."""
        answers: list[Any] = []
        for first in range(0, len(calls), WINDOW):
            some = calls[first : first + WINDOW]
            await self._stream.send_all(b"".join(self._bytes(call) for call in some))
            answers += [await self._answer() for _ in some]
        return answers

    def _bytes(self, call: Call) -> bytes:
        body = b"" if call.body is None else json.dumps(call.body).encode()
        head = f"{call.method} {call.path} HTTP/1.1\r\nhost: relay\r\ncontent-type: application/json\r\n"
        for name, value in (call.headers or {}).items():
            head += f"{name}: {value}\r\n"
        return b"%sauthorization: Bearer %s\r\ncontent-length: %d\r\n\r\n%s" % (
            head.encode(), self._key, len(body), body,
        )  # fmt: skip

    async def _answer(self) -> Any:  # noqa: ANN401 (JSON)
        while (end := self._received.find(b"\r\n\r\n")) < 0:
            await self._more()
        lines = bytes(self._received[:end]).decode("latin-1").split("\r\n")
        fields = dict(line.lower().split(": ", 1) for line in lines[1:])
        size = int(fields.get("content-length", "0"))
        begin = end + 4
        while len(self._received) < begin + size:
            await self._more()
        body = bytes(self._received[begin : begin + size])
        del self._received[: begin + size]
        status = lines[0].split(" ", 2)[1]
        if not status.startswith("2"):
            raise Unanswered(f"the door answered {status}: {body.decode()}")
        return json.loads(body) if body else None

    async def _more(self) -> None:
        data = await self._stream.receive_some(READ)
        if not data:
            raise Unanswered("the door closed the connection")
        self._received += data
