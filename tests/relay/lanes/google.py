"""A service account, and access tokens as they are once fetched."""

from __future__ import annotations

import functools
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from random import Random
from typing import Any
from urllib.parse import urlencode

import h11
import trio
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from relay.clock import TrioClock, WallClock
from relay.config import FcmAppConfig
from relay.lanes.oauth import AccessToken, ServiceAccount
from relay.simulators.fcm import FakeFcm
from relay.simulators.journal import Entry
from relay.simulators.oauth import Account, FakeOauth
from relay.simulators.oauth_server import OauthServer
from tests.relay.simulators.h1_client import calling
from tests.relay.world import NOON as NOON
from tests.relay.world import World, app, tenant, world

_FORM = [("content-type", "application/x-www-form-urlencoded")]
PROJECT = "police-1"
TOKEN = "fK3" + "x_-9" * 5 + ":APA91b" + "Zz0_-" * 26


@functools.cache
def account() -> ServiceAccount:
    key = rsa.generate_private_key(65537, 2048)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    return ServiceAccount(PROJECT, f"relay@{PROJECT}.example", pem, "key-1", "https://oauth.example/token")


def android(connections: int = 2) -> FcmAppConfig:
    return FcmAppConfig(
        name="android", account=account(), connections=connections, endpoint=None, token_uri_is_overridden=False,
        ca_file=None,
    )  # fmt: skip


class Google:
    """FCM and the token endpoint, and a relay that sends to them and to APNs."""

    def __init__(self) -> None:
        clock = TrioClock(NOON)
        key = load_pem_private_key(account().private_key.encode(), None)
        public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        known = Account(client_email=account().client_email, key_id=account().private_key_id, public_pem=public)
        self.oauth = FakeOauth([known], clock.now, token_uri=account().token_uri)
        self.fcm = FakeFcm(PROJECT, self.oauth.is_good, clock.now)
        self.is_down = False
        self._tokens = OauthServer(self.oauth)

    async def post(self, _uri: str, form: dict[str, str]) -> tuple[int, bytes]:
        await trio.sleep(0.1)
        if self.is_down:
            raise OSError
        answer = None
        async with calling(self._tokens.serve_stream) as caller:
            with suppress(h11.RemoteProtocolError):
                answer = await caller.ask("/token", _FORM, urlencode(form).encode())
        if answer is None:
            raise OSError
        return answer.status, answer.body

    def times(self, token: str) -> list[float]:
        """When a phone was written to."""
        return [entry.t for entry in self.requests if entry.token == token]

    @property
    def requests(self) -> list[Entry]:
        return self.fcm.journal.entries


@asynccontextmanager
async def google(
    *,
    is_down: bool = False,
    prepare: Callable[[Google], None] = lambda _: None,
    **more: Any,  # noqa: ANN401
) -> AsyncIterator[tuple[World, Google]]:
    """A world whose tenant has an iOS and an Android app. `prepare` is called before the relay starts."""
    made = Google()
    made.is_down = is_down
    prepare(made)
    async with world(
        tenant(app(), android()), serve={"android": made.fcm.serve_stream}, post=lambda _app: made.post, **more
    ) as w:
        yield w, made
        assert not made.fcm.journal.violations
        assert not made.oauth.journal.violations


async def nobody(_uri: str, _form: dict[str, str]) -> tuple[int, bytes]:
    raise OSError


def fetched(life: float = 3599.0) -> AccessToken:
    """An access token that was fetched at noon."""
    token = AccessToken(account(), nobody, WallClock(), Random(1))
    assert token.take(json.dumps({"access_token": "ya29.token", "expires_in": life}).encode(), NOON)
    return token
