"""Keys and ID tokens as a provider makes them, with anything wrong that a test wants."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

ISSUER: Final = "https://id.example"
CLIENT: Final = "feierabend"
NONCE: Final = "n-0S6_WzA2Mj"
NOW: Final = 1_795_728_000.0
ACCESS: Final = "an-access-token"
ALGORITHMS: Final = ("RS256", "PS256", "ES256", "EdDSA")


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private key, the algorithm it is for, and what it is called."""

    private: Any
    algorithm: str
    kid: str | None

    def public_jwk(self, **more: object) -> dict[str, Any]:
        made = jwt.get_algorithm_by_name(self.algorithm).to_jwk(self.private.public_key(), as_dict=True)
        return {**made, **({"kid": self.kid} if self.kid else {}), "alg": self.algorithm, "use": "sig", **more}


@cache
def signing_key(algorithm: str, kid: str | None = "k1", variant: int = 0) -> SigningKey:
    """Always the same one for the same words: an RSA key takes a while. `variant`: another one with the same name."""
    del variant
    private: Any
    if algorithm == "ES256":
        private = ec.generate_private_key(ec.SECP256R1())
    elif algorithm == "EdDSA":
        private = ed25519.Ed25519PrivateKey.generate()
    else:
        private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return SigningKey(private, algorithm, kid)


def key_set(*keys: SigningKey) -> bytes:
    return json.dumps({"keys": [key.public_jwk() for key in keys]}).encode()


def half_hash(access_token: str, algorithm: str) -> str:
    hashed = hashlib.sha512 if algorithm == "EdDSA" else hashlib.sha256
    digest = hashed(access_token.encode()).digest()
    return base64.urlsafe_b64encode(digest[: len(digest) // 2]).rstrip(b"=").decode()


def claims(now: float = NOW, **changed: object) -> dict[str, Any]:
    """Of a good token; a claim that is changed to None is left out."""
    made = {"iss": ISSUER, "sub": "anna", "aud": CLIENT, "exp": int(now) + 300, "iat": int(now), "nonce": NONCE}
    return {name: value for name, value in (made | changed).items() if value is not None}


def id_token(key: SigningKey, content: dict[str, Any], **headers: object) -> str:
    named = {"kid": key.kid} if key.kid else {}
    payload = json.dumps(content).encode()
    return jwt.PyJWS().encode(payload, key.private, algorithm=key.algorithm, headers=named | headers)
