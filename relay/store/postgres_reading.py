"""Reading people from PostgreSQL: of everybody, or of some partitions."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from relay.core.private import DeviceKey, PassKey, ReceiptKey, UserKey
from relay.store import rows
from relay.store.port import Loaded
from relay.store.postgres_connection import Connection


def bytes_of(db: Connection, query: str, *bound: object) -> Iterator[tuple[Any, ...]]:
    """Rows, in the binary protocol."""
    return iter(db.execute(query, bound, binary=True))


def fill(loaded: Loaded, db: Connection, parts: Collection[int] | None = None) -> None:
    """`parts`: only what belongs to the people of these; None: everything, also what belongs to nobody."""
    db.execute("SET LOCAL enable_seqscan = on")  # off for commits (postgres_connection.py)
    of = " WHERE true" if parts is None else " WHERE part = ANY(%s)"
    bound = () if parts is None else (sorted(parts),)

    def found(query: str) -> Iterator[tuple[Any, ...]]:
        return bytes_of(db, query, *bound)

    loaded.people = {UserKey(k): rows.read_person(b) for k, b in found(f"SELECT key, body FROM person{of}")}
    living = f"{of} AND body <> ''"
    loaded.devices = {DeviceKey(k): rows.read_device(k, b) for k, b in found(f"SELECT key, body FROM device{living}")}
    loaded.rests = {UserKey(k): rows.read_rest(b) for k, b in found(f"SELECT key, body FROM rest{living}")}
    loaded.slots = {rows.read_slot_key(k): rows.read_slot(b) for k, b in found(f"SELECT key, body FROM slot{of}")}
    loaded.passes = {PassKey(k): rows.read_pass(b) for k, b in found(f"SELECT key, body FROM pass{of}")}
    if parts is None:
        loaded.requests = {k: rows.read_request(b) for k, b in found("SELECT key, body FROM request")}
        loaded.receipts = {ReceiptKey(k): rows.read_receipt(b) for k, b in found("SELECT key, body FROM receipt")}
        loaded.halts = {number: rows.read_halt(b) for number, b in found("SELECT number, body FROM halt")}
