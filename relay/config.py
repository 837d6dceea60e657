"""The configuration: TOML, read once, into values that never change.

    [store]                           # where all of it is kept: relay/config_store.py
    path = "feierabend.db"            # SQLite; or postgresql = "postgresql://…", and password_file
    key_file = "/run/keys/master"     # master keys; on another device than the database (I6)
                                      # [nodes], where nodes that share a database ask one another: there too

    [door]
    listen = ["127.0.0.1:8080"]

    [stream]                          # events as streams (README); not there: no such door
    listen = ["127.0.0.1:8082", "unix:/run/feierabend/events.sock"]

    [ops]                             # health and metrics; keep it on loopback
    listen = ["127.0.0.1:9090"]
    socket = "feierabend.db.sock"     # for `feierabend hold`; beside the database if not given

    [proxy]                           # the way to Apple and Google, if there is no other: relay/config_proxy.py
    url = "http://proxy.example:3128"
    credentials_file = "proxy-credentials"

    [shutdown]
    grace_seconds = 10

    [web]                             # the officers' door: relay/config_web.py
    base_url = "https://ruhe.example.org"

    [[tenants]]
    name = "example"
    posts_seen = true                 # the backend posts read markers
    device_limit = 3
    device_overflow = "evict"         # or "refuse"
    jitter_seconds = 300

    [[tenants.keys]]                  # made by `feierabend key new`
    id = "backend"
    sha256 = "…"
    scopes = ["events", "alarms"]

    [[tenants.apps]]
    name = "ios"
    topic = "de.example.messenger"
    team_id = "ABCDE12345"
    key_id = "FGHIJ67890"
    key_file = "AuthKey_FGHIJ67890.p8"
    environment = "production"        # or "sandbox"
    connections = 2                   # opened at the start; of several one is kept for alarms
    most_connections = 8              # as many as the queue and Apple's answer times ask for
    proxy = false                     # or a table like [proxy], in the place of that

    [[tenants.apps]]
    name = "android"
    provider = "fcm"
    service_account_file = "service-account.json"
    connections = 4                   # FCM takes 100 requests at a time on each
    most_connections = 16
    rate_per_minute = 600000          # the project's quota; what other senders use of it, take off

    [[tenants.classes]]               # message, roster, alarm and control exist; name one to change it
    name = "alarm"
    scope = "alarms"                  # what a key needs for it beside events; control needs admin
    life_seconds = 604800             # a step of the ladder: longest time for which a provider may keep it
    renew_seconds = 0                 # sent anew so often until confirmed; control: 86400
    pierces = true                    # or the kinds of rest that are none for it: ["free", "night"]
    cancellable = false
    deadline_seconds = 3600
    roles = ["dispatch"]
    reasons = ["incident"]
    recipients = 25000
    rate_per_hour = 60

Paths are relative to the file. The files of keys, service accounts and proxies' credentials are looked at once a
minute; to rotate a key of Apple's, leave out `key_id` and point the link that is `key_file` to another
AuthKey_<key id>.p8. Everything wrong is listed at once, each with its path and a sentence.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from relay.config_reader import MasterKeys as MasterKeys
from relay.core.errors import Problem, RelayError
from relay.core.events import EventClass
from relay.doors.keys import Scope
from relay.lanes.oauth import ServiceAccount

FCM_RATE: Final = 600_000
"""Messages a minute that Google takes from a project; whoever was granted more, says so."""


class ConfigError(RelayError):
    """The configuration cannot be used."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("\n".join(f"{p.path}: {p.sentence}" for p in problems))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class Address:
    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class NotAFile(RelayError):
    """The store is in PostgreSQL, and what was asked for is done with a file."""

    def __init__(self) -> None:
        super().__init__(
            "the store is in PostgreSQL, whose own tools back it up and restore it (pg_dump, or a base backup and "
            "archived logs); what that means for who was erased stands in the README"
        )


@dataclass(frozen=True, slots=True)
class PostgresConfig:
    """A database. Who may see this value sees its password; `str` and `repr` tell its host only."""

    url: str = field(repr=False)
    """For libpq; without a password."""
    password: str | None = field(repr=False)
    host: str
    """Where it is, for people: `db.example:5432`."""
    is_sure: bool = True
    """Nobody between us and it can pretend to be it."""

    def __str__(self) -> str:
        return self.host


@dataclass(frozen=True, slots=True)
class StoreConfig:
    """Either in a file or in PostgreSQL: one of `path` and `postgresql` is None."""

    path: Path | None
    key_file: Path
    masters: MasterKeys
    postgresql: PostgresConfig | None = None

    @property
    def file(self) -> Path:
        """The SQLite database. Raises NotAFile."""
        if self.path is None:
            raise NotAFile
        return self.path


@dataclass(frozen=True, slots=True)
class NodesConfig:
    listen: Address
    address: str | None
    """`host:port` by which the others reach it; None: where it listens."""


@dataclass(frozen=True, slots=True)
class ProxyConfig:
    """An HTTP proxy. `credentials`: `user:password`, or None when it asks for none."""

    address: Address
    credentials: str | None = field(default=None, repr=False)
    credentials_file: Path | None = None
    """Looked at again once a minute; None: they never change."""


@dataclass(frozen=True, slots=True)
class DoorConfig:
    listen: tuple[Address, ...]
    max_connections: int
    max_body: int


@dataclass(frozen=True, slots=True)
class StreamConfig:
    """Where events come in as streams; one of the two lists may be empty."""

    listen: tuple[Address, ...]
    sockets: tuple[Path, ...]
    """Unix sockets, open to the relay's own user and group."""
    max_connections: int


@dataclass(frozen=True, slots=True)
class KeyConfig:
    id: str
    digest: bytes = field(repr=False)
    scopes: frozenset[Scope]


@dataclass(frozen=True, slots=True, kw_only=True)
class AppConfig:
    """One iOS app at APNs."""

    name: str
    topic: str
    team_id: str
    key_id: str
    key: bytes = field(repr=False)
    environment: str
    connections: int
    endpoint: Address | None
    """Overrides Apple's address; for simulators and tests."""
    ca_file: Path | None
    key_file: Path | None = None
    """Looked at again once a minute; None: the key never changes."""
    most_connections: int = 0
    """Not more than `connections` when it is less."""
    key_id_is_fixed: bool = True
    """False: the name of the key file says the id, and may say another one day."""
    proxy: ProxyConfig | None = None
    """None: Apple is reached without."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FcmAppConfig:
    """One Android app at FCM."""

    name: str
    account: ServiceAccount
    """Its `token_uri` may be overridden, like `endpoint`."""
    connections: int
    endpoint: Address | None
    token_uri_is_overridden: bool
    ca_file: Path | None
    account_file: Path | None = None
    """Looked at again once a minute; None: the account never changes."""
    most_connections: int = 0
    """Not more than `connections` when it is less."""
    rate_per_minute: int = FCM_RATE
    """Most messages of the project in any minute."""
    proxy: ProxyConfig | None = None
    """None: Google is reached without."""


AnyAppConfig = AppConfig | FcmAppConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantConfig:
    name: str
    posts_seen: bool
    device_limit: int
    evict: bool
    jitter_seconds: float
    keys: tuple[KeyConfig, ...]
    apps: tuple[AnyAppConfig, ...]
    classes: tuple[EventClass, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class OidcConfig:
    """An identity provider whose word is taken for the people of one tenant."""

    tenant: str
    name: str
    """What the button says."""
    issuer: str
    client_id: str
    client_secret: str | None = field(repr=False)
    """None: a public client."""
    user_claim: str
    acr_values: tuple[str, ...]
    """One of them is required; empty: any will do."""
    amr: tuple[str, ...]
    """All of them are required."""
    scopes: tuple[str, ...]
    ca_file: Path | None
    """Who vouches for its certificate; None: the system's trust store."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WebConfig:
    """The officers' door, a process of its own."""

    listen: tuple[Address, ...]
    base_url: str
    """How browsers reach it; without a slash at the end."""
    oidc: tuple[OidcConfig, ...]
    socket: Path
    """Where the relay listens for it."""
    trusted_proxies: tuple[str, ...]
    """Networks; what others say in `X-Forwarded-For` is not heard."""
    login_attempts: int
    """Failed ones of one client in ten minutes."""
    pages: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """The operator's own texts, page → language → Markdown (relay/config_pages.py)."""


@dataclass(frozen=True, slots=True)
class Config:
    store: StoreConfig
    door: DoorConfig
    ops: tuple[Address, ...]
    grace_seconds: float
    tenants: tuple[TenantConfig, ...]
    control: Path | None = None
    """The socket for `feierabend hold` and the like; None: there is none."""
    web: WebConfig | None = None
    """None: there is no officers' door."""
    nodes: NodesConfig | None = None
    """Where the others ask this node; only with PostgreSQL."""
    stream: StreamConfig | None = None
    """None: there is no stream door."""
