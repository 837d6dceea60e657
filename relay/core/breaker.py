"""A breaker: whether a lane may send, driven by `now`.

CLOSED lets everything through. A fault opens it for a while; then one probe is let through, and its answer closes the
breaker or opens it for longer. Three ways to open, by what the provider said: many failures of its side in a row (back
off from 10 s to 5 min), "wait" (a given time), and "you are wrong" (one probe every 5 min until an operator mends it).
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

FAILURES: Final = 20
"""Failures of the service in a row that open the breaker."""
FIRST: Final = 10.0
LONGEST: Final = 300.0
"""Also the pace of probes after a wrong configuration (seconds)."""


class State(StrEnum):
    CLOSED = "closed"
    OPEN = "open"
    PROBING = "probing"


class Breaker:
    __slots__ = ("_failures", "_step", "opened_for", "probe_at", "state")

    def __init__(self) -> None:
        self.state = State.CLOSED
        self.probe_at = 0.0
        self.opened_for = ""
        """Reason of the last opening; empty when closed."""
        self._failures = 0
        self._step = FIRST

    def allowance(self, now: float) -> int | None:
        """How many requests may go out now: None for any number, 0, or 1 for the probe."""
        if self.state is State.CLOSED:
            return None
        return 1 if self.state is State.OPEN and now >= self.probe_at else 0

    def probing(self) -> None:
        """The probe has left."""
        self.state = State.PROBING

    def succeeded(self) -> None:
        self.state = State.CLOSED
        self.opened_for = ""
        self._failures = 0
        self._step = FIRST

    def failed(self, count: int, reason: str, now: float) -> None:
        """`count` answers said that the service is in trouble. When open it knows: they are about earlier requests."""
        self._failures += count
        if self.state is State.PROBING or (self.state is State.CLOSED and self._failures >= FAILURES):
            self._open(reason, now + self._step)
            self._step = min(self._step * 2, LONGEST)

    def stop(self, reason: str, now: float) -> None:
        """The configuration is wrong: probe slowly."""
        self._open(reason, now + LONGEST)

    def pause(self, reason: str, until: float) -> None:
        self._open(reason, until)

    def unknown(self, now: float) -> None:
        """The probe got no answer."""
        if self.state is State.PROBING:
            self._open(self.opened_for, now + self._step)
            self._step = min(self._step * 2, LONGEST)

    def _open(self, reason: str, probe_at: float) -> None:
        self.state = State.OPEN
        self.opened_for = reason
        self.probe_at = probe_at
