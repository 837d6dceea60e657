"""What should have left and has not: the oldest of it, by lane and class. The one figure to page on.

It grows whatever the reason: a provider that is down, a lane that is stopped, a halt, phones that fail, a relay that
cannot keep up. What waits for the end of a rest or of a hold, or while its user reads elsewhere, is not due.
"""

from __future__ import annotations

from collections.abc import Iterable

from relay.core.devices import FOLLOW
from relay.core.people import Person

Oldest = dict[tuple[str, str], float]
"""(app, class) → seconds."""


def measure(persons: Iterable[Person], now: float, oldest: Oldest) -> None:
    """Note in `oldest` what these people are owed; to be called for everybody, some at a time."""
    for person in persons:
        if not person.slots:
            continue
        for name, slot in person.slots.items():
            event_class = person.tenant.class_of(name)
            due_at = slot.due_at
            if not event_class.pierces and slot.generation > person.left_generation:
                due_at = max(due_at, person.hold.until)
            if event_class.yields:
                due_at = max(due_at, person.active_until)
            if due_at > now:
                continue
            for phone in person.phones:
                if slot.owed(phone.key) and (person.wakes is FOLLOW or phone.key not in person.wakes.never):
                    key = (phone.app, name)
                    oldest[key] = max(now - due_at, oldest.get(key, 0.0))
