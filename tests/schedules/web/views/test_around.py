"""Devices and their test, who may wake, the preview, sign-ins and support, export and the end."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime

import pytest
import trio.testing

from schedules import Wake
from schedules.errors import Text
from schedules.web.port import Device, DeviceTest, Look, Missing, Piercing, Secret, Support, Traced, WakeTest
from schedules.web.views import devices
from tests.schedules.web.browser import Browser, browser
from tests.schedules.web.paper_relay import PaperRelay

EVENING = datetime.fromisoformat("2026-11-25T21:40:00+01:00").timestamp()
PHONE = Device("Diensttelefon", "apns", "ios", EVENING - 9_000_000, Wake.FOLLOW)
TABLET = Device("Tab & <let>", "fcm", "android", EVENING - 90_000, Wake.FOLLOW)
LAPTOP = Device("Laptop", "none", None, EVENING - 90_000, Wake.FOLLOW)


@asynccontextmanager
async def opened(relay: PaperRelay) -> AsyncIterator[Browser]:
    async with browser(relay, relay) as made:
        made.show_session(relay.begin().session)
        yield made
        assert not made.told


def told(device: Device, state: str, sentence: str = "") -> DeviceTest:
    return DeviceTest(device.device, state, Text(sentence or f"{state} in English", sentence or f"{state} auf Deutsch"))


# --- devices


async def test_devices_say_what_they_are_and_what_they_do() -> None:
    relay = PaperRelay(EVENING, devices_=[PHONE, TABLET, LAPTOP])
    async with opened(relay) as anna:
        page = await anna.go("/de/devices")
        assert "Diensttelefon iPhone oder iPad, ios, seit Do 13.8." in page.text
        assert "Tab & <let> Android" in page.text
        assert "<let>" not in page.html
        assert page.html.count('aria-pressed="true"') == 2
        assert "Dieses Gerät kann nicht geweckt werden." in page.text


async def test_what_a_device_does_is_saved_with_one_tap_and_undone() -> None:
    relay = PaperRelay(EVENING, devices_=[TABLET])
    async with opened(relay) as anna:
        await anna.go("/de/devices")
        page = await anna.press("Klingelt nur bei Alarm")
        assert "Gespeichert, gilt sofort." in page.text
        assert relay.document == {"devices": {"Tab & <let>": {"wake": "never"}}}
        await anna.press("Rückgängig")
        assert relay.document is None


async def test_a_device_that_is_gone_is_told() -> None:
    relay = PaperRelay(EVENING, devices_=[TABLET])
    async with opened(relay) as anna:
        await anna.go("/de/devices")
        relay.devices_.clear()
        assert (await anna.press("Klingelt immer")).status == 404


async def test_what_nobody_can_choose_changes_nothing() -> None:
    relay = PaperRelay(EVENING, devices_=[TABLET])
    async with opened(relay) as anna:
        page = await anna.go("/de/devices")
        fields = [(name, value) for name, value in page.form("Klingelt immer").fields]
        await anna.send("/de/devices", [*fields, ("wake", "sometimes")])
        assert relay.document is None


async def test_without_a_device_there_is_nothing_to_test() -> None:
    async with opened(PaperRelay(EVENING)) as anna:
        page = await anna.go("/de/devices")
        assert "Für Sie ist kein Gerät registriert." in page.text
        assert "Meine Geräte jetzt wecken" not in page.text


async def test_a_result_is_told_for_each_device() -> None:
    states = ["handed_over", "pending", "failing", "no_app", "dead", "pc"]
    tested = WakeTest(EVENING - 60, tuple(told(replace(PHONE, device=state), state) for state in states))
    async with opened(PaperRelay(EVENING, devices_=[PHONE], tested_=tested)) as anna:
        page = await anna.go("/de/devices")
        assert "Probe vom Mi 25.11. 21:39" in page.text
        for state, verdict in zip(
            states,
            ["Übergeben", "Unterwegs", "Klingelt nicht", "Klingelt nicht", "Klingelt nicht", "Nicht weckbar"],
            strict=True,
        ):
            assert f"{state} {verdict} {state} auf Deutsch" in page.text
        assert "Erneut nachsehen" in page.text
        assert "in English" in (await anna.go("/en/devices")).text


@dataclass(slots=True)
class Slow(PaperRelay):
    """A test that is pending for so many looks."""

    looks: int = 0

    async def test(self, session: Secret) -> None:
        self.tested_ = WakeTest(self.now, (told(PHONE, "pending"),))

    async def tested(self, session: Secret) -> WakeTest | None:
        self.looks -= 1
        if self.looks == 0:
            self.tested_ = WakeTest(self.now, (told(PHONE, "handed_over"),))
        return self.tested_


@pytest.mark.parametrize(("looks", "told_now"), [(3, True), (devices.LOOKS + 5, False)])
async def test_a_result_is_waited_for_a_little_and_never_for_long(
    looks: int, told_now: bool, autojump_clock: trio.testing.MockClock
) -> None:
    relay = Slow(EVENING, devices_=[PHONE])
    async with opened(relay) as anna:
        await anna.go("/de/devices")
        relay.looks = looks
        began = trio.current_time()
        page = await anna.press("Meine Geräte jetzt wecken")
        assert trio.current_time() - began <= devices.LOOKS * devices.PAUSE
        assert ("handed_over auf Deutsch" in page.text) is told_now
        assert ("Erneut nachsehen" in page.text) is not told_now


# --- who may wake


async def test_who_may_wake_is_told_in_words() -> None:
    relay = PaperRelay(
        EVENING,
        piercing_=(
            Piercing("alarm", None, ("Lagezentrum",), ("Suche", "Alarm")),
            Piercing("roster", ("night", "free"), (), ()),
            Piercing("drill", ("moon",), (), ()),
        ),
    )
    async with opened(relay) as anna:
        page = await anna.go("/de/waking")
        assert "Alarm in jeder Ruhe Wer: Lagezentrum Wofür: Suche, Alarm" in page.text
        assert "Dienstplan nur in diesen Ruhezeiten: Nachtruhe, dienstfreie Zeit" in page.text
        assert "drill nur in diesen Ruhezeiten: moon" in page.text
        relay.piercing_ = ()
        assert "Niemand. Alles wartet" in (await anna.go("/de/waking")).text


async def test_what_woke_the_devices_is_shown_for_a_day_and_ends_with_one_tap() -> None:
    relay = PaperRelay(EVENING)
    async with opened(relay) as anna:
        assert "Sonst wird nichts davon notiert" in (await anna.go("/de/waking")).text
        page = await anna.press("Zeigen, was meine Geräte weckt 24 Stunden ab jetzt, dann endet es von selbst")
        assert "Notiert seit Mi 25.11. 21:40, bis Do 26.11. 21:40." in page.text
        assert "Seitdem ist nichts geschehen." in page.text
        assert relay.trace_ is not None
        handed = Traced(EVENING, "handed_over", "rest", ("alarm", "drill"), "Tab & <let>", 0, Text("Given.", "Fort."))
        deferred = Traced(EVENING - 80_000, "deferred", "rest", ("message",), None, 3, Text("Waits.", "Wartet."))
        relay.trace_ = replace(relay.trace_, lost=7, entries=(handed, deferred))
        page = await anna.go("/de/waking")
        assert "heute, Mi 25.11. 21:40 Alarm, drill Tab & <let> Fort." in page.text
        assert "Di 24.11. 23:26 Hinweise 3 Stück Wartet." in page.text
        assert "Aufgehoben sind die letzten 200 Einträge. Ältere, die weichen mussten: 7." in page.text
        assert "<let>" not in page.html
        assert "Given." in (await anna.go("/en/waking")).text
        await anna.press("Switch off and forget it")
        assert relay.trace_ is None


async def test_where_too_many_others_have_it_on_that_is_said() -> None:
    relay = PaperRelay(EVENING, has_room=False)
    async with opened(relay) as anna:
        await anna.go("/en/waking")
        page = await anna.press("Show what woke my devices for 24 hours from now, then it ends by itself")
        assert page.status == 429
        assert "Too many others have this on at the moment. Please try again in 2 hours, or earlier." in page.text


# --- the preview


async def test_the_preview_tells_fourteen_days_and_the_change_of_the_clock() -> None:
    relay = PaperRelay(
        datetime.fromisoformat("2026-10-20T12:00:00+02:00").timestamp(),
        {"windows": [{"kind": "weekly", "start": "22:00", "end": "06:00"}]},
    )
    async with opened(relay) as anna:
        page = await anna.go("/de/preview")
        assert page.html.count('<table class="band"') == 14
        assert "So 25.10.06:00–22:00 (Zeitumstellung)" in page.text
        assert "Uhrzeiten in der Zeitzone Europe/Berlin." in page.text


async def test_the_preview_hints_at_short_rests_and_at_none_at_all() -> None:
    shifts = {"S": {"start": "14:00", "end": "22:00"}, "F": {"start": "06:00", "end": "14:00"}}
    cycle = {"kind": "cycle", "anchor": "2026-01-05", "days": ["S", "F"], "shifts": shifts}
    async with opened(PaperRelay(EVENING, {"windows": [cycle]})) as anna:
        assert "Nur für Sie: Zwischen" in (await anna.go("/de/preview")).text
        assert "Nur für Sie: Zwischen" in (await anna.go("/de/")).text
    always = {"windows": [{"kind": "weekly", "start": "00:00", "end": "24:00"}]}
    async with opened(PaperRelay(EVENING, always)) as anna:
        assert "keine einzige Minute erreichbar" in (await anna.go("/de/preview")).text


# --- sign-ins, support


async def test_a_code_is_shown_once_in_the_answer_that_asked_for_it() -> None:
    relay = PaperRelay(EVENING, support_=Support(None, (Look(EVENING - 60, "helpdesk", "rest"),)))
    async with opened(relay) as anna:
        page = await anna.go("/de/account")
        assert "Mi 25.11. 21:39 helpdesk, Ihre Ruhezeiten" in page.text
        page = await anna.press("Neuer Code")
        assert "1234 5678" in page.text
        assert "gilt bis 21:55" in page.text
        page = await anna.go("/de/account")
        assert "1234 5678" not in page.text
        await anna.press("Code ungültig machen")
        assert "Code ungültig machen" not in anna.page.text


async def test_only_one_session_has_none_to_end() -> None:
    relay = PaperRelay(EVENING)
    async with opened(relay) as anna:
        page = await anna.go("/de/account")
        assert "dieser hier" in page.text
        assert "Alle anderen abmelden" not in page.text
        relay.begin()
        await anna.go("/de/account")
        await anna.press("Alle anderen abmelden")
        assert len(relay.good) == 1


# --- what is kept, and the end


@pytest.mark.parametrize("language", ["de", "en"])
async def test_files_are_saved_and_not_shown(language: str) -> None:
    relay = PaperRelay(EVENING)
    async with opened(relay) as anna:
        answer = await anna.ask("GET", f"/{language}/export.json")
        assert answer.headers["content-disposition"] == 'attachment; filename="feierabend.json"'
        assert answer.headers["cache-control"] == "no-store"
        answer = await anna.ask("GET", f"/{language}/rest.ics")
        assert answer.headers["content-type"] == "text/calendar; charset=utf-8"
        assert f"calendar {language}" in relay.asked


async def test_everything_is_deleted_by_a_form_and_never_by_a_link() -> None:
    relay = PaperRelay(EVENING, {"windows": []}, version=1)
    async with opened(relay) as anna:
        await anna.go("/de/delete")
        assert "delete_everything" not in relay.asked
        page = await anna.press("Alles löschen")
        assert "Alles ist gelöscht" in page.text
        assert relay.document is None
        assert anna.cookies == {}


@pytest.mark.parametrize("path", ["/de/off", "/de/undo", "/de/reachable", "/de/account/others", "/de/sign-out"])
async def test_an_act_is_no_address_to_open(path: str) -> None:
    async with opened(PaperRelay(EVENING)) as anna:
        assert (await anna.ask("GET", path)).status_code in (404, 405)


async def test_a_page_that_is_asked_for_what_is_not_there_says_so() -> None:
    relay = PaperRelay(EVENING)
    async with opened(relay) as anna:
        relay.fault = Missing()
        assert (await anna.go("/de/account")).status == 404
