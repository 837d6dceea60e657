"""The session in the browser: one cookie, and the proof that a form is one of ours.

The cookie holds a secret that the relay has made and knows by its hash only. `__Host-` ties it to this host, to HTTPS
and to no domain above; over plain HTTP, which is for localhost, the browser would refuse that name.

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

_CSRF: Final = b"feierabend door: forms"
_LONGEST: Final = 200
"""Characters of a secret; a longer one is none of the relay's."""


class Sender(Enum):
    """Where a form comes from, by the browser's word."""

    OURS = auto()
    ELSEWHERE = auto()
    UNTOLD = auto()


def cookie_name(settings: Settings) -> str:
    return "__Host-feierabend" if settings.is_secure else "feierabend"


def shown(request: Request, settings: Settings) -> Secret | None:
    """The secret that the browser shows; whether it is good, the relay knows."""
    value = request.cookies.get(cookie_name(settings), "")
    good = 0 < len(value) <= _LONGEST and value.isascii() and value.isprintable() and " " not in value
    return Secret(value) if good else None


def begin(response: Response, opened: Opened, settings: Settings) -> None:
    """The browser keeps the session, no longer than the relay does."""
    response.set_cookie(
        cookie_name(settings), opened.session.value, max_age=int(opened.expires_in), path="/", httponly=True,
        samesite="lax", secure=settings.is_secure,
    )  # fmt: skip


def end(response: Response, settings: Settings) -> None:
    response.set_cookie(
        cookie_name(settings), "", max_age=0, path="/", httponly=True, samesite="lax", secure=settings.is_secure
    )


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
