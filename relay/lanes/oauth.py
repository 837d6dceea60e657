"""Access tokens for FCM: one per service account, kept fresh in the background.

A signed assertion is exchanged for a token of an hour (RFC 7523; Google, "Using OAuth 2.0 for server to server
applications"). One exchange at a time, five minutes before the token ends; while exchanges fail the old token stays in
use for as long as it is good, and the pause between them grows from 1 s to 60 s. A token that FCM refuses is given up
at once, but never more than once a minute: a refused token that is fresh means that the account is wrong.

An account that replaces another must first earn a token: until it does, the one before goes on, and so does its token.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import lru_cache
from random import Random
from typing import Final

import jwt
import structlog
import trio
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from relay.clock import Clock
from relay.wire import ConnectionLost

SCOPE: Final = "https://www.googleapis.com/auth/firebase.messaging"
GRANT: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"
EARLY: Final = 300.0
"""Seconds before its end at which a token is replaced."""
FRESH: Final = 60.0
"""A token younger than this (seconds) that is refused was not refused for its age."""
STRAGGLERS: Final = 30.0
"""Seconds after a replacement for which answers may still be about the token before."""
FIRST_WAIT: Final = 1.0
LONGEST_WAIT: Final = 60.0
EXCHANGE: Final = 20.0
"""Seconds for one exchange."""

log = structlog.get_logger()
PostForm = Callable[[str, dict[str, str]], Awaitable[tuple[int, bytes]]]
"""(uri, form) → (status, body). Raises OSError, ConnectionLost when there is no answer."""


@dataclass(frozen=True, slots=True)
class ServiceAccount:
    """What the relay needs of a Google service account file."""

    project_id: str
    client_email: str
    private_key: str = field(repr=False)
    private_key_id: str
    token_uri: str


class AccessToken:
    """The current token of one account."""

    def __init__(self, account: ServiceAccount, post: PostForm, clock: Clock, rng: Random) -> None:
        self._account = account
        self._successor: ServiceAccount | None = None
        """Has not earned a token yet."""
        self._post = post
        self._clock = clock
        self._rng = rng
        self._bearer = b""
        self._made_at = 0.0
        self._ends_at = 0.0
        self._was_refused = False
        self._is_replacement = False
        self._wanted = trio.Event()

    def __repr__(self) -> str:
        return "<AccessToken>"

    def bearer(self, now: float) -> bytes:
        """Value of the `authorization` field; empty when there is no token that is good now."""
        return self._bearer if now < self._ends_at else b""

    def renew(self, account: ServiceAccount) -> None:
        """Use another account of the project from now on, if it is given tokens. Raises ValueError."""
        if account.project_id != self._account.project_id:
            raise ValueError("belongs to another project")
        if account != self._account:
            self._successor = account
            self._wanted.set()

    def refused(self, now: float) -> bool:
        """FCM did not take the token: get another. False: it is fresh, so another would be refused as well.

        True as well for what is left of the token before: many requests are in flight when it is refused.
        """
        age = now - self._made_at
        if age < FRESH:
            return self._is_replacement and age < STRAGGLERS
        self._ends_at = 0.0
        self._was_refused = True
        self._wanted.set()
        return True

    async def run(
        self, changed: Callable[[], None], *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Keep a good token until cancelled. `changed` is called with each new one."""
        task_status.started()
        wait = FIRST_WAIT
        while True:
            tried = self._successor
            if await self._succeed() or await self._exchange(self._account):
                wait = FIRST_WAIT
                changed()
                life = self._ends_at - self._made_at
                if self._successor in (None, tried):  # else one came meanwhile
                    await self._until(self._made_at + max(life - EARLY, life / 2))
            else:
                await self._clock.sleep_until(self._clock.now() + wait * (0.5 + self._rng.random() / 2))
                wait = min(wait * 2, LONGEST_WAIT)

    async def _succeed(self) -> bool:
        """Let the successor earn a token; from then on it is the account."""
        successor = self._successor
        if successor is None or not await self._exchange(successor):
            return False
        self._account = successor
        if self._successor is successor:
            self._successor = None
        return True

    async def _until(self, instant: float) -> None:
        """Return at the instant, or when the token is refused or the account replaced."""
        self._wanted = trio.Event()
        async with trio.open_nursery() as nursery:

            async def due() -> None:
                await self._clock.sleep_until(instant)
                nursery.cancel_scope.cancel()

            nursery.start_soon(due)
            await self._wanted.wait()
            nursery.cancel_scope.cancel()

    async def _exchange(self, account: ServiceAccount) -> bool:
        """One exchange; False when it failed. Says why, by Google's own word."""
        now = self._clock.now()
        reason = "timeout"
        with trio.move_on_after(EXCHANGE):
            try:
                form = {"grant_type": GRANT, "assertion": assertion(account, now)}
                status, body = await self._post(account.token_uri, form)
            except OSError as error:
                reason = type(error).__name__
            except ConnectionLost as error:
                reason = error.reason
            else:
                if status == 200 and self.take(body, now):
                    return True
                reason = refusal(status, body)
        log.warning("token_exchange_failed", project=account.project_id, reason=reason)
        return False

    def take(self, body: bytes, now: float) -> bool:
        """Use the token of an answer; False when it holds none."""
        try:
            content = json.loads(body)
            token, life = content["access_token"], float(content["expires_in"])
        except (ValueError, TypeError, KeyError):
            return False
        if not isinstance(token, str) or not token.isascii() or not token.isprintable() or not 0 < life <= 86_400:
            return False
        self._bearer, self._made_at, self._ends_at = b"Bearer " + token.encode(), now, now + life
        self._is_replacement, self._was_refused = self._was_refused, False
        return True


def assertion(account: ServiceAccount, now: float) -> str:
    """The signed claim that we are the account; good for an hour."""
    return jwt.encode(
        {
            "iss": account.client_email,
            "scope": SCOPE,
            "aud": account.token_uri,
            "iat": int(now),
            "exp": int(now) + 3600,
        },
        _signing_key(account.private_key),
        algorithm="RS256",
        headers={"kid": account.private_key_id},
    )


@lru_cache(maxsize=16)
def _signing_key(pem: str) -> RSAPrivateKey:
    """Read once: to check an RSA key takes 50 ms, for which everybody would wait, and be it an alarm."""
    key = load_pem_private_key(pem.encode(), None)
    if not isinstance(key, RSAPrivateKey):
        raise ValueError("the key of the service account is no RSA key")
    return key


def refusal(status: int, body: bytes) -> str:
    """Google's own word for why there is no token, or "status_NNN"."""
    try:
        word = json.loads(body)["error"]
    except (ValueError, TypeError, KeyError):
        word = ""
    is_word = isinstance(word, str) and word.isascii() and word.replace("_", "").isalpha() and len(word) <= 40
    return word if is_word else f"status_{status}"
