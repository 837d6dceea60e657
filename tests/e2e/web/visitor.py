"""Somebody at the page: a browser window in a language and a size, with script or without, and an eye on the console.

Words are said in English, as they stand in the source; what is looked for is what the page says in its own language.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Locator, Page, Request, expect

from schedules.web import catalogue, texts

SAID: Final = texts.load()
KNOWN: Final = catalogue.translated("de")
"""All messages of the source: what a test looks for and nothing says any more is a mistake of the test."""
CHROMIUM: Final = "/usr/bin/chromium"
ARGUMENTS: Final = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
EXPECTED: Final = "Failed to load resource: the server responded with a status of 4"
"""What Chromium says of a page that tells a fault; that is told to people by the page itself."""
MILLISECONDS: Final = 15_000
"""What takes longer is missing."""


@dataclass(frozen=True, slots=True)
class Look:
    """How the page is looked at."""

    language: str
    width: int
    height: int
    script: bool = True
    dark: bool = False

    def __str__(self) -> str:
        size = "phone" if self.width < 600 else "desktop"
        return f"{self.language}-{size}-{'script' if self.script else 'plain'}"


PHONE: Final = (360, 740)
DESKTOP: Final = (1200, 800)
LOOKS: Final = (
    Look("de", *PHONE),
    Look("en", *DESKTOP),
    Look("en", *PHONE, script=False),
    Look("de", *DESKTOP, script=False),
)
"""With `--thorough`: in these all pairs of language, size and script occur."""
OPPOSITES: Final = (LOOKS[0], Look("en", *DESKTOP, script=False))
"""In these each of the three is as it is in the one, and otherwise in the other."""


@dataclass(slots=True)
class Visitor:
    """A window. `page` is Playwright's, for what has no shorter word here."""

    page: Page
    context: BrowserContext
    look: Look
    url: str
    elsewhere: str = "-"
    """Where else one may be led: to who says who one is."""
    faults: list[str] = field(default_factory=list)
    """What the console, the network and the policy had to say."""

    # its life

    def check(self) -> None:
        assert self.faults == []
        kept = {cookie["name"]: cookie for cookie in self.context.cookies(self.url)}
        assert kept.keys() <= {"feierabend"}
        assert all(cookie["httpOnly"] and cookie["sameSite"] == "Lax" for cookie in kept.values())
        assert self.context.storage_state()["origins"] == []

    def leave(self) -> None:
        """As good as new, but for files that are kept for a year."""
        for page in self.context.pages:
            if page is not self.page:
                page.close()
        self.page.goto("about:blank")
        self.page.set_viewport_size({"width": self.look.width, "height": self.look.height})
        self.context.clear_cookies()
        self.elsewhere = "-"

    def second(self) -> Page:
        """Another tab."""
        page = self.context.new_page()
        watch(self, page)
        return page

    # words

    def say(self, message: str, **values: object) -> str:
        """A message of the source, as this page says it."""
        assert message in KNOWN, message
        return SAID[self.look.language].gettext(message, **values)

    def count(self, one: str, many: str, number: int) -> str:
        assert one in KNOWN, one
        return SAID[self.look.language].ngettext(one, many, number)

    # where

    def go(self, path: str = "/") -> None:
        """A path below the language."""
        self.page.goto(f"{self.url}/{self.look.language}{path}")

    def sign_in(self, session: str) -> None:
        """As if signed in before; without the button of a link, which has tests of its own."""
        self.context.add_cookies(
            [{"name": "feierabend", "value": session, "url": self.url, "httpOnly": True, "sameSite": "Lax"}]
        )

    # what is there

    def button(self, message: str, *, exact: bool = False, **values: object) -> Locator:
        return self.page.get_by_role("button", name=self.say(message, **values), exact=exact)

    def press(self, message: str, *, exact: bool = False, **values: object) -> None:
        """Press a button, and have the page that follows."""
        self.button(message, exact=exact, **values).click()

    def press_count(self, one: str, many: str, number: int) -> None:
        self.page.get_by_role("button", name=self.count(one, many, number)).click()

    def follow(self, message: str, *, exact: bool = False, **values: object) -> None:
        self.page.get_by_role("link", name=self.say(message, **values), exact=exact).click()

    def unfold(self, message: str) -> None:
        """Open what lies behind a summary."""
        self.page.locator("summary").filter(has_text=self.say(message)).click()

    def field(self, message: str, *, exact: bool = False) -> Locator:
        return self.page.get_by_label(self.say(message), exact=exact)

    def choose(self, message: str, content: bytes) -> None:
        """Choose a file of a calendar."""
        self.field(message).set_input_files({"name": "dienst.ics", "mimeType": "text/calendar", "buffer": content})

    @property
    def now(self) -> Locator:
        """What holds now, in words."""
        return self.page.locator("header .now")

    def reads(self, message: str, **values: object) -> None:
        """The page says this, in the part that is no navigation."""
        expect(self.page.locator("body")).to_contain_text(self.say(message, **values))

    def reads_count(self, one: str, many: str, number: int) -> None:
        expect(self.page.locator("body")).to_contain_text(self.count(one, many, number))


class Windows:
    """The windows of a browser. One that is left is used again, for opening one takes longer than a page."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self._idle: dict[tuple[str, Look], list[Visitor]] = {}

    @contextmanager
    def visiting(self, url: str, look: Look) -> Iterator[Visitor]:
        """A window without a cookie. In the end nothing may have been refused, and only the session be kept."""
        idle = self._idle.setdefault((url, look), [])
        visitor = idle.pop() if idle else self._open(url, look)
        try:
            yield visitor
            visitor.check()
        except BaseException:
            visitor.context.close()
            raise
        visitor.leave()
        idle.append(visitor)

    def _open(self, url: str, look: Look) -> Visitor:
        context = self._browser.new_context(
            viewport={"width": look.width, "height": look.height},
            locale={"de": "de-DE", "en": "en-GB"}[look.language],
            timezone_id="Europe/Berlin",
            java_script_enabled=look.script,
            color_scheme="dark" if look.dark else "light",
            reduced_motion="reduce",
        )
        context.set_default_timeout(MILLISECONDS)
        visitor = Visitor(context.new_page(), context, look, url)
        watch(visitor, visitor.page)
        return visitor


def watch(visitor: Visitor, page: Page) -> None:
    """Note what the browser complains of in a window."""

    def said(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and not message.text.startswith(EXPECTED):
            visitor.faults.append(f"console: {message.text}")

    def failed(request: Request) -> None:
        # A page that is left, and a file that is saved instead of shown, are aborted requests to Chromium.
        if request.failure != "net::ERR_ABORTED":
            visitor.faults.append(f"request: {request.url}: {request.failure}")

    def asked(request: Request) -> None:
        if not request.url.startswith((visitor.url, visitor.elsewhere)):
            visitor.faults.append(f"elsewhere: {request.url}")

    page.on("console", said)
    page.on("pageerror", lambda error: visitor.faults.append(f"script: {error}"))
    page.on("requestfailed", failed)
    page.on("request", asked)
