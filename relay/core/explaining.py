"""Explaining: why what is pending for somebody has not gone out yet, and when it will, as far as is known now.

The same questions that `consider` and `depart` ask (fanout.py), asked without consequences: nothing is written, and
each phone is asked about by itself. Of what keeps a wakeup back that counts which lasts longest, and of the phones the
one that can be woken first. It depends on rest, so it is for its owner and who was given a support code (L2).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from relay.core.devices import Device
from relay.core.events import NEVER
from relay.core.gate import Deferred, RestTable
from relay.core.people import Person
from relay.core.slots import RETENTION, Slot


class Hindrance(StrEnum):
    """What keeps a wakeup back."""

    NOTHING = "nothing"
    UNDER_WAY = "under_way"
    """It is queued at its lane, or waits for the provider's answer."""
    REST = "rest"
    RELEASE = "release"
    """The rest is over, or for a repeat will be; releases are spread over some minutes."""
    HOLD = "hold"
    """The user was just woken."""
    READING = "reading"
    """The user reads on another device."""
    RETRY = "retry"
    """The last attempt failed."""
    NO_PHONE = "no_phone"
    """There is none, or none that its owner wants to be woken."""
    RENEWAL = "renewal"
    """An order that was sent, and is sent anew if it is not confirmed until then."""
    HALT = "halt"
    """An operator holds it back."""
    EXPIRY = "expiry"
    """It is given up before it could go out."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """What is pending in one class. Instants in UTC seconds."""

    event_class: str
    notices: int
    """Zero: a repeat, or a wakeup that only some of the phones have got."""
    since: float
    due: float | None
    """When the next wakeup leaves if nothing else happens; None where it never does."""
    why: Hindrance


def waiting(person: Person, now: float, table: RestTable | None) -> list[Waiting]:
    """What is pending for somebody, by class. `table` is made by Tables, which makes `person.wakes` too."""
    return [_told(person, name, slot, now, table) for name, slot in sorted(person.slots.items())]


def _told(person: Person, name: str, slot: Slot, now: float, table: RestTable | None) -> Waiting:
    event_class = person.tenant.class_of(name)
    never = frozenset() if event_class.pierces else person.wakes.never
    phones = [phone for phone in person.phones if slot.owed(phone.key) and phone.key not in never]
    due, why = min(
        (_hindered(person, name, slot, phone, now, table) for phone in phones), default=(NEVER, Hindrance.NO_PHONE)
    )
    if phones and slot.expiry(event_class) <= due < NEVER:
        due, why = NEVER, Hindrance.EXPIRY
    return Waiting(name, slot.n, slot.first_at, None if due == NEVER else due, why)


def _hindered(
    person: Person, name: str, slot: Slot, phone: Device, now: float, table: RestTable | None
) -> tuple[float, Hindrance]:
    """When this phone can be woken for the slot, and what keeps it back until then."""
    if phone.key in person.flights:
        return now, Hindrance.UNDER_WAY
    event_class = person.tenant.class_of(name)
    found = [(now, Hindrance.NOTHING), (phone.not_before, Hindrance.RETRY)]
    if not event_class.pierces and slot.generation > person.left_generation:
        found.append((person.hold.until, Hindrance.HOLD))
    if event_class.yields:
        found.append((person.active_until, Hindrance.READING))
    if event_class.renewal:
        found.append((slot.due_at, Hindrance.RENEWAL))
    found.append((person.tenant.halts.until(event_class, phone.app, now), Hindrance.HALT))
    follows = not event_class.pierces and (slot.is_echo or phone.key not in person.wakes.always)
    if follows:
        found.append(_released(person, name, slot, now, table))
    at, why = max(found, key=lambda hindrance: hindrance[0])
    until = _let_through(person, name, at, table) if follows else at
    return (at, why) if until == at else (until, Hindrance.REST)


def _released(person: Person, name: str, slot: Slot, now: float, table: RestTable | None) -> tuple[float, Hindrance]:
    """When the slot is due, as far as rest goes."""
    start = max(now, slot.due_at)
    until = _let_through(person, name, start, table)
    is_over = until == start and _let_through(person, name, now, table) == now
    return until, Hindrance.RELEASE if is_over else Hindrance.REST


def _let_through(person: Person, name: str, at: float, table: RestTable | None) -> float:
    """The first instant from `at` on at which the gate does not say later; it may, when a release falls into a rest."""
    event_class, far = person.tenant.class_of(name), at + RETENTION
    while at < far and isinstance(decision := person.tenant.gate.ask(table, person.key, event_class, at), Deferred):
        at = decision.until
    return at
