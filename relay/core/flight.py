"""A wakeup on its way: one request to one device, from the fan-out to the booked verdict."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from relay.core.devices import Device

if TYPE_CHECKING:
    from relay.core.people import Person  # a person knows its flights, and a flight its person


Claim = tuple[str, int, int]
"""One slot a wakeup stands for: (class, generation, total), as they were when the bytes left.

A plain tuple: one is made for every wakeup, and a named one costs ten times as much.
"""


class Flight:
    """Opaque tag of a request on the wire. `claims`, `life`, `echo_at` and `is_alarm` are set by the last look."""

    __slots__ = (
        "answered", "beside", "claims", "device", "echo_at", "is_alarm", "life", "person", "queued", "sent_at",
        "urgent",
    )  # fmt: skip

    def __init__(self, person: Person, device: Device, *, urgent: bool, beside: Flight | None = None) -> None:
        self.person = person
        self.device = device
        self.urgent = urgent
        """It was wanted for an alarm, which may be over by now."""
        self.is_alarm = False
        """It leaves for one."""
        self.answered = False
        """Its answer, no good one, has come and is about to be booked, or held: an alarm waits for what comes of it."""
        self.beside = beside
        """Of an alarm: the wakeup for the same device that had left already, and whose answer it does not wait for."""
        self.queued = False
        """It waits at its lane. An alarm then makes it urgent, and the lane lets it overtake."""
        self.claims: tuple[Claim, ...] = ()
        self.life = 0
        self.echo_at: float | None = None
        self.sent_at = 0.0
        """When the bytes left, by trio's clock: for the deadline of the answer only."""

    def __repr__(self) -> str:
        return f"<Flight of {self.person.tenant.name}, {len(self.claims)} claims>"


class Fate(StrEnum):
    """What a verdict means for the device's debt. ACCEPTED has its own path; it is all of the traffic."""

    RETRY = "retry"
    """Try again, not before an instant; the attempt counts."""
    GIVE_UP = "give_up"
    """Never for these claims; the device stays. Our request was wrong, not the device."""
    DEAD = "dead"
    """The token is dead; delete the device if it is still the one that was asked."""


@dataclass(frozen=True, slots=True)
class Settlement:
    """Verdict over one flight that was not accepted. Instants in UTC seconds."""

    flight: Flight
    fate: Fate
    reason: str
    not_before: float = 0.0
    """For RETRY, and for a DEAD that is not believed: no new attempt earlier."""
    dead_since: float | None = None
    """For DEAD: when the provider found the token invalid; None when it does not say."""
