"""The line before the next commit: alarms first, tenants in turn, room for everybody, and each keeps their order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.core.draft import Draft
from relay.core.errors import Overloaded
from relay.waiting import BATCH, MAX_WAITING, SHARE, Operation, WaitingRoom


def nothing(_draft: Draft) -> None:
    return None


def operation(tenant: str = "a", weight: int = 1, draw: Callable[[Draft], object] = nothing) -> Operation[Any]:
    return Operation(tenant, draw, weight, is_edit=False)


def room(*operations: Operation[Any], tenants: int = 2) -> WaitingRoom:
    made = WaitingRoom(tenants)
    for one in operations:
        made.enter(one, urgent=False)
    return made


def test_at_low_load_everybody_is_in_the_next_batch() -> None:
    some = [operation(), operation("b"), operation()]
    made = room(*some)
    assert set(made.leave()) == set(some)
    assert made.is_empty
    assert made.weight == 0
    assert made.leave() == []


def test_a_tenant_that_floods_the_door_delays_itself() -> None:
    flood = [operation("a", BATCH // 4) for _ in range(30)]
    other = operation("b")
    made = room(*flood[:29], other, flood[29])
    batch = made.leave()
    assert other in batch
    assert len(batch) == 5, "a batch is bounded"


def test_alarms_go_first_also_those_of_a_tenant_that_waits_long() -> None:
    flood = [operation("a", BATCH) for _ in range(5)]
    made = room(*flood)
    alarm = operation("a")
    made.enter(alarm, urgent=True)
    assert made.leave()[0] is alarm


def test_of_several_tenants_none_fills_the_room() -> None:
    large = round(MAX_WAITING * SHARE)
    made = room(operation("a", large))
    with pytest.raises(Overloaded) as refused:
        made.enter(operation("a"), urgent=False)
    assert refused.value.retry_after > 0
    made.enter(operation("b", MAX_WAITING - large), urgent=False)
    with pytest.raises(Overloaded):
        made.enter(operation("c"), urgent=False)
    made.enter(operation("c", 1000), urgent=True)
    made.enter(operation("a", 1000), urgent=True)


def test_the_only_tenant_has_all_of_it() -> None:
    made = room(operation("a", MAX_WAITING), tenants=1)
    with pytest.raises(Overloaded):
        made.enter(operation("a"), urgent=False)


def test_one_operation_always_fits_however_large() -> None:
    made = room(operation("a", 10 * MAX_WAITING))
    assert made.weight == 10 * MAX_WAITING
    assert len(made.leave()) == 1


def test_who_was_refused_left_no_trace() -> None:
    made = room(operation("a", 10 * MAX_WAITING))
    with pytest.raises(Overloaded):
        made.enter(operation("b"), urgent=False)
    made.leave()
    assert made.is_empty
    made.enter(operation("b", round(MAX_WAITING * SHARE)), urgent=False)


@given(
    st.lists(
        st.one_of(
            st.tuples(st.sampled_from("abc"), st.integers(1, BATCH), st.booleans()),
            st.none(),
        ),
        max_size=60,
    )
)
def test_nobody_is_lost_and_everybody_keeps_their_order(story: list[tuple[str, int, bool] | None]) -> None:
    made = WaitingRoom(3)
    entered: list[tuple[Operation[Any], bool]] = []
    left: list[Operation[Any]] = []
    for step in story:
        if step is None:
            left += made.leave()
            continue
        tenant, weight, urgent = step
        one = operation(tenant, weight)
        try:
            made.enter(one, urgent=urgent)
        except Overloaded:
            continue
        entered.append((one, urgent))
        assert made.weight == sum(e.weight for e, _ in entered if e not in left)
    while not made.is_empty:
        batch = made.leave()
        assert batch
        assert sum(e.weight for e in batch[:-1]) < BATCH
        left += batch
    assert made.weight == 0
    assert len(left) == len(set(left)) == len(entered)
    for kind in (True, False):
        for tenant in "abc":
            mine = [e for e, urgent in entered if urgent is kind and e.tenant == tenant]
            assert [e for e in left if e in mine] == mine
