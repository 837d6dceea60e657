"""The table `[web]`: where the officers' door listens, how browsers reach it, and who vouches for officers there.

    [web]
    listen = ["127.0.0.1:8081"]                  # plain HTTP/1.1: put a TLS proxy in front
    base_url = "https://ruhe.example.org"        # how browsers reach it
    tenant = "example"                           # of the identity providers below that name none
    trusted_proxies = ["127.0.0.0/8", "::1"]     # their X-Forwarded-For says who somebody is
    login_attempts = 30                          # failed ones of one client in ten minutes

    [[web.oidc]]                                 # OpenID Connect; without one officers come by a link
    tenant = "example"
    name = "Dienstausweis"                       # what the button says
    issuer = "https://login.example.org"
    client_id = "feierabend"
    client_secret_file = "oidc-secret"           # none: a public client
    user_claim = "sub"                           # holds the user's id, as the backend knows it
    acr_values = ["urn:example:two-factors"]     # one of them must be met
    amr = ["hwk"]                                # all of them must be there
    scopes = ["openid"]
    ca_file = "ca.pem"                           # who vouches for its certificate; the system's trust store

    [web.pages]                                  # what everybody may read there: config_pages.py
    imprint = {de = "impressum.md", en = "imprint.md"}

Without the table there is no such process. What it is told is not read here but made here (`document`): it goes to the
process on its standard input, for a client's secret stands in it, and arguments and environments can be read by others.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from ipaddress import ip_network
from pathlib import Path
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

from relay.config import Address, OidcConfig, WebConfig
from relay.config_pages import pages
from relay.config_reader import Table, a_path, read_certificates, read_secret, strings, text, whole

LISTEN: Final = ("127.0.0.1:8081",)
LOCAL: Final = ("localhost", "127.0.0.1", "::1")
"""Hosts to which plain HTTP does not leave the machine."""
OPENID: Final = "openid"
PROXIES: Final = ("127.0.0.0/8", "::1")
ATTEMPTS: Final = 30
MOST_ATTEMPTS: Final = 6_000
"""As many as the process lets all clients together try."""
_USUAL_PORTS: Final = {"https": ":443", "http": ":80"}
_CLAIM: Final = r"[!-~]{1,200}"
"""Names of claims are often URLs."""
_VALUE: Final = re.compile(r"[!-~]{1,200}")
_LABEL: Final = r"\S(?:.{0,58}\S)?"


def web(table: Table, folder: Path, listen: tuple[Address, ...], tenants: Sequence[str], socket: Path) -> WebConfig:
    """`listen`: already read. `tenants`: names of those there are. Faults are noted in the table."""
    base_url = table.get("base_url", an_origin, None)
    given = table.get("tenant", text(), None, required=False)
    if given is not None and given not in tenants:
        table.fault("tenant", f"must be one of {', '.join(tenants)}")
    tenant = given or (tenants[0] if len(tenants) == 1 else None)
    proxies = table.get("trusted_proxies", networks, PROXIES)
    attempts = table.get("login_attempts", whole(1, MOST_ATTEMPTS), ATTEMPTS)
    oidc = tuple(_oidc(item, folder, tenant, tenants) for item in table.tables("oidc"))
    own_pages = pages(table.table("pages"), folder)
    table.done()
    named = [provider.name for provider in oidc if provider.name]
    for name in sorted({name for name in named if named.count(name) > 1}):
        table.fault("oidc", f"has {name} twice; two buttons would say the same")
    return WebConfig(
        listen=listen, base_url=base_url or "", oidc=oidc, socket=socket,
        trusted_proxies=proxies, login_attempts=attempts, pages=own_pages,
    )  # fmt: skip


def _oidc(table: Table, folder: Path, tenant: str | None, tenants: Sequence[str]) -> OidcConfig:
    own = table.get("tenant", text(), tenant)
    if own and own not in tenants:
        table.fault("tenant", f"must be one of {', '.join(tenants)}")
    issuer = table.get("issuer", an_issuer, None)
    client_id = table.get("client_id", text(_CLAIM), None)
    secret_file = table.get("client_secret_file", a_path, None, required=False)
    ca_file = table.get("ca_file", a_path, None, required=False)
    scopes = table.get("scopes", values(least=1), (OPENID,))
    if OPENID not in scopes:
        table.fault("scopes", f"must name {OPENID}")
    found = OidcConfig(
        tenant=own or "",
        name=table.get("name", text(_LABEL), urlsplit(issuer or "").hostname or ""),
        issuer=issuer or "",
        client_id=client_id or "",
        client_secret=_secret(table, folder / secret_file) if secret_file else None,
        user_claim=table.get("user_claim", text(_CLAIM), "sub"),
        acr_values=table.get("acr_values", values(), ()),
        amr=table.get("amr", values(), ()),
        scopes=scopes,
        ca_file=_authority(table, folder / ca_file) if ca_file else None,
    )
    table.done()
    return found


def document(web: WebConfig, grace_seconds: float) -> Mapping[str, object]:
    """What the process is told. `grace_seconds`: how long it may take to end."""
    return {
        "socket": str(web.socket.absolute()),
        "listen": [str(address) for address in web.listen],
        "base_url": web.base_url,
        "oidc": [
            {
                "tenant": provider.tenant,
                "name": provider.name,
                "issuer": provider.issuer,
                "client_id": provider.client_id,
                "client_secret": provider.client_secret,
                "user_claim": provider.user_claim,
                "acr_values": list(provider.acr_values),
                "amr": list(provider.amr),
                "scopes": list(provider.scopes),
                "ca_file": None if provider.ca_file is None else str(provider.ca_file.absolute()),
            }
            for provider in web.oidc
        ],
        "grace_seconds": grace_seconds,
        "trusted_proxies": list(web.trusted_proxies),
        "login_attempts": web.login_attempts,
        "pages": {name: dict(texts) for name, texts in web.pages.items()},
    }


def an_origin(value: object) -> str:
    """`https://host` or `https://host:port`, without the slash; http for localhost. Raises ValueError.

    As browsers write it in Host and Origin: without the port that goes without saying.
    """
    parts = _url(value, "must be an address like https://ruhe.example.org, without a path")
    if parts.path not in ("", "/"):
        raise ValueError("must be an address like https://ruhe.example.org, without a path")
    return f"{parts.scheme}://{parts.netloc.lower().removesuffix(_USUAL_PORTS[parts.scheme])}"


def an_issuer(value: object) -> str:
    """As the provider writes it, for it is compared byte for byte. Raises ValueError."""
    return _url(value, "must be an address like https://login.example.org").geturl()


def _url(value: object, sentence: str) -> SplitResult:
    if not isinstance(value, str) or not re.fullmatch(r"[!-~]{1,400}", value):
        raise ValueError(sentence)
    try:
        parts = urlsplit(value)
        is_good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        raise ValueError(sentence) from None
    if not is_good or "@" in parts.netloc or "?" in value or "#" in value or parts.geturl() != value:
        raise ValueError(sentence)
    if parts.scheme == "http" and parts.hostname not in LOCAL:
        raise ValueError("must be https; http is for localhost only")
    return parts


def values(*, least: int = 0) -> Any:  # noqa: ANN401 (a reader of Table.get)
    """Words of OpenID Connect, which separates them by spaces."""
    read = strings(least=least)

    def words(value: object) -> tuple[str, ...]:
        found = read(value)
        if not all(_VALUE.fullmatch(word) for word in found):
            raise ValueError("must be a list of words without spaces")
        return found

    return words


def networks(value: object) -> tuple[str, ...]:
    """Addresses and networks. Raises ValueError."""
    named = strings()(value)
    try:
        for each in named:
            ip_network(each)
    except ValueError:
        raise ValueError("must be a list of addresses and networks, like 127.0.0.1 and 10.1.0.0/16") from None
    return named


def _authority(table: Table, path: Path) -> Path:
    try:
        read_certificates(path)
    except OSError as error:
        table.fault("ca_file", f"cannot be read: {error.strerror}")
    except ValueError as error:
        table.fault("ca_file", str(error))
    return path


def _secret(table: Table, path: Path) -> str | None:
    try:
        return read_secret(path)
    except OSError as error:
        table.fault("client_secret_file", f"cannot be read: {error.strerror}")
    except ValueError as error:
        table.fault("client_secret_file", str(error))
    return None
