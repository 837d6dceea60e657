"""Lists of devices over HTTP: exactly these, of one user or of many, all or none; and every fault by position."""

from __future__ import annotations

import pytest
from trio.testing import MockClock

from relay.core.private import Private
from relay.store.port import StoreError
from tests.relay.doors.house import House, open_house, tenant
from tests.relay.doors.http_client import JSON, MSGPACK, Answer

ANNA = "/v1/users/anna/devices"
ALL = "/v1/devices"


def phone(number: int = 0, app: str = "ios") -> dict[str, object]:
    return {"platform": "apns", "app": app, "token": f"{number:064x}"}


PC = {"platform": "none"}


async def put(house: House, target: str, body: object, form: str = JSON) -> Answer:
    return await house.ask("PUT", target, body, key="devices", form=form)


def devices(house: House, user: str) -> dict[str, str]:
    """Devices of a user by the backend's id, with their token as it would be sent."""
    person, records = house.person(user), house.records["north"]
    found: dict[str, str] = {}
    for device in person.devices.values() if person is not None else ():
        user_id, name = records.open_device_ids(device.user, device.key, device.sealed)
        assert user_id == Private(user)
        found[name.reveal()] = records.open_token(device.user, device.key, device.sealed).reveal()
    return found


def counts(answer: Answer) -> tuple[int, int, int]:
    assert answer.status == 200, answer.body
    assert set(answer.json) == {"created", "refreshed", "deleted"}
    return answer.json["created"], answer.json["refreshed"], answer.json["deleted"]


@pytest.mark.parametrize("form", [JSON, MSGPACK])
async def test_the_devices_of_a_user_are_those_listed(house: House, autojump_clock: MockClock, form: str) -> None:
    await house.register("anna", "old")
    answer = await put(house, ANNA, {"devices": {"phone": phone(1), "PC 4 / Büro": PC}}, form)
    assert counts(answer) == (2, 0, 1)
    assert devices(house, "anna") == {"phone": f"{1:064x}", "PC 4 / Büro": ""}
    assert (await house.ask("GET", f"{ANNA}/PC%204%20%2F%20B%C3%BCro", key="devices")).status == 200
    assert (await house.ask("GET", f"{ANNA}/old", key="devices")).status == 404
    assert counts(await put(house, ANNA, {"devices": {}}, form)) == (0, 0, 2)


@pytest.mark.parametrize("form", [JSON, MSGPACK])
async def test_many_users_are_one_commit(house: House, autojump_clock: MockClock, form: str) -> None:
    """As many as there may be; and an event reaches them at once."""
    users: dict[str, object] = {f"user{n}": {"devices": {"phone": phone(n), "pc": PC}} for n in range(5_000)}
    commits = house.store.commits
    assert counts(await put(house, ALL, {"users": users}, form)) == (10_000, 0, 0)
    assert house.store.commits == commits + 1
    assert devices(house, "user4999") == {"phone": f"{4999:064x}", "pc": ""}
    assert (await house.post({"users": [*users]})).json == {"accepted": 5_000, "unknown": 0}


async def test_one_user_too_many_is_413_and_nothing_is_done(house: House, autojump_clock: MockClock) -> None:
    users: dict[str, object] = {f"user{n}": {"devices": {}} for n in range(5_001)}
    answer = await put(house, ALL, {"users": users})
    assert (answer.status, answer.json["type"]) == (413, "/problems/too-large")


async def test_users_that_are_not_listed_keep_theirs(house: House, autojump_clock: MockClock) -> None:
    await house.register("bert")
    assert counts(await put(house, ALL, {"users": {"anna": {"devices": {"phone": phone(1)}}}})) == (1, 0, 0)
    assert counts(await put(house, ALL, {"users": {}})) == (0, 0, 0)
    assert list(devices(house, "bert")) == ["phone"]


GOOD = {"devices": {"phone": phone(1)}}
FAULTS: list[tuple[str, object, list[str]]] = [
    (ANNA, {}, ["devices"]),
    (ANNA, [], ["body"]),
    (ANNA, {"devices": []}, ["devices"]),
    (ANNA, {"devices": None}, ["devices"]),
    (ANNA, {"devices": {}, "users": {}}, ["users"]),
    (ANNA, {"devices": {"": PC}}, ["devices[0]"]),
    (ANNA, {"devices": {"a": PC, "b" * 257: PC}}, ["devices[1]"]),
    (ANNA, {"devices": {"a": 5, "b": {"app": "ios"}}}, ["devices[0]", "devices[1].platform"]),
    (ANNA, {"devices": {"a": {"platform": "apns", "app": "ios", "token": 5}}}, ["devices[0].token"]),
    (ANNA, {"devices": {"a": {"platform": "none", "name": "x"}}}, ["devices[0].name"]),
    (ANNA, {"devices": {"a": {"platform": "fax"}, "b": {"platform": "none", "token": "00"}}},
     ["devices[0].platform", "devices[1].token"]),
    (ANNA, {"devices": {"a": {"platform": "apns", "app": "x", "token": "zz"}}}, ["devices[0].app", "devices[0].token"]),
    (ANNA, {"devices": {"a": phone(1), "b": phone(1)}}, ["devices[1].token"]),
    (ANNA, {"devices": {"a": PC, "b": PC, "c": PC, "d": PC}}, ["devices"]),
    (ALL, {}, ["users"]),
    (ALL, {"users": {"anna": GOOD, "bert": {}}}, ["users[1].devices"]),
    (ALL, {"users": {"anna": GOOD, "": GOOD}}, ["users[1]"]),
    (ALL, {"users": {"anna": {"devices": {"a": {"platform": 1}}}, "bert": 5}},
     ["users[0].devices[0].platform", "users[1]"]),
    (ALL, {"users": {"anna": GOOD, "bert": {"devices": {"x": PC, "y": phone(1)}}}}, ["users[1].devices[1].token"]),
    (ALL, {"users": {"anna": GOOD, "bert": {"devices": {"a": PC, "b": PC, "c": PC, "d": PC}},
                     "carl": {"devices": {"a": {"platform": "fax"}}}}},
     ["users[1].devices", "users[2].devices[0].platform"]),
]  # fmt: skip


@pytest.mark.parametrize(("target", "body", "paths"), FAULTS)
@pytest.mark.parametrize("form", [JSON, MSGPACK])
async def test_a_fault_is_named_by_position_and_nothing_is_done(
    house: House, autojump_clock: MockClock, form: str, target: str, body: object, paths: list[str]
) -> None:
    await house.register("anna", "old")
    before = house.snapshot()
    answer = await put(house, target, body, form)
    assert (answer.status, answer.paths) == (422, paths)
    assert house.snapshot() == before


@pytest.mark.parametrize("form", [JSON, MSGPACK])
async def test_the_answer_to_a_faulty_list_repeats_no_id_and_no_token(
    house: House, autojump_clock: MockClock, form: str
) -> None:
    canary = "canary"
    for item in ({"platform": canary}, {"platform": 5}, {"platform": "apns", "app": canary, "token": canary}, 5):
        body = {"users": {f"{canary}1": {"devices": {f"{canary}2": item}}}}
        answer = await put(house, ALL, body, form)
        assert answer.status == 422
        assert canary not in answer.body.decode()


async def test_a_hundred_faults_are_listed_of_many_more(house: House, autojump_clock: MockClock) -> None:
    for item in ({"platform": "fax"}, {"platform": 5}):
        users = {f"user{n}": {"devices": {"phone": item}} for n in range(300)}
        answer = await put(house, ALL, {"users": users})
        assert (answer.status, len(answer.paths)) == (422, 100)


async def test_a_list_the_store_refuses_is_not_there(house: House, autojump_clock: MockClock) -> None:
    await house.register("anna", "old")
    before = house.snapshot()
    house.store.fail_next = StoreError("disk full")
    assert (await put(house, ALL, {"users": {"anna": GOOD, "bert": {"devices": {"a": phone(2)}}}})).status == 503
    assert house.snapshot() == before


@pytest.mark.parametrize("evict", [True, False])
async def test_the_limit_is_the_tenants_and_a_list_evicts_nobody(autojump_clock: MockClock, evict: bool) -> None:
    async with open_house(tenants=[tenant(device_limit=2, evict=evict)]) as house:
        for names in (("a", "b"), ("c", "d"), ("d", "a")):
            listed = {name: phone(ord(name)) for name in names}
            assert (await put(house, ANNA, {"devices": listed})).status == 200
            assert set(devices(house, "anna")) == set(names)
        answer = await put(house, ANNA, {"devices": {"a": phone(1), "b": phone(2), "c": PC}})
        assert (answer.status, answer.paths) == (422, ["devices"])
        assert (await house.ask("GET", "/v1/feedback", key="devices")).json["devices"] == []
