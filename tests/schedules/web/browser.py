"""A browser without a screen: it keeps the cookie, follows redirects, and fills in forms as a person does.

What it cannot do is as telling: it runs no script, and it sends a form only with the fields that the page has.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Final
from urllib.parse import urldefrag, urlencode, urljoin

import httpx

from schedules.web.app import application
from schedules.web.guard import App
from schedules.web.port import Relay, Secret
from schedules.web.settings import Settings

BASE: Final = "https://ruhe.example"
SETTINGS: Final = Settings(socket="/nowhere/door.sock", listen=("127.0.0.1:0",), base_url=BASE)
OURS: Final = {"sec-fetch-site": "same-origin"}


@dataclass(slots=True)
class HtmlForm:
    """A form of a page: where it goes, what it holds, and its buttons."""

    action: str
    method: str
    fields: list[tuple[str, str]] = field(default_factory=list)
    """As sent when nothing is touched: ticked and filled ones."""
    buttons: list[tuple[str, str, str]] = field(default_factory=list)
    """(name, value, text)"""
    elsewhere: dict[str, str] = field(default_factory=dict)
    """Text of a button → where it sends the form instead."""
    names: set[str] = field(default_factory=set)
    in_parts: bool = False
    """As a form with a file is sent."""


class _Reader(HTMLParser):
    """Finds forms, texts and links."""

    def __init__(self) -> None:
        super().__init__()
        self.forms: list[HtmlForm] = []
        self.by_id: dict[str, HtmlForm] = {}
        self.words: list[str] = []
        self.links: list[tuple[str, str]] = []
        self.ids: list[str] = []
        self._form: HtmlForm | None = None
        self._button: tuple[HtmlForm, str, str] | None = None
        self._action = ""
        self._link: str | None = None
        self._caught: list[str] = []
        self._select = ""
        self._options: list[tuple[str, bool]] = []
        self._textarea: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        have = {name: value or "" for name, value in attrs}
        if "id" in have:
            self.ids.append(have["id"])
        form = self.by_id[have["form"]] if have.get("form") else self._form
        if tag == "form":
            in_parts = have.get("enctype") == "multipart/form-data"
            self._form = HtmlForm(have.get("action", ""), have.get("method", "get"), in_parts=in_parts)
            self.forms.append(self._form)
            self.by_id[have.get("id", "")] = self._form
        elif tag == "a" and "href" in have:
            self._link, self._caught = have["href"], []
        elif form is None:
            return
        elif tag == "input":
            self._input(form, have)
        elif tag == "button":
            self._button, self._caught = (form, have.get("name", ""), have.get("value", "")), []
            self._action = have.get("formaction", "")
        elif tag == "select":
            self._select, self._options = have["name"], []
            form.names.add(have["name"])
        elif tag == "option":
            self._options.append((have.get("value", ""), "selected" in have))

    @staticmethod
    def _input(form: HtmlForm, have: Mapping[str, str]) -> None:
        name, kind = have.get("name", ""), have.get("type", "text")
        if not name:
            return
        form.names.add(name)
        if kind != "file" and (kind not in ("checkbox", "radio") or "checked" in have):
            form.fields.append((name, have.get("value", "on" if kind in ("checkbox", "radio") else "")))

    def handle_endtag(self, tag: str) -> None:
        said = " ".join("".join(self._caught).split())
        if tag == "form":
            self._form = None
        elif tag == "button" and self._button is not None:
            form, name, value = self._button
            form.buttons.append((name, value, said))
            if self._action:
                form.elsewhere[said] = self._action
            self._button = None
        elif tag == "a" and self._link is not None:
            self.links.append((said, self._link))
            self._link = None
        elif tag == "select" and self._form is not None:
            chosen = [value for value, selected in self._options if selected]
            self._form.fields += [
                (self._select, value) for value in (chosen or [value for value, _ in self._options[:1]])
            ]

    def handle_data(self, data: str) -> None:
        self.words.append(data)
        self._caught.append(data)


@dataclass(slots=True)
class Shown:
    """A page as it came."""

    url: str
    status: int
    headers: Mapping[str, str]
    html: str
    forms: list[HtmlForm]
    text: str
    """What it says, with single blanks."""
    links: list[tuple[str, str]]
    """(text, address)"""
    ids: list[str]

    def form(self, button: str) -> HtmlForm:
        """The form with a button that says this."""
        found = [form for form in self.forms if any(button in text for _, _, text in form.buttons)]
        assert len(found) == 1, f"{len(found)} forms with {button!r}; buttons: {[f.buttons for f in self.forms]}"
        return found[0]


class Browser:
    """`at` is the page that is open."""

    def __init__(self, app: App, *, base: str = BASE) -> None:
        self._http = httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url=base)
        self._base = base
        self.at: Shown | None = None
        self._file: bytes | None = None
        self.told: list[Mapping[str, object]] = []
        """Events for operators; a page that failed is one."""

    async def __aenter__(self) -> Browser:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()

    def show_session(self, secret: Secret, name: str = "__Host-feierabend") -> None:
        """As if signed in."""
        self._http.cookies.set(name, secret.value, domain=self._http.base_url.host)

    @property
    def cookies(self) -> dict[str, str]:
        return dict(self._http.cookies)

    @property
    def page(self) -> Shown:
        assert self.at is not None
        return self.at

    async def ask(
        self, method: str, path: str, *, content: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> httpx.Response:
        """One request and its answer, as it is."""
        return await self._http.request(method, path, content=content, headers=dict(headers or {}))

    async def go(self, path: str, language: str = "de") -> Shown:
        """Open an address and follow where it leads."""
        answer = await self.ask("GET", path, headers={"accept-language": language})
        return await self._follow(answer)

    async def send(
        self, path: str, fields: Sequence[tuple[str, str]], headers: Mapping[str, str] | None = None
    ) -> Shown:
        """Send a form, whether a page has it or not."""
        answer = await self.ask(
            "POST", path, content=urlencode(fields).encode(),
            headers={"content-type": "application/x-www-form-urlencoded", **(OURS if headers is None else headers)},
        )  # fmt: skip
        return await self._follow(answer)

    async def send_parts(self, path: str, fields: Sequence[tuple[str, str]], files: Mapping[str, bytes]) -> Shown:
        """Send a form with files, in parts as Chromium writes them."""
        listed = [(f'name="{name}"', value.encode()) for name, value in fields]
        listed += [
            (f'name="{name}"; filename="dienst plan.ics"\r\nContent-Type: text/calendar', content)
            for name, content in files.items()
        ]
        boundary = "----WebKitFormBoundaryzPFZDjCwG5tNVIFi"
        body = b"".join(
            f"--{boundary}\r\nContent-Disposition: form-data; {head}\r\n\r\n".encode() + content + b"\r\n"
            for head, content in listed
        )
        headers = {"content-type": f"multipart/form-data; boundary={boundary}", **OURS}
        answer = await self.ask("POST", path, content=body + f"--{boundary}--\r\n".encode(), headers=headers)
        return await self._follow(answer)

    async def upload(self, file: bytes, button: str, **filled: str | list[str] | None) -> Shown:
        """Press a button with a file in its form."""
        self._file = file
        return await self.press(button, **filled)

    async def press(self, button: str, **filled: str | list[str] | None) -> Shown:
        """Press a button of the page, with some fields filled in otherwise; None: unticked.

        A field that the form does not have is a mistake of the test, or of the page.
        """
        form = self.page.form(button)
        name, value, text = next(one for one in form.buttons if button in one[2])
        given = {known.rstrip("_"): content for known, content in filled.items()}
        assert given.keys() <= form.names, given.keys() - form.names
        fields = [(known, content) for known, content in form.fields if known not in given]
        for known, content in given.items():
            fields += [(known, each) for each in ([content] if isinstance(content, str) else content or [])]
        if name:
            fields.append((name, value))
        action = urldefrag(urljoin(self.page.url, form.elsewhere.get(text, form.action))).url
        if form.method == "get":
            return await self.go(action + ("?" + urlencode(fields) if fields else ""))
        if form.in_parts:
            file, self._file = self._file or b"", None
            return await self.send_parts(action, fields, {"file": file})
        return await self.send(action, fields)

    async def click(self, link: str) -> Shown:
        """Follow a link by its text."""
        found = [address for text, address in self.page.links if link in text]
        assert len(found) == 1, f"{len(found)} links say {link!r}: {self.page.links}"
        return await self.go(urljoin(self.page.url, found[0]))

    async def _follow(self, answer: httpx.Response) -> Shown:
        for _ in range(5):
            if answer.status_code not in (302, 303):
                break
            target = answer.headers["location"]
            answer = await self.ask("GET", urldefrag(urljoin(str(answer.url), target)).url)
        self.at = read(answer)
        return self.at


def read(answer: httpx.Response) -> Shown:
    reader = _Reader()
    if answer.headers.get("content-type", "").startswith("text/html"):
        reader.feed(answer.text)
    text = " ".join("".join(reader.words).split())
    return Shown(
        str(answer.url), answer.status_code, answer.headers, answer.text, reader.forms, text, reader.links, reader.ids
    )


@asynccontextmanager
async def browser(relay: Relay, clock: object, *, settings: Settings = SETTINGS) -> AsyncIterator[Browser]:
    """A browser in front of the door. `clock`: a function, or something with `now`, which is asked each time.

    What the door tells operators is for the test to look at: `told`.
    """
    told: list[Mapping[str, object]] = []
    now = clock if callable(clock) else lambda: float(clock.now)  # type: ignore[attr-defined]
    async with Browser(application(relay, settings, now, told.append), base=settings.base_url) as made:
        made.told = told
        yield made
