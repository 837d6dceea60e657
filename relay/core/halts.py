"""Halts: an operator has ordered that nothing of some tenant, class or lane leaves for a while (`feierabend hold`).

Events are accepted as ever and wait; the last look refuses what is queued. Classes that pierce rest pass, unless a halt
names them: who stops the messages for a repair does not mean the alarms. A halt has an end from the beginning, so that
a forgotten one does not become an outage; what then waits leaves as after any wait, and rest is asked for anew. Class
deadlines go on: a message that is a week old when the halt ends is given up as if its phone had been off.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from relay.core.devices import Device
from relay.core.events import NEVER, EventClass


@dataclass(frozen=True, slots=True)
class Halt:
    """What does not leave; None: all. Instants in UTC seconds."""

    number: int
    tenant: str | None
    event_class: str | None
    """None: all that do not pierce rest."""
    app: str | None
    """The lane."""
    reason: str
    by: str
    """Who ordered it: a login name."""
    at: float
    until: float

    def stops(self, event_class: EventClass, app: str, now: float) -> bool:
        named = not event_class.pierces if self.event_class is None else self.event_class == event_class.name
        return named and self.app in (None, app) and now < self.until


@dataclass(frozen=True, slots=True)
class Act:
    """What an operator did, for the record."""

    at: float
    by: str
    what: str
    """hold or resume."""
    tenant: str | None
    event_class: str | None
    app: str | None
    reason: str
    until: float
    """Of a hold; of the hold that a resume ended."""


class Halts:
    """Those of one tenant. Asked for every wakeup, so `active` is looked at first; it is nearly always empty."""

    __slots__ = ("active",)

    def __init__(self) -> None:
        self.active: tuple[Halt, ...] = ()

    def until(self, event_class: EventClass, app: str, now: float) -> float:
        """When wakeups of a class may leave by a lane again; 0 when they may now."""
        return max((halt.until for halt in self.active if halt.stops(event_class, app, now)), default=0.0)

    def sift(self, phones: Sequence[Device], event_class: EventClass, now: float) -> tuple[Sequence[Device], float]:
        """Those of the phones that may be woken, and when the first of the others may; infinite when all may."""
        free: list[Device] = []
        again_at = NEVER
        for phone in phones:
            until = self.until(event_class, phone.app, now)
            if until:
                again_at = min(again_at, until)
            else:
                free.append(phone)
        return free, again_at
