"""`seen` with `active_for`: what is shown on the screen in front of somebody need not ring in the pocket."""

from __future__ import annotations

import pytest

from relay.core import settling
from relay.core.events import DEFAULT_CLASSES, EventClass
from relay.core.flight import Fate
from tests.relay.core.scene import NOON, Scene, phones, rest_between, tenant

LOUD = EventClass(name="loud", cancellable=False)


def scene_of(*devices: str, now: float = NOON) -> Scene:
    scene = Scene(tenant(classes={c.name: c for c in (*DEFAULT_CLASSES, LOUD)}, posts_seen=True), now=now)
    for device in devices or ("phone",):
        scene.register("anna", device)
    return scene


@pytest.mark.parametrize(("name", "waits"), [("message", True), ("roster", True), ("alarm", False), ("loud", False)])
def test_what_seen_could_cancel_waits_and_everything_else_passes(name: str, waits: bool) -> None:
    scene = scene_of()
    scene.seen("anna", active_for=60)
    scene.accept("anna", name=name)
    considered = scene.consider("anna")
    assert bool(considered.flights) is not waits
    if waits:
        assert considered.again_at == NOON + 60


def test_it_rings_when_the_time_is_over_and_not_before() -> None:
    scene = scene_of()
    scene.seen("anna", active_for=60)
    scene.accept("anna")
    scene.now = NOON + 59.999
    assert scene.send("anna") == []
    scene.now = NOON + 60
    assert len(scene.send("anna")) == 1


def test_a_later_seen_prolongs_and_never_shortens() -> None:
    scene = scene_of()
    scene.seen("anna", active_for=100)
    scene.now += 10
    scene.seen("anna", active_for=20)
    scene.seen("anna")
    assert scene.person("anna").active_until == NOON + 100
    scene.now += 80
    scene.seen("anna", active_for=100)
    assert scene.person("anna").active_until == NOON + 190


def test_two_of_one_commit_count_as_the_longer() -> None:
    scene = scene_of()
    anna = scene.key("anna")
    with scene.draft() as draft:
        for seconds in (90, 30):
            settling.seen(draft, scene.home, [(anna, NOON)], {anna: NOON + seconds})
    assert scene.person("anna").active_until == NOON + 90


def test_a_wakeup_that_is_queued_already_waits_too() -> None:
    """It was due before the user sat down; the event is newer than what was read."""
    scene = scene_of()
    scene.accept("anna")
    (flight,) = scene.queue("anna")
    scene.seen("anna", NOON - 1, active_for=30)
    assert not scene.leave(flight)
    assert scene.consider("anna").again_at == NOON + 30
    scene.now += 30
    assert len(scene.send("anna")) == 1
    assert scene.slot("anna").n == 1


def test_an_alarm_takes_along_what_waits() -> None:
    """The phone rings anyway; a second ring for the message would say nothing new."""
    scene = scene_of()
    scene.seen("anna", active_for=60)
    scene.accept("anna")
    scene.accept("anna", name="alarm")
    (flight,) = scene.send("anna")
    assert {name for name, _, _ in flight.claims} == {"message", "alarm"}
    scene.took(flight)
    assert not scene.person("anna").slots


def test_a_queued_wakeup_that_an_alarm_joins_leaves() -> None:
    scene = scene_of()
    scene.accept("anna")
    (flight,) = scene.queue("anna")
    scene.seen("anna", NOON - 1, active_for=30)
    scene.accept("anna", name="alarm")
    assert scene.queue("anna") == [flight]
    assert flight.urgent
    assert scene.leave(flight)


def test_it_waits_for_the_end_of_both_rest_and_reading() -> None:
    scene = scene_of()
    scene.rest("anna", rest_between(NOON, NOON + 100))
    scene.seen("anna", active_for=120)
    scene.accept("anna")
    assert scene.consider("anna").again_at == NOON + 120
    scene.now = NOON + 119
    assert scene.send("anna") == []
    scene.now = NOON + 120
    assert len(scene.send("anna")) == 1


def test_a_deadline_within_the_reading_is_kept() -> None:
    scene = scene_of()
    scene.seen("anna", active_for=60)
    scene.accept("anna", ttl=40)
    assert scene.consider("anna").again_at == NOON + 40
    scene.now = NOON + 40
    assert scene.consider("anna").expired == ["message"]


def test_every_device_waits_also_one_that_is_to_be_tried_again() -> None:
    scene = scene_of("phone", "tablet")
    scene.accept("anna")
    flights = scene.send("anna")
    first = next(f for f in flights if f.device.key == scene.device_key("anna"))
    scene.took(first)
    scene.say(Fate.RETRY, *(f for f in flights if f is not first), not_before=NOON + 10)
    scene.seen("anna", NOON - 1, active_for=60)
    scene.now = NOON + 10
    assert scene.send("anna") == []
    scene.now = NOON + 60
    assert phones(scene.send("anna"), scene, "anna", "tablet")


def test_it_cancels_as_every_seen_does() -> None:
    scene = scene_of()
    scene.accept("anna")
    scene.seen("anna", active_for=60)
    assert not scene.person("anna").slots
    assert scene.account().cancelled == 1


def test_it_is_nobody_elses_and_an_unknown_user_is_none() -> None:
    scene = scene_of()
    scene.register("bert")
    scene.seen("anna", active_for=60)
    scene.seen("nobody", active_for=60)
    scene.accept("bert")
    assert len(scene.send("bert")) == 1
