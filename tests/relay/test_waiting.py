"""The line before the next commit: alarms first, tenants in turn, room for everybody, and each keeps their order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.core.draft import Draft
from relay.core.errors import Overloaded
from relay.waiting import (
    ASSUMED,
    BATCH,
    BESIDE_ALARMS,
    LATEST,
    MAX_WAITING,
    SHARE,
    SOONEST,
    Operation,
    Pace,
    WaitingRoom,
)


def nothing(_draft: Draft) -> None:
    return None


def operation(tenant: str = "a", weight: int = 1, draw: Callable[[Draft], object] = nothing) -> Operation[Any]:
    return Operation(tenant, draw, weight, is_edit=False)


def room(*operations: Operation[Any], tenants: int = 2) -> WaitingRoom:
    made = WaitingRoom(tenants)
    for one in operations:
        made.enter(one, 0.0, urgent=False)
    return made


def test_at_low_load_everybody_is_in_the_next_batch() -> None:
    some = [operation(), operation("b"), operation()]
    made = room(*some)
    assert set(made.leave(0.0)) == set(some)
    assert made.is_empty
    assert made.weight == 0
    assert made.leave(0.0) == []


def test_a_tenant_that_floods_the_door_delays_itself() -> None:
    flood = [operation("a", BATCH // 4) for _ in range(30)]
    other = operation("b")
    made = room(*flood[:29], other, flood[29])
    batch = made.leave(0.0)
    assert other in batch
    assert len(batch) == 5, "a batch is bounded"


def test_alarms_go_first_also_those_of_a_tenant_that_waits_long() -> None:
    flood = [operation("a", BATCH) for _ in range(5)]
    made = room(*flood)
    alarm = operation("a")
    made.enter(alarm, 0.0, urgent=True)
    assert made.leave(0.0)[0] is alarm


def test_beside_alarms_few_others_are_written() -> None:
    many = BESIDE_ALARMS // 4
    made = room(*(operation(tenant, many) for tenant in "ab" for _ in range(20)))
    alarms = [operation("a", 100), operation("b", 100)]
    for alarm in alarms:
        made.enter(alarm, 0.0, urgent=True)
    batch = made.leave(0.0)
    assert batch[:2] == alarms
    assert [other.weight for other in batch[2:]] == [many] * 4, "few, and not none: alarms may never end"
    assert sum(other.weight for other in made.leave(0.0)) == 36 * many


def test_a_large_request_stands_back_once_for_alarms() -> None:
    """It would be written beside them; and a stream of alarms would hold it up for ever."""
    small, large = operation("b"), operation("a", BESIDE_ALARMS + 1)
    last = operation("b")
    made = room(small, large, last)
    for expected in ([small], [large], [last]):
        alarm = operation("a")
        made.enter(alarm, 0.0, urgent=True)
        batch = made.leave(0.0)
        assert batch[0] is alarm
        assert batch[1:2] == expected
    assert made.is_empty


def test_of_several_tenants_none_fills_the_room() -> None:
    large = round(MAX_WAITING * SHARE)
    made = room(operation("a", large))
    with pytest.raises(Overloaded) as refused:
        made.enter(operation("a"), 0.0, urgent=False)
    assert refused.value.retry_after > 0
    made.enter(operation("b", MAX_WAITING - large), 0.0, urgent=False)
    with pytest.raises(Overloaded):
        made.enter(operation("c"), 0.0, urgent=False)
    made.enter(operation("c", 1000), 0.0, urgent=True)
    made.enter(operation("a", 1000), 0.0, urgent=True)


def test_the_only_tenant_has_all_of_it() -> None:
    made = room(operation("a", MAX_WAITING), tenants=1)
    with pytest.raises(Overloaded):
        made.enter(operation("a"), 0.0, urgent=False)


def test_one_operation_always_fits_however_large() -> None:
    made = room(operation("a", 10 * MAX_WAITING))
    assert made.weight == 10 * MAX_WAITING
    assert len(made.leave(0.0)) == 1


def test_who_was_refused_left_no_trace() -> None:
    made = room(operation("a", 10 * MAX_WAITING))
    with pytest.raises(Overloaded):
        made.enter(operation("b"), 0.0, urgent=False)
    made.leave(0.0)
    assert made.is_empty
    made.enter(operation("b", round(MAX_WAITING * SHARE)), 0.0, urgent=False)


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
            left += made.leave(0.0)
            continue
        tenant, weight, urgent = step
        one = operation(tenant, weight)
        try:
            made.enter(one, 0.0, urgent=urgent)
        except Overloaded:
            continue
        entered.append((one, urgent))
        assert made.weight == sum(e.weight for e, _ in entered if e not in left)
    while not made.is_empty:
        batch = made.leave(0.0)
        assert batch
        assert sum(e.weight for e in batch[:-1]) < BATCH
        left += batch
    assert made.weight == 0
    assert len(left) == len(set(left)) == len(entered)
    for kind in (True, False):
        for tenant in "abc":
            mine = [e for e, urgent in entered if urgent is kind and e.tenant == tenant]
            assert [e for e in left if e in mine] == mine


def is_read(made: WaitingRoom, tenant: str) -> bool:
    try:
        made.knock(tenant, 0.0)
    except Overloaded:
        return False
    return True


def test_who_was_refused_is_not_read_until_a_tenth_of_the_room_is_free() -> None:
    made = WaitingRoom(1)
    tenth = MAX_WAITING // 10
    for _ in range(10):
        made.enter(operation(weight=tenth), 0.0, urgent=False)
    assert is_read(made, "a"), "full, and nobody knows yet"
    with pytest.raises(Overloaded):
        made.enter(operation(), 0.0, urgent=False)
    assert not is_read(made, "a")
    made.leave(0.0)
    assert is_read(made, "a")
    made.enter(operation(weight=tenth), 0.0, urgent=False)
    assert is_read(made, "a"), "nobody was refused since"


def test_of_a_tenant_whose_share_is_full_only_its_own_requests_are_not_read() -> None:
    made = room(operation("a", round(MAX_WAITING * SHARE)))
    with pytest.raises(Overloaded):
        made.enter(operation("a"), 0.0, urgent=False)
    assert not is_read(made, "a")
    assert is_read(made, "b")
    made.leave(0.0)
    assert is_read(made, "a")


# --- when to come back


def told(made: WaitingRoom, one: Operation[Any], now: float) -> int | None:
    """Seconds after which it is asked to come back; None when it is let in."""
    try:
        made.enter(one, now, urgent=False)
    except Overloaded as refused:
        return refused.retry_after
    return None


class Writer:
    """Takes batch after batch out of the room, so many recipients per second, as long as somebody waits."""

    def __init__(self, made: WaitingRoom, rate: float) -> None:
        self.room = made
        self.rate = rate
        self.now = 0.0
        """When the last batch was written."""

    def write(self, meanwhile: Callable[[float, float], None] = lambda _now, _seconds: None) -> list[Operation[Any]]:
        """A batch. `meanwhile` is told when it has left the line, and how long it takes."""
        batch = self.room.leave(self.now)
        seconds = sum(one.weight for one in batch) / self.rate
        meanwhile(self.now, seconds)
        self.now += seconds
        self.room.written(self.now)
        return batch


def test_a_line_is_over_after_its_recipients_by_their_pace() -> None:
    pace = Pace()
    assert pace.seconds(100_000, 0.0) == 100_000 / ASSUMED
    pace.begins(8_000, 10.0, counts=True)
    pace.ended(12.0)
    assert pace.seconds(40_000, 12.0) == 10
    assert pace.seconds(40_001, 12.0) == 11, "rounded up"
    pace.begins(8_000, 12.0, counts=True)
    assert pace.seconds(32_000, 13.0) == 9, "with what is left of the batch under way"


def test_the_seconds_stay_within_bounds() -> None:
    pace = Pace()
    assert pace.seconds(1, 0.0) == SOONEST == 1
    assert pace.seconds(10**9, 0.0) == LATEST == 60


def test_a_tenant_whose_share_is_full_waits_for_its_own_turns() -> None:
    made = room(operation("a", 74_000), operation("b", 1_000))
    assert told(made, operation("a", 2_000), 0.0) == 8, "74,000 of its own, and each time the other one"
    assert told(made, operation("b", 26_000), 0.0) == 4, "the room is full: 75,000"


def test_a_batch_that_left_nobody_behind_tells_nothing() -> None:
    """A small one takes its fsync too: two recipients in ten milliseconds are no pace."""
    made = WaitingRoom(1)
    for number in range(100):
        made.enter(operation(weight=2), number, urgent=False)
        made.leave(number)
        made.written(number + 0.01)
    made.enter(operation(weight=MAX_WAITING), 200.0, urgent=False)
    assert told(made, operation(), 200.0) == MAX_WAITING / ASSUMED


def test_a_batch_that_is_late_is_not_waited_for_in_vain() -> None:
    """The disk hangs: the longer it does, the later one is asked to come back."""
    made = room(operation(weight=MAX_WAITING // 2), tenants=1)
    made.leave(0.0)
    made.enter(operation(weight=MAX_WAITING), 0.0, urgent=False)
    line = round(MAX_WAITING / ASSUMED)
    assert [told(made, operation(), now) for now in (0.5, 10.0, 30.0, 300.0)] == [
        line + 2, line + 10, line + 30, LATEST,
    ]  # fmt: skip


def flooded(made: WaitingRoom, weight: int, now: float) -> int:
    """Fill it; the seconds told to the first that is refused."""
    while (seconds := told(made, operation("a", weight), now)) is None:
        pass
    return seconds


def test_what_was_long_ago_fades() -> None:
    """A disk that has become ten times as slow is known for it after some seconds."""
    made = WaitingRoom(1)
    writer, found = Writer(made, 50_000.0), []
    for writer.rate in (50_000.0, 5_000.0):
        for _ in range(20):
            flooded(made, BATCH, writer.now)
            writer.write()
        found.append(flooded(made, BATCH, writer.now))
    assert found == [2, 20], "of 96,000 recipients"


@given(
    weight=st.integers(100, 25_001),
    rate=st.floats(2_000, 500_000),
    tenants=st.integers(1, 5),
    warm=st.integers(2, 30),  # the first batch tells the pace
    part=st.floats(0, 1),
)
def test_who_comes_back_when_told_is_taken(weight: int, rate: float, tenants: int, warm: int, part: float) -> None:
    """While the pace stays what it was: alone, in a full room, and beside tenants who go on posting."""
    made = WaitingRoom(tenants)
    writer = Writer(made, rate)
    others = [str(number) for number in range(1, tenants)]
    weight = min(weight, MAX_WAITING // 8) if others else weight
    came: list[tuple[float, int]] = []
    absent = set(others)

    def come(now: float, seconds: float) -> None:
        """In the midst of a batch, and more than there is room for."""
        instant = now + part * seconds
        came.append((instant, flooded(made, weight, instant)))

    def write(meanwhile: Callable[[float, float], None]) -> None:
        for name in sorted(absent):
            if told(made, operation(name, weight), writer.now) is None:
                absent.remove(name)
        absent.update(one.tenant for one in writer.write(meanwhile) if one.tenant != "a")

    for _ in range(warm):
        flooded(made, weight, writer.now)
        write(come)
    instant, seconds = came[-1]
    while writer.now < instant + seconds and not made.is_empty:
        write(lambda _now, _seconds: None)
    if seconds < LATEST:
        assert told(made, operation("a", weight), instant + seconds) is None
