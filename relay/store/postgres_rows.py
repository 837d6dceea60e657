"""A batch as rows of PostgreSQL's tables: what each statement of postgres_statements.py is given."""

from __future__ import annotations

from collections.abc import Iterator

from relay.core.batch import Batch
from relay.core.partitions import part_of
from relay.store import rows

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


def written(batch: Batch, node: int) -> Iterator[tuple[str, list[Row]]]:
    """(table, rows), perhaps none. In the order of their keys, for neighbours lie on one page; but what is posted."""
    yield from ((table, sorted(found)) for table, found in _written(batch, node))
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
    yield "visit", [(v.user, v.seq, _ms(v.at), rows.visit(v)) for v in batch.visits]
    yield "feedback", [(f.tenant.encode(), f.seq, _ms(f.at), rows.feedback(f)) for f in batch.feedback]
    mark = rows.instant(batch.now) + rows.number(batch.generation)
    bypasses = [(b.tenant.encode(), mark + rows.number(node << 16 | i), b) for i, b in enumerate(batch.bypasses)]
    yield "bypass", [(tenant, key, now, rows.bypass(b)) for tenant, key, b in bypasses]
    yield "bypass_recipients", [(tenant, key, now, rows.bypass_recipients(b)) for tenant, key, b in bypasses]
    yield "halt", [(number, rows.halt(h)) for number, h in batch.halts.items() if h is not None]
    yield "act", [(mark + rows.number(node << 16 | i), now, rows.act(a)) for i, a in enumerate(batch.acts)]
    yield (
        "account",
        [(node, tenant.encode(), name.encode(), rows.account(a)) for (tenant, name), a in batch.accounts.items()],
    )


def _ms(at: float) -> int:
    return int(at * 1000)
