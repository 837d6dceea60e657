"""Two ways in, with a browser: the link that only its button redeems, and the account of the organisation."""

from __future__ import annotations

import httpx
import pytest
from playwright.sync_api import expect

from tests.e2e.web.conftest import Visit
from tests.e2e.web.premises import Premises
from tests.e2e.web.visitor import Look

pytestmark = [pytest.mark.processes, pytest.mark.needs("chromium")]


def test_a_link_survives_its_preview_and_is_good_for_one_press_of_its_button(
    place: Premises, visit: Visit, look: Look
) -> None:
    link = place.officer().link()
    for _ in range(2):  # as messengers and mail scanners do, to show what is behind an address
        preview = httpx.get(link)
        assert (preview.status_code, preview.headers["referrer-policy"]) == (200, "no-referrer")
        assert "set-cookie" not in preview.headers
    window = visit(look)
    window.page.goto(link)
    assert window.context.cookies() == []
    window.press("Sign in now")
    expect(window.page).to_have_url(f"{place.url}/{look.language}/")
    window.reads("My rest times")
    (cookie,) = window.context.cookies()
    assert (cookie["name"], cookie["httpOnly"], cookie["sameSite"]) == ("feierabend", True, "Lax")
    other = visit(look)
    other.page.goto(link)
    other.press("Sign in now")
    other.reads("This link is not good")
    assert other.context.cookies() == []


def test_who_signs_out_is_out(place: Premises, visit: Visit, look: Look) -> None:
    window = visit(look)
    window.sign_in(place.officer().session())
    window.go()
    window.press("Sign out")
    expect(window.page).to_have_url(f"{place.url}/{look.language}/login")
    assert window.context.cookies() == []
    window.go()
    expect(window.page).to_have_url(f"{place.url}/{look.language}/login")
