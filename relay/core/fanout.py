"""Fan-out: who is to be woken now, and the last look before it happens. Pure decisions about one person.

`consider` answers for a person whose time has come: which devices are owed a wakeup, which slots have expired, and when
to ask again. `depart` is the last look, taken while the bytes are being made: it asks the gate once more, names what
the wakeup stands for, and takes in everything that has come meanwhile (one request settles every slot of that user that
the gate lets through at that instant).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from relay.core.devices import FOLLOW, Device
from relay.core.events import NEVER
from relay.core.flight import Claim, Flight
from relay.core.gate import Deferred, Passed, RestTable
from relay.core.life import NOW_OR_NEVER
from relay.core.pacing import LONGEST_RETRY
from relay.core.people import Person
from relay.core.slots import RETENTION, Slot
from relay.core.tables import Tables

LONGEST_ACTIVE: Final = 120.0
"""Seconds for which a user can be said to go on reading elsewhere."""


class Considered(NamedTuple):
    flights: list[Flight]
    """New wakeups, now in `Person.flights`; and queued ones that an alarm has made urgent."""
    expired: list[str]
    """Classes whose slot is past its deadline."""
    again_at: float
    """When to consider the person next, if nothing else happens; infinite when only events or verdicts can."""


def table_for(person: Person, now: float, tables: Tables) -> RestTable | None:
    """What the gate is to be asked with.

    Rest that is not compiled yet is not for what pierces it: an alarm for everybody does not wait for 23,000 tables.
    """
    if person.is_compiled(now):
        return person.table
    classes = map(person.tenant.class_of, person.slots)
    return None if all(c.pierces and not c.is_trial for c in classes) else tables(person, now)


def consider(person: Person, now: float, table: RestTable | None) -> Considered:
    """Work out what is due for a person. Into a slot it writes only what the gate says: when it is due, since when."""
    expired: list[str] = []
    again_at = NEVER
    ready: dict[bytes, Flight] = {}
    if person.frozen:
        return Considered([], expired, again_at)
    for name, slot in person.slots.items():
        event_class = person.tenant.class_of(name)
        start = now if event_class.is_urgent else slot.due_at
        if start <= now:
            start = ask(person, name, slot, now, table)
        expiry = slot.expiry(event_class)
        if expiry <= now:
            expired.append(name)
            continue
        waits = 0.0
        if not event_class.pierces and slot.generation > person.left_generation:
            waits = person.hold.until
        if event_class.yields:
            waits = max(waits, person.active_until)
        if start > now or waits > now:
            again_at = min(again_at, max(start, waits), expiry)
            if not person.wakes.always or event_class.pierces or slot.is_echo:
                continue
            if waits > now:
                again_at = min(again_at, waits)
                continue
        phones: Sequence[Device] = person.phones
        if person.wakes is not FOLLOW and not event_class.pierces:
            phones = _not_following(person, in_rest=start > now)
        if person.tenant.halts.active:
            phones, free_at = person.tenant.halts.sift(phones, event_class, now)
            again_at = min(again_at, free_at)
        again_at = min(again_at, expiry, _owed(person, phones, slot, now, ready, urgent=event_class.is_urgent))
    return Considered(list(ready.values()), expired, again_at)


def ask(person: Person, name: str, slot: Slot, now: float, table: RestTable | None) -> float:
    """Ask the gate for a slot that is due; return when it may go (now, or its release). Moves the expiry: look at that
    afterwards."""
    decision = person.tenant.gate.ask(table, person.key, person.tenant.class_of(name), now)
    if isinstance(decision, Deferred):
        slot.due_at = decision.until
        if not slot.tried:
            slot.reachable_at = decision.until
        if person.trace is not None:
            person.trace.deferred(name, now, decision.until)
        return decision.until
    if not slot.tried:
        slot.tried = True
        slot.reachable_at = min(slot.reachable_at, now)
    return now


def ask_again(person: Person, now: float, table: RestTable) -> bool:
    """Ask the gate anew about what an earlier process deferred, perhaps by tables made of other zone data.

    What waits for its jitter only is left alone, and so is an echo, which keeps its morning. True: consider the person.
    """
    gate, changed = person.tenant.gate, False
    for name, slot in person.slots.items():
        event_class = person.tenant.class_of(name)
        if slot.due_at <= now or slot.is_echo or event_class.pierces:
            continue
        decision = gate.ask(table, person.key, event_class, now)
        if slot.due_at > now + gate.width if isinstance(decision, Passed) else slot.due_at != decision.until:
            slot.due_at, changed = now, True
            if not slot.tried:
                slot.reachable_at = now + RETENTION
    return changed


def set_back(person: Person, now: float) -> None:
    """The clock was set back: nothing may wait for an instant that it had gone beyond. In memory only.

    What was deferred is asked about anew. Holds, back-off and reading elsewhere last as long as they can at most.
    """
    for name, slot in person.slots.items():
        event_class = person.tenant.class_of(name)
        longest = event_class.renewal or (RETENTION if slot.is_echo else 0.0)
        slot.due_at = min(slot.due_at, now + longest)
        slot.first_at = min(slot.first_at, now)
        if not slot.tried and not event_class.pierces:
            slot.reachable_at = now + RETENTION
    person.hold.set_back(now)
    person.active_until = min(person.active_until, now + LONGEST_ACTIVE)
    late = [d for d in person.devices.values() if d.not_before > now + 2 * LONGEST_RETRY]
    if late:
        sooner = {d.key: d.backed_off(d.attempt, now + 2 * LONGEST_RETRY) for d in late}
        person.have({**person.devices, **sooner})


def is_of_the_future(person: Person, now: float) -> bool:
    """Whether what is kept for somebody was written by a clock that was ahead."""
    if any(slot.first_at > now for slot in person.slots.values()):
        return True
    return any(device.not_before > now + 2 * LONGEST_RETRY for device in person.phones)


def set_right(person: Person, now: float, longest: float) -> None:
    """The clock was behind by more than `longest`, and is right again: what came or was asked meanwhile was so now."""
    for slot in person.slots.values():
        if slot.first_at < now - longest:
            slot.expires_at += now - slot.first_at
            slot.first_at = now
        if slot.reachable_at < now - longest:
            slot.reachable_at = now + RETENTION
            slot.due_at = max(slot.due_at, now)
            slot.tried = False


def _not_following(person: Person, *, in_rest: bool) -> tuple[Device, ...]:
    """The phones to be woken of somebody who has said so of some."""
    always, never = person.wakes.always, person.wakes.never
    return tuple(p for p in person.phones if (p.key in always if in_rest else p.key not in never))


def _owed(
    person: Person, phones: Sequence[Device], slot: Slot, now: float, ready: dict[bytes, Flight], *, urgent: bool
) -> float:
    """Add those of the phones that are owed this slot to `ready`; return when the next backed-off one may be tried.

    A wakeup that is queued for an older reason becomes urgent too. One that has left may have its answer in half a
    minute, or never: an alarm does not wait for it, and is sent beside it.
    """
    again_at = NEVER
    flights, done, generation = person.flights, slot.done, slot.generation
    for phone in phones:
        key = phone.key
        if done.get(key, 0) >= generation:
            continue
        flight = flights.get(key)
        if flight is not None and (flight.urgent or not urgent):
            continue
        if flight is not None and (flight.queued or key in ready):
            flight.urgent = True
            ready[key] = flight
        elif flight is not None and flight.answered:
            flight.urgent = True  # should it be asked again
        elif phone.not_before > now:
            again_at = min(again_at, phone.not_before)
        else:
            flights[key] = ready[key] = Flight(person, phone, urgent=urgent, beside=flight)
    return again_at


def depart(flight: Flight, now: float, table: RestTable | None) -> bool:
    """Last look at the gate. True: the wakeup may leave now and carries its claims and life; False: it must not.

    It must have a reason of its own: a slot that is due, and while the user reads elsewhere one that does not yield to
    that; it takes along the others. Not one that an alarm was sent beside, and that has come back: the alarm stands for
    all. Call `left` when the bytes are handed over.
    """
    person, device = flight.person, flight.device
    tenant, key = person.tenant, device.key
    if person.frozen or person.flights.get(key) is not flight:
        return False
    current = person.devices.get(key)
    if current is not device:
        if current is None or current.token_hash != device.token_hash or current.not_before > now:
            return False
        flight.device = current
    is_always = is_never = False
    if person.wakes is not FOLLOW:
        is_always, is_never = key in person.wakes.always, key in person.wakes.never
        table = None if is_always else table
    claims: tuple[Claim, ...] = ()
    reads = now < person.active_until
    rings = is_alarm = False
    life, echo_at = NOW_OR_NEVER, None
    for name, slot in person.slots.items():
        generation = slot.generation
        event_class = tenant.class_of(name)
        if slot.done.get(key, 0) >= generation:
            if key in slot.orders:
                life = max(life, event_class.life)
            continue
        expiry = slot.expiry(event_class)
        if expiry <= now or (is_never and not event_class.pierces):
            continue
        if tenant.halts.active and tenant.halts.until(event_class, device.app, now):
            continue
        decision = tenant.gate.ask(table, person.key, event_class, now, expiry)
        if isinstance(decision, Deferred):
            continue
        is_due = slot.due_at <= now or (is_always and not slot.is_echo)
        is_alarm = is_alarm or event_class.is_urgent
        rings = rings or is_alarm or (is_due and not (reads and event_class.yields))
        claims += ((name, generation, slot.total),)
        if decision.life > life:
            life = decision.life
        if decision.echo_at is not None:
            echo_at = min(echo_at or NEVER, decision.echo_at)
    flight.claims = claims if rings else ()
    flight.is_alarm = is_alarm
    flight.life, flight.echo_at = life, echo_at
    return rings


def left(flight: Flight, now: float) -> None:
    """The bytes of the wakeup were handed over: hold newer events of this user.

    Within a hold only an alarm begins another one. What else leaves then is a device that comes late, and takes along
    what has come meanwhile: for the others that is still held.
    """
    person = flight.person
    begins = now >= person.hold.until
    newest = person.left_generation
    for name, generation, _total in flight.claims:
        if generation > newest and (begins or person.tenant.class_of(name).pierces):
            newest = generation
    if newest > person.left_generation:
        person.left_generation = newest
        person.hold.left(now)
