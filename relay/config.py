"""The configuration: TOML, read once, into values that never change.

    [store]
    path = "feierabend.db"            # SQLite
    key_file = "/run/keys/master"     # master keys; on another device than the database (I6)

    [door]
    listen = ["127.0.0.1:8080"]

    [ops]                             # health and metrics; keep it on loopback
    listen = ["127.0.0.1:9090"]

    [shutdown]
    grace_seconds = 10

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
    connections = 2

    [[tenants.classes]]               # message, roster and alarm exist; name one to change it
    name = "alarm"
    pierces = true
    cancellable = false
    deadline_seconds = 3600
    roles = ["dispatch"]
    reasons = ["incident"]
    recipients = 25000
    rate_per_hour = 60

Paths are relative to the file. Everything wrong is listed at once, each with its path and a sentence.
"""

from __future__ import annotations

import base64
import stat
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from relay.config_reader import Table, an_address, choice, flag, number, strings, text, whole
from relay.core.errors import Problem, RelayError
from relay.core.events import DEFAULT_CLASSES, EventClass
from relay.core.pseudonym import MASTER_KEY_BYTES
from relay.doors.keys import KEY_ID, Scope


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


@dataclass(frozen=True, slots=True)
class MasterKeys:
    keys: Mapping[int, bytes] = field(repr=False)
    first: int
    """Names people and devices: never change it while the store lives."""
    current: int
    """Seals new records."""


@dataclass(frozen=True, slots=True)
class StoreConfig:
    path: Path
    key_file: Path
    masters: MasterKeys


@dataclass(frozen=True, slots=True)
class DoorConfig:
    listen: tuple[Address, ...]
    max_connections: int
    max_body: int


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


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantConfig:
    name: str
    posts_seen: bool
    device_limit: int
    evict: bool
    jitter_seconds: float
    keys: tuple[KeyConfig, ...]
    apps: tuple[AppConfig, ...]
    classes: tuple[EventClass, ...]


@dataclass(frozen=True, slots=True)
class Config:
    store: StoreConfig
    door: DoorConfig
    ops: tuple[Address, ...]
    grace_seconds: float
    tenants: tuple[TenantConfig, ...]


def read(path: Path) -> Config:
    """Read a configuration. Raises ConfigError with everything that is wrong."""
    try:
        content = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ConfigError((Problem(str(path), f"cannot be read: {error.strerror}"),)) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError((Problem(str(path), f"is not TOML: {error}"),)) from None
    problems: list[Problem] = []
    root = Table(content, "", problems)
    config = _config(root, path.absolute().parent)
    root.done()
    if problems or config is None:
        raise ConfigError(tuple(problems))
    return config


def _config(root: Table, folder: Path) -> Config | None:
    store = _store(root.table("store"), folder)
    door_table = root.table("door")
    door = DoorConfig(
        _addresses(door_table, ("127.0.0.1:8080",)),
        door_table.get("max_connections", whole(1, 100_000), 1_000),
        door_table.get("max_body_bytes", whole(1_024, 2**26), 4 * 2**20),
    )
    door_table.done()
    ops_table = root.table("ops")
    ops = _addresses(ops_table, ("127.0.0.1:9090",))
    ops_table.done()
    shutdown = root.table("shutdown")
    grace = shutdown.get("grace_seconds", number(0, 3600), 10.0)
    shutdown.done()
    tenants = [_tenant(table, folder) for table in root.tables("tenants")]
    if not tenants:
        root.fault("tenants", "must name at least one tenant")
    _unique(root, "tenants", [t.name for t in tenants if t])
    _unique(root, "tenants.keys", [key.id for t in tenants if t for key in t.keys])
    if store is None or None in tenants:
        return None
    return Config(store, door, ops, grace, tuple(t for t in tenants if t))


def _store(table: Table, folder: Path) -> StoreConfig | None:
    path = table.get("path", text(), "")
    key_file = table.get("key_file", text(), "")
    table.done()
    if not path:
        table.fault("path", "is missing")
    masters = _file(table, "key_file", folder / key_file, read_masters) if key_file else None
    if not key_file:
        table.fault("key_file", "is missing")
    if path and not (folder / path).parent.is_dir():
        table.fault("path", "lies in a folder that does not exist")
    if masters is None:
        return None
    return StoreConfig(folder / path, folder / key_file, masters)


def read_masters(path: Path) -> MasterKeys:
    """Master keys: a line `id:base64` for each (32 bytes). Raises ValueError with a sentence."""
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise ValueError("can be read by others; make it private (chmod 600)")
    keys: dict[int, bytes] = {}
    for line in path.read_text("ascii").split():
        name, _, encoded = line.partition(":")
        try:
            key_id, key = int(name), base64.b64decode(encoded, validate=True)
        except ValueError:
            raise ValueError("has a line that is not id:base64") from None
        if not 0 <= key_id <= 255 or len(key) != MASTER_KEY_BYTES or key_id in keys:
            raise ValueError(f"needs ids from 0 to 255, each once, and keys of {MASTER_KEY_BYTES} bytes")
        keys[key_id] = key
    if not keys:
        raise ValueError("holds no key; make one with feierabend key master")
    return MasterKeys(keys, next(iter(keys)), next(reversed(keys)))


def _tenant(table: Table, folder: Path) -> TenantConfig | None:
    name = table.get("name", text(r"[a-z0-9][a-z0-9_-]{0,39}"), None)
    tenant = TenantConfig(
        name=name or "",
        posts_seen=table.get("posts_seen", flag, False),
        device_limit=table.get("device_limit", whole(1, 20), 3),
        evict=table.get("device_overflow", choice("evict", "refuse"), "evict") == "evict",
        jitter_seconds=table.get("jitter_seconds", number(0, 3600), 300.0),
        keys=tuple(key for item in table.tables("keys") if (key := _key(item)) is not None),
        apps=tuple(app for item in table.tables("apps") if (app := _app(item, folder)) is not None),
        classes=_classes(table),
    )
    _unique(table, "apps", [app.name for app in tenant.apps])
    table.done()
    return tenant if name else None


def _key(table: Table) -> KeyConfig | None:
    key_id = table.get("id", text(KEY_ID.pattern), None)
    digest = table.get("sha256", text(r"[0-9a-f]{64}"), None)
    scopes = frozenset(Scope(name) for name in table.get("scopes", strings(*Scope), ()))
    if not scopes:
        table.fault("scopes", "must name at least one scope")
    if {Scope.EVENTS, Scope.REST} <= scopes:
        table.fault("scopes", "may not hold both events and rest: who writes to people must not see when they rest")
    table.done()
    return KeyConfig(key_id, bytes.fromhex(digest), scopes) if key_id and digest else None


def _app(table: Table, folder: Path) -> AppConfig | None:
    table.get("provider", choice("apns"), "apns")
    name = table.get("name", text(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}"), None)
    topic = table.get("topic", text(r"[A-Za-z0-9.-]{1,255}"), None)
    team_id = table.get("team_id", text(r"[A-Z0-9]{10}"), None)
    key_id = table.get("key_id", text(r"[A-Z0-9]{10}"), None)
    key_file = table.get("key_file", text(), None)
    endpoint = table.get("endpoint", an_address, None, required=False)
    ca_file = table.get("ca_file", text(), None, required=False)
    environment = table.get("environment", choice("production", "sandbox"), "production")
    connections = table.get("connections", whole(1, 64), 2)
    table.done()
    key = _file(table, "key_file", folder / key_file, _provider_key) if key_file else None
    if ca_file and not (folder / ca_file).is_file():
        table.fault("ca_file", "does not exist")
    if not (name and topic and team_id and key_id and key):
        return None
    return AppConfig(
        name=name, topic=topic, team_id=team_id, key_id=key_id, key=key, environment=environment,
        connections=connections, endpoint=Address(*endpoint) if endpoint else None,
        ca_file=folder / ca_file if ca_file else None,
    )  # fmt: skip


def _provider_key(path: Path) -> bytes:
    pem = path.read_bytes()
    try:
        key = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError):
        raise ValueError("is not a PEM private key without password") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.curve.name != "secp256r1":
        raise ValueError("is not an EC P-256 key, as Apple hands out for APNs")
    return pem


_CLASS_FIELDS: Final[Mapping[str, tuple[str, Callable[[object], Any]]]] = {
    "pierces": ("pierces", flag),
    "cancellable": ("cancellable", flag),
    "deadline_seconds": ("deadline", number(60, 28 * 86400)),
    "roles": ("roles", strings()),
    "reasons": ("reasons", strings()),
    "recipients": ("recipients", whole(1, 25_000)),
    "rate_per_hour": ("rate_per_hour", whole(1, 100_000)),
}


def _classes(tenant: Table) -> tuple[EventClass, ...]:
    """The default classes, changed and joined by what the tenant names."""
    classes = {event_class.name: event_class for event_class in DEFAULT_CLASSES}
    named: list[str] = []
    for table in tenant.tables("classes"):
        name = table.get("name", text(r"[a-z][a-z0-9_]{0,31}"), None)
        given: dict[str, Any] = {}
        for key, (attribute, check) in _CLASS_FIELDS.items():
            value = table.get(key, check, None, required=False)
            if value is not None:
                given[attribute] = frozenset(value) if isinstance(value, tuple) else value
        table.done()
        if name:
            named.append(name)
            classes[name] = replace(classes.get(name, EventClass(name=name)), **given)
    _unique(tenant, "classes", named)
    return tuple(classes.values())


def _addresses(table: Table, default: tuple[str, ...]) -> tuple[Address, ...]:
    given = table.get("listen", strings(), default)
    found: list[Address] = []
    for index, value in enumerate(given):
        try:
            found.append(Address(*an_address(value)))
        except ValueError as error:
            table.fault(f"listen[{index}]", str(error))
    return tuple(found)


def _file(table: Table, name: str, path: Path, reader: Callable[[Path], Any]) -> Any:  # noqa: ANN401
    """What a file holds; a fault when it cannot be read."""
    try:
        return reader(path)
    except OSError as error:
        table.fault(name, f"cannot be read: {error.strerror}")
    except ValueError as error:
        table.fault(name, str(error))
    return None


def _unique(table: Table, path: str, names: list[str]) -> None:
    for name in sorted({name for name in names if names.count(name) > 1}):
        table.fault(path, f"has {name} twice")
