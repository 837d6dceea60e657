"""What an audit reads of a store: links and records, a page at a time, all of one instant. It changes nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, Protocol

from relay.core.chain import Filed, Link, LinkKind

LINKS_TOGETHER: Final = 1_000
RECORDS_TOGETHER: Final = 100
"""How many are read at a time; the recipients of a bypass may be 400 kB, and are a few in practice."""


class Evidence(Protocol):
    def newest(self) -> Sequence[Link]:
        """The last link of each chain, in the order of the tenants' names."""

    def ends(self) -> dict[str, tuple[int, bytes]]:
        """By tenant what the store goes on from: number and hash; kept apart where many nodes write."""

    def links(self, tenant: str) -> Iterator[Link]:
        """A whole chain, by number."""

    def records(self, kind: LinkKind) -> Iterator[list[Filed]]:
        """All records of a kind, in pages."""

    def links_with(self, digests: Sequence[bytes]) -> list[Link]:
        """Those that say one of these, of all chains, by tenant and number."""
