"""Partitions: who of several nodes answers for whom.

A person belongs to one of 64 partitions by its key, a MAC, so that all are alike. A node *owns* some of them: it has
their people in memory, and nobody else does. Where one process has everything, it owns them all.
"""

from __future__ import annotations

from typing import Final

from relay.core.private import UserKey

PARTITIONS: Final = 64
ALL: Final = frozenset(range(PARTITIONS))


def part_of(user: UserKey) -> int:
    """As `part_of` in the database (store/postgres_schema.py)."""
    return user[0] & (PARTITIONS - 1)
