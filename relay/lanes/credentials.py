"""Provider tokens for APNs: one per team and key, shared by all lanes and connections.

ES256, header `alg` and `kid` only, claims `iss` and `iat` (Apple, "Establishing a token-based connection to APNs").
Apple counts distinct tokens per team, whoever made them: more than one change in 20 minutes is answered 429
TooManyProviderTokenUpdates. So a process that is started again must come to the same token: `iat` is the beginning of a
slot of 39 minutes, and the signature is deterministic (RFC 6979; ordinary ECDSA signs the same claims differently each
time). One object is shared within the process, and a token is never made in answer to a 429.

A token whose first use came late in its slot is kept for 20 minutes all the same; 39 + 20 are within Apple's hour, so
slots are not longer. A process that is started in those minutes, or another node, does not know of it and begins with
the next token, one change too many. Told so it goes back to the one before, which it can make as it was (`step_back`).
"""

from __future__ import annotations

import json
from typing import Final

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from jwt.algorithms import ECAlgorithm
from jwt.utils import der_to_raw_signature

LIFE: Final = 2340.0
"""Seconds a token is used as a rule, and length of the slots at whose beginning `iat` lies."""
LONGEST: Final = 3540.0
"""Seconds a token is used at most; Apple refuses it after 3,600."""
YOUNGEST_REMINT: Final = 1200.0
"""A token that came into use less than this (seconds) ago is not replaced: Apple allows one update per 20 minutes."""
STRAGGLERS: Final = 60.0
"""Seconds after a replacement for which answers may still be about the token before."""


class ProviderToken:
    """The current token of one (team, key). `key` is the PEM of an EC P-256 private key."""

    __slots__ = (
        "_bearer", "_is_replacement", "_key", "_key_id", "_minted_at", "_stepped_at", "_team_id", "_used_since",
    )  # fmt: skip

    def __init__(self, team_id: str, key_id: str, key: bytes) -> None:
        self._team_id = team_id
        self._key_id = key_id
        self._key = key
        self._bearer = b""
        self._minted_at = float("-inf")
        self._used_since = float("-inf")
        self._stepped_at = float("-inf")
        self._is_replacement = False

    def __repr__(self) -> str:
        return "<ProviderToken>"

    def is_of(self, key: bytes) -> bool:
        """Whether it is signed with this key (PEM)."""
        return self._key.split() == key.split()

    def bearer(self, now: float) -> bytes:
        """Value of the `authorization` field. A clock stepped back by more than a life mints anew as well."""
        if self._is_over(now):
            slot = now // LIFE * LIFE
            # A token replaced before its time has left the slots: back to them only where no change is near.
            was_in_slot = not self._bearer or self._minted_at % LIFE == 0
            self._mint(slot if was_in_slot or slot + LIFE - now >= YOUNGEST_REMINT else now)
            self._used_since = now
        return self._bearer

    def _is_over(self, now: float) -> bool:
        age = now - self._minted_at
        if not -LIFE < age < LONGEST:
            return True
        return age >= LIFE and now - self._used_since >= YOUNGEST_REMINT

    def expired(self, now: float) -> bool:
        """Apple called the token expired: mint a new one if that can be true. False: our clock must be wrong.

        True as well for what is left of the token before: many requests are in flight when it expires, on connections
        of several lanes, and each of them says so.
        """
        age = abs(now - self._minted_at)
        if age < YOUNGEST_REMINT:
            return self._is_replacement and age < STRAGGLERS
        self._mint(now)
        self._used_since = now
        return True

    def step_back(self, now: float) -> bool:
        """Apple called the token a change too soon: use that of the slot before, while it is good. False: it is not.

        True as well for what is left of the newer one: many requests with it may be in flight.
        """
        if 0 <= now - self._stepped_at < STRAGGLERS:
            return True
        before = self._minted_at - LIFE
        if self._minted_at % LIFE or not 0 <= now - before < LONGEST:
            return False
        self._mint(before)
        self._used_since = self._stepped_at = now
        return True

    def _mint(self, at: float) -> None:
        claims = json.dumps({"iss": self._team_id, "iat": int(at)}, separators=(",", ":")).encode()
        token = _SIGNER.encode(claims, self._key, algorithm="ES256", headers={"kid": self._key_id, "typ": None})
        self._is_replacement = bool(self._bearer)
        self._bearer = b"bearer " + token.encode()
        self._minted_at = at


class _Deterministic(ECAlgorithm):
    """ES256 whose signature follows from key and claims."""

    def sign(self, msg: bytes, key: EllipticCurvePrivateKey) -> bytes:
        return der_to_raw_signature(key.sign(msg, ECDSA(SHA256(), deterministic_signing=True)), key.curve)


_SIGNER: Final = jwt.PyJWS()
_SIGNER.unregister_algorithm("ES256")
_SIGNER.register_algorithm("ES256", _Deterministic(ECAlgorithm.SHA256))


class ProviderTokens:
    """All provider tokens of this process: the same team and key give the same object."""

    __slots__ = ("_tokens",)

    def __init__(self) -> None:
        self._tokens: dict[tuple[str, str], ProviderToken] = {}

    def of(self, team_id: str, key_id: str, key: bytes) -> ProviderToken:
        """Raises ValueError when another key is known under this id: Apple gives every key an id of its own."""
        found = self._tokens.get((team_id, key_id))
        if found is None:
            found = self._tokens[(team_id, key_id)] = ProviderToken(team_id, key_id, key)
        elif not found.is_of(key):
            raise ValueError("is another key under the id of the one in use; name the file AuthKey_<key id>.p8")
        return found
