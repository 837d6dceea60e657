"""`feierabend init`: its configuration tells all there is, with the defaults there are, and a relay starts from it."""

from __future__ import annotations

import ctypes
import json
import re
import shutil
import stat
import subprocess
import sys
import tomllib
from configparser import RawConfigParser
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import trio
from click.testing import CliRunner, Result

from bench.ports import free_port
from relay.cli import main
from relay.client import AsyncClient
from relay.config import Address, AppConfig, Config, ConfigError, FcmAppConfig, StreamConfig
from relay.config_file import examine, read
from relay.config_reader import read_masters
from relay.doors.keys import Scope, digest_of
from relay.simulators.certificates import Authority, account_key, provider_key
from relay.simulators.commands import ACCOUNT, ACCOUNT_KEY_ID, PROJECT
from relay.simulators.oauth import Account, account_file
from tests.e2e.processes import running

UNKNOWN = "what-nobody-knows"
IN_PLACE_OF_PATH = ("postgresql", "password_file")
PHONE = "aaaa-phone-000000000:APA91b" + "Zz0_-" * 20


def feierabend(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [*map(str, arguments)])


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """What `init` makes, and beside it what only the user has."""
    folder = tmp_path / "relay"
    assert feierabend("init", folder).exit_code == 0
    private, public = account_key()
    account = Account(client_email=ACCOUNT, key_id=ACCOUNT_KEY_ID, public_pem=public)
    (folder / "AuthKey.p8").write_bytes(provider_key()[0])
    (folder / "service-account.json").write_text(account_file(account, PROJECT, private, "https://127.0.0.1:1/token"))
    (folder / "ca.pem").write_bytes(Authority().pem)
    for name, secret in {"oidc-secret": "s3cret", "proxy-credentials": "relay:s3cret"}.items():
        (folder / name).write_text(secret)
        (folder / name).chmod(0o600)
    for name in re.findall(r"[a-z]+\.md", example(folder)):
        (folder / name).write_text("Said by the operator.")
    return folder


def example(folder: Path) -> str:
    return (folder / "feierabend.toml").read_text("utf-8")


def complete(folder: Path) -> dict[str, Any]:
    """The example with everything that is commented out: such lines have no space after the #. Its store is a file."""
    found = tomllib.loads(re.sub(r"^#(?=\S)", "", example(folder), flags=re.MULTILINE))
    for name in IN_PLACE_OF_PATH:
        del found["store"][name]
    del found["nodes"]  # nor are there others
    return found


def tables(content: dict[str, Any], path: str = "") -> list[tuple[str, dict[str, Any]]]:
    """Every table, with its path as the reader says it."""
    found = [(path, content)]
    for name, value in content.items():
        inner = f"{path}.{name}" if path else name
        if isinstance(value, dict):
            found += tables(value, inner)
        elif isinstance(value, list):
            for index, item in enumerate(value):
                found += tables(item, f"{inner}[{index}]") if isinstance(item, dict) else []
    return found


# --- the configuration


def test_what_is_made_needs_only_the_providers_files(made: Path) -> None:
    """Exit 1: the master key lies beside the database, and nobody but the user knows a better place."""
    checked = feierabend("check", "--config", made / "feierabend.toml")
    assert (checked.exit_code, checked.stderr) == (1, "")
    warnings = [line for line in checked.stdout.splitlines() if line.startswith("warning")]
    assert [line.split(": ")[1] for line in warnings] == ["store.key_file"]


def test_without_them_check_names_them_and_nothing_else(tmp_path: Path) -> None:
    feierabend("init", tmp_path)
    checked = feierabend("check", "--config", tmp_path / "feierabend.toml")
    assert checked.exit_code == 2
    named = [line.partition(":")[0] for line in checked.stderr.splitlines()]
    assert named == ["tenants[0].apps[0].key_file", "tenants[0].apps[1].service_account_file"]


def test_the_example_holds_every_key_that_the_reader_knows(made: Path) -> None:
    """The reader is asked: of a table with a key that it does not know it says which ones it does."""
    content = complete(made)
    wrong = deepcopy(content)
    for _, table in tables(wrong):
        table[UNKNOWN] = 1
    with pytest.raises(ConfigError) as raised:
        examine(wrong, made)
    known = {p.path: p.sentence.rpartition(" known are ")[2].split(", ") for p in raised.value.problems}
    told = dict(tables(content))
    assert {path.rpartition(UNKNOWN)[0].rstrip(".") for path in known} == told.keys(), "each table is asked"
    piercing = {"roles", "reasons", "rate_per_hour"}
    for path, table in told.items():
        missing = set(known[f"{path}.{UNKNOWN}".lstrip(".")]) - table.keys()
        if table.get("pierces") is False:
            missing -= piercing  # the reader does not take these there
        if path == "store":
            missing -= set(IN_PLACE_OF_PATH)  # nor these beside the file
        if not path:
            missing.discard("nodes")  # nor others beside one with a file
        assert not missing, f"{path} of the example"


def test_what_is_commented_out_is_the_default(made: Path) -> None:
    """With all of it in force nothing changes; overrides for simulators have no default, nor has the officers' door."""

    def without_overrides(config: Config) -> Config:
        tenant = config.tenants[0]
        apps: list[AppConfig | FcmAppConfig] = []
        for app in tenant.apps:
            assert app.endpoint is not None
            assert app.ca_file is not None
            if isinstance(app, FcmAppConfig):
                account = replace(app.account, token_uri="https://127.0.0.1:1/token")
                app = replace(app, account=account, token_uri_is_overridden=False)
            apps.append(replace(app, endpoint=None, ca_file=None))
        assert config.web is not None
        assert config.web.listen == (Address("127.0.0.1", 8081),)
        (provider,) = config.web.oidc
        assert (provider.user_claim, provider.acr_values, provider.amr, provider.scopes) == ("sub", (), (), ("openid",))
        assert config.stream == StreamConfig((Address("127.0.0.1", 8082),), (), 32)
        return replace(config, tenants=(replace(tenant, apps=tuple(apps)),), web=None, stream=None)

    assert without_overrides(examine(complete(made), made)) == read(made / "feierabend.toml")


def test_the_other_store_of_the_example_is_good_too(made: Path) -> None:
    text = re.sub(r"^path = ", "#path = ", example(made), flags=re.MULTILINE)
    (made / "feierabend.toml").write_text(put_in_force(text, **dict.fromkeys(IN_PLACE_OF_PATH, "")))
    (made / "database-password").touch(0o600)
    (made / "database-password").write_text("s3cret\n")
    store = read(made / "feierabend.toml").store
    assert store.path is None
    assert str(store.postgresql) == "db.example.org:5432"


def test_every_key_is_explained_where_it_stands_first(made: Path) -> None:
    """A line of prose is above it: the same key in the next app or class needs none again."""
    explained: set[str] = set()
    before = ""
    for line in example(made).splitlines():
        if (key := re.match(r"#?(\w+) = ", line)) and key[1] not in explained:
            assert before.startswith("# "), line
            explained.add(key[1])
        before = line
    assert {"path", "grace_seconds", "rate_per_hour", "token_uri"} <= explained


# --- keys and files


def test_the_keys_are_told_once_and_fit_their_digests(tmp_path: Path) -> None:
    said = feierabend("init", tmp_path).stdout
    keys = dict(re.findall(r"^  (\w+)\.([\w-]{43}) ", said, re.MULTILINE))
    configured = tomllib.loads(example(tmp_path))["tenants"][0]["keys"]
    assert {key["id"]: key["sha256"] for key in configured} == {
        name: digest_of(secret.encode()).hex() for name, secret in keys.items()
    }
    assert {key["id"]: key["scopes"] for key in configured} == {
        "backend": [Scope.EVENTS, Scope.ALARMS, Scope.DEVICES],
        "settings": [Scope.REST],
    }
    assert not any(secret in file.read_text() for file in tmp_path.iterdir() for secret in keys.values())


def test_no_two_folders_have_a_key_in_common(tmp_path: Path) -> None:
    for name in ("one", "two"):
        feierabend("init", tmp_path / name)
    assert example(tmp_path / "one") != example(tmp_path / "two")
    assert read_masters(tmp_path / "one" / "master").keys != read_masters(tmp_path / "two" / "master").keys


def test_all_of_it_is_private(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "new" / "one"
    said = feierabend("init", folder, "--systemd").stdout
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    made = sorted(folder.iterdir())
    assert [file.name for file in made] == ["feierabend.service", "feierabend.toml", "master"]
    assert {stat.S_IMODE(file.stat().st_mode) for file in made} == {0o600}
    assert (folder / "master").read_text().strip() not in said


@pytest.mark.parametrize("name", ["feierabend.toml", "master", "feierabend.service"])
def test_nothing_is_overwritten(tmp_path: Path, name: str) -> None:
    """Not by a link that leads nowhere either."""
    (tmp_path / name).symlink_to(tmp_path / "elsewhere")
    refused = feierabend("init", tmp_path, "--systemd")
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert refused.stderr == f"Error: {tmp_path / name}: is there already; nothing was written\n"
    assert [file.name for file in tmp_path.iterdir()] == [name]


def test_what_lies_there_for_it_may_stay(tmp_path: Path) -> None:
    (tmp_path / "AuthKey.p8").write_text("mine")
    assert feierabend("init", tmp_path).exit_code == 0
    assert (tmp_path / "AuthKey.p8").read_text() == "mine"


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    refused = feierabend("init", tmp_path / "file" / "relay")
    assert refused.exit_code == 1
    assert str(tmp_path / "file") in refused.stderr


# --- systemd


def unit(folder: Path) -> RawConfigParser:
    parsed = RawConfigParser(strict=False, delimiters=("=",), comment_prefixes=("#",))
    parsed.optionxform = str  # type: ignore[assignment,method-assign]
    parsed.read(folder / "feierabend.service")
    return parsed


def test_the_unit_gives_the_relay_time_to_drain_and_hands_over_every_file(tmp_path: Path) -> None:
    feierabend("init", tmp_path, "--systemd")
    text = (tmp_path / "feierabend.service").read_text()
    service = unit(tmp_path)["Service"]
    config = complete(tmp_path)
    assert float(service["TimeoutStopSec"]) > config["shutdown"]["grace_seconds"]
    assert config["store"]["path"] == f"/var/lib/{service['StateDirectory']}/feierabend.db"
    handed = dict(re.findall(r"^LoadCredential=(.+):(.+)$", text, re.MULTILINE))
    apps = config["tenants"][0]["apps"]
    named = {config["store"]["key_file"], apps[0]["key_file"], apps[1]["service_account_file"]}
    assert handed == {name: str(tmp_path / name) for name in named | {"feierabend.toml"}}
    assert service["ExecStart"].split() == [
        sys.executable, "-m", "relay", "serve", "--config", "${CREDENTIALS_DIRECTORY}/feierabend.toml",
    ]  # fmt: skip
    assert not re.search(r"@[A-Z]+@", text + example(tmp_path))


def test_the_unit_is_hardened(tmp_path: Path) -> None:
    feierabend("init", tmp_path, "--systemd")
    service = unit(tmp_path)["Service"]
    wanted = {
        "Type": "exec", "Restart": "on-failure", "DynamicUser": "yes", "ProtectSystem": "strict",
        "NoNewPrivileges": "yes", "MemoryDenyWriteExecute": "yes", "CapabilityBoundingSet": "",
        "RestrictAddressFamilies": "AF_INET AF_INET6 AF_UNIX", "LimitCORE": "0",
    }  # fmt: skip
    assert {name: service[name] for name in wanted} == wanted


@pytest.mark.processes
@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd here")
def test_systemd_understands_the_unit(tmp_path: Path) -> None:
    feierabend("init", tmp_path, "--systemd")
    command = ["systemd-analyze", "verify", "--man=no", str(tmp_path / "feierabend.service")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    about_ours = [line for line in (done.stdout + done.stderr).splitlines() if "feierabend" in line]
    assert about_ours == []


def test_a_path_that_a_unit_cannot_name_is_refused(tmp_path: Path) -> None:
    refused = feierabend("init", tmp_path / "50% off", "--systemd")
    assert refused.exit_code == 1
    assert "a unit cannot name this path" in refused.stderr
    assert not (tmp_path / "50% off").exists()
    assert feierabend("init", tmp_path / "50% off").exit_code == 0


@pytest.mark.parametrize(("where", "mode", "is_taken"), [("", 0o440, True), ("", 0o444, False), ("x", 0o440, False)])
def test_a_master_key_that_systemd_hands_over_may_show_its_access_list(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str, mode: int, is_taken: bool
) -> None:
    """With one, the group's bits are its mask; nowhere else are they harmless."""
    feierabend("init", tmp_path)
    (tmp_path / "master").chmod(mode)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path / where))
    if is_taken:
        assert len(read_masters(tmp_path / "master").keys) == 1
    else:
        with pytest.raises(ValueError, match="can be read by others"):
            read_masters(tmp_path / "master")


PR_SET_MDWE, REFUSE_EXEC_GAIN = 65, 1
DENIED = f"""
import ctypes, mmap, runpy, sys
if ctypes.CDLL(None).prctl({PR_SET_MDWE}, {REFUSE_EXEC_GAIN}, 0, 0, 0):
    sys.exit(77)
try:
    mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    sys.exit(78)
except PermissionError:
    runpy.run_module("relay", run_name="__main__")
"""


@pytest.mark.processes
@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "prctl"), reason="not Linux")
def test_the_relay_needs_no_memory_that_is_written_and_executed() -> None:
    """MemoryDenyWriteExecute=yes: the whole relay, from an event to a wakeup, under the kernel's own such rule."""
    command = [sys.executable, "-c", DENIED, "dev", "--once", "--port", "0"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode == 77:
        pytest.skip("the kernel is older than 6.3")
    assert done.returncode == 0, done.stderr


# --- a relay


def put_in_force(text: str, **values: str) -> str:
    """Take the # away from keys, and give each occurrence its value, in order; "": the one it has."""
    for name, told in values.items():
        if not told:
            text, count = re.subn(rf"^#(?={name} = )", "", text, count=1, flags=re.MULTILINE)
            assert count == 1, name
        for value in told.split():
            text, count = re.subn(rf"^#{name} = .*$", f"{name} = {value}", text, count=1, flags=re.MULTILINE)
            assert count == 1, name
    return text


@pytest.mark.processes
async def test_a_relay_starts_from_it_and_its_keys_open_its_door(tmp_path: Path) -> None:
    """Up to an alarm's wakeup that a simulated Google has taken, with the key, role and reason of the example."""
    said = feierabend("init", tmp_path).stdout
    (key,) = re.findall(r"backend\.[\w-]{43}", said)
    apple, google = tmp_path / "apple", tmp_path / "google"
    async with (
        running("fake", "apns", "--credentials", apple) as apns,
        running("fake", "fcm", "--credentials", google) as fcm,
    ):
        there = [json.loads(await fake.line("listening"))["listening"] for fake in (apns, fcm)]
        shutil.copy(apple / "AuthKey.p8", tmp_path)
        shutil.copy(google / "service-account.json", tmp_path)
        door, ops = free_port(), free_port()
        config = tmp_path / "feierabend.toml"
        ours, tenants = example(tmp_path).split("\n[[tenants]]\n")
        ours = put_in_force(ours, listen=f'["127.0.0.1:{door}"] ["127.0.0.1:{ops}"]')
        addresses = " ".join(f'"{address}"' for address in there)
        tenants = put_in_force(tenants, endpoint=addresses, ca_file='"apple/ca.pem" "google/ca.pem"')
        config.write_text(f"{ours}\n[[tenants]]\n{tenants}")
        assert feierabend("check", "--config", config).exit_code == 1
        async with running("serve", "--config", config) as relay:
            await relay.line("relay_started")
            with trio.fail_after(60):
                async with AsyncClient(f"http://127.0.0.1:{door}", key) as backend:
                    await backend.put_device("anna", "pixel", platform="fcm", app="android", token=PHONE)
                    taken = await backend.wake(["anna"], "alarm", role="dispatch", reason="incident")
                    assert taken.receipt is not None
                    while not (await backend.alarm(taken.receipt)).handed_over:  # noqa: ASYNC110 (totals tell nobody)
                        await trio.sleep(0.02)
            relay.terminate()
            assert await relay.ended() == 0
