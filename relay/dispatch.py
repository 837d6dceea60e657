"""The dispatcher: a heap of due instants, and the fan-out to the lanes.

Each person stands in the heap at most for its earliest instant; older entries are recognised by `Person.wake_at` and
thrown away when they surface. What a commit touched does not go through the heap: it is considered at once, in one
pass, and handed to the lanes as lists, shuffled, so that who is woken together does not show who was written to
together (P9). A list too long for one pass is brought into the order of the pseudonyms before it is cut, beginning
anywhere, and entries of one instant leave the heap in random order: else the passes would keep the order of the
recipients. A pseudonym says nothing of whom it stands for (core/pseudonym.py), and neighbours in that order lie on one
page of the database, where a pass of people drawn by lot would rewrite a page for each. Who stands in line is not
entered again: under more load than the dispatcher can follow the lines are as long as there are people, and no longer.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Collection, Sequence
from itertools import count
from operator import attrgetter
from random import Random
from typing import Final, Protocol

import trio

from relay.clock import Clock
from relay.core.events import NEVER
from relay.core.fanout import ask_again, consider, table_for
from relay.core.flight import Flight
from relay.core.people import Person
from relay.core.private import UserKey
from relay.core.tables import Tables

CHUNK: Final = 100
"""Persons whose wakeups are shuffled together, and handed over: 200 to 300 wakeups. Of 500 persons the phones of one
person came back so far apart that each was booked by a commit of its own, and wakeups cost a quarter more."""
STEP: Final = 50
"""Persons considered between two checkpoints: about half a millisecond, for which others may wait, alarms too; up to
twelve where all their rest has to be compiled first."""
FOREVER: Final = 3600.0
"""Longest sleep, in seconds, when nothing is due: the clock may be stepped meanwhile."""
SETTLED: Final = 60.0
"""Seconds after the start at which what was deferred earlier is asked about again: first comes what is due."""
FEW: Final = 10
"""People looked at together then: some milliseconds, where their tables are made."""
BREATH: Final = 0.01
"""Seconds between them."""
_KEY: Final[Callable[[Person], UserKey]] = attrgetter("key")
ROOMY: Final = 10_000
"""Entries of the heap below which outdated ones are left alone."""


class _Line:
    """Persons in the order in which they came, each once."""

    __slots__ = ("_order", "_present")

    def __init__(self) -> None:
        self._order: deque[Person] = deque()
        self._present: set[Person] = set()

    def __len__(self) -> int:
        return len(self._order)

    def add(self, person: Person) -> None:
        if person not in self._present:
            self._present.add(person)
            self._order.append(person)

    def take(self, count: int) -> list[Person]:
        """The first ones, at most so many."""
        taken = [self._order.popleft() for _ in range(min(count, len(self._order)))]
        self._present.difference_update(taken)
        return taken


class Lanes(Protocol):
    def send(self, flights: Sequence[Flight]) -> None:
        """Queue wakeups at the lanes of their devices' apps."""


class Dispatcher:
    """Brings due persons to the lanes. `expired` is told of slots past their deadline."""

    def __init__(
        self, tables: Tables, clock: Clock, lanes: Lanes, rng: Random, expired: Callable[[Person, Sequence[str]], None]
    ) -> None:
        self._tables = tables
        self._clock = clock
        self._lanes = lanes
        self._rng = rng
        self._expired = expired
        self._heap: list[tuple[float, int, Person]] = []
        self._crowded = ROOMY
        self._order = count()
        self._alarmed = _Line()
        """Those of the touched who have an alarm, while others stand in line."""
        self._touched: dict[str, _Line] = {}
        """By tenant: whoever has many does not keep the others waiting."""
        self._wake = trio.Event()

    def touched(self, persons: Sequence[Person]) -> None:
        """Something about these persons changed: work out anew when they are due."""
        if not persons:
            return
        overtakes = bool(self._touched) or len(persons) > CHUNK  # a whole force perhaps: alarms do not wait for it
        if len(persons) > CHUNK:
            persons = self._neighbours(persons)
        for person in persons:
            if overtakes and _has_alarm(person):
                self._alarmed.add(person)
                continue
            line = self._touched.get(person.tenant.name)
            if line is None:
                line = self._touched[person.tenant.name] = _Line()
            line.add(person)
        self._wake.set()

    def _neighbours(self, persons: Sequence[Person]) -> list[Person]:
        """In the order of their keys; each time somebody else is the first."""
        ordered = sorted(persons, key=_KEY)
        first = self._rng.randrange(len(ordered))
        return ordered[first:] + ordered[:first]

    def next_due(self) -> float:
        """The earliest instant at which anything is due; infinite if none. For the stepped clock and for tests."""
        if self._alarmed or self._touched:
            return self._clock.now()
        heap = self._heap
        while heap and heap[0][0] != heap[0][2].wake_at:
            heapq.heappop(heap)
        return heap[0][0] if heap else NEVER

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Dispatch until cancelled."""
        task_status.started()
        while True:
            self._wake = trio.Event()
            await self._dispatch_due()
            if self._alarmed or self._touched:
                continue
            due = self._heap[0][0] if self._heap else self._clock.now() + FOREVER
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._wake_at, due, nursery.cancel_scope)
                await self._wake.wait()
                nursery.cancel_scope.cancel()

    async def _wake_at(self, due: float, _scope: trio.CancelScope) -> None:
        await self._clock.sleep_until(due)
        self._wake.set()

    async def ask_again(self, everybody: Collection[Person]) -> None:
        """A while after the start, ask about whom an earlier process deferred: zone data may be of another edition."""
        await trio.sleep(SETTLED)
        waiting = [person for person in everybody if person.slots and person.rest is not None]
        for first in range(0, len(waiting), FEW):
            now = self._clock.now()
            tables = ((person, self._tables(person, now)) for person in waiting[first : first + FEW] if not person.gone)
            self.touched([person for person, table in tables if table and ask_again(person, now, table)])
            await trio.sleep(BREATH)

    async def _dispatch_due(self) -> None:
        await self._serve_alarms()
        while persons := self._take_due(self._clock.now()):
            flights: list[Flight] = []
            for first in range(0, len(persons), STEP):
                flights += self._consider(persons[first : first + STEP])
                await trio.lowlevel.checkpoint()
                await self._serve_alarms()
            self._send(flights)

    async def _serve_alarms(self) -> None:
        while self._alarmed:
            self._send(self._consider(self._alarmed.take(STEP)))
            await trio.lowlevel.checkpoint()

    def _send(self, flights: list[Flight]) -> None:
        if flights:
            self._rng.shuffle(flights)
            self._lanes.send(flights)

    def _take_due(self, now: float) -> list[Person]:
        """Up to CHUNK persons who were touched, as many of each tenant, or whose instant has come."""
        persons: list[Person] = []
        share = max(1, CHUNK // max(1, len(self._touched)))
        for tenant, line in list(self._touched.items()):
            persons += line.take(share)
            if not line:
                del self._touched[tenant]
        heap = self._heap
        while heap and heap[0][0] <= now and len(persons) < CHUNK:
            due, _, person = heapq.heappop(heap)
            if due == person.wake_at:
                person.wake_at = NEVER
                persons.append(person)
        return persons

    def _consider(self, persons: list[Person]) -> list[Flight]:
        """Their wakeups that are due now; and note when to look at them again."""
        now = self._clock.now()
        flights: list[Flight] = []
        for person in persons:
            if not person.slots:
                person.wake_at = NEVER
                continue
            considered = consider(person, now, table_for(person, now, self._tables))
            flights += considered.flights
            if considered.expired:
                self._expired(person, considered.expired)
            self._schedule(person, considered.again_at)
        return flights

    def _schedule(self, person: Person, at: float) -> None:
        if at != person.wake_at:
            person.wake_at = at
            if at != NEVER:
                heapq.heappush(self._heap, (at, self._rng.getrandbits(32) << 64 | next(self._order), person))
                if len(self._heap) > self._crowded:
                    self._compact()

    def _compact(self) -> None:
        """Throw away outdated entries: most are deadlines, days ahead, of slots that were settled at once."""
        self._heap = [entry for entry in self._heap if entry[0] == entry[2].wake_at]
        heapq.heapify(self._heap)
        self._crowded = max(ROOMY, 2 * len(self._heap))


def _has_alarm(person: Person) -> bool:
    return any(person.tenant.class_of(name).is_urgent for name in person.slots)
