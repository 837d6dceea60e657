"""From a configuration and a loaded store to the working set, at start."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice

import structlog

from relay import trust
from relay.config import FcmAppConfig, TenantConfig
from relay.config_reader import MasterKeys
from relay.core.devices import Device, Platform
from relay.core.draft import Draft
from relay.core.erasing import Erased, erase
from relay.core.fanout import is_of_the_future, set_back
from relay.core.passes import Passes
from relay.core.people import People, Person
from relay.core.private import DeviceKey, UserKey
from relay.core.pseudonym import Pseudonyms
from relay.core.records import Records
from relay.core.seal import SealBroken, Seals
from relay.core.tables import Tables
from relay.core.tenants import Tenant
from relay.store.port import Loaded, StoreMismatch
from relay.store.sqlite import SqliteStore
from schedules import compile_table, parse

log = structlog.get_logger()


class Household:
    """Tenants, and what belongs to all their people: names, seals, the working set, compiled rest. Empty at first."""

    def __init__(self, masters: MasterKeys, tenants: Sequence[TenantConfig]) -> None:
        root, self.seals = masters.keys[masters.first], Seals(masters.keys, masters.current)
        self.tenants = {tenant.name: _tenant(tenant, Pseudonyms(root, tenant.name)) for tenant in tenants}
        self.records = {name: Records(self.seals, name) for name in self.tenants}
        self.people = People(self.tenants)
        self.tables = Tables(
            lambda tenant, key, sealed: self.records[tenant.name].open_rest(key, sealed),
            lambda document, now: compile_table(parse(document), now),
            lambda person: self.records[person.tenant.name].open_user(person.key, person.sealed_id).reveal(),
        )

    def fill(self, loaded: Loaded) -> int:
        """Take in what a store holds; return the epoch to write under. Raises StoreMismatch, also for other keys."""
        epoch = restore(self.people, loaded)
        self.check(self.people.by_key.values())
        return epoch

    def check(self, people: Iterable[Person]) -> None:
        """Whether these people are named and sealed with our keys. Raises StoreMismatch."""
        for person in islice(people, 1):
            try:
                user = self.records[person.tenant.name].open_user(person.key, person.sealed_id)
            except SealBroken:
                raise StoreMismatch("the master key file does not hold the key this database is sealed with") from None
            if person.tenant.pseudonyms.user(user.reveal()) != person.key:
                raise StoreMismatch("the first master key is not the one this database names people by")


def _tenant(config: TenantConfig, pseudonyms: Pseudonyms) -> Tenant:
    return Tenant(
        name=config.name,
        pseudonyms=pseudonyms,
        apps={a.name: Platform.FCM if isinstance(a, FcmAppConfig) else Platform.APNS for a in config.apps},
        classes={event_class.name: event_class for event_class in config.classes},
        device_limit=config.device_limit,
        evict=config.evict,
        posts_seen=config.posts_seen,
        jitter=config.jitter_seconds,
    )


def restore(people: People, loaded: Loaded) -> int:
    """Fill the working set; return the epoch to write under.

    Raises StoreMismatch for a tenant nobody configured, and for records of people the store does not know.
    """
    _bring_in(people, loaded)
    people.remembered = loaded.requests
    people.receipts = loaded.receipts
    people.books.accounts = loaded.accounts
    people.halt(loaded.halts)
    people.generation, people.revision = loaded.generation, loaded.revision
    people.feedback_seq = loaded.feedback_seq
    return loaded.epoch


def _bring_in(people: People, loaded: Loaded) -> None:
    """What belongs to persons, into a working set without any. Raises StoreMismatch."""
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
    # Memory forgets what has expired a little before the store does; who is deleted in between leaves it behind there.
    people.passes = Passes({key: known for key, known in loaded.passes.items() if known.user in people.by_key})


def adopt(people: People, loaded: Loaded, parts: frozenset[int]) -> list[Person]:
    """Take in the people of partitions that have become ours; who they are. Raises StoreMismatch.

    What becomes of their alarms is counted here from now on, beside what other nodes have counted.
    """
    beside = People(people.tenants)
    _bring_in(beside, loaded)
    people.by_key.update(beside.by_key)
    people.tokens.update(beside.tokens)
    people.passes.update(beside.passes.by_key)
    people.receipts = loaded.receipts | people.receipts
    people.generation = max(people.generation, loaded.generation)
    people.revision = max(people.revision, loaded.revision)
    people.feedback_seq = max(people.feedback_seq, loaded.feedback_seq)
    people.owned |= parts
    return list(beside.by_key.values())


def bring_back(people: People, now: float) -> None:
    """Let nothing wait for an instant of a clock that was ahead when an earlier process wrote it."""
    ahead = [person for person in people.by_key.values() if is_of_the_future(person, now)]
    for person in ahead:
        set_back(person, now)
    if ahead:
        log.warning("clock_was_ahead", people=len(ahead))


def erase_again(household: Household, store: SqliteStore, now: float) -> None:
    """Erase in a database what was erased since it was written: somebody has put an older one in the place of another.

    Does nothing to one that knows all its erasures. Raises ClockIsWrong, StoreMismatch, StoreError.
    """
    unknown = store.unknown_erasures
    if unknown is None:
        return
    trust.check(now)
    epoch = household.fill(store.load())
    store.commit_erased_again(draft_without(household, unknown, epoch, now).batch)
    log.warning("older_database", erased_again=unknown.count, all_known=store.knows_all_erasures)


def draft_without(household: Household, erased: Erased, epoch: int, now: float) -> Draft:
    """A draft that erases all of it that is there."""
    draft = Draft(household.people, now, household.tables)
    draft.batch.epoch = epoch
    erase(draft, erased)
    return draft
