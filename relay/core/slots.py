"""What is pending: a set, not a queue.

A wakeup says "come and look", so what is pending for a user is one slot per class, however many events came. `total`
counts the notices ever taken by the slot, `booked` those whose fate is written in the books; the difference `n` is
pending. Two counters that only grow, instead of one that goes up and down: a verdict that comes late, twice or out of
order can then be booked without knowing what happened meanwhile (`book_up_to`).

`generation` is that of the newest event, from a store-wide counter that never restarts. Each device knows, per slot,
the generation it was last woken for (`done`); it is owed a wakeup while that is smaller. Kept in the slot and not in
the device, because a wakeup for an alarm in the night must not settle the message that waits for the morning.
`born` is the generation of the event that created the slot: a verdict older than that belongs to a slot that was
cancelled meanwhile, and books nothing.

Gate, hold and edit move `due_at`; an event sets it only when it creates the slot, or revives one that has nothing
pending. Back-off belongs to the device (`not_before`), so new events never reset it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from relay.core.events import NEVER, EventClass
from relay.core.private import DeviceKey, ReceiptKey

RETENTION: Final = 35 * 86400.0
"""A slot in a rest without end is dropped after this (R10): the messages are shown when the app is opened.

Where it is not known when a user can be woken, it is taken to be so long, until the gate says better.
"""
ECHOING: Final = -1.0
"""In `Slot.echo_at`: the slot is an echo itself."""


class Stub(NamedTuple):
    """Notices of a slot, from number `first` to number `last` ever taken by it, that stand on a receipt."""

    receipt: ReceiptKey
    first: int
    last: int


class Order(NamedTuple):
    """What a device has not obeyed yet, as far as is known (core/orders.py). Instants in UTC seconds."""

    at: float
    """Of its newest order."""
    until: float
    """It is given up then."""


NO_ORDERS: Final[Mapping[DeviceKey, Order]] = {}
"""Shared by nearly all slots."""


@dataclass(slots=True)
class Slot:
    """Pending notices of one (user, class). Mutable, but only in copies made by a draft (core/draft.py)."""

    born: int
    generation: int
    total: int
    booked: int
    first_at: float
    last_at: float
    reachable_at: float
    """First instant at which the user could be woken for the newest notice, as known; infinite in a rest without end.

    The class deadline counts from here: a merged slot keeps the longest.
    """
    expires_at: float
    """The longest own life of the merged events; infinite when one of them has none."""
    due_at: float
    tried: bool = False
    """The gate has let it through since the newest notice came; in memory only. Until then it sets `reachable_at`."""
    done: dict[DeviceKey, int] = field(default_factory=dict)
    echo_at: float = 0.0
    """End of the rest that cut the life of a wakeup for this generation (plus jitter); 0 when none was cut.

    Negative: the slot is an echo itself. ECHOING; or that end, negated, when a wakeup that took it along was cut again.
    """
    stubs: tuple[Stub, ...] = ()
    """For alarms: the receipts on which what is pending stands, oldest first (core/receipts.py)."""
    orders: Mapping[DeviceKey, Order] = field(default_factory=lambda: NO_ORDERS)
    """For orders: who has not obeyed. Replaced, never changed."""

    @property
    def n(self) -> int:
        """Notices pending. Zero: an echo, or a slot that waits for the remaining devices."""
        return self.total - self.booked

    @property
    def is_echo(self) -> bool:
        """Nothing is pending; repeats a wakeup whose life was cut by rest. Keeps its morning, whatever happens."""
        return self.echo_at < 0

    @property
    def repeat_at(self) -> float:
        """When what was cut is to be repeated; 0 when nothing was."""
        return 0.0 if self.echo_at == ECHOING else abs(self.echo_at)

    def cut(self, until: float) -> None:
        """The life of a wakeup for this generation was cut by a rest that ends then."""
        until = max(self.repeat_at, until)
        self.echo_at = -until if self.is_echo else until

    def copy(self) -> Slot:
        """Field by field, past `__init__`: half the time, and there is one for each person that a batch touches."""
        slot: Slot = object.__new__(Slot)
        slot.born, slot.generation = self.born, self.generation
        slot.total, slot.booked = self.total, self.booked
        slot.first_at, slot.last_at = self.first_at, self.last_at
        slot.reachable_at, slot.expires_at = self.reachable_at, self.expires_at
        slot.due_at, slot.tried = self.due_at, self.tried
        slot.done = self.done.copy() if self.done else {}
        slot.echo_at, slot.stubs, slot.orders = self.echo_at, self.stubs, self.orders
        return slot

    def owed(self, device: DeviceKey) -> bool:
        return self.done.get(device, 0) < self.generation

    def merge(self, generation: int, at: float, expires_at: float, reachable_at: float, count: int = 1) -> None:
        """Take notices of one event, one or `count`, whose user could first be woken at `reachable_at`, as known.

        Comparisons, for `max` takes three times as long, and this is done for every event.
        """
        self.total += count
        self.tried = False
        self.generation = generation
        self.echo_at = 0.0
        if reachable_at > self.reachable_at:
            self.reachable_at = reachable_at
        if at > self.last_at:
            self.last_at = at
        if expires_at > self.expires_at:
            self.expires_at = expires_at

    def book_up_to(self, total: int) -> int:
        """Book everything taken until `total`; return how many notices that newly settles (0: others did already)."""
        newly = total - self.booked
        if newly <= 0:
            return 0
        self.booked = total
        return newly

    def expiry(self, event_class: EventClass) -> float:
        """When the slot is given up: class deadline or the events' own life, and never later than the retention.

        Of orders: when the first of them is.
        """
        if self.orders:
            return min(order.until for order in self.orders.values())
        deadline = self.reachable_at + event_class.deadline
        if self.expires_at < deadline:
            deadline = self.expires_at
        return min(deadline, self.first_at + RETENTION) if self.reachable_at == NEVER else deadline
