"""The whole flow against a provider that others have written (npm's oidc-provider): a real process on loopback.

The door is the real one before a relay on paper; the browser goes to either, follows redirects and fills in forms.
"""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qs, urlencode, urljoin, urlsplit

import httpx
import pytest

from bench.ports import free_port
from schedules.web.app import application
from schedules.web.guard import App
from schedules.web.logins import providers
from schedules.web.settings import Provider as ProviderSettings
from schedules.web.settings import Settings
from tests.needs import MODULES, ROOT
from tests.schedules.web.browser import Browser, HtmlForm, Shown, read
from tests.schedules.web.test_login import WatchedRelay

pytestmark = [pytest.mark.processes, pytest.mark.needs("node", "oidc-provider")]
SCRIPT: Final = ROOT / MODULES["oidc-provider"] / "provider.mjs"
BASE: Final = "http://localhost:8081"
SETTINGS: Final = Settings(socket="/nowhere/door.sock", listen=("127.0.0.1:0",), base_url=BASE)
SECRET: Final = "geheim: 100 %"
ALGORITHMS: Final = ("RS256", "PS256", "ES256", "EdDSA")
COMMON: Final = {
    "redirect_uris": [f"{BASE}/login/callback"],
    "post_logout_redirect_uris": [f"{BASE}/"],
    "response_types": ["code"],
    "grant_types": ["authorization_code"],
}
WITH_SECRET: Final = COMMON | {"client_secret": SECRET, "token_endpoint_auth_method": "client_secret_basic"}
CLIENTS: Final = [
    *(WITH_SECRET | {"client_id": name, "id_token_signed_response_alg": name} for name in ALGORITHMS),
    COMMON | {"client_id": "public", "token_endpoint_auth_method": "none"},
]
"""Called by the algorithm that the provider signs with for them."""
FORM: Final = {"content-type": "application/x-www-form-urlencoded"}


@contextmanager
def running(port: int) -> Iterator[None]:
    """The provider as a process, for the length of the block."""
    command = ["node", str(SCRIPT), str(port), json.dumps({"clients": CLIENTS})]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                if "listening" in line:
                    break
            yield
        finally:
            process.kill()


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """Of a provider that runs for all tests here; each has browsers of its own."""
    port = free_port()
    with running(port):
        yield port


class Person:
    """A browser that goes to the provider as well as to the door, and keeps the cookies of each."""

    def __init__(self, door: Browser, outside: httpx.AsyncClient) -> None:
        self.door = door
        self.outside = outside
        self.went: list[str] = []
        """Addresses of the provider."""

    async def go(self, address: str) -> Shown:
        """Open an address, and follow where it leads."""
        return await self._follow(await self._ask("GET", address))

    async def sign_in(self, page: Shown, account: str = "anna", factor: bool = True) -> Shown:
        """Fill in the form of the provider."""
        fields = {"account": account} | ({"factor": "yes"} if factor else {})
        assert fields.keys() <= page.form("Sign in").names
        return await self._follow(await self._ask("POST", page.url, urlencode(fields).encode()))

    async def send(self, page: Shown, form: HtmlForm, fields: dict[str, str]) -> Shown:
        body = urlencode(dict(form.fields) | fields).encode()
        return await self._follow(await self._ask("POST", urljoin(page.url, form.action), body))

    async def leave(self, path: str) -> str:
        """Where the door sends the browser."""
        answer = await self._ask("GET", BASE + path)
        assert answer.status_code == 303
        return answer.headers["location"]

    async def come_back(self, address: str) -> str:
        """Sign in there, and the address with which the provider sends the browser back."""
        page = await self.go(address)
        fields = {"account": "anna", "factor": "yes"}
        answer = await self._ask("POST", page.url, urlencode(fields).encode())
        while not (target := urljoin(str(answer.url), answer.headers["location"])).startswith(BASE):
            answer = await self._ask("GET", target)
        return target

    async def _follow(self, answer: httpx.Response) -> Shown:
        for _ in range(10):
            if "location" not in answer.headers:
                break
            answer = await self._ask("GET", urljoin(str(answer.url), answer.headers["location"]))
        return read(answer)

    async def _ask(self, method: str, address: str, content: bytes | None = None) -> httpx.Response:
        headers = {**FORM, "accept-language": "en"} if content is not None else {"accept-language": "en"}
        if address.startswith(BASE):
            sent = headers | {"sec-fetch-site": "same-origin" if method == "POST" else "none"}
            return await self.door.ask(method, address, content=content, headers=sent)
        self.went.append(address)
        return await self.outside.request(method, address, content=content, headers=headers)


@dataclass(slots=True)
class Scene:
    relay: WatchedRelay
    door: App
    person: Person
    path: str
    """Of the button."""
    told: list[Any]


@asynccontextmanager
async def scene(port: int, **changed: Any) -> AsyncIterator[Scene]:  # noqa: ANN401
    usual: dict[str, Any] = {"client_id": "ES256", "client_secret": SECRET, "user_claim": "personnel_number"}
    configured = ProviderSettings(
        tenant="example",
        name="Dienstkonto",
        issuer=f"http://127.0.0.1:{port}",
        **(usual | changed),
    )
    relay, told = WatchedRelay(time.time()), list[Any]()
    async with providers([configured]) as known, httpx.AsyncClient() as outside:
        door = application(relay, SETTINGS, time.time, told.append, known)
        async with Browser(door, base=BASE) as browser:
            yield Scene(relay, door, Person(browser, outside), f"/en/login/{known[0].id}", told)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
async def test_an_officer_signs_in_and_out(algorithm: str, port: int) -> None:
    async with scene(port, client_id=algorithm) as s:
        start = await s.person.go(f"{BASE}/en/")
        assert start.url == f"{BASE}/en/login"
        form = await s.person.go(urljoin(start.url, dict(start.links)["Sign in with Dienstkonto"]))
        assert form.url.startswith(f"http://127.0.0.1:{port}/interaction/")
        main = await s.person.sign_in(form)
        assert (main.url, main.status) == (f"{BASE}/en/", 200)
        assert s.relay.users == [("example", "anna")]
        assert len(s.relay.good) == 1

        gone = await s.person.send(main, main.form("Sign out"), {})
        assert s.relay.good == set()
        asked = await s.person.go(dict(gone.links)["Sign out of Dienstkonto too"])
        back = await s.person.send(asked, asked.form("Sign out"), {"logout": "yes"})
        assert back.url == f"{BASE}/en/login"
        form = await s.person.go(BASE + s.path)
        assert form.forms  # the provider has forgotten too, and asks again
        assert s.told == []


async def test_a_public_client_has_pkce_alone(port: int) -> None:
    async with scene(port, client_id="public", client_secret=None) as s:
        main = await s.person.sign_in(await s.person.go(BASE + s.path))
        assert (main.url, main.status) == (f"{BASE}/en/", 200)


async def test_the_page_that_was_asked_for_is_where_one_arrives(port: int) -> None:
    async with scene(port) as s:
        page = await s.person.sign_in(await s.person.go(f"{BASE}{s.path}?next=%2F%3Fdays%3D3"))
        assert page.url == f"{BASE}/en/?days=3"


async def test_keys_are_exchanged_by_a_restart() -> None:
    """The door has the old ones, and looks for the new ones when it meets one."""
    port = free_port()
    async with scene(port) as s:
        for _ in range(2):
            with running(port):
                s.person.outside.cookies.clear()
                main = await s.person.sign_in(await s.person.go(BASE + s.path))
                assert (main.url, main.status) == (f"{BASE}/en/", 200)
        assert len(s.relay.users) == 2
        assert s.told == []


async def test_while_the_provider_is_down_a_code_cannot_be_changed() -> None:
    port = free_port()
    async with scene(port) as s:
        with running(port):
            back = await s.person.come_back(await s.person.leave(s.path))
        page = await s.person.go(back)
        assert page.status == 503
        assert [told["reason"] for told in s.told] == ["unavailable"]


@pytest.mark.parametrize(
    ("changed", "reason"),
    [({"acr_values": ("loa3",)}, "acr"), ({"amr": ("pwd", "otp")}, "amr"), ({"acr_values": ("loa4",)}, "acr")],
    ids=str,
)
async def test_the_second_factor_is_demanded(changed: dict[str, Any], reason: str, port: int) -> None:
    async with scene(port, **changed) as s:
        page = await s.person.sign_in(await s.person.go(BASE + s.path), factor=False)
        assert page.status == 403
        assert "A step is missing. You have signed in with Dienstkonto" in page.text
        assert s.relay.users == []
        asked = [parse_qs(urlsplit(address).query) for address in s.person.went if "/auth?" in address]
        assert asked[0].get("acr_values") == ([" ".join(changed["acr_values"])] if "acr_values" in changed else None)
        again = await s.person.go(urljoin(BASE, dict(page.links)["Try again"]))
        assert again.forms, "the provider knows who it is, and asks all the same"
        page = await s.person.sign_in(again, factor=True)
        assert page.status == (403 if changed.get("acr_values") == ("loa4",) else 200)
        assert s.told[0]["reason"] == reason


async def test_who_cancels_is_told_so(port: int) -> None:
    async with scene(port) as s:
        form = await s.person.go(BASE + s.path)
        page = await s.person.send(form, form.form("Cancel"), {"cancel": "yes"})
        assert page.status == 403
        assert "The sign-in with Dienstkonto was not completed" in page.text


def with_query(address: str, **changed: str | None) -> str:
    """An address asked for otherwise; None: without that."""
    parts = urlsplit(address)
    query = {name: values[0] for name, values in parse_qs(parts.query).items()} | changed
    return parts._replace(query=urlencode({k: v for k, v in query.items() if v is not None})).geturl()


async def test_without_pkce_the_provider_says_no(port: int) -> None:
    """The provider of the test does enforce it, so the logins above did use it."""
    async with scene(port) as s:
        address = await s.person.leave(s.path)
        page = await s.person.go(with_query(address, code_challenge=None, code_challenge_method=None))
        assert (page.status, s.relay.users) == (403, [])


@pytest.mark.parametrize(
    ("changed", "reason"),
    [({"nonce": "another"}, "nonce"), ({"code_challenge": "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"}, "code")],
)
async def test_a_login_that_was_tampered_with_is_refused(changed: dict[str, str], reason: str, port: int) -> None:
    async with scene(port) as s:
        back = await s.person.come_back(with_query(await s.person.leave(s.path), **changed))
        page = await s.person.go(back)
        assert (page.status, s.relay.users) == (403, [])
        assert [told["reason"] for told in s.told] == [reason]


async def test_a_code_is_good_once(port: int) -> None:
    """A replay in the browser of the login itself: with a copy of the cookie it had then."""
    async with scene(port) as s:
        leaving = await s.person.leave(s.path)
        before = s.person.door.cookies["feierabend"]
        back = await s.person.come_back(leaving)
        assert (await s.person.go(back)).status == 200
        page = await s.person.go(back)
        assert page.status == 403  # the cookie is another one now
        assert s.told == []
        async with Browser(s.door, base=BASE) as copy:
            answer = await copy.ask("GET", back, headers={"cookie": f"feierabend={before}"})
            assert answer.status_code == 403
        assert [told["reason"] for told in s.told] == ["code"]
        assert len(s.relay.users) == 1


async def test_a_wrong_secret_is_a_matter_for_operators(port: int) -> None:
    async with scene(port, client_secret="mistaken") as s:
        page = await s.person.sign_in(await s.person.go(BASE + s.path))
        assert page.status == 503
        assert s.told[0]["detail"] == "a code was answered with 401 invalid_client"
        assert "mistaken" not in str(s.told) + page.html
