"""An officer's own: the state of now, who may wake him, all of it to take along, and its end."""

from __future__ import annotations

from dataclasses import replace
from itertools import count

import pytest
import trio
from trio.testing import MockClock

from relay.core.events import EventClass
from relay.core.passes import PassKind
from relay.store.port import StoreError
from tests.relay.doors.house import ALARM, CLASSES, NIGHT, NOON, NOON_REST, House, open_house, tenant
from tests.relay.doors.test_acts import ENDLESS, Anna, anna_of
from tests.relay.doors.test_explain import ALARM as AN_ALARM

KEYS = count()


@pytest.fixture
async def anna(house: House, autojump_clock: MockClock) -> Anna:
    return await anna_of(house)


async def alarm(house: House) -> None:
    answer = await house.post({"user": "anna", **AN_ALARM}, key="control", idempotency_key=f"k{next(KEYS)}")
    assert answer.status == 202


# --- the state


async def test_without_a_document_somebody_is_reachable(anna: Anna, autojump_clock: MockClock) -> None:
    assert (await anna.ask("GET", "/state")).json == {
        "now": NOON, "resting": False, "until": None, "next_start": None, "version": None, "waiting": [],
        "sentence": {"en": "Reachable: there are no rules of rest.", "de": "Erreichbar: Es gibt keine Ruheregeln."},
    }  # fmt: skip


async def test_the_state_is_that_of_explain(anna: Anna, autojump_clock: MockClock) -> None:
    version = await anna.put(NOON_REST)
    await anna.house.post({"user": "anna"})
    await trio.sleep(10)
    told = (await anna.ask("GET", "/state")).json
    explained = (await anna.ask("GET", "/explain")).json
    assert told.pop("now") == NOON + 10
    assert told.pop("version") == version
    assert told.pop("waiting") == explained["waiting"]
    assert told == {name: value for name, value in explained["rest"].items() if name != "devices"}


async def test_a_rest_without_end_has_none(anna: Anna, autojump_clock: MockClock) -> None:
    await anna.put(ENDLESS)
    told = (await anna.ask("GET", "/state")).json
    assert (told["resting"], told["until"], told["next_start"]) == (True, None, None)


# --- classes


async def test_classes_that_may_go_out_in_rest_are_named(autojump_clock: MockClock) -> None:
    leaflet = EventClass(
        name="leaflet", through=frozenset({"off", "free"}), roles=frozenset({"b", "a"}), reasons=frozenset({"z", "y"})
    )
    owner = replace(tenant(), classes={**CLASSES, "leaflet": leaflet})
    async with open_house(tenants=[owner]) as house:
        anna = await anna_of(house)
        assert (await anna.ask("GET", "/classes")).json == {
            "classes": [
                {"class": "alarm", "pierces": "all", "roles": sorted(ALARM.roles), "reasons": sorted(ALARM.reasons)},
                {"class": "control", "pierces": "all", "roles": [], "reasons": []},
                {"class": "leaflet", "pierces": ["free", "off"], "roles": ["a", "b"], "reasons": ["y", "z"]},
            ]
        }


# --- the calendar


@pytest.mark.parametrize(
    ("query", "summary"), [("", "Ruhe: Nachtruhe"), ("?lang=de", "Ruhe: Nachtruhe"), ("?lang=en", "Rest: night rest")]
)
async def test_rests_are_a_calendar(anna: Anna, autojump_clock: MockClock, query: str, summary: str) -> None:
    await anna.put(NIGHT)
    answer = await anna.ask("GET", f"/rest.ics{query}")
    assert (answer.status, answer.header("content-type")) == (200, "text/calendar; charset=utf-8")
    lines = answer.body.decode().split("\r\n")
    assert (lines[0], lines.count("BEGIN:VEVENT")) == ("BEGIN:VCALENDAR", 90)
    assert "DTSTART:20261124T210000Z" in lines
    assert f"SUMMARY:{summary}" in lines


async def test_without_a_document_the_calendar_is_empty(anna: Anna, autojump_clock: MockClock) -> None:
    answer = await anna.ask("GET", "/rest.ics")
    assert (answer.status, b"VEVENT" in answer.body) == (200, False)


async def test_a_calendar_speaks_two_languages(anna: Anna, autojump_clock: MockClock) -> None:
    assert (await anna.ask("GET", "/rest.ics?lang=fr")).paths == ["query.lang"]


# --- to take along


async def test_all_that_is_kept_can_be_taken_along(anna: Anna, autojump_clock: MockClock) -> None:
    house = anna.house
    document = {**NOON_REST, "devices": {"phone": {"wake": "always"}}}
    version = await anna.put(document)
    await house.register("anna", "tablet", app="ipad")
    await house.post({"user": "anna"})
    await alarm(house)
    code = (await anna.ask("POST", "/support")).json["code"]
    await house.ask("GET", "/v1/users/anna/rest", key="support", headers=[("Support-Code", code)])
    state = (await anna.ask("GET", "/state")).json
    answer = await anna.ask("GET", "/export")
    told = answer.json
    assert answer.header("cache-control") == "no-store"
    assert (told["at"], told["user"]) == (NOON, "anna")
    assert told["rest"] == {"version": version, "readable": True, "document": document}
    phone = {"platform": "apns", "registered_at": NOON, "attempts": 0, "retry_at": None}
    assert told["devices"] == [
        {**phone, "device": "phone", "app": "ios", "wake": "always"},
        {**phone, "device": "tablet", "app": "ipad", "wake": "follow"},
    ]
    assert told["waiting"] == state["waiting"]
    assert [each["class"] for each in told["waiting"]] == ["alarm", "message"]
    assert told["bypasses"] == [{"at": NOON, "class": "alarm", "role": "dispatch", "reason": "incident"}]
    assert told["visits"] == [{"at": NOON, "key": "support", "what": "rest"}]
    assert {each["kind"]: each["expires_at"] for each in told["passes"]} == {
        "support": NOON + 900.0, "token": NOON + 30 * 86_400.0,
    }  # fmt: skip
    assert {(each["begun_at"], each["used_at"]) for each in told["passes"]} == {(NOON, NOON)}
    for secret in (code, code.replace(" ", ""), anna._officer[1].removeprefix("Bearer me.")):
        assert secret.encode() not in answer.body


async def test_what_is_taken_along_is_all_and_not_a_page_of_it(anna: Anna, autojump_clock: MockClock) -> None:
    house = anna.house
    for _ in range(230):
        await alarm(house)
    assert len((await anna.ask("GET", "/bypasses")).json["bypasses"]) == 200
    assert len((await anna.ask("GET", "/export")).json["bypasses"]) == 230


# --- the end


async def test_what_is_the_officers_ends_and_what_is_the_backends_stays(anna: Anna, autojump_clock: MockClock) -> None:
    """Passes of every kind, whatever kinds there are."""
    house = anna.house
    await anna.put(NOON_REST)
    await house.post({"user": "anna"})
    await alarm(house)
    link = (await house.ask("POST", "/v1/users/anna/link", key="rest")).json["link"]
    code = (await anna.ask("POST", "/support")).json["code"]
    await house.ask("GET", "/v1/users/anna/rest", key="support", headers=[("Support-Code", code)])
    bert = Anna(house, await _bert(house))
    await bert.put(NIGHT)
    person = house.person("anna")
    assert person is not None
    assert {each.kind for each in house.people.passes.of(person.key).values()} == {
        PassKind.TOKEN, PassKind.SUPPORT, PassKind.LINK
    }  # fmt: skip
    answer = await anna.ask("DELETE", "")
    assert (answer.status, answer.body) == (204, b"")
    assert house.people.passes.of(person.key) == {}
    assert (await anna.ask("GET", "/state")).status == 401
    assert (await house.ask("POST", "/v1/me/token", {"link": link})).status == 403
    looked = await house.ask("GET", "/v1/users/anna/rest", key="support", headers=[("Support-Code", code)])
    assert looked.status == 403
    again = Anna(house, await house.officer())
    assert (await again.ask("GET", "/rest")).status == 404
    assert (await again.ask("GET", "/support")).json == {"visits": [], "until": None}
    assert len((await again.ask("GET", "/bypasses")).json["bypasses"]) == 1
    assert [each["device"] for each in (await again.ask("GET", "/devices")).json["devices"]] == ["phone"]
    assert house.pending("anna") == 1
    assert person.slots["message"].due_at == NOON, "there is no rest that keeps it back any more"
    assert (await bert.document()) == NIGHT


async def _bert(house: House) -> tuple[str, str]:
    await house.register("bert")
    return await house.officer("bert")


async def test_the_end_is_in_the_store_too(anna: Anna, autojump_clock: MockClock) -> None:
    await anna.put(NIGHT)
    await anna.ask("POST", "/support")
    assert (await anna.ask("DELETE", "")).status == 204
    loaded = anna.house.store.load()
    assert (loaded.rests, loaded.passes) == ({}, {})
    assert len(loaded.people) == 1


async def test_the_end_honours_a_condition(anna: Anna, autojump_clock: MockClock) -> None:
    """Of somebody who looks at an old page."""
    old = await anna.put(NIGHT)
    current = await anna.put(NOON_REST)
    before = anna.house.snapshot()
    answer = await anna.ask("DELETE", "", if_match=f'"{old}"')
    assert (answer.status, answer.header("etag")) == (412, f'"{current}"')
    assert anna.house.snapshot() == before
    assert (await anna.ask("DELETE", "", if_match=f'"{current}"')).status == 204


async def test_who_has_no_document_can_end_the_rest_of_it(anna: Anna, autojump_clock: MockClock) -> None:
    assert (await anna.ask("DELETE", "")).status == 204
    assert (await anna.ask("GET", "/state")).status == 401


async def test_a_commit_that_fails_ends_nothing(anna: Anna, autojump_clock: MockClock) -> None:
    await anna.put(NIGHT)
    before = anna.house.snapshot()
    anna.house.store.fail_next = StoreError("disk full")
    assert (await anna.ask("DELETE", "")).status == 503
    assert anna.house.snapshot() == before
    assert (await anna.ask("GET", "/rest")).status == 200


@pytest.mark.parametrize("what", ["", "/state", "/classes", "/export", "/rest.ics"])
async def test_nobody_else_may_ask(anna: Anna, autojump_clock: MockClock, what: str) -> None:
    method = "GET" if what else "DELETE"
    for key in ("rest", "support", "backend", "devices"):
        assert (await anna.house.ask(method, f"/v1/me{what}", key=key)).status == 401
    assert (await anna.house.ask(method, f"/v1/me{what}")).status == 401
