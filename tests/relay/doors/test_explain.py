"""Why a phone does not ring: what support is told without a code, and what with one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from relay.core.devices import Device, RestRecord
from relay.core.private import DeviceKey
from relay.doors.port import LaneCondition
from relay.store.port import StoreError
from tests.relay.doors.house import NIGHT, NOON, NOON_REST, TOKEN, House, open_house
from tests.relay.doors.http_client import Answer

EXPLAIN = "/v1/users/anna/explain"
WELL = "All is well as far as devices, lanes and store go."
ENDLESS = {"windows": [{"kind": "once", "start": "2020-01-01T00:00", "end": "2190-01-01T00:00"}]}
ALARM = {"class": "alarm", "role": "dispatch", "reason": "incident"}


async def explained(house: House, user: str = "anna") -> Answer:
    answer = await house.ask("GET", f"/v1/users/{user}/explain", key="support")
    assert answer.status == 200
    return answer


async def findings(house: House) -> list[str]:
    return [finding["en"] for finding in (await explained(house)).json["findings"]]


async def all_of(house: House) -> Any:  # noqa: ANN401 (JSON)
    """What the officer is told."""
    return (await house.ask("GET", "/v1/me/explain", headers=[await house.officer()])).json


def spoil(house: House, user: str = "anna", **changes: object) -> None:
    """Change all devices of somebody in memory, as verdicts would have."""
    person = house.person(user)
    assert person is not None
    person.have({key: replace(device, **changes) for key, device in person.devices.items()})  # type: ignore[arg-type]


# --- without a code


async def test_without_a_code_it_is_devices_lanes_and_store(house: House, autojump_clock: MockClock) -> None:
    await house.register("anna")
    await trio.sleep(1)
    await house.ask("PUT", "/v1/users/anna/devices/pc", {"platform": "none"}, key="devices")
    await house.register("anna", "tablet", app="ipad", token=TOKEN)
    assert (await explained(house)).json == {
        "devices": [
            {"device": "phone", "platform": "apns", "app": "ios", "registered_at": NOON},
            {"device": "pc", "platform": "none", "app": "", "registered_at": NOON + 1},
            {"device": "tablet", "platform": "apns", "app": "ipad", "registered_at": NOON + 1},
        ],
        "lanes": [{"app": "ios", "state": "up", "reason": ""}, {"app": "ipad", "state": "up", "reason": ""}],
        "store": {"healthy": True, "waiting": 0},
        "findings": [{"en": WELL, "de": "Geräte, Wege zu den Anbietern und Speicher sind in Ordnung."}],
    }  # fmt: skip


async def test_findings_say_what_is_wrong_most_important_first(house: House, autojump_clock: MockClock) -> None:
    assert await findings(house) == ["No device is registered."]
    await house.ask("PUT", "/v1/users/anna/devices/pc", {"platform": "none"}, key="devices")
    assert await findings(house) == ["None of the devices is one that can be woken."]
    await house.register("anna")
    assert await findings(house) == [WELL]
    house.lanes[("north", "ios")] = LaneCondition("ios", "paused", "ServiceUnavailable")
    house.lanes[("south", "ios")] = LaneCondition("ios", "stopped", "another tenant's")
    house.store.fail_next = StoreError("disk full")
    assert (await house.register("bert", token=TOKEN)).status == 503
    assert await findings(house) == [
        "The store cannot write now: nothing new is taken until it can.",
        "The lane of app ios is down: ServiceUnavailable.",
    ]
    house.lanes[("north", "ios")] = LaneCondition("ios", "stopped", "BadDeviceToken")
    assert (await findings(house))[1] == "The lane of app ios is stopped until somebody mends it: BadDeviceToken."


async def test_failed_attempts_are_told_to_the_owner_and_to_nobody_without_a_code(
    house: House, autojump_clock: MockClock
) -> None:
    """A fresh one says that the owner was not resting just now."""
    await house.register("anna")
    officer = await house.officer()
    before = await explained(house)
    spoil(house, attempt=3, not_before=NOON + 600)
    assert await explained(house) == before
    mine = (await house.ask("GET", "/v1/me/explain", headers=[officer])).json
    assert [(device["attempts"], device["retry_at"]) for device in mine["devices"]] == [(3, NOON + 600)]
    assert (
        mine["findings"][0]["en"] == "phone: the last attempts failed (3 in a row); not tried again before today 13:10."
    )
    await trio.sleep(601)
    mine = (await house.ask("GET", "/v1/me/explain", headers=[officer])).json
    assert mine["devices"][0]["retry_at"] is None
    assert mine["findings"][0] == {
        "en": "phone: the last attempts failed (3 in a row).", "de": "phone: Die letzten Versuche schlugen fehl (3).",
    }  # fmt: skip


async def test_a_phone_of_an_app_that_is_configured_no_more_is_named(house: House, autojump_clock: MockClock) -> None:
    await house.register("anna")
    spoil(house, app="retired")
    assert await findings(house) == [
        "None of the devices is one that can be woken.",
        "phone: its app retired is not configured any more.",
    ]
    assert (await explained(house)).json["lanes"] == []


async def test_ids_with_braces_and_quotes_are_said_as_they_are(house: House, autojump_clock: MockClock) -> None:
    await house.ask(
        "PUT",
        "/v1/users/anna/devices/%7Bat%7D%22%C3%A4",
        {"platform": "apns", "app": "ios", "token": TOKEN},
        key="devices",
    )
    officer = await house.officer()
    spoil(house, attempt=1, not_before=NOON + 60)
    mine = (await house.ask("GET", "/v1/me/explain", headers=[officer])).json
    assert [finding["en"] for finding in mine["findings"]] == [
        '{at}"ä: the last attempts failed (1 in a row); not tried again before today 13:01.'
    ]


async def test_who_is_known_for_a_rest_alone_is_told_like_nobody(house: House, autojump_clock: MockClock) -> None:
    await house.ask("PUT", "/v1/users/anna/rest", NIGHT, key="rest")
    assert await explained(house) == await explained(house, "nobody")


STATES = st.fixed_dictionaries(
    {
        "rest": st.sampled_from([None, {}, NIGHT, NOON_REST, ENDLESS, "deleted"]),
        "wakes": st.sampled_from([None, "never", "always"]),
        "events": st.lists(st.sampled_from(["message", "roster", "alarm", "seen", "reading", "lapse"]), max_size=5),
        "code": st.booleans(),
    }
)


@given(st.lists(STATES, min_size=2, max_size=4), st.integers(0, 3), st.sampled_from([0.0, 5.0, 4000.0]))
@settings(max_examples=40)
def test_without_a_code_equal_devices_are_equal_bytes_whatever_the_rest(
    states: list[dict[str, Any]], failures: int, later: float
) -> None:
    """L2. Each person in a house of their own, with the same devices, and every other state there is."""

    async def told(state: dict[str, Any]) -> Answer:
        async with open_house() as house:
            await house.register("anna")
            await house.register("anna", "tablet", app="ipad", token=TOKEN)
            officer = await house.officer()
            if state["rest"] is not None:
                document = {} if state["rest"] == "deleted" else dict(state["rest"])
                if state["wakes"] is not None:
                    document["devices"] = {"tablet": {"wake": state["wakes"]}}
                target = "/v1/me/rest?confirm=never-reachable"
                assert (await house.ask("PUT", target, document, headers=[officer])).status == 201
                if state["rest"] == "deleted":
                    await house.ask("DELETE", "/v1/me/rest", headers=[officer])
            for number, event in enumerate(state["events"]):
                if event in ("seen", "reading"):
                    body = {"user": "anna", "active_for": 60} if event == "reading" else {"user": "anna"}
                    await house.ask("POST", "/v1/seen", body, key="backend")
                elif event == "alarm":
                    await house.post({"user": "anna", **ALARM}, key="control", idempotency_key=f"k-{number}")
                else:
                    await house.post({"user": "anna", "class": "message" if event == "lapse" else event, "ttl": 60})
            if state["code"]:
                await house.code(officer)
            person = house.person("anna")
            assert person is not None
            person.hold.left(house.clock.now())
            spoil(house, attempt=failures, not_before=NOON + 600 if failures else 0.0)
            await trio.sleep(later)
            return await explained(house)

    async def main() -> None:
        answers = [await told(state) for state in states]
        assert len(set(answers)) == 1
        assert answers[0].json.keys() == {"devices", "lanes", "store", "findings"}

    trio.run(main, clock=MockClock(autojump_threshold=0))


# --- with a code, and to the officer


@pytest.mark.parametrize("way", ["officer", "code"])
async def test_with_a_code_the_rest_and_what_waits_are_told_too(
    house: House, autojump_clock: MockClock, way: str
) -> None:
    await house.register("anna")
    rest = {"windows": [{**NOON_REST["windows"][0], "label": "Kur"}], "devices": {"phone": {"wake": "follow"}}}
    await house.ask("PUT", "/v1/users/anna/rest", rest, key="rest")
    await house.post({"users": ["anna"]})
    await house.post({"user": "anna"})
    officer = await house.officer()
    without = (await explained(house)).json
    if way == "officer":
        answer = await house.ask("GET", "/v1/me/explain", headers=[officer])
    else:
        answer = await house.ask("GET", EXPLAIN, key="support", headers=[await house.code(officer)])
    told = answer.json
    waiting = told.pop("waiting")
    assert told.pop("rest") == {
        "resting": True,
        "until": NOON + 3 * 3600,
        "next_start": None,
        "devices": {},
        "sentence": {"en": "Rest until today 16:00 because of: Kur.", "de": "Ruhe bis heute 16:00 wegen: Kur."},
    }
    assert [(device.pop("attempts"), device.pop("retry_at")) for device in told["devices"]] == [(0, None)]
    assert told == without
    (message,) = waiting
    due = message.pop("due")
    assert NOON + 3 * 3600 <= due < NOON + 3 * 3600 + 300
    minute = int(due - NOON - 3 * 3600) // 60
    seconds = int(due) % 60
    at = f"16:{minute:02}" + (f":{seconds:02}" if seconds else "")
    assert message == {
        "class": "message",
        "notices": 2,
        "since": NOON,
        "why": "rest",
        "sentence": {
            "en": f"message: 2 waiting since today 13:00; kept back by the rest until today {at}.",
            "de": f"message: 2 warten seit heute 13:00; wegen der Ruhe erst heute {at}.",
        },
    }


@pytest.mark.parametrize(
    ("rest", "sentence"),
    [
        (None, "Reachable: there are no rules of rest."),
        ({}, "Reachable."),
        (NIGHT, "Reachable, next rest today 22:00."),
        (ENDLESS, "Rest without end because of: leave."),
    ],
)
async def test_the_rest_is_said_in_a_sentence(
    house: House, autojump_clock: MockClock, rest: object, sentence: str
) -> None:
    await house.register("anna")
    if rest is not None:
        await house.ask("PUT", "/v1/users/anna/rest?confirm=never-reachable", rest, key="rest")
    await house.post({"user": "anna"})
    told = await all_of(house)
    assert told["rest"]["sentence"]["en"] == sentence
    assert [each["sentence"]["en"].partition("; ")[2] for each in told["waiting"]] == [
        "kept back by a rest without end." if rest is ENDLESS else "about to leave."
    ]


async def test_a_device_that_is_never_woken_is_told(house: House, autojump_clock: MockClock) -> None:
    await house.register("anna")
    document = {"devices": {"phone": {"wake": "never"}}}
    await house.ask("PUT", "/v1/users/anna/rest", document, key="rest")
    await house.post({"user": "anna"})
    told = await all_of(house)
    assert told["rest"]["devices"] == {"phone": "never"}
    assert told["waiting"][0]["sentence"]["en"].endswith("; no phone is to be woken for it.")


async def test_a_document_that_cannot_be_read_is_said_to_be_so(house: House, autojump_clock: MockClock) -> None:
    """L8: it counts as rest without end, or as what was read last; and it is no fault of the request."""
    await house.register("anna")
    await house.ask("PUT", "/v1/users/anna/rest", NIGHT, key="rest")
    person = house.person("anna")
    assert person is not None
    person.rest = RestRecord(b"\x00" * 64, 7)
    person.table = None
    told = (await all_of(house))["rest"]
    assert (told["resting"], told["until"], told["sentence"]["en"][:34]) == (
        True, None, "The rest document cannot be read; ",
    )  # fmt: skip


async def test_who_has_no_devices_and_a_code_is_told_his_rest(house: House, autojump_clock: MockClock) -> None:
    await house.ask("PUT", "/v1/users/anna/rest", NOON_REST, key="rest")
    told = await all_of(house)
    assert [finding["en"] for finding in told["findings"]] == ["No device is registered."]
    assert told["rest"]["resting"] is True


def test_devices_of_one_instant_stand_in_the_order_of_their_ids() -> None:
    """Else the order in which they were refreshed would show, or that of a restart."""

    async def main() -> None:
        async with open_house() as house:
            for name in ("b", "c", "a"):
                await house.register("anna", name)
            person = house.person("anna")
            assert person is not None
            orders = []
            for turn in range(3):
                items: list[tuple[DeviceKey, Device]] = sorted(person.devices.items())
                person.have(dict(items[turn:] + items[:turn]))
                orders.append([device["device"] for device in (await explained(house)).json["devices"]])
            assert orders == [["a", "b", "c"]] * 3

    trio.run(main, clock=MockClock(autojump_threshold=0))
