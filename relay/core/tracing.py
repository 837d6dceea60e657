"""Tracing: what a commit means for those who have a trace (traces.py). Called when it is written, and not applied yet.

At that moment both sides of it can be seen: what was pending before, in the working set, and what is pending after it,
in the draft.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Final

from relay.core.draft import Draft
from relay.core.events import NEVER, TEST, EventClass
from relay.core.flight import Fate, Flight, Settlement
from relay.core.people import Person
from relay.core.slots import Slot
from relay.core.traces import Entry, What, Why

_FATES: Final[Mapping[Fate, Why]] = {Fate.RETRY: Why.LATER, Fate.GIVE_UP: Why.REFUSED, Fate.DEAD: Why.DEAD}


def saw(
    draft: Draft, accepted: Sequence[Flight], settlements: Sequence[Settlement], expired: Collection[tuple[Person, str]]
) -> None:
    """This batch is written, with these verdicts and these slots that were past their deadline."""
    draft.people.traces.forget(draft.now)
    handed: set[tuple[Person, str]] = set()
    for flight in accepted:
        if flight.person.trace is not None:
            flight.person.trace.note(_handed_over(draft, flight))
            handed.update((flight.person, name) for name, _, _ in flight.claims)
    for settlement in settlements:
        if settlement.flight.person.trace is not None:
            settlement.flight.person.trace.note(_failed(draft, settlement))
    for (user, name), after in draft.batch.slots.items():
        person = draft.people.traces.open.get(user)
        if person is None or person.trace is None:
            continue
        before = person.slots.get(name)
        if after is not None:
            entry = _arrived(draft, person, person.tenant.class_of(name), before, after)
        elif before is None or not before.n or (person, name) in handed:
            continue
        else:
            entry = _ended(draft, person, name, before.n, expired)
        if entry is not None:
            person.trace.note(entry)


def _handed_over(draft: Draft, flight: Flight) -> Entry:
    person = flight.person
    names = tuple(name for name, _, _ in flight.claims)
    slots = [slot for name in names if (slot := person.slots.get(name)) is not None]
    since = min((slot.first_at for slot in slots), default=draft.now)
    why = _why(draft, flight, [person.tenant.class_of(name) for name in names], slots)
    return Entry(draft.now, What.HANDED_OVER, names, why, flight.device, since=since)


def _why(draft: Draft, flight: Flight, classes: Sequence[EventClass], slots: Sequence[Slot]) -> Why:
    """The reason that explains most: of several classes that go out together the one that may do so in rest."""
    person = flight.person
    table = draft.tables(person, draft.now)
    rests = table is not None and table.at(draft.now).resting
    if any(each.needs_authority and each.name != TEST.name for each in classes):
        return Why.DESPITE_REST if rests else Why.AUTHORITY
    if any(each.name == TEST.name for each in classes):
        return Why.TEST
    if rests and flight.device.key in person.wakes.always:
        return Why.ALWAYS
    if any(slot.is_echo for slot in slots):
        return Why.REPEATED
    return Why.AFTER_REST if any(slot.due_at > slot.first_at for slot in slots) else Why.REACHABLE


def _failed(draft: Draft, settlement: Settlement) -> Entry:
    flight, why = settlement.flight, _FATES[settlement.fate]
    if why is Why.DEAD and flight.device.key in draft.devices_of(flight.person):
        why = Why.LATER  # not believed
    names = tuple(name for name, _, _ in flight.claims)
    until = settlement.not_before if why is Why.LATER and settlement.not_before > draft.now else None
    return Entry(draft.now, What.FAILED, names, why, flight.device, until=until, reason=settlement.reason)


def _ended(
    draft: Draft, person: Person, name: str, notices: int, expired: Collection[tuple[Person, str]]
) -> Entry | None:
    """What is not pending any more, and no wakeup was taken for; None: its last phone has gone, or has obeyed."""
    if person in draft.read:
        return Entry(draft.now, What.CANCELLED, (name,), notices=notices)
    return Entry(draft.now, What.EXPIRED, (name,), notices=notices) if (person, name) in expired else None


def _arrived(draft: Draft, person: Person, event_class: EventClass, before: Slot | None, after: Slot) -> Entry | None:
    """What came, unless it may leave at once."""
    if before is not None and before.born != after.born:
        before = None
    came = after.total - (before.total if before is not None else 0)
    if came <= 0:
        return None
    why, until = _waits(draft, person, event_class, after)
    if before is not None and before.n:
        return Entry(draft.now, What.MERGED, (event_class.name,), why or Why.UNDER_WAY, notices=came, until=until)
    if why is None:
        return None
    return Entry(draft.now, What.DEFERRED, (event_class.name,), why, notices=came, until=until)


def _waits(draft: Draft, person: Person, event_class: EventClass, slot: Slot) -> tuple[Why | None, float | None]:
    """What keeps it back, and until when, as far as is known; None: nothing."""
    now, follows = draft.now, not event_class.pierces
    if follows and slot.due_at > now:
        return (Why.ENDLESS_REST, None) if slot.due_at == NEVER else (Why.REST, slot.due_at)
    halted = [person.tenant.halts.until(event_class, phone.app, now) for phone in draft.phones_of(person)]
    if halted and all(halted):
        return Why.HALT, min(halted)
    if follows and slot.generation > person.left_generation and person.hold.until > now:
        return Why.HOLD, person.hold.until
    if event_class.yields and person.active_until > now:
        return Why.READING, person.active_until
    return None, None
