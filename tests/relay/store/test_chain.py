"""The chain of the record: every record has its link, in every store, and whatever is done to either is found."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.postgres import emptied
from relay.auditing import Fault, Noted, Tally, verify
from relay.config import PostgresConfig
from relay.core.batch import Batch, Bypass
from relay.core.chain import UNKEYED, Filed, Link, LinkKind, Notary, chained, grown
from relay.core.halts import Act
from relay.core.private import UserKey
from relay.moving import carry
from relay.store import rows, sqlite_source
from relay.store.copying import copy
from relay.store.evidence import Evidence
from relay.store.memory import MemoryStore
from relay.store.memory_nodes import MemoryDatabase, MemoryNode
from relay.store.port import StaleEpoch, Store, StoreError
from relay.store.postgres import PostgresStore
from relay.store.postgres_chain import begin
from relay.store.postgres_connection import connect
from relay.store.postgres_evidence import evidence as postgres_evidence
from relay.store.postgres_migrating import migrate
from relay.store.postgres_schema import MIGRATIONS as POSTGRES_MIGRATIONS
from relay.store.schema import MIGRATIONS
from relay.store.sqlite import SqliteStore
from tests.e2e.processes import PATIENCE
from tests.effort import examples
from tests.relay.store.batches import DAY, NOW, a_bypass, a_full_batch, a_slot, a_visit, an_act, user
from tests.relay.store.between import Between, Break

NOTARY = Notary(bytes(range(32)))
ANNA, BERT = user(1), user(2)


@dataclass
class Kept:
    """A store, what an audit reads in it, and how somebody writes to it who should not."""

    store: Store
    evidence: Callable[[], AbstractContextManager[Evidence]]
    tamper: Callable[[str], None] = lambda _: None
    """Run SQL, when what stands in its way is gone."""
    epoch: int = field(init=False)
    generation: int = 0

    def __post_init__(self) -> None:
        self.epoch = self.store.load().epoch

    def commit(self, at: float = NOW, **content: Any) -> None:  # noqa: ANN401
        self.generation += 1
        self.store.commit(Batch(at, self.epoch, generation=self.generation, **content))

    def audit(self, at: float = NOW + 60, noted: Sequence[Noted] = (), notary: Notary = NOTARY) -> dict[str, Tally]:
        with self.evidence() as evidence:
            return verify(evidence, notary, at, noted)

    def faults(self, at: float = NOW + 60, noted: Sequence[Noted] = ()) -> dict[str, dict[Fault, list[int]]]:
        return {tenant: tally.where for tenant, tally in self.audit(at, noted).items() if tally.where}

    def chain(self, tenant: str) -> list[Link]:
        with self.evidence() as evidence:
            return list(evidence.links(tenant))

    def head(self, tenant: str = "city") -> Noted:
        with self.evidence() as evidence:
            (found,) = [link for link in evidence.newest() if link.tenant == tenant]
        return Noted(tenant, found.number, found.chained.hex())


def _memory() -> Kept:
    store = MemoryStore(NOTARY)
    return Kept(store, lambda: nullcontext(store.evidence))


def _memory_node() -> Kept:
    database = MemoryDatabase(lambda: NOW, NOTARY)
    return Kept(MemoryNode(database), lambda: nullcontext(database.tables.evidence))


def _sqlite(path: Path) -> Kept:
    def tamper(statement: str) -> None:
        with closing(sqlite3.connect(path)) as db:
            triggers = db.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall()
            for (name,) in triggers:
                db.execute(f"DROP TRIGGER {name}")
            db.execute(statement)
            db.commit()

    return Kept(SqliteStore(path, NOTARY), lambda: sqlite_source.evidence(path), tamper)


def _postgres(url: str) -> Kept:
    def tamper(statement: str) -> None:
        with psycopg.connect(url, options="-c search_path=feierabend") as db:
            triggers = db.execute(
                "SELECT tgname, relname FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid WHERE NOT tgisinternal"
            ).fetchall()
            for name, table in triggers:
                db.execute(f'DROP TRIGGER "{name}" ON "{table}"')
            db.execute(statement)

    return Kept(PostgresStore(url, None, NOTARY), lambda: postgres_evidence(url, None), tamper)


@pytest.fixture
def made(database: str) -> str:
    """An empty database whose chain begins under our key."""
    return begun(database)


def begun(url: str) -> str:
    emptied(url)
    with connect(url, None, "test") as db:
        begin(db, NOTARY)
        for table in ("bypass", "bypass_recipients", "act", "visit", "link", "visits_erased"):
            db.execute(
                f"CREATE OR REPLACE TRIGGER {table}_is_append_only BEFORE UPDATE ON {table} "
                "EXECUTE FUNCTION refuse_update()"
            )
    return url


@pytest.fixture(params=["memory", "memory node", "sqlite", "postgres"])
def kept(request: pytest.FixtureRequest, path: Path) -> Iterator[Kept]:
    makers: Mapping[str, Callable[[], Kept]] = {
        "memory": _memory,
        "memory node": _memory_node,
        "sqlite": partial(_sqlite, path),
        "postgres": lambda: _postgres(request.getfixturevalue("made")),
    }
    found = makers[request.param]()
    yield found
    found.store.close()


@pytest.fixture(params=["sqlite", "postgres"])
def real(request: pytest.FixtureRequest, path: Path) -> Iterator[Kept]:
    found = _sqlite(path) if request.param == "sqlite" else _postgres(request.getfixturevalue("made"))
    yield found
    found.store.close()


def said(chain: Sequence[Link]) -> list[tuple[int, int, int]]:
    return [(link.number, link.kind, link.at) for link in chain]


MS = int(NOW * 1000)


# --- how it grows


def test_a_new_store_has_the_beginning_of_the_installation_s_chain(kept: Kept) -> None:
    assert said(kept.chain("")) == [(1, LinkKind.BEGINNING, 0)]
    assert kept.audit() == {"": Tally(links=1)}


def test_every_record_is_followed_by_a_link_of_its_tenant(kept: Kept) -> None:
    kept.store.commit(a_full_batch(kept.epoch))
    kinds = (LinkKind.BYPASS, LinkKind.BYPASS, LinkKind.ACT, LinkKind.VISIT, LinkKind.VISIT, LinkKind.VISIT)
    assert said(kept.chain("city")) == [
        (number, kind, MS + 125 * (number == 6)) for number, kind in enumerate(kinds, 1)
    ]
    assert said(kept.chain("")) == [(1, LinkKind.BEGINNING, 0), (2, LinkKind.ACT, MS)]
    assert kept.chain("county") == []
    assert kept.audit() == {"": Tally(links=2, found=1), "city": Tally(links=6, found=6)}


def test_a_chain_goes_on_over_commits_and_is_the_same_in_python(kept: Kept) -> None:
    kept.commit(bypasses=[a_bypass(1), replace(a_bypass(2), tenant="zürich")])
    kept.commit(NOW + 1, bypasses=[a_bypass(3)], acts=[an_act(1)])
    assert said(kept.chain("city")) == [
        (1, LinkKind.BYPASS, MS), (2, LinkKind.BYPASS, MS + 1000), (3, LinkKind.ACT, MS + 1000),
    ]  # fmt: skip
    for tenant in ("city", "zürich", ""):
        chain = kept.chain(tenant)
        assert chain == grown(tenant, None, chain)  # type: ignore[arg-type]  # a link says what an entry does
    assert len({link.chained for tenant in ("city", "zürich", "") for link in kept.chain(tenant)}) == 5


def test_a_batch_with_nothing_on_record_adds_no_link(kept: Kept) -> None:
    kept.commit(bypasses=[a_bypass(1)])
    before = kept.chain("city")
    kept.commit(slots={(ANNA, "message"): a_slot(1)}, forgotten={ANNA})
    assert (kept.chain("city"), len(kept.chain(""))) == (before, 1)


def test_a_commit_that_fails_leaves_no_link(kept: Kept) -> None:
    kept.commit(bypasses=[a_bypass(1)])
    before = kept.chain("city")
    with pytest.raises(StaleEpoch):
        kept.store.commit(Batch(NOW, kept.epoch - 1, bypasses=[a_bypass(2)], generation=9))
    assert (kept.chain("city"), kept.faults()) == (before, {})


@pytest.mark.parametrize("table", ["account", "link"])
def test_a_commit_that_fails_in_the_middle_leaves_neither_record_nor_link(real: Kept, table: str) -> None:
    """As where the disk is full: whatever is written first or last."""
    kind = "SELECT RAISE(ABORT, 'x')" if isinstance(real.store, SqliteStore) else None
    body = f"BEGIN {kind}; END" if kind else "EXECUTE FUNCTION refuse_update()"
    real.commit(bypasses=[a_bypass(1)])
    before = real.chain("city")
    real.tamper(f"CREATE TRIGGER broken BEFORE INSERT ON {table} {body}")
    with pytest.raises(StoreError):
        real.store.commit(replace(a_full_batch(real.epoch), generation=2**40))
    real.tamper("SELECT 1")
    assert (real.chain("city"), real.faults()) == (before, {})
    real.commit(bypasses=[a_bypass(2)])
    assert real.audit()["city"] == Tally(links=2, found=2)


# --- what is gone


def test_what_is_purged_is_gone_by_retention(kept: Kept) -> None:
    kept.store.commit(a_full_batch(kept.epoch))
    kept.store.purge(NOW + 91 * DAY, 100)
    assert kept.audit(NOW + 91 * DAY) == {"": Tally(links=2, found=1), "city": Tally(links=6, found=1, gone=5)}
    kept.store.purge(NOW + 401 * DAY, 100)
    assert kept.audit(NOW + 401 * DAY) == {"": Tally(links=2, gone=1), "city": Tally(links=6, gone=6)}


def test_what_is_purged_before_its_time_is_missing(kept: Kept) -> None:
    kept.store.commit(a_full_batch(kept.epoch))
    kept.store.purge(NOW + 91 * DAY, 100)
    assert kept.faults(NOW + 89 * DAY) == {"city": {Fault.MISSING: [1, 2, 4, 5, 6]}}


def test_looks_that_go_with_their_person_are_told_from_missing_ones(kept: Kept) -> None:
    kept.commit(visits=[a_visit(1, ANNA), a_visit(2, BERT), replace(a_visit(3, ANNA), tenant="county")])
    kept.commit(forgotten={ANNA}, visits=[a_visit(4, ANNA)])
    assert kept.audit() == {
        "": Tally(links=1), "city": Tally(links=4, found=3, erased=1), "county": Tally(links=2, found=1, erased=1),
    }  # fmt: skip
    kept.commit(NOW + DAY, forgotten={ANNA, BERT})
    assert kept.audit(NOW + DAY)["city"] == Tally(links=5, found=2, erased=3)
    kept.store.purge(NOW + 92 * DAY, 100)
    assert kept.audit(NOW + 92 * DAY)["city"] == Tally(links=5, gone=5)


def test_more_looks_than_one_record_names(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("relay.store.filing.MOST_TOGETHER", 2)
    kept.commit(visits=[a_visit(seq, ANNA) for seq in range(1, 6)])
    kept.commit(forgotten={ANNA})
    assert kept.audit()["city"] == Tally(links=8, found=3, erased=5)


def test_another_key_fits_nothing(kept: Kept) -> None:
    kept.commit(bypasses=[a_bypass(1)])
    found = kept.audit(notary=UNKEYED)
    assert found[""].where == {Fault.BEGINNING: [1]}
    assert found["city"].faults == {Fault.CHANGED: 1}


def test_no_two_fields_of_a_record_can_be_mixed_up() -> None:
    record = Filed(LinkKind.BYPASS, "city", 1, b"ab", b"c", b"d")
    others = [
        replace(record, kind=LinkKind.ACT), replace(record, tenant="county"), replace(record, at=2),
        replace(record, key=b"a", body=b"bc"), replace(record, body=b"cd", beside=b""), replace(record, beside=b"e"),
    ]  # fmt: skip
    assert len({NOTARY.digest(each) for each in (record, *others)}) == 7


# --- what somebody does who can write to the database


def on_record(real: Kept) -> None:
    """Five links of a tenant: bypasses on five days, one with a look."""
    for day in range(4):
        real.commit(NOW + day * DAY, bypasses=[a_bypass(day)])
    real.commit(NOW + 4 * DAY, visits=[a_visit(5, ANNA, at=NOW + 4 * DAY)])
    assert real.faults(LATER) == {}


LATER = NOW + 5 * DAY
OTHERS = b"\x02others"
KEY = b"another key of 24 bytes!"
OF_DAY = "(SELECT key FROM {0} ORDER BY key LIMIT 1 OFFSET {1})"


def nth(table: str, number: int) -> str:
    return f"key = {OF_DAY.format(table, number)}"


def link_number(real: Kept, number: int) -> str:
    return place_of(real, "city", number)


def place_of(real: Kept, tenant: str, number: int) -> str:
    """Which link of a tenant, in SQL."""
    if isinstance(real.store, SqliteStore):
        key = tenant.encode() + b"\x00" + number.to_bytes(8, "big")
        return f"key = x'{key.hex()}'"
    return f"tenant = '{tenant}' AND number = {number}"


def blob(real: Kept, value: bytes) -> str:
    return f"x'{value.hex()}'" if isinstance(real.store, SqliteStore) else f"'\\x{value.hex()}'::bytea"


def whole(real: Kept, number: int, width: int = 8) -> str:
    return blob(real, number.to_bytes(width, "big")) if isinstance(real.store, SqliteStore) else str(number)


def what(real: Kept, link: Link) -> str:
    """What a link says, as columns."""
    said = whole(real, link.at), whole(real, link.kind, 2), blob(real, link.digest), blob(real, link.chained)
    return ", ".join(said)


@pytest.mark.parametrize("body", [b"", b"\x91\x01", b"\xff\xff"], ids=["empty", "another", "garbage"])
def test_a_record_that_was_made_unreadable(real: Kept, body: bytes) -> None:
    on_record(real)
    real.tamper(f"UPDATE bypass SET body = {blob(real, body)} WHERE {nth('bypass', 1)}")
    found = real.audit(LATER)
    assert found["city"].where == {Fault.MISSING: [2]}
    assert found[""].faults == {Fault.UNLINKED: 1}


def test_a_record_that_was_changed(real: Kept) -> None:
    """Another reason, in a record that can be read."""
    on_record(real)
    changed = blob(real, rows.bypass(replace(a_bypass(1), reason="training")))
    real.tamper(f"UPDATE bypass SET body = {changed} WHERE {nth('bypass', 1)}")
    assert real.faults(LATER) == {"city": {Fault.CHANGED: [2]}}


@pytest.mark.parametrize("how", ["UPDATE bypass_recipients SET body = {}", "DELETE FROM bypass_recipients"])
def test_recipients_that_were_swapped_or_removed(real: Kept, how: str) -> None:
    on_record(real)
    real.tamper(f"{how.format(blob(real, OTHERS))} WHERE {nth('bypass_recipients', 2)}")
    assert real.faults(LATER) == {"city": {Fault.CHANGED: [3]}}


def test_a_record_that_was_given_another_instant(real: Kept) -> None:
    on_record(real)
    real.tamper(f"UPDATE bypass SET at = {whole(real, 1)} WHERE {nth('bypass', 2)}")
    assert real.faults(LATER) == {"city": {Fault.MISSING: [3], Fault.UNLINKED: []}}


def test_instants_that_cannot_be(real: Kept) -> None:
    on_record(real)
    never = blob(real, b"\xff" * 9) if isinstance(real.store, SqliteStore) else "-1"
    real.tamper(f"UPDATE bypass SET at = {never} WHERE {nth('bypass', 2)}")
    real.tamper(f"UPDATE link SET at = {never} WHERE {link_number(real, 5)}")
    real.tamper(f"UPDATE link SET at = {never} WHERE {place_of(real, '', 1)}")
    found = real.audit(LATER)
    assert found["city"].where.keys() >= {Fault.MISSING, Fault.UNLINKED, Fault.BROKEN}
    assert found[""].where == {Fault.BROKEN: [1], Fault.BEGINNING: [1]}


@pytest.mark.parametrize("table", ["bypass", "visit"])
def test_a_record_that_was_removed_before_its_time(real: Kept, table: str) -> None:
    on_record(real)
    real.tamper(f"DELETE FROM {table}")
    assert real.faults(LATER) == {"city": {Fault.MISSING: [1, 2, 3, 4] if table == "bypass" else [5]}}


def test_a_look_whose_record_of_erasure_was_forged(real: Kept) -> None:
    """It names the right digest, but has no link."""
    on_record(real)
    (digest,) = [link.digest for link in real.chain("city") if link.kind == LinkKind.VISIT]
    body = b"\x93\x01\xa4city\x91\xc4\x20" + digest
    real.tamper("DELETE FROM visit")
    real.tamper(
        f"INSERT INTO visits_erased VALUES ({blob(real, KEY)}, {whole(real, int(LATER * 1000))}, {blob(real, body)})"
    )
    assert real.faults(LATER) == {"city": {Fault.MISSING: [5], Fault.UNLINKED: []}}


def test_a_record_that_was_added_without_a_link(real: Kept) -> None:
    on_record(real)
    columns = "key, at, body" if isinstance(real.store, SqliteStore) else "tenant, key, at, body"
    same = columns.replace("key", blob(real, KEY), 1)
    real.tamper(f"INSERT INTO bypass ({columns}) SELECT {same} FROM bypass WHERE {nth('bypass', 1)}")
    assert real.audit(LATER)["city"].faults == {Fault.UNLINKED: 1}


def test_a_record_that_was_dated_back_behind_the_beginning(real: Kept) -> None:
    """In a new store nothing is older than the chain."""
    on_record(real)
    columns = "key, at, body" if isinstance(real.store, SqliteStore) else "tenant, key, at, body"
    same = columns.replace("key", blob(real, KEY), 1).replace("at", whole(real, 1), 1)
    real.tamper(f"INSERT INTO bypass ({columns}) SELECT {same} FROM bypass WHERE {nth('bypass', 1)}")
    assert real.audit(LATER)["city"].faults == {Fault.UNLINKED: 1}


def test_a_link_that_was_removed_in_the_middle(real: Kept) -> None:
    on_record(real)
    real.tamper(f"DELETE FROM link WHERE {link_number(real, 3)}")
    assert real.faults(LATER) == {"city": {Fault.GAP: [4], Fault.BROKEN: [4], Fault.UNLINKED: []}}


def test_links_that_were_exchanged(real: Kept) -> None:
    on_record(real)
    two, three = (real.chain("city")[number] for number in (1, 2))
    for number, other in ((2, three), (3, two)):
        said = (
            f"at = {whole(real, other.at)}, digest = {blob(real, other.digest)}, chained = {blob(real, other.chained)}"
        )
        real.tamper(f"UPDATE link SET {said} WHERE {link_number(real, number)}")
    assert real.faults(LATER) == {"city": {Fault.BROKEN: [2, 3, 4]}}


def test_a_link_that_was_written_a_second_time(real: Kept) -> None:
    on_record(real)
    append(real, real.chain("city")[1])
    assert real.faults(LATER) == {"city": {Fault.TWICE: [6]}}


def append(real: Kept, like: Link) -> None:
    """Somebody who knows how chains are made lets one go on."""
    rewrite(real, [*real.chain("city"), like])


def rewrite(real: Kept, entries: Sequence[Any]) -> None:
    """The whole chain is made anew, as whoever can write to the database may: that needs no key."""
    links = grown("city", None, entries)
    is_file = isinstance(real.store, SqliteStore)
    real.tamper("DELETE FROM link WHERE key >= x'63697479' AND key < x'6369747a'" if is_file else
                "DELETE FROM link WHERE tenant = 'city'")  # fmt: skip
    for link in links:
        place = blob(real, b"city\x00" + link.number.to_bytes(8, "big")) if is_file else f"'city', {link.number}"
        real.tamper(f"INSERT INTO link VALUES ({place}, {what(real, link)})")
    if not is_file:
        end = blob(real, links[-1].chained)
        real.tamper(f"UPDATE chain SET number = {links[-1].number}, chained = {end} WHERE tenant = 'city'")


def test_a_chain_that_was_made_anew_for_a_changed_record(real: Kept) -> None:
    """The digest cannot be made without the key; the noted head is gone in any case."""
    on_record(real)
    noted = real.head()
    chain = real.chain("city")
    real.tamper(f"UPDATE bypass_recipients SET body = {blob(real, OTHERS)} WHERE {nth('bypass_recipients', 1)}")
    rewrite(real, [chain[0], replace(chain[1], digest=bytes(32)), *chain[2:]])
    assert real.faults(LATER) == {"city": {Fault.CHANGED: [2]}}
    assert real.faults(LATER, [noted]) == {"city": {Fault.CHANGED: [2], Fault.NOTED: [5]}}


def test_a_record_that_was_removed_with_its_link_is_found_by_a_noted_head_only(real: Kept) -> None:
    on_record(real)
    noted, older = real.head(), Noted("city", 1, real.chain("city")[0].chained.hex()[:32])
    chain = real.chain("city")
    for table in ("bypass", "bypass_recipients"):
        real.tamper(f"DELETE FROM {table} WHERE {nth(table, 1)}")
    rewrite(real, [chain[0], *chain[2:]])
    assert real.faults(LATER) == {}, "what the README says it cannot show"
    assert real.faults(LATER, [noted, older]) == {"city": {Fault.NOTED: [5]}}


def test_last_links_that_were_removed_are_found_by_a_noted_head_only(real: Kept) -> None:
    on_record(real)
    noted, chain = real.head(), real.chain("city")
    real.tamper("DELETE FROM visit")
    rewrite(real, chain[:4])
    assert real.faults(LATER) == {}
    assert real.faults(LATER, [noted]) == {"city": {Fault.NOTED: [5]}}


def test_last_links_that_were_removed_clumsily(real: Kept) -> None:
    """PostgreSQL knows where it goes on from."""
    on_record(real)
    real.tamper("DELETE FROM visit")
    real.tamper(f"DELETE FROM link WHERE {link_number(real, 5)}")
    is_file = isinstance(real.store, SqliteStore)
    assert real.faults(LATER) == ({} if is_file else {"city": {Fault.END: [4]}})


def test_a_link_that_was_dated_back_so_that_its_record_seems_purged(real: Kept) -> None:
    on_record(real)
    chain = real.chain("city")
    real.tamper(f"DELETE FROM bypass WHERE {nth('bypass', 2)}")
    rewrite(real, [*chain[:2], replace(chain[2], at=int((LATER - 91 * DAY) * 1000)), *chain[3:]])
    assert real.faults(LATER) == {"city": {Fault.BACKWARDS: [3]}}


@pytest.mark.parametrize("key", [NOTARY, UNKEYED], ids=["in the name of the chain", "by another key"])
def test_a_beginning_that_was_moved_excuses_nothing(real: Kept, key: Notary) -> None:
    """Links are removed, and their records are to pass for older than the chain."""
    on_record(real)
    is_file = isinstance(real.store, SqliteStore)
    entry = replace(key.beginning(0), at=int(LATER * 1000)) if key is NOTARY else key.beginning(int(LATER * 1000))
    (link,) = grown("", None, [entry])
    real.tamper("DELETE FROM link")
    place = blob(real, b"\x00" + bytes(7) + b"\x01") if is_file else "'', 1"
    real.tamper(f"INSERT INTO link VALUES ({place}, {what(real, link)})")
    found = real.audit(LATER)
    assert (found["city"].older, found["city"].faults[Fault.UNLINKED]) == (0, 5)
    assert Fault.BEGINNING in found[""].faults


def test_a_chain_that_is_gone_altogether(real: Kept) -> None:
    on_record(real)
    real.tamper("DELETE FROM link")
    found = real.audit(LATER)
    assert found[""].faults[Fault.BEGINNING] == 1
    assert found["city"].faults[Fault.UNLINKED] == 5


def test_a_link_in_the_chain_of_another_tenant(real: Kept) -> None:
    on_record(real)
    is_file = isinstance(real.store, SqliteStore)
    place = f"key = {blob(real, b'county' + bytes(8) + bytes((5,)))}" if is_file else "tenant = 'county'"
    real.tamper(f"UPDATE link SET {place} WHERE {link_number(real, 5)}")
    found = real.audit(LATER)
    assert found["city"].faults[Fault.UNLINKED] == 1
    assert found["county"].where.keys() >= {Fault.GAP, Fault.BROKEN, Fault.MISSING}


@pytest.mark.parametrize(
    "noted", [("city", 9, "0" * 64), ("city", 5, "0" * 32), ("nobody", 1, "0" * 64)], ids=["later", "other", "nobody's"]
)
def test_heads_that_are_not_there(real: Kept, noted: tuple[str, int, str]) -> None:
    on_record(real)
    assert real.faults(LATER, [real.head(), Noted(*noted)]) == {noted[0]: {Fault.NOTED: [noted[1]]}}


# --- older stores, copies


def older_file(path: Path) -> None:
    with closing(SqliteStore(path, NOTARY, migrations=MIGRATIONS[:7])) as store:
        store.commit(a_full_batch(store.load().epoch))


def test_records_of_an_older_file_stand_outside_and_are_counted(path: Path) -> None:
    older_file(path)
    kept = _sqlite(path)
    assert said(kept.chain("")) == [(1, LinkKind.BEGINNING, MS + 125)]
    assert kept.audit() == {"": Tally(links=1, older=1), "city": Tally(older=6)}
    kept.generation = 2**62
    kept.commit(NOW + 1, bypasses=[a_bypass(3)], forgotten={BERT})
    assert kept.audit()["city"] == Tally(links=2, found=2, older=5)
    kept.tamper("DELETE FROM link WHERE key >= x'63697479' AND key < x'6369747a'")
    assert kept.audit()["city"].faults == {Fault.UNLINKED: 2}, "what came later does not pass for older"
    kept.store.close()


def test_records_of_an_older_database_stand_outside_and_its_nodes_write_no_more(fresh: str) -> None:
    migrate(fresh, None, NOTARY, migrations=POSTGRES_MIGRATIONS[:1])
    filled = SqliteStore(Path(tempfile.mkdtemp()) / "relay.db", NOTARY)
    filled.close()
    with connect(fresh, None, "an older node") as db:
        db.execute("INSERT INTO node (generation, revision, feedback) VALUES (7, 8, 9)")
        key = (MS.to_bytes(8, "big") + bytes(16)).hex()
        body = bytes.fromhex("9901a463697479a5616c61726dcb41dad27480000000a36b6579a464697370a3696e6302c2").hex()
        db.execute(f"INSERT INTO bypass VALUES ('city', '\\x{key}', {MS}, '\\x{body}')")
    assert migrate(fresh, None, NOTARY) == len(POSTGRES_MIGRATIONS) - 1
    with connect(fresh, None, "an older node") as db:
        assert db.execute("SELECT * FROM mark").fetchall() == [(7, 8, 9)]
        with pytest.raises(psycopg.Error, match="stale epoch"):
            db.execute("SELECT hold(1, 0, 10, 10, 10)")
    kept = _postgres(fresh)
    assert said(kept.chain("")) == [(1, LinkKind.BEGINNING, MS)]
    kept.commit(NOW + 1, bypasses=[a_bypass(3)])
    assert kept.audit()["city"] == Tally(links=1, found=1, older=1)
    kept.store.close()


def test_the_chain_goes_along_into_postgresql_and_on(path: Path, fresh: str) -> None:
    older_file(path)
    before = _sqlite(path)
    before.generation = 2**62
    before.commit(NOW + 1, bypasses=[a_bypass(3)], forgotten={BERT})
    chains, noted = {tenant: before.chain(tenant) for tenant in ("", "city")}, before.head()
    before.store.close()
    migrate(fresh, None, NOTARY)
    with sqlite_source.locked(path) as source:
        more = Batch(NOW + 2, acts=[Act(NOW + 2, "copy", "hold", None, None, None, "copied", NOW + 9)], generation=9)
        carry(source, PostgresConfig(fresh, None, "here"), more, lambda *_: None, NOTARY)
    after = _postgres(fresh)
    assert after.chain("city") == chains["city"]
    assert after.chain("")[:-1] == chains[""]
    after.generation = 2**62 + 1
    after.commit(NOW + 3, bypasses=[a_bypass(4)])
    assert after.audit(noted=[noted]) == {
        "": Tally(links=2, found=1, older=1), "city": Tally(links=3, found=3, older=5),
    }  # fmt: skip
    after.store.close()


def test_a_backup_has_the_chain_and_a_head_noted_later_is_missed_in_it(path: Path, tmp_path: Path) -> None:
    kept, backup = _sqlite(path), tmp_path / "backup.db"
    on_record(kept)
    noted = kept.head()
    copy(path, backup, lambda: None)
    kept.commit(LATER, bypasses=[a_bypass(9)])
    later = kept.head()
    kept.store.close()
    shutil.copyfile(backup, path)
    Path(f"{path}-wal").unlink(missing_ok=True)
    restored = _sqlite(path)
    assert restored.faults(LATER, [noted]) == {}
    assert restored.faults(LATER, [noted, later]) == {"city": {Fault.NOTED: [6]}}
    restored.store.close()


# --- many nodes


TENANTS = ("a", "b", "c")


def piercing(tenants: Sequence[str], number: int, at: float) -> list[Bypass]:
    return [replace(a_bypass(number, at=at), tenant=tenant) for tenant in tenants]


def test_nodes_that_commit_at_once_write_one_chain_for_each_tenant(made: str) -> None:
    """Three nodes, each with all tenants in another order, and with what else their commits lock in common."""
    commits, nodes = 30, [PostgresStore(made, None, NOTARY) for _ in range(3)]
    start, failed = threading.Barrier(3), list[Exception]()

    def work(index: int) -> None:
        try:
            store = nodes[index]
            epoch = store.join("here").epoch
            start.wait(PATIENCE)
            for number in range(1, commits + 1):
                at = NOW + number
                bypasses = piercing((*TENANTS[index:], *TENANTS[:index]), number, at)
                store.commit(
                    replace(
                        Batch(at, epoch, bypasses=bypasses, generation=number),
                        acts=[an_act(number, at=at)],
                        visits=[a_visit(number, user(1000 * index + number), at=at)],
                        feedback=a_full_batch(epoch).feedback,
                    )
                )
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=work, args=(index,)) for index in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    for store in nodes:
        store.close()
    assert failed == []
    with postgres_evidence(made, None) as evidence:
        found = verify(evidence, NOTARY, NOW + 60)
        for tenant in TENANTS:
            chain = list(evidence.links(tenant))
            assert [link.number for link in chain] == list(range(1, 3 * commits + 1))
            assert chain == grown(tenant, None, chain)  # type: ignore[arg-type]
    assert {tenant: found[tenant] for tenant in TENANTS} == dict.fromkeys(
        TENANTS, Tally(links=3 * commits, found=3 * commits)
    )
    assert found["city"] == Tally(links=6 * commits, found=6 * commits)


def test_nodes_of_the_reference_write_one_chain_too() -> None:
    database = MemoryDatabase(lambda: NOW, NOTARY)
    nodes = [MemoryNode(database), MemoryNode(database)]
    epochs = [node.join("here").epoch for node in nodes]
    for number in range(6):
        batch = Batch(NOW, epochs[number % 2], bypasses=piercing(TENANTS, 1, NOW), generation=1)
        nodes[number % 2].commit(batch)
    database.forget(epochs[1])
    with pytest.raises(StaleEpoch):
        nodes[1].commit(Batch(NOW, epochs[1], bypasses=piercing(TENANTS, 1, NOW), generation=1))
    found = verify(database.tables.evidence, NOTARY, NOW)
    assert found == {"": Tally(links=1), **{tenant: Tally(links=6, found=6) for tenant in TENANTS}}


def test_a_commit_in_doubt_that_was_not_written_leaves_no_link_and_one_that_was_has_its(fresh: str) -> None:
    migrate(fresh, None, NOTARY)
    with Between(fresh) as between:
        kept = Kept(PostgresStore(between.url, None, NOTARY), lambda: postgres_evidence(fresh, None))
        kept.commit(bypasses=[a_bypass(1)])
        between.break_next(Break.LATE)
        with pytest.raises(StoreError):
            kept.commit(bypasses=[a_bypass(2)])
        kept.commit(bypasses=[a_bypass(3)])
        assert b"stale epoch" in between.deliver()
        assert kept.audit()["city"] == Tally(links=2, found=2)
        between.break_next(Break.AFTER)
        with pytest.raises(StoreError):
            kept.commit(bypasses=[a_bypass(4)])
        assert kept.audit()["city"] == Tally(links=3, found=3)
        kept.store.close()


# --- random histories


@dataclass(frozen=True)
class Step:
    after: float
    bypasses: tuple[str, ...]
    acts: tuple[str | None, ...]
    visits: tuple[UserKey, ...]
    forgotten: frozenset[UserKey]
    purged: int | None
    """How many of each kind at most, after the commit."""
    is_stale: bool


USERS = (ANNA, BERT, user(3))
steps = st.builds(
    Step,
    st.sampled_from((0.0, 0.5, DAY, 40 * DAY, 200 * DAY)),
    st.lists(st.sampled_from(TENANTS), max_size=2).map(tuple),
    st.lists(st.sampled_from((None, *TENANTS)), max_size=2).map(tuple),
    st.lists(st.sampled_from(USERS), max_size=3).map(tuple),
    st.frozensets(st.sampled_from(USERS), max_size=2),
    st.none() | st.integers(0, 20),
    st.booleans(),
)


class History:
    """What has been written, in numbers."""

    def __init__(self, kept: Kept) -> None:
        self.kept, self.now, self.links, self.seq = kept, NOW, dict.fromkeys((*TENANTS, ""), 0), 0
        self.links[""] = 1
        self.visits: dict[UserKey, list[str]] = {person: [] for person in USERS}

    def play(self, step: Step) -> None:
        self.now += step.after
        content: dict[str, Any] = {
            "bypasses": [replace(a_bypass(1, at=self.now), tenant=tenant) for tenant in step.bypasses],
            "acts": [replace(an_act(1, at=self.now), tenant=tenant) for tenant in step.acts],
            "forgotten": set(step.forgotten),
            "visits": [],
        }
        for number, person in enumerate(step.visits):
            self.seq += 1
            visit = replace(a_visit(self.seq, person, at=self.now), tenant=TENANTS[number])
            content["visits"].append(visit)
        if step.is_stale:
            with pytest.raises(StaleEpoch):
                self.kept.store.commit(Batch(self.now, self.kept.epoch - 1, generation=2**50, **content))
            return
        self.kept.commit(self.now, **content)
        for tenant in (*step.bypasses, *(tenant or "" for tenant in step.acts)):
            self.links[tenant] += 1
        for visit in content["visits"]:
            self.links[visit.tenant] += 1
        if step.purged is not None:
            self.kept.store.purge(self.now, step.purged)

    def check(self) -> None:
        found = self.kept.audit(self.now)
        for tenant, tally in found.items():
            assert tally.where == {}, tenant
            assert tally.links == tally.found + tally.gone + tally.erased + (tenant == "")
            assert tally.links >= self.links[tenant], "and more for looks that went with their people"
        for tenant in TENANTS:
            assert [link.number for link in self.kept.chain(tenant)] == list(range(1, len(self.kept.chain(tenant)) + 1))


def replay(kept: Kept, history: list[Step]) -> None:
    played = History(kept)
    heads = []
    for step in history:
        played.play(step)
        played.check()
        with kept.evidence() as evidence:
            heads += [Noted(link.tenant, link.number, link.chained.hex()) for link in evidence.newest()]
    assert kept.faults(played.now, heads) == {}


@settings(max_examples=examples(40))
@given(st.lists(steps, max_size=8))
def test_whatever_happens_chains_are_whole_in_memory(history: list[Step]) -> None:
    replay(_memory(), history)


@settings(max_examples=examples(15))
@given(st.lists(steps, max_size=8))
def test_whatever_happens_chains_are_whole_in_a_file(history: list[Step]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        kept = _sqlite(Path(folder) / "relay.db")
        replay(kept, history)
        kept.store.close()


def test_a_chain_is_what_its_words_say() -> None:
    """Against the sentence in core/chain.py, by hand."""
    (link,) = grown("ab", None, [NOTARY.beginning(258)])
    begin = sha256(b"\0\0\0\x10feierabend audit\0\0\0\x02ab").digest()
    assert link.chained == sha256(begin + bytes(7) + b"\x01" + bytes(6) + b"\x01\x02" + b"\0\0" + link.digest).digest()
    assert link.chained == chained(begin, 1, 258, 0, link.digest)
