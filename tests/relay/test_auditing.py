"""`feierabend audit`: what is told of a file that is served, of a database, and of a restored file; and exit codes."""

from __future__ import annotations

import json
import re
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from relay.auditing import Fault, Tally, told, verify
from relay.clock import WallClock
from relay.config_file import read
from relay.config_reader import MasterKeys
from relay.core.batch import Batch
from relay.core.operating import Selection, hold
from relay.store import rows, sqlite_source
from relay.store.postgres import PostgresStore
from relay.store.sqlite import SqliteStore
from tests.e2e.installation import Installation
from tests.relay.node import Node
from tests.relay.store.batches import a_bypass, a_visit, an_act, user
from tests.relay.test_store_commands import done, failed, feierabend, put_up


def masters(relay: Installation) -> MasterKeys:
    return read(relay.config).store.masters


def fill(store: SqliteStore | PostgresStore) -> float:
    """A bypass, a hold, a look that is erased; returns when."""
    now = float(int(WallClock().now()))
    epoch = store.load().epoch
    store.commit(
        Batch(now, epoch, bypasses=[a_bypass(1, at=now)], acts=[an_act(1, at=now)], visits=[a_visit(1, at=now)],
              generation=1)
    )  # fmt: skip
    store.commit(Batch(now, epoch, forgotten={user(1)}, generation=1))
    return now


FOUND = "city: 4 links; 3 records found, 0 gone by retention, 1 erased with their person, 0 older than the chain"
BEGUN = (
    "@installation: 1 links; 0 records found, 0 gone by retention, 0 erased with their person, 0 older than the chain"
)


def heads(relay: Installation) -> list[str]:
    return [line.split()[0] for line in done(feierabend("audit", "head", "--config", relay.config)).splitlines()]


def check(relay: Installation) -> None:
    """Of a store that `fill` has filled and nobody has touched."""
    said = done(feierabend("audit", "head", "--config", relay.config)).splitlines()
    assert re.fullmatch(r"@installation:1:[0-9a-f]{64}  the beginning", said[0])
    assert re.fullmatch(r"city:4:[0-9a-f]{64}  20\S+\+00:00", said[1])
    as_json = json.loads(done(feierabend("audit", "head", "--config", relay.config, "--json")))
    assert [f"{h['tenant']}:{h['number']}:{h['hash']}" for h in as_json] == heads(relay)
    noted = [argument for head in heads(relay) for argument in ("--head", head)]
    verified = feierabend("audit", "verify", "--config", relay.config, *noted)
    assert done(verified).splitlines() == [BEGUN, FOUND, "no faults"]
    tally = json.loads(done(feierabend("audit", "verify", "--config", relay.config, "--json")))
    assert tally["city"] == {"links": 4, "found": 3, "gone": 0, "erased": 1, "older": 0, "faults": {}}


def test_a_file_while_it_is_served_and_afterwards(tmp_path: Path) -> None:
    relay = put_up(tmp_path, None)
    with closing(SqliteStore(relay.database, masters(relay).notary())) as store:
        fill(store)
        check(relay)
    check(relay)
    with closing(sqlite3.connect(relay.database)) as db:
        db.execute("DELETE FROM bypass")
        db.commit()
    said = feierabend("audit", "verify", "--config", relay.config)
    assert said.exit_code == 1
    assert said.stdout.splitlines() == [
        BEGUN, FOUND.replace("3 records", "2 records"), "  missing: 1, a record is missing before its time (link 1)",
        "faults: 1",
    ]  # fmt: skip
    as_json = feierabend("audit", "verify", "--config", relay.config, "--json")
    assert as_json.exit_code == 1
    assert json.loads(as_json.stdout)["city"]["faults"] == {"missing": {"count": 1, "links": [1]}}


def test_a_database_while_it_is_served(tmp_path: Path, fresh: str) -> None:
    relay = put_up(tmp_path, fresh)
    done(feierabend("store", "migrate", "--config", relay.config))
    store = PostgresStore(fresh, None, masters(relay).notary())
    fill(store)
    check(relay)
    store.close()
    noted = heads(relay)[1]
    with psycopg.connect(fresh, options="-c search_path=feierabend") as db:
        db.execute("DELETE FROM link WHERE tenant = 'city'")
        db.execute("DELETE FROM chain WHERE tenant = 'city'")
        for table in ("bypass", "bypass_recipients", "act", "visits_erased"):
            db.execute(f"DELETE FROM {table}")
    said = feierabend("audit", "verify", "--config", relay.config, "--head", noted)
    assert (said.exit_code, said.stdout.splitlines()[2]) == (
        1, "  noted: 1, a head that was noted is not in the chain (link 4)",
    )  # fmt: skip


def test_what_somebody_wrote_in_the_place_of_a_tenant_s_name_is_not_let_through(tmp_path: Path) -> None:
    """Terminals obey some texts."""
    relay = put_up(tmp_path, None)
    with closing(SqliteStore(relay.database, masters(relay).notary())) as store:
        fill(store)
    forged = rows.bypass(replace(a_bypass(1), tenant="\x1b[2Jcity"))
    with closing(sqlite3.connect(relay.database)) as db:
        db.execute("INSERT INTO bypass VALUES (x'01', (SELECT at FROM bypass), ?)", (forged,))
        db.commit()
    said = feierabend("audit", "verify", "--config", relay.config)
    assert said.exit_code == 1
    assert r"'\x1b[2Jcity': 0 links; 0 records found" in said.stdout
    assert "\x1b" not in said.stdout


LAST = "(SELECT max(key) FROM link)"


def tampered(relay: Installation, statement: str) -> None:
    with closing(SqliteStore(relay.database, masters(relay).notary())) as store:
        fill(store)
    with closing(sqlite3.connect(relay.database)) as db:
        db.execute("DROP TRIGGER link_is_append_only")
        db.execute(statement)
        db.commit()


@pytest.mark.parametrize("at", ["7fffffffffffffff", "ff" * 9])
def test_a_head_with_an_instant_beyond_all_calendars_is_shown(tmp_path: Path, at: str) -> None:
    relay = put_up(tmp_path, None)
    tampered(relay, f"UPDATE link SET at = x'{at}' WHERE key = {LAST}")
    said = done(feierabend("audit", "head", "--config", relay.config)).splitlines()
    assert re.fullmatch(r"city:4:[0-9a-f]{64}  an unknown instant", said[1])
    assert feierabend("audit", "verify", "--config", relay.config).exit_code == 1


@pytest.mark.parametrize(
    "change",
    ["key = x'ff00000000000001'", "key = x'63697479010000000000000004'", "key = x'ff000000000000000004'", "at = 5",
     "digest = 'text', chained = 'text'"],
    ids=["too short for a key", "no zero byte", "no text", "a number", "texts"],
)  # fmt: skip
def test_what_is_no_link_is_said_in_one_line(tmp_path: Path, change: str) -> None:
    """Whoever can write to the database must not keep an auditor waiting for ever."""
    relay = put_up(tmp_path, None)
    tampered(relay, f"UPDATE link SET {change} WHERE key = {LAST}")
    for command in (("head",), ("head", "--json"), ("verify",), ("verify", "--json")):
        said = failed(feierabend("audit", *command, "--config", relay.config))
        assert said == "feierabend: the database file holds damaged records"


@pytest.mark.parametrize("column", ["at", "body"])
def test_what_is_no_record_is_said_in_one_line(tmp_path: Path, column: str) -> None:
    relay = put_up(tmp_path, None)
    with closing(SqliteStore(relay.database, masters(relay).notary())) as store:
        fill(store)
    with closing(sqlite3.connect(relay.database)) as db:
        db.execute("DROP TRIGGER bypass_is_append_only")
        db.execute(f"UPDATE bypass SET {column} = 'text'")
        db.commit()
    said = failed(feierabend("audit", "verify", "--config", relay.config))
    assert said == "feierabend: the database file holds damaged records"


@pytest.mark.parametrize("head", ["", "city:4", "city:0:" + "0" * 64, "city:4:" + "0" * 31, "city:4:" + "x" * 64])
def test_a_head_that_is_none(tmp_path: Path, head: str) -> None:
    relay = put_up(tmp_path, None)
    said = feierabend("audit", "verify", "--config", relay.config, "--head", head)
    assert said.exit_code == 2
    assert "must be tenant:number:hash with at least 32 digits of the hash, as audit head prints it" in said.stderr


def test_what_is_not_there_is_said_in_one_line(tmp_path: Path, fresh: str) -> None:
    relay = put_up(tmp_path, None)
    for command in ("head", "verify"):
        said = failed(feierabend("audit", command, "--config", relay.config))
        assert said == f"feierabend: {relay.database}: there is no database"
    relay = put_up(tmp_path, fresh)
    for command in ("head", "verify"):
        assert "run feierabend store migrate" in failed(feierabend("audit", command, "--config", relay.config))


def test_a_restored_file_has_its_chain_and_goes_on(tmp_path: Path) -> None:
    """The hold of the restore, and what is erased again, are links of it."""
    with Node(tmp_path) as node:
        node.register("anna")
        node.do(lambda draft: hold(draft, Selection("city", None, None), "repair", "root", node.now + 60))
        node.do(lambda draft: draft.batch.visits.append(a_visit(7, node.key("anna"), at=node.now)))
        node.back_up("monday")
        node.forget("anna")
        node.restore("monday")
        notary = node.config.store.masters.notary()
        with sqlite_source.evidence(node.database) as evidence:
            found = verify(evidence, notary, node.now)
        assert found == {"": Tally(links=2, found=1), "city": Tally(links=3, found=2, erased=1)}


def test_many_faults_are_counted_and_the_first_are_named() -> None:
    tally = Tally()
    for number in range(1, 31):
        tally.blame(Fault.MISSING, number)
    tally.blame(Fault.UNLINKED, times=4)
    assert list(told(tally)) == [
        f"missing: 30, a record is missing before its time (link {', '.join(map(str, range(1, 21)))}, …)",
        "unlinked: 4, a record has no link",
    ]
