"""What an ID token must be before somebody is let in by it (OpenID Connect Core 1.0, 3.1.3.7): pure checks by `now`.

The signature is checked first, with a key of the provider and an algorithm of our list, and only then is a claim
read. Whatever is wrong is one `LoginRefused` with a reason from `Refusal`; garbage is refused like a forgery. PyJWT
checks the signature only: of the claims it would skip those that are missing, and it reads a clock.

Rejected: `none` and the HMAC algorithms. The first proves nothing, the second lets whoever knows a public key, taken
for a secret, sign. Not supported: encrypted ID tokens, and claims that are to be had from the userinfo endpoint only.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from math import isfinite
from typing import Any, Final

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

LEEWAY: Final = 60.0
"""Seconds that the provider's clock and ours may be apart."""
LONGEST_AGE: Final = 600.0
"""Seconds between the making of a token and its arrival here; it comes straight from the provider."""
LONGEST_TOKEN: Final = 16_384
LONGEST_USER: Final = 200
MOST_KEYS: Final = 50
FEWEST_RSA_BITS: Final = 2048

ALGORITHMS: Final[Mapping[str, tuple[str, str | None]]] = {
    "RS256": ("RSA", None),
    "PS256": ("RSA", None),
    "ES256": ("EC", "P-256"),
    "EdDSA": ("OKP", "Ed25519"),
}
"""Algorithm → type and curve of its keys. What is not here is refused."""


class Refusal(StrEnum):
    """Why somebody is not let in: for the log, for the sentence on the page, and for tests."""

    # of a login as a whole
    STATE = "state"
    """It was not begun here, or in another browser, or before this process started."""
    LATE = "late"
    CANCELLED = "cancelled"
    """The provider says so, or that it refuses."""
    CODE = "code"
    """The provider does not take the code: used, too old, or not ours."""
    UNAVAILABLE = "unavailable"
    """The provider does not answer, or not as it must."""
    # of an ID token
    MALFORMED = "malformed"
    ALGORITHM = "algorithm"
    KEY = "key"
    SIGNATURE = "signature"
    ISSUER = "issuer"
    AUDIENCE = "audience"
    EXPIRED = "expired"
    ISSUED = "issued"
    """Too long ago, or in the future."""
    NONCE = "nonce"
    ACCESS_TOKEN = "access_token"
    ACR = "acr"
    AMR = "amr"
    USER = "user"


SECOND_FACTOR: Final = frozenset({Refusal.ACR, Refusal.AMR})
"""The person was known, and had not shown all that is required."""


class LoginRefused(Exception):
    """Nobody is let in. Says why, and nothing of whom."""

    def __init__(self, reason: Refusal, detail: str = "", *, is_echo: bool = False) -> None:
        self.reason = reason
        self.detail = detail
        """For operators, in words of ours."""
        self.is_echo = is_echo
        """The same was said a moment ago, and nothing was asked anew."""
        super().__init__(f"{reason}: {detail}" if detail else reason)


@dataclass(frozen=True, slots=True)
class Key:
    """A public key of the provider, and the algorithms that it may be used with."""

    kid: str | None
    algorithms: frozenset[str]
    public: Any = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What the claims must say."""

    issuer: str
    client_id: str
    nonce: str = field(repr=False)
    user_claim: str = "sub"
    acr_values: tuple[str, ...] = ()
    """One of these; none: it does not matter."""
    amr: tuple[str, ...] = ()
    """All of these."""


def read_keys(body: bytes) -> tuple[Key, ...]:
    """The usable ones of a JWK set; others are skipped. Raises LoginRefused where it is no set, or none is usable."""
    content = parsed(body, Refusal.UNAVAILABLE, "the key set is no JSON object")
    listed = content.get("keys")
    if not isinstance(listed, list):
        raise LoginRefused(Refusal.UNAVAILABLE, "the key set has no list of keys")
    keys = tuple(key for each in listed[:MOST_KEYS] if (key := _key(each)) is not None)
    if not keys:
        raise LoginRefused(Refusal.UNAVAILABLE, "the key set has no usable key")
    return keys


def _key(content: object) -> Key | None:
    """None: not for signatures of ours, or too weak, or a private one, which proves nothing once it is published."""
    if not isinstance(content, dict) or content.get("use", "sig") != "sig" or "d" in content:
        return None
    own = content.get("alg")
    algorithms = frozenset(
        name
        for name, (kty, curve) in ALGORITHMS.items()
        if content.get("kty") == kty and curve in (None, content.get("crv")) and own in (None, name)
    )
    kid = content.get("kid")
    if not algorithms or not (kid is None or isinstance(kid, str)):
        return None
    try:
        public = jwt.PyJWK(content, min(algorithms)).key
    except (jwt.PyJWTError, ValueError, TypeError, LookupError):
        return None
    if isinstance(public, RSAPublicKey) and public.key_size < FEWEST_RSA_BITS:
        return None
    return Key(kid, algorithms, public)


def user_of(token: str, *, keys: Sequence[Key], expected: Expected, access_token: str | None, now: float) -> str:
    """Who has signed in, by the configured claim. Raises LoginRefused."""
    claims = _signed(token, keys)
    _check_parties(claims, expected)
    _check_times(claims, now)
    if not _same(claims.get("nonce"), expected.nonce):
        raise LoginRefused(Refusal.NONCE)
    _check_access_token(claims, token, access_token)
    _check_factors(claims, expected)
    user = claims.get(expected.user_claim)
    if not isinstance(user, str) or not 0 < len(user) <= LONGEST_USER or not _is_text(user):
        raise LoginRefused(Refusal.USER, "the claim is missing, or no text of 1 to 200 characters")
    return user


def parsed(body: bytes | str, reason: Refusal, detail: str) -> dict[str, Any]:
    """A JSON object. Raises LoginRefused."""
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        raise LoginRefused(reason, detail)
    return content


def _header(token: str) -> dict[str, Any]:
    if len(token) > LONGEST_TOKEN or token.count(".") != 2 or not token.isascii():
        raise LoginRefused(Refusal.MALFORMED)
    first = token.partition(".")[0]
    try:
        decoded = base64.urlsafe_b64decode(first + "=" * (-len(first) % 4))
    except ValueError:
        raise LoginRefused(Refusal.MALFORMED) from None
    return parsed(decoded, Refusal.MALFORMED, "")


def _signed(token: str, keys: Sequence[Key]) -> dict[str, Any]:
    """The claims, once a key has vouched for them."""
    header = _header(token)
    algorithm, kid = header.get("alg"), header.get("kid")
    if not isinstance(algorithm, str) or algorithm not in ALGORITHMS:
        raise LoginRefused(Refusal.ALGORITHM)
    if (
        "crit" in header or str(header.get("typ", "JWT")).upper() != "JWT"
    ):  # of another kind: not to be mistaken for ours
        raise LoginRefused(Refusal.MALFORMED)
    fitting = [key for key in keys if algorithm in key.algorithms and kid in (None, key.kid)]
    if not fitting or (kid is None and len(fitting) > 1):
        raise LoginRefused(Refusal.KEY)
    for key in fitting:
        try:
            payload = jwt.PyJWS().decode_complete(token, key.public, algorithms=[algorithm])["payload"]
        except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
            continue
        return parsed(payload, Refusal.MALFORMED, "")
    raise LoginRefused(Refusal.SIGNATURE)


def _check_parties(claims: Mapping[str, Any], expected: Expected) -> None:
    if claims.get("iss") != expected.issuer:
        raise LoginRefused(Refusal.ISSUER)
    audience, party = claims.get("aud"), claims.get("azp")
    listed = audience if isinstance(audience, list) else [audience]
    if expected.client_id not in listed or party not in (None, expected.client_id):
        raise LoginRefused(Refusal.AUDIENCE)
    if len(listed) > 1 and party is None:
        raise LoginRefused(Refusal.AUDIENCE, "several, and none is named as the one that asked")


def _check_times(claims: Mapping[str, Any], now: float) -> None:
    """Written so that whatever is no number, and NaN, is refused."""
    ends, made, begins = (_instant(claims.get(name)) for name in ("exp", "iat", "nbf"))
    if ends is None or not now < ends + LEEWAY:
        raise LoginRefused(Refusal.EXPIRED)
    if made is None or not now - LONGEST_AGE - LEEWAY <= made <= now + LEEWAY:
        raise LoginRefused(Refusal.ISSUED)
    if "nbf" in claims and (begins is None or not begins <= now + LEEWAY):
        raise LoginRefused(Refusal.ISSUED)


def _instant(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        instant = float(value)
    except OverflowError:
        return None
    return instant if isfinite(instant) else None


def _check_access_token(claims: Mapping[str, Any], token: str, access_token: str | None) -> None:
    """`at_hash`, where it is: the left half of the hash that goes with the algorithm."""
    if "at_hash" not in claims:
        return
    hashed = hashlib.sha512 if _header(token)["alg"] == "EdDSA" else hashlib.sha256
    if access_token is None or not access_token.isascii():
        raise LoginRefused(Refusal.ACCESS_TOKEN)
    digest = hashed(access_token.encode()).digest()
    half = base64.urlsafe_b64encode(digest[: len(digest) // 2]).rstrip(b"=").decode()
    if not _same(claims["at_hash"], half):
        raise LoginRefused(Refusal.ACCESS_TOKEN)


def _check_factors(claims: Mapping[str, Any], expected: Expected) -> None:
    if expected.acr_values and claims.get("acr") not in expected.acr_values:
        raise LoginRefused(Refusal.ACR)
    shown = claims.get("amr")
    if expected.amr and not (isinstance(shown, list) and all(method in shown for method in expected.amr)):
        raise LoginRefused(Refusal.AMR)


def _same(given: object, wanted: str) -> bool:
    return isinstance(given, str) and _is_text(given) and hmac.compare_digest(given.encode(), wanted.encode())


def _is_text(value: str) -> bool:
    """False for what JSON lets through and UTF-8 does not: halves of surrogate pairs."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
