"""One of several nodes holds the database, by the database's word alone."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager

import psycopg
import pytest

from bench.postgres import emptied
from relay.core.batch import Batch
from relay.core.books import Account
from relay.store.port import StaleEpoch
from relay.store.postgres import PostgresStore
from tests.relay.store.batches import NOW, a_slot, user

HANGING = 0.3
"""Seconds after which somebody who could go on would have."""


@pytest.fixture
def nodes(database: str) -> Iterator[tuple[PostgresStore, PostgresStore]]:
    emptied(database)
    first, second = PostgresStore(database), PostgresStore(database)
    yield first, second
    first.close()
    second.close()


@contextmanager
def sql(database: str) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    with psycopg.connect(database, options="-c search_path=feierabend") as db:
        yield db


def expire(database: str) -> None:
    with sql(database) as db:
        db.execute("UPDATE lease SET until = clock_timestamp() - interval '1 second'")


def test_the_first_one_enters_and_the_second_does_not(nodes: tuple[PostgresStore, PostgresStore]) -> None:
    first, second = nodes
    assert first.enter()
    assert not second.enter()
    epoch = first.load().epoch
    first.renew()
    first.commit(Batch(NOW, epoch=epoch, generation=7))
    assert not second.enter()
    assert first.load().epoch > epoch, "only the first load goes on under what enter has brought"


def test_who_does_not_renew_is_replaced_and_neither_writes_nor_renews_any_more(
    nodes: tuple[PostgresStore, PostgresStore], database: str
) -> None:
    first, second = nodes
    assert first.enter()
    epoch = first.load().epoch
    slots = {(user(1), "message"): a_slot()}
    accounts = {("city", "message"): Account(accepted=5)}
    first.commit(Batch(NOW, epoch=epoch, generation=7, slots=dict(slots), accounts=dict(accounts)))
    expire(database)
    assert second.enter()
    with pytest.raises(StaleEpoch):
        first.commit(Batch(NOW, epoch=epoch, generation=9, slots={(user(1), "message"): None}))
    with pytest.raises(StaleEpoch):
        first.renew()
    loaded = second.load()
    assert (loaded.slots, loaded.accounts, loaded.generation) == (slots, accounts, 7)
    second.renew()
    second.commit(Batch(NOW, epoch=loaded.epoch, generation=8, accounts={("city", "message"): Account(accepted=6)}))
    assert second.load().accounts == {("city", "message"): Account(accepted=6)}


def test_a_lease_that_ran_out_is_good_again_while_nobody_has_taken_over(
    nodes: tuple[PostgresStore, PostgresStore], database: str
) -> None:
    first, second = nodes
    assert first.enter()
    epoch = first.load().epoch
    expire(database)
    first.commit(Batch(NOW, epoch=epoch))
    first.renew()
    assert not second.enter()


def test_who_leaves_lets_the_next_one_in_at_once(nodes: tuple[PostgresStore, PostgresStore]) -> None:
    first, second = nodes
    assert first.enter()
    epoch = first.load().epoch
    first.leave()
    with pytest.raises(StaleEpoch):
        first.commit(Batch(NOW, epoch=epoch))
    assert second.enter()


def test_of_many_that_wait_one_enters(database: str) -> None:
    emptied(database)
    stores = [PostgresStore(database) for _ in range(6)]
    together = threading.Barrier(len(stores))

    def enter(store: PostgresStore) -> bool:
        together.wait()
        return store.enter()

    with ThreadPoolExecutor(len(stores)) as threads:
        assert sorted(threads.map(enter, stores)) == [False] * 5 + [True]
    for store in stores:
        store.close()


def test_a_commit_under_way_is_waited_for_and_none_comes_after(
    nodes: tuple[PostgresStore, PostgresStore], database: str
) -> None:
    first, second = nodes
    assert first.enter()
    epoch = first.load().epoch
    expire(database)
    with ThreadPoolExecutor(1) as thread, sql(database) as db:
        db.execute("SELECT hold(%s, 0, 7, 0, 0)", (epoch,))
        entered = thread.submit(second.enter)
        with pytest.raises(TimeoutError):
            entered.result(HANGING)
        db.commit()
        assert entered.result(10)
    assert second.load().generation == 7
    with pytest.raises(StaleEpoch):
        first.commit(Batch(NOW, epoch=epoch))


@pytest.mark.parametrize("is_in_one_piece", [False, True])
def test_half_a_commit_of_a_node_that_was_stopped_keeps_nobody_waiting(
    nodes: tuple[PostgresStore, PostgresStore], database: str, *, is_in_one_piece: bool
) -> None:
    """The server waits for the rest, within a transaction or, without any limit, within a piece of many statements."""
    first, second = nodes
    assert first.enter()
    epoch = first.load().epoch
    expire(database)
    with closing(psycopg.connect(database, autocommit=True, options="-c search_path=feierabend")) as stopped:
        if is_in_one_piece:
            stopped.pgconn.enter_pipeline_mode()
        for statement in (b"BEGIN", b"SELECT hold(%d, 0, 9, 0, 0)" % epoch):
            if is_in_one_piece:
                stopped.pgconn.send_query_params(statement, None)
            else:
                stopped.execute(statement)
        if is_in_one_piece:
            stopped.pgconn.send_flush_request()
            stopped.pgconn.flush()
            wait_for_commit_under_way(database)
        with ThreadPoolExecutor(1) as thread:
            assert thread.submit(second.enter).result(9), "as soon as that, whatever the server's own limits are"
    assert second.load().generation == 0
    with pytest.raises(StaleEpoch):
        first.commit(Batch(NOW, epoch=epoch))


def wait_for_commit_under_way(database: str) -> None:
    held = (
        "SELECT 1 FROM pg_locks WHERE relation = 'feierabend.node'::regclass AND mode = 'RowExclusiveLock' AND granted"
    )
    with psycopg.connect(database, autocommit=True) as db:
        while db.execute(held).fetchone() is None:
            pass
