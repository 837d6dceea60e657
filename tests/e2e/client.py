"""A client of the doors: what it sent and what came back, with nothing in between that would mend or hide anything."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import trio

from tests.e2e.processes import PATIENCE


class NotSent(Exception):
    """There is nobody to send to."""


class NoAnswer(Exception):
    """The request left, and the connection ended before its answer."""


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:  # noqa: ANN401
        return json.loads(self.body)


Connect = Callable[[], Awaitable[trio.abc.Stream]]


class Client:
    """Asks one thing after the other; connects when it must."""

    def __init__(self, connect: Connect, key: str = "") -> None:
        self._open = connect
        self._key = key
        self._stream: trio.abc.Stream | None = None

    async def ask(
        self, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Send JSON, or bytes as they are. Raises NotSent, NoAnswer."""
        content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        fields = {"host": "relay", "content-type": "application/json", "content-length": str(len(content))}
        if self._key:
            fields["authorization"] = f"Bearer {self._key}"
        fields |= headers or {}
        head = f"{method} {path} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        with trio.fail_after(PATIENCE):
            stream = await self._connect()
            try:
                await stream.send_all(head.encode() + b"\r\n" + content)
                answer = await _read(stream, method)
            except trio.BrokenResourceError:
                answer = None
        if answer is None or answer.headers.get("connection") == "close":
            await self.aclose()
        if answer is None:
            raise NoAnswer
        return answer

    async def _connect(self) -> trio.abc.Stream:
        if self._stream is None:
            try:
                self._stream = await self._open()
            except OSError:
                raise NotSent from None
        return self._stream

    async def aclose(self) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            await trio.aclose_forcefully(stream)


async def _read(stream: trio.abc.Stream, method: str) -> Answer | None:
    """One answer; None when the connection ends before it is whole."""
    data = b""
    while b"\r\n\r\n" not in data:
        if not (more := await stream.receive_some()):
            return None
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    length = 0 if method == "HEAD" else int(headers.get("content-length", "0"))
    while len(body) < length:
        if not (more := await stream.receive_some()):
            return None
        body += more
    return Answer(int(status.split(" ")[1]), headers, bytes(body))


@asynccontextmanager
async def client(where: int | Connect, key: str = "") -> AsyncIterator[Client]:
    """A client of a port on loopback, or of what is reached otherwise; its connection ends with the block."""
    asking = Client(partial(trio.open_tcp_stream, "127.0.0.1", where) if isinstance(where, int) else where, key)
    try:
        yield asking
    finally:
        with trio.CancelScope(shield=True):
            await asking.aclose()
