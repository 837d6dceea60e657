"""How often somebody may try to sign in, in virtual time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schedules.web.limits import Limit, LoginLimits

NOW = 1_795_728_000.0
FEW = Limit(3, 30.0)
MANY = Limit(10, 30.0)


def limits() -> LoginLimits:
    return LoginLimits(FEW, MANY)


def test_so_many_at_once_and_then_one_by_one() -> None:
    tried = limits()
    assert [tried.attempt("a", NOW) for _ in range(3)] == [None] * 3
    assert tried.attempt("a", NOW) == 10.0
    assert tried.attempt("a", NOW + 9.5) == 0.5
    assert tried.attempt("a", NOW + 10.0) is None
    assert tried.attempt("a", NOW + 10.0) == 10.0


def test_who_is_refused_is_not_counted() -> None:
    tried = limits()
    for _ in range(100):
        tried.attempt("a", NOW)
    assert tried.attempt("a", NOW + 10.0) is None


def test_another_address_is_another_matter() -> None:
    tried = limits()
    for _ in range(4):
        tried.attempt("a", NOW)
    assert tried.attempt("b", NOW) is None


def test_all_together_are_limited_too() -> None:
    tried = limits()
    assert all(tried.attempt(f"{number}", NOW) is None for number in range(10))
    assert tried.attempt("another", NOW) == 3.0
    assert tried.attempt("another", NOW + 3.0) is None


def test_one_address_does_not_use_up_what_all_have() -> None:
    tried = limits()
    for _ in range(1000):
        tried.attempt("a", NOW)
    assert all(tried.attempt(f"{number}", NOW) is None for number in range(7))


def test_what_succeeds_does_not_count() -> None:
    """A station behind one address, at the beginning of a shift."""
    tried = limits()
    for _ in range(1000):
        assert tried.attempt("station", NOW) is None
        tried.give_back("station")
    assert [tried.attempt("station", NOW) for _ in range(4)] == [None, None, None, 10.0]


def test_attempts_under_way_count() -> None:
    tried = limits()
    assert [tried.attempt("a", NOW) for _ in range(4)] == [None, None, None, 10.0]
    tried.give_back("a")
    assert tried.attempt("a", NOW) is None


def test_a_clock_that_is_set_back_locks_nobody_out() -> None:
    tried = limits()
    for _ in range(3):
        tried.attempt("a", NOW + 86_400.0)
    wait = tried.attempt("a", NOW)
    assert wait is not None
    assert wait <= FEW.seconds


def test_what_nobody_tried_is_not_given_back() -> None:
    tried = limits()
    for _ in range(100):
        tried.give_back("a")
    assert [tried.attempt("a", NOW) for _ in range(4)] == [None, None, None, 10.0]


@given(
    st.lists(st.tuples(st.integers(0, 200), st.floats(0, 20), st.booleans()), max_size=300),
    st.sampled_from([(FEW, MANY), (Limit(1, 5.0), Limit(2, 100.0)), (Limit(5, 600.0), Limit(5, 1.0))]),
)
def test_against_a_naive_count(steps: list[tuple[int, float, bool]], pair: tuple[Limit, Limit]) -> None:
    """No window of its length lets more through than twice the limit, and memory is bounded."""
    own, together = pair
    tried = LoginLimits(own, together)
    now, failed = NOW, list[tuple[float, str]]()
    for number, pause, succeeds in steps:
        now += pause
        address = str(number)
        wait = tried.attempt(address, now)
        if wait is not None:
            assert 0 < wait <= max(own.seconds, together.seconds)
            continue
        if succeeds:
            tried.give_back(address)
        else:
            failed.append((now, address))
        assert tried.remembered <= tried.most
        recent = [known for at, known in failed if at > now - together.seconds]
        assert len(recent) <= 2 * together.attempts
        theirs = [known for at, known in failed if at > now - own.seconds and known == address]
        assert len(theirs) <= 2 * own.attempts


def test_a_storm_of_addresses_is_not_remembered() -> None:
    tried = LoginLimits()
    for number in range(100_000):
        tried.attempt(f"address {number}", NOW + number / 1000)
    assert tried.remembered <= tried.most == 12_001


@pytest.mark.parametrize("pause", [0.0, 29.9, 30.0, 30.1])
def test_a_station_after_a_storm(pause: float) -> None:
    tried = limits()
    for number in range(100):
        tried.attempt(f"{number}", NOW)
    wait = tried.attempt("station", NOW + pause)
    assert (wait is None) == (pause >= 3.0)
