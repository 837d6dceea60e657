"""The table of pages, and what stands between a request and a view: who asks, is the form ours, and what went wrong.

Pages of errors tell what happened and what to do, in the officer's language, and nothing of what is inside. What was
typed is never lost: where a form could not be taken for a reason that passes (the session was over, the relay did not
answer, the officer has to say yes once more), the page holds all its fields and a button that sends it again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from schedules.web import assets, failures, forms, legal, problems, sessions, texts
from schedules.web.guard import LARGEST, LARGEST_WITH_FILE, App, Guard, TooLarge
from schedules.web.logins import logins
from schedules.web.memory import Memory
from schedules.web.oidc import Provider
from schedules.web.port import Relay, RelayFault, SignedOut
from schedules.web.sessions import Sender
from schedules.web.settings import Settings
from schedules.web.views import account, devices, login, overview, presets, preview, rhythm, roster, rules, swap, waking
from schedules.web.views import legal as legal_pages
from schedules.web.visit import Door, Page, Visit

Endpoint = Callable[[Request], Awaitable[Response]]

_GROUPS: Final = (login, overview, preview, devices, waking, rules, rhythm, presets, roster, swap, account, legal_pages)
PAGES: Final[tuple[Page, ...]] = tuple(page for group in _GROUPS for page in group.PAGES)
"""All there is, but files."""


def application(
    relay: Relay,
    settings: Settings,
    clock: Callable[[], float],
    tell: Callable[[Mapping[str, object]], None],
    providers: Sequence[Provider] = (),
) -> App:
    """The whole door. `clock`: UTC seconds; `tell`: an event for operators."""
    shared = logins(settings, providers)
    pages = legal.load(settings.pages)
    door = Door(settings, relay, texts.load(), assets.Assets(), Memory(), clock, tell, shared, pages)
    routes: list[BaseRoute] = [
        Route("/", _to_language),
        Route("/static/{version}/{name}", door.assets.answer),
        *(_route(door, page) for page in PAGES),
        Route("/{path:path}", _nowhere(door)),
    ]
    return Guard(Starlette(routes=routes), settings.host)


def _route(door: Door, page: Page) -> Route:
    methods = [method for method, view in (("GET", page.show), ("POST", page.act)) if view is not None]
    path = page.path if page.bare else "/{language}" + page.path
    return Route(path, _endpoint(door, page), methods=methods)


def _endpoint(door: Door, page: Page) -> Endpoint:
    async def endpoint(request: Request) -> Response:
        language = request.path_params.get("language", texts.wanted(request.headers.get("accept-language", "")))
        if language not in texts.LANGUAGES:
            return await _nowhere(door)(request)
        visit = Visit(door, request, language, door.clock(), known=sessions.shown(request, door.settings))
        door.memory.sweep(visit.now)
        try:
            return await _answer(page, visit)
        except Exception as error:  # the edge of a request: whatever it is, the others go on
            door.tell({"event": "page_failed", "level": "error", "page": page.path, **failures.told(error)})
            return problems.internal(visit)

    return endpoint


async def _answer(page: Page, visit: Visit) -> Response:
    try:
        if visit.is_act:
            assert page.act is not None
            visit = replace(visit, form=await _form(visit, page))
            refusal = _refusal(page, visit)
            if refusal is not None:
                return refusal
        view = page.act if visit.is_act else page.show
        assert view is not None
        if not page.public:
            visit = await visit.signed_in()
        return await view(visit)
    except SignedOut:
        if visit.known is not None:
            visit.door.memory.forget(visit.known)
        return problems.signed_out(visit, page)
    except RelayFault as fault:
        return problems.relay(visit, fault)
    except TooLarge:
        return problems.too_large(visit, page)
    except (forms.BadForm, ClientDisconnect):  # who has hung up reads nothing; anybody can do that, so nothing is told
        return problems.unreadable(visit)


async def _form(visit: Visit, page: Page) -> forms.Form:
    """Raises BadForm, TooLarge; with a file SignedOut, RelayFault."""
    content_type = visit.request.headers.get("content-type", "")
    media = content_type.partition(";")[0].strip().lower()
    if media == forms.MEDIA:
        return forms.read(await _body(visit.request, LARGEST))
    if media != forms.PARTS or not page.takes_file:
        raise forms.BadForm
    try:
        await visit.signed_in()
    except SignedOut:  # nobody else may send as much; what is small is kept for when they are signed in
        try:
            return forms.read_parts(await _body(visit.request, LARGEST), content_type)
        except TooLarge:
            raise SignedOut from None
    return forms.read_parts(await _body(visit.request, LARGEST_WITH_FILE), content_type)


async def _body(request: Request, most: int) -> bytes:
    """Raises TooLarge."""
    if int(request.headers.get("content-length", "0")) > most:  # known before anything is read
        raise TooLarge
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > most:
            raise TooLarge
    return bytes(body)


def _refusal(page: Page, visit: Visit) -> Response | None:
    """Whether the form is one of ours, sent by its reader."""
    sender = sessions.sender(visit.request.headers, visit.door.settings)
    if sender is Sender.ELSEWHERE:
        return problems.foreign(visit)
    if page.public:
        return None if sender is Sender.OURS else problems.foreign(visit)
    if visit.known is not None and sessions.is_csrf(visit.known, visit.form.text("csrf")):
        return None
    if visit.known is None:
        return problems.signed_out(visit, page)
    # The session is another one than when the form was made: signed in again meanwhile. Asked of our own pages only.
    return problems.once_more(visit, page) if sender is Sender.OURS else problems.foreign(visit)


async def _to_language(request: Request) -> Response:
    return RedirectResponse(
        f"/{texts.wanted(request.headers.get('accept-language', ''))}/", 302, {"vary": "accept-language"}
    )


def _nowhere(door: Door) -> Endpoint:
    async def nowhere(request: Request) -> Response:
        first = request.url.path.split("/")[1]
        language = first if first in texts.LANGUAGES else texts.wanted(request.headers.get("accept-language", ""))
        return problems.nowhere(Visit(door, request, language, door.clock()))

    return nowhere
