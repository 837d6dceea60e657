"""The force that does not exist: the same for a seed, and its two accounts of who rests agree with each other."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from random import Random

import pytest

import schedules
from relay.simulators.world import BEGINS, ENDS, INCIDENT, LARGE, Officer, World, at


@pytest.fixture(scope="module")
def world() -> World:
    return World(seed=1, officers=2_000)


def test_a_seed_gives_the_same_force_and_the_same_night_each_time() -> None:
    one, other = (World(seed=7, officers=200) for _ in range(2))
    assert one.officers == other.officers
    assert one.groups == other.groups
    assert list(one.night()) == list(other.night())
    assert list(World(seed=8, officers=200).night()) != list(one.night())


@pytest.mark.parametrize("officers", [0, 99, 1_000_001])
def test_a_force_has_a_hundred_to_a_million_officers(officers: int) -> None:
    with pytest.raises(ValueError, match="100 to 1,000,000"):
        World(seed=1, officers=officers)


def test_every_officer_has_one_to_three_devices_and_a_phone(world: World) -> None:
    for officer in world.officers:
        assert 1 <= len(officer.phones) <= 3
        assert any(phone.platform != "none" for phone in officer.phones)
    platforms = Counter(phone.platform for officer in world.officers for phone in officer.phones)
    assert platforms.keys() == {"apns", "fcm", "none"}
    tokens = [phone.token for officer in world.officers for phone in officer.phones if phone.token]
    assert len(tokens) == len(set(tokens)) == world.devices()


def test_all_patterns_of_life_are_there(world: World) -> None:
    patterns = Counter(officer.pattern for officer in world.officers)
    assert patterns.keys() == {"day duty", "cycle", "nights", "leave", "on call", "no rules"}
    assert all(officer.document is None for officer in world.officers if officer.pattern == "no rules")


def test_a_document_says_what_the_plain_intervals_say(world: World) -> None:
    """Two accounts of one life, which share no code: by the minute of the night, and by the relay's evaluation."""
    rng = Random(2)
    for officer in world.officers:
        if officer.document is None:
            continue
        table = schedules.compile_table(schedules.parse(officer.document), BEGINS)
        for _ in range(4):
            instant = int(rng.uniform(BEGINS - 3_600, ENDS + 3_600))
            assert table.at(instant).resting == officer.rests_at(instant), officer.pattern


def test_a_rest_ends_when_the_document_says(world: World) -> None:
    for officer in world.officers[:500]:
        if officer.document is None or not officer.rests_at(BEGINS + 3_600):
            continue
        until = schedules.compile_table(schedules.parse(officer.document), BEGINS).at(BEGINS + 3_600).until
        mine = officer.rest_ends_after(BEGINS + 3_600)
        assert mine == until or (mine is None and until is not None and until > ENDS + 86_400)


def test_the_night_is_in_order_and_within_its_hours(world: World) -> None:
    night = list(world.night())
    assert all(before.t <= after.t for before, after in pairwise(night))
    assert all(BEGINS <= moment.t < ENDS for moment in night)
    assert {moment.event_class for moment in night} == {"message", "roster", "alarm"}
    assert all(0 <= n < len(world.officers) for moment in night for n in moment.recipients)


def test_at_twenty_to_twelve_there_are_alarms_and_much_talk(world: World) -> None:
    night = list(world.night())
    alarms = [moment for moment in night if moment.event_class == "alarm"]
    assert all(at(INCIDENT) <= moment.t <= at(INCIDENT + 15) for moment in alarms)
    around = sum(at(INCIDENT) <= moment.t < at(INCIDENT + 20) for moment in night)
    assert around > 3 * sum(at(INCIDENT - 20) <= moment.t < at(INCIDENT) for moment in night)


def test_nobody_talks_in_a_large_group(world: World) -> None:
    """Something is announced there now and then, and nobody answers."""
    talk = [moment for moment in World(seed=1, officers=10_000).night() if moment.event_class != "alarm"]
    announced = [moment for moment in talk if len(moment.recipients) > LARGE]
    assert 0 < len(announced) < len(talk) / 100
    sizes = [len(moment.recipients) for moment in announced]
    assert all(one != other for one, other in pairwise(sizes))


def test_groups_are_mostly_small_and_some_are_large(world: World) -> None:
    sizes = sorted(len(group) for group in world.groups)
    assert sizes[len(sizes) // 2] <= 5
    assert sizes[-1] >= 30
    assert all(len(set(group)) == len(group) for group in world.groups)


def test_an_officer_does_not_show_tokens_or_rest(world: World) -> None:
    officer: Officer = world.officers[0]
    assert officer.phones[0].token not in repr(officer)
    assert "document" not in repr(officer)
