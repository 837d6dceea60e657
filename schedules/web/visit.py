"""One request, as a view sees it: who asks, in which language, when, with which form; and how to answer.

A view is a function from a Visit to an answer. What it may raise stands in port.py; app.py makes pages of that.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from schedules import RuleError, Rules, compile_table, parse
from schedules.explain import Table
from schedules.rules import DEFAULT_ZONE
from schedules.walltime import zone
from schedules.web import sessions
from schedules.web.assets import Assets
from schedules.web.dates import Dates
from schedules.web.forms import Form
from schedules.web.legal import Legal
from schedules.web.logins import Logins
from schedules.web.memory import Memory, Step
from schedules.web.port import Changed, Document, Rejected, Relay, Secret, SignedOut
from schedules.web.settings import Settings
from schedules.web.texts import LANGUAGES, TAGS, Texts

CONFIRM: Final = "never-reachable"
"""Value of the field `confirm`, where a form asks once more (R10)."""
ANOTHER: Final = -1
"""The version of a form from another session: of no document, for it may have been another officer's."""


@dataclass(frozen=True, slots=True, repr=False)
class Door:
    """What all requests share."""

    settings: Settings
    relay: Relay
    texts: Mapping[str, Texts]
    assets: Assets
    memory: Memory
    clock: Callable[[], float]
    """UTC seconds."""
    tell: Callable[[Mapping[str, object]], None]
    """An event for operators, as one line; of nobody's."""
    logins: Logins
    legal: Legal


@dataclass(frozen=True, slots=True, repr=False)
class Plan:
    """The officer's document, read."""

    document: Document
    """Empty where there is none."""
    version: int | None
    """None: there is none."""
    rules: Rules
    table: Table


async def plan_of(door: Door, secret: Secret, now: float) -> Plan:
    """Raises RelayFault; RuleError for a document that a newer version has written."""
    kept = await door.relay.rest(secret)
    document: Document = {} if kept is None else kept.document
    rules = parse(document)
    return Plan(document, None if kept is None else kept.version, rules, compile_table(rules, now))


@dataclass(frozen=True, slots=True, repr=False)
class Visit:
    door: Door
    request: Request
    language: str
    now: float
    form: Form = field(default_factory=Form)
    known: Secret | None = None
    """The secret that the browser shows, whether good or not."""
    read: Plan | None = None

    # who asks

    @property
    def secret(self) -> Secret:
        """Raises SignedOut."""
        if self.known is None:
            raise SignedOut
        return self.known

    @property
    def plan(self) -> Plan:
        """Raises SignedOut on public pages, for there nothing is read."""
        if self.read is None:
            raise SignedOut
        return self.read

    @property
    def relay(self) -> Relay:
        return self.door.relay

    @property
    def places(self) -> Mapping[str, Any]:
        """What the path says: `/rules/{part}/{index}`."""
        return self.request.path_params

    @property
    def is_act(self) -> bool:
        return self.request.method == "POST"

    @property
    def version(self) -> int | None:
        """Of the document that the form was made from; without a form, of the document as it is."""
        if "version" in self.form:
            return ANOTHER if self.is_from_another_session else self.form.number("version")
        return None if self.read is None else self.read.version

    @property
    def is_from_another_session(self) -> bool:
        return self.form.text("version") == str(ANOTHER)

    # what is said

    @property
    def texts(self) -> Texts:
        return self.door.texts[self.language]

    def gettext(self, message: str, **values: object) -> str:
        return self.texts.gettext(message, **values)

    def ngettext(self, one: str, many: str, number: int, **values: object) -> str:
        return self.texts.ngettext(one, many, number, **values)

    @property
    def dates(self) -> Dates:
        """By the clock of the officer's zone."""
        return Dates(zone(DEFAULT_ZONE) if self.read is None else self.read.rules.zone, self.language, self.now)

    # answers

    def url(self, path: str) -> str:
        """A path below the language: `/presets` is `/de/presets`."""
        return f"/{self.language}{path}"

    def render(self, template: str, status: int = 200, **values: object) -> Response:
        """A page. Beside `values` templates know what `_common` names."""
        return HTMLResponse(self.texts.render(template, {**self._common(), **values}), status)

    def redirect(self, path: str) -> Response:
        """303 to a path below the language."""
        return RedirectResponse(self.url(path), 303)

    def _common(self) -> dict[str, object]:
        others = [(tag, LANGUAGES[tag], self._in(tag)) for tag in LANGUAGES if tag != self.language]
        return {
            "visit": self,
            "dates": self.dates,
            "url": self.url,
            "asset": self.door.assets.address,
            "hidden": self.hidden,
            "language": self.language,
            "tag": TAGS[self.language],
            "others": [] if self.is_act else others,
            "is_signed_in": self.read is not None,
            "sky": self._sky(),
        }

    def _sky(self) -> str:
        """The colour above a page, as a class of the style sheet: dark while its reader rests."""
        return "rest" if self.read is not None and self.read.table.at(int(self.now)).resting else "day"

    def _in(self, language: str) -> str:
        """This page in another language."""
        return f"/{language}{self.here}"

    @property
    def here(self) -> str:
        """This page below its language; the start page for those that have none."""
        path, query = self.request.url.path, self.request.url.query
        prefix = f"/{self.language}"
        return path.removeprefix(prefix) + (f"?{query}" if query else "") if path.startswith(f"{prefix}/") else "/"

    def hidden(self) -> Markup:
        """The first line of every form of an officer: the CSRF token, and the version it was made from."""
        token = Markup('<input type="hidden" name="csrf" value="{}">').format(sessions.csrf(self.secret))
        if self.read is None:
            return token
        version = "" if self.version is None else self.version
        return token + Markup('<input type="hidden" name="version" value="{}">').format(version)

    # changes

    async def save(self, document: Document, *, confirmed: bool = False, fresh: bool = False) -> int:
        """Save a document in place of that which the form was made from; Undo knows that one.

        `fresh`: it was made from the document as it is now, and what the form was made from does not matter. Raises
        Changed when there is a newer one, Rejected with sentences in both languages, NotReachable unless that is
        confirmed here or by the form's field `confirm`.
        """
        if not fresh and self.version != self.plan.version:
            raise Changed
        try:
            parse(document)
        except RuleError as error:
            raise Rejected(error.problems) from None
        agreed = confirmed or self.form.text("confirm") == CONFIRM
        version = await self.relay.save(self.secret, document, self.plan.version, confirmed=agreed)
        self.remember(version)
        return version

    def remember(self, version: int | None, *, is_undo: bool = False) -> None:
        """A change was made that led to this version; Undo takes back to what was read before."""
        if version == self.plan.version:
            return  # it changed nothing
        before = None if self.plan.version is None else self.plan.document
        self.door.memory.keep(self.secret, Step(self.now, before, version, is_undo))

    def step(self) -> Step | None:
        """What can be undone now."""
        return self.door.memory.last(self.secret, self.plan.version, self.now)

    async def signed_in(self) -> Visit:
        """The visit with the officer's plan. Raises SignedOut, RelayFault."""
        return replace(self, read=await plan_of(self.door, self.secret, self.now))


View = Callable[[Visit], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Page:
    """A path, and what is shown (GET) and done (POST) there."""

    path: str
    show: View | None = field(default=None, kw_only=True)
    act: View | None = field(default=None, kw_only=True)
    public: bool = field(default=False, kw_only=True)
    """Also for who is not signed in."""
    button: str = field(default="", kw_only=True)
    """Where the button of an act without a draft stands. Such an act is not sent again in another session."""
    takes_file: bool = field(default=False, kw_only=True)
    """Its form may have a file in it."""
    bare: bool = field(default=False, kw_only=True)
    """The path has no language before it."""
