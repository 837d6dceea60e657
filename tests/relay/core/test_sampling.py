"""A second opinion on a sample of what leaves."""

from __future__ import annotations

import pytest

from relay.core.errors import RelayError
from relay.core.events import EventClass
from relay.core.people import Person
from relay.core.sampling import EVERY, Sample
from schedules import Rest, table
from tests.relay.core.scene import HOUR, NOON, Scene, nightly
from tests.relay.world import virtual, world

NIGHT = NOON + 10 * HOUR


class Opinion:
    """Says what it is told to say, and remembers what it was asked."""

    def __init__(self, answer: bool | Exception = False) -> None:
        self.answer = answer
        self.asked: list[str] = []

    def __call__(self, _person: Person, event_class: EventClass, _now: float) -> bool:
        self.asked.append(event_class.name)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def scene_of(*wakes: str) -> Scene:
    scene = Scene(now=NOON)
    scene.register("anna")
    scene.rest("anna", nightly() | {"devices": {"phone": {"wake": "".join(wakes) or "follow"}}})
    return scene


def test_one_of_a_hundred_is_checked() -> None:
    scene, opinion = scene_of(), Opinion()
    sample = Sample(opinion)
    scene.accept("anna")
    (flight,) = scene.send("anna")
    for _ in range(10 * EVERY):
        assert sample.left([flight], NOON)
    assert (sample.checked, sample.violations, len(opinion.asked)) == (10, 0, 10)


def test_a_violation_is_told_and_counted() -> None:
    scene = scene_of()
    sample = Sample(Opinion(answer=True))
    scene.accept("anna")
    flights = scene.send("anna") * EVERY
    assert not sample.left(flights, NOON)
    assert (sample.checked, sample.violations) == (1, 1)


def test_an_alarm_may_leave_in_rest_and_what_it_takes_along_may_not() -> None:
    scene, opinion = scene_of(), Opinion()
    scene.accept("anna", name="alarm")
    assert Sample(opinion).left(scene.send("anna") * EVERY, NOON)
    assert opinion.asked == []
    scene.register("bert")
    scene.rest("bert", nightly())
    scene.accept("bert")
    scene.accept("bert", name="alarm")
    Sample(opinion).left(scene.send("bert") * EVERY, NOON)
    assert opinion.asked == ["message"]


@pytest.mark.parametrize("wakes", [("always",), ()])
def test_those_without_rules_and_devices_that_are_always_woken_are_passed_over(wakes: tuple[str, ...]) -> None:
    scene, opinion = scene_of(*wakes), Opinion()
    if not wakes:
        scene.register("bert")
    user = "anna" if wakes else "bert"
    scene.accept(user)
    sample = Sample(opinion)
    assert sample.left(scene.send(user) * EVERY, NOON)
    assert sample.checked == 0
    scene.register("carl")
    scene.rest("carl", nightly())
    scene.accept("carl")
    assert sample.left(scene.send("carl"), NOON)
    assert sample.checked == 1, "the next one that can be checked is"


@pytest.mark.parametrize("fault", [RelayError("does not open"), ValueError("no document")])
def test_a_document_that_cannot_be_read_is_no_violation(fault: Exception) -> None:
    scene = scene_of()
    sample = Sample(Opinion(fault))
    scene.accept("anna")
    assert sample.left(scene.send("anna") * EVERY, NOON)
    assert (sample.checked, sample.violations) == (0, 0)


# --- in the relay


@virtual
async def test_the_relay_checks_what_it_sends_by_the_stored_documents() -> None:
    async with world() as w:
        users = await w.crowd(150)
        for user in users:
            await w.rest(user, nightly() | {"timezone": "Europe/Berlin"})
        await w.post(*users)
        await w.pass_time(5)
        assert w.relay.sample.checked >= 1
        assert w.relay.sample.violations == 0


@virtual
async def test_a_table_that_errs_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """The very case it is there for: everybody looks reachable to the gate."""
    monkeypatch.setattr(table.RestTable, "at", lambda _self, _now: Rest(False, None, None))
    async with world() as w:
        users = await w.crowd(150)
        for user in users:
            await w.rest(user, {"windows": [{"kind": "weekly", "start": "11:00", "end": "14:00"}]})
        await w.post(*users)
        await w.pass_time(5)
        assert w.relay.sample.violations == w.relay.sample.checked >= 1
