"""The working set: what is committed, and beside it what need not survive a restart."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from relay.core.batch import Bypass
from relay.core.events import NEVER, Accepted, Request
from relay.core.people import NODES, REQUEST_LIFE, People, Person
from relay.core.private import UserKey
from tests.relay.core.scene import DAY, NOON, Scene, tenant


def test_a_new_person_waits_for_nothing() -> None:
    person = Person(tenant(), UserKey(b"a" * 16), b"id")
    assert (person.devices, person.phones, person.slots, person.flights) == ({}, (), {}, {})
    assert (person.rest, person.table, person.left_generation, person.wake_at) == (None, None, 0, NEVER)


def test_a_person_that_is_printed_says_nothing_of_whom() -> None:
    scene = Scene()
    scene.register("anna")
    scene.accept("anna")
    assert repr(scene.person("anna")) == "<Person of city: 1 devices, 1 slots>"


_OF_THE_YEAR_3000 = 1000 * 366 * 86_400 * 10**6 + int(NOON * 10**6)
_GENERATIONS = st.integers(0, _OF_THE_YEAR_3000)


@given(st.integers(0, 2**40), st.integers(1, NODES - 1), _GENERATIONS, _GENERATIONS)
@example(1, 1, 1_800_000_000_000_000, 1_800_000_000_000_000)
def test_no_number_is_made_by_two_nodes_or_twice_by_one(first: int, later: int, one: int, other: int) -> None:
    made: set[int] = set()
    for node in (first, first + later):
        people = People({})
        people.node = node
        made |= {people.unique(generation) for generation in (one, other)}
    assert len(made) == 2 * len({one, other})
    assert max(made) < 2**63


def test_what_is_pending_is_summed_by_tenant_and_class() -> None:
    city, county = tenant(), tenant("county")
    scene = Scene(city, county)
    for user in ("anna", "bert"):
        scene.register(user)
    scene.register("carl", home=county)
    scene.accept("anna", "bert", "anna")
    scene.accept("anna", name="alarm")
    assert scene.people.pending() == {("city", "message"): 3, ("city", "alarm"): 1}


@pytest.mark.parametrize(("later", "known"), [(REQUEST_LIFE - 1, True), (REQUEST_LIFE, False), (2 * DAY, False)])
def test_remembered_requests_are_forgotten_after_a_day(later: float, known: bool) -> None:
    scene = Scene()
    scene.register("anna")
    assert scene.accept("anna", request=Request(b"key", b"body")) == Accepted(1, 0)
    scene.people.forget(NOON + later)
    assert (b"key" in scene.people.remembered) is known


def test_the_rate_of_piercing_events_takes_bounded_memory() -> None:
    scene = Scene()
    often = Bypass("city", "alarm", NOON, "key", "dispatch", "incident", 0, over_rate=False)
    for _ in range(3):
        scene.people.remember_bypasses([often] * 1000)
        scene.people.remember_bypasses([replace(often, role="staff")])
    assert {key: len(instants) for key, instants in scene.people.bypasses.items()} == {
        ("city", "alarm", "dispatch"): 1000,
        ("city", "alarm", "staff"): 3,
    }
