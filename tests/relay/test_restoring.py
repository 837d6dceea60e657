"""`feierabend restore`: what a backup brings back, what it must not, and that nothing changes when it cannot be."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
import trio

from relay.config import Config, MasterKeys
from relay.core.batch import Batch, PersonRecord
from relay.core.editing import put_rest
from relay.core.erasing import Erased
from relay.core.errors import CursorExpired, VersionConflict
from relay.core.events import DAY, HOUR
from relay.core.halts import Act
from relay.core.passes import LIVES, PassKind
from relay.core.private import Private
from relay.ops.control import LONGEST
from relay.restoring import CannotRestore, UnknownErasures, restore
from relay.store import erasures
from relay.store.erasures import LIFE
from relay.store.files import InUse
from relay.store.port import StoreError, StoreMismatch
from relay.store.schema import MIGRATIONS, VERSION
from relay.store.sqlite import SqliteStore
from relay.trust import ClockIsWrong
from tests.e2e.client import client
from tests.e2e.in_memory import MemoryListener
from tests.relay.node import Fact, Node, running
from tests.relay.store.test_sqlite import a_foreign_database, a_newer_version, a_text, largest_file, sql
from tests.relay.world import NOON, TENANT, tenant, virtual

TOKEN = ("pass", "anna", "a", f"{NOON + LIVES[PassKind.TOKEN]:.0f}")
ANNA: set[Fact] = {("person", "anna"), ("device", "anna", "phone"), ("rest", "anna"), TOKEN}
BERT: set[Fact] = {("person", "bert"), ("device", "bert", "phone"), ("device", "bert", "tablet")}


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    """Anna and Bert, and a backup of Monday."""
    with Node(tmp_path) as made:
        made.register("anna")
        made.rest("anna")
        made.sign_in("anna", "a")
        made.register("bert")
        made.register("bert", "tablet")
        made.post("anna", "bert")
        made.back_up("monday")
        made.now += HOUR
        yield made


def content(node: Node) -> dict[str, bytes]:
    """Of all files that matter."""
    passing = (".lock", "-shm", "-wal")
    return {f.name: f.read_bytes() for f in node.folder.iterdir() if f.is_file() and not f.name.endswith(passing)}


# --- what comes back


def test_a_restored_database_is_what_it_was_and_the_former_is_kept(node: Node) -> None:
    node.register("carl")
    restored = node.restore("monday")
    assert node.facts() == ANNA | BERT
    assert restored.aside == node.folder / "relay.db.before-20261124T120001Z"
    assert (restored.contents.people, restored.contents.at, restored.erased_again) == (2, NOON, 0)
    with closing(SqliteStore(restored.aside)) as former:
        assert len(former.load().people) == 3
    assert node.database.stat().st_mode & 0o777 == 0o600
    left = {file.name for file in node.folder.iterdir() if "restoring" in file.name}
    assert left == set()


def test_a_backup_is_good_again_and_again(node: Node) -> None:
    for _ in range(3):
        node.now += HOUR
        node.forget("anna") if ("person", "anna") in node.facts() else node.register("carl")
        node.restore("monday")
        assert node.facts() == BERT


def test_an_older_backup_is_migrated(node: Node) -> None:
    """Real ones of every version: tests/relay/store/test_versions.py."""
    older, anna = node.backup("older"), node.key("anna")
    with closing(SqliteStore(older, migrations=MIGRATIONS[:3])) as store:
        person = PersonRecord(TENANT, node.records.seal_user(anna, Private("anna")))
        store.commit(Batch(NOON, people={anna: person}))
    sql(older, "DELETE FROM meta WHERE name = 'identity'")
    assert node.restore("older", whatever_was_erased=True).contents.version == 3
    assert node.facts() == {("person", "anna")}
    assert sql(node.database, "PRAGMA user_version") == [(VERSION,)]
    assert sql(older, "PRAGMA user_version") == [(3,)]


def test_a_copy_by_hand_with_its_log_will_do(node: Node) -> None:
    node.register("carl")
    for end in ("", "-wal"):
        shutil.copyfile(f"{node.database}{end}", f"{node.backup('hand')}{end}")
    assert node.backup("hand-wal").stat().st_size > 0
    node.forget("bert")
    restored = node.restore("hand")
    assert restored.contents.at is None
    assert node.facts() == ANNA | {("person", "carl"), ("device", "carl", "phone")}


def test_where_there_was_no_database_nothing_is_kept_aside(node: Node) -> None:
    node.forget("anna")
    node.close()
    for end in ("", "-wal", "-shm", ".lock"):
        Path(f"{node.database}{end}").unlink(missing_ok=True)
    assert restore(node.config, node.backup("monday"), node.now).aside is None
    node.open()
    assert node.facts() == BERT


def test_a_damaged_database_is_kept_aside_with_its_log(node: Node) -> None:
    node.forget("anna")
    node.close()
    for end in ("", "-wal"):
        Path(f"{node.database}{end}").write_bytes(b"a canary" * 1000)
    restored = restore(node.config, node.backup("monday"), node.now)
    node.open()
    assert node.facts() == BERT
    for end in ("", "-wal"):
        assert Path(f"{restored.aside}{end}").read_bytes() == b"a canary" * 1000


def test_what_a_killed_process_has_left_in_the_log_is_kept_aside_too(node: Node, tmp_path: Path) -> None:
    node.register("carl")
    killed = tmp_path / "killed"
    killed.mkdir()
    for end in ("", "-wal", ".erased"):
        shutil.copyfile(f"{node.database}{end}", killed / f"relay.db{end}")
    config = replace(node.config, store=replace(node.config.store, path=killed / "relay.db"))
    restored = restore(config, node.backup("monday"), node.now)
    assert restored.aside is not None
    with closing(SqliteStore(restored.aside)) as former:
        assert len(former.load().people) == 3


# --- everything is held


def test_everything_is_held_and_the_record_says_why(node: Node) -> None:
    restored = node.restore("monday")
    (halt,) = node.household.people.halts.values()
    assert (halt.tenant, halt.event_class, halt.app, halt.by) == (None, None, None, "restore")
    assert (halt.reason, halt.at) == ("restored from a backup of 2026-11-24T11:00:00+00:00", node.now)
    assert halt.until == restored.held_until == node.now + LONGEST
    assert list(node.store.acts(9)) == [Act(node.now, "restore", "hold", None, None, None, halt.reason, halt.until)]


def test_a_restored_relay_sends_nothing_until_it_is_resumed(node: Node) -> None:
    node.no_rest("anna")
    node.back_up("tuesday")
    node.restore("tuesday")

    @virtual
    async def play() -> None:
        async with running(node.config, node.store, node.now) as (relay, apple):
            await trio.sleep(DAY)
            assert apple.journal.entries == []
            listener = MemoryListener()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(relay.control.server.run, [listener])
                async with client(listener.connect) as control:
                    await control.ask("POST", "/resume", {"by": "eva", "reason": "all is well"})
                await trio.sleep(HOUR)
                nursery.cancel_scope.cancel()
            assert len(apple.journal.entries) == 3

    play()


# --- numbers


def test_no_number_is_given_twice(node: Node) -> None:
    """Whatever happened since: versions of rest documents, events, feedback."""
    node.die("bert", "tablet")
    node.back_up("tuesday")
    for _ in range(3):
        version = node.rest("anna")
        people = node.household.people
        before = max(people.generation, people.revision, people.feedback_seq, version)
        node.now += 1
        node.restore("tuesday")
        people = node.household.people
        assert min(people.generation, people.revision, people.feedback_seq) > before
        assert node.rest("anna") > before


def test_a_clock_that_was_ahead_gives_no_number_twice(node: Node) -> None:
    node.now += 3_000 * DAY
    node.restore("monday")
    version = node.rest("anna")
    node.now = NOON + DAY
    node.back_up("tuesday")
    node.restore("tuesday")
    assert node.rest("anna") > version


def test_a_version_that_was_given_since_is_that_of_no_document(node: Node) -> None:
    version = node.rest("bert")
    node.restore("monday")
    node.rest("bert")

    with pytest.raises(VersionConflict):
        node.do(lambda draft: put_rest(draft, node.home, node.key("bert"), None, b"", version))


def test_a_cursor_of_before_is_told_to_compare_and_what_is_kept_is_told_again(node: Node) -> None:
    node.die("bert", "tablet")
    node.back_up("tuesday")
    node.die("anna")
    (first, second) = node.store.feedback(TENANT, 0, 9)
    node.restore("tuesday")
    known = node.store.feedback_range(TENANT)
    assert known.purged > second.seq
    (again,) = node.store.feedback(TENANT, known.purged, 9)
    assert again == replace(first, seq=known.purged + 1)
    assert known.newest == again.seq < 2**53, "numbers of JSON"
    node.die("anna")
    assert [record.seq for record in node.store.feedback(TENANT, again.seq, 9)] == [again.seq + 1]

    @virtual
    async def play() -> None:
        async with running(node.config, node.store, node.now) as (relay, _):
            tenant_ = relay.tenants[TENANT]
            for cursor in (0, first.seq, second.seq):
                with pytest.raises(CursorExpired) as caught:
                    await relay.engine.feedback(tenant_, cursor, 0)
                assert caught.value.restart == known.purged
            told = await relay.engine.feedback(tenant_, known.purged, 0)
            assert [parted.seq for parted in told.devices] == [again.seq, again.seq + 1]

    play()


# --- what was erased since


def test_what_was_erased_since_is_erased_again(node: Node) -> None:
    node.forget("anna")
    node.unregister("bert", "tablet")
    restored = node.restore("monday")
    assert node.facts() == {("person", "bert"), ("device", "bert", "phone")}
    assert restored.erased_again == 3  # a token of Anna's is named too


def test_a_rest_document_and_a_token_do_not_come_back(node: Node) -> None:
    node.no_rest("anna")
    node.sign_out("anna", "a")
    node.restore("monday")
    assert node.facts() == {("person", "anna"), ("device", "anna", "phone")} | BERT


def test_what_was_erased_before_and_is_back_stays(node: Node) -> None:
    node.forget("anna")
    node.register("anna", "tablet")
    node.back_up("tuesday")
    node.restore("tuesday")
    assert node.facts() == {("person", "anna"), ("device", "anna", "tablet")} | BERT


def test_a_commit_that_failed_has_erased_nothing(node: Node) -> None:
    sql(
        node.database,
        "CREATE TRIGGER t BEFORE UPDATE ON meta WHEN NEW.name = 'erased' BEGIN SELECT RAISE(ABORT, ''); END",
    )
    with pytest.raises(StoreError):
        node.forget("anna")
    sql(node.database, "DROP TRIGGER t")
    node.restore("monday")
    assert node.facts() == ANNA | BERT


def cut_off(node: Node) -> None:
    """The process dies between writing down that Anna is deleted and deleting her."""
    node.store._erasures.add(Erased(users=frozenset({node.key("anna")})), node.now)


def test_what_a_crash_has_cut_off_has_erased_nothing(node: Node) -> None:
    cut_off(node)
    node.restore("monday")
    assert node.facts() == ANNA | BERT
    node.forget("anna")
    node.restore("monday")
    assert node.facts() == BERT


def test_where_nobody_knows_whether_it_was_cut_off_it_is_erased(node: Node) -> None:
    """The database is lost: better one too many, who was asked to be deleted."""
    cut_off(node)
    node.close()
    node.database.unlink()
    restore(node.config, node.backup("monday"), node.now)
    node.open()
    assert node.facts() == BERT


def test_an_older_database_that_was_put_there_by_hand_is_mended_at_its_start(node: Node) -> None:
    node.forget("anna")
    node.close()
    shutil.copyfile(node.backup("monday"), node.database)
    node.open()
    assert node.facts() == BERT
    node.register("anna")
    node.reopen()
    assert ("person", "anna") in node.facts()


def test_without_the_file_of_erasures_a_backup_is_refused(node: Node) -> None:
    node.back_up("tuesday")
    node.close()
    erasures.path_of(node.database).unlink()
    before = content(node)
    with pytest.raises(UnknownErasures):
        restore(node.config, node.backup("monday"), node.now)
    assert content(node) == before
    restore(node.config, node.backup("monday"), node.now, whatever_was_erased=True)
    node.open()
    assert node.facts() == ANNA | BERT
    node.forget("anna")
    with pytest.raises(UnknownErasures):
        node.restore("tuesday")
    node.back_up("wednesday")
    node.forget("bert")
    node.restore("wednesday")
    assert node.facts() == set()


def test_a_backup_that_is_older_than_erasures_are_kept_is_refused(node: Node) -> None:
    node.forget("anna")
    node.now += LIFE - HOUR
    node.store.purge(node.now, 100)
    node.restore("monday")
    assert node.facts() == BERT
    node.now += 2 * HOUR
    node.store.purge(node.now, 100)
    with pytest.raises(UnknownErasures):
        node.restore("monday")
    node.restore("monday", whatever_was_erased=True)
    assert node.facts() == ANNA | BERT


def test_a_backup_of_a_program_that_noted_no_erasures_is_refused(node: Node) -> None:
    sql(node.backup("monday"), "DELETE FROM meta WHERE name IN ('identity', 'erased')")
    node.forget("anna")
    with pytest.raises(UnknownErasures):
        node.restore("monday")
    node.restore("monday", whatever_was_erased=True)
    assert node.facts() == BERT
    node.forget("bert")
    node.reopen()
    assert node.facts() == set()


def test_a_backup_of_another_database_is_refused(node: Node, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    with Node(tmp_path / "other") as other:
        other.back_up("tuesday")
    shutil.copyfile(other.backup("tuesday"), node.backup("tuesday"))
    with pytest.raises(StoreMismatch, match=r"^the backup is of another database than relay\.db\.erased$"):
        node.restore("tuesday")


# --- what cannot be


def damaged(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(10 * 2048)
        file.write(os.urandom(10 * 2048))


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def foreign(path: Path) -> None:
    path.unlink()
    a_foreign_database(path)


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (a_text, "the file is not a database"),
        (foreign, "the database file belongs to another program"),
        (a_newer_version, f"the database has version {VERSION + 1}; this program knows versions up to {VERSION}"),
        (damaged, "the database file is damaged"),
        (emptied, "the file is empty"),
    ],
)
def test_what_is_no_good_backup_is_refused_and_nothing_changes(
    node: Node, spoil: Callable[[Path], None], sentence: str
) -> None:
    node.register("carl")
    node.close()
    spoil(node.backup("monday"))
    before = content(node)
    with pytest.raises(StoreError) as caught:
        restore(node.config, node.backup("monday"), node.now)
    assert str(caught.value) == sentence
    assert content(node) == before
    node.open()
    assert ("person", "carl") in node.facts()


def with_masters(config: Config, keys: dict[int, bytes], first: int) -> Config:
    return replace(config, store=replace(config.store, masters=MasterKeys(keys, first, first)))


@pytest.mark.parametrize(
    ("keys", "first", "sentence"),
    [
        ({1: b"x" * 32}, 1, "the master key file does not hold the key this database is sealed with"),
        ({2: b"m" * 32}, 2, "the master key file does not hold the key this database is sealed with"),
        ({1: b"m" * 32, 2: b"x" * 32}, 2, "the first master key is not the one this database names people by"),
    ],
)
def test_under_other_keys_a_backup_is_refused(node: Node, keys: dict[int, bytes], first: int, sentence: str) -> None:
    node.close()
    before = content(node)
    with pytest.raises(StoreMismatch) as caught:
        restore(with_masters(node.config, keys, first), node.backup("monday"), node.now)
    assert str(caught.value) == sentence
    assert content(node) == before


def test_people_of_a_tenant_that_is_not_configured_are_a_reason_to_refuse(node: Node) -> None:
    node.close()
    before = content(node)
    with pytest.raises(StoreMismatch, match="the tenant example, which is not configured"):
        restore(replace(node.config, tenants=(tenant(name="other"),)), node.backup("monday"), node.now)
    assert content(node) == before


def test_while_a_relay_runs_nothing_is_restored(node: Node) -> None:
    with pytest.raises(InUse):
        restore(node.config, node.backup("monday"), node.now)


def test_a_database_is_no_backup_of_itself(node: Node) -> None:
    node.close()
    link = node.backup("link")
    link.symlink_to(node.database)
    for path in (node.database, link):
        with pytest.raises(CannotRestore, match="is the database itself"):
            restore(node.config, path, node.now)
    for path in (node.folder, node.backup("nowhere")):
        with pytest.raises(CannotRestore, match="is no file"):
            restore(node.config, path, node.now)


def test_a_clock_that_is_years_off_restores_nothing(node: Node) -> None:
    node.close()
    with pytest.raises(ClockIsWrong):
        restore(node.config, node.backup("monday"), 1.0)


def test_a_name_that_is_taken_is_a_reason_to_refuse(node: Node) -> None:
    node.backup("relay.db.before-20261124T120000Z").write_text("precious")
    node.close()
    with pytest.raises(CannotRestore, match="is there already"):
        restore(node.config, node.backup("monday"), node.now)
    assert node.backup("relay.db.before-20261124T120000Z").read_text() == "precious"


def test_a_full_disk_changes_nothing(node: Node) -> None:
    node.close()
    before = content(node)
    with largest_file(10_000), pytest.raises(OSError, match="File too large"):
        restore(node.config, node.backup("monday"), node.now)
    assert content(node) == before


def test_what_fails_at_the_very_end_changes_nothing(node: Node) -> None:
    node.register("carl")
    node.close()
    sql(node.backup("monday"), "CREATE TRIGGER t BEFORE INSERT ON halt BEGIN SELECT RAISE(ABORT, 'no'); END")
    before = content(node)
    with pytest.raises(StoreError):
        restore(node.config, node.backup("monday"), node.now)
    assert content(node) == before


def test_what_an_earlier_attempt_has_left_is_no_hindrance(node: Node) -> None:
    for end in ("", "-wal", ".erased", ".lock"):
        node.backup(f"relay.db.restoring{end}").write_bytes(b"left behind")
    node.restore("monday")
    assert node.facts() == ANNA | BERT


def test_a_database_behind_a_link_stays_behind_it(node: Node, tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    link = tmp_path / "etc" / "relay.db"
    link.symlink_to(node.database)
    node.close()
    config = replace(node.config, store=replace(node.config.store, path=link))
    assert restore(config, node.backup("monday"), node.now).aside is not None
    assert link.is_symlink()
    assert sql(link, "SELECT count(*) FROM halt") == [(1,)]
