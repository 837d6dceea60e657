"""DELETE /v1/users/{user} over HTTP, with the real working set behind."""

from __future__ import annotations

from trio.testing import MockClock

from relay.core.books import Account
from relay.store.port import StoreError
from tests.relay.doors.house import NIGHT, NOON, House, open_house, tenant, usual_keys

ANNA = "/v1/users/anna"


async def test_a_user_is_gone_with_everything_in_one_commit(house: House, autojump_clock: MockClock) -> None:
    await house.register("anna")
    await house.register("anna", "tablet")
    await house.register("bert")
    await house.ask("PUT", f"{ANNA}/rest", NIGHT, key="rest")
    await house.post({"users": ["anna", "bert"]})
    commits = house.store.commits
    answer = await house.ask("DELETE", ANNA, key="devices")
    assert (answer.status, answer.body) == (204, b"")
    assert house.store.commits == commits + 1
    assert house.account() == Account(accepted=2, cancelled=1)
    assert house.person("anna") is None
    kept = house.store.load()
    bert = house.tenants["north"].pseudonyms.user("bert")
    assert (set(kept.people), kept.rests, {key for key, _ in kept.slots}) == ({bert}, {}, {bert})
    assert {device.user for device in kept.devices.values()} == {bert}
    assert list(house.store.feedback("north", 0, 10)) == []


async def test_after_it_nothing_is_found_and_events_count_as_unknown(house: House, autojump_clock: MockClock) -> None:
    await house.register("anna")
    await house.ask("PUT", f"{ANNA}/rest", NIGHT, key="rest")
    await house.ask("DELETE", ANNA, key="devices")
    for method, target, key in (
        ("DELETE", ANNA, "devices"),
        ("GET", f"{ANNA}/devices/phone", "devices"),
        ("DELETE", f"{ANNA}/rest", "rest"),
        ("POST", f"{ANNA}/link", "rest"),
    ):
        answer = await house.ask(method, target, key=key)
        assert (answer.status, answer.json["type"]) == (404, "/problems/not-found")
    assert (await house.post({"user": "anna"})).json == {"accepted": 0, "unknown": 1}
    assert (await house.ask("POST", "/v1/seen", {"user": "anna"}, key="backend")).status == 202


async def test_who_comes_back_begins_anew(house: House, autojump_clock: MockClock) -> None:
    await house.register("anna")
    await house.ask("PUT", f"{ANNA}/rest", NIGHT, key="rest")
    await house.ask("DELETE", ANNA, key="devices")
    assert (await house.register("anna")).status == 201
    assert (await house.read_rest("anna")).status == 404
    assert (await house.post({"user": "anna"})).json == {"accepted": 1, "unknown": 0}


async def test_a_tenant_deletes_its_own_user_of_that_name(autojump_clock: MockClock) -> None:
    owners = [tenant("north"), tenant("south")]
    async with open_house(tenants=owners, keys=[*usual_keys(owners[0]), *usual_keys(owners[1], "s-")]) as house:
        await house.register("anna")
        assert (await house.ask("DELETE", ANNA, key="s-devices")).status == 404
        await house.register("anna", key="s-devices")
        assert (await house.ask("DELETE", ANNA, key="s-devices")).status == 204
        assert house.person("anna", "south") is None
        assert house.person("anna", "north") is not None


async def test_what_the_store_refuses_is_not_forgotten(house: House, autojump_clock: MockClock) -> None:
    await house.register("anna")
    await house.post({"user": "anna"})
    before = house.snapshot()
    house.store.fail_next = StoreError("disk full")
    assert (await house.ask("DELETE", ANNA, key="devices")).status == 503
    assert house.snapshot() == before
    assert (await house.ask("DELETE", ANNA, key="devices")).status == 204


async def test_feedback_about_devices_that_left_before_is_still_told(house: House, autojump_clock: MockClock) -> None:
    """The backend may not have read it, and deletes nothing it does not know of."""
    await house.register("anna", token="ab" * 32)
    await house.register("bert", token="ab" * 32)
    await house.ask("DELETE", ANNA, key="devices")
    (told,) = (await house.ask("GET", "/v1/feedback", key="devices")).json["devices"]
    assert (told["user"], told["device"], told["why"], told["at"]) == ("anna", "phone", "moved", NOON)
