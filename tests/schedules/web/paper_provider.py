"""An OpenID provider on paper, behind the door's real HTTP client: for what a real one cannot be made to do.

What the real one does is tested in test_oidc_provider.py.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Final
from urllib.parse import parse_qs, parse_qsl, unquote_plus, urlsplit

import httpx
import trio

from schedules.web.http import HttpClient
from schedules.web.oidc import LARGEST, Provider
from schedules.web.settings import Provider as ProviderSettings
from schedules.web.under_way import challenge
from tests.schedules.web.issuer import ACCESS, CLIENT, ISSUER, SigningKey, claims, half_hash, id_token, signing_key

SETTINGS: Final = ProviderSettings(
    tenant="example", name="Dienstkonto", issuer=ISSUER, client_id=CLIENT, client_secret="geheim: 100 %"
)
METADATA: Final = {
    "issuer": ISSUER,
    "authorization_endpoint": f"{ISSUER}/auth?realm=a",
    "token_endpoint": f"{ISSUER}/token",
    "jwks_uri": f"{ISSUER}/keys",
    "end_session_endpoint": f"{ISSUER}/end",
    "response_types_supported": ["code", "id_token"],
    "code_challenge_methods_supported": ["plain", "S256"],
    "authorization_response_iss_parameter_supported": True,
}


@dataclass(slots=True)
class PaperProvider:
    """Answers as a good provider; `claims` and `answers` are what a test has it say otherwise."""

    now: float
    metadata: dict[str, Any] = field(default_factory=lambda: dict(METADATA))
    key: SigningKey = field(default_factory=lambda: signing_key("ES256"))
    user: str = "anna"
    claims: dict[str, Any] = field(default_factory=dict)
    answers: dict[str, Callable[[], httpx.Response]] = field(default_factory=dict)
    """By path."""
    held: dict[str, trio.Event] = field(default_factory=dict)
    """By path: answers that wait for this."""
    asked: list[str] = field(default_factory=list)
    """Paths."""
    _codes: dict[str, dict[str, str]] = field(default_factory=dict)
    _numbers: count[int] = field(default_factory=count)

    def provider(self, settings: ProviderSettings = SETTINGS) -> Provider:
        return Provider(settings, HttpClient(httpx.AsyncClient(transport=_Wire(self._answer, self.held)), LARGEST))

    def sign_in(self, address: str, **changed: str) -> dict[str, str]:
        """Somebody signs in there; the query with which the browser is sent back. `changed`: of what was asked for."""
        asked = dict(parse_qsl(urlsplit(address).query, strict_parsing=True)) | changed
        assert asked["response_type"] == "code"
        assert "openid" in asked["scope"].split()
        assert asked["code_challenge_method"] == "S256"
        code = f"code-{next(self._numbers)}"
        self._codes[code] = asked
        return {"code": code, "state": asked["state"], "iss": ISSUER}

    def _answer(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path
        self.asked.append(path)
        if path in self.answers:
            return self.answers[path]()
        if path == "/.well-known/openid-configuration":
            return httpx.Response(200, json=self.metadata)
        if path == "/keys":
            return httpx.Response(200, json={"keys": [self.key.public_jwk()]})
        assert (request.method, path) == ("POST", "/token")
        return self._token(request)

    def _token(self, request: httpx.Request) -> httpx.Response:
        form = {name: values[0] for name, values in parse_qs(request.content.decode(), strict_parsing=True).items()}
        asked = self._codes.pop(form["code"], None)
        if asked is None or challenge(form["code_verifier"]) != asked["code_challenge"]:
            return httpx.Response(400, json={"error": "invalid_grant"})
        assert form["redirect_uri"] == asked["redirect_uri"]
        assert form["grant_type"] == "authorization_code"
        if "authorization" in request.headers:
            pair = base64.b64decode(request.headers["authorization"].removeprefix("Basic ")).decode().split(":")
            assert [unquote_plus(part) for part in pair] == [CLIENT, "geheim: 100 %"]
            assert "client_id" not in form
        else:
            assert form["client_id"] == CLIENT
        made = claims(self.now, sub=self.user, nonce=asked["nonce"], at_hash=half_hash(ACCESS, self.key.algorithm))
        content = {name: value for name, value in (made | self.claims).items() if value is not None}
        token = id_token(self.key, content)
        return httpx.Response(200, json={"id_token": token, "access_token": ACCESS, "token_type": "Bearer"})


class _Wire(httpx.AsyncBaseTransport):
    """Answers that are still to be read, as they are when they come from somewhere."""

    def __init__(self, answer: Callable[[httpx.Request], httpx.Response], held: Mapping[str, trio.Event]) -> None:
        self._answer = answer
        self._held = held

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await trio.lowlevel.checkpoint()
        made = self._answer(request)
        if request.url.path in self._held:
            await self._held[request.url.path].wait()
        return httpx.Response(made.status_code, headers=made.headers, stream=httpx.ByteStream(made.content))


def error(status: int, **content: str) -> Callable[[], httpx.Response]:
    return lambda: httpx.Response(status, content=json.dumps(content).encode())
