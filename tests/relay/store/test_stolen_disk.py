"""I6: a stolen disk says nothing, and whoever can write to it cannot put one record in another's place.

Records are made as the doors make them; what lies on the disk is then read, and moved about, with SQL.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from relay.core.batch import Batch, Bypass, Feedback, Parting, PersonRecord, Remembered
from relay.core.books import Account
from relay.core.devices import Device, Platform, RestRecord
from relay.core.events import Accepted
from relay.core.passes import Look, Pass, PassKind, Visit
from relay.core.private import DeviceKey, Private, UserKey
from relay.core.pseudonym import Pseudonyms
from relay.core.records import Records
from relay.core.seal import SealBroken, Seals
from relay.store import rows
from relay.store.port import Loaded
from relay.store.sqlite import SqliteStore
from tests.relay.store.batches import NOW, a_slot

MASTER = bytes(range(32))
TENANTS = ("city", "county")
PEOPLE = ("canary-anna", "canary-bert")
DEVICES = ("canary-phone", "canary-tablet")


@dataclass(frozen=True)
class Tenancy:
    """What one tenant's door works with."""

    names: Pseudonyms
    records: Records


def tenancy(tenant: str) -> Tenancy:
    return Tenancy(Pseudonyms(MASTER, tenant), Records(Seals({3: MASTER}, 3), tenant))


def token(tenant: str, person: str, device: str) -> str:
    return f"canary-token-{tenant}-{person}-{device}"


def document(person: str) -> dict[str, object]:
    return {"timezone": "Europe/Berlin", "windows": [{"label": f"canary-label {person}", "start": "0 22 * * *"}]}


def a_day_of(tenant: str, epoch: int) -> Batch:
    """Two people with two devices each, a rest document, something pending, something reported, an alarm."""
    made, batch = tenancy(tenant), Batch(NOW, epoch, generation=1, revision=1)
    for person in PEOPLE:
        user = made.names.user(person)
        batch.people[user] = PersonRecord(tenant, made.records.seal_user(user, Private(person)))
        batch.rests[user] = RestRecord(made.records.seal_rest(user, document(person)), 1)
        batch.slots[(user, "message")] = a_slot(1)
        for name in DEVICES:
            key, secret = made.names.device(person, name), token(tenant, person, name)
            sealed = made.records.seal_device(user, key, Private(person), Private(name), Private(secret))
            hashed = made.names.token("ios", secret)
            batch.devices[key] = (user, Device(key, user, "ios", Platform.APNS, hashed, sealed, NOW))
            seq = len(batch.feedback) + 1
            batch.feedback.append(Feedback(seq, tenant, user, key, Parting.DEAD, "Unregistered", NOW, sealed))
    request = made.names.request("backend", "canary-idempotency-key")
    batch.requests[request] = Remembered(bytes(32), Accepted(1, 0), NOW)
    for person in PEOPLE:
        user = made.names.user(person)
        batch.passes[made.names.pass_key("token", f"canary-{person}")] = Pass(PassKind.TOKEN, user, NOW)
        batch.passes[made.names.pass_key("support", "canary-1234", user)] = Pass(PassKind.SUPPORT, user, NOW)
        batch.visits.append(Visit(len(batch.visits), tenant, user, NOW, "support", Look.REST))
    batch.accounts[(tenant, "message")] = Account(2)
    sealed = made.records.seal_recipients(list(batch.people))
    bypass = Bypass(
        tenant, "alarm", NOW, "backend", "dispatch", "incident", len(PEOPLE), over_rate=False, sealed=sealed
    )
    batch.bypasses.append(bypass)
    return batch


@pytest.fixture
def filled(path: Path) -> Path:
    with closing(SqliteStore(path)) as store:
        for tenant in TENANTS:
            store.commit(a_day_of(tenant, store.load().epoch))
    return path


def loaded_from(path: Path) -> Loaded:
    with closing(SqliteStore(path)) as store:
        return store.load()


def bytes_on_disk(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def test_nothing_private_lies_on_the_disk_in_clear(path: Path) -> None:
    """While it runs, after the log was moved, after everything was changed and deleted, and after it ended."""
    with closing(SqliteStore(path)) as store:
        epoch = store.load().epoch
        batch = a_day_of("city", epoch)
        store.commit(batch)
        seen = [bytes_on_disk(path.parent)]
        gone = Batch(NOW, epoch, slots=dict.fromkeys(batch.slots), rests=dict.fromkeys(batch.rests))
        gone.devices = {key: (user, None) for key, (user, _) in batch.devices.items()}
        store.commit(gone)
        seen.append(bytes_on_disk(path.parent))
    seen.append(bytes_on_disk(path.parent))
    everything = [content for disk in seen for content in disk.values()]
    assert {"relay.db", "relay.db-wal"} <= seen[0].keys()
    assert not any(b"canary" in content for content in everything)
    assert not any("canary".encode("utf-16-le") in content for content in everything)
    assert not any(MASTER[:8] in content for content in everything)
    # The search finds what is there: the tenant, which is no secret, and the sealed bytes.
    (device, *_) = [device for _, device in batch.devices.values() if device]
    for wanted in (b"city", device.sealed, batch.rests[device.user].sealed):  # type: ignore[union-attr]
        assert any(wanted in content for content in seen[0].values())


def test_what_was_sealed_opens_in_its_own_place(filled: Path) -> None:
    loaded = loaded_from(filled)
    for tenant in TENANTS:
        made = tenancy(tenant)
        for person in PEOPLE:
            user = made.names.user(person)
            assert made.records.open_user(user, loaded.people[user].sealed_id) == Private(person)
            assert made.records.open_rest(user, loaded.rests[user].sealed) == document(person)
            for name in DEVICES:
                device = loaded.devices[made.names.device(person, name)]
                opened = made.records.open_token(user, device.key, device.sealed)
                assert opened.reveal() == token(tenant, person, name)
                ids = made.records.open_device_ids(user, device.key, device.sealed)
                assert ids == (Private(person), Private(name))


# --- moving records


def swap(path: Path, table: str, one: bytes, other: bytes) -> None:
    """Exchange the bodies of two rows."""
    with closing(sqlite3.connect(path)) as db:
        bodies = [db.execute(f"SELECT body FROM {table} WHERE key = ?", (key,)).fetchone()[0] for key in (one, other)]
        assert bodies[0] != bodies[1]
        db.executemany(f"UPDATE {table} SET body = ? WHERE key = ?", [(bodies[1], one), (bodies[0], other)])
        db.commit()


def put(path: Path, table: str, key: bytes, body: bytes) -> None:
    with closing(sqlite3.connect(path)) as db:
        assert db.execute(f"UPDATE {table} SET body = ? WHERE key = ?", (body, key)).rowcount == 1
        db.commit()


Place = tuple[str, str]
"""(tenant, person)"""
USERS: list[tuple[Place, Place]] = [
    (("city", PEOPLE[0]), ("city", PEOPLE[1])),
    (("city", PEOPLE[0]), ("county", PEOPLE[0])),
    (("city", PEOPLE[0]), ("county", PEOPLE[1])),
]


def key_of(place: Place) -> UserKey:
    return tenancy(place[0]).names.user(place[1])


@pytest.mark.parametrize(("one", "other"), USERS, ids=["users", "tenants", "both"])
@pytest.mark.parametrize("table", ["person", "rest"])
def test_records_cannot_be_swapped_between_users(filled: Path, table: str, one: Place, other: Place) -> None:
    swap(filled, table, key_of(one), key_of(other))
    loaded = loaded_from(filled)
    for place in (one, other):
        user = key_of(place)
        sealed = loaded.people[user].sealed_id if table == "person" else loaded.rests[user].sealed
        for tenant in TENANTS:  # the tenant stands in the person's row and is swapped with it
            records = tenancy(tenant).records
            opener: Callable[[UserKey, bytes], object] = records.open_user if table == "person" else records.open_rest
            with pytest.raises(SealBroken):
                opener(user, sealed)


def first_device(place: Place) -> DeviceKey:
    return tenancy(place[0]).names.device(place[1], DEVICES[0])


@pytest.mark.parametrize(("one", "other"), USERS, ids=["users", "tenants", "both"])
@pytest.mark.parametrize("claims_the_owner", [False, True], ids=["as it is", "with the owner changed"])
def test_a_device_cannot_be_moved_to_another_user(
    filled: Path, one: Place, other: Place, claims_the_owner: bool
) -> None:
    """Otherwise whoever writes to the disk has Anna's alarms wake Bert's phone."""
    swap(filled, "device", first_device(one), first_device(other))
    loaded = loaded_from(filled)
    if claims_the_owner:
        for place in (one, other):
            moved = replace(loaded.devices[first_device(place)], user=key_of(place))
            put(filled, "device", moved.key, rows.device(moved))
        loaded = loaded_from(filled)
    for place in (one, other):
        device = loaded.devices[first_device(place)]
        for tenant in TENANTS:
            for user in (device.user, key_of(place)):
                with pytest.raises(SealBroken):
                    tenancy(tenant).records.open_token(user, device.key, device.sealed)
                with pytest.raises(SealBroken):
                    tenancy(tenant).records.open_device_ids(user, device.key, device.sealed)


def test_two_devices_of_one_user_cannot_be_swapped(filled: Path) -> None:
    made = tenancy("city")
    user = made.names.user(PEOPLE[0])
    phone, tablet = (made.names.device(PEOPLE[0], name) for name in DEVICES)
    swap(filled, "device", phone, tablet)
    loaded = loaded_from(filled)
    for key in (phone, tablet):
        with pytest.raises(SealBroken):
            made.records.open_token(user, key, loaded.devices[key].sealed)


def sealed_by_kind(loaded: Loaded, user: UserKey, device: DeviceKey) -> dict[str, bytes]:
    return {
        "user": loaded.people[user].sealed_id,
        "rest": loaded.rests[user].sealed,
        "device": loaded.devices[device].sealed,
    }


@pytest.mark.parametrize("kind", ["user", "rest", "device"])
def test_a_record_of_one_kind_does_not_open_as_another(filled: Path, kind: str) -> None:
    """Of the same user, put into each other table's row."""
    made = tenancy("city")
    user, device = made.names.user(PEOPLE[0]), made.names.device(PEOPLE[0], DEVICES[0])
    before = loaded_from(filled)
    sealed = sealed_by_kind(before, user, device)[kind]
    put(filled, "person", user, rows.person(PersonRecord("city", sealed)))
    put(filled, "rest", user, rows.rest(RestRecord(sealed, 1)))
    put(filled, "device", device, rows.device(replace(before.devices[device], sealed=sealed)))
    after = sealed_by_kind(loaded_from(filled), user, device)
    assert set(after.values()) == {sealed}
    openers: dict[str, Callable[[], object]] = {
        "user": lambda: made.records.open_user(user, after["user"]),
        "rest": lambda: made.records.open_rest(user, after["rest"]),
        "device": lambda: made.records.open_token(user, device, after["device"]),
    }
    openers.pop(kind)()
    for opener in openers.values():
        with pytest.raises(SealBroken):
            opener()


def test_feedback_opens_only_for_its_own_device(filled: Path) -> None:
    made = tenancy("city")
    with closing(SqliteStore(filled)) as store:
        found = store.feedback("city", 0, 10)
    assert len(found) == len(PEOPLE) * len(DEVICES)
    for record in found:
        made.records.open_device_ids(record.user, record.device, record.sealed)
        for other in found:
            if other is not record:
                with pytest.raises(SealBroken):
                    made.records.open_device_ids(other.user, other.device, record.sealed)
