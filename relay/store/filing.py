"""The append-only records of a batch as they are stored, and what their links say (core/chain.py).

Both databases hold the same keys and bodies, so a digest that was made over one is good in the other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

from relay.core.batch import Batch
from relay.core.chain import INSTALLATION, Entry, Filed, LinkKind, Notary
from relay.store import rows
from relay.store.port import StoreMismatch

MOST_TOGETHER: Final = 1_000
"""Looks that one record says are erased: 34 kB."""
TABLES: Final = {
    LinkKind.BYPASS: "bypass",
    LinkKind.ACT: "act",
    LinkKind.VISIT: "visit",
    LinkKind.VISITS_ERASED: "visits_erased",
}
"""Where the records lie; what is beside a bypass lies in `bypass_recipients`, under the same key."""


def filed(batch: Batch, node: int) -> list[Filed]:
    """Its records, in the order of their links. `node`: the number of who writes them, which makes keys unique."""
    now = _ms(batch.now)
    mark = rows.instant(batch.now) + rows.number(batch.generation)
    bypasses = [
        Filed(
            LinkKind.BYPASS, b.tenant, now, mark + rows.number(node << 16 | i), rows.bypass(b),
            rows.bypass_recipients(b),
        )
        for i, b in enumerate(batch.bypasses)
    ]  # fmt: skip
    acts = [
        Filed(LinkKind.ACT, a.tenant or INSTALLATION, now, mark + rows.number(node << 16 | i), rows.act(a))
        for i, a in enumerate(batch.acts)
    ]
    visits = [
        Filed(LinkKind.VISIT, v.tenant, _ms(v.at), rows.visit_key(v.user, v.seq), rows.visit(v)) for v in batch.visits
    ]
    return [*bypasses, *acts, *visits]


def read_filed(kind: LinkKind, key: bytes, at: int, body: bytes, beside: bytes | None = None) -> Filed:
    """A record as a database has it. None beside a bypass, which always had something there: it is missing.

    One that cannot be read is nobody's: it has no link then, and its link has no record.
    """
    try:
        with rows.reading():
            tenant = _TENANT_OF[kind](body)
    except StoreMismatch:
        tenant = INSTALLATION
    return Filed(kind, tenant if isinstance(tenant, str) else INSTALLATION, at, key, body, beside or b"")


def visits_erased(visits: Iterable[Filed], now: float, notary: Notary) -> Iterator[Filed]:
    """The records that say that these looks have gone with their people. Unique by what they name: it goes once."""
    by_tenant: dict[str, list[bytes]] = {}
    for visit in visits:
        by_tenant.setdefault(visit.tenant, []).append(notary.digest(visit))
    for tenant, digests in by_tenant.items():
        for first in range(0, len(digests), MOST_TOGETHER):
            named = digests[first : first + MOST_TOGETHER]
            key = rows.instant(now) + named[0][:16]
            yield Filed(LinkKind.VISITS_ERASED, tenant, _ms(now), key, rows.visits_erased(tenant, named))


def entries(records: Iterable[Filed], notary: Notary) -> list[tuple[str, list[Entry]]]:
    """By tenant, in the order in which all nodes lock the ends of their chains."""
    found: dict[str, list[Entry]] = {}
    for record in records:
        found.setdefault(record.tenant, []).append(notary.entry(record))
    return sorted(found.items())


def _ms(at: float) -> int:
    return int(at * 1000)


_TENANT_OF: Final[Mapping[LinkKind, Callable[[bytes], object]]] = {
    LinkKind.BYPASS: lambda body: rows.read_bypass(body, b"").tenant,
    LinkKind.ACT: lambda body: rows.read_act(body).tenant or INSTALLATION,
    LinkKind.VISIT: lambda body: rows.read_visit(body).tenant,
    LinkKind.VISITS_ERASED: lambda body: rows.read_visits_erased(body)[0],
}
