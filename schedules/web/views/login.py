"""The two ways in, a link from the messenger and an account of the organisation; and the way out.

The link. Messengers and mail scanners open addresses to show what is behind them, so opening one does nothing: the page
has a button, and only that redeems. Whatever is wrong with a link, the page is the same.

The account. `/login/{provider}` leads to the provider, and from there the browser comes back to `/login/callback`, of
which `under_way.py` knows whether it was begun here and in this browser. Somebody whom the relay does not know is told
the same as somebody whom the provider's word does not let in. There is one exception: that the second factor is
missing is said, for it can be helped, and tells nothing of whether there is such an officer.

With each login the session is a new one, and that which the browser had before ends. Secrets of links stand in no page
but the one that was opened with it, in no log and no error: the frame logs no addresses (`app.py`).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from re import compile as pattern
from typing import Final
from urllib.parse import urlencode

from starlette.responses import RedirectResponse, Response

from schedules.web import problems, sessions, under_way
from schedules.web.oidc import Provider
from schedules.web.oidc_token import SECOND_FACTOR, LoginRefused, Refusal
from schedules.web.port import Busy, Opened, Refused, RelayFault, Secret
from schedules.web.texts import LANGUAGES
from schedules.web.visit import Page, Visit

CALLBACK: Final = "/login/callback"
"""Where providers send browsers back to, below `base_url`."""
_BACK: Final = pattern(r"/[A-Za-z0-9/._~%-]{0,200}(\?[A-Za-z0-9&=._~%:+-]{0,200})?")
"""Paths of ours. They go behind `/de`, so none of them leads elsewhere."""
_NOT_TOLD: Final = frozenset({Refusal.STATE, Refusal.LATE, Refusal.CANCELLED})
"""Everyday, or anybody could fill the log with it."""


async def ways(visit: Visit) -> Response:
    """Which ways there are."""
    query = _query(_back(visit))
    offered = [
        (one.settings.name, visit.url(f"/login/{one.id}") + query) for one in visit.door.logins.providers.values()
    ]
    return visit.render("login.html", offered=offered)


# --- with a link


async def offer(visit: Visit) -> Response:
    """A page with one button: nothing is redeemed and nothing set."""
    visit = _in_language(visit)
    path = visit.request.url.path
    others = [(tag, name, f"{path}?language={tag}") for tag, name in LANGUAGES.items() if tag != visit.language]
    return visit.render("link.html", others=others)


async def redeem(visit: Visit) -> Response:
    """The button was pressed."""
    visit = _in_language(visit)
    link = Secret(visit.places["secret"])
    return await _limited(visit, lambda: _redeem(visit, link))


async def _redeem(visit: Visit, link: Secret) -> Response:
    try:
        opened = await visit.relay.redeem(link)
    except Refused:
        return visit.render("link_refused.html", 403)
    return await _let_in(visit, opened, "/")


def _in_language(visit: Visit) -> Visit:
    """A link has no language in its path, and may be opened in a browser that speaks another one."""
    language = visit.request.query_params.get("language", "")
    return replace(visit, language=language) if language in LANGUAGES else visit


# --- with an account


async def leave(visit: Visit) -> Response:
    """To the provider."""
    provider = visit.door.logins.providers.get(visit.places["provider"])
    if provider is None:
        return problems.nowhere(visit)
    if visit.request.headers.get("sec-fetch-site") in ("cross-site", "same-site"):
        return visit.redirect("/login")  # another page shall sign nobody in anew; here is the button
    login = under_way.begin(provider.id, _back(visit), visit.language, visit.now)
    bound = under_way.binding(sessions.cookie(visit.request, visit.door.settings))
    state = visit.door.logins.sealer.seal(login, bound)
    try:
        anew = "anew" in visit.request.query_params
        response = RedirectResponse(await provider.address(login, state, _callback(visit), visit.now, anew=anew), 303)
    except LoginRefused as refused:
        return _refused(visit, provider, refused)
    if under_way.is_binding(bound):
        sessions.bind(response, bound, visit.door.settings)
    return response


async def come_back(visit: Visit) -> Response:
    """From the provider, with a code or an error."""
    query = visit.request.query_params
    shown = sessions.cookie(visit.request, visit.door.settings)
    try:
        login = visit.door.logins.sealer.open(query.get("state", ""), shown, visit.now)
    except LoginRefused as refused:
        return _refused(visit, None, refused)
    visit = replace(visit, language=login.language)
    provider = visit.door.logins.providers[login.provider]
    response = await _limited(visit, lambda: _recognise(visit, provider, login))
    if response.status_code == 403 and under_way.is_binding(shown):
        sessions.end(response, visit.door.settings)
    return response


async def _recognise(visit: Visit, provider: Provider, login: under_way.UnderWay) -> Response:
    query = dict(visit.request.query_params)
    try:
        user = await provider.user(login, query, _callback(visit), visit.now)
    except LoginRefused as refused:
        return _refused(visit, provider, refused)
    try:
        opened = await visit.relay.open(provider.settings.tenant, user)
    except Refused:
        return _refused(visit, provider, LoginRefused(Refusal.USER, "the relay does not know it"))
    return await _let_in(visit, opened, login.back, provider)


def _refused(visit: Visit, provider: Provider | None, refused: LoginRefused) -> Response:
    name = "" if provider is None else provider.settings.name
    if provider is not None and refused.reason not in _NOT_TOLD and not refused.is_echo:
        told = {"provider": provider.id, "reason": refused.reason.value, "detail": refused.detail}
        visit.door.tell({"event": "login_refused", **told})
    status = 503 if refused.reason is Refusal.UNAVAILABLE else 403
    kind = _kind(refused.reason)
    again = visit.url("/login")
    if provider is not None and kind in ("factor", "refused"):  # who is signed in there would be sent back as before
        again += f"/{provider.id}?anew"
    return visit.render("login_refused.html", status, kind=kind, name=name, again=again)


def _kind(reason: Refusal) -> str:
    """Which sentence the page has."""
    if reason in SECOND_FACTOR:
        return "factor"
    if reason in (Refusal.STATE, Refusal.LATE, Refusal.CODE):
        return "again"
    return reason.value if reason in (Refusal.CANCELLED, Refusal.UNAVAILABLE) else "refused"


async def signed_out(visit: Visit) -> Response:
    """Signed out here; and on to the provider, which may ask whether that is meant.

    A page that moves on by itself: browsers stop a form whose answer leads to another host (`form-action`).
    """
    provider = visit.door.logins.providers.get(visit.places["provider"])
    address = None if provider is None else await provider.logout_address(visit.door.settings.base_url + "/", visit.now)
    if provider is None or address is None:
        return visit.redirect("/login")
    return visit.render("signed_out.html", name=provider.settings.name, address=address)


# --- both


async def _limited(visit: Visit, attempt: Callable[[], Awaitable[Response]]) -> Response:
    """An attempt, if there were not too many. One that lets somebody in, or that the relay had no time for, is none."""
    request, limits = visit.request, visit.door.logins.limits
    peer = None if request.client is None else request.client.host
    client = visit.door.logins.client(peer, request.headers.getlist("x-forwarded-for"))
    wait = limits.attempt(client, visit.now)
    if wait is not None:
        return problems.relay(visit, Busy(wait))
    try:
        response = await attempt()
    except RelayFault:
        limits.give_back(client)
        raise
    if response.status_code == 303:
        limits.give_back(client)
    return response


async def _let_in(visit: Visit, opened: Opened, back: str, provider: Provider | None = None) -> Response:
    """A new session for the browser; that which it had ends."""
    if visit.known is not None:
        visit.door.memory.forget(visit.known)
        try:
            await visit.relay.sign_out(visit.known)
        except RelayFault:
            pass  # it was over, or will be
    response = visit.redirect(back)
    sessions.begin(response, opened, visit.door.settings, None if provider is None else provider.id)
    return response


def _back(visit: Visit) -> str:
    """The page that was asked for."""
    wished = visit.request.query_params.get("next", "")
    return wished if _BACK.fullmatch(wished) else "/"


def _query(back: str) -> str:
    return "" if back == "/" else "?" + urlencode({"next": back})


def _callback(visit: Visit) -> str:
    return visit.door.settings.base_url + CALLBACK


PAGES: Final = (
    Page(CALLBACK, show=come_back, public=True, bare=True),
    Page("/link/{secret}", show=offer, act=redeem, public=True, bare=True),
    Page("/login", show=ways, public=True),
    Page("/login/{provider}", show=leave, public=True),
    Page("/signed-out/{provider}", show=signed_out, public=True),
)
