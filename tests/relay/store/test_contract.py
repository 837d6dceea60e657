"""What the port promises, asked of every store: memory (the reference) and SQLite.

"Reopened" means a fresh SqliteStore on the same file; the memory store ends with its process and is loaded again.
"""

from __future__ import annotations

import threading
from copy import deepcopy
from dataclasses import replace

import pytest

from relay.core.batch import Batch, Bypass, PersonRecord
from relay.core.books import Account
from relay.core.devices import Device, RestRecord
from relay.core.private import DeviceKey, UserKey
from relay.core.slots import Slot
from relay.store.port import FeedbackRange, Loaded, Purged, StaleEpoch, Store, StoreError
from tests.relay.store.batches import (
    DAY,
    NOW,
    a_bypass,
    a_device,
    a_feedback,
    a_full_batch,
    a_halt,
    a_pass,
    a_receipt,
    a_request,
    a_slot,
    a_visit,
    an_act,
    device_key,
    pass_key,
    receipt_key,
    user,
)
from tests.relay.store.conftest import Keeper, bypass_row


def commit(store: Store, batch: Batch) -> Batch:
    """Commit as the owner of the moment."""
    batch.epoch = store.load().epoch
    store.commit(batch)
    return batch


def as_loaded(batch: Batch, epoch: int) -> Loaded:
    """What a store that held nothing must load after this batch."""
    return Loaded(
        people={key: record for key, record in batch.people.items() if record is not None},
        devices={key: device for key, (_, device) in batch.devices.items() if device is not None},
        rests={key: record for key, record in batch.rests.items() if record is not None},
        slots={key: slot for key, slot in batch.slots.items() if slot is not None},
        requests=batch.requests,
        receipts=batch.receipts,
        passes={key: known for key, known in batch.passes.items() if known is not None},
        accounts=batch.accounts,
        halts={number: halt for number, halt in batch.halts.items() if halt is not None},
        generation=batch.generation,
        revision=batch.revision,
        feedback_seq=max((record.seq for record in batch.feedback), default=0),
        epoch=epoch,
    )


# --- load and commit


def test_a_new_store_holds_nothing(keeper: Keeper) -> None:
    loaded = keeper.store.load()
    assert loaded.epoch > 0
    assert replace(loaded, epoch=0) == Loaded()
    assert keeper.store.changes(0).revision == 0
    assert keeper.store.feedback("city", 0, 10) == []
    assert keeper.store.visits(user(1), 10) == []
    assert keeper.store.purge(NOW, 10) == Purged()


@pytest.mark.parametrize("reopened", [False, True], ids=["same", "reopened"])
def test_what_was_committed_is_loaded_again_equal(keeper: Keeper, reopened: bool) -> None:
    batch = commit(keeper.store, a_full_batch(0))
    expected = as_loaded(deepcopy(batch), 0)
    store = keeper.reopen() if reopened else keeper.store
    loaded = store.load()
    assert replace(loaded, epoch=0) == expected
    assert list(store.feedback("city", 0, 10)) == [a_feedback(1), a_feedback(3)]
    assert list(store.feedback("county", 0, 10)) == [a_feedback(2, "county")]
    assert list(store.visits(user(1), 10)) == [a_visit(2, user(1)), a_visit(1)]
    assert list(store.visits(user(2), 10)) == [a_visit(3, user(2), at=NOW + 0.125)]
    assert keeper.bypasses() == [bypass_row(bypass) for bypass in batch.bypasses]


def test_pseudonyms_come_back_as_bytes_and_enums_as_enums(keeper: Keeper) -> None:
    """Equal is not enough: a str enum equals its text."""
    commit(keeper.store, a_full_batch(0))
    loaded = keeper.reopen().load()
    (record, *_) = keeper.store.feedback("city", 0, 1)
    assert {type(device.platform).__name__ for device in loaded.devices.values()} == {"Platform"}
    assert type(record.parting).__name__ == "Parting"
    (visit, *_) = keeper.store.visits(user(1), 1)
    assert type(visit.what).__name__ == "Look"
    assert {type(known.kind).__name__ for known in loaded.passes.values()} == {"PassKind"}
    assert {type(owner) for owner in (visit.user, *(known.user for known in loaded.passes.values()))} == {bytes}
    assert all(type(key) is bytes for key in (*loaded.people, *loaded.devices, record.user, record.device))


@pytest.mark.parametrize("due_at", [0.0, NOW, NOW + 1e-6, 2.0**53, float("inf"), float("-inf")])
@pytest.mark.parametrize("done", [{}, {device_key(n): n * 2**55 for n in range(20)}], ids=["none", "twenty"])
def test_a_slot_keeps_every_instant_exactly(keeper: Keeper, due_at: float, done: dict[DeviceKey, int]) -> None:
    slot = Slot(1, 2, 4, 3, due_at, due_at, due_at, due_at, due_at, done=done, echo_at=due_at)
    commit(keeper.store, Batch(NOW, slots={(user(1), "message"): slot}))
    assert keeper.reopen().load().slots == {(user(1), "message"): slot}


def test_tried_is_not_kept(keeper: Keeper) -> None:
    """In memory only: after a restart the gate is asked anew, and the deadline counts from what it says."""
    slot = a_slot()
    slot.tried = True
    commit(keeper.store, Batch(NOW, slots={(user(1), "message"): slot}))
    assert keeper.store.load().slots[(user(1), "message")].tried is False
    assert slot.tried is True


def test_a_later_batch_replaces_row_by_row(keeper: Keeper) -> None:
    commit(keeper.store, a_full_batch(0))
    anna, bert = user(1), user(2)
    changed = Batch(
        NOW + 1,
        people={anna: PersonRecord("city", b"sealed anew")},
        slots={(anna, "message"): a_slot(9)},
        devices={device_key(1): (anna, a_device(9, anna)), device_key(9): (bert, a_device(9, bert))},
        rests={anna: RestRecord(b"another", 8)},
        requests={b"\x01" * 16: a_request(9)},
        receipts={receipt_key(1): a_receipt(9)},
        passes={pass_key(1): a_pass(9), pass_key(9): a_pass(9)},
        accounts={("city", "message"): Account(99)},
    )
    changed.devices[device_key(1)] = (anna, replace(a_device(9, anna), key=device_key(1)))
    before = keeper.store.load()
    commit(keeper.store, changed)
    loaded = keeper.reopen().load()
    assert loaded.people == before.people | changed.people
    assert loaded.slots == before.slots | {(anna, "message"): a_slot(9)}
    assert loaded.devices == before.devices | {key: device for key, (_, device) in changed.devices.items()}
    assert loaded.rests == before.rests | changed.rests
    assert loaded.requests == before.requests | changed.requests
    assert loaded.receipts == before.receipts | changed.receipts
    assert loaded.passes == before.passes | changed.passes
    assert loaded.accounts == before.accounts | changed.accounts


def test_none_deletes_and_deleting_twice_is_no_error(keeper: Keeper) -> None:
    anna = user(1)
    commit(keeper.store, a_full_batch(0))
    gone = Batch(
        NOW,
        slots={**{(anna, name): None for name in ("alarm", "message", "control")}, (user(77), "message"): None},
        devices={device_key(2): (anna, None), device_key(88): (anna, None)},
        rests={anna: None, user(77): None},
        passes={pass_key(1): None, pass_key(3): None, pass_key(77): None},
        revision=2**40 + 1,
    )
    for _ in range(2):
        commit(keeper.store, deepcopy(gone))
        loaded = keeper.reopen().load()
        assert {key for key, _ in loaded.slots} == {user(2)}
        assert loaded.devices.keys() == {device_key(1), device_key(3)}
        assert loaded.rests.keys() == {user(2)}
        assert loaded.passes.keys() == {pass_key(2), pass_key(4)}


def test_one_batch_may_end_one_slot_and_begin_another(keeper: Keeper) -> None:
    commit(keeper.store, Batch(NOW, slots={(user(1), "message"): a_slot(1)}))
    commit(keeper.store, Batch(NOW, slots={(user(1), "message"): None, (user(1), "roster"): a_slot(2)}))
    assert keeper.store.load().slots == {(user(1), "roster"): a_slot(2)}


def test_slots_of_classes_with_a_common_beginning_are_two(keeper: Keeper) -> None:
    slots: dict[tuple[UserKey, str], Slot | None] = {(user(1), "m"): a_slot(1), (user(1), "mm"): a_slot(2)}
    commit(keeper.store, Batch(NOW, slots=slots))
    commit(keeper.store, Batch(NOW, slots={(user(1), "m"): None}))
    assert keeper.store.load().slots == {(user(1), "mm"): a_slot(2)}


def test_an_empty_batch_is_taken(keeper: Keeper) -> None:
    commit(keeper.store, a_full_batch(0))
    before = keeper.store.load()
    commit(keeper.store, Batch(NOW))
    assert replace(keeper.store.load(), epoch=before.epoch) == before


def test_high_water_marks_never_go_back(keeper: Keeper) -> None:
    commit(keeper.store, Batch(NOW, generation=50, revision=60, feedback=[a_feedback(70), a_feedback(8)]))
    commit(keeper.store, Batch(NOW, generation=5, revision=6, feedback=[a_feedback(7)]))
    loaded = keeper.reopen().load()
    assert (loaded.generation, loaded.revision, loaded.feedback_seq) == (50, 60, 70)


def test_each_mark_moves_alone(keeper: Keeper) -> None:
    for batch in (Batch(NOW, generation=3), Batch(NOW, revision=4), Batch(NOW, feedback=[a_feedback(5)])):
        commit(keeper.store, batch)
    loaded = keeper.reopen().load()
    assert (loaded.generation, loaded.revision, loaded.feedback_seq) == (3, 4, 5)


def test_what_is_changed_outside_after_a_commit_does_not_reach_the_store(keeper: Keeper) -> None:
    slot, account, receipt = a_slot(1, done={device_key(1): 1}), Account(1), a_receipt(1)
    accounts, receipts = {("city", "m"): account}, {receipt_key(1): receipt}
    batch = commit(keeper.store, Batch(NOW, slots={(user(1), "m"): slot}, accounts=accounts, receipts=receipts))
    slot.total, slot.done[device_key(1)], account.accepted, receipt.recipients = 1000, 1000, 1000, 1000
    batch.slots.clear()
    loaded = keeper.store.load()
    assert loaded.slots == {(user(1), "m"): a_slot(1, done={device_key(1): 1})}
    assert loaded.accounts == {("city", "m"): Account(1)}
    assert loaded.receipts == {receipt_key(1): a_receipt(1)}


def test_what_is_changed_in_a_loaded_state_does_not_reach_the_store(keeper: Keeper) -> None:
    commit(keeper.store, a_full_batch(0))
    before, spoilt = deepcopy(keeper.store.load()), keeper.store.load()
    for slot in spoilt.slots.values():
        slot.total, slot.done[device_key(55)] = 1000, 1000
    for account in spoilt.accounts.values():
        account.accepted = 1000
    for receipt in spoilt.receipts.values():
        receipt.handed_over = 1000
    for table in (spoilt.people, spoilt.devices, spoilt.rests, spoilt.requests, spoilt.receipts, spoilt.passes):
        table.clear()
    assert replace(keeper.store.load(), epoch=before.epoch) == before


# --- epochs


def test_each_load_takes_the_store_over(keeper: Keeper) -> None:
    epochs = [keeper.store.load().epoch, keeper.store.load().epoch, keeper.reopen().load().epoch]
    assert epochs == sorted(set(epochs))


def test_the_older_owners_commit_fails_and_writes_nothing(keeper: Keeper) -> None:
    first = keeper.store.load().epoch
    second = keeper.store.load().epoch
    with pytest.raises(StaleEpoch):
        keeper.store.commit(a_full_batch(first))
    keeper.store.commit(Batch(NOW, epoch=second, generation=1))
    loaded = keeper.reopen().load()
    assert replace(loaded, epoch=0) == Loaded(generation=1)
    assert keeper.store.feedback("city", 0, 10) == []
    assert keeper.store.visits(user(1), 10) == []
    assert keeper.bypasses() == []


def test_an_epoch_that_never_was_is_stale_too(keeper: Keeper) -> None:
    epoch = keeper.store.load().epoch
    with pytest.raises(StaleEpoch):
        keeper.store.commit(a_full_batch(epoch + 1))


# --- all or nothing


def test_a_commit_that_fails_writes_nothing(keeper: Keeper) -> None:
    epoch = keeper.store.load().epoch
    keeper.break_next()
    with pytest.raises(StoreError) as caught:
        keeper.store.commit(a_full_batch(epoch))
    assert not isinstance(caught.value, StaleEpoch)
    assert keeper.store.changes(0).devices == {}
    assert keeper.store.feedback("city", 0, 10) == []
    assert keeper.store.visits(user(1), 10) == []
    assert keeper.bypasses() == []
    assert keeper.store.statistics().commits == 0
    assert replace(keeper.reopen().load(), epoch=0) == Loaded()


def test_after_a_failed_commit_the_owner_goes_on(keeper: Keeper) -> None:
    """A full disk is emptied again; nobody restarts the relay for it."""
    epoch = keeper.store.load().epoch
    keeper.break_next()
    with pytest.raises(StoreError):
        keeper.store.commit(a_full_batch(epoch))
    keeper.store.commit(Batch(NOW, epoch=epoch, slots={(user(1), "message"): a_slot(1)}))
    assert keeper.store.load().slots == {(user(1), "message"): a_slot(1)}


# --- changes


def feed(store: Store) -> None:
    """Revisions 1 to 4: two devices and a rest; one device again; a device goes; the rest goes."""
    anna, bert = user(1), user(2)
    first: dict[DeviceKey, tuple[UserKey, Device | None]] = {
        device_key(1): (anna, a_device(1, anna)),
        device_key(2): (bert, a_device(2, bert)),
    }
    commit(store, Batch(NOW, devices=first, rests={anna: RestRecord(b"r", 1)}, revision=1))
    again = replace(a_device(1, anna), attempt=5)
    commit(store, Batch(NOW, devices={device_key(1): (anna, again)}, revision=2))
    commit(store, Batch(NOW, devices={device_key(2): (bert, None)}, revision=3))
    commit(store, Batch(NOW, rests={anna: None}, revision=4))


@pytest.mark.parametrize(
    ("since", "devices", "rests"),
    [
        (0, {1: (1, True), 2: (2, False)}, {1}),
        (1, {1: (1, True), 2: (2, False)}, {1}),
        (2, {2: (2, False)}, {1}),
        (3, {}, {1}),
        (4, {}, set()),
        (5, {}, set()),
    ],
)
def test_changes_are_those_above_a_revision(
    keeper: Keeper, since: int, devices: dict[int, tuple[int, bool]], rests: set[int]
) -> None:
    """A record that changed twice stands once, as it is now; one that is gone stands with None."""
    feed(keeper.store)
    found = keeper.reopen().changes(since)
    now = replace(a_device(1, user(1)), attempt=5)
    expected = {device_key(n): (user(owner), now if lives else None) for n, (owner, lives) in devices.items()}
    assert found.devices == expected
    assert found.rests == {user(n): None for n in rests}
    assert found.revision == max(since, 4)


def test_a_device_that_came_back_is_no_tombstone_any_more(keeper: Keeper) -> None:
    feed(keeper.store)
    back = a_device(2, user(2))
    commit(keeper.store, Batch(NOW, devices={device_key(2): (user(2), back)}, revision=5))
    assert keeper.store.changes(4).devices == {device_key(2): (user(2), back)}
    keeper.store.purge(NOW + 100 * DAY, 100)
    assert keeper.store.load().devices[device_key(2)] == back


def test_a_tombstone_is_as_old_as_the_deletion(keeper: Keeper) -> None:
    """A node that slept for an hour must still learn of it, however old the device was."""
    anna, bert = user(1), user(2)
    commit(
        keeper.store,
        Batch(NOW, devices={device_key(1): (anna, a_device(1, anna))}, rests={bert: RestRecord(b"r", 1)}, revision=1),
    )
    later = NOW + 5 * DAY
    commit(keeper.store, Batch(later, devices={device_key(1): (anna, None)}, rests={bert: None}, revision=2))
    assert keeper.store.purge(later + 3600, 100) == Purged()
    found = keeper.store.changes(1)
    assert (found.devices, found.rests) == ({device_key(1): (anna, None)}, {bert: None})


def test_slots_and_people_do_not_stand_in_the_change_feed(keeper: Keeper) -> None:
    commit(keeper.store, Batch(NOW, people=a_full_batch(0).people, slots=a_full_batch(0).slots, revision=9))
    found = keeper.store.changes(0)
    assert (found.devices, found.rests) == ({}, {})


# --- purge

LIVES = {
    "request": DAY,
    "receipt": DAY,
    "feedback": 30 * DAY,
    "bypass": 90 * DAY,
    "act": 400 * DAY,
    "visit": 90 * DAY,
    "pass": 0.0,
    "device": DAY,
    "rest": DAY,
}
KINDS = {
    "request": "requests",
    "receipt": "receipts",
    "feedback": "feedback",
    "bypass": "bypasses",
    "visit": "visits",
    "pass": "passes",
    "device": "tombstones",
    "rest": "tombstones",
    "act": "acts",
}


def of_kind(kind: str, at: float, number: int) -> Batch:
    """A batch whose one record is of an age."""
    batch = Batch(at, generation=number, revision=number)
    if kind == "request":
        batch.requests[number.to_bytes(16, "big")] = a_request(number, at=at)
    elif kind == "receipt":
        batch.receipts[receipt_key(number)] = a_receipt(number, at=at)
    elif kind == "feedback":
        batch.feedback.append(a_feedback(number, at=at))
    elif kind == "bypass":
        batch.bypasses.append(a_bypass(number, at=at))
    elif kind == "act":
        batch.acts.append(an_act(number, at=at))
    elif kind == "visit":
        batch.visits.append(a_visit(number, user(1), at=at))
    elif kind == "pass":
        batch.passes[pass_key(number)] = a_pass(number, expires_at=at)
    elif kind == "device":
        batch.devices[device_key(number)] = (user(1), None)
    else:
        batch.rests[user(number)] = None
    return batch


def left(keeper: Keeper) -> int:
    """Purgeable records in the store."""
    changes = keeper.store.changes(0)
    return (
        len(keeper.store.load().requests)
        + len(keeper.store.load().receipts)
        + len(keeper.store.feedback("city", 0, 1000))
        + len(keeper.bypasses())
        + len(keeper.store.acts(1000))
        + len(keeper.store.visits(user(1), 1000))
        + len(keeper.store.load().passes)
        + len(changes.devices)
        + len(changes.rests)
    )


@pytest.mark.parametrize("kind", LIVES)
def test_a_record_is_purged_when_it_is_older_than_its_life_and_not_before(keeper: Keeper, kind: str) -> None:
    commit(keeper.store, of_kind(kind, NOW, 1))
    assert keeper.store.purge(NOW + LIVES[kind], 100) == Purged()
    assert left(keeper) == 1
    assert keeper.store.purge(NOW + LIVES[kind] + 0.001, 100) == Purged(**{KINDS[kind]: 1})
    assert left(keeper) == 0
    assert keeper.store.purge(NOW + LIVES[kind] + 0.001, 100) == Purged()
    keeper.reopen()
    assert left(keeper) == 0


@pytest.mark.parametrize("kind", LIVES)
def test_a_purge_takes_at_most_the_limit_of_each_kind(keeper: Keeper, kind: str) -> None:
    for number in range(1, 6):
        commit(keeper.store, of_kind(kind, NOW, number))
    later = NOW + 500 * DAY
    purged = [keeper.store.purge(later, 2).total for _ in range(4)]
    assert purged == [2, 2, 1, 0]


def test_the_limit_holds_for_tombstones_of_both_kinds_together(keeper: Keeper) -> None:
    for number in range(1, 4):
        commit(keeper.store, of_kind("device", NOW, number))
        commit(keeper.store, of_kind("rest", NOW, number))
    assert [keeper.store.purge(NOW + 2 * DAY, 4).tombstones for _ in range(3)] == [4, 2, 0]


def test_records_that_look_alike_are_counted_one_by_one(keeper: Keeper) -> None:
    for generation in (1, 2, 3):
        commit(keeper.store, Batch(NOW, bypasses=[a_bypass(1)], generation=generation))
    assert keeper.store.purge(NOW + 91 * DAY, 2).bypasses == 2
    assert keeper.bypasses() == [bypass_row(a_bypass(1))]


def test_two_bypasses_of_one_batch_are_both_kept(keeper: Keeper) -> None:
    commit(keeper.store, Batch(NOW, bypasses=[a_bypass(1), a_bypass(1)], generation=1))
    assert keeper.bypasses() == [bypass_row(a_bypass(1))] * 2


def test_bypasses_of_a_tenant_are_told_newest_first_as_far_as_they_are_wanted(keeper: Keeper) -> None:
    for number in range(1, 7):
        record = replace(a_bypass(number, at=NOW + number), tenant="city" if number % 3 else "county")
        commit(keeper.store, Batch(NOW + number, bypasses=[record], generation=number))
    store = keeper.reopen()
    asked: list[str] = []

    def wanted(record: Bypass) -> bool:
        asked.append(record.key_id)
        return record.key_id != "key4"

    assert [b.key_id for b in store.bypasses_of("city", wanted, 2)] == ["key5", "key2"]
    assert asked == ["key5", "key4", "key2"]
    assert store.bypasses_of("city", lambda b: b.key_id == "key1", 9) == [a_bypass(1, at=NOW + 1)]
    assert store.bypasses_of("village", lambda b: True, 9) == []


def test_halts_are_kept_until_they_are_ended_and_acts_are_told_newest_first(keeper: Keeper) -> None:
    commit(keeper.store, Batch(NOW, halts={1: a_halt(1), 2: a_halt(2)}, acts=[an_act(1), an_act(2)], generation=1))
    commit(keeper.store, Batch(NOW + 1, halts={1: None, 3: a_halt(3), 9: None}, acts=[an_act(3)], generation=2))
    store = keeper.reopen()
    assert store.load().halts == {2: a_halt(2), 3: a_halt(3)}
    assert store.acts(10) == [an_act(3), an_act(2), an_act(1)]
    assert store.acts(2) == [an_act(3), an_act(2)]


def test_a_purge_spares_everything_else(keeper: Keeper) -> None:
    """Slots, people, devices, rest records and accounts have no age; a pass has what it was given."""
    commit(keeper.store, a_full_batch(0))
    before = keeper.store.load()
    keeper.store.purge(NOW + 1000 * DAY, 1000)
    after = keeper.store.load()
    assert after == replace(before, requests={}, receipts={}, passes={}, epoch=after.epoch)


def test_a_purge_at_the_beginning_of_time_removes_nothing(keeper: Keeper) -> None:
    commit(keeper.store, of_kind("request", 0.0, 1))
    assert keeper.store.purge(0.0, 100) == Purged()
    assert keeper.store.purge(DAY, 100) == Purged()
    assert keeper.store.purge(DAY + 1, 100) == Purged(requests=1)


def test_the_old_go_while_the_young_stay(keeper: Keeper) -> None:
    for number, at in enumerate((NOW, NOW + 2 * DAY, NOW - 5.0), 1):
        commit(keeper.store, of_kind("request", at, number))
    keeper.store.purge(NOW + DAY + 1, 100)
    assert {known.at for known in keeper.store.load().requests.values()} == {NOW + 2 * DAY}


def test_a_remembered_request_that_was_renewed_lives_anew(keeper: Keeper) -> None:
    commit(keeper.store, Batch(NOW, requests={b"k" * 16: a_request(1)}))
    commit(keeper.store, Batch(NOW + DAY, requests={b"k" * 16: a_request(2, at=NOW + DAY)}))
    assert keeper.store.purge(NOW + DAY + 1, 100) == Purged()
    assert keeper.store.load().requests == {b"k" * 16: a_request(2, at=NOW + DAY)}


def test_purged_of_knows_its_total() -> None:
    assert Purged(1, 20, 300, 4000, 50_000, 600_000, 7_000_000).total == 7_654_321


def test_a_receipt_is_as_old_as_its_alarm_however_late_it_is_written(keeper: Keeper) -> None:
    commit(keeper.store, Batch(NOW, receipts={receipt_key(1): a_receipt(1)}))
    commit(keeper.store, Batch(NOW + DAY, receipts={receipt_key(1): a_receipt(2)}))
    assert keeper.store.purge(NOW + DAY + 1, 100) == Purged(receipts=1)
    assert keeper.reopen().load().receipts == {}


# --- feedback

TENANTS = ["a", "ab", "a-", "a0", "b", "a_b"]


@pytest.mark.parametrize(
    ("after", "limit", "seqs"),
    [(0, 10, [1, 2, 3, 256, 70_000]), (1, 2, [2, 3]), (3, 10, [256, 70_000]), (70_000, 10, []), (0, 0, [])],
)
def test_feedback_comes_oldest_first_after_a_number(keeper: Keeper, after: int, limit: int, seqs: list[int]) -> None:
    """The numbers need more than one byte to sort rightly; the tenants' names begin alike."""
    for seq in (3, 1):
        commit(keeper.store, Batch(NOW, feedback=[a_feedback(seq, tenant) for tenant in TENANTS]))
    commit(keeper.store, Batch(NOW, feedback=[a_feedback(n, t) for t in reversed(TENANTS) for n in (256, 2, 70_000)]))
    for tenant in TENANTS:
        assert list(keeper.store.feedback(tenant, after, limit)) == [a_feedback(seq, tenant) for seq in seqs]
    assert list(keeper.store.feedback("", 0, 10)) == []
    assert list(keeper.store.feedback("aa", 0, 10)) == []


def test_reading_feedback_removes_nothing(keeper: Keeper) -> None:
    commit(keeper.store, Batch(NOW, feedback=[a_feedback(1)]))
    assert keeper.store.feedback("city", 0, 10) == keeper.store.feedback("city", 0, 10)
    assert list(keeper.reopen().feedback("city", 0, 10)) == [a_feedback(1)]


@pytest.mark.parametrize("limit", [1, 2, 100])
def test_it_is_known_per_tenant_what_was_purged(keeper: Keeper, limit: int) -> None:
    """Whoever has read beyond it has missed nothing; another tenant's loss is none of theirs. The oldest go first."""
    feedback = [a_feedback(1), a_feedback(2, "county"), a_feedback(3), a_feedback(4, at=NOW + DAY)]
    commit(keeper.store, Batch(NOW, feedback=feedback))
    assert keeper.store.feedback_range("city") == FeedbackRange(0, 4)
    later = NOW + 30 * DAY + 1
    while keeper.store.purge(later, limit).total:
        left = [record.seq for record in keeper.store.feedback("city", 0, 10)]
        purged = keeper.store.feedback_range("city").purged
        assert all(seq > purged for seq in left)
    keeper.reopen()
    assert keeper.store.feedback_range("city") == FeedbackRange(3, 4)
    assert keeper.store.feedback_range("county") == FeedbackRange(2, 4)
    assert keeper.store.feedback_range("cit") == FeedbackRange(0, 4)
    assert [record.seq for record in keeper.store.feedback("city", 3, 10)] == [4]
    keeper.store.purge(later + DAY, 100)
    assert keeper.store.feedback_range("city") == FeedbackRange(4, 4)


def test_what_was_purged_never_goes_back(keeper: Keeper) -> None:
    """The clock was set back between the two: the newer record is the older one."""
    commit(keeper.store, Batch(NOW, feedback=[a_feedback(1, at=NOW + DAY), a_feedback(2)]))
    keeper.store.purge(NOW + 30 * DAY + 1, 100)
    assert keeper.store.feedback_range("city") == FeedbackRange(2, 2)
    keeper.store.purge(NOW + 31 * DAY + 1, 100)
    assert keeper.store.feedback_range("city") == FeedbackRange(2, 2)


def test_a_person_that_is_deleted_is_gone_with_all_that_is_named_in_the_batch(keeper: Keeper) -> None:
    commit(keeper.store, a_full_batch(0))
    before, anna = keeper.store.load(), user(1)
    mine = [key for key, device in before.devices.items() if device.user == anna]
    commit(
        keeper.store,
        Batch(
            NOW, people={anna: None, user(9): None, user(3): PersonRecord("city", b"new")}, rests={anna: None},
            slots={key: None for key in before.slots if key[0] == anna}, devices=dict.fromkeys(mine, (anna, None)),
        ),
    )  # fmt: skip
    found = keeper.reopen().load()
    assert found.people == {user(2): before.people[user(2)], user(3): PersonRecord("city", b"new")}
    assert anna not in found.rests
    assert {key[0] for key in found.slots} == {user(2)}
    assert {device.user for device in found.devices.values()} == {user(2)}


def test_a_person_that_comes_back_is_there_again(keeper: Keeper) -> None:
    for record in (PersonRecord("city", b"first"), None, PersonRecord("city", b"second")):
        commit(keeper.store, Batch(NOW, people={user(1): record}))
    assert keeper.reopen().load().people == {user(1): PersonRecord("city", b"second")}


# --- passes and visits


@pytest.mark.parametrize(("limit", "seqs"), [(10, [2**40, 256, 5, 1]), (2, [2**40, 256]), (0, [])])
def test_visits_are_told_newest_first_and_to_their_person_only(keeper: Keeper, limit: int, seqs: list[int]) -> None:
    """Also of people whose keys are neighbours; the numbers need more than one byte to sort rightly."""
    anna, bert = UserKey(b"\xff" * 15 + b"\xfe"), UserKey(b"\xff" * 16)
    commit(keeper.store, Batch(NOW, visits=[a_visit(seq, anna) for seq in (5, 1, 256)]))
    commit(keeper.store, Batch(NOW - 5, visits=[a_visit(2**40, anna), a_visit(7, bert)]))
    assert list(keeper.store.visits(anna, limit)) == [a_visit(seq, anna) for seq in seqs]
    assert list(keeper.reopen().visits(bert, 10)) == [a_visit(7, bert)]
    assert list(keeper.store.visits(user(1), 10)) == []


def test_who_is_forgotten_takes_the_visits_along_and_nobody_elses(keeper: Keeper) -> None:
    """Those before the batch; what it writes itself is about who has come back."""
    people = [UserKey(bytes(15) + bytes((last,))) for last in (0, 1, 2)]
    commit(keeper.store, Batch(NOW, visits=[a_visit(seq, person) for person in people for seq in (1, 2, 2**63 - 1)]))
    commit(keeper.store, Batch(NOW, people={people[1]: None}, forgotten={people[1]}, visits=[a_visit(9, people[1])]))
    left = [[visit.seq for visit in keeper.reopen().visits(person, 10)] for person in people]
    assert left == [[2**63 - 1, 2, 1], [9], [2**63 - 1, 2, 1]]
    commit(keeper.store, Batch(NOW, forgotten=set(people)))
    assert [list(keeper.store.visits(person, 10)) for person in people] == [[], [], []]


def test_a_pass_that_is_given_more_time_lives_longer(keeper: Keeper) -> None:
    commit(keeper.store, Batch(NOW, passes={pass_key(1): a_pass(1)}))
    commit(keeper.store, Batch(NOW, passes={pass_key(1): a_pass(1, expires_at=NOW + DAY)}))
    assert keeper.store.purge(NOW + DAY, 100) == Purged()
    assert keeper.store.purge(NOW + DAY + 1, 100) == Purged(passes=1)


def test_one_batch_may_end_a_pass_and_give_the_next(keeper: Keeper) -> None:
    commit(keeper.store, Batch(NOW, passes={pass_key(1): a_pass(1)}))
    commit(keeper.store, Batch(NOW, passes={pass_key(1): None, pass_key(2): a_pass(1)}))
    assert keeper.reopen().load().passes == {pass_key(2): a_pass(1)}


# --- housekeeping


def test_idle_changes_nothing(keeper: Keeper) -> None:
    commit(keeper.store, a_full_batch(0))
    before = keeper.store.load()
    keeper.store.idle()
    assert replace(keeper.store.load(), epoch=before.epoch) == before


def test_statistics_count_commits_and_may_be_asked_from_another_thread(keeper: Keeper) -> None:
    commit(keeper.store, a_full_batch(0))
    commit(keeper.store, Batch(NOW))
    found: list[int] = []
    thread = threading.Thread(target=lambda: found.append(keeper.store.statistics().commits))
    thread.start()
    thread.join()
    assert found == [2]
    assert keeper.store.statistics().wal_bytes >= 0
