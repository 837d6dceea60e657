"""Traces: for a day, what became of the wakeups of an officer who wants to know what wakes the own phones, and why.

A record of when somebody's phone rang is nearly a record of where that person was. So there is none (L3), unless that
person orders it, and then it is this: in memory only, at the node that has the person; for 24 hours; the last `MOST`
entries; shown to nobody else. It is gone when it is switched off, with the person, and with the process; and at its end
(from then on nothing is noted or shown; the memory is free with the next commit, or within the hour).

It is written where a commit is applied (tracing.py), and where the gate defers once more what was due (fanout.py). For
people without a trace that costs a look at an empty dictionary for each commit, and at one attribute of a person whom
the gate has just deferred: some ten nanoseconds each.

Rejected: noting for all and showing to who asks (it would be that record), a table (a disk forgets badly), and telling
it from the books (they know totals, not whose).
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from relay.core.devices import Device
from relay.core.errors import TooManyTraces
from relay.core.events import DAY, NEVER
from relay.core.private import UserKey

if TYPE_CHECKING:
    from relay.core.people import Person  # a person knows its trace

LIFE: Final = DAY
"""Seconds for which one goes on."""
MOST: Final = 200
"""Entries of one; beyond it the oldest goes."""
LARGEST: Final = 500
"""Traces at a time: with all their entries some 30 MB."""


class What(StrEnum):
    HANDED_OVER = "handed_over"
    """A provider took a wakeup for one device."""
    DEFERRED = "deferred"
    """Something came and waits, or was due and must wait longer."""
    MERGED = "merged"
    """More came for what waits already: there is one wakeup for all of it."""
    FAILED = "failed"
    """A provider did not take a wakeup."""
    CANCELLED = "cancelled"
    """It was read before a wakeup left."""
    EXPIRED = "expired"
    """It was given up: nobody could be woken for so long."""


class Why(StrEnum):
    REACHABLE = "reachable"
    AFTER_REST = "after_rest"
    REPEATED = "repeated"
    """After a rest, what was handed over before it for a shorter while than usual."""
    DESPITE_REST = "despite_rest"
    AUTHORITY = "authority"
    """By a class that may go out in rest, outside of one."""
    ALWAYS = "always"
    """In rest, to a device that its owner wants woken always."""
    TEST = "test"
    """The officer's own."""
    REST = "rest"
    ENDLESS_REST = "endless_rest"
    HOLD = "hold"
    """A wakeup has left a moment ago."""
    READING = "reading"
    """It is being read on another device."""
    HALT = "halt"
    """An operator holds it back."""
    UNDER_WAY = "under_way"
    """A wakeup for it is on its way already."""
    LATER = "later"
    REFUSED = "refused"
    DEAD = "dead"
    """Of a provider's answer: not now; not this wakeup; not this device ever again."""


@dataclass(frozen=True, slots=True, repr=False)
class Entry:
    """One thing that happened. Instants in UTC seconds."""

    at: float
    what: What
    classes: Sequence[str]
    why: Why | None = None
    device: Device | None = None
    notices: int = 0
    """Of what came."""
    until: float | None = None
    """Of what waits: until when, as far as is known. Of what failed: when it is tried again."""
    since: float = 0.0
    """Of what was handed over: when the first of it came."""
    reason: str = ""
    """The provider's own word."""


@dataclass(slots=True, repr=False)
class Trace:
    """One person's. `until`: what happens from then on is not noted."""

    since: float
    until: float
    entries: deque[Entry] = field(default_factory=lambda: deque(maxlen=MOST))
    """The newest is the last."""
    lost: int = 0
    """Entries that had to go for newer ones."""

    def is_on(self, now: float) -> bool:
        return self.since <= now < self.until

    def note(self, entry: Entry) -> None:
        """More of what has come last is one entry with it, as of the newest."""
        if not self.is_on(entry.at):
            return
        last = self.entries[-1] if self.entries else None
        if last is not None and _is_more(entry, last):
            self.entries[-1] = replace(entry, notices=last.notices + entry.notices)
            return
        if len(self.entries) == MOST:
            self.lost += 1
        self.entries.append(entry)

    def deferred(self, name: str, now: float, until: float) -> None:
        """What is due must wait for the end of a rest; infinite: of one without a known end."""
        if until == NEVER:
            self.note(Entry(now, What.DEFERRED, (name,), Why.ENDLESS_REST))
        else:
            self.note(Entry(now, What.DEFERRED, (name,), Why.REST, until=until))


def _is_more(entry: Entry, last: Entry) -> bool:
    return (
        entry.what is last.what is What.MERGED
        and entry.classes == last.classes
        and entry.why is last.why
        and entry.until == last.until
    )


class Traces:
    """Those that are on; the one that ends first comes first."""

    __slots__ = ("open",)

    def __init__(self) -> None:
        self.open: dict[UserKey, Person] = {}

    def begin(self, person: Person, now: float) -> None:
        """One that is on goes on as it is. Raises TooManyTraces."""
        if self.of(person, now) is not None:
            return
        if len(self.open) >= LARGEST:
            first = next(iter(self.open.values())).trace
            assert first is not None
            raise TooManyTraces(max(1, math.ceil(first.until - now)))
        person.trace = Trace(now, now + LIFE)
        self.open[person.key] = person

    def of(self, person: Person, now: float) -> Trace | None:
        """None: there is none, or not any more. A clock that was set back before it began ends it: it notes nothing."""
        self.forget(now)
        if person.trace is not None and not person.trace.is_on(now):
            self.end(person.key)
        return person.trace

    def end(self, user: UserKey) -> None:
        """It is switched off, or the person is gone."""
        person = self.open.pop(user, None)
        if person is not None:
            person.trace = None

    def forget(self, now: float) -> None:
        """Drop what is over; what a clock that was set back has brought out of order, when it is asked for."""
        while self.open:
            first = next(iter(self.open.values()))
            if first.trace is not None and now < first.trace.until:
                return
            self.end(first.key)
