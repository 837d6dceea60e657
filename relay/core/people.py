"""The working set: everybody the relay knows, in memory. The store is its journal, read at start.

What stands here is committed. Only `Draft.apply` changes slots, devices and rest records, after the commit that wrote
them; so a wakeup never leaves for an event that was not accepted, and a failed commit needs no undoing. Beside it each
person carries what need not survive a restart: the compiled rest, the hold, who is in flight.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from relay.core.batch import Bypass, Receipt, Remembered
from relay.core.books import AccountKey, Books
from relay.core.devices import FOLLOW, Device, RestRecord
from relay.core.events import NEVER
from relay.core.flight import Flight
from relay.core.gate import RestTable
from relay.core.halts import Halt
from relay.core.pacing import Hold
from relay.core.partitions import ALL, part_of
from relay.core.passes import Passes
from relay.core.private import DeviceKey, ReceiptKey, TokenHash, UserKey
from relay.core.slots import Slot
from relay.core.tenants import Tenant
from relay.core.traces import Trace, Traces
from relay.core.trials import Trials

REQUEST_LIFE: Final = 86400.0
"""Seconds for which an Idempotency-Key is remembered, and the receipt of an alarm kept."""
NODES: Final = 256
"""Numbers of nodes follow one another; of those that are alive together none is so many starts older than another."""


class Person:
    """One user. Sets of keys, no names: the user's own id lies sealed in `sealed_id`."""

    __slots__ = (
        "active_until", "devices", "flights", "frozen", "gone", "hold", "key", "left_generation", "phones", "rest",
        "sealed_id", "slots", "table", "tenant", "trace", "wake_at", "wakes",
    )  # fmt: skip

    def __init__(self, tenant: Tenant, key: UserKey, sealed_id: bytes) -> None:
        self.tenant = tenant
        self.key = key
        self.sealed_id = sealed_id
        self.devices: dict[DeviceKey, Device] = {}
        self.phones: tuple[Device, ...] = ()
        """The devices that can be woken; kept beside `devices` because every accept and settle asks for them."""
        self.slots: dict[str, Slot] = {}
        self.rest: RestRecord | None = None
        # From here on: in memory only.
        self.table: RestTable | None = None
        """Compiled rest; None while not compiled, or when there are no rules."""
        self.wakes = FOLLOW
        """Made with the table."""
        self.flights: dict[DeviceKey, Flight] = {}
        """Wakeups that are queued at a lane or wait for their answer; of a device the newest (`Flight.beside`)."""
        self.hold = Hold()
        self.left_generation = 0
        """Newest generation a wakeup left for; only newer ones are held."""
        self.active_until = 0.0
        """Until then the user reads on another device; what `seen` could cancel waits."""
        self.gone = False
        """Deleted: a verdict that comes later, or an expiry, books nothing."""
        self.frozen = False
        """Another node is about to have this person: nothing begins any more."""
        self.trace: Trace | None = None
        """What wakes this person's devices, where that was asked for; in `People.traces` too."""
        self.wake_at = NEVER
        """Instant for which the person stands in the due heap."""

    def is_compiled(self, now: float) -> bool:
        """The gate can be asked at once: the rest is compiled, or there is none."""
        return self.rest is None or (self.table is not None and now < self.table.stale_at)

    def landed(self, flight: Flight) -> None:
        """It is not under way any more."""
        key = flight.device.key
        newest = self.flights.get(key)
        if newest is flight:
            if flight.beside is None:
                del self.flights[key]
            else:
                self.flights[key] = flight.beside
        elif newest is not None and newest.beside is flight:
            newest.beside = None

    def __repr__(self) -> str:
        return f"<Person of {self.tenant.name}: {len(self.devices)} devices, {len(self.slots)} slots>"

    def have(self, devices: dict[DeviceKey, Device]) -> None:
        """Replace the devices."""
        self.devices = devices
        self.phones = self.tenant.phones(devices.values())

    def leave(self) -> None:
        """The person is deleted. Whoever still holds it, a lane or the due heap, finds nothing to do."""
        self.gone = True
        self.have({})
        self.slots = {}
        self.rest = self.table = None
        self.wakes = FOLLOW


class People:
    """All persons of the partitions this node owns, and the counters that go with them."""

    __slots__ = (
        "books", "by_key", "bypasses", "feedback_seq", "generation", "halts", "node", "owned", "passes", "receipts",
        "remembered", "revision", "tenants", "tokens", "traces", "trials",
    )  # fmt: skip

    def __init__(self, tenants: dict[str, Tenant]) -> None:
        self.tenants = tenants
        self.by_key: dict[UserKey, Person] = {}
        self.node = 0
        """Of several, the number of this one."""
        self.owned = ALL
        """Partitions whose people these are. Nobody else's are in here."""
        self.tokens: dict[TokenHash, tuple[UserKey, DeviceKey]] = {}
        self.remembered: dict[bytes, Remembered] = {}
        self.receipts: dict[ReceiptKey, Receipt] = {}
        self.passes = Passes()
        self.trials = Trials()
        self.traces = Traces()
        self.books = Books()
        self.bypasses: dict[tuple[str, str, str], deque[float]] = {}
        """Instants of piercing events per (tenant, class, role), for their rate; the last 1,000."""
        self.generation = 0
        """Of the newest accepted event; never restarts."""
        self.revision = 0
        """Of the newest change of a device or rest record; feeds `Store.changes`."""
        self.feedback_seq = 0
        self.halts: dict[int, Halt] = {}
        """What operators hold back, also what is over since the last change; by number."""

    def unique(self, generation: int) -> int:
        """A number that no other node makes, of one that this node makes once. Generations are of one node each.

        It fits into 63 bits for a thousand years, also where generations went on from an instant in microseconds
        (store/replacing.py).
        """
        return generation * NODES + self.node % NODES

    def owns(self, user: UserKey) -> bool:
        """Whether this node answers for somebody, known or not."""
        return part_of(user) in self.owned

    def release(self, parts: frozenset[int]) -> None:
        """Another node answers for these partitions from now on. Verdicts that come later book nothing here."""
        self.owned -= parts
        for person in [person for key, person in self.by_key.items() if part_of(key) in parts]:
            del self.by_key[person.key]
            for device in person.devices.values():
                if self.tokens.get(device.token_hash) == (person.key, device.key):
                    del self.tokens[device.token_hash]
            self.passes.update(dict.fromkeys(self.passes.of(person.key)))
            self.trials.drop(person.key)
            self.traces.end(person.key)
            person.leave()

    def halt(self, changed: Mapping[int, Halt | None]) -> None:
        """Begin and end halts; the tenants know theirs then."""
        for number, halt in changed.items():
            if halt is None:
                self.halts.pop(number, None)
            else:
                self.halts[number] = halt
        for tenant in self.tenants.values():
            tenant.halts.active = tuple(h for h in self.halts.values() if h.tenant in (None, tenant.name))

    def remember_bypasses(self, bypasses: Iterable[Bypass]) -> None:
        for bypass in bypasses:
            key = (bypass.tenant, bypass.event_class, bypass.role)
            self.bypasses.setdefault(key, deque(maxlen=1000)).append(bypass.at)

    def forget(self, now: float) -> None:
        """Drop remembered requests and receipts older than a day, and expired passes, as the store's purge does.

        And what became of trials an hour ago, and traces that are over.
        """
        self.passes.forget(now)
        self.trials.forget(now)
        self.traces.forget(now)
        self.remembered = {key: known for key, known in self.remembered.items() if known.at > now - REQUEST_LIFE}
        self.receipts = {key: receipt for key, receipt in self.receipts.items() if receipt.at > now - REQUEST_LIFE}

    def pending(self) -> dict[AccountKey, int]:
        """Sum of n per (tenant, class), for comparing with the books."""
        sums: dict[AccountKey, int] = {}
        for person, name, slot in self.slots():
            key = (person.tenant.name, name)
            sums[key] = sums.get(key, 0) + slot.n
        return sums

    def slots(self) -> Iterator[tuple[Person, str, Slot]]:
        for person in self.by_key.values():
            for name, slot in person.slots.items():
                yield person, name, slot
