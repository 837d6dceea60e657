"""What one commit writes: the only thing a store is ever asked to change.

All rows are the state after the batch, keyed; None deletes. A batch is one transaction, carries the epoch of its writer
and fails whole when that is stale. Counters (`generation`, `revision`) are high-water marks.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from relay.core.books import Account, AccountKey
from relay.core.devices import Device, RestRecord
from relay.core.events import Accepted
from relay.core.halts import Act, Halt
from relay.core.passes import Pass, Visit
from relay.core.private import DeviceKey, PassKey, ReceiptKey, TokenHash, UserKey
from relay.core.slots import Slot

SlotKey = tuple[UserKey, str]


@dataclass(frozen=True, slots=True)
class PersonRecord:
    tenant: str
    sealed_id: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Remembered:
    """Answer of a request with an Idempotency-Key, kept for 24 h. `body` is a hash."""

    body: bytes
    answer: Accepted
    at: float


@dataclass(frozen=True, slots=True)
class Bypass:
    """Append-only record of an accepted piercing event; written in the accept's own commit."""

    tenant: str
    event_class: str
    at: float
    key_id: str
    role: str
    reason: str
    recipients: int
    over_rate: bool
    """More than the class's hourly rate for this role."""
    sealed: bytes = field(default=b"", repr=False)
    """Who they were (core/records.py); kept apart from the record. Empty: not known any more."""


@dataclass(slots=True)
class Receipt:
    """What became of the alarms of one request, kept for 24 h; notices, as the books count them (core/receipts.py)."""

    tenant: str
    at: float
    recipients: int = 0
    handed_over: int = 0
    no_device: int = 0
    failed: int = 0
    """Expired, or refused by every phone."""

    @property
    def open(self) -> int:
        """Recipients whose notice is still pending."""
        return self.recipients - self.handed_over - self.no_device - self.failed

    def add(self, other: Receipt) -> None:
        """What another node has counted for the same receipt; it is as old as the older of them."""
        self.at = min(self.at, other.at)
        self.recipients += other.recipients
        self.handed_over += other.handed_over
        self.no_device += other.no_device
        self.failed += other.failed


class Parting(StrEnum):
    """Why a device left the relay without its owner's delete; the word the backend reads in the feedback."""

    DEAD = "dead"
    EVICTED = "evicted"
    """Over the tenant's device limit: registered longest ago."""
    MOVED = "moved"
    """Its token was registered for another device."""


@dataclass(frozen=True, slots=True)
class Feedback:
    """A device the backend should forget. `sealed` holds the backend's own ids (core/records.py)."""

    seq: int
    tenant: str
    user: UserKey
    device: DeviceKey
    parting: Parting
    reason: str
    at: float
    sealed: bytes = field(repr=False)


class PostKind(StrEnum):
    """What is told to the node that has a person."""

    EVENT = "event"
    SEEN = "seen"
    CONFIRMED = "confirmed"
    MOVED = "moved"
    """The token of a device was registered for somebody else's."""


@dataclass(frozen=True, slots=True)
class Posted:
    """Something for a person whom another node has in memory (core/abroad.py). Instants in UTC seconds."""

    kind: PostKind
    tenant: str
    user: UserKey = field(repr=False)
    event_class: str = ""
    at: float = 0.0
    until: float = 0.0
    """Of an event: when the message ceases to exist. Of a read mark: until when the person goes on reading."""
    device: DeviceKey | None = field(default=None, repr=False)
    receipt: ReceiptKey | None = field(default=None, repr=False)
    token: TokenHash | None = field(default=None, repr=False)
    """Of a token that has moved; an older registration with another token stays."""


Fetched = tuple[int, int, Posted]
"""(partition, number, what was posted for one of its people)"""


@dataclass(slots=True)
class Batch:
    now: float
    epoch: int = 0
    slots: dict[SlotKey, Slot | None] = field(default_factory=dict)
    people: dict[UserKey, PersonRecord | None] = field(default_factory=dict)
    devices: dict[DeviceKey, tuple[UserKey, Device | None]] = field(default_factory=dict)
    rests: dict[UserKey, RestRecord | None] = field(default_factory=dict)
    requests: dict[bytes, Remembered] = field(default_factory=dict)
    receipts: dict[ReceiptKey, Receipt] = field(default_factory=dict)
    """New values of the receipts the batch touches."""
    bypasses: list[Bypass] = field(default_factory=list)
    feedback: list[Feedback] = field(default_factory=list)
    halts: dict[int, Halt | None] = field(default_factory=dict)
    """By number."""
    acts: list[Act] = field(default_factory=list)
    passes: dict[PassKey, Pass | None] = field(default_factory=dict)
    forgotten: set[UserKey] = field(default_factory=set)
    """Whose visits go, before those of this batch are written."""
    visits: list[Visit] = field(default_factory=list)
    accounts: dict[AccountKey, Account] = field(default_factory=dict)
    """New values of the accounts the batch touches."""
    posted: list[Posted] = field(default_factory=list)
    fetched: list[tuple[int, int]] = field(default_factory=list)
    """(partition, number) of what was posted, and is in this batch's slots."""
    released: frozenset[int] = frozenset()
    """Partitions that another node may have after this batch."""
    generation: int = 0
    revision: int = 0

    @property
    def is_on_record(self) -> bool:
        """Whether the chain of a tenant grows by it, or may (core/chain.py)."""
        return bool(self.bypasses or self.acts or self.visits or self.forgotten)

    @property
    def is_empty(self) -> bool:
        return not (
            self.slots
            or self.people
            or self.devices
            or self.rests
            or self.requests
            or self.receipts
            or self.bypasses
            or self.feedback
            or self.halts
            or self.acts
            or self.passes
            or self.forgotten
            or self.visits
            or self.posted
            or self.fetched
            or self.released
        )
