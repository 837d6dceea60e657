"""A stage for trying the relay: both providers simulated on loopback over TLS, and a configuration that leads to them.

Everything is good for one process only: certificates, keys, accounts, the master key. What plays on the stage is for
the caller; nothing here knows the relay.
"""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import trio

from relay.simulators.apns import FakeApns
from relay.simulators.certificates import Authority, account_key, provider_key
from relay.simulators.commands import ACCOUNT, ACCOUNT_KEY_ID, KEY_ID, PROJECT, TEAM_ID, TOPIC
from relay.simulators.fcm import FakeFcm
from relay.simulators.journal import Journal
from relay.simulators.oauth import Account, FakeOauth, account_file
from relay.simulators.oauth_server import OauthServer
from relay.simulators.provider_token import TeamKey

HOST: Final = "127.0.0.1"
ROLE, REASON = "dispatch", "incident"
"""Who may send alarms, and what for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Providers:
    """Simulated Apple and Google. `ca.pem`, `AuthKey.p8` and `service-account.json` lie in their folder."""

    apns: FakeApns
    fcm: FakeFcm
    oauth: FakeOauth
    apns_port: int
    fcm_port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """What a configuration says; what is not told here is as usual. `backend`, `settings`: digests of API keys."""

    name: str
    """Of the tenant, and of the database."""
    backend: str
    settings: str
    apns_port: int
    fcm_port: int
    ca_file: str = "ca.pem"
    port: int = 0
    """Of the event door; 0: any."""
    jitter: int = 300
    connections: int = 1
    web_port: int | None = None
    """Of the officers' door; None: there is none."""
    stream_port: int | None = None
    """Of the stream door, 0 for any; None: there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """`config`: the file to start a relay with. Its tenant `dev` has the apps `ios` and `android`."""

    apns: FakeApns
    fcm: FakeFcm
    oauth: FakeOauth
    fcm_port: int
    config: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """What the caller decides. `backend`, `settings`: digests of API keys; `port`: the event door's, 0 for any."""

    now: Callable[[], float]
    """UTC seconds."""
    backend: str
    settings: str
    port: int = 0
    apns_journal: Journal = field(default_factory=Journal)
    fcm_journal: Journal = field(default_factory=Journal)


async def providers(
    nursery: trio.Nursery, folder: Path, now: Callable[[], float], apns_journal: Journal, fcm_journal: Journal
) -> Providers:
    """Serve both in the background, and write their credentials and certificate into `folder`."""
    authority = Authority(HOST)
    signing, public = provider_key()
    team = TeamKey(team_id=TEAM_ID, key_id=KEY_ID, public_pem=public)
    apns = FakeApns({KEY_ID: team}, {TOPIC}, now, journal=apns_journal)
    private, public = account_key()
    account = Account(client_email=ACCOUNT, key_id=ACCOUNT_KEY_ID, public_pem=public)
    oauth = FakeOauth([account], now, journal=fcm_journal)
    fcm = FakeFcm(PROJECT, oauth.is_good, now, journal=fcm_journal)
    apns_port = await _listen(nursery, authority.server_context(), apns.serve_stream)
    fcm_port = await _listen(nursery, authority.server_context("h2", "http/1.1"), fcm.serve_stream)
    token_port = await _listen(nursery, authority.server_context("http/1.1"), OauthServer(oauth).serve_stream)
    oauth.token_uri = f"https://{HOST}:{token_port}/token"
    (folder / "ca.pem").write_bytes(authority.pem)
    (folder / "AuthKey.p8").write_bytes(signing)
    (folder / "service-account.json").write_text(account_file(account, PROJECT, private, oauth.token_uri))
    return Providers(apns=apns, fcm=fcm, oauth=oauth, apns_port=apns_port, fcm_port=fcm_port)


async def put_up(nursery: trio.Nursery, folder: Path, script: Script) -> Stage:
    """Both providers, and a configuration that leads to them."""
    made = await providers(nursery, folder, script.now, script.apns_journal, script.fcm_journal)
    masters = folder / "master"
    masters.touch(0o600)
    masters.write_text("0:" + "A" * 43 + "=\n")
    config = folder / "feierabend.toml"
    installation = Installation(
        name="dev", backend=script.backend, settings=script.settings, apns_port=made.apns_port, fcm_port=made.fcm_port,
        port=script.port, jitter=0, stream_port=0,
    )  # fmt: skip
    config.write_text(configuration(installation))
    return Stage(apns=made.apns, fcm=made.fcm, oauth=made.oauth, fcm_port=made.fcm_port, config=config)


async def _listen(
    nursery: trio.Nursery, context: ssl.SSLContext, serve: Callable[[trio.abc.Stream], Awaitable[None]]
) -> int:
    """Serve in the background; returns the port."""
    listeners = await trio.open_ssl_over_tcp_listeners(0, context, host=HOST, https_compatible=True)
    await nursery.start(trio.serve_listeners, serve, listeners)
    inner = listeners[0].transport_listener
    assert isinstance(inner, trio.SocketListener)
    port = inner.socket.getsockname()[1]
    assert isinstance(port, int)
    return port


def configuration(installation: Installation) -> str:
    """The text of a configuration file that lies beside the providers' credentials and a master key."""
    it = installation
    web = f'[web]\nlisten = ["{HOST}:{it.web_port}"]\nbase_url = "http://{HOST}:{it.web_port}"\n' if it.web_port else ""
    stream = "" if it.stream_port is None else f'[stream]\nlisten = ["{HOST}:{it.stream_port}"]\n'
    return f"""
[store]
path = "{it.name}.db"
key_file = "master"
[door]
listen = ["{HOST}:{it.port}"]
[ops]
listen = ["{HOST}:0"]
[shutdown]
grace_seconds = 5
{web}{stream}[[tenants]]
name = "{it.name}"
jitter_seconds = {it.jitter}
[[tenants.keys]]
id = "backend"
sha256 = "{it.backend}"
scopes = ["events", "alarms", "devices"]
[[tenants.keys]]
id = "settings"
sha256 = "{it.settings}"
scopes = ["rest"]
[[tenants.apps]]
name = "ios"
topic = "{TOPIC}"
team_id = "{TEAM_ID}"
key_id = "{KEY_ID}"
key_file = "AuthKey.p8"
endpoint = "{HOST}:{it.apns_port}"
ca_file = "{it.ca_file}"
connections = {it.connections}
[[tenants.apps]]
name = "android"
provider = "fcm"
service_account_file = "service-account.json"
endpoint = "{HOST}:{it.fcm_port}"
ca_file = "{it.ca_file}"
connections = {it.connections}
[[tenants.classes]]
name = "alarm"
roles = ["{ROLE}"]
reasons = ["{REASON}"]
"""
