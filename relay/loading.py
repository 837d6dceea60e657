"""From a loaded store to the working set, at start."""

from __future__ import annotations

import structlog

from relay.core.devices import Device, Platform
from relay.core.fanout import is_of_the_future, set_back
from relay.core.passes import Passes
from relay.core.people import People, Person
from relay.core.private import DeviceKey, UserKey
from relay.store.port import Loaded, StoreMismatch

log = structlog.get_logger()


def restore(people: People, loaded: Loaded) -> int:
    """Fill the working set; return the epoch to write under.

    Raises StoreMismatch for a tenant nobody configured, and for records of people the store does not know.
    """
    for key, record in loaded.people.items():
        tenant = people.tenants.get(record.tenant)
        if tenant is None:
            raise StoreMismatch(f"the store holds people of the tenant {record.tenant}, which is not configured")
        people.by_key[key] = Person(tenant, key, record.sealed_id)
    owners = {d.user for d in loaded.devices.values()} | loaded.rests.keys() | {user for user, _ in loaded.slots}
    if not owners <= people.by_key.keys():
        raise StoreMismatch("the store holds records of people it does not know")
    devices: dict[UserKey, dict[DeviceKey, Device]] = {}
    for device_key, device in loaded.devices.items():
        devices.setdefault(device.user, {})[device_key] = device
        if device.platform is not Platform.NONE:
            people.tokens[device.token_hash] = (device.user, device_key)
    for key, owned in devices.items():
        people.by_key[key].have(owned)
    for key, rest in loaded.rests.items():
        people.by_key[key].rest = rest
    for (key, name), slot in loaded.slots.items():
        people.by_key[key].slots[name] = slot
    people.remembered = loaded.requests
    people.receipts = loaded.receipts
    # Memory forgets what has expired a little before the store does; who is deleted in between leaves it behind there.
    people.passes = Passes({key: known for key, known in loaded.passes.items() if known.user in people.by_key})
    people.books.accounts = loaded.accounts
    people.halt(loaded.halts)
    people.generation, people.revision = loaded.generation, loaded.revision
    people.feedback_seq = loaded.feedback_seq
    return loaded.epoch


def bring_back(people: People, now: float) -> None:
    """Let nothing wait for an instant of a clock that was ahead when an earlier process wrote it."""
    ahead = [person for person in people.by_key.values() if is_of_the_future(person, now)]
    for person in ahead:
        set_back(person, now)
    if ahead:
        log.warning("clock_was_ahead", people=len(ahead))
