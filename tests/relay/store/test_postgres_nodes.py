"""What only a server can show of nodes: locks, sessions, and several at the same instant."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import replace

import psycopg
import pytest

from bench.postgres import emptied
from relay.core.batch import Batch
from relay.core.books import Account
from relay.core.partitions import ALL, PARTITIONS
from relay.store.port import LEASE, StaleEpoch, Standing
from relay.store.postgres import PostgresStore
from tests.relay.store.batches import NOW, a_bypass, a_slot, user


@pytest.fixture
def nodes(database: str) -> Iterator[list[PostgresStore]]:
    emptied(database)
    made = [PostgresStore(database) for _ in range(3)]
    yield made
    for store in made:
        store.close()


@contextmanager
def sql(database: str) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    with psycopg.connect(database, options="-c search_path=feierabend") as db:
        yield db


def expire(database: str, epoch: int) -> None:
    with sql(database) as db:
        db.execute("UPDATE lease SET until = clock_timestamp() - interval '1 second' WHERE node = %s", (epoch,))


def hand_over(store: PostgresStore, epoch: int, standing: Standing) -> None:
    if standing.wanted:
        store.commit(Batch(NOW, epoch=epoch, released=standing.wanted))


def settled(stores: list[tuple[PostgresStore, int]]) -> list[Standing]:
    """After enough rounds."""
    found: list[Standing] = []
    for _ in range(5):
        found = [store.tend() for store, _ in stores]
        for (store, epoch), standing in zip(stores, found, strict=True):
            hand_over(store, epoch, standing)
    return [store.tend() for store, _ in stores]


def test_the_first_has_all_and_each_that_joins_gets_its_share(nodes: list[PostgresStore]) -> None:
    joined: list[tuple[PostgresStore, int]] = []
    for number, store in enumerate(nodes, 1):
        joined.append((store, store.join(f"node-{number}:1").epoch))
        standings = settled(joined)
        shares = [standing.owned for standing in standings]
        assert frozenset().union(*shares) == ALL
        assert sum(map(len, shares)) == PARTITIONS, "nobody is anybody's twice"
        assert {len(share) for share in shares} <= {PARTITIONS // number, -(-PARTITIONS // number)}
        assert standings[0].addresses == {epoch: f"node-{n}:1" for n, (_, epoch) in enumerate(joined, 1)}


def test_who_dies_is_buried_and_what_it_had_is_shared(nodes: list[PostgresStore], database: str) -> None:
    joined = [(store, store.join("").epoch) for store in nodes]
    settled(joined)
    dead, epoch = joined[0]
    expire(database, epoch)
    standings = settled(joined[1:])
    assert frozenset().union(*(standing.owned for standing in standings)) == ALL
    assert [len(standing.owned) for standing in standings] == [32, 32]
    with pytest.raises(StaleEpoch):
        dead.commit(Batch(NOW, epoch=epoch, slots={(user(1), "message"): a_slot()}))
    with pytest.raises(StaleEpoch):
        dead.tend()


def test_who_was_away_itself_buries_nobody_at_once(nodes: list[PostgresStore], database: str) -> None:
    """All were cut off, and one comes back first."""
    joined = [(store, store.join("").epoch) for store in nodes]
    settled(joined)
    for _, epoch in joined:
        expire(database, epoch)
    assert len(joined[0][0].tend().addresses) == 3
    for store, _ in joined[1:]:
        store.tend()
    assert len(joined[0][0].tend().addresses) == 3


def test_each_node_hears_once_of_the_alarms_of_the_others(nodes: list[PostgresStore]) -> None:
    now = time.time()
    joined = [(store, store.join("").epoch) for store in nodes[:2]]
    settled(joined)
    for number, (store, epoch) in enumerate(joined):
        store.commit(
            Batch(now, epoch=epoch, generation=5, bypasses=[replace(a_bypass(number), at=now, recipients=number)])
        )
    heard = [store.tend().bypasses for store, _ in joined]
    assert [[bypass.recipients for bypass in each] for each in heard] == [[1], [0]]
    assert [store.tend().bypasses for store, _ in joined] == [[], []]
    nodes[2].join("")
    assert sorted(bypass.recipients for bypass in nodes[2].tend().bypasses) == [0, 1]


def test_the_books_of_those_who_have_gone_become_one(nodes: list[PostgresStore], database: str) -> None:
    joined = [(store, store.join("").epoch) for store in nodes]
    settled(joined)
    for store, epoch in joined:
        store.commit(Batch(NOW, epoch=epoch, accounts={("city", "message"): Account(accepted=2, woken=1)}))
    for store, _ in joined[:2]:
        store.leave()
    joined[2][0].purge(NOW, 10)
    joined[2][0].purge(NOW, 10)
    with sql(database) as db:
        assert [node for (node,) in db.execute("SELECT node FROM account ORDER BY node")] == [0, joined[2][1]]
    assert nodes[0].load().accounts == {("city", "message"): Account(accepted=6, woken=3)}


def test_half_a_commit_of_a_stopped_node_keeps_nobody_waiting(nodes: list[PostgresStore], database: str) -> None:
    joined = [(store, store.join("").epoch) for store in nodes[:2]]
    settled(joined)
    stopped, epoch = joined[0]
    with stopped._writing() as db:  # it has sent the beginning
        db.execute("BEGIN")
        db.execute("SELECT hold(%s, 0, 9, 0, 0)", (epoch,))
        expire(database, epoch)
        tended = (joined[1][0].tend() for _ in range(20))  # the session may take a while to end
        assert any(len(standing.owned) == PARTITIONS for standing in tended)
        with pytest.raises(psycopg.OperationalError):
            db.execute("COMMIT")
    assert joined[1][0].load_parts(ALL).generation == 0, "nothing of it was written"


def test_of_many_that_join_at_once_nobody_gets_what_another_has(database: str) -> None:
    emptied(database)
    stores = [PostgresStore(database) for _ in range(5)]
    together = threading.Barrier(len(stores))

    def begin(store: PostgresStore) -> int:
        together.wait()
        epoch = store.join("").epoch
        store.tend()
        return epoch

    with ThreadPoolExecutor(len(stores)) as threads:
        joined = list(zip(stores, threads.map(begin, stores), strict=True))
    shares = [standing.owned for standing in settled(joined)]
    assert frozenset().union(*shares) == ALL
    assert sorted(map(len, shares)) == [12, 13, 13, 13, 13]
    for store in stores:
        store.close()


@pytest.mark.parametrize(
    "half", ["UPDATE lease SET until = until WHERE node = %s", "UPDATE partition SET wanted = NULL WHERE owner = %s"]
)
def test_nor_does_a_node_that_was_stopped_as_it_tended(nodes: list[PostgresStore], database: str, half: str) -> None:
    """Who waits for it cannot renew its own lease meanwhile."""
    joined = [(store, store.join("").epoch) for store in nodes[:2]]
    settled(joined)
    stopped, epoch = joined[0]
    expire(database, epoch)
    with stopped._made("_keeper", "feierabend lease") as db:
        db.execute("BEGIN")
        db.execute(half.encode(), (epoch,))
        began = time.monotonic()
        joined[1][0].tend()
        assert len(joined[1][0].tend().owned) == PARTITIONS
        assert time.monotonic() - began < LEASE / 2


def test_who_renews_at_the_last_moment_is_not_buried_by_an_older_look(
    nodes: list[PostgresStore], database: str
) -> None:
    """It would go on waking people for as long as it was told, and somebody else have them."""
    one, two, _ = nodes
    one.join("one:1")
    late = two.join("two:2").epoch
    expire(database, late)
    with sql(database) as renewal, ThreadPoolExecutor() as threads:
        renewal.execute("SELECT FROM lease WHERE node = %s FOR UPDATE", (late,))
        renewal.execute("UPDATE lease SET until = clock_timestamp() + interval '1 hour' WHERE node = %s", (late,))
        look = threads.submit(one.tend)
        wait([look], 1.0)  # one that would bury it waits for the renewal
        renewal.commit()
        assert late in look.result(10).addresses
    assert late in two.tend().addresses
