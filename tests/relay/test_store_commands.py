"""`feierabend store` and what `check` says of the store, against a real server: what is told, and what never is."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from click.testing import CliRunner, Result

from bench.ports import free_port
from bench.postgres import Cluster
from relay import cli_store
from relay.cli import main
from relay.simulators.certificates import Authority, provider_key
from relay.store.files import lock
from relay.store.port import StoreError
from relay.store.postgres import PostgresStore
from relay.store.postgres_schema import VERSION
from relay.store.schema import VERSION as FILE_VERSION
from relay.store.sqlite import SqliteStore
from tests.e2e.installation import Installation, install
from tests.relay.store.batches import a_full_batch

HERE = r"127\.0\.0\.1:\d+"
SECRET = "c0rrect-h0rse"


def feierabend(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [*map(str, arguments)])


def put_up(folder: Path, database: str | None) -> Installation:
    made = install(folder, database)
    (folder / "AuthKey.p8").write_bytes(provider_key()[0])
    (folder / "ca.pem").write_bytes(Authority().pem)
    made.configure(free_port(), folder)
    return made


@pytest.fixture
def relay(tmp_path: Path, fresh: str) -> Installation:
    """On PostgreSQL."""
    return put_up(tmp_path, fresh)


@pytest.fixture
def small(tmp_path: Path) -> Installation:
    """On a file that holds nobody: people of the tests' own would be sealed by no key."""
    made = put_up(tmp_path, None)
    store, batch = SqliteStore(made.database), a_full_batch(0)
    batch.epoch, batch.people, batch.devices, batch.rests, batch.slots = store.load().epoch, {}, {}, {}, {}
    store.commit(batch)
    store.close()
    return made


def done(result: Result) -> str:
    assert (result.exit_code, result.stderr) == (0, ""), result.stderr
    return result.stdout


def failed(result: Result, status: int = 1) -> str:
    """The one line that is said."""
    assert (result.exit_code, result.stdout) == (status, ""), result.stdout
    (line,) = result.stderr.splitlines()
    return line


# --- migrate


def test_migrate_says_from_which_version_to_which(relay: Installation) -> None:
    assert re.fullmatch(
        f"{HERE}: made, version {VERSION}\n", done(feierabend("store", "migrate", "--config", relay.config))
    )
    again = done(feierabend("store", "migrate", "--config", relay.config))
    assert re.fullmatch(f"{HERE}: has version {VERSION}, the newest; nothing to do\n", again)


def test_a_newer_version_is_left_alone(relay: Installation, fresh: str) -> None:
    feierabend("store", "migrate", "--config", relay.config)
    with psycopg.connect(fresh) as db:
        db.execute("UPDATE feierabend.version SET number = 99")
    said = f"feierabend: the database has version 99; this program knows versions up to {VERSION}"
    for command in (("store", "migrate"), ("store", "stats"), ("serve",)):
        assert failed(feierabend(*command, "--config", relay.config)) == said
    assert "warning: store.postgresql: is of a newer version" in feierabend("check", "--config", relay.config).stdout


def test_a_schema_of_another_program_is_left_alone(relay: Installation, fresh: str) -> None:
    with psycopg.connect(fresh) as db:
        db.execute("CREATE SCHEMA feierabend")
    said = failed(feierabend("store", "migrate", "--config", relay.config))
    assert said == "feierabend: the schema feierabend of the database belongs to another program"


def test_a_file_needs_no_migrating(small: Installation) -> None:
    said = done(feierabend("store", "migrate", "--config", small.config))
    assert said == "a SQLite file is brought to the newest version when the relay opens it; nothing to do\n"


def test_nothing_is_served_from_a_database_that_was_not_migrated(relay: Installation) -> None:
    said = f"feierabend: the database has version 0 and this program needs {VERSION}: run feierabend store migrate"
    assert failed(feierabend("serve", "--config", relay.config)) == said
    assert failed(feierabend("store", "stats", "--config", relay.config)) == said


# --- stats

ROWS = {
    "person": 2, "device": 3, "rest": 2, "slot": 6, "request": 2, "receipt": 2, "pass": 4, "visit": 3, "feedback": 3,
    "bypass": 2, "bypass_recipients": 2, "halt": 2, "act": 2, "visits_erased": 0, "link": 8, "account": 2,
    "tombstone": 0,
}  # fmt: skip


def figures(relay: Installation) -> dict[str, object]:
    found: dict[str, object] = json.loads(done(feierabend("store", "stats", "--config", relay.config, "--json")))
    return found


def test_the_figures_of_a_file(tmp_path: Path) -> None:
    relay = put_up(tmp_path, None)
    store = SqliteStore(relay.database)
    store.commit(a_full_batch(store.load().epoch))
    served = figures(relay)
    store.close()
    found = figures(relay)
    assert (served["in_use"], found["in_use"]) == (True, False)
    assert found["rows"] == served["rows"] == ROWS
    assert (found["kind"], found["version"], found["epoch"]) == ("sqlite", FILE_VERSION, 1)
    assert found["size"] == relay.database.stat().st_size
    assert isinstance(served["size"], int)
    assert served["size"] > relay.database.stat().st_size, "with its log"
    assert isinstance(found["longest_wait"], float)


def test_a_file_without_its_marks_is_damaged(small: Installation) -> None:
    with closing(sqlite3.connect(small.database)) as db:
        db.execute("DELETE FROM meta WHERE name = 'epoch'")
        db.commit()
    said = failed(feierabend("store", "stats", "--config", small.config))
    assert said == "feierabend: the database file holds damaged records"


def test_the_figures_of_a_database(relay: Installation, fresh: str) -> None:
    feierabend("store", "migrate", "--config", relay.config)
    assert figures(relay)["owners"] == []
    assert figures(relay)["longest_wait"] is None
    store = PostgresStore(fresh)
    batch = a_full_batch(store.load().epoch)
    batch.devices[next(iter(batch.devices))] = (next(iter(batch.people)), None)
    store.commit(batch)
    found = figures(relay)
    assert found["rows"] == ROWS | {"device": 2, "tombstone": 1}
    assert (found["kind"], found["version"], found["epoch"]) == ("postgresql", VERSION, batch.epoch)
    assert isinstance(found["owners"], list)
    (owner,) = found["owners"]
    assert owner["epoch"] == batch.epoch
    assert owner["until"] > owner["began"]
    assert isinstance(found["churn"], dict)
    assert found["churn"].keys() >= ROWS.keys() - {"tombstone"}
    assert isinstance(found["size"], int)
    assert found["size"] > 100_000
    store.leave()
    store.close()
    said = done(feierabend("store", "stats", "--config", relay.config))
    assert re.search(rf"^PostgreSQL [\d.]+ at {HERE}: version {VERSION}, \d+\.\d MB$", said, re.MULTILINE)
    assert f"epoch {batch.epoch}, " not in said, "it has left"
    assert re.search(r"^the longest wait: \d+ s$", said, re.MULTILINE)
    assert re.search(r"^  slot +6   dead \d+, vacuumed (never|20.+)$", said, re.MULTILINE)


def test_the_figures_as_text(small: Installation) -> None:
    said = done(feierabend("store", "stats", "--config", small.config)).splitlines()
    assert re.fullmatch(rf"{small.database}: version {FILE_VERSION}, \d\.\d MB", said[0])
    assert said[1:3] == ["epoch 1, not in use", "nothing waits"]
    assert "  pass                       4" in said


def test_there_are_no_figures_of_what_is_not_there(tmp_path: Path) -> None:
    relay = put_up(tmp_path, None)
    said = failed(feierabend("store", "stats", "--config", relay.config))
    assert said == f"feierabend: {relay.database}: there is no database"
    assert not relay.database.exists()


# --- copy


def test_copy_says_what_it_did_and_until_when_it_holds(small: Installation, fresh: str) -> None:
    count = sum(ROWS[kind] for kind in ROWS.keys() - {"person", "device", "rest", "slot"})
    relay = put_up(small.folder, fresh)
    done(feierabend("store", "migrate", "--config", relay.config))
    said = done(feierabend("store", "copy", "--config", relay.config, relay.database)).splitlines()
    assert said[0] == f"copied: {count} records of 0 people; {relay.database} is as it was"
    assert re.fullmatch(r"held until 20.+: only alarms and orders leave before `feierabend resume`", said[1])
    again = failed(feierabend("store", "copy", "--config", relay.config, relay.database))
    assert again == "feierabend: the database is not empty: there are rows in request"


def test_copy_needs_somewhere_to_copy_to(small: Installation) -> None:
    said = failed(feierabend("store", "copy", "--config", small.config, small.database))
    assert said == "feierabend: store.postgresql: is missing in the configuration; it says where to copy to"


def test_copy_of_a_file_in_use(small: Installation, fresh: str) -> None:
    relay = put_up(small.folder, fresh)
    held = lock(small.database)
    said = failed(feierabend("store", "copy", "--config", relay.config, small.database))
    assert said == "feierabend: the database file is in use by another process"
    os.close(held)


def test_progress_is_told_every_two_seconds(capsys: pytest.CaptureFixture[str]) -> None:
    times: Iterator[float] = iter([0.0, 1.9, 2.0, 2.0, 3.9, 4.0, 4.0])
    told = cli_store._progress(lambda: next(times))
    for count in (1, 2, 3, 4):
        told(count * 1000, 4000)
    assert capsys.readouterr().err == "2000 of 4000 records\n4000 of 4000 records\n"


# --- check


def warnings(result: Result) -> list[str]:
    assert result.stderr == ""
    return [line for line in result.stdout.splitlines() if line.startswith("warning: store")]


def test_check_tells_of_the_server(relay: Installation) -> None:
    before = feierabend("check", "--config", relay.config)
    assert warnings(before) == [
        "warning: store.postgresql: is not of this program's version; run feierabend store migrate"
    ]
    feierabend("store", "migrate", "--config", relay.config)
    after = feierabend("check", "--config", relay.config)
    assert warnings(after) == []
    line = rf"PostgreSQL [\d.]+ at {HERE}: version {VERSION} of {VERSION}, synchronous_commit on"
    assert re.fullmatch(line, after.stdout.splitlines()[1])


def test_check_warns_of_a_server_that_acknowledges_too_early(relay: Installation, fresh: str) -> None:
    feierabend("store", "migrate", "--config", relay.config)
    name = fresh.rpartition("/")[2]
    with psycopg.connect(fresh, autocommit=True) as db:
        db.execute(f"ALTER DATABASE {name} SET synchronous_commit = off".encode())
    checked = feierabend("check", "--config", relay.config)
    assert warnings(checked) == [
        "warning: store.postgresql: has synchronous_commit off; what is acknowledged could be lost"
    ]
    said = failed(feierabend("serve", "--config", relay.config))
    assert said == "feierabend: the database has synchronous_commit off: what is acknowledged could be lost"


def test_what_cannot_be_reached_is_told_by_its_host_and_nothing_else(tmp_path: Path) -> None:
    port = free_port()
    relay = put_up(tmp_path, f"postgresql://somebody@127.0.0.1:{port}/{SECRET}")
    away = "the database cannot be reached, or does not let us in"
    checked = feierabend("check", "--config", relay.config)
    assert checked.exit_code == 1
    assert warnings(checked) == [f"warning: store.postgresql: 127.0.0.1:{port}: {away}"]
    for command in (("serve",), ("store", "migrate"), ("store", "stats")):
        assert failed(feierabend(*command, "--config", relay.config)) == f"feierabend: {away}"


@pytest.mark.parametrize("host", ["a..b", "a" * 64])
def test_a_name_that_is_none_is_told_as_one_that_cannot_be_reached(tmp_path: Path, host: str) -> None:
    relay = put_up(tmp_path, f"postgresql://somebody@{host}/relay")
    away = "the database cannot be reached, or does not let us in"
    told = warnings(feierabend("check", "--config", relay.config))
    assert told[1:] == [f"warning: store.postgresql: {host}: {away}"], "the first is about sslmode"
    for command in (("serve",), ("store", "stats"), ("audit", "head")):
        assert failed(feierabend(*command, "--config", relay.config)) == f"feierabend: {away}"


def test_a_wrong_password_is_not_told(tmp_path: Path, postgres: Cluster, fresh: str) -> None:
    """Of a role that must show one."""
    relay = put_up(tmp_path, fresh.replace("postgres@", "somebody@"))
    (tmp_path / "password").touch(0o600)
    (tmp_path / "password").write_text(SECRET)
    relay.config.write_text(relay.config.read_text().replace("key_file", 'password_file = "password"\nkey_file', 1))
    for command in (("serve",), ("store", "migrate"), ("store", "stats"), ("check",)):
        said = feierabend(*command, "--config", relay.config)
        assert said.exit_code == 1
        assert "does not let us in" in said.output
        for part in (SECRET, "somebody"):
            assert part not in said.output


def test_check_warns_where_somebody_could_pretend_to_be_the_server(tmp_path: Path) -> None:
    relay = put_up(tmp_path, "postgresql://somebody@[2001:db8::1]:1/relay?connect")
    relay.config.write_text(relay.config.read_text().replace("?connect", "?sslmode=require"))
    first, *_ = warnings(feierabend("check", "--config", relay.config))
    assert first.endswith("has no sslmode=verify-full; somebody on the way could pretend to be it")


def test_the_error_of_a_store_never_holds_an_address(fresh: str) -> None:
    with pytest.raises(StoreError) as caught:
        PostgresStore(fresh.replace(":", "://", 1) + "?nonsense=1")
    assert "nonsense" not in str(caught.value)
    assert caught.value.__cause__ is None


# --- without the driver, and what is a file's alone

WITHOUT = """
import sys
sys.modules["psycopg"] = None
from relay.cli import main
main()
"""


@pytest.mark.processes
@pytest.mark.parametrize(
    "command", [("serve",), ("store", "migrate"), ("store", "stats"), ("store", "copy"), ("check",)]
)
def test_without_psycopg_it_says_what_to_install(relay: Installation, command: tuple[str, ...]) -> None:
    more = [str(relay.folder / "any.db")] if command[-1] == "copy" else []
    SqliteStore(relay.folder / "any.db").close()
    run = [sys.executable, "-c", WITHOUT, *command, "--config", str(relay.config), *more]
    ended = subprocess.run(run, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 1
    told = ended.stderr if command != ("check",) else ended.stdout
    assert "store.postgresql needs the package psycopg: pip install 'feierabend[postgres]'" in told
    assert "Traceback" not in ended.stderr


@pytest.mark.processes
def test_a_file_needs_no_psycopg(small: Installation) -> None:
    for command in (("store", "stats"), ("check",)):
        run = [sys.executable, "-c", WITHOUT, *command, "--config", str(small.config)]
        ended = subprocess.run(run, capture_output=True, text=True, timeout=60, check=False)
        assert ended.stderr == ""
        assert "needs the package" not in ended.stdout


@pytest.mark.parametrize("command", ["backup", "restore"])
def test_backups_of_a_database_are_made_by_its_own_tools(relay: Installation, command: str) -> None:
    file = relay.folder / "file"
    if command == "restore":
        file.write_bytes(b"x")
    said = failed(feierabend(command, "--config", relay.config, file))
    assert said.startswith(
        "feierabend: the store is in PostgreSQL, whose own tools back it up and restore it (pg_dump,"
    )
    assert file.exists() == (command == "restore")
