"""Events become pending notices."""

from __future__ import annotations

import pytest

from relay.core.accepting import COMPILED, accept
from relay.core.batch import Bypass
from relay.core.books import Account
from relay.core.draft import Draft
from relay.core.errors import IdempotencyMismatch
from relay.core.events import HOUR, NEVER, Accepted, Event, EventClass, Request
from relay.core.flight import Fate
from relay.core.gate import jitter
from relay.core.slots import RETENTION
from tests.relay.core.scene import DAY, DISPATCH, NOON, Scene, endless, nightly, rest_between, tenant

NIGHT = NOON + 10 * HOUR
MORNING = NOON + 18 * HOUR


def scene_of(*users: str, now: float = NOON) -> Scene:
    scene = Scene(now=now)
    for user in users or ("anna",):
        scene.register(user)
    return scene


# --- who is counted


def test_a_notice_is_an_event_for_a_recipient() -> None:
    scene = scene_of("anna", "bert")
    assert scene.accept("anna", "bert") == Accepted(2, 0)
    assert scene.account() == Account(accepted=2)
    assert (scene.slot("anna").n, scene.slot("bert").n) == (1, 1)


def test_who_stands_twice_is_counted_twice_and_woken_once() -> None:
    scene = scene_of()
    assert scene.accept("anna", "anna") == Accepted(2, 0)
    (flight,) = scene.send("anna")
    scene.took(flight)
    assert scene.account() == Account(accepted=2, woken=1, merged=1)


def test_who_is_not_known_or_has_nothing_to_wake_is_counted_and_no_error() -> None:
    scene = scene_of()
    scene.register("desk", token="")
    scene.rest("paper", nightly())
    assert scene.accept("anna", "desk", "paper", "nobody") == Accepted(1, 3)
    assert not scene.person("desk").slots


def test_a_user_of_another_tenant_is_nobody() -> None:
    city, county = tenant(), tenant("county")
    scene = Scene(city, county)
    scene.register("anna")
    event = Event(county.classes["message"], [scene.key("anna")], NOON)
    assert scene.do(lambda draft: accept(draft, county, [event], None)) == Accepted(0, 1)
    assert not scene.person("anna").slots


def test_an_event_for_nobody_writes_nothing() -> None:
    scene = scene_of()
    assert scene.accept("nobody") == Accepted(0, 1)
    assert scene.batches[-1].is_empty


def test_a_device_of_an_app_that_is_configured_no_longer_is_nothing_to_wake() -> None:
    scene = Scene(tenant(apps={}))
    scene.register("anna")
    assert scene.accept("anna") == Accepted(0, 1)


# --- slots


def test_each_event_has_one_generation_for_all_of_its_recipients() -> None:
    scene = scene_of("anna", "bert")
    scene.accept("anna", "bert")
    scene.accept("bert")
    assert (scene.slot("anna").generation, scene.slot("bert").generation) == (1, 2)
    assert (scene.slot("bert").born, scene.slot("bert").total) == (1, 2)


def test_classes_have_slots_of_their_own() -> None:
    scene = scene_of()
    for name in ("message", "roster", "alarm"):
        scene.accept("anna", name=name)
    assert set(scene.person("anna").slots) == {"message", "roster", "alarm"}


def test_storage_is_bounded_by_users_and_not_by_traffic() -> None:
    scene = scene_of()
    for _ in range(1000):
        scene.accept("anna")
    assert len(list(scene.people.slots())) == 1
    assert scene.slot("anna").n == 1000


def test_an_event_sets_the_due_instant_only_when_it_makes_the_slot() -> None:
    scene = scene_of()
    scene.accept("anna")
    scene.now += 60
    scene.accept("anna")
    assert scene.slot("anna").due_at == NOON


def test_a_slot_made_in_rest_is_due_at_its_end() -> None:
    scene = Scene(tenant(jitter=300.0), now=NIGHT)
    scene.register("anna")
    scene.rest("anna", nightly())
    scene.accept("anna")
    release = MORNING + jitter(scene.key("anna"), MORNING, 300.0)
    assert (scene.slot("anna").due_at, scene.slot("anna").reachable_at) == (release, release)


def test_a_commit_compiles_the_rest_of_some_and_the_dispatcher_that_of_the_others() -> None:
    """For them the slot is due now, whereupon the gate is asked; what it says is as if it had been asked at once."""
    scene = Scene(tenant(jitter=300.0), now=NIGHT)
    users = [f"user-{number}" for number in range(COMPILED + 2)]
    for user in users:
        scene.register(user)
        scene.rest(user, nightly())
    scene.table(users[-1])
    scene.accept(*users)
    assert scene.tables.compiled == COMPILED + 1
    release = {user: MORNING + jitter(scene.key(user), MORNING, 300.0) for user in users}
    late = users[-2]
    for user in users:
        found = (scene.slot(user).due_at, scene.slot(user).reachable_at)
        assert found == ((NIGHT, NIGHT + RETENTION) if user == late else (release[user], release[user]))
    assert scene.consider(late).again_at == release[late]
    assert (scene.slot(late).due_at, scene.slot(late).reachable_at) == (release[late], release[late])


def test_an_alarm_compiles_nobodys_rest() -> None:
    scene = scene_of(now=NIGHT)
    scene.rest("anna", nightly())
    scene.accept("anna", name="alarm")
    assert scene.tables.compiled == 0
    assert (scene.slot("anna", "alarm").due_at, scene.slot("anna", "alarm").reachable_at) == (NIGHT, NIGHT)


def test_a_slot_made_in_a_rest_without_end_is_due_never() -> None:
    scene = scene_of()
    scene.rest("anna", endless())
    scene.accept("anna")
    assert scene.slot("anna").due_at == NEVER


def test_an_alarm_is_due_at_once_in_any_rest() -> None:
    scene = scene_of(now=NIGHT)
    scene.rest("anna", endless())
    scene.accept("anna", name="alarm")
    assert scene.slot("anna", "alarm").due_at == NIGHT


def test_the_answer_is_the_same_whether_somebody_rests_or_not() -> None:
    """L2."""
    scene = scene_of("anna", "bert", now=NIGHT)
    scene.rest("bert", nightly())
    assert scene.accept("anna") == scene.accept("bert")


def test_a_slot_with_nothing_pending_starts_anew_and_remembers_who_is_owed() -> None:
    scene = scene_of(now=NIGHT - 60)
    scene.register("anna", "tablet")
    scene.rest("anna", nightly())
    scene.accept("anna")
    phone, tablet = scene.send("anna")
    scene.took(phone)
    scene.say(Fate.RETRY, tablet, not_before=NIGHT)
    scene.now = NIGHT
    assert scene.consider("anna").again_at == MORNING
    scene.rest("anna", {"timezone": "UTC"})
    scene.now += 60
    scene.accept("anna")
    slot = scene.slot("anna")
    assert (slot.n, slot.total, slot.first_at, slot.due_at) == (1, 2, NIGHT + 60, NIGHT + 60)
    assert slot.reachable_at == NIGHT + 60
    assert all(slot.owed(device) for device in scene.person("anna").devices)


def test_a_new_event_makes_what_waited_for_a_remaining_device_due_at_once() -> None:
    scene = scene_of(now=NIGHT)
    scene.register("anna", "tablet")
    scene.accept("anna")
    first, _ = scene.send("anna")
    scene.took(first)
    scene.slot("anna").due_at = MORNING
    scene.accept("anna")
    assert scene.slot("anna").due_at == NIGHT


@pytest.mark.parametrize(("name", "deadline"), [("message", 7 * DAY), ("alarm", HOUR)])
def test_a_notice_that_joins_has_its_whole_deadline(name: str, deadline: float) -> None:
    scene = scene_of()
    scene.accept("anna", name=name)
    scene.now += deadline - 60
    scene.accept("anna", name=name)
    scene.now += 60
    assert scene.consider("anna").expired == []
    assert scene.slot("anna", name).expiry(scene.home.classes[name]) >= NOON + deadline - 60 + deadline


def test_a_notice_that_joins_in_rest_counts_from_the_release() -> None:
    """Three weeks of leave: whatever came in them is not given up before its end, also after a restart."""
    scene = scene_of()
    scene.accept("anna")
    scene.rest("anna", rest_between(NOON + 60, NOON + 21 * DAY))
    scene.send("anna")
    scene.now += 120
    scene.accept("anna")
    stored = scene.batches[-1].slots[(scene.key("anna"), "message")]
    assert stored is not None
    assert stored.reachable_at > NOON + 21 * DAY
    assert scene.consider("anna").again_at == NOON + 21 * DAY
    assert scene.slot("anna").reachable_at == NOON + 21 * DAY


def test_an_alarm_that_joins_is_not_older_for_a_restart() -> None:
    """A relay that was down for hours does not ring for alarms of before."""
    scene = scene_of()
    scene.accept("anna", name="alarm")
    scene.accept("anna", name="alarm")
    stored = scene.batches[-1].slots[(scene.key("anna"), "alarm")]
    assert stored is not None
    assert stored.expiry(scene.home.classes["alarm"]) == NOON + HOUR


# --- idempotence


ONE, OTHER = Request(b"key", b"body"), Request(b"key", b"other body")


def test_a_repeated_request_gets_the_same_answer_and_is_taken_once() -> None:
    scene = scene_of()
    first = scene.accept("anna", "nobody", request=ONE)
    assert scene.accept("anna", "nobody", request=ONE) == first == Accepted(1, 1)
    assert scene.account() == Account(accepted=1)
    assert scene.batches[-1].is_empty


def test_two_of_them_in_one_commit_are_one() -> None:
    scene = scene_of()
    event = scene.event("anna")
    with scene.draft() as draft:
        assert accept(draft, scene.home, [event], ONE) == accept(draft, scene.home, [event], ONE)
    assert scene.account() == Account(accepted=1)


def test_the_same_key_with_another_body_is_refused_and_nothing_is_taken() -> None:
    scene = scene_of()
    scene.accept("anna", request=ONE)
    with scene.draft() as draft:
        with pytest.raises(IdempotencyMismatch):
            accept(draft, scene.home, [scene.event("anna", name="alarm")], OTHER)
        assert draft.batch.is_empty
        assert (draft.batch.generation, draft.batch.accounts) == (1, {})


@pytest.mark.parametrize(("later", "accepted"), [(DAY - 0.001, 1), (DAY, 2), (DAY + 1, 2)])
def test_a_key_is_remembered_for_a_day(later: float, accepted: int) -> None:
    scene = scene_of()
    scene.accept("anna", request=ONE)
    scene.now += later
    scene.accept("anna", request=ONE)
    assert scene.account().accepted == accepted


def test_after_a_day_a_key_may_stand_for_another_body() -> None:
    scene = scene_of()
    scene.accept("anna", request=ONE)
    scene.now += DAY
    assert scene.accept("anna", request=OTHER) == Accepted(1, 0)
    assert scene.accept("anna", request=OTHER) == Accepted(1, 0)
    assert scene.account().accepted == 2


def test_a_request_for_nobody_is_remembered_too() -> None:
    scene = scene_of()
    scene.accept("new", request=ONE)
    scene.register("new")
    assert scene.accept("new", request=ONE) == Accepted(0, 1)


def test_a_draft_that_is_dropped_is_not_remembered() -> None:
    scene = scene_of()
    accept(Draft(scene.people, scene.now, scene.tables), scene.home, [scene.event("anna")], ONE)
    assert scene.accept("anna", request=ONE) == Accepted(1, 0)
    assert scene.account() == Account(accepted=1)


# --- the record of a bypass


def test_an_alarm_is_recorded_in_the_commit_that_accepts_it() -> None:
    scene = scene_of("anna", "bert")
    scene.accept("anna", "bert", "nobody", name="alarm")
    assert scene.batches[-1].bypasses == [
        Bypass("city", "alarm", NOON, "key", "dispatch", "incident", 3, over_rate=False)
    ]
    assert scene.batches[-1].slots


def test_a_message_leaves_no_such_record() -> None:
    scene = scene_of()
    scene.accept("anna")
    assert scene.batches[-1].bypasses == []


def test_an_alarm_for_nobody_is_recorded() -> None:
    """Somebody tried."""
    scene = scene_of()
    scene.accept("nobody", name="alarm")
    assert len(scene.batches[-1].bypasses) == 1
    assert not scene.batches[-1].is_empty


def test_a_repeated_alarm_is_recorded_once() -> None:
    scene = scene_of()
    scene.accept("anna", name="alarm", request=ONE)
    scene.accept("anna", name="alarm", request=ONE)
    assert scene.batches[-1].bypasses == []


def over_rates(scene: Scene) -> list[bool]:
    return [bypass.over_rate for batch in scene.batches for bypass in batch.bypasses]


def rated(name: str = "city") -> EventClass:
    return EventClass(name="alarm", pierces=True, cancellable=False, deadline=HOUR, rate_per_hour=2)


def scene_with_a_rate() -> Scene:
    scene = Scene(tenant(classes={"alarm": rated()}))
    scene.register("anna")
    return scene


def test_above_its_hourly_rate_an_alarm_is_flagged_and_never_refused() -> None:
    scene = scene_with_a_rate()
    for _ in range(4):
        assert scene.accept("anna", name="alarm").accepted == 1
    assert over_rates(scene) == [False, False, True, True]


def test_alarms_of_one_commit_count_for_each_other() -> None:
    scene = scene_with_a_rate()
    events = [scene.event("anna", name="alarm") for _ in range(3)]
    scene.do(lambda draft: accept(draft, scene.home, events, None))
    assert over_rates(scene) == [False, False, True]


@pytest.mark.parametrize(("later", "flagged"), [(HOUR - 0.001, True), (HOUR, False)])
def test_an_hour_later_they_do_not_count_any_more(later: float, flagged: bool) -> None:
    scene = scene_with_a_rate()
    scene.accept("anna", name="alarm")
    scene.accept("anna", name="alarm")
    scene.now += later
    scene.accept("anna", name="alarm")
    assert over_rates(scene)[-1] is flagged


def test_each_role_has_a_rate_of_its_own() -> None:
    scene = scene_with_a_rate()
    for role in ("dispatch", "dispatch", "staff", "staff", "dispatch"):
        scene.accept("anna", name="alarm", role=role)
    assert over_rates(scene) == [False, False, False, False, True]


@pytest.mark.parametrize("in_one_commit", [True, False])
def test_one_tenants_alarms_do_not_count_for_another(in_one_commit: bool) -> None:
    """I5."""
    city, county = tenant(classes={"alarm": rated()}), tenant("county", classes={"alarm": rated()})
    scene = Scene(city, county)
    alarm = Event(rated(), [], NOON, authority=DISPATCH)
    if in_one_commit:
        with scene.draft() as draft:
            accept(draft, city, [alarm, alarm], None)
            accept(draft, county, [alarm], None)
    else:
        scene.do(lambda draft: accept(draft, city, [alarm, alarm], None))
        scene.do(lambda draft: accept(draft, county, [alarm], None))
    assert over_rates(scene) == [False, False, False]
