"""The reference of a store that several nodes share: one database of dictionaries, and a node's view of it.

    database = MemoryDatabase(clock)
    one, two = MemoryNode(database), MemoryNode(database)

What it does is what `SharedStore` means; PostgreSQL is compared with it (tests/relay/store/test_shared_contract.py). As
there, the database alone says who is alive, by a clock of its own, and who owns what; and whoever is buried writes
nothing any more.

A node can be cut off from its database, and can lose the answer to a commit that was written: what may happen to a
connection, for tests.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
from typing import Final

from relay.core.batch import Batch, Bypass, Feedback, Fetched, Receipt, Remembered
from relay.core.books import Account, AccountKey
from relay.core.chain import UNKEYED, Notary
from relay.core.devices import Device
from relay.core.halts import Act
from relay.core.partitions import PARTITIONS, part_of, wishes
from relay.core.passes import Visit
from relay.core.private import DeviceKey, PassKey, ReceiptKey, TokenHash, UserKey
from relay.store.memory import DAY, MemoryStore
from relay.store.port import (
    LEASE,
    Changes,
    FeedbackRange,
    Loaded,
    Outdated,
    Purged,
    StaleEpoch,
    Standing,
    StoreError,
    StoreStatistics,
)

TAKEN_OVER: Final = "another process has taken over this store"


@dataclass(slots=True)
class _Life:
    """One life of a process."""

    address: str
    until: float
    is_leaving: bool = False


class MemoryDatabase:
    """What all nodes see. `clock`: the database's own."""

    def __init__(self, clock: Callable[[], float], notary: Notary = UNKEYED) -> None:
        self.clock = clock
        self.tables = MemoryStore(notary)
        """Of everything that is nobody's more than another's."""
        self.lives: dict[int, _Life] = {}
        self.owners: list[int | None] = [None] * PARTITIONS
        self.wanted: list[int | None] = [None] * PARTITIONS
        self.accounts: dict[int, dict[AccountKey, Account]] = {}
        """By node."""
        self.receipts: dict[int, dict[ReceiptKey, Receipt]] = {}
        self.inbox: list[Fetched] = []
        self.alarms: list[tuple[int, Bypass]] = []
        """Records of bypasses, by the node that wrote them."""
        self.called: dict[int, Callable[[], None]] = {}
        """By node: told when something is posted for it."""
        self._joined = self._posted = 0

    # --- who is alive

    def join(self, address: str) -> int:
        self._joined += 1
        self.lives[self._joined] = _Life(address, self.clock() + LEASE)
        return self._joined

    def tend(self, node: int) -> Standing:
        now, life = self.clock(), self.lives.get(node)
        if life is None:
            raise StaleEpoch(TAKEN_OVER)
        was_late = life.until <= now
        life.until = now + LEASE
        if not was_late:  # it does not know whether the others are away, or were kept from renewing like it
            for number in [number for number, other in self.lives.items() if other.until < now]:
                self.forget(number)
        self._balance(node)
        wanted = {part for part, by in enumerate(self.wanted) if by is not None and self.owners[part] == node}
        addresses = {number: life.address for number, life in self.lives.items()}
        return Standing(node, tuple(self.owners), frozenset(wanted), addresses, self.snapshot().halts)

    def forget(self, node: int) -> None:
        """A node is over; what it had is nobody's."""
        self.lives.pop(node, None)
        self.owners = [None if owner == node else owner for owner in self.owners]
        self.wanted = [None if by == node else by for by in self.wanted]

    def _balance(self, node: int) -> None:
        counts = {number: self.owners.count(number) for number, life in self.lives.items() if not life.is_leaving}
        if node not in counts:
            return
        if sum(counts.values()) < PARTITIONS:
            share = -(-PARTITIONS // len(counts))
            orphans = [part for part, owner in enumerate(self.owners) if owner is None]
            for part in orphans[: max(0, share - counts[node])]:
                self.owners[part], self.wanted[part] = node, None
            return
        for other, count in wishes(node, counts, self.owners, self.wanted).items():
            free = [part for part, owner in enumerate(self.owners) if owner == other and self.wanted[part] is None]
            for part in free[:count]:
                self.wanted[part] = node

    def take(self) -> int:
        """One process becomes the owner of everything, whoever was; its number."""
        node = self.join("")
        for other in [number for number in self.lives if number != node]:
            self.forget(other)
        self.owners, self.wanted = [node] * PARTITIONS, [None] * PARTITIONS
        self.accounts = {node: self.books()}
        self.receipts = {node: {key: receipt for key in self.receipt_keys() if (receipt := self.receipt(key))}}
        return node

    # --- what is read

    def snapshot(self) -> Loaded:
        """All but what is counted by each node for itself. A copy."""
        return self.tables.load()

    def books(self) -> dict[AccountKey, Account]:
        """Of all nodes together."""
        sums: dict[AccountKey, Account] = {}
        for accounts in self.accounts.values():
            for key, account in accounts.items():
                sums.setdefault(key, Account()).add(account)
        return sums

    def receipt_keys(self) -> set[ReceiptKey]:
        return {key for receipts in self.receipts.values() for key in receipts}

    def receipt(self, key: ReceiptKey) -> Receipt | None:
        found = [receipts[key] for receipts in self.receipts.values() if key in receipts]
        if not found:
            return None
        total = Receipt(found[0].tenant, found[0].at)
        for receipt in found:
            total.add(receipt)
        return total

    # --- what is written

    def write(self, node: int, batch: Batch, feedback: list[Feedback]) -> None:
        epoch = self.snapshot().epoch
        self.tables.commit(replace(batch, epoch=epoch, feedback=feedback, receipts={}, accounts={}))
        self.receipts.setdefault(node, {}).update({key: copy(receipt) for key, receipt in batch.receipts.items()})
        self.accounts.setdefault(node, {}).update({key: copy(account) for key, account in batch.accounts.items()})
        self.alarms += [(node, bypass) for bypass in batch.bypasses]
        fetched = set(batch.fetched)
        self.inbox = [row for row in self.inbox if row[:2] not in fetched]
        for posted in batch.posted:
            self._posted += 1
            self.inbox.append((part_of(posted.user), self._posted, posted))
        called = {self.owners[part_of(posted.user)] for posted in batch.posted}
        for part in batch.released:
            if self.owners[part] == node:
                self.owners[part], self.wanted[part] = self.wanted[part], None
        for owner in called - {None}:
            self.called.get(owner or 0, _nobody)()

    def purge_receipts(self, before: float, limit: int) -> int:
        old = [(r.at, node, key) for node, known in self.receipts.items() for key, r in known.items() if r.at < before]
        for _, node, key in sorted(old)[:limit]:
            del self.receipts[node][key]
        return len(old[:limit])


class MemoryNode:
    """The store as one node has it. `commits`: of this node."""

    def __init__(self, database: MemoryDatabase) -> None:
        self.database = database
        self.is_away = False
        """Every call fails."""
        self.on_post: Callable[[], None] = _nobody
        """Told when something may have been posted for this node: for who cannot wait in a thread."""
        self._rang = threading.Event()
        self._rang.set()  # what came before
        self._node = self._heard = 0
        self._is_shared = False
        self.is_outdated = False
        """The last commit was taken for failed, and is written."""
        self._commits = 0

    def _reach(self) -> MemoryDatabase:
        if self.is_away:
            raise StoreError("the database cannot be reached")
        return self.database

    def _begin(self, node: int, *, is_shared: bool) -> None:
        self._node, self._is_shared, self.is_outdated = node, is_shared, False
        self.database.called[node] = self._ring

    # --- one of many

    def load(self, partition: int = 0) -> Loaded:
        """Everything, under a new epoch, whoever had it: for one process at a time."""
        database = self._reach()
        self._begin(database.take(), is_shared=False)
        accounts = {key: copy(account) for key, account in database.accounts[self._node].items()}
        receipts = {key: copy(receipt) for key, receipt in database.receipts[self._node].items()}
        return replace(database.snapshot(), accounts=accounts, receipts=receipts, epoch=self._node)

    def join(self, address: str) -> Loaded:
        database = self._reach()
        self._begin(database.join(address), is_shared=True)
        known = database.snapshot()
        return replace(self._marks(known), halts=known.halts)

    def _marks(self, known: Loaded) -> Loaded:
        return Loaded(
            generation=known.generation, revision=known.revision, feedback_seq=known.feedback_seq, epoch=self._node
        )

    def tend(self) -> Standing:
        standing = self._reach().tend(self._node)
        new, self._heard = self.database.alarms[self._heard :], len(self.database.alarms)
        return replace(standing, bypasses=[bypass for node, bypass in new if node != self._node])

    def retire(self) -> None:
        life = self.database.lives.get(self._node)
        if life is not None and not self.is_away:
            life.is_leaving = True

    def leave(self) -> None:
        if not self.is_away:
            self.database.forget(self._node)

    def load_parts(self, parts: Collection[int]) -> Loaded:
        known = self._reach().snapshot()
        slots = {key: slot for key, slot in known.slots.items() if part_of(key[0]) in parts}
        receipts = {stub.receipt: self.receipt(stub.receipt) for slot in slots.values() for stub in slot.stubs}
        return replace(
            self._marks(known),
            people={key: person for key, person in known.people.items() if part_of(key) in parts},
            devices={key: device for key, device in known.devices.items() if part_of(device.user) in parts},
            rests={key: rest for key, rest in known.rests.items() if part_of(key) in parts},
            slots=slots,
            receipts={key: Receipt(found.tenant, found.at) for key, found in receipts.items() if found is not None},
            passes={key: found for key, found in known.passes.items() if part_of(found.user) in parts},
        )

    # --- what all know

    def devices_of(self, users: Collection[UserKey]) -> Mapping[UserKey, Sequence[Device]]:
        found: dict[UserKey, list[Device]] = {}
        for device in self._reach().snapshot().devices.values():
            if device.user in users:
                found.setdefault(device.user, []).append(device)
        return found

    def holders_of(self, tokens: Collection[TokenHash]) -> Mapping[TokenHash, tuple[UserKey, DeviceKey]]:
        devices = self._reach().snapshot().devices.values()
        return {device.token_hash: (device.user, device.key) for device in devices if device.token_hash in tokens}

    def owner_of(self, passes: Collection[PassKey]) -> UserKey | None:
        known = self._reach().snapshot().passes
        return next((known[key].user for key in passes if key in known), None)

    def remembered(self, key: bytes) -> Remembered | None:
        return self._reach().snapshot().requests.get(key)

    def receipt(self, key: ReceiptKey) -> Receipt | None:
        return self._reach().receipt(key)

    def posted(self, parts: Collection[int], limit: int) -> Sequence[Fetched]:
        return [row for row in self._reach().inbox if row[0] in parts][:limit]

    def wait_for_post(self, seconds: float) -> None:
        self._reach()
        self._rang.wait(seconds)
        self._rang.clear()

    def _ring(self) -> None:
        if not self.is_away:
            self._rang.set()
            self.on_post()

    # --- the store

    def commit(self, batch: Batch) -> None:
        database = self._reach()
        if batch.epoch != self._node or self._node not in database.lives:
            raise StaleEpoch(TAKEN_OVER)
        if self.is_outdated:
            raise Outdated("a commit that was taken for failed is written")
        feedback = batch.feedback
        if self._is_shared:
            self._refuse_twice(batch)
            newest = database.snapshot().feedback_seq
            ordered = sorted(batch.feedback, key=lambda told: (told.tenant, told.seq))
            feedback = [replace(told, seq=newest + number) for number, told in enumerate(ordered, 1)]
        database.write(self._node, batch, feedback)
        self._commits += 1

    @property
    def is_called(self) -> bool:
        """Whether `wait_for_post` would return at once."""
        return self._rang.is_set()

    def _refuse_twice(self, batch: Batch) -> None:
        """A request that two nodes were asked for at once is remembered by one."""
        known = self.database.snapshot().requests
        for key, new in batch.requests.items():
            if key in known and known[key].at > new.at - DAY:
                raise StoreError("another node has taken this request")

    def changes(self, since: int) -> Changes:
        return self._reach().tables.changes(since)

    def purge(self, now: float, limit: int) -> Purged:
        database = self._reach()
        return replace(database.tables.purge(now, limit), receipts=database.purge_receipts(now - DAY, limit))

    def feedback(self, tenant: str, after: int, limit: int) -> Sequence[Feedback]:
        return self._reach().tables.feedback(tenant, after, limit)

    def feedback_range(self, tenant: str) -> FeedbackRange:
        return self._reach().tables.feedback_range(tenant)

    def bypasses_of(self, tenant: str, wanted: Callable[[Bypass], bool], limit: int) -> Sequence[Bypass]:
        return self._reach().tables.bypasses_of(tenant, wanted, limit)

    def acts(self, limit: int) -> Sequence[Act]:
        return self._reach().tables.acts(limit)

    def visits(self, user: UserKey, limit: int) -> Sequence[Visit]:
        return self._reach().tables.visits(user, limit)

    def idle(self) -> None:
        """Nothing to tidy."""

    def statistics(self) -> StoreStatistics:
        return StoreStatistics(self._commits, 0)

    def close(self) -> None:
        """Nothing to close."""


def _nobody() -> None:
    pass
