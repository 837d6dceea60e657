"""The store: a journal of the working set.

Memory holds everything; the store is written batch by batch and read at start and on taking over a partition, never
per batch. A commit is one transaction: accepts, settles, edits, records and books together, durable when it returns
(fsync), or nothing. Calls are synchronous; the journal (relay/journal.py) runs them in the store's thread, or inline
under a virtual clock.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence, Sized
from dataclasses import astuple, dataclass, field
from typing import Final, Protocol

from relay.core.batch import Batch, Bypass, Feedback, Fetched, PersonRecord, Receipt, Remembered, SlotKey
from relay.core.books import Account, AccountKey
from relay.core.devices import Device, RestRecord
from relay.core.errors import RelayError
from relay.core.events import DAY
from relay.core.halts import Act, Halt
from relay.core.passes import VISIT_LIFE, Pass, Visit
from relay.core.private import DeviceKey, PassKey, ReceiptKey, TokenHash, UserKey
from relay.core.slots import Slot

LARGEST_RECORD: Final = 2**20
"""A record is smaller than this (bytes, with its key). What doors take is far smaller; 25,000 recipients are 400 kB."""
LIVES: Final = {
    "request": DAY,
    "receipt": DAY,
    "feedback": 30 * DAY,
    "bypass": 90 * DAY,
    "bypass_recipients": 90 * DAY,
    "act": 400 * DAY,
    "pass": 0.0,
    "visit": VISIT_LIFE,
    "visits_erased": VISIT_LIFE,
}
"""Seconds after which a record has outlived its purpose, by kind; of a pass after its end."""
TOMBSTONES: Final = DAY
"""The same of a device or a rest document that was deleted: who follows the changes must have asked by then."""
LEASE: Final = 3.0
"""Seconds for which a node holds a store that several share, after a renewal (relay/tenure.py)."""


class StoreError(RelayError):
    """The store could not read or write. Nothing of the batch is written. The text names no content."""


class StaleEpoch(StoreError):
    """Another node owns the partition now; the writer must stop."""


class Outdated(StaleEpoch):
    """A commit that was taken for failed is written: this process is behind the store, the next one reads it anew."""


class StoreMismatch(StoreError):
    """The file is not ours, damaged, or of a newer version than this program understands."""


@dataclass(slots=True)
class Loaded:
    """All of one partition, as of the last commit."""

    people: dict[UserKey, PersonRecord] = field(default_factory=dict)
    devices: dict[DeviceKey, Device] = field(default_factory=dict)
    """In order of `registered_at` is not promised."""
    rests: dict[UserKey, RestRecord] = field(default_factory=dict)
    slots: dict[SlotKey, Slot] = field(default_factory=dict)
    requests: dict[bytes, Remembered] = field(default_factory=dict)
    receipts: dict[ReceiptKey, Receipt] = field(default_factory=dict)
    passes: dict[PassKey, Pass] = field(default_factory=dict)
    accounts: dict[AccountKey, Account] = field(default_factory=dict)
    halts: dict[int, Halt] = field(default_factory=dict)
    generation: int = 0
    revision: int = 0
    feedback_seq: int = 0
    epoch: int = 0
    """To be named by the owner's batches."""


@dataclass(frozen=True, slots=True)
class Changes:
    """Devices and rest records changed after a revision; None: deleted since."""

    revision: int
    """Newest revision included; the next `since`."""
    devices: dict[DeviceKey, tuple[UserKey, Device | None]]
    rests: dict[UserKey, RestRecord | None]


@dataclass(frozen=True, slots=True)
class Purged:
    """How many records of each kind were removed."""

    requests: int = 0
    bypasses: int = 0
    feedback: int = 0
    tombstones: int = 0
    receipts: int = 0
    acts: int = 0
    passes: int = 0
    visits: int = 0
    visits_erased: int = 0

    @property
    def total(self) -> int:
        return sum(astuple(self))


def purged(gone: Mapping[str, Sized], tombstones: int) -> Purged:
    """`gone`: what was removed, by the tables of LIVES."""
    return Purged(
        len(gone["request"]), len(gone["bypass"]), len(gone["feedback"]), tombstones, len(gone["receipt"]),
        len(gone["act"]), len(gone["pass"]), len(gone["visit"]), len(gone["visits_erased"]),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class FeedbackRange:
    """Which sequence numbers of a tenant's feedback can still be asked for."""

    purged: int
    """The newest number that was purged: whoever has read up to here or further has missed nothing. 0: none was."""
    newest: int
    """The newest number given to any tenant: nobody can have read further, except in a later state of this store."""


@dataclass(frozen=True, slots=True)
class StoreStatistics:
    commits: int
    wal_bytes: int
    """Size of the write-ahead log; 0 where there is none."""


class Store(Protocol):
    """One contract suite in tests/relay/store for every implementation."""

    def load(self, partition: int = 0) -> Loaded:
        """Take the partition: a new epoch is set, older owners' commits fail from now on."""

    def commit(self, batch: Batch) -> None:
        """Write the batch durably, or raise StoreError and write nothing.

        Each append-only record is followed by a link of its tenant's chain (core/chain.py). Where visits are forgotten,
        a record names the links of those that there were.
        """

    def changes(self, since: int) -> Changes:
        """Device and rest changes with a revision above `since`."""

    def purge(self, now: float, limit: int) -> Purged:
        """Delete what has outlived its purpose, at most `limit` records of each kind.

        Remembered requests and receipts after 24 h, feedback after 30 d, bypass records, visits and what was said of
        erased ones after 90 d, acts of operators after 400 d, passes when they have expired, tombstones of `changes`
        after 1 d. Of each kind the oldest go first. Links of the chains stay.
        """

    def feedback(self, tenant: str, after: int, limit: int) -> Sequence[Feedback]:
        """Feedback of a tenant with a sequence number above `after`, oldest first."""

    def feedback_range(self, tenant: str) -> FeedbackRange:
        """To be asked after `feedback`: both numbers only grow, so a purge between the two is not overlooked."""

    def bypasses_of(self, tenant: str, wanted: Callable[[Bypass], bool], limit: int) -> Sequence[Bypass]:
        """Records of a tenant that are wanted, newest first. `wanted` is asked once for each; it must not write."""

    def acts(self, limit: int) -> Sequence[Act]:
        """What operators did, newest first."""

    def visits(self, user: UserKey, limit: int) -> Sequence[Visit]:
        """Who was shown somebody's rest, newest first."""

    def idle(self) -> None:
        """Nothing has been waiting for a while: a good moment for housekeeping. Never raises for its failure."""

    def statistics(self) -> StoreStatistics:
        """Figures for the metrics; may be called from another thread."""

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Standing:
    """How things are among the nodes that share a store, as one of them sees them after it has done its part."""

    node: int
    """Its own number."""
    owners: tuple[int | None, ...]
    """By partition, the node that has it."""
    wanted: frozenset[int]
    """Partitions of ours that another node asks for."""
    addresses: Mapping[int, str]
    """Of the nodes that are alive."""
    halts: Mapping[int, Halt]
    """What operators hold back, at whatever node they have said so."""
    bypasses: Sequence[Bypass] = ()
    """Records of other nodes that this one has not been told of yet; the first time, those of the last hour."""

    @property
    def owned(self) -> frozenset[int]:
        return frozenset(part for part, owner in enumerate(self.owners) if owner == self.node)


class SharedStore(Store, Protocol):
    """A store that several nodes write, each for the people of its partitions."""

    def join(self, address: str) -> Loaded:
        """Be one of the nodes, without partitions yet: marks, halts, and the epoch. `address`: where others ask it."""

    def tend(self) -> Standing:
        """Renew the lease, bury who is dead, take or ask for a fair share. Raises StaleEpoch when buried itself."""

    def retire(self) -> None:
        """Take no more partitions, for this node is about to leave. Forgives a store that is away."""

    def leave(self) -> None:
        """Let the others have everything at once; nothing is written after that. Forgives a store that is away."""

    def load_parts(self, parts: Collection[int]) -> Loaded:
        """The people of partitions that have become ours, and how far all nodes have come.

        And the receipts on which their alarms stand, with nothing counted: each node counts for itself.
        """

    def devices_of(self, users: Collection[UserKey]) -> Mapping[UserKey, Sequence[Device]]:
        """Of people whom other nodes have; who has none is missing."""

    def holders_of(self, tokens: Collection[TokenHash]) -> Mapping[TokenHash, tuple[UserKey, DeviceKey]]:
        """Who has these tokens, on whatever node."""

    def owner_of(self, passes: Collection[PassKey]) -> UserKey | None:
        """Whose one of these passes is, on whatever node."""

    def remembered(self, key: bytes) -> Remembered | None:
        """What a request was answered, on whatever node."""

    def receipt(self, key: ReceiptKey) -> Receipt | None:
        """What all nodes together know of the alarms of a request."""

    def posted(self, parts: Collection[int], limit: int) -> Sequence[Fetched]:
        """What was posted for these partitions, and is not fetched; the oldest first."""

    def wait_for_post(self, seconds: float) -> None:
        """Return when something may have been posted for this node, or after so long; in a thread of its own."""
