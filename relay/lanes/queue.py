"""What waits at a lane: alarms first, the others behind them, each in the order of arrival.

A wakeup that waits already can become urgent, when an alarm comes for the same device: it is entered once more, among
the alarms, and what is left of it behind is a *ghost*, which is passed over when it surfaces. Taking it out of the
middle would cost a walk over everything that waits.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence

from relay.core.flight import Flight


class Queue:
    """Flights, each at most once; `Flight.queued` says whether it stands here."""

    __slots__ = ("_others", "_urgent", "ghosts")

    def __init__(self) -> None:
        self._urgent: deque[Flight] = deque()
        self._others: deque[Flight] = deque()
        self.ghosts = 0

    def __len__(self) -> int:
        return len(self._urgent) + len(self._others) - self.ghosts

    @property
    def urgent(self) -> int:
        """How many of them are alarms."""
        return len(self._urgent)

    def add(self, flights: Iterable[Flight]) -> None:
        """Enter flights at the end. One that stands here already has become urgent: it overtakes itself."""
        for flight in flights:
            self.ghosts += flight.queued
            flight.queued = True
            (self._urgent if flight.urgent else self._others).append(flight)

    def put_back(self, flights: Sequence[Flight]) -> None:
        """Enter flights that were taken at the head, in their order."""
        for flight in reversed(flights):
            flight.queued = True
            (self._urgent if flight.urgent else self._others).appendleft(flight)

    @property
    def others(self) -> int:
        """How many of them are no alarms."""
        return len(self._others) - self.ghosts

    def take(self, count: int, *, alarms: bool = True, others: bool = True) -> list[Flight]:
        """The next ones, at most `count`, of these kinds; alarms first."""
        taken: list[Flight] = []
        while alarms and self._urgent and len(taken) < count:
            taken.append(self._urgent.popleft())
        while others and self._others and len(taken) < count:
            flight = self._others.popleft()
            if flight.urgent:
                self.ghosts -= 1
            else:
                taken.append(flight)
        for flight in taken:
            flight.queued = False
        return taken
