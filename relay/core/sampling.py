"""A second opinion on a sample of what leaves (I2, L12): would another evaluator have let it leave?

The gate asks compiled tables. After every hundred wakeups the next one for somebody with rules is asked about again as
it leaves, of an evaluator that reads the stored document anew and has no table (schedules/pointwise.py). What is
published are two numbers: how many were checked, and how many should not have left. The second is the product's
promise, and stays 0.

It does not stop a wakeup: when two evaluators disagree nobody knows yet which one is wrong, and the gate is the one
with the proofs. Asked of all wakeups it would cost more than everything else that is done for one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from relay.core.errors import RelayError
from relay.core.events import EventClass
from relay.core.flight import Flight
from relay.core.people import Person

EVERY: Final = 100
"""Wakeups, of people with rules or without, after which the next that can be checked is."""
IsResting = Callable[[Person, EventClass, float], bool]
"""Whether there is rest for this class, by the stored document. Raises RelayError or ValueError for a bad one."""


class Sample:
    """Counts what was checked, and what should not have left."""

    __slots__ = ("_is_resting", "_since", "checked", "violations")

    def __init__(self, is_resting: IsResting) -> None:
        self._is_resting = is_resting
        self._since = 0
        self.checked = 0
        self.violations = 0

    def left(self, flights: Sequence[Flight], now: float) -> bool:
        """These wakeups left; the gate was asked at `now`. False: one that was checked should not have."""
        self._since += len(flights)
        if self._since < EVERY:
            return True
        flight = next((flight for flight in flights if _can_be_checked(flight)), None)
        if flight is None:
            return True
        self._since = 0
        try:
            rested = self._rested(flight, now)
        except (RelayError, ValueError):
            return True  # counted where tables are made, which keep the last good one
        self.checked += 1
        self.violations += rested
        return not rested

    def _rested(self, flight: Flight, now: float) -> bool:
        person = flight.person
        classes = (person.tenant.class_of(name) for name, _generation, _total in flight.claims)
        return any(not event_class.pierces and self._is_resting(person, event_class, now) for event_class in classes)


def _can_be_checked(flight: Flight) -> bool:
    """It is of somebody with rules, for a device that follows them."""
    person = flight.person
    return person.rest is not None and flight.device.key not in person.wakes.always
