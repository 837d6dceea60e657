"""What the process is told: exactly what the relay makes of its configuration, and nothing that it could not use."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from relay.config import Address, OidcConfig, WebConfig
from relay.config_web import document
from schedules.web.client_address import LOOPBACK
from schedules.web.settings import BadSettings, Provider, Settings, read

GOOD: dict[str, Any] = {"socket": "/s", "listen": ["127.0.0.1:8081"], "base_url": "https://ruhe.example"}
PROVIDER: dict[str, Any] = {"tenant": "city", "name": "Konto", "issuer": "https://id.example", "client_id": "f"}


def test_what_the_relay_says_is_understood(tmp_path: Path) -> None:
    provider = OidcConfig(
        tenant="city", name="Konto", issuer="https://id.example", client_id="f", client_secret="geheim",
        user_claim="pn", acr_values=("a", "b"), amr=("hwk",), scopes=("openid", "p"), ca_file=tmp_path / "ca.pem",
    )  # fmt: skip
    web = WebConfig(
        listen=(Address("127.0.0.1", 8081), Address("::1", 8081)), base_url="https://ruhe.example",
        oidc=(provider,), socket=tmp_path / "s", trusted_proxies=("10.0.0.0/8",), login_attempts=7,
        pages={"imprint": {"de": "# Impressum"}},
    )  # fmt: skip
    found = read(json.dumps(document(web, 2.5)).encode())
    assert found == Settings(
        socket=str(tmp_path / "s"), listen=("127.0.0.1:8081", "[::1]:8081"), base_url="https://ruhe.example",
        grace_seconds=2.5, trusted_proxies=("10.0.0.0/8",), login_attempts=7,
        pages={"imprint": {"de": "# Impressum"}},
        oidc=(
            Provider(
                tenant="city", name="Konto", issuer="https://id.example", client_id="f", client_secret="geheim",
                user_claim="pn", acr_values=("a", "b"), amr=("hwk",), scopes=("openid", "p"),
                ca_file=str(tmp_path / "ca.pem"),
            ),
        ),
    )  # fmt: skip
    assert "geheim" not in repr(found)


def test_what_is_not_said_has_a_default() -> None:
    found = read(json.dumps(GOOD | {"oidc": [PROVIDER]}).encode())
    assert (found.trusted_proxies, found.login_attempts, found.login_attempts_together) == (LOOPBACK, 30, 6_000)
    assert found.oidc[0] == Provider(tenant="city", name="Konto", issuer="https://id.example", client_id="f")


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"trusted_proxies": ["10.0.0.1/8"]}, "trusted_proxies"),
        ({"login_attempts": 0}, "login_attempts"),
        ({"pages": {"terms": {"de": "x"}}}, "pages"),
        ({"pages": {"imprint": {"fr": "x"}}}, "pages"),
        ({"pages": {"imprint": "x"}}, "pages"),
        ({"login_attempts": 7, "login_attempts_together": 6}, "login_attempts_together"),
        ({"login_attempts": "7"}, "login_attempts"),
        ({"base_url": "http://ruhe.example"}, "base_url"),
        ({"oidc": [PROVIDER | {"issuer": "http://id.example"}]}, r"oidc\[0\].issuer"),
        ({"oidc": [PROVIDER | {"issuer": "https://id.example?a"}]}, r"oidc\[0\].issuer"),
        ({"oidc": [PROVIDER | {"issuer": "id.example"}]}, r"oidc\[0\].issuer"),
        ({"oidc": [PROVIDER, PROVIDER | {"scopes": ["email"]}]}, r"oidc\[1\].scopes"),
        ({"oidc": [PROVIDER | {"client_id": ""}]}, r"oidc\[0\].client_id"),
        ({"oidc": [PROVIDER | {"user_claim": ""}]}, r"oidc\[0\].user_claim"),
        ({"oidc": [PROVIDER | {"client_secret": 7}]}, "client_secret"),
    ],
)
def test_what_cannot_be_used_is_named(changed: dict[str, Any], named: str) -> None:
    with pytest.raises(BadSettings, match=named):
        read(json.dumps(GOOD | changed).encode())
