"""`feierabend store copy`: all of a file's people in PostgreSQL, held; and what is refused leaves nothing behind."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from relay.backing_up import back_up
from relay.config import Config, MasterKeys, PostgresConfig
from relay.core.errors import RelayError
from relay.core.operating import Selection, resume
from relay.loading import Household
from relay.moving import CannotCopy, Moved, copy
from relay.ops.control import LONGEST
from relay.store.files import lock
from relay.store.postgres import PostgresStore
from relay.store.postgres_migrating import migrate
from relay.store.schema import MIGRATIONS
from relay.store.sqlite import SqliteStore
from relay.trust import ClockIsWrong
from tests.relay.node import Node


@pytest.fixture
def node(tmp_path: Path) -> Node:
    """A relay's file with two people in it, closed."""
    (tmp_path / "node").mkdir()
    node = Node(tmp_path / "node")
    for user in ("anna", "bert"):
        node.register(user)
        node.rest(user)
        node.sign_in(user, "a")
    node.register("bert", "tablet")
    node.post("anna", "bert")
    node.die("bert", "tablet")
    node.close()
    return node


@pytest.fixture
def place(fresh: str) -> PostgresConfig:
    migrate(fresh)
    return PostgresConfig(fresh, None, "here")


def copied(node: Node, place: PostgresConfig, file: Path | None = None, config: Config | None = None) -> Moved:
    return copy(config or node.config, place, file or node.database, node.now + 60, lambda *_: None)


def move(node: Node, place: PostgresConfig) -> None:
    """The same node, served from there."""
    node.store = PostgresStore(place.url)  # type: ignore[assignment]  # what a node of the tests does is in the port
    node.household = Household(node.config.store.masters, node.config.tenants)
    node._epoch = node.household.fill(node.store.load())


def content(folder: Path) -> dict[str, bytes]:
    """Of the files that matter: the lock has none."""
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if not path.name.endswith(".lock")}


def is_empty(place: PostgresConfig) -> bool:
    with psycopg.connect(place.url, options="-c search_path=feierabend") as db:
        found = db.execute("SELECT (SELECT count(*) FROM person) + (SELECT count(*) FROM act)").fetchone()
    return found == (0,)


def test_everybody_is_there_and_nothing_leaves_before_it_is_resumed(node: Node, place: PostgresConfig) -> None:
    node.open()
    facts, generation = node.facts(), node.household.people.generation
    seq = node.household.people.feedback_seq
    node.close()
    before = content(node.folder)
    moved = copied(node, place)
    assert content(node.folder) == before
    assert (moved.rows["person"], moved.rows["device"], moved.rows["slot"]) == (2, 3, 2)
    assert moved.held_until == node.now + 60 + LONGEST

    move(node, place)
    assert node.facts() == facts
    (halt,) = node.household.people.halts.values()
    assert (halt.tenant, halt.event_class, halt.app) == (None, None, None)
    assert (halt.by, halt.reason, halt.at, halt.until) == (
        "copy",
        "copied from relay.db",
        node.now + 60,
        moved.held_until,
    )
    assert node.household.people.generation == generation + 1
    assert node.household.people.feedback_seq == seq == 1
    (act,) = node.store.acts(10)
    assert (act.what, act.by, act.until) == ("hold", "copy", moved.held_until)
    node.now += 120
    node.do(lambda draft: resume(draft, Selection(None, None, None), "it is the right one", "root"))
    assert not node.household.people.halts
    node.post("anna")
    node.register("carl")
    assert [halt.what for halt in node.store.acts(10)] == ["resume", "hold"]
    node.close()


def test_what_a_killed_relay_left_in_its_log_is_taken_along(node: Node, place: PostgresConfig, tmp_path: Path) -> None:
    """The log is not moved into the file by that."""
    node.open()
    node.register("carl")
    killed = tmp_path / "killed"
    shutil.copytree(node.folder, killed)
    assert (killed / "relay.db-wal").stat().st_size > 0
    node.close()
    before = content(killed)
    assert copied(node, place, killed / "relay.db").rows["person"] == 3
    after = content(killed)
    assert {name: after[name] for name in ("relay.db", "relay.db-wal", "relay.db.erased")} == {
        name: before[name] for name in ("relay.db", "relay.db-wal", "relay.db.erased")
    }


def refused(node: Node, place: PostgresConfig, file: Path | None = None, config: Config | None = None) -> str:
    """What is said; nothing is there then, and the file is as it was."""
    before = content(node.folder)
    with pytest.raises(RelayError) as caught:
        copied(node, place, file, config)
    assert is_empty(place)
    assert content(node.folder) == before
    return str(caught.value)


def test_a_file_in_use(node: Node, place: PostgresConfig) -> None:
    held = lock(node.database)
    assert refused(node, place) == "the database file is in use by another process"
    os.close(held)
    copied(node, place)


def test_no_file_at_all(node: Node, place: PostgresConfig) -> None:
    assert refused(node, place, node.folder / "none.db") == f"{node.folder / 'none.db'}: there is no database"
    assert refused(node, place, node.folder) == f"{node.folder}: there is no database"
    assert not (node.folder / "none.db").exists()


def test_what_is_no_database_of_ours(node: Node, place: PostgresConfig, tmp_path: Path) -> None:
    (tmp_path / "letter").write_bytes(b"This is a letter, and no database." * 100)
    assert refused(node, place, tmp_path / "letter") == "the file is not a database"


def test_an_older_version(node: Node, place: PostgresConfig, tmp_path: Path) -> None:
    SqliteStore(tmp_path / "old.db", migrations=MIGRATIONS[:4]).close()
    said = refused(node, place, tmp_path / "old.db")
    assert said == f"the database has version 4 and this program's is {len(MIGRATIONS)}: let it serve from it once"


def test_a_backup(node: Node, place: PostgresConfig) -> None:
    """Anna is erased after it was made: she would be there again, and nobody would know."""
    backup = node.folder / "backup.db"
    back_up(node.config, backup, node.now)
    node.open()
    node.forget("anna")
    node.close()
    said = refused(node, place, backup)
    assert said == f"{backup}: is a backup; who was erased since would be there again: restore it first"


def test_a_file_that_is_older_than_what_was_erased_in_it(node: Node, place: PostgresConfig) -> None:
    """Put there by hand: the relay would erase it again at its start, and PostgreSQL has nothing to do it from."""
    older = node.database.read_bytes()
    node.open()
    node.forget("anna")
    node.forget("bert")
    node.close()
    node.database.write_bytes(older)
    said = refused(node, place)
    assert said == f"{node.database}: is older than what was erased in it; let the relay serve from it once"
    node.open()
    node.close()
    assert copied(node, place).rows["person"] == 0


def test_people_whom_the_configuration_does_not_know(node: Node, place: PostgresConfig) -> None:
    (known,) = node.config.tenants
    elsewhere = replace(node.config, tenants=(replace(known, name="elsewhere"),))
    assert "which is not configured" in refused(node, place, config=elsewhere)


def test_another_master_key(node: Node, place: PostgresConfig) -> None:
    store = replace(node.config.store, masters=MasterKeys({0: bytes(32)}, 0, 0))
    said = refused(node, place, config=replace(node.config, store=store))
    assert said == "the master key file does not hold the key this database is sealed with"


def test_a_clock_that_is_years_off(node: Node, place: PostgresConfig) -> None:
    """The hold would be over, or last for ever."""
    with pytest.raises(ClockIsWrong):
        copy(node.config, place, node.database, 0.0, lambda *_: None)
    assert is_empty(place)


def test_a_refusal_is_a_kind_of_its_own(node: Node, place: PostgresConfig) -> None:
    back_up(node.config, node.folder / "backup.db", node.now)
    with pytest.raises(CannotCopy):
        copied(node, place, node.folder / "backup.db")
