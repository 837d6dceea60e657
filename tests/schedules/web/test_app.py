"""The frame: who is let in, which forms are taken, what every answer says, and what is shown when something fails."""

from __future__ import annotations

import pytest

from schedules.web import sessions
from schedules.web.port import Away, RelayFault
from tests.schedules.web.browser import BASE, OURS, browser
from tests.schedules.web.paper_relay import PaperRelay

NOON = 1_795_000_000.0


async def test_the_first_address_leads_to_the_language_of_the_browser() -> None:
    async with browser(PaperRelay(NOON), PaperRelay(NOON)) as made:
        for accept, path in [("de-DE,de;q=0.9,en;q=0.8", "/de/"), ("en-US,en", "/en/"), ("fr", "/de/"), ("", "/de/")]:
            answer = await made.ask("GET", "/", headers={"accept-language": accept})
            assert (answer.status_code, answer.headers["location"]) == (302, path)


async def test_who_is_not_signed_in_is_led_to_the_way_in() -> None:
    relay = PaperRelay(NOON)
    async with browser(relay, relay) as made:
        answer = await made.ask("GET", "/de/")
        assert (answer.status_code, answer.headers["location"]) == (303, "/de/login")
        made.show_session(relay.begin().session)
        assert (await made.ask("GET", "/de/")).status_code == 200


async def test_every_answer_says_what_a_browser_may_do_with_it() -> None:
    relay = PaperRelay(NOON)
    async with browser(relay, relay) as made:
        made.show_session(relay.begin().session)
        for path in ("/de/", "/", "/nowhere", "/static/x/style.css"):
            answer = await made.ask("GET", path)
            assert answer.headers["content-security-policy"].startswith("default-src 'self'; frame-ancestors 'none'")
            assert answer.headers["referrer-policy"] == "no-referrer"
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["cache-control"] == "no-store"


async def test_another_host_is_not_ours() -> None:
    relay = PaperRelay(NOON)
    async with browser(relay, relay) as made:
        answer = await made.ask("GET", "/de/", headers={"host": "evil.example"})
        assert answer.status_code == 421


@pytest.mark.parametrize("language", ["de", "en"])
async def test_there_is_a_page_for_what_is_not_there(language: str) -> None:
    relay = PaperRelay(NOON)
    async with browser(relay, relay) as made:
        page = await made.go(f"/{language}/no/such/page")
        assert page.status == 404
        assert f'<html lang="{language}' in page.html


async def test_a_form_without_its_token_is_asked_for_once_more_and_keeps_its_fields() -> None:
    """Somebody signed in again while a form was open."""
    relay = PaperRelay(NOON)
    async with browser(relay, relay) as made:
        made.show_session(relay.begin().session)
        page = await made.send("/en/sign-out", [("csrf", "old"), ("label", "Dienst & <Sport>")])
        assert page.status == 409
        assert ("label", "Dienst & <Sport>") in page.form("Send again").fields
        assert relay.asked == []
        await made.press("Send again")
        assert relay.good == set()


async def test_a_form_from_elsewhere_is_refused() -> None:
    relay = PaperRelay(NOON)
    async with browser(relay, relay) as made:
        secret = relay.begin().session
        made.show_session(secret)
        good = [("csrf", sessions.csrf(secret))]
        for headers in ({"sec-fetch-site": "cross-site"}, {"sec-fetch-site": "same-site"}, {"origin": "https://evil"}):
            page = await made.send("/de/sign-out", good, headers)
            assert page.status == 403
        assert relay.asked == []
        for headers in ({"origin": "null"}, {"origin": BASE}, {}):
            relay.good.add(secret.value)
            made.show_session(secret)
            await made.send("/de/sign-out", good, headers)
            assert relay.good == set()


async def test_without_a_token_only_our_own_pages_are_asked_once_more() -> None:
    """An old browser does not say where a form comes from; then nothing of it is repeated."""
    relay = PaperRelay(NOON)
    async with browser(relay, relay) as made:
        made.show_session(relay.begin().session)
        page = await made.send("/de/sign-out", [("label", "x")], {})
        assert page.status == 403
        assert "x" not in [value for form in page.forms for _, value in form.fields]


async def test_who_was_signed_out_meanwhile_loses_nothing_typed() -> None:
    relay = PaperRelay(NOON)
    async with browser(relay, relay) as made:
        secret = relay.begin().session
        made.show_session(secret)
        relay.good.clear()
        page = await made.send("/en/sign-out", [("csrf", sessions.csrf(secret)), ("label", "sport")])
        assert page.status == 401
        assert ("label", "sport") in page.form("Send again").fields
        assert made.cookies == {}


@pytest.mark.parametrize(("fault", "status"), [(Away(), 503), (RelayFault("secret"), 500)])
async def test_a_fault_is_a_page_without_insides(fault: RelayFault, status: int) -> None:
    relay = PaperRelay(NOON)
    async with browser(relay, relay) as made:
        made.show_session(relay.begin().session)
        relay.fault = fault
        page = await made.go("/en/")
        assert page.status == status
        for inside in ("Traceback", "schedules", "secret", "RelayFault"):
            assert inside not in page.html
        assert [event["event"] for event in made.told] == (["page_failed"] if status == 500 else [])
        assert "secret" not in str(made.told)


async def test_a_body_is_bounded_and_of_one_kind() -> None:
    relay = PaperRelay(NOON)
    async with browser(relay, relay) as made:
        secret = relay.begin().session
        made.show_session(secret)
        page = await made.send("/de/sign-out", [("label", "x" * 70_000)])
        assert page.status == 413
        answer = await made.ask("POST", "/de/sign-out", content=b"{}", headers={"content-type": "application/json"})
        assert answer.status_code == 400
        form = {"content-type": "application/x-www-form-urlencoded", **OURS}
        for body in (b"\xff=1", b"a=%FF", b"&".join(b"a=1" for _ in range(1001))):
            answer = await made.ask("POST", "/de/sign-out", content=body, headers=form)
            assert answer.status_code == 400, body[:10]
