"""The main page: what it says and does, what it keeps when something is wrong, and how little it weighs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime

import pytest

from schedules.errors import Problem
from schedules.web import assets
from schedules.web.port import Away, Busy, Bypass, Changed, Rejected, Secret
from tests.schedules.web.browser import Browser, browser
from tests.schedules.web.paper_relay import PaperRelay

EVENING = datetime.fromisoformat("2026-11-25T21:40:00+01:00").timestamp()
"""A Wednesday."""
SHIFTS = {"F": {"start": "06:00", "end": "14:00"}, "S": {"start": "14:00", "end": "22:00"}}
FULL = {
    "windows": [
        {
            "kind": "cycle", "anchor": "2026-01-05", "days": ["F", "S", "-", "-", "-"], "shifts": SHIFTS,
            "lead_minutes": 30, "lag_minutes": 30,
        },
        {"kind": "weekly", "start": "15:00", "end": "17:00", "days": [5], "label": "Dienstsport"},
        {"kind": "dates", "from": "2026-11-28", "to": "2026-11-30"},
        {"kind": "once", "start": "2026-11-01T10:00", "end": "2026-11-01T12:00", "label": "Zahnarzt"},
        {"kind": "cron", "start": "0 3 * * 1", "duration_minutes": 90},
    ],
    "overrides": [
        {"kind": "reachable", "start": "2026-11-26T18:00", "end": "2026-11-26T22:00", "id": "a1"},
        {"kind": "reachable", "start": "2026-11-01T18:00", "end": "2026-11-01T22:00", "label": "vorbei"},
        {"kind": "rest", "start": "2026-12-24T12:00Z", "end": "2026-12-24T18:00Z", "classes": ["roster"]},
    ],
}  # fmt: skip


@asynccontextmanager
async def opened(relay: PaperRelay) -> AsyncIterator[Browser]:
    async with browser(relay, relay) as made:
        made.show_session(relay.begin().session)
        yield made
        assert not made.told


def evening(**more: object) -> PaperRelay:
    return PaperRelay(EVENING, document=FULL, version=3, **more)  # type: ignore[arg-type]


async def test_it_says_until_when_and_what_waits() -> None:
    async with opened(evening(notices=3)) as anna:
        page = await anna.go("/de/")
        assert "Ruhe bis 05:30 morgen, Do 26.11." in page.text
        assert "3 Hinweise warten. Sie kommen um 05:30." in page.text
        assert '<time datetime="2026-11-26T05:30:00+01:00">05:30</time>' in page.html
        page = await anna.click("English")
        assert "Rest until 05:30 tomorrow, Thu 26 Nov" in page.text
        assert "3 messages are waiting. They come at 05:30." in page.text


async def test_one_message_is_said_in_the_singular() -> None:
    async with opened(evening(notices=1)) as anna:
        assert "1 Hinweis wartet. Er kommt um 05:30." in (await anna.go("/de/")).text
        assert "1 message is waiting. It comes at 05:30." in (await anna.go("/en/")).text


async def test_reachable_it_says_until_when_and_what_comes_then() -> None:
    relay = evening()
    relay.now = datetime.fromisoformat("2026-11-26T12:10:00+01:00").timestamp()
    async with opened(relay) as anna:
        page = await anna.go("/de/")
        assert "Erreichbar bis 14:30 heute, Do 26.11., dann Ruhe bis Do 18:00" in page.text
        assert "Nichts wartet. Hinweise kommen sofort." in page.text


async def test_rules_are_listed_as_they_are_called_and_what_is_over_is_said_or_left_out() -> None:
    async with opened(evening()) as anna:
        page = await anna.go("/de/")
        for said in (
            "Rhythmus Ändern Rhythmus", "Dienstsport", "Fr 15:00–17:00", "Sa 28.11. bis Mo 30.11.", "(vorbei)",
            "aus einem anderen Programm: 0 3 * * 1, jeweils 1 h 30 min",
            "Rufbereitschaft", "Do 26.11. 18:00–22:00", "nur für roster",
        ):  # fmt: skip
            assert said in page.text, said
        assert "So 1.11. 18:00" not in page.text
        changes = [address for text, address in page.links if text.startswith("Ändern")]
        assert "/de/rules/windows/4" not in changes, "cron has no form"
        assert "/de/rules/windows/1" in changes


async def test_a_label_is_text_and_never_markup() -> None:
    relay = PaperRelay(
        EVENING, {"windows": [{"kind": "dates", "from": "2026-11-25", "to": "2026-12-25", "label": "<b>x&y"}]}
    )
    async with opened(relay) as anna:
        page = await anna.go("/de/")
        assert "<b>x" not in page.html
        assert "&lt;b&gt;x&amp;y" in page.html


async def test_a_time_of_ones_own_is_taken_and_a_bad_one_is_told_beside_it() -> None:
    relay = PaperRelay(EVENING)
    async with opened(relay) as anna:
        await anna.go("/de/")
        page = await anna.press("Feierabend", day="2026-11-20", time="09:00")
        assert page.status == 422
        assert "Bitte geben Sie einen späteren Zeitpunkt an: Tag und Uhrzeit." in page.text
        assert 'aria-invalid="true" aria-describedby="off-wrong"' in page.html
        assert ("day", "2026-11-20") in page.form("Feierabend").fields
        assert relay.document is None
        await anna.press("Feierabend", day="2026-11-26", time="09:00")
        assert "Ruhe bis 09:00 morgen, Do 26.11." in anna.page.text


async def test_an_offer_that_is_over_when_it_is_pressed_is_told() -> None:
    """The page lay open over night."""
    relay = PaperRelay(EVENING)
    async with opened(relay) as anna:
        await anna.go("/de/")
        relay.now += 86_400
        page = await anna.press("bis 06:00")
        assert page.status == 422
        assert relay.document is None


async def test_so_long_a_rest_is_asked_about_once() -> None:
    relay = PaperRelay(EVENING)
    async with opened(relay) as anna:
        await anna.go("/de/")
        page = await anna.press("Feierabend", day="2027-06-01", time="09:00")
        assert page.status == 409
        assert "keine einzige Minute erreichbar" in page.text
        assert relay.document is None
        page = await anna.press("Ja, so speichern")
        assert page.status == 200
        assert relay.document is not None


async def test_undo_is_over_when_something_else_was_saved() -> None:
    relay = PaperRelay(EVENING)
    async with opened(relay) as anna:
        await anna.go("/de/")
        await anna.press("11 Stunden")
        relay.version += 1
        page = await anna.press("Rückgängig")
        assert page.status == 409
        assert relay.document is not None
        assert "zehn Minuten lang, längstens bis zur nächsten" in page.text


async def test_undo_takes_back_what_its_page_has_shown_and_nothing_else() -> None:
    """A tab that is older than the last change, and a button that was pressed twice."""
    relay = evening()
    async with opened(relay) as anna:
        await anna.go("/de/")
        await anna.press("11 Stunden")
        old = anna.page.form("Rückgängig")
        await anna.press("Alles ausschalten")
        saved = relay.document
        assert (await anna.send("/de/undo", old.fields)).status == 409
        assert relay.document == saved
        fresh = (await anna.go("/de/")).form("Rückgängig")
        assert (await anna.send("/de/undo", fresh.fields)).status == 200
        undone = relay.document
        assert undone != saved
        page = await anna.send("/de/undo", fresh.fields)
        assert (page.status, relay.document) == (409, undone)
        assert "längstens bis zur nächsten" in page.text


class OvertakenRelay(PaperRelay):
    """Somebody else saves the first document just before."""

    async def snooze(
        self, session: Secret, until: float, version: int | None, *, confirmed: bool = False
    ) -> int | None:
        self.document, self.version = FULL, 1
        return await PaperRelay.snooze(self, session, until, version, confirmed=confirmed)


async def test_undo_of_the_first_act_takes_nothing_away_that_another_tab_has_saved() -> None:
    """An act that has seen no document is for none; else Undo would lead back to none."""
    relay = OvertakenRelay(EVENING)
    async with opened(relay) as anna:
        await anna.go("/de/")
        page = await anna.press("11 Stunden")
        assert page.status == 409
        assert "Rückgängig" not in (await anna.go("/de/")).text
        assert relay.document == FULL


async def test_to_press_what_changes_nothing_is_no_step() -> None:
    relay = PaperRelay(EVENING)
    async with opened(relay) as anna:
        await anna.go("/de/")
        page = await anna.send("/de/reachable", [("csrf", dict(anna.page.form("11 Stunden").fields)["csrf"])])
        assert page.status == 200
        assert "Rückgängig" not in page.text
        assert relay.document is None


async def test_turned_off_it_says_so_and_offers_the_way_back() -> None:
    relay = evening()
    async with opened(relay) as anna:
        await anna.go("/de/")
        page = await anna.press("Alles ausschalten")
        assert "Erreichbar immer Alles ist ausgeschaltet." in page.text
        assert "Alles ausschalten" not in page.text
        assert relay.document is not None
        assert relay.document["windows"] == FULL["windows"]
        page = await anna.press("Wieder einschalten")
        assert "Ruhe bis 05:30" in page.text
        page = await anna.press("Rückgängig")
        assert "Alles ist ausgeschaltet." in page.text


async def test_off_does_not_ask_which_version_the_page_had() -> None:
    relay = evening()
    async with opened(relay) as anna:
        await anna.go("/de/")
        relay.version += 1
        assert (await anna.press("Alles ausschalten")).status == 200


@pytest.mark.parametrize("language", ["de", "en"])
@pytest.mark.parametrize("fault", [Away(), Busy(90.0)])
async def test_what_could_not_be_done_now_can_be_sent_again(fault: Away | Busy, language: str) -> None:
    relay = PaperRelay(EVENING)
    async with opened(relay) as anna:
        await anna.go(f"/{language}/")
        button, again = ("11 Stunden", "Erneut senden") if language == "de" else ("11 hours", "Send again")
        relay.fault = fault
        page = await anna.press(button)
        assert page.status in (503, 429)
        assert int(page.headers["retry-after"]) in (5, 90)
        assert relay.document is None
        await anna.press(again)
        assert relay.document is not None


async def test_what_the_relay_does_not_take_is_told_in_the_officers_language() -> None:
    relay = PaperRelay(EVENING)
    async with opened(relay) as anna:
        for language, said in (("de", "Es sind zu viele Regeln"), ("en", "There are too many rules")):
            await anna.go(f"/{language}/")
            relay.fault = Rejected((Problem("overrides", "has more than 50 entries", "hat mehr als 50 Einträge"),))
            page = await anna.press("11 ")
            assert page.status == 422
            assert said in page.text
        await anna.go("/de/")
        relay.fault = Changed()
        page = await anna.press("11 Stunden")
        assert (page.status, "an anderer Stelle geändert" in page.text) == (409, True)


async def test_of_many_bypasses_the_last_three_are_here_and_all_on_their_page() -> None:
    relay = evening(bypasses_=tuple(Bypass(EVENING - n * 86_400, "alarm", f"Lage {n}", "Suche") for n in range(1, 6)))
    async with opened(relay) as anna:
        page = await anna.go("/de/")
        assert "Di 24.11. 21:40 Lage 1, Grund: Suche" in page.text
        assert "Lage 4" not in page.text
        page = await anna.click("Alle, und wer Sie wecken darf")
        assert "Lage 5" in page.text


async def test_the_page_weighs_little() -> None:
    """Sixty thousand bytes are the limit for all of it; a document at its limits is another matter."""
    async with opened(evening(notices=3)) as anna:
        html = (await anna.go("/de/")).html
        style = assets.load()["style.css"].content
        assert len(html.encode()) + len(style) <= 60_000
        assert "style=" not in html
        assert "<script" not in html


async def test_nothing_is_loaded_but_what_the_page_needs() -> None:
    async with opened(evening()) as anna:
        page = await anna.go("/de/")
        for name in ("style.css", "favicon.svg"):
            address = f"/static/{assets.load()[name].version}/{name}"
            assert address in page.html
            answer = await anna.ask("GET", address)
            assert answer.status_code == 200
            assert "immutable" in answer.headers["cache-control"]
        assert (await anna.ask("GET", "/static/old/style.css")).status_code == 404
