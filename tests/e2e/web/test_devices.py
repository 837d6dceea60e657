"""Devices with a browser: follow, never, always, and the wakeup to try them with, as Apple and Google see it."""

from __future__ import annotations

import pytest
from playwright.sync_api import Locator, expect

from tests.e2e.web.conftest import Visit, open_page
from tests.e2e.web.premises import Premises, resting
from tests.e2e.web.visitor import Look, Visitor

pytestmark = [pytest.mark.processes, pytest.mark.needs("chromium")]


def of(window: Visitor, device: str) -> Locator:
    return window.page.get_by_role("form", name=device, exact=True)


def test_each_device_does_in_rest_what_it_is_told(place: Premises, visit: Visit, look: Look) -> None:
    anna = place.officer(resting(), phones=3)
    window, session = open_page(visit, look, anna)
    window.follow("Devices and test wakeup")
    for device, words in (("phone 1", "Always rings"), ("phone 2", "Rings for alarms only")):
        button = of(window, device).get_by_role("button", name=window.say(words))
        button.click()
        expect(button).to_have_attribute("aria-pressed", "true")
        window.reads("Saved, in effect now.")
    wakes = anna.document(session)["devices"]
    assert wakes == {"phone 1": {"wake": "always"}, "phone 2": {"wake": "never"}}
    anna.post()
    anna.rang("phone 1")
    assert (anna.times("phone"), anna.times("phone 2")) == (0, 0)
    button = of(window, "phone 1").get_by_role("button", name=window.say("Follows my rest"))
    button.click()
    expect(button).to_have_attribute("aria-pressed", "true")


def test_a_wakeup_to_try_reaches_apple_and_google_in_rest_too_and_three_are_enough(
    place: Premises, visit: Visit, look: Look
) -> None:
    anna = place.officer(resting(), android=True)
    window, _ = open_page(visit, look, anna, "/devices")
    window.press("Wake my devices now")
    expect(window.page.locator(".tag.handed_over")).to_have_count(2)
    anna.rang("phone")
    anna.rang("pixel")
    for number in (2, 3):
        window.press("Wake my devices now")
        anna.rang("phone", number)
    window.press("Wake my devices now")
    told = window.count(
        "Three tests in ten minutes are possible. Please try again in a minute.",
        "Three tests in ten minutes are possible. Please try again in %(num)s minutes.", 10,
    )  # fmt: skip
    expect(window.page.get_by_role("alert")).to_have_text(told)
    assert anna.times("phone") == 3
