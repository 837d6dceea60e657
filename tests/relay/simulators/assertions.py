"""Assertions for the fake token endpoint, made by hand and not with the library that it checks them with."""

from __future__ import annotations

import base64
import json
from typing import Final
from urllib.parse import urlencode

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from relay.simulators.certificates import account_key
from relay.simulators.oauth import GRANT, SCOPE, TOKEN_URI, Account

START: Final = 1_800_000_000
FORM: Final = "application/x-www-form-urlencoded"
EMAIL: Final = "relay@rest-1234.iam.gserviceaccount.com"
GONE: Final = object()


def loaded(pem: bytes) -> rsa.RSAPrivateKey:
    key = load_pem_private_key(pem, None)
    assert isinstance(key, rsa.RSAPrivateKey)
    return key


PRIVATE, PUBLIC = account_key()
KEY: Final = loaded(PRIVATE)
OTHER_KEY: Final = loaded(account_key()[0])
ACCOUNT: Final = Account(client_email=EMAIL, key_id="key1", public_pem=PUBLIC)
SECOND: Final = Account(
    client_email="second@x.iam.gserviceaccount.com",
    key_id="key2",
    public_pem=OTHER_KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
)


def assertion(now: float = START, *, key: rsa.RSAPrivateKey = KEY, **changes: object) -> str:
    """`changes` replace members of header and claims; GONE leaves one out."""
    header = {"alg": "RS256", "typ": "JWT", "kid": "key1"}
    claims = {"iss": EMAIL, "scope": SCOPE, "aud": TOKEN_URI, "iat": int(now), "exp": int(now) + 3600}
    parts = []
    for part in (header, claims):
        changed = part | {name: value for name, value in changes.items() if name in part}
        parts.append(_encoded(json.dumps({k: v for k, v in changed.items() if v is not GONE}).encode()))
    signed = b".".join(parts)
    signature = key.sign(signed, padding.PKCS1v15(), hashes.SHA256())
    return (signed + b"." + _encoded(signature)).decode()


def _encoded(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def form(token: str | None = None) -> bytes:
    return urlencode({"grant_type": GRANT, "assertion": assertion() if token is None else token}).encode()
