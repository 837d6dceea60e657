"""What woke the own devices, with a browser: switched on, read in words while Apple and Google are asked, and off."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.e2e.web.conftest import Visit, open_page
from tests.e2e.web.premises import Premises, resting
from tests.e2e.web.visitor import Look

pytestmark = [pytest.mark.processes, pytest.mark.needs("chromium")]


def test_what_wakes_the_devices_is_shown_from_one_tap_to_another(place: Premises, visit: Visit, look: Look) -> None:
    anna = place.officer({**resting(), "devices": {"pixel": {"wake": "never"}}}, android=True)
    window, session = open_page(visit, look, anna)
    window.follow("Who may wake you, and for what")
    window.press("Show what woke my devices")
    window.reads("Nothing has happened since.")
    anna.post()
    anna.post("alarm")
    anna.rang("phone")
    anna.rang("pixel")
    noted = window.page.locator("#trace .lines li")
    for _ in range(100):
        window.page.reload()
        if noted.count() == 3:
            break
    expect(noted).to_have_count(3)
    german = look.language == "de"
    for device, provider in (("phone", "Apple"), ("pixel", "Google")):
        one = noted.filter(has_text=device)
        expect(one).to_contain_text(window.say("Alarm"))
        expect(one).to_contain_text(
            f"Trotz Ihrer Ruhe an {provider} übergeben: dispatch, Grund: incident." if german
            else f"Handed over to {provider} in spite of your rest: dispatch, reason: incident."
        )  # fmt: skip
    expect(noted.last).to_contain_text(window.say("Messages"))
    expect(noted.last).to_contain_text("Wartet wegen Ihrer Ruhe bis" if german else "Waits until")
    kept = anna.ask(session, "GET", "/v1/me/trace")
    assert kept["until"] - kept["since"] == 86_400
    assert {entry["device"] for entry in kept["entries"]} == {"phone", "pixel", None}

    window.press("Switch off and forget it")
    expect(noted).to_have_count(0)
    expect(window.button("Show what woke my devices")).to_be_visible()
    assert anna.ask(session, "GET", "/v1/me/trace")["since"] is None
