"""What the port promises of a store that several nodes write, asked of memory (the reference) and of PostgreSQL."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.core.batch import Batch, Fetched, Parting, PersonRecord, Posted, PostKind, Receipt
from relay.core.books import Account
from relay.core.devices import RestRecord
from relay.core.events import NEVER
from relay.core.partitions import ALL, PARTITIONS
from relay.core.private import TokenHash, UserKey
from relay.core.slots import Stub
from relay.store.port import LEASE, Loaded, SharedStore, StaleEpoch, Standing, StoreError
from tests.effort import examples
from tests.relay.store.batches import (
    DAY,
    NOW,
    a_device,
    a_feedback,
    a_full_batch,
    a_halt,
    a_pass,
    a_request,
    a_slot,
    device_key,
    pass_key,
    receipt_key,
)
from tests.relay.store.conftest import Shared, SharedMemory, on_postgres

ROUND: Final = 0.75
"""Seconds between two looks of a node."""


def of_part(part: int, number: int = 0) -> UserKey:
    """Somebody of this partition."""
    return UserKey(bytes((part,)) + number.to_bytes(15, "big"))


def an_event(user: UserKey, number: int = 0) -> Posted:
    return Posted(PostKind.EVENT, "city", user, "message", NOW + number, NEVER)


@dataclass
class Node:
    """A node as its process has it: what it believes to own is what it was told last, but for what it has let go."""

    store: SharedStore
    joined: Loaded
    owned: frozenset[int] = frozenset()
    wanted: frozenset[int] = frozenset()
    standing: Standing | None = None

    @property
    def number(self) -> int:
        return self.joined.epoch

    def tend(self) -> Standing:
        found = self.standing = self.store.tend()
        assert found.node == self.number
        self.owned, self.wanted = found.owned, found.wanted
        return found

    def commit(self, batch: Batch) -> None:
        batch.epoch = self.number
        self.store.commit(batch)
        self.owned -= batch.released

    def post(self, *posted: Posted) -> None:
        self.commit(Batch(NOW, posted=list(posted)))

    def hand_over(self) -> None:
        """What others want, if any."""
        self.commit(Batch(NOW, released=self.wanted))
        self.wanted = frozenset()


def join(shared: Shared, address: str = "") -> Node:
    store = shared.node()
    return Node(store, store.join(address))


def pair(shared: Shared) -> tuple[Node, Node]:
    """Two nodes, each with half."""
    one, two = join(shared, "one:1"), join(shared, "two:2")
    one.tend()
    settle(one, two)
    assert (len(one.owned), len(two.owned)) == (32, 32)
    return one, two


def settle(*nodes: Node, rounds: int = 12) -> None:
    for _ in range(rounds):
        for node in nodes:
            node.tend()
            node.hand_over()


def rich_and_poor(shared: Shared) -> tuple[Node, Node]:
    """One has everything, and has been asked for half of it."""
    one = join(shared)
    one.tend()
    two = join(shared)
    assert two.tend().owned == frozenset()
    assert len(one.tend().wanted) == 32
    return one, two


def pass_rounds(shared: Shared, seconds: float, *awake: Node) -> None:
    """Time in which only these look after themselves."""
    for _ in range(round(seconds / ROUND)):
        shared.pass_time(ROUND)
        for node in awake:
            node.tend()


# --- who is there


def test_who_joins_owns_nothing_and_hears_how_far_the_others_are(shared: Shared) -> None:
    one = join(shared)
    assert replace(one.joined, epoch=0) == Loaded()
    one.tend()
    one.commit(Batch(NOW, halts={1: a_halt(1)}, feedback=[a_feedback(1)], generation=7, revision=5))
    two = join(shared)
    assert two.number > one.number > 0
    assert two.joined == Loaded(generation=7, revision=5, feedback_seq=1, halts={1: a_halt(1)}, epoch=two.number)
    assert one.tend().owned == ALL


def test_who_is_alone_takes_everything(shared: Shared) -> None:
    one = join(shared, "one:1")
    found = one.tend()
    assert found == Standing(one.number, (one.number,) * PARTITIONS, frozenset(), {one.number: "one:1"}, {}, [])
    assert found.owned == ALL


def test_a_node_may_commit_before_it_has_partitions(shared: Shared) -> None:
    """What it is asked meanwhile it posts."""
    one, two = join(shared), join(shared)
    one.tend()
    two.post(an_event(of_part(3)))
    assert [row[2] for row in one.store.posted([3], 10)] == [an_event(of_part(3))]


def test_all_see_the_same(shared: Shared) -> None:
    one, two = pair(shared)
    first, second = one.tend(), two.tend()
    assert first.owners == second.owners
    assert first.addresses == second.addresses == {one.number: "one:1", two.number: "two:2"}
    assert first.owned | second.owned == ALL
    assert not first.owned & second.owned


def test_a_node_that_looks_after_itself_stays(shared: Shared) -> None:
    one, two = pair(shared)
    pass_rounds(shared, 10 * LEASE, one, two)
    assert one.tend().addresses.keys() == {one.number, two.number}


def test_nobody_is_buried_before_the_lease_is_over(shared: Shared) -> None:
    one, two = pair(shared)
    pass_rounds(shared, LEASE - ROUND, one)
    assert two.number in one.tend().addresses
    two.commit(Batch(NOW))
    assert two.tend().owned == two.owned


def test_who_does_not_renew_is_buried_and_its_partitions_are_taken(shared: Shared) -> None:
    one, two = pair(shared)
    pass_rounds(shared, LEASE + ROUND, one)
    assert one.tend() == Standing(one.number, (one.number,) * PARTITIONS, frozenset(), {one.number: "one:1"}, {}, [])
    with pytest.raises(StaleEpoch):
        two.store.tend()


def test_who_is_buried_writes_nothing_more(shared: Shared) -> None:
    one, two = pair(shared)
    pass_rounds(shared, LEASE + ROUND, one)
    batch = a_full_batch(0)
    batch.posted = [an_event(of_part(0))]
    with pytest.raises(StaleEpoch):
        two.commit(batch)
    with pytest.raises(StaleEpoch):
        two.hand_over()
    assert replace(one.store.load_parts(ALL), epoch=0) == Loaded()
    assert one.store.posted(ALL, 10) == []
    assert shared.books() == {}


def test_who_was_late_itself_buries_nobody(shared: Shared) -> None:
    """The database was away from both: the first to come back must not bury the other."""
    one, two = pair(shared)
    shared.pass_time(LEASE + 1)
    assert one.tend().addresses.keys() == {one.number, two.number}
    assert two.tend().owned == two.owned
    shared.pass_time(LEASE + 1)
    one.tend()
    assert one.tend().addresses.keys() == {one.number}, "once it is in time again, it may"


def test_a_late_renewal_is_one(shared: Shared) -> None:
    one, two = pair(shared)
    shared.pass_time(LEASE + 1)
    before = two.owned
    assert two.tend().owned == before
    pass_rounds(shared, LEASE - ROUND, one)
    assert two.tend().owned == before


def test_who_leaves_leaves_everything_at_once_and_writes_nothing_more(shared: Shared) -> None:
    one, two = pair(shared)
    two.commit(Batch(NOW, rests={of_part(1): RestRecord(b"rest", 3)}, generation=9, revision=3))
    two.store.leave()
    assert one.tend().owned == ALL
    assert one.store.load_parts(ALL).rests == {of_part(1): RestRecord(b"rest", 3)}
    for act in (two.store.tend, lambda: two.commit(Batch(NOW))):
        with pytest.raises(StaleEpoch):
            act()


def test_leaving_twice_is_no_error(shared: Shared) -> None:
    one = join(shared)
    one.store.leave()
    one.store.leave()
    one.store.retire()


def test_who_is_about_to_leave_takes_nothing_more_and_keeps_what_it_has(shared: Shared) -> None:
    one, two = pair(shared)
    two.store.retire()
    three = join(shared)
    before = two.owned
    for node in (one, two, three):
        node.tend()
        node.hand_over()
    assert two.tend().owned == before
    two.commit(Batch(NOW, generation=1))
    two.store.leave()
    settle(one, three)
    assert (len(one.owned), len(three.owned)) == (32, 32)


def test_who_retires_alone_takes_not_even_what_is_nobodys(shared: Shared) -> None:
    one = join(shared)
    one.store.retire()
    assert one.tend().owned == frozenset()


# --- who has what


def test_orphans_are_taken_up_to_the_share_rounded_up(shared: Shared) -> None:
    nodes = [join(shared) for _ in range(3)]
    assert [len(node.tend().owned) for node in nodes] == [22, 22, 20]


def test_what_is_missing_to_a_share_is_asked_for_and_stays_where_it_is_until_it_is_let_go(shared: Shared) -> None:
    one, two = rich_and_poor(shared)
    assert one.standing is not None
    assert one.standing.owned == ALL
    two.tend()
    assert len(one.tend().wanted) == 32, "nothing is asked for twice"
    wanted = one.wanted
    one.hand_over()
    assert two.tend().owned == wanted
    assert one.tend().owned == ALL - wanted
    assert one.wanted == two.wanted == frozenset()


def test_only_ones_own_is_wanted_of_one(shared: Shared) -> None:
    _, two = rich_and_poor(shared)
    assert two.tend().wanted == frozenset()


@pytest.mark.parametrize("count", range(1, 9))
def test_all_have_their_share_in_the_end(shared: Shared, count: int) -> None:
    nodes: list[Node] = []
    for _ in range(count):
        nodes.append(join(shared))
        settle(*nodes)
    assert {len(node.owned) for node in nodes} <= {PARTITIONS // count, -(-PARTITIONS // count)}


def test_no_more_is_moved_than_must_be(shared: Shared) -> None:
    nodes = [join(shared)]
    nodes[0].tend()
    for count in range(2, 9):
        before = [node.owned for node in nodes]
        nodes.append(join(shared))
        settle(*nodes)
        moved = sum(len(had - node.owned) for had, node in zip(before, nodes, strict=False))
        assert moved == len(nodes[-1].owned), count


def test_what_a_dead_node_has_asked_for_is_wanted_no_more(shared: Shared) -> None:
    one, _ = rich_and_poor(shared)
    asked = one.wanted
    pass_rounds(shared, LEASE + ROUND, one)
    assert one.tend().wanted == frozenset()
    one.commit(Batch(NOW, released=asked))
    assert one.store.tend().owned == ALL, "let go for nobody, it is nobody's, and taken again"


def test_what_is_not_ones_own_cannot_be_let_go(shared: Shared) -> None:
    one, two = pair(shared)
    before = two.owned
    one.commit(Batch(NOW, released=two.owned))
    assert two.tend().owned == before


def test_who_lets_go_writes_in_the_same_commit_what_the_next_one_finds(shared: Shared) -> None:
    one, two = rich_and_poor(shared)
    part = min(one.wanted)
    user = of_part(part)
    one.commit(Batch(NOW, slots={(user, "message"): a_slot(1)}, released=frozenset({part}), generation=3))
    assert two.tend().owned == {part}
    found = two.store.load_parts({part})
    assert (found.slots, found.generation) == ({(user, "message"): a_slot(1)}, 3)


def test_a_commit_that_fails_lets_nothing_go(shared: Shared) -> None:
    one, two = rich_and_poor(shared)
    two.commit(Batch(NOW, requests={b"\x01" * 16: a_request(1)}))
    with pytest.raises(StoreError):
        one.commit(Batch(NOW, requests={b"\x01" * 16: a_request(1)}, released=one.wanted))
    assert one.tend().owned == ALL


# --- what a node reads when something has become its own


def everybody() -> Batch:
    batch = Batch(NOW, generation=4, revision=2)
    for part in range(PARTITIONS):
        user, device = of_part(part), device_key(part)
        batch.people[user] = PersonRecord("city", b"sealed %d" % part)
        batch.devices[device] = (user, a_device(part, user))
        batch.rests[user] = RestRecord(b"rest %d" % part, part + 1)
        batch.slots[(user, "message")] = a_slot(part, done={device: 1})
        batch.passes[pass_key(part)] = replace(a_pass(part), user=user)
    return batch


def test_the_people_of_some_partitions_are_read_and_nobody_elses(shared: Shared) -> None:
    one, two = pair(shared)
    batch = everybody()
    two.commit(batch)
    parts = {0, 17, 63}
    users = {of_part(part) for part in parts}
    assert one.store.load_parts(parts) == Loaded(
        people={user: record for user, record in batch.people.items() if user in users and record is not None},
        devices={key: device for key, (user, device) in batch.devices.items() if user in users and device is not None},
        rests={user: rest for user, rest in batch.rests.items() if user in users and rest is not None},
        slots={key: slot for key, slot in batch.slots.items() if key[0] in users and slot is not None},
        passes={key: found for key, found in batch.passes.items() if found is not None and found.user in users},
        generation=4, revision=2, epoch=one.number,
    )  # fmt: skip
    assert one.store.load_parts([]) == Loaded(generation=4, revision=2, epoch=one.number)


def test_the_receipts_of_what_is_read_come_along_with_nothing_counted(shared: Shared) -> None:
    one, two = pair(shared)
    ours, theirs, forgotten = receipt_key(1), receipt_key(2), receipt_key(3)
    stubs = (Stub(ours, 1, 2), Stub(forgotten, 3, 3), Stub(ours, 4, 4))
    slots = {
        (of_part(1), "alarm"): a_slot(1, stubs=stubs),
        (of_part(2), "alarm"): a_slot(2, stubs=(Stub(theirs, 1, 1),)),
    }
    one.commit(Batch(NOW, slots=dict(slots), receipts={ours: Receipt("city", NOW, 9), theirs: Receipt("city", NOW, 9)}))
    two.commit(Batch(NOW, receipts={ours: Receipt("city", NOW - 1, handed_over=1)}))
    assert two.store.load_parts({1}).receipts == {ours: Receipt("city", NOW - 1)}
    assert two.store.load_parts({1, 2, 3}).receipts.keys() == {ours, theirs}
    assert two.store.load_parts({3}).receipts == {}


def test_marks_are_those_of_whoever_has_come_furthest_and_never_go_back(shared: Shared) -> None:
    one, two = pair(shared)
    one.commit(Batch(NOW, generation=9, revision=1))
    two.commit(Batch(NOW, generation=3, revision=6, feedback=[a_feedback(1), a_feedback(2)]))
    assert marks(one) == (9, 6, 2)
    two.commit(Batch(NOW, generation=2, revision=5))
    one.store.leave()
    two.store.leave()
    three = join(shared)
    assert (three.joined.generation, three.joined.revision, three.joined.feedback_seq) == (9, 6, 2)
    assert marks(three) == (9, 6, 2)


def marks(node: Node) -> tuple[int, int, int]:
    found = node.store.load_parts([])
    return found.generation, found.revision, found.feedback_seq


# --- what is posted


POSTED: Final = [
    Posted(PostKind.EVENT, "city", of_part(1), "alarm", NOW + 0.125, NOW + 60.5, device_key(1), receipt_key(1)),
    Posted(PostKind.EVENT, "city", of_part(1), "message", NOW, NEVER),
    Posted(PostKind.SEEN, "county", of_part(2), at=NOW + 0.5, until=NOW + 30),
    Posted(PostKind.CONFIRMED, "city", of_part(63), "control", NOW, device=device_key(2)),
    Posted(PostKind.MOVED, "city", of_part(2), device=device_key(3), token=TokenHash(b"\x07" * 16)),
]


def test_what_is_posted_is_found_by_partition_oldest_first_as_often_as_one_looks(shared: Shared) -> None:
    one, two = pair(shared)
    one.post(*POSTED[:2])
    two.post(*POSTED[2:])
    for _ in range(2):
        found = one.store.posted(ALL, 100)
        assert [posted for _, _, posted in found] == POSTED
        assert [part for part, _, _ in found] == [1, 1, 2, 63, 2]
        assert [number for _, number, _ in found] == sorted({number for _, number, _ in found})
    assert [posted for _, _, posted in two.store.posted([1, 63], 100)] == [*POSTED[:2], POSTED[3]]
    assert [posted for _, _, posted in two.store.posted(ALL, 2)] == POSTED[:2]
    assert one.store.posted([], 100) == one.store.posted([3], 100) == []


def test_what_is_fetched_is_gone_and_nothing_else(shared: Shared) -> None:
    one, two = pair(shared)
    one.post(*POSTED)
    found = two.store.posted([1, 2], 100)
    two.commit(Batch(NOW, fetched=[row[:2] for row in found[:2]]))
    assert [posted for _, _, posted in two.store.posted(ALL, 100)] == POSTED[2:]
    two.commit(Batch(NOW, fetched=[row[:2] for row in found[:2]]))
    one.post(POSTED[0])
    assert [posted for _, _, posted in two.store.posted(ALL, 100)] == [*POSTED[2:], POSTED[0]]


def test_a_commit_that_fails_posts_and_fetches_nothing(shared: Shared) -> None:
    one, two = pair(shared)
    one.commit(Batch(NOW, requests={b"\x01" * 16: a_request(1)}, posted=POSTED[:1]))
    found = two.store.posted(ALL, 100)
    with pytest.raises(StoreError):
        two.commit(
            Batch(NOW, requests={b"\x01" * 16: a_request(1)}, posted=POSTED[1:], fetched=[row[:2] for row in found])
        )
    assert two.store.posted(ALL, 100) == found


def test_who_waits_for_post_is_called(shared: Shared) -> None:
    one, two = pair(shared)
    part = min(one.owned)
    one.store.wait_for_post(60)  # something may have come before
    two.post(an_event(of_part(part)))
    one.store.wait_for_post(60)
    began = time.monotonic()
    two.post(an_event(of_part(min(two.owned))))
    one.store.wait_for_post(0.05)
    assert time.monotonic() >= began + 0.05, "what was posted for another calls nobody"


# --- what all know


def test_devices_of_anybody_are_found(shared: Shared) -> None:
    one, two = pair(shared)
    anna, bert, none = of_part(1), of_part(33), of_part(2)
    devices = {n: a_device(n, anna if n < 3 else bert) for n in (1, 2, 3)}
    one.commit(Batch(NOW, devices={device.key: (device.user, device) for device in devices.values()}))
    found = two.store.devices_of([anna, bert, none])
    assert {user: {d.key: d for d in some} for user, some in found.items()} == {
        anna: {devices[1].key: devices[1], devices[2].key: devices[2]},
        bert: {devices[3].key: devices[3]},
    }
    one.commit(Batch(NOW, devices={devices[3].key: (bert, None)}))
    assert two.store.devices_of([bert]) == {}
    assert two.store.devices_of([]) == {}


def test_who_has_a_token_is_found(shared: Shared) -> None:
    one, two = pair(shared)
    anna, bert = of_part(1), of_part(33)
    first, second = a_device(1, anna), a_device(2, bert)
    one.commit(Batch(NOW, devices={first.key: (anna, first), second.key: (bert, second)}))
    tokens = [first.token_hash, second.token_hash, TokenHash(b"\xff" * 16)]
    assert two.store.holders_of(tokens) == {
        first.token_hash: (anna, first.key),
        second.token_hash: (bert, second.key),
    }
    one.commit(Batch(NOW, devices={first.key: (anna, None)}))
    assert two.store.holders_of(tokens[:1]) == two.store.holders_of([]) == {}


def test_whose_a_pass_is_is_found(shared: Shared) -> None:
    one, two = pair(shared)
    one.commit(Batch(NOW, passes={pass_key(1): replace(a_pass(1), user=of_part(33))}))
    assert two.store.owner_of([pass_key(2), pass_key(1)]) == of_part(33)
    assert two.store.owner_of([pass_key(2)]) is None
    assert two.store.owner_of([]) is None
    one.commit(Batch(NOW, passes={pass_key(1): None}))
    assert two.store.owner_of([pass_key(1)]) is None


def test_a_request_is_remembered_at_all_nodes(shared: Shared) -> None:
    one, two = pair(shared)
    key = b"\x09" * 16
    assert two.store.remembered(key) is None
    one.commit(Batch(NOW, requests={key: a_request(1, receipt=receipt_key(1))}))
    assert two.store.remembered(key) == a_request(1, receipt=receipt_key(1))


def test_a_request_that_two_nodes_take_is_taken_by_one(shared: Shared) -> None:
    one, two = pair(shared)
    key = b"\x09" * 16
    one.commit(Batch(NOW, requests={key: a_request(1)}, posted=[an_event(of_part(1))]))
    with pytest.raises(StoreError) as refused:
        two.commit(
            Batch(
                NOW + DAY - 1, requests={key: a_request(2, at=NOW + DAY - 1), b"\x0a" * 16: a_request(3)},
                posted=[an_event(of_part(1))], accounts={("city", "message"): Account(1)}, generation=50,
            )
        )  # fmt: skip
    assert not isinstance(refused.value, StaleEpoch)
    assert two.store.remembered(key) == a_request(1)
    assert two.store.remembered(b"\x0a" * 16) is None
    assert len(two.store.posted(ALL, 10)) == 1
    assert shared.books() == {}
    assert marks(two)[0] == 0
    two.commit(Batch(NOW + DAY, requests={key: a_request(2, at=NOW + DAY)}))
    assert one.store.remembered(key) == a_request(2, at=NOW + DAY), "after a day it is another"


def test_a_receipt_is_what_all_nodes_have_counted(shared: Shared) -> None:
    one, two = pair(shared)
    key = receipt_key(1)
    assert one.store.receipt(key) is None
    one.commit(Batch(NOW, receipts={key: Receipt("city", NOW, recipients=10, no_device=2)}))
    two.commit(Batch(NOW, receipts={key: Receipt("city", NOW + 1, handed_over=3, failed=1)}))
    two.commit(Batch(NOW, receipts={key: Receipt("city", NOW + 1, handed_over=4, failed=1)}))
    for node in (one, two):
        assert node.store.receipt(key) == Receipt("city", NOW, 10, 4, 2, 1)
    two.store.leave()
    assert one.store.receipt(key) == Receipt("city", NOW, 10, 4, 2, 1)


def test_each_node_keeps_books_of_its_own(shared: Shared) -> None:
    one, two = pair(shared)
    one.commit(Batch(NOW, accounts={("city", "message"): Account(accepted=5)}))
    two.commit(Batch(NOW, accounts={("city", "message"): Account(woken=2), ("city", "alarm"): Account(accepted=1)}))
    one.commit(Batch(NOW, accounts={("city", "message"): Account(accepted=6)}))
    expected = {("city", "message"): Account(accepted=6, woken=2), ("city", "alarm"): Account(accepted=1)}
    assert shared.books() == expected
    two.store.leave()
    assert shared.books() == expected
    join(shared).commit(Batch(NOW, accounts={("city", "alarm"): Account(accepted=1)}))
    assert shared.books() == expected | {("city", "alarm"): Account(accepted=2)}


def test_feedback_is_numbered_across_nodes_whatever_they_believe(shared: Shared) -> None:
    one, two = pair(shared)
    one.commit(Batch(NOW, feedback=[a_feedback(1), a_feedback(2)]))
    two.commit(Batch(NOW, feedback=[a_feedback(1), a_feedback(2, "county")]))
    one.commit(Batch(NOW, feedback=[a_feedback(3)]))
    assert [told.seq for told in two.store.feedback("city", 0, 10)] == [1, 2, 3, 5]
    assert [told.seq for told in one.store.feedback("county", 0, 10)] == [4]
    assert [told.user for told in one.store.feedback("city", 0, 10)] == [a_feedback(n).user for n in (1, 2, 1, 3)], (
        "everything else is as it was told"
    )
    assert {told.parting for told in one.store.feedback("city", 0, 10)} == {Parting.DEAD}
    for node in (one, two):
        assert node.store.feedback_range("city").newest == 5


def test_what_operators_hold_back_is_seen_at_the_next_look(shared: Shared) -> None:
    one, two = pair(shared)
    one.commit(Batch(NOW, halts={1: a_halt(1), 2: a_halt(2)}))
    assert two.tend().halts == {1: a_halt(1), 2: a_halt(2)}
    two.commit(Batch(NOW, halts={1: None}))
    assert one.tend().halts == {2: a_halt(2)}


def test_whoever_takes_everything_takes_the_sums_along(shared: Shared) -> None:
    """A tool, or the copy of a file: all nodes before are over."""
    one, two = pair(shared)
    key = receipt_key(1)
    one.commit(
        Batch(
            NOW, receipts={key: Receipt("city", NOW + 1, recipients=2)}, generation=5, revision=4,
            accounts={("city", "alarm"): Account(accepted=2)}, feedback=[a_feedback(1)],
        )
    )  # fmt: skip
    two.commit(
        Batch(
            NOW, receipts={key: Receipt("city", NOW, handed_over=1)}, posted=[an_event(of_part(1))],
            accounts={("city", "alarm"): Account(woken=1)},
        )
    )  # fmt: skip
    tool = shared.node()
    loaded = tool.load()
    assert loaded == Loaded(
        receipts={key: Receipt("city", NOW, 2, 1)}, accounts={("city", "alarm"): Account(2, 1)},
        generation=5, revision=4, feedback_seq=1, epoch=loaded.epoch,
    )  # fmt: skip
    assert shared.books() == {("city", "alarm"): Account(2, 1)}
    assert len(tool.posted(ALL, 10)) == 1
    for node in (one, two):
        with pytest.raises(StaleEpoch):
            node.commit(Batch(NOW))
    three = join(shared)
    tool.commit(Batch(NOW, epoch=loaded.epoch, receipts={key: Receipt("city", NOW, 2, 2)}))
    assert three.store.receipt(key) == Receipt("city", NOW, 2, 2), "in the name of one, and counted once"


# --- random histories


@dataclass(frozen=True)
class Join:
    pass


@dataclass(frozen=True)
class Act:
    """One of the nodes, dead ones too, does something."""

    what: str
    which: int
    part: int = 0


@dataclass(frozen=True)
class Time:
    seconds: float


WHATS: Final = ("tend", "tend", "tend", "hand over", "post", "fetch", "alarm", "leave", "retire")
acts = st.builds(Act, st.sampled_from(WHATS), st.integers(0, 5), st.integers(0, PARTITIONS - 1))
rounds = st.just("round")
histories = st.lists(
    st.one_of(st.builds(Join), acts, acts, rounds, st.builds(Time, st.sampled_from([0.5, ROUND, LEASE, LEASE + 1]))),
    max_size=25,
)
Step = Join | Act | Time | str
RECEIPT: Final = receipt_key(1)


@dataclass
class World:
    """A shared store, some nodes, and what must be true of them."""

    shared: Shared
    nodes: list[Node] = field(default_factory=list)
    gone: set[int] = field(default_factory=set)
    """Whom somebody has buried, or who has left."""
    retired: set[int] = field(default_factory=set)
    marks: tuple[int, int, int] = (0, 0, 0)
    posted: set[float] = field(default_factory=set)
    fetched: list[float] = field(default_factory=list)
    alarms: int = 0
    numbers: int = 0
    counted: dict[int, tuple[int, int]] = field(default_factory=dict)
    """By node: what it has counted in its books, and on the receipt."""

    def step(self, step: Step) -> None:
        match step:
            case Join():
                if len(self.nodes) < 6:
                    self.nodes.append(join(self.shared))
                    assert self.nodes[-1].number not in self.gone
            case Act():
                if step.which < len(self.nodes):
                    self.act(self.nodes[step.which], step)
            case Time():
                self.shared.pass_time(step.seconds)
            case _:
                self.round()
        self.check()

    def act(self, node: Node, act: Act) -> None:
        deeds: dict[str, Callable[[], object]] = {
            "tend": lambda: self.tend(node),
            "hand over": node.hand_over,
            "post": lambda: self.post(node, act.part),
            "fetch": lambda: self.fetch(node),
            "alarm": lambda: self.alarm(node),
        }
        if act.what == "leave":
            node.store.leave()
            self.gone.add(node.number)
        elif act.what == "retire":
            node.store.retire()
            self.retired.add(node.number)
        elif node.number in self.gone:
            with pytest.raises(StaleEpoch):
                deeds[act.what]()
        else:
            deeds[act.what]()

    def tend(self, node: Node) -> None:
        before = set(node.standing.addresses) if node.standing is not None else set()
        found = node.tend()
        self.gone |= {other.number for other in self.nodes} - found.addresses.keys()
        assert not self.gone & found.addresses.keys(), "nobody comes back"
        assert node.number not in self.gone
        assert not {owner for owner in found.owners if owner is not None} - found.addresses.keys()
        assert before <= found.addresses.keys() | self.gone

    def post(self, node: Node, part: int) -> None:
        self.numbers += 1
        node.post(an_event(of_part(part), self.numbers))
        self.posted.add(NOW + self.numbers)

    def fetch(self, node: Node) -> None:
        found: list[Fetched] = list(node.store.posted(node.owned, 3))
        assert all(part in node.owned for part, _, _ in found)
        node.commit(Batch(NOW, fetched=[row[:2] for row in found]))
        self.fetched += [posted.at for _, _, posted in found]

    def alarm(self, node: Node) -> None:
        booked, on_receipt = self.counted.get(node.number, (0, 0))
        self.alarms += 1
        generation = node.joined.generation + booked + 1
        node.commit(
            Batch(
                NOW, generation=generation, revision=generation,
                receipts={RECEIPT: Receipt("city", NOW, on_receipt + 1)},
                accounts={("city", "alarm"): Account(accepted=booked + 1)}, feedback=[a_feedback(booked + 1)],
            )
        )  # fmt: skip
        self.counted[node.number] = booked + 1, on_receipt + 1

    def living(self) -> list[Node]:
        return [node for node in self.nodes if node.number not in self.gone]

    def round(self) -> None:
        """A round of all that live."""
        self.shared.pass_time(ROUND)
        for node in self.living():
            if node.number not in self.gone:
                self.tend(node)
                node.hand_over()

    def check(self) -> None:
        living = self.living()
        for node in living:
            assert not any(node.owned & other.owned for other in living if other is not node), (
                "nobody is anybody's twice"
            )
        onlooker = self.shared.node()
        now = onlooker.load_parts([])
        found = now.generation, now.revision, now.feedback_seq
        assert all(mark >= before for mark, before in zip(found, self.marks, strict=True))
        self.marks = found
        assert found[2] == self.alarms
        numbers = [told.seq for told in onlooker.feedback("city", 0, 1000)]
        assert numbers == list(range(1, self.alarms + 1))
        waiting = [posted.at for _, _, posted in onlooker.posted(ALL, 1000)]
        assert sorted(waiting + self.fetched) == sorted(self.posted), "nothing is lost, nothing is fetched twice"
        receipt = onlooker.receipt(RECEIPT)
        assert (receipt.recipients if receipt is not None else 0) == self.alarms
        assert sum(account.accepted for account in self.shared.books().values()) == self.alarms
        onlooker.close()

    def settle(self) -> None:
        """Whoever lives gets its share, and finds what was posted for it."""
        for node in self.nodes:
            if node.number % 3 == 0:
                node.store.leave()
                self.gone.add(node.number)
        self.nodes.append(join(self.shared))
        for _ in range(16):
            self.round()
        counts = [len(node.owned) for node in self.living() if node.number not in self.retired]
        if not self.retired & {node.number for node in self.living()}:
            assert sum(counts) == PARTITIONS
            assert set(counts) <= {PARTITIONS // len(counts), -(-PARTITIONS // len(counts))}
        for node in self.living():
            while node.store.posted(node.owned, 1):
                self.fetch(node)
        assert sorted(self.fetched) == sorted(self.posted)
        self.check()


def play(shared: Shared, history: list[Step]) -> None:
    world = World(shared)
    for step in history:
        world.step(step)
    world.settle()


@settings(max_examples=examples(200), deadline=None)
@given(histories)
def test_whatever_happens_nobody_is_anybodys_twice_and_nothing_is_lost_in_memory(history: list[Step]) -> None:
    play(SharedMemory(), history)


@settings(max_examples=examples(15), deadline=None)
@given(history=histories)
def test_whatever_happens_nobody_is_anybodys_twice_and_nothing_is_lost_in_postgres(
    database: str, history: list[Step]
) -> None:
    with on_postgres(database) as shared:
        play(shared, history)
