"""The rhythm editor, the swap of a shift, and presets: shown first, then saved."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import cast

import pytest

from tests.schedules.web.browser import Browser, Shown, browser
from tests.schedules.web.paper_relay import PaperRelay

NOW = datetime(2026, 11, 25, 20, 40, tzinfo=UTC).timestamp()  # Wednesday, 21:40 in Berlin
SHIFTS = {
    "Früh": {"start": "06:00", "end": "14:00"}, "Spät": {"start": "14:00", "end": "22:00"},
    "Nacht": {"start": "22:00", "end": "06:00"},
}  # fmt: skip
RHYTHM = {
    "kind": "cycle", "anchor": "2026-01-05", "days": ["Früh", "Spät", "Nacht", "-", "-"], "shifts": SHIFTS,
    "lead_minutes": 30, "lag_minutes": 30,
}  # fmt: skip
SPORT = {"kind": "weekly", "start": "15:00", "end": "17:00", "days": [5]}
LEAVE = {"kind": "dates", "from": "2026-11-28", "to": "2026-11-30"}
NIGHT = {"kind": "weekly", "start": "22:00", "end": "06:00"}


@asynccontextmanager
async def door(*windows: object) -> AsyncIterator[tuple[Browser, PaperRelay]]:
    relay = PaperRelay(NOW, {"timezone": "Europe/Berlin", "windows": [*windows]} if windows else None, 1)
    async with browser(relay, relay) as made:
        made.show_session(relay.begin().session)
        yield made, relay
        assert made.told == [], "a page failed"


def windows(relay: PaperRelay) -> list[dict[str, object]]:
    assert relay.document is not None
    return cast("list[dict[str, object]]", relay.document["windows"])


async def test_a_new_rhythm_is_shown_first_and_saved_then() -> None:
    async with door() as (made, relay):
        await made.go("/de/rhythm")
        page = await made.press("Vorschau", anchor="2026-01-05", after="60")
        assert relay.document is None
        assert "nach Nacht 46 h 30 min Ruhe So 07:00 bis Di 1.12. 05:30" in page.text
        await made.press("Speichern")
        assert windows(relay) == [{**RHYTHM, "lag_minutes": 60}]


async def test_the_rest_after_each_duty_is_told_as_in_the_design() -> None:
    async with door(RHYTHM) as (made, _):
        page = await made.go("/de/rhythm")
        assert "nach Früh 23 h Ruhe Do 14:30 bis Fr 13:30" in page.text
        assert "nach Nacht 47 h Ruhe So 06:30 bis Di 1.12. 05:30" in page.text
        assert "Tag 1Do 26.11." in page.text
        assert "Tag 5heute" in page.text


async def test_what_is_typed_after_the_preview_is_shown_once_more() -> None:
    async with door(RHYTHM) as (made, relay):
        await made.go("/de/rhythm")
        await made.press("Vorschau", before="45")
        await made.press("Speichern", before="60")
        assert relay.version == 1
        await made.press("Speichern")
        assert windows(relay) == [{**RHYTHM, "lead_minutes": 60}]


async def test_the_matrix_grows_and_shrinks_with_its_length() -> None:
    async with door(RHYTHM) as (made, relay):
        await made.go("/de/rhythm")
        page = await made.press("Übernehmen", length="7")
        assert {"d6", "d7"} <= page.form("Übernehmen").names
        await made.press("Speichern", d6="1")
        await made.press("Speichern")
        assert windows(relay) == [{**RHYTHM, "days": ["Früh", "Spät", "Nacht", "-", "-", "Früh", "-"]}]
        await made.go("/de/rhythm")
        await made.press("Übernehmen", length="2")
        await made.press("Speichern")
        assert windows(relay)[0]["days"] == ["Früh", "Spät"]


async def test_more_than_four_duties_are_chosen_from_lists() -> None:
    five = {name: {"start": f"0{n}:00", "end": "12:00"} for n, name in enumerate("ABCDE")}
    async with door({**RHYTHM, "shifts": five, "days": ["A", "-"]}) as (made, relay):
        page = await made.go("/de/rhythm")
        assert '<select name="d1"' in page.html
        await made.press("Vorschau", d2="5")
        await made.press("Speichern")
        assert windows(relay)[0]["days"] == ["A", "E"]


async def test_a_duty_is_added_renamed_and_taken_away() -> None:
    async with door(RHYTHM) as (made, relay):
        await made.go("/de/rhythm")
        await made.press("Vorschau", name1="Tag", name4="Kurz", from4="10:00", to4="12:00")
        await made.press("Speichern", d4="4")
        await made.press("Speichern")
        assert windows(relay)[0]["days"] == ["Tag", "Spät", "Nacht", "Kurz", "-"]
        page = await made.go("/de/rhythm")
        page = await made.press("Vorschau", name4="", from4="", to4="")
        assert page.status == 422
        assert "Bitte eine Schicht wählen, oder frei." in page.text
        await made.press("Vorschau", d4="-")
        await made.press("Speichern")
        assert windows(relay)[0]["shifts"] == {"Tag": SHIFTS["Früh"], "Spät": SHIFTS["Spät"], "Nacht": SHIFTS["Nacht"]}


async def test_two_days_are_swapped_hinted_at_and_taken_back() -> None:
    async with door(RHYTHM, LEAVE) as (made, relay):
        await made.go("/de/rhythm")
        page = await made.press("Tauschen", swap1="2026-12-01", swap2="2026-12-02")
        assert relay.version == 1
        assert "Di 1.12. jetzt Spät" in page.text
        assert "Nur für Sie: Zwischen Di 1.12. 22:00 und Mi 2.12. 06:00 liegen 8 h (unter 11 h)." in page.text
        assert "Spät*" in page.text
        assert "erreichbar 13:30–22:30, getauscht" in page.text
        await made.press("Aufheben Mi 2.12. jetzt Früh")
        await made.press("Speichern")
        assert windows(relay) == [{**RHYTHM, "swaps": [{"date": "2026-12-01", "shift": "Spät"}]}, LEAVE]


async def test_a_day_is_not_swapped_with_itself() -> None:
    async with door(RHYTHM) as (made, _):
        await made.go("/de/rhythm")
        page = await made.press("Tauschen", swap1="2026-12-01", swap2="2026-12-01")
        assert page.status == 422
        assert "Bitte zwei verschiedene Tage wählen." in page.text


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ({"length": "0"}, "Bitte eine Zahl von 1 bis 126 angeben."),
        ({"anchor": ""}, "Bitte ein Datum angeben."),
        ({"anchor": "gestern"}, "Bitte ein Datum angeben."),
        ({"before": "1000"}, "Die Zeit vor dem Dienst muss eine ganze Zahl von 0 bis 720 sein."),
        ({"name2": "Früh"}, "So heißt schon eine andere Schicht."),
        ({"d1": "-", "d2": "-", "d3": "-"}, "Bitte an mindestens einem Tag eine Schicht wählen."),
    ],
)
async def test_an_error_keeps_the_whole_matrix(typed: dict[str, str | list[str] | None], told: str) -> None:
    async with door(RHYTHM) as (made, relay):
        await made.go("/de/rhythm")
        page = await made.press("Vorschau", label="Schicht", **typed)
        assert page.status == 422
        assert told in page.text
        assert ("label", "Schicht") in page.form("Vorschau").fields
        assert relay.version == 1


async def test_a_second_rhythm_has_its_own_page_and_delete_button() -> None:
    other = {**RHYTHM, "anchor": "2026-01-06", "label": "zweiter"}
    async with door(RHYTHM, other) as (made, relay):
        page = await made.go("/de/rules/windows/1")
        assert ("label", "zweiter") in page.form("Vorschau").fields
        await made.press("Löschen")
        assert windows(relay) == [RHYTHM]


async def test_two_tabs_edit_one_rhythm() -> None:
    async with door(RHYTHM) as (made, relay):
        await made.go("/de/rhythm")
        relay.document, relay.version = {"windows": [SPORT, {**RHYTHM, "lag_minutes": 60}]}, 2
        page = await made.press("Vorschau", before="45")
        assert page.status == 409
        assert "Rhythmus: zwei Fassungen" in page.text
        page = await made.press("Zurück zum Bearbeiten")
        assert page.status == 200


# --- a swap in three taps


async def test_todays_shift_is_swapped_in_three_taps() -> None:
    async with door(RHYTHM) as (made, relay):
        page = await made.go("/de/swap")
        assert "heute, Mi 25.11.: frei" in page.text
        page = await made.press("Speichern", shift="1")
        assert "Gespeichert, gilt sofort." in page.text
        assert windows(relay) == [{**RHYTHM, "swaps": [{"date": "2026-11-25", "shift": "Früh"}]}]


async def test_a_swap_with_less_than_eleven_hours_is_hinted_at_and_not_hindered() -> None:
    async with door(RHYTHM) as (made, relay):
        await made.go("/de/swap")
        page = await made.press("Speichern", day="2026-11-26", shift="3")
        assert relay.version == 1
        assert "Nur für Sie: Zwischen Fr 27.11. 06:00 und Fr 27.11. 14:00 liegen 8 h" in page.text
        assert "Speichern können Sie trotzdem." in page.text
        await made.press("Speichern")
        assert windows(relay) == [{**RHYTHM, "swaps": [{"date": "2026-11-26", "shift": "Nacht"}]}]


async def test_a_swap_follows_its_rhythm_to_another_place() -> None:
    async with door(RHYTHM) as (made, relay):
        await made.go("/en/swap")
        relay.document, relay.version = {"windows": [SPORT, RHYTHM]}, 2
        page = await made.press("Save", day="2026-11-27", shift="-")
        assert page.status == 409
        await made.press("Take this one")
        assert windows(relay) == [SPORT, {**RHYTHM, "swaps": [{"date": "2026-11-27", "shift": "-"}]}]


async def test_a_swap_needs_a_day_and_a_shift_of_the_page() -> None:
    async with door(RHYTHM) as (made, relay):
        await made.go("/de/swap")
        page = await made.press("Speichern", day="1999-01-01", shift="9")
        assert page.status == 422
        assert "Bitte einen Tag wählen." in page.text
        assert "Bitte eine Schicht wählen." in page.text
        assert relay.version == 1


ENDING = {**RHYTHM, "to": "2026-11-27"}
STARTING = {**RHYTHM, "from": "2026-11-28"}


def days(page: Shown) -> list[str]:
    """Dates that the page offers."""
    return re.findall(r'<option value="(2026-[^"]*)"', page.html)


async def test_a_swap_is_offered_for_days_on_which_the_rhythm_holds() -> None:
    async with door(ENDING) as (made, _):
        assert days(await made.go("/de/swap")) == ["2026-11-25", "2026-11-26", "2026-11-27"]
    async with door(STARTING) as (made, relay):
        page = await made.go("/de/swap")
        assert (days(page)[0], len(days(page))) == ("2026-11-28", 11)
        await made.press("Speichern", shift="1")
        assert windows(relay) == [{**STARTING, "swaps": [{"date": "2026-11-28", "shift": "Früh"}]}]


@pytest.mark.parametrize(
    ("language", "save", "take", "sentence"),
    [
        ("de", "Speichern", "Diese übernehmen", "An diesem Tag gilt der Rhythmus nicht."),
        ("en", "Save", "Take this one", "The rhythm does not hold on this day."),
    ],
)
async def test_a_swap_on_a_day_on_which_the_rhythm_does_not_hold_is_refused_beside_it(
    language: str, save: str, take: str, sentence: str
) -> None:
    """Its end was entered in another tab, perhaps. Saved, the swap would do nothing."""
    async with door(RHYTHM) as (made, relay):
        await made.go(f"/{language}/swap")
        relay.document, relay.version = {"windows": [ENDING]}, 2
        page = await made.press(save, day="2026-11-28", shift="1")
        assert page.status == 422
        assert sentence in page.text
        assert {"f-day", "e-day"} <= set(page.ids)
        assert windows(relay) == [ENDING]
        page = await made.press(save, day="2026-11-27", shift="1")
        assert page.status == 409, "there are two versions, and the officer is asked"
        await made.press(take)
        assert windows(relay) == [{**ENDING, "swaps": [{"date": "2026-11-27", "shift": "Früh"}]}]


async def test_of_two_rhythms_that_is_swapped_which_holds() -> None:
    over = {**RHYTHM, "to": "2026-11-01"}
    async with door(over, STARTING) as (made, relay):
        await made.go("/de/swap")
        await made.press("Speichern", day="2026-11-30", shift="1")
        assert windows(relay) == [over, {**STARTING, "swaps": [{"date": "2026-11-30", "shift": "Früh"}]}]
    async with door(over) as (made, _):
        page = await made.go("/de/swap")
        assert (page.status, days(page)) == (200, [])
        assert "Der Rhythmus gilt an keinem der nächsten 14 Tage." in page.text


async def test_two_days_change_places_where_the_rhythm_holds_on_both() -> None:
    async with door(ENDING) as (made, relay):
        page = await made.go("/de/rhythm")
        assert days(page) == ["2026-11-25", "2026-11-26", "2026-11-27"] * 2
        page = await made.press("Tauschen", swap1="2026-11-26", swap2="2026-11-28")
        assert page.status == 422
        assert "An diesem Tag gilt der Rhythmus nicht." in page.text
        page = await made.press("Tauschen", swap1="2026-11-26", swap2="2026-11-27")
        assert page.status == 200
        assert "Fr 27.11. jetzt Früh" in page.text
        assert relay.version == 1


async def test_without_a_rhythm_there_is_nothing_to_swap() -> None:
    async with door(SPORT) as (made, _):
        assert (await made.go("/de/swap")).url.endswith("/de/rhythm")


# --- presets


async def test_a_preset_is_shown_first_and_is_a_rule_like_any_other_then() -> None:
    async with door() as (made, relay):
        await made.go("/de/presets/nights_only")
        page = await made.press("Vorschau", from_="21:00")
        assert relay.document is None
        assert "erreichbar 06:00–21:00" in page.text
        await made.press("Speichern")
        assert windows(relay) == [{**NIGHT, "start": "21:00"}]


@pytest.mark.parametrize(("mode", "kept"), [("replace", [LEAVE]), ("add", [RHYTHM, SPORT, LEAVE])])
async def test_a_preset_says_what_it_takes_the_place_of(mode: str, kept: list[object]) -> None:
    async with door(RHYTHM, SPORT, LEAVE) as (made, relay):
        page = await made.go("/de/presets/nights_only")
        assert "Rhythmus, Nachtruhe" in page.text
        await made.press("Vorschau", mode=mode)
        await made.press("Speichern")
        assert windows(relay) == ([NIGHT, *kept] if mode == "replace" else [*kept, NIGHT])


async def test_day_duty_knows_hours_and_holidays() -> None:
    async with door() as (made, relay):
        await made.go("/en/presets/day_duty")
        await made.press("Preview", from_="08:00", to="16:30", land="BY")
        await made.press("Save")
        assert {"kind": "holidays", "land": "BY", "rest": "free"} in windows(relay)
        assert windows(relay)[0] == {"kind": "weekly", "days": [1, 2, 3, 4, 5], "start": "16:30", "end": "08:00",
                                     "rest": "free"}  # fmt: skip


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ({"from_": ""}, "Bitte eine Uhrzeit angeben."),
        ({"from_": "17:00", "to": "07:00"}, "Der Dienst muss später enden, als er beginnt."),
        ({"from_": "7"}, "Bitte eine Uhrzeit angeben."),
        ({"from_": "17:00"}, "Beginn und Ende sind gleich."),
        ({"land": "XX"}, "Bitte ein Bundesland wählen."),
    ],
)
async def test_what_is_wrong_with_a_preset_is_told(typed: dict[str, str | list[str] | None], told: str) -> None:
    async with door() as (made, relay):
        await made.go("/de/presets/day_duty")
        page = await made.press("Vorschau", **typed)
        assert page.status == 422
        assert told in page.text
        assert "Bitte" not in page.text.replace(told, ""), "nothing else"
        assert relay.document is None


async def test_duty_may_begin_at_midnight() -> None:
    async with door() as (made, relay):
        await made.go("/de/presets/day_duty")
        await made.press("Vorschau", from_="00:00", to="08:00")
        await made.press("Speichern")
        assert relay.version == 2


async def test_a_preset_for_which_there_is_no_room_is_told() -> None:
    async with door(*[SPORT] * 30) as (made, relay):
        await made.go("/en/presets/nights_only")
        page = await made.press("Preview", mode="add")
        assert (page.status, relay.version) == (422, 1)
        assert "There are too many rules for one more." in page.text
        assert "windows" not in page.text


async def test_other_presets_lead_to_their_forms() -> None:
    async with door() as (made, _):
        page = await made.go("/de/presets")
        assert "Tagdienst" in page.text
        assert (await made.click("im eigenen Rhythmus")).url.endswith("/de/rhythm")
        assert (await made.go("/de/presets/leave")).url.endswith("/de/rules/new?kind=dated")
        assert (await made.go("/de/presets/nothing")).status == 404


async def test_a_name_that_no_page_can_hold_fails_none() -> None:
    """Half a surrogate pair, as JSON may bring it."""
    odd = {**RHYTHM, "days": ["\ud800", "-"], "shifts": {"\ud800": SHIFTS["Früh"]}, "label": "\ud800"}
    async with door(odd) as (made, _):
        for path in ("/de/", "/de/swap", "/de/preview", "/de/roster"):
            assert (await made.go(path)).status == 200
