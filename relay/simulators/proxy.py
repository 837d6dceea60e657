"""A strict HTTP proxy for simulators: CONNECT and nothing else, Basic where it has credentials, and faults on request.

It resolves names itself, from a table of its own: a client that had looked the name up would not come with it. What a
client does wrong is counted under a word and answered 400. Its faults are those of proxies in the field: refusals,
silence, another protocol, half a head, a head in many pieces, and bytes behind the head that nobody asked for.
"""

from __future__ import annotations

import base64
import enum
import re
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

import trio

from relay.simulators.addresses import is_loopback

LARGEST_HEAD: Final = 8_192
READ: Final = 65_536
ESTABLISHED: Final = b"HTTP/1.1 200 Connection established\r\n\r\n"
GARBAGE: Final = b"220 mail.example ESMTP\r\n"
_LINE: Final = re.compile(r"CONNECT (\S+) HTTP/1\.([01])")
_TARGET: Final = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]+)):([0-9]{1,5})")
_BROKEN: Final = (OSError, trio.BrokenResourceError, trio.ClosedResourceError)

Open = Callable[[str, int], Awaitable[trio.abc.Stream]]
"""(host, port) → what listens there. Raises OSError."""


class Fault(enum.StrEnum):
    """What it does in the place of an answer."""

    SILENCE = "silence"
    GARBAGE = "garbage"
    CUT = "cut"
    """It closes in the middle of its head."""


@dataclass(slots=True)
class Faults:
    """May be changed while it runs."""

    status: int | None = None
    """Answered to whoever does everything right."""
    fault: Fault | None = None
    pieces: tuple[int, ...] = ()
    """Offsets in its answer at which one write ends and another begins."""
    pace: float = 0.0
    """Seconds before each piece; without pieces each byte is one."""
    extra: bytes = b""
    """Comes with the answer, behind its head."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A request and what was answered. `target`: as the client wrote it; empty for what is none."""

    target: str
    status: int
    fields: Mapping[str, str] = field(repr=False)


class FakeProxy:
    """`names`: what its resolver knows, (host, port) by `host:port`; all else is left to `open_`."""

    def __init__(self, open_: Open, credentials: str | None = None, names: Mapping[str, tuple[str, int]] = {}) -> None:
        self._open = open_
        self.credentials = credentials
        self.names = dict(names)
        self.faults = Faults()
        self.asked: list[Asked] = []
        self.violations: Counter[str] = Counter()
        self.tunnels = 0
        """There have been so many."""

    async def serve_stream(self, stream: trio.abc.Stream) -> None:
        """One connection, to its end."""
        try:
            head, early = await _head(stream)
            if head is None:
                self.violations["no_head"] += 1
                return
            await self._answer(stream, head, early)
        except _BROKEN:
            pass
        finally:
            await trio.aclose_forcefully(stream)

    async def _answer(self, stream: trio.abc.Stream, head: bytes, early: bytes) -> None:
        target, fields, wrong = read(head)
        if early:
            wrong = wrong or "spoke_before_the_answer"
        status = 400 if wrong else self._judge(fields)
        self.violations.update([wrong] if wrong else [])
        far = await self._reach(target) if status == 200 else None
        if status == 200 and far is None:
            status = 502
        self.asked.append(Asked(target, status, fields))
        try:
            if not await self._say(stream, status) or far is None:
                return
            self.tunnels += 1
            await _join(stream, far)
        finally:
            if far is not None:
                await trio.aclose_forcefully(far)

    def _judge(self, fields: Mapping[str, str]) -> int:
        if self.credentials is not None:
            wanted = "Basic " + base64.b64encode(self.credentials.encode()).decode()
            if fields.get("proxy-authorization") != wanted:
                return 407
        return self.faults.status or 200

    async def _reach(self, target: str) -> trio.abc.Stream | None:
        match = _TARGET.fullmatch(target)
        assert match is not None
        host, port = self.names.get(target, (match[1] or match[2], int(match[3])))
        try:
            return await self._open(host, port)
        except OSError:
            return None

    async def _say(self, stream: trio.abc.Stream, status: int) -> bool:
        """Answer, or do what is asked in the place of that; whether there is a tunnel now."""
        faults = self.faults
        if faults.fault is Fault.SILENCE:
            while await stream.receive_some(READ):
                pass
            return False
        if faults.fault is Fault.GARBAGE:
            await stream.send_all(GARBAGE)
            return False
        answer = ESTABLISHED if status == 200 else refusal(status)
        if faults.fault is Fault.CUT:
            await stream.send_all(answer[: len(answer) // 2])
            return False
        data = answer + faults.extra
        edges = faults.pieces or (tuple(range(1, len(data))) if faults.pace else ())
        for begin, end in zip((0, *edges), (*edges, len(data)), strict=True):
            await trio.sleep(faults.pace)
            await stream.send_all(data[begin:end])
        return status == 200


def read(head: bytes) -> tuple[str, dict[str, str], str]:
    """(target, fields by lower-case name, what is wrong with it; empty when nothing is)."""
    line, *rest = head.decode("latin-1").split("\r\n")
    request = _LINE.fullmatch(line)
    fields: dict[str, str] = {}
    for field_line in rest:
        name, colon, value = field_line.partition(":")
        if not colon or not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name):
            return "", {}, "bad_field"
        if name.lower() in fields:
            return "", {}, "field_twice"
        fields[name.lower()] = value.strip(" \t")
    if request is None:
        return "", fields, "no_connect"
    target = _TARGET.fullmatch(request[1])
    if target is None or not 0 < int(target[3]) <= 65_535:
        return "", fields, "bad_target"
    host = fields.get("host", request[1] if request[2] == "0" else "")  # HTTP/1.0 needs none
    return request[1], fields, "" if host == request[1] else "another_host"


def refusal(status: int) -> bytes:
    asks = b'Proxy-Authenticate: Basic realm="simulator"\r\n' if status == 407 else b""
    return b"HTTP/1.1 %d Refused\r\n%bContent-Length: 0\r\nConnection: close\r\n\r\n" % (status, asks)


async def _head(stream: trio.abc.Stream) -> tuple[bytes | None, bytes]:
    """(a request's head without its end, what came behind it); None when there is none."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = await stream.receive_some(READ)
        data += more
        if not more or len(data) > LARGEST_HEAD:
            return None, data
    head, _, early = data.partition(b"\r\n\r\n")
    return head, early


async def _join(near: trio.abc.Stream, far: trio.abc.Stream) -> None:
    """Hand on bytes both ways until either side ends."""
    async with trio.open_nursery() as nursery:

        async def pump(source: trio.abc.Stream, sink: trio.abc.Stream) -> None:
            try:
                while data := await source.receive_some(READ):
                    await sink.send_all(data)
            except _BROKEN:
                pass
            nursery.cancel_scope.cancel()

        nursery.start_soon(pump, near, far)
        await pump(far, near)


async def open_on_loopback(host: str, port: int) -> trio.abc.Stream:
    """For processes of their own: they lead nobody off this machine. Raises OSError."""
    if host != "localhost" and not is_loopback(host):
        raise OSError("not on loopback")
    return await trio.open_tcp_stream(host, port)
