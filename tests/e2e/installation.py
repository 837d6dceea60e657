"""What an operator would have put up: a folder with a configuration, keys and a database, and clients for its doors."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from bench.ports import free_port
from relay.doors.keys import new_key
from relay.simulators.commands import KEY_ID, TEAM_ID, TOPIC
from tests.e2e.client import Client, client
from tests.e2e.phones import Provider
from tests.e2e.processes import Child, running

MASTER = bytes(range(32))
TENANT = "force"


@dataclass(frozen=True, slots=True)
class Installation:
    """One relay's files. `backend`, `settings` and `support` are keys as clients send them."""

    folder: Path
    door: int
    ops: int
    backend: str
    settings: str
    support: str
    digests: tuple[str, str, str]
    store: str = 'path = "relay.db"'
    """Where it is, as the configuration has it."""

    @property
    def config(self) -> Path:
        return self.folder / "feierabend.toml"

    @property
    def database(self) -> Path:
        return self.folder / "relay.db"

    def configure(
        self, apns: int, credentials: Path, *, grace: float = 3, connections: int = 2, posts_seen: bool = False
    ) -> None:
        """Write the configuration, for a fake APNs on port `apns` with its `credentials`."""
        self._write(
            f"""
name = "ios"
topic = "{TOPIC}"
team_id = "{TEAM_ID}"
key_id = "{KEY_ID}"
key_file = "{credentials / "AuthKey.p8"}"
endpoint = "127.0.0.1:{apns}"
ca_file = "{credentials / "ca.pem"}"
connections = {connections}
""",
            grace=grace, posts_seen=posts_seen,
        )  # fmt: skip

    def configure_android(self, fcm: int, credentials: Path) -> None:
        """The same for a fake FCM; its token endpoint stands in the service account file."""
        self._write(f"""
name = "android"
provider = "fcm"
service_account_file = "{credentials / "service-account.json"}"
endpoint = "127.0.0.1:{fcm}"
ca_file = "{credentials / "ca.pem"}"
connections = 2
""")

    def configure_web(self, apns: Provider, fcm: Provider, port: int, url: str, more: str = "") -> None:
        """For phones of both kinds, with the officers' door on `port`, reached as `url`; `more`: what `[web]` holds."""
        self._write(
            f"""
name = "ios"
topic = "{TOPIC}"
team_id = "{TEAM_ID}"
key_id = "{KEY_ID}"
key_file = "{apns.credentials / "AuthKey.p8"}"
endpoint = "127.0.0.1:{apns.port}"
ca_file = "{apns.credentials / "ca.pem"}"
connections = 1
[[tenants.apps]]
name = "android"
provider = "fcm"
service_account_file = "{fcm.credentials / "service-account.json"}"
endpoint = "127.0.0.1:{fcm.port}"
ca_file = "{fcm.credentials / "ca.pem"}"
connections = 1
""",
            more=f"""
[web]
listen = ["127.0.0.1:{port}"]
base_url = "{url}"
{more}
""",
        )  # fmt: skip

    def _write(self, app: str, *, grace: float = 3, posts_seen: bool = False, more: str = "") -> None:
        self.config.write_text(f"""
[store]
{self.store}
key_file = "master"
[door]
listen = ["127.0.0.1:{self.door}"]
[ops]
listen = ["127.0.0.1:{self.ops}"]
[shutdown]
grace_seconds = {grace}
[[tenants]]
name = "{TENANT}"
jitter_seconds = 0
posts_seen = {str(posts_seen).lower()}
[[tenants.keys]]
id = "backend"
sha256 = "{self.digests[0]}"
scopes = ["events", "alarms", "devices"]
[[tenants.keys]]
id = "settings"
sha256 = "{self.digests[1]}"
scopes = ["rest"]
[[tenants.keys]]
id = "helpdesk"
sha256 = "{self.digests[2]}"
scopes = ["support"]
[[tenants.apps]]{app}
[[tenants.classes]]
name = "alarm"
roles = ["dispatch"]
reasons = ["incident"]
{more}""")

    def starting(self) -> AbstractAsyncContextManager[Child]:
        """The relay as a process."""
        return running("serve", "--config", self.config)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[Child]:
        """The relay as a process, ready to be asked."""
        async with self.starting() as relay:
            await relay.line("relay_started")
            yield relay

    def backend_client(self) -> AbstractAsyncContextManager[Client]:
        """The messenger's backend."""
        return client(self.door, self.backend)

    def settings_client(self) -> AbstractAsyncContextManager[Client]:
        """The service in which people set their rest."""
        return client(self.door, self.settings)

    def support_client(self) -> AbstractAsyncContextManager[Client]:
        """Who helps people on the telephone."""
        return client(self.door, self.support)

    async def metrics(self) -> dict[tuple[str, ...], float]:
        """Every sample by its name and label values."""
        async with client(self.ops) as operator:
            text = (await operator.ask("GET", "/metrics")).body.decode()
        return {
            (sample.name, *sample.labels.values()): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }


def install(folder: Path, database: str | None = None) -> Installation:
    """A new installation, not yet configured. `database`: the URL of one of PostgreSQL's; None: a file."""
    (backend, *first), (settings, *second), (support, *third) = map(new_key, ("backend", "settings", "helpdesk"))
    masters = folder / "master"
    masters.touch(0o600)
    masters.write_text(f"0:{base64.b64encode(MASTER).decode()}\n")
    digests = (first[0], second[0], third[0])
    made = Installation(folder, free_port(), free_port(), backend, settings, support, digests)
    return made if database is None else replace(made, store=f'postgresql = "{database}"')


async def register(backend: Client, user: str, *tokens: str) -> None:
    """Give somebody a phone for each token."""
    for number, token in enumerate(tokens):
        device = {"platform": "apns", "app": "ios", "token": token}
        answer = await backend.ask("PUT", f"/v1/users/{user}/devices/phone{number}", device)
        assert answer.status == 201, answer


async def set_rest(settings: Client, user: str, *windows: Mapping[str, object]) -> None:
    answer = await settings.ask("PUT", f"/v1/users/{user}/rest", {"windows": windows})
    assert answer.status in (200, 201), answer


async def post(backend: Client, user: str) -> None:
    """Something new for somebody who has a phone."""
    answer = await backend.ask("POST", "/v1/events", {"user": user})
    assert answer.status == 202, answer
    assert answer.json() == {"accepted": 1, "unknown": 0}
