"""Two ways in, with a browser: the link that only its button redeems, and the account of the organisation."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import expect

from tests.e2e.web.conftest import Visit
from tests.e2e.web.premises import Premises
from tests.e2e.web.visitor import Look
from tests.needs import MODULES, ROOT

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
    assert window.context.cookies(place.url) == []
    window.press("Sign in now")
    expect(window.page).to_have_url(f"{place.url}/{look.language}/")
    window.reads("My rest times")
    (cookie,) = window.context.cookies()
    assert (cookie["name"], cookie["httpOnly"], cookie["sameSite"]) == ("feierabend", True, "Lax")
    other = visit(look)
    other.page.goto(link)
    other.press("Sign in now")
    other.reads("This link is not valid")
    assert other.context.cookies(place.url) == []


def test_who_signs_out_is_out(place: Premises, visit: Visit, look: Look) -> None:
    window = visit(look)
    window.sign_in(place.officer().session())
    window.go()
    window.press("Sign out")
    expect(window.page).to_have_url(f"{place.url}/{look.language}/login")
    assert window.context.cookies(place.url) == []
    window.go()
    expect(window.page).to_have_url(f"{place.url}/{look.language}/login")


# --- by the account of the organisation


@pytest.fixture(scope="module")
def provider(place: Premises) -> Iterator[str]:
    """npm's oidc-provider as a process; its address."""
    client = {
        "client_id": "door",
        "redirect_uris": [f"{place.url}/login/callback"],
        "post_logout_redirect_uris": [f"{place.url}/"],
        "response_types": ["code"],
        "grant_types": ["authorization_code"],
        "token_endpoint_auth_method": "none",
    }
    script = ROOT / MODULES["oidc-provider"] / "provider.mjs"
    command = ["node", str(script), str(place.provider_port), json.dumps({"clients": [client]})]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        try:
            assert any("listening" in line for line in process.stdout)
            yield place.issuer
        finally:
            process.kill()


@pytest.mark.needs("node", "oidc-provider")
def test_with_the_account_in_and_out_again(place: Premises, visit: Visit, look: Look, provider: str) -> None:
    anna = place.officer()
    window = visit(look)
    window.elsewhere = provider
    window.go("/account")  # what was asked for is shown after the login
    window.follow("Sign in with %(name)s", name="Dienstkonto")
    window.page.get_by_label("Name").fill(anna.user)
    window.page.get_by_role("button", name="Sign in").click()
    expect(window.page).to_have_url(f"{place.url}/{look.language}/account")
    window.reads("Where you are signed in")
    window.press("Sign out")
    window.page.get_by_role("button", name="Sign out").click()  # the provider asks whether that is meant there too
    expect(window.page).to_have_url(f"{place.url}/{look.language}/login")
    assert window.context.cookies(place.url) == []


@pytest.mark.needs("node", "oidc-provider")
def test_without_the_second_factor_nobody_is_let_in(place: Premises, visit: Visit, look: Look, provider: str) -> None:
    anna = place.officer()
    window = visit(look)
    window.elsewhere = provider
    window.go("/login")
    window.follow("Sign in with %(name)s", name="Dienstkonto")
    window.page.get_by_label("Name").fill(anna.user)
    window.page.get_by_label("with the second factor").uncheck()
    window.page.get_by_role("button", name="Sign in").click()
    window.reads("You are not signed in")
    window.reads("Please sign in again and take that step. If you cannot, the help desk for your account can help.")
    assert all(not cookie["value"].startswith("me.") for cookie in window.context.cookies(place.url))
