"""A service account, and access tokens as they are once fetched."""

from __future__ import annotations

import functools
import json
from random import Random

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from relay.clock import WallClock
from relay.lanes.oauth import AccessToken, ServiceAccount
from tests.relay.world import NOON as NOON

PROJECT = "police-1"
TOKEN = "fK3" + "x_-9" * 5 + ":APA91b" + "Zz0_-" * 26


@functools.cache
def account() -> ServiceAccount:
    key = rsa.generate_private_key(65537, 2048)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    return ServiceAccount(PROJECT, f"relay@{PROJECT}.example", pem, "key-1", "https://oauth.example/token")


async def nobody(_uri: str, _form: dict[str, str]) -> tuple[int, bytes]:
    raise OSError


def fetched(life: float = 3599.0) -> AccessToken:
    """An access token that was fetched at noon."""
    token = AccessToken(account(), nobody, WallClock(), Random(1))
    assert token.take(json.dumps({"access_token": "ya29.token", "expires_in": life}).encode(), NOON)
    return token
