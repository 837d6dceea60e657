"""A real installation for a browser: both fakes, `feierabend serve` with the door's process, SQLite; one for all tests.

Playwright's sync API has an event loop of its own in the thread of the tests, and trio cannot run beside it. So the
processes are kept by trio in a second thread, with the helpers that all e2e tests use; what a test asks of them, it
asks there (`call`), and waits.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, Final, ParamSpec, TypeVar

import httpx
import trio

from bench.ports import free_port
from tests.e2e.client import Answer, Client, NoAnswer
from tests.e2e.installation import Installation, install
from tests.e2e.phones import Sightings, fake_apns, fake_fcm, token
from tests.e2e.processes import PATIENCE

P = ParamSpec("P")
T = TypeVar("T")

HOUR: Final = 3600
NIGHTS: Final[Mapping[str, object]] = {"windows": [{"kind": "weekly", "start": "22:00", "end": "06:00"}]}
OIDC: Final = """
[[web.oidc]]
name = "Dienstkonto"
issuer = "{issuer}"
client_id = "door"
user_claim = "personnel_number"
acr_values = ["loa3"]
amr = ["otp"]
"""
PAGES: Final = '[web.pages]\nrest.de = "ruhe.md"\n'
AGREED: Final = "# Unsere Ruhe\n\n## Vereinbart\n\nElf Stunden. Fragen: <mailto:rat@example.org>, <b>nicht</b> uns.\n"
"""What the operator says of rest, in German only."""
FORM: Final = {"content-type": "application/x-www-form-urlencoded", "sec-fetch-site": "same-origin"}


class Premises:
    """The running installation, as the thread of the tests sees it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._numbers = count(1)
        self._ready = threading.Event()
        self._token: trio.lowlevel.TrioToken | None = None
        self._stop = trio.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="processes")
        self._backend: Client
        self._settings: Client
        self._support: Client
        self.installation: Installation
        self.sightings = Sightings()
        self.port = free_port()
        self.provider_port = free_port()
        """Where an OpenID Connect provider is expected; who needs one starts it."""
        self.http = httpx.Client(timeout=PATIENCE)

    @property
    def url(self) -> str:
        """By another name than the provider's, for cookies know no ports."""
        return f"http://localhost:{self.port}"

    @property
    def issuer(self) -> str:
        return f"http://127.0.0.1:{self.provider_port}"

    # asking

    def call(self, ask: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run something in the other thread, and wait for it."""
        return trio.from_thread.run(partial(ask, *args, **kwargs), trio_token=self._token)

    def as_backend(self, method: str, path: str, body: object = None, *, status: int) -> Answer:
        return self._asked(self._backend, method, path, body, status)

    def as_settings(self, method: str, path: str, body: object = None, *, status: int) -> Answer:
        return self._asked(self._settings, method, path, body, status)

    def as_support(self, method: str, path: str, code: str, *, status: int) -> Answer:
        """With a code that was read out."""
        answer = self.call(self._support.ask, method, path, None, {"support-code": code})
        assert answer.status == status, answer
        return answer

    def _asked(self, client: Client, method: str, path: str, body: object, status: int) -> Answer:
        headers = {"idempotency-key": f"n{next(self._numbers):016}"}
        try:
            answer = self.call(client.ask, method, path, body, headers)
        except NoAnswer:  # the relay has ended a connection that was idle for long
            answer = self.call(client.ask, method, path, body, headers)
        assert answer.status == status, answer
        return answer

    # people

    def officer(self, rest: Mapping[str, object] | None = None, *, phones: int = 1, android: bool = False) -> Officer:
        """Somebody new, with iPhones and perhaps an Android phone."""
        number = next(self._numbers)
        made = Officer(self, f"officer-{number}")
        for index in range(phones):
            made.tokens[f"phone {index}" if index else "phone"] = token(number * 10 + index)
        if android:
            made.tokens["pixel"] = f"{made.user}-android-phone-00000000:APA91b" + "Zz0_-" * 20
        for device, its in made.tokens.items():
            platform = ("fcm", "android") if ":" in its else ("apns", "ios")
            body = {"platform": platform[0], "app": platform[1], "token": its}
            self.as_backend("PUT", f"/v1/users/{made.user}/devices/{device.replace(' ', '%20')}", body, status=201)
        if rest is not None:
            self.as_settings("PUT", f"/v1/users/{made.user}/rest", rest, status=201)
        return made

    # beginning and end

    def open(self) -> None:
        """Return when everything is ready."""
        self._thread.start()
        assert self._ready.wait(PATIENCE)
        if self._failure is not None:
            raise self._failure

    def close(self) -> None:
        """End the processes; what they did wrong is raised."""
        if self._token is not None and self._thread.is_alive():
            self._token.run_sync_soon(self._stop.set)
        self._thread.join(PATIENCE)
        self.http.close()
        if self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        try:
            trio.run(self._serve)
        except BaseException as error:  # told to whoever opened or closes
            self._failure = error
        finally:
            self._ready.set()

    async def _serve(self) -> None:
        house = self.installation = install(self._folder)
        async with fake_apns(self._folder / "apple") as apple, fake_fcm(self._folder / "google") as google:
            (self._folder / "ruhe.md").write_text(AGREED)
            house.configure_web(apple, google, self.port, self.url, OIDC.format(issuer=self.issuer) + PAGES)
            self.sightings = Sightings(apple.journal, google.journal)
            async with (
                house.serving() as relay,
                house.backend_client() as self._backend,
                house.settings_client() as self._settings,
                house.support_client() as self._support,
            ):
                await relay.line('"ready"')
                self._token = trio.lowlevel.current_trio_token()
                self._ready.set()
                await self._stop.wait()
                relay.terminate()
                assert await relay.ended() == 0


@dataclass(slots=True)
class Officer:
    """Somebody, as the messenger's backend and the settings service know them."""

    premises: Premises
    user: str
    tokens: dict[str, str] = field(default_factory=dict)
    """device → token"""

    def link(self) -> str:
        """The address of a fresh link."""
        given = self.premises.as_settings("POST", f"/v1/users/{self.user}/link", status=201)
        return f"{self.premises.url}/link/{given.json()['link']}"

    def session(self) -> str:
        """A session as the door gives it for a link; what the cookie holds."""
        answer = self.premises.http.post(self.link(), headers=FORM)
        assert answer.status_code == 303, answer
        self.premises.http.cookies.clear()
        return answer.cookies["feierabend"]

    def ask(self, session: str, method: str, path: str, body: object = None, *, status: int = 200) -> Any:  # noqa: ANN401
        """As the officer's app would, with the session of the page."""
        headers = {"authorization": f"Bearer {session}"}
        answer = self.premises.http.request(
            method, f"http://127.0.0.1:{self.premises.installation.door}{path}", json=body, headers=headers
        )
        assert answer.status_code == status, answer.text
        return answer.json() if answer.content else None

    def document(self, session: str) -> dict[str, Any]:
        """What is kept."""
        found = self.ask(session, "GET", "/v1/me/rest")
        assert isinstance(found, dict)
        return found

    def post(self, event_class: str = "message") -> None:
        """Something new for them."""
        body: dict[str, object] = {"user": self.user, "class": event_class}
        if event_class == "alarm":
            body |= {"role": "dispatch", "reason": "incident"}
        self.premises.as_backend("POST", "/v1/events", body, status=202)

    def rang(self, device: str = "phone", times: int = 1) -> None:
        """Return when the device was woken so many times."""
        self.premises.call(self.premises.sightings.of, self.tokens[device], times)

    def times(self, device: str = "phone") -> int:
        """How often it was woken so far."""
        self.premises.call(self._look)
        return len(self.premises.sightings.by_token.get(self.tokens[device], ()))

    async def _look(self) -> None:
        await trio.lowlevel.checkpoint()
        self.premises.sightings.look()


def resting(seconds: float = 6 * HOUR, **more: object) -> dict[str, object]:
    """A document by which somebody rests since an hour ago, and for so long from now."""
    now = time.time()
    return {"windows": [{"kind": "once", "start": _iso(now - HOUR), "end": _iso(now + seconds), **more}]}


def instant(written: str) -> float:
    """UTC seconds of a time as the relay writes it."""
    return datetime.fromisoformat(written).timestamp()


def _iso(at: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))


@contextmanager
def premises(folder: Path) -> Iterator[Premises]:
    made = Premises(folder)
    try:
        made.open()
        yield made
    finally:
        made.close()
