"""The chains of the reference store, and the records they are about: lists."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import count

from relay.core.batch import Batch
from relay.core.chain import INSTALLATION, Filed, Link, LinkKind, Notary, grown
from relay.core.private import KEY_BYTES, UserKey
from relay.store.filing import entries, filed, visits_erased
from relay.store.port import LIVES


class MemoryChains:
    """Evidence too (evidence.py). Tests change `chains` and `filed` as somebody would who writes to a database."""

    def __init__(self, notary: Notary) -> None:
        self._notary = notary
        self._batches = count()
        self.chains: dict[str, list[Link]] = {INSTALLATION: grown(INSTALLATION, None, [notary.beginning(0)])}
        self.filed: list[Filed] = []

    def add(self, batch: Batch) -> None:
        records = filed(batch, next(self._batches))  # in the place of a node's number: so all keys differ
        if batch.forgotten:
            gone = [record for record in self.filed if _is_of(record, batch.forgotten)]
            self.filed = [record for record in self.filed if not _is_of(record, batch.forgotten)]
            records += visits_erased(gone, batch.now, self._notary)
        self.filed += records
        for tenant, new in entries(records, self._notary):
            chain = self.chains.setdefault(tenant, [])
            chain += grown(tenant, chain[-1] if chain else None, new)

    def purge(self, kind: LinkKind, table: str, now: float, limit: int) -> int:
        """Drop the oldest records of a kind that have outlived their purpose; return how many."""
        before = int(max(0.0, now - LIVES[table]) * 1000)
        old = sorted((r for r in self.filed if r.kind == kind and r.at < before), key=lambda r: (r.at, r.key))[:limit]
        self.filed = [record for record in self.filed if record not in old]
        return len(old)

    def newest(self) -> Sequence[Link]:
        return [chain[-1] for _, chain in sorted(self.chains.items()) if chain]

    def ends(self) -> dict[str, tuple[int, bytes]]:
        return {link.tenant: (link.number, link.chained) for link in self.newest()}

    def links(self, tenant: str) -> Iterator[Link]:
        return iter(self.chains.get(tenant, ()))

    def records(self, kind: LinkKind) -> Iterator[list[Filed]]:
        yield [record for record in self.filed if record.kind == kind]

    def links_with(self, digests: Sequence[bytes]) -> list[Link]:
        return [link for chain in self._all() for link in chain if link.digest in digests]

    def _all(self) -> Iterable[list[Link]]:
        return (chain for _, chain in sorted(self.chains.items()))


def _is_of(record: Filed, users: Collection[UserKey]) -> bool:
    return record.kind == LinkKind.VISIT and record.key[:KEY_BYTES] in users
