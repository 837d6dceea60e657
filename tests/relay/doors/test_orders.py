"""Orders at the door: class `control` in POST /v1/events, and POST /v1/confirmed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from trio.testing import MockClock

from relay.core.events import DEFAULT_CLASSES
from relay.doors.keys import Scope
from tests.relay.doors.house import CLASSES, NOON_REST, House, api_key, open_house, tenant, usual_keys
from tests.relay.doors.http_client import Answer

CONTROL = replace(DEFAULT_CLASSES[-1], roles=frozenset({"administration"}), reasons=frozenset({"device_lost"}))
ORDER = {"class": "control", "role": "administration", "reason": "device_lost"}


@pytest.fixture
async def house(autojump_clock: MockClock) -> AsyncIterator[House]:
    """A house whose key `admin` may give orders; anna has a phone and a tablet."""
    owner = replace(tenant(), classes={**CLASSES, "control": CONTROL})
    keys = [*usual_keys(owner), api_key("admin", owner, Scope.EVENTS, Scope.ADMIN)]
    async with open_house(tenants=[owner], keys=keys) as opened:
        for device in ("phone", "tablet"):
            await opened.register("anna", device)
        yield opened


async def order(house: House, *, key: str = "admin", number: str = "k-1", **more: Any) -> Answer:  # noqa: ANN401
    return await house.post({**ORDER, "user": "anna", **more}, key=key, idempotency_key=number)


async def confirm(house: House, *, key: str = "admin", **body: Any) -> Answer:  # noqa: ANN401 (members of a body)
    return await house.ask("POST", "/v1/confirmed", {"user": "anna", **body}, key=key)


def ordered(house: House) -> set[str]:
    """Devices of anna that have not obeyed."""
    person = house.person("anna")
    assert person is not None
    slot = person.slots.get("control")
    name = house.tenants["north"].pseudonyms.device
    return set() if slot is None else {d for d in ("phone", "tablet", "new") if name("anna", d) in slot.orders}


async def test_an_order_is_taken_for_one_device_or_for_all_and_leaves_its_record(house: House) -> None:
    answer = await order(house, device="tablet")
    assert (answer.status, answer.json["accepted"], answer.json["unknown"]) == (202, 1, 0)
    assert ordered(house) == {"tablet"}
    assert (await order(house, number="k-2")).status == 202
    assert ordered(house) == {"phone", "tablet"}
    assert [(b.event_class, b.key_id, b.role, b.reason, b.recipients) for b in house.store.bypasses] == [
        ("control", "admin", "administration", "device_lost", 1)
    ] * 2


async def test_its_receipt_is_told_like_that_of_an_alarm(house: House) -> None:
    taken = await order(house, device="tablet")
    answer = await house.ask("GET", f"/v1/alarms/{taken.json['receipt']}", key="control")
    assert (answer.status, answer.json["recipients"], answer.json["pending"]) == (200, 1, 1)


async def test_a_device_that_is_not_there_is_counted_and_no_error(house: House) -> None:
    answer = await order(house, device="lost")
    assert (answer.status, answer.json["accepted"], answer.json["unknown"]) == (202, 0, 1)


@pytest.mark.parametrize(
    ("more", "paths"),
    [
        ({"device": ""}, ["device"]),
        ({"device": 7}, ["device"]),
        ({"user": None, "users": ["anna"], "device": "phone"}, ["device"]),
        ({"class": "message", "role": None, "reason": None, "device": "phone"}, ["device"]),
        ({"role": "dispatch"}, ["role"]),
    ],
)
async def test_what_is_wrong_with_an_order_is_named(house: House, more: dict[str, Any], paths: list[str]) -> None:
    before = house.snapshot()
    answer = await order(house, **more)
    assert (answer.status, [error["path"] for error in answer.json["errors"]]) == (422, paths)
    assert house.snapshot() == before


@pytest.mark.parametrize("key", ["backend", "control"])
async def test_an_order_and_its_confirmation_need_the_scope_admin(house: House, key: str) -> None:
    """Also a message with the device of one is refused, before anything is said of it."""
    await order(house)
    before = house.snapshot()
    for answer in (await order(house, key=key, number="k-2"), await confirm(house, key=key)):
        assert (answer.status, answer.json["type"]) == (403, "/problems/forbidden")
        assert "admin" in answer.json["detail"]
    assert house.snapshot() == before


async def test_a_confirmation_ends_the_orders_of_a_device_or_of_all(house: House) -> None:
    await order(house)
    assert (await confirm(house, device="tablet")).status == 202
    assert ordered(house) == {"phone"}
    assert (await confirm(house)).status == 202
    assert ordered(house) == set()
    assert house.account("control").cancelled == 1


async def test_a_confirmation_may_say_of_when_it_is(house: House, autojump_clock: MockClock) -> None:
    await order(house)
    await confirm(house, at=house.clock.now() - 1)
    assert ordered(house) == {"phone", "tablet"}
    await confirm(house, at=house.clock.now())
    assert ordered(house) == set()


async def test_confirming_what_nobody_ordered_is_no_error(house: House) -> None:
    before = house.snapshot()
    for body in ({}, {"device": "lost"}, {"user": "nobody"}, {"user": "nobody", "device": "phone"}):
        answer = await confirm(house, **body)
        assert (answer.status, answer.body) == (202, b"{}")
    assert house.snapshot()[:2] == before[:2]


@pytest.mark.parametrize(
    ("body", "paths"),
    [
        ({"user": None}, ["user"]),
        ({"device": ""}, ["device"]),
        ({"class": "message"}, ["class"]),
        ({"class": "alarm"}, ["class"]),
        ({"at": "yesterday"}, ["at"]),
        ({"at": 4e9, "class": "nothing"}, ["class", "at"]),
        ({"devices": ["phone"]}, ["devices"]),
    ],
)
async def test_what_is_wrong_with_a_confirmation_is_named(house: House, body: dict[str, Any], paths: list[str]) -> None:
    await order(house)
    answer = await confirm(house, **body)
    assert (answer.status, [error["path"] for error in answer.json["errors"]]) == (422, paths)
    assert ordered(house) == {"phone", "tablet"}


async def test_the_answers_to_an_order_do_not_tell_whether_somebody_rests(house: House) -> None:
    awake = await order(house, device="phone")
    await house.ask("PUT", "/v1/users/anna/rest", NOON_REST, key="rest")
    resting = await order(house, device="phone", number="k-2")
    assert [awake.json.keys(), awake.json["accepted"]] == [resting.json.keys(), resting.json["accepted"]]
