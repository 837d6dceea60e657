"""The provider token as Apple checks it: validations A-11 and A-12."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Final

import jwt

LIFE: Final = 3600
UPDATES_APART: Final = 1200
"""Seconds within which a token may be changed once."""
Refusal = tuple[int, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class TeamKey:
    """A signing key of a team. `topics` None: good for all topics the fake knows."""

    team_id: str
    key_id: str
    public_pem: bytes
    environment: str = "production"
    topics: Collection[str] | None = None


@dataclass(slots=True)
class Changes:
    """Distinct tokens, in the order of their first use: the first is free, then one change in 20 minutes."""

    tokens: dict[str, float] = field(default_factory=dict)

    def barred_until(self, token: str) -> float:
        """When this token may be used."""
        if token in self.tokens or len(self.tokens) < 2:
            return float("-inf")
        return next(reversed(self.tokens.values())) + UPDATES_APART


@dataclass(slots=True)
class Bound:
    """What the first request bound a connection to; and whether it is spoilt."""

    team_id: str = ""
    key_id: str = ""
    expired: bool = False
    """One request had an expired token: the connection answers nothing else any more."""
    changes: Changes = field(default_factory=Changes)
    barred_until: float = float("-inf")
    """It has changed its token too often: nothing passes until then, not even the old token."""


@dataclass(slots=True)
class TokenChecks:
    """Checks tokens of all connections. Changes count per connection, as documented, and per team, as observed."""

    keys: Mapping[str, TeamKey]
    environment: str = "production"
    _changes: dict[str, Changes] = field(default_factory=dict)
    """By team."""
    _good: dict[str, tuple[str, str, int]] = field(default_factory=dict)
    """token → (team, key, iat) once its signature was found right"""

    def check(self, authorization: str | None, bound: Bound, now: float) -> Refusal | None:
        """None when the request may pass."""
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            return 403, "MissingProviderToken"
        if bound.expired:
            return 403, "ExpiredProviderToken"
        found = self._good.get(token) or self._verify(token)
        if found is None:
            return 403, "InvalidProviderToken"
        team_id, key_id, iat = found
        if bound.team_id and bound.team_id != team_id:
            return 403, "InvalidProviderToken"
        if bound.key_id and bound.key_id != key_id:
            return 403, "UnrelatedKeyIdInToken"
        if self.keys[key_id].environment != self.environment:
            return 403, "BadEnvironmentKeyIdInToken"
        if iat < now - LIFE:
            bound.expired = True
            return 403, "ExpiredProviderToken"
        if iat > now + LIFE:
            return 403, "InvalidProviderToken"
        if not self._may_change(team_id, token, bound, now):
            return 429, "TooManyProviderTokenUpdates"
        bound.team_id, bound.key_id = team_id, key_id
        return None

    def allows(self, bound: Bound, topic: str) -> bool:
        """Whether the key that a connection is bound to is good for a topic."""
        topics = self.keys[bound.key_id].topics
        return topics is None or topic in topics

    def tokens_of(self, team_id: str) -> int:
        """How many distinct tokens a team has used."""
        return len(self._changes[team_id].tokens) if team_id in self._changes else 0

    def _verify(self, token: str) -> tuple[str, str, int] | None:
        try:
            header = jwt.get_unverified_header(token)
            key = self.keys[header["kid"]]
            claims = jwt.decode(
                token, key.public_pem, algorithms=["ES256"], options={"verify_iat": False, "verify_exp": False}
            )
            team_id, iat = claims["iss"], claims["iat"]
            if team_id != key.team_id or type(iat) not in (int, float):
                return None
            found = key.team_id, key.key_id, int(iat)
        except (jwt.PyJWTError, KeyError, ValueError, TypeError, OverflowError, RecursionError):
            return None
        self._good[token] = found
        return found

    def _may_change(self, team_id: str, token: str, bound: Bound, now: float) -> bool:
        counts = bound.changes, self._changes.setdefault(team_id, Changes())
        bound.barred_until = max(bound.barred_until, *(changes.barred_until(token) for changes in counts))
        if bound.barred_until > now:
            return False
        for changes in counts:
            changes.tokens.setdefault(token, now)
        return True
