"""Exactly these devices: what a list creates, keeps and deletes, and what becomes of what is pending."""

from __future__ import annotations

from relay.core import editing
from relay.core.batch import Parting
from relay.core.books import Account
from relay.core.editing import Replaced
from relay.core.flight import Fate
from tests.relay.core.scene import NOON, Scene, phones, registration_of

Lists = dict[str, dict[str, str]]
"""user → device → token"""


def put(scene: Scene, lists: Lists) -> Replaced:
    listed = {
        scene.key(user): [registration_of(scene.home, user, device, token) for device, token in devices.items()]
        for user, devices in lists.items()
    }
    return scene.do(lambda draft: editing.put_devices(draft, scene.home, listed))


def tokens(scene: Scene) -> Lists:
    """Who has which token, by the index; and the devices themselves must say the same."""
    names = {scene.home.pseudonyms.token("ios", t): t for t in ("A", "B", "C", "D")}
    keys = {scene.key(u): u for u in ("anna", "bert")}
    found: Lists = {}
    for token, (user, device) in scene.people.tokens.items():
        assert scene.people.by_key[user].devices[device].token_hash == token
        ids = {scene.device_key(keys[user], d): d for d in ("phone", "tablet", "watch", "pc")}
        found.setdefault(keys[user], {})[ids[device]] = names[token]
    return found


def told(scene: Scene) -> list[Parting]:
    return [record.parting for batch in scene.batches for record in batch.feedback]


def test_a_list_creates_refreshes_and_deletes() -> None:
    scene = Scene()
    put(scene, {"anna": {"phone": "A", "tablet": "B"}})
    scene.now += 5
    assert put(scene, {"anna": {"phone": "A", "watch": "C"}, "bert": {"phone": "D"}}) == Replaced(2, 1, 1)
    assert tokens(scene) == {"anna": {"phone": "A", "watch": "C"}, "bert": {"phone": "D"}}
    assert scene.device("anna").registered_at == NOON + 5
    assert told(scene) == [], "the backend knows what it did not list"


def test_the_same_list_again_changes_nobody() -> None:
    scene = Scene()
    lists = {"anna": {"phone": "A", "tablet": "B"}, "bert": {"pc": ""}}
    assert put(scene, lists) == Replaced(3, 0, 0)
    assert put(scene, lists) == Replaced(0, 3, 0)
    assert told(scene) == []


def test_an_empty_list_deletes_all_and_makes_nobody() -> None:
    scene = Scene()
    put(scene, {"anna": {"phone": "A"}})
    scene.accept("anna")
    assert put(scene, {"anna": {}, "bert": {}}) == Replaced(0, 0, 1)
    assert (set(scene.people.by_key), tokens(scene)) == ({scene.key("anna")}, {})
    assert scene.account() == Account(accepted=1, undeliverable=1)


def test_tokens_change_places_and_nobody_is_told_that_they_moved() -> None:
    """Feedback would make the backend forget what it has just listed."""
    scene = Scene()
    put(scene, {"anna": {"phone": "A", "tablet": "B"}, "bert": {"phone": "C"}})
    lists = {"anna": {"phone": "B", "tablet": "C"}, "bert": {"phone": "A"}}
    assert put(scene, lists) == Replaced(0, 3, 0)
    assert (tokens(scene), told(scene)) == (lists, [])


def test_the_token_of_a_device_that_leaves_goes_to_one_that_comes_in_either_order() -> None:
    for order in (("anna", "bert"), ("bert", "anna")):
        scene = Scene()
        put(scene, {"anna": {"phone": "A"}})
        after: Lists = {"anna": {}, "bert": {"phone": "A"}}
        assert put(scene, {user: after[user] for user in order}) == Replaced(1, 0, 1)
        assert (tokens(scene), told(scene)) == ({"bert": {"phone": "A"}}, [])


def test_a_token_of_somebody_who_is_not_listed_moves_and_is_told() -> None:
    scene = Scene()
    put(scene, {"anna": {"phone": "A"}})
    assert put(scene, {"bert": {"phone": "A"}}) == Replaced(1, 0, 0)
    assert (tokens(scene), told(scene)) == ({"bert": {"phone": "A"}}, [Parting.MOVED])


def test_what_is_pending_is_owed_to_the_new_devices() -> None:
    """Every device is replaced: for no moment is there nobody to deliver to."""
    scene = Scene()
    put(scene, {"anna": {"phone": "A"}})
    scene.accept("anna")
    put(scene, {"anna": {"tablet": "B"}})
    assert scene.account() == Account(accepted=1)
    assert phones(scene.send("anna"), scene, "anna", "tablet")


def test_a_known_token_keeps_its_back_off_and_a_new_one_has_none() -> None:
    scene = Scene()
    put(scene, {"anna": {"phone": "A", "tablet": "B"}})
    scene.accept("anna")
    scene.say(Fate.RETRY, *scene.send("anna"), not_before=NOON + 60)
    put(scene, {"anna": {"phone": "A", "tablet": "C"}})
    assert (scene.device("anna").attempt, scene.device("anna", "tablet").attempt) == (1, 0)


def test_a_full_list_replaces_a_full_one_without_eviction() -> None:
    scene = Scene()
    put(scene, {"anna": {"phone": "A", "tablet": "B", "watch": "C"}})
    assert put(scene, {"anna": {"pc": "", "tablet": "D", "watch": "A"}}) == Replaced(1, 2, 1)
    assert (tokens(scene), told(scene)) == ({"anna": {"tablet": "D", "watch": "A"}}, [])


def test_a_phone_that_becomes_a_pc_gives_its_token_back() -> None:
    scene = Scene()
    put(scene, {"anna": {"phone": "A"}})
    scene.accept("anna")
    put(scene, {"anna": {"phone": ""}})
    assert tokens(scene) == {}
    assert scene.account() == Account(accepted=1, undeliverable=1)
