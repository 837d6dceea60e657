"""A year of rest, played through in minutes: is anybody woken in rest, is anything lost, is anybody woken late?

The relay's own journal, slots, gate, rest tables, dispatcher and SQLite store on a virtual clock. Only doors and lanes
are left out: a wakeup that passes the last look leaves at once, and is answered after 40-400 ms of virtual time.
Officers rest by all kinds of windows, with leave, on-call times and acts (lives.py), change their documents about once
a month, and read now and then (`seen`). Who rests when is known from lives.py, which shares no code with schedules/.

    in_rest_without_bypass   wakeups in rest that no alarm stood behind
    lost                     notices that were neither followed by a wakeup of their recipient, nor read, nor expired
                             when they were due to, nor wait still
    expired                  notices given up a week after their recipient could first be woken: the wakeup was held for
                             some minutes, and meanwhile a long leave began
    max_late_s               latest wakeup for a notice from a rest, counted from the end of that rest, or from the edit
                             that ended it (there is no jitter here)

    python -m bench.year [--users 1000] [--days 365] [--posts 100] [--json]
"""

from __future__ import annotations

import argparse
import gc
import resource
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from random import Random
from typing import Final

import trio
from trio.testing import MockClock

from bench.lives import PATTERNS, Rests, WallClock, life
from bench.report import say, surroundings
from relay.clock import TrioClock
from relay.core import editing
from relay.core.devices import Platform, Registration
from relay.core.draft import Draft
from relay.core.events import DEFAULT_CLASSES, Authority, Event, Request
from relay.core.fanout import depart, left
from relay.core.flight import Flight
from relay.core.people import People, Person
from relay.core.private import Private, UserKey
from relay.core.pseudonym import Pseudonyms
from relay.core.records import Records
from relay.core.seal import Seals
from relay.core.tables import Tables
from relay.core.tenants import Tenant
from relay.dispatch import Dispatcher
from relay.journal import Journal, inline
from relay.loading import restore
from relay.store.sqlite import SqliteStore
from schedules import compile_table, parse

YEAR: Final = 2026
MASTER: Final = bytes(range(32))
ANSWERS: Final = (0.04, 0.4)
"""Seconds to an answer."""
EDITS_A_YEAR: Final = 12
"""Documents that an officer hands in."""
READ: Final = 0.3
"""Part of the posts after which one recipient reads all there is."""
_CLASSES: Final = {event_class.name: event_class for event_class in DEFAULT_CLASSES}
Act = Callable[[], Awaitable[None]]
WEEK: Final = 7 * 86_400
"""Seconds after which a message is given up, counted from when its recipient can be woken."""
ALARMS: Final = 0.01
"""Part of the posts that are alarms."""


@dataclass(slots=True)
class Officer:
    """Somebody as the judge knows him."""

    key: UserKey
    sealed_id: bytes
    rests: Rests
    edited_at: float = 0.0
    waiting: list[float] = field(default_factory=list)
    """Instants of notices that no wakeup followed yet."""


class Judge:
    """Is told what is posted, read and woken, and knows when everybody rests."""

    def __init__(self, officers: Sequence[Officer]) -> None:
        self.officers = {officer.key: officer for officer in officers}
        self.events = self.notices = self.released = self.wakeups = self.in_rest = self.expired = 0
        self.late = 0.0

    def read(self, officer: Officer) -> None:
        officer.waiting.clear()

    def gave_up(self, at: float, officer: Officer) -> None:
        """A slot has expired; what is younger than a week must not have."""
        young = [posted for posted in officer.waiting if posted > at - WEEK]
        self.expired += len(officer.waiting) - len(young)
        officer.waiting[:] = young

    def posted(self, at: float, recipients: Sequence[Officer]) -> None:
        self.events += 1
        self.notices += len(recipients)
        for officer in recipients:
            officer.waiting.append(at)

    def woken(self, at: float, flight: Flight) -> None:
        self.wakeups += 1
        officer = self.officers[flight.person.key]
        names = {name for name, _generation, _total in flight.claims}
        if officer.rests.holds(at) and "alarm" not in names:
            self.in_rest += 1
        if "message" not in names:
            return
        for posted in officer.waiting:
            released = officer.rests.reachable_from(max(posted, officer.edited_at))
            if released > posted:
                self.released += 1
                self.late = max(self.late, at - released)
        officer.waiting.clear()

    def lost(self, now: float) -> int:
        """Who is reachable now, and has been for ten minutes by the same document, waits for nothing any more."""
        since = now - 600
        return sum(
            len(officer.waiting)
            for officer in self.officers.values()
            if officer.waiting
            and max(officer.waiting[-1], officer.edited_at) < since
            and officer.rests.is_reachable(since, now)
        )


class Takers:
    """In place of the lanes: whatever passes the last look leaves at once, and is accepted a little later."""

    def __init__(self, tables: Tables, clock: TrioClock, rng: Random, judge: Judge) -> None:
        self._tables, self._clock, self._rng, self._judge = tables, clock, rng, judge
        self._queue: list[Flight] = []
        self._changed = trio.Event()
        self.refused = 0

    def send(self, flights: Sequence[Flight]) -> None:
        for flight in flights:
            if not flight.queued:
                flight.queued = True
                self._queue.append(flight)
        self._changed.set()

    async def run(self, journal: Journal, dispatcher: Dispatcher) -> None:
        async with trio.open_nursery() as nursery:
            while True:
                await self._changed.wait()
                self._changed = trio.Event()
                if taken := self._leave(dispatcher):
                    nursery.start_soon(self._answer, journal, taken)

    def _leave(self, dispatcher: Dispatcher) -> list[Flight]:
        queue, self._queue = self._queue, []
        now, gone, refused = self._clock.now(), [], []
        for flight in queue:
            flight.queued = False
            if depart(flight, now, self._tables(flight.person, now)):
                left(flight, now)
                self._judge.woken(now, flight)
                gone.append(flight)
            else:
                flight.person.landed(flight)
                refused.append(flight.person)
        self.refused += len(refused)
        dispatcher.touched(refused)
        return gone

    async def _answer(self, journal: Journal, flights: list[Flight]) -> None:
        await trio.sleep(self._rng.uniform(*ANSWERS))
        journal.settle_accepted(flights)


class Year:
    """The parts, and what happens in a year."""

    def __init__(self, options: argparse.Namespace, path: Path) -> None:
        self.options = options
        self.rng = Random(options.seed)
        self.wall = WallClock(YEAR)
        self.start = float(self.wall.opens(0))
        names = Pseudonyms(MASTER, "city")
        self.tenant = Tenant(name="city", pseudonyms=names, apps={"ios": Platform.APNS}, posts_seen=True, jitter=0.0)
        self.records = Records(Seals({0: MASTER}, 0), "city")
        self.people = People({"city": self.tenant})
        self.tables = Tables(
            lambda _tenant, key, sealed: self.records.open_rest(key, sealed),
            lambda document, now: compile_table(parse(document), now),
            lambda person: self.records.open_user(person.key, person.sealed_id).reveal(),
        )
        self.store = SqliteStore(path)
        self.epoch = restore(self.people, self.store.load())
        self.patterns = [self.rng.choice(PATTERNS) for _ in range(options.users)]
        self.officers: list[Officer] = []
        for number in range(options.users):
            user = names.user(f"officer-{number}")
            self.officers.append(
                Officer(user, self.records.seal_user(user, Private(f"officer-{number}")), Rests((), ()))
            )
        self.judge = Judge(self.officers)
        self.alarms = self.edits = self.lost = 0

    async def play(self) -> None:
        clock = TrioClock(self.start)
        takers = Takers(self.tables, clock, self.rng, self.judge)
        self.clock, self.takers = clock, takers
        self.dispatcher = Dispatcher(self.tables, clock, takers, self.rng, self._expire)
        self.journal = Journal(
            self.people, self.store, self.tables, clock, epoch=self.epoch, executor=inline,
            applied=self.dispatcher.touched,
        )  # fmt: skip
        async with trio.open_nursery() as nursery:
            self.nursery = nursery
            await nursery.start(self.journal.run)
            await nursery.start(self.dispatcher.run)
            nursery.start_soon(takers.run, self.journal, self.dispatcher)
            for number, officer in enumerate(self.officers):
                await self._register(number, officer)
            for at, act in self._acts():
                await clock.sleep_until(at)
                await act()
            await trio.sleep(1200)
            self.lost = self.judge.lost(clock.now())
            nursery.cancel_scope.cancel()

    def _expire(self, person: Person, names: Sequence[str]) -> None:
        if "message" in names:
            self.judge.gave_up(self.clock.now(), self.judge.officers[person.key])
        self.journal.expire(person, names)

    async def _register(self, number: int, officer: Officer) -> None:
        await self._edit(number, officer)
        names, records = self.tenant.pseudonyms, self.records
        for index in range(self.rng.choice((1, 1, 2))):
            user, name, token = f"officer-{number}", f"phone-{index}", self.rng.randbytes(32).hex()
            device = names.device(user, name)
            sealed = records.seal_device(officer.key, device, Private(user), Private(name), Private(token))
            registration = Registration(
                officer.key, officer.sealed_id, device, "ios", Platform.APNS, names.token("ios", token), sealed
            )
            await self.journal.edit(self.tenant, partial(self._put, registration))

    def _put(self, registration: Registration, draft: Draft) -> tuple[bool, int]:
        return editing.put_device(draft, self.tenant, registration)

    def _acts(self) -> list[tuple[float, Act]]:
        """What happens, in order of time."""
        rng, days = self.rng, self.options.days
        begin, end = self.start + 60, self.start + days * 86_400
        acts: list[tuple[float, Act]] = [
            (rng.uniform(begin, end), self._post) for _ in range(self.options.posts * days)
        ]
        for number, officer in enumerate(self.officers):
            edits = round(EDITS_A_YEAR * days / 365)
            acts += [(rng.uniform(begin, end), partial(self._edit, number, officer)) for _ in range(edits)]
        return sorted(acts, key=lambda act: act[0])

    async def _edit(self, number: int, officer: Officer) -> None:
        """Hand in another document of the same pattern. What waits is judged by the new one."""
        made = life(self.wall, self.rng, self.patterns[number])
        officer.rests, officer.edited_at = made.rests, self.clock.now()
        self.edits += 1
        sealed = self.records.seal_rest(officer.key, made.document)
        await self.journal.edit(
            self.tenant,
            lambda draft: editing.put_rest(draft, self.tenant, officer.key, officer.sealed_id, sealed, None),
        )

    async def _post(self) -> None:
        rng, now = self.rng, self.clock.now()
        recipients = rng.sample(self.officers, min(len(self.officers), rng.choice((1, 2, 5, 15, 40))))
        users = [officer.key for officer in recipients]
        if rng.random() < ALARMS:
            self.alarms += 1
            event = Event(_CLASSES["alarm"], users, now, authority=Authority("bench", "bench", "bench"))
            request = Request(b"%16d" % self.alarms, b"")
            await self.journal.accept(self.tenant, [event], request)
            return
        self.judge.posted(now, recipients)
        await self.journal.accept(self.tenant, [Event(_CLASSES["message"], users, now)], None)
        if rng.random() < READ:
            self.nursery.start_soon(self._read, recipients[0], rng.uniform(1, 600))

    async def _read(self, officer: Officer, after: float) -> None:
        await trio.sleep(after)
        self.judge.read(officer)
        await self.journal.seen(self.tenant, [(officer.key, self.clock.now())])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=1_000)
    parser.add_argument("--days", type=int, default=365)
    parser.add_argument("--posts", type=int, default=100, help="a day, to 1 to 40 officers each")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="last line: one JSON object")
    options = parser.parse_args()
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        year = Year(options, Path(folder) / "year.db")
        gc.freeze()
        trio.run(year.play, clock=MockClock(autojump_threshold=0))
        year.store.close()
    judge, balanced = year.judge, year.people.books.balance(year.people.pending()) == []
    figures: dict[str, object] = {
        "users": options.users, "days": options.days, "in_rest_without_bypass": judge.in_rest, "lost": year.lost,
        "max_late_s": round(judge.late, 3), "wakeups": judge.wakeups, "events": judge.events, "alarms": year.alarms,
        "notices": judge.notices, "released": judge.released, "expired": judge.expired,
        "edits": year.edits, "refused": year.takers.refused,
        "books_balance": balanced, "seconds": round(time.perf_counter() - began, 1),
        "rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }  # fmt: skip
    say({**figures, **surroundings(options.seed)}, as_json=options.json)
    if judge.in_rest or year.lost or not balanced:
        sys.exit(1)


if __name__ == "__main__":
    main()
