"""Everything that is known when all rounds are over: for the judges to ask, and for tests to make up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

from bench.crash.leavings import Place, Snapshot
from bench.crash.people import Kind, Officer, Phone
from bench.crash.record import Asked, Event, Record
from bench.crash.sightings import Sightings

PIERCING = frozenset({"alarm", "control"})
"""Classes that pierce rest; their recipients are woken in it, and `seen` does not cancel them."""


OVER = "over"
"""Of a life that had ended in order when it was to be killed."""


class Continued(NamedTuple):
    """A process of this node that had been stopped, and buried meanwhile, ran again. Instants in UTC seconds."""

    node: int
    since: float
    until: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """One relay process, and what it left. Of several nodes: one round, and what all had left when it was over."""

    number: int
    aim: str
    ended: float
    fell: str = ""
    """What the relay was doing when it was killed; empty when it ended in order."""
    left: Snapshot = field(default_factory=Snapshot)
    unanswered: int = 0
    """Wakeups that the strict fakes accepted in it, and whose answer may not have arrived."""
    doubtful: frozenset[Place] = frozenset()
    """Where nodes share a database: phones whose verdict may be lost by what was done to a node in this life."""
    batches: int = 1
    """How many nodes may have lost one."""
    was_cut: bool = False
    """One went on for a while without its database: what it sent then is booked nowhere."""
    continued: Continued | None = None

    @property
    def was_killed(self) -> bool:
        return self.fell not in ("", OVER)

    @property
    def was_quiet(self) -> bool:
        """Nothing was under way, and everything was booked: it was moving its log for want of anything to do."""
        return not self.was_killed or (self.aim, self.fell) == ("quiet", "checkpoint")


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
    def alarms(self) -> list[Asked]:
        """Posts that were given a receipt."""
        return [post for post in self.posts if post.receipt]

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

    @cached_property
    def woken(self) -> Mapping[Place, Counter[int]]:
        """How often each phone was woken in which life, by whichever of its tokens; only those that were."""
        found: dict[Place, Counter[int]] = {}
        for officer, phone in self.phones():
            seen = [s.life for token in self.tokens_of(officer, phone) for s in self.sightings.of(token)]
            if seen:
                found[officer.name, phone.device] = Counter(seen)
        return found

    @cached_property
    def woken_last(self) -> Mapping[int, Mapping[Place, float]]:
        """Life → when each phone was woken in it for the last time."""
        found: dict[int, dict[Place, float]] = {life.number: {} for life in self.lives}
        for officer, phone in self.phones():
            for token in self.tokens_of(officer, phone):
                for seen in self.sightings.of(token):
                    times, place = found[seen.life], (officer.name, phone.device)
                    times[place] = max(times.get(place, 0.0), seen.t)
        return found

    @cached_property
    def taken(self) -> Mapping[str, Counter[int]]:
        """What each person's phones may have been woken for anew in which life. A new token is owed what is open."""
        found: dict[str, Counter[int]] = {}
        for user in self.people:
            lives = [n for post, _ in self.by_user.get(user, ()) for n in set(post.lives) if post.may_be_taken_in(n)]
            lives += [n for edit in self.edits.get(user, ()) if edit.do == "device" for n in edit.lives]
            found[user] = Counter(lives)
        return found

    @property
    def last(self) -> Snapshot:
        """As everything ended: what is pending then waits for the end of a rest."""
        return self.lives[-1].left

    def events(self, officer: Officer) -> Sequence[tuple[Asked, Event]]:
        """Those that somebody's phones may have been woken for.

        An order for another phone is among them: it renews early what this one has not obeyed (relay/core/orders.py).
        """
        return self.by_user.get(officer.name, ())

    def phones(self) -> Iterator[tuple[Officer, Phone]]:
        for officer in self.people.values():
            for phone in officer.phones:
                yield officer, phone

    def tokens_of(self, officer: Officer, phone: Phone) -> set[str]:
        """The first one, and those that were registered later."""
        changes = (e.token for e in self.asked_of(officer, "device") if e.device == phone.device and e.token)
        return {phone.token, *changes}

    def asked_of(self, officer: Officer, do: str) -> list[Asked]:
        return [asked for asked in self.edits.get(officer.name, ()) if asked.do == do]

    def of(self, *kinds: Kind) -> list[Officer]:
        return [officer for officer in self.people.values() if officer.kind in kinds]
