"""People who come from another node: what was there before stays as it was, and nothing of theirs is forgotten."""

from __future__ import annotations

from dataclasses import replace

from relay.core.batch import PersonRecord, Receipt
from relay.core.devices import Platform
from relay.core.events import NEVER
from relay.core.halts import Halt
from relay.core.partitions import part_of
from relay.core.people import People
from relay.core.pseudonym import Pseudonyms
from relay.core.slots import Stub
from relay.core.tenants import Tenant
from relay.loading import adopt
from relay.store.port import Loaded
from tests.relay.store.batches import a_pass, a_slot, pass_key, receipt_key

HALT = Halt(7, None, None, None, "repair", "anna", 0.0, NEVER)


def test_what_operators_hold_back_is_held_for_them_too() -> None:
    people = adopted()
    (tenant,) = people.tenants.values()
    assert tenant.halts.active == (HALT,)


def test_numbers_only_grow_and_alarms_are_counted_on() -> None:
    people = adopted()
    assert (people.generation, people.revision, people.feedback_seq) == (90, 80, 70)
    assert people.receipts == {receipt_key(1): Receipt("city", 5.0)}
    assert people.owned == {1, PART}


def test_who_is_handed_over_is_gone_with_all_of_his() -> None:
    people = adopted()
    (person,) = people.by_key.values()
    people.release(frozenset({PART}))
    assert not people.by_key
    assert not people.passes.by_key
    assert people.owned == {1}
    assert person.gone
    assert people.generation == 90


TENANT = Tenant(name="city", pseudonyms=Pseudonyms(bytes(32), "city"), apps={"ios": Platform.APNS})
ANNA = TENANT.pseudonyms.user("anna")
PART = part_of(ANNA)


def adopted() -> People:
    """Somebody with an alarm and a sign-in has come to a node with a hold."""
    people = People({"city": TENANT})
    people.owned = frozenset({1})
    people.generation, people.revision, people.feedback_seq = 9, 80, 7
    people.halt({HALT.number: HALT})
    slot = replace(a_slot(), stubs=(Stub(receipt_key(1), 1, 1),))
    adopt(
        people,
        Loaded(
            people={ANNA: PersonRecord("city", b"sealed")},
            slots={(ANNA, "alarm"): slot},
            passes={pass_key(1): replace(a_pass(1), user=ANNA)},
            receipts={receipt_key(1): Receipt("city", 5.0)},
            generation=90,
            revision=8,
            feedback_seq=70,
        ),
        frozenset({PART}),
    )
    return people
