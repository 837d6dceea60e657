"""The command line: exit codes, what goes to which stream, and keys that work."""

from __future__ import annotations

import base64
import hashlib
import importlib.metadata
import os
import re
import socket
import sqlite3
import stat
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from relay.cli import main
from relay.config_reader import read_masters
from relay.simulators.certificates import Authority, provider_key
from relay.store.sqlite import SqliteStore
from schedules import TZDATA

MASTER = f"0:{base64.b64encode(bytes(32)).decode()}\n"
GOOD = """
[store]
path = "relay.db"
key_file = "{master}"
[door]
listen = ["127.0.0.1:{door}"]
[ops]
listen = ["{ops}"]
[[tenants]]
name = "force"
[[tenants.classes]]
name = "alarm"
roles = [{roles}]
reasons = ["incident"]
[[tenants.apps]]
name = "ios"
topic = "org.example.app"
team_id = "ABCDE12345"
key_id = "FGHIJ67890"
key_file = "AuthKey.p8"
"""


def feierabend(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [*map(str, arguments)])


def process(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "relay", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)


@pytest.fixture
def other_device() -> Iterator[Path]:
    """A master key file that lies in memory, and so on no disk of the database."""
    descriptor = os.memfd_create("master")
    os.fchmod(descriptor, 0o600)
    os.write(descriptor, MASTER.encode())
    yield Path(f"/proc/self/fd/{descriptor}")
    os.close(descriptor)


@pytest.fixture(scope="module")
def provider_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("provider")
    (folder / "AuthKey.p8").write_bytes(provider_key()[0])
    (folder / "ca.pem").write_bytes(Authority().pem)
    return folder


@pytest.fixture
def folder(tmp_path: Path, provider_files: Path) -> Path:
    """A folder with every file a configuration names."""
    for file in provider_files.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "said.md").write_text("Said by the operator.")
    master = tmp_path / "master"
    master.touch(0o600)
    master.write_text(MASTER)
    return tmp_path


def configured(
    folder: Path,
    more: str = "",
    *,
    master: str | Path = "master",
    door: int = 0,
    ops: str = "127.0.0.1:0",
    roles: str = '"dispatch"',
) -> Path:
    """The path of a configuration; `more` goes to its end, where the app stands."""
    path = folder / "feierabend.toml"
    path.write_text(GOOD.format(master=master, door=door, ops=ops, roles=roles) + more)
    return path


NO_PAGES = '[web]\nbase_url = "https://localhost"\nlisten = ["127.0.0.1:8081"]\n'
PAGES = "[web.pages]\n" + "".join(
    f'{name} = {{de = "said.md", en = "said.md"}}\n' for name in ("imprint", "privacy", "accessibility")
)
WEB = NO_PAGES + PAGES
REST = '"\nscopes = ["rest"]\n'
OIDC = '[[web.oidc]]\nissuer = "https://localhost:8082"\nclient_id = "c"\n'


# --- check


def test_check_says_nothing_more_about_a_good_configuration(folder: Path, other_device: Path) -> None:
    result = feierabend("check", "--config", configured(folder, master=other_device))
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == f"time zone data {TZDATA}, 1 tenants\n"


@pytest.mark.parametrize(
    ("more", "ops", "roles", "warning"),
    [
        ('endpoint = "127.0.0.1:2197"', "127.0.0.1:0", '"dispatch"', "tenants[0].apps[0].endpoint: is overridden"),
        ('ca_file = "ca.pem"', "127.0.0.1:0", '"dispatch"', "tenants[0].apps[0].ca_file: is overridden"),
        ("", "0.0.0.0:9090", '"dispatch"', "ops.listen: 0.0.0.0:9090 is not loopback"),
        ("", "[::]:9090", '"dispatch"', "ops.listen: [::]:9090 is not loopback"),
        ("", "127.0.0.1:0", "", "tenants[0].classes: alarm has no roles or reasons"),
        (WEB, "127.0.0.1:0", '"dispatch"', "tenants[0]: nobody of it can sign in"),
        (WEB.replace("imprint", "rest", 1) + OIDC, "127.0.0.1:0", '"dispatch"', "web.pages.imprint: is not given"),
        (WEB + OIDC.replace("s:", ":"), "127.0.0.1:0", '"dispatch"', "web.oidc[0].issuer: is plain HTTP"),
        (WEB.replace("https", "http") + OIDC, "127.0.0.1:0", '"dispatch"', "web.base_url: is plain HTTP"),
        ('[stream]\nlisten = ["0.0.0.0:1"]\n', "127.0.0.1:0", '"dispatch"', "stream.listen: 0.0.0.0:1 is not loopback"),
        (WEB.replace("127.0.0.1", "0.0.0.0") + OIDC, "127.0.0.1:0", '"dispatch"', "web.listen: 0.0.0.0:8081 is not"),
    ],
)
def test_check_warns_about_what_works_and_is_perhaps_not_meant(
    folder: Path, other_device: Path, more: str, ops: str, roles: str, warning: str
) -> None:
    result = feierabend("check", "--config", configured(folder, more, master=other_device, ops=ops, roles=roles))
    assert (result.exit_code, result.stderr) == (1, "")
    lines = result.stdout.splitlines()[1:]
    assert len(lines) == 1
    assert lines[0].startswith(f"warning: {warning}")


@pytest.mark.parametrize("more", [WEB + OIDC, WEB + '[[tenants.keys]]\nid = "s"\nsha256 = "' + "ab" * 32 + REST])
def test_check_has_nothing_against_a_door_that_somebody_can_enter(folder: Path, other_device: Path, more: str) -> None:
    result = feierabend("check", "--config", configured(folder, more, master=other_device))
    assert (result.exit_code, result.stdout.splitlines()[1:]) == (0, [])


@pytest.mark.parametrize("ops", ["127.0.0.1:0", "[::1]:0", "localhost:0"])
def test_check_has_nothing_against_loopback(folder: Path, other_device: Path, ops: str) -> None:
    assert feierabend("check", "--config", configured(folder, master=other_device, ops=ops)).exit_code == 0


def test_check_warns_when_a_stolen_disk_would_hold_database_and_key(folder: Path) -> None:
    """I6 holds only while the master key lies elsewhere."""
    result = feierabend("check", "--config", configured(folder))
    assert result.exit_code == 1
    assert "warning: store.key_file: lies on the device of the database" in result.stdout


def test_check_lists_every_problem_with_its_path_on_standard_error(folder: Path) -> None:
    more = """
    colour = "blue"
    endpoint = "nowhere"
    [[tenants.keys]]
    id = "backend"
    sha256 = "00"
    scopes = ["events", "rest"]
    """
    result = feierabend("check", "--config", configured(folder, more, master="missing"))
    assert (result.exit_code, result.stdout) == (2, "")
    found = dict(line.split(": ", 1) for line in result.stderr.splitlines())
    assert found.keys() >= {
        "store.key_file",
        "tenants[0].apps[0].colour",
        "tenants[0].apps[0].endpoint",
        "tenants[0].keys[0].sha256",
        "tenants[0].keys[0].scopes",
    }
    assert "nowhere" not in result.stderr


@pytest.mark.parametrize("content", [None, b"[store", b"\xff\xfe"])
@pytest.mark.parametrize("command", ["check", "serve"])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, content: bytes | None, command: str) -> None:
    path = tmp_path / "feierabend.toml"
    if content is not None:
        path.write_bytes(content)
    result = feierabend(command, "--config", path)
    assert (result.exit_code, result.stdout) == (2, "")
    assert re.fullmatch(rf"{re.escape(str(path))}: .+\n", result.stderr)


# --- key new


def new_key(*, key_id: str = "backend", scopes: str = "events, alarms") -> tuple[str, str]:
    """(the key for the client, the lines for the configuration)."""
    result = feierabend("key", "new", "--id", key_id, "--scopes", scopes)
    assert result.exit_code == 0, result.output
    client, _, configuration = result.stdout.partition("# for the configuration:\n")
    (handed_out,) = [line for line in client.splitlines() if line and not line.startswith("#")]
    return handed_out, configuration


def test_a_new_key_and_its_lines_for_the_configuration_belong_together() -> None:
    handed_out, configuration = new_key()
    key_id, _, secret = handed_out.partition(".")
    (key,) = tomllib.loads(configuration)["tenants"]["keys"]
    assert key == {
        "id": key_id,
        "sha256": hashlib.sha256(secret.encode()).hexdigest(),
        "scopes": ["events", "alarms"],
    }
    assert len(base64.urlsafe_b64decode(secret + "=" * (-len(secret) % 4))) == 32


def test_a_new_key_is_a_configuration_as_it_stands(folder: Path, other_device: Path) -> None:
    lines = new_key()[1] + new_key(key_id="settings", scopes="rest")[1]
    assert feierabend("check", "--config", configured(folder, lines, master=other_device)).exit_code == 0


def test_no_two_keys_are_alike() -> None:
    assert new_key()[0] != new_key()[0]


@pytest.mark.parametrize(
    ("key_id", "scopes", "said"),
    [
        ("backend", "events,everything", "--scopes: must name only"),
        ("backend", "", "--scopes: must name only"),
        ("backend", "events,,alarms", "--scopes: must name only"),
        ("backend", "rest,events", "--scopes: may not hold both events and rest"),
        ("", "events", "--id: must be"),
        ("a.b", "events", "--id: must be"),
        ("x" * 41, "events", "--id: must be"),
        ("bäckend", "events", "--id: must be"),
    ],
)
def test_a_key_that_could_not_be_used_is_not_made(key_id: str, scopes: str, said: str) -> None:
    result = feierabend("key", "new", "--id", key_id, "--scopes", scopes)
    assert (result.exit_code, result.stdout) == (2, "")
    assert f"Invalid value for {said}" in result.stderr


# --- key master


def test_a_master_key_file_is_private_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        result = feierabend("key", "master", tmp_path / "master")
    finally:
        os.umask(before)
    assert (result.exit_code, result.stdout) == (0, f"key 0 written to {tmp_path / 'master'}\n")
    assert stat.S_IMODE((tmp_path / "master").stat().st_mode) == 0o600
    assert len(read_masters(tmp_path / "master").keys[0]) == 32


@pytest.mark.parametrize("end", ["\n", "", "\n\n", "\r\n"])
def test_a_further_master_key_seals_and_the_first_one_goes_on_naming(tmp_path: Path, end: str) -> None:
    """An editor may have left the last line without its end."""
    file = tmp_path / "master"
    file.touch(0o600)
    file.write_text(MASTER.strip() + end)
    assert feierabend("key", "master", file).exit_code == 0
    masters = read_masters(file)
    assert (masters.first, masters.current, [*masters.keys]) == (0, 1, [0, 1])
    assert masters.keys[0] == bytes(32)
    assert masters.keys[1] not in (bytes(32), masters.keys[0])


def test_a_master_key_is_not_shown(tmp_path: Path) -> None:
    result = feierabend("key", "master", tmp_path / "master")
    assert base64.b64encode(read_masters(tmp_path / "master").keys[0]).decode() not in result.output


def lines(ids: range) -> str:
    return "".join(f"{n}:{base64.b64encode(bytes([n]) * 32).decode()}\n" for n in ids)


@pytest.mark.parametrize(
    ("content", "mode", "sentence"),
    [
        (lines(range(256)), 0o600, "no more fit"),
        (lines(range(255, 256)), 0o600, "no more fit"),
        (MASTER, 0o640, "can be read by others"),
        ("", 0o600, "holds no key"),
        ("0:c2hvcnQ=\n", 0o600, "keys of 32 bytes"),
        ("something else\n", 0o600, "not id:base64"),
    ],
)
def test_a_master_key_file_that_cannot_take_a_key_stays_as_it_is(
    tmp_path: Path, content: str, mode: int, sentence: str
) -> None:
    file = tmp_path / "master"
    file.touch()
    file.chmod(mode)
    file.write_text(content)
    result = feierabend("key", "master", file)
    assert (result.exit_code, result.stdout) == (1, "")
    assert re.fullmatch(rf"Error: {re.escape(str(file))}: .*{sentence}.*\n", result.stderr)
    assert file.read_text() == content


def test_a_master_key_file_in_no_folder_is_said_in_one_line(tmp_path: Path) -> None:
    result = feierabend("key", "master", tmp_path / "none" / "master")
    assert (result.exit_code, result.stderr) == (1, f"Error: {tmp_path}/none/master: No such file or directory\n")


# --- serve


@pytest.mark.processes
def test_serve_refuses_a_bad_configuration_before_anything_else(folder: Path) -> None:
    done = process("serve", "--config", configured(folder, "colour = 1"))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("tenants[0].apps[0].colour: is not known here")
    assert len(done.stderr.splitlines()) == 1
    assert not (folder / "relay.db").exists()


def one_line(done: subprocess.CompletedProcess[str]) -> str:
    """What `serve` said when it could not: one line, no traceback; a lane may have logged its own troubles before."""
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = [said for said in done.stderr.splitlines() if not said.startswith('{"app": ')]
    assert line.startswith("feierabend: ")
    return line


@pytest.mark.processes
def test_serve_says_in_one_line_that_its_port_is_taken(folder: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = process("serve", "--config", configured(folder, door=taken.getsockname()[1]))
    assert "in use" in one_line(done)


@pytest.mark.processes
def test_serve_says_in_one_line_that_another_process_has_the_database(folder: Path) -> None:
    store = SqliteStore(folder / "relay.db")
    try:
        done = process("serve", "--config", configured(folder))
    finally:
        store.close()
    assert "in use by another process" in one_line(done)


@pytest.mark.processes
def test_serve_does_not_touch_a_database_of_another_program(folder: Path) -> None:
    with sqlite3.connect(folder / "relay.db") as foreign:
        foreign.execute("CREATE TABLE theirs (x)")
    foreign.close()
    before = (folder / "relay.db").read_bytes()
    assert "belongs to another program" in one_line(process("serve", "--config", configured(folder)))
    assert (folder / "relay.db").read_bytes() == before


# --- the rest


def test_dev_refuses_a_time_that_is_none() -> None:
    result = feierabend("dev", "--at", "25:00")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "Invalid value for --at: must be a time like 21:55" in result.stderr


def test_the_version_is_that_of_the_distribution() -> None:
    result = feierabend("--version")
    assert result.exit_code == 0
    assert result.stdout.split()[-1] == importlib.metadata.version("feierabend")


def test_the_command_of_the_distribution_is_this_one() -> None:
    (script,) = importlib.metadata.distribution("feierabend").entry_points.select(group="console_scripts")
    assert (script.name, script.load()) == ("feierabend", main)


@pytest.mark.parametrize("name", ["serve", "check", "init", "dev", "key new", "key master", "fake apns", "fake sink"])
def test_every_command_explains_itself(name: str) -> None:
    *groups, command = name.split()
    assert re.search(rf"^  {command} +\S", feierabend(*groups, "--help").stdout, re.MULTILINE)
    assert feierabend(*groups, command, "--help").exit_code == 0


@pytest.mark.processes
def test_help_is_quick_because_it_loads_nothing_but_itself() -> None:
    """Neither the event loop nor the simulators: measured by what is loaded, not by a stopwatch."""
    code = """
import sys
from relay.cli import main
main(["--help"], standalone_mode=False)
print("loaded:", *{name.partition(".")[0] for name in sys.modules} & {"trio", "h2", "cryptography", "structlog", "ssl"})
print("ours:", *sorted(name for name in sys.modules if name.startswith(("relay", "schedules"))))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True)
    names = (
        "",
        ".cli",
        *(f".cli_{name}" for name in ("audit", "backup", "config", "doctor", "operate", "store", "telling")),
    )
    ours = " ".join(f"relay{name}" for name in names)
    assert done.stdout.splitlines()[-2:] == ["loaded:", f"ours: {ours}"]
