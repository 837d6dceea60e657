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
    {"do": "turn", "round": 3, "seconds": 2}      new people whose rest ends soon, or then, and events for them
    {"do": "again", "round": 3}     they rest again from now on; some register a phone anew; and events for them
    {"do": "life", "life": 4}       what is sent from now on is sent to the fourth relay

Where there are several nodes it sends to those that are ready (doors.py), and goes on when there is none. A 503 is then
no word on what was asked: the node may have lost its database in the middle of the commit. What has an Idempotency-Key
and is not answered is asked again, then of another node; what may be asked twice without harm, as rests and devices,
where a trial depends on it (`insist`).
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
from bench.crash.doors import Connection, Doors, NoAnswer
from bench.crash.people import Force, Officer
from bench.crash.plan import Ask, Plan, enlisting, posting
from bench.crash.record import Recorder

CONNECTIONS = 6
PAUSE = 0.02
"""Seconds until one looks again for a node that is ready."""
REPEAT = {"work", "repeat"}
"""Before this is done, what is left from earlier lives is asked again."""
INSIST = {"enlist", "farewell"}
SOON = 1.0
"""Seconds until the rest of those ends that is over soon."""
TAKEN = {200, 201, 202, 204}
POSTED = {"post", "seen", "confirm"}
"""Any node takes them by itself."""


class Backend:
    """`keys`: by the scope that a request needs."""

    def __init__(self, doors: Doors, keys: Mapping[str, str], recorder: Recorder, force: Force, seed: int) -> None:
        self._doors = doors
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
            self._nursery.start_soon(self._doors.watch)
            async for data in commands:
                *lines, rest = (rest + bytes(data)).split(b"\n")
                for line in lines:
                    self._obey(json.loads(line))
            self._working = False
            self._nursery.cancel_scope.cancel()

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
        elif do == "turn":
            self._nursery.start_soon(self._turn, number, command["seconds"])
        elif do == "again":
            self._nursery.start_soon(self._rest_again, number)
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
            self._nursery.start_soon(self._play, left, asks[do](), do in INSIST)

    async def _play(self, left: list[Ask], asks: Iterator[Ask], insist: bool) -> None:
        await self._all(left, asks, insist=insist)
        say(ended=time.time())

    async def _all(self, left: list[Ask], asks: Iterator[Ask], *, insist: bool) -> None:
        """From several connections, what is left from earlier lives first."""
        self._working = True
        async with trio.open_nursery() as nursery:
            for _ in range(CONNECTIONS):
                nursery.start_soon(self._work, left, asks, insist)

    async def _work(self, left: list[Ask], asks: Iterator[Ask], insist: bool) -> None:
        """Ask one thing after the other, until nobody is there any more or, where there are several, until told."""
        connection: Connection | None = None
        try:
            while self._working:
                if connection is None or not connection.is_open:
                    connection = await self._doors.connect()
                if connection is None and not self._doors.are_several:
                    return
                if connection is None:
                    await trio.sleep(PAUSE)
                    continue
                ask = left.pop() if left else next(asks, None)
                if ask is None:
                    return
                if await self._send(connection, ask):
                    continue
                if not self._doors.are_several:
                    return
                if insist or ask.key:
                    left.append(ask)
                self._doors.failed(connection.node)
                await connection.aclose()
        finally:
            if connection is not None:
                await connection.aclose()

    async def _post_large(self, number: int, classes: Sequence[str]) -> None:
        connection = await self._doors.connect()
        if connection is not None:
            await self._send(connection, self._plan.large(number, classes), lambda: say(sent=connection.node))
            await connection.aclose()
        say(ended=time.time())

    async def _release(self, number: int, seconds: float) -> None:
        """Enlist people who rest until an instant; then, while they rest, post events for them."""
        people = self._force.release(number)
        end = math.ceil(time.time() + seconds)
        await self._enlist(people, end)
        say(ended=time.time(), until=end)

    async def _turn(self, number: int, seconds: float) -> None:
        """Half of these people are reachable soon, the others so much later that it may be after a take-over."""
        people = self._force.turn(number)
        soon, later = math.ceil(time.time() + SOON), math.ceil(time.time() + seconds)
        for half, end in ((people[::2], soon), (people[1::2], later)):
            await self._enlist(half, end)
        say(ended=time.time(), until=later)

    async def _rest_again(self, number: int) -> None:
        for asks in (self._plan.again(number), self._plan.afterwards(number)):
            await self._all([], asks, insist=True)
        say(ended=time.time())

    async def _enlist(self, people: Sequence[Officer], end: float) -> None:
        for asks in (enlisting(self._force, time.time(), people, until=end), self._plan.released(people)):
            await self._all([], asks, insist=True)

    async def _send(self, connection: Connection, ask: Ask, sent: Callable[[], None] | None = None) -> bool:
        """Ask and record; False when it is not answered, or the relay takes nothing more."""
        ask.at = ask.at or time.time()
        number, life = self._plan.number(ask), self._life
        self._recorder.note(n=number, t=time.time(), life=life, **ask.noted())
        if ask.key:
            self._open[number] = ask
        try:
            status, body = await connection.ask(
                door.request(self._keys[ask.scope], ask.body(), method=ask.method, path=ask.path, headers=ask.headers),
                self._doors.patience(is_forwarded=ask.do not in POSTED),
                sent,
            )
        except NoAnswer:
            self._end(number, life, "unknown")
            return False
        finally:
            self._plan.ended(ask)
        if status == 503:
            self._end(number, life, "unknown" if self._doors.are_several else "refused")
            return False
        self._open.pop(number, None)
        if status not in TAKEN and (ask.method, status) != ("DELETE", 404):
            self._end(number, life, "wrong", body=f"{ask.method} {ask.do}: {status} {body.decode()[:200]}")
            return True
        told = json.loads(body or b"{}")
        receipt = told.get("receipt", "") if isinstance(told, dict) else ""
        plain = body.decode().replace(f',"receipt":"{receipt}"', "") if ask.do == "post" else ""
        self._end(number, life, "acked", receipt=receipt, body=plain)
        return True

    def _end(self, number: int, life: int, how: str, **more: str) -> None:
        self._recorder.note(n=number, t=time.time(), life=life, **{"is": how}, **more)


def say(**members: object) -> None:
    sys.stdout.write(json.dumps(members) + "\n")
    sys.stdout.flush()


async def main(arguments: Sequence[str]) -> None:
    settings = json.loads(arguments[0])
    force = Force(settings["rounds"], crowd=settings["crowd"], pace=settings["pace"])
    doors = Doors(settings["ports"], settings["ops"])
    backend = Backend(doors, settings["keys"], Recorder(Path(settings["record"])), force, settings["seed"])
    say(ready=True)
    await backend.run(trio.lowlevel.FdStream(0))


if __name__ == "__main__":
    trio.run(main, sys.argv[1:])
