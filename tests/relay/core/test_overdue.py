"""What should have left: phones that are never or always woken are due when they would be, no earlier and no later."""

from __future__ import annotations

import pytest

from relay.core.overdue import Oldest, measure
from tests.relay.core.scene import Scene
from tests.relay.core.test_wakes import scene_of


def overdue(scene: Scene) -> Oldest:
    oldest: Oldest = {}
    measure([scene.person("anna")], scene.now, oldest)
    return oldest


@pytest.mark.parametrize("wake", ["never", "always"])
def test_an_alarm_for_phones_that_do_not_follow_the_rest(wake: str) -> None:
    scene = scene_of(dict.fromkeys(("duty", "private", "tablet"), wake))
    scene.accept("anna", name="alarm")
    scene.now += 1000
    assert set(overdue(scene).values()) == {1000}


def test_a_message_in_rest_for_the_phone_that_is_always_woken_and_for_no_other() -> None:
    scene = scene_of({"duty": "always", "private": "never"})
    scene.accept("anna")
    scene.now += 1000
    assert list(overdue(scene).values()) == [1000], "one app, and the others wait for the end of the rest"
    scene = scene_of({"private": "never"})
    scene.accept("anna")
    scene.now += 1000
    assert overdue(scene) == {}


def test_what_an_always_woken_phone_is_owed_counts_from_the_newest_event() -> None:
    """It was woken for the one before: that this one is in the same slot is no reason to page anybody."""
    scene = scene_of({"duty": "always"})
    scene.accept("anna")
    scene.now += 3600
    scene.accept("anna")
    scene.now += 7
    assert list(overdue(scene).values()) == [7]
