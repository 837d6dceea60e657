"""A login that is under way: what the door must know again when the provider sends the browser back.

Where is it kept, when the door keeps nothing and the only cookie is the session's? In the `state` that goes to the
provider and comes back, sealed (AES-256-GCM) under a key made when the process starts: nonce, code verifier, the page
that was asked for. So a thousand logins begun and left cost nothing, and whoever holds the `state` can read none of it.

And whose browser is it? The seal holds only together with the value of the session cookie. The browser that has none is
given one at the beginning, a random value that is no session. It lives as long as the login; another login that is
begun meanwhile, in a second tab perhaps, shares it and gives it its whole life again. A browser that has a session goes
on with that. At success it is replaced by the new session, so a value that somebody planted is worth nothing, and when
the provider's answer is refused it ends: a `state` that was used opens nothing any more. Somebody else's address with
`state` and code, slipped to an officer, does not fit the officer's cookie: nobody is signed in as another (login CSRF).

Rejected: a table in memory (to be filled by anybody, and lost at a restart just as well), a second cookie (the page
promises one), and `state` as a mere random number in that cookie (nonce and verifier would have to lie somewhere).
A restart of the door ends the logins under way: the officer starts again.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
import secrets
from dataclasses import asdict, dataclass, field
from typing import Final

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from schedules.web.oidc_token import LoginRefused, Refusal

LIFE: Final = 600.0
"""Seconds from the beginning of a login to its end: time to find the second factor."""
LONGEST_STATE: Final = 4096
PRE_LOGIN: Final = "login."
"""What the cookie begins with while it is no session: the relay need not be asked about it."""
_FORM: Final = re.compile(r"[A-Za-z0-9_.~-]{32,200}")
"""A cookie worth binding to. What is shorter could be guessed, and was not made by us."""
_NONCE_BYTES: Final = 12
_PURPOSE: Final = b"feierabend door: login under way\0"


@dataclass(frozen=True, slots=True, kw_only=True)
class UnderWay:
    """One login."""

    provider: str
    nonce: str = field(repr=False)
    verifier: str = field(repr=False)
    """Of PKCE."""
    back: str = field(repr=False)
    """Path to go to in the end."""
    language: str
    begun_at: float


def begin(provider: str, back: str, language: str, now: float) -> UnderWay:
    return UnderWay(
        provider=provider,
        nonce=secrets.token_urlsafe(32),
        verifier=secrets.token_urlsafe(48),  # 64 characters; RFC 7636 wants 43 to 128
        back=back,
        language=language,
        begun_at=now,
    )


def challenge(verifier: str) -> str:
    """S256 of RFC 7636."""
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


def binding(cookie: str | None) -> str:
    """What a login is bound to: the cookie that the browser has, or a new one."""
    return cookie if cookie is not None and _FORM.fullmatch(cookie) else PRE_LOGIN + secrets.token_urlsafe(32)


def is_binding(cookie: str | None) -> bool:
    """Whether a cookie is for logins under way only, and no session."""
    return cookie is not None and cookie.startswith(PRE_LOGIN)


class Sealer:
    """Makes `state` of logins and opens it again. One for the life of the process."""

    def __init__(self) -> None:
        self._aead = AESGCM(AESGCM.generate_key(256))

    def __repr__(self) -> str:
        return "<Sealer>"

    def seal(self, login: UnderWay, cookie: str) -> str:
        nonce = os.urandom(_NONCE_BYTES)
        sealed = self._aead.encrypt(nonce, msgspec.json.encode(asdict(login)), _bound_to(cookie))
        return base64.urlsafe_b64encode(nonce + sealed).rstrip(b"=").decode()

    def open(self, state: str, cookie: str | None, now: float) -> UnderWay:
        """Raises LoginRefused: STATE where it was not made here for this browser, LATE after `LIFE` seconds."""
        if cookie is None or len(state) > LONGEST_STATE or not state.isascii():
            raise LoginRefused(Refusal.STATE)
        try:
            raw = base64.urlsafe_b64decode(state + "=" * (-len(state) % 4))
            opened = self._aead.decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], _bound_to(cookie))
        except (ValueError, InvalidTag):
            raise LoginRefused(Refusal.STATE) from None
        login = msgspec.json.decode(opened, type=UnderWay)
        if not login.begun_at - LIFE < now < login.begun_at + LIFE:
            raise LoginRefused(Refusal.LATE)
        return login


def _bound_to(cookie: str) -> bytes:
    return _PURPOSE + hashlib.sha256(cookie.encode(errors="surrogatepass")).digest()
