"""Editing: devices and rest documents, as doors ask for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Final, NamedTuple

from relay.core.batch import Parting, Posted, PostKind
from relay.core.devices import Device, Platform, Registration, RestRecord
from relay.core.draft import Draft
from relay.core.errors import DeviceLimitReached, NotFound, VersionConflict
from relay.core.events import EventClass
from relay.core.orders import exempt
from relay.core.people import Person
from relay.core.private import DeviceKey, TokenHash, UserKey
from relay.core.receipts import Outcome, credit
from relay.core.settling import close_if_done, part, remove
from relay.core.slots import RETENTION, Slot
from relay.core.tenants import Tenant


class Replaced(NamedTuple):
    """How many devices a list created, refreshed and deleted."""

    created: int
    refreshed: int
    deleted: int


Version = int | str | None
"""What must hold: this version is the current one, "*": there is a document, "none": there is none; None: nothing."""


Holders = Mapping[TokenHash, tuple[UserKey, DeviceKey]]
"""Who of another node's people has a token."""
NOBODY: Final[Holders] = MappingProxyType({})


def put_device(draft: Draft, tenant: Tenant, registration: Registration, abroad: Holders = NOBODY) -> tuple[bool, int]:
    """Register or refresh a device; return (created, how many others had to leave).

    It is there before the others leave: what is pending is owed to it then, not undeliverable. A new token was woken
    for nothing yet; a token that is known keeps its back-off. Raises DeviceLimitReached.
    """
    person = draft.person(tenant, registration.user, registration.sealed_id)
    before = draft.devices_of(person).get(registration.device)
    rival = _rival(draft, registration)
    evicted = _surplus(draft, tenant, person, rival) if before is None else []
    if evicted and not tenant.evict:
        raise DeviceLimitReached(tenant.device_limit)
    _put(draft, person, before, registration)
    has_moved = _move(draft, tenant, registration, rival, abroad)
    for device in evicted:
        part(draft, person, device, Parting.EVICTED, "device_limit")
    if registration.platform is not Platform.NONE:
        draft.tokens[registration.token_hash] = (registration.user, registration.device)
    return before is None, len(evicted) + has_moved


def _move(
    draft: Draft, tenant: Tenant, registration: Registration, rival: tuple[Person, Device] | None, abroad: Holders
) -> bool:
    """Whoever had this token loses it; of another node's people, as soon as that has heard of it."""
    if rival is not None:
        part(draft, *rival, Parting.MOVED, "token_moved")
        return True
    holder = abroad.get(registration.token_hash)
    if holder is None or registration.platform is Platform.NONE or draft.people.owns(holder[0]):
        return False
    draft.batch.posted.append(
        Posted(PostKind.MOVED, tenant.name, holder[0], device=holder[1], token=registration.token_hash)
    )
    return True


def _rival(draft: Draft, registration: Registration) -> tuple[Person, Device] | None:
    """Another device that has this token. A token is unique per app: it loses it, and the backend is told."""
    owner = draft.token_owner(registration.token_hash)
    if registration.platform is Platform.NONE or owner is None or owner == (registration.user, registration.device):
        return None
    person = draft.find(owner[0])
    device = draft.devices_of(person).get(owner[1]) if person is not None else None
    return None if person is None or device is None else (person, device)


def _surplus(draft: Draft, tenant: Tenant, person: Person, rival: tuple[Person, Device] | None) -> list[Device]:
    """Devices that must leave so that one more is within the limit: those registered longest ago."""
    staying = [d for d in draft.devices_of(person).values() if rival is None or d is not rival[1]]
    staying.sort(key=lambda device: device.registered_at)
    return staying[: max(0, len(staying) + 1 - tenant.device_limit)]


def _put(draft: Draft, person: Person, before: Device | None, registration: Registration) -> None:
    device = Device(
        registration.device, registration.user, registration.app, registration.platform, registration.token_hash,
        registration.sealed, registered_at=draft.now,
    )  # fmt: skip
    if before is not None and before.token_hash == registration.token_hash:
        device = device.backed_off(before.attempt, before.not_before)
    elif before is not None:
        draft.drop_token(before)
        for _name, slot in draft.slots_of(person):
            slot.done.pop(before.key, None)
    draft.put_device(person, device)
    _exempt_from_orders(draft, person, device)
    if before is not None and registration.platform is Platform.NONE:
        for name, slot in draft.slots_of(person):
            close_if_done(draft, person, name, slot)


def _exempt_from_orders(draft: Draft, person: Person, device: Device) -> None:
    """Orders are for the devices that were there when they came."""
    for event_class in person.tenant.classes.values():
        slot = draft.slot(person, event_class.name) if event_class.renewal else None
        if slot is not None and device.key not in slot.orders:
            exempt(slot, device.key)


def put_devices(
    draft: Draft, tenant: Tenant, listed: Mapping[UserKey, Sequence[Registration]], abroad: Holders = NOBODY
) -> Replaced:
    """Give users exactly the listed devices, within the limit; each token stands once in the list.

    Tokens are given back first, so that they can change places among the listed. Then the listed come, and only then
    the others leave: what is pending is owed to the new ones, not undeliverable.
    """
    for user, registrations in listed.items():
        _give_tokens_back(draft, user, registrations)
    created = 0
    for registration in (r for registrations in listed.values() for r in registrations):
        person = draft.person(tenant, registration.user, registration.sealed_id)
        before = draft.devices_of(person).get(registration.device)
        rival = _rival(draft, registration)
        _put(draft, person, before, registration)
        _move(draft, tenant, registration, rival, abroad)
        if registration.platform is not Platform.NONE:
            draft.tokens[registration.token_hash] = (registration.user, registration.device)
        created += before is None
    deleted = sum(_drop_others(draft, user, registrations) for user, registrations in listed.items())
    return Replaced(created, sum(map(len, listed.values())) - created, deleted)


def _give_tokens_back(draft: Draft, user: UserKey, registrations: Sequence[Registration]) -> None:
    person = draft.find(user)
    kept = {r.device: r.token_hash for r in registrations}
    for device in draft.devices_of(person).values() if person is not None else ():
        if kept.get(device.key) != device.token_hash:
            draft.drop_token(device)


def _drop_others(draft: Draft, user: UserKey, registrations: Sequence[Registration]) -> int:
    person = draft.find(user)
    if person is None:
        return 0
    kept = {r.device for r in registrations}
    others = [device for device in draft.devices_of(person).values() if device.key not in kept]
    for device in others:
        remove(draft, person, device)
    return len(others)


def delete_device(draft: Draft, tenant: Tenant, user: UserKey, device: DeviceKey) -> None:
    """Raises NotFound."""
    person = _known(draft, tenant, user)
    found = draft.devices_of(person).get(device)
    if found is None:
        raise NotFound("no such device")
    remove(draft, person, found)


def delete_user(draft: Draft, tenant: Tenant, user: UserKey) -> None:
    """Forget somebody; what is pending counts as cancelled. The backend asked for it, so feedback is not told.

    Raises NotFound.
    """
    person = _known(draft, tenant, user)
    for name, slot in draft.slots_of(person):
        draft.account((tenant.name, name)).cancelled += slot.n
        credit(draft, slot, slot.total, Outcome.NO_DEVICE)
        draft.end_slot(person, name)
    for device in list(draft.devices_of(person).values()):
        draft.drop_device(person, device)
    if draft.rest(user) is not None:
        draft.batch.revision += 1
        draft.put_rest(person, None)
    draft.drop_person(person)


def put_rest(
    draft: Draft, tenant: Tenant, user: UserKey, sealed_id: bytes | None, sealed: bytes, if_match: Version
) -> int:
    """Replace the rest document; return its version. Raises VersionConflict; without `sealed_id` NotFound."""
    _check_version(draft.rest(user), if_match)
    person = _known(draft, tenant, user) if sealed_id is None else draft.person(tenant, user, sealed_id)
    draft.batch.revision += 1
    draft.put_rest(person, RestRecord(sealed, draft.batch.revision))
    _ask_anew(draft, person)
    return draft.batch.revision


def change_rest(
    draft: Draft, tenant: Tenant, user: UserKey, if_match: Version, change: Callable[[bytes | None], bytes | None]
) -> int | None:
    """Put in the place of the sealed document what `change` makes of it; return its version.

    `change` sees what this batch has made of it so far, so that of two who change it at once both do. None: there is no
    document; from `change`: it stays as it is. Raises NotFound, VersionConflict, and what `change` raises.
    """
    _known(draft, tenant, user)
    record = draft.rest(user)
    _check_version(record, if_match)
    sealed = change(None if record is None else record.sealed)
    if sealed is None:
        return None if record is None else record.version
    return put_rest(draft, tenant, user, None, sealed, None)


def delete_rest(draft: Draft, tenant: Tenant, user: UserKey, if_match: Version) -> None:
    """Raises NotFound, VersionConflict."""
    person = _known(draft, tenant, user)
    record = draft.rest(user)
    if record is None:
        raise NotFound("no rest document")
    _check_version(record, if_match)
    draft.batch.revision += 1
    draft.put_rest(person, None)
    _ask_anew(draft, person)


def delete_own(draft: Draft, tenant: Tenant, user: UserKey, if_match: Version) -> None:
    """What is an officer's own ends: the rest, passes of every kind, and the record of who has looked at the rest.

    Devices and what waits for them are the backend's and stay, and so does the record of bypasses. Raises NotFound,
    VersionConflict.
    """
    person = _known(draft, tenant, user)
    _check_version(draft.rest(user), if_match)
    if draft.rest(user) is not None:
        delete_rest(draft, tenant, user, None)
    for key in draft.passes_of(user):
        draft.put_pass(key, None)
    draft.forget_visits(person)


def _ask_anew(draft: Draft, person: Person) -> None:
    """After an edit of the rest the gate is asked anew for what waits; in its commit, so that no restart forgets it.

    An echo keeps its morning.
    """
    for name, slot in draft.slots_of(person):
        ask_anew(slot, person.tenant.class_of(name), draft.now)


def ask_anew(slot: Slot, event_class: EventClass, now: float) -> None:
    """What an edit of the rest at `now` means for one slot."""
    if slot.is_echo or event_class.pierces:
        return
    slot.due_at = min(slot.due_at, now)
    if not slot.tried:
        slot.reachable_at = now + RETENTION


def _known(draft: Draft, tenant: Tenant, user: UserKey) -> Person:
    person = draft.find(user)
    if person is None or person.tenant is not tenant:
        raise NotFound("no such user")
    return person


def _check_version(record: RestRecord | None, if_match: Version) -> None:
    allowed: set[Version] = {None, "none"} if record is None else {None, "*", record.version}
    if if_match not in allowed:
        raise VersionConflict(None if record is None else record.version)
