"""A draft changes nothing until it is applied; what it reads, it reads as it will leave it."""

from __future__ import annotations

from copy import deepcopy

import pytest

from relay.core import editing, settling
from relay.core.accepting import accept
from relay.core.batch import Batch, Remembered
from relay.core.books import Account
from relay.core.draft import Draft
from relay.core.events import Accepted, Request
from relay.core.flight import Fate, Flight, Settlement
from relay.core.people import People
from tests.relay.core.scene import NOON, Scene, nightly, registration_of


def everything(people: People) -> object:
    """All that a commit may change, by value."""
    persons = {
        key: (p.devices, p.phones, p.slots, p.rest, p.sealed_id, set(p.flights), p.hold.until, p.hold.step)
        for key, p in people.by_key.items()
    }
    books = {key: account for key, account in people.books.accounts.items() if account != Account()}
    counters = people.generation, people.revision, people.feedback_seq
    answered = people.remembered, people.receipts
    return deepcopy((persons, people.tokens, answered, books, people.bypasses, counters))


def busy() -> tuple[Scene, list[Flight]]:
    """Anna and Bert with wakeups in the air, and something pending since."""
    scene = Scene()
    for user in ("anna", "bert"):
        for device in ("phone", "tablet"):
            scene.register(user, device)
        scene.rest(user, nightly())
    scene.accept("anna", "bert")
    flights = [*scene.send("anna"), *scene.send("bert")]
    scene.accept("anna", "bert", name="alarm")
    scene.accept("anna", name="roster")
    return scene, flights


def everything_at_once(scene: Scene, flights: list[Flight]) -> Draft:
    draft = Draft(scene.people, scene.now, scene.tables)
    accept(
        draft, scene.home, [scene.event("anna", "bert"), scene.event("anna", name="alarm")], Request(b"key", b"body")
    )
    settling.settle_accepted(draft, flights[:1])
    settling.settle(draft, [Settlement(flights[1], Fate.RETRY, "busy", NOON + 10)])
    settling.settle(
        draft, [Settlement(flights[2], Fate.DEAD, "Unregistered"), Settlement(flights[3], Fate.GIVE_UP, "bug")]
    )
    settling.seen(draft, scene.home, [(scene.key("anna"), scene.now)])
    editing.put_device(draft, scene.home, registration_of(scene.home, "anna", "phone", "bert/tablet"))
    editing.put_device(draft, scene.home, registration_of(scene.home, "carl", "phone", "carl/phone"))
    editing.delete_rest(draft, scene.home, scene.key("anna"), None)
    return draft


def test_a_draft_that_is_dropped_leaves_no_trace() -> None:
    scene, flights = busy()
    before = everything(scene.people)
    draft = everything_at_once(scene, flights)
    assert not draft.batch.is_empty
    assert everything(scene.people) == before


def test_a_draft_that_is_applied_is_true_and_balances() -> None:
    scene, flights = busy()
    touched = everything_at_once(scene, flights).apply()
    people = scene.people
    assert people.books.balance(people.pending()) == []
    assert {person.key for person in touched} == {scene.key(user) for user in ("anna", "bert", "carl")}
    assert set(people.by_key) == {scene.key(user) for user in ("anna", "bert", "carl")}
    assert scene.person("anna").flights == {}
    assert scene.person("bert").flights == {}
    _earlier, receipt = people.receipts
    assert people.remembered == {b"key": Remembered(b"body", Accepted(3, 0, receipt), NOON)}
    assert len(people.bypasses) == 1


def test_the_batch_holds_the_state_after_it_and_only_what_it_touched() -> None:
    scene, _ = busy()
    scene.accept("bert")
    batch = scene.batches[-1]
    assert set(batch.slots) == {(scene.key("bert"), "message")}
    assert batch.accounts == {("city", "message"): scene.account()}
    assert not any((batch.people, batch.devices, batch.rests, batch.requests, batch.bypasses, batch.feedback))


def test_counters_are_high_water_marks() -> None:
    scene, _ = busy()
    generation, revision = scene.people.generation, scene.people.revision
    scene.accept("anna")
    assert scene.batches[-1].generation == scene.people.generation == generation + 1
    assert scene.batches[-1].revision == revision
    scene.register("anna")
    assert scene.batches[-1].revision == scene.people.revision == revision + 1


def test_feedback_is_numbered_without_gaps_also_across_drafts_that_were_dropped() -> None:
    scene, flights = busy()
    everything_at_once(scene, flights)
    scene.say(Fate.DEAD, *flights)
    scene.register("anna")
    scene.register("bert", token="anna/phone")
    numbers = [record.seq for batch in scene.batches for record in batch.feedback]
    assert numbers == list(range(1, 6))


def test_what_is_copied_for_a_draft_is_not_what_the_dispatcher_sees() -> None:
    scene, _ = busy()
    draft = Draft(scene.people, scene.now, scene.tables)
    slot = draft.slot(scene.person("anna"), "message")
    assert slot is not None
    assert slot is not scene.slot("anna")
    assert draft.slot(scene.person("anna"), "message") is slot
    assert draft.account(("city", "message")) is not scene.account()


def test_a_slot_the_draft_has_ended_is_gone_for_it() -> None:
    scene, _ = busy()
    draft = Draft(scene.people, scene.now, scene.tables)
    draft.end_slot(scene.person("anna"), "message")
    assert draft.slot(scene.person("anna"), "message") is None
    assert [name for name, _ in draft.slots_of(scene.person("anna"))] == ["alarm", "roster"]
    assert set(scene.person("anna").slots) == {"message", "alarm", "roster"}


def test_a_slot_of_a_class_that_is_configured_no_longer_is_found() -> None:
    scene, _ = busy()
    person = scene.person("anna")
    person.slots["gone"] = person.slots.pop("roster")
    draft = Draft(scene.people, scene.now, scene.tables)
    assert [name for name, _ in draft.slots_of(person)] == ["alarm", "gone", "message"]


def test_a_person_made_in_a_draft_is_found_by_it_and_not_by_others() -> None:
    scene = Scene()
    draft = Draft(scene.people, scene.now, scene.tables)
    carl = draft.person(scene.home, scene.key("carl"), b"id")
    assert draft.find(scene.key("carl")) is carl
    assert draft.person(scene.home, scene.key("carl"), b"other") is carl
    assert scene.key("carl") not in scene.people.by_key


@pytest.mark.parametrize(
    "change",
    ["slots", "people", "devices", "rests", "requests", "bypasses", "feedback"],
)
def test_a_batch_with_any_record_is_worth_a_commit(change: str) -> None:
    batch = Batch(NOON)
    assert batch.is_empty
    held = getattr(batch, change)
    if isinstance(held, list):
        held.append(None)
    else:
        held["key"] = None
    assert not batch.is_empty


def test_a_batch_with_new_counters_only_is_worth_none() -> None:
    assert Batch(NOON, generation=7, revision=7, accounts={("city", "message"): Account()}).is_empty
