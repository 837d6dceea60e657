"""What should have left and has not: the oldest of it, by lane and class. The one figure to page on.

It grows whatever the reason: a provider that is down, a lane that is stopped, a halt, phones that fail, a relay that
cannot keep up. What waits for the end of a rest or of a hold, or while its user reads elsewhere, is not due.
"""

from __future__ import annotations

from collections.abc import Iterable

from relay.core.devices import FOLLOW
from relay.core.events import NEVER, EventClass
from relay.core.people import Person
from relay.core.private import DeviceKey
from relay.core.slots import Slot

Oldest = dict[tuple[str, str], float]
"""(app, class) → seconds."""


def measure(persons: Iterable[Person], now: float, oldest: Oldest) -> None:
    """Note in `oldest` what these people are owed; to be called for everybody, some at a time."""
    for person in persons:
        if not person.slots:
            continue
        for name, slot in person.slots.items():
            event_class = person.tenant.class_of(name)
            waits = 0.0
            if not event_class.pierces and slot.generation > person.left_generation:
                waits = max(waits, person.hold.until)
            if event_class.yields:
                waits = max(waits, person.active_until)
            for phone in person.phones:
                due_at = max(waits, _released(person, slot, event_class, phone.key))
                if due_at <= now and slot.owed(phone.key):
                    key = (phone.app, name)
                    oldest[key] = max(now - due_at, oldest.get(key, 0.0))


def _released(person: Person, slot: Slot, event_class: EventClass, phone: DeviceKey) -> float:
    """When the rest lets a phone be woken, as in `fanout.consider`.

    One that is always woken is due with each event. Of those it was not woken for only the newest is known by its time,
    so what it is owed is counted from that: shorter than it is, and never an alarm for nothing.
    """
    if person.wakes is not FOLLOW and not event_class.pierces:
        if phone in person.wakes.never:
            return NEVER
        if phone in person.wakes.always and not slot.is_echo:
            return slot.last_at
    return slot.due_at
