"""A batch as rows of PostgreSQL's tables: what each statement of postgres_statements.py is given."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from relay.core.batch import Batch
from relay.core.chain import Filed, LinkKind
from relay.core.partitions import part_of
from relay.core.private import KEY_BYTES
from relay.store import rows
from relay.store.filing import TABLES

Row = tuple[bytes | int, ...]


def ended(batch: Batch) -> Iterator[tuple[str, list[Row]]]:
    """(table, keys) of what the batch deletes, before it writes. Devices and rest documents leave tombstones."""
    gone: dict[str, list[Row]] = {
        "person": [(key,) for key, record in batch.people.items() if record is None],
        "slot": [(rows.slot_key(key),) for key, slot in batch.slots.items() if slot is None],
        "pass": [(key,) for key, known in batch.passes.items() if known is None],
        "visit": [(user,) for user in batch.forgotten],
        "inbox": list(batch.fetched),
        "halt": [(number,) for number, halt in batch.halts.items() if halt is None],
    }
    return ((table, keys) for table, keys in gone.items() if keys)


def written(batch: Batch, node: int, records: Iterable[Filed]) -> Iterator[tuple[str, list[Row]]]:
    """(table, rows), perhaps none. In the order of their keys, for neighbours lie on one page; but what is posted.

    `records`: what the batch has on record, as `filed` turns it.
    """
    yield from ((table, sorted(found)) for table, found in _written(batch, node))
    yield from ((table, sorted(found)) for table, found in _on_record(records).items())
    yield "inbox", [(part_of(p.user), rows.posted(p)) for p in batch.posted]


def _written(batch: Batch, node: int) -> Iterator[tuple[str, list[Row]]]:
    now = _ms(batch.now)
    revision = batch.revision
    yield "person", [(key, rows.person(p)) for key, p in batch.people.items() if p is not None]
    yield "slot", [(rows.slot_key(key), rows.slot(s)) for key, s in batch.slots.items() if s is not None]
    yield (
        "device",
        [
            (key, user, revision, now, d.token_hash if d else b"", rows.device(d) if d else b"")
            for key, (user, d) in batch.devices.items()
        ],
    )
    yield "rest", [(user, user, revision, now, rows.rest(r) if r else b"") for user, r in batch.rests.items()]
    yield "request", [(key, _ms(r.at), rows.request(r)) for key, r in batch.requests.items()]
    yield "receipt", [(key, node, _ms(r.at), rows.receipt(r)) for key, r in batch.receipts.items()]
    yield "pass", [(key, p.user, _ms(p.expires_at), rows.pass_(p)) for key, p in batch.passes.items() if p is not None]
    yield "feedback", [(f.tenant.encode(), f.seq, _ms(f.at), rows.feedback(f)) for f in batch.feedback]
    yield "halt", [(number, rows.halt(h)) for number, h in batch.halts.items() if h is not None]
    yield (
        "account",
        [(node, tenant.encode(), name.encode(), rows.account(a)) for (tenant, name), a in batch.accounts.items()],
    )


def _on_record(records: Iterable[Filed]) -> dict[str, list[Row]]:
    by_table: dict[str, list[Row]] = {}
    for record in records:
        kind, key = LinkKind(record.kind), record.key
        place: Row = (key,)
        if kind == LinkKind.VISIT:
            place = key[:KEY_BYTES], rows.read_number(key[KEY_BYTES:])
        elif kind == LinkKind.BYPASS:
            place = record.tenant.encode(), key
            by_table.setdefault("bypass_recipients", []).append((*place, record.at, record.beside))
        by_table.setdefault(TABLES[kind], []).append((*place, record.at, record.body))
    return by_table


def _ms(at: float) -> int:
    return int(at * 1000)
