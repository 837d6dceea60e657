"""The shell without its I/O: drives the core as journal, dispatcher, lane and link do, one step at a time.

What those await, a caller decides here: when the dispatcher runs, which queued wakeups leave and in what order, when
verdicts come, which of them share a commit, whether the commit fails, and when the process dies.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from relay.core.draft import Draft
from relay.core.errors import RelayError
from relay.core.events import NEVER
from relay.core.fanout import consider, depart, left
from relay.core.flight import Fate, Flight, Settlement
from relay.core.people import People, Person
from relay.core.settling import expire, settle, settle_accepted
from relay.core.tables import Tables
from relay.core.tenants import Tenant
from relay.loading import restore
from relay.store.memory import MemoryStore
from relay.store.port import StoreError
from schedules import compile_table, parse


def tables() -> Tables:
    """Real compiled rest; the seals are left out: a record is the document's JSON, a sealed name is the name."""
    return Tables(
        lambda _tenant, _key, sealed: json.loads(sealed),
        lambda document, now: compile_table(parse(document), now),
        lambda person: person.sealed_id.decode(),
    )


@dataclass(frozen=True, slots=True, eq=False)
class Operation:
    """What a door asks, and who is told the result (or the refusal) once it is committed."""

    draw: Callable[[Draft], object]
    told: Callable[[object], None]


@dataclass(frozen=True, slots=True)
class Expired:
    person: Person
    name: str
    is_gone: bool
    """The slot has ended in this batch."""


class Watcher(Protocol):
    """Is told of new wakeups, and what a commit held, in the order in which it was drafted."""

    def queued(self, flight: Flight) -> None: ...
    def accepted(self, flight: Flight) -> None: ...
    def settled(self, settlement: Settlement) -> None: ...
    def expired(self, expired: Expired) -> None: ...


class Shell:
    def __init__(self, tenants: dict[str, Tenant], now: float, watcher: Watcher) -> None:
        self.tenants = tenants
        self.now = now
        self.store = MemoryStore()
        self._watcher = watcher
        self.start()

    def start(self) -> None:
        """A process starts: memory is what the store has, everybody is looked at."""
        self.people = People(self.tenants)
        self.tables = tables()
        self.epoch = restore(self.people, self.store.load())
        self.touched = set(self.people.by_key)
        self.queue: list[Flight] = []
        self.alarms: set[Flight] = set()
        """Those of them that overtake the others."""
        self.air: list[Flight] = []
        self.accepts: list[Operation] = []
        self.edits: list[Operation] = []
        self._accepted: list[Flight] = []
        self._settlements: list[Settlement] = []
        self._expired: list[tuple[Person, str]] = []
        self._drafted: list[Flight] = []
        """Those whose verdict is being written."""

    # --- the dispatcher

    def next_due(self) -> float:
        return self.now if self.touched else min((p.wake_at for p in self.people.by_key.values()), default=NEVER)

    def dispatch(self) -> None:
        """Consider everybody who was touched or is due, and queue their wakeups."""
        due = [p for p in self.people.by_key.values() if p.key in self.touched or p.wake_at <= self.now]
        self.touched.clear()
        for person in due:
            considered = consider(person, self.now, self.tables(person, self.now))
            person.wake_at = considered.again_at
            self._expired += [(person, name) for name in considered.expired]
            for flight in considered.flights:
                if flight.queued:
                    assert flight.urgent, "handed over twice"
                else:
                    self.queue.append(flight)
                    self._watcher.queued(flight)
                self._enter(flight)

    # --- lanes and links

    def look(self, flight: Flight) -> bool:
        """The last look at a queued wakeup. False: it must not leave, and its person is worked out anew."""
        self.queue.remove(flight)
        self.alarms.discard(flight)
        flight.queued = False
        if depart(flight, self.now, self.tables(flight.person, self.now)):
            return True
        flight.person.landed(flight)
        self.touched.add(flight.person.key)
        return False

    def hand_over(self, flight: Flight) -> None:
        """Its bytes have left."""
        left(flight, self.now)
        self.air.append(flight)

    def again(self, flight: Flight) -> None:
        """It did not leave, or the provider did not process it: back to the lane."""
        if flight in self.air:
            self.air.remove(flight)
        self.queue.insert(0, flight)
        self._enter(flight)

    def _enter(self, flight: Flight) -> None:
        flight.queued = True
        if flight.urgent:
            self.alarms.add(flight)

    def took(self, flight: Flight) -> None:
        """The provider accepted it; the verdict waits for the next commit."""
        self.air.remove(flight)
        self._accepted.append(flight)

    def said(self, flight: Flight, fate: Fate, not_before: float = 0.0, dead_since: float | None = None) -> None:
        """Any other verdict."""
        self.air.remove(flight)
        self._settlements.append(Settlement(flight, fate, fate.value, not_before, dead_since))

    @property
    def verdicts(self) -> Sequence[Flight]:
        """Flights whose verdict waits for a commit."""
        return [*self._accepted, *(settlement.flight for settlement in self._settlements)]

    # --- the journal

    @property
    def has_work(self) -> bool:
        return bool(self.accepts or self.edits or self._accepted or self._settlements or self._expired)

    def commit(self, *, fails: bool = False, meanwhile: Callable[[], None] = lambda: None) -> None:
        """Draft everything that waits, let `meanwhile` happen while the store writes, and make it true or forget it."""
        accepts, self.accepts = self.accepts, []
        edits, self.edits = self.edits, []
        accepted, self._accepted = self._accepted, []
        settlements, self._settlements = self._settlements, []
        expired, self._expired = self._expired, []
        draft = Draft(self.people, self.now, self.tables)
        draft.batch.epoch = self.epoch
        answers = [_draw(draft, operation) for operation in accepts]
        settle_accepted(draft, accepted)
        settle(draft, settlements)
        ended = [_expire(draft, person, name) for person, name in expired]
        answers += [_draw(draft, operation) for operation in edits]
        self._drafted = [*accepted, *(settlement.flight for settlement in settlements)]
        meanwhile()
        self._drafted = []
        if fails:
            self.store.fail_next = StoreError("the disk is full")
        try:
            if not draft.batch.is_empty:
                self.store.commit(draft.batch)
        except StoreError:
            self._accepted[:0], self._settlements[:0], self._expired[:0] = accepted, settlements, expired
            return
        finally:
            self.store.fail_next = None
        for person in draft.apply():
            self.touched.add(person.key)
        for answer in answers[: len(accepts)]:
            answer()
        for flight in accepted:
            self._watcher.accepted(flight)
        for settlement in settlements:
            self._watcher.settled(settlement)
        for end in ended:
            self._watcher.expired(end)
        for answer in answers[len(accepts) :]:
            answer()

    def aloft(self) -> list[Flight]:
        """Every wakeup somewhere between the fan-out and its booked verdict."""
        return [*self.queue, *self.air, *self.verdicts, *self._drafted]


def _draw(draft: Draft, operation: Operation) -> Callable[[], None]:
    try:
        result = operation.draw(draft)
    except RelayError as error:
        result = error
    return lambda: operation.told(result)


def _expire(draft: Draft, person: Person, name: str) -> Expired:
    had = draft.slot(person, name) is not None
    expire(draft, person, name)
    return Expired(person, name, had and draft.slot(person, name) is None)
