"""Everything that is known when all rounds are over: for the judges to ask, and for tests to make up."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from bench.crash.leavings import Snapshot
from bench.crash.people import Kind, Officer, Phone
from bench.crash.record import Asked, Event, Record
from bench.crash.sightings import Sightings

PIERCING = frozenset({"alarm", "control"})
"""Classes that pierce rest; their recipients are woken in it, and `seen` does not cancel them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """One relay process, and what it left."""

    number: int
    aim: str
    ended: float
    fell: str = ""
    """What the relay was doing when it was killed; empty when it ended in order."""
    left: Snapshot = field(default_factory=Snapshot)
    unanswered: int = 0
    """Wakeups that the strict fakes accepted in it, and whose answer may not have arrived."""

    @property
    def was_quiet(self) -> bool:
        """Nothing was under way, and everything was booked: it was moving its log for want of anything to do."""
        return not self.fell or (self.aim, self.fell) == ("quiet", "checkpoint")


@dataclass(frozen=True)
class Case:
    """`people`: everybody to judge by, by name."""

    people: Mapping[str, Officer]
    lives: Sequence[Life]
    record: Record
    sightings: Sightings
    metrics: Mapping[str, float] = field(default_factory=dict)

    @cached_property
    def posts(self) -> list[Asked]:
        return list(self.record.of("post"))

    @cached_property
    def by_user(self) -> Mapping[str, Sequence[tuple[Asked, Event]]]:
        """Events by recipient, of posts that may have been taken."""
        found: dict[str, list[tuple[Asked, Event]]] = {}
        for post in self.posts:
            if post.may_be_taken:
                for user, event in post.notices():
                    found.setdefault(user, []).append((post, event))
        return found

    @cached_property
    def edits(self) -> Mapping[str, Sequence[Asked]]:
        """Everything else that was asked for a user and may have been taken, in order."""
        found: dict[str, list[Asked]] = {}
        for asked in self.record.of("rest", "device", "seen", "confirm"):
            if asked.may_be_taken:
                found.setdefault(asked.user, []).append(asked)
        return found

    @property
    def last(self) -> Snapshot:
        """As everything ended: what is pending then waits for the end of a rest."""
        return self.lives[-1].left

    def events(self, officer: Officer, life: int | None = None) -> Iterator[tuple[Asked, Event]]:
        """Those somebody's phones may have been woken for; only those that may have been taken in a life.

        An order for another phone is among them: it renews early what this one has not obeyed (relay/core/orders.py).
        """
        for post, event in self.by_user.get(officer.name, ()):
            if life is None or post.in_life(life) in ("acked", "unknown"):
                yield post, event

    def phones(self) -> Iterator[tuple[Officer, Phone]]:
        for officer in self.people.values():
            for phone in officer.phones:
                yield officer, phone

    def asked_of(self, officer: Officer, do: str) -> list[Asked]:
        return [asked for asked in self.edits.get(officer.name, ()) if asked.do == do]

    def of(self, *kinds: Kind) -> list[Officer]:
        return [officer for officer in self.people.values() if officer.kind in kinds]
