"""What an officer does on the page, and what the phone does then: the pages, the relay and a strict APNs together."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from relay.core.events import DAY, HOUR
from schedules.web.port import Refused
from tests.e2e.officers import office
from tests.relay.world import nightly, virtual, world

MINUTE = 60.0
NIGHT = 12 * HOUR
"""After the start, in the middle of the nightly rest."""


@virtual
async def test_off_duty_holds_back_and_reachable_lets_go(tmp_path: Path) -> None:
    async with world() as w, office(w, tmp_path) as door:
        await w.register("anna")
        anna = await door.sign_in("anna")
        page = await anna.go("/de/")
        assert "Sie haben noch keine Ruhezeit." in page.text
        page = await anna.press("11 Stunden")
        assert page.url.endswith("/de/")
        assert "Gespeichert, gilt sofort." in page.text
        await w.post("anna")
        await w.pass_time(20 * MINUTE)
        assert w.rang("anna") == []
        page = await anna.go("/de/")
        assert "1 Hinweis wartet." in page.text
        await anna.press("Jetzt erreichbar")
        await w.pass_time(MINUTE)
        assert len(w.rang("anna")) == 1
        page = await anna.go("/de/")
        assert "Nichts wartet." in page.text
        assert "Wann soll das Telefon still sein?" in page.text


@virtual
async def test_undo_takes_back_the_last_act_and_redo_does_it_again(tmp_path: Path) -> None:
    async with world() as w, office(w, tmp_path) as door:
        await w.register("anna")
        anna = await door.sign_in("anna")
        await anna.go("/en/")
        await anna.press("11 hours")
        page = await anna.press("Undo")
        assert "You have no rest time yet." in page.text
        page = await anna.press("Redo")
        assert "Rest until" in page.text
        await w.pass_time(601)
        page = await anna.go("/en/")
        assert "Undo" not in page.text
        assert "Redo" not in page.text


@virtual
async def test_a_rule_is_deleted_with_one_tap_and_brought_back(tmp_path: Path) -> None:
    async with world() as w, office(w, tmp_path) as door:
        await w.register("anna")
        await w.rest("anna", nightly())
        await w.pass_time(NIGHT)
        anna = await door.sign_in("anna")
        page = await anna.go("/de/")
        assert "Ruhe bis" in page.text
        page = await anna.press("Löschen")
        assert "Sie haben noch keine Ruhezeit." in page.text
        await w.post("anna")
        await w.pass_time(1)
        assert len(w.rang("anna")) == 1
        page = await anna.press("Rückgängig")
        assert "Ruhe bis" in page.text


@virtual
async def test_what_was_changed_in_another_window_is_not_overwritten(tmp_path: Path) -> None:
    async with world() as w, office(w, tmp_path) as door:
        await w.register("anna")
        await w.rest("anna", nightly())
        first, second = await door.sign_in("anna"), await door.sign_in("anna")
        await first.go("/de/")
        await second.go("/de/")
        await second.press("11 Stunden")
        page = await first.press("Löschen")
        assert page.status == 409
        page = await first.go("/de/")
        assert [text for form in page.forms for _, _, text in form.buttons if "Löschen" in text] == [
            "Löschen Nachtruhe",
            "Löschen Feierabend",
        ]


@virtual
async def test_everything_is_off_with_one_tap_and_on_again_with_all_rules(tmp_path: Path) -> None:
    async with world() as w, office(w, tmp_path) as door:
        await w.register("anna")
        await w.rest("anna", nightly())
        await w.pass_time(NIGHT)
        anna = await door.sign_in("anna")
        await anna.go("/de/")
        page = await anna.press("Alles ausschalten")
        assert "immer" in page.text
        await w.post("anna")
        await w.pass_time(1)
        assert len(w.rang("anna")) == 1
        page = await anna.press("Wieder einschalten")
        assert "Ruhe bis" in page.text
        kept = await door.client.rest((await door.client.redeem(await door.link("anna"))).session)
        assert kept is not None
        assert kept.document["windows"] == nightly()["windows"]


@virtual
async def test_a_device_that_never_rings_does_not_ring(tmp_path: Path) -> None:
    async with world() as w, office(w, tmp_path) as door:
        await w.register("anna", "phone", "tablet")
        anna = await door.sign_in("anna")
        page = await anna.go("/de/devices")
        assert page.text.count("Folgt meiner Ruhe") == 2
        tablet = next(form for form in page.forms if ("device", "tablet") in form.fields)
        await anna.send("/de/devices", [*tablet.fields, ("wake", "never")])
        assert "Gespeichert, gilt sofort." in anna.page.text
        await w.post("anna")
        await w.pass_time(MINUTE)
        assert len(w.rang("anna", "phone")) == 1
        assert w.rang("anna", "tablet") == []


@virtual
async def test_a_test_rings_now_and_tells_what_became_of_it(tmp_path: Path) -> None:
    async with world() as w, office(w, tmp_path) as door:
        await w.register("anna")
        await w.rest("anna", nightly())
        await w.pass_time(NIGHT)
        anna = await door.sign_in("anna")
        await anna.go("/de/devices")
        for number in range(1, 4):
            page = await anna.press("Meine Geräte jetzt wecken")
            assert page.status == 200
            assert "An Apple übergeben" in page.text
            assert len(w.rang("anna")) == number
        page = await anna.press("Meine Geräte jetzt wecken")
        assert page.status == 429
        assert "Drei Proben in zehn Minuten sind möglich." in page.text
        assert int(page.headers["retry-after"]) <= 600


@virtual
async def test_who_may_wake_and_who_did(tmp_path: Path) -> None:
    async with world() as w, office(w, tmp_path) as door:
        await w.register("anna")
        await w.rest("anna", nightly())
        await w.pass_time(NIGHT)
        await w.alarm("anna")
        await w.pass_time(1)
        anna = await door.sign_in("anna")
        page = await anna.go("/de/")
        assert "dispatch, Grund: incident" in page.text
        page = await anna.click("Wer Sie wecken darf")
        assert "Alarm in jeder Ruhe Wer: dispatch Wofür: incident" in page.text
        assert "Alarm: dispatch, Grund: incident" in page.text


@virtual
async def test_sign_ins_are_seen_and_ended(tmp_path: Path) -> None:
    async with world() as w, office(w, tmp_path) as door:
        await w.register("anna")
        first, second = await door.sign_in("anna"), await door.sign_in("anna")
        page = await first.go("/de/account")
        assert page.text.count("Browser") == 2
        page = await first.press("Alle anderen abmelden")
        assert page.text.count("Browser") == 1
        assert (await second.ask("GET", "/de/")).headers["location"] == "/de/login"
        await first.press("Abmelden")
        assert first.cookies == {}


@virtual
async def test_a_session_that_is_not_used_ends(tmp_path: Path) -> None:
    async with world() as w, office(w, tmp_path) as door:
        await w.register("anna")
        anna = await door.sign_in("anna")
        await anna.go("/de/")
        await w.pass_time(24 * HOUR)
        assert (await anna.ask("GET", "/de/")).headers["location"] == "/de/login"


@virtual
async def test_support_looks_with_a_code_and_the_officer_sees_it(tmp_path: Path) -> None:
    async with world() as w, office(w, tmp_path) as door:
        await w.register("anna")
        anna = await door.sign_in("anna")
        await anna.go("/de/account")
        page = await anna.press("Neuer Code")
        assert "Lesen Sie das vor:" in page.text
        page = await anna.go("/de/account")
        assert "Lesen Sie das vor:" not in page.text
        assert "Ein Code gilt bis" in page.text
        page = await anna.press("Code ungültig machen")
        assert "Ein Code gilt bis" not in page.text


@virtual
async def test_an_officer_takes_along_what_is_kept(tmp_path: Path) -> None:
    async with world() as w, office(w, tmp_path) as door:
        await w.register("anna")
        await w.rest("anna", nightly())
        anna = await door.sign_in("anna")
        answer = await anna.ask("GET", "/de/export.json")
        assert "attachment" in answer.headers["content-disposition"]
        assert json.loads(answer.content)["rest"]
        answer = await anna.ask("GET", "/de/rest.ics")
        assert answer.text.startswith("BEGIN:VCALENDAR")
        assert "Ruhe" in answer.text
        assert "Rest" in (await anna.ask("GET", "/en/rest.ics")).text


@virtual
async def test_everything_is_deleted_after_one_question(tmp_path: Path) -> None:
    async with world() as w, office(w, tmp_path) as door:
        await w.register("anna")
        await w.rest("anna", nightly())
        anna = await door.sign_in("anna")
        await anna.go("/de/")
        await anna.click("Alles löschen")
        page = await anna.press("Alles löschen")
        assert "Alles ist gelöscht" in page.text
        assert (await anna.ask("GET", "/de/")).headers["location"] == "/de/login"
        again = await door.sign_in("anna")
        assert "Sie haben noch keine Ruhezeit." in (await again.go("/de/")).text
        await w.pass_time(NIGHT)
        await w.post("anna")
        await w.pass_time(1)
        assert len(w.rang("anna")) == 1


@virtual
async def test_a_link_is_good_once(tmp_path: Path) -> None:
    async with world() as w, office(w, tmp_path) as door:
        await w.register("anna")
        link = await door.link("anna")
        await door.client.redeem(link)
        with pytest.raises(Refused):
            await door.client.redeem(link)


@virtual
async def test_a_rest_without_an_end_asks_until_when(tmp_path: Path) -> None:
    async with world() as w, office(w, tmp_path) as door:
        await w.register("anna")
        await w.rest("anna", nightly("0 0 * * *", 1440))
        anna = await door.sign_in("anna")
        page = await anna.go("/de/")
        assert "bis auf Weiteres" in page.text
        page = await anna.press("Erreichbar", day="2020-01-01", time="12:00")
        assert page.status == 422
        assert "Bitte geben Sie einen späteren Zeitpunkt an" in page.text
        today = page.form("Erreichbar")
        assert ("day", "2020-01-01") in today.fields
        await anna.press("Erreichbar", day=f"{datetime.fromtimestamp(w.now + 2 * DAY, UTC):%Y-%m-%d}", time="12:00")
        assert "Erreichbar bis" in anna.page.text
