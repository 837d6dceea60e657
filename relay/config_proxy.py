"""The tables `[proxy]` and `proxy` of an app: through which HTTP proxy Apple and Google are reached.

    [proxy]                                      # for all apps that say nothing else
    url = "http://proxy.example:3128"            # plain HTTP to the proxy; through it goes TLS with the provider
    credentials_file = "proxy-credentials"       # user:password in its first line; none where the proxy asks for none

    [[tenants.apps]]
    proxy = { url = "http://other.example:3128" }   # in the place of that one; or false: none

A user or a password has no place in the address, for addresses are copied into tickets and mails. Access tokens are
fetched this way too. The officers' door does not use it: an organisation's identity provider is its own.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from relay.config import Address, ProxyConfig
from relay.config_reader import Table, a_path, an_address, read_credentials

SCHEME: Final = "http://"
LIKE: Final = "must be an address like http://proxy.example:3128"


def proxy(table: Table, folder: Path) -> ProxyConfig | None:
    """Faults are noted in the table."""
    address: Address | None = table.get("url", a_proxy, None)
    file = table.get("credentials_file", a_path, None, required=False)
    credentials = table.file("credentials_file", folder / file, read_credentials) if file else None
    table.done()
    return ProxyConfig(address, credentials, folder / file if file else None) if address else None


def of_app(table: Table, folder: Path, common: ProxyConfig | None) -> ProxyConfig | None:
    """An app's own way, or the common one."""
    if not table.has("proxy"):
        return common
    own = table.get("proxy", _a_table_or_false, False)
    return proxy(table.table("proxy"), folder) if own else None


def _a_table_or_false(value: object) -> bool:
    """Whether it is a table. Raises ValueError."""
    if value is False or isinstance(value, dict):
        return value is not False
    raise ValueError("must be a table with the url of a proxy, or false for none")


def a_proxy(value: object) -> Address:
    """Raises ValueError, which repeats nothing of the address."""
    if not isinstance(value, str):
        raise ValueError(LIKE)
    if "@" in value:
        raise ValueError("holds a user; put user:password into a file and name that in credentials_file")
    if value.startswith("https://"):
        raise ValueError("must begin with http://; TLS to the proxy itself is not spoken")
    try:
        address = Address(*an_address(value.removeprefix(SCHEME).removesuffix("/")))
    except ValueError:
        raise ValueError(LIKE) from None
    if not value.startswith(SCHEME) or not address.port:
        raise ValueError(LIKE)
    return address
