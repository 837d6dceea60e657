"""The client: a process of its own that asks, and records whatever it was answered (record.py).

It is told what to do by JSON lines on standard input, and says in a line on standard output when that is done, or when
the relay is gone. It outlives every relay. As a real backend it repeats, in the next life, what has an Idempotency-Key
and was not answered; what has none stays unknown.

    {"do": "enlist"}                everybody's phones and rests; said when the last answer is there
    {"do": "work", "round": 3}      a mixed load from several connections, until the relay is gone or `rest` is said
    {"do": "large", "round": 3, "classes": […]}   one post with events for the whole crowd; `sent` is said when its
                                    bytes have left, then `ended`
    {"do": "grow", "megabytes": 5}  what makes the log grow by so much
    {"do": "release", "round": 3, "seconds": 2}   new people who rest so long, and events for them
    {"do": "repeat"}                only what was left without an answer
    {"do": "farewell"}              those who leave give their phones back
    {"do": "witness"}               one event for the witness
    {"do": "nothing"}               something that changes nothing, for the sake of its answer
    {"do": "rest"}                  stop working
    {"do": "life", "life": 4}       what is sent from now on is sent to the fourth relay
"""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import trio

from bench import door
from bench.crash.people import Force
from bench.crash.plan import Ask, Plan, enlisting, posting
from bench.crash.record import Recorder

CONNECTIONS = 6
PATIENCE = 60.0
"""Seconds for an answer."""
GONE = (trio.BrokenResourceError, trio.ClosedResourceError, OSError)
REPEAT = {"work", "repeat"}
"""Before this is done, what is left from earlier lives is asked again."""
TAKEN = {200, 201, 202, 204}


class NotSent(Exception):
    """There is nobody to send to."""


class NoAnswer(Exception):
    """It left, and the connection ended before the answer."""


class Connection:
    """Asks one thing after the other; connects when it must."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._stream: trio.abc.Stream | None = None

    async def ask(self, request: bytes, sent: Callable[[], None] | None = None) -> tuple[int, bytes]:
        """(status, body). `sent` is called when all bytes have left. Raises NotSent, NoAnswer."""
        with trio.fail_after(PATIENCE):
            if self._stream is None:
                try:
                    self._stream = await trio.open_tcp_stream("127.0.0.1", self._port)
                except OSError:
                    raise NotSent from None
            try:
                await self._stream.send_all(request)
                if sent is not None:
                    sent()
                received = b""
                while not (status := door.status_of(received)):
                    data = await self._stream.receive_some()
                    if not data:
                        raise NoAnswer
                    received += data
            except GONE:
                raise NoAnswer from None
        head, _, body = received.partition(b"\r\n\r\n")
        if b"connection: close" in head.lower():
            await self.aclose()
        return status, body

    async def aclose(self) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            with trio.CancelScope(shield=True):
                await trio.aclose_forcefully(stream)


class Backend:
    """`keys`: by the scope that a request needs."""

    def __init__(self, port: int, keys: Mapping[str, str], recorder: Recorder, force: Force, seed: int) -> None:
        self._port = port
        self._keys = keys
        self._recorder = recorder
        self._force = force
        self._plan = Plan(force, seed)
        self._life = 0
        self._open: dict[int, Ask] = {}
        """What may be repeated, and was not answered; by number."""
        self._working = False
        self._nursery: trio.Nursery

    async def run(self, commands: trio.abc.ReceiveStream) -> None:
        rest = b""
        async with trio.open_nursery() as self._nursery:
            async for data in commands:
                *lines, rest = (rest + bytes(data)).split(b"\n")
                for line in lines:
                    self._obey(json.loads(line))
            self._working = False

    def _obey(self, command: dict[str, Any]) -> None:
        """Start what is asked for; or stop what is going on."""
        do, number = command["do"], command.get("round", 0)
        if do == "rest":
            self._working = False
        elif do == "life":
            self._life = command["life"]
        elif do == "large":
            self._nursery.start_soon(self._post_large, number, command["classes"])
        elif do == "release":
            self._nursery.start_soon(self._release, number, command["seconds"])
        else:
            asks: dict[str, Callable[[], Iterator[Ask]]] = {
                "enlist": lambda: enlisting(self._force, command["began"]),
                "work": lambda: self._plan.work(number),
                "grow": lambda: self._plan.growing(command["megabytes"]),
                "repeat": lambda: iter(()),
                "nothing": self._plan.nothing,
                "farewell": self._plan.farewell,
                "witness": lambda: iter([posting([("message", [self._force.witness])])]),
            }
            left = list(self._open.values()) if do in REPEAT else []
            self._nursery.start_soon(self._play, left, asks[do]())

    async def _play(self, left: list[Ask], asks: Iterator[Ask]) -> None:
        """From several connections, what is left from earlier lives first."""
        self._working = True
        async with trio.open_nursery() as nursery:
            for _ in range(CONNECTIONS):
                nursery.start_soon(self._work, left, asks)
        say(ended=time.time())

    async def _work(self, left: list[Ask], asks: Iterator[Ask]) -> None:
        connection = Connection(self._port)
        try:
            while self._working and (ask := left.pop() if left else next(asks, None)) is not None:
                if not await self._send(connection, ask):
                    return
        except (NotSent, NoAnswer):
            return
        finally:
            await connection.aclose()

    async def _post_large(self, number: int, classes: Sequence[str]) -> None:
        connection = Connection(self._port)
        try:
            await self._send(connection, self._plan.large(number, classes), lambda: say(sent=time.time()))
        except (NotSent, NoAnswer):
            pass
        finally:
            await connection.aclose()
        say(ended=time.time())

    async def _release(self, number: int, seconds: float) -> None:
        """Enlist people who rest until an instant; then, while they rest, post events for them."""
        people = self._force.release(number)
        end = math.ceil(time.time() + seconds)
        for asks in (enlisting(self._force, time.time(), people, until=end), self._plan.released(people)):
            self._working = True
            async with trio.open_nursery() as nursery:
                for _ in range(CONNECTIONS):
                    nursery.start_soon(self._work, [], asks)
        say(ended=time.time(), until=end)

    async def _send(self, connection: Connection, ask: Ask, sent: Callable[[], None] | None = None) -> bool:
        """Ask and record; False when the relay takes nothing more. Raises NotSent, NoAnswer."""
        ask.at = ask.at or time.time()
        number = self._plan.number(ask)
        self._recorder.note(n=number, t=time.time(), life=self._life, **ask.noted())
        if ask.key:
            self._open[number] = ask
        try:
            status, body = await connection.ask(
                door.request(self._keys[ask.scope], ask.body(), method=ask.method, path=ask.path, headers=ask.headers),
                sent,
            )
        except NotSent:
            self._end(number, "refused")
            raise
        except NoAnswer:
            self._end(number, "unknown")
            raise
        finally:
            self._plan.ended(ask)
        if status == 503:
            self._end(number, "refused")
            return False
        self._open.pop(number, None)
        if status not in TAKEN and (ask.method, status) != ("DELETE", 404):
            self._end(number, "wrong", body=f"{ask.method} {ask.do}: {status} {body.decode()[:200]}")
            return True
        told = json.loads(body or b"{}")
        receipt = told.get("receipt", "") if isinstance(told, dict) else ""
        plain = body.decode().replace(f',"receipt":"{receipt}"', "") if ask.do == "post" else ""
        self._end(number, "acked", receipt=receipt, body=plain)
        return True

    def _end(self, number: int, how: str, **more: str) -> None:
        self._recorder.note(n=number, t=time.time(), life=self._life, **{"is": how}, **more)


def say(**members: object) -> None:
    sys.stdout.write(json.dumps(members) + "\n")
    sys.stdout.flush()


async def main(arguments: Sequence[str]) -> None:
    settings = json.loads(arguments[0])
    force = Force(settings["rounds"], crowd=settings["crowd"])
    recorder = Recorder(Path(settings["record"]))
    backend = Backend(settings["port"], settings["keys"], recorder, force, settings["seed"])
    say(ready=True)
    await backend.run(trio.lowlevel.FdStream(0))


if __name__ == "__main__":
    trio.run(main, sys.argv[1:])
