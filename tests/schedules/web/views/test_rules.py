"""How an officer changes rules: saved at once, looked at first where it matters, and asked about two versions."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import cast

import pytest

from schedules.web.port import Document, Secret, SignedOut
from tests.schedules.web.browser import Browser, browser
from tests.schedules.web.paper_relay import PaperRelay

NOW = datetime(2026, 11, 25, 20, 40, tzinfo=UTC).timestamp()  # Wednesday, 21:40 in Berlin
SPORT = {"kind": "weekly", "start": "15:00", "end": "17:00", "days": [5], "label": "Dienstsport", "id": "sport"}
LEAVE = {"kind": "dates", "from": "2026-11-28", "to": "2026-11-30"}
CRON = {"kind": "cron", "start": "0 3 * * *", "duration_minutes": 60}
CALL = {"kind": "reachable", "start": "2026-11-26T18:00", "end": "2026-11-26T22:00", "classes": ["roster"]}
NIGHT = {"kind": "weekly", "start": "22:00", "end": "06:00"}


@dataclass(slots=True)
class OvertakenRelay(PaperRelay):
    """Once, somebody else saves just before."""

    overtaking: Document | None = None

    async def save(self, session: Secret, document: Document, version: int | None, *, confirmed: bool = False) -> int:
        if self.overtaking is not None:
            self.document, self.overtaking = self.overtaking, None
            self.version += 1
        return await PaperRelay.save(self, session, document, version, confirmed=confirmed)


@asynccontextmanager
async def door(*windows: object, overrides: tuple[object, ...] = ()) -> AsyncIterator[tuple[Browser, OvertakenRelay]]:
    document = {"timezone": "Europe/Berlin", "windows": [*windows], "overrides": [*overrides]}
    relay = OvertakenRelay(NOW, document, 1)
    async with browser(relay, relay) as made:
        made.show_session(relay.begin().session)
        yield made, relay
        assert made.told == [], "a page failed"


def windows(relay: PaperRelay) -> list[dict[str, object]]:
    assert relay.document is not None
    return cast("list[dict[str, object]]", relay.document["windows"])


# --- one rule


async def test_a_leave_is_entered_and_saved_at_once() -> None:
    async with door(SPORT) as (made, relay):
        await made.go("/de/rules/new?kind=dates")
        page = await made.press("Speichern", day1="2026-12-21", day2="2027-01-03", label="Weihnachten")
        assert windows(relay) == [
            SPORT,
            {"kind": "dates", "from": "2026-12-21", "to": "2027-01-03", "label": "Weihnachten"},
        ]
        assert page.url.endswith("/de/")
        assert "Gespeichert, gilt sofort." in page.text
        await made.press("Rückgängig")
        assert windows(relay) == [SPORT]


@pytest.mark.parametrize(
    ("kind", "typed", "where", "rule"),
    [
        ("weekly", {"d": ["6", "7"], "all": "on"}, "windows",
         {"kind": "weekly", "start": "00:00", "end": "24:00", "days": [6, 7]}),
        ("once", {"day1": "2026-12-01", "time1": "13:00", "day2": "2026-12-01", "time2": "15:30", "rest": "sick"},
         "windows", {"kind": "once", "start": "2026-12-01T13:00", "end": "2026-12-01T15:30", "rest": "sick"}),
        ("holidays", {"land": "BY"}, "windows", {"kind": "holidays", "land": "BY"}),
        ("oncall", {"day1": "2026-12-05", "day2": "2026-12-06"}, "overrides",
         {"kind": "reachable", "start": "2026-12-05T00:00", "end": "2026-12-07T00:00"}),
        ("offduty", {"day1": "2026-12-05", "time1": "14:00", "day2": "2026-12-06", "time2": "06:00"}, "overrides",
         {"kind": "rest", "start": "2026-12-05T14:00", "end": "2026-12-06T06:00"}),
    ],
)  # fmt: skip
async def test_every_kind_is_entered(
    kind: str, typed: dict[str, str | list[str] | None], where: str, rule: dict[str, object]
) -> None:
    async with door() as (made, relay):
        await made.go(f"/en/rules/new?kind={kind}")
        await made.press("Save", **typed)
        assert relay.document is not None
        assert relay.document[where] == [rule]


async def test_a_rule_is_edited_and_the_others_stay_to_the_byte() -> None:
    odd = {"id": "x", "end": "06:00", "kind": "weekly", "start": "22:00", "days": [7, 1, 2, 3, 4, 5, 6]}
    async with door(odd, SPORT, CRON, overrides=(CALL,)) as (made, relay):
        await made.go("/de/rules/windows/1")
        await made.press("Speichern", to="18:00")
        assert json.dumps(relay.document) == json.dumps(
            {"timezone": "Europe/Berlin", "windows": [odd, {**SPORT, "end": "18:00"}, CRON], "overrides": [CALL]}
        )


async def test_a_form_that_is_sent_as_it_was_shown_saves_nothing() -> None:
    async with door(SPORT, overrides=(CALL,)) as (made, relay):
        for path in ("/de/rules/windows/0", "/de/rules/overrides/0"):
            await made.go(path)
            await made.press("Speichern")
        assert relay.version == 1


async def test_several_times_in_one_form_are_several_rules() -> None:
    async with door() as (made, relay):
        await made.go("/de/rules/new?kind=weekly")
        await made.press("Weitere Zeit", label="Ruhe")
        page = await made.press("Speichern", d=["1"], d_2=["6", "7"])
        assert page.status == 422
        await made.press("Speichern", all_2="on")
        assert windows(relay) == [
            {**NIGHT, "days": [1], "label": "Ruhe"},
            {"kind": "weekly", "start": "00:00", "end": "24:00", "days": [6, 7], "label": "Ruhe"},
        ]


async def test_a_row_that_is_left_empty_is_no_rule() -> None:
    async with door() as (made, relay):
        await made.go("/de/rules/new?kind=weekly")
        await made.press("Weitere Zeit")
        await made.press("Speichern")
        assert windows(relay) == [NIGHT]


async def test_a_rule_by_cron_is_shown_and_deleted_but_not_edited() -> None:
    async with door(CRON) as (made, relay):
        page = await made.go("/de/rules/windows/0")
        assert "aus einem anderen Programm: 0 3 * * *, jeweils 1 h" in page.text
        await made.press("Löschen")
        assert windows(relay) == []


@pytest.mark.parametrize(
    "path", ["windows/1", "overrides/0", "devices/0", "windows/-1", "windows/x", "windows/" + "9" * 5_000]
)
async def test_there_is_no_page_of_a_rule_that_there_is_not(path: str) -> None:
    async with door(SPORT) as (made, _):
        assert (await made.go(f"/de/rules/{path}")).status == 404


# --- errors


async def test_an_error_stands_beside_its_control_and_nothing_typed_is_lost() -> None:
    async with door(SPORT) as (made, relay):
        await made.go("/de/rules/windows/0")
        page = await made.press("Speichern", label="<b>Sport & Spiel</b>", from_="15:00", to="15:00", d=["3"])
        assert page.status == 422
        assert relay.version == 1
        assert "Beginn und Ende sind gleich." in page.text
        assert ("Beginn und Ende sind gleich. Bitte das Ende ändern oder „Ganzer Tag“ wählen.", "#f-to") in page.links
        assert {"f-to", "e-to"} <= set(page.ids)
        assert 'aria-invalid="true" aria-describedby="e-to"' in page.html
        fields = page.form("Speichern").fields
        assert {("label", "<b>Sport & Spiel</b>"), ("d", "3"), ("to", "15:00")} <= set(fields)
        await made.press("Speichern", to="16:00")
        assert windows(relay) == [{**SPORT, "label": "<b>Sport & Spiel</b>", "days": [3], "end": "16:00"}]


async def test_an_error_is_told_in_english_too() -> None:
    async with door() as (made, _):
        await made.go("/en/rules/new?kind=dated")
        page = await made.press("Save", day1="2026-12-02", day2="2026-12-01")
        assert "The last day must not be earlier than the first day." in page.text


async def test_there_is_no_room_for_one_rule_more() -> None:
    async with door(*[SPORT] * 30) as (made, _):
        await made.go("/de/rules/new?kind=weekly")
        page = await made.press("Speichern", d=["1"])
        assert page.status == 422
        assert "Es sind zu viele Regeln für eine weitere." in page.text


# --- looked at before it is saved


async def test_what_changes_when_waiting_messages_go_out_is_shown_first() -> None:
    async with door({"kind": "dates", "from": "2026-11-25", "to": "2026-11-26"}) as (made, relay):
        relay.notices = 3
        await made.go("/de/rules/windows/0")
        page = await made.press("Speichern", day1="2026-11-26")
        assert relay.version == 1
        assert "3 Hinweise warten. Mit dieser Änderung kommen sie sofort." in page.text
        assert "Noch nicht gespeichert." in page.text
        await made.press("Speichern")
        assert windows(relay) == [{"kind": "dates", "from": "2026-11-26", "to": "2026-11-26"}]


async def test_one_message_that_waits_longer_is_one() -> None:
    async with door(NIGHT, {"kind": "dates", "from": "2026-11-25", "to": "2026-11-25"}) as (made, relay):
        relay.notices = 1
        await made.go("/en/rules/windows/1")
        page = await made.press("Save", day2="2026-11-27")
        assert "1 message is waiting. With this change it waits until Sat 06:00." in page.text


async def test_what_was_changed_after_the_preview_is_shown_once_more() -> None:
    async with door({"kind": "dates", "from": "2026-11-25", "to": "2026-11-26"}) as (made, relay):
        relay.notices = 3
        await made.go("/de/rules/windows/0")
        await made.press("Speichern", day2="2026-11-27")
        page = await made.press("Speichern", day2="2026-12-27")
        assert relay.version == 1
        assert "Mit dieser Änderung warten sie bis Mo 28.12. 00:00." in page.text
        await made.press("Speichern")
        assert relay.version == 2


async def test_a_plan_without_a_reachable_minute_is_asked_about() -> None:
    async with door() as (made, relay):
        await made.go("/de/rules/new?kind=weekly")
        page = await made.press("Speichern", all="on")
        assert relay.version == 1
        assert "keine einzige Minute erreichbar" in page.text
        await made.press("Ja, so speichern")
        assert relay.version == 2


async def test_a_preview_is_there_for_the_asking_and_begins_where_it_matters() -> None:
    async with door() as (made, relay):
        await made.go("/de/rules/new?kind=dated")
        page = await made.press("Vorschau", day1="2026-12-21", day2="2026-12-22")
        assert relay.version == 1
        assert "So 20.12." in page.text
        assert "Ruhe, Urlaub" in page.text


async def test_a_deletion_that_releases_messages_is_shown_first() -> None:
    async with door({**LEAVE, "from": "2026-11-25"}) as (made, relay):
        relay.notices = 1
        await made.go("/de/rules/windows/0")
        page = await made.press("Löschen")
        assert relay.version == 1
        assert "1 Hinweis wartet. Mit dieser Änderung kommt er sofort." in page.text
        await made.press("Löschen")
        assert windows(relay) == []


async def test_where_everything_is_turned_off_the_rules_are_painted_all_the_same() -> None:
    async with door(NIGHT) as (made, relay):
        await made.go("/de/")
        await made.press("Alles ausschalten")
        await made.go("/de/rules/windows/0")
        page = await made.press("Vorschau", to="07:00")
        assert "erreichbar 07:00–22:00" in page.text
        assert "ganztags" not in page.text
        assert relay.version == 2


# --- two versions


async def test_two_tabs_edit_one_rule_and_the_officer_chooses() -> None:
    async with door(SPORT, LEAVE) as (made, relay):
        await made.go("/de/rules/windows/1")
        relay.document, relay.version = {"windows": [SPORT, {**LEAVE, "to": "2026-11-29"}]}, 2
        page = await made.press("Speichern", day2="2026-12-01")
        assert page.status == 409
        assert relay.version == 2
        assert "Urlaub: zwei Fassungen" in page.text
        assert "<b>So 29.11.</b>" in page.html
        assert "<b>Di 1.12.</b>" in page.html
        assert "Dienstsport" not in page.text, "what both have is not told"
        assert "Wieder erreichbar ab Mo 30.11. 00:00." in page.text
        assert "Wieder erreichbar ab Mi 2.12. 00:00." in page.text
        await made.press("Diese übernehmen")
        assert windows(relay) == [SPORT, {**LEAVE, "to": "2026-12-01"}]
        assert relay.version == 3


async def test_the_saved_one_is_kept_by_leaving() -> None:
    async with door(LEAVE) as (made, relay):
        await made.go("/en/rules/windows/0")
        relay.document, relay.version = {"windows": [{**LEAVE, "to": "2026-11-29"}]}, 2
        await made.press("Save", day2="2026-12-01")
        page = await made.press("Keep this one")
        assert page.url.endswith("/en/")
        assert relay.version == 2


async def test_who_goes_back_to_editing_finds_what_was_typed_and_the_version_of_now() -> None:
    async with door(LEAVE, SPORT) as (made, relay):
        await made.go("/de/rules/windows/0")
        relay.document, relay.version = {"windows": [SPORT, LEAVE]}, 2
        await made.press("Speichern", day2="2026-12-01", label="Meer")
        page = await made.press("Zurück zum Bearbeiten")
        assert page.status == 200
        assert {("label", "Meer"), ("day2", "2026-12-01"), ("version", "2")} <= set(page.form("Speichern").fields)
        await made.press("Speichern")
        assert windows(relay) == [SPORT, {**LEAVE, "to": "2026-12-01", "label": "Meer"}]


async def test_a_rule_that_was_deleted_meanwhile_comes_back_if_the_officer_wants() -> None:
    async with door(LEAVE, SPORT) as (made, relay):
        await made.go("/de/rules/windows/0")
        relay.document, relay.version = {"windows": [SPORT]}, 2
        page = await made.press("Speichern", day2="2026-12-01")
        assert "Ohne diese Regel." in page.text
        await made.press("Diese übernehmen")
        assert windows(relay) == [SPORT, {**LEAVE, "to": "2026-12-01"}]


async def test_a_rule_is_deleted_where_it_stands_now() -> None:
    async with door(LEAVE, SPORT) as (made, relay):
        await made.go("/de/rules/windows/0")
        relay.document, relay.version = {"windows": [SPORT, LEAVE]}, 2
        page = await made.press("Löschen")
        assert page.status == 409
        await made.press("Diese übernehmen")
        assert windows(relay) == [SPORT]


async def test_a_list_that_is_old_deletes_nothing() -> None:
    async with door(LEAVE, SPORT) as (made, relay):
        page = await made.go("/de/")
        form = next(form for form in page.forms if form.action.endswith("/rules/windows/0/delete"))
        relay.document, relay.version = {"windows": [SPORT, LEAVE]}, 2
        page = await made.send(form.action, form.fields)
        assert page.status == 409
        assert relay.version == 2


async def test_who_saves_between_reading_and_saving_is_noticed() -> None:
    async with door(LEAVE) as (made, relay):
        await made.go("/de/rules/windows/0")
        relay.overtaking = {"windows": [{**LEAVE, "to": "2026-11-29"}]}
        page = await made.press("Speichern", day2="2026-12-01")
        assert page.status == 409
        await made.press("Diese übernehmen")
        assert windows(relay) == [{**LEAVE, "to": "2026-12-01"}]


async def test_the_first_rule_of_one_tab_is_not_lost_by_the_first_of_another() -> None:
    """Both forms were made where there was no document; one is saved while the other is."""
    async with door() as (made, relay):
        relay.document = None
        await made.go("/de/rules/new?kind=dates")
        relay.overtaking = {"windows": [SPORT]}
        page = await made.press("Speichern", day1="2026-11-28", day2="2026-11-30")
        assert page.status == 409
        assert windows(relay) == [SPORT]
        await made.press("Diese übernehmen")
        assert windows(relay) == [SPORT, LEAVE]


async def test_the_choice_between_two_versions_is_no_answer_to_another_question() -> None:
    """What waits goes out later, and no minute is left: both are asked, though the officer has chosen."""
    async with door(NIGHT, LEAVE) as (made, relay):
        relay.notices = 2
        await made.go("/de/rules/windows/0")
        relay.document, relay.version = {"windows": [{**NIGHT, "label": "Neu"}, LEAVE]}, 2
        page = await made.press("Speichern", all_="on")
        assert page.status == 409
        page = await made.press("Diese übernehmen")
        assert "keine einzige Minute erreichbar" in page.text
        assert relay.version == 2
        await made.press("Ja, so speichern")
        assert (relay.version, windows(relay)[0]["end"]) == (3, "24:00")


async def test_two_versions_that_come_to_the_same_are_no_question() -> None:
    async with door(LEAVE) as (made, relay):
        await made.go("/de/rules/windows/0")
        relay.document, relay.version = {"timezone": "Europe/Berlin", "windows": [{**LEAVE, "to": "2026-12-01"}],
                                         "overrides": []}, 2  # fmt: skip
        page = await made.press("Speichern", day2="2026-12-01")
        assert page.status == 200
        assert relay.version == 2


# --- the session is over while a form is open


async def test_a_form_outlives_its_session() -> None:
    async with door(SPORT) as (made, relay):
        await made.go("/en/rules/windows/0")
        relay.good.clear()
        page = await made.press("Save", label="Boxen")
        assert page.status == 401
        assert ("label", "Boxen") in page.form("Send again").fields
        made.show_session(relay.begin().session)
        page = await made.press("Send again")
        assert page.status == 409, "the form is of another session: asked once"
        page = await made.press("Send again")
        assert page.status == 409, "and shown beside what is saved"
        assert "You have signed in again" in page.text
        await made.press("Take this one")
        assert windows(relay) == [{**SPORT, "label": "Boxen"}]


@pytest.mark.parametrize("theirs", [(SPORT,), (LEAVE,), (), None])
@pytest.mark.parametrize("path", ["/de/rules/windows/0", "/de/rules/new?kind=weekly", "/de/presets/nights_only"])
async def test_a_form_of_one_officer_changes_nothing_of_another_unseen(path: str, theirs: tuple[object] | None) -> None:
    """Two at one computer, with documents of the same version: whoever signs in second finds the first one's tab."""
    async with door(SPORT) as (made, relay):
        await made.go(path)
        fields = [(name, "Boxen" if name == "label" else value) for name, value in made.page.form("Vorschau").fields]
        document = None if theirs is None else {"timezone": "Europe/Berlin", "windows": [*theirs]}
        relay.document = document
        relay.good.clear()
        made.show_session(relay.begin().session)
        page = await made.send(path.partition("?")[0], fields)
        assert (page.status, relay.asked.count("save")) == (409, 0)
        page = await made.press("Erneut senden")
        assert page.status in (409, 404)
        assert relay.document == document
        assert "save" not in relay.asked


async def test_a_session_that_ends_at_the_last_moment_keeps_the_form() -> None:
    async with door(SPORT) as (made, relay):
        await made.go("/en/rules/windows/0")
        relay.fault = SignedOut()
        page = await made.press("Save", label="Boxen")
        assert page.status == 401
        assert ("label", "Boxen") in page.form("Send again").fields
