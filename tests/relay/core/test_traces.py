"""Traces: when one is on, what it keeps, and that nothing is left of it; against a model that keeps everything."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.core import traces as module
from relay.core.errors import TooManyTraces
from relay.core.people import Person
from relay.core.private import UserKey
from relay.core.traces import LIFE, MOST, Entry, Trace, Traces, What, Why
from tests.relay.core.scene import NOON, tenant

HOME = tenant()


def person(number: int = 0) -> Person:
    return Person(HOME, UserKey(bytes([number] * 16)), b"")


def merged(at: float, notices: int = 1, until: float | None = None) -> Entry:
    return Entry(at, What.MERGED, ("message",), Why.REST, notices=notices, until=until)


def test_one_goes_on_for_a_day_and_is_not_prolonged() -> None:
    kept, anna = Traces(), person()
    kept.begin(anna, NOON)
    first = kept.of(anna, NOON)
    assert first is not None
    assert (first.since, first.until) == (NOON, NOON + 24 * 3600)
    kept.begin(anna, NOON + 3600)
    assert kept.of(anna, NOON + LIFE - 1) is first
    assert kept.of(anna, NOON + LIFE) is None
    assert (kept.open, anna.trace) == ({}, None)
    kept.begin(anna, NOON + LIFE)
    assert kept.of(anna, NOON + LIFE) not in (None, first)


def test_there_are_so_many_at_a_time_and_who_asks_in_vain_is_told_until_when(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LARGEST", 2)
    kept = Traces()
    for number in range(2):
        kept.begin(person(number), NOON + 100 * number)
    with pytest.raises(TooManyTraces) as refused:
        kept.begin(person(2), NOON + 200.5)
    assert refused.value.retry_after == LIFE - 200
    late = person(2)
    kept.begin(late, NOON + LIFE)
    assert [*kept.open] == [person(1).key, late.key]


def test_a_clock_that_was_set_back_before_it_began_ends_it() -> None:
    """Else it would note nothing, and say that it does."""
    kept, anna = Traces(), person()
    kept.begin(anna, NOON)
    assert kept.of(anna, NOON - 1) is None
    bert = person(1)
    kept.begin(anna, NOON)
    kept.begin(bert, NOON - 3600)
    assert kept.of(bert, NOON + LIFE - 3600) is None, "though the one before it goes on"
    assert kept.of(anna, NOON + LIFE - 3600) is not None


def test_the_oldest_entries_go_and_are_counted() -> None:
    trace = Trace(NOON, NOON + LIFE)
    for number in range(MOST + 3):
        trace.note(Entry(NOON + number, What.CANCELLED, ("message",)))
    assert len(trace.entries) == MOST
    assert (trace.entries[0].at, trace.entries[-1].at, trace.lost) == (NOON + 3, NOON + MOST + 2, 3)


def test_more_of_what_came_last_is_one_entry_with_it() -> None:
    trace = Trace(NOON, NOON + LIFE)
    for number in range(1_000):
        trace.note(merged(NOON + number, 2, NOON + 9_000))
    (entry,) = trace.entries
    assert (entry.at, entry.notices, trace.lost) == (NOON + 999, 2_000, 0)
    trace.note(merged(NOON + 1_000, until=NOON + 9_001))
    trace.note(replace(merged(NOON + 1_001, until=NOON + 9_001), classes=("roster",)))
    assert [each.notices for each in trace.entries] == [2_000, 1, 1]


def test_nothing_of_it_is_shown_by_chance() -> None:
    anna = person()
    Traces().begin(anna, NOON)
    assert anna.trace is not None
    anna.trace.note(merged(NOON))
    shown = f"{anna!r} {anna.trace!r} {anna.trace.entries[0]!r}"
    assert "message" not in shown
    assert str(NOON) not in shown


@dataclass
class Model:
    """Who has one on since when, and all that happened."""

    on: dict[int, float] = field(default_factory=dict)
    happened: list[tuple[int, float]] = field(default_factory=list)

    def seen(self, who: int, now: float) -> list[float] | None:
        since = self.on.get(who)
        if since is None or not since <= now < since + LIFE:
            return None
        return [at for of, at in self.happened if of == who and since <= at < since + LIFE][-MOST:]


PEOPLE = st.integers(0, 2)
STEPS = st.one_of(
    st.tuples(st.sampled_from(["on", "off", "wake"]), PEOPLE),
    st.tuples(st.just("time"), st.sampled_from([1, 3_600, LIFE - 1, LIFE])),
    st.tuples(st.just("tidy"), st.none()),
)


@settings(max_examples=150)
@given(st.lists(STEPS, max_size=40))
def test_what_is_shown_is_as_in_a_model(history: list[tuple[str, float | None]]) -> None:
    kept, model, now = Traces(), Model(), NOON
    people = [person(number) for number in range(3)]
    for what, value in history:
        now += 0.25  # no two things at once
        who = int(value or 0)
        if what == "time":
            now += float(value or 0)
        elif what == "tidy":
            kept.forget(now)
            assert all(model.seen(people.index(one), now) is not None for one in kept.open.values())
        elif what == "on":
            if model.seen(who, now) is None:
                model.on[who] = now
            kept.begin(people[who], now)
        elif what == "off":
            model.on.pop(who, None)
            kept.end(people[who].key)
        else:
            model.happened.append((who, now))
            if (trace := people[who].trace) is not None:
                trace.note(Entry(now, What.HANDED_OVER, ("message",), Why.REACHABLE))
        for number, one in enumerate(people):
            found = kept.of(one, now)
            assert (None if found is None else [entry.at for entry in found.entries]) == model.seen(number, now)
        assert {one.key for one in people if one.trace is not None} == kept.open.keys()
