"""The gate: a reason and an instant, never a bare bool."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.core.events import DEFAULT_CLASSES, NEVER
from relay.core.gate import MARGIN, Deferred, Gate, Passed, RestTable, Why, jitter
from relay.core.life import LADDER
from relay.core.private import UserKey
from tests.relay.core.scene import DAY, HOUR, NOON, compiled, endless, iso, nightly, rest_between

MESSAGE, _, ALARM, CONTROL = DEFAULT_CLASSES
ANNA = UserKey(b"a" * 16)
START = NOON + 10 * HOUR
"""Of the night, 22:00."""
END = NOON + 18 * HOUR
NIGHT = compiled(nightly())
LONG = NOON + 365 * DAY
GATE = Gate(0.0)


def passed(table: RestTable | None, now: float, expiry: float = LONG, *, gate: Gate = GATE) -> Passed:
    decision = gate.ask(table, ANNA, MESSAGE, now, expiry)
    assert isinstance(decision, Passed)
    return decision


# --- may it go?


def test_without_rules_everybody_is_reachable() -> None:
    assert GATE.ask(None, ANNA, MESSAGE, NOON) == Passed(Why.REACHABLE, LADDER[-1])


def test_rules_that_say_nothing_are_the_same_as_none() -> None:
    assert GATE.ask(compiled({"timezone": "UTC"}), ANNA, MESSAGE, NOON) == Passed(Why.REACHABLE, LADDER[-1])


@pytest.mark.parametrize(
    ("now", "why"),
    [
        (START - MARGIN - 1, Why.REACHABLE),
        (START - MARGIN - 0.001, Why.REACHABLE),
        (START - MARGIN, Why.REST_SOON),
        (START - 1, Why.REST_SOON),
        (START - 0.001, Why.REST_SOON),
        (START, Why.REST),
        (START + 0.001, Why.REST),
        (END - 1, Why.REST),
        (END - 0.001, Why.REST),
        (END, Why.REACHABLE),
        (END + 0.001, Why.REACHABLE),
    ],
)
def test_rest_is_half_open_and_nothing_leaves_in_the_ten_seconds_before(now: float, why: Why) -> None:
    decision = GATE.ask(NIGHT, ANNA, MESSAGE, now)
    assert decision.why is why
    if isinstance(decision, Deferred):
        assert decision.until == END


def test_a_hole_too_short_to_leave_in_is_no_hole() -> None:
    table = compiled(rest_between(NOON, NOON + 100, NOON + 110, NOON + 200))
    assert GATE.ask(table, ANNA, MESSAGE, NOON + 100) == Deferred(Why.REST_SOON, NOON + 200)


@pytest.mark.parametrize("now", [NOON + 50, NOON + 100, NOON + 205])
def test_a_rest_ends_where_something_can_leave_again(now: float) -> None:
    table = compiled(rest_between(NOON, NOON + 100, NOON + 110, NOON + 200, NOON + 209, NOON + 300))
    decision = GATE.ask(table, ANNA, MESSAGE, now)
    assert isinstance(decision, Deferred)
    assert decision.until == NOON + 300


def test_holes_too_short_before_a_rest_without_end_are_none() -> None:
    hole = {"kind": "reachable", "start": iso(NOON + 100), "end": iso(NOON + 109)}
    table = compiled(endless() | {"overrides": [hole]})
    assert GATE.ask(table, ANNA, MESSAGE, NOON) == Deferred(Why.ENDLESS_REST, NEVER)


def test_a_hole_one_second_longer_is_one() -> None:
    table = compiled(rest_between(NOON, NOON + 100, NOON + 111, NOON + 200))
    assert passed(table, NOON + 100) == Passed(Why.REACHABLE, 0, NOON + 200)


@pytest.mark.parametrize("now", [NOON, START])
def test_a_rest_without_end_names_no_instant(now: float) -> None:
    assert GATE.ask(compiled(endless()), ANNA, MESSAGE, now) == Deferred(Why.ENDLESS_REST, NEVER)


def test_a_rest_without_end_that_begins_soon_names_none_either() -> None:
    table = compiled(rest_between(NOON + 5, NOON + 3000 * DAY))
    assert GATE.ask(table, ANNA, MESSAGE, NOON) == Deferred(Why.ENDLESS_REST, NEVER)


@pytest.mark.parametrize(("longest", "lives"), [(0, 0), (300, 300), (43_200, 43_200), (604_800, 604_800)])
def test_a_class_may_be_kept_for_less_long_than_the_ladder_has(longest: int, lives: int) -> None:
    """And that is no life that rest has cut: nothing echoes it."""
    brief = replace(MESSAGE, life=longest)
    assert Gate(0.0).ask(None, ANNA, brief, NOON) == Passed(Why.REACHABLE, lives)
    before_the_night = compiled(nightly(), NOON)
    assert Gate(0.0).ask(before_the_night, ANNA, brief, NOON) == (
        Passed(Why.REACHABLE, lives) if longest < 36_000 else Passed(Why.REACHABLE, 14_400, START + 8 * HOUR)
    )
    assert Gate(0.0).ask(None, ANNA, replace(ALARM, life=longest), NOON) == Passed(Why.PIERCES, min(longest, 3600))


@pytest.mark.parametrize("table", [None, NIGHT, compiled(endless())], ids=["no rules", "night", "endless"])
@pytest.mark.parametrize("now", [NOON, START - 5, START, END])
def test_a_class_that_pierces_always_passes_at_once(table: RestTable | None, now: float) -> None:
    decision = Gate(300.0).ask(table, ANNA, ALARM, now, now + HOUR)
    assert decision == Passed(Why.PIERCES, 3600, None)


# --- for how long may the provider keep it?


@pytest.mark.parametrize(
    ("before", "life"),
    [
        (10.001, 0), (299.999, 0), (300, 300), (899.999, 300), (900, 900), (3600, 3600), (4 * HOUR - 1, 3600),
        (4 * HOUR, 14_400), (10 * HOUR, 14_400), (12 * HOUR, 43_200), (16 * HOUR, 43_200),
    ],
)  # fmt: skip
def test_a_life_ends_before_the_next_rest_and_a_cut_one_names_the_morning(before: float, life: int) -> None:
    assert passed(NIGHT, START - before) == Passed(Why.REACHABLE, life, END)


def test_a_life_that_is_not_cut_names_no_morning() -> None:
    table = compiled(rest_between(NOON + 8 * DAY, NOON + 9 * DAY))
    assert passed(table, NOON) == Passed(Why.REACHABLE, LADDER[-1], None)


def test_a_life_cut_by_a_rest_without_end_has_no_morning() -> None:
    table = compiled(rest_between(NOON + HOUR, NOON + 3000 * DAY))
    assert passed(table, NOON) == Passed(Why.REACHABLE, 3600, None)


@pytest.mark.parametrize(
    ("left", "life"),
    [(7 * DAY, 604_800), (DAY, 43_200), (HOUR, 3600), (900.0, 900), (300.0, 300), (60.0, 0), (0.0, 0), (-5.0, 0)],
)
def test_a_wakeup_for_nothing_is_not_kept(left: float, life: int) -> None:
    assert passed(None, NOON, NOON + left) == Passed(Why.REACHABLE, life)


@pytest.mark.parametrize(
    ("deadline", "late", "life"),
    [
        (7 * DAY, 0.005, 604_800),
        (7 * DAY, 300.0, 604_800),
        (HOUR, 0.005, 3600),
        (HOUR, 300.0, 3600),
        (HOUR, 1800.0, 900),
        (900.0, 0.005, 900),
    ],
)
def test_the_seconds_between_event_and_departure_do_not_cost_a_step(deadline: float, late: float, life: int) -> None:
    """An event whose deadline is a step of the ladder leaves a little later, and still gets this step."""
    assert passed(None, NOON + late, NOON + deadline).life == life
    alarm = GATE.ask(None, ANNA, replace(ALARM, deadline=deadline), NOON + late, NOON + deadline)
    assert isinstance(alarm, Passed)
    assert alarm.life == life


def test_a_cut_is_measured_by_what_the_events_wanted() -> None:
    """An hour would do for this message and fits before the night: nothing is cut, nothing must be repeated."""
    assert passed(NIGHT, START - 2 * HOUR, START - HOUR) == Passed(Why.REACHABLE, 3600, None)


@given(seconds=st.floats(0.0, 2 * DAY), expiry=st.floats(-DAY, 30 * DAY))
def test_no_life_ever_reaches_into_the_next_rest_or_tells_when_it_is(seconds: float, expiry: float) -> None:
    now = NOON + seconds
    decision = GATE.ask(NIGHT, ANNA, MESSAGE, now, now + expiry)
    if isinstance(decision, Deferred):
        rest = NIGHT.at(now)
        assert rest.resting or (rest.next_start is not None and rest.next_start - now <= MARGIN)
        assert not NIGHT.at(decision.until).resting
        return
    assert decision.life in (0, *LADDER)
    assert decision.life <= max(0.0, expiry * 1.1)
    start = NIGHT.at(now).next_start
    assert start is not None
    assert now + MARGIN < start
    assert now + decision.life <= start


# --- jitter (R12)


def test_two_askings_of_one_morning_get_the_same_release() -> None:
    gate = Gate(300.0)
    answers = {gate.ask(NIGHT, ANNA, MESSAGE, now) for now in (START, START + HOUR, END - 1)}
    assert len(answers) == 1


def test_an_echo_is_spread_like_a_release() -> None:
    decision = passed(NIGHT, START - HOUR, gate=Gate(300.0))
    assert decision.echo_at == END + jitter(ANNA, END, 300.0)


def test_a_release_is_spread_over_the_whole_width_and_never_before_the_end() -> None:
    delays = sorted(jitter(UserKey(n.to_bytes(16, "big")), END, 300.0) for n in range(2000))
    assert 0 <= delays[0] < 3
    assert 297 < delays[-1] < 300
    assert abs(sum(delays) / len(delays) - 150) < 10


def test_nobody_is_always_the_last() -> None:
    """The jitter of a user differs from day to day."""
    assert len({jitter(ANNA, END + day * DAY, 300.0) for day in range(20)}) == 20


def test_no_width_is_no_jitter() -> None:
    assert jitter(ANNA, END, 0.0) == 0.0


@given(user=st.binary(min_size=16, max_size=16), release=st.floats(0, 4e9), width=st.floats(0.001, 3600))
def test_jitter_stays_within_its_width(user: bytes, release: float, width: float) -> None:
    assert 0 <= jitter(UserKey(user), release, width) <= width
    assert jitter(UserKey(user), release, width) == jitter(UserKey(user), release, width)
