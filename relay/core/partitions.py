"""Partitions: who of several nodes answers for whom.

A person belongs to one of 64 partitions by its key, a MAC, so that all are alike. A node *owns* some of them: it has
their people in memory, and nobody else does. Where one process has everything, it owns them all.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

from relay.core.private import UserKey

PARTITIONS: Final = 64
ALL: Final = frozenset(range(PARTITIONS))


def part_of(user: UserKey) -> int:
    """As `part_of` in the database (store/postgres_schema.py)."""
    return user[0] & (PARTITIONS - 1)


def wishes(
    node: int, nodes: Collection[int], owners: Sequence[int | None], wanted: Sequence[int | None]
) -> dict[int, int]:
    """How many partitions a node asks of which others, so that all come to their share and no more is moved than must.

    `owners`, `wanted`: by partition, who has it and who has asked for it. What is asked for counts as moved. One takes
    from the richest, until one has the share rounded down; and when all have that, one more each, as long as somebody
    has more than the share rounded up.
    """
    will_have = dict.fromkeys(nodes, 0)
    for owner, by in zip(owners, wanted, strict=True):
        to = owner if by is None else by
        if to in will_have:
            will_have[to] += 1
    least, most = PARTITIONS // len(nodes), -(-PARTITIONS // len(nodes))
    asked: dict[int, int] = {}
    while True:
        richest = max(will_have, key=lambda number: (will_have[number], number))
        own, theirs = will_have[node], will_have[richest]
        if not (own < least < theirs or (own < most < theirs and min(will_have.values()) >= least)):
            return asked
        will_have[node], will_have[richest] = own + 1, theirs - 1
        asked[richest] = asked.get(richest, 0) + 1
