"""Who of several nodes asks whom for how much."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.core.partitions import ALL, PARTITIONS, part_of, wishes
from relay.core.private import UserKey

nodes = st.integers(1, 12).map(lambda count: list(range(1, count + 1)))


@pytest.mark.parametrize(("first", "part"), [(0, 0), (63, 63), (64, 0), (255, 63)])
def test_a_person_is_of_the_partition_that_its_key_begins_with(first: int, part: int) -> None:
    assert part_of(UserKey(bytes((first,)) + b"\xff" * 15)) == part
    assert part in ALL


def moved(node: int, living: Sequence[int], owners: list[int], wanted: list[int | None]) -> int:
    """Mark what a node asks for; how much that is."""
    asked = wishes(node, living, owners, wanted)
    for other, count in asked.items():
        free = [part for part, owner in enumerate(owners) if owner == other and wanted[part] is None]
        assert len(free) >= count, "it cannot be asked for twice"
        for part in free[:count]:
            wanted[part] = node
    return sum(asked.values())


@given(st.data())
def test_when_all_have_asked_in_any_order_all_will_have_their_share(data: st.DataObject) -> None:
    living = data.draw(nodes)
    one = st.sampled_from(living)
    owners: list[int] = data.draw(st.lists(one, min_size=PARTITIONS, max_size=PARTITIONS))
    wanted: list[int | None] = [None] * PARTITIONS
    least, most = PARTITIONS // len(living), -(-PARTITIONS // len(living))
    counts = [owners.count(node) for node in living]
    needed = max(sum(max(0, least - n) for n in counts), sum(max(0, n - most) for n in counts))
    asked = 0
    for _ in range(len(living)):
        for node in data.draw(st.permutations(living)):
            asked += moved(node, living, owners, wanted)
    then = [owner if by is None else by for owner, by in zip(owners, wanted, strict=True)]
    assert {then.count(node) for node in living} <= {least, most}
    assert asked == needed, "no more than must be"
    assert not any(wishes(node, living, then, [None] * PARTITIONS) for node in living), "and then nobody asks"


def test_what_is_handed_over_already_is_not_asked_for_again() -> None:
    owners: list[int | None] = [1] * PARTITIONS
    wanted: list[int | None] = [2] * 32 + [None] * 32
    assert wishes(2, [1, 2], owners, wanted) == {}
    assert wishes(2, [1, 2], owners, [None] * PARTITIONS) == {1: 32}


def test_nobody_is_asked_who_is_about_to_leave() -> None:
    assert wishes(2, [2, 3], [1] * 32 + [2] * 16 + [3] * 16, [None] * PARTITIONS) == {}
