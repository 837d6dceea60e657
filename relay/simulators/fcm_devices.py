"""Which registration tokens the fake FCM knows, how often each may be written to, and the phones behind them.

Validations F-03 and F-04. Source: Google, "About FCM messages" and "FCM throttling and quotas".
"""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass, field
from typing import Final

from relay.simulators.fcm_rules import Send

STALE: Final = 270 * 86_400.0
"""Seconds without a connection after which FCM takes a token for expired."""
A_MINUTE: Final = 240
AN_HOUR: Final = 5_000
"""Messages to one device."""
COLLAPSIBLE_BURST: Final = 20
COLLAPSIBLE_APART: Final = 180.0
"""Seconds in which one more collapsible message is allowed."""
MOST_STORED: Final = 100
"""Not collapsible messages kept for a phone that is offline; one more, and all of them are discarded."""
MOST_KEYS: Final = 4
"""Collapse keys kept for it."""

_TOKEN: Final = re.compile(r"[A-Za-z0-9_:-]{32,4096}")


class Bucket:
    """A token bucket. `refill`: tokens a second."""

    def __init__(self, size: float, refill: float) -> None:
        self._size = size
        self._refill = refill
        self._level = size
        self._seen_at = float("-inf")

    def take(self, now: float) -> bool:
        """False when there is none."""
        if now > self._seen_at:
            self._level = min(self._size, self._level + (now - self._seen_at) * self._refill)
            self._seen_at = now
        if self._level < 1:
            return False
        self._level -= 1
        return True


@dataclass(frozen=True, slots=True)
class Received:
    """A message that has arrived on a phone."""

    at: float
    message: Send


@dataclass(slots=True)
class Phone:
    """A device behind a token."""

    online: bool = True
    stored: list[tuple[Send, float]] = field(default_factory=list)
    """(what is kept, until when), while it is offline"""
    delivered: list[Received] = field(default_factory=list)
    deleted: int = 0
    """How often it was told that messages were discarded (`onDeletedMessages`): the app must ask the server for all."""
    _has_lost: bool = False

    def push(self, now: float, message: Send) -> None:
        if self.online:
            self.delivered.append(Received(now, message))
            return
        if not message.ttl:
            return
        self.stored = [kept for kept in self.stored if kept[1] > now and not _replaces(message, kept[0])]
        self.stored.append((message, now + message.ttl))
        keys = [kept.collapse_key for kept, _ in self.stored if kept.collapse_key]
        if len(keys) > MOST_KEYS:  # [C]: which one goes is not documented
            self.stored = [kept for kept in self.stored if kept[0].collapse_key != keys[0]]
        if len(self.stored) - len(keys) > MOST_STORED:
            self.stored = [kept for kept in self.stored if kept[0].collapse_key]
            self._has_lost = True

    def connect(self, now: float) -> None:
        """The phone is back: what is kept and not expired arrives."""
        self.online = True
        self.deleted += self._has_lost
        self._has_lost = False
        self.delivered += [Received(now, message) for message, until in self.stored if until > now]
        self.stored.clear()


def _replaces(new: Send, old: Send) -> bool:
    return bool(new.collapse_key) and new.collapse_key == old.collapse_key


@dataclass(slots=True)
class FcmRegistry:
    """Every well-formed token is valid; what is named here is answered as said."""

    unregistered: set[str] = field(default_factory=set)
    malformed: set[str] = field(default_factory=set)
    wrong_sender: set[str] = field(default_factory=set)
    """Tokens of another project."""
    seen_at: dict[str, float] = field(default_factory=dict)
    """token → UTC seconds of its last connection; those that are not named connect all the time"""
    phones: dict[str, Phone] = field(default_factory=dict)
    _recent: dict[str, deque[float]] = field(default_factory=dict)
    _collapsible: dict[str, Bucket] = field(default_factory=dict)

    def check(self, token: str, now: float) -> str:
        """Code of the FcmError; empty for a token that can be sent to."""
        if token in self.malformed or not _TOKEN.fullmatch(token):
            return "INVALID_ARGUMENT"
        if token in self.wrong_sender:
            return "SENDER_ID_MISMATCH"
        is_stale = now - self.seen_at.get(token, now) >= STALE
        return "UNREGISTERED" if is_stale or token in self.unregistered else ""

    def exhausted(self, message: Send, now: float) -> str:
        """Which quota of the device is used up; empty: none. Counts the message."""
        recent = self._recent.setdefault(message.token, deque())
        while recent and recent[0] <= now - 3600:
            recent.popleft()
        if len(recent) >= AN_HOUR:
            return "Device message rate per hour"
        if sum(1 for at in recent if at > now - 60) >= A_MINUTE:
            return "Device message rate per minute"
        if message.collapse_key and message.ttl:
            bucket = self._collapsible.setdefault(message.token, Bucket(COLLAPSIBLE_BURST, 1 / COLLAPSIBLE_APART))
            if not bucket.take(now):
                return "Collapsible message rate"  # [C]: documented as throttled, without saying how
        recent.append(now)
        return ""

    def deliver(self, message: Send, now: float) -> None:
        self.phones.setdefault(message.token, Phone()).push(now, message)
