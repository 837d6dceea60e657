"""The configuration: a good one becomes values, and of a bad one everything that is wrong is named at once."""

from __future__ import annotations

import base64
import json
import re
from contextlib import suppress
from copy import deepcopy
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

import pytest
import trustme
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from relay import config as config_module
from relay.config import (
    Address,
    AppConfig,
    Config,
    ConfigError,
    DoorConfig,
    FcmAppConfig,
    KeyConfig,
    StoreConfig,
    TenantConfig,
)
from relay.config_file import examine, read
from relay.config_reader import LIKE_TOKEN_URI, MasterKeys, a_token_uri, an_address, read_masters
from relay.core.events import DEFAULT_CLASSES, EventClass
from relay.doors.keys import Scope

FIRST, SECOND = bytes(range(32)), bytes(range(32, 64))


def pem(key: PrivateKeyTypes, password: bytes | None = None) -> bytes:
    secrecy = BestAvailableEncryption(password) if password else NoEncryption()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, secrecy)


PROVIDER = pem(ec.generate_private_key(ec.SECP256R1()))
OTHER_PROVIDER = pem(ec.generate_private_key(ec.SECP256R1()))
CERTIFICATE = trustme.CA().cert_pem.bytes()
ACCOUNT = {
    "type": "service_account",
    "project_id": "police-1",
    "private_key_id": "key-1",
    "private_key": pem(rsa.generate_private_key(65537, 2048)).decode(),
    "client_email": "relay@police-1.example",
    "token_uri": "https://oauth2.example/token",
}


def master_line(number: int, key: bytes) -> str:
    return f"{number}:{base64.b64encode(key).decode()}\n"


def write_files(folder: Path) -> None:
    (folder / "keys").mkdir()
    masters = folder / "keys" / "master"
    masters.write_text(master_line(7, FIRST) + master_line(2, SECOND))
    masters.chmod(0o600)
    (folder / "keys" / "AuthKey.p8").write_bytes(PROVIDER)
    (folder / "keys" / "other.p8").write_bytes(OTHER_PROVIDER)
    (folder / "ca.pem").write_bytes(CERTIFICATE)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_files(tmp_path)
    return tmp_path


COMPLETE = """
[store]
path = "data.db"
key_file = "keys/master"

[door]
listen = ["127.0.0.1:8443", "[::1]:8443", "relay.example:0"]
max_connections = 17
max_body_bytes = 65536

[ops]
listen = ["[::1]:9000"]
socket = "run/relay.sock"

[shutdown]
grace_seconds = 2.5

[[tenants]]
name = "city"
posts_seen = true
device_limit = 5
device_overflow = "refuse"
jitter_seconds = 60

[[tenants.keys]]
id = "backend"
sha256 = "{backend}"
scopes = ["events", "alarms"]

[[tenants.keys]]
id = "settings"
sha256 = "{settings}"
scopes = ["rest"]

[[tenants.apps]]
name = "ios"
provider = "apns"
topic = "de.example.messenger"
team_id = "ABCDE12345"
key_id = "FGHIJ67890"
key_file = "keys/AuthKey.p8"
environment = "sandbox"
connections = 4
endpoint = "[::1]:2197"
ca_file = "ca.pem"

[[tenants.classes]]
name = "alarm"
deadline_seconds = 600
roles = ["dispatch", "watch"]
reasons = ["incident"]
recipients = 500
rate_per_hour = 10

[[tenants.classes]]
name = "bulk"
cancellable = false

[[tenants]]
name = "county"
""".format(backend="ab" * 32, settings="cd" * 32)


def test_a_complete_configuration_becomes_values(folder: Path) -> None:
    """Paths are relative to the file, wherever the process was started."""
    path = folder / "relay.toml"
    path.write_text(COMPLETE)
    assert read(path) == Config(
        store=StoreConfig(
            folder / "data.db", folder / "keys/master", MasterKeys({7: FIRST, 2: SECOND}, first=7, current=2)
        ),
        door=DoorConfig(
            (Address("127.0.0.1", 8443), Address("::1", 8443), Address("relay.example", 0)),
            max_connections=17,
            max_body=65536,
        ),
        ops=(Address("::1", 9000),),
        grace_seconds=2.5,
        tenants=(
            TenantConfig(
                name="city",
                posts_seen=True,
                device_limit=5,
                evict=False,
                jitter_seconds=60.0,
                keys=(
                    KeyConfig("backend", bytes.fromhex("ab" * 32), frozenset({Scope.EVENTS, Scope.ALARMS})),
                    KeyConfig("settings", bytes.fromhex("cd" * 32), frozenset({Scope.REST})),
                ),
                apps=(
                    AppConfig(
                        name="ios",
                        topic="de.example.messenger",
                        team_id="ABCDE12345",
                        key_id="FGHIJ67890",
                        key=PROVIDER,
                        environment="sandbox",
                        connections=4,
                        most_connections=8,
                        endpoint=Address("::1", 2197),
                        ca_file=folder / "ca.pem",
                        key_file=folder / "keys/AuthKey.p8",
                    ),
                ),
                classes=(
                    EventClass(name="message"),
                    EventClass(name="roster"),
                    EventClass(
                        name="alarm",
                        pierces=True,
                        cancellable=False,
                        deadline=600.0,
                        roles=frozenset({"dispatch", "watch"}),
                        reasons=frozenset({"incident"}),
                        recipients=500,
                        rate_per_hour=10,
                        scope=Scope.ALARMS,
                    ),
                    CONTROL,
                    EventClass(name="bulk", cancellable=False),
                ),
            ),
            TenantConfig(
                name="county",
                posts_seen=False,
                device_limit=3,
                evict=True,
                jitter_seconds=300.0,
                keys=(),
                apps=(),
                classes=DEFAULT_CLASSES,
            ),
        ),
        control=folder / "run/relay.sock",
    )


def test_what_is_not_said_has_a_default(folder: Path) -> None:
    config = examine({"store": STORE, "tenants": [{"name": "city"}]}, folder)
    assert config.door == DoorConfig((Address("127.0.0.1", 8080),), max_connections=1000, max_body=4 * 2**20)
    assert config.ops == (Address("127.0.0.1", 9090),)
    assert config.grace_seconds == 10.0
    assert config.control == folder / "data.db.sock"
    app = examine(content({"tenants[0].apps[0]": APP}), folder).tenants[0].apps[0]
    assert isinstance(app, AppConfig)
    assert (app.environment, app.connections, app.endpoint, app.ca_file) == ("production", 2, None, None)


def test_the_example_in_the_documentation_is_good(folder: Path) -> None:
    """But for its ellipsis, and the files it names."""
    text = re.sub(r"^    ", "", config_module.__doc__ or "", flags=re.MULTILINE)
    text = text[text.index("[store]") : text.index("Paths are relative")]
    text = text.replace("…", "ab" * 32).replace("/run/keys/master", "keys/master")
    (folder / "AuthKey_FGHIJ67890.p8").write_bytes(PROVIDER)
    (folder / "service-account.json").write_text(json.dumps(ACCOUNT))
    (folder / "proxy-credentials").touch(0o600)
    (folder / "proxy-credentials").write_text("relay:s3cret")
    path = folder / "relay.toml"
    path.write_text(text)
    assert read(path).tenants[0].name == "example"


def test_the_name_of_a_key_file_says_its_id_through_links_when_the_configuration_does_not(folder: Path) -> None:
    (folder / "AuthKey_NEWKEY0001.p8").write_bytes(PROVIDER)
    (folder / "keys/AuthKey.p8").unlink()
    (folder / "keys/AuthKey.p8").symlink_to(folder / "AuthKey_NEWKEY0001.p8")
    app = {name: value for name, value in APP.items() if name != "key_id"}
    found = examine(content({"tenants": [{"name": "city", "apps": [app]}]}), folder).tenants[0].apps[0]
    assert isinstance(found, AppConfig)
    assert (found.key_id, found.key_id_is_fixed) == ("NEWKEY0001", False)


def test_absolute_paths_stay(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    write_files(elsewhere)
    absolute = content({"store": {"path": str(elsewhere / "data.db"), "key_file": str(elsewhere / "keys/master")}})
    assert examine(absolute, folder).store.path == elsewhere / "data.db"


def test_a_path_given_from_where_one_stands_is_found(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "relay.toml").write_text(COMPLETE)
    monkeypatch.chdir(folder)
    assert read(Path("relay.toml")).store.path == folder / "data.db"


# --- faults

STORE = {"path": "data.db", "key_file": "keys/master"}
KEY = {"id": "backend", "sha256": "ab" * 32, "scopes": ["events"]}
APP = {
    "name": "ios",
    "topic": "de.example",
    "team_id": "ABCDE12345",
    "key_id": "FGHIJ67890",
    "key_file": "keys/AuthKey.p8",
}
GOOD: dict[str, Any] = {
    "store": STORE,
    "door": {},
    "ops": {},
    "shutdown": {},
    "tenants": [{"name": "city", "keys": [KEY], "apps": [APP], "classes": [{"name": "bulk"}]}],
}
GONE = object()
Edits = dict[str, Any]


def content(edits: Edits) -> dict[str, Any]:
    """The good configuration with some members replaced; GONE removes one, an index beyond the end appends."""
    result = deepcopy(GOOD)
    for path, value in edits.items():
        *way, last = [int(p) if p.isdigit() else p for p in re.split(r"\.|\[|\]\.?", path) if p != ""]
        place: Any = result
        for step in way:
            place = place[step]
        if value is GONE:
            del place[last]
        elif isinstance(place, list) and last == len(place):
            place.append(value)
        else:
            place[last] = value
    return result


def problems(edits: Edits, folder: Path) -> dict[str, str]:
    with pytest.raises(ConfigError) as caught:
        examine(content(edits), folder)
    found = [(problem.path, problem.sentence) for problem in caught.value.problems]
    assert str(caught.value).splitlines() == [f"{path}: {sentence}" for path, sentence in found]
    assert len(dict(found)) == len(found), "each path once"
    return dict(found)


def test_the_good_one_is_good(folder: Path) -> None:
    examine(content({}), folder)


ALARM = {"name": "alarm"}
CONTROL = DEFAULT_CLASSES[-1]
STEPS = "must be one of 0, 300, 900, 3600, 14400, 43200, 604800"
PIERCES = "must be true, false, or a list of night, free, leave, sick, off"
A_LIST = "must be a list of tables; write [[{}]]"
A_CERTIFICATE = "tenants[0].apps[0].ca_file"


@pytest.mark.parametrize(
    ("path", "value", "sentence"),
    [
        # unknown keys, at every level
        ("stores", {}, "is not known here; known are door, nodes, ops, proxy, shutdown, store, stream, tenants, web"),
        ("store.paht", "x", "is not known here; known are key_file, password_file, path, postgresql"),
        ("door.port", 80, "is not known here; known are listen, max_body_bytes, max_connections"),
        ("ops.port", 80, "is not known here; known are listen, socket"),
        ("shutdown.grace", 1, "is not known here; known are grace_seconds"),
        ("tenants[0].jitter", 1,
         "is not known here; known are apps, classes, device_limit, device_overflow, jitter_seconds, keys, name, "
         "posts_seen"),
        ("tenants[0].keys[0].secret", "s", "is not known here; known are id, scopes, sha256"),
        ("tenants[0].apps[0].key", "k",
         "is not known here; known are ca_file, connections, endpoint, environment, key_file, key_id, "
         "most_connections, name, provider, proxy, team_id, topic"),
        ("tenants[0].classes[0].prio", 1, "is not known here; known are cancellable, deadline_seconds, life_seconds, "
         "name, pierces, rate_per_hour, reasons, recipients, renew_seconds, roles, scope"),
        # missing
        ("store.path", GONE, "is missing, and so is postgresql; one of them says where the store is"),
        ("store.key_file", GONE, "is missing"),
        ("tenants[0].name", GONE, "is missing"),
        ("tenants[0].keys[0].id", GONE, "is missing"),
        ("tenants[0].keys[0].sha256", GONE, "is missing"),
        ("tenants[0].apps[0].name", GONE, "is missing"),
        ("tenants[0].apps[0].topic", GONE, "is missing"),
        ("tenants[0].apps[0].team_id", GONE, "is missing"),
        ("tenants[0].apps[0].key_id", GONE, "is missing"),
        ("tenants[0].apps[0].key_file", GONE, "is missing"),
        ("tenants[0].classes[0].name", GONE, "is missing"),
        ("tenants", GONE, "must name at least 1"),
        ("tenants", [], "must name at least 1"),
        ("tenants[0].keys[0].scopes", GONE, "is missing"),
        ("tenants[0].keys[0].scopes", [], "must name at least 1"),
        ("door.listen", [], "must name at least 1"),
        ("ops.listen", [], "must name at least 1"),
        # of the wrong kind
        ("store", "data.db", "must be a table"),
        ("tenants", {"name": "city"}, A_LIST.format("tenants")),
        ("tenants[0]", "city", "must be a table"),
        ("tenants[0].apps[0]", [], "must be a table"),
        ("tenants[0].keys[0]", None, "must be a table"),
        ("door", 1, "must be a table"),
        ("door", [], "must be a table"),
        ("ops", "127.0.0.1:9090", "must be a table"),
        ("shutdown", True, "must be a table"),
        ("tenants[0].keys", {}, A_LIST.format("tenants.keys")),
        ("tenants[0].apps", "ios", A_LIST.format("tenants.apps")),
        ("tenants[0].classes", 5, A_LIST.format("tenants.classes")),
        ("tenants[0].classes[0]", 5, "must be a table"),
        ("store.path", 5, "must be a path"),
        ("store.path", "", "must be a path"),
        ("store.path", "a\x00b", "must be a path"),
        ("store.key_file", "keys/\nmaster", "must be a path"),
        ("store.key_file", ["keys/master"], "must be a path"),
        ("tenants[0].apps[0].key_file", True, "must be a path"),
        ("tenants[0].apps[0].ca_file", "\x00", "must be a path"),
        ("door.listen", "127.0.0.1:80", "must be a list of texts"),
        ("door.listen", ["127.0.0.1:80", 80], "must be a list of texts"),
        ("door.listen", [""], "must be a list of texts"),
        ("door.max_connections", "many", "must be a whole number from 1 to 100000"),
        ("door.max_connections", True, "must be a whole number from 1 to 100000"),
        ("door.max_connections", 10.0, "must be a whole number from 1 to 100000"),
        ("shutdown.grace_seconds", "10s", "must be a number from 0 to 3600"),
        ("shutdown.grace_seconds", False, "must be a number from 0 to 3600"),
        ("tenants[0].posts_seen", 1, "must be true or false"),
        ("tenants[0].posts_seen", "true", "must be true or false"),
        ("tenants[0].keys[0].scopes", "events", "must be a list of texts"),
        ("tenants[0].classes[0].pierces", "yes", PIERCES),
        ("tenants[0].classes[0].pierces", [], PIERCES),
        ("tenants[0].classes[0].scope", "devices", "must be one of events, alarms, admin"),
        ("tenants[0].classes[0].life_seconds", 301, STEPS),
        ("tenants[0].classes[0].life_seconds", False, STEPS),
        ("tenants[0].classes[0].renew_seconds", 899, "must be a number from 900 to 604800, or 0 for none"),
        ("tenants[0].classes[0].renew_seconds", "daily", "must be a number from 900 to 604800, or 0 for none"),
        ("tenants[0].classes[0].renew_seconds", False, "must be a number from 900 to 604800, or 0 for none"),
        ("tenants[0].classes[0].pierces", ["noon"], PIERCES),
        ("tenants[0].classes[0].deadline_seconds", time(1), "must be a number from 60 to 2419200"),
        # out of range
        ("door.max_connections", 0, "must be a whole number from 1 to 100000"),
        ("door.max_connections", 100_001, "must be a whole number from 1 to 100000"),
        ("door.max_body_bytes", 1023, "must be a whole number from 1024 to 67108864"),
        ("shutdown.grace_seconds", -0.1, "must be a number from 0 to 3600"),
        ("shutdown.grace_seconds", 3601, "must be a number from 0 to 3600"),
        ("shutdown.grace_seconds", float("nan"), "must be a number from 0 to 3600"),
        ("shutdown.grace_seconds", float("inf"), "must be a number from 0 to 3600"),
        ("shutdown.grace_seconds", 10**400, "must be a number from 0 to 3600"),
        ("tenants[0].device_limit", 0, "must be a whole number from 1 to 20"),
        ("tenants[0].device_limit", 21, "must be a whole number from 1 to 20"),
        ("tenants[0].jitter_seconds", 3601, "must be a number from 0 to 3600"),
        ("tenants[0].device_overflow", "drop", "must be one of evict, refuse"),
        ("tenants[0].device_overflow", ["evict"], "must be one of evict, refuse"),
        ("tenants[0].apps[0].provider", "webpush", "must be one of apns, fcm"),
        ("tenants[0].apps[0].environment", "test", "must be one of production, sandbox"),
        ("tenants[0].apps[0].connections", 65, "must be a whole number from 1 to 64"),
        ("tenants[0].classes[0].deadline_seconds", 59, "must be a number from 60 to 2419200"),
        ("tenants[0].classes[0].recipients", 25_001, "must be a whole number from 1 to 25000"),
        ("tenants[0].keys[0].scopes", ["events", "root"],
         "must name only events, alarms, devices, rest, support, admin"),
        # of the wrong form
        ("tenants[0].name", "City", "must be a text of the form [a-z0-9][a-z0-9_-]{0,39}"),
        ("tenants[0].name", "city\n", "must be a text of the form [a-z0-9][a-z0-9_-]{0,39}"),
        ("tenants[0].name", "a\x00b", "must be a text of the form [a-z0-9][a-z0-9_-]{0,39}"),
        ("tenants[0].name", "a" * 41, "must be a text of the form [a-z0-9][a-z0-9_-]{0,39}"),
        ("tenants[0].keys[0].id", "back.end", "must be a text of the form [A-Za-z0-9_-]{1,40}"),
        ("tenants[0].keys[0].sha256", "AB" * 32, "must be a text of the form [0-9a-f]{64}"),
        ("tenants[0].keys[0].sha256", "ab" * 31, "must be a text of the form [0-9a-f]{64}"),
        ("tenants[0].apps[0].name", "my app", "must be a text of the form [A-Za-z0-9][A-Za-z0-9_.-]{0,63}"),
        ("tenants[0].apps[0].topic", "de.example/x", "must be a text of the form [A-Za-z0-9.-]{1,255}"),
        ("tenants[0].apps[0].team_id", "abcde12345", "must be a text of the form [A-Z0-9]{10}"),
        ("tenants[0].apps[0].key_id", "ABC", "must be a text of the form [A-Z0-9]{10}"),
        ("tenants[0].classes[0].name", "Bulk", "must be a text of the form [a-z][a-z0-9_]{0,31}"),
        # twice
        ("tenants[1]", {"name": "city"}, {"tenants": "has city twice"}),
        ("tenants[1]", {"name": "county", "keys": [KEY | {"sha256": "cd" * 32}]},
         {"tenants.keys": "has backend twice"}),
        ("tenants[0].keys[1]", KEY | {"sha256": "cd" * 32}, {"tenants.keys": "has backend twice"}),
        ("tenants[0].keys[1]", KEY, {"tenants.keys": "has backend twice"}),
        ("tenants[0].apps[1]", APP | {"topic": "de.other"}, {"tenants[0].apps": "has ios twice"}),
        ("tenants[0].classes[1]", {"name": "bulk"}, {"tenants[0].classes": "has bulk twice"}),
        ("door.listen", ["[::1]:80", "127.0.0.1:80", "[::1]:80"], "has [::1]:80 twice"),
        # contradictions
        ("tenants[0].keys[0].scopes", ["rest", "events"],
         "may not hold both events and rest: who writes to people must not see when they rest"),
        ("tenants[0].keys[0].scopes", ["alarms"],
         "has alarms without events: alarms are events, sent by the same request"),
        ("tenants[0].keys[1]", KEY | {"id": "settings", "scopes": ["rest"]},
         {"tenants.keys": "has one secret for backend and settings; a secret belongs to one key"}),
        ("ops.listen", ["127.0.0.1:8080"], "has 127.0.0.1:8080, which is the door's"),
        ("stream", {"listen": ["127.0.0.1:8080"]},
         {"stream.listen": "has 127.0.0.1:8080, which is another door's"}),
        ("stream", {"listen": ["[::1]:1", "[::1]:1"]}, {"stream.listen": "has [::1]:1 twice"}),
        ("stream", {"listen": ["unix:a", "unix:./a"]}, {"stream.listen": "has one socket twice"}),
        ("stream", {"listen": []}, {"stream.listen": "must name at least 1"}),
        ("stream", {"listen": ["127.0.0.1:1", "nonsense"]},
         {"stream.listen[1]": "must be an address like 127.0.0.1:8080 or [::1]:8080"}),
        ("stream", {"listen": ["unix:"]}, {"stream.listen[0]": "must be unix: and a path"}),
        ("stream", {"listen": ["unix:data.db.sock"]},
         {"stream.listen": "has a socket where the relay itself listens"}),
        ("stream", {"max_connections": 0}, {"stream.max_connections": "must be a whole number from 1 to 1000"}),
        ("stream", {"port": 1}, {"stream.port": "is not known here; known are listen, max_connections"}),
        ("store.path", "keys/../keys/master",
         "is the key file; the database is another file, best on another device"),
        ("tenants[0].apps[1]", APP | {"name": "beta"},
         {"tenants[0].apps": "has de.example at production under two names; a phone would be woken twice"}),
        ("tenants[0].apps", [APP | {"name": name, "endpoint": "[::1]:2197"} for name in ("ios", "beta")],
         {"tenants[0].apps": "has de.example at [::1]:2197 under two names; a phone would be woken twice"}),
        ("tenants[1]", {"name": "county", "apps": [APP | {"key_file": "keys/other.p8"}]},
         {"tenants.apps": "has two different keys that are both called FGHIJ67890 of the team ABCDE12345"}),
        ("tenants[0].apps[0].endpoint", "127.0.0.1:0", "must name a port"),
        ("tenants[0].classes[0].roles", ["dispatch"], "belongs to classes that pierce rest; this one does not"),
        ("tenants[0].classes[0].reasons", ["incident"], "belongs to classes that pierce rest; this one does not"),
        ("tenants[0].classes[0].rate_per_hour", 5, "belongs to classes that pierce rest; this one does not"),
        ("tenants[0].classes[0]", ALARM | {"cancellable": True},
         {"tenants[0].classes[0].cancellable":
          "must be false in a class that pierces rest: an alarm is not taken back by reading"}),
        ("tenants[0].classes[0]", ALARM | {"scope": "events"},
         {"tenants[0].classes[0].scope": "must be alarms or admin in a class that may go out in rest"}),
        ("tenants[0].classes[0]", {"name": "roster", "pierces": ["free"], "scope": "events"},
         {"tenants[0].classes[0].scope": "must be alarms or admin in a class that may go out in rest"}),
        ("tenants[0].classes[0].renew_seconds", 3600,
         {"tenants[0].classes[0].pierces": "must be true in a class that is renewed: orders go out in rest"}),
        ("tenants[0].classes[0]", ALARM | {"pierces": False, "roles": ["dispatch"]},
         {"tenants[0].classes[0].roles": "belongs to classes that pierce rest; this one does not"}),
        ("tenants[0].classes[0].name", "test",
         "is taken: by this class officers wake their own phones; choose another name"),
        # files
        ("store.path", "nowhere/data.db", "lies in a folder that does not exist"),
        ("store.path", "keys/master/data.db", "lies in a folder that does not exist"),
        ("store.path", "keys", "is a folder"),
        ("store.key_file", "keys/none", "cannot be read: No such file or directory"),
        ("store.key_file", "keys", "cannot be read: Is a directory"),
        ("store.key_file", "keys/master/x", "cannot be read: Not a directory"),
        ("store.key_file", "keys/AuthKey.p8", "can be read by others; make it private (chmod 600)"),
        ("tenants[0].apps[0].key_file", "keys/none.p8", "cannot be read: No such file or directory"),
        ("tenants[0].apps[0].key_file", "keys", "cannot be read: Is a directory"),
        ("tenants[0].apps[0].key_file", "keys/master", "is not a PEM private key without password"),
        (A_CERTIFICATE, "none.pem", "cannot be read: No such file or directory"),
        (A_CERTIFICATE, "keys", "cannot be read: Is a directory"),
        (A_CERTIFICATE, "keys/AuthKey.p8", "holds no PEM certificate"),
        (A_CERTIFICATE, "keys/master", "holds no PEM certificate"),
    ],
)  # fmt: skip
def test_a_fault_is_named_with_its_path_and_a_sentence(
    folder: Path, path: str, value: object, sentence: str | dict[str, str]
) -> None:
    """And nothing else is, whatever follows from it."""
    assert problems({path: value}, folder) == (sentence if isinstance(sentence, dict) else {path: sentence})


def test_everything_wrong_is_named_at_once(folder: Path) -> None:
    found = problems(
        {
            "extra": 1,
            "store.path": GONE,
            "store.key_file": "keys/none",
            "door.listen": ["nonsense", "127.0.0.1:80", "127.0.0.1:99999"],
            "ops.listen": ["127.0.0.1:80"],
            "shutdown.grace_seconds": -1,
            "tenants[0].name": "Ä",
            "tenants[0].keys[0].scopes": ["events", "rest"],
            "tenants[0].apps[0].key_file": "none",
            "tenants[0].classes[0].recipients": 0,
            "tenants[1]": {"name": "county", "color": "red"},
        },
        folder,
    )
    assert found.keys() == {
        "extra", "store.path", "store.key_file", "door.listen[0]", "door.listen[2]", "ops.listen",
        "shutdown.grace_seconds", "tenants[0].name", "tenants[0].keys[0].scopes", "tenants[0].apps[0].key_file",
        "tenants[0].classes[0].recipients", "tenants[1].color",
    }  # fmt: skip


def test_names_that_nobody_would_print_are_not_printed(folder: Path) -> None:
    """A key pasted into the wrong place may be a secret."""
    found = problems({"tenants[0].keys[0].a secret = value": 1, "x" * 50: 1}, folder)
    assert found.keys() == {"tenants[0].keys[0].(other)", "(other)"}


# --- what is no contradiction


@pytest.mark.parametrize(
    "edits",
    [
        {"ops.listen": ["127.0.0.1:0"], "door.listen": ["127.0.0.1:0", "127.0.0.1:0"]},
        {"ops.listen": ["[::1]:8080"]},
        {"tenants[0].apps[1]": APP | {"name": "beta", "environment": "sandbox"}},
        {"tenants[0].apps[1]": APP | {"name": "beta", "endpoint": "127.0.0.1:2197"}},
        {"tenants[1]": {"name": "county", "apps": [APP]}},
        {"tenants[0].apps[0].endpoint": "fake-apns_1.example:443"},
        {"tenants[0].classes[0]": ALARM},
        {"tenants[0].classes[0]": ALARM | {"cancellable": False, "roles": ["a"], "reasons": ["b"]}},
        {"tenants[0].classes[0]": ALARM | {"pierces": False, "cancellable": True}},
        {"tenants[0].keys[0].scopes": ["events", "alarms", "devices", "support"]},
        {"tenants[0].keys[0].scopes": ["rest", "devices"]},
    ],
)
def test_what_only_looks_like_a_contradiction_is_taken(folder: Path, edits: Edits) -> None:
    examine(content(edits), folder)


def test_a_class_that_pierces_is_not_cancellable_unless_said(folder: Path) -> None:
    named = {"name": "page", "pierces": True, "roles": ["a"], "reasons": ["b"]}
    config = examine(content({"tenants[0].classes[0]": named}), folder)
    (page,) = [event_class for event_class in config.tenants[0].classes if event_class.name == "page"]
    assert page.pierces
    assert not page.cancellable


def test_a_class_may_pierce_rest_of_some_kinds(folder: Path) -> None:
    """Then it needs roles and reasons too, for somebody must answer for it; but it can be cancelled by reading."""
    named = {"name": "roster", "pierces": ["free", "off"], "roles": ["planner"], "reasons": ["change"]}
    config = examine(content({"tenants[0].classes[0]": named}), folder)
    (roster,) = [event_class for event_class in config.tenants[0].classes if event_class.name == "roster"]
    assert (roster.pierces, roster.through, roster.cancellable) == (False, frozenset({"free", "off"}), True)


def test_a_class_has_a_scope_a_life_and_perhaps_a_renewal(folder: Path) -> None:
    named = {"name": "control", "scope": "alarms", "life_seconds": 43200, "renew_seconds": 3600}
    config = examine(content({"tenants[0].classes[0]": named}), folder)
    control = config.tenants[0].classes[-1]
    assert (control.scope, control.life, control.renewal, control.pierces) == (Scope.ALARMS, 43200, 3600.0, True)


# --- addresses


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:8080", ("127.0.0.1", 8080)),
        ("0.0.0.0:0", ("0.0.0.0", 0)),
        ("[::1]:8080", ("::1", 8080)),
        ("[::]:65535", ("::", 65535)),
        ("[2001:db8::1]:443", ("2001:db8::1", 443)),
        ("[::ffff:127.0.0.1]:443", ("::ffff:127.0.0.1", 443)),
        ("localhost:1", ("localhost", 1)),
        ("api.push.apple.com:443", ("api.push.apple.com", 443)),
        ("api.push.apple.com.:443", ("api.push.apple.com.", 443)),
        ("a" * 63 + ".example:443", ("a" * 63 + ".example", 443)),
    ],
)
def test_an_address_is_host_and_port(text: str, address: tuple[str, int]) -> None:
    assert an_address(text) == address
    assert str(Address(*address)) == text


@pytest.mark.parametrize(
    "text",
    [
        "", "8080", ":8080", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:-1", "127.0.0.1:http",
        "127.0.0.1:80 ", " 127.0.0.1:80", "127.0.0.1:80\n", "127.0.0.1:８０", "256.0.0.1:80", "127.0.1:80", "1:80",
        "::1:8080", "[::1]", "[::1]:", "::1", "[::1]8080", "[:::]:80", "[1:2:3]:80", "[12345::]:80", "[127.0.0.1]:80",
        "[::1]:80:80", "[localhost]:80", "http://localhost:80", "local host:80", "localhost:080808", "a/b:80", "*:80",
        "käse:80", "a" * 254 + ":80", "[fe80::1%eth0]:80", "a..b:80",
        ".a:80", ".:80", "a" * 64 + ".example:80", None, 80, ["127.0.0.1:80"],
    ],
)  # fmt: skip
def test_what_is_no_address_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match=r"^must be an address like 127\.0\.0\.1:8080 or \[::1\]:8080$"):
        an_address(text)


# --- the file itself


def fault_of(path: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        read(path)
    (problem,) = caught.value.problems
    assert problem.path == str(path)
    return problem.sentence


@pytest.mark.parametrize(
    "text",
    [
        b"[store", b"a = ", b"a = 1\na = 2", b"a = 'x", b"\xff\xfe", b"a = 'K\xf6ln'", b"\x00",
        b"a = " + b"[" * 5000, b"a = " + b"9" * 5000, b"a = 2026-13-01", b"a = { b = 1, b = 2 }", b"= 1",
    ],
    ids=lambda text: repr(text[:12]),
)  # fmt: skip
def test_what_is_not_toml_is_called_so(tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "relay.toml"
    path.write_bytes(text)
    assert fault_of(path).startswith("is not TOML: ")


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    assert fault_of(tmp_path / "none.toml") == "cannot be read: No such file or directory"
    assert fault_of(tmp_path) == "cannot be read: Is a directory"


def test_an_empty_file_misses_what_is_needed(tmp_path: Path) -> None:
    path = tmp_path / "relay.toml"
    path.touch()
    with pytest.raises(ConfigError) as caught:
        read(path)
    assert {problem.path for problem in caught.value.problems} == {"store.path", "store.key_file", "tenants"}


# --- key files


def master_file(folder: Path, text: bytes, mode: int = 0o600) -> Path:
    path = folder / "masters"
    path.write_bytes(text)
    path.chmod(mode)
    return path


GOOD_LINE = master_line(0, FIRST).encode()


def test_the_first_master_key_names_and_the_last_seals(tmp_path: Path) -> None:
    lines = (master_line(9, FIRST), "\n", master_line(0, SECOND), master_line(255, bytes(32)))
    masters = read_masters(master_file(tmp_path, "".join(lines).encode()))
    assert masters == MasterKeys({9: FIRST, 0: SECOND, 255: bytes(32)}, first=9, current=255)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (b"", "holds no key"),
        (b"\n \n", "holds no key"),
        (b"secretcanary", "id:base64"),
        (b"canary:" + GOOD_LINE[2:], "id:base64"),
        (b"-1:" + GOOD_LINE[2:], "id:base64"),
        (b"1_0:" + GOOD_LINE[2:], "id:base64"),
        (b":" + GOOD_LINE[2:], "id:base64"),
        (b"0:canary*" + GOOD_LINE[2:], "id:base64"),
        (b"0:" + GOOD_LINE[3:], "id:base64"),
        (b"\xff\xfe0", "id:base64"),
        (b"0: " + GOOD_LINE[2:], "needs ids from 0 to 255, each once, and keys of 32 bytes"),
        (b"256:" + GOOD_LINE[2:], "needs ids from 0 to 255, each once, and keys of 32 bytes"),
        (GOOD_LINE + GOOD_LINE, "needs ids from 0 to 255, each once, and keys of 32 bytes"),
        (GOOD_LINE + master_line(1, FIRST[:31]).encode(), "needs ids from 0 to 255, each once, and keys of 32 bytes"),
        (master_line(0, FIRST + b"x").encode(), "needs ids from 0 to 255, each once, and keys of 32 bytes"),
    ],
)
def test_a_master_key_file_of_another_form_is_refused(tmp_path: Path, text: bytes, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence) as caught:
        read_masters(master_file(tmp_path, text))
    assert "canary" not in str(caught.value)
    assert GOOD_LINE[5:15].decode() not in str(caught.value)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o610, 0o601, 0o777])
def test_a_master_key_others_can_reach_is_refused(tmp_path: Path, mode: int) -> None:
    with pytest.raises(ValueError, match="can be read by others"):
        read_masters(master_file(tmp_path, GOOD_LINE, mode))


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o700])
def test_a_private_master_key_is_read(tmp_path: Path, mode: int) -> None:
    assert read_masters(master_file(tmp_path, GOOD_LINE, mode)).first == 0


NOT_A_KEY = "is not a PEM private key without password"
NOT_APPLES = "is not an EC P-256 key, as Apple hands out for APNs"
ED25519 = ed25519.Ed25519PrivateKey.generate()


def of_no_known_algorithm() -> bytes:
    """A well-formed key whose algorithm has an identifier nobody gave out."""
    der = ED25519.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    changed = der.replace(b"\x06\x03\x2b\x65\x70", b"\x06\x03\x2b\x65\x7f")
    assert changed != der
    body = base64.b64encode(changed).decode()
    return f"-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n".encode()


@pytest.mark.parametrize(
    ("key", "sentence"),
    [
        (pem(ec.generate_private_key(ec.SECP384R1())), NOT_APPLES),
        (pem(ec.generate_private_key(ec.SECP256K1())), NOT_APPLES),
        (pem(ED25519), NOT_APPLES),
        (pem(rsa.generate_private_key(65537, 2048)), NOT_APPLES),
        (pem(ec.generate_private_key(ec.SECP256R1()), b"password"), NOT_A_KEY),
        (of_no_known_algorithm(), NOT_A_KEY),
        (CERTIFICATE, NOT_A_KEY),
        (PROVIDER[:80], NOT_A_KEY),
        (b"", NOT_A_KEY),
        (b"\xff\x00canary", NOT_A_KEY),
    ],
    ids=["P-384", "secp256k1", "Ed25519", "RSA", "password", "unknown", "certificate", "cut short", "empty", "bytes"],
)
def test_a_provider_key_that_apple_did_not_make_is_refused(folder: Path, key: bytes, sentence: str) -> None:
    (folder / "wrong.p8").write_bytes(key)
    path = "tenants[0].apps[0].key_file"
    assert problems({path: "wrong.p8"}, folder) == {path: sentence}


# --- secrets


def secrets_of(folder: Path) -> list[str]:
    lines = [master_line(7, FIRST).strip()[2:], master_line(2, SECOND).strip()[2:]]
    inner = "".join(PROVIDER.decode().splitlines()[1:-1])
    return [*lines, repr(FIRST)[2:-1], inner[40:60], PROVIDER.decode()[:40], "ab" * 32, repr(bytes.fromhex("ab" * 32))]


def test_secrets_do_not_show_in_the_values(folder: Path) -> None:
    path = folder / "relay.toml"
    path.write_text(COMPLETE)
    config = read(path)
    shown = f"{config!r} {config}"
    assert "FGHIJ67890" in shown
    assert not any(secret in shown for secret in secrets_of(folder))


def test_secrets_do_not_show_in_the_faults(folder: Path) -> None:
    """Everything at a place where it does not belong."""
    secret = "ab" * 32
    (folder / "wrong").write_bytes(PROVIDER + master_line(7, FIRST).encode())
    (folder / "wrong").chmod(0o600)
    found = problems(
        {
            "store.key_file": "wrong",
            "door.listen": [secret],
            "tenants[0].name": secret,
            "tenants[0].keys[0].id": f"backend.{secret}",
            "tenants[0].keys[0].scopes": [secret],
            "tenants[1]": {"name": "county", "keys": [KEY | {"id": "another"}, KEY | {"id": "third"}]},
            "tenants[0].apps[0].topic": [secret],
            "tenants[0].classes[0].roles": {secret: secret},
            f"{secret}": secret,
        },
        folder,
    )
    assert len(found) == 9
    text = "\n".join(f"{path} {sentence}" for path, sentence in found.items())
    assert not any(secret in text for secret in secrets_of(folder))


# --- anything


scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.just(10**400), st.floats(), st.text(max_size=10), st.binary(max_size=3),
    st.sampled_from([datetime(2026, 1, 1), date(2026, 1, 1), time(0), "127.0.0.1:80", "keys/master", "events", "city"]),
)  # fmt: skip
NAMES = sorted({*GOOD, *STORE, *KEY, *APP, *GOOD["tenants"][0], "listen", "pierces", "roles", "ca_file", "endpoint"})
anything = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(NAMES) | st.text(), inner, max_size=6),
    max_leaves=12,
)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("config")
    write_files(folder)
    return folder


@settings(max_examples=60)
@given(found=st.dictionaries(st.sampled_from(NAMES) | st.text(), anything, max_size=6))
def test_whatever_the_file_holds_is_a_list_of_faults(kept: Path, found: dict[str, object]) -> None:
    with pytest.raises(ConfigError) as caught:
        examine(found, kept)
    assert caught.value.problems
    assert all(problem.path and problem.sentence for problem in caught.value.problems)


def places(value: object, way: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """Every place in a structure."""
    found = [way] if way else []
    if isinstance(value, dict):
        for name, member in value.items():
            found += places(member, (*way, name))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            found += places(item, (*way, index))
    return found


@settings(max_examples=150)
@given(where=st.sampled_from(places(GOOD)), value=anything)
def test_whatever_stands_in_one_place_is_taken_or_named(
    kept: Path, where: tuple[str | int, ...], value: object
) -> None:
    changed: Any = deepcopy(GOOD)
    place = changed
    for step in where[:-1]:
        place = place[step]
    place[where[-1]] = value
    with suppress(ConfigError):
        assert examine(changed, kept).tenants


@given(st.text(max_size=200) | st.text("[]{}=\"'.#\n abc019-:,_\\", max_size=200))
def test_whatever_text_the_file_is_ends_in_a_list_of_faults(kept: Path, text: str) -> None:
    path = kept / "relay.toml"
    path.write_text(text, "utf-8", "surrogatepass")
    with pytest.raises(ConfigError):
        read(path)


# --- Android


ANDROID = {"provider": "fcm", "name": "android", "service_account_file": "account.json"}


def android(folder: Path, *, account: object = ACCOUNT, **more: object) -> Config:
    """A configuration with an Android app beside the other one."""
    (folder / "account.json").write_text(account if isinstance(account, str) else json.dumps(account))
    return examine(content({"tenants[0].apps[1]": {**ANDROID, **more}}), folder)


def test_an_android_app_is_read_from_its_service_account(folder: Path) -> None:
    app = android(folder).tenants[0].apps[1]
    assert isinstance(app, FcmAppConfig)
    assert (app.account.project_id, app.account.token_uri) == ("police-1", "https://oauth2.example/token")
    assert (app.connections, app.endpoint, app.ca_file, app.token_uri_is_overridden) == (4, None, None, False)


def test_endpoint_and_token_uri_can_be_overridden(folder: Path) -> None:
    app = android(folder, endpoint="127.0.0.1:8443", token_uri="https://127.0.0.1:8444/token").tenants[0].apps[1]
    assert isinstance(app, FcmAppConfig)
    assert (app.endpoint, app.account.token_uri) == (Address("127.0.0.1", 8443), "https://127.0.0.1:8444/token")
    assert app.token_uri_is_overridden


def test_the_key_of_a_service_account_does_not_show(folder: Path) -> None:
    assert "PRIVATE" not in repr(android(folder))


EC = pem(ec.generate_private_key(ec.SECP256R1())).decode()
NO_TOKEN_URIS = [
    "oauth2.example", "http://oauth2.example/token", "https://", "https:///token", "https://oauth2.example:0/token",
    "https://oauth2.example:99999/token", "https://[::1", "https://a..b/token", "https://oauth2.example/to ken",
    "https://oauth2.example/token\n", "https://user:s3cret@oauth2.example/token", "https://käse.example/token",
    f"https://oauth2.example/{'a' * 500}",
]  # fmt: skip
"""Over none of these may an assertion leave, and most of them would end the relay."""
BAD_ACCOUNTS: list[tuple[object, str]] = [
    ("{", "is not JSON, as Google hands out service accounts"),
    ([], "has no project_id; download the key of the service account anew"),
    ({**ACCOUNT, "client_email": 7}, "has no client_email; download the key of the service account anew"),
    ({**ACCOUNT, "token_uri": ""}, "has no token_uri; download the key of the service account anew"),
    ({**ACCOUNT, "private_key": "secret"}, "has a private_key that is not a PEM key without password"),
    ({**ACCOUNT, "private_key": EC}, "has a private_key that is not an RSA key"),
    *(({**ACCOUNT, "token_uri": uri}, f"has a token_uri that {LIKE_TOKEN_URI}") for uri in NO_TOKEN_URIS),
]


@pytest.mark.parametrize(("account", "sentence"), BAD_ACCOUNTS)
def test_a_service_account_of_another_form_is_refused(folder: Path, account: object, sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        android(folder, account=account)
    assert [(p.path, p.sentence) for p in caught.value.problems] == [
        ("tenants[0].apps[1].service_account_file", sentence)
    ]


@pytest.mark.parametrize(
    ("more", "path"),
    [
        *(({"token_uri": uri}, "token_uri") for uri in NO_TOKEN_URIS),
        ({"topic": "de.example.app"}, "topic"),
        ({"endpoint": "127.0.0.1:0"}, "endpoint"),
        ({"service_account_file": "nowhere.json"}, "service_account_file"),
    ],
)
def test_a_fault_of_an_android_app_is_named(folder: Path, more: dict[str, object], path: str) -> None:
    with pytest.raises(ConfigError) as caught:
        android(folder, **more)
    assert [p.path for p in caught.value.problems] == [f"tenants[0].apps[1].{path}"]


@pytest.mark.parametrize("uri", ["https://oauth2.googleapis.com/token", "https://[::1]:8444/token?a=1", "https://a:1"])
def test_access_tokens_are_fetched_at_any_address_with_tls(uri: str) -> None:
    assert a_token_uri(uri) == uri


def test_one_project_under_two_names_is_a_contradiction(folder: Path) -> None:
    (folder / "account.json").write_text(json.dumps(ACCOUNT))
    twice = [ANDROID, {**ANDROID, "name": "tablets"}]
    with pytest.raises(ConfigError, match="the project police-1 at FCM under two names"):
        examine(content({"tenants[0].apps": twice}), folder)
