"""Devices that do not follow the rest, and classes of events for which some rest is none."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from relay.core.editing import delete_device, put_rest
from relay.core.events import DEFAULT_CLASSES, HOUR, EventClass
from relay.core.fanout import consider
from relay.core.flight import Fate
from relay.core.pacing import GAPS
from tests.relay.core.scene import DAY, NOON, Document, Scene, iso, nightly, phones, tenant

NIGHT = NOON + 10 * HOUR
MORNING = NOON + 18 * HOUR


def scene_of(wakes: dict[str, str], now: float = NIGHT, **more: object) -> Scene:
    """Anna has three phones and rests at night."""
    scene = Scene(now=now)
    for device in ("duty", "private", "tablet"):
        scene.register("anna", device)
    rest = nightly() | {"devices": {device: {"wake": wake} for device, wake in wakes.items()}} | more
    scene.rest("anna", rest)
    return scene


# --- always


def test_a_device_that_is_always_woken_is_woken_in_rest_and_the_others_in_the_morning() -> None:
    scene = scene_of({"duty": "always"})
    scene.accept("anna")
    considered = scene.consider("anna")
    assert phones(considered.flights, scene, "anna", "duty")
    assert considered.again_at == MORNING
    (duty,) = considered.flights
    duty.queued = True
    assert scene.leave(duty)
    scene.took(duty)
    assert (scene.account().woken, scene.slot("anna").n) == (1, 0)
    assert scene.queue("anna") == []
    scene.now = MORNING
    rest = scene.send("anna")
    assert phones(rest, scene, "anna", "private", "tablet")
    scene.took(*rest)
    assert scene.person("anna").slots == {}
    assert (scene.account().woken, scene.account().merged) == (1, 0)


def test_the_last_look_lets_nothing_else_leave_in_rest() -> None:
    """A wakeup that was queued before the rest began goes back, but for the device that is always woken."""
    scene = scene_of({"duty": "always"}, now=NOON)
    scene.accept("anna")
    flights = scene.queue("anna")
    assert len(flights) == 3
    scene.now = NIGHT
    assert phones([flight for flight in flights if scene.leave(flight)], scene, "anna", "duty")


def test_a_device_that_is_always_woken_is_held_like_any() -> None:
    scene = scene_of({"duty": "always"})
    scene.accept("anna")
    (first,) = scene.send("anna")
    scene.took(first)
    scene.accept("anna")
    assert scene.consider("anna") == ([], [], NIGHT + GAPS[0])
    scene.now += GAPS[0]
    assert phones(scene.send("anna"), scene, "anna", "duty")


def test_a_device_that_is_always_woken_waits_while_its_owner_reads() -> None:
    scene = scene_of({"duty": "always"})
    scene.seen("anna", active_for=60.0)
    scene.accept("anna")
    assert scene.consider("anna") == ([], [], NIGHT + 60)


def test_a_device_that_is_always_woken_and_fails_is_tried_again_in_rest() -> None:
    scene = scene_of({"duty": "always"})
    scene.accept("anna")
    (first,) = scene.send("anna")
    scene.say(Fate.RETRY, first, not_before=NIGHT + 30)
    assert scene.consider("anna") == ([], [], NIGHT + 30)
    scene.now += 30
    assert phones(scene.send("anna"), scene, "anna", "duty")


def an_echo() -> Scene:
    """Before the night both phones were woken; the life of the one wakeup was cut."""
    scene = Scene(tenant(posts_seen=True), now=NIGHT - HOUR)
    scene.register("anna", "duty")
    scene.register("anna", "private")
    scene.rest("anna", nightly() | {"devices": {"duty": {"wake": "always"}}})
    scene.accept("anna")
    scene.took(*scene.send("anna"))
    assert scene.slot("anna").is_echo
    scene.now = NIGHT
    return scene


def test_an_echo_keeps_its_morning_for_a_device_that_is_always_woken_too() -> None:
    """It was woken, and its own life not cut: it does not ring again five seconds later."""
    scene = an_echo()
    assert scene.consider("anna") == ([], [], MORNING)
    scene.now = MORNING
    assert phones(scene.send("anna"), scene, "anna", "duty", "private")


def test_for_an_echo_alone_no_wakeup_to_it_leaves_in_rest() -> None:
    scene = an_echo()
    scene.accept("anna", name="roster", at=NIGHT - 2 * HOUR)
    (duty,) = scene.queue("anna")
    scene.seen("anna", at=NIGHT - 2 * HOUR)
    assert scene.person("anna").slots.keys() == {"message"}
    assert not scene.leave(duty)


# --- never


def test_a_device_that_is_never_woken_is_left_out_and_nothing_waits_for_it() -> None:
    scene = scene_of({"tablet": "never"}, now=NOON)
    scene.accept("anna")
    flights = scene.send("anna")
    assert phones(flights, scene, "anna", "duty", "private")
    scene.took(*flights)
    assert scene.person("anna").slots == {}


def test_an_alarm_wakes_it_all_the_same() -> None:
    scene = scene_of({"tablet": "never", "duty": "always"})
    scene.accept("anna", name="alarm")
    flights = scene.send("anna")
    assert phones(flights, scene, "anna", "duty", "private", "tablet")
    scene.took(*flights)
    assert scene.person("anna").slots == {}


def test_an_alarm_to_it_takes_no_message_along() -> None:
    scene = scene_of({"tablet": "never"}, now=NOON)
    scene.accept("anna")
    scene.accept("anna", name="alarm")
    (tablet,) = (f for f in scene.send("anna") if f.device.key == scene.device_key("anna", "tablet"))
    assert [name for name, *_ in tablet.claims] == ["alarm"]


def test_where_all_are_never_woken_the_message_expires_in_the_books() -> None:
    scene = scene_of({"duty": "never", "private": "never", "tablet": "never"}, now=NOON)
    scene.accept("anna")
    considered = scene.consider("anna")
    assert considered.flights == []
    scene.now = considered.again_at
    assert scene.consider("anna").expired == ["message"]
    scene.expire("anna")
    assert scene.account().expired == 1


def test_when_the_only_other_phone_dies_nobody_is_left_to_be_woken() -> None:
    scene = scene_of({"private": "never", "tablet": "never"}, now=NOON)
    scene.accept("anna")
    (duty,) = scene.send("anna")
    scene.say(Fate.DEAD, duty)
    assert scene.account().undeliverable == 1
    assert scene.person("anna").slots == {}


def test_a_verdict_right_after_the_edit_knows_of_it() -> None:
    """It may be booked before the dispatcher has come to look."""
    scene = scene_of({}, now=NOON)
    scene.accept("anna")
    flights = scene.send("anna")
    scene.rest("anna", nightly() | {"devices": {"tablet": {"wake": "never"}}})
    scene.took(*(f for f in flights if f.device.key != scene.device_key("anna", "tablet")))
    assert scene.person("anna").slots == {}


def test_in_the_commit_of_the_edit_what_the_document_said_before_ends_nothing() -> None:
    """The tablet follows from now on: what the phone that leaves was not told is for the tablet."""
    scene = scene_of({"tablet": "never"}, now=NOON)
    scene.unregister("anna", "private")
    scene.accept("anna")
    document = json.dumps(nightly()).encode()
    with scene.draft() as draft:
        put_rest(draft, scene.home, scene.key("anna"), b"id", document, None)
        delete_device(draft, scene.home, scene.key("anna"), scene.device_key("anna", "duty"))
    assert scene.account().undeliverable == 0
    assert phones(scene.queue("anna"), scene, "anna", "tablet")


def test_an_edit_holds_at_once() -> None:
    scene = scene_of({"duty": "always"})
    scene.accept("anna")
    (duty,) = scene.queue("anna")
    scene.rest("anna", nightly())
    assert not scene.leave(duty)
    scene.rest("anna", nightly() | {"devices": {"private": {"wake": "always"}}})
    assert phones(scene.queue("anna"), scene, "anna", "private")
    scene.rest("anna", {"devices": {"tablet": {"wake": "never"}}})
    assert phones(scene.queue("anna"), scene, "anna", "duty"), "the private one is queued already"


def test_devices_of_others_are_not_meant() -> None:
    """Names are the backend's, and each user's own."""
    scene = scene_of({"phone": "always"})
    scene.register("bert", "duty")
    scene.rest("bert", nightly() | {"devices": {"private": {"wake": "always"}}})
    scene.accept("anna", "bert")
    assert scene.queue("anna") == scene.queue("bert") == []


# --- classes

ROSTER = EventClass(
    name="roster", through=frozenset({"free"}), roles=frozenset({"planner"}), reasons=frozenset({"change"})
)
FREE: Document = {
    "timezone": "UTC",
    "windows": [
        {"kind": "once", "rest": "free", "start": "2026-11-24T00:00Z", "end": "2026-11-25T00:00Z"},
        {"kind": "weekly", "start": "22:00", "end": "06:00"},
    ],
}


@pytest.mark.parametrize("name", ["message", "roster"])
def test_a_class_may_pierce_rest_of_one_kind_and_not_of_another(name: str) -> None:
    classes = {c.name: c for c in (*DEFAULT_CLASSES, ROSTER)}
    scene = Scene(tenant(classes=classes), now=NOON)
    scene.register("anna")
    scene.rest("anna", FREE)
    scene.accept("anna", name=name)
    considered = scene.consider("anna")
    if name == "message":
        assert considered == ([], [], MORNING)
        return
    (flight,) = considered.flights
    flight.queued = True
    scene.now = NIGHT
    assert not scene.leave(flight), "night has begun meanwhile, and that is none of its business"
    assert scene.consider("anna") == ([], [], MORNING)


def test_a_class_that_pierces_some_rest_is_else_as_any_other() -> None:
    """It is held, it yields to reading, it can be cancelled; but somebody answers for it."""
    assert ROSTER.needs_authority
    assert ROSTER.yields
    assert not replace(ROSTER, through=frozenset()).needs_authority
    scene = Scene(tenant(classes={c.name: c for c in (*DEFAULT_CLASSES, ROSTER)}), now=NOON)
    scene.register("anna")
    scene.accept("anna", name="roster")
    scene.took(*scene.send("anna"))
    scene.accept("anna", name="roster")
    assert scene.consider("anna") == ([], [], NOON + GAPS[0])
    scene.seen("anna")
    assert scene.account("roster").cancelled == 1


def test_an_override_may_be_for_one_class() -> None:
    scene = Scene(now=NIGHT)
    scene.register("anna")
    on_call = {"kind": "reachable", "start": "2026-11-24T20:00Z", "end": "2026-11-25T06:00Z", "classes": ["roster"]}
    scene.rest("anna", nightly() | {"overrides": [on_call]})
    scene.accept("anna")
    assert consider(scene.person("anna"), scene.now, scene.table("anna")) == ([], [], MORNING)
    scene.accept("anna", name="roster")
    (flight,) = scene.queue("anna")
    assert scene.leave(flight)
    assert [name for name, *_ in flight.claims] == ["roster"], "the message goes on waiting"
    scene.took(flight)
    scene.now = MORNING + DAY / 24
    assert phones(scene.send("anna"), scene, "anna", "phone")


def test_what_is_cut_for_two_classes_is_repeated_when_the_first_of_the_rests_is_over() -> None:
    """The roster may not be told for three weeks; the echo of the message must not wait so long, and so be given up."""
    scene = Scene(tenant(posts_seen=True), now=NOON)
    scene.register("anna")
    absence = {"kind": "rest", "start": iso(NOON + HOUR / 2), "end": iso(NOON + 21 * DAY), "classes": ["roster"]}
    scene.rest("anna", nightly() | {"overrides": [absence]})
    scene.accept("anna", name="roster")
    scene.accept("anna")
    (flight,) = scene.send("anna")
    assert [name for name, *_ in flight.claims] == ["roster", "message"]
    assert (flight.life, flight.echo_at) == (4 * HOUR, MORNING)
    scene.took(flight)
    scene.now = MORNING
    (echo,) = scene.send("anna")
    assert [name for name, *_ in echo.claims] == ["message"], "the roster goes on waiting"
