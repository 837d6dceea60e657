"""The provider token as Apple checks it: validations A-11 and A-12."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import jwt

LIFE: Final = 3600
UPDATES_APART: Final = 1200
"""Seconds within which a team may change its token once."""
Refusal = tuple[int, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class TeamKey:
    """A signing key of a team. `topics` None: all of the team's."""

    team_id: str
    key_id: str
    public_pem: bytes
    environment: str = "production"


@dataclass(slots=True)
class Bound:
    """What the first request bound a connection to; and whether it is spoilt."""

    team_id: str = ""
    key_id: str = ""
    expired: bool = False
    """One request had an expired token: the connection answers nothing else any more."""


@dataclass(slots=True)
class TokenChecks:
    """Checks tokens of all connections. `per_team` counts distinct tokens per team, else per connection."""

    keys: Mapping[str, TeamKey]
    environment: str = "production"
    _seen: dict[str, list[tuple[float, str]]] = field(default_factory=dict)
    _good: dict[str, tuple[str, str, int]] = field(default_factory=dict)
    """token → (team, key, iat) once its signature was found right"""

    def check(self, authorization: bytes | None, bound: Bound, now: float) -> Refusal | None:
        """None when the request may pass."""
        scheme, _, token = (authorization or b"").decode("latin-1").partition(" ")
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
        if not self._may_change(team_id, token, now):
            return 429, "TooManyProviderTokenUpdates"
        bound.team_id, bound.key_id = team_id, key_id
        return None

    def tokens_of(self, team_id: str) -> int:
        """How many distinct tokens a team has used."""
        return len({token for _, token in self._seen.get(team_id, [])})

    def _verify(self, token: str) -> tuple[str, str, int] | None:
        try:
            header = jwt.get_unverified_header(token)
            key = self.keys[header["kid"]]
            claims = jwt.decode(
                token, key.public_pem, algorithms=["ES256"], options={"verify_iat": False, "verify_exp": False}
            )
            found = str(claims["iss"]), key.key_id, int(claims["iat"])
        except (jwt.PyJWTError, KeyError, ValueError, TypeError):
            return None
        if header.get("alg") != "ES256" or found[0] != key.team_id:
            return None
        self._good[token] = found
        return found

    def _may_change(self, team_id: str, token: str, now: float) -> bool:
        """The first token is free, and then one change in 20 minutes."""
        seen = self._seen.setdefault(team_id, [])
        if any(known == token for _, known in seen):
            return True
        changes = [at for at, _ in seen[1:] if at > now - UPDATES_APART]
        if changes:
            return False
        seen.append((now, token))
        return True
