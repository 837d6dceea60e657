"""The session in the browser: one cookie, and the proof that a form is one of ours.

The cookie holds a secret that the relay has made and knows by its hash only. `__Host-` ties it to this host, to HTTPS
and to no domain above; over plain HTTP, which is for localhost, the browser would refuse that name. Behind the secret
stands the OpenID provider by which it was got, if it was, for there one signs out too. While a login is under way, and
there is no session, the cookie holds a value that is none (under_way.py). With each login it is another.

A form that changes something carries a CSRF token: an HMAC of a constant, keyed by the session's secret. Nothing has to
be kept for it, and it ends with the session. Beside it the browser's own word is asked: `Sec-Fetch-Site`, or `Origin`
where that is not sent. Under `Referrer-Policy: no-referrer` browsers send `Origin: null` with our own forms, so that a
null origin says nothing; then the token alone decides, and a form without a session is refused.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from enum import Enum, auto
from hashlib import sha256
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from schedules.web.port import Opened, Secret
from schedules.web.settings import Settings
from schedules.web.under_way import LIFE, is_binding

_CSRF: Final = b"feierabend door: forms"
_LONGEST: Final = 200
"""Characters of a secret; a longer one is none of the relay's."""
_BY: Final = "~"
"""Between secret and provider; it stands in no secret."""


class Sender(Enum):
    """Where a form comes from, by the browser's word."""

    OURS = auto()
    ELSEWHERE = auto()
    UNTOLD = auto()


def cookie_name(settings: Settings) -> str:
    return "__Host-feierabend" if settings.is_secure else "feierabend"


def cookie(request: Request, settings: Settings) -> str | None:
    """What the browser shows, whatever it is."""
    return request.cookies.get(cookie_name(settings))


def shown(request: Request, settings: Settings) -> Secret | None:
    """The secret that the browser shows; whether it is good, the relay knows."""
    value = (cookie(request, settings) or "").partition(_BY)[0]
    good = 0 < len(value) <= _LONGEST and value.isascii() and value.isprintable() and " " not in value
    return Secret(value) if good and not is_binding(value) else None


def provider(request: Request, settings: Settings) -> str | None:
    """By which OpenID provider the session was got; None: by a link."""
    return (cookie(request, settings) or "").partition(_BY)[2] or None


def begin(response: Response, opened: Opened, settings: Settings, provider: str | None = None) -> None:
    """The browser keeps the session, no longer than the relay does."""
    value = opened.session.value if provider is None else f"{opened.session.value}{_BY}{provider}"
    _set(response, settings, value, int(opened.expires_in))


def bind(response: Response, value: str, settings: Settings) -> None:
    """The browser keeps what a login under way is bound to."""
    _set(response, settings, value, int(LIFE))


def end(response: Response, settings: Settings) -> None:
    _set(response, settings, "", 0)


def _set(response: Response, settings: Settings, value: str, seconds: int) -> None:
    response.set_cookie(
        cookie_name(settings), value, max_age=seconds, path="/", httponly=True, samesite="lax",
        secure=settings.is_secure,
    )  # fmt: skip


def csrf(secret: Secret) -> str:
    return hmac.new(secret.value.encode(), _CSRF, sha256).hexdigest()


def is_csrf(secret: Secret, token: str) -> bool:
    return hmac.compare_digest(csrf(secret).encode(), token.encode())


def sender(headers: Mapping[str, str], settings: Settings) -> Sender:
    site = headers.get("sec-fetch-site")
    if site is not None:
        return Sender.OURS if site in ("same-origin", "none") else Sender.ELSEWHERE
    origin = headers.get("origin", "null")
    if origin == "null":
        return Sender.UNTOLD
    return Sender.OURS if origin == settings.base_url else Sender.ELSEWHERE
