"""Who is woken now, and the last look before it happens."""

from __future__ import annotations

import pytest

from relay.core.editing import delete_device
from relay.core.events import NEVER
from relay.core.fanout import consider, depart, left, table_for
from relay.core.flight import Fate
from relay.core.gate import jitter
from tests.relay.core.scene import DAY, HOUR, MINUTE, NOON, Scene, endless, nightly, phones, rest_between, tenant

NIGHT = NOON + 10 * HOUR
MORNING = NOON + 18 * HOUR


def scene_of(*devices: str, now: float = NOON) -> Scene:
    scene = Scene(now=now)
    for device in devices or ("phone",):
        scene.register("anna", device)
    return scene


# --- which table


def test_an_alarm_for_people_whose_rest_is_not_compiled_waits_for_no_table() -> None:
    scene = scene_of(now=NIGHT)
    scene.rest("anna", nightly())
    scene.accept("anna", name="alarm")
    person = scene.person("anna")
    (flight,) = consider(person, scene.now, table_for(person, scene.now, scene.tables)).flights
    assert depart(flight, scene.now, table_for(person, scene.now, scene.tables))
    assert scene.tables.compiled == 0
    scene.accept("anna")
    assert table_for(person, scene.now, scene.tables) is person.table is not None


def test_rest_that_is_compiled_is_asked_and_rest_that_is_stale_compiled_anew() -> None:
    scene = scene_of()
    scene.rest("anna", nightly())
    scene.accept("anna")
    person = scene.person("anna")
    table = table_for(person, scene.now, scene.tables)
    assert table is not None
    assert table_for(person, scene.now, scene.tables) is table
    assert table_for(person, table.stale_at, scene.tables) is not table
    assert scene.tables.compiled == 2


# --- consider: when


def test_the_first_event_after_silence_leaves_at_once() -> None:
    scene = scene_of()
    scene.accept("anna")
    assert phones(scene.queue("anna"), scene, "anna", "phone")


def test_every_device_is_woken_and_a_pc_is_not() -> None:
    scene = scene_of("phone", "tablet")
    scene.register("anna", "pc", token="")
    scene.accept("anna")
    assert phones(scene.queue("anna"), scene, "anna", "phone", "tablet")


def test_an_event_in_rest_waits_for_the_end_of_it() -> None:
    scene = scene_of(now=NIGHT)
    scene.rest("anna", nightly())
    scene.accept("anna")
    considered = scene.consider("anna")
    assert (considered.flights, considered.again_at) == ([], MORNING)
    scene.now = MORNING
    assert scene.queue("anna")


def test_a_release_is_spread_and_asked_for_at_its_own_instant() -> None:
    scene = Scene(tenant(jitter=300.0), now=NIGHT)
    scene.register("anna")
    scene.rest("anna", nightly())
    scene.accept("anna")
    release = MORNING + jitter(scene.key("anna"), MORNING, 300.0)
    assert scene.consider("anna").again_at == release
    scene.now = MORNING
    assert (scene.consider("anna").flights, scene.consider("anna").again_at) == ([], release)
    scene.now = release
    assert scene.queue("anna")


def test_a_release_is_looked_at_again_when_it_comes() -> None:
    """R12: a new rest may have begun within the jitter, or soon will."""
    scene = scene_of(now=NOON)
    scene.rest("anna", rest_between(NOON, NOON + HOUR, NOON + HOUR + 10, NOON + 2 * HOUR))
    scene.accept("anna")
    scene.now = NOON + HOUR
    considered = scene.consider("anna")
    assert (considered.flights, considered.again_at) == ([], NOON + 2 * HOUR)


def test_a_rest_without_end_waits_for_an_edit_or_for_the_retention() -> None:
    scene = scene_of()
    scene.rest("anna", endless())
    scene.accept("anna")
    assert scene.consider("anna").again_at == NOON + 35 * DAY


def test_the_next_message_is_held_and_an_alarm_is_not() -> None:
    scene = scene_of()
    scene.accept("anna")
    scene.took(*scene.send("anna"))
    scene.accept("anna")
    considered = scene.consider("anna")
    assert (considered.flights, considered.again_at) == ([], NOON + 5)
    scene.accept("anna", name="alarm")
    assert phones(scene.queue("anna"), scene, "anna", "phone")


def test_fifty_messages_ring_once_more_when_the_hold_is_over() -> None:
    """P10."""
    scene = scene_of()
    scene.accept("anna")
    scene.took(*scene.send("anna"))
    for _ in range(50):
        scene.accept("anna")
    scene.now += 5
    scene.took(*scene.send("anna"))
    assert scene.consider("anna").flights == []
    assert (scene.account().woken, scene.account().merged) == (2, 49)


def test_an_event_between_departure_and_answer_rings_once_more() -> None:
    """P10: no lost wakeup."""
    scene = scene_of()
    scene.accept("anna")
    (flight,) = scene.send("anna")
    scene.accept("anna")
    assert scene.consider("anna").flights == [], "one at a time"
    scene.took(flight)
    scene.now += 5
    (again,) = scene.send("anna")
    assert again.claims == (("message", 2, 2),)


def test_a_hold_does_not_stop_the_other_devices_of_the_same_event() -> None:
    scene = scene_of("phone", "tablet")
    scene.accept("anna")
    first, second = scene.queue("anna")
    assert scene.leave(first)
    scene.now += 1
    assert scene.leave(second)


def test_a_retry_is_not_held() -> None:
    scene = scene_of()
    scene.accept("anna")
    scene.took(*scene.send("anna"))
    scene.accept("anna")
    scene.now += 5
    (flight,) = scene.send("anna")
    scene.say(Fate.RETRY, flight, not_before=scene.now + 10)
    scene.now += 10
    assert scene.person("anna").hold.until > scene.now
    assert scene.queue("anna")


def test_a_device_that_comes_late_does_not_ring_the_others_early() -> None:
    """The tablet stands in the lane; what it takes along is still held for the phone."""
    scene = scene_of("phone", "tablet")
    scene.accept("anna")
    phone, tablet = scene.queue("anna")
    scene.leave(phone)
    scene.took(phone)
    scene.now += 1
    scene.accept("anna")
    scene.leave(tablet)
    assert tablet.claims == (("message", 2, 2),)
    scene.took(tablet)
    considered = scene.consider("anna")
    assert (considered.flights, considered.again_at) == ([], NOON + 5)
    scene.now = NOON + 5
    assert phones(scene.queue("anna"), scene, "anna", "phone" if phone.device is scene.device("anna") else "tablet")


def test_an_alarm_begins_a_hold_of_its_own() -> None:
    scene = scene_of()
    scene.accept("anna")
    scene.took(*scene.send("anna"))
    scene.now += 1
    scene.accept("anna", name="alarm")
    scene.took(*scene.send("anna"))
    scene.accept("anna")
    assert scene.consider("anna").again_at == NOON + 1 + 15


def test_new_events_never_reset_the_back_off() -> None:
    scene = scene_of()
    scene.accept("anna")
    scene.say(Fate.RETRY, *scene.send("anna"), not_before=NOON + 900)
    scene.accept("anna")
    scene.accept("anna", name="alarm")
    assert scene.consider("anna").flights == []
    scene.now = NOON + 300
    considered = scene.consider("anna")
    assert (considered.flights, considered.again_at) == ([], NOON + 900)
    scene.now = NOON + 900
    assert scene.queue("anna")


def test_a_device_without_back_off_does_not_wait_for_one_with() -> None:
    scene = scene_of("phone", "tablet")
    scene.accept("anna")
    flights = {flight.device.key: flight for flight in scene.send("anna")}
    scene.say(Fate.RETRY, flights[scene.device_key("anna")], not_before=NOON + 900)
    scene.took(flights[scene.device_key("anna", "tablet")])
    scene.accept("anna")
    scene.now += 5
    assert phones(scene.queue("anna"), scene, "anna", "tablet")
    assert scene.consider("anna").again_at == NOON + 900


# --- consider: expiry


def test_a_slot_past_its_deadline_is_reported_and_not_sent() -> None:
    scene = scene_of()
    scene.accept("anna", ttl=60)
    scene.now += 60
    considered = scene.consider("anna")
    assert (considered.flights, considered.expired, considered.again_at) == ([], ["message"], NEVER)


def test_the_deadline_is_an_instant_to_look_again_at() -> None:
    scene = scene_of(now=NIGHT)
    scene.rest("anna", nightly())
    scene.accept("anna", ttl=HOUR)
    assert scene.consider("anna").again_at == NIGHT + HOUR


def test_a_wakeup_in_the_air_is_looked_at_again_at_the_deadline_only() -> None:
    scene = scene_of()
    scene.accept("anna")
    scene.send("anna")
    assert scene.consider("anna").again_at == NOON + 7 * DAY


def test_the_deadline_counts_from_the_first_reachable_instant() -> None:
    """Three weeks of leave, entered after the message came: it is not given up in the second week."""
    scene = scene_of()
    scene.rest("anna", nightly())
    scene.now = NIGHT
    scene.accept("anna")
    leave = rest_between(NIGHT, NIGHT + 21 * DAY)
    scene.rest("anna", leave)
    assert scene.consider("anna").again_at == NIGHT + 21 * DAY
    scene.now = NIGHT + 21 * DAY
    assert scene.consider("anna").expired == []
    assert scene.slot("anna").reachable_at == NIGHT + 21 * DAY


def test_a_process_that_slept_through_a_deadline_asks_the_gate_first() -> None:
    """After a restart the slot has its instants of before the leave; whoever was never reachable is not given up on."""
    scene = scene_of()
    scene.accept("anna")
    scene.rest("anna", rest_between(NOON, NOON + 21 * DAY))
    slot = scene.slot("anna")
    slot.due_at = slot.reachable_at = NOON
    slot.tried = False
    scene.now = NOON + 8 * DAY
    considered = scene.consider("anna")
    assert (considered.expired, considered.again_at) == ([], NOON + 21 * DAY)


def test_a_deferral_after_the_first_try_does_not_prolong_the_deadline() -> None:
    scene = scene_of()
    scene.rest("anna", nightly())
    scene.accept("anna")
    scene.say(Fate.RETRY, *scene.send("anna"))
    scene.now = NIGHT
    assert scene.consider("anna").again_at == MORNING
    assert scene.slot("anna").expiry(scene.home.classes["message"]) == NOON + 7 * DAY


def test_somebody_who_returns_from_a_rest_without_end_has_the_whole_deadline() -> None:
    scene = scene_of()
    scene.rest("anna", endless())
    scene.accept("anna")
    scene.now = NOON + 34 * DAY
    scene.rest("anna", {"timezone": "UTC"})
    assert scene.consider("anna").again_at == NOON + 34 * DAY + 7 * DAY


# --- consider: alarms overtake


def test_an_alarm_does_not_wait_for_a_clock_that_was_ahead() -> None:
    """It was accepted while the clock was two hours fast; the clock is right again."""
    scene = scene_of(now=NOON + 2 * HOUR)
    scene.accept("anna", name="alarm")
    scene.now = NOON
    (flight,) = scene.queue("anna")
    assert scene.leave(flight)


def test_an_alarm_makes_a_queued_wakeup_urgent() -> None:
    scene = scene_of()
    scene.accept("anna")
    (flight,) = scene.queue("anna")
    assert not flight.urgent
    scene.accept("anna", name="alarm")
    assert scene.queue("anna") == [flight]
    assert flight.urgent


def test_an_alarm_is_handed_over_once() -> None:
    scene = scene_of()
    scene.accept("anna")
    scene.queue("anna")
    scene.accept("anna", name="alarm")
    scene.queue("anna")
    scene.accept("anna", name="alarm")
    assert scene.queue("anna") == []


def test_an_alarm_does_not_wait_for_the_answer_of_what_is_in_the_air() -> None:
    """That may take half a minute. It is sent beside it, once, and speaks for all; no third one is."""
    scene = scene_of()
    scene.accept("anna")
    (message,) = scene.send("anna")
    scene.accept("anna", name="alarm")
    (alarm,) = scene.send("anna")
    assert (alarm.urgent, message.urgent) == (True, False)
    assert {name for name, _, _ in alarm.claims} == {"message", "alarm"}
    scene.accept("anna", name="alarm")
    scene.accept("anna")
    assert scene.consider("anna").flights == []
    scene.took(alarm)
    assert scene.consider("anna").flights != [], "the second alarm goes beside it likewise"


def test_an_alarm_is_not_sent_beside_what_was_refused_and_is_not_booked_yet() -> None:
    """The device may be dead. If it is asked again after all, then first."""
    scene = scene_of()
    scene.accept("anna")
    (message,) = scene.send("anna")
    message.answered = True
    scene.accept("anna", name="alarm")
    assert scene.consider("anna").flights == []
    assert message.urgent


def test_a_message_waits_for_both_answers_where_an_alarm_was_sent_beside_one() -> None:
    scene = scene_of()
    scene.accept("anna")
    (message,) = scene.send("anna")
    scene.accept("anna", name="alarm")
    (alarm,) = scene.send("anna")
    scene.took(alarm)
    scene.accept("anna")
    scene.now += 1000
    assert scene.consider("anna").flights == []
    scene.took(message)
    (later,) = scene.queue("anna")
    assert not later.urgent


def test_what_comes_back_beside_an_alarm_does_not_leave_again() -> None:
    """The provider did not process it: the alarm speaks for it."""
    scene = scene_of()
    scene.accept("anna")
    (message,) = scene.send("anna")
    scene.accept("anna", name="alarm")
    (alarm,) = scene.queue("anna")
    assert not scene.leave(message)
    assert scene.leave(alarm)


def test_an_alarm_beside_what_has_failed_waits_for_the_end_of_its_back_off() -> None:
    scene = scene_of()
    scene.accept("anna")
    (message,) = scene.send("anna")
    scene.accept("anna", name="alarm")
    (alarm,) = scene.queue("anna")
    scene.say(Fate.RETRY, message, not_before=scene.now + 10)
    assert not scene.leave(alarm)
    assert scene.consider("anna").again_at == scene.now + 10
    scene.now += 10
    (again,) = scene.send("anna")
    assert again.urgent


def test_one_that_is_due_for_a_message_and_an_alarm_is_one_urgent_wakeup() -> None:
    scene = scene_of()
    scene.accept("anna")
    scene.accept("anna", name="alarm")
    (flight,) = scene.queue("anna")
    assert flight.urgent
    assert scene.leave(flight)
    assert {name for name, _, _ in flight.claims} == {"message", "alarm"}


# --- depart: the last look


def test_what_came_while_it_was_queued_is_taken_along() -> None:
    scene = scene_of()
    scene.accept("anna")
    (flight,) = scene.queue("anna")
    scene.accept("anna")
    scene.accept("anna", name="roster")
    assert scene.leave(flight)
    assert set(flight.claims) == {("message", 2, 2), ("roster", 3, 1)}


@pytest.mark.parametrize(("before", "leaves"), [(10.001, True), (10.0, False), (0.0, False), (-1.0, False)])
def test_a_rest_that_begins_while_it_is_queued_keeps_it(before: float, leaves: bool) -> None:
    scene = scene_of()
    scene.rest("anna", nightly())
    scene.accept("anna")
    (flight,) = scene.queue("anna")
    scene.now = NIGHT - before
    assert scene.leave(flight) is leaves


def test_an_edit_while_it_is_queued_counts() -> None:
    scene = scene_of()
    scene.accept("anna")
    (flight,) = scene.queue("anna")
    scene.rest("anna", rest_between(NOON, NOON + HOUR))
    assert not scene.leave(flight)


def test_an_alarm_in_the_night_does_not_speak_for_the_message_that_waits() -> None:
    scene = scene_of(now=NIGHT)
    scene.rest("anna", nightly())
    scene.accept("anna")
    scene.accept("anna", name="alarm")
    (flight,) = scene.send("anna")
    assert flight.claims == (("alarm", 2, 1),)
    scene.took(flight)
    scene.now = MORNING
    (message,) = scene.send("anna")
    assert message.claims == (("message", 1, 1),)


def test_a_device_that_knows_already_is_not_woken_again() -> None:
    scene = scene_of("phone", "tablet")
    scene.accept("anna")
    first, second = scene.send("anna")
    scene.took(first)
    assert not depart(first, scene.now, None)
    assert depart(second, scene.now, None)


def test_nothing_leaves_for_what_was_read_meanwhile() -> None:
    scene = scene_of()
    scene.accept("anna")
    (flight,) = scene.queue("anna")
    scene.seen("anna")
    assert not scene.leave(flight)


def test_nothing_leaves_for_what_has_expired_meanwhile() -> None:
    scene = scene_of()
    scene.accept("anna", ttl=60)
    (flight,) = scene.queue("anna")
    scene.now += 60
    assert not scene.leave(flight)


def test_a_wakeup_whose_reason_is_gone_does_not_ring_for_what_is_not_due_yet() -> None:
    """An alarm that could not leave in the night, and is over by the morning: the message still has its own release."""
    scene = Scene(tenant(jitter=300.0), now=MORNING - 30 * MINUTE)
    scene.register("anna")
    scene.rest("anna", nightly())
    scene.accept("anna")
    scene.accept("anna", name="alarm", ttl=HOUR / 2)
    (flight,) = scene.queue("anna")
    release = scene.slot("anna").due_at
    scene.now = MORNING + 1
    assert release > MORNING + 1
    assert not scene.leave(flight)
    assert scene.consider("anna").again_at == release


def test_a_wakeup_with_a_reason_takes_along_what_is_not_due_yet() -> None:
    scene = Scene(tenant(jitter=300.0), now=MORNING - 1)
    scene.register("anna")
    scene.rest("anna", nightly())
    scene.accept("anna")
    scene.now = MORNING + 1
    scene.accept("anna", name="alarm")
    (flight,) = scene.send("anna")
    assert {name for name, _, _ in flight.claims} == {"message", "alarm"}


def test_nothing_leaves_for_a_device_that_is_gone() -> None:
    scene = scene_of("phone", "tablet")
    scene.accept("anna")
    flights = {flight.device.key: flight for flight in scene.queue("anna")}
    scene.unregister("anna")
    assert not scene.leave(flights[scene.device_key("anna")])
    assert scene.leave(flights[scene.device_key("anna", "tablet")])


def test_nothing_leaves_for_a_token_that_was_replaced_and_the_new_one_is_woken() -> None:
    scene = scene_of()
    scene.accept("anna")
    (flight,) = scene.queue("anna")
    scene.register("anna", token="another")
    assert not scene.leave(flight)
    (again,) = scene.queue("anna")
    assert again.device is scene.device("anna")
    assert scene.leave(again)


def test_a_refreshed_registration_leaves_as_the_one_it_is_now() -> None:
    """A death is judged by the registration the wakeup left for."""
    scene = scene_of()
    scene.accept("anna")
    (flight,) = scene.queue("anna")
    scene.now += 1
    scene.register("anna")
    assert scene.leave(flight)
    assert flight.device.registered_at == NOON + 1


def test_the_longest_life_of_what_it_speaks_of_is_asked_for() -> None:
    scene = scene_of(now=NIGHT - HOUR / 2)
    scene.rest("anna", nightly())
    scene.accept("anna")
    scene.accept("anna", name="alarm")
    (flight,) = scene.send("anna")
    assert (flight.life, flight.echo_at) == (3600, MORNING)


def test_a_wakeup_that_looks_twice_says_what_is_true_the_second_time() -> None:
    scene = scene_of(now=NIGHT - HOUR)
    scene.rest("anna", nightly())
    scene.accept("anna")
    (flight,) = scene.queue("anna")
    assert depart(flight, NIGHT - HOUR, scene.table("anna"))
    assert (flight.life, flight.echo_at) == (3600, MORNING)
    assert depart(flight, MORNING, scene.table("anna"))
    assert (flight.life, flight.echo_at) == (43_200, MORNING + DAY)
    assert not depart(flight, NIGHT, scene.table("anna"))
    assert (flight.life, flight.echo_at, flight.claims) == (0, None, ())


# --- the rest is untouched


def test_considering_somebody_changes_no_counter_and_nothing_of_the_store() -> None:
    scene = scene_of("phone", "tablet")
    scene.accept("anna")
    before = scene.slot("anna").copy()
    consider(scene.person("anna"), NOON, None)
    after = scene.slot("anna")
    before.tried = after.tried
    assert after == before


def test_a_hold_is_set_by_what_leaves_and_not_by_what_is_looked_at() -> None:
    scene = scene_of()
    scene.accept("anna")
    (flight,) = scene.queue("anna")
    depart(flight, NOON, None)
    assert scene.person("anna").hold.until <= NOON
    left(flight, NOON)
    assert scene.person("anna").hold.until == NOON + 5


def test_a_person_with_nothing_is_never_considered_again() -> None:
    scene = scene_of()
    scene.do(lambda draft: delete_device(draft, scene.home, scene.key("anna"), scene.device_key("anna")))
    assert scene.consider("anna") == ([], [], NEVER)
