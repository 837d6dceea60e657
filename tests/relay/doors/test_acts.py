"""Off duty now, reachable now, time on call, how a device is woken: an officer's acts, through the door."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, Final

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from relay.core.devices import RestRecord
from relay.store.port import StoreError
from schedules import compile_table, parse
from tests.relay.doors.house import NIGHT, NOON, NOON_REST, Held, House, open_house
from tests.relay.doors.http_client import MSGPACK, PACK, Answer, Field

MINUTE, HOUR, DAY = 60.0, 3600.0, 86_400.0
FULL: Final = [
    {"kind": "rest", "start": f"2027-03-01T10:{i:02}:00Z", "end": f"2027-03-01T10:{i:02}:30Z"} for i in range(50)
]
"""As many overrides as a document holds."""
ENDLESS: Final = {"windows": [{"kind": "once", "start": "2020-01-01T00:00", "end": "2190-01-01T00:00"}]}
BAD_ZONE: Final = {"timezone": "Europe/Atlantis"}


def written(instant: float) -> str:
    return f"{datetime.fromtimestamp(instant, UTC):%Y-%m-%dT%H:%M:%SZ}"


class Anna:
    """An officer with a phone, and her token."""

    def __init__(self, house: House, officer: Field) -> None:
        self.house = house
        self._officer = officer

    async def ask(self, method: str, what: str, body: object = None, **headers: str) -> Answer:
        fields = [self._officer, *((name.replace("_", "-"), value) for name, value in headers.items())]
        return await self.house.ask(method, f"/v1/me{what}", body, headers=fields)

    async def act(self, what: str, body: object = None, **headers: str) -> Answer:
        return await self.ask("POST", f"/rest/{what}", {} if body is None else body, **headers)

    async def put(self, document: object) -> int:
        answer = await self.ask("PUT", "/rest?confirm=never-reachable", document)
        assert answer.status in (200, 201), answer
        return int(answer.json["version"])

    async def document(self) -> Any:  # noqa: ANN401 (JSON)
        return (await self.ask("GET", "/rest")).json

    async def rests(self, at: float) -> bool:
        document = await self.document()
        return compile_table(parse(document), at).at(at).resting


async def anna_of(house: House) -> Anna:
    await house.register("anna")
    return Anna(house, await house.officer())


@pytest.fixture
async def anna(house: House, autojump_clock: MockClock) -> Anna:
    return await anna_of(house)


# --- off duty now


@pytest.mark.parametrize(
    "body",
    [
        {"minutes": 60},
        {"until": NOON + HOUR},
        {"until": "2026-11-24T14:00:00+01:00"},
        {"minutes": 60, "until": None, "label": None},
    ],
)
async def test_who_goes_off_duty_rests_from_now_on(anna: Anna, autojump_clock: MockClock, body: object) -> None:
    """A document is made where there was none; the answer is the state that holds then, with the version as ETag."""
    answer = await anna.act("snooze", body)
    assert answer.status == 200
    told = answer.json
    assert answer.header("etag") == f'"{told["version"]}"'
    assert (told["resting"], told["until"], told["next_start"], told["now"]) == (True, NOON + HOUR, None, NOON)
    assert told["sentence"] == {
        "en": "Rest until today 14:00 because of: off duty now.", "de": "Ruhe bis heute 14:00 wegen: Feierabend.",
    }  # fmt: skip
    assert await anna.document() == {
        "overrides": [{"kind": "rest", "start": written(NOON), "end": written(NOON + HOUR)}]
    }
    assert (await anna.ask("GET", "/state")).json == told


async def test_the_act_is_one_of_the_document_there_is(anna: Anna, autojump_clock: MockClock) -> None:
    before = await anna.put({**NIGHT, "devices": {"phone": {"wake": "always"}}})
    answer = await anna.act("snooze", {"minutes": 60, "label": "Kino"})
    assert answer.json["version"] > before
    document = await anna.document()
    assert document["windows"] == NIGHT["windows"]
    assert document["devices"] == {"phone": {"wake": "always"}}
    assert [override["label"] for override in document["overrides"]] == ["Kino"]


async def test_now_is_the_instant_of_the_commit(autojump_clock: MockClock) -> None:
    """An hour from when it holds, and not from when it was asked for."""
    held = Held()
    async with open_house(executor=held) as house:
        held.release()
        anna = await anna_of(house)
        held.gate = trio.Event()
        answers: list[Answer] = []

        async def snooze(body: object) -> None:
            answers.append(await anna.act("snooze", body))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(house.register, "zoe")
            await wait_all_tasks_blocked()
            nursery.start_soon(snooze, {"minutes": 60})
            await trio.sleep(5)
            held.release()
        assert (answers[0].json["now"], answers[0].json["until"]) == (NOON + 5, NOON + 5 + HOUR)
        held.gate = trio.Event()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(house.register, "ida")
            await wait_all_tasks_blocked()
            nursery.start_soon(snooze, {"until": NOON + 7})
            await trio.sleep(5)
            held.release()
        assert (answers[1].status, answers[1].paths) == (422, ["until"]), "it was over by then"


async def test_two_acts_at_once_both_hold(autojump_clock: MockClock) -> None:
    """Both wait for one commit, and neither has seen the other's document."""
    held = Held()
    async with open_house(executor=held) as house:
        held.release()
        anna = await anna_of(house)
        await anna.put(NIGHT)
        held.gate = trio.Event()
        answers: dict[str, Answer] = {}

        async def ask(name: str, act: Callable[[], Awaitable[Answer]]) -> None:
            answers[name] = await act()

        wake = {"wake": "never"}
        call = {"from": NOON + DAY, "to": NOON + 2 * DAY}
        async with trio.open_nursery() as nursery:
            nursery.start_soon(house.register, "zoe")
            await wait_all_tasks_blocked()
            nursery.start_soon(ask, "snooze", lambda: anna.act("snooze", {"minutes": 5}))
            nursery.start_soon(ask, "device", lambda: anna.ask("PUT", "/devices/phone", wake))
            nursery.start_soon(ask, "call", lambda: anna.act("on-call", call))
            await wait_all_tasks_blocked()
            assert answers == {}
            held.release()
        assert {name: answer.status for name, answer in answers.items()} == {"snooze": 200, "device": 200, "call": 201}
        assert len({answer.header("etag") for answer in answers.values()}) == 3
        document = await anna.document()
        assert document["windows"] == NIGHT["windows"]
        assert {override["kind"] for override in document["overrides"]} == {"rest", "reachable"}
        assert document["devices"] == {"phone": wake}


async def test_of_two_acts_under_one_version_one_is_taken(autojump_clock: MockClock) -> None:
    held = Held()
    async with open_house(executor=held) as house:
        held.release()
        anna = await anna_of(house)
        etag = f'"{await anna.put(NIGHT)}"'
        held.gate = trio.Event()
        answers: list[Answer] = []

        async def snooze() -> None:
            answers.append(await anna.act("snooze", {"minutes": 5}, if_match=etag))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(house.register, "zoe")
            await wait_all_tasks_blocked()
            nursery.start_soon(snooze)
            nursery.start_soon(snooze)
            await wait_all_tasks_blocked()
            held.release()
        assert sorted(answer.status for answer in answers) == [200, 412]
        assert len({answer.header("etag") for answer in answers}) == 1


async def test_what_waits_leaves_when_the_officer_is_reachable_now(anna: Anna, autojump_clock: MockClock) -> None:
    await anna.put(NOON_REST)
    await anna.house.post({"user": "anna"})
    person = anna.house.person("anna")
    assert person is not None
    assert person.slots["message"].due_at > NOON
    answer = await anna.act("reachable", {"minutes": 5})
    assert (answer.json["resting"], answer.json["next_start"]) == (False, NOON + 5 * MINUTE)
    assert answer.json["waiting"][0]["due"] == NOON
    assert person.slots["message"].due_at == NOON


# --- reachable now


async def test_reachable_without_an_end_lasts_until_the_rest_is_over(anna: Anna, autojump_clock: MockClock) -> None:
    await anna.put(NOON_REST)
    answer = await anna.act("reachable")
    assert (answer.status, answer.json["resting"]) == (200, False)
    assert (await anna.document())["overrides"] == [
        {"kind": "reachable", "start": written(NOON), "end": written(NOON + 3 * HOUR)}
    ]


async def test_reachable_needs_no_body(anna: Anna, autojump_clock: MockClock) -> None:
    await anna.put(NOON_REST)
    answer = await anna.ask("POST", "/rest/reachable")
    assert (answer.status, answer.json["resting"]) == (200, False)


@pytest.mark.parametrize("document", [None, {}, NIGHT])
async def test_who_is_reachable_anyway_changes_nothing_by_saying_so(
    anna: Anna, autojump_clock: MockClock, document: object
) -> None:
    """A second press is no error, and no new version that would make another tab's old."""
    version = None if document is None else await anna.put(document)
    before = anna.house.snapshot()
    answer = await anna.act("reachable")
    assert (answer.status, answer.json["version"]) == (200, version)
    assert answer.header("etag") == (None if version is None else f'"{version}"')
    assert anna.house.snapshot() == before
    refused = await anna.act("reachable", if_match='"999"')
    assert refused.status == 412, "a condition is one all the same"


async def test_a_rest_without_end_asks_until_when(anna: Anna, autojump_clock: MockClock) -> None:
    await anna.put(ENDLESS)
    before = anna.house.snapshot()
    answer = await anna.act("reachable")
    assert (answer.status, answer.json["type"]) == (409, "/problems/endless")
    assert answer.json["de"].startswith("ein Ende der Ruhe")
    assert anna.house.snapshot() == before
    answer = await anna.act("reachable", {"minutes": 60})
    assert (answer.status, answer.json["next_start"]) == (200, NOON + HOUR)


# --- what is refused

AMISS: Final[list[tuple[str, object, list[str]]]] = [
    ("snooze", {}, ["until"]),
    ("snooze", {"label": "x"}, ["until"]),
    ("snooze", {"minutes": 5, "until": NOON + HOUR}, ["minutes"]),
    ("snooze", {"minutes": 0}, ["minutes"]),
    ("snooze", {"minutes": 20_161}, ["minutes"]),
    ("snooze", {"minutes": 1.5}, ["minutes"]),
    ("snooze", {"minutes": True}, ["minutes"]),
    ("snooze", {"until": NOON}, ["until"]),
    ("snooze", {"until": NOON - 1}, ["until"]),
    ("snooze", {"until": 7_258_118_400}, ["until"]),
    ("snooze", {"until": 1e300}, ["until"]),
    ("snooze", {"until": 10**400}, ["until"]),
    ("snooze", {"until": "tomorrow"}, ["until"]),
    ("snooze", {"until": "2026-11-24T22:00"}, ["until"]),
    ("snooze", {"minutes": 5, "label": "x" * 201}, ["label"]),
    ("snooze", {"minutes": "5", "colour": "red", "label": 5}, ["colour", "label", "minutes"]),
    ("reachable", {"minutes": 5, "label": "x"}, ["label"]),
    ("reachable", {"minutes": 5, "until": NOON + HOUR}, ["minutes"]),
    ("reachable", {"until": NOON}, ["until"]),
    ("on-call", {}, ["from", "to"]),
    ("on-call", {"from": NOON}, ["to"]),
    ("on-call", {"from": None, "to": NOON + HOUR}, ["from"]),
    ("on-call", {"from": NOON + HOUR, "to": NOON + HOUR}, ["to"]),
    ("on-call", {"from": NOON - HOUR, "to": NOON}, ["to"]),
    ("on-call", {"from": "noon", "to": "2026-02-30T00:00"}, ["from", "to"]),
    ("on-call", {"from": "2026-11-24T24:00", "to": NOON + DAY}, ["from"]),
    ("on-call", {"from": -1e20, "to": 1e20}, ["from", "to"]),
    ("on-call", {"from": NOON, "to": NOON + HOUR, "label": "x" * 201}, ["label"]),
    ("on-call", {"from": NOON, "to": NOON + HOUR, "id": "mine"}, ["id"]),
    ("snooze", [], ["body"]),
]


@pytest.mark.parametrize(("what", "body", "paths"), AMISS, ids=lambda value: str(value)[:40])
async def test_what_is_amiss_is_named_in_both_languages_and_nothing_changes(
    anna: Anna, autojump_clock: MockClock, what: str, body: object, paths: list[str]
) -> None:
    await anna.put(NIGHT)
    before = anna.house.snapshot()
    answer = await anna.act(what, body)
    assert (answer.status, sorted(answer.paths)) == (422, sorted(paths))
    for error in answer.json["errors"]:
        assert error["sentence"]
        assert error["de"]
        assert error["sentence"] != error["de"]
    assert anna.house.snapshot() == before


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
async def test_numbers_that_are_none_are_refused(anna: Anna, autojump_clock: MockClock, value: float) -> None:
    """JSON has no such numbers, MessagePack does."""
    for what, body in (("snooze", {"until": value}), ("on-call", {"from": value, "to": value})):
        answer = await anna.house.ask(
            "POST", f"/v1/me/rest/{what}", PACK[MSGPACK](body), form=MSGPACK, headers=[anna._officer]
        )
        assert answer.status == 422


async def test_there_is_no_room_for_another_override(anna: Anna, autojump_clock: MockClock) -> None:
    await anna.put({"overrides": FULL})
    before = anna.house.snapshot()
    for what, body in (("snooze", {"minutes": 5}), ("on-call", {"from": NOON, "to": NOON + HOUR})):
        answer = await anna.act(what, body)
        assert (answer.status, answer.json["errors"]) == (
            422,
            [{"path": "overrides", "sentence": "has more than 50 entries", "de": "hat mehr als 50 Einträge"}],
        )
    assert anna.house.snapshot() == before


@pytest.mark.parametrize(
    ("method", "what", "body"),
    [
        ("POST", "/rest/snooze", {"minutes": 5}),
        ("POST", "/rest/reachable", {"minutes": 5}),
        ("POST", "/rest/on-call", {"from": NOON, "to": NOON + HOUR}),
        ("DELETE", "/rest/on-call/a1", None),
        ("PUT", "/devices/phone", {"wake": "never"}),
    ],
)
async def test_every_act_honours_a_condition(
    anna: Anna, autojump_clock: MockClock, method: str, what: str, body: object
) -> None:
    on_call = {"kind": "reachable", "start": written(NOON), "end": written(NOON + DAY), "id": "a1"}
    old = await anna.put(NIGHT)
    current = await anna.put({**NOON_REST, "overrides": [on_call]})
    before = anna.house.snapshot()
    refused = await anna.ask(method, what, body, if_match=f'"{old}"')
    assert (refused.status, refused.header("etag")) == (412, f'"{current}"')
    assert (await anna.ask(method, what, body, if_none_match="*")).status == 412
    assert (await anna.ask(method, what, body, if_match="7")).paths == ["header.If-Match"]
    assert anna.house.snapshot() == before
    taken = await anna.ask(method, what, body, if_match=f'"{current}"')
    assert taken.status in (200, 201, 204)
    etag = taken.header("etag") or ""
    assert int(etag.strip('"')) > current
    assert (await anna.ask("GET", "/rest", if_none_match=etag)).status == 304


async def test_acts_are_for_officers_only(anna: Anna, autojump_clock: MockClock) -> None:
    for key in ("rest", "backend", "support", "devices"):
        answer = await anna.house.ask("POST", "/v1/me/rest/snooze", {"minutes": 5}, key=key)
        assert answer.status == 401


async def test_a_commit_that_fails_changes_nothing(anna: Anna, autojump_clock: MockClock) -> None:
    await anna.put(NIGHT)
    before = anna.house.snapshot()
    anna.house.store.fail_next = StoreError("disk full")
    answer = await anna.act("snooze", {"minutes": 5})
    assert (answer.status, answer.header("retry-after") is not None) == (503, True)
    assert anna.house.snapshot() == before


@pytest.mark.parametrize("sealed", ["not a document", "moved"])
async def test_in_a_document_that_cannot_be_read_nothing_can_be_changed(
    anna: Anna, autojump_clock: MockClock, sealed: str
) -> None:
    """As after a change of the zone data, or of a key; it can be replaced."""
    person = anna.house.person("anna")
    assert person is not None
    records = anna.house.records["north"]
    content = records.seal_rest(person.key, BAD_ZONE) if sealed == "not a document" else b"\x00" * 40
    await anna.put(NIGHT)
    person.rest, person.table = RestRecord(content, 7), None
    for method, what, body in (
        ("POST", "/rest/snooze", {"minutes": 5}),
        ("POST", "/rest/reachable", {}),
        ("PUT", "/devices/phone", {"wake": "never"}),
        ("GET", "/rest/preview", None),
        ("GET", "/rest.ics", None),
    ):
        answer = await anna.ask(method, what, body)
        assert (answer.status, answer.json["type"]) == (409, "/problems/unreadable")
        assert answer.json["de"]
    assert (await anna.ask("POST", "/rest/preview", NIGHT)).status == 200
    assert (await anna.ask("GET", "/export")).json["rest"] == {"version": 7, "readable": False, "document": None}
    await anna.put(NIGHT)
    assert (await anna.act("snooze", {"minutes": 5})).status == 200


async def test_a_fault_of_ours_ends_the_request_and_not_the_writer(anna: Anna, autojump_clock: MockClock) -> None:
    """The change runs where commits are drafted."""

    def change(_document: object, _now: float) -> None:
        raise ZeroDivisionError

    house = anna.house
    person = house.person("anna")
    assert person is not None
    before = house.snapshot()
    with pytest.raises(ZeroDivisionError):
        await house.engine.change_rest(house.tenants["north"], person.key, change, None)
    assert house.snapshot() == before
    assert (await anna.act("snooze", {"minutes": 5})).status == 200


# --- R10


async def test_an_act_that_leaves_no_reachable_minute_for_weeks_asks(anna: Anna, autojump_clock: MockClock) -> None:
    on_call = {"kind": "reachable", "start": written(NOON + DAY), "end": written(NOON + 2 * DAY), "id": "a1"}
    await anna.put({**ENDLESS, "overrides": [on_call]})
    before = anna.house.snapshot()
    for method, what, body in (
        ("POST", "/rest/snooze", {"until": NOON + 36 * DAY}),
        ("DELETE", "/rest/on-call/a1", None),
    ):
        answer = await anna.ask(method, what, body)
        assert (answer.status, answer.json["type"], answer.json["confirm"]) == (
            409,
            "/problems/confirmation",
            "never-reachable",
        )
        assert "35 days" in answer.json["detail"]
        assert "35 Tagen" in answer.json["de"]
        assert (await anna.ask(method, f"{what}?confirm=yes", body)).paths == ["query.confirm"]
        assert anna.house.snapshot() == before
    answer = await anna.act("snooze?confirm=never-reachable", {"until": NOON + 36 * DAY})
    assert (answer.status, answer.json["resting"]) == (200, True)


# --- on call


@pytest.mark.parametrize(
    ("start", "end", "texts"),
    [
        (NOON + HOUR, NOON + 2 * HOUR, ("2026-11-24T13:00:00Z", "2026-11-24T14:00:00Z")),
        (NOON + 0.75, NOON + 1.25, ("2026-11-24T12:00:00Z", "2026-11-24T12:00:02Z")),
        ("2026-11-24T18:00", "2026-11-25T08:00", ("2026-11-24T18:00", "2026-11-25T08:00")),
        ("2026-11-24T18:00+01:00", "2026-11-25T08:00Z", ("2026-11-24T18:00+01:00", "2026-11-25T08:00Z")),
    ],
)
async def test_time_on_call_is_entered_and_taken_back(
    anna: Anna, autojump_clock: MockClock, start: object, end: object, texts: tuple[str, str]
) -> None:
    """Wall times stay wall times: they move along with the rules of the zone."""
    await anna.put(NIGHT)
    answer = await anna.act("on-call", {"from": start, "to": end, "label": "Rufbereitschaft"})
    assert answer.status == 201
    name = answer.json["id"]
    assert answer.header("etag") == f'"{answer.json["version"]}"'
    assert (await anna.document())["overrides"] == [
        {"kind": "reachable", "start": texts[0], "end": texts[1], "id": name, "label": "Rufbereitschaft"}
    ]
    gone = await anna.ask("DELETE", f"/rest/on-call/{name}")
    assert (gone.status, gone.body) == (204, b"")
    assert await anna.document() == {**NIGHT, "overrides": []}
    assert (await anna.ask("DELETE", f"/rest/on-call/{name}")).status == 404


async def test_two_times_on_call_are_two(anna: Anna, autojump_clock: MockClock) -> None:
    """They touch, and each can be taken back alone."""
    first = (await anna.act("on-call", {"from": NOON, "to": NOON + HOUR})).json["id"]
    second = (await anna.act("on-call", {"from": NOON + HOUR, "to": NOON + 2 * HOUR})).json["id"]
    assert first != second
    await anna.ask("DELETE", f"/rest/on-call/{first}")
    assert [override["id"] for override in (await anna.document())["overrides"]] == [second]


async def test_only_time_on_call_is_taken_back_by_its_id(anna: Anna, autojump_clock: MockClock) -> None:
    await anna.put({"overrides": [{"kind": "rest", "start": written(NOON), "end": written(NOON + DAY), "id": "a1"}]})
    for name in ("a1", "a2", "%20", "caf%C3%A9"):
        assert (await anna.ask("DELETE", f"/rest/on-call/{name}")).status == 404
    assert (await anna.ask("DELETE", "/rest/on-call/%00")).paths == ["path.id"]


async def test_a_break_within_time_on_call_leaves_what_is_to_come_under_its_id(
    anna: Anna, autojump_clock: MockClock
) -> None:
    """Else nobody could take back the rest of the night by it."""
    await anna.put(NIGHT)
    name = (await anna.act("on-call", {"from": NOON - HOUR, "to": NOON + 20 * HOUR})).json["id"]
    await anna.act("snooze", {"minutes": 60})
    assert not await anna.rests(NOON + 11 * HOUR)
    await anna.ask("DELETE", f"/rest/on-call/{name}")
    assert await anna.rests(NOON + 11 * HOUR)


async def test_what_ended_a_day_ago_is_dropped_on_the_way(anna: Anna, autojump_clock: MockClock) -> None:
    """L3."""
    old = {"kind": "rest", "start": written(NOON - 9 * DAY), "end": written(NOON - 2 * DAY)}
    await anna.put({"overrides": [old]})
    name = (await anna.act("on-call", {"from": NOON, "to": NOON + HOUR})).json["id"]
    assert [override.get("id") for override in (await anna.document())["overrides"]] == [name]


# --- how a device is woken


async def test_a_device_is_woken_as_its_owner_says(anna: Anna, autojump_clock: MockClock) -> None:
    person = anna.house.person("anna")
    assert person is not None
    for wake in ("never", "always", "follow"):
        answer = await anna.ask("PUT", "/devices/phone", {"wake": wake})
        assert (answer.status, answer.json.keys()) == (200, {"version"})
        assert answer.header("etag") == f'"{answer.json["version"]}"'
        devices = (await anna.ask("GET", "/devices")).json["devices"]
        assert [(device["device"], device["wake"]) for device in devices] == [("phone", wake)]
    assert await anna.document() == {"devices": {}}


async def test_saying_the_same_again_makes_no_version(anna: Anna, autojump_clock: MockClock) -> None:
    answer = await anna.ask("PUT", "/devices/phone", {"wake": "follow"})
    assert (answer.status, answer.json, answer.header("etag")) == (200, {"version": None}, None)
    assert (await anna.ask("GET", "/rest")).status == 404
    first = await anna.ask("PUT", "/devices/phone", {"wake": "never"})
    again = await anna.ask("PUT", "/devices/phone", {"wake": "never"})
    assert first.json == again.json


async def test_a_device_that_is_not_registered_is_none(anna: Anna, autojump_clock: MockClock) -> None:
    await anna.house.register("bert", "tablet")
    for device in ("tablet", "Phone", "phone%2F"):
        assert (await anna.ask("PUT", f"/devices/{device}", {"wake": "never"})).status == 404
    assert (await anna.ask("GET", "/rest")).status == 404


@pytest.mark.parametrize("body", [{}, {"wake": "sometimes"}, {"wake": None}, {"wake": "never", "x": 1}, {"wake": 5}])
async def test_there_are_three_ways(anna: Anna, autojump_clock: MockClock, body: object) -> None:
    answer = await anna.ask("PUT", "/devices/phone", body)
    assert answer.status == 422
    assert all(error["de"] for error in answer.json["errors"])


async def test_devices_that_are_gone_make_room_only_when_it_is_needed(anna: Anna, autojump_clock: MockClock) -> None:
    old = {f"old{i}": {"wake": "never"} for i in range(20)}
    await anna.put({"devices": {name: wake for name, wake in old.items() if name != "old19"}})
    await anna.ask("PUT", "/devices/phone", {"wake": "always"})
    assert len((await anna.document())["devices"]) == 20
    await anna.put({"devices": old})
    await anna.ask("PUT", "/devices/phone", {"wake": "always"})
    assert (await anna.document())["devices"] == {"phone": {"wake": "always"}}
