"""What the process is told when it starts: one JSON document on its standard input, from the relay.

    {"socket": "/var/lib/feierabend/relay.db.door.sock", "listen": ["127.0.0.1:8081"],
     "base_url": "https://ruhe.example", "grace_seconds": 10,
     "oidc": [{"tenant": "example", "name": "Dienstkonto", "issuer": "https://id.example", "client_id": "feierabend"}]}

Not arguments and not the environment, which others can read: a client secret stands in it. The relay reads and checks
the configuration file; here only the shape is checked, and what this process has to rely on.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

import msgspec

from schedules.web.port import Secret


class BadSettings(ValueError):
    """They cannot be used; the message names what, and no value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """An OpenID provider: whose accounts are the officers of a tenant."""

    tenant: str
    name: str
    """What the button says."""
    issuer: str
    client_id: str
    client_secret: Secret | None = None
    user_claim: str = "sub"
    """The claim that holds the user id as the backend calls it."""
    acr_values: tuple[str, ...] = ()
    """One of these must be what the provider says about how it was made sure; empty: anything."""
    amr: tuple[str, ...] = ()
    """All of these must be among the means."""
    scopes: tuple[str, ...] = ("openid",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    socket: str
    """Path of the Unix socket on which the relay answers."""
    listen: tuple[str, ...]
    base_url: str
    """What officers type, without a slash at its end."""
    tenant: str | None = None
    oidc: tuple[Provider, ...] = ()
    grace_seconds: float = 10.0

    @property
    def host(self) -> str:
        return urlsplit(self.base_url).netloc

    @property
    def is_secure(self) -> bool:
        """Whether browsers come by HTTPS. Else the cookie cannot be `Secure`; only for localhost."""
        return urlsplit(self.base_url).scheme == "https"


def read(text: bytes) -> Settings:
    """Raises BadSettings."""
    try:
        settings = msgspec.json.decode(text, type=Settings, dec_hook=_secret)
    except msgspec.DecodeError as error:
        raise BadSettings(str(error)) from None
    url = urlsplit(settings.base_url)
    if url.scheme not in ("https", "http") or not url.netloc or url.path or url.query:
        raise BadSettings("base_url must be https://host or https://host:port, without a path")
    if url.scheme == "http" and url.hostname not in ("localhost", "127.0.0.1", "::1"):
        raise BadSettings("base_url must be https, but for localhost")
    if not settings.listen:
        raise BadSettings("listen must name an address")
    return settings


def _secret(kind: type, value: object) -> object:
    if kind is Secret and isinstance(value, str):
        return Secret(value)
    raise NotImplementedError
