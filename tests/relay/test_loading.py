"""From the store to the working set: after a restart everything stands where it stood."""

from __future__ import annotations

from dataclasses import replace

import pytest

from relay.core.batch import Batch, PersonRecord, Receipt, Remembered
from relay.core.books import Account
from relay.core.devices import Device, Platform, RestRecord
from relay.core.events import Accepted
from relay.core.passes import Pass, PassKind
from relay.core.people import People, Person
from relay.core.private import DeviceKey, PassKey, ReceiptKey, TokenHash, UserKey
from relay.core.pseudonym import Pseudonyms
from relay.core.slots import Slot
from relay.core.tenants import Tenant
from relay.loading import restore
from relay.store.memory import MemoryStore
from relay.store.port import Loaded, StoreMismatch

NOW = 1_800_000_000.0
ANNA, BERT, CARL = (UserKey(letter * 16) for letter in (b"a", b"b", b"c"))


def a_tenant(name: str, *apps: str) -> Tenant:
    return Tenant(name=name, pseudonyms=Pseudonyms(bytes(32), name), apps=dict.fromkeys(apps, Platform.APNS))


def people_of(*tenants: Tenant) -> People:
    return People({tenant.name: tenant for tenant in tenants})


def a_device(owner: UserKey, number: int, app: str = "ios", platform: Platform = Platform.APNS) -> Device:
    key = DeviceKey(number.to_bytes(16, "big"))
    return Device(key, owner, app, platform, TokenHash(number.to_bytes(16, "little")), b"sealed", NOW + number)


def a_slot(total: int, booked: int) -> Slot:
    return Slot(1, 2, total, booked, NOW, NOW, NOW, NOW, NOW)


CITY, COUNTY = a_tenant("city", "ios"), a_tenant("county", "ios")
PHONE, TABLET, OLD, DESK = (
    a_device(ANNA, 1), a_device(ANNA, 2), a_device(ANNA, 3, app="retired"), a_device(BERT, 4, "web", Platform.NONE),
)  # fmt: skip


A_CODE = Pass(PassKind.SUPPORT, CARL, NOW + 1, tries=2)


def everything() -> Loaded:
    return Loaded(
        people={
            ANNA: PersonRecord("city", b"sealed anna"),
            BERT: PersonRecord("county", b"sealed bert"),
            CARL: PersonRecord("city", b"sealed carl"),
        },
        devices={device.key: device for device in (PHONE, TABLET, OLD, DESK)},
        rests={BERT: RestRecord(b"sealed rest", 5)},
        slots={(ANNA, "message"): a_slot(3, 1), (ANNA, "alarm"): a_slot(1, 0), (BERT, "message"): a_slot(2, 2)},
        requests={b"key": Remembered(b"body", Accepted(1, 0), NOW)},
        receipts={ReceiptKey(b"receipt"): Receipt("city", NOW, 3, 1)},
        passes={PassKey(b"token"): Pass(PassKind.TOKEN, CARL, NOW), PassKey(b"code"): A_CODE},
        accounts={("city", "message"): Account(accepted=3, woken=1), ("city", "alarm"): Account(accepted=1)},
        generation=10,
        revision=20,
        feedback_seq=30,
        epoch=40,
    )


@pytest.fixture
def restored() -> People:
    people = people_of(CITY, COUNTY)
    assert restore(people, everything()) == 40
    return people


def test_people_come_back_with_their_tenant(restored: People) -> None:
    assert restored.by_key.keys() == {ANNA, BERT, CARL}
    found = {key: (person.tenant, person.key, person.sealed_id) for key, person in restored.by_key.items()}
    assert found == {
        ANNA: (CITY, ANNA, b"sealed anna"),
        BERT: (COUNTY, BERT, b"sealed bert"),
        CARL: (CITY, CARL, b"sealed carl"),
    }
    assert restored.by_key[ANNA].tenant is CITY


def test_passes_come_back_to_the_person_they_stand_for(restored: People) -> None:
    assert restored.passes.by_key == everything().passes
    assert dict(restored.passes.of(CARL)) == everything().passes
    assert dict(restored.passes.of(ANNA)) == {}


def test_a_pass_of_nobody_is_left_out() -> None:
    """It had expired and was forgotten when its person left; the store's next purge takes it."""
    people, loaded = people_of(CITY, COUNTY), everything()
    loaded.passes[PassKey(b"orphan")] = Pass(PassKind.SUPPORT, UserKey(b"z" * 16), NOW)
    restore(people, loaded)
    assert people.passes.by_key == everything().passes


def test_devices_slots_and_rest_come_back_to_their_owner(restored: People) -> None:
    anna, bert, carl = (restored.by_key[key] for key in (ANNA, BERT, CARL))
    assert anna.devices == {device.key: device for device in (PHONE, TABLET, OLD)}
    assert bert.devices == {DESK.key: DESK}
    assert anna.slots == {"message": a_slot(3, 1), "alarm": a_slot(1, 0)}
    assert bert.slots == {"message": a_slot(2, 2)}
    assert (anna.rest, bert.rest) == (None, RestRecord(b"sealed rest", 5))
    assert (carl.devices, carl.slots, carl.rest, carl.phones) == ({}, {}, None, ())


def test_phones_are_the_devices_that_can_be_woken(restored: People) -> None:
    """A PC has no provider yet; the devices of an app nobody configures any more stay, and are not woken."""
    assert set(restored.by_key[ANNA].phones) == {PHONE, TABLET}
    assert restored.by_key[BERT].phones == ()


def test_devices_of_an_app_are_phones_again_once_it_is_configured_again() -> None:
    people = people_of(a_tenant("city", "ios", "retired"), COUNTY)
    restore(people, everything())
    assert set(people.by_key[ANNA].phones) == {PHONE, TABLET, OLD}


def test_tokens_know_their_owner(restored: People) -> None:
    """Those of retired apps too: a token that comes back with another person must leave this one."""
    assert restored.tokens == {device.token_hash: (ANNA, device.key) for device in (PHONE, TABLET, OLD)}


def test_what_is_not_stored_begins_anew(restored: People) -> None:
    anna, fresh = restored.by_key[ANNA], Person(CITY, ANNA, b"")
    for name in ("table", "flights", "left_generation", "wake_at"):
        assert getattr(anna, name) == getattr(fresh, name)
    assert not any(slot.tried for _, _, slot in restored.slots())


def test_books_marks_and_remembered_requests_come_back(restored: People) -> None:
    assert (restored.generation, restored.revision, restored.feedback_seq) == (10, 20, 30)
    assert restored.books.accounts == everything().accounts
    assert restored.remembered == everything().requests
    assert restored.receipts == everything().receipts


def test_the_books_balance_after_a_restart(restored: People) -> None:
    """I4: pending is counted from the slots, booked from the accounts, and both came from one commit."""
    assert restored.books.balance(restored.pending()) == []


def test_an_empty_store_is_an_empty_working_set() -> None:
    people = people_of(CITY)
    assert restore(people, Loaded(epoch=1)) == 1
    assert (people.by_key, people.tokens, people.remembered, people.books.accounts) == ({}, {}, {}, {})


def test_a_tenant_that_nobody_configured_is_a_mismatch() -> None:
    """Starting without it would leave its people without a wakeup, and nobody would be told."""
    with pytest.raises(StoreMismatch, match=r"^the store holds people of the tenant county, which is not configured$"):
        restore(people_of(CITY), everything())


@pytest.mark.parametrize(
    "orphan",
    [
        Loaded(devices={PHONE.key: PHONE}),
        Loaded(rests={ANNA: RestRecord(b"", 1)}),
        Loaded(slots={(ANNA, "message"): a_slot(1, 0)}),
    ],
    ids=["device", "rest", "slot"],
)
def test_a_record_of_nobody_is_a_mismatch(orphan: Loaded) -> None:
    orphan.people[BERT] = PersonRecord("city", b"")
    with pytest.raises(StoreMismatch, match=r"^the store holds records of people it does not know$"):
        restore(people_of(CITY), orphan)


def test_a_working_set_and_its_store_share_nothing_that_changes() -> None:
    """What a draft changes in memory is not in the store before its commit."""
    store = MemoryStore()
    loaded = everything()
    store.commit(
        Batch(
            NOW, people=dict(loaded.people), slots=dict(loaded.slots), accounts=loaded.accounts,
            requests=loaded.requests, receipts=loaded.receipts, passes=dict(loaded.passes),
            devices={device.key: (device.user, device) for device in loaded.devices.values()},
        )
    )  # fmt: skip
    people = people_of(CITY, COUNTY)
    restore(people, store.load())
    for _, _, slot in people.slots():
        slot.total += 100
    people.books.of(("city", "message")).accepted += 100
    people.by_key[ANNA].devices.clear()
    people.remembered.clear()
    people.receipts[ReceiptKey(b"receipt")].handed_over += 100
    people.passes.update(dict.fromkeys(loaded.passes))
    again = store.load()
    assert again == replace(loaded, rests={}, generation=0, revision=0, feedback_seq=0, epoch=again.epoch)
