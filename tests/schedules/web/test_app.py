"""The frame: who is let in, which forms are taken, what every answer says, and what is shown when something fails."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from schedules.web import app, sessions
from schedules.web.app import PAGES, application
from schedules.web.memory import KEPT, Memory
from schedules.web.port import Away, RelayFault
from tests.schedules.web.browser import BASE, OURS, SETTINGS, browser
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
        page = await made.send("/en/rules/new", [("csrf", "old"), ("label", "Dienst & <Sport>")])
        assert page.status == 409
        assert ("label", "Dienst & <Sport>") in page.form("Send again").fields
        assert relay.asked == []
        page = await made.press("Send again")
        assert "Dienst &amp; &lt;Sport&gt;" in page.html


def acts() -> list[str]:
    """Paths of the acts without a draft."""
    return [
        page.path.replace("{where}", "windows").replace("{index}", "0")
        for page in PAGES if page.button
    ]  # fmt: skip


@pytest.mark.parametrize("path", acts())
async def test_an_act_of_another_session_is_not_offered_again(path: str) -> None:
    """On a computer that many use it may be another officer's. The page leads to where the button is."""
    relay = PaperRelay(NOON, {"windows": [{"kind": "weekly", "start": "22:00", "end": "06:00"}]}, version=1)
    async with browser(relay, relay) as made:
        made.show_session(relay.begin().session)
        page = await made.send(f"/en{path}", [("csrf", "old"), ("version", "1"), ("marks", "x")])
        assert (page.status, page.forms) == (409, [])
        assert relay.asked == []
        assert (await made.click("Open the page anew")).status == 200
        relay.good.clear()
        page = await made.send(f"/en{path}", [("csrf", sessions.csrf(relay.begin().session)), ("version", "1")])
        assert (page.status, page.forms) == (409, [])


async def test_an_act_after_the_end_of_the_session_leads_back_to_its_button() -> None:
    relay = PaperRelay(NOON)
    async with browser(relay, relay) as made:
        secret = relay.begin().session
        made.show_session(secret)
        relay.good.clear()
        page = await made.send("/en/delete", [("csrf", sessions.csrf(secret)), ("version", "")])
        assert (page.status, page.forms) == (401, [])
        assert ("Sign in", "/en/login?next=%2Fdelete") in page.links


def test_whatever_is_done_without_a_draft_has_a_page_for_its_button() -> None:
    shown = {page.path for page in PAGES if page.show is not None}
    drafts = {page.path for page in PAGES if page.act is not None and not page.button}
    assert {page.button for page in PAGES if page.button} <= shown
    assert drafts == {
        "/link/{secret}", "/rules/new", "/rules/{where}/{index}", "/rhythm", "/presets/{name}", "/roster", "/swap",
    }  # fmt: skip


async def test_who_hangs_up_in_the_middle_of_a_form_is_no_fault_of_ours() -> None:
    told: list[Mapping[str, object]] = []
    relay = PaperRelay(NOON)
    door = application(relay, SETTINGS, lambda: NOON, told.append)
    parts: list[dict[str, object]] = [
        {"type": "http.request", "body": b"label=", "more_body": True}, {"type": "http.disconnect"},
    ]  # fmt: skip
    headers = {"host": SETTINGS.host, "content-type": "application/x-www-form-urlencoded", **OURS}
    scope = {
        "type": "http", "method": "POST", "path": "/de/rules/new", "raw_path": b"/de/rules/new", "query_string": b"",
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()], "http_version": "1.1",
        "scheme": "http", "server": None, "client": None, "root_path": "",
    }  # fmt: skip

    async def receive() -> dict[str, object]:
        return parts.pop(0)

    async def send(_: object) -> None:
        pass

    await door(scope, receive, send)
    assert (parts, told) == ([], [])


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
        page = await made.send("/en/rules/new", [("csrf", sessions.csrf(secret)), ("label", "sport")])
        assert page.status == 401
        assert ("label", "sport") in page.form("Send again").fields
        assert made.cookies == {}


async def test_what_can_be_undone_is_forgotten_after_ten_minutes_whoever_comes_by(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kept = Memory()
    monkeypatch.setattr(app, "Memory", lambda: kept)
    relay = PaperRelay(NOON)
    async with browser(relay, relay) as made:
        made.show_session(relay.begin().session)
        await made.go("/de/")
        await made.press("11 Stunden")
        relay.now += KEPT - 1
        await made.ask("GET", "/de/deleted")
        assert len(kept) == 1
        relay.now += 1
        await made.ask("GET", "/de/deleted")
        assert len(kept) == 0


async def test_what_can_be_undone_is_forgotten_with_its_session(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything is deleted in one session; the other one's ends where it shows itself."""
    kept = Memory()
    monkeypatch.setattr(app, "Memory", lambda: kept)
    relay = PaperRelay(NOON)
    async with browser(relay, relay) as made:
        first, second = relay.begin().session, relay.begin().session
        for session, button in ((first, "11 Stunden"), (second, "Alles ausschalten")):
            made.show_session(session)
            await made.go("/de/")
            await made.press(button)
        assert len(kept) == 2
        await made.go("/de/delete")
        await made.press("Alles löschen")
        assert len(kept) == 1
        made.show_session(first)
        assert (await made.go("/de/")).url.endswith("/login")
        assert len(kept) == 0


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
