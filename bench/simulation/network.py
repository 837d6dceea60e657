"""A network in memory that goes wrong as real ones do: late, in pieces, not at all, and never twice.

A line is two pipes. What is put into a pipe arrives later, in order, cut anywhere; other lines have other delays, so
answers overtake one another. A pipe can be silent (nothing arrives until some instant, or ever), jammed (the sender is
not relieved of its bytes) and broken (what has not arrived is lost, and both ends learn of it). Bytes leave the sender
at once or not at all, as with a socket; a write that is jammed has left with a part of them.

A process that dies takes its ends along: nothing that it writes from then on arrives. What was under way may.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from random import Random
from typing import Final, Protocol

import trio

FOREVER: Final = math.inf
Serve = Callable[[trio.abc.Stream], Awaitable[None]]
Range = tuple[float, float]
"""Seconds, least and most."""


class Tap(Protocol):
    """Who sees what passes at the near end of a line. `called`: when the write began, by trio's clock."""

    def left(self, data: bytes, called: float) -> None: ...
    def arrived(self, data: bytes) -> None: ...


@dataclass(slots=True)
class Climate:
    """How the network is at present."""

    delay: Range = (0.0005, 0.03)
    cut: float = 0.05
    """Share of the writes that arrive in two pieces."""


class Pipe:
    """One direction of a line."""

    __slots__ = ("_changed", "_chunks", "_climate", "_ended", "_freed", "_jammed", "_last", "_rng", "broken", "silent")

    def __init__(self, climate: Climate, rng: Random) -> None:
        self._climate = climate
        self._rng = rng
        self._chunks: deque[tuple[float, bytes]] = deque()
        self._last = 0.0
        self._ended = FOREVER
        """When the reader learns that nothing more comes."""
        self._changed = trio.Event()
        self._freed = trio.Event()
        self._jammed = 0.0
        self.broken = False
        self.silent = 0.0
        """Nothing arrives before this instant (trio's clock)."""

    def put(self, data: bytes) -> None:
        """Bytes leave the sender."""
        if self._rng.random() < self._climate.cut:
            at = int(len(data) * self._rng.random())
            self._put(data[:at])
            data = data[at:]
        self._put(data)
        self.wake()

    def _put(self, data: bytes) -> None:
        self._last = max(self._last, trio.current_time() + self._rng.uniform(*self._climate.delay))
        if data:
            self._chunks.append((self._last, data))

    def end(self) -> None:
        """The sender says that nothing more comes."""
        self._ended = max(self._last, trio.current_time() + self._rng.uniform(*self._climate.delay))
        self.wake()

    def tear(self, *, loses: bool = True) -> None:
        """It is broken; what is under way is lost, or still arrives."""
        self.broken = True
        if loses:
            self._chunks.clear()
        self._freed.set()
        self.wake()

    def wake(self) -> None:
        """Something has changed."""
        self._changed.set()

    @property
    def is_jammed(self) -> bool:
        return trio.current_time() < self._jammed

    def jam(self, until: float) -> None:
        """Nothing is taken before this instant; one that is past frees it."""
        self._freed.set()
        self._freed, self._jammed = trio.Event(), until

    async def taking(self) -> None:
        """Return when it takes bytes, or never will."""
        while self.is_jammed and not self.broken:
            with trio.move_on_at(self._jammed):
                await self._freed.wait()

    async def take(self) -> bytes:
        """Wait for what arrives next, and return in the very step; empty at the end. Raises BrokenResourceError."""
        await trio.lowlevel.checkpoint()
        while True:
            now = trio.current_time()
            if now >= self.silent:
                if self._chunks and self._chunks[0][0] <= now:
                    return self._chunks.popleft()[1]
                if not self._chunks and now >= self._ended:
                    return b""
            if self.broken and not self._chunks:
                raise trio.BrokenResourceError
            due = self._chunks[0][0] if self._chunks else self._ended
            self._changed = trio.Event()
            with trio.move_on_at(max(due, self.silent)):
                await self._changed.wait()


class End(trio.abc.HalfCloseableStream):
    """One end of a line."""

    def __init__(self, inward: Pipe, outward: Pipe, rng: Random, tap: Tap | None = None) -> None:
        self._inward = inward
        self._outward = outward
        self._rng = rng
        self._tap = tap
        self._left = b""
        self.closed = False
        self.dead = False
        """Its process is no more."""
        self.owner: object = None
        """Its process."""

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await trio.lowlevel.checkpoint_if_cancelled()
        called, rest, pipe = trio.current_time(), bytes(data), self._outward
        if pipe.is_jammed and not self.dead:
            at = int(len(rest) * self._rng.random())
            self._leave(rest[:at], called)
            rest = rest[at:]
            await pipe.taking()
        self._leave(rest, called)
        await trio.lowlevel.cancel_shielded_checkpoint()

    def _leave(self, data: bytes, called: float) -> None:
        if self.closed:
            raise trio.ClosedResourceError
        if self.dead or not data:
            return
        if self._outward.broken:
            raise trio.BrokenResourceError
        self._outward.put(data)
        if self._tap is not None:
            self._tap.left(data, called)

    def _check(self) -> None:
        if self.closed or self.dead:
            raise trio.ClosedResourceError

    async def wait_send_all_might_not_block(self) -> None:
        await trio.lowlevel.checkpoint()

    async def send_eof(self) -> None:
        await trio.lowlevel.checkpoint()
        if not self.dead:
            self._outward.end()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """As much as has arrived, or `max_bytes` of it."""
        self._check()
        if self._left:
            await trio.lowlevel.checkpoint()
            data, self._left = self._left, b""
        else:
            data = await self._inward.take()
        self._check()
        if max_bytes is not None and len(data) > max_bytes:
            data, self._left = data[:max_bytes], data[max_bytes:]
        if self._tap is not None and data:
            self._tap.arrived(data)
        return data

    async def aclose(self) -> None:
        """Close in order: what was written still arrives, and what comes from now on finds nobody."""
        if not self.closed and not self.dead:
            self.closed = True
            self._outward.end()
            self._inward.tear()
        self.closed = True
        await trio.lowlevel.checkpoint()


class Line:
    """A connection; the relay, or who calls it, is at its near end."""

    def __init__(self, name: str, climate: Climate, rng: Random, tap: Tap | None = None) -> None:
        self.name = name
        self.out, self.back = Pipe(climate, rng), Pipe(climate, rng)
        self.near = End(self.back, self.out, rng, tap)
        self.far = End(self.out, self.back, rng)

    @property
    def is_open(self) -> bool:
        return not (self.near.closed or self.far.closed or self.near.dead or self.far.dead or self.out.broken)

    def reset(self) -> None:
        """Cut: what is under way is lost in both directions."""
        self.out.tear()
        self.back.tear()

    def die(self, end: End, *, loses: bool) -> None:
        """The process at one end is no more. `loses`: what it has written and what is under way does not arrive."""
        end.dead = True
        end._outward.tear(loses=loses)
        end._inward.tear()

    def silence(self, until: float) -> None:
        """Nothing arrives at either end before this instant."""
        for pipe in (self.out, self.back):
            pipe.silent = max(pipe.silent, until)


class Listener(trio.abc.Listener[trio.abc.Stream]):
    """A door of a relay, as far as the network knows. `owner`: its process."""

    def __init__(self, owner: object = None) -> None:
        self.owner = owner
        self._calling, self._called = trio.open_memory_channel[trio.abc.Stream](math.inf)
        self.is_open = True

    def call(self, stream: End) -> None:
        stream.owner = self.owner
        self._calling.send_nowait(stream)

    async def accept(self) -> trio.abc.Stream:
        return await self._called.receive()

    async def aclose(self) -> None:
        await trio.lowlevel.checkpoint()
        self.is_open = False


class Network:
    """Every line there is, and whether new ones can be had."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self.climate = Climate()
        self.lines: list[Line] = []
        self.refusing: set[str] = set()
        """Names of lines that are refused."""
        self.swallowing: set[str] = set()
        """Names of lines that get no answer."""

    async def dial(self, name: str, answer: Callable[[Line], bool], tap: Tap | None = None) -> Line:
        """A new line. `answer`: hands it to who is called; False: nobody is there. Raises ConnectionRefusedError."""
        await trio.sleep(self._rng.uniform(*self.climate.delay) * 2)
        if name in self.swallowing:
            await trio.sleep_forever()
        line = Line(name, self.climate, self._rng, tap)
        if name in self.refusing or not answer(line):
            raise ConnectionRefusedError
        self.lines = [known for known in self.lines if known.is_open]
        self.lines.append(line)
        return line

    def bury(self, owner: object, *, loses: bool) -> None:
        """A process is no more."""
        for line in self.lines:
            for end in (line.near, line.far):
                if end.owner is owner:
                    line.die(end, loses=loses)

    def open(self, *names: str) -> list[Line]:
        """The lines of these names that are open."""
        return [line for line in self.lines if line.is_open and line.name in names]
