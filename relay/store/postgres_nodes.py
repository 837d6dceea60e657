"""Which node owns which partitions: the database's word, in rows that nodes write about one another.

**Alive.** A row of `node` is one life of a process, its number the epoch of its commits; `lease` says until when it may
be taken for alive, by the database's clock. They are two tables because commits lock the first and must not wait for a
renewal's flush. A node whose lease is over is *buried* by whoever sees it: its row goes, once a commit of its that is
under way is over; from then on `hold` lets no commit of its pass, and its partitions are nobody's. A row that is locked
is left for the next look, for nobody's renewal may wait for a stranger's commit.

**Balance.** Each node takes as many orphans as bring it to its share, rounded up. When there are none it marks what it
lacks as *wanted*, of whoever has most (core/partitions.py); that node hands them over when it has let go of their
people (`released` in a batch), so nobody is anybody's twice. All nodes do the same, so nobody decides for others.

`take`, for a store with one process at a time, does all of it by force: tools, tests, the copy of a file.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from relay.core.batch import Receipt
from relay.core.books import Account, AccountKey
from relay.core.partitions import PARTITIONS, wishes
from relay.core.private import ReceiptKey
from relay.core.slots import Slot
from relay.store import rows
from relay.store.port import StaleEpoch, Standing
from relay.store.postgres_connection import TAKEN_OVER, Connection, bytes_array, columns
from relay.store.postgres_reading import bytes_of
from relay.store.postgres_statements import PUT

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


def marks(db: Connection) -> Marks:
    return Marks(*(db.execute(_MARKS).fetchone() or (0, 0, 0)))


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


def tend(db: Connection, node: int, seconds: float) -> Standing:
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
        addresses: dict[int, str] = dict(db.execute("SELECT id, address FROM node WHERE alive"))
        halts = {number: rows.read_halt(body) for number, body in bytes_of(db, "SELECT number, body FROM halt")}
    wanted = {number for number, (owner, by) in enumerate(found) if owner == node and by is not None}
    return Standing(node, tuple(owner for owner, _ in found), frozenset(wanted), addresses, halts)


def _bury(db: Connection) -> None:
    over = "SELECT node FROM lease WHERE until < clock_timestamp()"
    found = db.execute(f"SELECT id FROM node WHERE id IN ({over}) OR NOT alive FOR UPDATE SKIP LOCKED").fetchall()
    _forget(db, [number for (number,) in found])


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
    nodes = [number for (number,) in db.execute("SELECT id FROM node WHERE alive AND NOT is_leaving")]
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
    """Become the owner of everything, whoever was. Inside a transaction."""
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


def _books(db: Connection, node: int) -> dict[AccountKey, Account]:
    """Those of all nodes before, in the name of this one."""
    accounts: dict[AccountKey, Account] = {}
    for tenant, name, body in db.execute("DELETE FROM account RETURNING tenant, class, body", binary=True):
        accounts.setdefault((tenant, name), Account()).add(rows.read_account(body))
    put = [(node, tenant.encode(), name.encode(), rows.account(a)) for (tenant, name), a in accounts.items()]
    if put:
        db.execute(PUT["account"], columns(put))
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
