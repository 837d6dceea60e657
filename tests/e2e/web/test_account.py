"""Around the person, with a browser: sessions, support, what is kept, and the end of it."""

from __future__ import annotations

import json

import pytest
from playwright.sync_api import expect

from tests.e2e.web.conftest import Visit, open_page
from tests.e2e.web.premises import NIGHTS, Premises
from tests.e2e.web.visitor import Look

pytestmark = [pytest.mark.processes, pytest.mark.needs("chromium")]


def test_other_sessions_are_seen_and_ended(place: Premises, visit: Visit, look: Look) -> None:
    anna = place.officer(NIGHTS)
    other = anna.session()
    window, session = open_page(visit, look, anna)
    window.follow("Sign-ins and help desk")
    expect(window.page.get_by_text(window.say("Browser"), exact=True)).to_have_count(2)
    window.press("End all others")
    expect(window.page.get_by_text(window.say("Browser"), exact=True)).to_have_count(1)
    anna.ask(other, "GET", "/v1/me/state", status=401)
    anna.ask(session, "GET", "/v1/me/state")


def test_a_support_code_is_read_out_and_each_look_is_told(place: Premises, visit: Visit, look: Look) -> None:
    anna = place.officer(NIGHTS)
    window, _ = open_page(visit, look, anna, "/account")
    window.press("New code")
    code = window.page.locator(".code").inner_text()
    place.as_support("GET", f"/v1/users/{anna.user}/rest", code, status=200)
    window.go("/account")
    expect(window.page.locator(".code")).to_have_count(0)
    window.reads("your rest times")
    window.press("End the code")
    place.as_support("GET", f"/v1/users/{anna.user}/rest", code, status=403)


def test_what_is_kept_is_taken_along(place: Premises, visit: Visit, look: Look) -> None:
    anna = place.officer(NIGHTS)
    window, session = open_page(visit, look, anna)
    with window.page.expect_download() as data:
        window.follow("My data (file)")
    kept = json.loads(data.value.path().read_text())
    assert anna.document(session)["windows"] == kept["rest"]["document"]["windows"]
    assert anna.tokens["phone"] not in json.dumps(kept)
    with window.page.expect_download() as calendar:
        window.follow("Calendar (file)")
    assert calendar.value.path().read_text().startswith("BEGIN:VCALENDAR")


def test_deleting_everything_ends_rules_and_sessions(place: Premises, visit: Visit, look: Look) -> None:
    anna = place.officer(NIGHTS)
    other = anna.session()
    window, session = open_page(visit, look, anna)
    window.follow("Delete everything")
    window.reads(
        "All rest times, sign-ins, codes for the help desk and the record of who has looked are deleted. "
        "You are always reachable then. This cannot be undone."
    )
    window.press("Delete everything")
    expect(window.page).to_have_url(f"{place.url}/{look.language}/deleted")
    assert window.context.cookies(place.url) == []
    for secret in (session, other):
        anna.ask(secret, "GET", "/v1/me/state", status=401)
    anna.ask(anna.session(), "GET", "/v1/me/rest", status=404)
    anna.post()
    anna.rang()
