"""A client that says exactly what a test wants said, and reads answers as strictly as a client may."""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import msgpack
import trio
from trio.testing import lockstep_stream_pair, memory_stream_pair

JSON = "application/json"
MSGPACK = "application/msgpack"

Field = tuple[str, str]


class MemoryListener(trio.abc.Listener[trio.abc.Stream]):
    """Where in-memory connections arrive. `connect` fails once it is closed, as on a closed port."""

    def __init__(self) -> None:
        self._arriving, self._arrived = trio.open_memory_channel[trio.abc.Stream](math.inf)

    async def accept(self) -> trio.abc.Stream:
        return await self._arrived.receive()

    async def aclose(self) -> None:
        """Who arrived and was not taken is reset, as by a kernel."""
        with contextlib.suppress(trio.WouldBlock):
            while True:
                await trio.aclose_forcefully(self._arrived.receive_nowait())
        self._arrived.close()

    def connect(self, *, lockstep: bool = False) -> Client:
        """`lockstep`: nothing is buffered, so a peer that does not read blocks the other's sending."""
        ours, theirs = lockstep_stream_pair() if lockstep else memory_stream_pair()
        self._arriving.send_nowait(theirs)
        return Client(ours)


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str) -> str | None:
        found = [value for key, value in self.headers if key == name]
        assert len(found) <= 1, f"{name} is given twice"
        return found[0] if found else None

    @property
    def json(self) -> Any:  # noqa: ANN401 (whatever the answer holds)
        return json.loads(self.body)

    @property
    def paths(self) -> list[str]:
        """Paths of a problem's errors."""
        return [error["path"] for error in self.json["errors"]]


def request(
    method: str, target: str, body: bytes = b"", headers: Iterable[Field] = (), *, host: str | None = "relay"
) -> bytes:
    """A request with a declared length, if it has a body."""
    fields = ([("Host", host)] if host is not None else []) + [*headers]
    if body or method in ("POST", "PUT"):
        fields.append(("Content-Length", str(len(body))))
    head = "".join(f"{name}: {value}\r\n" for name, value in fields)
    return f"{method} {target} HTTP/1.1\r\n{head}\r\n".encode("latin-1") + body


def chunked(method: str, target: str, pieces: Iterable[bytes], headers: Iterable[Field] = ()) -> bytes:
    """A request whose body comes in chunks."""
    head = "".join(f"{name}: {value}\r\n" for name, value in [("Host", "relay"), *headers])
    body = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces if piece)
    return f"{method} {target} HTTP/1.1\r\n{head}Transfer-Encoding: chunked\r\n\r\n".encode() + body + b"0\r\n\r\n"


PACK: dict[str, Callable[[object], bytes]] = {
    JSON: lambda value: json.dumps(value).encode(),
    MSGPACK: lambda value: bytes(msgpack.packb(value)),
}
"""Encoders by content type."""


class Client:
    """One connection."""

    def __init__(self, stream: trio.abc.HalfCloseableStream) -> None:
        self.stream = stream
        self._buffer = b""

    async def send(self, data: bytes) -> None:
        await self.stream.send_all(data)

    async def ask(self, data: bytes) -> Answer:
        """Send one request and read its answer."""
        await self.send(data)
        answer = await self.answer(data.partition(b" ")[0].decode("latin-1"))
        assert answer is not None, "the connection ended without an answer"
        return answer

    async def answer(self, method: str = "GET") -> Answer | None:
        """The next answer, interim ones included; None when the connection ended instead."""
        while b"\r\n\r\n" not in self._buffer:
            if not await self._more():
                assert not self._buffer, "the connection ended within the head of an answer"
                return None
        head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        line, *fields = head.decode("ascii").split("\r\n")
        version, status, _phrase = line.split(" ", 2)
        assert version == "HTTP/1.1"
        pairs = [field.split(": ", 1) for field in fields]
        headers = tuple((name, value) for name, value in pairs)
        length = 0 if method == "HEAD" else int(dict(headers).get("content-length", "0"))
        while len(self._buffer) < length:
            assert await self._more(), "the connection ended within the body of an answer"
        body, self._buffer = self._buffer[:length], self._buffer[length:]
        return Answer(int(status), headers, body)

    async def rest(self) -> list[Answer]:
        """All answers until the connection ends."""
        answers = []
        while (answer := await self.answer()) is not None:
            answers.append(answer)
        return answers

    async def _more(self) -> bool:
        try:
            data = await self.stream.receive_some()
        except trio.BrokenResourceError:
            data = b""
        self._buffer += data
        return bool(data)

    async def ended(self) -> bool:
        """Whether the connection is at its end; waits for a byte or the end."""
        return not self._buffer and not await self._more()

    async def aclose(self) -> None:
        await self.stream.aclose()
