"""Who holds the database: one node, for as long as it renews its lease, on the database's clock.

A row of `node` is one life of a process, and says whether its commits pass; `lease` says until when it may be taken for
alive. They are two tables because commits lock the first and must not wait for a renewal's flush. Who finds no living
lease takes over: it ends the others in `node`, which waits for a commit of theirs that is under way, and is the owner
of all partitions from that commit on.

All of it is decided in single transactions, under a lock on `node` that lets nobody else decide meanwhile.

**Half a commit.** A node may be stopped, or be cut off without a word, between the first byte of a commit and its last.
The server waits for the rest as long as the connection seems to stand, which is for hours, and no limit of a statement
or a transaction counts while it does. So whoever has waited for `PATIENCE` ends such a session. Nothing that was
acknowledged is lost by that: what was not committed was acknowledged to nobody.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from relay.core.books import Account, AccountKey
from relay.store import rows
from relay.store.port import StaleEpoch
from relay.store.postgres_connection import Connection, columns
from relay.store.postgres_statements import PUT

_ALIVE: Final = "SELECT FROM node JOIN lease ON lease.node = node.id WHERE alive AND until > clock_timestamp()"


PATIENCE: Final = 500
"""Milliseconds for which a commit under way is waited for."""
_END_COMMITS: Final = (
    "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'relation' AND relation = 'node'::regclass "
    "AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) "
    "AND mode = 'RowExclusiveLock' AND granted AND pid <> pg_backend_pid()"
)


@dataclass(frozen=True, slots=True)
class Taken:
    """What the owner goes on from."""

    node: int
    generation: int
    revision: int
    feedback: int
    accounts: dict[AccountKey, Account]


def is_vacant(db: Connection) -> bool:
    """Whether nobody holds it. Asked without a lock, by who waits."""
    return db.execute(_ALIVE).fetchone() is None


def take(db: Connection, seconds: float, *, by_force: bool) -> Taken | None:
    """Become the owner; None: somebody is, and not `by_force`. Inside a transaction.

    Fails with LockNotAvailable when a commit is under way for too long: `end_commits`, and try again.
    """
    db.execute(f"SET LOCAL lock_timeout = {PATIENCE}")
    db.execute("LOCK TABLE node IN EXCLUSIVE MODE")  # waits for commits under way
    if not by_force and not is_vacant(db):
        return None
    marks = db.execute("SELECT max(generation), max(revision), max(feedback) FROM node").fetchone()
    generation, revision, feedback = (mark or 0 for mark in marks or (0, 0, 0))
    found = db.execute(
        "INSERT INTO node (generation, revision, feedback) VALUES (%s, %s, %s) RETURNING id",
        (generation, revision, feedback),
    ).fetchone()
    assert found is not None
    (node,) = found
    accounts = _books(db, node)
    db.execute("UPDATE partition SET owner = %s", (node,))
    db.execute("INSERT INTO lease VALUES (%s, clock_timestamp() + make_interval(secs => %s))", (node, seconds))
    db.execute("DELETE FROM node WHERE id <> %s", (node,))
    return Taken(node, generation, revision, feedback, accounts)


def end_commits(db: Connection) -> None:
    """End the sessions that have a commit under way, of whatever node. Needs the role that those have."""
    db.execute(_END_COMMITS)


def _books(db: Connection, node: int) -> dict[AccountKey, Account]:
    """Those of all nodes before, in the name of this one."""
    accounts: dict[AccountKey, Account] = {}
    for tenant, name, body in db.execute("DELETE FROM account RETURNING tenant, class, body", binary=True):
        accounts.setdefault((tenant, name), Account()).add(rows.read_account(body))
    if accounts:
        put = [(node, tenant.encode(), name.encode(), rows.account(a)) for (tenant, name), a in accounts.items()]
        db.execute(PUT["account"], columns(put))
    return accounts


def renew(db: Connection, node: int, seconds: float) -> None:
    """Raises StaleEpoch when another node holds it."""
    renewed = db.execute(
        "UPDATE lease SET until = clock_timestamp() + make_interval(secs => %s) WHERE node = %s", (seconds, node)
    )
    if not renewed.rowcount:
        raise StaleEpoch("another process has taken over this store")


def leave(db: Connection, node: int) -> None:
    """Nothing more will be written: who waits need not wait for the end of the lease."""
    db.execute("UPDATE node SET alive = false WHERE id = %s", (node,))
