"""What the process is told when it starts: one JSON document on its standard input, from the relay.

    {"socket": "/var/lib/feierabend/relay.db.door.sock", "listen": ["127.0.0.1:8081"],
     "base_url": "https://ruhe.example", "grace_seconds": 10,
     "oidc": [{"tenant": "example", "name": "Dienstkonto", "issuer": "https://id.example", "client_id": "feierabend"}]}

Not arguments and not the environment, which others can read: a client secret stands in it. The relay reads and checks
the configuration file; here only the shape is checked, and what this process has to rely on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import msgspec

from schedules.web.client_address import LOOPBACK, networks
from schedules.web.legal import NAMES
from schedules.web.oidc_metadata import is_allowed
from schedules.web.texts import LANGUAGES


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
    client_secret: str | None = field(default=None, repr=False)
    """None: a public client."""
    user_claim: str = "sub"
    """The claim that holds the user id as the backend calls it."""
    acr_values: tuple[str, ...] = ()
    """One of these must be what the provider says about how it was made sure; empty: anything."""
    amr: tuple[str, ...] = ()
    """All of these must be among the means."""
    scopes: tuple[str, ...] = ("openid",)
    ca_file: str | None = None
    """Who vouches for the provider's certificate, in place of the system's trust store."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    socket: str
    """Path of the Unix socket on which the relay answers."""
    listen: tuple[str, ...]
    base_url: str
    """What officers type, without a slash at its end."""
    oidc: tuple[Provider, ...] = ()
    grace_seconds: float = 10.0
    trusted_proxies: tuple[str, ...] = LOOPBACK
    """Addresses and networks whose word about where a request comes from is taken (client_address.py)."""
    login_attempts: int = 30
    """Failed ones of one address in ten minutes (limits.py)."""
    login_attempts_together: int = 6_000
    pages: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """The operator's own texts: name → language → Markdown (legal.py)."""

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
        settings = msgspec.json.decode(text, type=Settings)
    except msgspec.DecodeError as error:
        raise BadSettings(str(error)) from None
    url = urlsplit(settings.base_url)
    if url.scheme not in ("https", "http") or not url.netloc or url.path or url.query:
        raise BadSettings("base_url must be https://host or https://host:port, without a path")
    if url.scheme == "http" and url.hostname not in ("localhost", "127.0.0.1", "::1"):
        raise BadSettings("base_url must be https, but for localhost")
    if not settings.listen:
        raise BadSettings("listen must name an address")
    try:
        networks(settings.trusted_proxies)
    except ValueError as error:
        raise BadSettings(f"trusted_proxies: {error}") from None
    if settings.login_attempts < 1 or settings.login_attempts_together < settings.login_attempts:
        raise BadSettings("login_attempts must be 1 or more, and login_attempts_together not less than that")
    if any(name not in NAMES or texts.keys() - LANGUAGES.keys() for name, texts in settings.pages.items()):
        raise BadSettings(f"pages must be some of {', '.join(NAMES)}, in {', '.join(LANGUAGES)}")
    for index, provider in enumerate(settings.oidc):
        _check(provider, f"oidc[{index}]")
    return settings


def _check(provider: Provider, path: str) -> None:
    if not is_allowed(provider.issuer, provider.issuer) or "?" in provider.issuer:
        raise BadSettings(f"{path}.issuer must be https://…, but for a provider on this machine")
    if "openid" not in provider.scopes:
        raise BadSettings(f"{path}.scopes must name openid")
    for name in ("tenant", "name", "client_id", "user_claim"):
        if not getattr(provider, name):
            raise BadSettings(f"{path}.{name} must not be empty")
