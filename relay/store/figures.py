"""What `feierabend store stats` tells of a store, whichever it is: sizes, ages and owners, nothing of anybody."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from relay.store import rows

KINDS: Final = (
    "person", "device", "rest", "slot", "request", "receipt", "pass", "visit", "feedback", "bypass",
    "bypass_recipients", "halt", "act", "visits_erased", "link", "account",
)  # fmt: skip
"""Tables that both stores have."""
WITH_TOMBSTONES: Final = ("device", "rest")
"""Of these a deleted record stays for a day, without content; they are counted as `tombstone`."""


@dataclass(frozen=True, slots=True)
class Owner:
    """One life of a process that has the store, or has had it."""

    epoch: int
    until: float | None
    """End of its lease, if it is not renewed; None: it has ended."""
    began: float
    partitions: int


@dataclass(frozen=True, slots=True)
class Churn:
    """How a table of PostgreSQL's is looked after."""

    dead: int
    """Rows that vacuum has still to remove, as the server estimates."""
    vacuumed: float | None
    """When it last did by itself."""


@dataclass(frozen=True, slots=True)
class Figures:
    kind: str
    """sqlite or postgresql."""
    program: str
    """Version of SQLite or of the server."""
    version: int
    """Of the schema."""
    size: int
    """Bytes, indices and log included."""
    epoch: int
    """Of who loaded last; 0: nobody has."""
    rows: Mapping[str, int]
    """By kind, and tombstones."""
    longest_wait: float | None
    """Seconds since the first of the events for which the longest pending slot waits; None: nothing does."""
    in_use: bool | None = None
    """Another process has the file. None: not known for PostgreSQL."""
    owners: tuple[Owner, ...] = ()
    churn: Mapping[str, Churn] | None = None


def longest_wait(slots: Iterable[bytes], now: float) -> float | None:
    """`slots`: their bodies. Raises what `rows.reading` translates."""
    pending = [slot.first_at for slot in map(rows.read_slot, slots) if slot.n > 0]
    return max(0.0, now - min(pending)) if pending else None
