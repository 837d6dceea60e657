"""Editing: devices and rest documents, as doors ask for it."""

from __future__ import annotations

from relay.core.batch import Parting
from relay.core.devices import Device, Platform, Registration, RestRecord
from relay.core.draft import Draft
from relay.core.errors import DeviceLimitReached, NotFound, VersionConflict
from relay.core.people import Person
from relay.core.private import DeviceKey, UserKey
from relay.core.settling import part, remove
from relay.core.tenants import Tenant

Version = int | str | None
"""If-Match: a version, "*" for any existing, None for no condition."""


def put_device(draft: Draft, tenant: Tenant, registration: Registration) -> tuple[bool, int]:
    """Register or refresh a device; return (created, how many others had to leave).

    A new token was woken for nothing yet, and is owed what is pending. Raises DeviceLimitReached.
    """
    person = draft.person(tenant, registration.user, registration.sealed_id)
    before = draft.devices_of(person).get(registration.device)
    if before is None and len(draft.devices_of(person)) >= tenant.device_limit and not tenant.evict:
        raise DeviceLimitReached(tenant.device_limit)
    parted = _take_token(draft, registration)
    while before is None and len(devices := draft.devices_of(person)) >= tenant.device_limit:
        oldest = min(devices.values(), key=lambda device: device.registered_at)
        part(draft, person, oldest, Parting.EVICTED, "device_limit")
        parted += 1
    if before is not None and before.token_hash != registration.token_hash:
        draft.drop_token(before)
        for _name, slot in draft.slots_of(person):
            slot.done.pop(before.key, None)
    draft.put_device(person, _registered(registration, draft.now))
    if registration.platform is not Platform.NONE:
        draft.tokens[registration.token_hash] = (registration.user, registration.device)
    return before is None, parted


def _registered(registration: Registration, now: float) -> Device:
    return Device(
        registration.device, registration.user, registration.app, registration.platform, registration.token_hash,
        registration.sealed, registered_at=now,
    )  # fmt: skip


def _take_token(draft: Draft, registration: Registration) -> int:
    """A token is unique per app: whoever had it loses it, and the backend is told."""
    owner = draft.token_owner(registration.token_hash)
    if registration.platform is Platform.NONE or owner is None or owner == (registration.user, registration.device):
        return 0
    person = draft.find(owner[0])
    device = draft.devices_of(person).get(owner[1]) if person is not None else None
    if person is None or device is None:
        return 0
    part(draft, person, device, Parting.MOVED, "token_moved")
    return 1


def delete_device(draft: Draft, tenant: Tenant, user: UserKey, device: DeviceKey) -> None:
    """Raises NotFound."""
    person = _known(draft, tenant, user)
    found = draft.devices_of(person).get(device)
    if found is None:
        raise NotFound("no such device")
    remove(draft, person, found)


def put_rest(
    draft: Draft, tenant: Tenant, user: UserKey, sealed_id: bytes, sealed: bytes, if_match: Version
) -> int:
    """Replace the rest document; return its version. Raises VersionConflict."""
    _check_version(draft.rest(user), if_match)
    person = draft.person(tenant, user, sealed_id)
    draft.batch.revision += 1
    draft.put_rest(person, RestRecord(sealed, draft.batch.revision))
    return draft.batch.revision


def delete_rest(draft: Draft, tenant: Tenant, user: UserKey, if_match: Version) -> None:
    """Raises NotFound, VersionConflict."""
    person = _known(draft, tenant, user)
    record = draft.rest(user)
    if record is None:
        raise NotFound("no rest document")
    _check_version(record, if_match)
    draft.batch.revision += 1
    draft.put_rest(person, None)


def _known(draft: Draft, tenant: Tenant, user: UserKey) -> Person:
    person = draft.find(user)
    if person is None or person.tenant is not tenant:
        raise NotFound("no such user")
    return person


def _check_version(record: RestRecord | None, if_match: Version) -> None:
    current = record.version if record is not None else None
    if if_match is None or if_match == current or (if_match == "*" and record is not None):
        return
    raise VersionConflict(current)
