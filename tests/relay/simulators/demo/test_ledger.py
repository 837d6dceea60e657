"""The judge of a night: hand-made histories, among them a wakeup in rest, a loss and a double count."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.simulators.demo.ledger import ALARM, LONGEST_WAIT, Ledger
from relay.simulators.world import ENDS, Officer, Phone, Span, at

A, B = "token-a", "token-b"
NIGHT: tuple[Span, ...] = ((22 * 60, 30 * 60),)
"""Rest from 22:00 to 06:00."""
EVENING, DEEP, MORNING = at(21 * 60 + 30), at(25 * 60), at(30 * 60)


def officer(*tokens: str, rests: tuple[Span, ...] = NIGHT, on_call: tuple[Span, ...] = ()) -> Officer:
    phones = tuple(Phone(f"device-{i}", "apns", token) for i, token in enumerate(tokens))
    return Officer("officer-0", "made", (*phones, Phone("pc", "none", "")), None, rests, on_call)


@pytest.fixture
def ledger() -> Ledger:
    """One officer with two phones."""
    return Ledger([officer(A, B)])


def account(ledger: Ledger, event_class: str = "message") -> tuple[int, int, int]:
    found = ledger.accounts[event_class]
    return found.accepted, found.woken, found.merged


def test_of_what_is_told_together_one_is_woken_and_the_others_are_merged(ledger: Ledger) -> None:
    for _ in range(3):
        ledger.posted(EVENING, "message", [0])
    ledger.arrived(EVENING, A)
    ledger.arrived(EVENING, B)
    assert account(ledger) == (3, 1, 2)
    assert (ledger.events, ledger.wakeups, ledger.merged, ledger.deferred) == (3, 2, 2, 0)


def test_classes_have_accounts_of_their_own(ledger: Ledger) -> None:
    ledger.posted(EVENING, "message", [0])
    ledger.posted(EVENING, "roster", [0])
    ledger.arrived(EVENING, A)
    assert account(ledger) == account(ledger, "roster") == (1, 1, 0)


def test_what_comes_in_rest_is_deferred_unless_it_pierces(ledger: Ledger) -> None:
    ledger.posted(DEEP, "message", [0])
    ledger.posted(DEEP, ALARM, [0])
    assert (ledger.deferred, ledger.alarms) == (1, 1)


def test_who_is_on_call_does_not_rest() -> None:
    ledger = Ledger([officer(A, on_call=((24 * 60, 26 * 60),))])
    ledger.posted(DEEP, "message", [0])
    ledger.arrived(DEEP, A)
    assert (ledger.deferred, ledger.in_rest_without_bypass) == (0, 0)


def test_a_planted_wakeup_in_rest_is_found(ledger: Ledger) -> None:
    ledger.posted(EVENING, "message", [0])
    ledger.arrived(DEEP, A)
    assert ledger.in_rest_without_bypass == 1
    assert account(ledger) == (1, 0, 0)


def test_an_alarm_is_a_bypass_for_one_wakeup_of_each_phone(ledger: Ledger) -> None:
    ledger.posted(DEEP, ALARM, [0])
    ledger.arrived(DEEP, A)
    ledger.arrived(DEEP + 1, B)
    assert ledger.in_rest_without_bypass == 0
    ledger.arrived(DEEP + 2, A)
    assert ledger.in_rest_without_bypass == 1


def test_an_alarm_of_the_evening_is_no_bypass_in_the_night(ledger: Ledger) -> None:
    ledger.posted(EVENING, ALARM, [0])
    ledger.arrived(EVENING, A)
    ledger.arrived(EVENING, B)
    ledger.arrived(DEEP, A)
    assert ledger.in_rest_without_bypass == 1


def test_a_wakeup_for_an_alarm_in_rest_tells_of_nothing_else(ledger: Ledger) -> None:
    ledger.posted(DEEP, "message", [0])
    ledger.posted(DEEP, ALARM, [0])
    ledger.arrived(DEEP, A)
    ledger.arrived(DEEP, B)
    assert account(ledger, ALARM) == (1, 1, 0)
    assert account(ledger) == (1, 0, 0)
    ledger.arrived(MORNING, A)
    assert account(ledger) == (1, 1, 0)


@pytest.mark.parametrize(("before", "told"), [(10.0, 0), (11.0, 1)])
def test_in_the_last_ten_seconds_before_a_rest_alarms_only_are_told(ledger: Ledger, before: float, told: int) -> None:
    ledger.posted(EVENING, "message", [0])
    ledger.posted(EVENING, ALARM, [0])
    ledger.arrived(at(22 * 60) - before, A)
    assert account(ledger, ALARM) == (1, 1, 0)
    assert account(ledger) == (1, told, 0)


# --- lost


def test_a_planted_loss_is_found(ledger: Ledger) -> None:
    ledger.posted(DEEP, "message", [0])
    assert ledger.lost(ENDS) == 1


def test_a_wakeup_before_the_event_does_not_excuse_its_loss(ledger: Ledger) -> None:
    ledger.posted(EVENING, "message", [0])
    ledger.arrived(EVENING, A)
    ledger.posted(EVENING + 1, "message", [0])
    assert ledger.lost(ENDS) == 1


def test_what_still_may_come_is_not_lost(ledger: Ledger) -> None:
    ledger.posted(DEEP, "message", [0])
    assert ledger.lost(MORNING) == 0
    assert ledger.lost(MORNING + LONGEST_WAIT) == 0
    assert ledger.lost(MORNING + LONGEST_WAIT + 1) == 1


def test_who_rests_until_the_end_has_lost_nothing() -> None:
    ledger = Ledger([officer(A, rests=((22 * 60, 33 * 60),))])
    ledger.posted(at(22 * 60 - 1), "message", [0])
    ledger.posted(DEEP, "message", [0])
    assert ledger.lost(ENDS) == 0


def test_two_short_breaks_of_a_rest_are_not_one_long_one() -> None:
    ledger = Ledger([officer(A, rests=((22 * 60, 24 * 60), (24 * 60 + 8, 26 * 60), (26 * 60 + 8, 33 * 60)))])
    ledger.posted(at(23 * 60), "message", [0])
    assert ledger.lost(ENDS) == 0


def test_rests_that_touch_or_overlap_are_one(ledger: Ledger) -> None:
    ledger = Ledger([officer(A, rests=((20 * 60, 26 * 60), (24 * 60, 28 * 60), (28 * 60, 33 * 60)))])
    ledger.posted(DEEP, "message", [0])
    assert ledger.lost(ENDS) == 0


def test_an_alarm_that_nobody_was_told_of_is_lost_in_rest_too(ledger: Ledger) -> None:
    ledger.posted(DEEP, ALARM, [0])
    assert ledger.lost(DEEP + 30) == 0
    assert ledger.lost(DEEP + 120) == 1


# --- the books


def test_books_that_say_the_same_agree(ledger: Ledger) -> None:
    ledger.posted(EVENING, "message", [0])
    ledger.posted(EVENING, "message", [0])
    ledger.arrived(EVENING, A)
    ledger.posted(DEEP, "message", [0])
    assert ledger.agrees({"message": (3, 1, 1, 1), "roster": (0, 0, 0, 0)})


@pytest.mark.parametrize(
    "row", [(3, 2, 0, 1), (3, 2, 1, 0), (4, 1, 1, 2), (3, 1, 2, 0), (2, 1, 1, 0), (3, 1, 1, 0)], ids=str
)
def test_a_planted_double_count_is_found(ledger: Ledger, row: tuple[int, int, int, int]) -> None:
    ledger.posted(EVENING, "message", [0])
    ledger.posted(EVENING, "message", [0])
    ledger.arrived(EVENING, A)
    ledger.posted(DEEP, "message", [0])
    assert not ledger.agrees({"message": row})


def test_books_without_a_class_that_was_accepted_do_not_agree(ledger: Ledger) -> None:
    ledger.posted(EVENING, "message", [0])
    assert not ledger.agrees({})


def test_a_wakeup_for_nobody_we_know_is_noticed(ledger: Ledger) -> None:
    ledger.arrived(EVENING, "unheard-of")
    assert (ledger.strangers, ledger.wakeups) == (1, 1)


def test_who_has_no_phone_gets_no_notice() -> None:
    ledger = Ledger([officer()])
    ledger.posted(EVENING, "message", [0])
    assert account(ledger) == (0, 0, 0)
    assert ledger.lost(ENDS) == 0


Step = tuple[str, int]
STEPS = st.lists(st.tuples(st.sampled_from([A, B, "message", "roster", ALARM]), st.integers(0, 600)), max_size=40)


@given(STEPS)
def test_every_notice_is_woken_merged_or_open_in_any_history(steps: list[Step]) -> None:
    ledger = Ledger([officer(A, B)])
    posted = 0
    for what, minute in sorted(steps, key=lambda step: step[1]):
        t = at(21 * 60 + minute)
        if what in (A, B):
            ledger.arrived(t, what)
        else:
            ledger.posted(t, what, [0])
            posted += 1
    accounts = ledger.accounts.values()
    assert sum(a.accepted for a in accounts) == posted == ledger.events
    assert all(a.open >= 0 for a in accounts)
    assert sum(a.woken for a in accounts) <= ledger.wakeups * len(ledger.accounts)
    assert 0 <= ledger.lost(ENDS) <= sum(a.open for a in accounts)
    assert sum(ledger.curve.values()) == ledger.wakeups
