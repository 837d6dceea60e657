"""From a TOML file to the values of config.py: what each setting may be, and what they may not be together.

One pass over the whole: each table is read by a function of its own, which notes what is wrong and goes on, so that an
operator sees everything at once. What a single value may be stands in config_reader.py. Nobody needs this module to use
a configuration, only to read one.
"""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from relay.config import (
    FCM_RATE,
    Address,
    AnyAppConfig,
    AppConfig,
    Config,
    ConfigError,
    DoorConfig,
    FcmAppConfig,
    KeyConfig,
    NodesConfig,
    ProxyConfig,
    StreamConfig,
    TenantConfig,
    WebConfig,
)
from relay.config_proxy import of_app as read_proxy_of_app
from relay.config_proxy import proxy as read_proxy
from relay.config_reader import (
    Table,
    a_path,
    a_token_uri,
    an_address,
    choice,
    flag,
    key_id_of,
    number,
    read_certificates,
    read_provider_key,
    read_service_account,
    strings,
    text,
    whole,
)
from relay.config_store import store as read_store
from relay.config_web import LISTEN as WEB_LISTEN
from relay.config_web import web as read_web
from relay.core.errors import Problem
from relay.core.events import DEFAULT_CLASSES, TEST, EventClass
from relay.core.life import LADDER, NOW_OR_NEVER
from relay.doors.keys import KEY_ID, Scope
from relay.lanes.quota import SMALLEST
from schedules import RestKind

STREAM_LISTEN: Final = "127.0.0.1:8082"
UNIX: Final = "unix:"
"""What the path of a Unix socket follows, where else an address stands."""
EVERYWHERE: Final = ("0.0.0.0", "::")
"""Where one can listen, and nobody be reached."""


def read(path: Path) -> Config:
    """Read a configuration. Raises ConfigError with everything that is wrong."""
    try:
        content = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ConfigError((Problem(str(path), f"cannot be read: {error.strerror}"),)) from None
    except (ValueError, RecursionError) as error:
        raise ConfigError((Problem(str(path), f"is not TOML: {error}"),)) from None
    return examine(content, path.absolute().parent, path.stem)


def examine(content: Mapping[str, object], folder: Path, name: str = "feierabend") -> Config:
    """Values from what a TOML file holds; `folder` is where its paths begin, `name` its own without the end.

    Raises ConfigError.
    """
    problems: list[Problem] = []
    root = Table(content, "", problems)
    config = _config(root, folder, name)
    root.done()
    if problems or config is None:
        raise ConfigError(tuple(problems))
    return config


def _config(root: Table, folder: Path, name: str) -> Config | None:
    store = read_store(root.table("store"), folder)
    door_table = root.table("door")
    door = DoorConfig(
        _addresses(door_table, ("127.0.0.1:8080",)),
        door_table.get("max_connections", whole(1, 100_000), 1_000),
        door_table.get("max_body_bytes", whole(1_024, 2**26), 4 * 2**20),
    )
    door_table.done()
    ops_table = root.table("ops")
    ops = _addresses(ops_table, ("127.0.0.1:9090",))
    socket = ops_table.get("socket", a_path, None, required=False)
    ops_table.done()
    for address in set(door.listen) & set(ops):
        if address.port:
            ops_table.fault("listen", f"has {address}, which is the door's")
    shutdown = root.table("shutdown")
    grace = shutdown.get("grace_seconds", number(0, 3600), 10.0)
    shutdown.done()
    proxy = read_proxy(root.table("proxy"), folder) if root.has("proxy") else None
    tenants = [_tenant(table, folder, proxy) for table in root.tables("tenants", least=1)]
    named = tuple(tenant for tenant in tenants if tenant)
    _across(root, named)
    control = folder / socket if socket else None
    beside = (store.path if store else None) or (control.with_suffix("") if control else folder / name)
    control = control or beside.with_name(f"{beside.name}.sock")
    stream = _stream(root.table("stream"), folder, (*door.listen, *ops)) if root.has("stream") else None
    taken = (*door.listen, *ops, *(stream.listen if stream else ()))
    web = _web(root.table("web"), folder, taken, named, beside) if root.has("web") else None
    if web is not None and control == web.socket:
        ops_table.fault("socket", "is the one of the officers' door")
    for path in stream.sockets if stream else ():
        if path == control or (web is not None and path == web.socket):
            root.table("stream").fault("listen", "has a socket where the relay itself listens")
    if store is None or None in tenants:
        return None
    nodes = _nodes(root, taken) if store.postgresql is not None or root.has("nodes") else None
    if nodes is not None and store.postgresql is None:
        root.table("nodes").fault("listen", "belongs to a store in PostgreSQL; a file has one node")
    return Config(store, door, ops, grace, named, control, web, nodes, stream)


def _stream(table: Table, folder: Path, taken: tuple[Address, ...]) -> StreamConfig:
    given = table.get("listen", strings(least=1), (STREAM_LISTEN,))
    sockets = [_socket(table, index, value, folder) for index, value in enumerate(given) if value.startswith(UNIX)]
    addresses = _read_addresses(table, [(i, value) for i, value in enumerate(given) if not value.startswith(UNIX)])
    if len(set(sockets)) < len(sockets):
        table.fault("listen", "has one socket twice")
    for address in sorted(set(addresses) & set(taken), key=str):
        if address.port:
            table.fault("listen", f"has {address}, which is another door's")
    most = table.get("max_connections", whole(1, 1_000), 32)
    table.done()
    return StreamConfig(addresses, tuple(path for path in sockets if path), most)


def _socket(table: Table, index: int, value: str, folder: Path) -> Path | None:
    try:
        return folder / a_path(value.removeprefix(UNIX))
    except ValueError:
        table.fault(f"listen[{index}]", "must be unix: and a path")
        return None


def _nodes(root: Table, taken: tuple[Address, ...]) -> NodesConfig:
    table = root.table("nodes")
    listen = Address(*table.get("listen", an_address, ("127.0.0.1", 0)))
    address = table.get("address", an_address, None, required=False)
    table.done()
    if listen.port and listen in taken:
        table.fault("listen", f"is {listen}, which is another door's")
    if address is None and listen.host in EVERYWHERE:
        table.lacks("address", f"is missing; nobody reaches this node at {listen}")
    return NodesConfig(listen, str(Address(*address)) if address else None)


def _web(
    table: Table, folder: Path, taken: tuple[Address, ...], tenants: tuple[TenantConfig, ...], beside: Path
) -> WebConfig:
    listen = _addresses(table, WEB_LISTEN)
    for address in sorted(set(listen) & set(taken), key=str):
        if address.port:
            table.fault("listen", f"has {address}, where the relay itself listens")
    socket = beside.with_name(f"{beside.name}.door.sock")
    return read_web(table, folder, listen, [tenant.name for tenant in tenants], socket)


def _across(root: Table, tenants: tuple[TenantConfig, ...]) -> None:
    """What each tenant may say, and all of them together may not."""
    _unique(root, "tenants", [tenant.name for tenant in tenants])
    keys = [key for tenant in tenants for key in tenant.keys]
    _unique(root, "tenants.keys", [key.id for key in keys])
    for digest in sorted({key.digest for key in keys}):
        same = sorted({key.id for key in keys if key.digest == digest})
        if len(same) > 1:
            root.fault("tenants.keys", f"has one secret for {' and '.join(same)}; a secret belongs to one key")
    apps = {(a.team_id, a.key_id, a.key) for tenant in tenants for a in tenant.apps if isinstance(a, AppConfig)}
    for name in _twice(f"{key_id} of the team {team_id}" for team_id, key_id, _ in apps):
        root.fault("tenants.apps", f"has two different keys that are both called {name}")


def _tenant(table: Table, folder: Path, proxy: ProxyConfig | None) -> TenantConfig | None:
    """`proxy`: of apps that say nothing else."""
    name = table.get("name", text(r"[a-z0-9][a-z0-9_-]{0,39}"), None)
    tenant = TenantConfig(
        name=name or "",
        posts_seen=table.get("posts_seen", flag, False),
        device_limit=table.get("device_limit", whole(1, 20), 3),
        evict=table.get("device_overflow", choice("evict", "refuse"), "evict") == "evict",
        jitter_seconds=table.get("jitter_seconds", number(0, 3600), 300.0),
        keys=tuple(key for item in table.tables("keys") if (key := _key(item)) is not None),
        apps=tuple(app for item in table.tables("apps") if (app := _app(item, folder, proxy)) is not None),
        classes=_classes(table),
    )
    table.done()
    _unique(table, "apps", [app.name for app in tenant.apps])
    for name in _twice(_where(app) for app in tenant.apps):
        table.fault("apps", f"has {name} under two names; a phone would be woken twice")
    return tenant if name else None


def _key(table: Table) -> KeyConfig | None:
    key_id = table.get("id", text(KEY_ID.pattern), None)
    digest = table.get("sha256", text(r"[0-9a-f]{64}"), None)
    scopes = frozenset(Scope(name) for name in table.get("scopes", strings(*Scope, least=1), None) or ())
    if {Scope.EVENTS, Scope.REST} <= scopes:
        table.fault("scopes", "may not hold both events and rest: who writes to people must not see when they rest")
    if Scope.ALARMS in scopes and Scope.EVENTS not in scopes:
        table.fault("scopes", "has alarms without events: alarms are events, sent by the same request")
    table.done()
    return KeyConfig(key_id, bytes.fromhex(digest), scopes) if key_id and digest else None


def _where(app: AnyAppConfig) -> str:
    """What an app wakes, in words."""
    if isinstance(app, FcmAppConfig):
        return f"the project {app.account.project_id} at {app.endpoint or 'FCM'}"
    return f"{app.topic} at {app.endpoint or app.environment}"


def _app(table: Table, folder: Path, proxy: ProxyConfig | None) -> AnyAppConfig | None:
    read = _APPS[table.get("provider", choice(*_APPS), "apns")]
    name = table.get("name", text(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}"), None)
    endpoint = table.get("endpoint", an_address, None, required=False)
    ca_file = table.get("ca_file", a_path, None, required=False)
    ca_path = table.file("ca_file", folder / ca_file, read_certificates) if ca_file else None
    if endpoint and endpoint[1] == 0:
        table.fault("endpoint", "must name a port")
    app = read(table, folder, name or "", Address(*endpoint) if endpoint else None, ca_path)
    way = read_proxy_of_app(table, folder, proxy)
    table.done()
    return replace(app, proxy=way) if app and name else None


def _apns_app(
    table: Table, folder: Path, name: str, endpoint: Address | None, ca_file: Path | None
) -> AnyAppConfig | None:
    topic = table.get("topic", text(r"[A-Za-z0-9.-]{1,255}"), None)
    team_id = table.get("team_id", text(r"[A-Z0-9]{10}"), None)
    key_file = table.get("key_file", a_path, None)
    named = key_id_of(folder / key_file) if key_file else None
    given = table.get("key_id", text(r"[A-Z0-9]{10}"), None, required=named is None)
    key_id = given or named
    environment = table.get("environment", choice("production", "sandbox"), "production")
    connections = table.get("connections", whole(1, 64), 2)
    most = table.get("most_connections", whole(1, 64), 8)
    key = table.file("key_file", folder / key_file, read_provider_key) if key_file else None
    if not (topic and team_id and key_id and key):
        return None
    return AppConfig(
        name=name, topic=topic, team_id=team_id, key_id=key_id, key=key, environment=environment,
        connections=connections, endpoint=endpoint, ca_file=ca_file, key_file=folder / key_file,
        most_connections=most, key_id_is_fixed=given is not None,
    )  # fmt: skip


def _fcm_app(
    table: Table, folder: Path, name: str, endpoint: Address | None, ca_file: Path | None
) -> AnyAppConfig | None:
    account_file = table.get("service_account_file", a_path, None)
    token_uri = table.get("token_uri", a_token_uri, None, required=False)
    connections = table.get("connections", whole(1, 64), 4)
    most = table.get("most_connections", whole(1, 64), 16)
    rate = table.get("rate_per_minute", whole(SMALLEST, 100_000_000), FCM_RATE)
    found = table.file("service_account_file", folder / account_file, read_service_account) if account_file else None
    if found is None:
        return None
    account = replace(found, token_uri=token_uri or found.token_uri)
    return FcmAppConfig(
        name=name, account=account, connections=connections, endpoint=endpoint,
        token_uri_is_overridden=token_uri is not None, ca_file=ca_file, account_file=folder / account_file,
        most_connections=most, rate_per_minute=rate,
    )  # fmt: skip


_APPS: Final = {"apns": _apns_app, "fcm": _fcm_app}
"""Provider → the reader of what only its apps have."""


def _pierced(value: object) -> bool | tuple[str, ...]:
    """All rest, none, or rest of some kinds."""
    if isinstance(value, bool):
        return value
    try:
        return strings(*RestKind, least=1)(value)
    except ValueError:
        raise ValueError(f"must be true, false, or a list of {', '.join(RestKind)}") from None


def _class_scope(value: object) -> Scope:
    return Scope(choice(Scope.EVENTS, Scope.ALARMS, Scope.ADMIN)(value))


def _a_step(value: object) -> int:
    """A step of the ladder, and nothing between: the provider must not learn more from it (P2)."""
    if value not in (NOW_OR_NEVER, *LADDER) or isinstance(value, bool):
        raise ValueError(f"must be one of {', '.join(map(str, (NOW_OR_NEVER, *LADDER)))}")
    return int(str(value))


def _a_renewal(value: object) -> float:
    if value == 0 and not isinstance(value, bool):
        return 0.0
    try:
        return number(900, 7 * 86400)(value)
    except ValueError as error:
        raise ValueError(f"{error}, or 0 for none") from None


_CLASS_FIELDS: Final[Mapping[str, tuple[str, Callable[[object], Any]]]] = {
    "pierces": ("pierces", _pierced),
    "cancellable": ("cancellable", flag),
    "scope": ("scope", _class_scope),
    "deadline_seconds": ("deadline", number(60, 28 * 86400)),
    "life_seconds": ("life", _a_step),
    "renew_seconds": ("renewal", _a_renewal),
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
        if isinstance(given.get("pierces"), frozenset):
            given |= {"pierces": False, "through": given["pierces"]}
        table.done()
        if name == TEST.name:
            table.fault("name", "is taken: by this class officers wake their own phones; choose another name")
        elif name:
            named.append(name)
            classes[name] = _class(table, classes.get(name, EventClass(name=name)), given)
    _unique(tenant, "classes", named)
    return tuple(classes.values())


def _class(table: Table, default: EventClass, given: dict[str, Any]) -> EventClass:
    """A class that pierces rest is never cancelled, and only such a class has roles, reasons and a rate."""
    if given.get("pierces"):
        given.setdefault("cancellable", False)
    event_class = replace(default, **given)
    if event_class.pierces and event_class.cancellable:
        table.fault("cancellable", "must be false in a class that pierces rest: an alarm is not taken back by reading")
    if event_class.needs_authority and given.get("scope") is Scope.EVENTS:
        table.fault("scope", "must be alarms or admin in a class that may go out in rest")
    if event_class.renewal and not event_class.pierces:
        table.fault("pierces", "must be true in a class that is renewed: orders go out in rest")
    for name in ("roles", "reasons", "rate_per_hour"):
        if name in given and not event_class.needs_authority:
            table.fault(name, "belongs to classes that pierce rest; this one does not")
    return event_class


def _addresses(table: Table, default: tuple[str, ...]) -> tuple[Address, ...]:
    return _read_addresses(table, list(enumerate(table.get("listen", strings(least=1), default))))


def _read_addresses(table: Table, given: Iterable[tuple[int, str]]) -> tuple[Address, ...]:
    """Of values of `listen`, each with its place there."""
    found: list[Address] = []
    for index, value in given:
        try:
            found.append(Address(*an_address(value)))
        except ValueError as error:
            table.fault(f"listen[{index}]", str(error))
    _unique(table, "listen", [str(address) for address in found if address.port])
    return tuple(found)


def _unique(table: Table, path: str, names: Iterable[str]) -> None:
    for name in _twice(names):
        table.fault(path, f"has {name} twice")


def _twice(names: Iterable[str]) -> list[str]:
    return sorted(name for name, count in Counter(names).items() if count > 1)
