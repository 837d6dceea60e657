"""Erasing once more, in a state of before: as if it had been done for the first time, and nobody else is touched."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from relay.core import editing, settling
from relay.core.admitting import Admission, end, issue, redeem, visit
from relay.core.batch import Parting
from relay.core.books import Account
from relay.core.draft import Draft
from relay.core.erasing import KINDS, Erased, erase, erased_by
from relay.core.passes import Look, PassKind
from relay.core.private import PassKey
from tests.relay.core.scene import Scene, nightly, registration_of


def scene_of(*users: str) -> Scene:
    """People with a phone, a tablet, a nightly rest, a token, a visit and something pending."""
    scene = Scene()
    for number, user in enumerate(users):
        scene.register(user)
        scene.register(user, "tablet")
        scene.rest(user, nightly())
        key = scene.key(user)
        scene.do(lambda draft, key=key, n=number: issue(draft, scene.home, key, PassKind.TOKEN, pass_key(n)))  # type: ignore[misc]
        scene.do(lambda draft, key=key, n=number: issue(draft, scene.home, key, PassKind.SUPPORT, pass_key(50 + n)))  # type: ignore[misc]
        with scene.draft() as draft:
            assert visit(draft, scene.home, key, pass_key(50 + number), "help", Look.REST) is Admission.ADMITTED
        scene.accept(user)
    return scene


def pass_key(number: int) -> PassKey:
    return PassKey(number.to_bytes(16, "big"))


def before_and_after(users: Sequence[str], *operations: Callable[[Scene], object]) -> tuple[Scene, Erased]:
    """A scene as a backup has it, and what is erased afterwards, in one that was the same."""
    backup, scene = scene_of(*users), scene_of(*users)
    first = len(scene.batches)
    for operation in operations:
        operation(scene)
    erased = Erased()
    for batch in scene.batches[first:]:
        erased |= erased_by(batch)
    return backup, erased


def erased_again(backup: Scene, erased: Erased) -> Draft:
    with backup.draft() as draft:
        erase(draft, erased)
    return draft


def test_a_deleted_person_is_gone_again_and_the_books_balance() -> None:
    backup, erased = before_and_after(["anna", "bert"], lambda scene: scene.forget("anna"))
    anna, bert = backup.key("anna"), backup.key("bert")
    assert erased.users == {anna}
    assert (erased.devices, erased.rests, erased.visits) == (frozenset(), frozenset(), frozenset())
    batch = erased_again(backup, erased).batch
    assert set(backup.people.by_key) == {bert}
    assert {owner for owner, _ in backup.people.tokens.values()} == {bert}
    assert {known.user for known in backup.people.passes.by_key.values()} == {bert}
    assert (batch.forgotten, batch.feedback) == ({anna}, [])
    assert backup.account() == Account(accepted=2, cancelled=1)


def test_a_deleted_device_is_gone_again_and_what_waits_for_the_other_waits() -> None:
    backup, erased = before_and_after(["anna"], lambda scene: scene.unregister("anna", "tablet"))
    assert erased == Erased(devices=frozenset({backup.device_key("anna", "tablet")}))
    batch = erased_again(backup, erased).batch
    assert set(backup.person("anna").devices) == {backup.device_key("anna")}
    assert (backup.slot("anna").n, batch.feedback) == (1, [])


def test_with_the_last_phone_what_waits_cannot_be_delivered() -> None:
    backup, erased = before_and_after(
        ["anna"], lambda scene: scene.unregister("anna"), lambda scene: scene.unregister("anna", "tablet")
    )
    erased_again(backup, erased)
    assert (backup.person("anna").slots, backup.account()) == ({}, Account(accepted=1, undeliverable=1))


def test_a_list_of_devices_erases_those_that_are_not_in_it() -> None:
    def replace(scene: Scene) -> None:
        listed = {scene.key("anna"): [registration_of(scene.home, "anna", "watch", "w")]}
        scene.do(lambda draft: editing.put_devices(draft, scene.home, listed))

    backup, erased = before_and_after(["anna"], replace)
    assert erased.devices == {backup.device_key("anna"), backup.device_key("anna", "tablet")}
    erased_again(backup, erased)
    assert backup.person("anna").devices == {}, "the new one was not in the backup"


def test_a_rest_document_and_a_token_are_gone_again() -> None:
    anna = scene_of("anna").key("anna")
    backup, erased = before_and_after(
        ["anna"],
        lambda scene: scene.do(lambda draft: editing.delete_rest(draft, scene.home, anna, None)),
        lambda scene: scene.do(lambda draft: end(draft, anna, PassKind.TOKEN)),
    )
    assert erased == Erased(rests=frozenset({anna}), passes=frozenset({pass_key(0)}))
    erased_again(backup, erased)
    assert backup.person("anna").rest is None
    assert set(backup.people.passes.by_key) == {pass_key(50)}


def test_a_link_that_was_used_is_used() -> None:
    def give(scene: Scene) -> None:
        scene.do(lambda draft: issue(draft, scene.home, scene.key("anna"), PassKind.LINK, pass_key(7)))

    def use(scene: Scene) -> None:
        scene.do(lambda draft: redeem(draft, pass_key(7), pass_key(8)))

    backup, erased = before_and_after(["anna"], give, use)
    give(backup)
    erased_again(backup, erased)
    assert set(backup.people.passes.by_key) == {pass_key(0), pass_key(50)}


def test_forgotten_visits_are_forgotten_again() -> None:
    backup = scene_of("anna")
    draft = erased_again(backup, Erased(visits=frozenset({backup.key("anna"), backup.key("nobody")})))
    assert draft.batch.forgotten == {backup.key("anna")}


def test_who_came_back_in_the_same_commit_is_gone_as_before() -> None:
    def again(scene: Scene) -> None:
        with scene.draft() as draft:
            editing.delete_user(draft, scene.home, scene.key("anna"))
            editing.put_device(draft, scene.home, registration_of(scene.home, "anna", "phone", "new"))

    backup, erased = before_and_after(["anna"], again)
    assert erased.users == {backup.key("anna")}
    erased_again(backup, erased)
    assert backup.people.by_key == {}


def test_a_device_that_died_was_not_erased() -> None:
    def die(scene: Scene) -> None:
        person = scene.person("anna")
        scene.do(lambda draft: settling.part(draft, person, scene.device("anna"), Parting.DEAD, "Unregistered"))

    _, erased = before_and_after(["anna"], die)
    assert not erased


def test_what_is_replaced_was_not_erased() -> None:
    _, erased = before_and_after(
        ["anna"],
        lambda scene: scene.rest("anna", nightly(20)),
        lambda scene: scene.register("anna", token="another"),
    )
    assert not erased


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_not_there_is_no_error(kind: str) -> None:
    backup = scene_of("anna")
    draft = erased_again(backup, Erased(**{kind: frozenset({b"nobody of theirs"})}))  # type: ignore[arg-type]
    assert draft.batch.is_empty
    assert set(backup.people.by_key) == {backup.key("anna")}
