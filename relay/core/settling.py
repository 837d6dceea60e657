"""Settling: what became of wakeups, and of slots that need none any more.

Every way in which a notice leaves the pending ones is in this file, and each writes the books in the same breath (I4):
accepted by a provider, cancelled by `seen` or by the confirmation of an order, expired, undeliverable; for alarms the
receipts too (core/receipts.py). A verdict names the generation it was sent for; a newer event stays pending, and a slot
that is gone or younger than the verdict books nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Final

from relay.core.batch import Parting, Posted, PostKind
from relay.core.devices import FOLLOW, Device
from relay.core.draft import Draft
from relay.core.events import EventClass
from relay.core.flight import Fate, Flight, Settlement
from relay.core.orders import obeyed, outlive, renew, withdraw
from relay.core.people import Person
from relay.core.private import DeviceKey, UserKey
from relay.core.receipts import Outcome, credit
from relay.core.slots import ECHOING, Slot
from relay.core.tenants import Tenant

NOBODY: Final[Mapping[UserKey, float]] = MappingProxyType({})


def settle_accepted(draft: Draft, flights: Sequence[Flight]) -> None:
    """The provider took these wakeups: book what they stood for, at the first device of each user.

    Person by person: mostly all devices of one are in the same batch; their slot is then looked for and closed once.
    """
    by_person: defaultdict[Person, list[Flight]] = defaultdict(list)
    for flight in flights:
        by_person[flight.person].append(flight)
    draft.landed += by_person.items()
    for person, some in by_person.items():
        if not person.gone:
            _book(draft, person, some)


def _book(draft: Draft, person: Person, flights: list[Flight]) -> None:
    devices = draft.devices_of(person)
    slots: dict[str, Slot | None] = {}
    for flight in flights:
        asked = flight.device
        key, device = asked.key, devices.get(asked.key)
        if device is not asked:  # a token registered while this wakeup was on its way was woken for nothing yet
            device = _same_token(draft, flight)
        if device is not None and device.attempt:
            draft.put_device(person, device.backed_off(0, 0.0))
        for name, generation, total in flight.claims:
            if name not in slots:
                slots[name] = draft.slot(person, name)
            slot = slots[name]
            if slot is None or generation < slot.born:
                continue  # cancelled meanwhile: books nothing
            if device is not None and slot.done.get(key, 0) < generation:
                slot.done[key] = generation
                if flight.echo_at is not None and generation == slot.generation:
                    slot.cut(flight.echo_at)
            if total > slot.booked:
                _hand_over(draft, person, name, slot, total)
    for name, slot in slots.items():
        if slot is not None:
            close_if_done(draft, person, name, slot)


def _hand_over(draft: Draft, person: Person, name: str, slot: Slot, total: int) -> None:
    """The first device was woken for the notices of a slot up to number `total`."""
    if slot.stubs:
        credit(draft, slot, total, Outcome.HANDED_OVER)
    account = draft.account((person.tenant.name, name))
    account.woken += 1
    account.merged += slot.book_up_to(total) - 1


def settle(draft: Draft, settlements: Iterable[Settlement]) -> None:
    """Verdicts that were not "accepted"."""
    for settlement in settlements:
        draft.landed.append((settlement.flight.person, [settlement.flight]))
        if settlement.flight.person.gone:
            continue
        _FATES[settlement.fate](draft, settlement)


def _retry(draft: Draft, settlement: Settlement) -> None:
    device = _same_token(draft, settlement.flight)
    if device is not None:
        draft.put_device(settlement.flight.person, device.backed_off(device.attempt + 1, settlement.not_before))


def _give_up(draft: Draft, settlement: Settlement) -> None:
    person, device = settlement.flight.person, settlement.flight.device
    if _same_token(draft, settlement.flight) is None:
        return
    for name, generation, _total in settlement.flight.claims:
        slot = draft.slot(person, name)
        if slot is not None and generation >= slot.born:
            slot.done[device.key] = max(generation, slot.done.get(device.key, 0))
            close_if_done(draft, person, name, slot)


def _bury(draft: Draft, settlement: Settlement) -> None:
    """Delete a dead device: only the one that was asked, and only if it died after its registration.

    A provider that names an older death may repeat it: such a device is backed off like any that failed.
    """
    device = _same_token(draft, settlement.flight)
    if device is None or device.registered_at != settlement.flight.device.registered_at:
        return
    if settlement.dead_since is not None and settlement.dead_since < device.registered_at:
        _retry(draft, settlement)
        return
    part(draft, settlement.flight.person, device, Parting.DEAD, settlement.reason)


_FATES: dict[Fate, Callable[[Draft, Settlement], None]] = {
    Fate.RETRY: _retry,
    Fate.GIVE_UP: _give_up,
    Fate.DEAD: _bury,
}


def _same_token(draft: Draft, flight: Flight) -> Device | None:
    """The device now, if its token is still the one the wakeup was sent to."""
    asked = flight.device
    device = draft.devices_of(flight.person).get(asked.key)
    return device if device is asked or (device is not None and device.token_hash == asked.token_hash) else None


def close_if_done(draft: Draft, person: Person, name: str, slot: Slot) -> None:
    """End the slot when no device is owed; what is unbooked then could not be delivered.

    Where the backend posts `seen`, a wakeup whose life was cut by rest leaves an echo instead (`Slot.echo_at`), bounded
    by the class deadline, so that a phone that stays off is not forgotten and one that is ignored not rung for ever.
    One with open orders begins anew (core/orders.py).
    """
    phones = draft.phones_of(person)
    generation, done = slot.generation, slot.done
    all_follow = person.wakes is FOLLOW and (person.table is not None or person.rest is None)
    for phone in phones:
        if done.get(phone.key, 0) < generation and (all_follow or not _is_never(draft, person, name, phone)):
            return
    if slot.total != slot.booked:
        draft.account((person.tenant.name, name)).undeliverable += slot.n
        credit(draft, slot, slot.total, Outcome.FAILED if phones else Outcome.NO_DEVICE)
        slot.booked = slot.total
    if slot.orders:
        event_class = person.tenant.class_of(name)
        if renew(slot, event_class, phones, draft.batch.generation + 1, draft.now):
            draft.batch.generation += 1
            draft.touch(person)
            return
    if slot.repeat_at and phones and _may_echo(person, name, slot):
        draft.batch.generation += 1
        slot.generation = draft.batch.generation
        slot.done.clear()
        slot.due_at, slot.echo_at = slot.repeat_at, ECHOING
        return
    draft.end_slot(person, name)


def _is_never(draft: Draft, person: Person, name: str, phone: Device) -> bool:
    """It is not woken for this class at all, so nothing waits for it.

    The document is read if nobody has since it was put. In the batch that puts another, neither ends anything.
    """
    if person.key in draft.batch.rests or person.tenant.class_of(name).pierces:
        return False
    draft.tables(person, draft.now)
    return phone.key in person.wakes.never


def _may_echo(person: Person, name: str, slot: Slot) -> bool:
    event_class = person.tenant.class_of(name)
    return person.tenant.posts_seen and event_class.cancellable and slot.repeat_at < slot.expiry(event_class)


def seen(
    draft: Draft, tenant: Tenant, marks: Iterable[tuple[UserKey, float]], active: Mapping[UserKey, float] = NOBODY
) -> None:
    """The user has read everything up to `at`: cancel what is not newer, where the class allows it.

    `active`: until when users go on reading elsewhere; what could be cancelled waits so long.
    """
    for key, at in marks:
        person = draft.find(key)
        if person is None and not draft.people.owns(key):
            draft.batch.posted.append(Posted(PostKind.SEEN, tenant.name, key, at=at, until=active.get(key, 0.0)))
        if person is None or person.tenant is not tenant:
            continue
        draft.read.append(person)
        if key in active:
            draft.active.append((person, active[key]))
        for name, slot in draft.slots_of(person):
            if slot.last_at <= at and tenant.class_of(name).cancellable:
                draft.account((tenant.name, name)).cancelled += slot.n
                credit(draft, slot, slot.total, Outcome.FAILED)  # of a class that is no alarm any more
                draft.end_slot(person, name)


def confirm(
    draft: Draft, tenant: Tenant, user: UserKey, event_class: EventClass, device: DeviceKey | None, at: float
) -> None:
    """The user's devices, or this one, have obeyed the orders of a class up to `at`: nothing is sent anew for them."""
    person = draft.find(user)
    slot = draft.slot(person, event_class.name) if person is not None and person.tenant is tenant else None
    if person is None or slot is None or not slot.orders:
        return
    if obeyed(slot, list(slot.orders) if device is None else (device,), at):
        close_if_done(draft, person, event_class.name, slot)
        return
    draft.account((tenant.name, event_class.name)).cancelled += slot.n
    credit(draft, slot, slot.total, Outcome.HANDED_OVER)  # it must have been: the device knew of it
    draft.end_slot(person, event_class.name)


def expire(draft: Draft, person: Person, name: str) -> None:
    """Give up a slot whose deadline has passed; of orders, those whose deadline has.

    An event that came since may have saved it; then it is looked at again.
    """
    if person.gone:
        return
    slot = draft.slot(person, name)
    if slot is None:
        return
    if slot.expiry(person.tenant.class_of(name)) > draft.now:
        draft.touch(person)
        return
    if outlive(slot, draft.now):
        draft.touch(person)
        close_if_done(draft, person, name, slot)
        return
    draft.account((person.tenant.name, name)).expired += slot.n
    credit(draft, slot, slot.total, Outcome.FAILED)
    draft.end_slot(person, name)


def part(draft: Draft, person: Person, device: Device, parting: Parting, reason: str) -> None:
    """A device leaves without its owner's delete: remove it and tell the backend."""
    draft.tell(person, device, parting, reason)
    remove(draft, person, device)


def remove(draft: Draft, person: Person, device: Device) -> None:
    """Delete a device; its slots end if nobody else is owed."""
    draft.drop_device(person, device)
    for name, slot in draft.slots_of(person):
        withdraw(slot, (device.key,))
        slot.done.pop(device.key, None)
        close_if_done(draft, person, name, slot)
