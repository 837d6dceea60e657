"""Real files of every version, written by the programs of their time: upgraded, they hold what those read in them."""

from __future__ import annotations

import json
import shutil
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import trio

from relay.auditing import counted, verify
from relay.backing_up import back_up
from relay.config import Config, MasterKeys
from relay.core.chain import Notary
from relay.core.events import HOUR
from relay.restoring import restore
from relay.store.schema import VERSION
from relay.store.sqlite import SqliteStore
from relay.store.sqlite_source import evidence
from tests.relay.node import config_of, running
from tests.relay.store.files.telling import MASTER, NOON, TENANTS, told
from tests.relay.store.test_sqlite import sql
from tests.relay.world import app, tenant, virtual

FILES = Path(__file__).parent / "files"
VERSIONS = sorted(int(path.stem.removeprefix("version-")) for path in FILES.glob("version-*.db"))
ANNA, CARL = "a" * 64, "f" * 64
"""Tokens of those for whom something waits: Anna rests, and has an alarm too."""


def old(version: int, folder: Path) -> Path:
    """A copy of the file of that version, where a relay has its database."""
    return Path(shutil.copyfile(FILES / f"version-{version}.db", folder / "relay.db"))


def expected(version: int) -> Any:  # noqa: ANN401 (JSON)
    return json.loads((FILES / f"version-{version}.json").read_text())


def config(folder: Path) -> Config:
    found = config_of(folder)
    tenants = tuple(replace(tenant(app("ios"), name=name, posts_seen=True), keys=()) for name in TENANTS)
    return replace(found, store=replace(found.store, masters=MasterKeys({0: MASTER}, 0, 0)), tenants=tenants)


def test_there_is_a_file_of_every_version_that_is_out_there() -> None:
    """Of the newest one there is when the next one comes."""
    assert set(range(1, VERSION)) <= set(VERSIONS) <= set(range(1, VERSION + 1))
    assert all(path.stat().st_size < 100_000 for path in FILES.iterdir() if path.is_file())


@pytest.mark.parametrize("version", VERSIONS)
def test_a_file_is_of_the_version_it_says(version: int) -> None:
    header = (FILES / f"version-{version}.db").read_bytes()[:100]
    assert int.from_bytes(header[60:64], "big") == version


@pytest.mark.parametrize("version", VERSIONS)
def test_an_upgraded_file_holds_what_its_own_program_read_in_it(version: int, tmp_path: Path) -> None:
    path = old(version, tmp_path)
    assert json.loads(json.dumps(told(path))) == expected(version)
    assert sql(path, "PRAGMA user_version") == [(VERSION,)]
    assert sql(path, "PRAGMA integrity_check") == [("ok",)]
    assert json.loads(json.dumps(told(path))) == expected(version), "and again"


@pytest.mark.parametrize("version", VERSIONS)
def test_what_an_old_file_has_on_record_is_older_than_the_chain(version: int, tmp_path: Path) -> None:
    path, notary = old(version, tmp_path), Notary(MASTER)
    SqliteStore(path, notary).close()
    with evidence(path) as found:
        tallies = verify(found, notary, NOON + HOUR)
    assert counted(tallies) == 0
    written = [*expected(version)["bypasses"], *expected(version)["acts"], *expected(version)["visits"]]
    assert sum(tally.older for tally in tallies.values()) == len(written)
    assert sum(tally.links for tally in tallies.values()) == 1


@pytest.mark.parametrize("version", VERSIONS)
def test_a_relay_starts_on_an_old_file_and_goes_on(version: int, tmp_path: Path) -> None:
    """The alarm leaves at once; Anna's message when her rest is over, at 06:00. A hold of version 5 ends before."""
    path = old(version, tmp_path)

    @virtual
    async def play() -> None:
        with closing(SqliteStore(path)) as store:
            async with running(config(tmp_path), store, NOON + 60) as (relay, apple):
                await trio.sleep(60)
                assert [entry.status for entry in apple.journal.entries if entry.token == ANNA] == [200]
                await trio.sleep(12 * HOUR)
                assert [entry.status for entry in apple.journal.entries if entry.token == CARL] == [200]
                assert len([entry for entry in apple.journal.entries if entry.token == ANNA]) == 1
                await trio.sleep(6 * HOUR)
                assert [entry.status for entry in apple.journal.entries if entry.token == ANNA] == [200, 200]
                assert len(relay.people.by_key) == 6

    play()


@pytest.mark.parametrize("version", VERSIONS)
def test_an_old_file_is_backed_up_as_it_is_and_restored_as_a_new_one(version: int, tmp_path: Path) -> None:
    path, backup = old(version, tmp_path), tmp_path / "backup"
    assert back_up(config(tmp_path), backup, NOON).version == version
    restored = restore(config(tmp_path), backup, NOON + HOUR, whatever_was_erased=True)
    assert (restored.contents.version, restored.contents.people) == (version, 6)
    found, before = json.loads(json.dumps(told(path))), expected(version)
    assert min(found["marks"]) > max(before["marks"])
    assert [record[1:] for record in found["feedback"]] == [record[1:] for record in before["feedback"]]
    for changed in ("marks", "feedback", "halts", "acts"):
        assert len(found.pop(changed)) >= len(before.pop(changed))
    assert found == before
