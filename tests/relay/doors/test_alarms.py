"""GET /v1/alarms/{receipt}, and the receipt in the 202: who may ask, what is told, and for how long."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from relay.core.people import REQUEST_LIFE
from relay.store.port import StoreError
from tests.relay.doors.house import NOON_REST, House, open_house, tenant, usual_keys
from tests.relay.doors.http_client import Answer

ALARM = {"class": "alarm", "role": "dispatch", "reason": "incident"}


async def alarm(house: House, *users: str, key: str = "control", number: str = "k-1") -> Answer:
    return await house.post({**ALARM, "users": list(users)}, key=key, idempotency_key=number)


async def ask(house: House, receipt: str, *, key: str = "control") -> Answer:
    return await house.ask("GET", f"/v1/alarms/{receipt}", key=key)


def parts(recipients: int, **others: int) -> dict[str, int]:
    return {"recipients": recipients, "handed_over": 0, "no_device": 0, "failing": 0, "pending": 0, **others}


# --- the receipt in the 202


async def test_the_202_of_an_alarm_carries_a_receipt_and_the_receipt_tells_totals(
    house: House, autojump_clock: MockClock
) -> None:
    await house.register("anna")
    taken = await alarm(house, "anna", "nobody")
    assert taken.status == 202
    assert taken.json.keys() == {"accepted", "unknown", "receipt"}
    answer = await ask(house, taken.json["receipt"])
    assert (answer.status, answer.json) == (200, parts(2, no_device=1, pending=1))


async def test_the_202_of_other_requests_is_what_it_always_was(house: House, autojump_clock: MockClock) -> None:
    await house.register("anna")
    bodies = {"users": ["anna", "nobody"]}, {"events": [{"user": "anna"}, {"user": "nobody", "class": "roster"}]}
    for number, body in enumerate(bodies):
        answer = await house.post(body, key="control", idempotency_key=f"k-{number}")
        assert (answer.status, answer.body) == (202, b'{"accepted":1,"unknown":1}')
    assert house.people.receipts == {}


async def test_a_repeated_request_gets_the_same_answer_to_the_byte(house: House, autojump_clock: MockClock) -> None:
    await house.register("anna")
    answers = [await alarm(house, "anna") for _ in range(3)]
    assert len({answer.body for answer in answers}) == 1
    assert (await ask(house, answers[0].json["receipt"])).json == parts(1, pending=1)
    another = await alarm(house, "anna", number="k-2")
    assert another.json["receipt"] != answers[0].json["receipt"]


async def test_several_alarms_of_a_request_have_one_receipt_and_its_messages_do_not_count(
    house: House, autojump_clock: MockClock
) -> None:
    for user in ("anna", "bert"):
        await house.register(user)
    body = {
        "events": [
            {"user": "anna"},
            {**ALARM, "users": ["anna", "bert", "nobody"]},
            {"users": ["anna", "nobody"], "class": "roster"},
            {**ALARM, "role": "duty", "user": "anna"},
        ]
    }
    taken = await house.post(body, key="control", idempotency_key="k-1")
    assert (taken.json["accepted"], taken.json["unknown"]) == (5, 2)
    assert (await ask(house, taken.json["receipt"])).json == parts(4, no_device=1, pending=3)


async def test_an_alarm_that_could_not_be_written_has_no_receipt(house: House, autojump_clock: MockClock) -> None:
    await house.register("anna")
    house.store.fail_next = StoreError("disk full")
    assert (await alarm(house, "anna")).status == 503
    assert house.people.receipts == {}
    taken = await alarm(house, "anna")
    assert (await ask(house, taken.json["receipt"])).json == parts(1, pending=1)


# --- what is told


async def test_whoever_is_deleted_meanwhile_has_no_device(house: House, autojump_clock: MockClock) -> None:
    for user in ("anna", "bert"):
        await house.register(user)
    receipt = (await alarm(house, "anna", "bert")).json["receipt"]
    await house.ask("DELETE", "/v1/users/anna", key="devices")
    assert (await ask(house, receipt)).json == parts(2, no_device=1, pending=1)
    await house.ask("DELETE", "/v1/users/bert/devices/phone", key="devices")
    assert (await ask(house, receipt)).json == parts(2, no_device=2)


async def test_neither_the_receipt_nor_the_totals_tell_who_rests(house: House, autojump_clock: MockClock) -> None:
    """L2: two alarms, one for somebody in rest; the same answers but for the receipt itself."""
    for user in ("anna", "bert"):
        await house.register(user)
    await house.ask("PUT", "/v1/users/anna/rest", NOON_REST, key="rest")
    taken = {user: await alarm(house, user, number=user) for user in ("anna", "bert")}
    told = {user: await ask(house, answer.json["receipt"]) for user, answer in taken.items()}
    assert told["anna"] == told["bert"]
    assert len(taken["anna"].body) == len(taken["bert"].body)


# --- who may ask


@pytest.mark.parametrize(("key", "status"), [("control", 200), ("backend", 403), ("devices", 403), ("rest", 403)])
async def test_the_scope_alarms_is_needed(house: House, autojump_clock: MockClock, key: str, status: int) -> None:
    receipt = (await alarm(house, "nobody")).json["receipt"]
    assert (await ask(house, receipt, key=key)).status == status


async def test_without_a_key_nothing_is_told(house: House, autojump_clock: MockClock) -> None:
    receipt = (await alarm(house, "nobody")).json["receipt"]
    assert (await house.ask("GET", f"/v1/alarms/{receipt}")).status == 401


async def test_another_tenants_receipt_is_as_unknown_as_any(autojump_clock: MockClock) -> None:
    north, south = tenant("north"), tenant("south")
    async with open_house(tenants=[north, south], keys=[*usual_keys(north), *usual_keys(south, "s-")]) as house:
        receipt = (await alarm(house, "nobody")).json["receipt"]
        theirs, unknown = await ask(house, receipt, key="s-control"), await ask(house, "0" * 32, key="s-control")
        assert theirs == unknown
        assert (theirs.status, theirs.json["type"]) == (404, "/problems/not-found")
        assert (await ask(house, receipt)).json == parts(1, no_device=1)


@pytest.mark.parametrize("receipt", ["0" * 31, "0" * 33, "A" * 32, "g" * 32, "%20" + "0" * 31, "%D9%A0" * 32, "k-1"])
async def test_what_cannot_be_a_receipt_is_unknown_too(house: House, autojump_clock: MockClock, receipt: str) -> None:
    assert (await ask(house, receipt)).status == 404


async def test_what_cannot_be_read_at_all_is_named_as_the_receipt(house: House, autojump_clock: MockClock) -> None:
    answer = await ask(house, "%ff")
    assert answer.status == 422
    assert [error["path"] for error in answer.json["errors"]] == ["path.receipt"]


@pytest.mark.parametrize(("method", "target", "status"), [("PUT", "", 405), ("DELETE", "", 405), ("GET", "?a=1", 422)])
async def test_there_is_nothing_but_get(
    house: House, autojump_clock: MockClock, method: str, target: str, status: int
) -> None:
    receipt = (await alarm(house, "nobody")).json["receipt"]
    assert (await house.ask(method, f"/v1/alarms/{receipt}{target}", key="control")).status == status


async def test_a_receipt_lives_as_long_as_its_202_is_remembered(house: House, autojump_clock: MockClock) -> None:
    taken = await alarm(house, "nobody")
    await trio.sleep(REQUEST_LIFE - 1)
    assert (await alarm(house, "nobody")).body == taken.body
    assert (await ask(house, taken.json["receipt"])).status == 200
    await trio.sleep(1)
    assert (await ask(house, taken.json["receipt"])).status == 404
    assert (await alarm(house, "nobody")).json["receipt"] != taken.json["receipt"]
