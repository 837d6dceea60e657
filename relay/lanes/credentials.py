"""Provider tokens for APNs: one per team and key, shared by all lanes and connections.

ES256, header `alg` and `kid` only, claims `iss` and `iat` (Apple, "Establishing a token-based connection to APNs").
ECDSA is randomised: signing again gives another token, and Apple counts distinct tokens per team (429
TooManyProviderTokenUpdates beyond one per 20 minutes). So there is one object, minted every 50 minutes, and never in
answer to a 429.
"""

from __future__ import annotations

from typing import Final

import jwt

LIFE: Final = 3000.0
"""Seconds a token is used; Apple refuses it after 3,600."""
YOUNGEST_REMINT: Final = 1200.0
"""A token younger than this (seconds) is never replaced: Apple allows one update per 20 minutes."""


class ProviderToken:
    """The current token of one (team, key). `key` is the PEM of an EC P-256 private key."""

    __slots__ = ("_bearer", "_key", "_key_id", "_minted_at", "_team_id")

    def __init__(self, team_id: str, key_id: str, key: bytes) -> None:
        self._team_id = team_id
        self._key_id = key_id
        self._key = key
        self._bearer = b""
        self._minted_at = float("-inf")

    def __repr__(self) -> str:
        return "<ProviderToken>"

    def bearer(self, now: float) -> bytes:
        """Value of the `authorization` field. A clock stepped back by more than a life mints anew as well."""
        if not -LIFE < now - self._minted_at < LIFE:
            self._mint(now)
        return self._bearer

    def expired(self, now: float) -> bool:
        """Apple called the token expired: mint a new one if that can be true. False: our clock must be wrong."""
        if abs(now - self._minted_at) < YOUNGEST_REMINT:
            return False
        self._mint(now)
        return True

    def _mint(self, now: float) -> None:
        token = jwt.encode(
            {"iss": self._team_id, "iat": int(now)},
            self._key,
            algorithm="ES256",
            headers={"kid": self._key_id, "typ": None},
        )
        self._bearer = b"bearer " + token.encode()
        self._minted_at = now


class ProviderTokens:
    """All provider tokens of this process: the same team and key give the same object."""

    __slots__ = ("_tokens",)

    def __init__(self) -> None:
        self._tokens: dict[tuple[str, str], ProviderToken] = {}

    def of(self, team_id: str, key_id: str, key: bytes) -> ProviderToken:
        found = self._tokens.get((team_id, key_id))
        if found is None:
            found = self._tokens[(team_id, key_id)] = ProviderToken(team_id, key_id, key)
        return found
