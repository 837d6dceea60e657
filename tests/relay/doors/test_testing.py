"""POST and GET /v1/me/test: what is answered, in numbers and in words. That it rings: tests/relay/test_trials.py."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from relay.core.devices import Platform
from relay.core.events import TEST
from relay.core.flight import Fate, Flight, Settlement
from relay.core.private import Private
from relay.doors.port import DeviceTrial, LaneCondition, TrialState, TrialWhy
from relay.doors.testing import said
from relay.store.port import StoreError
from tests.relay.doors.house import NOON, House
from tests.relay.doors.http_client import Answer, Field


async def mine(house: House, officer: Field, method: str = "GET") -> Answer:
    return await house.ask(method, "/v1/me/test", headers=[officer])


async def answered(house: House, user: str = "anna", device: str = "phone", fate: Fate | None = None) -> None:
    """A provider answers for the test's wakeup. This house has no lanes: what they would report is said here."""
    person = house.person(user)
    assert person is not None
    slot = person.slots[TEST.name]
    of = house.tenants["north"].pseudonyms.device(user, device)
    flight = Flight(person, person.devices[of], urgent=False)
    flight.claims = ((TEST.name, slot.generation, slot.total),)
    if fate is None:
        house.journal.settle_accepted([flight])
    else:
        house.journal.settle([Settlement(flight, fate, "TooManyRequests", house.clock.now() + 60)])
    await trio.testing.wait_all_tasks_blocked()


async def test_a_test_is_taken_and_told_device_by_device(house: House, autojump_clock: MockClock) -> None:
    for device in ("phone", "tablet"):
        await house.register("anna", device)
    await house.ask("PUT", "/v1/users/anna/devices/desk", {"platform": "none"}, key="devices")
    officer = await house.officer()
    await trio.sleep(3600)
    taken = await mine(house, officer, "POST")
    assert (taken.status, taken.json.keys()) == (202, {"id", "at"})
    assert taken.json["at"] == NOON + 3600
    assert re.fullmatch("[0-9a-f]{16}", taken.json["id"])
    await trio.sleep(120)
    await answered(house)
    told = await mine(house, officer)
    assert (told.status, told.json["at"]) == (200, NOON + 3600)
    phone, tablet, desk = sorted(told.json["devices"], key=lambda d: ["phone", "tablet", "desk"].index(d["device"]))
    assert phone == {
        "device": "phone", "platform": "apns", "app": "ios", "state": "handed_over", "provider": "apple",
        "at": NOON + 3720, "why": "", "reason": "", "retry_at": None, "sentence": phone["sentence"],
    }  # fmt: skip
    assert phone["sentence"]["de"].startswith("An Apple übergeben, heute 14:02. ")
    assert phone["sentence"]["en"].startswith("Handed over to Apple, today 14:02. ")
    assert (tablet["state"], tablet["at"]) == ("pending", None)
    assert (desk["state"], desk["provider"]) == ("pc", None)
    await answered(house, device="tablet", fate=Fate.RETRY)
    (tablet,) = (d for d in (await mine(house, officer)).json["devices"] if d["device"] == "tablet")
    assert (tablet["state"], tablet["why"], tablet["reason"]) == ("failing", "later", "TooManyRequests")
    assert tablet["retry_at"] == NOON + 3780
    assert "heute 14:03" in tablet["sentence"]["de"]


@pytest.mark.parametrize("state", ["paused", "stopped"])
async def test_a_lane_that_is_down_is_what_is_told(house: House, autojump_clock: MockClock, state: str) -> None:
    await house.register("anna")
    officer = await house.officer()
    await mine(house, officer, "POST")
    house.lanes["north", "ios"] = LaneCondition("ios", state, "Forbidden")
    (phone,) = (await mine(house, officer)).json["devices"]
    assert (phone["state"], phone["why"], phone["reason"]) == ("failing", state, "Forbidden")


async def test_the_fourth_within_ten_minutes_waits(house: House, autojump_clock: MockClock) -> None:
    await house.register("anna")
    officer = await house.officer()
    assert [(await mine(house, officer, "POST")).status for _ in range(3)] == [202] * 3
    await trio.sleep(0.5)
    commits = house.store.commits
    refused = await mine(house, officer, "POST")
    assert (refused.status, refused.header("retry-after")) == (429, "600")
    assert refused.json == {"type": "/problems/too-often", "title": "This was asked for too often", "status": 429}
    assert house.store.commits == commits
    await trio.sleep(599.5)
    assert (await mine(house, officer, "POST")).status == 202


async def test_a_store_that_fails_refuses_it_and_counts_none(house: House, autojump_clock: MockClock) -> None:
    await house.register("anna")
    officer = await house.officer()
    for _ in range(5):
        house.store.fail_next = StoreError("disk full")
        assert (await mine(house, officer, "POST")).status == 503
        await trio.sleep(1)
    assert (await mine(house, officer)).status == 404
    assert house.account(TEST.name).accepted == 0
    assert (await mine(house, officer, "POST")).status == 202


async def test_who_has_not_tested_is_told_so_and_each_is_told_his_own(house: House, autojump_clock: MockClock) -> None:
    for user in ("anna", "bert"):
        await house.register(user)
    anna, bert = await house.officer(), await house.officer("bert")
    await mine(house, anna, "POST")
    assert [(await mine(house, one)).status for one in (anna, bert)] == [200, 404]
    await trio.sleep(3600)
    assert (await mine(house, anna)).status == 404


async def test_it_goes_with_what_else_is_the_officers_own(house: House, autojump_clock: MockClock) -> None:
    await house.register("anna")
    officer = await house.officer()
    await mine(house, officer, "POST")
    assert (await house.ask("DELETE", "/v1/me", headers=[officer])).status == 204
    assert (await mine(house, await house.officer())).status == 404


async def test_no_key_tests_anybody_and_no_backend_posts_the_class(house: House, autojump_clock: MockClock) -> None:
    await house.register("anna")
    for key in ("backend", "control", "devices", "rest", "support"):
        for method in ("POST", "GET"):
            assert (await house.ask(method, "/v1/me/test", key=key)).status == 401
    event = {"user": "anna", "class": "test", "role": "officer", "reason": "test"}
    refused = await house.post(event, key="control", idempotency_key="k")
    assert (refused.status, refused.paths) == (422, ["class"])
    assert "test" not in refused.json["errors"][0]["sentence"]


async def test_the_officer_sees_it_among_what_pierced_his_rest(house: House, autojump_clock: MockClock) -> None:
    await house.register("anna")
    officer = await house.officer()
    await mine(house, officer, "POST")
    told = await house.ask("GET", "/v1/me/bypasses", headers=[officer])
    assert told.json["bypasses"] == [{"at": NOON, "class": "test", "role": "officer", "reason": "test"}]


# --- in words

PHONE = DeviceTrial(Private("phone"), "ios", Platform.APNS, TrialState.PENDING)


@given(
    st.sampled_from(Platform), st.sampled_from(TrialState), st.sampled_from(TrialWhy), st.none() | st.just(NOON - 60),
    st.sampled_from(["", "Unregistered", "{odd}"]), st.none() | st.just(NOON + 60),
)  # fmt: skip
def test_whatever_it_is_it_is_said_in_both_languages(
    platform: Platform, state: TrialState, why: TrialWhy, at: float | None, reason: str, retry_at: float | None
) -> None:
    """Also what does not go together, but for a failure without a cause."""
    if state is TrialState.FAILING and why in (TrialWhy.NOTHING, TrialWhy.HALT):
        return
    text = said(replace(PHONE, platform=platform, state=state, why=why, at=at, reason=reason, retry_at=retry_at), NOON)
    assert text.english != text.german
    assert "phone" not in text.english.split("Apple")[0].split(" ")[:1]
    for sentence in text:
        assert sentence.endswith(".")
        assert not re.search(r"\{(provider|at|app|reason)\}", sentence)


@pytest.mark.parametrize(
    ("changes", "german"),
    [
        ({"state": TrialState.PC, "platform": Platform.NONE}, "Ein Computer"),
        ({"state": TrialState.DEAD, "platform": Platform.FCM}, "Google kennt dieses Telefon nicht mehr"),
        ({"state": TrialState.NO_APP}, "Die App ios ist hier nicht mehr eingerichtet"),
        ({"state": TrialState.PENDING}, "Unterwegs zu Apple"),
        ({"state": TrialState.PENDING, "why": TrialWhy.HALT}, "Vom Betrieb"),
        ({"state": TrialState.FAILING, "why": TrialWhy.EXPIRED}, "Nach zehn Minuten aufgegeben"),
        ({"state": TrialState.FAILING, "why": TrialWhy.BACK_OFF}, "Die letzten Versuche"),
        ({"state": TrialState.FAILING, "why": TrialWhy.REFUSED, "reason": "BadTopic"}, "Apple nimmt es nicht an (Bad"),
    ],
)  # fmt: skip
def test_each_state_has_its_sentence(changes: dict[str, object], german: str) -> None:
    assert said(replace(PHONE, **changes), NOON).german.startswith(german)  # type: ignore[arg-type]  # of its members
