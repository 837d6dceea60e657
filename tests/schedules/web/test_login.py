"""The ways in and out, as a browser sees them: before a relay and a provider on paper."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from http.cookies import SimpleCookie
from secrets import token_urlsafe
from typing import Any
from urllib.parse import quote, urlencode

import httpx
import pytest

from schedules.web.app import application
from schedules.web.port import Away, Busy, Opened, Refused, RelayFault, Secret
from schedules.web.settings import Settings
from schedules.web.under_way import LIFE, PRE_LOGIN
from tests.schedules.web.browser import BASE, OURS, SETTINGS, Browser, read
from tests.schedules.web.issuer import ISSUER, NOW, signing_key
from tests.schedules.web.paper_provider import SETTINGS as ACCOUNT
from tests.schedules.web.paper_provider import PaperProvider, error
from tests.schedules.web.paper_relay import LIFE as LIFE_OF_SESSION
from tests.schedules.web.paper_relay import LINK, PaperRelay

NAME = "__Host-feierabend"
FORM = {"content-type": "application/x-www-form-urlencoded", **OURS}
CANARY = "canary-9f3b7c1d5e"


@dataclass(slots=True)
class WatchedRelay(PaperRelay):
    """Says which links and users it was asked about; a link is good once."""

    links: list[str] = field(default_factory=list)
    users: list[tuple[str, str]] = field(default_factory=list)

    def begin(self) -> Opened:
        """With a secret as long as real ones."""
        secret = Secret("me." + token_urlsafe(32))
        self.good.add(secret.value)
        return Opened(secret, LIFE_OF_SESSION)

    async def redeem(self, link: Secret) -> Opened:
        if self.fault is not None:
            raise self.fault
        if link != LINK or LINK.value in self.links:
            self.links.append(link.value)
            raise Refused
        self.links.append(link.value)
        return self.begin()

    async def open(self, tenant: str, user: str) -> Opened:
        self.users.append((tenant, user))
        if self.fault is not None:
            raise self.fault
        if (tenant, user) != ("example", "anna"):
            raise Refused
        return self.begin()


@dataclass(slots=True)
class Scene:
    """A door with one provider, and browsers in front of it."""

    relay: WatchedRelay
    paper: PaperProvider
    door: Any
    told: list[Any]

    def browser(self) -> Browser:
        return Browser(self.door)

    async def leave(self, browser: Browser, path: str = "", **headers: str) -> httpx.Response:
        return await browser.ask("GET", path or f"/de/login/{self.id}", headers=headers)

    async def enter(self, browser: Browser, path: str = "") -> httpx.Response:
        """By an account, all the way."""
        leaving = await self.leave(browser, path)
        assert leaving.status_code == 303
        return await self.come_back(browser, self.paper.sign_in(leaving.headers["location"]))

    async def come_back(self, browser: Browser, query: dict[str, str], **headers: str) -> httpx.Response:
        sent = {"sec-fetch-site": "cross-site", "accept-language": "en", **headers}
        return await browser.ask("GET", "/login/callback?" + urlencode(query), headers=sent)

    @property
    def id(self) -> str:
        return self.paper.provider(ACCOUNT).id


@asynccontextmanager
async def scene(settings: Settings = SETTINGS, **changed: Any) -> AsyncIterator[Scene]:  # noqa: ANN401
    """`changed`: of the provider's settings."""
    relay, paper, told = WatchedRelay(NOW), PaperProvider(NOW), list[Any]()
    known = [paper.provider(replace(ACCOUNT, **changed))]
    yield Scene(relay, paper, application(relay, settings, lambda: relay.now, told.append, known), told)


def cookie(answer: httpx.Response) -> SimpleCookie:
    made = SimpleCookie()
    for value in answer.headers.get_list("set-cookie"):
        made.load(value)
    return made


# --- a link


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_opening_a_link_does_nothing(method: str) -> None:
    """Messengers and mail scanners do so before the officer does."""
    async with scene() as s, s.browser() as browser:
        for _ in range(3):
            answer = await browser.ask(method, f"/link/{LINK.value}")
            assert answer.status_code == 200
            assert "set-cookie" not in answer.headers
            assert answer.headers["referrer-policy"] == "no-referrer"
            assert answer.headers["cache-control"] == "no-store"
        assert s.relay.links == []
        page = await browser.go(f"/link/{LINK.value}")
        assert '<meta name="robots" content="noindex">' in page.html
        assert [(form.method, form.fields) for form in page.forms] == [("post", [])]


@pytest.mark.parametrize(("language", "button"), [("de", "Jetzt anmelden"), ("en", "Sign in now")])
async def test_its_button_signs_in(language: str, button: str) -> None:
    async with scene() as s, s.browser() as browser:
        await browser.go(f"/link/{LINK.value}", language)
        answer = await browser.ask("POST", f"/link/{LINK.value}", headers={**FORM, "accept-language": language})
        assert (answer.status_code, answer.headers["location"]) == (303, f"/{language}/")
        made = cookie(answer)[NAME]
        assert s.relay.good == {made.value}
        attributes = {name: made[name] for name in ("path", "secure", "httponly", "samesite", "domain", "max-age")}
        assert attributes == {
            "path": "/", "secure": True, "httponly": True, "samesite": "lax", "domain": "", "max-age": "43200"
        }  # fmt: skip
        assert (await browser.go(f"/{language}/")).status == 200


async def test_a_browser_that_speaks_another_language_can_be_told() -> None:
    async with scene() as s, s.browser() as browser:
        await browser.go(f"/link/{LINK.value}", "de")
        page = await browser.click("English")
        assert '<html lang="en' in page.html
        answer = await browser.ask("POST", page.url, headers={**FORM, "accept-language": "de"})
        assert answer.headers["location"] == "/en/"


async def test_whatever_is_wrong_with_a_link_the_page_is_the_same() -> None:
    async with scene() as s, s.browser() as browser:
        await browser.ask("POST", f"/link/{LINK.value}", headers=FORM)
        pages = set()
        for wrong in (LINK.value, "unknown", "x" * 2000, "%00", "%ff", "me.token", "ä"):
            answer = await browser.ask("POST", f"/link/{wrong}", headers=FORM)
            assert answer.status_code == 403
            assert "set-cookie" not in answer.headers
            pages.add(answer.content)
        assert len(pages) == 1


@pytest.mark.parametrize(
    "sent",
    [
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {},
    ],
)
async def test_nobody_is_signed_in_by_another_page(sent: dict[str, str]) -> None:
    """Login CSRF: a hidden form elsewhere, with a link of the attacker."""
    async with scene() as s, s.browser() as browser:
        answer = await browser.ask(
            "POST", f"/link/{LINK.value}", headers={"content-type": FORM["content-type"], **sent}
        )
        assert answer.status_code == 403
        assert "set-cookie" not in answer.headers
        assert s.relay.links == []


async def test_a_new_session_takes_the_place_of_the_old_one() -> None:
    async with scene() as s, s.browser() as browser:
        old = s.relay.begin().session
        browser.show_session(old)
        answer = await browser.ask("POST", f"/link/{LINK.value}", headers=FORM)
        assert s.relay.good == {cookie(answer)[NAME].value}
        assert old.value not in s.relay.good


@pytest.mark.parametrize(
    ("fault", "status"), [(Away(), 503), (Busy(7.0), 429), (Refused(), 403), (RelayFault("x"), 500)], ids=str
)
async def test_a_link_stands_in_no_log_and_no_page(
    fault: RelayFault, status: int, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    async with scene() as s, s.browser() as browser:
        s.relay.fault = fault
        answer = await browser.ask("POST", f"/link/{CANARY}", headers=FORM)
        assert answer.status_code == status
        assert CANARY not in answer.text + str(answer.headers)
        foreign = await browser.ask("POST", f"/link/{CANARY}", headers={"content-type": FORM["content-type"]})
        assert CANARY not in foreign.text
        assert (await browser.ask("PUT", f"/link/{CANARY}")).status_code == 405
        assert CANARY not in (await browser.ask("GET", f"/link/{CANARY}/{CANARY}")).text
        told = str(s.told)
    # httpx of the test itself logs what it asks.
    logged = "".join(record.getMessage() for record in caplog.records if record.name != "httpx")
    assert CANARY not in logged + told + "".join(capfd.readouterr())


# --- an account


async def test_the_ways_in_are_shown_by_name() -> None:
    async with scene() as s, s.browser() as browser:
        page = await browser.go("/de/login")
        assert ("Mit Dienstkonto anmelden", f"/de/login/{s.id}") in page.links
        assert "Messenger" in page.text
        page = await browser.go("/en/login?next=%2Frules%3Fa%3Db")
        assert ("Sign in with Dienstkonto", f"/en/login/{s.id}?next=%2Frules%3Fa%3Db") in page.links


async def test_without_a_provider_there_is_the_link() -> None:
    relay = WatchedRelay(NOW)
    async with Browser(application(relay, SETTINGS, lambda: NOW, list[Any]().append)) as browser:
        page = await browser.go("/de/login")
        assert "Messenger" in page.text
        assert "anmelden" not in [text for text, _ in page.links]


async def test_an_account_leads_in() -> None:
    async with scene() as s, s.browser() as browser:
        answer = await s.enter(browser)
        assert (answer.status_code, answer.headers["location"]) == (303, "/de/")
        assert s.relay.users == [("example", "anna")]
        value = cookie(answer)[NAME].value
        assert value == f"{next(iter(s.relay.good))}~{s.id}"
        assert cookie(answer)[NAME]["httponly"]
        assert (await browser.go("/de/")).status == 200
        assert s.told == []


async def test_the_cookie_is_no_session_until_then() -> None:
    async with scene() as s, s.browser() as browser:
        leaving = await s.leave(browser)
        made = cookie(leaving)[NAME]
        assert made.value.startswith(PRE_LOGIN)
        assert (made["max-age"], made["secure"], made["httponly"], made["samesite"]) == (
            str(int(LIFE)),
            True,
            True,
            "lax",
        )
        await browser.go("/de/")
        assert s.relay.asked == []  # the relay is not asked about it
        assert browser.cookies == {NAME: made.value}  # and it is not taken away by another tab


@pytest.mark.parametrize(
    ("wished", "path"),
    [
        ("/rules/new?kind=weekly", "/de/rules/new?kind=weekly"),
        ("/preview?days=14&a=b%20c", "/de/preview?days=14&a=b%20c"),
        ("", "/de/"),
        ("https://evil.example/", "/de/"),
        ("//evil.example/", "/de//evil.example/"),
        ("/\\evil.example", "/de/"),
        ("/a\r\nset-cookie: a=b", "/de/"),
        ("rules", "/de/"),
        ("/" + "x" * 500, "/de/"),
    ],
)
async def test_one_returns_to_the_page_that_was_asked_for(wished: str, path: str) -> None:
    async with scene() as s, s.browser() as browser:
        answer = await s.enter(browser, f"/de/login/{s.id}?next={quote(wished, safe='')}")
        assert answer.headers["location"] == path


async def test_the_page_that_was_asked_for_is_kept_from_the_beginning() -> None:
    async with scene() as s, s.browser() as browser:
        answer = await browser.ask("GET", "/de/sign-out?days=3")
        assert answer.status_code in (404, 405)
        page = await browser.go("/de/?days=3")
        assert page.url == BASE + "/de/login?next=%2F%3Fdays%3D3"
        assert next(address for text, address in page.links if "Dienstkonto" in text).endswith("?next=%2F%3Fdays%3D3")


async def test_state_and_code_of_somebody_else_sign_nobody_in() -> None:
    """Login CSRF. The attacker begins, signs in, and slips the address to an officer: none, a login, or a session."""
    async with scene() as s, s.browser() as attacker, s.browser() as victim:
        for _ in range(3):
            leaving = await s.leave(attacker)
            query = s.paper.sign_in(leaving.headers["location"])
            before = victim.cookies
            answer = await s.come_back(victim, query)
            assert answer.status_code == 403
            assert victim.cookies == before
            assert s.relay.users == []
            if not before:
                await s.leave(victim)
            else:
                victim.show_session(s.relay.begin().session)


async def test_somebody_elses_code_does_not_fit_ones_own_login() -> None:
    async with scene() as s, s.browser() as attacker, s.browser() as victim:
        theirs = s.paper.sign_in((await s.leave(attacker)).headers["location"])
        own = s.paper.sign_in((await s.leave(victim)).headers["location"])
        answer = await s.come_back(victim, own | {"code": theirs["code"]})
        assert answer.status_code == 403
        assert s.relay.users == []


async def test_a_planted_cookie_is_worth_nothing() -> None:
    """Session fixation: what the browser had before is no session afterwards."""
    planted = Secret(PRE_LOGIN + "planted" * 8)
    async with scene() as s, s.browser() as browser:
        browser.show_session(planted)
        leaving = await s.leave(browser)
        answer = await s.come_back(browser, s.paper.sign_in(leaving.headers["location"]))
        assert answer.status_code == 303
        assert planted.value not in cookie(answer)[NAME].value
        assert planted.value not in s.relay.good


async def test_a_second_attempt_has_the_whole_time_and_a_second_tab_is_no_hindrance() -> None:
    """The cookie that the first has set would be over in the middle of the second."""
    async with scene() as s, s.browser() as browser:
        first = await s.leave(browser)
        s.relay.now = s.paper.now = NOW + LIFE - 1
        second = await s.leave(browser)
        assert cookie(second)[NAME].value == cookie(first)[NAME].value
        assert cookie(second)[NAME]["max-age"] == str(int(LIFE))
        answer = await s.come_back(browser, s.paper.sign_in(first.headers["location"]))
        assert answer.status_code == 303
        begun = browser.cookies
        assert "set-cookie" not in (await s.leave(browser)).headers  # a session is not given more life by this
        assert browser.cookies == begun


async def test_what_a_refused_login_was_bound_to_is_over() -> None:
    async with scene() as s, s.browser() as browser:
        leaving = await s.leave(browser)
        state = s.paper.sign_in(leaving.headers["location"])["state"]
        refusal = {"state": state, "error": "access_denied"}
        for _ in range(2):
            assert (await s.come_back(browser, refusal)).status_code == 403
            assert browser.cookies == {}
        again = await s.leave(browser)
        assert cookie(again)[NAME].value != cookie(leaving)[NAME].value
        assert (await s.come_back(browser, s.paper.sign_in(again.headers["location"]))).status_code == 303


async def test_a_refused_login_leaves_the_session_alone() -> None:
    async with scene() as s, s.browser() as browser:
        await s.enter(browser)
        held = browser.cookies
        state = s.paper.sign_in((await s.leave(browser)).headers["location"])["state"]
        assert (await s.come_back(browser, {"state": state, "error": "access_denied"})).status_code == 403
        assert browser.cookies == held


async def test_signing_in_again_ends_the_session_before() -> None:
    async with scene() as s, s.browser() as browser:
        await s.enter(browser)
        (first,) = s.relay.good
        await s.enter(browser)
        (second,) = s.relay.good
        assert first != second


async def test_an_address_that_was_used_does_nothing_more() -> None:
    async with scene() as s, s.browser() as browser:
        query = s.paper.sign_in((await s.leave(browser)).headers["location"])
        assert (await s.come_back(browser, query)).status_code == 303
        held = browser.cookies
        answer = await s.come_back(browser, query)
        assert answer.status_code == 403
        assert browser.cookies == held
        assert len(s.relay.users) == 1


async def test_a_login_that_takes_too_long_begins_again() -> None:
    async with scene() as s, s.browser() as browser:
        query = s.paper.sign_in((await s.leave(browser)).headers["location"])
        s.relay.now += LIFE
        answer = await s.come_back(browser, query)
        assert answer.status_code == 403
        assert ("Try again", "/en/login") in read(answer).links
        assert s.told == []  # everyday


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
async def test_another_page_can_show_the_button_and_not_press_it(site: str) -> None:
    async with scene() as s, s.browser() as browser:
        answer = await s.leave(browser, **{"sec-fetch-site": site})
        assert (answer.status_code, answer.headers["location"]) == (303, "/de/login")
        assert "set-cookie" not in answer.headers
        assert (await s.leave(browser, **{"sec-fetch-site": "same-origin"})).headers["location"].startswith(ISSUER)


async def test_a_provider_that_is_not_configured_is_not_there() -> None:
    async with scene() as s, s.browser() as browser:
        for path in ("/de/login/00000000", "/de/login/%2e%2e", "/de/login/" + "x" * 500):
            assert (await browser.ask("GET", path)).status_code == 404


async def refused(s: Scene, browser: Browser) -> bytes:
    answer = await s.enter(browser)
    assert answer.status_code == 403
    assert browser.cookies == {}  # no session, and what the login was bound to is over
    return answer.content


async def test_who_is_not_known_learns_no_more_than_who_is_refused() -> None:
    async with scene() as s, s.browser() as browser:
        s.paper.user = "stranger"
        pages = {await refused(s, browser)}
        assert s.relay.users == [("example", "stranger")]
        s.paper.user = "anna"
        for changed in ({"sub": ""}, {"sub": 7}, {"aud": "other"}, {"exp": 1}, {"iss": "https://b"}, {"nonce": "b"}):
            s.paper.claims = changed
            pages.add(await refused(s, browser))
        s.paper.claims, s.paper.key = {}, signing_key("EdDSA")
        s.paper.answers["/keys"] = lambda: httpx.Response(200, json={"keys": [signing_key("ES256").public_jwk()]})
        pages.add(await refused(s, browser))
        assert len(pages) == 1
        assert [told["reason"] for told in s.told] == [
            "user", "user", "user", "audience", "expired", "issuer", "nonce", "key"
        ]  # fmt: skip
        assert "stranger" not in str(s.told) + str(pages)


@pytest.mark.parametrize(
    ("language", "words"), [("de", "auf einem zweiten Weg ausweisen"), ("en", "prove in a second way who you are")]
)
@pytest.mark.parametrize("claims", [{"acr": "loa1", "amr": ["pwd", "otp"]}, {"acr": "loa3", "amr": ["pwd"]}, {}])
async def test_a_missing_second_factor_is_said_in_plain_words(
    language: str, words: str, claims: dict[str, Any]
) -> None:
    async with scene(acr_values=("loa3",), amr=("otp",)) as s, s.browser() as browser:
        s.paper.claims = claims
        answer = await s.enter(browser, f"/{language}/login/{s.id}")
        assert answer.status_code == 403
        page = read(answer)
        assert words in page.text
        assert "Dienstkonto" in page.text
        again = next(address for text, address in page.links if text in ("Try again", "Noch einmal versuchen"))
        assert "prompt=login" in (await s.leave(browser, again)).headers["location"]
        assert "prompt" not in (await s.leave(browser)).headers["location"]
        assert s.relay.users == []
        assert [told["reason"] for told in s.told] in (["acr"], ["amr"])


async def test_the_second_factor_is_enough() -> None:
    async with scene(acr_values=("loa3",), amr=("otp",)) as s, s.browser() as browser:
        s.paper.claims = {"acr": "loa3", "amr": ["pwd", "otp"]}
        assert (await s.enter(browser)).status_code == 303


async def test_who_cancels_is_told_so() -> None:
    async with scene() as s, s.browser() as browser:
        query = s.paper.sign_in((await s.leave(browser)).headers["location"])
        del query["code"]
        answer = await s.come_back(browser, query | {"error": "access_denied", "error_description": "<b>evil</b>"})
        assert answer.status_code == 403
        assert "Die Anmeldung bei Dienstkonto wurde nicht" in read(answer).text
        assert "evil" not in answer.text
        assert s.told == []


async def test_a_provider_that_does_not_answer_is_told_once_to_operators() -> None:
    async with scene() as s, s.browser() as browser:
        s.paper.answers["/.well-known/openid-configuration"] = error(502)
        for _ in range(3):
            answer = await s.leave(browser)
            assert answer.status_code == 503
            assert "Dienstkonto antwortet" in read(answer).text
        assert [(told["event"], told["reason"]) for told in s.told] == [("login_refused", "unavailable")]
        assert "502" in s.told[0]["detail"]


@pytest.mark.parametrize(("fault", "status"), [(Away(), 503), (Busy(7.0), 429)])
async def test_a_relay_without_time_is_no_refusal(fault: RelayFault, status: int) -> None:
    async with scene() as s, s.browser() as browser:
        s.relay.fault = fault
        answer = await s.enter(browser)
        assert answer.status_code == status
        assert answer.headers["retry-after"] in ("5", "7")


async def test_garbage_at_the_callback_is_a_page() -> None:
    async with scene() as s, s.browser() as browser:
        await s.leave(browser)
        for query in ("", "state=x", "state=%00&code=%ff", "state=" + "A" * 5000, "state=a&state=b", "error=x"):
            answer = await browser.ask("GET", f"/login/callback?{query}")
            assert answer.status_code == 403
        assert s.paper.asked == ["/.well-known/openid-configuration"]


# --- how often


FEW = replace(SETTINGS, login_attempts=3, login_attempts_together=5)


async def test_too_many_wrong_links_are_too_many() -> None:
    async with scene(FEW) as s, s.browser() as browser:
        for _ in range(3):
            assert (await browser.ask("POST", "/link/wrong", headers=FORM)).status_code == 403
        answer = await browser.ask("POST", f"/link/{LINK.value}", headers={**FORM, "accept-language": "en"})
        assert (answer.status_code, answer.headers["retry-after"]) == (429, "200")
        assert "Please try again in 4 minutes." in read(answer).text
        assert LINK.value not in s.relay.links
        s.relay.now += 200
        assert (await browser.ask("POST", f"/link/{LINK.value}", headers=FORM)).status_code == 303


async def test_behind_a_proxy_each_client_counts_for_itself() -> None:
    async with scene(FEW) as s, s.browser() as browser:

        async def status(client: str) -> int:
            return (await browser.ask("POST", "/link/wrong", headers={**FORM, "x-forwarded-for": client})).status_code

        assert [await status("192.0.2.1") for _ in range(4)] == [403, 403, 403, 429]
        assert await status("1.2.3.4, 192.0.2.1") == 429
        assert [await status("2001:db8::1"), await status("2001:db8::2"), await status("2001:db8:1::")] == [
            403,
            403,
            429,
        ]
        # The last one was one too many for all together.


async def test_a_proxy_that_is_not_trusted_is_the_client() -> None:
    async with scene(replace(FEW, trusted_proxies=())) as s, s.browser() as browser:
        for number in range(4):
            headers = {**FORM, "x-forwarded-for": f"192.0.2.{number}"}
            answer = await browser.ask("POST", "/link/wrong", headers=headers)
        assert answer.status_code == 429


async def test_codes_are_limited_and_those_who_get_in_are_not() -> None:
    async with scene(FEW) as s, s.browser() as browser:
        for _ in range(20):
            assert (await s.enter(browser)).status_code == 303
        asked = len(s.paper.asked)
        query = s.paper.sign_in((await s.leave(browser)).headers["location"])
        found = [(await s.come_back(browser, query | {"code": f"x{n}"})).status_code for n in range(5)]
        assert found == [403, 403, 403, 429, 429]
        assert len(s.paper.asked) == asked + 3


async def test_what_the_relay_has_no_time_for_is_not_counted() -> None:
    async with scene(FEW) as s, s.browser() as browser:
        s.relay.fault = Away()
        for _ in range(10):
            assert (await browser.ask("POST", f"/link/{LINK.value}", headers=FORM)).status_code == 503


# --- out


async def test_signing_out_leads_on_to_where_one_came_from() -> None:
    async with scene() as s, s.browser() as browser:
        await s.enter(browser)
        await browser.go("/en/")
        page = await browser.press("Sign out")
        assert s.relay.good == set()
        assert browser.cookies == {}
        assert page.url == f"{BASE}/en/signed-out/{s.id}"
        address = f"{ISSUER}/end?client_id=feierabend&post_logout_redirect_uri=https%3A%2F%2Fruhe.example%2F"
        assert ("Sign out of Dienstkonto too", address) in page.links
        assert '<meta http-equiv="refresh" content="0; url=' + address.replace("&", "&amp;") + '">' in page.html


async def test_who_came_by_a_link_is_led_to_no_provider() -> None:
    async with scene() as s, s.browser() as browser:
        await browser.ask("POST", f"/link/{LINK.value}", headers=FORM)
        await browser.go("/en/")
        page = await browser.press("Sign out")
        assert (s.relay.good, browser.cookies, page.url) == (set(), {}, f"{BASE}/en/login")


async def test_a_provider_that_has_no_way_out_is_left_alone() -> None:
    async with scene() as s, s.browser() as browser:
        del s.paper.metadata["end_session_endpoint"]
        await s.enter(browser)
        await browser.go("/en/")
        page = await browser.press("Sign out")
        assert (s.relay.good, page.url) == (set(), f"{BASE}/en/login")


@pytest.mark.parametrize("forged", ["~", "~x", "~00000000", "~~", "~/../..", "~%0a"])
async def test_a_changed_cookie_leads_nowhere(forged: str) -> None:
    async with scene() as s, s.browser() as browser:
        session = s.relay.begin().session
        browser.show_session(Secret(session.value + forged))
        await browser.go("/en/")
        page = await browser.press("Sign out")
        assert (s.relay.good, page.url) == (set(), f"{BASE}/en/login")
