"""What is pending: a set, not a queue."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.core.events import NEVER, EventClass
from relay.core.private import DeviceKey
from relay.core.slots import ECHOING, RETENTION, Slot
from tests.relay.core.scene import DAY, HOUR, NOON

PHONE, TABLET = DeviceKey(b"p" * 16), DeviceKey(b"t" * 16)
WEEK = EventClass(name="message", deadline=7 * DAY)


def slot(*, due_at: float = NOON, expires_at: float = NEVER) -> Slot:
    return Slot(5, 5, 1, 0, NOON, NOON, due_at, expires_at, due_at)


def test_a_notice_joins_with_its_generation_and_its_instant() -> None:
    one = slot()
    one.merge(9, NOON + 50, NEVER, NOON)
    assert (one.n, one.born, one.generation, one.first_at, one.last_at) == (2, 5, 9, NOON, NOON + 50)


def test_an_event_that_happened_before_does_not_move_the_read_mark_back() -> None:
    one = slot()
    one.merge(9, NOON - HOUR, NEVER, NOON)
    assert one.last_at == NOON


def test_a_notice_that_joins_never_moves_the_due_instant() -> None:
    one = slot(due_at=NOON + HOUR)
    one.merge(9, NOON, NEVER, NOON)
    assert one.due_at == NOON + HOUR


@pytest.mark.parametrize(
    ("first", "second", "longest"),
    [
        (NOON + 60, NOON + 90, NOON + 90),
        (NOON + 90, NOON + 60, NOON + 90),
        (NEVER, NOON + 60, NEVER),
        (NOON, NEVER, NEVER),
    ],
)
def test_a_merged_slot_keeps_the_longest_life(first: float, second: float, longest: float) -> None:
    one = slot(expires_at=first)
    one.merge(9, NOON, second, NOON)
    assert one.expires_at == longest


def test_a_merged_slot_keeps_the_longest_deadline() -> None:
    """An alarm that joins one from 59 minutes ago must not be given up after a minute."""
    one = slot()
    one.merge(9, NOON + 3540, NEVER, NOON + 3540)
    assert one.expiry(EventClass(name="alarm", deadline=HOUR)) == NOON + 3540 + HOUR


def test_a_notice_that_joins_waits_for_its_own_first_try() -> None:
    """Its user may have begun to rest since the gate let the slot through."""
    one = slot()
    one.tried = True
    one.merge(9, NOON, NEVER, NOON + 21 * DAY)
    assert one.expiry(WEEK) == NOON + 28 * DAY
    assert not one.tried


def test_a_notice_cancels_an_echo_that_was_to_come() -> None:
    one = slot()
    one.echo_at = NOON + HOUR
    one.merge(9, NOON, NEVER, NOON)
    assert one.echo_at == 0


@pytest.mark.parametrize(
    ("totals", "newly", "pending"),
    [([3], [3], 0), ([1, 3], [1, 2], 0), ([3, 1], [3, 0], 0), ([2, 2], [2, 0], 1), ([0], [0], 3)],
)
def test_verdicts_in_any_order_book_each_notice_once(totals: list[int], newly: list[int], pending: int) -> None:
    one = slot()
    one.total = 3
    assert [one.book_up_to(total) for total in totals] == newly
    assert one.n == pending


@given(totals=st.lists(st.integers(0, 20)))
def test_booking_never_goes_back_nor_beyond(totals: list[int]) -> None:
    one = slot()
    one.total = 20
    assert sum(one.book_up_to(total) for total in totals) == one.booked == max(totals, default=0)


def test_a_device_is_owed_until_it_was_woken_for_the_newest() -> None:
    one = slot()
    assert one.owed(PHONE)
    one.done[PHONE] = 5
    assert not one.owed(PHONE)
    assert one.owed(TABLET)
    one.merge(9, NOON, NEVER, NOON)
    assert one.owed(PHONE)


@pytest.mark.parametrize(
    ("reachable_at", "expires_at", "expiry"),
    [
        (NOON, NEVER, NOON + 7 * DAY),
        (NOON + 20 * DAY, NEVER, NOON + 27 * DAY),
        (NOON + 60 * DAY, NEVER, NOON + 67 * DAY),
        (NOON, NOON + HOUR, NOON + HOUR),
        (NOON + 20 * DAY, NOON + HOUR, NOON + HOUR),
        (NOON, NOON + 30 * DAY, NOON + 7 * DAY),
        (NEVER, NEVER, NOON + RETENTION),
        (NEVER, NOON + HOUR, NOON + HOUR),
        (NEVER, NOON + 90 * DAY, NOON + RETENTION),
    ],
)
def test_a_class_deadline_counts_from_the_first_reachable_instant_and_an_own_life_does_not(
    reachable_at: float, expires_at: float, expiry: float
) -> None:
    one = slot(due_at=reachable_at, expires_at=expires_at)
    assert one.expiry(WEEK) == expiry


def test_only_what_repeats_a_cut_life_is_an_echo() -> None:
    """Nothing pending and nobody woken yet is not enough: that is also a slot whose phone got a new token."""
    one = slot()
    one.book_up_to(1)
    assert not one.is_echo
    one.echo_at = ECHOING
    assert one.is_echo


def test_a_copy_shares_nothing() -> None:
    one = slot()
    one.done[PHONE] = 3
    one.tried, one.echo_at = True, NOON
    other = one.copy()
    assert other == one
    other.done[TABLET] = 5
    other.merge(9, NOON + 1, NEVER, NOON)
    assert one.done == {PHONE: 3}
    assert (one.total, one.generation, one.last_at, one.tried) == (1, 5, NOON, True)
