"""The main acts with nothing but a keyboard: Tab to get there, Enter and Space to do it, and a focus to be seen."""

from __future__ import annotations

from typing import Final

import pytest
from playwright.sync_api import Locator, expect

from tests.e2e.web.conftest import Visit, open_page
from tests.e2e.web.premises import NIGHTS, Premises
from tests.e2e.web.visitor import Look, Visitor

pytestmark = [pytest.mark.processes, pytest.mark.needs("chromium")]

OUTLINES: Final = """element => [element, element.nextElementSibling || element]
    .map(each => getComputedStyle(each).outlineStyle).join()"""
"""Of a control, and of what is painted in its place."""
MOST: Final = 60
"""Presses of Tab to anywhere on a page."""


def tab_to(window: Visitor, wanted: Locator) -> None:
    """Press Tab until it has the focus, and see that it shows."""
    for _ in range(MOST):
        window.page.keyboard.press("Tab")
        if wanted.evaluate("element => element === document.activeElement"):
            break
    expect(wanted).to_be_focused()
    assert "solid" in wanted.evaluate(OUTLINES)


def press(window: Visitor, key: str, times: int = 1) -> None:
    for _ in range(times):
        window.page.keyboard.press(key)


def test_off_duty_and_back_and_a_rule_with_the_keyboard_alone(place: Premises, visit: Visit, look: Look) -> None:
    anna = place.officer(NIGHTS)
    window, session = open_page(visit, look, anna)
    tab_to(window, window.page.get_by_role("link", name=window.say("Skip to content")))
    press(window, "Enter")
    tab_to(window, window.page.get_by_role("button", name=window.count("%(num)s hour", "%(num)s hours", 11)))
    press(window, "Enter")
    window.reads("Saved, in effect now.")
    tab_to(window, window.button("Undo"))
    press(window, "Space")
    window.reads("Undone, in effect now.")

    tab_to(window, window.page.get_by_role("link", name=f"+ {window.say('Rest time')}", exact=True))
    press(window, "Enter")
    tab_to(window, window.field("Name"))
    window.page.keyboard.type("Dienstsport")
    tab_to(window, window.page.locator("[name=d][value='1']"))
    press(window, "Space")  # not on Mondays
    tab_to(window, window.field("Whole day").first)
    press(window, "Space")
    tab_to(window, window.button("Save", exact=True))
    press(window, "Enter")
    window.reads("Saved, in effect now.")
    rule = anna.document(session)["windows"][1]
    assert (rule["label"], rule["days"], rule["end"]) == ("Dienstsport", [2, 3, 4, 5, 6, 7], "24:00")


def test_enter_in_a_field_saves_as_the_button_does(place: Premises, visit: Visit, look: Look) -> None:
    anna = place.officer(NIGHTS)
    window, session = open_page(visit, look, anna, "/rules/windows/0")
    tab_to(window, window.field("Name"))
    window.page.keyboard.type("Nachts")
    press(window, "Enter")
    window.reads("Saved, in effect now.")
    assert anna.document(session)["windows"][0]["label"] == "Nachts"


def test_a_shift_is_swapped_and_a_device_told_with_the_keyboard_alone(
    place: Premises, visit: Visit, look: Look
) -> None:
    shifts = {"F": {"start": "06:00", "end": "14:00"}}
    cycle = {"kind": "cycle", "anchor": "2026-01-05", "days": ["F", "-"], "shifts": shifts}
    anna = place.officer({"windows": [cycle]})
    window, session = open_page(visit, look, anna, "/swap")
    tab_to(window, window.page.locator("#f-day"))
    press(window, "ArrowDown", 2)
    day = window.page.locator("#f-day").input_value()
    tab_to(window, window.page.locator("[name=shift]:checked"))
    before = window.page.locator("[name=shift]:checked").get_attribute("value")
    press(window, "ArrowRight")  # of two shifts the other one
    tab_to(window, window.button("Save", exact=True))
    press(window, "Enter")
    window.reads("Saved, in effect now.")
    (swap,) = anna.document(session)["windows"][0]["swaps"]
    assert swap == {"date": day, "shift": "F" if before == "-" else "-"}
    window.go("/devices")
    tab_to(window, window.button("Always rings"))
    press(window, "Space")
    expect(window.button("Always rings")).to_have_attribute("aria-pressed", "true")
    assert anna.document(session)["devices"] == {"phone": {"wake": "always"}}
