"""Devices and rest documents, as doors ask for it."""

from __future__ import annotations

import pytest

from relay.core.batch import Parting, PersonRecord
from relay.core.books import Account
from relay.core.editing import Version, delete_device, delete_rest, put_device, put_rest
from relay.core.errors import DeviceLimitReached, NotFound, VersionConflict
from relay.core.flight import Fate
from tests.relay.core.scene import (
    DAY,
    HOUR,
    NOON,
    Scene,
    endless,
    nightly,
    phones,
    registration_of,
    rest_between,
    tenant,
)

NIGHT = NOON + 10 * HOUR
MORNING = NOON + 18 * HOUR


def scene_of(*devices: str, limit: int = 3, evict: bool = True, now: float = NOON) -> Scene:
    """Anna with these devices, registered one second after the other."""
    scene = Scene(tenant(device_limit=limit, evict=evict), now=now - len(devices))
    for device in devices:
        scene.register("anna", device)
        scene.now += 1
    return scene


def devices(scene: Scene, user: str = "anna") -> set[str]:
    names = {scene.device_key(user, name): name for name in ("phone", "tablet", "watch", "new", "pc")}
    return {names[key] for key in scene.person(user).devices}


def parted(scene: Scene) -> list[tuple[Parting, str]]:
    return [(record.parting, record.reason) for record in scene.batches[-1].feedback]


# --- registering


def test_registering_says_whether_it_is_new_and_who_had_to_leave() -> None:
    scene = scene_of()
    assert scene.register("anna") == (True, 0)
    assert scene.register("anna") == (False, 0)
    assert scene.register("anna", token="another") == (False, 0)


def test_a_registration_is_kept_as_it_came() -> None:
    scene = scene_of("phone")
    registration = registration_of(scene.home, "anna", "phone", "anna/phone")
    device = scene.device("anna")
    assert (device.user, device.app, device.platform) == (registration.user, "ios", registration.platform)
    assert (device.sealed, device.token_hash) == (registration.sealed, registration.token_hash)
    assert (device.registered_at, device.attempt, device.not_before) == (NOON - 1, 0, 0.0)


def test_the_first_device_makes_the_person() -> None:
    scene = scene_of("phone")
    assert scene.batches[-1].people == {scene.key("anna"): PersonRecord("city", b"id")}
    scene.register("anna", "tablet")
    assert not scene.batches[-1].people


def test_a_new_device_is_owed_what_is_pending() -> None:
    scene = scene_of("phone")
    scene.accept("anna")
    first = scene.send("anna")
    scene.register("anna", "new")
    assert phones(scene.queue("anna"), scene, "anna", "new")
    scene.took(*first)
    assert scene.slot("anna").owed(scene.device_key("anna", "new"))


def test_a_refresh_is_not_owed_again_what_it_was_woken_for() -> None:
    scene = scene_of("phone", "tablet")
    scene.accept("anna")
    flights = {flight.device.key: flight for flight in scene.send("anna")}
    scene.took(flights[scene.device_key("anna")])
    scene.register("anna")
    assert not scene.slot("anna").owed(scene.device_key("anna"))
    assert scene.device("anna").registered_at == NOON


def test_a_new_token_was_woken_for_nothing_yet() -> None:
    scene = scene_of("phone", "tablet")
    scene.accept("anna")
    scene.accept("anna", name="alarm")
    flights = {flight.device.key: flight for flight in scene.send("anna")}
    scene.took(flights[scene.device_key("anna")])
    scene.register("anna", token="another")
    assert scene.slot("anna").owed(scene.device_key("anna"))
    assert scene.slot("anna", "alarm").owed(scene.device_key("anna"))


def test_a_refresh_does_not_cut_the_back_off_and_a_new_token_does() -> None:
    """It is the token that the provider told us to wait with."""
    scene = scene_of("phone")
    scene.accept("anna")
    scene.say(Fate.RETRY, *scene.send("anna"), not_before=NOON + 900)
    scene.register("anna")
    assert (scene.device("anna").attempt, scene.device("anna").not_before) == (1, NOON + 900)
    scene.register("anna", token="another")
    assert (scene.device("anna").attempt, scene.device("anna").not_before) == (0, 0.0)


def test_a_device_that_cannot_be_woken_any_more_takes_its_notices_along() -> None:
    scene = scene_of("phone")
    scene.accept("anna")
    scene.register("anna", "phone", token="")
    assert scene.account() == Account(accepted=1, undeliverable=1)
    assert not scene.person("anna").slots
    assert not scene.people.tokens


def test_a_pc_is_listed_and_never_woken() -> None:
    scene = scene_of("phone")
    scene.register("anna", "pc", token="")
    assert devices(scene) == {"phone", "pc"}
    scene.accept("anna")
    assert phones(scene.send("anna"), scene, "anna", "phone")


# --- the limit


def test_over_the_limit_the_one_registered_longest_ago_leaves() -> None:
    scene = scene_of("phone", "tablet", "watch")
    assert scene.register("anna", "new") == (True, 1)
    assert devices(scene) == {"tablet", "watch", "new"}
    assert parted(scene) == [(Parting.EVICTED, "device_limit")]
    assert scene.batches[-1].feedback[0].device == scene.device_key("anna", "phone")


def test_a_refresh_makes_a_device_the_youngest() -> None:
    scene = scene_of("phone", "tablet", "watch")
    scene.register("anna", "phone")
    scene.now += 1
    scene.register("anna", "new")
    assert devices(scene) == {"phone", "watch", "new"}


def test_a_refresh_at_the_limit_evicts_nobody() -> None:
    scene = scene_of("phone", "tablet", "watch")
    assert scene.register("anna", "tablet", token="another") == (False, 0)
    assert devices(scene) == {"phone", "tablet", "watch"}


def test_a_limit_that_was_lowered_is_reached_with_the_next_new_device() -> None:
    scene = scene_of("phone", "tablet", "watch")
    scene.person("anna").tenant = scene.home = tenant(device_limit=2)
    assert scene.register("anna", "new") == (True, 2)
    assert devices(scene) == {"watch", "new"}


def test_the_limit_may_refuse_instead_and_then_nothing_is_changed() -> None:
    scene = scene_of("phone", "tablet", limit=2, evict=False)
    with scene.draft() as draft:
        with pytest.raises(DeviceLimitReached) as caught:
            put_device(draft, scene.home, registration_of(scene.home, "anna", "new", "new"))
        assert draft.batch.is_empty
    assert caught.value.limit == 2
    assert devices(scene) == {"phone", "tablet"}
    assert len(scene.people.tokens) == 2


def test_a_refresh_is_never_refused_for_the_limit() -> None:
    scene = scene_of("phone", "tablet", limit=2, evict=False)
    assert scene.register("anna", "tablet", token="another") == (False, 0)


def test_an_app_installed_anew_has_room_for_itself() -> None:
    """The token is the same, the device's name is new: the old name makes room."""
    scene = scene_of("phone", "tablet", limit=2, evict=False)
    assert scene.register("anna", "new", token="anna/phone") == (True, 1)
    assert devices(scene) == {"tablet", "new"}


def test_eviction_counts_the_room_a_moved_token_leaves() -> None:
    scene = scene_of("phone", "tablet", limit=2)
    assert scene.register("anna", "new", token="anna/tablet") == (True, 1)
    assert devices(scene) == {"phone", "new"}
    assert parted(scene) == [(Parting.MOVED, "token_moved")]


@pytest.mark.parametrize("token", ["anna/phone", "another"])
def test_what_is_pending_moves_to_the_device_that_takes_the_place_of_the_only_one(token: str) -> None:
    """I1: it is never undeliverable while there is a device, whoever had to leave for it."""
    scene = scene_of("phone", limit=1, now=NIGHT)
    scene.rest("anna", nightly())
    scene.accept("anna")
    scene.register("anna", "new", token=token)
    assert scene.account() == Account(accepted=1)
    scene.now = MORNING
    assert phones(scene.queue("anna"), scene, "anna", "new")


def test_a_pc_that_takes_the_place_of_the_only_phone_leaves_nobody_to_wake() -> None:
    scene = scene_of("phone", limit=1)
    scene.accept("anna")
    scene.register("anna", "pc", token="")
    assert scene.account() == Account(accepted=1, undeliverable=1)


# --- tokens


def test_a_token_registered_elsewhere_moves() -> None:
    scene = scene_of("phone")
    scene.accept("anna")
    assert scene.register("bert", token="anna/phone") == (True, 1)
    assert devices(scene, "anna") == set()
    assert parted(scene) == [(Parting.MOVED, "token_moved")]
    assert scene.batches[-1].feedback[0].user == scene.key("anna")
    assert scene.account() == Account(accepted=1, undeliverable=1)
    assert not scene.person("bert").slots


def test_nothing_that_was_queued_for_the_one_reaches_the_other() -> None:
    scene = scene_of("phone")
    scene.accept("anna")
    (flight,) = scene.queue("anna")
    scene.register("bert", token="anna/phone")
    assert not scene.leave(flight)


def test_each_token_has_one_owner_and_each_phone_its_token() -> None:
    scene = scene_of("phone", "tablet")
    scene.register("bert", token="anna/phone")
    scene.register("anna", "tablet", token="third")
    scene.register("anna", "pc", token="")
    scene.unregister("bert")
    names = scene.home.pseudonyms
    assert scene.people.tokens == {names.token("ios", "third"): (scene.key("anna"), scene.device_key("anna", "tablet"))}


def test_two_users_who_swap_their_phones_in_one_commit() -> None:
    scene = scene_of("phone")
    scene.register("bert")
    with scene.draft() as draft:
        put_device(draft, scene.home, registration_of(scene.home, "anna", "phone", "bert/phone"))
        put_device(draft, scene.home, registration_of(scene.home, "bert", "phone", "anna/phone"))
    names = scene.home.pseudonyms
    assert scene.people.tokens == {
        names.token("ios", "anna/phone"): (scene.key("bert"), scene.device_key("bert")),
        names.token("ios", "bert/phone"): (scene.key("anna"), scene.device_key("anna")),
    }
    assert scene.device("anna").token_hash == names.token("ios", "bert/phone")


def test_tenants_do_not_take_tokens_from_each_other() -> None:
    city, county = tenant(), tenant("county")
    scene = Scene(city, county)
    scene.register("anna", token="same")
    assert scene.register("anna", token="same", home=county) == (True, 0)
    assert scene.person("anna").devices


# --- deleting a device


def test_deleting_the_last_device_makes_what_is_pending_undeliverable() -> None:
    scene = scene_of("phone", "tablet")
    scene.accept("anna")
    scene.unregister("anna", "phone")
    assert scene.account() == Account(accepted=1)
    scene.unregister("anna", "tablet")
    assert scene.account() == Account(accepted=1, undeliverable=1)
    assert scene.batches[-1].feedback == [], "its owner knows"


def test_deleting_the_only_one_still_owed_ends_the_slot() -> None:
    scene = scene_of("phone", "tablet")
    scene.accept("anna")
    flights = {flight.device.key: flight for flight in scene.send("anna")}
    scene.took(flights[scene.device_key("anna")])
    scene.unregister("anna", "tablet")
    assert not scene.person("anna").slots
    assert scene.account() == Account(accepted=1, woken=1)


def test_a_device_that_is_not_there_cannot_be_deleted() -> None:
    city, county = tenant(), tenant("county")
    scene = Scene(city, county)
    scene.register("anna")
    for home, user, device in (
        (city, "anna", scene.device_key("anna", "tablet")),
        (city, "nobody", scene.device_key("nobody")),
        (county, "anna", scene.device_key("anna")),
    ):
        with scene.draft() as draft, pytest.raises(NotFound):
            delete_device(draft, home, scene.key(user), device)
    assert devices(scene) == {"phone"}


# --- rest


def test_a_rest_document_has_a_version_that_only_grows() -> None:
    scene = scene_of("phone")
    first = scene.rest("anna", nightly())
    second = scene.rest("anna", nightly())
    assert 0 < first < second
    record = scene.person("anna").rest
    assert record is not None
    assert record.version == second


@pytest.mark.parametrize(
    ("exists", "if_match", "works"),
    [
        (False, None, True), (False, "*", False), (False, 1, False), (False, "none", True),
        (True, None, True), (True, "*", True), (True, "same", True), (True, 1, False), (True, "none", False),
    ],
)  # fmt: skip
def test_if_match_must_match(exists: bool, if_match: Version, works: bool) -> None:
    scene = scene_of("phone")
    current = scene.rest("anna", nightly()) if exists else None
    condition = current if if_match == "same" else if_match
    with scene.draft() as draft:
        if works:
            put_rest(draft, scene.home, scene.key("anna"), b"id", b"{}", condition)
            return
        with pytest.raises(VersionConflict) as caught:
            put_rest(draft, scene.home, scene.key("anna"), b"id", b"{}", condition)
        assert caught.value.current == current
        assert draft.batch.is_empty


def test_two_edits_of_one_commit_see_each_other() -> None:
    scene = scene_of("phone")
    with scene.draft() as draft:
        version = put_rest(draft, scene.home, scene.key("anna"), b"id", b"{}", None)
        with pytest.raises(VersionConflict):
            put_rest(draft, scene.home, scene.key("anna"), b"id", b"{}", version - 1)
        put_rest(draft, scene.home, scene.key("anna"), b"id", b"{}", version)
        delete_rest(draft, scene.home, scene.key("anna"), "*")
        with pytest.raises(NotFound):
            delete_rest(draft, scene.home, scene.key("anna"), None)
    assert scene.person("anna").rest is None


def test_rest_may_be_set_for_somebody_who_has_no_device_yet() -> None:
    scene = scene_of()
    scene.rest("anna", nightly())
    scene.now = NIGHT
    scene.register("anna")
    scene.accept("anna")
    assert scene.consider("anna").again_at == MORNING


def test_what_is_not_there_cannot_be_deleted() -> None:
    city, county = tenant(), tenant("county")
    scene = Scene(city, county)
    scene.register("anna")
    scene.rest("bert", nightly())
    for home, user in ((city, "anna"), (city, "nobody"), (county, "bert")):
        with scene.draft() as draft, pytest.raises(NotFound):
            delete_rest(draft, home, scene.key(user), None)
    with scene.draft() as draft, pytest.raises(VersionConflict):
        delete_rest(draft, city, scene.key("bert"), 99)


# --- what waits, after an edit


def waiting(document: dict[str, object]) -> Scene:
    """A message waits for the end of this rest."""
    scene = scene_of("phone", now=NIGHT)
    scene.rest("anna", document)
    scene.accept("anna")
    assert scene.consider("anna").flights == []
    return scene


def test_a_rest_cut_short_releases_at_once_and_without_jitter() -> None:
    scene = waiting(rest_between(NIGHT, NIGHT + 21 * DAY))
    scene.people.by_key[scene.key("anna")].tenant = tenant(jitter=300.0)
    scene.rest("anna", {"timezone": "UTC"})
    assert scene.queue("anna")


def test_a_rest_without_end_that_ends_releases_at_once() -> None:
    scene = waiting(endless())
    scene.do(lambda draft: delete_rest(draft, scene.home, scene.key("anna"), None))
    assert scene.queue("anna")


@pytest.mark.parametrize("end", [NIGHT + HOUR, NIGHT + 30 * DAY], ids=["shorter", "longer"])
def test_another_rest_moves_the_release(end: float) -> None:
    scene = waiting(nightly())
    scene.rest("anna", rest_between(NIGHT, end))
    assert scene.consider("anna").again_at == end


def test_going_off_duty_now_holds_what_is_queued_and_what_comes() -> None:
    scene = scene_of("phone")
    scene.accept("anna")
    (flight,) = scene.queue("anna")
    scene.rest("anna", rest_between(NOON, NOON + 11 * HOUR))
    assert not scene.leave(flight)
    assert scene.consider("anna").again_at == NOON + 11 * HOUR


def test_an_edit_is_in_the_commit_with_what_waits_for_it() -> None:
    """A process that ends right after must not wait for a release of before the edit."""
    scene = waiting(rest_between(NIGHT, NIGHT + 21 * DAY))
    scene.now += 60
    scene.rest("anna", {"timezone": "UTC"})
    slot = scene.batches[-1].slots[(scene.key("anna"), "message")]
    assert slot is not None
    assert slot.due_at <= scene.now


def test_an_edit_before_anybody_was_reachable_lets_the_deadline_count_anew() -> None:
    scene = waiting(nightly())
    scene.rest("anna", rest_between(NIGHT, NIGHT + 21 * DAY))
    slot = scene.batches[-1].slots[(scene.key("anna"), "message")]
    assert slot is not None
    assert slot.expiry(scene.home.classes["message"]) > NIGHT + 28 * DAY
    scene.consider("anna")
    assert scene.slot("anna").expiry(scene.home.classes["message"]) == NIGHT + 28 * DAY


def test_an_edit_does_not_prolong_what_could_have_been_delivered() -> None:
    scene = scene_of("phone")
    scene.accept("anna")
    scene.send("anna")
    scene.rest("anna", rest_between(NOON + HOUR, NOON + 21 * DAY))
    assert scene.slot("anna").expiry(scene.home.classes["message"]) == NOON + 7 * DAY


def test_an_edit_leaves_alarms_alone() -> None:
    scene = scene_of("phone")
    scene.accept("anna", name="alarm")
    scene.rest("anna", nightly())
    assert scene.slot("anna", "alarm").expiry(scene.home.classes["alarm"]) == NOON + HOUR
