"""Trials: who may begin one, and what is kept of them for how long; against a model that keeps everything."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.core import trials as module
from relay.core.errors import TooOften
from relay.core.events import DEFAULT_CLASSES, TEST
from relay.core.gate import Gate, Passed
from relay.core.life import LADDER, TOP
from relay.core.private import UserKey
from relay.core.trials import KEPT, MOST, WINDOW, Trial, Trials
from tests.relay.core.scene import NOON, Scene

ANNA, BERT = (UserKey(name * 16) for name in (b"a", b"b"))


def trial(user: UserKey = ANNA, at: float = NOON) -> Trial:
    return Trial(user, at, 1, (), frozenset())


def test_its_class_goes_out_in_rest_and_overtakes_nothing() -> None:
    assert TEST.pierces
    assert TEST.needs_authority
    assert not TEST.is_urgent
    assert not TEST.yields
    assert TEST.name not in {event_class.name for event_class in DEFAULT_CLASSES}
    assert Scene().home.class_of("test") is TEST


@pytest.mark.parametrize("expiry", [NOON + 1, NOON + 600, NOON + 1e9])
def test_it_lives_as_long_as_a_message_would_whatever_its_own_deadline(expiry: float) -> None:
    decision = Gate(0.0).ask(None, ANNA, TEST, NOON, expiry)
    assert isinstance(decision, Passed)
    assert decision.life == TOP
    assert decision.life in LADDER


def test_the_largest_number_of_outcomes_is_kept_and_the_oldest_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LARGEST", 3)
    kept = Trials()
    users = [UserKey(bytes([number] * 16)) for number in range(5)]
    for user in users:
        kept.begin(trial(user))
    assert [kept.of(user, NOON) is not None for user in users] == [False, False, True, True, True]


@dataclass
class Model:
    """Everything that was ever begun."""

    begun: list[tuple[UserKey, float]] = field(default_factory=list)

    def recent(self, user: UserKey, now: float) -> list[float]:
        return [at for of, at in self.begun if of == user and now - WINDOW < at <= now]


steps = st.one_of(
    st.tuples(st.just("ask"), st.sampled_from([ANNA, BERT])),
    st.tuples(st.just("fail"), st.sampled_from([ANNA, BERT])),
    st.tuples(st.just("time"), st.sampled_from([0.5, 60.0, 599.0, 600.0, 3600.0])),
    st.tuples(st.just("tidy"), st.none()),
)


@settings(max_examples=200)
@given(st.lists(steps, max_size=40))
def test_who_may_begin_one_is_as_in_a_model(history: list[tuple[str, object]]) -> None:
    kept, model, now = Trials(), Model(), NOON
    for what, value in history:
        if what == "time":
            now += float(str(value))
        elif what == "tidy":
            kept.forget(now)
            assert len(kept._begun) <= 2
        else:
            user = ANNA if value == ANNA else BERT
            recent = model.recent(user, now)
            if len(recent) >= MOST:
                with pytest.raises(TooOften) as refused:
                    kept.admit(user, now)
                assert recent[0] + WINDOW - now <= refused.value.retry_after < recent[0] + WINDOW - now + 1
                continue
            kept.admit(user, now)
            if what == "fail":
                kept.forgive(user, now)
                continue
            model.begun.append((user, now))
            kept.begin(trial(user, now))
        for user in (ANNA, BERT):
            last = max((at for of, at in model.begun if of == user), default=None)
            found = kept.of(user, now)
            assert (found.at if found else None) == (last if last is not None and now < last + KEPT else None)


def test_a_clock_that_is_set_back_makes_nobody_wait() -> None:
    kept = Trials()
    for _ in range(MOST):
        kept.admit(ANNA, NOON)
    kept.admit(ANNA, NOON - 3600)
    for _ in range(MOST - 1):
        kept.admit(ANNA, NOON - 3600)
    with pytest.raises(TooOften):
        kept.admit(ANNA, NOON - 3600)


def test_what_is_over_is_not_looked_for_and_who_is_gone_leaves_nothing() -> None:
    kept = Trials()
    kept.begin(trial())
    assert kept.open == {}, "there is no phone that could answer"
    scene = Scene()
    scene.register("anna")
    person = scene.people.by_key[scene.key("anna")]
    kept.begin(Trial(person.key, NOON, 1, tuple(person.phones), frozenset({person.phones[0].key})))
    assert kept.open.keys() == {person.key}
    kept.saw((), (), NOON + TEST.deadline - 1)
    assert kept.open.keys() == {person.key}
    kept.saw((), (), NOON + TEST.deadline)
    assert kept.open == {}
    assert kept.of(person.key, NOON + TEST.deadline) is not None
    kept.drop(person.key)
    assert kept.of(person.key, NOON) is None
