"""A duty roster from a file: shown first, with what was left out, then saved; and the file itself is nowhere."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest

from schedules.ics_import import MAX_BYTES
from schedules.web import rosters
from schedules.web.guard import LARGEST, LARGEST_WITH_FILE
from tests.schedules.calendars import NOW, OUTLOOK, ROSTER_SYSTEM, calendar, event
from tests.schedules.web.browser import Browser, browser
from tests.schedules.web.paper_relay import PaperRelay

RHYTHM = {
    "kind": "cycle", "anchor": "2026-01-05", "days": ["F", "-"], "shifts": {"F": {"start": "06:00", "end": "14:00"}},
    "lead_minutes": 15, "lag_minutes": 45,
}  # fmt: skip
NIGHT = {"kind": "weekly", "start": "22:00", "end": "06:00"}
LEAVE = {"kind": "dates", "from": "2026-12-20", "to": "2026-12-30"}
IMPORTED = {
    "kind": "cycle", "anchor": "2026-11-23",
    "days": ["-", "-", "F", "S", "N", "N", "-", "-", "-", "-", "-", "F", *["-"] * 50],
    "shifts": {"F": {"start": "06:00", "end": "14:30"}, "S": {"start": "13:30", "end": "22:00"},
               "N": {"start": "21:30", "end": "06:30"}},
    "id": "ics", "lead_minutes": 30, "lag_minutes": 30, "from": "2026-11-25", "to": "2026-12-04",
}  # fmt: skip

ROW: dict[str, Any] = {name: IMPORTED[name] for name in ("kind", "anchor", "days", "shifts", "id")}


@asynccontextmanager
async def door(*windows: object) -> AsyncIterator[tuple[Browser, PaperRelay]]:
    relay = PaperRelay(NOW, {"windows": [*windows]} if windows else None, 1)
    async with browser(relay, relay) as made:
        made.show_session(relay.begin().session)
        yield made, relay
        assert made.told == [], "a page failed"


def windows(relay: PaperRelay) -> list[dict[str, Any]]:
    return cast("list[dict[str, Any]]", (relay.document or {})["windows"])


async def test_a_file_is_shown_first_and_saved_then() -> None:
    async with door() as (made, relay):
        page = await made.go("/de/presets")
        await made.click("Dienstplan")
        page = await made.upload(ROSTER_SYSTEM, "Vorschau")
        assert page.status == 200
        assert relay.document is None
        assert "5 Dienste, der erste am Mi 25.11., der letzte am Fr 4.12. Von" in page.text
        assert "Von Mi 25.11. bis Fr 4.12. gilt der Dienstplan; an anderen Tagen" in page.text
        assert "1 ganztägiger Eintrag. 1 abgesagter Eintrag." in page.text
        assert "Noch nicht gespeichert." in page.text
        page = await made.press("Speichern")
        assert "Gespeichert, gilt sofort." in page.text
        assert windows(relay) == [IMPORTED]
        assert "Dienstplan" in page.text
        assert "Mi 25.11. bis Fr 4.12." in page.text
        await made.press("Rückgängig")
        assert relay.document is None


async def test_the_same_in_english() -> None:
    async with door() as (made, relay):
        await made.go("/en/roster")
        page = await made.upload(OUTLOOK, "Preview")
        assert "32 duties, the first on Wed 25 Nov, the last on Thu 21 Jan." in page.text
        assert "1 entry that is marked as free." in page.text
        await made.press("Save")
        assert list(windows(relay)[0]["shifts"]) == ["07:00–15:30", "12:00–20:00"]


async def test_days_and_minutes_are_changed_before_it_is_saved() -> None:
    async with door() as (made, relay):
        await made.go("/de/roster")
        await made.upload(ROSTER_SYSTEM, "Vorschau")
        page = await made.press("Speichern", last="2026-12-06", before="60", after="0")
        assert relay.document is None, "what was not seen is not saved"
        assert "1 ganztägiger Eintrag." in page.text
        await made.press("Speichern")
        assert windows(relay) == [{**IMPORTED, "lead_minutes": 60, "lag_minutes": 0, "to": "2026-12-06"}]


async def test_another_file_takes_the_place_of_the_first() -> None:
    async with door() as (made, relay):
        await made.go("/de/roster")
        await made.upload(ROSTER_SYSTEM, "Vorschau")
        page = await made.upload(calendar(event("20261220T060000", "20261220T140000", "SUMMARY:Früh")), "Vorschau")
        assert "1 Dienst, am So 20.12. Von" in page.text
        assert "ganztägig" not in page.text
        await made.press("Speichern")
        assert (windows(relay)[0]["from"], windows(relay)[0]["to"]) == ("2026-12-20", "2026-12-20")


# --- what it replaces


async def test_it_takes_the_place_of_a_rhythm_unless_told_otherwise() -> None:
    async with door(RHYTHM, NIGHT, LEAVE) as (made, relay):
        page = await made.go("/de/roster")
        assert "Rhythmus, Nachtruhe" in page.text
        assert ("before", "15") in page.form("Vorschau").fields
        await made.upload(ROSTER_SYSTEM, "Vorschau")
        await made.press("Speichern")
        assert windows(relay) == [{**IMPORTED, "lead_minutes": 15, "lag_minutes": 45}, LEAVE]


async def test_without_a_rhythm_other_rules_stay_and_it_is_told_which_duties_they_silence() -> None:
    async with door(NIGHT, LEAVE) as (made, relay):
        await made.go("/de/roster")
        page = await made.upload(ROSTER_SYSTEM, "Vorschau")
        assert "In 2 Diensten, zuerst am Fr 27.11., warten Hinweise trotzdem" in page.text
        page = await made.press("Vorschau", mode="replace")
        assert "warten Hinweise trotzdem" not in page.text
        await made.press("Speichern", mode="add")
        await made.press("Speichern")
        assert windows(relay) == [IMPORTED, NIGHT, LEAVE]


async def test_the_next_file_replaces_the_last_for_its_days() -> None:
    async with door(IMPORTED) as (made, relay):
        await made.go("/de/roster")
        december = calendar(
            event("20261202T220000", "20261203T060000", "SUMMARY:N"), event("20261210T060000", "20261210T143000")
        )
        page = await made.upload(december, "Vorschau")
        assert "Durch den Dienstplan ersetzen" not in page.text
        assert "2 Dienste" in page.text
        await made.press("Speichern")
        (window,) = windows(relay)
        assert (window["from"], window["to"]) == ("2026-11-25", "2026-12-10")
        assert window["anchor"] == "2026-11-25"
        assert window["days"] == [
            "06:00–14:30", "S", "21:30–06:30", "21:30–06:30", "-", "-", "-", "N", *["-"] * 7, "06:00–14:30",
        ]  # fmt: skip
        assert window["shifts"]["21:30–06:30"] == {"start": "21:30", "end": "06:30"}


async def test_it_is_swapped_and_edited_like_a_rhythm() -> None:
    async with door(RHYTHM, IMPORTED) as (made, relay):
        page = await made.go("/de/")
        assert "/de/rules/windows/1" in {address for _, address in page.links}
        assert "/de/rhythm" in {address for _, address in page.links}
    async with door(IMPORTED) as (made, relay):
        await made.go("/de/swap")
        await made.press("Speichern", day="2026-11-26", shift="-")
        assert windows(relay) == [{**IMPORTED, "swaps": [{"date": "2026-11-26", "shift": "-"}]}]
        await made.go("/de/rules/windows/0")
        await made.press("Vorschau", before="45")
        await made.press("Speichern")
        assert rosters.is_import(windows(relay)[0])
        assert windows(relay)[0]["lead_minutes"] == 45


# --- what is wrong


@pytest.mark.parametrize(
    ("file", "told"),
    [
        (b"", "Bitte eine Datei wählen."),
        (b"%PDF-1.7", "Das ist keine Kalenderdatei (iCalendar, .ics)."),
        (ROSTER_SYSTEM[:-99], "Die Kalenderdatei ist nicht vollständig."),
        (b" " * (MAX_BYTES + 1), "Die Datei ist größer als 256 KiB."),
        (calendar("DTSTART;VALUE=DATE:20261201"), "Von heute bis Sa 23.1. ist in dieser Datei kein Dienst."),
        (calendar(event("20261201T060000", "20261203T060000")), "Di 1.12.: mehr als 24 Stunden am Stück."),
    ],
)
async def test_what_is_wrong_with_a_file_stands_beside_it(file: bytes, told: str) -> None:
    async with door(NIGHT) as (made, relay):
        await made.go("/de/roster")
        page = await made.upload(file, "Vorschau", before="50")
        assert page.status == 422
        assert page.text.count(told) == 2
        assert {"f-file", "e-file"} <= set(page.ids)
        assert ("before", "50") in page.form("Vorschau").fields
        assert relay.version == 1


async def test_why_there_is_no_duty_is_told() -> None:
    async with door() as (made, _):
        await made.go("/en/roster")
        page = await made.upload(calendar(event("20261201T060000", "20261201T140000", zone="Moon")), "Preview")
        assert "1 entry in a time zone that is not known." in page.text


@pytest.mark.parametrize(
    ("typed", "control", "told"),
    [
        ({"before": "721"}, "before", "Die Zeit vor dem Dienst muss eine ganze Zahl von 0 bis 720 sein."),
        ({"after": "viel"}, "after", "Die Zeit nach dem Dienst muss eine ganze Zahl von 0 bis 720 sein."),
        ({"first": ""}, "first", "Bitte ein Datum angeben."),
        ({"last": "morgen"}, "last", "Bitte ein Datum angeben."),
        ({"first": "2026-11-24"}, "first", "Bitte einen Tag von Mi 25.11. bis Sa 23.1. wählen"),
        ({"last": "2027-01-24"}, "last", "Bitte einen Tag von Mi 25.11. bis Sa 23.1. wählen"),
        ({"first": "2026-11-29", "last": "2026-12-02"}, "last", "An diesen Tagen ist kein Dienst."),
        ({"first": "2026-12-02", "last": "2026-12-01"}, "last", "Der letzte Tag liegt vor dem ersten."),
    ],
)
async def test_days_and_minutes_that_cannot_be(typed: dict[str, str], control: str, told: str) -> None:
    async with door() as (made, relay):
        await made.go("/de/roster")
        await made.upload(ROSTER_SYSTEM, "Vorschau")
        page = await made.press("Speichern", **typed)
        assert page.status == 422
        assert told in page.text
        assert f"e-{control}" in page.ids
        assert relay.document is None
        await made.press("Vorschau", first="2026-11-25", last="2026-12-04", before="30", after="30")
        await made.press("Speichern")
        assert windows(relay) == [IMPORTED], "the file was still there"


@pytest.mark.parametrize("last", ["2026-11-24", "2027-01-24", "gestern"])
async def test_a_last_day_is_ahead(last: str) -> None:
    async with door() as (made, _):
        await made.go("/de/roster")
        page = await made.upload(ROSTER_SYSTEM, "Vorschau", last=last)
        assert "Bitte einen Tag in den nächsten 60 Tagen wählen." in page.text


async def test_too_many_shifts_end_with_an_earlier_day() -> None:
    file = calendar(*[event(f"202612{day:02}T060000", f"202612{day:02}T14{day:02}00") for day in range(1, 30)])
    async with door() as (made, relay):
        await made.go("/de/roster")
        page = await made.upload(file, "Vorschau")
        assert "Es gibt mehr als 20 verschiedene Dienstzeiten, am Mo 21.12. die nächste." in page.text
        page = await made.upload(file, "Vorschau", last="2026-12-20")
        assert "Von Di 1.12. bis So 20.12. gilt der Dienstplan" in page.text
        await made.press("Speichern")
        assert len(windows(relay)[0]["shifts"]) == 20


@pytest.mark.parametrize(
    "row",
    [
        "", "null", "[]", "1", '"x"', "{", "[" * 30_000, json.dumps(NIGHT), json.dumps({**IMPORTED, "label": "x"}),
        json.dumps({**ROW, "shifts": {**ROW["shifts"], "\ud800": {"start": "06:00", "end": "14:30"}}}),
        json.dumps({"kind": "cycle", "id": "ics", "anchor": "2026-11-23", "days": 7, "shifts": {}}),
    ],
)  # fmt: skip
async def test_a_row_that_is_none_of_ours_is_no_file(row: str) -> None:
    async with door() as (made, relay):
        await made.go("/de/roster")
        await made.upload(ROSTER_SYSTEM, "Vorschau")
        page = await made.press("Speichern", row=row)
        assert "Bitte eine Datei wählen." in page.text
        assert relay.document is None


async def test_what_was_counted_comes_back_as_it_may() -> None:
    async with door() as (made, _):
        await made.go("/de/roster")
        await made.upload(ROSTER_SYSTEM, "Vorschau")
        page = await made.press("Vorschau", left=["all-day=x", "moon=3", "", "free=99999999999"], doubled="<b>")
        assert page.status == 200
        assert "Nicht als Dienst übernommen" not in page.text


# --- versions, sessions, sizes


async def test_somebody_else_saves_meanwhile() -> None:
    async with door(NIGHT) as (made, relay):
        await made.go("/de/roster")
        relay.document, relay.version = {"windows": [LEAVE]}, 2
        page = await made.upload(ROSTER_SYSTEM, "Vorschau")
        assert page.status == 409
        assert "Dienstplan: zwei Fassungen" in page.text
        page = await made.press("Diese übernehmen")
        assert "5 Dienste" in page.text
        await made.press("Speichern")
        assert windows(relay) == [IMPORTED, LEAVE]


async def test_a_form_of_another_session_is_sent_once_more_without_the_file() -> None:
    async with door() as (made, relay):
        await made.go("/de/roster")
        made.show_session(relay.begin().session)
        page = await made.upload(ROSTER_SYSTEM, "Vorschau", before="50")
        assert page.status == 409
        page = await made.press("Erneut senden")
        assert "Bitte eine Datei wählen." in page.text
        assert ("before", "50") in page.form("Vorschau").fields


async def test_what_was_read_waits_for_who_was_signed_out() -> None:
    async with door() as (made, relay):
        await made.go("/de/roster")
        await made.upload(ROSTER_SYSTEM, "Vorschau")
        relay.good.clear()
        page = await made.press("Speichern")
        assert page.status == 401
        made.show_session(relay.begin().session)
        await made.press("Erneut senden")
        await made.press("Erneut senden")
        page = await made.press("Diese übernehmen")
        await made.press("Speichern")
        assert windows(relay) == [IMPORTED]


async def test_only_officers_may_send_files_and_only_here() -> None:
    async with door() as (made, relay):
        fields = [(name, value) for name, value in (await made.go("/de/roster")).form("Vorschau").fields]
        page = await made.send_parts("/de/swap", fields, {"file": ROSTER_SYSTEM})
        assert page.status == 400
        page = await made.send_parts("/de/roster", fields, {"file": b" " * LARGEST_WITH_FILE})
        assert page.status == 413
        assert "Die Datei ist zu groß." in page.text
        page = await made.click("Andere Datei wählen")
        assert page.url.endswith("/de/roster")
        relay.good.clear()
        page = await made.send_parts("/de/roster", fields, {"file": b" " * LARGEST})
        assert page.url.endswith("/de/login"), "not even read"


async def test_without_the_extra_nothing_is_offered(monkeypatch: pytest.MonkeyPatch) -> None:
    for view in ("roster", "presets", "overview"):
        monkeypatch.setattr(f"schedules.web.views.{view}.is_available", False)
    async with door() as (made, _):
        assert "Dienstplan" not in (await made.go("/de/presets")).text
        assert (await made.go("/de/roster")).status == 404
        assert "Kalenderdatei" not in (await made.go("/de/")).text


async def test_a_text_of_the_file_is_escaped_and_its_other_texts_are_nowhere() -> None:
    file = calendar(
        event("20261201T060000", "20261201T140000", "SUMMARY:<b>&\"'", "DESCRIPTION:canary", "LOCATION:canary")
    )
    async with door() as (made, relay):
        await made.go("/de/roster")
        page = await made.upload(file, "Vorschau")
        assert "<b>&" not in page.html
        assert "canary" not in page.html
        await made.press("Speichern")
        assert list(windows(relay)[0]["shifts"]) == ["<b>&\"'"]
        assert "canary" not in repr(relay.document)
        assert "<b>&" not in (await made.go("/de/")).html
