"""Where the judge looks: one station at each machine, and the registry, which says whose people are whose."""

from __future__ import annotations

from typing import Protocol

from bench.simulation.clock import Times
from bench.simulation.frames import Departure
from bench.simulation.ledger import User
from relay.core.batch import Batch


class Looks(Protocol):
    """The judge, as its stations know it."""

    def departed(self, departure: Departure, station: Station) -> None: ...
    def answered(self, departure: Departure, station: Station, *, accepted: bool) -> None: ...
    def durable(self, batch: Batch, mark: int | None, station: Station) -> None: ...
    def ended(self) -> None:
        """A process has."""


class Station:
    """The judge's at one machine: sees what leaves it, what it hears, and what it writes."""

    def __init__(self, judge: Looks, times: Times, name: str = "") -> None:
        self.times = times
        self.name = name
        self.node = 0
        """Of several: under which number it writes."""
        self.held_at = float("-inf")
        """When its process was last stopped from outside, to go on later."""
        self.heard: list[Departure] = []
        """Accepted, and the relay knows; not yet on the disk for sure."""
        self.forgotten = 0
        self._judge = judge

    def departed(self, departure: Departure) -> None:
        self._judge.departed(departure, self)

    def answered(self, departure: Departure, *, accepted: bool) -> None:
        self._judge.answered(departure, self, accepted=accepted)

    def drafted(self) -> int:
        return self.forgotten + len(self.heard)

    def durable(self, batch: Batch, mark: int | None) -> None:
        self._judge.durable(batch, mark, self)

    def crashed(self) -> None:
        """Its process has ended: what it had only heard may be asked again."""
        self._judge.ended()
        self.forgotten += len(self.heard)
        self.heard.clear()


class Registry(Protocol):
    """Whose people are whose, by the word of the database."""

    def until(self, station: Station, user: User) -> float:
        """Until when somebody belonged to the relay on a machine (trio's clock): infinite if they still do, and minus
        that if they never did."""

    def was_posted(self, user: User, since: float) -> bool:
        """Whether something may have been posted for somebody, at some time since, that whoever has them did not know
        yet (trio's clock)."""

    def may_write(self, station: Station, batch: Batch) -> bool:
        """Whether a batch is about people of that machine only."""


class Alone:
    """One relay has them all."""

    def until(self, _station: Station, _user: User) -> float:
        return float("inf")

    def was_posted(self, _user: User, _since: float) -> bool:
        return False

    def may_write(self, _station: Station, _batch: Batch) -> bool:
        return True
