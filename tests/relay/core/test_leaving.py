"""A person leaves: everything that is kept of them goes in one commit, and what comes later finds nothing."""

from __future__ import annotations

import pytest

from relay.core import accepting, editing, settling
from relay.core.admitting import Admission, issue, visit
from relay.core.books import Account
from relay.core.draft import Draft
from relay.core.errors import NotFound
from relay.core.events import Accepted
from relay.core.flight import Fate, Settlement
from relay.core.passes import Look, PassKind
from relay.core.private import PassKey
from relay.loading import restore
from relay.store.memory import MemoryStore
from tests.relay.core.scene import DAY, HOUR, NOON, Scene, endless, nightly, registration_of, tenant


def scene_of(*users: str, now: float = NOON) -> Scene:
    """People with a phone, a tablet and a nightly rest."""
    scene = Scene(now=now)
    for user in users or ("anna", "bert"):
        scene.register(user)
        scene.register(user, "tablet")
        scene.rest(user, nightly())
    return scene


def test_nothing_is_left_in_memory_and_the_batch_says_so_to_the_store() -> None:
    scene = scene_of()
    scene.accept("anna", "bert")
    scene.accept("anna", name="roster")
    anna, person = scene.key("anna"), scene.person("anna")
    revision = scene.people.revision
    scene.forget("anna")
    assert set(scene.people.by_key) == {scene.key("bert")}
    assert {owner for owner, _ in scene.people.tokens.values()} == {scene.key("bert")}
    assert (person.devices, person.phones, person.slots, person.rest, person.table) == ({}, (), {}, None, None)
    batch = scene.batches[-1]
    assert batch.people == {anna: None}
    assert set(batch.devices.values()) == {(anna, None)}
    assert len(batch.devices) == 2
    assert batch.rests == {anna: None}
    assert batch.slots == {(anna, "message"): None, (anna, "roster"): None}
    assert batch.feedback == [], "the backend asked for it"
    assert batch.revision > revision, "other nodes must learn of it"


def test_passes_and_visits_go_along_those_of_the_same_batch_too() -> None:
    """Who comes back in that batch begins without any."""
    scene = scene_of()
    anna, bert = scene.key("anna"), scene.key("bert")
    for number, user in enumerate((anna, bert)):
        scene.do(lambda draft, user=user, n=number: issue(draft, scene.home, user, PassKind.TOKEN, key_of(n)))  # type: ignore[misc]
    scene.do(lambda draft: issue(draft, scene.home, anna, PassKind.SUPPORT, key_of(2)))
    with scene.draft() as draft:
        for user in (anna, bert):
            issue(draft, scene.home, user, PassKind.SUPPORT, key_of(3 + (user == bert)))
        assert visit(draft, scene.home, anna, key_of(3), "help", Look.REST) is Admission.ADMITTED
        assert visit(draft, scene.home, bert, key_of(4), "help", Look.REST) is Admission.ADMITTED
        editing.delete_user(draft, scene.home, anna)
        editing.put_device(draft, scene.home, registration_of(scene.home, "anna", "phone", "t"))
        assert draft.passes_of(anna) == {}
    batch = scene.batches[-1]
    assert [record.user for record in batch.visits] == [bert]
    assert batch.forgotten == {anna}
    assert [key for key, known in batch.passes.items() if known is None] == [key_of(2), key_of(3), key_of(0)]
    assert scene.people.passes.by_key.keys() == {key_of(1), key_of(4)}
    assert scene.person("anna").devices


def key_of(number: int) -> PassKey:
    return PassKey(number.to_bytes(16, "big"))


def test_what_is_pending_is_booked_as_cancelled_and_nothing_else() -> None:
    scene = scene_of()
    scene.accept("anna", "bert")
    scene.took(scene.send("anna")[0])
    scene.accept("anna")
    scene.accept("anna", "anna", name="alarm")
    scene.forget("anna")
    assert scene.account() == Account(accepted=3, woken=1, cancelled=1)
    assert scene.account("alarm") == Account(accepted=2, cancelled=2)
    assert scene.person("bert").slots["message"].n == 1


def test_somebody_with_a_rest_and_no_device_can_be_forgotten() -> None:
    scene = Scene()
    scene.rest("anna", endless())
    scene.forget("anna")
    assert not scene.people.by_key
    assert scene.batches[-1].rests == {scene.key("anna"): None}


def test_somebody_without_rest_leaves_no_mark_of_one() -> None:
    scene = Scene()
    scene.register("anna")
    scene.forget("anna")
    assert scene.batches[-1].rests == {}


def test_who_is_unknown_is_not_found_also_a_second_time_and_for_another_tenant() -> None:
    scene = Scene(tenant("city"), tenant("county"))
    scene.register("anna")
    county = scene.tenants["county"]
    for home, user in ((scene.home, "nobody"), (county, "anna")):
        with pytest.raises(NotFound), scene.draft() as draft:
            editing.delete_user(draft, home, scene.key(user))
    with scene.draft() as draft:
        editing.delete_user(draft, scene.home, scene.key("anna"))
        with pytest.raises(NotFound):
            editing.delete_user(draft, scene.home, scene.key("anna"))
    with pytest.raises(NotFound):
        scene.forget("anna")


def test_a_dropped_draft_forgets_nobody() -> None:
    scene = scene_of()
    scene.accept("anna")
    editing.delete_user(Draft(scene.people, scene.now, scene.tables), scene.home, scene.key("anna"))
    assert (len(scene.person("anna").devices), scene.slot("anna").n, scene.person("anna").gone) == (2, 1, False)


@pytest.mark.parametrize("fate", [None, *Fate])
def test_a_verdict_that_comes_later_books_nothing(fate: Fate | None) -> None:
    scene = scene_of()
    scene.accept("anna")
    flight, _ = scene.send("anna")
    scene.forget("anna")
    before = scene.account()
    if fate is None:
        scene.took(flight)
    else:
        scene.say(fate, flight, not_before=NOON + 60, dead_since=NOON)
    batch = scene.batches[-1]
    assert batch.is_empty
    assert scene.account() == before == Account(accepted=1, cancelled=1)


@pytest.mark.parametrize("fate", [None, *Fate])
def test_a_verdict_for_who_left_does_not_touch_who_came_after_with_the_same_name_and_token(fate: Fate | None) -> None:
    """Same keys, same token, and something pending: still another person."""
    scene = scene_of("anna")
    scene.accept("anna")
    flight, _ = scene.send("anna")
    scene.forget("anna")
    scene.register("anna")
    scene.accept("anna")
    (new,) = scene.send("anna")
    person = scene.person("anna")
    if fate is None:
        scene.took(flight)
    else:
        scene.say(fate, flight, not_before=NOON + 60, dead_since=NOON + 1)
    assert scene.person("anna") is person
    assert person.flights == {new.device.key: new}
    assert (scene.device("anna").attempt, scene.slot("anna").n) == (0, 1)
    scene.took(new)
    assert scene.account() == Account(accepted=2, cancelled=1, woken=1)


def test_those_whose_next_wakeup_is_worked_out_are_the_living() -> None:
    """The verdicts of the one who left and of the one who came share a commit, in either order."""
    for order in (1, -1):
        scene = scene_of("anna")
        scene.accept("anna")
        old, _ = scene.send("anna")
        scene.forget("anna")
        scene.register("anna")
        scene.accept("anna")
        (new,) = scene.send("anna")
        draft = Draft(scene.people, scene.now, scene.tables)
        settling.settle(draft, [Settlement(f, Fate.RETRY, "busy", NOON + 9) for f in [old, new][::order]])
        assert draft.apply() == [scene.person("anna")]


def test_a_wakeup_that_is_queued_does_not_leave() -> None:
    scene = scene_of()
    scene.accept("anna")
    flights = scene.queue("anna")
    scene.forget("anna")
    assert [scene.leave(flight) for flight in flights] == [False, False]


def test_an_expiry_that_comes_later_books_nothing() -> None:
    scene = scene_of()
    scene.accept("anna")
    person = scene.person("anna")
    scene.forget("anna")
    scene.register("anna")
    scene.accept("anna")
    scene.now = NOON + 30 * DAY
    scene.do(lambda draft: settling.expire(draft, person, "message"))
    assert scene.slot("anna").n == 1
    assert scene.account() == Account(accepted=2, cancelled=1)


def test_the_heap_finds_nothing_to_do_for_who_left() -> None:
    scene = scene_of(now=NOON + 11 * HOUR)
    scene.accept("anna")
    person = scene.person("anna")
    scene.forget("anna")
    assert not person.slots


def test_who_left_and_came_back_in_one_commit_has_what_came_after() -> None:
    scene = scene_of("anna")
    scene.accept("anna")
    before = scene.person("anna")
    flights = scene.send("anna")
    registration = registration_of(scene.home, "anna", "phone", "anna/phone")
    with scene.draft() as draft:
        editing.delete_user(draft, scene.home, scene.key("anna"))
        assert editing.put_device(draft, scene.home, registration) == (True, 0), "no trace of the one who left"
        editing.put_rest(draft, scene.home, scene.key("anna"), b"id", b"{}", None)
    person = scene.person("anna")
    assert person is not before
    assert (before.gone, before.devices, person.gone) == (True, {}, False)
    assert list(person.devices) == [scene.device_key("anna")]
    assert (person.slots, person.flights) == ({}, {})
    assert person.rest is not None
    assert scene.people.tokens == {registration.token_hash: (person.key, registration.device)}
    scene.took(*flights)
    assert scene.account() == Account(accepted=1, cancelled=1)


def test_who_came_and_left_in_one_commit_never_was() -> None:
    scene = Scene()
    with scene.draft() as draft:
        editing.put_device(draft, scene.home, registration_of(scene.home, "anna", "phone", "token"))
        editing.delete_user(draft, scene.home, scene.key("anna"))
        settling.seen(draft, scene.home, [(scene.key("anna"), NOON)], {scene.key("anna"): NOON + 60})
    assert (scene.people.by_key, scene.people.tokens) == ({}, {})


def test_a_read_marker_in_the_commit_that_forgets_is_no_error() -> None:
    scene = scene_of()
    scene.accept("anna")
    anna = scene.key("anna")
    with scene.draft() as draft:
        settling.seen(draft, scene.home, [(anna, NOON)], {anna: NOON + 60})
        editing.delete_user(draft, scene.home, anna)
        settling.seen(draft, scene.home, [(anna, NOON)], {anna: NOON + 60})
    assert scene.account() == Account(accepted=1, cancelled=1)


def test_an_event_and_a_verdict_in_the_commit_that_forgets_are_booked() -> None:
    """In the order of a batch: accepts, settles, edits."""
    scene = scene_of()
    scene.accept("anna")
    flight, _ = scene.send("anna")
    with scene.draft() as draft:
        assert accepting.accept(draft, scene.home, [scene.event("anna")], None) == Accepted(1, 0)
        settling.settle_accepted(draft, [flight])
        editing.delete_user(draft, scene.home, scene.key("anna"))
    assert scene.account() == Account(accepted=2, woken=1, cancelled=1)
    assert scene.accept("anna") == Accepted(0, 1)


def test_a_token_is_free_again() -> None:
    scene = scene_of()
    scene.forget("anna")
    assert scene.register("carl", token="anna/phone") == (True, 0)


def test_a_restart_after_it_knows_nobody() -> None:
    scene = scene_of("anna")
    scene.accept("anna")
    scene.forget("anna")
    store = MemoryStore()
    for batch in scene.batches:
        batch.epoch = store.load().epoch
        store.commit(batch)
    people = type(scene.people)(scene.tenants)
    restore(people, store.load())
    assert (people.by_key, people.tokens) == ({}, {})
    assert people.books.balance(people.pending()) == []
