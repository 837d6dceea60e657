"""What everybody may read, with a browser that is not signed in: from the footer, the operator's words and ours."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.e2e.web.conftest import Visit
from tests.e2e.web.premises import Premises
from tests.e2e.web.visitor import Look

pytestmark = [pytest.mark.processes, pytest.mark.needs("chromium")]


def test_the_footer_of_the_sign_in_leads_to_what_the_operator_says(place: Premises, visit: Visit, look: Look) -> None:
    window = visit(look)
    window.go("/login")
    window.follow("Rest and recovery")
    expect(window.page).to_have_url(f"{place.url}/{look.language}/rest")
    expect(window.page.get_by_role("heading", level=1)).to_have_text("Unsere Ruhe")
    expect(window.page.get_by_role("heading", level=2)).to_have_text("Vereinbart")
    expect(window.page.locator(".prose b")).to_have_count(0)
    link = window.page.get_by_role("link", name="rat@example.org")
    expect(link).to_have_attribute("href", "mailto:rat@example.org")
    expect(link).to_have_attribute("rel", "noreferrer")
    expect(window.page.locator(".prose[lang=de]")).to_have_count(0 if look.language == "de" else 1)
    window.follow("Imprint")
    expect(window.page).to_have_url(f"{place.url}/{look.language}/imprint")
    expect(window.page.get_by_role("heading", level=1)).to_have_text(window.say("Imprint"))
