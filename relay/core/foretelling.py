"""Foretelling: when what waits for somebody would leave if the rest document were another one. Nothing is changed.

The law. What is told is what the relay would do if that document were stored now: the same steps, on copies. An edit
asks the gate anew for what waits (editing.py), the dispatcher asks it with the new table at once (fanout.py), and then
explaining.py tells when each slot is due. So there is no second opinion of an edit that could drift from the first; the
tests compare the two, to the second, in virtual time.

Like all of explaining it holds if nothing else happens: the earliest wakeup leaves at the instant told, and what is due
later may be taken along by an earlier one, or be held for some seconds by it.
"""

from __future__ import annotations

from dataclasses import dataclass

from relay.core.devices import Wakes
from relay.core.editing import ask_anew
from relay.core.explaining import Waiting, waiting
from relay.core.fanout import ask
from relay.core.gate import RestTable
from relay.core.people import Person


@dataclass(frozen=True, slots=True)
class Leaving:
    """What is pending in one class, and when its next wakeup leaves. Instants in UTC seconds; None: never."""

    event_class: str
    notices: int
    before: float | None
    """By the document that is stored."""
    after: float | None
    """By the other one."""


def leaving(person: Person, now: float, table: RestTable | None) -> list[Leaving]:
    """What waits, if the document stays as it is. `table` is made by Tables."""
    return [Leaving(each.event_class, each.notices, each.due, each.due) for each in waiting(person, now, table)]


def effect(person: Person, now: float, table: RestTable | None, edited: RestTable, wakes: Wakes) -> list[Leaving]:
    """What waits, before and after an edit at `now`. `edited` and `wakes` are of the document that is not stored."""
    after = _after(person, now, edited, wakes)
    return [
        Leaving(each.event_class, each.notices, each.due, then.due)
        for each, then in zip(waiting(person, now, table), after, strict=True)
    ]


def _after(person: Person, now: float, edited: RestTable, wakes: Wakes) -> list[Waiting]:
    shadow = _copy(person)
    shadow.wakes = wakes
    for name, slot in shadow.slots.items():
        event_class = shadow.tenant.class_of(name)
        ask_anew(slot, event_class, now)
        if event_class.is_urgent or slot.due_at <= now:
            ask(shadow, name, slot, now, edited)
    return waiting(shadow, now, edited)


def _copy(person: Person) -> Person:
    """Nothing that is done to it reaches the person."""
    copy = Person(person.tenant, person.key, person.sealed_id)
    copy.have(dict(person.devices))
    copy.slots = {name: slot.copy() for name, slot in person.slots.items()}
    copy.flights = dict(person.flights)
    copy.hold = person.hold
    copy.left_generation = person.left_generation
    copy.active_until = person.active_until
    return copy
