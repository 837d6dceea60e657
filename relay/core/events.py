"""What comes in: events, and the classes that say how they are treated.

A class is configuration, not code. `message` and `roster` wait for the end of rest; `alarm` pierces it and therefore
needs a role, a reason code and an Idempotency-Key, has a cap on recipients and a rate above which it is flagged in its
record (an alarm is never refused for its rate: a wrong refusal costs more than a wrong ring), and leaves an append-only
record in the commit that accepts it. `control` is for orders to a device, log out or wipe: it pierces rest too, may
name one device, and is sent anew until the backend says that it was obeyed (core/orders.py). Its wakeup looks like any.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from relay.core.life import TOP
from relay.core.private import DeviceKey, ReceiptKey, UserKey

HOUR: Final = 3600.0
DAY: Final = 86400.0
NEVER: Final = float("inf")


class Scope(StrEnum):
    """What a key may do."""

    EVENTS = "events"
    ALARMS = "alarms"
    """Classes that pierce rest; beside `events`."""
    DEVICES = "devices"
    REST = "rest"
    SUPPORT = "support"
    ADMIN = "admin"
    """Orders to devices; beside `events`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventClass:
    """How events of one kind are treated. Times in seconds."""

    name: str
    scope: Scope = Scope.EVENTS
    """What a key must hold, beside `events`, to send it."""
    pierces: bool = False
    """Goes out in any rest, and ignores holds."""
    through: frozenset[str] = frozenset()
    """Kinds of rest that are none for this class (night, free, leave, sick, off); it is else as any other."""
    cancellable: bool = True
    """`seen` cancels what is pending."""
    deadline: float = 7 * DAY
    """Counted from the first instant at which the user is reachable; then the slot expires."""
    life: int = TOP
    """Longest step of the ladder (core/life.py) for which a provider may keep its wakeups."""
    renewal: float = 0.0
    """An order: sent anew after so long, until it is confirmed or its deadline has passed. 0: no order."""
    is_trial: bool = False
    """An officer's own test of his phones (core/trials.py)."""
    roles: frozenset[str] = frozenset()
    """Who may send a piercing class."""
    reasons: frozenset[str] = frozenset()
    """Reason codes a piercing event must choose from."""
    recipients: int = 25_000
    """Most recipients of one event."""
    rate_per_hour: int = 60
    """Piercing events per hour and role above which each is flagged in its record."""

    @property
    def needs_authority(self) -> bool:
        """May go out in rest: so somebody answers for it, and it is recorded."""
        return self.pierces or bool(self.through)

    @property
    def needs(self) -> Scope:
        """The scope for it: what may go out in rest needs more than `events`."""
        return Scope.ALARMS if self.needs_authority and self.scope is Scope.EVENTS else self.scope

    @property
    def is_urgent(self) -> bool:
        """Overtakes what waits at a lane or for a commit."""
        return self.pierces and not self.renewal and not self.is_trial

    @property
    def yields(self) -> bool:
        """Waits while the user reads on another device: what is shown there need not ring here."""
        return self.cancellable and not self.pierces


DEFAULT_CLASSES: Final = (
    EventClass(name="message"),
    EventClass(name="roster"),
    EventClass(name="alarm", scope=Scope.ALARMS, pierces=True, cancellable=False, deadline=HOUR),
    EventClass(
        name="control",
        scope=Scope.ADMIN,
        pierces=True,
        cancellable=False,
        deadline=28 * DAY,
        renewal=DAY,
        recipients=100,
    ),
)


TEST: Final = EventClass(
    name="test",
    pierces=True,
    cancellable=False,
    deadline=600.0,
    is_trial=True,
    roles=frozenset({"officer"}),
    reasons=frozenset({"test"}),
    recipients=1,
    rate_per_hour=1_000_000,
)
"""Every tenant's, and no tenant's to configure or to post: how officers wake their own phones (core/trials.py)."""


@dataclass(frozen=True, slots=True)
class Authority:
    """Who sends a piercing event, and why: codes from configured lists, never free text."""

    key_id: str
    role: str
    reason: str
    recipients: bytes = field(default=b"", repr=False)
    """Who is woken so, sealed (core/records.py); for the record."""


@dataclass(frozen=True, slots=True)
class Event:
    """One event for one or many recipients. Instants in UTC seconds."""

    event_class: EventClass
    users: Sequence[UserKey]
    """Recipients; one who stands twice is woken once and counted twice."""
    at: float
    """When it happened, by the backend's clock (default: arrival); `seen` compares with it."""
    expires_at: float = NEVER
    """When the message itself ceases to exist (`at + ttl`)."""
    authority: Authority | None = None
    device: DeviceKey | None = None
    """Of an order for one device of one user; None: for all."""


@dataclass(frozen=True, slots=True)
class Request:
    """Identity of a request for 24 h: a keyed hash of its Idempotency-Key, and a hash of its body."""

    key: bytes
    body: bytes


@dataclass(frozen=True, slots=True)
class Accepted:
    """What a 202 says. `accepted`: notices (event, recipient) taken; `unknown`: recipients with nobody to wake."""

    accepted: int
    unknown: int
    receipt: ReceiptKey | None = field(default=None, repr=False)
    """Of the alarms among the events (core/receipts.py); None when there are none."""
