"""How each app reaches its provider: at which address, by which trust store, and directly or through a proxy.

Apps that are configured with the same proxy share one `Proxy`, whose credentials are looked at once a minute as keys
are. A provider is told nothing of all that.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from functools import partial
from typing import Final

import trio

from relay.clock import Clock
from relay.cold_http import form_poster
from relay.config import AnyAppConfig, FcmAppConfig, ProxyConfig
from relay.config_reader import read_credentials
from relay.lanes import apns, fcm
from relay.lanes.dialer import Connect, Resolve
from relay.lanes.oauth import PostForm
from relay.lanes.proxy import Proxy
from relay.lanes.watching import Watched
from relay.wire import connect, open_tcp, resolve, secure

HTTPS: Final = 443


def address_of(app: AnyAppConfig) -> tuple[str, int]:
    """Where an app's provider is: at the usual host, or where the configuration says."""
    if app.endpoint is not None:
        return app.endpoint.host, app.endpoint.port
    return (fcm.HOST if isinstance(app, FcmAppConfig) else apns.HOSTS[app.environment]), HTTPS


def tls_of(app: AnyAppConfig) -> ssl.SSLContext:
    """HTTP/2 by the system's trust store, or by the file named for a simulator."""
    context = ssl.create_default_context(cafile=str(app.ca_file) if app.ca_file else None)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["h2"])
    return context


class Ways:
    """Of all apps of a node."""

    def __init__(self) -> None:
        self._proxies: dict[ProxyConfig, Proxy] = {}

    def proxy(self, app: AnyAppConfig) -> Proxy | None:
        way = app.proxy
        if way is None:
            return None
        if way not in self._proxies:
            self._proxies[way] = Proxy(way.address.host, way.address.port, way.credentials)
        return self._proxies[way]

    def connect(self, app: AnyAppConfig) -> Connect:
        """TLS with the app's provider."""
        (host, port), context, proxy = address_of(app), tls_of(app), self.proxy(app)
        if proxy is not None:
            return proxy.connecting(open_tcp, host, port, lambda tcp: secure(tcp, host, context))

        async def directly(address: str, port: int) -> trio.abc.Stream:
            return await connect(host, port, context, address)

        return directly

    def resolve(self, app: AnyAppConfig) -> Resolve:
        """What is looked up for it: the provider, or the proxy."""
        proxy = self.proxy(app)
        return resolve if proxy is None else proxy.resolving(resolve)

    def post(self, app: FcmAppConfig, dated: Callable[[str], None]) -> PostForm:
        """To the token endpoint; `dated` is told the date of each answer."""
        return form_poster(app.ca_file, dated, self.proxy(app))

    def watched(self, clock: Clock) -> Iterator[Watched[str]]:
        """What looks after the credentials of the proxies in use."""
        for way, proxy in self._proxies.items():
            if way.credentials_file is not None:
                yield Watched("proxy", way.credentials_file, read_credentials, partial(proxy.renew), clock)
