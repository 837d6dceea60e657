"""PUT, GET and DELETE of devices over HTTP, with the real working set behind."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from relay.core.batch import Feedback, Parting
from relay.store.port import StoreError
from tests.relay.doors.house import NOON, OTHER_TOKEN, TOKEN, House, open_house, tenant, usual_keys
from tests.relay.doors.http_client import JSON, MSGPACK, Answer

TARGET = "/v1/users/anna/devices/phone"


def target(user: str, device: str) -> str:
    return f"/v1/users/{user}/devices/{device}"


async def put(house: House, user: str, device: str, body: dict[str, object], form: str = JSON) -> Answer:
    return await house.ask("PUT", target(user, device), body, key="devices", form=form)


def apns(token: str = TOKEN, app: str = "ios") -> dict[str, object]:
    return {"platform": "apns", "app": app, "token": token}


def feedback(house: House) -> list[Feedback]:
    return list(house.store.feedback("north", 0, 100))


def kept_token(house: House, user: str = "anna", device: str = "phone") -> str:
    """The token as it would be sent to the provider."""
    names = house.tenants["north"].pseudonyms
    person = house.person(user)
    assert person is not None
    found = person.devices[names.device(user, device)]
    return house.records["north"].open_token(person.key, found.key, found.sealed).reveal()


@pytest.mark.parametrize("form", [JSON, MSGPACK])
async def test_a_device_is_created_then_refreshed(house: House, autojump_clock: MockClock, form: str) -> None:
    first = await put(house, "anna", "phone", apns(), form)
    await trio.sleep(60)
    second = await put(house, "anna", "phone", apns(), form)
    assert [(answer.status, answer.json) for answer in (first, second)] == [
        (201, {"evicted": 0}),
        (200, {"evicted": 0}),
    ]
    facts = await house.ask("GET", TARGET, key="devices")
    assert (facts.status, facts.json) == (200, {"platform": "apns", "app": "ios", "registered_at": NOON + 60})


async def test_a_deleted_device_is_gone(house: House, autojump_clock: MockClock) -> None:
    await put(house, "anna", "phone", apns())
    assert (await house.ask("DELETE", TARGET, key="devices")).status == 204
    for method in ("GET", "DELETE"):
        answer = await house.ask(method, TARGET, key="devices")
        assert (answer.status, answer.json["type"]) == (404, "/problems/not-found")
    assert (await put(house, "anna", "phone", apns())).status == 201
    assert feedback(house) == []


@pytest.mark.parametrize("method", ["GET", "DELETE"])
@pytest.mark.parametrize("where", [target("nobody", "phone"), target("anna", "tablet"), target("bert", "phone")])
async def test_what_does_not_exist_is_not_found(
    house: House, autojump_clock: MockClock, method: str, where: str
) -> None:
    """Another user's device of the same name is not there either."""
    await put(house, "anna", "phone", apns())
    await put(house, "bert", "tablet", apns(OTHER_TOKEN))
    before = house.snapshot()
    assert (await house.ask(method, where, key="devices")).status == 404
    assert house.snapshot() == before


async def test_a_token_is_never_in_an_answer(house: House, autojump_clock: MockClock) -> None:
    answers = [
        await put(house, "anna", "phone", apns()),
        await put(house, "anna", "phone", apns(TOKEN.upper())),
        await put(house, "bert", "phone", apns()),
        await house.ask("GET", target("bert", "phone"), key="devices"),
        await put(house, "anna", "phone", apns(TOKEN + "zz")),
        await put(house, "anna", "phone", {**apns(), "platform": TOKEN, "colour": TOKEN}),
        await put(house, "anna", "phone", {"platform": "none", "token": TOKEN}),
        await house.ask("DELETE", target("bert", "phone"), key="devices"),
    ]
    assert [answer.status for answer in answers] == [201, 200, 201, 200, 422, 422, 422, 204]
    for answer in answers:
        said = repr(answer.headers).encode() + answer.body
        assert TOKEN[:8].encode() not in said.lower()


async def test_over_the_limit_the_device_registered_longest_ago_leaves_and_the_backend_is_told(
    house: House, autojump_clock: MockClock
) -> None:
    """Registered anew counts as registered: who is refreshed is not the oldest any more."""
    for device in ("one", "two", "three"):
        await house.register("anna", device)
        await trio.sleep(1)
    await house.register("anna", "one")
    await trio.sleep(1)
    answer = await house.register("anna", "four")
    assert (answer.status, answer.json) == (201, {"evicted": 1})
    left = [
        d
        for d in ("one", "two", "three", "four")
        if (await house.ask("GET", target("anna", d), key="devices")).status == 200
    ]
    assert left == ["one", "three", "four"]
    (told,) = feedback(house)
    assert (told.parting, told.reason) == (Parting.EVICTED, "device_limit")
    user_id, device_id = house.records["north"].open_device_ids(told.user, told.device, told.sealed)
    assert (user_id.reveal(), device_id.reveal()) == ("anna", "two")


async def test_where_the_tenant_refuses_more_the_answer_is_409_and_nothing_changes(autojump_clock: MockClock) -> None:
    async with open_house(tenants=[tenant(device_limit=2, evict=False)]) as house:
        await house.register("anna", "one")
        await house.register("anna", "two")
        await house.register("bert", "one", token=TOKEN)
        before = house.snapshot()
        answer = await house.register("anna", "three", token=TOKEN)
        assert (answer.status, answer.json["type"]) == (409, "/problems/device-limit")
        assert house.snapshot() == before
        assert (await house.register("anna", "two")).status == 200
        assert (await house.ask("DELETE", target("anna", "one"), key="devices")).status == 204
        assert (await house.register("anna", "three")).status == 201


async def test_a_token_moves_to_who_registers_it_last(house: House, autojump_clock: MockClock) -> None:
    """A phone that is handed on wakes its new owner only, and the backend is told of the old one."""
    await put(house, "anna", "phone", apns())
    answer = await put(house, "bert", "mobile", apns())
    assert (answer.status, answer.json) == (201, {"evicted": 1})
    assert (await house.ask("GET", TARGET, key="devices")).status == 404
    (told,) = feedback(house)
    user_id, device_id = house.records["north"].open_device_ids(told.user, told.device, told.sealed)
    assert (told.parting, user_id.reveal(), device_id.reveal()) == (Parting.MOVED, "anna", "phone")
    assert (await house.post({"users": ["anna", "bert"]})).json == {"accepted": 1, "unknown": 1}
    assert (await put(house, "anna", "phone", apns())).json == {"evicted": 1}


async def test_a_token_in_capitals_is_the_same_token(house: House, autojump_clock: MockClock) -> None:
    """Old iOS code prints it so; two records for one phone would wake it twice."""
    await put(house, "anna", "phone", apns(TOKEN.upper()))
    assert kept_token(house) == TOKEN
    assert (await put(house, "anna", "phone", apns())).json == {"evicted": 0}
    assert (await put(house, "bert", "mobile", apns(TOKEN.upper()))).json == {"evicted": 1}


async def test_a_token_moves_between_the_devices_of_one_user(house: House, autojump_clock: MockClock) -> None:
    await put(house, "anna", "old", apns())
    assert (await put(house, "anna", "new", apns())).json == {"evicted": 1}
    assert (await house.ask("GET", target("anna", "old"), key="devices")).status == 404


async def test_the_same_token_in_another_app_is_another_token(house: House, autojump_clock: MockClock) -> None:
    await put(house, "anna", "phone", apns())
    assert (await put(house, "bert", "phone", apns(app="ipad"))).json == {"evicted": 0}
    assert (await house.ask("GET", TARGET, key="devices")).status == 200


async def test_a_device_with_a_new_token_replaces_the_old_one(house: House, autojump_clock: MockClock) -> None:
    """The old token belongs to nobody then, and may be registered by somebody else without anybody leaving."""
    await put(house, "anna", "phone", apns())
    assert (await put(house, "anna", "phone", apns(OTHER_TOKEN))).json == {"evicted": 0}
    assert kept_token(house) == OTHER_TOKEN
    assert (await put(house, "bert", "phone", apns())).json == {"evicted": 0}
    assert (await house.ask("GET", TARGET, key="devices")).status == 200


@pytest.mark.parametrize(
    "body", [{"platform": "none"}, {"platform": "none", "app": "ios"}, {"platform": "none", "token": None}]
)
async def test_a_pc_is_listed_and_never_woken(house: House, autojump_clock: MockClock, body: dict[str, object]) -> None:
    assert (await put(house, "anna", "pc", body)).status == 201
    facts = await house.ask("GET", target("anna", "pc"), key="devices")
    assert facts.json == {"platform": "none", "app": body.get("app", ""), "registered_at": NOON}
    assert (await house.post({"user": "anna"})).json == {"accepted": 0, "unknown": 1}


async def test_devices_without_a_token_do_not_take_each_others_place(house: House, autojump_clock: MockClock) -> None:
    for user in ("anna", "bert"):
        for device in ("pc", "laptop"):
            assert (await put(house, user, device, {"platform": "none"})).json == {"evicted": 0}
    assert feedback(house) == []


async def test_a_phone_that_becomes_a_pc_gives_its_token_back(house: House, autojump_clock: MockClock) -> None:
    await put(house, "anna", "phone", apns())
    assert (await put(house, "anna", "phone", {"platform": "none"})).status == 200
    assert (await house.post({"user": "anna"})).json == {"accepted": 0, "unknown": 1}
    assert (await put(house, "bert", "phone", apns())).json == {"evicted": 0}


FAULTS: list[tuple[dict[str, object], list[str]]] = [
    ({}, ["platform"]),
    ({"app": "ios", "token": TOKEN}, ["platform"]),
    ({"platform": None}, ["platform"]),
    ({"platform": "fcm2"}, ["platform"]),
    ({"platform": "APNS"}, ["platform"]),
    ({"platform": 5, "app": 5, "token": 5, "x": 5}, ["platform", "app", "token", "x"]),
    ({"platform": "apns"}, ["app", "token"]),
    ({"platform": "apns", "app": "android", "token": TOKEN}, ["app"]),
    ({"platform": "apns", "app": "", "token": TOKEN}, ["app"]),
    ({"platform": "apns", "app": "nope", "token": "xyz"}, ["app", "token"]),
    ({"platform": "none", "token": TOKEN}, ["token"]),
    ({"platform": "none", "token": ""}, ["token"]),
    ({"platform": "none", "app": "nope", "token": TOKEN}, ["token", "app"]),
    ({"platform": "apns", "app": "ios", "token": TOKEN, "user": "bert"}, ["user"]),
]


@pytest.mark.parametrize(("body", "paths"), FAULTS, ids=lambda value: str(value)[:50])
@pytest.mark.parametrize("form", [JSON, MSGPACK])
async def test_a_faulty_registration_is_refused_with_every_path(
    house: House, autojump_clock: MockClock, form: str, body: dict[str, object], paths: list[str]
) -> None:
    before = house.snapshot()
    answer = await put(house, "anna", "phone", body, form)
    assert (answer.status, answer.paths) == (422, paths)
    assert house.snapshot() == before


@pytest.mark.parametrize(
    ("token", "status"),
    [
        ("ab" * 32, 201), ("0" * 64, 201), ("AB" * 100, 201), ("ab" * 33, 201),
        ("", 422), ("ab" * 31, 422), ("ab" * 101, 422), ("a" * 65, 422), ("xy" * 32, 422), ("ab" * 32 + "\n", 422),
        (" " + "ab" * 32, 422), ("<" + "ab" * 32 + ">", 422), ("٣" * 64, 422), ("ſ" * 64, 422), ("ab" * 31 + "/.", 422),
    ],
)  # fmt: skip
async def test_what_is_a_token_of_apns(house: House, autojump_clock: MockClock, token: str, status: int) -> None:
    """Hexadecimal of an even length from 64 to 200: it becomes part of a path at Apple."""
    assert (await put(house, "anna", "phone", apns(token))).status == status


@pytest.mark.parametrize(
    ("where", "paths"),
    [
        (target("", "phone"), ["path.user"]),
        (target("anna", ""), ["path.device"]),
        (target("", ""), ["path.user", "path.device"]),
        (target("a%00b", "phone"), ["path.user"]),
        (target("anna", "a%0A"), ["path.device"]),
        (target("x" * 257, "%7f"), ["path.user", "path.device"]),
        (target("%ff", "phone"), ["path.user"]),
        (target("%ed%a0%80", "phone"), ["path.user"]),
    ],
)
@pytest.mark.parametrize("method", ["PUT", "GET", "DELETE"])
async def test_ids_in_paths_are_checked_like_those_in_bodies(
    house: House, autojump_clock: MockClock, method: str, where: str, paths: list[str]
) -> None:
    answer = await house.ask(method, where, apns() if method == "PUT" else None, key="devices")
    assert (answer.status, answer.paths) == (422, paths)


async def test_an_id_in_a_path_and_in_a_body_are_the_same_id(house: House, autojump_clock: MockClock) -> None:
    await put(house, "J%C3%BCrgen%2FA%20%25", "phone", apns())
    assert (await house.post({"user": "Jürgen/A %"})).json == {"accepted": 1, "unknown": 0}


async def test_a_commit_that_fails_changes_no_device(house: House, autojump_clock: MockClock) -> None:
    await put(house, "anna", "phone", apns())
    before = house.snapshot()
    for method, body in (("PUT", apns(OTHER_TOKEN)), ("DELETE", None)):
        house.store.fail_next = StoreError("disk full")
        answer = await house.ask(method, TARGET, body, key="devices")
        assert (answer.status, answer.header("retry-after") is not None) == (503, True)
        assert house.snapshot() == before


async def test_what_waits_for_a_deleted_phone_is_booked_as_undeliverable(
    house: House, autojump_clock: MockClock
) -> None:
    await put(house, "anna", "phone", apns())
    await house.post({"user": "anna"})
    await house.ask("DELETE", TARGET, key="devices")
    assert house.account().undeliverable == 1
    assert house.people.books.balance(house.people.pending()) == []


async def test_two_tenants_do_not_share_tokens_or_devices(autojump_clock: MockClock) -> None:
    """The same user, device and token in both: two persons, two devices, and neither leaves for the other."""
    north, south = tenant("north"), tenant("south")
    async with open_house(tenants=[north, south], keys=[*usual_keys(north), *usual_keys(south, "s-")]) as house:
        await put(house, "anna", "phone", apns())
        answer = await house.ask("PUT", TARGET, apns(), key="s-devices")
        assert (answer.status, answer.json) == (201, {"evicted": 0})
        assert (await house.ask("DELETE", TARGET, key="devices")).status == 204
        assert (await house.ask("GET", TARGET, key="s-devices")).status == 200
        assert (await house.ask("GET", TARGET, key="devices")).status == 404
