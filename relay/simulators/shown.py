"""Each wakeup that reaches a simulated provider, as a line for whoever watches.

Times are those of the wall clock in the zone that rest documents have when they name none, not the machine's.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import trio

from relay.simulators import fcm_rules
from relay.simulators.journal import Entry, Journal
from schedules.rules import DEFAULT_ZONE
from schedules.walltime import zone


class Shown(Journal):
    """Says each entry as it arrives. `life`: how its request tells for how long it may be kept."""

    def __init__(self, provider: str, life: Callable[[Entry], str], say: Callable[[str], None]) -> None:
        super().__init__(counting_only=True)
        self._provider = provider
        self._life = life
        self._say = say
        self.woken = trio.Event()
        """Something was accepted."""

    def add(self, entry: Entry) -> None:
        super().add(entry)
        answer = "accepted" if entry.status == 200 else f"{entry.status} {entry.reason}"
        token, life = entry.token[-4:], self._life(entry)
        self._say(f"{wall(entry.t):%H:%M:%S}  wakeup at {self._provider}, token …{token}, {life}: {answer}")
        if entry.status == 200:
            self.woken.set()


def both(say: Callable[[str], None]) -> tuple[Shown, Shown]:
    """Of the simulated Apple, and of the simulated Google."""
    return Shown("APNs", _expiration, say), Shown("FCM", _ttl, say)


def wall(instant: float) -> datetime:
    """What the wall clock of the rest documents' zone reads."""
    return datetime.fromtimestamp(zone(DEFAULT_ZONE).wall(int(instant)), UTC).replace(tzinfo=None)


def _expiration(entry: Entry) -> str:
    return f"expiration {entry.value(b'apns-expiration').decode()}"


def _ttl(entry: Entry) -> str:
    message = fcm_rules.read(entry.body)
    return f"ttl {message.ttl:.0f}s" if isinstance(message, fcm_rules.Send) else "unreadable"
