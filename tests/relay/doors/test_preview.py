"""The days to come and the effect on what waits, by the document that is stored or by one that is not."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from trio.testing import MockClock

from tests.relay.doors.house import NIGHT, NOON, NOON_REST, House
from tests.relay.doors.test_acts import ENDLESS, HOUR, Anna, anna_of

SHIFTS = {
    "windows": [
        {
            "kind": "cycle",
            "anchor": "2026-11-24",
            "days": ["S", "F"],
            "shifts": {"F": {"start": "06:00", "end": "14:00"}, "S": {"start": "14:00", "end": "22:00"}},
        }
    ]
}


@pytest.fixture
async def anna(house: House, autojump_clock: MockClock) -> Anna:
    return await anna_of(house)


async def preview(anna: Anna, document: object = None, query: str = "") -> Any:  # noqa: ANN401 (JSON)
    """By the document, or without one by that which is stored."""
    answer = await anna.ask("GET" if document is None else "POST", f"/rest/preview{query}", document)
    assert answer.status == 200, answer
    return answer.json


async def test_what_was_saved_and_what_is_not_are_told_in_the_same_form(anna: Anna, autojump_clock: MockClock) -> None:
    await anna.put(NIGHT)
    told = await preview(anna)
    assert told == await preview(anna, NIGHT)
    assert {name: told[name] for name in ("timezone", "now", "resting", "until", "next_start")} == {
        "timezone": "Europe/Berlin", "now": NOON, "resting": False, "until": None, "next_start": NOON + 9 * HOUR,
    }  # fmt: skip
    assert len(told["days"]) == 14
    assert (told["hints"], told["never_reachable"]) == ([], False)
    assert told["effect"] == {"waiting": 0, "leaves": []}
    today, tomorrow = told["days"][:2]
    assert today == {
        "date": "2026-11-24",
        "spans": [
            {"start": NOON - 13 * HOUR, "end": NOON - 7 * HOUR, "resting": True, "reasons": ["windows[0]"]},
            {"start": NOON - 7 * HOUR, "end": NOON + 9 * HOUR, "resting": False, "reasons": []},
            {"start": NOON + 9 * HOUR, "end": NOON + 11 * HOUR, "resting": True, "reasons": ["windows[0]"]},
        ],
        "sentence": {"en": "Tue 24 Nov 13:00-22:00 reachable", "de": "Di 24.11. 13:00-22:00 erreichbar"},
    }
    assert tomorrow["sentence"]["de"] == "Mi 25.11. 06:00-22:00 erreichbar"


@pytest.mark.parametrize("count", [1, 2, 35, 62])
async def test_so_many_days_are_told(anna: Anna, autojump_clock: MockClock, count: int) -> None:
    """Also over a change of the clock, which is said."""
    await trio.sleep(100 * 86_400)
    anna = Anna(anna.house, await anna.house.officer())
    told = await preview(anna, NIGHT, f"?days={count}")
    assert len(told["days"]) == count
    for day, following in zip(told["days"], told["days"][1:], strict=False):
        assert day["spans"][-1]["end"] == following["spans"][0]["start"]
    changes = [day["date"] for day in told["days"] if day["sentence"]["de"].endswith("(Zeitumstellung)")]
    assert changes == (["2027-03-28"] if count >= 35 else [])


@pytest.mark.parametrize("value", ["0", "63", "99", "014", "1.0", "-1", "", "x", "%D9%A1"])
async def test_no_other_number_of_days_is_known(anna: Anna, autojump_clock: MockClock, value: str) -> None:
    for method, body in (("GET", None), ("POST", NIGHT)):
        answer = await anna.ask(method, f"/rest/preview?days={value}", body)
        assert (answer.status, answer.paths) == (422, ["query.days"])
        assert answer.json["errors"][0]["de"] == "muss eine ganze Zahl von 1 bis 62 sein"


async def test_who_has_no_document_is_always_reachable(anna: Anna, autojump_clock: MockClock) -> None:
    told = await preview(anna)
    assert told == await preview(anna, {})
    assert (told["timezone"], told["resting"], told["next_start"]) == ("Europe/Berlin", False, None)
    assert told["days"][1]["sentence"]["en"] == "Wed 25 Nov reachable all day"


async def test_hints_and_the_question_are_told_and_not_asked(anna: Anna, autojump_clock: MockClock) -> None:
    told = await preview(anna, SHIFTS, "?days=3")
    assert told["hints"][0] == {
        "en": "Between Tue 24 Nov 22:00 and Wed 25 Nov 06:00 there are 8 h (less than 11 h).",
        "de": "Zwischen Di 24.11. 22:00 und Mi 25.11. 06:00 liegen 8 h (unter 11 h).",
    }
    assert not told["never_reachable"]
    assert (await preview(anna, ENDLESS, "?days=1"))["never_reachable"]


@pytest.mark.parametrize(
    ("body", "status"),
    [([], 422), (5, 422), ({"timezone": "Mars"}, 422), (b"{", 400), (b"{" + b" " * 65_535 + b"}", 413)],
)
async def test_what_cannot_be_saved_has_no_preview(
    anna: Anna, autojump_clock: MockClock, body: object, status: int
) -> None:
    """Every fault in both languages; as the answer to PUT, byte for byte."""
    answer = await anna.ask("POST", "/rest/preview", body)
    assert answer.status == status
    assert answer == await anna.ask("PUT", "/rest", body)
    if status == 422:
        assert all(error["de"] != error["sentence"] for error in answer.json["errors"])


async def test_the_effect_on_what_waits_is_told_before_anything_is_saved(anna: Anna, autojump_clock: MockClock) -> None:
    """It stays, leaves at once, leaves later, is kept back without end. Nothing is changed by asking."""
    house = anna.house
    await anna.put(NOON_REST)
    await house.post({"users": ["anna", "anna"]})
    await house.post({"user": "anna", "class": "roster"})
    before = house.snapshot()
    (message, roster) = (await anna.ask("GET", "/state")).json["waiting"]
    due = message["due"]
    assert due == roster["due"] >= NOON + 3 * HOUR
    later = {"windows": [{"kind": "cron", "start": "0 12 * * *", "duration_minutes": 300}]}
    for document, after in (
        (None, due),
        (NOON_REST, due),
        ({}, NOON),
        (NIGHT, NOON),
        (later, due + HOUR),
        (ENDLESS, None),
    ):
        effect = (await preview(anna, document))["effect"]
        assert effect == {
            "waiting": 3,
            "leaves": [
                {"class": "message", "notices": 2, "due_before": due, "due_after": after},
                {"class": "roster", "notices": 1, "due_before": due, "due_after": after},
            ],
        }
    assert house.snapshot() == before


async def test_an_edit_for_one_class_moves_that_class(anna: Anna, autojump_clock: MockClock) -> None:
    await anna.put(NOON_REST)
    await anna.house.post({"user": "anna"})
    await anna.house.post({"user": "anna", "class": "roster"})
    on_call = {
        "kind": "reachable", "start": "2026-11-24T12:00Z", "end": "2026-11-24T13:00Z", "classes": ["roster"]
    }  # fmt: skip
    message, roster = (await preview(anna, {**NOON_REST, "overrides": [on_call]}))["effect"]["leaves"]
    assert message["due_after"] == message["due_before"]
    assert roster["due_after"] == NOON < roster["due_before"]


@pytest.mark.parametrize(("wake", "after"), [("never", None), ("always", NOON)])
async def test_an_edit_of_a_device_has_an_effect_too(
    anna: Anna, autojump_clock: MockClock, wake: str, after: float | None
) -> None:
    await anna.put(NOON_REST)
    await anna.house.post({"user": "anna"})
    (message,) = (await preview(anna, {**NOON_REST, "devices": {"phone": {"wake": wake}}}))["effect"]["leaves"]
    assert message["due_after"] == after


async def test_a_preview_is_for_its_owner_only(anna: Anna, autojump_clock: MockClock) -> None:
    for key in ("rest", "backend", "support"):
        assert (await anna.house.ask("GET", "/v1/me/rest/preview", key=key)).status == 401
