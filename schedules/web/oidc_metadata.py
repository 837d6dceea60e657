"""What an OpenID provider says of itself (OpenID Connect Discovery 1.0), read and checked.

The issuer must be, to the letter, the one that is configured: who could answer for another issuer could sign for it.
Addresses must be https; http is for a provider on this machine that is itself configured as http, for tests.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from schedules.web.oidc_token import LoginRefused, Refusal, parsed

WELL_KNOWN: Final = "/.well-known/openid-configuration"
LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})
LONGEST_ADDRESS: Final = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Metadata:
    """Of one provider."""

    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    end_session_endpoint: str | None
    """None: it has no logout that a client may ask for."""
    names_issuer: bool
    """Whether its redirects say whose they are (RFC 9207); one that says so and then does not is not it."""


def metadata_address(issuer: str) -> str:
    return issuer.removesuffix("/") + WELL_KNOWN


def read_metadata(body: bytes, issuer: str, *, has_secret: bool) -> Metadata:
    """Raises LoginRefused (UNAVAILABLE), naming the member that cannot be used."""
    content = parsed(body, Refusal.UNAVAILABLE, "the discovery document is no JSON object")
    if content.get("issuer") != issuer:
        raise _unusable("issuer is not the one configured")
    _must_have(content, "response_types_supported", "code")
    _must_have(content, "code_challenge_methods_supported", "S256")
    _must_have(content, "response_modes_supported", "query")
    _must_have(content, "token_endpoint_auth_methods_supported", "client_secret_basic" if has_secret else "none")
    ends = content.get("end_session_endpoint")
    return Metadata(
        authorization_endpoint=_address(content, "authorization_endpoint", issuer),
        token_endpoint=_address(content, "token_endpoint", issuer),
        jwks_uri=_address(content, "jwks_uri", issuer),
        end_session_endpoint=None if ends is None else _address(content, "end_session_endpoint", issuer),
        names_issuer=content.get("authorization_response_iss_parameter_supported") is True,
    )


def is_allowed(address: str, issuer: str) -> bool:
    """Whether requests of ours, or a browser, may be sent there."""
    if len(address) > LONGEST_ADDRESS or not address.isascii() or not address.isprintable() or " " in address:
        return False
    try:
        there, own = urlsplit(address), urlsplit(issuer)
        if not there.hostname or there.username is not None or there.fragment or (there.port or 1) < 1:
            return False
    except ValueError:
        return False
    if there.scheme == "http":
        return own.scheme == "http" and there.hostname in LOOPBACK
    return there.scheme == "https"


def _address(content: Mapping[str, Any], name: str, issuer: str) -> str:
    address = content.get(name)
    if not isinstance(address, str) or not is_allowed(address, issuer):
        raise _unusable(f"{name} is no address that may be asked")
    return address


def _must_have(content: Mapping[str, Any], name: str, value: str) -> None:
    """What is not listed at all is tried: several providers keep such a list short, or have none."""
    listed = content.get(name)
    if listed is not None and not (isinstance(listed, list) and value in listed):
        raise _unusable(f"{name} has no {value}")


def _unusable(detail: str) -> LoginRefused:
    return LoginRefused(Refusal.UNAVAILABLE, detail)
