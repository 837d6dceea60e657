"""An HTTP/1.1 client that says exactly what it is told, and sees an answer or none."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any, Final

import trio

from bench.simulation.network import Line, Listener, Network

PATIENCE: Final = 40.0
"""Seconds to wait for an answer."""
KEPT: Final = 0.15
"""Share of the connections that are kept for another request."""
DOOR: Final = "door"
"""Name of the lines to the relay's door."""


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def content(self) -> Any:  # noqa: ANN401 (whatever the answer holds)
        return json.loads(self.body)


class Caller:
    """Keeps a connection or two for the next request, as backends do."""

    def __init__(
        self, network: Network, door: Callable[[], Listener | None], rng: Random, *, name: str = DOOR,
        owner: object = None,
    ) -> None:  # fmt: skip
        """`name`: of its lines; `owner`: the process that calls, if it is one of those that can die."""
        self._network = network
        self._door = door
        self._rng = rng
        self._name = name
        self._owner = owner
        self._idle: list[Line] = []

    async def ask(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Answer | None:
        """None when there is no answer: nobody there, the connection was lost, or it took too long."""
        line: Line | None = None
        answer: Answer | None = None
        try:
            with trio.move_on_after(PATIENCE):
                line = self._kept() or await self._network.dial(self._name, self._call)
                line.near.owner = self._owner
                await line.near.send_all(_request(method, target, headers, body))
                answer = await _answer(line)
        except (OSError, trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        except trio.Cancelled:
            if line is not None:
                line.reset()
            raise
        if line is not None:
            if answer is not None and answer.headers.get("connection") != "close" and self._rng.random() < KEPT:
                self._idle.append(line)
            else:
                line.reset() if answer is None else await line.near.aclose()
        return answer

    def _kept(self) -> Line | None:
        """A connection of before; it may have ended meanwhile, as at any client."""
        while self._idle:
            line = self._idle.pop()
            if line.is_open:
                return line
        return None

    def _call(self, line: Line) -> bool:
        door = self._door()
        if door is None or not door.is_open:
            return False
        door.call(line.far)
        return True


def _request(method: str, target: str, headers: Mapping[str, str], body: bytes) -> bytes:
    fields = {"Host": "relay", **headers, "Content-Length": str(len(body))}
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"{method} {target} HTTP/1.1\r\n{head}\r\n".encode() + body


async def _answer(line: Line) -> Answer | None:
    """None: the connection ended first."""
    data = b""
    while b"\r\n\r\n" not in data:
        piece = await line.near.receive_some()
        if not piece:
            return None
        data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    first, *fields = head.decode("ascii").split("\r\n")
    headers = {name.lower(): value for name, value in (field.split(": ", 1) for field in fields)}
    length = int(headers.get("content-length", "0"))
    while len(body) < length:
        piece = await line.near.receive_some()
        if not piece:
            return None
        body += piece
    return Answer(int(first.split(" ")[1]), headers, body)
