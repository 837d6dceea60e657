"""What an operator holds back: which wakeups, until when, and what passes all the same."""

from __future__ import annotations

from dataclasses import replace

import hypothesis.strategies as st
import pytest
from hypothesis import given

from relay.core.books import Account
from relay.core.devices import Platform
from relay.core.errors import NotFound
from relay.core.events import DEFAULT_CLASSES, HOUR, NEVER
from relay.core.halts import Halt
from relay.core.operating import Selection, hold, resume
from tests.relay.core.scene import NOON, Scene, nightly, tenant

ALL = Selection(None, None, None)
BY_NAME = {event_class.name: event_class for event_class in DEFAULT_CLASSES}


def scene_of(*devices: str) -> Scene:
    scene = Scene()
    for device in devices or ("phone",):
        scene.register("anna", device)
    return scene


def held(scene: Scene, of: Selection = ALL, seconds: float = HOUR) -> None:
    scene.do(lambda draft: hold(draft, of, "repair", "root", scene.now + seconds))


def resumed(scene: Scene, of: Selection = ALL) -> int:
    return scene.do(lambda draft: resume(draft, of, "done", "root"))


def test_what_is_held_is_taken_and_waits_and_leaves_at_the_end() -> None:
    scene = scene_of()
    held(scene)
    scene.accept("anna")
    scene.accept("anna")
    assert scene.consider("anna") == ([], [], NOON + HOUR)
    scene.now += HOUR
    scene.took(*scene.send("anna"))
    assert scene.account() == Account(accepted=2, woken=1, merged=1)


def test_what_is_queued_already_does_not_leave() -> None:
    scene = scene_of()
    scene.accept("anna")
    (flight,) = scene.queue("anna")
    held(scene)
    assert not scene.leave(flight)
    assert scene.consider("anna").again_at == NOON + HOUR


@pytest.mark.parametrize("name", ["message", "roster", "alarm", "control"])
def test_alarms_and_orders_pass_unless_they_are_named(name: str) -> None:
    scene = scene_of()
    held(scene)
    scene.accept("anna", name=name)
    assert bool(scene.send("anna")) is BY_NAME[name].pierces
    resumed(scene)
    scene.now += 60
    held(scene, Selection(None, name, None))
    scene.accept("anna", name=name)
    assert scene.queue("anna") == []


def test_an_alarm_takes_nothing_along_that_is_held() -> None:
    scene = scene_of()
    held(scene)
    scene.accept("anna")
    scene.accept("anna", name="alarm")
    (flight,) = scene.send("anna")
    assert [name for name, *_ in flight.claims] == ["alarm"]


def test_one_lane_is_held_and_the_other_goes_on() -> None:
    scene = Scene(tenant(apps={"ios": Platform.APNS, "ipad": Platform.APNS}))
    scene.register("anna", "phone")
    person = scene.person("anna")
    tablet = replace(scene.device("anna"), key=scene.device_key("anna", "tablet"), app="ipad")
    person.have({**person.devices, tablet.key: tablet})
    held(scene, Selection(None, None, "ipad"))
    scene.accept("anna")
    (flight,) = scene.send("anna")
    assert flight.device.app == "ios"
    scene.took(flight)
    assert scene.consider("anna").again_at == NOON + HOUR, "the tablet is still owed"


def test_another_tenant_is_not_concerned() -> None:
    city, county = tenant(), tenant("county")
    scene = Scene(city, county)
    scene.register("anna")
    held(scene, Selection("county", None, None))
    scene.accept("anna")
    assert scene.send("anna")
    assert (len(city.halts.active), len(county.halts.active)) == (0, 1)


def test_rest_is_asked_for_anew_after_it() -> None:
    scene = scene_of()
    scene.rest("anna", nightly())
    held(scene, seconds=11 * HOUR)
    scene.accept("anna")
    scene.now += 11 * HOUR
    assert scene.queue("anna") == []
    assert scene.consider("anna").again_at == NOON + 18 * HOUR


def test_resuming_touches_everybody_who_waits() -> None:
    scene = scene_of()
    scene.register("bert")
    held(scene)
    scene.accept("anna")
    with scene.draft() as draft:
        resume(draft, ALL, "done", "root")
    touched = {person.key for person in draft._touched.values()}
    assert touched == {scene.key("anna")}
    assert scene.send("anna")


def test_a_hold_is_ended_by_its_own_selection_or_with_all() -> None:
    scene = scene_of()
    ios, roster = Selection(None, None, "ios"), Selection("city", "roster", None)
    held(scene, ios)
    held(scene, roster)
    for wrong in (Selection("city", None, None), Selection(None, "roster", None), Selection(None, None, "ipad")):
        with pytest.raises(NotFound), scene.draft() as draft:
            resume(draft, wrong, "done", "root")
    assert resumed(scene, roster) == 1
    assert [halt.app for halt in scene.people.halts.values()] == ["ios"]
    held(scene, roster)
    assert resumed(scene) == 2
    with pytest.raises(NotFound):
        resumed(scene)


def test_each_act_is_recorded_in_its_own_commit() -> None:
    scene = scene_of()
    held(scene, Selection("city", "roster", None))
    resumed(scene)
    acts = [act for batch in scene.batches for act in batch.acts]
    assert [(a.what, a.tenant, a.event_class, a.app, a.reason, a.by, a.until) for a in acts] == [
        ("hold", "city", "roster", None, "repair", "root", NOON + HOUR),
        ("resume", "city", "roster", None, "done", "root", NOON + HOUR),
    ]


def test_what_is_over_is_forgotten_with_the_next_one() -> None:
    scene = scene_of()
    held(scene, seconds=60)
    scene.now += 60
    with pytest.raises(NotFound):
        resumed(scene)
    held(scene)
    assert [halt.until for halt in scene.people.halts.values()] == [scene.now + HOUR]


halts = st.builds(
    Halt, st.integers(1, 9), st.just(None), st.sampled_from([None, *BY_NAME]), st.sampled_from([None, "ios", "ipad"]),
    st.just("reason"), st.just("root"), st.just(NOON), st.sampled_from([NOON, NOON + 1, NOON + HOUR]),
)  # fmt: skip


@given(st.lists(halts, max_size=4), st.sampled_from(sorted(BY_NAME)), st.sampled_from(["ios", "ipad"]))
def test_several_hold_until_the_last_of_them_is_over(given_halts: list[Halt], name: str, app: str) -> None:
    home = tenant()
    home.halts.active = tuple(given_halts)
    until = home.halts.until(BY_NAME[name], app, NOON)
    for now in (NOON, NOON + 0.5, NOON + 1, NOON + HOUR):
        stopped = any(halt.stops(BY_NAME[name], app, now) for halt in given_halts)
        assert stopped == (now < until) == bool(home.halts.until(BY_NAME[name], app, now))
    assert until < NEVER
