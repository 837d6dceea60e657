"""Rules with a browser: new ones of each kind, edited and deleted, presets, and the week that is painted."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from playwright.sync_api import expect

from tests.e2e.web.conftest import Visit, open_page
from tests.e2e.web.premises import NIGHTS, Premises
from tests.e2e.web.visitor import Look, Visitor

pytestmark = [pytest.mark.processes, pytest.mark.needs("chromium")]


def new_rule(window: Visitor, kind: str) -> None:
    """From the main page to the form of a new rule."""
    window.page.get_by_role("link", name=f"+ {window.say(kind)}", exact=True).click()


def is_saved(window: Visitor) -> None:
    window.reads("Saved, in effect now.")


def test_a_rest_time_is_written_changed_and_deleted(place: Premises, visit: Visit, look: Look) -> None:
    anna = place.officer(NIGHTS)
    window, session = open_page(visit, look, anna)
    new_rule(window, "Rest time")
    window.field("Name").fill("Dienstsport")
    for day in (1, 2, 3, 4, 6, 7):
        window.page.locator(f"[name=d][value='{day}']").uncheck()
    window.field("from", exact=True).first.fill("15:00")
    window.field("to", exact=True).first.fill("17:00")
    window.press("Save", exact=True)
    is_saved(window)
    friday = {"kind": "weekly", "label": "Dienstsport", "days": [5], "start": "15:00", "end": "17:00"}
    assert anna.document(session)["windows"][1].items() >= friday.items()

    window.page.get_by_role("link", name="Dienstsport").filter(has_text=window.say("Change")).click()
    expect(window.field("Name")).to_have_value("Dienstsport")
    window.field("to", exact=True).first.fill("15:00")
    window.press("Save", exact=True)  # equal times are refused: told above and beside, and everything is still there
    window.reads("Everything you have entered is still here.")
    expect(window.page.locator("[aria-invalid]")).not_to_have_count(0)
    expect(window.field("Name")).to_have_value("Dienstsport")
    window.field("to", exact=True).first.fill("17:30")
    window.press("Save", exact=True)
    is_saved(window)
    assert anna.document(session)["windows"][1]["end"] == "17:30"

    window.page.get_by_role("button", name="Dienstsport").filter(has_text=window.say("Delete")).click()
    is_saved(window)
    expect(window.page.get_by_text("Dienstsport")).to_have_count(0)
    assert len(anna.document(session)["windows"]) == 1
    window.press("Undo")
    expect(window.page.get_by_text("Dienstsport").first).to_be_visible()
    assert anna.document(session)["windows"][1]["end"] == "17:30"


def test_leave_and_time_on_call(place: Premises, visit: Visit, look: Look) -> None:
    anna = place.officer(NIGHTS)
    window, session = open_page(visit, look, anna)
    day = date.today() + timedelta(days=5)
    new_rule(window, "Leave")
    window.page.locator("#f-day1").fill(day.isoformat())
    window.page.locator("#f-day2").fill((day + timedelta(days=2)).isoformat())
    window.press("Save", exact=True)
    is_saved(window)
    leave = {"kind": "dates", "from": day.isoformat(), "to": (day + timedelta(days=2)).isoformat()}
    assert anna.document(session)["windows"][1].items() >= leave.items()

    new_rule(window, "On call")
    for control, value in (("day1", day), ("time1", "18:00"), ("day2", day), ("time2", "22:00")):
        window.page.locator(f"#f-{control}").fill(str(value))
    window.press("Save", exact=True)
    is_saved(window)
    (override,) = anna.document(session)["overrides"]
    assert (override["kind"], override["start"], override["end"]) == ("reachable", f"{day}T18:00", f"{day}T22:00")
    window.reads("On call")


def test_a_preset_is_seen_before_it_is_saved(place: Premises, visit: Visit, look: Look) -> None:
    anna = place.officer()
    window, session = open_page(visit, look, anna)
    window.page.get_by_role("link", name=window.say("Nights only")).click()
    window.press("Preview", exact=True)
    window.reads("Not saved yet.")
    anna.ask(session, "GET", "/v1/me/rest", status=404)
    window.press("Save", exact=True)
    is_saved(window)
    (rule,) = anna.document(session)["windows"]
    assert (rule["start"], rule["end"]) == ("22:00", "06:00")


def test_a_plan_without_a_reachable_minute_is_asked_about(place: Premises, visit: Visit, look: Look) -> None:
    anna = place.officer(NIGHTS)
    window, session = open_page(visit, look, anna, "/rules/new?kind=weekly")
    window.field("Whole day").first.check()
    window.press("Save", exact=True)
    window.reads("After this you are not reachable for a single minute in the next five weeks.")
    assert len(anna.document(session)["windows"]) == 1
    window.press("Yes, save it so")
    is_saved(window)
    assert len(anna.document(session)["windows"]) == 2


# --- painted


@pytest.mark.scripted
def test_the_week_is_painted_with_a_pointer_and_with_the_keyboard(place: Premises, visit: Visit, look: Look) -> None:
    anna = place.officer(NIGHTS)
    window, session = open_page(visit, look, anna, "/rules/windows/0")
    cells = window.page.locator("#paint button")
    across = cells.count() // 7
    step = 24 // across
    expect(cells.nth(0)).to_have_attribute("aria-pressed", "true")
    expect(cells.nth(12 // step)).to_have_attribute("aria-pressed", "false")
    cells.nth(12 // step).click()  # Monday noon, one cell
    expect(cells.nth(12 // step)).to_have_attribute("aria-pressed", "true")
    first, last = (cells.nth(day * across + 12 // step).bounding_box() for day in (2, 4))
    assert first is not None
    assert last is not None
    window.page.mouse.move(first["x"] + 4, first["y"] + 4)  # Wednesday to Friday noon, by dragging
    window.page.mouse.down()
    window.page.mouse.move(last["x"] + 4, last["y"] + 4, steps=6)
    window.page.mouse.up()
    expect(cells.nth(3 * across + 12 // step)).to_have_attribute("aria-pressed", "true")
    cells.nth(12 // step).focus()
    window.page.keyboard.press("ArrowRight")
    window.page.keyboard.press("Space")  # Monday, the next cell
    expect(cells.nth(12 // step + 1)).to_be_focused()
    expect(cells.nth(12 // step + 1)).to_have_attribute("aria-pressed", "true")
    window.press("Save", exact=True)
    is_saved(window)
    kept = {
        (rule["start"], rule["end"]): rule.get("days", [*range(1, 8)]) for rule in anna.document(session)["windows"]
    }
    noon, later, after = (f"{12 + step * n}:00" for n in range(3))
    assert kept == {("22:00", "06:00"): [*range(1, 8)], (noon, after): [1], (noon, later): [3, 4, 5]}
