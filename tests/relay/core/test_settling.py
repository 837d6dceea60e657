"""What became of wakeups; each fate writes the books in the same breath (I4)."""

from __future__ import annotations

import pytest

from relay.core.accepting import accept
from relay.core.batch import Feedback, Parting
from relay.core.books import Account
from relay.core.draft import Draft
from relay.core.events import NEVER
from relay.core.flight import Fate, Flight
from relay.core.settling import expire, seen, settle_accepted
from tests.relay.core.scene import DAY, HOUR, NOON, Scene, nightly, phones, rest_between, tenant

NIGHT = NOON + 10 * HOUR
MORNING = NOON + 18 * HOUR


def scene_of(*devices: str, now: float = NOON, posts_seen: bool = False) -> Scene:
    scene = Scene(tenant(posts_seen=posts_seen), now=now)
    for device in devices or ("phone",):
        scene.register("anna", device)
    return scene


def flight_of(flights: list[Flight], scene: Scene, device: str = "phone") -> Flight:
    return next(flight for flight in flights if flight.device.key == scene.device_key("anna", device))


# --- accepted


def test_the_first_device_books_and_the_last_one_ends_the_slot() -> None:
    scene = scene_of("phone", "tablet")
    for _ in range(3):
        scene.accept("anna")
    first, second = scene.send("anna")
    scene.took(first)
    assert scene.account() == Account(accepted=3, woken=1, merged=2)
    assert scene.slot("anna").n == 0
    scene.took(second)
    assert scene.account() == Account(accepted=3, woken=1, merged=2)
    assert not scene.person("anna").slots


def test_verdicts_of_all_devices_in_one_commit_book_once() -> None:
    scene = scene_of("phone", "tablet", "watch")
    scene.accept("anna")
    scene.took(*scene.send("anna"))
    assert scene.account() == Account(accepted=1, woken=1)
    assert not scene.person("anna").slots


def test_a_verdict_settles_what_it_was_sent_for_and_a_newer_event_stays() -> None:
    scene = scene_of()
    scene.accept("anna")
    (flight,) = scene.send("anna")
    scene.accept("anna")
    scene.took(flight)
    assert scene.account() == Account(accepted=2, woken=1)
    assert (scene.slot("anna").n, scene.slot("anna").owed(scene.device_key("anna"))) == (1, True)


def test_a_late_verdict_of_an_older_wakeup_books_nothing_twice() -> None:
    scene = scene_of("phone", "tablet")
    scene.accept("anna")
    phone, tablet = scene.send("anna")
    scene.accept("anna")
    scene.took(phone)
    scene.now += 5
    scene.took(*scene.send("anna"))
    assert scene.account() == Account(accepted=2, woken=2)
    scene.took(tablet)
    assert scene.account() == Account(accepted=2, woken=2)
    scene.took(*scene.send("anna"))
    assert not scene.person("anna").slots


def test_a_verdict_for_a_slot_that_was_read_books_nothing() -> None:
    scene = scene_of()
    scene.accept("anna")
    (flight,) = scene.send("anna")
    scene.seen("anna")
    scene.took(flight)
    assert scene.account() == Account(accepted=1, cancelled=1)


def test_a_verdict_older_than_the_slot_settles_nothing_of_it() -> None:
    """Read, and a new event since: the wakeup that left before says nothing of it."""
    scene = scene_of()
    scene.accept("anna")
    (flight,) = scene.send("anna")
    scene.seen("anna")
    scene.accept("anna")
    scene.took(flight)
    assert scene.account() == Account(accepted=2, cancelled=1)
    assert (scene.slot("anna").n, scene.slot("anna").owed(scene.device_key("anna"))) == (1, True)


def test_one_wakeup_settles_every_class_it_spoke_of() -> None:
    scene = scene_of()
    scene.accept("anna")
    scene.accept("anna", name="alarm")
    scene.took(*scene.send("anna"))
    assert scene.account() == Account(accepted=1, woken=1)
    assert scene.account("alarm") == Account(accepted=1, woken=1)
    assert not scene.person("anna").slots


def test_a_verdict_in_the_commit_of_the_next_event_leaves_that_event_owed() -> None:
    """Accepts go before settles; the verdict names the generation it was sent for."""
    scene = scene_of()
    scene.accept("anna")
    (flight,) = scene.send("anna")
    event = scene.event("anna")
    with scene.draft() as draft:
        accept(draft, scene.home, [event], None)
        settle_accepted(draft, [flight])
    assert scene.account() == Account(accepted=2, woken=1)
    assert scene.slot("anna").n == 1


def test_an_accepted_wakeup_ends_the_back_off() -> None:
    scene = scene_of("phone", "tablet")
    scene.accept("anna")
    scene.say(Fate.RETRY, flight_of(scene.send("anna"), scene), not_before=NOON + 10)
    assert (scene.device("anna").attempt, scene.device("anna").not_before) == (1, NOON + 10)
    scene.now += 10
    scene.took(*scene.send("anna"))
    assert (scene.device("anna").attempt, scene.device("anna").not_before) == (0, 0.0)


def test_a_device_without_back_off_is_not_written_again_for_each_wakeup() -> None:
    scene = scene_of()
    scene.accept("anna")
    scene.took(*scene.send("anna"))
    assert not scene.batches[-1].devices


# --- a token registered meanwhile


def test_a_new_token_is_owed_though_the_old_one_was_woken() -> None:
    scene = scene_of()
    scene.accept("anna")
    (flight,) = scene.send("anna")
    scene.register("anna", token="another")
    scene.took(flight)
    assert scene.account() == Account(accepted=1, woken=1)
    assert phones(scene.queue("anna"), scene, "anna", "phone")


@pytest.mark.parametrize("fate", [Fate.RETRY, Fate.GIVE_UP, Fate.DEAD])
def test_no_verdict_over_the_old_token_touches_the_new_one(fate: Fate) -> None:
    scene = scene_of()
    scene.accept("anna")
    (flight,) = scene.send("anna")
    scene.register("anna", token="another")
    device = scene.device("anna")
    scene.say(fate, flight, not_before=NOON + 900)
    assert scene.device("anna") is device
    assert scene.slot("anna").n == 1
    assert scene.queue("anna")


# --- retry, give up


def test_a_retry_is_counted_and_waits() -> None:
    scene = scene_of()
    scene.accept("anna")
    scene.say(Fate.RETRY, *scene.send("anna"), not_before=NOON + 10)
    assert scene.account() == Account(accepted=1)
    assert scene.consider("anna").again_at == NOON + 10


def test_a_retry_is_the_same_device_with_its_registration() -> None:
    scene = scene_of()
    scene.accept("anna")
    before = scene.device("anna")
    scene.say(Fate.RETRY, *scene.send("anna"), not_before=NOON + 10)
    assert scene.device("anna") == before.backed_off(1, NOON + 10)


def test_a_device_refreshed_meanwhile_still_waits() -> None:
    """The provider asked us to wait with this token, and it is still this token."""
    scene = scene_of()
    scene.accept("anna")
    (flight,) = scene.send("anna")
    scene.now += 1
    scene.register("anna")
    scene.say(Fate.RETRY, flight, not_before=scene.now + 10)
    assert (scene.device("anna").attempt, scene.device("anna").not_before) == (1, scene.now + 10)


def test_a_wakeup_that_was_our_fault_is_not_tried_again_and_the_device_stays() -> None:
    scene = scene_of()
    scene.accept("anna")
    scene.say(Fate.GIVE_UP, *scene.send("anna"))
    assert scene.account() == Account(accepted=1, undeliverable=1)
    assert not scene.person("anna").slots
    assert len(scene.person("anna").devices) == 1


def test_giving_up_on_one_device_leaves_the_others() -> None:
    scene = scene_of("phone", "tablet")
    scene.accept("anna")
    flights = scene.send("anna")
    scene.say(Fate.GIVE_UP, flight_of(flights, scene))
    assert scene.account() == Account(accepted=1)
    scene.took(flight_of(flights, scene, "tablet"))
    assert scene.account() == Account(accepted=1, woken=1)
    assert not scene.person("anna").slots


def test_giving_up_says_nothing_of_what_came_later() -> None:
    scene = scene_of()
    scene.accept("anna")
    (flight,) = scene.send("anna")
    scene.accept("anna")
    scene.say(Fate.GIVE_UP, flight)
    assert scene.slot("anna").n == 2
    scene.now += 5
    scene.took(*scene.send("anna"))
    assert scene.account() == Account(accepted=2, woken=1, merged=1)


def test_giving_up_on_a_slot_that_was_read_says_nothing_of_its_successor() -> None:
    scene = scene_of()
    scene.accept("anna")
    (flight,) = scene.send("anna")
    scene.seen("anna")
    scene.accept("anna")
    scene.say(Fate.GIVE_UP, flight)
    assert scene.account() == Account(accepted=2, cancelled=1)
    assert scene.slot("anna").n == 1


# --- dead


def test_a_dead_device_is_deleted_and_the_backend_is_told() -> None:
    scene = scene_of("phone", "tablet")
    scene.accept("anna")
    flights = scene.send("anna")
    sealed = scene.device("anna").sealed
    scene.say(Fate.DEAD, flight_of(flights, scene), dead_since=NOON)
    assert set(scene.person("anna").devices) == {scene.device_key("anna", "tablet")}
    assert scene.batches[-1].feedback == [
        Feedback(1, "city", scene.key("anna"), scene.device_key("anna"), Parting.DEAD, "reason", NOON, sealed)
    ]
    assert scene.account() == Account(accepted=1)


def test_when_the_last_device_dies_its_notices_are_undeliverable() -> None:
    scene = scene_of()
    scene.accept("anna")
    scene.accept("anna")
    scene.accept("anna", name="alarm")
    scene.say(Fate.DEAD, *scene.send("anna"))
    assert scene.account() == Account(accepted=2, undeliverable=2)
    assert scene.account("alarm") == Account(accepted=1, undeliverable=1)
    assert not scene.person("anna").slots


@pytest.mark.parametrize(
    ("dead_since", "dies"), [(None, True), (NOON + 1, True), (NOON, True), (NOON - 0.001, False), (0.0, False)]
)
def test_a_death_from_before_the_registration_is_not_believed(dead_since: float | None, dies: bool) -> None:
    """S6."""
    scene = scene_of()
    scene.accept("anna")
    scene.say(Fate.DEAD, *scene.send("anna"), dead_since=dead_since, not_before=NOON + 10)
    assert (not scene.person("anna").devices) is dies
    assert bool(scene.batches[-1].feedback) is dies


def test_a_death_that_is_not_believed_is_backed_off() -> None:
    """A provider that repeats itself would else be asked in a circle."""
    scene = scene_of()
    scene.accept("anna")
    scene.say(Fate.DEAD, *scene.send("anna"), dead_since=NOON - 1, not_before=NOON + 10)
    assert (scene.device("anna").attempt, scene.device("anna").not_before) == (1, NOON + 10)
    assert scene.account() == Account(accepted=1)


def test_a_device_refreshed_meanwhile_does_not_die() -> None:
    scene = scene_of()
    scene.accept("anna")
    (flight,) = scene.send("anna")
    scene.now += 1
    scene.register("anna")
    scene.say(Fate.DEAD, flight, dead_since=NOON + 0.5)
    assert scene.device("anna").attempt == 0
    assert scene.queue("anna")


def test_a_verdict_for_a_device_that_is_gone_changes_nothing() -> None:
    scene = scene_of("phone", "tablet")
    scene.accept("anna")
    flights = scene.send("anna")
    scene.unregister("anna")
    for fate in (Fate.RETRY, Fate.GIVE_UP, Fate.DEAD):
        scene.say(fate, flight_of(flights, scene))
        assert set(scene.person("anna").devices) == {scene.device_key("anna", "tablet")}
    assert scene.slot("anna").n == 1


def test_a_verdict_frees_the_device_whatever_it_says() -> None:
    for fate in Fate:
        scene = scene_of("phone", "tablet")
        scene.accept("anna")
        flights = scene.send("anna")
        scene.say(fate, flight_of(flights, scene))
        assert set(scene.person("anna").flights) == {scene.device_key("anna", "tablet")}


# --- seen


@pytest.mark.parametrize(("at", "cancelled"), [(NOON - 0.001, 0), (NOON, 1), (NOON + 1, 1)])
def test_a_read_mark_cancels_what_is_not_newer(at: float, cancelled: int) -> None:
    scene = scene_of()
    scene.accept("anna", at=NOON)
    scene.now += 60
    scene.seen("anna", at)
    assert scene.account().cancelled == cancelled
    assert ("message" in scene.person("anna").slots) is not bool(cancelled)


def test_a_read_mark_is_compared_with_the_newest_of_a_slot() -> None:
    scene = scene_of()
    scene.accept("anna", at=NOON + 10)
    scene.accept("anna", at=NOON)
    scene.seen("anna", NOON + 9)
    assert scene.account() == Account(accepted=2)
    scene.seen("anna", NOON + 10)
    assert scene.account() == Account(accepted=2, cancelled=2)


def test_alarms_are_never_read_away() -> None:
    scene = scene_of()
    scene.accept("anna", name="alarm")
    scene.accept("anna", name="roster")
    scene.seen("anna", NEVER)
    assert set(scene.person("anna").slots) == {"alarm"}


def test_reading_frees_the_other_devices_and_shortens_the_hold() -> None:
    scene = scene_of("phone", "tablet")
    for gap in (5, 15, 60):
        scene.accept("anna")
        scene.took(*scene.send("anna"))
        scene.now += gap
    scene.accept("anna")
    first, _ = scene.send("anna")
    scene.took(first)
    assert scene.person("anna").hold.until == scene.now + 300
    scene.seen("anna")
    assert not scene.person("anna").slots
    assert scene.person("anna").hold.until == scene.now + 5


def test_reading_what_is_half_booked_cancels_the_other_half() -> None:
    scene = scene_of("phone", "tablet")
    scene.accept("anna")
    first, _ = scene.send("anna")
    scene.accept("anna")
    scene.took(first)
    scene.seen("anna")
    assert scene.account() == Account(accepted=2, woken=1, cancelled=1)


def test_a_read_mark_of_another_tenant_or_of_nobody_says_nothing() -> None:
    city, county = tenant(), tenant("county")
    scene = Scene(city, county)
    scene.register("anna")
    scene.accept("anna")
    with scene.draft() as draft:
        seen(draft, county, [(scene.key("anna"), NEVER), (scene.key("nobody"), NEVER)])
    assert scene.slot("anna").n == 1
    assert not draft.read


# --- expiry


def test_what_is_past_its_deadline_is_booked_and_forgotten() -> None:
    scene = scene_of()
    scene.accept("anna", ttl=60)
    scene.accept("anna", ttl=30)
    scene.now += 60
    scene.expire("anna")
    assert scene.account() == Account(accepted=2, expired=2)
    assert not scene.person("anna").slots


def test_a_deadline_is_looked_at_again_in_the_commit() -> None:
    """An event that came since may have moved it."""
    scene = scene_of()
    scene.accept("anna", ttl=60)
    scene.now += 60
    event = scene.event("anna")
    with scene.draft() as draft:
        accept(draft, scene.home, [event], None)
        expire(draft, scene.person("anna"), "message")
    assert scene.account() == Account(accepted=2)


def test_what_an_event_has_saved_from_its_deadline_is_looked_at_again() -> None:
    """In rest an event that joins is no reason to: but of what has expired nobody remembers when it is due."""
    scene = scene_of()
    scene.rest("anna", rest_between(NOON, NOON + HOUR))
    scene.accept("anna", ttl=60)
    scene.accept("anna", name="roster")
    scene.now += 60
    assert scene.consider("anna") == ([], ["message"], NOON + HOUR)
    person = scene.person("anna")
    person.wake_at = NOON + HOUR
    draft = Draft(scene.people, scene.now, scene.tables)
    accept(draft, scene.home, [scene.event("anna")], None)
    expire(draft, person, "message")
    assert draft.apply() == [person]


def test_an_event_that_joins_at_the_last_moment_has_its_whole_deadline() -> None:
    scene = scene_of()
    scene.accept("anna", name="alarm")
    scene.now += HOUR
    event = scene.event("anna", name="alarm")
    with scene.draft() as draft:
        accept(draft, scene.home, [event], None)
        expire(draft, scene.person("anna"), "alarm")
    assert scene.account("alarm") == Account(accepted=2)
    assert scene.consider("anna").expired == []


def test_an_event_that_joins_something_very_old_has_its_whole_deadline_too() -> None:
    """The retention of a rest without end counts for no other."""
    scene = scene_of()
    scene.accept("anna")
    scene.send("anna")
    scene.now += 36 * DAY
    event = scene.event("anna")
    with scene.draft() as draft:
        accept(draft, scene.home, [event], None)
        expire(draft, scene.person("anna"), "message")
    assert scene.account() == Account(accepted=2)


def test_what_is_gone_already_expires_without_a_trace() -> None:
    scene = scene_of()
    scene.accept("anna", ttl=60)
    scene.seen("anna")
    scene.now += 60
    scene.expire("anna")
    assert scene.account() == Account(accepted=1, cancelled=1)


# --- echo


def woken_before_the_night(*devices: str, posts_seen: bool = True, name: str = "message", ttl: float = NEVER) -> Scene:
    """Anna was woken an hour before her rest; the life of that wakeup was cut."""
    scene = scene_of(*devices, now=NIGHT - HOUR, posts_seen=posts_seen)
    scene.rest("anna", nightly())
    scene.accept("anna", name=name, ttl=ttl)
    scene.took(*scene.send("anna"))
    return scene


def test_a_cut_life_leaves_an_echo_for_the_morning() -> None:
    scene = woken_before_the_night("phone", "tablet")
    assert scene.account() == Account(accepted=1, woken=1)
    assert (scene.slot("anna").n, scene.slot("anna").due_at, scene.slot("anna").is_echo) == (0, MORNING, True)
    assert scene.consider("anna").again_at == MORNING
    scene.now = MORNING
    echoes = scene.send("anna")
    assert phones(echoes, scene, "anna", "phone", "tablet")
    scene.took(*echoes)
    assert scene.account() == Account(accepted=1, woken=1)


def test_an_echo_is_not_repeated_when_its_own_life_is_not_cut() -> None:
    scene = woken_before_the_night()
    scene.rest("anna", rest_between(NIGHT, MORNING))
    scene.now = MORNING
    scene.took(*scene.send("anna"))
    assert not scene.person("anna").slots


@pytest.mark.parametrize(
    ("posts_seen", "name", "ttl"), [(False, "message", NEVER), (True, "alarm", NEVER), (True, "message", 8 * HOUR)]
)
def test_there_is_no_echo_without_read_marks_for_alarms_or_beyond_the_message(
    posts_seen: bool, name: str, ttl: float
) -> None:
    scene = woken_before_the_night(posts_seen=posts_seen, name=name, ttl=ttl)
    assert not scene.person("anna").slots


def test_a_life_that_was_not_cut_leaves_none() -> None:
    scene = scene_of(posts_seen=True)
    scene.rest("anna", rest_between(NOON + 8 * DAY, NOON + 9 * DAY))
    scene.accept("anna")
    scene.took(*scene.send("anna"))
    assert not scene.person("anna").slots


def test_reading_cancels_an_echo_and_books_nothing() -> None:
    scene = woken_before_the_night()
    scene.seen("anna")
    assert not scene.person("anna").slots
    assert scene.account() == Account(accepted=1, woken=1)


def test_a_new_event_takes_the_place_of_an_echo() -> None:
    scene = woken_before_the_night("phone", "tablet")
    scene.now += 60
    scene.accept("anna")
    assert not scene.slot("anna").is_echo
    scene.took(*scene.send("anna"))
    assert scene.account() == Account(accepted=2, woken=2)
    assert scene.slot("anna").is_echo


def test_an_echo_outlives_a_newer_message_that_ceases_to_exist() -> None:
    """The older one is still unread, and its phone may still be off."""
    scene = woken_before_the_night()
    scene.now = NIGHT
    scene.accept("anna", ttl=60)
    scene.now = MORNING
    (flight,) = scene.send("anna")
    assert flight.claims


def test_an_edit_of_the_rest_leaves_the_echo_its_morning() -> None:
    scene = woken_before_the_night()
    scene.rest("anna", {"timezone": "UTC"})
    considered = scene.consider("anna")
    assert (considered.flights, considered.again_at) == ([], MORNING)


def test_an_echo_that_an_alarm_took_along_to_one_phone_keeps_its_morning_for_the_other() -> None:
    """Also when the life of that wakeup was cut again."""
    scene = woken_before_the_night("phone", "tablet")
    scene.now += 600
    scene.accept("anna", name="alarm")
    flights = scene.send("anna")
    scene.took(flight_of(flights, scene))
    scene.say(Fate.RETRY, flight_of(flights, scene, "tablet"), not_before=scene.now + 60)
    scene.now += 3600
    scene.expire("anna", "alarm")
    scene.rest("anna", {"timezone": "UTC"})
    considered = scene.consider("anna")
    assert (considered.flights, considered.again_at) == ([], MORNING)


def test_what_only_looks_like_an_echo_is_asked_anew_by_an_edit() -> None:
    """One phone was woken and then replaced, the other one is still owed: an officer who is back is woken at once."""
    scene = scene_of("phone", "tablet", now=NIGHT - HOUR)
    scene.rest("anna", nightly())
    scene.accept("anna")
    flights = scene.send("anna")
    scene.took(flight_of(flights, scene))
    scene.say(Fate.RETRY, flight_of(flights, scene, "tablet"), not_before=NIGHT)
    scene.now = NIGHT
    assert scene.consider("anna").flights == []
    scene.register("anna", token="another")
    scene.rest("anna", {"timezone": "UTC"})
    assert phones(scene.consider("anna").flights, scene, "anna", "phone", "tablet")


def test_when_the_device_that_was_still_owed_dies_the_echo_comes_for_the_other() -> None:
    scene = scene_of("phone", "tablet", now=NIGHT - HOUR, posts_seen=True)
    scene.rest("anna", nightly())
    scene.accept("anna")
    flights = scene.send("anna")
    scene.took(flight_of(flights, scene))
    scene.say(Fate.DEAD, flight_of(flights, scene, "tablet"))
    assert scene.slot("anna").is_echo
    scene.now = MORNING
    assert phones(scene.queue("anna"), scene, "anna", "phone")


def test_an_echo_for_nobody_is_none() -> None:
    scene = woken_before_the_night()
    scene.unregister("anna")
    assert not scene.person("anna").slots


def test_there_is_no_echo_for_nobody_though_the_life_was_cut() -> None:
    scene = scene_of("phone", "tablet", now=NIGHT - HOUR, posts_seen=True)
    scene.rest("anna", nightly())
    scene.accept("anna")
    scene.took(flight_of(scene.send("anna"), scene))
    scene.unregister("anna", "phone")
    scene.unregister("anna", "tablet")
    assert not scene.person("anna").slots


def test_an_alarm_that_rang_together_with_a_message_leaves_no_echo() -> None:
    """The life of the message was cut by a short rest; the alarm still lives after it, and is not repeated."""
    scene = scene_of(posts_seen=True)
    scene.rest("anna", rest_between(NOON + 600, NOON + 1800))
    scene.accept("anna")
    scene.accept("anna", name="alarm")
    scene.took(*scene.send("anna"))
    assert set(scene.person("anna").slots) == {"message"}


def test_the_echo_of_an_older_wakeup_is_not_the_echo_of_a_newer_event() -> None:
    scene = scene_of(now=NIGHT - HOUR, posts_seen=True)
    scene.rest("anna", nightly())
    scene.accept("anna")
    (flight,) = scene.send("anna")
    scene.accept("anna")
    scene.took(flight)
    assert scene.slot("anna").echo_at == 0
