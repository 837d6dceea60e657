"""Which node owns which partitions: the database's word, in rows that nodes write about one another.

**Alive.** A row of `node` is one life of a process, its number the epoch of its commits; `lease` says until when it may
be taken for alive, by the database's clock. They are two tables because commits lock the first and must not wait for a
renewal's flush. A node whose lease is over is *buried* by whoever sees it: its row goes, once a commit of its that is
under way is over; from then on `hold` lets no commit of its pass, and its partitions are nobody's. A row that is locked
is left for the next look, for nobody's renewal may wait for a stranger's commit.

**Half a commit.** A node may be stopped, or be cut off without a word, between the first byte of a commit and its last.
The server waits for the rest as long as the connection seems to stand, which is for hours, and no limit of a statement
or a transaction counts while it does. It may be stopped as well while it renews or balances; then whoever buries it
would wait for its locks, and could not renew its own lease meanwhile. So the sessions that a node writes in bear its
number, and whoever finds that its lease is over first ends what they have begun. What was not committed was
acknowledged to nobody.

**Balance.** Each node takes as many orphans as bring it to its share, rounded up. When there are none it marks what it
lacks as *wanted*, of whoever has most (core/partitions.py); that node hands them over when it has let go of their
people (`released` in a batch), so nobody is anybody's twice. All nodes do the same, so nobody decides for others.

`take`, for a store with one process at a time, does all of it by force: tools, tests, the copy of a file.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from relay.core.batch import Bypass, Receipt
from relay.core.books import Account, AccountKey
from relay.core.partitions import PARTITIONS, wishes
from relay.core.private import ReceiptKey
from relay.core.slots import Slot
from relay.store import rows
from relay.store.port import StaleEpoch, Standing
from relay.store.postgres_connection import TAKEN_OVER, Connection, bytes_array, columns
from relay.store.postgres_reading import bytes_of
from relay.store.postgres_statements import PUT

HOUR, MINUTE = 3600.0, 60.0
STUCK: Final = 0.5
"""Seconds after the end of a lease for which a renewal may be under way."""
PATIENCE: Final = 500
"""Milliseconds for which `take` waits for a commit under way."""
WRITES: Final = "feierabend writes of node "
"""Beginning of the name of such a session, before the number of the node."""
_END_WRITES: Final = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
    "WHERE datname = current_database() AND application_name = %s AND state <> 'idle'"
)
_END_ALL_COMMITS: Final = (
    "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'relation' AND relation = 'node'::regclass "
    "AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) "
    "AND mode = 'RowExclusiveLock' AND granted AND pid <> pg_backend_pid()"
)
_UNTIL: Final = "clock_timestamp() + make_interval(secs => %s)"
_MARKS: Final = (
    "SELECT greatest(mark.generation, (SELECT max(generation) FROM node)), "
    "greatest(mark.revision, (SELECT max(revision) FROM node)), "
    "greatest(mark.feedback, (SELECT max(feedback) FROM node)) FROM mark"
)


@dataclass(frozen=True, slots=True)
class Marks:
    """How far all nodes have come."""

    generation: int
    revision: int
    feedback: int


class Heard:
    """Which records of bypasses a node knows: so that all nodes together count how often alarms are sent."""

    def __init__(self) -> None:
        self._known: dict[bytes, int] = {}
        self._within = HOUR

    def of_others(self, db: Connection, node: int) -> list[Bypass]:
        """New ones. A commit may come late, so each time the last minute is looked at."""
        query = (
            "SELECT key, at, body FROM bypass "
            "WHERE at > (extract(epoch FROM clock_timestamp()) - %s) * 1000 AND key <> ALL(%s)"
        )
        found = list(bytes_of(db, query, self._within, list(self._known)))
        newest = max((at for _, at, _ in found), default=0)
        self._known |= {key: at for key, at, _ in found}
        self._known = {key: at for key, at in self._known.items() if at > newest - 2 * MINUTE * 1000}
        self._within = MINUTE
        return [rows.read_bypass(body, b"") for key, _, body in found if rows.read_number(key[-8:]) >> 16 != node]


def marks(db: Connection) -> Marks:
    return Marks(*(db.execute(_MARKS).fetchone() or (0, 0, 0)))


def is_vacant(db: Connection) -> bool:
    """Whether no node is alive."""
    return db.execute("SELECT FROM lease WHERE until > clock_timestamp()").fetchone() is None


def receipts_of(db: Connection, slots: Iterable[Slot]) -> dict[ReceiptKey, Receipt]:
    """The receipts on which alarms in these slots stand, with nothing counted yet; what is forgotten is left out."""
    query = (
        "SELECT key, body FROM receipt JOIN unnest(%s::bytea[]) AS asked(stub) "
        "ON receipt.part = part_of(stub) AND receipt.key = stub"
    )
    keys: list[bytes] = list({stub.receipt for slot in slots for stub in slot.stubs})
    found = bytes_of(db, query, bytes_array(keys)) if keys else ()
    sums = summed((key, rows.read_receipt(body)) for key, body in found)
    return {key: Receipt(known.tenant, known.at) for key, known in sums.items()}


# --- many nodes


def join(db: Connection, address: str, seconds: float) -> int:
    """A new node, that owns nothing yet; its number. Inside a transaction."""
    (node,) = db.execute("INSERT INTO node (address) VALUES (%s) RETURNING id", (address,)).fetchone() or (0,)
    db.execute(f"INSERT INTO lease VALUES (%s, {_UNTIL})", (node, seconds))
    return int(node)


def tend(db: Connection, node: int, seconds: float, heard: Heard) -> Standing:
    """Renew, bury, balance. Raises StaleEpoch when this node was buried itself."""
    with db.transaction():
        known = db.execute("SELECT until > clock_timestamp() FROM lease WHERE node = %s FOR UPDATE", (node,)).fetchone()
        if known is None:
            raise StaleEpoch(TAKEN_OVER)
        db.execute(f"UPDATE lease SET until = {_UNTIL} WHERE node = %s", (seconds, node))
    if known[0]:  # who was away itself does not know whether the others are away, or were kept from renewing like it
        with db.transaction():
            _bury(db)
    with db.transaction():
        _balance(db, node)
    with db.transaction():
        found = db.execute("SELECT owner, wanted FROM partition ORDER BY id").fetchall()
        addresses: dict[int, str] = dict(db.execute("SELECT id, address FROM node"))
        bypasses = heard.of_others(db, node)
        halts = {number: rows.read_halt(body) for number, body in bytes_of(db, "SELECT number, body FROM halt")}
    wanted = {number for number, (owner, by) in enumerate(found) if owner == node and by is not None}
    return Standing(node, tuple(owner for owner, _ in found), frozenset(wanted), addresses, halts, bypasses)


def sign(db: Connection, node: int) -> None:
    """Let a session bear the number of the node that writes in it."""
    db.execute("SELECT set_config('application_name', %s, false)", (f"{WRITES}{node}",))


def _bury(db: Connection) -> None:
    # A lease that is locked is being renewed: whoever is told that it was must not be buried by an older look at it.
    # But a renewal takes no time; where it does, its node was stopped in the middle of it.
    over = "SELECT node FROM lease WHERE until < clock_timestamp() FOR UPDATE SKIP LOCKED"
    late = [number for (number,) in db.execute(over)]
    stuck = "SELECT node FROM lease WHERE until < clock_timestamp() - make_interval(secs => %s) AND node <> ALL(%s)"
    for (number,) in db.execute(stuck, (STUCK, late)).fetchall():
        db.execute(_END_WRITES, (f"{WRITES}{number}",))
    found = db.execute("SELECT id FROM node WHERE id = ANY(%s) FOR UPDATE SKIP LOCKED", (late,)).fetchall()
    for number in late:
        db.execute(_END_WRITES, (f"{WRITES}{number}",))
    _forget(db, sorted(number for (number,) in found))


def _forget(db: Connection, nodes: list[int]) -> None:
    """Their rows go, and what they have reached is kept."""
    if nodes:
        db.execute(
            "UPDATE mark SET generation = greatest(mark.generation, gone.generation), "
            "revision = greatest(mark.revision, gone.revision), feedback = greatest(mark.feedback, gone.feedback) "
            "FROM (SELECT max(generation) AS generation, max(revision) AS revision, max(feedback) AS feedback "
            "FROM node WHERE id = ANY(%s)) AS gone",
            (nodes,),
        )
        db.execute("DELETE FROM node WHERE id = ANY(%s)", (nodes,))


def _balance(db: Connection, node: int) -> None:
    nodes = [number for (number,) in db.execute("SELECT id FROM node WHERE NOT is_leaving")]
    if node not in nodes:
        return
    owners, wanted = zip(*db.execute("SELECT owner, wanted FROM partition ORDER BY id"), strict=True)
    if any(owner not in nodes for owner in owners):
        share = -(-PARTITIONS // len(nodes))
        chosen = "SELECT id FROM partition WHERE owner IS NULL ORDER BY id LIMIT %s FOR UPDATE SKIP LOCKED"
        db.execute(
            f"UPDATE partition SET owner = %s, wanted = NULL WHERE id IN ({chosen})",
            (node, max(0, share - owners.count(node))),
        )
        return
    for other, count in wishes(node, nodes, owners, wanted).items():
        chosen = (
            "SELECT id FROM partition WHERE owner = %s AND wanted IS NULL ORDER BY id LIMIT %s FOR UPDATE SKIP LOCKED"
        )
        db.execute(f"UPDATE partition SET wanted = %s WHERE id IN ({chosen})", (node, other, count))


def leave(db: Connection, node: int) -> None:
    """Nothing more will be written: the others need not wait for the end of the lease."""
    with db.transaction():
        db.execute("SELECT FROM node WHERE id = %s FOR UPDATE", (node,))
        _forget(db, [node])


# --- one process at a time


def take(db: Connection, seconds: float) -> tuple[int, Marks, dict[AccountKey, Account]]:
    """Become the owner of everything, whoever was. Inside a transaction.

    Fails with LockNotAvailable when a commit is under way for too long: `end_commits`, and try again.
    """
    db.execute(f"SET LOCAL lock_timeout = {PATIENCE}")
    db.execute("LOCK TABLE node IN EXCLUSIVE MODE")  # waits for commits under way
    reached = marks(db)
    node = join(db, "", seconds)
    db.execute(
        "UPDATE node SET generation = %s, revision = %s, feedback = %s WHERE id = %s",
        (reached.generation, reached.revision, reached.feedback, node),
    )
    accounts = _books(db, node)
    _receipts(db, node)
    db.execute("UPDATE partition SET owner = %s, wanted = NULL", (node,))
    db.execute("DELETE FROM node WHERE id <> %s", (node,))
    return node, reached, accounts


def join_books(db: Connection) -> None:
    """Those of nodes that have gone become one, under number 0. Inside a transaction; one node at a time."""
    db.execute("SELECT pg_advisory_xact_lock(hashtext('feierabend books'))")
    gone = "node <> 0 AND node NOT IN (SELECT id FROM node)"
    if db.execute(f"SELECT FROM account WHERE {gone} LIMIT 1").fetchone() is None:
        return
    accounts: dict[AccountKey, Account] = {}
    query = f"DELETE FROM account WHERE node = 0 OR {gone} RETURNING tenant, class, body"
    for tenant, name, body in db.execute(query, binary=True):
        accounts.setdefault((tenant, name), Account()).add(rows.read_account(body))
    db.execute(PUT["account"], columns(_account_rows(0, accounts)))


def _account_rows(node: int, accounts: Mapping[AccountKey, Account]) -> list[tuple[bytes | int, ...]]:
    return [(node, tenant.encode(), name.encode(), rows.account(a)) for (tenant, name), a in accounts.items()]


def end_commits(db: Connection) -> None:
    """End the sessions that have a commit under way, of whatever node. Needs the role that those have."""
    db.execute(_END_ALL_COMMITS)


def _books(db: Connection, node: int) -> dict[AccountKey, Account]:
    """Those of all nodes before, in the name of this one."""
    accounts: dict[AccountKey, Account] = {}
    for tenant, name, body in db.execute("DELETE FROM account RETURNING tenant, class, body", binary=True):
        accounts.setdefault((tenant, name), Account()).add(rows.read_account(body))
    if accounts:
        db.execute(PUT["account"], columns(_account_rows(node, accounts)))
    return accounts


def _receipts(db: Connection, node: int) -> None:
    found = db.execute("DELETE FROM receipt RETURNING key, at, body", binary=True).fetchall()
    sums = summed((key, rows.read_receipt(body)) for key, _, body in found)
    ages = {key: at for key, at, _ in found}
    put = [(key, node, ages[key], rows.receipt(receipt)) for key, receipt in sums.items()]
    if put:
        db.execute(PUT["receipt"], columns(put))


def summed(parts: Iterable[tuple[bytes, Receipt]]) -> dict[ReceiptKey, Receipt]:
    """What several nodes have counted for each receipt; it is as old as the oldest of them."""
    sums: dict[ReceiptKey, Receipt] = {}
    for key, part in parts:
        sums.setdefault(ReceiptKey(key), Receipt(part.tenant, part.at)).add(part)
    return sums
