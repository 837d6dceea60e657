"""What should have left and has not: the oldest of it, by lane and class. The one figure to page on.

It grows whatever the reason: a provider that is down, a lane that is stopped, a halt, phones that fail, a relay that
cannot keep up. What waits for the end of a rest or of a hold, or while its user reads elsewhere, is not due.
"""

from __future__ import annotations

from collections.abc import Iterable

from relay.core.devices import FOLLOW, Device
from relay.core.events import NEVER
from relay.core.people import Person
from relay.core.private import DeviceKey
from relay.core.slots import Slot

Oldest = dict[tuple[str, str], float]
"""(app, class) → seconds."""


def measure(persons: Iterable[Person], now: float, oldest: Oldest) -> None:
    """Note in `oldest` what these people are owed; to be called for everybody, some at a time."""
    for person in persons:
        for name, slot in person.slots.items():
            event_class = person.tenant.class_of(name)
            waits = 0.0
            if not event_class.pierces and slot.generation > person.left_generation:
                waits = person.hold.until
            if event_class.yields and person.active_until > waits:
                waits = person.active_until
            if person.wakes is FOLLOW or event_class.pierces:
                due_at = max(waits, slot.due_at)
                if due_at <= now:
                    _note(person.phones, name, slot, now - due_at, oldest)
                continue
            for phone in person.phones:
                due_at = max(waits, _released(person, slot, phone.key))
                if due_at <= now:
                    _note((phone,), name, slot, now - due_at, oldest)


def _note(phones: Iterable[Device], name: str, slot: Slot, age: float, oldest: Oldest) -> None:
    """For those of the phones that are owed the slot."""
    done, generation = slot.done, slot.generation
    for phone in phones:
        if done.get(phone.key, 0) < generation:
            key = (phone.app, name)
            if age >= oldest.get(key, 0.0):
                oldest[key] = age


def _released(person: Person, slot: Slot, phone: DeviceKey) -> float:
    """When the rest lets a phone of somebody be woken whose phones do not all follow it, as in `fanout.consider`.

    One that is always woken is due with each event. Of those it was not woken for only the newest is known by its time,
    so what it is owed is counted from that: shorter than it is, and never an alarm for nothing.
    """
    if phone in person.wakes.never:
        return NEVER
    if phone in person.wakes.always and not slot.is_echo:
        return slot.last_at
    return slot.due_at
